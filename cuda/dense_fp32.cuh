/* SPDX-License-Identifier: Apache-2.0
 * dense_fp32: what the float32 kernel of the dense layers gets.
 */
#ifndef FF_CUDA_DENSE_FP32_CUH
#define FF_CUDA_DENSE_FP32_CUH

#include "common.cuh"

/* C[m, n] = mask[m] act(alpha pre(A)[m, k] B[k, n] + bias[n]) + beta C, batch of them, float32, or A or C float16. Rows
 * of A and C lie where a_rows and c_rows say, numbered from a_first and c_first. pre: LN where scale is given, then
 * relu if asked. */
struct ff_cuda_dense_job {
    unsigned m, n, k, batch;     /* batch 0: one */
    const void *a;
    bool a_half, c_half;         /* float16; C without beta then */
    struct ff_cuda_rows a_rows;
    unsigned a_first;
    int64_t a_batch;
    bool a_trans;                /* a is stored [k, m]: a_rows are of k; no pre */
    const float *b;
    int64_t ldb, b_batch;
    bool b_trans;                /* b is stored [n, k] */
    void *c;
    struct ff_cuda_rows c_rows;
    unsigned c_first;
    int64_t c_batch;
    const float *scale, *offset; /* [k] or NULL */
    const float *bias;           /* [n] or NULL */
    const float *mask;           /* by mask_rows, or NULL */
    struct ff_cuda_rows mask_rows;
    bool relu_input, relu;
    float alpha, beta;
    bool always;                 /* however little the work */
};

/* Of less work the library makes as much use of the GPU. */
bool ff_cuda_dense_is_much(const struct ff_cuda_dense_job *j);
/* False, having done nothing, where sizes or alignment are not its own. */
bool ff_cuda_dense_fp32(struct ff_backend *be, const struct ff_cuda_dense_job *j);

/* Plain products with the summed axis inside of both operands by products of warpgroups: product_wgmma.cu. False,
 * having done nothing, where the GPU or the operands do not allow it. */
bool ff_cuda_product_wgmma(struct ff_backend *be, const struct ff_cuda_gemm_args *g);

#endif
