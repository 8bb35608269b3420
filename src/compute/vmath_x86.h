/* SPDX-License-Identifier: Apache-2.0
 * vmath_x86: exp and sigmoid of whole vectors. For inclusion where the instruction set is chosen by a pragma; what
 * compute/vmath.h has for all processors costs twice as much, for division of a whole vector takes as long as 30
 * products, and a compiler without -ffast-math makes two computations out of every clamp.
 *
 * Nothing here gives numbers below 2^-100 but 0 itself, even times a small one: those without a leading 1 take the
 * processor a hundred times as long.
 */
#ifndef FF_COMPUTE_VMATH_X86_H
#define FF_COMPUTE_VMATH_X86_H

#include <immintrin.h>

#include "compute/vmath.h"

/* a b + c with one rounding, of vectors with all their lanes; b and c may be numbers, for x - 0 is x in every lane. */
#define FF_FMA_V3(a, b, c) \
    _mm256_fmadd_ps((__m256)(a), (b) - _mm256_setzero_ps(), (c) - _mm256_setzero_ps())
#define FF_FMA_V4(a, b, c) \
    _mm512_fmadd_ps((__m512)(a), (b) - _mm512_setzero_ps(), (c) - _mm512_setzero_ps())

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")

/* exp(x), relative error below 2e-7, x taken as in [-69, 69] */
FF_INLINE __m256 ff_exp_v3(__m256 x)
{
    const __m256 round = _mm256_set1_ps(12582912.0f);    /* 1.5 * 2^23: the sum's low bits are the rounded number */
    x = _mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f));
    x = _mm256_min_ps(_mm256_set1_ps(100.0f), _mm256_max_ps(_mm256_set1_ps(-100.0f), x));
    __m256 t = _mm256_add_ps(x, round);
    __m256 r = _mm256_sub_ps(x, _mm256_sub_ps(t, round));
    __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(1.3276471979301826e-3f), _mm256_set1_ps(9.675541334210117e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.5507132735430224e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.4022119723848634e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.93146967064733e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}

FF_INLINE __m256 ff_sigmoid_v3(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    return _mm256_div_ps(one, _mm256_add_ps(one, ff_exp_v3(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

/* 1 / sqrt(x) of normal numbers, relative error below 2e-7 */
FF_INLINE __m256 ff_inverse_root_v3(__m256 x)
{
    return _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_sqrt_ps(x));
}
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")

/* 2^(i / 32) */
static const _Alignas(64) float ff_exp_powers[32] = {
    1.0f, 1.02189715f, 1.04427378f, 1.0671404f, 1.09050773f, 1.11438674f, 1.13878863f, 1.16372486f,
    1.18920712f, 1.21524736f, 1.24185781f, 1.26905096f, 1.29683955f, 1.32523664f, 1.35425555f, 1.38390988f,
    1.41421356f, 1.44518081f, 1.47682615f, 1.50916443f, 1.54221083f, 1.57598085f, 1.61049033f, 1.64575548f,
    1.68179283f, 1.7186193f, 1.75625216f, 1.79470908f, 1.83400809f, 1.87416763f, 1.91520656f, 1.95714412f,
};

/* exp(x), relative error below 2e-7, 0 or inf beyond the range of floats. x = (n + i / 32) ln 2 + r: 2^n by an
 * instruction that knows the range, 2^(i / 32) from a table in two registers, exp(r) = 1 + r + r^2 / 2 with the middle
 * coefficient moved by 2^-16 to halve the error. */
FF_INLINE __m512 ff_exp_v4(__m512 x)
{
    const __m512 round = _mm512_set1_ps(393216.0f);    /* 1.5 * 2^23 / 32 */
    __m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504088896341f), round);
    __m512 n = _mm512_sub_ps(t, round);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693147180559945309f), x);
    __m512 s = _mm512_permutex2var_ps(_mm512_load_ps(ff_exp_powers), _mm512_castps_si512(t),
                                      _mm512_load_ps(ff_exp_powers + 16));
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.5f), _mm512_set1_ps(1.0000147f));
    return _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_mul_ps(s, r), p, s), n);
}

/* The estimate of 1 / (1 + exp(-x)) is within 2^-14; one step of Newton's squares that. */
FF_INLINE __m512 ff_sigmoid_v4(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    x = _mm512_min_ps(_mm512_set1_ps(60.0f), _mm512_sub_ps(_mm512_setzero_ps(), x));
    __m512 d = _mm512_add_ps(one, ff_exp_v4(x)), y = _mm512_rcp14_ps(d);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(d, y, one), y);
}

/* 1 / sqrt(x) of normal numbers, relative error below 2e-7. The estimate y is within 2^-14; one step of Newton's:
 * y + y / 2 (1 - x y^2). */
FF_INLINE __m512 ff_inverse_root_v4(__m512 x)
{
    __m512 y = _mm512_rsqrt14_ps(x);
    __m512 rest = _mm512_fnmadd_ps(_mm512_mul_ps(x, y), y, _mm512_set1_ps(1.0f));
    return _mm512_fmadd_ps(_mm512_mul_ps(y, _mm512_set1_ps(0.5f)), rest, y);
}
#pragma GCC pop_options

#endif
