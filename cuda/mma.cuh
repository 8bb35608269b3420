/* SPDX-License-Identifier: Apache-2.0
 * mma: the warp's matrix product of bf16 with float32 sums (mma.sync, sm_80 and later) and its loads from shared
 * memory.
 *
 * A tile of A is [16, 16], of B [16 (k), 8 (n)], of C [16, 8]. Lane l holds of C the rows l / 4 and l / 4 + 8, columns
 * 2 (l % 4) and + 1: c[0], c[1] of the first row, c[2], c[3] of the second. Rows in shared memory start at multiples of
 * 16 bytes; an odd multiple of 16 as their distance keeps the loads free of bank conflicts.
 */
#ifndef FF_CUDA_MMA_CUH
#define FF_CUDA_MMA_CUH

#include "common.cuh"
#include "ptx.cuh"

/* The address that this lane gives to ldmatrix, for one tile of A or two neighbouring tiles of B:
 *   A from x[m, k]: ldmatrix_x4;   A from x[k, m]: ldmatrix_x4_trans;
 *   B from x[k, n]: ldmatrix_x4_trans, r[0], r[1] the tile of columns n to n + 7, r[2], r[3] of n + 8 to n + 15. */
__device__ __forceinline__ unsigned mma_a_address(const bf16 *x, int pitch, int m, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (m + lane % 16) * pitch + k + lane / 16 * 8);
}
__device__ __forceinline__ unsigned mma_a_trans_address(const bf16 *x, int pitch, int m, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (k + lane / 16 * 8 + lane % 8) * pitch + m + lane / 8 % 2 * 8);
}
__device__ __forceinline__ unsigned mma_b_address(const bf16 *x, int pitch, int k, int n)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (k + lane % 16) * pitch + n + lane / 16 * 8);
}

/* sigmoid to the accuracy that bf16 needs, on the special function unit */
__device__ __forceinline__ float fast_sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

/* The two bf16 of 4 bytes. */
__device__ __forceinline__ float low_half(unsigned v) { return __uint_as_float(v << 16); }
__device__ __forceinline__ float high_half(unsigned v) { return __uint_as_float(v & 0xffff0000u); }

/* Eight bf16 of 16 bytes as floats and back. */
__device__ __forceinline__ void unpack8(float (&x)[8], uint4 v)
{
    const unsigned w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int k = 0; k < 4; k++) {
        x[2 * k] = __uint_as_float(w[k] << 16);
        x[2 * k + 1] = __uint_as_float(w[k] & 0xffff0000u);
    }
}
__device__ __forceinline__ unsigned pack2(float x, float y)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(x, y);
    return *(unsigned *)&v;
}
__device__ __forceinline__ uint4 pack8(const float (&x)[8])
{
    return make_uint4(pack2(x[0], x[1]), pack2(x[2], x[3]), pack2(x[4], x[5]), pack2(x[6], x[7]));
}

/* LN of one row of C bf16 channels, of which this lane has eight, in a group of C / 8 lanes; scale and offset point
 * at this lane's eight. */
template <int C>
__device__ __forceinline__ uint4 norm_row(uint4 raw, const float *scale, const float *offset)
{
    float x[8], sum = 0.0f, square = 0.0f;
    unpack8(x, raw);
#pragma unroll
    for (int k = 0; k < 8; k++)
        sum += x[k];
#pragma unroll
    for (int d = C / 16; d > 0; d >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, d);
    float mean = sum * (1.0f / C);
#pragma unroll
    for (int k = 0; k < 8; k++) {
        x[k] -= mean;
        square += x[k] * x[k];
    }
#pragma unroll
    for (int d = C / 16; d > 0; d >>= 1)
        square += __shfl_xor_sync(0xffffffffu, square, d);
    float inverse = rsqrtf(square * (1.0f / C) + 1e-5f);
#pragma unroll
    for (int k = 0; k < 8; k += 4) {
        float4 s = load4(scale + k), o = load4(offset + k);
        x[k] = x[k] * inverse * s.x + o.x;
        x[k + 1] = x[k + 1] * inverse * s.y + o.y;
        x[k + 2] = x[k + 2] * inverse * s.z + o.z;
        x[k + 3] = x[k + 3] * inverse * s.w + o.w;
    }
    return pack8(x);
}

/* LN of one row of C bf16 channels of which four lanes have a quarter each: lane t pieces of eight, from 8 t, 32 + 8 t
 * and so on. Scale and offset of all channels. */
template <int C>
__device__ __forceinline__ void norm_quarter(float (&x)[C / 4], const uint4 (&raw)[C / 32], const float *scale,
                                             const float *offset, int t)
{
    float sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int p = 0; p < C / 32; p++) {
        float piece[8];
        unpack8(piece, raw[p]);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            x[8 * p + k] = piece[k];
            sum += piece[k];
        }
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    float mean = sum * (1.0f / C);
#pragma unroll
    for (int k = 0; k < C / 4; k++) {
        x[k] -= mean;
        square += x[k] * x[k];
    }
    square += __shfl_xor_sync(0xffffffffu, square, 1);
    square += __shfl_xor_sync(0xffffffffu, square, 2);
    float inverse = rsqrtf(square * (1.0f / C) + 1e-5f);
#pragma unroll
    for (int k = 0; k < C / 4; k += 4) {
        int c = k / 8 * 32 + t * 8 + k % 8;
        float4 s = load4(scale + c), o = load4(offset + c);
        x[k] = x[k] * inverse * s.x + o.x;
        x[k + 1] = x[k + 1] * inverse * s.y + o.y;
        x[k + 2] = x[k + 2] * inverse * s.z + o.z;
        x[k + 3] = x[k + 3] * inverse * s.w + o.w;
    }
}

/* Moments of two neighbouring columns of C bf16, of which this lane has N pairs; the lanes FIRST, 2 FIRST, .. apart
 * have the others. x: of the lower half of the pairs, y: of the upper. */
template <int C, int FIRST, int N>
__device__ __forceinline__ void column_moments(const unsigned (&v)[N], float2 &mean, float2 &inverse)
{
    float2 sum = make_float2(0.0f, 0.0f), square = make_float2(0.0f, 0.0f);
#pragma unroll
    for (int k = 0; k < N; k++) {
        sum.x += low_half(v[k]);
        sum.y += high_half(v[k]);
    }
#pragma unroll
    for (int d = FIRST; d < 32; d <<= 1) {
        sum.x += __shfl_xor_sync(0xffffffffu, sum.x, d);
        sum.y += __shfl_xor_sync(0xffffffffu, sum.y, d);
    }
    mean = make_float2(sum.x * (1.0f / C), sum.y * (1.0f / C));
#pragma unroll
    for (int k = 0; k < N; k++) {
        float d0 = low_half(v[k]) - mean.x, d1 = high_half(v[k]) - mean.y;
        square.x += d0 * d0;
        square.y += d1 * d1;
    }
#pragma unroll
    for (int d = FIRST; d < 32; d <<= 1) {
        square.x += __shfl_xor_sync(0xffffffffu, square.x, d);
        square.y += __shfl_xor_sync(0xffffffffu, square.y, d);
    }
    inverse = make_float2(rsqrtf(square.x * (1.0f / C) + 1e-5f), rsqrtf(square.y * (1.0f / C) + 1e-5f));
}

#endif
