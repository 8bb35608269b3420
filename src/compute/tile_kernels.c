/* SPDX-License-Identifier: Apache-2.0
 * Transposition, layer norm, gates and product of tiles, in versions for the processor.
 *
 * A product keeps a few rows of c in registers, reads a where it lies and packs one panel of b at a time, which stays
 * in the first-level cache while all rows pass by. For tiles this wastes less than a library that packs both operands
 * and clears c first; and a row of the result does not depend on how many rows there are, so results are the same for
 * any number of threads. Other processors use CBLAS.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "compute/tile.h"
#include "compute/vmath.h"

enum { DEPTH = 256 };            /* rows of a panel: 256 * 32 floats are 32 KiB */

/* Element [i, k] of a is a[i * a_row + k * a_step]; element [k, j] of b is b[k * b_step + j * b_column]. */
struct product {
    int64_t m, n, k;
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    int64_t b_step, b_column;
    float *c;
    int64_t ldc;
    float alpha, beta;
    /* Only where k <= DEPTH: c is then written once. */
    const float *bias;           /* [n] added at the end; NULL: none */
    bool relu;
    const float *factor;         /* [m] what each row is multiplied with at the end; NULL: nothing */
    bool stream;                 /* c is aligned to whole vectors and goes past the caches */
    const float *ahead;          /* [ahead_parts, m, k] to be fetched meanwhile, one part by each panel; NULL: none */
    int64_t ahead_parts;
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HAVE_X86_VERSIONS
#include "compute/vmath_x86.h"

static const int32_t lane_masks[16] = {-1, -1, -1, -1, -1, -1, -1, -1};     /* from 8 - n on: n lanes */

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define VEC 8
#define ROWS 6
#define COLUMNS 2
#define FMA(a, b, c) (vec) FF_FMA_V3(a, b, c)
#define STREAM(p, v) __builtin_ia32_movntps256(p, v)
#define FIRST(n) _mm256_loadu_si256((const __m256i *)(const void *)(lane_masks + 8 - (n)))
#define LOAD_PART(p, n) (vec) _mm256_maskload_ps(p, FIRST(n))
#define STORE_PART(p, v, n) _mm256_maskstore_ps(p, FIRST(n), (__m256)(v))
#define SIGMOID(x) (vec) ff_sigmoid_v3((__m256)(x))
#define INVERSE_ROOT(x) (vec) ff_inverse_root_v3((__m256)(x))
#define NAME(x) x##_v3
#include "compute/tile_kernels.inc"
#undef FIRST
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define VEC 16
#define ROWS 12
#define COLUMNS 4
#define FMA(a, b, c) (vec) FF_FMA_V4(a, b, c)
#define STREAM(p, v) __builtin_ia32_movntps512(p, v)
#define LOAD_PART(p, n) (vec) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define STORE_PART(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), (__m512)(v))
#define SIGMOID(x) (vec) ff_sigmoid_v4((__m512)(x))
#define INVERSE_ROOT(x) (vec) ff_inverse_root_v4((__m512)(x))
#define NAME(x) x##_v4
#include "compute/tile_kernels.inc"
#pragma GCC pop_options
#endif

/* --- choice of the version --- */

static enum ff_isa most_isa = FF_ISA_V4;

void ff_isa_limit(enum ff_isa most)
{
    most_isa = most;
}

enum ff_isa ff_isa(void)
{
#ifdef HAVE_X86_VERSIONS
    if (most_isa >= FF_ISA_V4 && __builtin_cpu_supports("x86-64-v4"))
        return FF_ISA_V4;
    if (most_isa >= FF_ISA_V3 && __builtin_cpu_supports("x86-64-v3"))
        return FF_ISA_V3;
#endif
    return FF_ISA_BASE;
}

const char *ff_isa_name(enum ff_isa isa)
{
    static const char *const names[] = {[FF_ISA_BASE] = "products of CBLAS", [FF_ISA_V3] = "own products with AVX2",
                                        [FF_ISA_V4] = "own products with AVX-512"};
    return names[isa];
}

void ff_tile_transpose(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t n)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa == FF_ISA_V4 && rows % 16 < 8 && n % 16 < 8) {
        transpose_v4(y, ldy, x, ldx, rows, n);
        return;
    }
    /* Smaller blocks leave less over. */
    if (isa >= FF_ISA_V3) {
        transpose_v3(y, ldy, x, ldx, rows, n);
        return;
    }
#endif
    enum { BLOCK = 8 };
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = i0; i < n && i < i0 + BLOCK; i++)
                y[i * ldy + r] = x[r * ldx + i];
}

static void find_moments(const float *x, int64_t n, float moments[2])
{
    float sum = 0.0f, square = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    float mean = sum / (float)n;
#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    moments[0] = mean;
    moments[1] = 1.0f / sqrtf(square / (float)n + 1e-5f);
}

