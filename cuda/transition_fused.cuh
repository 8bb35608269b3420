/* SPDX-License-Identifier: Apache-2.0
 * transition_fused: the fused bf16 kernel of the transition. Returns false, having done nothing, where types, sizes or
 * alignment are not its own; transition.cu then does the work in steps.
 */
#ifndef FF_CUDA_TRANSITION_FUSED_CUH
#define FF_CUDA_TRANSITION_FUSED_CUH

#include "common.cuh"

bool ff_cuda_transition_fused(struct ff_backend *be, const struct ff_transition_args *a);

#endif
