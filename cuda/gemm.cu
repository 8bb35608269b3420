/* SPDX-License-Identifier: Apache-2.0
 * gemm: dense products through cuBLASLt; those of float32 through the kernels of product_wgmma.cu and, where large
 * enough, dense_fp32.cu.
 *
 * cuBLASLt takes matrices column by column, so C = A B is asked for as C^T = B^T A^T. What it needs to know of a
 * product (descriptors, the algorithm its heuristics choose) is kept per shape, types, strides and alignment.
 */
#include <cublasLt.h>
#include <string.h>

#include <algorithm>
#include <map>

#include "dense_fp32.cuh"
#include "device.cuh"
#ifdef FF_RACECHECK
#include "plain_product.cuh"
#endif

#define LT(call)                                                                                                   \
    do {                                                                                                           \
        cublasStatus_t lt_status_ = (call);                                                                        \
        if (lt_status_ != CUBLAS_STATUS_SUCCESS)                                                                   \
            ff_die(FF_EGPU, __FILE__, __LINE__, "cuBLASLt: %s (%s)", cublasLtGetStatusString(lt_status_), #call); \
    } while (0)

static const size_t LT_WORKSPACE = FF_BACKEND_GPU_PRODUCTS;

namespace {

enum math { FP32, TF32, BF16, F16 };

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

    const cublasComputeType_t compute[] = {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F,
                                           CUBLAS_COMPUTE_32F};
    const cudaDataType half = k.math == F16 ? CUDA_R_16F : CUDA_R_16BF;
    cudaDataType in = k.math == BF16 || k.math == F16 ? half : CUDA_R_32F;
    cudaDataType out = k.c_type == FF_BF16 ? half : CUDA_R_32F;
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
#ifdef FF_RACECHECK
    plain_product(be, g);
    return;
#endif
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

/* Rows at one distance. */
static ff_cuda_rows rows_at(int64_t distance) { return {distance, 0, 0, 1, 1}; }

static bool dense_product(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    const int64_t most = UINT32_MAX;
    if (g->m > most || g->n > most || g->k > most || g->batch > most)
        return false;
    struct ff_cuda_dense_job j = {};
    j.m = (unsigned)g->m;
    j.n = (unsigned)g->n;
    j.k = (unsigned)g->k;
    j.batch = (unsigned)std::max<int64_t>(1, g->batch);
    j.a = g->a;
    j.a_rows = rows_at(g->lda);
    j.a_batch = g->a_batch;
    j.a_trans = g->a_trans;
    j.b = (const float *)g->b;
    j.ldb = g->ldb;
    j.b_batch = g->b_batch;
    j.b_trans = g->b_trans;
    j.c = g->c;
    j.c_rows = rows_at(g->ldc);
    j.c_batch = g->c_batch;
    j.bias = g->bias;
    j.relu = g->relu;
    j.alpha = g->alpha == 0.0f ? 1.0f : g->alpha;
    j.beta = g->beta;
    return ff_cuda_dense_fp32(be, &j);
}

void ff_cuda_gemm(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    FF_ASSERT(g->a_type == g->b_type && (!g->relu || g->beta == 0.0f));
    FF_ASSERT(g->b_type == FF_BF16 || g->c_type == FF_F32);
    if (g->m == 0 || g->n == 0)
        return;
    if (g->b_type == FF_BF16)
        product(be, g, g->f16 ? F16 : BF16);
    else if (g->tf32 || be->precision == FF_PRECISION_TF32)
        product(be, g, TF32);
    else if (!ff_cuda_product_wgmma(be, g) && !dense_product(be, g))
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
