/* SPDX-License-Identifier: Apache-2.0
 * triangle_fused: the fused bf16 kernels of triangle multiplication. Each returns false, having done nothing, where
 * types, sizes or alignment are not its own; triangle.cu then does the work in steps.
 */
#ifndef FF_CUDA_TRIANGLE_FUSED_CUH
#define FF_CUDA_TRIANGLE_FUSED_CUH

#include "common.cuh"

bool ff_cuda_triangle_project_fused(struct ff_backend *be, const struct ff_triangle_project_args *a);
bool ff_cuda_triangle_output_fused(struct ff_backend *be, const struct ff_triangle_output_args *a);

#endif
