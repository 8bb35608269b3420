/* SPDX-License-Identifier: Apache-2.0
 * product: the emulated GPU's matrix products, those of warps and warpgroups and those of cuBLASLt. Every sum is made in
 * double, in the order of k, and rounded once; the products of numbers of up to 24 bits are exact in double, so that it
 * does not matter which of FF_CLONES runs.
 */
#include <algorithm>
#include <vector>

#include "compute/vmath.h"
#include "cublasLt.h"
#include "wgmma.cuh"

namespace {

/* Any eight doubles, sixteen numbers in memory. */
typedef double eight __attribute__((vector_size(64), aligned(8)));
typedef uint16_t shorts __attribute__((vector_size(32), aligned(2)));
typedef uint32_t words __attribute__((vector_size(64), aligned(4)));
typedef float floats __attribute__((vector_size(64), aligned(4)));

/* c [m, n] += a [m, k] b [k, n]; n a multiple of 8. */
FF_CLONES void multiply(double *c, const double *a, const double *b, int64_t m, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j += 8) {
        int64_t i = 0;
        for (; i + 8 <= m; i += 8) {
            eight sum[8];
            for (int r = 0; r < 8; r++)
                sum[r] = *(const eight *)(c + (i + r) * n + j);
            for (int64_t e = 0; e < k; e++) {
                eight y = *(const eight *)(b + e * n + j);
#pragma GCC unroll 8
                for (int r = 0; r < 8; r++)
                    sum[r] += a[(i + r) * k + e] * y;
            }
            for (int r = 0; r < 8; r++)
                *(eight *)(c + (i + r) * n + j) = sum[r];
        }
        for (; i < m; i++) {
            eight sum = *(const eight *)(c + i * n + j);
            for (int64_t e = 0; e < k; e++)
                sum += a[i * k + e] * *(const eight *)(b + e * n + j);
            *(eight *)(c + i * n + j) = sum;
        }
    }
}

/* Numbers of 16 bits as floats; n a multiple of 16. */
FF_CLONES void widen(float *to, const uint16_t *from, int n, bool f16)
{
    for (int i = 0; i < n; i += 16) {
        words v = __builtin_convertvector(*(const shorts *)(from + i), words), r = v << 16;
        if (f16) {
            words size = (v & 0x7fff) << 13;
            floats normal = (floats)(size + (112u << 23)), small = (floats)(size + (113u << 23)) - 0x1p-14f;
            r = size < (1u << 23) ? (words)small : size >= (31u << 23) ? size | 0x7f800000u : (words)normal;
            r |= (v & 0x8000) << 16;
        }
        *(words *)(to + i) = r;
    }
}

}  // namespace

/* --- products of a warp --- */

/* Place of element (row, column) of C [16, 8] or of eight columns of a wider C: lane and register. */
static int lane_of(int row, int column) { return row % 8 * 4 + column / 2; }
static int register_of(int row, int column) { return row / 8 * 2 + column % 2; }

namespace {
/* What every lane gives to the product of its warp. */
struct mma_operands {
    unsigned a[4], b[2];
    float c[4];
};
/* The results, for the lanes that go on later than the first. */
struct warp_result {
    float c[32][4];
};
warp_result results[EMULATOR_WARPS];
}  // namespace

static float2 two_numbers(unsigned v, enum emulator_type type)
{
    return type == EMULATOR_F16 ? unpack_f16(v) : float2{__uint_as_float(v << 16), __uint_as_float(v & 0xffff0000u)};
}

