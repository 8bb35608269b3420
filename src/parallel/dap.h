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
    struct ff_arena *arena;          /* for packed blocks and gathered tensors */
    int64_t chunk_bytes;             /* scratch of one exchange */
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

/* This rank's part of a tensor that every rank has whole: a view. */
struct ff_tensor ff_dap_part(const struct ff_dap *d, struct ff_tensor whole, int axis);

/* The whole of a tensor that is split on axis (n long in all); pushed on the arena, or part itself on one rank. */
struct ff_tensor ff_dap_gather(const struct ff_dap *d, struct ff_tensor part, int axis, int64_t n);

/* The same beside other work: whole is room for it (not used on one rank); begin pushes scratch on the arena that is
 * kept until end, which gives the whole. part stays as it is until then. */
struct ff_dap_gathering {
    struct ff_tensor whole, recv;
    int axis;
    int64_t ticket;
};
struct ff_dap_gathering ff_dap_gather_begin(const struct ff_dap *d, struct ff_tensor part, int axis,
                                            struct ff_tensor whole);
struct ff_tensor ff_dap_gather_end(const struct ff_dap *d, const struct ff_dap_gathering *g);

/* to[r] goes to rank r, from[r] comes from it; this rank's own entries are left alone. Begins; ff_dap_wait with the
 * ticket ends. Tensors may have padded rows (the padding travels along) and be empty; to may name one tensor several
 * times. Nothing happens on one rank. */
int64_t ff_dap_swap(const struct ff_dap *d, const struct ff_tensor *to, const struct ff_tensor *from);
void ff_dap_wait(const struct ff_dap *d, int64_t ticket);

/* An axis of n in pieces of `most` indices of every rank's part: how many rank has in the piece from its index at. */
int64_t ff_dap_piece(const struct ff_dap *d, int64_t n, int rank, int64_t at, int64_t most);

/* A visit of x [I, J, c], split on I over the ranks, to the layout that is split on J: this rank's rows J with all of
 * I, a piece of rows at a time, while the pieces before and after are on their way:
 *
 *     fetch(0);
 *     for each k: fetch(k + 1); rows(k), work on them in place; return(k); end(k - 1);
 *     end(n_piece - 1);
 *
 * fetch and return begin, rows and end wait. Pieces that do not exist are no pieces: nothing happens. With `there`
 * [own J, n_split, c] the rows stay there and nothing is returned; without it they lie in a buffer, until the next
 * piece. On one rank there is one piece, x itself transposed. Buffers are pushed on the arena by open. */
struct ff_dap_visit {
    const struct ff_dap *dap;
    struct ff_tensor x, there;
    bool passing;                    /* there holds one piece */
    int64_t n_split, rows, n_piece;
    void *memory[4][2];              /* blocks: fetch out and in, return out and in; of even and odd pieces */
    struct ff_tensor *blocks[2];     /* [size] each */
    int64_t ticket[2][2];            /* fetch, return; even, odd */
};
void ff_dap_visit_open(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, int64_t rows,
                       struct ff_tensor there, struct ff_dap_visit *v);
void ff_dap_visit_fetch(struct ff_dap_visit *v, int64_t k);
struct ff_tensor ff_dap_visit_rows(struct ff_dap_visit *v, int64_t k);   /* [rows, n_split, c]; rows may be 0 */
void ff_dap_visit_return(struct ff_dap_visit *v, int64_t k);
void ff_dap_visit_end(struct ff_dap_visit *v, int64_t k);
void ff_dap_visit_close(struct ff_dap_visit *v);

/* All of x, split on its first axis, to there [own J, n_split, c]. Several ranks only; no overlap. */
void ff_dap_turn(const struct ff_dap *d, struct ff_tensor x, int64_t n_split, struct ff_tensor there);

/* Rows of a host array [n, row_bytes] from all ranks to rank 0, a piece of `most` rows of every rank's from its row at:
 * part holds this rank's rows of the piece, whole is written on rank 0: all of the array, or packed: the piece alone,
 * one rank's rows behind the other's. Both NULL while planning. On one rank part and whole must be the same memory. */
void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, int64_t at, int64_t most,
                         bool packed, size_t row_bytes);

/* A communicator that does nothing but count: plans a rank's memory and traffic on a machine without ranks. */
struct ff_comm *ff_comm_planned(int size, int rank);

#endif
