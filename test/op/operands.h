/* SPDX-License-Identifier: Apache-2.0
 * operands: for tests that give an op chosen numbers: the backend that $FF_TEST_DEVICE and $FF_TEST_PRECISION say, as
 * test_ops takes it, but not with bfloat16, where the numbers are too coarse; and tensors in its memory.
 */
#ifndef FF_TEST_OP_OPERANDS_H
#define FF_TEST_OP_OPERANDS_H

#include "unit/testing.h"

#include "compute/backend.h"

static struct ff_backend *backend;
static void *memory[64];
static int n_memory;

/* A tensor in the backend's memory with the contents of host (NULL: zeros), freed by drop(). */
static inline struct ff_tensor put(enum ff_dtype dtype, const void *host, int ndim, const int64_t *shape)
{
    struct ff_tensor t = ff_tensor_make(NULL, dtype, ndim, shape);
    size_t bytes = ff_tensor_bytes(&t);
    void *zeros = ff_xcalloc(bytes, 1);
    assert_true(n_memory < (int)(sizeof memory / sizeof memory[0]));
    assert_ok(backend->alloc(backend, bytes, &t.data));
    memory[n_memory++] = t.data;
    backend->upload(backend, &t, host ? host : zeros);
    free(zeros);
    return t;
}
#define FLOATS(host, ...) put(FF_F32, host, FF_SHAPE(__VA_ARGS__))
#define INTS(host, ...) put(FF_I32, host, FF_SHAPE(__VA_ARGS__))

static inline int drop(void **state)
{
    (void)state;
    while (n_memory > 0)
        backend->release(backend, memory[--n_memory]);
    return 0;
}

/* Numbers in [-1, 1] without much order. */
static inline float wave(int i) { return (float)sin(1.3 * i + 0.2 * (i % 7)); }

static inline int make_backend(void **state)
{
    (void)state;
    const char *device = getenv("FF_TEST_DEVICE"), *precision = getenv("FF_TEST_PRECISION");
    bool cuda = device && strcmp(device, "cuda") == 0;
    enum ff_precision p = precision && strcmp(precision, "tf32") == 0 ? FF_PRECISION_TF32 : FF_PRECISION_FP32;
    if (ff_backend_create(cuda ? FF_DEVICE_CUDA : FF_DEVICE_CPU, p, 3, &backend) == FF_OK)
        return 0;
    print_error("%s\n", ff_status_message());
    return 1;
}

static inline int drop_backend(void **state)
{
    (void)state;
    ff_backend_destroy(backend);
    return 0;
}

#endif
