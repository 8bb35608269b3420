/* SPDX-License-Identifier: Apache-2.0
 * common: what all CUDA files share: the backend's stream and workspace, addressing of strided rows on the device,
 * number conversion, reductions, the matrix product and the passes that bring rows into and out of contiguous tiles.
 *
 * Rules: an op runs on ff_cuda_stream(be), allocates nothing and does not wait for the GPU. Its scratch is taken from
 * the workspace, which is a stack: struct ff_cuda_mark drops everything taken after it when it goes out of scope. Since
 * one stream runs everything in order, dropped memory may be taken again at once. Failures end the program.
 */
#ifndef FF_CUDA_COMMON_CUH
#define FF_CUDA_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "ptx.cuh"

extern "C" {
#include "compute/backend.h"

/* The ops, one function each. */
#define X(op) void ff_cuda_##op(struct ff_backend *be, const struct ff_##op##_args *a);
FF_OPS(X)
#undef X
}

typedef __nv_bfloat16 bf16;
struct f16 {                             /* a float16 number */
    uint16_t bits;
};

/* --- errors --- */
#define FF_CUDA(call)                                                                                              \
    do {                                                                                                           \
        cudaError_t ff_cuda_err_ = (call);                                                                         \
        if (ff_cuda_err_ != cudaSuccess)                                                                           \
            ff_die(FF_EGPU, __FILE__, __LINE__, "CUDA: %s (%s)", cudaGetErrorString(ff_cuda_err_), #call);         \
    } while (0)
/* After every launch. */
#define FF_CUDA_LAUNCHED() FF_CUDA(cudaGetLastError())

/* Launches a kernel that may begin before the one before it on the stream is over (sm_90), if early. It must call
 * after_kernels_before() before it touches anything that other kernels write or read; parameters it may read before.
 * Not for kernels behind products of the library: outer product mean took longer so. */
template <class... P, class... A>
void ff_cuda_launch_early(void (*kernel)(P...), unsigned blocks, unsigned threads, size_t shared, cudaStream_t stream,
                          bool early, const A &...a)
{
    cudaLaunchAttribute how_early = {};
    how_early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    how_early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = dim3(blocks);
    how.blockDim = dim3(threads);
    how.dynamicSmemBytes = shared;
    how.stream = stream;
    how.attrs = &how_early;
    how.numAttrs = early ? 1 : 0;
    FF_CUDA(cudaLaunchKernelEx(&how, kernel, a...));
}

/* --- stream and workspace --- */
cudaStream_t ff_cuda_stream(struct ff_backend *be);
/* Multiprocessors of this GPU, but those lent to kernels of other streams from now on. A kernel with a block for each,
 * and a fixed share of the work for each block, would end late by all of the time that the others take. */
int ff_cuda_sm_count(struct ff_backend *be);
void ff_cuda_lend(struct ff_backend *be, int n);
bool ff_cuda_has_wgmma(struct ff_backend *be);       /* kernels of wgmma.cuh run here */

/* Bytes that can still be taken; memory from the workspace, 256-byte aligned, contents undefined. */
size_t ff_cuda_left(struct ff_backend *be);
void *ff_cuda_take_bytes(struct ff_backend *be, size_t bytes);
template <class T> static inline T *ff_cuda_take(struct ff_backend *be, int64_t n)
{
    return (T *)ff_cuda_take_bytes(be, (size_t)n * sizeof(T));
}

size_t ff_cuda_used(struct ff_backend *be);
void ff_cuda_drop(struct ff_backend *be, size_t used);
struct ff_cuda_mark {
    struct ff_backend *be;
    size_t used;
    explicit ff_cuda_mark(struct ff_backend *b) : be(b), used(ff_cuda_used(b)) {}
    ~ff_cuda_mark() { ff_cuda_drop(be, used); }
    ff_cuda_mark(const ff_cuda_mark &) = delete;
    ff_cuda_mark &operator=(const ff_cuda_mark &) = delete;
};

/* Intermediates of this size stay in the second-level cache between the kernels of one op: rows per piece so that
 * rows * bytes_per_row is about that, evened out, never more than what is left of the workspace. */
#ifndef FF_CUDA_TILE_KIB
#define FF_CUDA_TILE_KIB (32 << 10) /* the emulated GPU of the tests has little, so that small cases come in pieces */
#endif
static const size_t FF_CUDA_TILE_BYTES = (size_t)FF_CUDA_TILE_KIB << 10;
int64_t ff_cuda_tile_rows(struct ff_backend *be, int64_t n_row, size_t bytes_per_row);

/* --- numbers --- */
static inline bool ff_is_bf16(const struct ff_tensor *t) { return t->dtype == FF_BF16; }

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(f16 x) { return unpack_f16(x.bits).x; }
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }
template <> __device__ __forceinline__ f16 from_float<f16>(float x) { return {(uint16_t)pack_f16(x, 0.0f)}; }

