/* SPDX-License-Identifier: Apache-2.0
 * device: the CUDA backend's own data. For backend.cu and gemm.cu; everything else goes through common.cuh.
 */
#ifndef FF_CUDA_DEVICE_CUH
#define FF_CUDA_DEVICE_CUH

#include <vector>

#include "common.cuh"

struct ff_cuda_products;                     /* cached cuBLASLt plans: gemm.cu */

/* Pinned memory that uploads pass through, so that the host need not wait for the GPU: slot after slot. There are more
 * than a few where uploads of a pass come while the GPU has much to do before it takes them. */
enum { FF_CUDA_SLOTS = 4, FF_CUDA_MOST_SLOTS = 32, FF_CUDA_SLOT_BYTES = 8 << 20 };
struct ff_cuda_pinned {
    char *memory;
    cudaEvent_t free;                        /* recorded behind the last copy from or to it */
};

struct ff_cuda_device {
    int index;
    int sm_count, lent;                      /* multiprocessors, and how many of them other kernels have for now */
    int major, minor;
    bool wgmma;
    cudaStream_t stream;
    cudaStream_t copies;                     /* to and from the host beside the ops */
    cudaEvent_t issued, copied;              /* behind the last op, the last copy, when a copy began */
    char *workspace;
    size_t workspace_bytes, used;
    size_t total, context, others;           /* bytes of the GPU, of this process at its start, of other programs */
    std::vector<ff_cuda_pinned> slots;
    size_t slot;                             /* whose turn it is */
    std::vector<cudaEvent_t> moments;        /* made and not in use */
    bool in_stage;                           /* a range of the profilers is open */
    struct ff_cuda_products *products;
};

static inline struct ff_cuda_device *ff_cuda_device_of(struct ff_backend *be)
{
    return (struct ff_cuda_device *)be->impl;
}

struct ff_cuda_products *ff_cuda_products_create(void);          /* NULL when cuBLASLt does not start */
void ff_cuda_products_destroy(struct ff_cuda_products *p);
size_t ff_cuda_products_bytes(void);                             /* device memory that it holds */

#endif