void emulator_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, enum emulator_type type)
{
    mma_operands own = {{a[0], a[1], a[2], a[3]}, {b0, b1}, {c[0], c[1], c[2], c[3]}};
    int nth;
    const char *slots = emulator_meet(EMULATOR_PRODUCT, &own, sizeof own, &nth);
    float (&result)[32][4] = results[emulator_warp()].c;
    if (nth == 0) {
        bool tf32 = type == EMULATOR_TF32;
        double x[16][16], y[16][8], sum[16][8];
        for (int lane = 0; lane < 32; lane++) {
            mma_operands o = emulator_from_lane<mma_operands>(slots, lane);
            int g = lane / 4, t = lane % 4;
            for (int r = 0; r < 4; r++) {
                int row = g + r % 2 * 8;
                if (tf32) {
                    x[row][t + r / 2 * 4] = __uint_as_float(o.a[r] & 0xffffe000u);
                } else {
                    float2 v = two_numbers(o.a[r], type);
                    x[row][t * 4 + r / 2 * 2] = v.x;
                    x[row][t * 4 + r / 2 * 2 + 1] = v.y;
                }
            }
            for (int r = 0; r < 2; r++)
                if (tf32) {
                    y[t + r * 4][g] = __uint_as_float(o.b[r] & 0xffffe000u);
                } else {
                    float2 v = two_numbers(o.b[r], type);
                    y[t * 4 + r * 2][g] = v.x;
                    y[t * 4 + r * 2 + 1][g] = v.y;
                }
            for (int r = 0; r < 4; r++)
                sum[g + r / 2 * 8][2 * t + r % 2] = o.c[r];
        }
        if (tf32)
            for (int i = 0; i < 16; i++)
                memmove(&x[0][0] + i * 8, x[i], 8 * sizeof(double));
        multiply(&sum[0][0], &x[0][0], &y[0][0], 16, 8, tf32 ? 8 : 16);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++)
                result[lane_of(i, j)][register_of(i, j)] = (float)sum[i][j];
    }
    memcpy(c, result[emulator_lane()], sizeof c);
}

/* --- products of a warpgroup --- */

namespace {

/* Sixteen k of an operand, as pieces of eight numbers that lie together in shared memory: [mn, k / 8] if K comes first
 * there, [k, mn / 8] otherwise. */
struct operand {
    uint16_t piece[512][8];
};
struct warp_operands {
    operand a, b;
};
warp_operands taken[EMULATOR_WARPS];

void take(operand &o, uint64_t d, int major, int first, int count)
{
    static const unsigned row_bytes[4] = {16, 128, 64, 32};
    unsigned row = row_bytes[d >> 62], base = (unsigned)(d & 0x3fff) << 4;
    unsigned lead = (unsigned)(d >> 16 & 0x3fff) << 4, stride = (unsigned)(d >> 32 & 0x3fff) << 4;
    int n = count * 2;
    for (int i = 0; i < n; i++) {
        unsigned at = base;
        if (major == WGMMA_K_MAJOR) {
            int mn = first + i / 2, k = i % 2;
            at += mn % 8 * row + mn / 8 * stride + k * (row == 16 ? lead : 16);
        } else {
            int mn = first + i % (count / 8) * 8, k = i / (count / 8), width = (int)row / 2;
            at += mn % width * 2 + mn / width * (row == 16 ? stride : lead) + k % 8 * row +
                  k / 8 * (row == 16 ? lead : stride);
        }
        if (row > 16)
            at ^= at >> 3 & (row - 1) & 0x70u;
        memcpy(o.piece[i], emulator_shared_at(at), sizeof o.piece[i]);
    }
}

void take_all(warp_operands &w, const emulator_wgmma_call &c)
{
    if (!c.a_in_registers)
        take(w.a, c.a, c.a_major, emulator_warp() % 4 * 16, 16);
    take(w.b, c.b, c.b_major, 0, c.n);
}

/* All lanes must describe the same product. */
bool same(const emulator_wgmma_call &x, const emulator_wgmma_call &y)
{
    return x.b == y.b && x.n == y.n && x.b_major == y.b_major && x.type == y.type && x.add == y.add &&
           x.a_in_registers == y.a_in_registers && (x.a_in_registers || (x.a == y.a && x.a_major == y.a_major));
}

/* Operands as doubles, [16, 16] and [16, n], and what b was made of: mostly it is the same for four warps. */
struct numbers {
    double a[16][16], b[16 * 256];
    operand of;
    int n, b_major;
    bool f16;
};
numbers made;

void make_a(const warp_operands &w, const emulator_wgmma_call (&of)[32], bool f16)
{
    if (of->a_in_registers) {
        for (int lane = 0; lane < 32; lane++)
            for (int r = 0; r < 4; r++) {
                float2 v = two_numbers(of[lane].registers[r], f16 ? EMULATOR_F16 : EMULATOR_BF16);
                double *to = &made.a[lane / 4 + r % 2 * 8][r / 2 * 8 + lane % 4 * 2];
                to[0] = v.x;
                to[1] = v.y;
            }
        return;
    }
    float x[16 * 16];
    widen(x, w.a.piece[0], 16 * 16, f16);
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            made.a[i][k] = x[of->a_major == WGMMA_K_MAJOR ? i * 16 + k : k * 16 + i];
}

void make_b(const operand &b, int n, int major, bool f16)
{
    size_t bytes = 2u * (unsigned)n * sizeof b.piece[0];
    if (made.n == n && made.b_major == major && made.f16 == f16 && memcmp(&made.of, &b, bytes) == 0)
        return;
    made.n = n;
    made.b_major = major;
    made.f16 = f16;
    memcpy(&made.of, &b, bytes);
    static float x[256 * 16];
    widen(x, b.piece[0], 16 * n, f16);
    if (major == WGMMA_MN_MAJOR)
        std::copy(x, x + 16 * n, made.b);
    else
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < n; j++)
                made.b[k * n + j] = x[j * 16 + k];
}

