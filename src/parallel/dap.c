/* SPDX-License-Identifier: Apache-2.0
 * dap: see dap.h.
 */
#include "parallel/dap.h"

#include <stdlib.h>

#include "base/alloc.h"

/* --- who has what ----------------------------------------------------------------------------------------------- */

int64_t ff_dap_from(const struct ff_dap *d, int64_t n, int rank)
{
    int64_t size = ff_dap_size(d), each = n / size, more = n % size;
    return rank * each + (rank < more ? rank : more);
}

int64_t ff_dap_count(const struct ff_dap *d, int64_t n, int rank)
{
    return ff_dap_from(d, n, rank + 1) - ff_dap_from(d, n, rank);
}

struct ff_tensor ff_dap_part(const struct ff_dap *d, struct ff_tensor whole, int axis)
{
    int64_t n = whole.shape[axis];
    return ff_tensor_slice(whole, axis, ff_dap_from(d, n, ff_dap_rank(d)), ff_dap_count(d, n, ff_dap_rank(d)));
}

/* --- blocks of the ranks ---------------------------------------------------------------------------------------- */

/* Sizes and places of one block per rank. */
struct blocks {
    size_t *bytes, *offset;
};

static struct blocks blocks_make(int size)
{
    return (struct blocks){.bytes = FF_NEW_ARRAY(size_t, (size_t)size), .offset = FF_NEW_ARRAY(size_t, (size_t)size)};
}

static void blocks_free(struct blocks *b)
{
    free(b->bytes);
    free(b->offset);
}

static void copy(const struct ff_dap *d, struct ff_tensor out, struct ff_tensor x)
{
    if (ff_tensor_count(&x) > 0)
        FF_OP(d->be, copy, .out = out, .x = x);
}

void ff_dap_wait(const struct ff_dap *d, int64_t ticket)
{
    if (ff_dap_size(d) > 1)
        d->comm->wait(d->comm, ticket);
}

/* Memory of a tensor whose rows may be padded. */
static size_t span(const struct ff_tensor *t)
{
    return ff_tensor_count(t) > 0 ? (size_t)(t->shape[0] * t->stride[0]) * ff_dtype_size(t->dtype) : 0;
}

/* Offsets from the lowest address, which is returned. */
static void *set_blocks(const struct ff_dap *d, const struct ff_tensor *tensors, struct blocks *b)
{
    int size = ff_dap_size(d), rank = ff_dap_rank(d);
    char *base = NULL;
    for (int r = 0; r < size; r++) {
        b->bytes[r] = r != rank ? span(&tensors[r]) : 0;
        char *at = tensors[r].data;
        base = b->bytes[r] > 0 && (base == NULL || at < base) ? at : base;
    }
    for (int r = 0; r < size; r++)
        b->offset[r] = b->bytes[r] > 0 ? (size_t)((char *)tensors[r].data - base) : 0;
    return base;
}

int64_t ff_dap_swap(const struct ff_dap *d, const struct ff_tensor *to, const struct ff_tensor *from)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return 0;
    struct blocks out = blocks_make(size), in = blocks_make(size);
    void *send = set_blocks(d, to, &out), *recv = set_blocks(d, from, &in);
    int64_t ticket = d->comm->all_to_all(d->comm, send, out.bytes, out.offset, recv, in.bytes, in.offset);
    blocks_free(&out);
    blocks_free(&in);
    return ticket;
}

/* --- gather ----------------------------------------------------------------------------------------------------- */

struct ff_dap_gathering ff_dap_gather_begin(const struct ff_dap *d, struct ff_tensor part, int axis,
                                            struct ff_tensor whole)
{
    int size = ff_dap_size(d);
    struct ff_dap_gathering g = {.whole = size == 1 ? part : whole, .recv = whole, .axis = axis};
    if (size == 1)
        return g;
    int64_t n = whole.shape[axis];
    struct ff_tensor send = part;
    if (!ff_tensor_contiguous(&part)) {
        send = ff_arena_push(d->arena, part.dtype, part.ndim, part.shape);
        copy(d, send, part);
    }
    if (axis != 0)
        g.recv = ff_arena_push(d->arena, part.dtype, part.ndim, whole.shape);
    struct blocks b = blocks_make(size);
    size_t per_index = ff_tensor_bytes(&whole) / (size_t)n;
    for (int r = 0; r < size; r++) {
        b.bytes[r] = per_index * (size_t)ff_dap_count(d, n, r);
        b.offset[r] = per_index * (size_t)ff_dap_from(d, n, r);
    }
    g.ticket = d->comm->all_gather(d->comm, send.data, g.recv.data, b.bytes, b.offset);
    blocks_free(&b);
    return g;
}

