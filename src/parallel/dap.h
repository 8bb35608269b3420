/* SPDX-License-Identifier: Apache-2.0
 * dap: dynamic axial parallelism: one axis of a representation is split over the ranks; which one changes as the layers
 * need it. Split sizes differ by at most one: no padding, any length, any number of ranks up to the length.
 *
 * With one rank (or dap == NULL) a split tensor is the whole tensor and nothing is ever copied: that is the normal case
 * of the same code. Source: Cheng et al. 2022 (FastFold), section "Dynamic Axial Parallelism".
 */
#ifndef FF_PARALLEL_DAP_H
#define FF_PARALLEL_DAP_H

#include "compute/arena.h"
#include "compute/backend.h"
#include "parallel/comm.h"

struct ff_dap {
    struct ff_comm *comm;
    struct ff_backend *be;
    struct ff_arena *arena;          /* for gathered tensors and pieces of a visit */
};

static inline int ff_dap_size(const struct ff_dap *d)
{
    return d != NULL ? d->comm->size : 1;
}

static inline int ff_dap_rank(const struct ff_dap *d)
{
    return d != NULL ? d->comm->rank : 0;
}

/* First index and number of indices of rank's part of an axis of n. */
int64_t ff_dap_from(const struct ff_dap *d, int64_t n, int rank);
int64_t ff_dap_count(const struct ff_dap *d, int64_t n, int rank);

/* A rank's part of the axis of a tensor that has all of it: a view. */
struct ff_tensor ff_dap_part_of(const struct ff_dap *d, struct ff_tensor whole, int axis, int rank);
struct ff_tensor ff_dap_part(const struct ff_dap *d, struct ff_tensor whole, int axis);     /* this rank's */

/* The whole of a tensor that is split on axis (n long in all); pushed on the arena, or part itself on one rank. */
struct ff_tensor ff_dap_gather(const struct ff_dap *d, struct ff_tensor part, int axis, int64_t n);

/* to[r] goes to rank r, from[r] comes from it, as an exchange of comm.h; from ff_dap_wait with the ticket on. Nothing
 * happens on one rank. */
int64_t ff_dap_swap(const struct ff_dap *d, const struct ff_tensor *to, const struct ff_tensor *from);
/* beside: as in struct ff_exchange of comm.h; false above. */
int64_t ff_dap_swap_beside(const struct ff_dap *d, bool beside, const struct ff_tensor *to,
                           const struct ff_tensor *from);
/* The same for blocks that operations between the two calls make, some of them in the receivers' memory: reach and
 * reached of comm.h. */
bool ff_dap_reach(const struct ff_dap *d, bool beside, struct ff_tensor *to, const struct ff_tensor *from);
int64_t ff_dap_reached(const struct ff_dap *d, const struct ff_tensor *to);
/* As ff_dap_swap for a tensor of which each rank has made its part: all get the whole. */
int64_t ff_dap_share(const struct ff_dap *d, struct ff_tensor whole, int axis);
void ff_dap_wait(const struct ff_dap *d, int64_t ticket);      /* below 0: for nothing */

/* An axis of n in pieces of `most` indices of every rank's part: how many rank has in the piece from its index at. */
int64_t ff_dap_piece(const struct ff_dap *d, int64_t n, int rank, int64_t at, int64_t most);

/* A visit of x [I, J, c], split on I over the ranks, to the layout that is split on J: this rank's rows J with all of
 * I, a piece of rows at a time, while the pieces before and after are on their way:
 *
 *     fetch(0);
 *     for each k: own(k), then others(k), are read; return(k - 1); fetch(k + 1); most of the work; come(k + 1);
 *                 own(k) and others(k) are written;
 *     return(n_piece - 1); end(n_piece - 1);
 *
 * fetch and return begin, others, come and end wait: come(k) for that fetch and all returns before it. The work between
 * fetch and come should not need memory's bandwidth, of which exchanges take a part, and must be longer than they are:
 * there is nothing beside the first fetch and the last return. What is on this rank anyway stays in x, where it may be
 * worked on at any time: own, all there is on one rank. The others' parts lie in one of three buffers, with their axes
 * in the order in which they lie in x, so that what is sent is made of long rows. Pieces that do not exist are no
 * pieces: nothing happens. Buffers are pushed on the arena by open. */
enum { FF_DAP_BUFFERS = 3, FF_DAP_OTHERS = 2 };
struct ff_dap_visit {
    const struct ff_dap *dap;
    struct ff_tensor x;
    int64_t n_split, rows, n_piece;
    void *memory[FF_DAP_BUFFERS];
    struct ff_tensor *blocks[2];     /* [size] each: at home, in a buffer */
    int64_t ticket[2][FF_DAP_BUFFERS];      /* fetch, return */
};
/* A part of the rows of a piece: indices of I from `from` on. */
struct ff_dap_rows {
    struct ff_tensor t;              /* [rows, indices, c]; rows may be 0 */
    int64_t from;
};
void ff_dap_visit_open(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, int64_t rows,
                       struct ff_dap_visit *v);
void ff_dap_visit_fetch(struct ff_dap_visit *v, int64_t k);
struct ff_dap_rows ff_dap_visit_own(const struct ff_dap_visit *v, int64_t k);
int ff_dap_visit_others(struct ff_dap_visit *v, int64_t k, struct ff_dap_rows *ret);   /* [FF_DAP_OTHERS] */
void ff_dap_visit_return(struct ff_dap_visit *v, int64_t k);
void ff_dap_visit_come(struct ff_dap_visit *v, int64_t k);
void ff_dap_visit_end(struct ff_dap_visit *v, int64_t k);
void ff_dap_visit_close(struct ff_dap_visit *v);
/* Indices of I that a rank has not, at most: of that many each row of a buffer is made. */
int64_t ff_dap_visit_away(const struct ff_dap *d, int64_t n_split);

/* Rows of a host array [n, row_bytes] from all ranks to rank 0, a piece of `most` rows of every rank's from its row at:
 * part holds this rank's rows of the piece, whole is written on rank 0: all of the array, or packed: the piece alone,
 * one rank's rows behind the other's. Both NULL while planning. On one rank part and whole must be the same memory. */
void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, int64_t at, int64_t most,
                         bool packed, size_t row_bytes);

/* A communicator that does nothing but count: plans a rank's memory and traffic on a machine without ranks. */
struct ff_comm *ff_comm_planned(int size, int rank);

#endif