void product_of_warp(const warp_operands &w, const char *slots)
{
    static double sum[16 * 256];
    emulator_wgmma_call of[32];
    for (int lane = 0; lane < 32; lane++) {
        of[lane] = emulator_from_lane<emulator_wgmma_call>(slots, lane);
        if (!same(of[lane], of[0]))
            emulator_fail("the threads of a warp ask for different products");
    }
    int n = of->n;
    bool f16 = of->type == WGMMA_F16;
    make_a(w, of, f16);
    make_b(w.b, n, of->b_major, f16);
    if (!of->add)
        std::fill(sum, sum + 16 * n, 0.0);
    else
        for (int lane = 0; lane < 32; lane++) {
            double *upper = sum + lane / 4 * n + lane % 4 * 2, *lower = upper + 8 * n;
            const float *d = of[lane].d;
            for (int j = 0; j < n; j += 8, d += 4) {
                upper[j] = d[0];
                upper[j + 1] = d[1];
                lower[j] = d[2];
                lower[j + 1] = d[3];
            }
        }
    multiply(sum, &made.a[0][0], made.b, 16, n, 16);
    for (int lane = 0; lane < 32; lane++) {
        const double *upper = sum + lane / 4 * n + lane % 4 * 2, *lower = upper + 8 * n;
        float *d = of[lane].d;
        for (int j = 0; j < n; j += 8, d += 4) {
            d[0] = (float)upper[j];
            d[1] = (float)upper[j + 1];
            d[2] = (float)lower[j];
            d[3] = (float)lower[j + 1];
        }
    }
}

}  // namespace

/* The first thread of the warp that goes on makes the product for all; the last looks whether the operands are still
 * what they were. */
void emulator_wgmma(const emulator_wgmma_call &own)
{
    int nth;
    const char *slots = emulator_meet(EMULATOR_PRODUCT, &own, sizeof own, &nth);
    warp_operands &w = taken[emulator_warp()];
    if (nth == 0) {
        take_all(w, own);
        product_of_warp(w, slots);
    } else if (nth == 31) {
        static warp_operands again;
        take_all(again, own);
        if ((!own.a_in_registers && memcmp(&again.a, &w.a, 32 * sizeof w.a.piece[0]) != 0) ||
            memcmp(&again.b, &w.b, 2u * own.n * sizeof w.b.piece[0]) != 0)
            emulator_fail("an operand changed while its product was made");
    }
}

