/* SPDX-License-Identifier: Apache-2.0
 * outer_product: see outer_product.h.
 *
 * The operands are made for some columns of the MSA at a time: whole they would be as large as the extra MSA itself.
 * The left one is made again for every piece of the right, which costs 2 / columns of the product's work.
 */
#include "model/outer_product.h"

enum { FEWEST_COLUMNS = 16 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Columns [from, from + n) of the MSA, projected: [S, n, C]. */
static struct ff_tensor project(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                                const struct ff_linear_weights *p, struct ff_tensor m, struct ff_tensor mask,
                                int64_t from, int64_t n)
{
    struct ff_tensor out = FF_PUSH(ctx, m.dtype, m.shape[0], n, p->w.shape[1]);
    if (n > 0)
        FF_OP(ctx->be, linear, .out = out, .x = ff_tensor_slice(m, 1, from, n), .norm = w->layer_norm_input, .w = p->w,
              .b = p->b, .mask = ff_tensor_slice(mask, 1, from, n));
    return out;
}

/* z[:, column ..] += the outer product mean of all of this rank's columns and those that right [S, J, C] holds. */
static void add_piece(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                      struct ff_tensor own_mask, struct ff_tensor right, struct ff_tensor right_mask,
                      struct ff_tensor z, int64_t columns)
{
    for (int64_t from = 0; from < m.shape[1]; from += columns) {
        int64_t n = least(columns, m.shape[1] - from);
        size_t mark = ff_arena_mark(ctx->arena);
        struct ff_tensor left = project(ctx, w, &w->left_projection, m, own_mask, from, n);
        FF_OP(ctx->be, outer_product_mean, .out = ff_tensor_slice(z, 0, from, n), .a = left, .b = right,
              .mask_a = ff_tensor_slice(own_mask, 1, from, n), .mask_b = right_mask, .w = w->output.w,
              .bias = w->output.b);
        ff_arena_release(ctx->arena, mark);
    }
}

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                           struct ff_tensor msa_mask, struct ff_tensor z)
{
    int64_t n_seq = m.shape[0], n_res = msa_mask.shape[1], c = w->right_projection.w.shape[1];
    int64_t most = ff_dap_count(ctx->dap, n_res, 0);
    int64_t operands = ff_dap_size(ctx->dap) > 1 ? 3 : 2; /* left, right, and the right one of another rank */
    int64_t columns = ff_context_rows(ctx, most, operands * n_seq * c * (int64_t)ff_dtype_size(m.dtype));
    if (columns < FEWEST_COLUMNS)
        columns = least(FEWEST_COLUMNS, most);
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1);
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t at = 0; at < most; at += columns) {
        int64_t left_over = m.shape[1] - at, own = left_over > 0 ? least(columns, left_over) : 0;
        struct ff_tensor right = project(ctx, w, &w->right_projection, m, own_mask, own > 0 ? at : 0, own);
        for (int root = 0; root < ff_dap_size(ctx->dap); root++) {
            int64_t n = least(columns, ff_dap_count(ctx->dap, n_res, root) - at);
            if (n <= 0)
                continue;
            size_t piece = ff_arena_mark(ctx->arena);
            struct ff_tensor buffer = {0};
            if (ff_dap_size(ctx->dap) > 1)
                buffer = FF_PUSH(ctx, m.dtype, n_seq, n, c);
            int64_t column = ff_dap_from(ctx->dap, n_res, root) + at;
            add_piece(ctx, w, m, own_mask, ff_dap_borrow(ctx->dap, root, right, buffer),
                      ff_tensor_slice(msa_mask, 1, column, n), ff_tensor_slice(z, 1, column, n), columns);
            ff_arena_release(ctx->arena, piece);
        }
        ff_arena_release(ctx->arena, mark);
    }
}
