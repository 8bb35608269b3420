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

/* out = columns x of the MSA, projected. */
static void project(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                    const struct ff_linear_weights *p, struct ff_tensor x /* [S, n, c_m] */,
                    struct ff_tensor mask /* [S, n] */, struct ff_tensor out /* [S, n, C] */)
{
    FF_OP(ctx->be, linear, .out = out, .x = x, .norm = w->layer_norm_input, .w = p->w, .b = p->b, .mask = mask);
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

/* This rank's columns of a piece of right operands [S, n, C]. */
static struct ff_tensor own_right(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                                  const struct ff_offload *m, struct ff_tensor own_mask, int64_t left,
                                  const struct rights *r, int64_t n)
{
    struct ff_tensor out = FF_PUSH(ctx, m->x.dtype, m->x.shape[0], n, w->right_projection.w.shape[1]), x;
    struct ff_offload_visit v;
    ff_offload_visit_open(ctx, m, 1, n > 0 ? r->at : 0, n, left, FF_OFFLOAD_READ, &v);
    while (ff_offload_visit_next(&v, &x))
        project(ctx, w, &w->right_projection, x, ff_tensor_slice(own_mask, 1, v.at, v.count),
                ff_tensor_slice(out, 1, v.at - r->at, v.count));
    return out;
}

/* z += the outer product mean of all of this rank's columns, `most` at a time, and those of the piece; this rank's own
 * come first, while the others' are on their way. */
static void add_piece(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                      const struct ff_offload *m, struct ff_tensor msa_mask, int64_t most, const struct rights *right,
                      struct ff_tensor z)
{
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1), x;
    int size = ff_dap_size(ctx->dap);
    struct ff_offload_visit v;
    ff_offload_visit_open(ctx, m, 1, 0, m->x.shape[1], most, FF_OFFLOAD_READ, &v);
    while (ff_offload_visit_next(&v, &x)) {
        size_t mark = ff_arena_mark(ctx->arena);
        struct ff_tensor left = FF_PUSH(ctx, x.dtype, x.shape[0], v.count, w->left_projection.w.shape[1]);
        struct ff_tensor left_mask = ff_tensor_slice(own_mask, 1, v.at, v.count);
        project(ctx, w, &w->left_projection, x, left_mask, left);
        for (int k = 0; k < size; k++) {
            int root = (ff_dap_rank(ctx->dap) + k) % size;
            struct ff_tensor b = right->of[root];
            int64_t column = ff_dap_from(ctx->dap, msa_mask.shape[1], root) + right->at, columns = b.shape[1];
            if (v.at == 0 && k == 1)
                ff_dap_wait(ctx->dap, right->ticket);
            if (columns > 0)
                FF_OP(ctx->be, outer_product_mean, .out = ff_tensor_slice(ff_tensor_slice(z, 0, v.at, v.count), 1,
                                                                          column, columns),
                      .a = left, .b = b, .mask_a = left_mask, .mask_b = ff_tensor_slice(msa_mask, 1, column, columns),
                      .w = w->output.w, .bias = w->output.b);
        }
        ff_arena_release(ctx->arena, mark);
    }
}

static int64_t within(int64_t n, int64_t most)
{
    return least(n > FEWEST_COLUMNS ? n : FEWEST_COLUMNS, most);
}

/* Columns of the operands: right ones of every rank, left ones. Of an MSA on the host all columns are fetched for every
 * piece of right operands, which get the most room, and wait as two pieces for their projection. */
static void choose_columns(const struct ff_context *ctx, const struct ff_offload *m, int64_t most, int64_t c,
                           int64_t *ret_right, int64_t *ret_left)
{
    int64_t item = m->x.shape[0] * (int64_t)ff_dtype_size(m->x.dtype), size = ff_dap_size(ctx->dap);
    *ret_right = *ret_left = within(ff_context_rows(ctx, most, (1 + size) * c * item), most);
    if (!m->away)
        return;
    int64_t left_bytes = (c + 2 * m->x.shape[2]) * item;
    struct ff_context room = *ctx;
    room.chunk_bytes = (ctx->chunk_bytes + ctx->piece_bytes) / 4;
    *ret_left = within(ff_context_rows(&room, most, left_bytes), most);
    room.chunk_bytes = room.chunk_bytes * 4 - *ret_left * left_bytes;
    *ret_right = within(ff_context_rows(&room, most, size * c * item), most);
}

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                           const struct ff_offload *m, struct ff_tensor msa_mask, struct ff_tensor z)
{
    int64_t n_res = msa_mask.shape[1], most = ff_dap_count(ctx->dap, n_res, 0), columns, left;
    choose_columns(ctx, m, most, w->right_projection.w.shape[1], &columns, &left);
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1);
    struct rights right = {.most = columns, .own = FF_NEW_ARRAY(struct ff_tensor, (size_t)ff_dap_size(ctx->dap)),
                           .of = FF_NEW_ARRAY(struct ff_tensor, (size_t)ff_dap_size(ctx->dap))};
    size_t mark = ff_arena_mark(ctx->arena);
    for (; right.at < most; right.at += columns) {
        int64_t n = ff_dap_piece(ctx->dap, n_res, ff_dap_rank(ctx->dap), right.at, columns);
        share_right(ctx, n_res, own_right(ctx, w, m, own_mask, left, &right, n), &right);
        add_piece(ctx, w, m, msa_mask, left, &right, z);
        ff_arena_release(ctx->arena, mark);
    }
    free(right.own);
    free(right.of);
}
