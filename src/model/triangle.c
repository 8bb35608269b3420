/* SPDX-License-Identifier: Apache-2.0
 * triangle: see triangle.h.
 *
 * The contraction treats every channel by itself, so ranks contract whole matrices of their channels: operands go from
 * rows of this rank to channels of this rank, products the other way. The right operand is made from all rows first
 * (in the spare buffer), then rows of the left operand, which depend on those rows only, are made, contracted and added
 * a chunk at a time, in place.
 *
 * Several ranks work on two chunks in turn, so that one is under way while the other is computed. Products come back to
 * where the left rows were, and leave from where other ranks' rows were. One rank has all channels and nothing to send.
 *
 * Incoming edges are outgoing edges of the transposed pair: with left and right named as in the parameters,
 * z[i, j] += sum_k left[k, j] right[k, i] reads, for t = z transposed, t[j, i] += sum_k left'[j, k] right'[i, k]. One
 * rank transposes a view. Several ranks turn the pair round and back; where there is memory for a second operand they
 * need not: each makes its columns k of both operands, with all rows, and the columns come together by channel. There
 * z[i, j] += sum_k right'[i, k] left'[j, k], so left and right change their names.
 */
#include "model/triangle.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/triangle_part.h"
#include "model/triangle_stream.h"

struct work {
    struct ff_triangle t;
    struct ff_tensor right;          /* [own channels, N, N] */
    struct ff_tensor columns;        /* [c_i, N, I]: this rank's columns of the left operand; absent: rows are made */
    int64_t rows;                    /* of every rank, in a chunk */
    struct ff_triangle_part chunks[2]; /* products come back to where the left rows were */
};

static int size_of(const struct work *k)
{
    return ff_triangle_ranks(&k->t);
}

static int64_t most_rows(const struct work *k)
{
    return ff_triangle_most(&k->t);
}

static struct ff_tensor in(const struct work *k, void *memory, int64_t c, int64_t rows, int64_t n)
{
    return ff_triangle_in(&k->t, memory, c, rows, n);
}

static void copy(const struct work *k, struct ff_tensor out, struct ff_tensor x)
{
    ff_triangle_copy(&k->t, out, x);
}

static int64_t rows_of(const struct work *k, const struct ff_triangle_part *u, int64_t at, int r)
{
    return ff_triangle_rows(&k->t, u, at, r);
}

static const struct ff_dap *dap(const struct work *k)
{
    return k->t.ctx->dap;
}

/* --- rows that come together from columns ------------------------------------------------------------------------- */

/* This rank's columns of the left rows of a chunk, all ranks' rows one behind the other. */
static void prepare_columns(struct work *k, struct ff_triangle_part *u, int64_t at)
{
    u->at = at;
    u->n = rows_of(k, u, at, ff_dap_rank(dap(k)));
    int64_t rows = 0, own = k->t.z.shape[0];
    for (int r = 0; r < size_of(k); r++)
        rows += rows_of(k, u, at, r);
    struct ff_tensor left = in(k, u->whole, k->t.c_i, rows, own);
    for (int r = 0, to = 0; r < size_of(k); to += (int)rows_of(k, u, at, r), r++) {
        int64_t n = rows_of(k, u, at, r), from = n > 0 ? ff_dap_from(dap(k), k->t.n_res, r) + at : 0;
        copy(k, ff_tensor_slice(left, 1, to, n), ff_tensor_slice(k->columns, 1, from, n));
    }
    ff_triangle_send(&k->t, u, left);
}

/* The right operand, some rows at a time: every rank makes its columns of them, of its rows of the pair. */
static void prepare_right_columns(struct work *k, struct ff_triangle_part *u, int64_t at, int64_t rows)
{
    u->at = at;
    int64_t n = k->t.n_res - at < rows ? k->t.n_res - at : rows;
    struct ff_tensor out = in(k, u->whole, k->t.c_i, n, k->t.z.shape[0]);
    ff_triangle_project_columns(&k->t, out, &k->t.w->left_projection, &k->t.w->left_gate, at);
    ff_triangle_send(&k->t, u, out);
}

static void make_columns(struct work *k)
{
    ff_triangle_project_columns(&k->t, k->columns, &k->t.w->right_projection, &k->t.w->right_gate, 0);
    int64_t rows = k->rows * size_of(k);
    prepare_right_columns(k, &k->chunks[0], 0, rows);
    for (int64_t i = 0, at = 0; at < k->t.n_res; i++, at += rows) {
        struct ff_triangle_part *u = &k->chunks[i % 2];
        if (at + rows < k->t.n_res)
            prepare_right_columns(k, &k->chunks[(i + 1) % 2], at + rows, rows);
        ff_dap_wait(dap(k), u->ticket);
        ff_triangle_place_columns(&k->t, u->theirs, ff_tensor_slice(k->right, 1, at, u->theirs[0].shape[1]));
    }
}

/* --- chunks ------------------------------------------------------------------------------------------------------- */

static void prepare_left(struct work *k, struct ff_triangle_part *u, int64_t at)
{
    u->at = at;
    if (at >= most_rows(k))
        return;
    if (k->t.by_columns)
        prepare_columns(k, u, at);
    else
        ff_triangle_send_rows(&k->t, u, at, &k->t.w->left_projection, &k->t.w->left_gate);
}

/* Products of this rank's channels, sent to the ranks of the rows. Without columns each product is made in the room
 * that the rows before it came to; this rank's own go to their place at once, so that theirs is free too. */
