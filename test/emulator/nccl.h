/* SPDX-License-Identifier: Apache-2.0
 * nccl: as much of NCCL's interface as cuda/ uses, for emulated GPUs, whose memory MPI can send.
 */
#ifndef FF_TEST_EMULATOR_NCCL_H
#define FF_TEST_EMULATOR_NCCL_H

#include "cuda_runtime.h"

enum ncclResult_t { ncclSuccess, ncclInvalidArgument, ncclInProgress };
enum ncclDataType_t { ncclInt8 };
struct ncclUniqueId {
    char internal[128];
};
typedef struct ncclComm *ncclComm_t;

ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int size, ncclUniqueId id, int rank);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result);
const char *ncclGetErrorString(ncclResult_t result);
const char *ncclGetLastError(ncclComm_t comm);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclSend(const void *p, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t);
ncclResult_t ncclRecv(void *p, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t);

#endif
