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
#include "model/triangle_stream.h"

/* Rows [at, at + rows) of every rank's part of the pair. */
struct chunk {
    int64_t at, n;                   /* n: this rank's rows */
    void *whole;                     /* left [c_i, n, N]; on several ranks the product too */
    void **rooms;                    /* [rank]: of own channels, c_i / ranks of a whole */
    struct ff_tensor *theirs;        /* [rank]: what comes of its left rows, of own channels; own: a part of left */
    struct ff_tensor *for_them;      /* [rank]: products of its rows, of own channels */
    int64_t ticket;
};

struct work {
    const struct ff_context *ctx;
    const struct ff_triangle_weights *w;
    struct ff_tensor z;              /* [I, N, c_z] */
    struct ff_tensor mask;           /* [I, N] */
    struct ff_tensor right;          /* [own channels, N, N] */
    struct ff_tensor columns;        /* [c_i, N, I]: this rank's columns of the left operand; absent: rows are made */
    int64_t c_i, n_res, rows;        /* rows of a chunk */
    struct ff_tensor *by_channel;    /* [rank]: parts of left or product */
    struct chunk chunks[2];
};

static int size_of(const struct work *k)
{
    return ff_dap_size(k->ctx->dap);
}

/* Channels of rank r of [c_i, .., ..]. */
static struct ff_tensor channels(const struct work *k, struct ff_tensor t, int r)
{
    return ff_tensor_slice(t, 0, ff_dap_from(k->ctx->dap, k->c_i, r), ff_dap_count(k->ctx->dap, k->c_i, r));
}

static int64_t rows_of(const struct work *k, int64_t at, int r)
{
    return ff_dap_piece(k->ctx->dap, k->n_res, r, at, k->rows);
}

static int64_t most_rows(const struct work *k)
{
    return ff_dap_count(k->ctx->dap, k->n_res, 0);
}

static bool by_columns(const struct work *k)
{
    return ff_tensor_present(&k->columns);
}

static struct ff_tensor in(const struct work *k, void *memory, int64_t c, int64_t rows, int64_t n)
{
    return ff_pair_in(memory, k->z.dtype, c, rows, n);
}

static void copy(const struct work *k, struct ff_tensor out, struct ff_tensor x)
{
    if (ff_tensor_count(&x) > 0)
        FF_OP(k->ctx->be, copy, .out = out, .x = x);
}

/* out = an operand's rows from at on. */
static void project(const struct work *k, struct ff_tensor out, const struct ff_linear_weights *value,
                    const struct ff_linear_weights *gate, struct ff_tensor z, struct ff_tensor mask, int64_t at)
{
    int64_t n = out.shape[1];
    if (ff_tensor_count(&out) > 0)
        FF_OP(k->ctx->be, triangle_project, .out = out, .z = ff_tensor_slice(z, 0, at, n),
              .mask = ff_tensor_slice(mask, 0, at, n), .norm = k->w->layer_norm_input, .w = value->w, .b = value->b,
              .gate_w = gate->w, .gate_b = gate->b);
}

/* Sends the channels of `left` away. Of rank r comes a block [own channels, .., ..]: its rows, or its columns. */
static void send_channels(struct work *k, struct chunk *u, struct ff_tensor left)
{
    int rank = ff_dap_rank(k->ctx->dap);
    int64_t c = ff_context_part(k->ctx, k->c_i);
    for (int r = 0; r < size_of(k); r++) {
        k->by_channel[r] = channels(k, left, r);
        if (r == rank)
            u->theirs[r] = k->by_channel[r];
        else if (by_columns(k))
            u->theirs[r] = in(k, u->rooms[r], c, left.shape[1], ff_dap_count(k->ctx->dap, k->n_res, r));
        else
            u->theirs[r] = in(k, u->rooms[r], c, rows_of(k, u->at, r), k->n_res);
    }
    u->ticket = ff_dap_swap(k->ctx->dap, k->by_channel, u->theirs);
}

/* Makes rows of the left or right operand and sends their channels away. */
static void prepare_rows(struct work *k, struct chunk *u, int64_t at, const struct ff_linear_weights *value,
                         const struct ff_linear_weights *gate)
{
    u->at = at;
    u->n = rows_of(k, at, ff_dap_rank(k->ctx->dap));
    struct ff_tensor left = in(k, u->whole, k->c_i, u->n, k->n_res);
    project(k, left, value, gate, k->z, k->mask, at);
    send_channels(k, u, left);
}

/* --- rows that come together from columns ------------------------------------------------------------------------- */

/* This rank's columns of the left rows of a chunk, all ranks' rows one behind the other. */
static void prepare_columns(struct work *k, struct chunk *u, int64_t at)
{
    u->at = at;
    u->n = rows_of(k, at, ff_dap_rank(k->ctx->dap));
    int64_t rows = 0, own = k->z.shape[0];
    for (int r = 0; r < size_of(k); r++)
        rows += rows_of(k, at, r);
    struct ff_tensor left = in(k, u->whole, k->c_i, rows, own);
    for (int r = 0, to = 0; r < size_of(k); to += (int)rows_of(k, at, r), r++) {
        int64_t n = rows_of(k, at, r), from = n > 0 ? ff_dap_from(k->ctx->dap, k->n_res, r) + at : 0;
        copy(k, ff_tensor_slice(left, 1, to, n), ff_tensor_slice(k->columns, 1, from, n));
    }
    send_channels(k, u, left);
}

