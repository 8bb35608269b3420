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

/* Both operands of the same columns, which are read once. */
static void project_both(const struct ff_context *ctx, const struct ff_outer_product_weights *w, struct ff_tensor x,
                         struct ff_tensor mask, struct ff_tensor left, struct ff_tensor right)
{
    const struct ff_linear_weights *l = &w->left_projection, *r = &w->right_projection;
    FF_OP(ctx->be, linear, .out = left, .x = x, .norm = w->layer_norm_input, .w = l->w, .b = l->b, .mask = mask,
          .out2 = right, .w2 = r->w, .b2 = r->b);
}

/* Columns that follow each other in the MSA and in a piece of right operands. */
struct columns {
    int64_t from, place, n;
};

/* Right operands of one piece of columns: this rank's by themselves, so that they lie as the left ones that are made
 * with them, the others' one rank's behind the other's. */
struct rights {
    int64_t at, most;                /* the piece within every rank's columns */
    struct ff_tensor others;         /* [S, J, C] */
    struct ff_tensor *own, *of;      /* [rank]: this rank's again and again, that rank's */
    struct columns *columns;         /* [n]: this rank's, then all others', in as few pieces as they lie in */
    int n;
    struct ff_tensor left;           /* of all of this rank's columns [S, I, C], if made along with the right ones */
    int64_t ticket;
};

static void push_rights(const struct ff_context *ctx, const struct ff_outer_product_weights *w, int64_t n_res,
                        struct ff_tensor m, struct rights *r)
{
    int size = ff_dap_size(ctx->dap), rank = ff_dap_rank(ctx->dap);
    int64_t place = 0, c = w->right_projection.w.shape[1];
    r->n = 1;
    r->left = (struct ff_tensor){0};     /* that of an earlier piece is gone */
    for (int k = 0; k < size; k++) {
        struct columns *last = &r->columns[r->n - 1];
        int64_t from = ff_dap_from(ctx->dap, n_res, k) + r->at, n = ff_dap_piece(ctx->dap, n_res, k, r->at, r->most);
        if (k == rank) {
            r->columns[0] = (struct columns){from, 0, n};
            continue;
        }
        if (r->n > 1 && last->from + last->n == from)
            last->n += n;
        else
            r->columns[r->n++] = (struct columns){from, place, n};
        place += n;
    }
    r->others = FF_PUSH(ctx, m.dtype, m.shape[0], place, c);
    r->of[rank] = FF_PUSH(ctx, m.dtype, m.shape[0], r->columns[0].n, c);
    place = 0;
    for (int k = 0; k < size; k++) {
        if (k != rank) {
            int64_t n = ff_dap_piece(ctx->dap, n_res, k, r->at, r->most);
            r->of[k] = ff_tensor_slice(r->others, 1, n > 0 ? place : 0, n);
            place += n;
        }
        r->own[k] = r->of[rank];
    }
}

/* Makes this rank's columns of a piece and sends them; the left operand too, if it is of the same columns. */
static void share_right(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                        const struct ff_offload *m, struct ff_tensor own_mask, int64_t left, struct rights *r)
{
    struct ff_tensor out = r->own[0], x;
    int64_t n = out.shape[1];
    struct ff_offload_visit v;
    bool both = n > 0 && n == m->x.shape[1] && left >= n;
    if (both)
        r->left = FF_PUSH(ctx, m->x.dtype, m->x.shape[0], n, w->left_projection.w.shape[1]);
    ff_offload_visit_open(ctx, m, 1, n > 0 ? r->at : 0, n, left, FF_OFFLOAD_READ, &v);
    while (ff_offload_visit_next(&v, &x)) {
        struct ff_tensor mask = ff_tensor_slice(own_mask, 1, v.at, v.count);
        struct ff_tensor right = ff_tensor_slice(out, 1, v.at - r->at, v.count);
        if (both)
            project_both(ctx, w, x, mask, r->left, right);
        else
            project(ctx, w, &w->right_projection, x, mask, right);
    }
    r->ticket = ff_dap_swap_beside(ctx->dap, true, r->own, r->of);
}

/* z += the outer product mean of all of this rank's columns, `most` at a time, and those of the piece; this rank's own
 * come first, while the others' are on their way. */
static void add_piece(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                      const struct ff_offload *m, struct ff_tensor msa_mask, int64_t most, const struct rights *right,
                      struct ff_tensor z)
{
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1), x;
    struct ff_offload_visit v;
    ff_offload_visit_open(ctx, m, 1, 0, m->x.shape[1], most, FF_OFFLOAD_READ, &v);
    while (ff_offload_visit_next(&v, &x)) {
        size_t mark = ff_arena_mark(ctx->arena);
        struct ff_tensor left = right->left, left_mask = ff_tensor_slice(own_mask, 1, v.at, v.count);
        if (!ff_tensor_present(&left)) {
            left = FF_PUSH(ctx, x.dtype, x.shape[0], v.count, w->left_projection.w.shape[1]);
            project(ctx, w, &w->left_projection, x, left_mask, left);
        }
        for (int k = 0; k < right->n; k++) {
            const struct columns *c = &right->columns[k];
            if (v.at == 0 && k == 1)
                ff_dap_wait(ctx->dap, right->ticket);
            if (c->n > 0)
                FF_OP(ctx->be, outer_product_mean,
                      .out = ff_tensor_slice(ff_tensor_slice(z, 0, v.at, v.count), 1, c->from, c->n), .a = left,
                      .b = k == 0 ? right->own[0] : ff_tensor_slice(right->others, 1, c->place, c->n),
                      .mask_a = left_mask,
                      .mask_b = ff_tensor_slice(msa_mask, 1, c->from, c->n), .w = w->output.w, .bias = w->output.b);
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
    size_t size = (size_t)ff_dap_size(ctx->dap);
    struct rights right = {.most = columns, .own = FF_NEW_ARRAY(struct ff_tensor, size),
                           .of = FF_NEW_ARRAY(struct ff_tensor, size), .columns = FF_NEW_ARRAY(struct columns, size)};
    size_t mark = ff_arena_mark(ctx->arena);
    for (; right.at < most; right.at += columns) {
        push_rights(ctx, w, n_res, m->x, &right);
        share_right(ctx, w, m, own_mask, left, &right);
        add_piece(ctx, w, m, msa_mask, left, &right, z);
        ff_arena_release(ctx->arena, mark);
    }
    free(right.own);
    free(right.of);
    free(right.columns);
}
