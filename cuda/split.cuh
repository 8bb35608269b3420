/* SPDX-License-Identifier: Apache-2.0
 * split: float32 numbers as float16 numbers for the matrix units. With a power of two s that brings the largest of a
 * row (or of whatever has one s) to 2^14 and above, below 2^15,
 *   x s = hi + lo + e,   hi = float16(x s), lo = float16(x s - hi),   |e| <= max(2^-22 |x s|, 2^-25),
 * so that three products, lo hi + hi lo + hi hi, are right to float32 accuracy, and to 2^-39 of the largest number
 * whatever the size of a number; under the tf32 precision one product of hi, which has the digits of a TF32 number.
 * Numbers that are none (inf, nan) make a sum that is none; s is then of no consequence to other rows.
 */
#ifndef FF_CUDA_SPLIT_CUH
#define FF_CUDA_SPLIT_CUH

#include "common.cuh"
#include "ptx.cuh"

/* s for numbers up to this size, and 1 / s. */
struct split_scale {
    float scale, inverse;
};
__device__ __forceinline__ split_scale split_scale_of(float most)
{
    const int exponent = (int)(__float_as_uint(most) >> 23 & 0xffu);         /* of 2^14: 141 */
    const int of_scale = min(268 - exponent, 253);
    return {__uint_as_float((unsigned)of_scale << 23), __uint_as_float((unsigned)(254 - of_scale) << 23)};
}

/* Two neighbouring numbers, scaled: packed for the matrix units. */
__device__ __forceinline__ unsigned split_high(float x, float y) { return pack_f16(x, y); }
__device__ __forceinline__ unsigned split_low(float x, float y, unsigned high)
{
    float2 h = unpack_f16(high);
    return pack_f16(x - h.x, y - h.y);
}

#endif
