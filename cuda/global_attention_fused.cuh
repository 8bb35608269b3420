/* SPDX-License-Identifier: Apache-2.0
 * global_attention_fused: the fused bf16 kernels of global attention. Returns false, having done nothing, where types,
 * sizes or alignment are not their own; global_attention.cu then does the work in steps.
 */
#ifndef FF_CUDA_GLOBAL_ATTENTION_FUSED_CUH
#define FF_CUDA_GLOBAL_ATTENTION_FUSED_CUH

#include "common.cuh"

bool ff_cuda_global_attention_fused(struct ff_backend *be, const struct ff_global_attention_args *a);

#endif
