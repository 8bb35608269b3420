/* SPDX-License-Identifier: Apache-2.0
 * triangle: see triangle.h.
 *
 * The contraction treats every channel by itself, so ranks contract whole matrices of their channels: operands go from
 * rows of this rank to channels of this rank, products the other way. The right operand is made from all rows first
 * (in the spare buffer), then rows of the left operand, which depend on those rows only, are made, contracted and added
 * a chunk at a time, in place.
 *
 * Several ranks work on two chunks in turn, so that one is under way while the other is computed. One rank has all
 * channels and nothing to send.
 */
#include "model/triangle.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/triangle_stream.h"

/* Rows [at, at + rows) of every rank's part of the pair. */
struct chunk {
    int64_t at, n;                   /* n: this rank's rows */
    struct ff_tensor left;           /* [c_i, n, N] */
    struct ff_tensor product;        /* [c_i, n, N] */
    struct ff_tensor *theirs;        /* [rank]: left rows of that rank [own channels, rows, N]; own: a part of left */
    struct ff_tensor *for_them;      /* [rank]: their products; own: a part of product */
    struct ff_arena arena;           /* its memory */
    struct ff_context ctx;           /* that pushes there */
    int64_t ticket;
};

struct work {
    const struct ff_context *ctx;
    const struct ff_triangle_weights *w;
    struct ff_tensor z;              /* [I, N, c_z] */
    struct ff_tensor mask;           /* [I, N] */
    struct ff_tensor right;          /* [own channels, N, N] */
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

static void project(const struct work *k, struct ff_tensor out, const struct ff_linear_weights *value,
                    const struct ff_linear_weights *gate, int64_t at)
{
    int64_t n = out.shape[1];
    if (n > 0)
        FF_OP(k->ctx->be, triangle_project, .out = out, .z = ff_tensor_slice(k->z, 0, at, n),
              .mask = ff_tensor_slice(k->mask, 0, at, n), .norm = k->w->layer_norm_input, .w = value->w, .b = value->b,
              .gate_w = gate->w, .gate_b = gate->b);
}

/* Room for one block per other rank, and this rank's part of `own` beside them. */
static void push_blocks(const struct work *k, const struct chunk *u, struct ff_tensor own, struct ff_tensor *blocks)
{
    int rank = ff_dap_rank(k->ctx->dap);
    int64_t c = ff_context_part(k->ctx, k->c_i);
    for (int r = 0; r < size_of(k); r++)
        blocks[r] = r == rank ? channels(k, own, r)
                              : ff_pair_push(&u->ctx, k->z.dtype, c, rows_of(k, u->at, r), k->n_res);
}

/* Makes rows of the left or right operand and sends their channels away. */
static void prepare(struct work *k, struct chunk *u, int64_t at, const struct ff_linear_weights *value,
                    const struct ff_linear_weights *gate)
{
    u->at = at;
    u->n = rows_of(k, at, ff_dap_rank(k->ctx->dap));
    ff_arena_release(&u->arena, 0);
    u->left = ff_pair_push(&u->ctx, k->z.dtype, k->c_i, u->n, k->n_res);
    push_blocks(k, u, u->left, u->theirs);
    project(k, u->left, value, gate, u->n > 0 ? at : 0);
    for (int r = 0; r < size_of(k); r++)
        k->by_channel[r] = channels(k, u->left, r);
    u->ticket = ff_dap_swap(k->ctx->dap, k->by_channel, u->theirs);
}

static void prepare_left(struct work *k, struct chunk *u, int64_t at)
{
    if (at < ff_dap_count(k->ctx->dap, k->n_res, 0))
        prepare(k, u, at, &k->w->left_projection, &k->w->left_gate);
    else
        u->at = at;
}

/* Products of this rank's channels, sent to the ranks of the rows. */
static void contract(struct work *k, struct chunk *u)
{
    if (u->at >= ff_dap_count(k->ctx->dap, k->n_res, 0))
        return;
    u->product = ff_pair_push(&u->ctx, k->z.dtype, k->c_i, u->n, k->n_res);
    push_blocks(k, u, u->product, u->for_them);
    ff_dap_wait(k->ctx->dap, u->ticket);
    for (int r = 0; r < size_of(k); r++)
        if (ff_tensor_count(&u->theirs[r]) > 0)
            FF_OP(k->ctx->be, triangle_contract, .out = u->for_them[r], .a = u->theirs[r], .b = k->right);
    for (int r = 0; r < size_of(k); r++)
        k->by_channel[r] = channels(k, u->product, r);
    u->ticket = ff_dap_swap(k->ctx->dap, u->for_them, k->by_channel);
}

static void finish(struct work *k, struct chunk *u)
{
    if (u->at >= ff_dap_count(k->ctx->dap, k->n_res, 0))
        return;
    ff_dap_wait(k->ctx->dap, u->ticket);
    if (u->n > 0)
        FF_OP(k->ctx->be, triangle_output, .out = ff_tensor_slice(k->z, 0, u->at, u->n), .x = u->product,
              .center_norm = k->w->center_layer_norm, .o_w = k->w->output_projection.w,
              .o_b = k->w->output_projection.b, .norm = k->w->layer_norm_input, .gate_w = k->w->gating_linear.w,
              .gate_b = k->w->gating_linear.b);
}

/* Right rows of all ranks from a chunk to their place. */
static void place_right(struct work *k, struct chunk *u)
{
    ff_dap_wait(k->ctx->dap, u->ticket);
    for (int r = 0; r < size_of(k); r++) {
        struct ff_tensor from = u->theirs[r];
        int64_t row = ff_dap_from(k->ctx->dap, k->n_res, r) + u->at;
        if (ff_tensor_count(&from) > 0)
            FF_OP(k->ctx->be, copy, .out = ff_tensor_slice(k->right, 1, row, from.shape[1]), .x = from);
    }
}

static void make_right(struct work *k)
{
    const struct ff_linear_weights *value = &k->w->right_projection, *gate = &k->w->right_gate;
    if (size_of(k) == 1) {
        project(k, k->right, value, gate, 0);
        return;
    }
    int64_t most = ff_dap_count(k->ctx->dap, k->n_res, 0);
    prepare(k, &k->chunks[0], 0, value, gate);
    for (int64_t i = 0, at = 0; at < most; i++, at += k->rows) {
        if (at + k->rows < most)
            prepare(k, &k->chunks[(i + 1) % 2], at + k->rows, value, gate);
        place_right(k, &k->chunks[i % 2]);
    }
}

/* Two chunks on several ranks: while one's operands or products travel, the other is worked on. */
static void all_chunks(struct work *k)
{
    int n = size_of(k) > 1 ? 2 : 1;
    for (int i = 0; i < n; i++)
        prepare_left(k, &k->chunks[i], i * k->rows);
    for (int64_t at = 0; at < ff_dap_count(k->ctx->dap, k->n_res, 0); at += n * k->rows) {
        for (int i = 0; i < n; i++)
            contract(k, &k->chunks[i]);
        for (int i = 0; i < n; i++) {
            finish(k, &k->chunks[i]);
            prepare_left(k, &k->chunks[i], at + (n + i) * k->rows);
        }
    }
}

/* Bytes of a chunk of one row of every rank. */
static int64_t chunk_row_bytes(const struct work *k)
{
    int size = size_of(k);
    int64_t others = (size - 1) * ff_dap_count(k->ctx->dap, k->c_i, 0);
    return 2 * (k->c_i + others) * (k->n_res + 7) * (int64_t)ff_dtype_size(k->z.dtype);
}

static void push_chunk(struct work *k, struct chunk *u)
{
    int size = size_of(k);
    int64_t bytes = k->rows * chunk_row_bytes(k) + (2 * size + 2) * FF_ARENA_ALIGN;
    ff_arena_init(&u->arena, FF_PUSH(k->ctx, FF_U8, bytes).data, (size_t)bytes);
    u->ctx = *k->ctx;
    u->ctx.arena = &u->arena;
    u->theirs = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    u->for_them = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
}

static void free_chunk(struct chunk *u)
{
    free(u->theirs);
    free(u->for_them);
}

/* z += triangle multiplication with outgoing edges, the right operand beside the pair. */
static void multiply(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_pair *p)
{
    size_t mark = ff_arena_mark(ctx->arena);
    int size = ff_dap_size(ctx->dap), n_chunk = size > 1 ? 2 : 1;
    struct work k = {.ctx = ctx, .w = w, .z = p->z, .mask = ff_pair_mask_rows(ctx, p), .n_res = p->n_res,
                     .c_i = w->left_projection.w.shape[1],
                     .by_channel = FF_NEW_ARRAY(struct ff_tensor, (size_t)size)};
    k.right = ff_pair_scratch(ctx, p, ff_context_part(ctx, k.c_i), p->n_res);
    k.rows = ff_context_rows(ctx, ff_dap_count(ctx->dap, p->n_res, 0), n_chunk * chunk_row_bytes(&k));
    for (int i = 0; i < n_chunk; i++)
        push_chunk(&k, &k.chunks[i]);
    make_right(&k);
    all_chunks(&k);
    for (int i = 0; i < n_chunk; i++)
        free_chunk(&k.chunks[i]);
    free(k.by_channel);
    ff_arena_release(ctx->arena, mark);
}

/* Incoming edges are outgoing edges of the transposed pair: with left and right named as in the parameters,
 * z[i, j] += sum_k left[k, j] right[k, i] reads, for t = z transposed, t[j, i] += sum_k left'[j, k] right'[i, k]. */
void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p)
{
    if (edges == FF_INCOMING)
        ff_pair_transpose(ctx, p);
    if (ctx->left_bytes > 0)
        ff_triangle_stream(ctx, w, p);
    else
        multiply(ctx, w, p);
    if (edges == FF_INCOMING)
        ff_pair_transpose(ctx, p);
}
