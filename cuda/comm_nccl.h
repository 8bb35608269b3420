/* SPDX-License-Identifier: Apache-2.0
 * comm_nccl: the communicator on GPU memory. C only; included by parallel/comm.c where HAVE_NCCL is defined.
 */
#ifndef FF_CUDA_COMM_NCCL_H
#define FF_CUDA_COMM_NCCL_H

#ifdef __cplusplus
extern "C" {
#endif

#include "parallel/comm.h"

/* The ranks of host, one GPU each: be is this rank's cuda backend, unwrapped. Takes over host, also when it fails, and
 * uses it for the calls on host memory. Collective. FF_EGPU with NCCL's reason. */
ff_status ff_comm_nccl_create(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret) FF_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