/* --- products of cuBLASLt --- */

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType)
{
    *d = new emulator_matmul();
    (*d)->compute = compute;
    (*d)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t size)
{
    void *const fields[] = {&d->trans_a, &d->trans_b, &d->epilogue, &d->bias_type, &d->bias};
    memcpy(fields[name], value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t columns,
                                          int64_t ld)
{
    *l = new emulator_layout();
    **l = {type, rows, columns, ld, 0, 1};
    return ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t name,
                                                const void *value, size_t size)
{
    void *const fields[] = {&l->batch, &l->distance};
    memcpy(fields[name], value, size);
    return CUBLAS_STATUS_SUCCESS;
}

static float number(const void *p, cudaDataType type, int64_t at)
{
    if (type == CUDA_R_16F)
        return unpack_f16(((const uint16_t *)p)[at]).x;
    return type == CUDA_R_32F ? ((const float *)p)[at] : __bfloat162float(((const __nv_bfloat16 *)p)[at]);
}

/* [rows, columns] of op(x), with zeros up to `width` columns, as the arithmetic sees it. */
static std::vector<double> gather(const void *p, const emulator_layout *l, bool transposed, int64_t batch, bool tf32,
                                  int64_t width)
{
    int64_t rows = (int64_t)(transposed ? l->columns : l->rows), columns = (int64_t)(transposed ? l->rows : l->columns);
    std::vector<double> r((size_t)(rows * width));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            float v = number(p, l->type, batch * l->distance + (transposed ? i * l->ld + j : j * l->ld + i));
            r[(size_t)(i * width + j)] = tf32 ? __uint_as_float(__float_as_uint(v) & 0xffffe000u) : v;
        }
    return r;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                              const void *c, cublasLtMatrixLayout_t, void *out, cublasLtMatrixLayout_t lout,
                              const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t)
{
    bool tf32 = d->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    int64_t m = (int64_t)lout->rows, n = (int64_t)lout->columns, width = (n + 7) / 8 * 8;
    int64_t k = (int64_t)(d->trans_a == CUBLAS_OP_T ? la->rows : la->columns);
    if (la->type != lb->type || (d->trans_b == CUBLAS_OP_T ? lb->columns : lb->rows) != (uint64_t)k)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int64_t z = 0; z < lout->batch; z++) {
        std::vector<double> x = gather(a, la, d->trans_a == CUBLAS_OP_T, z, tf32, k);        /* [m, k] */
        std::vector<double> y = gather(b, lb, d->trans_b == CUBLAS_OP_T, z, tf32, width);    /* [k, n] */
        std::vector<double> sums((size_t)(m * width));
        multiply(sums.data(), x.data(), y.data(), m, width, k);
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < m; i++) {
                double sum = sums[(size_t)(i * width + j)];
                int64_t at = z * lout->distance + j * lout->ld + i;
                sum *= *(const float *)alpha;
                if (*(const float *)beta != 0.0f)
                    sum += (double)*(const float *)beta * number(c, lout->type, at);
                if (d->epilogue & CUBLASLT_EPILOGUE_BIAS)
                    sum += number(d->bias, (cudaDataType)d->bias_type, i);
                if (d->epilogue & CUBLASLT_EPILOGUE_RELU)
                    sum = std::max(sum, 0.0);
                if (lout->type == CUDA_R_32F)
                    ((float *)out)[at] = (float)sum;
                else if (lout->type == CUDA_R_16F)
                    ((uint16_t *)out)[at] = (uint16_t)pack_f16((float)sum, 0.0f);
                else
                    ((__nv_bfloat16 *)out)[at] = __float2bfloat16_rn((float)sum);
            }
    }
    return CUBLAS_STATUS_SUCCESS;
}
