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

struct ff_tensor ff_dap_part_of(const struct ff_dap *d, struct ff_tensor whole, int axis, int rank)
{
    int64_t n = whole.shape[axis];
    return ff_tensor_slice(whole, axis, ff_dap_from(d, n, rank), ff_dap_count(d, n, rank));
}

struct ff_tensor ff_dap_part(const struct ff_dap *d, struct ff_tensor whole, int axis)
{
    return ff_dap_part_of(d, whole, axis, ff_dap_rank(d));
}

/* --- exchanges -------------------------------------------------------------------------------------------------- */

int64_t ff_dap_swap_beside(const struct ff_dap *d, bool beside, const struct ff_tensor *to,
                           const struct ff_tensor *from)
{
    const struct ff_exchange how = {FF_ALL_TO_ALL, beside};
    return ff_dap_size(d) > 1 ? d->comm->exchange(d->comm, &how, to, from) : 0;
}

int64_t ff_dap_swap(const struct ff_dap *d, const struct ff_tensor *to, const struct ff_tensor *from)
{
    return ff_dap_swap_beside(d, false, to, from);
}

bool ff_dap_reach(const struct ff_dap *d, bool beside, struct ff_tensor *to, const struct ff_tensor *from)
{
    return ff_dap_size(d) > 1 && d->comm->reach != NULL && d->comm->reach(d->comm, beside, to, from);
}

int64_t ff_dap_reached(const struct ff_dap *d, const struct ff_tensor *to)
{
    return d->comm->reached(d->comm, to);
}

void ff_dap_wait(const struct ff_dap *d, int64_t ticket)
{
    if (ff_dap_size(d) > 1 && ticket >= 0)
        d->comm->wait(d->comm, ticket);
}

/* part goes to every rank's whole. */
static int64_t share(const struct ff_dap *d, struct ff_tensor part, struct ff_tensor whole, int axis)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return 0;
    struct ff_tensor *to = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    struct ff_tensor *from = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    for (int r = 0; r < size; r++) {
        to[r] = part;
        from[r] = ff_dap_part_of(d, whole, axis, r);
    }
    const struct ff_exchange how = {FF_ALL_GATHER, false};
    int64_t ticket = d->comm->exchange(d->comm, &how, to, from);
    free(to);
    free(from);
    return ticket;
}

int64_t ff_dap_share(const struct ff_dap *d, struct ff_tensor whole, int axis)
{
    return share(d, ff_dap_part(d, whole, axis), whole, axis);
}

struct ff_tensor ff_dap_gather(const struct ff_dap *d, struct ff_tensor part, int axis, int64_t n)
{
    if (ff_dap_size(d) == 1)
        return part;
    struct ff_tensor like = part;
    like.shape[axis] = n;
    struct ff_tensor whole = ff_arena_push(d->arena, part.dtype, part.ndim, like.shape);
    ff_dap_wait(d, share(d, part, whole, axis));
    return whole;
}

/* --- visits ----------------------------------------------------------------------------------------------------- */

int64_t ff_dap_piece(const struct ff_dap *d, int64_t n, int rank, int64_t at, int64_t most)
{
    int64_t left = ff_dap_count(d, n, rank) - at;
    return left < 0 ? 0 : left < most ? left : most;
}

int64_t ff_dap_visit_away(const struct ff_dap *d, int64_t n_split)
{
    return n_split - ff_dap_count(d, n_split, ff_dap_size(d) - 1);
}