void ff_tile_norm(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t n,
                  const struct ff_tile_norming *how)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (n % 16 == 0 && isa == FF_ISA_V4) {
        norm_v4(y, ldy, x, ldx, rows, n, how);
        return;
    }
    if (n % 8 == 0 && isa == FF_ISA_V3) {
        norm_v3(y, ldy, x, ldx, rows, n, how);
        return;
    }
#endif
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * ldx;
        float *to = y + r * ldy, own[2], *moments = how->moments ? how->moments + 2 * r : own;
        if (!how->again)
            find_moments(from, n, moments);
        float mean = moments[0], inverse = moments[1];
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            to[i] = (from[i] - mean) * inverse * how->scale[i] + how->offset[i];
    }
}

void ff_tile_gate(float *out, int64_t ld_out, const float *x, int64_t ld, const float *g, int64_t ldg, int64_t rows,
                  int64_t n, const float *b, const float *bg)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa == FF_ISA_V4) {
        gate_v4(out, ld_out, x, ld, g, ldg, rows, n, b, bg);
        return;
    }
    if (isa == FF_ISA_V3) {
        gate_v3(out, ld_out, x, ld, g, ldg, rows, n, b, bg);
        return;
    }
#endif
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            out[r * ld_out + i] =
                (x[r * ld + i] + (b ? b[i] : 0.0f)) * ff_sigmoidf(g[r * ldg + i] + (bg ? bg[i] : 0.0f));
}

void ff_tile_gate_channels(float *out, int64_t ld_out, const float *x, const float *g, int64_t ld, int64_t rows,
                           int64_t n, const float *mask, const float *b, const float *bg)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa == FF_ISA_V4) {
        gate_channels_v4(out, ld_out, x, g, ld, rows, n, mask, b, bg);
        return;
    }
    if (isa == FF_ISA_V3) {
        gate_channels_v3(out, ld_out, x, g, ld, rows, n, mask, b, bg);
        return;
    }
#endif
    for (int64_t c = 0; c < rows; c++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            out[c * ld_out + i] = mask[i] * (x[c * ld + i] + b[c]) * ff_sigmoidf(g[c * ld + i] + bg[c]);
}

void ff_tile_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                  const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa != FF_ISA_BASE && k > 0) {
        struct product p = {.m = m, .n = n, .k = k, .a = a, .a_row = trans_a ? 1 : lda, .a_step = trans_a ? lda : 1,
                            .b = b, .b_step = trans_b ? 1 : ldb, .b_column = trans_b ? ldb : 1, .c = c, .ldc = ldc,
                            .alpha = alpha, .beta = beta};
        if (isa == FF_ISA_V4)
            multiply_v4(&p);
        else
            multiply_v3(&p);
        return;
    }
#endif
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n,
                (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void ff_tile_few(float *out, int64_t ldo, const float *x, int64_t ldx, int64_t rows, const float *w, int64_t n,
                 int64_t k, const float *ahead)
{
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa == FF_ISA_V4 && k % 16 == 0) {
        few_v4(out, ldo, x, ldx, rows, w, n, k, ahead);
        return;
    }
    if (isa == FF_ISA_V3 && k % 8 == 0) {
        few_v3(out, ldo, x, ldx, rows, w, n, k, ahead);
        return;
    }
#endif
    (void)ahead;
    ff_tile_gemm(false, true, n, rows, k, 1.0f, w, k, x, ldx, 0.0f, out, ldo);
}

void ff_tile_affine(float *c, int64_t ldc, const float *x, int64_t ldx, int64_t rows, const struct ff_tensor *w,
                    const struct ff_tile_affine *how)
{
    int64_t k = w->shape[0], n = w->shape[1];
    const float beta = how->accumulate ? 1.0f : 0.0f;
    FF_ASSERT(!how->accumulate || (!how->relu && !how->factor && !how->stream));
#ifdef HAVE_X86_VERSIONS
    enum ff_isa isa = ff_isa();
    if (isa != FF_ISA_BASE && k > 0 && k <= DEPTH) {
        struct product p = {.m = rows, .n = n, .k = k, .a = x, .a_row = how->trans_x ? 1 : ldx,
                            .a_step = how->trans_x ? ldx : 1, .b = w->data, .b_step = n, .b_column = 1, .c = c,
                            .ldc = ldc, .alpha = 1.0f, .beta = beta, .bias = how->b, .relu = how->relu,
                            .factor = how->factor, .ahead = how->ahead,
                            .ahead_parts = how->ahead_parts > 0 ? how->ahead_parts : 1};
        p.stream = how->stream && (uintptr_t)c % 64 == 0 && ldc % 16 == 0;
        if (isa == FF_ISA_V4)
            multiply_v4(&p);
        else
            multiply_v3(&p);
        return;
    }
#endif
    ff_tile_gemm(how->trans_x, false, rows, n, k, 1.0f, x, ldx, w->data, n, beta, c, ldc);
    if (how->relu)
        ff_tile_bias_relu(c, ldc, rows, n, how->b);
    else
        ff_tile_bias(c, ldc, rows, n, how->b);
    if (how->factor)
        ff_tile_scale_rows(c, ldc, rows, n, how->factor);
}
