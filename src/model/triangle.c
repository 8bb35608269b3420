/* SPDX-License-Identifier: Apache-2.0
 * triangle: see triangle.h.
 *
 * The contraction treats every channel by itself, so ranks contract whole matrices of their channels: operands go from
 * this rank's part of the pair to this rank's channels, products the other way. The right operand is made of the whole
 * part first, then rows of the left operand, which depend on those rows only, are made, contracted and added a chunk
 * at a time, in place.
 *
 * What stays on a rank is never copied: own channels of the operands are made where they are contracted, and those of
 * the products read from there. Others' channels of the operands are made in their ranks' memory, as far as that is in
 * reach. One rank has all channels and nothing to send. Several work on two chunks in turn, so that one is under way
 * while the other is computed.
 *
 * Incoming edges are outgoing edges of the transposed pair: with left and right named as in the parameters,
 * z[i, j] += sum_k left[k, j] right[k, i] reads, for t = z transposed, t[j, i] += sum_k left'[j, k] right'[i, k]. Of
 * that view ranks have all rows and a part of the columns k: a chunk has the same rows on all ranks, and what comes
 * together by channel are columns.
 */
#include "model/triangle.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/triangle_part.h"
#include "model/triangle_stream.h"

enum { MOST_PARTS = 2 };

/* Rows of the view, from at on. A chunk has one piece of memory, whose places are used again as soon as they can be:
 *
 *     0         lead      far
 *     | others  | left              |     the left operand is made, and comes together by channel
 *     | product           | ..      |     contracted `first` channels, for which there is room, before the others,
 *     |         |         | others  |     whose place were left channels of the first; then products come by rows
 *
 * Where it lies by rows a tensor has the others' channels alone: own ones are in left and product, by channel. */
struct chunk {
    int64_t at;
    char *memory;
    struct ff_tensor left, product;  /* [own channels, rows of all ranks, N] */
    int64_t ticket;                  /* of the last that leaves from the memory or comes to it; below 0: nothing yet */
    int64_t come[MOST_PARTS];        /* of the parts of its products */
};

struct work {
    struct ff_triangle t;            /* z is the view: [I, N, c_z], or [N, I, c_z] for incoming edges */
    bool transposed;
    struct ff_tensor right;          /* [own channels, N, N] */
    int64_t rows, right_rows;        /* that each rank contributes to a chunk, to a piece of the right operand */
    int64_t first, lead, far;        /* see above: channels, bytes from the memory's beginning */
    struct ff_tensor *by_rank[2];    /* [rank]: blocks as they leave and come */
    struct chunk chunks[2];
    int n_chunk;
    int n_part;                      /* in which products are sent */
};

static int size_of(const struct work *k)
{
    return ff_triangle_ranks(&k->t);
}

/* Rows from one chunk to the next: they are counted in the view of this rank. */
static int64_t step(const struct work *k)
{
    return k->transposed ? k->rows * size_of(k) : k->rows;
}

/* Where all ranks' chunks have come to an end. */
static int64_t end(const struct work *k)
{
    return k->transposed ? k->t.n_res : ff_dap_count(k->t.ctx->dap, k->t.n_res, 0);
}

/* Rows of the view of rank r that are in the chunk from at on. */
static int64_t rows_of(const struct work *k, int64_t at, int r)
{
    int64_t left = k->t.n_res - at;
    if (!k->transposed)
        return ff_dap_piece(k->t.ctx->dap, k->t.n_res, r, at, k->rows);
    return left < step(k) ? left : step(k);
}

static int64_t own_rows(const struct work *k, int64_t at)
{
    return rows_of(k, at, ff_dap_rank(k->t.ctx->dap));
}

static int64_t all_rows(const struct work *k, int64_t at)
{
    int64_t n = 0;
    for (int r = 0; r < size_of(k) && !k->transposed; r++)
        n += rows_of(k, at, r);
    return k->transposed ? own_rows(k, at) : n;
}

/* What rank r has made of a chunk's rows by channel. whole: of a tensor of all rows, not of the chunk's alone. */
static struct ff_tensor block_of(const struct work *k, struct ff_tensor t, int64_t at, int r, bool whole)
{
    const struct ff_dap *d = k->t.ctx->dap;
    int64_t n = rows_of(k, at, r), from = whole ? at : 0;
    if (k->transposed)
        return ff_dap_part_of(d, ff_tensor_slice(t, 1, from, n), 2, r);
    if (whole)
        from += ff_dap_from(d, k->t.n_res, r);
    for (int q = 0; q < r && !whole; q++)
        from += rows_of(k, at, q);
    return ff_tensor_slice(t, 1, n > 0 ? from : 0, n);
}