struct ff_tensor ff_dap_gather_end(const struct ff_dap *d, const struct ff_dap_gathering *g)
{
    int64_t n = g->whole.shape[g->axis];
    size_t per_index = ff_dap_size(d) > 1 ? ff_tensor_bytes(&g->whole) / (size_t)n : 0;
    ff_dap_wait(d, g->ticket);
    for (int r = 0; r < ff_dap_size(d) && g->recv.data != g->whole.data && ff_dap_size(d) > 1; r++) {
        int64_t from = ff_dap_from(d, n, r);
        struct ff_tensor to = ff_tensor_slice(g->whole, g->axis, from, ff_dap_count(d, n, r));
        copy(d, to, ff_tensor_make((char *)g->recv.data + per_index * (size_t)from, to.dtype, to.ndim, to.shape));
    }
    return g->whole;
}

struct ff_tensor ff_dap_gather(const struct ff_dap *d, struct ff_tensor part, int axis, int64_t n)
{
    if (ff_dap_size(d) == 1)
        return part;
    struct ff_tensor like = part;
    like.shape[axis] = n;
    struct ff_tensor whole = ff_arena_push(d->arena, part.dtype, part.ndim, like.shape);
    size_t mark = ff_arena_mark(d->arena);
    struct ff_dap_gathering g = ff_dap_gather_begin(d, part, axis, whole);
    ff_dap_gather_end(d, &g);
    ff_arena_release(d->arena, mark);
    return whole;
}

/* --- visits ----------------------------------------------------------------------------------------------------- */

int64_t ff_dap_piece(const struct ff_dap *d, int64_t n, int rank, int64_t at, int64_t most)
{
    int64_t left = ff_dap_count(d, n, rank) - at;
    return left < 0 ? 0 : left < most ? left : most;
}

/* Blocks for all ranks but this one, one behind the other from memory on: [count(r), extent(r), c], where piece rows
 * are counted for r and the extent for this rank, or the reverse. */
static void lay_blocks(const struct ff_dap_visit *v, int64_t k, bool theirs, void *memory, struct ff_tensor *blocks)
{
    const struct ff_dap *d = v->dap;
    int size = ff_dap_size(d), rank = ff_dap_rank(d);
    int64_t n_other = v->x.shape[1], at = k * v->rows;
    char *next = memory;
    for (int r = 0; r < size; r++) {
        int64_t shape[3] = {ff_dap_piece(d, n_other, theirs ? r : rank, at, v->rows),
                            ff_dap_count(d, v->n_split, theirs ? rank : r), v->x.shape[2]};
        blocks[r] = ff_tensor_make(next, v->x.dtype, 3, shape);
        if (r != rank)
            next += ff_tensor_bytes(&blocks[r]);
    }
}

/* Largest piece that a rank packs or gets, all blocks together. */
static int64_t block_bytes(const struct ff_dap_visit *v)
{
    int size = ff_dap_size(v->dap);
    int64_t others = v->n_split - v->n_split / size + size;
    return v->rows * others * v->x.shape[2] * (int64_t)ff_dtype_size(v->x.dtype);
}

void ff_dap_visit_open(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, int64_t rows,
                       struct ff_tensor there, struct ff_dap_visit *v)
{
    int size = ff_dap_size(d);
    *v = (struct ff_dap_visit){.dap = d, .x = x, .n_split = n_split, .rows = rows, .there = there};
    int64_t most = ff_dap_count(d, x.shape[1], 0);
    v->n_piece = size == 1 ? 1 : (most + rows - 1) / rows;
    if (size == 1)
        return;
    if (!ff_tensor_present(&there))
        v->there = ff_arena_push(d->arena, x.dtype, FF_SHAPE(rows < most ? rows : most, n_split, x.shape[2]));
    v->passing = !ff_tensor_present(&there);
    for (int i = 0; i < (v->passing ? 4 : 2); i++)
        for (int way = 0; way < 2; way++)
            v->memory[i][way] = ff_arena_push(d->arena, FF_U8, FF_SHAPE(block_bytes(v))).data;
    for (int way = 0; way < 2; way++)
        v->blocks[way] = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
}

