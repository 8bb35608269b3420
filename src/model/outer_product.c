/* SPDX-License-Identifier: Apache-2.0
 * outer_product: see outer_product.h.
 */
#include "model/outer_product.h"

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                           struct ff_tensor msa_mask, struct ff_tensor z)
{
    int64_t n_seq = m.shape[0], n_res = m.shape[1], n_outer = w->left_right.w.shape[1] / 2;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor both = FF_PUSH(ctx, m.dtype, n_seq, n_res, 2 * n_outer);
    FF_OP(ctx->be, linear, .out = both, .x = m, .norm = w->layer_norm_input, .w = w->left_right.w,
          .b = w->left_right.b, .mask = msa_mask);
    FF_OP(ctx->be, outer_product_mean, .out = z, .a = ff_tensor_slice(both, 2, 0, n_outer),
          .b = ff_tensor_slice(both, 2, n_outer, n_outer), .mask_a = msa_mask, .mask_b = msa_mask, .w = w->output.w,
          .bias = w->output.b);
    ff_arena_release(ctx->arena, mark);
}
