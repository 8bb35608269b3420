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

/* Changes the split axis: x has part of axis `from` (n_from long in all) and all of axis `to`; dst gets all of `from`
 * and its part of `to` (n_to long in all). dst must not overlap x. Several ranks only. */
void ff_dap_exchange(const struct ff_dap *d, struct ff_tensor x, struct ff_tensor dst, int from, int64_t n_from, int to,
                     int64_t n_to);

/* A piece that rank root has, for all ranks: piece itself on one rank; else what root has in piece, sent into buffer.
 * buffer has the shape of the piece and the same on all ranks; its rows may be padded (the padding travels along).
 * piece is read on the root only. */
struct ff_tensor ff_dap_borrow(const struct ff_dap *d, int root, struct ff_tensor piece, struct ff_tensor buffer);

/* Rows of a host array [n, row_bytes] from all ranks to rank 0: part holds this rank's rows, whole is read on rank 0.
 * Both NULL while planning. On one rank part and whole must be the same memory. */
void ff_dap_collect_rows(const struct ff_dap *d, const void *part, void *whole, int64_t n, size_t row_bytes);

/* A communicator that does nothing but count: plans a rank's memory and traffic on a machine without ranks. */
struct ff_comm *ff_comm_planned(int size, int rank);

#endif
