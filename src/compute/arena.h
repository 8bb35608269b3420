/* SPDX-License-Identifier: Apache-2.0
 * arena: one block of memory used as a stack of tensors. State is pushed first and stays; scratch is pushed above a
 * mark and dropped by releasing it. No memory is allocated after ff_arena_init.
 *
 * The same pushes made under the plan backend (base == NULL, measuring) give the peak without any memory, so that the
 * planner runs the model's own code and cannot disagree with it.
 */
#ifndef FF_COMPUTE_ARENA_H
#define FF_COMPUTE_ARENA_H

#include "compute/tensor.h"

struct ff_arena {
    char *base;             /* NULL while measuring */
    size_t size;            /* bytes; SIZE_MAX while measuring */
    size_t used;
    size_t peak;            /* largest used so far */
};

enum { FF_ARENA_ALIGN = 256 };

void ff_arena_init(struct ff_arena *a, void *base, size_t size);
void ff_arena_init_measuring(struct ff_arena *a);
/* A contiguous tensor of that shape, contents undefined. Running out is a broken plan: ends the program. */
struct ff_tensor ff_arena_push(struct ff_arena *a, enum ff_dtype dtype, int ndim, const int64_t *shape);
static inline size_t ff_arena_mark(const struct ff_arena *a) { return a->used; }
void ff_arena_release(struct ff_arena *a, size_t mark);

#endif