/* Four consecutive numbers; the address is a multiple of 4 elements. */
__device__ __forceinline__ float4 load4(const float *p) { return *(const float4 *)p; }
__device__ __forceinline__ float4 load4(const bf16 *p)
{
    uint2 v = *(const uint2 *)p;
    return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u), __uint_as_float(v.y << 16),
                       __uint_as_float(v.y & 0xffff0000u));
}
__device__ __forceinline__ float4 load4(const f16 *p)
{
    uint2 v = *(const uint2 *)p;
    float2 a = unpack_f16(v.x), b = unpack_f16(v.y);
    return make_float4(a.x, a.y, b.x, b.y);
}
__device__ __forceinline__ void store4(float *p, float4 v) { *(float4 *)p = v; }
__device__ __forceinline__ void store4(bf16 *p, float4 v)
{
    __nv_bfloat162 a = __floats2bfloat162_rn(v.x, v.y), b = __floats2bfloat162_rn(v.z, v.w);
    *(uint2 *)p = make_uint2(*(unsigned *)&a, *(unsigned *)&b);
}

__device__ __forceinline__ void store4(f16 *p, float4 v)
{
    *(uint2 *)p = make_uint2(pack_f16(v.x, v.y), pack_f16(v.z, v.w));
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* Calls f(T()) with the type of t: float or bf16. */
template <class F> static inline void ff_cuda_with_type(enum ff_dtype t, F &&f)
{
    FF_ASSERT(t == FF_F32 || t == FF_BF16);
    if (t == FF_BF16)
        f(bf16());
    else
        f(float());
}
/* The same with float16, which operands of attention may be. */
template <class F> static inline void ff_cuda_with_stored(enum ff_dtype t, F &&f)
{
    if (t == FF_F16)
        f(f16());
    else
        ff_cuda_with_type(t, f);
}

/* --- addresses: the rows of a tensor [.., c] numbered in C order over its leading axes, whatever the strides --- */
struct ff_cuda_rows {
    int64_t s0, s1, s2;          /* element strides of up to three leading axes, after joining those that allow it */
    unsigned n1, n2;             /* sizes of the two inner ones */
    __device__ __forceinline__ int64_t at(unsigned row) const
    {
        if (n1 == 1 && n2 == 1)
            return row * s0;
        unsigned a = row / n2, i2 = row - a * n2, i0 = a / n1, i1 = a - i0 * n1;
        return i0 * s0 + i1 * s1 + i2 * s2;
    }
};
/* Of the first n_axis axes of t: t->ndim - 1 for rows [.., c], t->ndim for elements (masks). At most 2^32 rows. */
struct ff_cuda_rows ff_cuda_rows_of(const struct ff_tensor *t, int n_axis);
int64_t ff_cuda_row_count(const struct ff_tensor *t, int n_axis);

/* May rows be read and written n elements at a time (base, strides and length are multiples of n elements, and the base
 * address of n * element size)? */
bool ff_cuda_aligned(const struct ff_tensor *t, int n);

/* --- reductions --- */
__device__ __forceinline__ float warp_sum(float x)
{
    for (int d = 16; d > 0; d >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}
__device__ __forceinline__ float warp_max(float x)
{
    for (int d = 16; d > 0; d >>= 1)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}
/* Over a block of whole warps; every thread gets the result. shared: 32 floats, free again after the call. */
__device__ __forceinline__ float block_sum(float x, float *shared)
{
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x % 32 < (blockDim.x + 31) / 32 ? shared[threadIdx.x % 32] : 0.0f;
    x = warp_sum(x);
    __syncthreads();
    return x;
}
__device__ __forceinline__ float block_max(float x, float *shared)
{
    x = warp_max(x);
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x % 32 < (blockDim.x + 31) / 32 ? shared[threadIdx.x % 32] : -3.0e38f;
    x = warp_max(x);
    __syncthreads();
    return x;
}

/* --- products --- */
/* C[m, n] = act(alpha op(A)[m, k] op(B)[k, n] + beta C + bias[n]), all row-major, batch of them.
 * The type of B decides the arithmetic: with B bf16, A must be bf16 (tensor cores, float32 sums; C bf16 or float32);
 * with B float32, A and C must be float32 (float32 arithmetic, split into three TF32 products where that is
 * faster, or TF32 under that precision). bias is float32 whatever the types. relu needs beta 0. */
struct ff_cuda_gemm_args {
    int64_t m, n, k;
    int64_t batch;               /* 0 or 1: one */
    const void *a;
    enum ff_dtype a_type;
    int64_t lda, a_batch;        /* distance of rows, of matrices */
    bool a_trans;                /* a is stored [k, m] */
    const void *b;
    enum ff_dtype b_type;
    int64_t ldb, b_batch;
    bool b_trans;                /* b is stored [n, k] */
    void *c;
    enum ff_dtype c_type;
    int64_t ldc, c_batch;
    float alpha, beta;           /* alpha 0 means 1 */
    const float *bias;           /* [n] or NULL */
    bool relu;
    bool tf32;                   /* float32 operands that hold TF32 numbers: multiplied as such */
    bool f16;                    /* what types call bf16 are float16 numbers */
};
void ff_cuda_gemm(struct ff_backend *be, const struct ff_cuda_gemm_args *g);

/* y[i] = x[i], n contiguous numbers, between float32 and bf16. */
void ff_cuda_convert(struct ff_backend *be, void *y, enum ff_dtype y_type, const void *x, enum ff_dtype x_type,
                     int64_t n);
/* The numbers of a contiguous tensor as that type: t->data itself, or a converted copy in the workspace. */
const void *ff_cuda_as_type(struct ff_backend *be, const struct ff_tensor *t, enum ff_dtype type);

/* --- rows into tiles, tiles into rows --- */
/* y[r, :] = pre(x[row + r, :]), r < rows, y contiguous [rows, ld] (ld >= c; columns c .. ld - 1 become 0).
 * pre: LN when norm is present (NULL or absent: none), then relu if asked. */
void ff_cuda_load_rows(struct ff_backend *be, void *y, enum ff_dtype y_type, int64_t ld, const struct ff_tensor *x,
                       int64_t row, int64_t rows, const struct ff_norm *norm, bool relu);

/* out[row + r, :] = [out +] mask[row + r] * act(tile[r, :] + b); tile [rows, ld]. */
struct ff_cuda_store {
    const float *b;                      /* [n]; NULL: none */
    const struct ff_tensor *mask;        /* [..]; NULL or absent: none */
    bool relu, accumulate;
};
void ff_cuda_store_rows(struct ff_backend *be, const struct ff_tensor *out, int64_t row, int64_t rows, const void *tile,
                        enum ff_dtype tile_type, int64_t ld, const struct ff_cuda_store *how);

static inline const float *ff_cuda_floats(const struct ff_tensor *t)     /* NULL when absent */
{
    return t->ndim > 0 ? (const float *)t->data : NULL;
}

static inline unsigned ff_blocks(int64_t n, int64_t per_block) { return (unsigned)((n + per_block - 1) / per_block); }

#endif
