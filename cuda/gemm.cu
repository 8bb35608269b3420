/* SPDX-License-Identifier: Apache-2.0
 * gemm: dense products through cuBLASLt, and float32 products as three TF32 products.
 *
 * cuBLASLt takes matrices column by column, so C = A B is asked for as C^T = B^T A^T. What it needs to know of a
 * product (descriptors, the algorithm its heuristics choose) is kept per shape, types, strides and alignment.
 *
 * Splitting: a float32 number is the sum of two TF32 numbers, hi + lo, up to 2^-22 of it. A B = hi hi + hi lo + lo hi
 * is one TF32 product of three times the depth, of [hi | hi | lo] and [hi; lo; hi].
 */
#include <cublasLt.h>
#include <string.h>

#include <algorithm>
#include <map>

#include "device.cuh"
#include "ptx.cuh"

#define LT(call)                                                                                                   \
    do {                                                                                                           \
        cublasStatus_t lt_status_ = (call);                                                                        \
        if (lt_status_ != CUBLAS_STATUS_SUCCESS)                                                                   \
            ff_die(FF_EGPU, __FILE__, __LINE__, "cuBLASLt: %s (%s)", cublasLtGetStatusString(lt_status_), #call); \
    } while (0)

static const size_t LT_WORKSPACE = FF_BACKEND_GPU_PRODUCTS;

namespace {

enum math { FP32, TF32, BF16 };

/* Everything that the choice of an algorithm depends on; compared byte by byte. */
struct key {
    int64_t m, n, k, batch, lda, a_batch, ldb, b_batch, ldc, c_batch;
    int32_t math, c_type, flags, align_a, align_b, align_c;
    bool operator<(const key &o) const { return memcmp(this, &o, sizeof *this) < 0; }
};
enum { A_TRANS = 1, B_TRANS = 2, BIAS = 4, RELU = 8, BETA = 16 };

struct plan {
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
    bool bias_bf16;              /* this product takes its bias only in the type of C */
};

}  // namespace

struct ff_cuda_products {
    cublasLtHandle_t lt;
    void *workspace;
    std::map<key, plan> plans;
};

size_t ff_cuda_products_bytes(void) { return LT_WORKSPACE; }

struct ff_cuda_products *ff_cuda_products_create(void)
{
    struct ff_cuda_products *p = new ff_cuda_products();
    if (cublasLtCreate(&p->lt) == CUBLAS_STATUS_SUCCESS && cudaMalloc(&p->workspace, LT_WORKSPACE) == cudaSuccess)
        return p;
    ff_cuda_products_destroy(p);
    return NULL;
}

void ff_cuda_products_destroy(struct ff_cuda_products *p)
{
    if (!p)
        return;
    for (auto &entry : p->plans) {
        (void)cublasLtMatrixLayoutDestroy(entry.second.a);
        (void)cublasLtMatrixLayoutDestroy(entry.second.b);
        (void)cublasLtMatrixLayoutDestroy(entry.second.c);
        (void)cublasLtMatmulDescDestroy(entry.second.op);
    }
    (void)cudaFree(p->workspace);
    if (p->lt)
        (void)cublasLtDestroy(p->lt);
    delete p;
}

/* --- plans --- */

static int32_t alignment(const void *p)
{
    uintptr_t a = (uintptr_t)p | 256;
    return (int32_t)(a & (~a + 1));
}

static cublasLtMatrixLayout_t layout(cudaDataType type, int64_t rows, int64_t columns, int64_t ld, int64_t batch,
                                     int64_t distance)
{
    cublasLtMatrixLayout_t l;
    LT(cublasLtMatrixLayoutCreate(&l, type, (uint64_t)rows, (uint64_t)columns, ld));
    if (batch > 1) {
        int32_t count = (int32_t)batch;
        LT(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
        LT(cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &distance,
                                            sizeof distance));
    }
    return l;
}

template <class T> static void set(cublasLtMatmulDesc_t op, cublasLtMatmulDescAttributes_t name, T value)
{
    LT(cublasLtMatmulDescSetAttribute(op, name, &value, sizeof value));
}

static bool choose(struct ff_cuda_products *p, const key &k, plan *ret)
{
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    LT(cublasLtMatmulPreferenceCreate(&preference));
    const uint32_t align[3] = {(uint32_t)k.align_b, (uint32_t)k.align_a, (uint32_t)k.align_c};
    LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &LT_WORKSPACE,
                                            sizeof LT_WORKSPACE));
    const cublasLtMatmulPreferenceAttributes_t names[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (int i = 0; i < 4; i++)
        LT(cublasLtMatmulPreferenceSetAttribute(preference, names[i], &align[std::min(i, 2)], sizeof align[0]));
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(p->lt, ret->op, ret->a, ret->b, ret->c, ret->c, preference, 1, &result, &found);
    LT(cublasLtMatmulPreferenceDestroy(preference));
    ret->algo = result.algo;
    return status == CUBLAS_STATUS_SUCCESS && found > 0;
}