/* Channels of rank r of a tensor that has those of all ranks but this one. */
static struct ff_tensor others_of(const struct work *k, struct ff_tensor by_row, int r)
{
    const struct ff_dap *d = k->t.ctx->dap;
    int64_t own = ff_context_part(k->t.ctx, k->t.c_i), from = ff_dap_from(d, k->t.c_i, r);
    return ff_tensor_slice(by_row, 0, r < ff_dap_rank(d) ? from : from - own, ff_dap_count(d, k->t.c_i, r));
}

/* Blocks of rows with the others' channels, and of all rows by channel, where this rank's own is in both lists. */
static struct ff_tensor set_blocks(struct work *k, struct ff_tensor by_row, struct ff_tensor by_channel, int64_t at,
                                   bool whole)
{
    int rank = ff_dap_rank(k->t.ctx->dap);
    for (int r = 0; r < size_of(k); r++) {
        k->by_rank[1][r] = block_of(k, by_channel, at, r, whole);
        if (r != rank)
            k->by_rank[0][r] = others_of(k, by_row, r);
    }
    return k->by_rank[0][rank] = k->by_rank[1][rank];
}

/* While planning there is no memory. */
static void *in_memory(const struct chunk *u, int64_t bytes)
{
    return u->memory != NULL ? u->memory + bytes : NULL;
}

static struct ff_tensor others_in(const struct work *k, void *memory, int64_t at)
{
    int64_t others = k->t.c_i - ff_context_part(k->t.ctx, k->t.c_i);
    return ff_triangle_in(&k->t, memory, others, own_rows(k, at), k->t.z.shape[1]);
}

static struct ff_tensor all_in(const struct work *k, void *memory, int64_t at)
{
    return ff_triangle_in(&k->t, memory, ff_context_part(k->t.ctx, k->t.c_i), all_rows(k, at), k->t.n_res);
}

/* Makes rows of an operand and sends them; they come together in by_channel when the ticket is waited for: soon, when
 * they are of the right operand, all of which the first products need, or the first left ones. */
static int64_t project(struct work *k, struct chunk *u, const struct ff_linear_weights *value,
                       const struct ff_linear_weights *gate, struct ff_tensor by_channel, int64_t at, bool whole)
{
    const struct ff_dap *d = k->t.ctx->dap;
    const bool beside = !whole && at > 0;
    struct ff_tensor rows = others_in(k, u->memory, at), own = set_blocks(k, rows, by_channel, at, whole);
    if (size_of(k) <= FF_TRIANGLE_PLACES && ff_dap_reach(d, beside, k->by_rank[0], k->by_rank[1])) {
        ff_triangle_project_to(&k->t, k->by_rank[0], value, gate, at);
        return ff_dap_reached(d, k->by_rank[0]);
    }
    ff_triangle_project(&k->t, rows, &own, value, gate, k->t.z, k->t.mask, at);
    return ff_dap_swap_beside(d, beside, k->by_rank[0], k->by_rank[1]);
}

/* All of the right operand, in as few pieces as the memory of a chunk allows. They leave from the chunks in turn, the
 * last one from the last: left rows of the first chunk need not wait until all are sent. */
static void make_right(struct work *k)
{
    struct work all = *k;
    all.rows = k->right_rows;
    int64_t n = (end(&all) + step(&all) - 1) / step(&all);
    for (int64_t i = k->n_chunk - n % k->n_chunk, at = 0; at < end(&all); i++, at += step(&all)) {
        struct chunk *u = &k->chunks[i % k->n_chunk];
        ff_dap_wait(k->t.ctx->dap, u->ticket);
        u->ticket = project(&all, u, &k->t.w->right_projection, &k->t.w->right_gate, k->right, at, true);
    }
}

static void prepare_left(struct work *k, struct chunk *u, int64_t at)
{
    u->at = at;
    if (at >= end(k))
        return;
    ff_dap_wait(k->t.ctx->dap, u->ticket);
    u->left = all_in(k, in_memory(u, k->lead), at);
    u->ticket = project(k, u, &k->t.w->left_projection, &k->t.w->left_gate, u->left, at, false);
}

