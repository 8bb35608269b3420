/* SPDX-License-Identifier: Apache-2.0
 * cuda_runtime: as much of CUDA as cuda/ uses, on one thread of the processor, so that the kernels are tested where
 * there is no GPU. translate.sh turns launches into calls of emulator_launch().
 *
 * Every GPU thread is a coroutine that runs until it waits for its block or its warp. Blocks run one after the other;
 * __shared__ variables are static. The order of the threads between two waits is chosen by $FF_EMULATOR_ORDER
 * (forward, backward, or a number that seeds a shuffle), which shows missing barriers. Threads of one warp that wait
 * for different things, a barrier that some threads left out and copies that nobody waited for end the program.
 */
#ifndef FF_TEST_EMULATOR_CUDA_RUNTIME_H
#define FF_TEST_EMULATOR_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <functional>

#define __device__
#define __global__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct float3 {
    float x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }

/* --- threads --- */

typedef struct emulator_stream *cudaStream_t;

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

void emulator_launch(const std::function<void()> &kernel, dim3 grid, dim3 block, size_t shared = 0,
                     cudaStream_t stream = NULL);
void *emulator_shared();                         /* dynamic shared memory of the block, filled with NaNs */

enum emulator_meeting { EMULATOR_SHUFFLE = 1, EMULATOR_VOTE, EMULATOR_MATRIX, EMULATOR_PRODUCT, EMULATOR_WARP };
/* Leaves size bytes for the other threads of the warp, waits for all of them, and returns where they left theirs:
 * 32 slots of EMULATOR_SLOT bytes, valid until this thread's next meeting but one. nth: how many threads of the warp
 * have gone on before this one; to be asked for by all or by none. */
enum { EMULATOR_SLOT = 64, EMULATOR_WARPS = 32 };
const char *emulator_meet(enum emulator_meeting what, const void *own, size_t size, int *nth = NULL);
int emulator_lane();
int emulator_warp();
[[noreturn]] void emulator_fail(const char *what);
void emulator_barrier();
int emulator_barrier_or(int value);

static inline void __syncthreads() { emulator_barrier(); }
static inline int __syncthreads_or(int value) { return emulator_barrier_or(value); }
static inline void __syncwarp(unsigned = 0xffffffffu) { (void)emulator_meet(EMULATOR_WARP, NULL, 0); }

template <class T> static inline T emulator_from_lane(const char *slots, int lane)
{
    T value;
    memcpy(&value, slots + lane * EMULATOR_SLOT, sizeof value);
    return value;
}
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int mask)
{
    return emulator_from_lane<T>(emulator_meet(EMULATOR_SHUFFLE, &value, sizeof value), emulator_lane() ^ mask);
}
template <class T> static inline T __shfl_sync(unsigned, T value, int lane)
{
    return emulator_from_lane<T>(emulator_meet(EMULATOR_SHUFFLE, &value, sizeof value), lane & 31);
}
template <class T> static inline T __shfl_down_sync(unsigned, T value, int by)
{
    int from = emulator_lane() + by < 32 ? emulator_lane() + by : emulator_lane();
    return emulator_from_lane<T>(emulator_meet(EMULATOR_SHUFFLE, &value, sizeof value), from);
}
static inline unsigned __ballot_sync(unsigned, int value)
{
    const char *slots = emulator_meet(EMULATOR_VOTE, &value, sizeof value);
    unsigned r = 0;
    for (int i = 0; i < 32; i++)
        r |= (emulator_from_lane<int>(slots, i) != 0 ? 1u : 0u) << i;
    return r;
}
static inline unsigned __reduce_max_sync(unsigned, unsigned value)
{
    const char *slots = emulator_meet(EMULATOR_VOTE, &value, sizeof value);
    unsigned r = 0;
    for (int i = 0; i < 32; i++) {
        unsigned v = emulator_from_lane<unsigned>(slots, i);
        r = v > r ? v : r;
    }
    return r;
}
static inline int __all_sync(unsigned m, int value) { return __ballot_sync(m, value) == 0xffffffffu; }
static inline int __any_sync(unsigned m, int value) { return __ballot_sync(m, value) != 0; }

/* --- numbers --- */

static inline float __uint_as_float(unsigned x)
{
    float r;
    memcpy(&r, &x, sizeof r);
    return r;
}
static inline unsigned __float_as_uint(float x)
{
    unsigned r;
    memcpy(&r, &x, sizeof r);
    return r;
}
static inline float __int_as_float(int x) { return __uint_as_float((unsigned)x); }
static inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
#define __expf expf                              /* the C library has a __expf of its own */
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
template <class T> static inline T __ldg(const T *p) { return *p; }
static inline float atomicAdd(float *p, float x)
{
    float old = *p;
    *p += x;
    return old;
}
static inline unsigned atomicMax(unsigned *p, unsigned x)
{
    unsigned old = *p;
    *p = x > old ? x : old;
    return old;
}
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }

/* --- the runtime's functions --- */