static void contract(struct work *k, struct ff_triangle_part *u)
{
    if (u->at >= most_rows(k))
        return;
    int rank = ff_dap_rank(dap(k)), size = size_of(k);
    struct ff_tensor product = in(k, u->whole, k->t.c_i, u->n, k->t.n_res);
    ff_dap_wait(dap(k), u->ticket);
    if (k->t.by_columns)
        ff_triangle_assemble(&k->t, u);
    void *room = u->rooms[rank];
    for (int i = 0; i < size; i++) {
        int r = (rank + i) % size;
        struct ff_tensor a = u->theirs[r];
        u->for_them[r] = in(k, k->t.by_columns ? u->rooms[r] : room, a.shape[0], a.shape[1], k->t.n_res);
        if (ff_tensor_count(&a) > 0)
            FF_OP(k->t.ctx->be, triangle_contract, .out = u->for_them[r], .a = a, .b = k->right);
        if (i > 0)
            room = u->rooms[r];
        else if (size > 1 && !k->t.by_columns)
            copy(k, ff_triangle_channels(&k->t, product, rank), u->for_them[rank]);
    }
    if (k->t.by_columns) /* the rows are all read */
        copy(k, ff_triangle_channels(&k->t, product, rank), u->for_them[rank]);
    for (int r = 0; r < size; r++)
        k->t.by_channel[r] = ff_triangle_channels(&k->t, product, r);
    u->ticket = ff_dap_swap(dap(k), u->for_them, k->t.by_channel);
}

static void finish(struct work *k, struct ff_triangle_part *u)
{
    if (u->at >= most_rows(k))
        return;
    ff_dap_wait(dap(k), u->ticket);
    struct ff_tensor x = size_of(k) > 1 ? in(k, u->whole, k->t.c_i, u->n, k->t.n_res) : u->for_them[0];
    ff_triangle_output(&k->t, ff_tensor_slice(k->t.z, 0, u->at, u->n), x);
}

/* Right rows of all ranks from a chunk to their place. */
static void place_right(struct work *k, struct ff_triangle_part *u)
{
    ff_dap_wait(dap(k), u->ticket);
    for (int r = 0; r < size_of(k); r++) {
        int64_t n = u->theirs[r].shape[1], row = n > 0 ? ff_dap_from(dap(k), k->t.n_res, r) + u->at : 0;
        copy(k, ff_tensor_slice(k->right, 1, row, n), u->theirs[r]);
    }
}

static void make_right(struct work *k)
{
    const struct ff_linear_weights *value = &k->t.w->right_projection, *gate = &k->t.w->right_gate;
    if (size_of(k) == 1) {
        ff_triangle_project(&k->t, k->right, value, gate, k->t.z, k->t.mask, 0);
        return;
    }
    ff_triangle_send_rows(&k->t, &k->chunks[0], 0, value, gate);
    for (int64_t i = 0, at = 0; at < most_rows(k); i++, at += k->rows) {
        if (at + k->rows < most_rows(k))
            ff_triangle_send_rows(&k->t, &k->chunks[(i + 1) % 2], at + k->rows, value, gate);
        place_right(k, &k->chunks[i % 2]);
    }
}

/* Two chunks on several ranks: while one's operands or products travel, the other is worked on. */
static void all_chunks(struct work *k)
{
    int n = size_of(k) > 1 ? 2 : 1;
    for (int i = 0; i < n; i++)
        prepare_left(k, &k->chunks[i], i * k->rows);
    for (int64_t at = 0; at < most_rows(k); at += n * k->rows) {
        for (int i = 0; i < n; i++)
            contract(k, &k->chunks[i]);
        for (int i = 0; i < n; i++) {
            finish(k, &k->chunks[i]);
            prepare_left(k, &k->chunks[i], at + (n + i) * k->rows);
        }
    }
}

/* z += triangle multiplication with outgoing edges; by columns: with incoming edges. */
static void multiply(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_pair *p, bool columns)
{
    int size = ff_dap_size(ctx->dap), n_chunk = size > 1 ? 2 : 1;
    size_t mark = ff_arena_mark(ctx->arena);
    struct work k = {.t = ff_triangle_make(ctx, w, p, columns)};
    k.right = ff_pair_scratch(ctx, p, ff_context_part(ctx, k.t.c_i), p->n_res);
    if (columns)
        k.columns = ff_pair_push(ctx, p->z.dtype, k.t.c_i, p->n_res, p->z.shape[0]);
    struct ff_context wide = *ctx;
    wide.chunk_bytes = ctx->triangle_bytes > ctx->chunk_bytes ? ctx->triangle_bytes : ctx->chunk_bytes;
    k.rows = ff_context_rows(&wide, most_rows(&k), 2 * n_chunk * size * ff_triangle_room_bytes(&k.t));
    for (int i = 0; i < n_chunk; i++)
        ff_triangle_push(&k.t, &k.chunks[i], k.rows, true);
    if (columns)
        make_columns(&k);
    else
        make_right(&k);
    all_chunks(&k);
    for (int i = 0; i < n_chunk; i++)
        ff_triangle_free(&k.chunks[i]);
    free(k.t.by_channel);
    ff_arena_release(ctx->arena, mark);
}

void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p)
{
    bool incoming = edges == FF_INCOMING, columns = incoming && ff_dap_size(ctx->dap) > 1 && ctx->second_operand;
    if (ctx->stream_bytes > 0) {
        ff_triangle_stream(ctx, w, incoming, p);
        return;
    }
    if (incoming && !columns)
        ff_pair_transpose(ctx, p);
    multiply(ctx, w, p, columns);
    if (incoming && !columns)
        ff_pair_transpose(ctx, p);
}
