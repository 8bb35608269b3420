/* SPDX-License-Identifier: Apache-2.0
 * tensor: a view of numbers in host or device memory: pointer, type, shape, strides. Owns nothing; passed by value or
 * const pointer. Strides count elements; the last axis of every operand of an op is contiguous (stride 1) unless the
 * op says otherwise. A tensor with data == NULL and ndim == 0 ({0}) means "absent" where an op allows it.
 *
 * Under the plan backend data are offsets in an imaginary arena: never dereferenced, never NULL.
 */
#ifndef FF_COMPUTE_TENSOR_H
#define FF_COMPUTE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/array.h"

enum { FF_TENSOR_MAX_DIM = 5 };

struct ff_tensor {
    void *data;
    enum ff_dtype dtype;
    int ndim;
    int64_t shape[FF_TENSOR_MAX_DIM];
    int64_t stride[FF_TENSOR_MAX_DIM];
};

/* A contiguous tensor over data; shape has ndim entries. */
struct ff_tensor ff_tensor_make(void *data, enum ff_dtype dtype, int ndim, const int64_t *shape);
#define FF_SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

static inline bool ff_tensor_present(const struct ff_tensor *t) { return t->ndim > 0; }
int64_t ff_tensor_count(const struct ff_tensor *t);
size_t ff_tensor_bytes(const struct ff_tensor *t);            /* count * element size, whatever the strides */
bool ff_tensor_contiguous(const struct ff_tensor *t);
bool ff_tensor_same_shape(const struct ff_tensor *a, const struct ff_tensor *b);

/* Views: no data move. */
struct ff_tensor ff_tensor_slice(struct ff_tensor t, int axis, int64_t from, int64_t count);
struct ff_tensor ff_tensor_index(struct ff_tensor t, int axis, int64_t at);            /* drops the axis */
struct ff_tensor ff_tensor_transpose(struct ff_tensor t, int axis_a, int axis_b);
struct ff_tensor ff_tensor_reshape(struct ff_tensor t, int ndim, const int64_t *shape); /* contiguous t only */

/* Address of element [i, j, ...] along the leading axes, as the type wanted: FF_AT(float, t, i, j). Host data only. */
static inline int64_t ff_tensor_offset(const struct ff_tensor *t, int n, const int64_t *index)
{
    int64_t at = 0;
    for (int d = 0; d < n; d++)
        at += index[d] * t->stride[d];
    return at;
}
#define FF_AT(type, t, ...) \
    ((type *)(t)->data + ff_tensor_offset((t), (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
                                          (const int64_t[]){__VA_ARGS__}))

#endif
