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

/* --- blocks ----------------------------------------------------------------------------------------------------- */

/* Sizes and places of the blocks of all ranks, one behind the other. */
struct blocks {
    size_t *bytes, *offset, total;
};

static struct blocks blocks_make(int size)
{
    return (struct blocks){.bytes = FF_NEW_ARRAY(size_t, (size_t)size), .offset = FF_NEW_ARRAY(size_t, (size_t)size)};
}

static void blocks_set(struct blocks *b, int rank, size_t bytes)
{
    b->bytes[rank] = bytes;
    b->offset[rank] = rank > 0 ? b->offset[rank - 1] + b->bytes[rank - 1] : 0;
    b->total = b->offset[rank] + bytes;
}

static void blocks_free(struct blocks *b)
{
    free(b->bytes);
    free(b->offset);
}

/* The block of rank at its place in memory: contiguous, of the shape of like. */
static struct ff_tensor block_at(const struct blocks *b, int rank, struct ff_tensor memory, struct ff_tensor like)
{
    return ff_tensor_make((char *)memory.data + b->offset[rank], like.dtype, like.ndim, like.shape);
}

static void copy(const struct ff_dap *d, struct ff_tensor out, struct ff_tensor x)
{
    if (ff_tensor_count(&x) > 0)
        FF_OP(d->be, copy, .out = out, .x = x);
}

/* --- gather ----------------------------------------------------------------------------------------------------- */

struct ff_tensor ff_dap_gather(const struct ff_dap *d, struct ff_tensor part, int axis, int64_t n)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return part;
    struct ff_tensor like = part;
    like.shape[axis] = n;
    struct ff_tensor whole = ff_arena_push(d->arena, part.dtype, part.ndim, like.shape);
    size_t mark = ff_arena_mark(d->arena);
    struct blocks b = blocks_make(size);
    size_t per_index = ff_tensor_bytes(&whole) / (size_t)n;
    for (int r = 0; r < size; r++)
        blocks_set(&b, r, per_index * (size_t)ff_dap_count(d, n, r));

    struct ff_tensor send = part, recv = whole;
    if (!ff_tensor_contiguous(&part)) {
        send = ff_arena_push(d->arena, part.dtype, part.ndim, part.shape);
        copy(d, send, part);
    }
    if (axis != 0)
        recv = ff_arena_push(d->arena, part.dtype, part.ndim, whole.shape);
    d->comm->wait(d->comm, d->comm->all_gather(d->comm, send.data, recv.data, b.bytes, b.offset));
    for (int r = 0; axis != 0 && r < size; r++) {
        struct ff_tensor to = ff_tensor_slice(whole, axis, ff_dap_from(d, n, r), ff_dap_count(d, n, r));
        copy(d, to, block_at(&b, r, recv, to));
    }
    blocks_free(&b);
    ff_arena_release(d->arena, mark);
    return whole;
}

/* --- exchange --------------------------------------------------------------------------------------------------- */

/* Rows [at, at + count) of rank's part of an axis of n, cut to what is there. */
static int64_t piece_count(const struct ff_dap *d, int64_t n, int rank, int64_t at, int64_t rows)
{
    int64_t left = ff_dap_count(d, n, rank) - at;
    return left < 0 ? 0 : left < rows ? left : rows;
}

/* One piece: indices [at, at + rows) of every rank's part of axis `from`. */
static void exchange_piece(const struct ff_dap *d, struct ff_tensor x, struct ff_tensor dst, int from, int64_t n_from,
                           int to, int64_t n_to, int64_t at, int64_t rows)
{
    int size = ff_dap_size(d), rank = ff_dap_rank(d);
    size_t mark = ff_arena_mark(d->arena), item = ff_dtype_size(x.dtype);
    size_t rest = item; /* bytes of one index pair; a rank's own part may be empty */
    for (int axis = 0; axis < x.ndim; axis++)
        rest *= axis == from || axis == to ? 1 : (size_t)x.shape[axis];
    struct blocks out = blocks_make(size), in = blocks_make(size);
    int64_t own_rows = piece_count(d, n_from, rank, at, rows), own_to = ff_dap_count(d, n_to, rank);
    for (int r = 0; r < size; r++) {
        blocks_set(&out, r, rest * (size_t)(own_rows * ff_dap_count(d, n_to, r)));
        blocks_set(&in, r, rest * (size_t)(piece_count(d, n_from, r, at, rows) * own_to));
    }
    struct ff_tensor send = ff_arena_push(d->arena, FF_U8, FF_SHAPE((int64_t)out.total));
    struct ff_tensor recv = ff_arena_push(d->arena, FF_U8, FF_SHAPE((int64_t)in.total));
    struct ff_tensor piece = ff_tensor_slice(x, from, own_rows > 0 ? at : 0, own_rows);
    for (int r = 0; r < size; r++) {
        struct ff_tensor part = ff_tensor_slice(piece, to, ff_dap_from(d, n_to, r), ff_dap_count(d, n_to, r));
        copy(d, block_at(&out, r, send, part), part);
    }
    d->comm->wait(d->comm, d->comm->all_to_all(d->comm, send.data, out.bytes, out.offset, recv.data, in.bytes,
                                               in.offset));
    for (int r = 0; r < size; r++) {
        int64_t count = piece_count(d, n_from, r, at, rows);
        struct ff_tensor part = ff_tensor_slice(dst, from, count > 0 ? ff_dap_from(d, n_from, r) + at : 0, count);
        copy(d, part, block_at(&in, r, recv, part));
    }
    blocks_free(&out);
    blocks_free(&in);
    ff_arena_release(d->arena, mark);
}

void ff_dap_exchange(const struct ff_dap *d, struct ff_tensor x, struct ff_tensor dst, int from, int64_t n_from, int to,
                     int64_t n_to)
{
    FF_ASSERT(ff_dap_size(d) > 1 && x.ndim == dst.ndim && x.dtype == dst.dtype);
    /* Every rank must come to the same pieces, so all reckon with rank 0, which has the largest part. */
    int64_t most = ff_dap_count(d, n_from, 0), row_bytes = (int64_t)ff_dtype_size(x.dtype) * n_to;
    for (int axis = 0; axis < x.ndim; axis++)
        row_bytes *= axis == from || axis == to ? 1 : x.shape[axis];
    int64_t rows = row_bytes > 0 ? d->chunk_bytes / (2 * row_bytes) : most;
    rows = rows < 1 ? 1 : rows > most ? most : rows;
    for (int64_t at = 0; at < most; at += rows)
        exchange_piece(d, x, dst, from, n_from, to, n_to, at, rows);
}

/* --- pieces of others ------------------------------------------------------------------------------------------- */

struct ff_tensor ff_dap_borrow(const struct ff_dap *d, int root, struct ff_tensor piece, struct ff_tensor buffer)
{
    if (ff_dap_size(d) == 1)
        return piece;
    if (root == ff_dap_rank(d))
        copy(d, buffer, piece);
    size_t bytes = (size_t)(buffer.shape[0] * buffer.stride[0]) * ff_dtype_size(buffer.dtype);
    d->comm->wait(d->comm, d->comm->broadcast(d->comm, buffer.data, bytes, root));
    return buffer;
}

void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, size_t row_bytes)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return;
    struct blocks b = blocks_make(size);
    for (int r = 0; r < size; r++)
        blocks_set(&b, r, row_bytes * (size_t)ff_dap_count(d, n, r));
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