void ff_dap_visit_open(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, int64_t rows,
                       struct ff_dap_visit *v)
{
    int size = ff_dap_size(d);
    *v = (struct ff_dap_visit){.dap = d, .x = x, .n_split = n_split, .rows = rows};
    int64_t most = ff_dap_count(d, x.shape[1], 0), away = ff_dap_visit_away(d, n_split);
    v->n_piece = (most + rows - 1) / rows;
    if (size == 1)
        return;
    for (int i = 0; i < FF_DAP_BUFFERS && i < v->n_piece; i++)
        v->memory[i] = ff_arena_push(d->arena, x.dtype, FF_SHAPE(rows < most ? rows : most, away, x.shape[2])).data;
    for (int i = 0; i < 2; i++)
        v->blocks[i] = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
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

/* This rank's rows of piece k [rows, away, c] of what ranks [from, to) have of I, all of them on one side of this one:
 * the others' parts lie one behind the other. */
static struct ff_tensor in_buffer(const struct ff_dap_visit *v, int64_t k, int from, int to)
{
    const struct ff_dap *d = v->dap;
    int64_t rows = ff_dap_piece(d, v->x.shape[1], ff_dap_rank(d), k * v->rows, v->rows), own = v->x.shape[0];
    int64_t at = ff_dap_from(d, v->n_split, from), n = ff_dap_from(d, v->n_split, to) - at;
    int64_t away = v->n_split - own, c = v->x.shape[2];
    void *memory = v->memory[k % FF_DAP_BUFFERS];
    struct ff_tensor t = v->x.stride[0] < v->x.stride[1]
                             ? ff_tensor_make(memory, v->x.dtype, FF_SHAPE(rows, away, c))
                             : ff_tensor_transpose(ff_tensor_make(memory, v->x.dtype, FF_SHAPE(away, rows, c)), 0, 1);
    return ff_tensor_slice(t, 1, n == 0 ? 0 : from > ff_dap_rank(d) ? at - own : at, n);
}

static bool no_piece(const struct ff_dap_visit *v, int64_t k)
{
    return ff_dap_size(v->dap) == 1 || k < 0 || k >= v->n_piece;
}

static void set_blocks(struct ff_dap_visit *v, int64_t k)
{
    for (int r = 0; r < ff_dap_size(v->dap); r++) {
        v->blocks[0][r] = at_home(v, k, r);
        v->blocks[1][r] = r == ff_dap_rank(v->dap) ? v->blocks[0][r] : in_buffer(v, k, r, r + 1);
    }
}

void ff_dap_visit_fetch(struct ff_dap_visit *v, int64_t k)
{
    if (no_piece(v, k))
        return;
    set_blocks(v, k);
    v->ticket[0][k % FF_DAP_BUFFERS] = ff_dap_swap_beside(v->dap, k > 0, v->blocks[0], v->blocks[1]);
}

void ff_dap_visit_come(struct ff_dap_visit *v, int64_t k)
{
    if (!no_piece(v, k))
        ff_dap_wait(v->dap, v->ticket[0][k % FF_DAP_BUFFERS]);
}

struct ff_dap_rows ff_dap_visit_own(const struct ff_dap_visit *v, int64_t k)
{
    int rank = ff_dap_rank(v->dap);
    return (struct ff_dap_rows){at_home(v, k, rank), ff_dap_from(v->dap, v->n_split, rank)};
}

int ff_dap_visit_others(struct ff_dap_visit *v, int64_t k, struct ff_dap_rows *ret)
{
    int rank = ff_dap_rank(v->dap), size = ff_dap_size(v->dap), n = 0;
    if (size == 1)
        return 0;
    ff_dap_visit_come(v, k);
    const int side[FF_DAP_OTHERS][2] = {{0, rank}, {rank + 1, size}};
    for (int i = 0; i < FF_DAP_OTHERS; i++) {
        ret[n].t = in_buffer(v, k, side[i][0], side[i][1]);
        ret[n].from = ff_dap_from(v->dap, v->n_split, side[i][0]);
        n += ret[n].t.shape[1] > 0;
    }
    return n;
}

void ff_dap_visit_return(struct ff_dap_visit *v, int64_t k)
{
    if (no_piece(v, k))
        return;
    set_blocks(v, k);
    v->ticket[1][k % FF_DAP_BUFFERS] = ff_dap_swap_beside(v->dap, k < v->n_piece - 1, v->blocks[1], v->blocks[0]);
}

void ff_dap_visit_end(struct ff_dap_visit *v, int64_t k)
{
    if (!no_piece(v, k))
        ff_dap_wait(v->dap, v->ticket[1][k % FF_DAP_BUFFERS]);
}

/* --- results on the host ---------------------------------------------------------------------------------------- */

void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, int64_t at, int64_t most,
                         bool packed, size_t row_bytes)
{
    int size = ff_dap_size(d);
    if (size == 1)
        return;
    size_t *bytes = FF_NEW_ARRAY(size_t, (size_t)size), *offset = FF_NEW_ARRAY(size_t, (size_t)size), end = 0;
    for (int r = 0; r < size; r++) {
        bytes[r] = row_bytes * (size_t)ff_dap_piece(d, n, r, at, most);
        offset[r] = packed || bytes[r] == 0 ? end : row_bytes * (size_t)(ff_dap_from(d, n, r) + at);
        end = offset[r] + bytes[r];
    }
    d->comm->gather_host(d->comm, part, whole, bytes, offset);
    free(bytes);
    free(offset);
}

/* --- planning --------------------------------------------------------------------------------------------------- */

static int64_t planned_exchange(struct ff_comm *c, const struct ff_exchange *how, const struct ff_tensor *to,
                                const struct ff_tensor *from)
{
    (void)from;
    c->stats.calls[how->kind]++;
    c->stats.bytes[how->kind] += ff_comm_sent(c, to);
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
    *c = (struct ff_comm){.name = "planned", .size = size, .rank = rank, .exchange = planned_exchange,
                          .wait = planned_wait, .gather_host = planned_gather_host,
                          .broadcast_host = planned_broadcast_host, .barrier = planned_barrier,
                          .update_stats = planned_barrier, .destroy = planned_destroy};
    return c;
}
