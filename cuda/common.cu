/* SPDX-License-Identifier: Apache-2.0
 * common: what every op asks of the backend before it starts a kernel: stream, workspace, addresses of rows.
 */
#include <algorithm>

#include "device.cuh"

/* --- stream and workspace --- */

cudaStream_t ff_cuda_stream(struct ff_backend *be) { return ff_cuda_device_of(be)->stream; }
int ff_cuda_sm_count(struct ff_backend *be)
{
    const struct ff_cuda_device *d = ff_cuda_device_of(be);
    return d->sm_count - d->lent;
}
void ff_cuda_lend(struct ff_backend *be, int n)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    d->lent = std::min(n, d->sm_count - 1);
}
bool ff_cuda_has_wgmma(struct ff_backend *be) { return ff_cuda_device_of(be)->wgmma; }
size_t ff_cuda_used(struct ff_backend *be) { return ff_cuda_device_of(be)->used; }
void ff_cuda_drop(struct ff_backend *be, size_t used) { ff_cuda_device_of(be)->used = used; }

size_t ff_cuda_left(struct ff_backend *be)
{
    const struct ff_cuda_device *d = ff_cuda_device_of(be);
    return d->workspace_bytes - d->used;
}

void *ff_cuda_take_bytes(struct ff_backend *be, size_t bytes)
{
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    bytes = (bytes + 255) / 256 * 256;
    if (bytes > d->workspace_bytes - d->used)
        ff_die(FF_EINTERNAL, __FILE__, __LINE__, "cuda workspace: %zu bytes wanted, %zu of %zu left", bytes,
               d->workspace_bytes - d->used, d->workspace_bytes);
    void *p = d->workspace + d->used;
    d->used += bytes;
    return p;
}

int64_t ff_cuda_tile_rows(struct ff_backend *be, int64_t n_row, size_t bytes_per_row)
{
    size_t room = std::min(FF_CUDA_TILE_BYTES, ff_cuda_left(be) / 2);
    int64_t rows = std::max<int64_t>(1, (int64_t)(room / std::max<size_t>(1, bytes_per_row)));
    if (rows >= n_row)
        return std::max<int64_t>(1, n_row);
    int64_t pieces = (n_row + rows - 1) / rows;
    rows = (n_row + pieces - 1) / pieces;
    /* Whole tiles of the products, where that is little more: a row may be a whole matrix. */
    return rows < 1024 ? rows : std::min(n_row, (rows + 127) / 128 * 128);
}

/* --- addresses --- */

struct ff_cuda_rows ff_cuda_rows_of(const struct ff_tensor *t, int n_axis)
{
    int64_t shape[FF_TENSOR_MAX_DIM], stride[FF_TENSOR_MAX_DIM];
    int n = 0;
    for (int d = 0; d < n_axis; d++) {
        if (t->shape[d] == 1)
            continue;
        if (n > 0 && stride[n - 1] == t->stride[d] * t->shape[d]) {
            shape[n - 1] *= t->shape[d];
            stride[n - 1] = t->stride[d];
        } else {
            shape[n] = t->shape[d];
            stride[n++] = t->stride[d];
        }
    }
    FF_ASSERT(n <= 3);
    struct ff_cuda_rows r = {0, 0, 0, 1, 1};
    if (n == 1) {
        r.s0 = stride[0];
    } else if (n == 2) {
        r = {stride[0], 0, stride[1], 1, (unsigned)shape[1]};
    } else if (n == 3) {
        r = {stride[0], stride[1], stride[2], (unsigned)shape[1], (unsigned)shape[2]};
    }
    return r;
}

int64_t ff_cuda_row_count(const struct ff_tensor *t, int n_axis)
{
    int64_t n = 1;
    for (int d = 0; d < n_axis; d++)
        n *= t->shape[d];
    FF_ASSERT(n < (int64_t)UINT32_MAX);
    return n;
}

bool ff_cuda_aligned(const struct ff_tensor *t, int n)
{
    if ((uintptr_t)t->data % ((size_t)n * ff_dtype_size(t->dtype)) != 0 || t->shape[t->ndim - 1] % n != 0 ||
        t->stride[t->ndim - 1] != 1)
        return false;
    for (int d = 0; d < t->ndim - 1; d++)
        if (t->shape[d] > 1 && t->stride[d] % n != 0)
            return false;
    return true;
}