void ff_dap_visit_close(struct ff_dap_visit *v)
{
    free(v->blocks[0]);
    free(v->blocks[1]);
}

/* x of the rows that rank r has of piece k, as [rows, I, c] with this rank's I. */
static struct ff_tensor at_home(const struct ff_dap_visit *v, int64_t k, int r)
{
    int64_t n = v->x.shape[1], at = k * v->rows, count = ff_dap_piece(v->dap, n, r, at, v->rows);
    return ff_tensor_transpose(ff_tensor_slice(v->x, 1, count > 0 ? ff_dap_from(v->dap, n, r) + at : 0, count), 0, 1);
}

/* This rank's rows of piece k [rows, N, c]; there on several ranks. */
static struct ff_tensor piece_rows(const struct ff_dap_visit *v, int64_t k)
{
    int64_t at = k * v->rows, count = ff_dap_piece(v->dap, v->x.shape[1], ff_dap_rank(v->dap), at, v->rows);
    return ff_tensor_slice(v->there, 0, v->passing || count == 0 ? 0 : at, count);
}

/* The columns of rows that are rank r's. */
static struct ff_tensor columns_of(const struct ff_dap_visit *v, struct ff_tensor rows, int r)
{
    return ff_tensor_slice(rows, 1, ff_dap_from(v->dap, v->n_split, r), ff_dap_count(v->dap, v->n_split, r));
}

static bool no_piece(const struct ff_dap_visit *v, int64_t k)
{
    return ff_dap_size(v->dap) == 1 || k < 0 || k >= v->n_piece;
}

void ff_dap_visit_fetch(struct ff_dap_visit *v, int64_t k)
{
    if (no_piece(v, k))
        return;
    struct ff_tensor *to = v->blocks[0], *from = v->blocks[1];
    lay_blocks(v, k, true, v->memory[0][k % 2], to);
    lay_blocks(v, k, false, v->memory[1][k % 2], from);
    for (int r = 0; r < ff_dap_size(v->dap); r++)
        if (r != ff_dap_rank(v->dap))
            copy(v->dap, to[r], at_home(v, k, r));
    v->ticket[0][k % 2] = ff_dap_swap(v->dap, to, from);
}

struct ff_tensor ff_dap_visit_rows(struct ff_dap_visit *v, int64_t k)
{
    if (ff_dap_size(v->dap) == 1)
        return ff_tensor_transpose(v->x, 0, 1);
    int rank = ff_dap_rank(v->dap);
    struct ff_tensor rows = piece_rows(v, k), *from = v->blocks[1];
    copy(v->dap, columns_of(v, rows, rank), at_home(v, k, rank));
    lay_blocks(v, k, false, v->memory[1][k % 2], from);
    ff_dap_wait(v->dap, v->ticket[0][k % 2]);
    for (int r = 0; r < ff_dap_size(v->dap); r++)
        if (r != rank)
            copy(v->dap, columns_of(v, rows, r), from[r]);
    return rows;
}

void ff_dap_visit_return(struct ff_dap_visit *v, int64_t k)
{
    if (no_piece(v, k))
        return;
    int rank = ff_dap_rank(v->dap);
    struct ff_tensor rows = piece_rows(v, k), *to = v->blocks[0], *from = v->blocks[1];
    lay_blocks(v, k, false, v->memory[2][k % 2], to);
    lay_blocks(v, k, true, v->memory[3][k % 2], from);
    for (int r = 0; r < ff_dap_size(v->dap); r++)
        if (r != rank)
            copy(v->dap, to[r], columns_of(v, rows, r));
    v->ticket[1][k % 2] = ff_dap_swap(v->dap, to, from);
    copy(v->dap, at_home(v, k, rank), columns_of(v, rows, rank));
}

void ff_dap_visit_end(struct ff_dap_visit *v, int64_t k)
{
    if (no_piece(v, k))
        return;
    struct ff_tensor *from = v->blocks[1];
    lay_blocks(v, k, true, v->memory[3][k % 2], from);
    ff_dap_wait(v->dap, v->ticket[1][k % 2]);
    for (int r = 0; r < ff_dap_size(v->dap); r++)
        if (r != ff_dap_rank(v->dap))
            copy(v->dap, at_home(v, k, r), from[r]);
}