enum cudaError_t {
    cudaSuccess,
    cudaErrorMemoryAllocation,
    cudaErrorInsufficientDriver,
    cudaErrorNoDevice,
    cudaErrorDevicesUnavailable,
    cudaErrorNoKernelImageForDevice,
    cudaErrorInvalidValue,
    cudaErrorNotReady,
};
enum cudaDeviceAttr {
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrMaxSharedMemoryPerBlockOptin,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum { cudaHostAllocDefault, cudaEventDisableTiming, cudaStreamNonBlocking };
typedef void *cudaEvent_t;
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
    size_t totalGlobalMem;
};
struct cudaFuncAttributes {
    int binaryVersion;
    size_t sharedSizeBytes;
};

cudaError_t cudaMalloc(void **p, size_t bytes);
template <class T> static inline cudaError_t cudaMalloc(T **p, size_t bytes) { return cudaMalloc((void **)p, bytes); }
cudaError_t cudaFree(void *p);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
/* The older of the two GPUs that are emulated, by $FF_EMULATOR_SM: 80, or (the default) 90 with the instructions of
 * sm_90a. */
bool emulator_is_sm80();

static inline cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned) { return cudaMalloc(p, bytes); }
static inline cudaError_t cudaFreeHost(void *p) { return cudaFree(p); }
static inline cudaError_t cudaGetLastError() { return cudaSuccess; }
static inline const char *cudaGetErrorString(cudaError_t) { return "emulated error"; }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) { return *s = NULL, cudaSuccess; }
static inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaEventCreate(cudaEvent_t *e) { return *e = NULL, cudaSuccess; }
static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { return *e = NULL, cudaSuccess; }
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
static inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
static inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
static inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t) { return *ms = 1.0f, cudaSuccess; }
static inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
static inline cudaError_t cudaGetDeviceCount(int *n) { return *n = 8, cudaSuccess; } /* one for each rank */
static inline cudaError_t cudaGetDevice(int *n) { return *n = 0, cudaSuccess; }
static inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
static inline cudaError_t cudaDriverGetVersion(int *n) { return *n = 13000, cudaSuccess; }
static inline cudaError_t cudaRuntimeGetVersion(int *n) { return *n = 13000, cudaSuccess; }
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = {"emulated GPU", emulator_is_sm80() ? 8 : 9, 0, 2, (size_t)1 << 30};
    return cudaSuccess;
}
template <class F> static inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, F)
{
    *a = {emulator_is_sm80() ? 80 : 90, emulator_is_sm80() ? 0u : 4u};
    return cudaSuccess;
}
static inline cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
static inline cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *most)
{
    *least = *most = 0;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned, int)
{
    return *s = NULL, cudaSuccess;
}

/* Copies of rows and planes of rows. */
struct cudaPitchedPtr {
    void *ptr;
    size_t pitch, xsize, ysize;
};
struct cudaExtent {
    size_t width, height, depth;
};
struct cudaMemcpy3DParms {
    cudaPitchedPtr srcPtr, dstPtr;
    cudaExtent extent;
    cudaMemcpyKind kind;
};
static inline cudaPitchedPtr make_cudaPitchedPtr(void *p, size_t pitch, size_t x, size_t y) { return {p, pitch, x, y}; }
static inline cudaExtent make_cudaExtent(size_t w, size_t h, size_t d) { return {w, h, d}; }
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms *p, cudaStream_t stream);

/* Memory of other processes of this machine, of what cudaMalloc gave. */
struct cudaIpcMemHandle_t {
    char reserved[64];
};
enum { cudaIpcMemLazyEnablePeerAccess = 1, cudaEnableDefault = 0 };
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *p);
cudaError_t cudaIpcOpenMemHandle(void **p, cudaIpcMemHandle_t handle, unsigned flags);
cudaError_t cudaIpcCloseMemHandle(void *p);

#define CUDART_VERSION 13000
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess, cudaDriverEntryPointSymbolNotFound };
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned version, unsigned flags,
                                             cudaDriverEntryPointQueryResult *found);

/* What a block may have on the GPUs supported that have least is not checked here; 227 KiB is the most anywhere. */
template <class F> static inline cudaError_t cudaFuncSetAttribute(F, cudaFuncAttribute, int bytes)
{
    return bytes <= 227 << 10 ? cudaSuccess : cudaErrorInvalidValue;
}

/* One kernel after the other, however they are launched. */
enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization };
struct cudaLaunchAttribute {
    enum cudaLaunchAttributeID id;
    struct {
        int programmaticStreamSerializationAllowed;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    struct cudaLaunchAttribute *attrs;
    unsigned numAttrs;
};
template <class... P, class... A>
static inline cudaError_t cudaLaunchKernelEx(const struct cudaLaunchConfig_t *how, void (*kernel)(P...), const A &...a)
{
    emulator_launch([&] { kernel(a...); }, how->gridDim, how->blockDim, how->dynamicSmemBytes, how->stream);
    return cudaSuccess;
}

#endif
