/* SPDX-License-Identifier: Apache-2.0
 * vmath: exp, sigmoid and what they are made of, as plain expressions that the compiler vectorises inside loops,
 * without -ffast-math, and the attribute that compiles such a function for several processors in one binary.
 */
#ifndef FF_COMPUTE_VMATH_H
#define FF_COMPUTE_VMATH_H

#include <stdint.h>

/* FF_CLONES before a (static) function: baseline, AVX2+FMA and AVX-512 versions, chosen when the program is loaded.
 * Loops in it must call nothing but FF_INLINE functions. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FF_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FF_CLONES
#endif
#define FF_INLINE static inline __attribute__((always_inline))

/* exp(x), relative error below 2e-7 where the result is a normal number; 0 below x = -87.3, inf above 88.7. */
FF_INLINE float ff_expf(float x)
{
    /* n = round(x / ln 2) sits in the low bits of t; r = x - n ln 2 in [-ln2/2, ln2/2], ln 2 in two parts so that the
     * first product is exact; exp(r) by a minimax polynomial; 2^n is added to the exponent in two halves, so that
     * neither end of the range overflows on the way. */
    const float round = 12582912.0f;                 /* 1.5 * 2^23 */
    float y = x < -87.3f ? -87.3f : x;
    y = y > 89.0f ? 89.0f : y;
    float t = y * 1.44269504088896341f + round;
    float n = t - round;
    float r = (y - n * 0.693359375f) + n * 2.12194440054690583e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r) * r + r + 1.0f;
    int32_t k = (int32_t)n, half = k >> 1;
    union { uint32_t i; float f; } s0 = {.i = (uint32_t)(half + 127) << 23};
    union { uint32_t i; float f; } s1 = {.i = (uint32_t)(k - half + 127) << 23};
    p = (p * s0.f) * s1.f;
    return x < -87.3f ? 0.0f : p;
}

/* 2^x for x in [-126, 126], relative error below 1.5e-7 */
FF_INLINE float ff_exp2f(float x)
{
    const float round = 12582912.0f;
    float t = x + round;
    float r = x - (t - round);
    float p = r * 1.3276471979301826e-3f + 9.675541334210117e-3f;
    p = p * r + 5.5507132735430224e-2f;
    p = p * r + 2.4022119723848634e-1f;
    p = p * r + 6.93146967064733e-1f;
    union { uint32_t i; float f; } bits = {.f = p * r + 1.0f}, shift = {.f = t};
    bits.i += shift.i << 23;
    return bits.f;
}

/* exp(x) for x <= 0, as after the largest has been subtracted; absolute error below 2e-7. Where exp(x) is less than
 * 2^-100 it is that: smaller numbers take the processor long. */
FF_INLINE float ff_expf_below(float x)
{
    float y = x * 1.44269504088896341f;
    return ff_exp2f(y < -100.0f ? -100.0f : y);
}

FF_INLINE float ff_sigmoidf(float x) { return 1.0f / (1.0f + ff_expf(-x)); }

#endif
