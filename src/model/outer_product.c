/* SPDX-License-Identifier: Apache-2.0
 * outer_product: see outer_product.h.
 */
#include "model/outer_product.h"

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                           struct ff_tensor msa_mask, struct ff_tensor z)
{
    int64_t n_seq = m.shape[0], n_column = m.shape[1], n_res = msa_mask.shape[1];
    int64_t n_outer = w->left_right.w.shape[1] / 2;
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1);
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor both = FF_PUSH(ctx, m.dtype, n_seq, n_column, 2 * n_outer);
    FF_OP(ctx->be, linear, .out = both, .x = m, .norm = w->layer_norm_input, .w = w->left_right.w,
          .b = w->left_right.b, .mask = own_mask);
    /* The right operand of all columns; on one rank it is the right half as it stands. */
    struct ff_tensor right = ff_dap_gather(ctx->dap, ff_tensor_slice(both, 2, n_outer, n_outer), 1, n_res);
    FF_OP(ctx->be, outer_product_mean, .out = z, .a = ff_tensor_slice(both, 2, 0, n_outer), .b = right,
          .mask_a = own_mask, .mask_b = msa_mask, .w = w->output.w, .bias = w->output.b);
    ff_arena_release(ctx->arena, mark);
}