/* Blocks of columns to their place in rows [own channels, .., N]. */
static void place_columns(const struct work *k, const struct ff_tensor *blocks, struct ff_tensor rows)
{
    for (int r = 0; r < size_of(k); r++)
        copy(k, ff_tensor_slice(rows, 2, ff_dap_from(k->ctx->dap, k->n_res, r), blocks[r].shape[2]), blocks[r]);
}

/* The chunk's rows take the place of what was sent; theirs[r] are then a part of them. */
static void assemble(struct work *k, struct chunk *u)
{
    int rank = ff_dap_rank(k->ctx->dap);
    struct ff_tensor own = u->theirs[rank];
    u->theirs[rank] = in(k, u->rooms[rank], own.shape[0], own.shape[1], own.shape[2]);
    copy(k, u->theirs[rank], own);
    struct ff_tensor all = in(k, u->whole, own.shape[0], own.shape[1], k->n_res);
    place_columns(k, u->theirs, all);
    for (int64_t r = 0, at = 0; r < size_of(k); at += rows_of(k, u->at, (int)r), r++)
        u->theirs[r] = ff_tensor_slice(all, 1, at, rows_of(k, u->at, (int)r));
}

/* The right operand, some rows at a time: every rank makes its columns of them, of its rows of the pair. */
static void prepare_right_columns(struct work *k, struct chunk *u, int64_t at, int64_t rows)
{
    u->at = at;
    int64_t n = k->n_res - at < rows ? k->n_res - at : rows;
    struct ff_tensor out = in(k, u->whole, k->c_i, n, k->z.shape[0]);
    project(k, out, &k->w->left_projection, &k->w->left_gate, ff_tensor_transpose(k->z, 0, 1),
            ff_tensor_transpose(k->mask, 0, 1), at);
    send_channels(k, u, out);
}

static void make_columns(struct work *k)
{
    project(k, k->columns, &k->w->right_projection, &k->w->right_gate, ff_tensor_transpose(k->z, 0, 1),
            ff_tensor_transpose(k->mask, 0, 1), 0);
    int64_t rows = k->rows * size_of(k);
    prepare_right_columns(k, &k->chunks[0], 0, rows);
    for (int64_t i = 0, at = 0; at < k->n_res; i++, at += rows) {
        struct chunk *u = &k->chunks[i % 2];
        if (at + rows < k->n_res)
            prepare_right_columns(k, &k->chunks[(i + 1) % 2], at + rows, rows);
        ff_dap_wait(k->ctx->dap, u->ticket);
        place_columns(k, u->theirs, ff_tensor_slice(k->right, 1, at, u->theirs[0].shape[1]));
    }
}

/* --- chunks ------------------------------------------------------------------------------------------------------- */

static void prepare_left(struct work *k, struct chunk *u, int64_t at)
{
    u->at = at;
    if (at >= most_rows(k))
        return;
    if (by_columns(k))
        prepare_columns(k, u, at);
    else
        prepare_rows(k, u, at, &k->w->left_projection, &k->w->left_gate);
}

/* Products of this rank's channels, sent to the ranks of the rows. Without columns each product is made in the room
 * that the rows before it came to; this rank's own go to their place at once, so that theirs is free too. */
static void contract(struct work *k, struct chunk *u)
{
    if (u->at >= most_rows(k))
        return;
    int rank = ff_dap_rank(k->ctx->dap), size = size_of(k);
    struct ff_tensor product = in(k, u->whole, k->c_i, u->n, k->n_res);
    ff_dap_wait(k->ctx->dap, u->ticket);
    if (by_columns(k))
        assemble(k, u);
    void *room = u->rooms[rank];
    for (int i = 0; i < size; i++) {
        int r = (rank + i) % size;
        struct ff_tensor a = u->theirs[r];
        u->for_them[r] = in(k, by_columns(k) ? u->rooms[r] : room, a.shape[0], a.shape[1], k->n_res);
        if (ff_tensor_count(&a) > 0)
            FF_OP(k->ctx->be, triangle_contract, .out = u->for_them[r], .a = a, .b = k->right);
        if (i > 0)
            room = u->rooms[r];
        else if (size > 1 && !by_columns(k))
            copy(k, channels(k, product, rank), u->for_them[rank]);
    }
    if (by_columns(k)) /* the rows are all read */
        copy(k, channels(k, product, rank), u->for_them[rank]);
    for (int r = 0; r < size; r++)
        k->by_channel[r] = channels(k, product, r);
    u->ticket = ff_dap_swap(k->ctx->dap, u->for_them, k->by_channel);
}

