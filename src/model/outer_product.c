/* SPDX-License-Identifier: Apache-2.0
 * outer_product: see outer_product.h.
 *
 * The operands are made for some columns of the MSA at a time: whole they would be as large as the extra MSA itself.
 * The left one is made again for every piece of the right, which costs 2 / columns of the product's work.
 * Ranks send each other their pieces of the right one.
 */
#include "model/outer_product.h"

#include <stdlib.h>

#include "base/alloc.h"

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

/* Right operands of one piece of columns: each rank's, as all ranks have them. */
struct rights {
    int64_t at, most;                /* the piece within every rank's columns */
    struct ff_tensor *own, *of;      /* [rank]: this rank's again and again, that rank's [S, J, C] */
    int64_t ticket;
};

static void share_right(const struct ff_context *ctx, int64_t n_res, struct ff_tensor own, struct rights *r)
{
    int rank = ff_dap_rank(ctx->dap);
    for (int k = 0; k < ff_dap_size(ctx->dap); k++) {
        r->own[k] = own;
        int64_t n = ff_dap_piece(ctx->dap, n_res, k, r->at, r->most);
        r->of[k] = k == rank ? own : FF_PUSH(ctx, own.dtype, own.shape[0], n, own.shape[2]);
    }
    r->ticket = ff_dap_swap(ctx->dap, r->own, r->of);
}

/* z += the outer product mean of all of this rank's columns and those of the piece; this rank's own come first, while
 * the others' are on their way. */
static void add_piece(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                      struct ff_tensor msa_mask, const struct rights *right, struct ff_tensor z)
{
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1);
    int size = ff_dap_size(ctx->dap);
    for (int64_t from = 0; from < m.shape[1] || from == 0; from += right->most) {
        int64_t n = least(right->most, m.shape[1] - from);
        size_t mark = ff_arena_mark(ctx->arena);
        struct ff_tensor left = project(ctx, w, &w->left_projection, m, own_mask, from, n);
        for (int k = 0; k < size; k++) {
            int root = (ff_dap_rank(ctx->dap) + k) % size;
            struct ff_tensor b = right->of[root];
            int64_t column = ff_dap_from(ctx->dap, msa_mask.shape[1], root) + right->at, columns = b.shape[1];
            if (from == 0 && k == 1)
                ff_dap_wait(ctx->dap, right->ticket);
            if (n > 0 && columns > 0)
                FF_OP(ctx->be, outer_product_mean, .out = ff_tensor_slice(ff_tensor_slice(z, 0, from, n), 1, column,
                                                                          columns),
                      .a = left, .b = b, .mask_a = ff_tensor_slice(own_mask, 1, from, n),
                      .mask_b = ff_tensor_slice(msa_mask, 1, column, columns), .w = w->output.w,
                      .bias = w->output.b);
        }
        ff_arena_release(ctx->arena, mark);
    }
}

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor m,
                           struct ff_tensor msa_mask, struct ff_tensor z)
{
    int64_t n_seq = m.shape[0], n_res = msa_mask.shape[1], c = w->right_projection.w.shape[1];
    int64_t most = ff_dap_count(ctx->dap, n_res, 0);
    int64_t operands = 1 + ff_dap_size(ctx->dap); /* left, and the right ones of all ranks */
    int64_t columns = ff_context_rows(ctx, most, operands * n_seq * c * (int64_t)ff_dtype_size(m.dtype));
    if (columns < FEWEST_COLUMNS)
        columns = least(FEWEST_COLUMNS, most);
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1);
    struct rights right = {.most = columns, .own = FF_NEW_ARRAY(struct ff_tensor, (size_t)ff_dap_size(ctx->dap)),
                           .of = FF_NEW_ARRAY(struct ff_tensor, (size_t)ff_dap_size(ctx->dap))};
    size_t mark = ff_arena_mark(ctx->arena);
    for (; right.at < most; right.at += columns) {
        int64_t n = ff_dap_piece(ctx->dap, n_res, ff_dap_rank(ctx->dap), right.at, columns);
        share_right(ctx, n_res, project(ctx, w, &w->right_projection, m, own_mask, n > 0 ? right.at : 0, n), &right);
        add_piece(ctx, w, m, msa_mask, &right, z);
        ff_arena_release(ctx->arena, mark);
    }
    free(right.own);
    free(right.of);
}