static void contract_channels(struct work *k, struct chunk *u, int64_t from, int64_t count)
{
    struct ff_tensor product = ff_tensor_slice(u->product, 0, from, count);
    if (ff_tensor_count(&product) > 0)
        FF_OP(k->t.ctx->be, triangle_contract, .out = product, .a = ff_tensor_slice(u->left, 0, from, count),
              .b = ff_tensor_slice(k->right, 0, from, count));
}

/* Of the rows that a rank has of a chunk. */
static struct ff_tensor part_of(const struct work *k, struct ff_tensor t, int axis, int part)
{
    int64_t n = t.shape[axis], from = n * part / k->n_part;
    return ff_tensor_slice(t, axis, from, n * (part + 1) / k->n_part - from);
}

/* Sends products to the ranks of the rows. Little is computed beside the last ones. */
static void send_products(struct work *k, struct chunk *u)
{
    for (int p = 0; p < k->n_part; p++) {
        set_blocks(k, others_in(k, in_memory(u, k->far), u->at), u->product, u->at, false);
        for (int r = 0; r < size_of(k); r++)
            for (int i = 0; i < 2; i++)
                k->by_rank[i][r] = part_of(k, k->by_rank[i][r], 1, p);
        u->come[p] = u->ticket =
            ff_dap_swap_beside(k->t.ctx->dap, u->at + step(k) < end(k), k->by_rank[1], k->by_rank[0]);
    }
}

/* Products of this rank's channels. */
static void contract(struct work *k, struct chunk *u)
{
    if (u->at >= end(k))
        return;
    ff_dap_wait(k->t.ctx->dap, u->ticket);
    u->product = all_in(k, u->memory, u->at);
    contract_channels(k, u, 0, k->first);
    contract_channels(k, u, k->first, u->product.shape[0] - k->first);
    send_products(k, u);
}

static void finish(struct work *k, struct chunk *u)
{
    if (u->at >= end(k))
        return;
    struct ff_tensor rows = others_in(k, in_memory(u, k->far), u->at);
    struct ff_tensor own = block_of(k, u->product, u->at, ff_dap_rank(k->t.ctx->dap), false);
    struct ff_tensor z = ff_tensor_slice(k->t.z, 0, u->at, rows.shape[1]);
    for (int p = 0; p < k->n_part; p++) {
        struct ff_tensor own_part = part_of(k, own, 1, p);
        ff_dap_wait(k->t.ctx->dap, u->come[p]);
        ff_triangle_output(&k->t, part_of(k, z, 0, p), part_of(k, rows, 1, p), &own_part);
    }
}

/* Two chunks on several ranks: while one's operands or products travel, the other is worked on. Many ranks make
 * products sooner than these come, and begin with half of them. */
static void all_chunks(struct work *k)
{
    for (int i = 0; i < k->n_chunk; i++)
        prepare_left(k, &k->chunks[i], i * step(k));
    for (int64_t at = 0; at < end(k); at += k->n_chunk * step(k)) {
        for (int i = 0; i < k->n_chunk; i++)
            contract(k, &k->chunks[i]);
        for (int i = 0; i < k->n_chunk; i++) {
            finish(k, &k->chunks[i]);
            prepare_left(k, &k->chunks[i], at + (k->n_chunk + i) * step(k));
        }
    }
}

/* Numbers of one row of every rank, of all ranks the most, for all must come to the same rows: of the others' channels,
 * and of a chunk's memory, whose lead and far are for rows alone. */
static int64_t others_numbers(const struct work *k)
{
    const struct ff_dap *d = k->t.ctx->dap;
    int64_t size = size_of(k), n = k->t.n_res;
    int64_t row = k->transposed ? size * ff_pair_padded(ff_dap_count(d, n, 0)) : ff_pair_padded(n);
    return (k->t.c_i - ff_dap_count(d, k->t.c_i, (int)size - 1)) * row;
}