static void finish(struct work *k, struct chunk *u)
{
    if (u->at >= most_rows(k))
        return;
    ff_dap_wait(k->ctx->dap, u->ticket);
    struct ff_tensor x = size_of(k) > 1 ? in(k, u->whole, k->c_i, u->n, k->n_res) : u->for_them[0];
    if (u->n > 0)
        FF_OP(k->ctx->be, triangle_output, .out = ff_tensor_slice(k->z, 0, u->at, u->n), .x = x,
              .center_norm = k->w->center_layer_norm, .o_w = k->w->output_projection.w,
              .o_b = k->w->output_projection.b, .norm = k->w->layer_norm_input, .gate_w = k->w->gating_linear.w,
              .gate_b = k->w->gating_linear.b);
}

/* Right rows of all ranks from a chunk to their place. */
static void place_right(struct work *k, struct chunk *u)
{
    ff_dap_wait(k->ctx->dap, u->ticket);
    for (int r = 0; r < size_of(k); r++) {
        int64_t n = u->theirs[r].shape[1], row = n > 0 ? ff_dap_from(k->ctx->dap, k->n_res, r) + u->at : 0;
        copy(k, ff_tensor_slice(k->right, 1, row, n), u->theirs[r]);
    }
}

static void make_right(struct work *k)
{
    const struct ff_linear_weights *value = &k->w->right_projection, *gate = &k->w->right_gate;
    if (size_of(k) == 1) {
        project(k, k->right, value, gate, k->z, k->mask, 0);
        return;
    }
    prepare_rows(k, &k->chunks[0], 0, value, gate);
    for (int64_t i = 0, at = 0; at < most_rows(k); i++, at += k->rows) {
        if (at + k->rows < most_rows(k))
            prepare_rows(k, &k->chunks[(i + 1) % 2], at + k->rows, value, gate);
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

/* Bytes of a chunk of one row of every rank: a room per rank, and as much for the whole. */
static int64_t room_row_bytes(const struct work *k)
{
    int64_t wide = ff_pair_padded(k->n_res), columns = size_of(k) * ff_pair_padded(most_rows(k));
    return ff_dap_count(k->ctx->dap, k->c_i, 0) * (by_columns(k) && columns > wide ? columns : wide) *
           (int64_t)ff_dtype_size(k->z.dtype);
}

static void push_chunk(struct work *k, struct chunk *u)
{
    int size = size_of(k);
    u->whole = FF_PUSH(k->ctx, FF_U8, k->rows * size * room_row_bytes(k)).data;
    u->rooms = FF_NEW_ARRAY(void *, (size_t)size);
    u->theirs = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    u->for_them = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    for (int r = 0; r < size; r++)
        u->rooms[r] = FF_PUSH(k->ctx, FF_U8, k->rows * room_row_bytes(k)).data;
}

static void free_chunk(struct chunk *u)
{
    free(u->rooms);
    free(u->theirs);
    free(u->for_them);
}

/* z += triangle multiplication with outgoing edges; by columns: with incoming edges. */
static void multiply(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_pair *p, bool columns)
{
    int size = ff_dap_size(ctx->dap), n_chunk = size > 1 ? 2 : 1;
    size_t mark = ff_arena_mark(ctx->arena);
    struct work k = {.ctx = ctx, .w = w, .z = p->z, .mask = ff_pair_mask_rows(ctx, p), .n_res = p->n_res,
                     .c_i = w->left_projection.w.shape[1],
                     .by_channel = FF_NEW_ARRAY(struct ff_tensor, (size_t)size)};
    k.right = ff_pair_scratch(ctx, p, ff_context_part(ctx, k.c_i), p->n_res);
    if (columns)
        k.columns = ff_pair_push(ctx, k.z.dtype, k.c_i, k.n_res, k.z.shape[0]);
    struct ff_context wide = *ctx;
    wide.chunk_bytes = ctx->triangle_bytes > ctx->chunk_bytes ? ctx->triangle_bytes : ctx->chunk_bytes;
    k.rows = ff_context_rows(&wide, most_rows(&k), 2 * n_chunk * size * room_row_bytes(&k));
    for (int i = 0; i < n_chunk; i++)
        push_chunk(&k, &k.chunks[i]);
    if (columns)
        make_columns(&k);
    else
        make_right(&k);
    all_chunks(&k);
    for (int i = 0; i < n_chunk; i++)
        free_chunk(&k.chunks[i]);
    free(k.by_channel);
    ff_arena_release(ctx->arena, mark);
}

void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p)
{
    bool incoming = edges == FF_INCOMING, columns = incoming && ff_dap_size(ctx->dap) > 1 && ctx->second_operand;
    if (incoming && !columns)
        ff_pair_transpose(ctx, p);
    if (ctx->left_bytes > 0)
        ff_triangle_stream(ctx, w, p);
    else
        multiply(ctx, w, p, columns);
    if (incoming && !columns)
        ff_pair_transpose(ctx, p);
}