void ff_dap_turn(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, struct ff_tensor there)
{
    FF_ASSERT(ff_dap_size(d) > 1);
    /* Every rank must come to the same pieces, so all reckon with rank 0, which has the largest part. */
    int64_t most = ff_dap_count(d, x.shape[1], 0);
    int64_t row_bytes = n_split * x.shape[2] * (int64_t)ff_dtype_size(x.dtype), rows = d->chunk_bytes / 4 / row_bytes;
    size_t mark = ff_arena_mark(d->arena);
    struct ff_dap_visit v;
    ff_dap_visit_open(d, x, n_split, rows < 1 ? 1 : rows > most ? most : rows, there, &v);
    ff_dap_visit_fetch(&v, 0);
    for (int64_t k = 0; k < v.n_piece; k++) {
        ff_dap_visit_fetch(&v, k + 1);
        ff_dap_visit_rows(&v, k);
    }
    ff_dap_visit_close(&v);
    ff_arena_release(d->arena, mark);
}

/* --- results on the host ---------------------------------------------------------------------------------------- */

void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, int64_t at, int64_t most,
                         bool packed, size_t row_bytes)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return;
    struct blocks b = blocks_make(size);
    size_t end = 0;
    for (int r = 0; r < size; r++) {
        b.bytes[r] = row_bytes * (size_t)ff_dap_piece(d, n, r, at, most);
        b.offset[r] = packed || b.bytes[r] == 0 ? end : row_bytes * (size_t)(ff_dap_from(d, n, r) + at);
        end = b.offset[r] + b.bytes[r];
    }
    d->comm->gather_host(d->comm, part, whole, b.bytes, b.offset);
    blocks_free(&b);
}

/* --- planning --------------------------------------------------------------------------------------------------- */

static int64_t planned_all_gather(struct ff_comm *c, const void *send, void *recv, const size_t *bytes,
                                  const size_t *offset)
{
    (void)send;
    (void)recv;
    (void)offset;
    c->stats.calls[FF_ALL_GATHER]++;
    c->stats.bytes[FF_ALL_GATHER] += (double)bytes[c->rank] * (c->size - 1);
    return 0;
}

static int64_t planned_all_to_all(struct ff_comm *c, const void *send, const size_t *send_bytes,
                                  const size_t *send_offset, void *recv, const size_t *recv_bytes,
                                  const size_t *recv_offset)
{
    (void)send;
    (void)send_offset;
    (void)recv;
    (void)recv_bytes;
    (void)recv_offset;
    c->stats.calls[FF_ALL_TO_ALL]++;
    for (int r = 0; r < c->size; r++)
        c->stats.bytes[FF_ALL_TO_ALL] += r != c->rank ? (double)send_bytes[r] : 0.0;
    return 0;
}

static int64_t planned_broadcast(struct ff_comm *c, void *data, size_t bytes, int root)
{
    (void)data;
    c->stats.calls[FF_BROADCAST]++;
    c->stats.bytes[FF_BROADCAST] += root == c->rank ? (double)bytes * (c->size - 1) : 0.0;
    return 0;
}

static void planned_wait(struct ff_comm *c, int64_t ticket)
{
    (void)c;
    (void)ticket;
}

static void planned_gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes,
                                const size_t *offset)
{
    (void)c;
    (void)send;
    (void)recv;
    (void)bytes;
    (void)offset;
}

static void planned_broadcast_host(struct ff_comm *c, void *data, size_t bytes, int root)
{
    (void)c;
    (void)data;
    (void)bytes;
    (void)root;
}

static void planned_barrier(struct ff_comm *c)
{
    (void)c;
}

static void planned_destroy(struct ff_comm *c)
{
    free(c);
}

struct ff_comm *ff_comm_planned(int size, int rank)
{
    struct ff_comm *c = FF_NEW(struct ff_comm);
    *c = (struct ff_comm){.name = "planned", .size = size, .rank = rank, .all_gather = planned_all_gather,
                          .all_to_all = planned_all_to_all, .broadcast = planned_broadcast, .wait = planned_wait,
                          .gather_host = planned_gather_host, .broadcast_host = planned_broadcast_host,
                          .barrier = planned_barrier, .update_stats = planned_barrier, .destroy = planned_destroy};
    return c;
}
