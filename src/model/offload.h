/* SPDX-License-Identifier: Apache-2.0
 * offload: tensors that may lie on the host while a layer works on pieces of them. One that is on the backend is one
 * piece, a view, and nothing is copied: that is the normal case of the same loop.
 */
#ifndef FF_MODEL_OFFLOAD_H
#define FF_MODEL_OFFLOAD_H

#include "model/context.h"

struct ff_offload {
    struct ff_tensor x;              /* [A, B, ..]; where it is away its shape alone counts */
    bool away;
    char *host;                      /* there, contiguous; NULL while planning */
};

/* The tensor pushed last leaves for the host, and its memory is for what is pushed next; it comes back to the same
 * place, with the arena as it was. */
void ff_offload_leave(const struct ff_context *ctx, struct ff_offload *o);
void ff_offload_drop(const struct ff_context *ctx, struct ff_offload *o);      /* its values are of no more use */
void ff_offload_return(const struct ff_context *ctx, struct ff_offload *o);

enum ff_offload_use { FF_OFFLOAD_READ, FF_OFFLOAD_CHANGE, FF_OFFLOAD_MAKE };

/* Indices [from, from + n) of axis 0 or 1, `size` of them at a time: the next piece comes, and the one before goes
 * back, beside the work on this one.
 *
 *     ff_offload_visit_open(ctx, &o, axis, from, n, size, use, &v);
 *     while (ff_offload_visit_next(&v, &part))
 *         work on part, indices [v.at, v.at + v.count) of the axis
 *
 * Two pieces lie on the arena until next gives false; scratch of the work has to be released before that. */
struct ff_offload_visit {
    const struct ff_context *ctx;
    const struct ff_offload *o;
    enum ff_offload_use use;
    int axis;
    int64_t from, n, size;
    int64_t at, count;               /* of the present piece */
    void *memory[2];
    size_t mark;
};
void ff_offload_visit_open(const struct ff_context *ctx, const struct ff_offload *o, int axis, int64_t from, int64_t n,
                           int64_t size, enum ff_offload_use use, struct ff_offload_visit *v);
bool ff_offload_visit_next(struct ff_offload_visit *v, struct ff_tensor *ret);

/* Indices of an axis of which two pieces take up to `bytes`, in several pieces, so that copies run beside the work; all
 * of them where the tensor is not away. */
int64_t ff_offload_size(const struct ff_offload *o, int axis, int64_t bytes);

#endif
