/* SPDX-License-Identifier: Apache-2.0
 * nccl: sends and receives among emulated GPUs, by MPI. As every stream runs at once, a group is over at its end. Its
 * communicators are those of all ranks.
 */
#include "nccl.h"

#define OMPI_SKIP_MPICXX
#include <mpi.h>

#include <vector>

struct ncclComm {
    MPI_Comm all;
};

static std::vector<MPI_Request> going;

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    *id = {};
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int size, ncclUniqueId, int rank)
{
    int n, own;
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    MPI_Comm_rank(MPI_COMM_WORLD, &own);
    if (n != size || own != rank)
        return ncclInvalidArgument;
    *comm = new ncclComm();
    MPI_Comm_dup(MPI_COMM_WORLD, &(*comm)->all);
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    MPI_Comm_free(&comm->all);
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t *result)
{
    *result = ncclSuccess;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t) { return "refused by the emulated NCCL"; }
const char *ncclGetLastError(ncclComm_t) { return ""; }
ncclResult_t ncclGroupStart() { return going.empty() ? ncclSuccess : ncclInvalidArgument; }

ncclResult_t ncclGroupEnd()
{
    MPI_Waitall((int)going.size(), going.data(), MPI_STATUSES_IGNORE);
    going.clear();
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *p, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t)
{
    going.push_back(MPI_REQUEST_NULL);
    MPI_Isend(p, (int)count, MPI_BYTE, peer, 0, comm->all, &going.back());
    return ncclSuccess;
}

ncclResult_t ncclRecv(void *p, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t)
{
    going.push_back(MPI_REQUEST_NULL);
    MPI_Irecv(p, (int)count, MPI_BYTE, peer, 0, comm->all, &going.back());
    return ncclSuccess;
}
