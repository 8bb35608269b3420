/* SPDX-License-Identifier: Apache-2.0
 * dense_wgmma: the fused bf16 kernels of the dense layers for GPUs with the products of warpgroups. Each returns
 * false, having done nothing, where the GPU, types, sizes or alignment are not its own; its caller then does the work
 * in steps.
 */
#ifndef FF_CUDA_DENSE_WGMMA_CUH
#define FF_CUDA_DENSE_WGMMA_CUH

#include "common.cuh"

bool ff_cuda_linear_wgmma(struct ff_backend *be, const struct ff_linear_args *a);
bool ff_cuda_transition_wgmma(struct ff_backend *be, const struct ff_transition_args *a);

#endif
