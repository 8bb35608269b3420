/* SPDX-License-Identifier: Apache-2.0
 * plain_product: what gemm.cu asks of cuBLASLt, by one thread for each number of the result. For racecheck alone, which
 * ends with an error of its own at some of cuBLAS's kernels, told to leave them out too.
 */
#ifndef FF_CUDA_PLAIN_PRODUCT_CUH
#define FF_CUDA_PLAIN_PRODUCT_CUH

#include <cuda_fp16.h>

#include <algorithm>

#include "device.cuh"

/* A: of the operands, C: of the result. Operands of float32 are not rounded to TF32, which is within the tolerances. */
template <class A, class C> static __global__ void plain_product_kernel(const __grid_constant__ ff_cuda_gemm_args g)
{
    const int64_t all = g.m * g.n, at = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, i = at / g.n, j = at % g.n;
    if (at >= all)
        return;
    const A *a = (const A *)g.a + blockIdx.y * g.a_batch + (g.a_trans ? i : i * g.lda);
    const A *b = (const A *)g.b + blockIdx.y * g.b_batch + (g.b_trans ? j * g.ldb : j);
    C *c = (C *)g.c + blockIdx.y * g.c_batch + i * g.ldc + j;
    const int64_t a_step = g.a_trans ? g.lda : 1, b_step = g.b_trans ? 1 : g.ldb;
    float sum = 0.0f;
    for (int64_t k = 0; k < g.k; k++)
        sum += (float)a[k * a_step] * (float)b[k * b_step];
    if (g.alpha != 0.0f)
        sum *= g.alpha;
    if (g.beta != 0.0f)
        sum += g.beta * (float)*c;
    if (g.bias)
        sum += g.bias[j];
    *c = (C)(g.relu ? fmaxf(sum, 0.0f) : sum);
}

static void plain_product(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    const dim3 blocks(ff_blocks(g->m * g->n, 256), (unsigned)std::max<int64_t>(1, g->batch));
    auto with_result = [&](auto a) {
        using A = decltype(a);
        if (g->c_type == FF_BF16)
            plain_product_kernel<A, A><<<blocks, 256, 0, ff_cuda_stream(be)>>>(*g);
        else
            plain_product_kernel<A, float><<<blocks, 256, 0, ff_cuda_stream(be)>>>(*g);
    };
    if (g->b_type != FF_BF16)
        with_result(0.0f);
    else if (g->f16)
        with_result(__half());
    else
        with_result(bf16());
    FF_CUDA_LAUNCHED();
}

#endif
