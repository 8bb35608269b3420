/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tensor.h"

struct ff_tensor ff_tensor_make(void *data, enum ff_dtype dtype, int ndim, const int64_t *shape)
{
    FF_ASSERT(ndim >= 1 && ndim <= FF_TENSOR_MAX_DIM);
    struct ff_tensor t = {.data = data, .dtype = dtype, .ndim = ndim};
    int64_t stride = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        FF_ASSERT(shape[d] >= 0);
        t.shape[d] = shape[d];
        t.stride[d] = stride;
        stride *= shape[d];
    }
    return t;
}

int64_t ff_tensor_count(const struct ff_tensor *t)
{
    int64_t n = t->ndim > 0 ? 1 : 0;
    for (int d = 0; d < t->ndim; d++)
        n *= t->shape[d];
    return n;
}

size_t ff_tensor_bytes(const struct ff_tensor *t)
{
    return (size_t)ff_tensor_count(t) * ff_dtype_size(t->dtype);
}

bool ff_tensor_contiguous(const struct ff_tensor *t)
{
    int64_t stride = 1;
    for (int d = t->ndim - 1; d >= 0; d--) {
        /* The stride of an axis of size 1 is never used. */
        if (t->shape[d] != 1 && t->stride[d] != stride)
            return false;
        stride *= t->shape[d];
    }
    return true;
}

bool ff_tensor_same_shape(const struct ff_tensor *a, const struct ff_tensor *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int d = 0; d < a->ndim; d++)
        if (a->shape[d] != b->shape[d])
            return false;
    return true;
}

/* Pointer arithmetic through integers: under the plan backend data are offsets in no object at all. */
static void *element(const struct ff_tensor *t, int64_t at)
{
    return (void *)((uintptr_t)t->data + (uintptr_t)at * ff_dtype_size(t->dtype));
}

struct ff_tensor ff_tensor_slice(struct ff_tensor t, int axis, int64_t from, int64_t count)
{
    FF_ASSERT(axis >= 0 && axis < t.ndim);
    FF_ASSERT(from >= 0 && count >= 0 && from + count <= t.shape[axis]);
    t.data = element(&t, from * t.stride[axis]);
    t.shape[axis] = count;
    return t;
}

struct ff_tensor ff_tensor_index(struct ff_tensor t, int axis, int64_t at)
{
    FF_ASSERT(t.ndim >= 2);
    t = ff_tensor_slice(t, axis, at, 1);
    t.ndim--;
    for (int d = axis; d < t.ndim; d++) {
        t.shape[d] = t.shape[d + 1];
        t.stride[d] = t.stride[d + 1];
    }
    t.shape[t.ndim] = t.stride[t.ndim] = 0;
    return t;
}

struct ff_tensor ff_tensor_transpose(struct ff_tensor t, int axis_a, int axis_b)
{
    FF_ASSERT(axis_a >= 0 && axis_a < t.ndim && axis_b >= 0 && axis_b < t.ndim);
    int64_t shape = t.shape[axis_a], stride = t.stride[axis_a];
    t.shape[axis_a] = t.shape[axis_b];
    t.stride[axis_a] = t.stride[axis_b];
    t.shape[axis_b] = shape;
    t.stride[axis_b] = stride;
    return t;
}

struct ff_tensor ff_tensor_reshape(struct ff_tensor t, int ndim, const int64_t *shape)
{
    FF_ASSERT(ff_tensor_contiguous(&t));
    struct ff_tensor r = ff_tensor_make(t.data, t.dtype, ndim, shape);
    FF_ASSERT(ff_tensor_count(&r) == ff_tensor_count(&t));
    return r;
}
