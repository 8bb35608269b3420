/* SPDX-License-Identifier: Apache-2.0
 * block: a tensor that is copied to another of the same shape, as rows of bytes: as few and as long rows as their
 * strides allow.
 */
#ifndef FF_PARALLEL_BLOCK_H
#define FF_PARALLEL_BLOCK_H

#include "compute/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows [n[2], n[1], n[0]] of width bytes; n is 1 for axes that are not needed. The side a (b) of row (k, j, i) begins
 * at k a[2] + j a[1] + i a[0]. */
enum { FF_BLOCK_AXES = 3 };
struct ff_block {
    size_t width, n[FF_BLOCK_AXES], a[FF_BLOCK_AXES], b[FF_BLOCK_AXES];
};

/* shape [ndim] of elements of that size, strides in elements, the last of them 1 on both sides; some elements. */
struct ff_block ff_block_make(size_t element, int ndim, const int64_t *shape, const int64_t *a, const int64_t *b);

/* Both on the host. */
void ff_block_copy(const struct ff_block *k, void *b, const void *a);

#ifdef __cplusplus
}
#endif

#endif
