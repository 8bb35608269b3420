/* SPDX-License-Identifier: Apache-2.0
 * cuda: as much of the driver's interface as cuda/ uses: flags that streams wait for. As every stream runs at once,
 * waiting keeps the process until another one has written the flag.
 */
#ifndef FF_TEST_EMULATOR_CUDA_H
#define FF_TEST_EMULATOR_CUDA_H

#include "cuda_runtime.h"

typedef unsigned long long CUdeviceptr;
typedef uint32_t cuuint32_t;
typedef cudaStream_t CUstream;
enum CUresult { CUDA_SUCCESS, CUDA_ERROR_INVALID_VALUE };
enum CUstreamBatchMemOpType { CU_STREAM_MEM_OP_WAIT_VALUE_32 = 1, CU_STREAM_MEM_OP_WRITE_VALUE_32 = 2 };
enum { CU_STREAM_WAIT_VALUE_GEQ = 0 };
union CUstreamBatchMemOpParams {
    CUstreamBatchMemOpType operation;
    struct {
        CUstreamBatchMemOpType operation;
        CUdeviceptr address;
        cuuint32_t value;
        unsigned flags;
    } waitValue, writeValue;
};

#endif
