/* SPDX-License-Identifier: Apache-2.0
 * comm_peer: the communicator of GPUs that reach each other's memory. C only; included by parallel/comm.c where
 * HAVE_CUDA is defined.
 */
#ifndef FF_CUDA_COMM_PEER_H
#define FF_CUDA_COMM_PEER_H

#ifdef __cplusplus
extern "C" {
#endif

#include "parallel/comm.h"

/* The ranks of host, one GPU each: be is this rank's cuda backend, unwrapped. Takes over host and uses it for the calls
 * on host memory. Collective. FF_EGPU with the reason on all ranks where these GPUs do not reach each other's memory;
 * host is the caller's then. */
ff_status ff_comm_peer_create(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret) FF_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
