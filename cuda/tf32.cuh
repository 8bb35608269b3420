/* SPDX-License-Identifier: Apache-2.0
 * tf32: products of float32 numbers on the matrix units, by mma_tf32 of a warp. A number is the sum of two TF32
 * numbers, x = hi + lo: three products, lo hi + hi lo + hi hi, keep float32 accuracy; the tf32 precision takes hi hi.
 *
 * Both operands lie in shared memory with the summed axis inside: A [m, k], B [n, k], at multiples of 16 bytes; a
 * row distance of 4 (mod 8) numbers keeps the loads free of bank conflicts. Four floats are a row of the 8 x 8 matrices
 * that ldmatrix moves.
 */
#ifndef FF_CUDA_TF32_CUH
#define FF_CUDA_TF32_CUH

#include "common.cuh"
#include "ptx.cuh"

/* What this lane gives to ldmatrix_x4: for A the tile [16, 8] at (m, k); for B the tiles [8, 8] at (n, k), in r[0] and
 * r[1], and (n + 8, k), in r[2] and r[3]. */
__device__ __forceinline__ unsigned tf32_a_address(const float *x, int pitch, int m, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (m + lane % 16) * pitch + k + lane / 16 * 4);
}
__device__ __forceinline__ unsigned tf32_b_address(const float *x, int pitch, int n, int k)
{
    int lane = (int)threadIdx.x % 32;
    return shared_address(x + (n + lane / 16 * 8 + lane % 8) * pitch + k + lane / 8 % 2 * 4);
}

/* How B has to be stored: under tf32 it is rounded once, not by every warp that reads it. */
template <bool TF32> __device__ __forceinline__ float tf32_stored(float x)
{
    return TF32 ? __uint_as_float(to_tf32(x)) : x;
}

/* x becomes hi, rounded to nearest. What lo has below its TF32 digits, half a unit in the last place of x at most, the
 * product ignores. Of an x that is no number lo is none either, whatever the sum makes of hi. */
__device__ __forceinline__ void tf32_split(unsigned (&x)[4], unsigned (&lo)[4])
{
#pragma unroll
    for (int k = 0; k < 4; k++) {
        float v = __uint_as_float(x[k]);
        x[k] = (x[k] + 0x1000u) & 0xffffe000u;
        lo[k] = __float_as_uint(v - __uint_as_float(x[k]));
    }
}

/* c [M 16, N 8] += A B^T over K numbers from the addresses on, in tiles of 16 x 8. */
template <bool TF32, int M, int N, int K>
__device__ __forceinline__ void tf32_multiply(float (&c)[M][N][4], unsigned a_address, int a_pitch, unsigned b_address,
                                              int b_pitch)
{
    static_assert(N % 2 == 0 && K % 8 == 0, "whole tiles");
#pragma unroll
    for (int k = 0; k < K; k += 8) {
        unsigned a[M][4], a_lo[M][4];
#pragma unroll
        for (int m = 0; m < M; m++) {
            ldmatrix_x4(a[m], a_address + (unsigned)(16 * m * a_pitch + k) * 4u);
            if (!TF32)
                tf32_split(a[m], a_lo[m]);
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = TF32 ? to_tf32(__uint_as_float(a[m][i])) : a[m][i];
        }
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            unsigned b[4], b_lo[4];
            ldmatrix_x4(b, b_address + (unsigned)(8 * n * b_pitch + k) * 4u);
            if (!TF32)
                tf32_split(b, b_lo);
            /* One product of all sums before the next, so that none waits for the one before. */
#pragma unroll
            for (int product = TF32 ? 2 : 0; product < 3; product++)
#pragma unroll
                for (int e = 0; e < 2; e++)
#pragma unroll
                    for (int m = 0; m < M; m++) {
                        const unsigned(&x)[4] = product == 0 ? a_lo[m] : a[m];
                        const unsigned(&y)[4] = product == 1 ? b_lo : b;
                        mma_tf32(c[m][n + e], x[0], x[1], x[2], x[3], y[2 * e], y[2 * e + 1]);
                    }
        }
    }
}

/* The same, but for float32 accuracy the matrix units, which cut off what a sum loses, sum over 32 numbers at most. */
template <bool TF32, int M, int N, int K>
__device__ __forceinline__ void tf32_multiply_long(float (&c)[M][N][4], unsigned a_address, int a_pitch,
                                                   unsigned b_address, int b_pitch)
{
    constexpr int chunk = 32;
    static_assert(K % chunk == 0, "whole chunks");
    if constexpr (TF32) {
        tf32_multiply<TF32, M, N, K>(c, a_address, a_pitch, b_address, b_pitch);
    } else {
#pragma unroll 1
        for (int k = 0; k < K; k += chunk) {
            float part[M][N][4] = {};
            tf32_multiply<TF32, M, N, chunk>(part, a_address + (unsigned)k * 4u, a_pitch,
                                             b_address + (unsigned)k * 4u, b_pitch);
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int n = 0; n < N; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        c[m][n][e] += part[m][n][e];
        }
    }
}

#endif