static const plan &plan_of(struct ff_cuda_products *p, const key &k)
{
    auto at = p->plans.find(k);
    if (at != p->plans.end())
        return at->second;

    const cublasComputeType_t compute[] = {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F};
    cudaDataType in = k.math == BF16 ? CUDA_R_16BF : CUDA_R_32F, out = k.c_type == FF_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    plan n = {};
    LT(cublasLtMatmulDescCreate(&n.op, compute[k.math], CUDA_R_32F));
    set<int32_t>(n.op, CUBLASLT_MATMUL_DESC_TRANSA, k.flags & B_TRANS ? CUBLAS_OP_T : CUBLAS_OP_N);
    set<int32_t>(n.op, CUBLASLT_MATMUL_DESC_TRANSB, k.flags & A_TRANS ? CUBLAS_OP_T : CUBLAS_OP_N);
    const cublasLtEpilogue_t epilogues[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU,
                                            CUBLASLT_EPILOGUE_RELU_BIAS};
    set<uint32_t>(n.op, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogues[(k.flags & BIAS ? 1 : 0) + (k.flags & RELU ? 2 : 0)]);
    bool bt = k.flags & B_TRANS, a_t = k.flags & A_TRANS;
    n.a = layout(in, bt ? k.k : k.n, bt ? k.n : k.k, k.ldb, k.batch, k.b_batch);
    n.b = layout(in, a_t ? k.m : k.k, a_t ? k.k : k.m, k.lda, k.batch, k.a_batch);
    n.c = layout(out, k.n, k.m, k.ldc, k.batch, k.c_batch);
    if (k.flags & BIAS)
        set<int32_t>(n.op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    bool found = choose(p, k, &n);
    if (!found && (k.flags & BIAS) && k.c_type == FF_BF16) {
        n.bias_bf16 = true;
        set<int32_t>(n.op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_16BF);
        found = choose(p, k, &n);
    }
    if (!found)
        ff_die(FF_EGPU, __FILE__, __LINE__,
               "cuBLASLt has no product for m %lld n %lld k %lld batch %lld, lda %lld ldb %lld "
               "ldc %lld, arithmetic %d, flags %d",
               (long long)k.m, (long long)k.n, (long long)k.k, (long long)k.batch, (long long)k.lda, (long long)k.ldb,
               (long long)k.ldc, (int)k.math, (int)k.flags);
    return p->plans.emplace(k, n).first->second;
}

static void product(struct ff_backend *be, const struct ff_cuda_gemm_args *g, math how)
{
    struct ff_cuda_products *p = ff_cuda_device_of(be)->products;
    key k;
    memset(&k, 0, sizeof k);
    k.m = g->m;
    k.n = g->n;
    k.k = g->k;
    k.batch = std::max<int64_t>(1, g->batch);
    k.lda = g->lda;
    k.ldb = g->ldb;
    k.ldc = g->ldc;
    if (k.batch > 1) {
        k.a_batch = g->a_batch;
        k.b_batch = g->b_batch;
        k.c_batch = g->c_batch;
    }
    k.math = how;
    k.c_type = g->c_type;
    k.flags = (g->a_trans ? A_TRANS : 0) | (g->b_trans ? B_TRANS : 0) | (g->bias ? BIAS : 0) | (g->relu ? RELU : 0) |
              (g->beta != 0.0f ? BETA : 0);
    k.align_a = alignment(g->a);
    k.align_b = alignment(g->b);
    k.align_c = alignment(g->c);
    const plan &n = plan_of(p, k);

    ff_cuda_mark mark(be);
    if (g->bias) {
        const void *bias = g->bias;
        if (n.bias_bf16) {
            void *copy = ff_cuda_take<bf16>(be, g->n);
            ff_cuda_convert(be, copy, FF_BF16, g->bias, FF_F32, g->n);
            bias = copy;
        }
        set<const void *>(n.op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    float alpha = g->alpha == 0.0f ? 1.0f : g->alpha;
    LT(cublasLtMatmul(p->lt, n.op, &alpha, g->b, n.a, g->a, n.b, &g->beta, g->c, n.c, g->c, n.c, &n.algo, p->workspace,
                      LT_WORKSPACE, ff_cuda_stream(be)));
}

/* --- splitting --- */

/* x [rows, columns] of distance ld to three copies in y, of row distance ldy and `part` elements apart: hi, then
 * lo_first ? lo, hi : hi, lo. */
static __global__ void split_kernel(float *y, int64_t ldy, int64_t part, int64_t y_batch, const float *x, int64_t ld,
                                    int64_t x_batch, unsigned rows, unsigned columns, bool lo_first)
{
    x += blockIdx.z * x_batch;
    y += blockIdx.z * y_batch;
    for (uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x; i < (uint64_t)rows * columns;
         i += (uint64_t)gridDim.x * blockDim.x) {
        uint64_t r = i / columns, c = i - r * columns;
        float v = x[r * ld + c], hi = __uint_as_float(to_tf32(v)), lo = __uint_as_float(to_tf32(v - hi));
        float *to = y + r * ldy + c;
        to[0] = hi;
        to[part] = lo_first ? lo : hi;
        to[2 * part] = lo_first ? hi : lo;
    }
}

struct operand {
    const float *p;
    int64_t ld, batch;
};

/* An operand [rows, columns] as stored; deep_columns: its columns are the summed axis, else its rows. */
static operand split(struct ff_backend *be, const float *x, int64_t ld, int64_t x_batch, int64_t rows, int64_t columns,
                     bool deep_columns, bool lo_first, int64_t batch)
{
    float *y = ff_cuda_take<float>(be, 3 * rows * columns * batch);
    int64_t ldy = deep_columns ? 3 * columns : columns, part = deep_columns ? columns : rows * columns;
    dim3 grid(std::min(4096u, ff_blocks(rows * columns, 256)), 1, (unsigned)batch);
    split_kernel<<<grid, 256, 0, ff_cuda_stream(be)>>>(y, ldy, part, 3 * rows * columns, x, ld, x_batch, (unsigned)rows,
                                                       (unsigned)columns, lo_first);
    FF_CUDA_LAUNCHED();
    return {y, ldy, batch > 1 ? 3 * rows * columns : 0};
}

static void split_product(struct ff_backend *be, struct ff_cuda_gemm_args g)
{
    ff_cuda_mark mark(be);
    int64_t batch = std::max<int64_t>(1, g.batch), b_bytes = 12 * g.n * g.k, a_bytes = 12 * g.m * g.k;
    bool shared_b = batch > 1 && g.b_batch == 0;
    if (batch == 1 || shared_b) {
        operand b =
            split(be, (const float *)g.b, g.ldb, 0, g.b_trans ? g.n : g.k, g.b_trans ? g.k : g.n, g.b_trans, true, 1);
        g.b = b.p;
        g.ldb = b.ld;
    }
    /* Pieces of the batch, or of the rows of a single product. */
    int64_t step = batch == 1 ? ff_cuda_tile_rows(be, g.m, (size_t)(12 * g.k))
                              : ff_cuda_tile_rows(be, batch, (size_t)(a_bytes + (shared_b ? 0 : b_bytes)));
    int64_t k = g.k;
    for (int64_t from = 0; from < (batch == 1 ? g.m : batch); from += step) {
        ff_cuda_mark piece(be);
        struct ff_cuda_gemm_args q = g;
        int64_t n = std::min(step, (batch == 1 ? g.m : batch) - from), c_size = (int64_t)ff_dtype_size(g.c_type);
        const float *a = (const float *)g.a + from * (batch > 1 ? g.a_batch : g.a_trans ? 1 : g.lda);
        if (batch == 1)
            q.m = n;
        else
            q.batch = n;
        int64_t count = batch == 1 ? 1 : n;
        operand sa = split(be, a, g.lda, g.a_batch, g.a_trans ? k : q.m, g.a_trans ? q.m : k, !g.a_trans, false, count);
        q.a = sa.p;
        q.lda = sa.ld;
        q.a_batch = sa.batch;
        if (batch > 1 && !shared_b) {
            operand sb = split(be, (const float *)g.b + from * g.b_batch, g.ldb, g.b_batch, g.b_trans ? g.n : k,
                               g.b_trans ? k : g.n, g.b_trans, true, count);
            q.b = sb.p;
            q.ldb = sb.ld;
            q.b_batch = sb.batch;
        }
        q.k = 3 * k;
        q.c = (char *)g.c + from * c_size * (batch > 1 ? g.c_batch : g.ldc);
        product(be, &q, TF32);
    }
}

/* Splitting costs a pass over both operands and a third of the TF32 rate. */
#ifndef FF_CUDA_SPLIT_WORK
#define FF_CUDA_SPLIT_WORK 1e9           /* multiply-adds; less in the tests */
#endif
static bool worth_splitting(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    double work = (double)g->m * g->n * g->k * std::max<int64_t>(1, g->batch);
    size_t b_bytes = (size_t)(12 * g->n * g->k), a_bytes = (size_t)(12 * g->m * g->k);
    if (work < FF_CUDA_SPLIT_WORK || g->k < 32 || g->n < 32 || g->m < 32)
        return false;
    return g->batch > 1 ? a_bytes + b_bytes < ff_cuda_left(be) / 2 : b_bytes < ff_cuda_left(be) / 4;
}

void ff_cuda_gemm(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    FF_ASSERT(g->a_type == g->b_type && (!g->relu || g->beta == 0.0f));
    FF_ASSERT(g->b_type == FF_BF16 || g->c_type == FF_F32);
    if (g->m == 0 || g->n == 0)
        return;
    if (g->b_type == FF_BF16)
        product(be, g, BF16);
    else if (g->tf32 || be->precision == FF_PRECISION_TF32)
        product(be, g, TF32);
    else if (worth_splitting(be, g))
        split_product(be, *g);
    else
        product(be, g, FP32);
}

/* --- conversion --- */

template <class Y, class X> static __global__ void convert_kernel(Y *y, const X *x, int64_t n)
{
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x)
        y[i] = from_float<Y>(to_float(x[i]));
}

void ff_cuda_convert(struct ff_backend *be, void *y, enum ff_dtype y_type, const void *x, enum ff_dtype x_type,
                     int64_t n)
{
    ff_cuda_with_type(y_type, [&](auto ty) {
        ff_cuda_with_type(x_type, [&](auto tx) {
            convert_kernel<<<std::min(2048u, ff_blocks(n, 256)), 256, 0, ff_cuda_stream(be)>>>(
                (decltype(ty) *)y, (const decltype(tx) *)x, n);
        });
    });
    FF_CUDA_LAUNCHED();
}

const void *ff_cuda_as_type(struct ff_backend *be, const struct ff_tensor *t, enum ff_dtype type)
{
    if (t->dtype == type)
        return t->data;
    int64_t n = ff_cuda_row_count(t, t->ndim);
    void *copy = ff_cuda_take_bytes(be, (size_t)n * ff_dtype_size(type));
    ff_cuda_convert(be, copy, type, t->data, t->dtype, n);
    return copy;
}