static int64_t row_numbers(const struct work *k, int64_t *ret_lead, int64_t *ret_far)
{
    int64_t size = size_of(k), own = ff_dap_count(k->t.ctx->dap, k->t.c_i, 0), others = others_numbers(k);
    int64_t plane = size * ff_pair_padded(k->t.n_res), first = (size > 1 ? (own + 1) / 2 : own) * plane;
    *ret_lead = first > others ? first : others;
    *ret_far = own * plane > *ret_lead ? own * plane : *ret_lead;
    return *ret_lead + *ret_far;
}

/* The products of a chunk are made FF_TRIANGLE_ROWS rows at a time: of all ranks' rows together it has a multiple,
 * where there are several. Of bf16 the library has products of any number of rows, and chunks of the same size are
 * better than a small last one. */
static int64_t chunk_rows(const struct work *k, int64_t row_bytes)
{
    int64_t size = size_of(k), most = ff_dap_count(k->t.ctx->dap, k->t.n_res, 0);
    struct ff_context wide = *k->t.ctx;
    wide.chunk_bytes = k->t.ctx->triangle_bytes > wide.chunk_bytes ? k->t.ctx->triangle_bytes : wide.chunk_bytes;
    int64_t rows = ff_context_rows(&wide, most, k->n_chunk * row_bytes);
    int64_t wanted = (rows * size + FF_TRIANGLE_ROWS - 1) / FF_TRIANGLE_ROWS * FF_TRIANGLE_ROWS / size;
    int64_t limit = wide.chunk_bytes / (k->n_chunk * row_bytes) * size / FF_TRIANGLE_ROWS * FF_TRIANGLE_ROWS / size;
    if (rows < most && limit > 0)
        rows = wanted < limit ? wanted : limit;
    int64_t n = (most + rows - 1) / rows;
    return k->t.z.dtype == FF_BF16 ? (most + n - 1) / n : rows;
}

/* Rows whose others' channels fit in a chunk's memory, evened out over the pieces. */
static int64_t right_rows(const struct work *k, int64_t chunk_numbers)
{
    int64_t most = ff_dap_count(k->t.ctx->dap, k->t.n_res, 0), others = others_numbers(k);
    int64_t fit = others > 0 && chunk_numbers / others < most ? chunk_numbers / others : most;
    int64_t n = (most + fit - 1) / fit;
    return (most + n - 1) / n;
}

static void push_chunks(struct work *k)
{
    int64_t item = (int64_t)ff_dtype_size(k->t.z.dtype), lead, far, all = row_numbers(k, &lead, &far);
    int64_t plane = size_of(k) * ff_pair_padded(k->t.n_res), own = ff_context_part(k->t.ctx, k->t.c_i);
    k->rows = chunk_rows(k, all * item);
    k->right_rows = right_rows(k, k->rows * all);
    k->first = lead / plane < own ? lead / plane : own;
    k->lead = k->rows * lead * item;
    k->far = k->rows * far * item;
    for (int i = 0; i < k->n_chunk; i++)
        k->chunks[i] = (struct chunk){.memory = FF_PUSH(k->t.ctx, FF_U8, k->rows * all * item).data,
                                      .ticket = -1};
}

/* z += triangle multiplication with outgoing edges of the view. */
static void multiply(const struct ff_context *ctx, const struct ff_triangle_weights *w, const struct ff_pair *p)
{
    int size = ff_dap_size(ctx->dap);
    size_t mark = ff_arena_mark(ctx->arena);
    struct work k = {.t = ff_triangle_make(ctx, w, p, false), .transposed = p->transposed,
                     .n_chunk = size > 1 ? 2 : 1,
                     .n_part = size >= FF_TRIANGLE_MANY_RANKS ? MOST_PARTS : 1};
    k.by_rank[0] = k.t.by_channel;
    k.by_rank[1] = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    k.right = ff_pair_push(ctx, k.t.z.dtype, ff_context_part(ctx, k.t.c_i), k.t.n_res, k.t.n_res);
    push_chunks(&k);
    make_right(&k);
    all_chunks(&k);
    for (int i = 0; i < 2; i++)
        free(k.by_rank[i]);
    ff_arena_release(ctx->arena, mark);
}

void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p)
{
    bool incoming = edges == FF_INCOMING;
    if (ctx->stream_bytes > 0) {
        ff_triangle_stream(ctx, w, incoming, p);
        return;
    }
    if (incoming)
        ff_pair_transpose(p);
    multiply(ctx, w, p);
    if (incoming)
        ff_pair_transpose(p);
}
