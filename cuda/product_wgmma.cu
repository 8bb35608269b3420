/* SPDX-License-Identifier: Apache-2.0
 * product_wgmma: matrix products of float32 numbers, both operands with the summed axis inside; see the header.
 * Reference: the contraction of triangle multiplication in ops_cpu_triangle.c.
 */
#include "product_wgmma.cuh"

#include "dense_fp32.cuh"

namespace {

struct store_rows {
    float *c;
    int64_t ld, batch;
    int m, n;
    float alpha;

#ifdef FF_HAVE_WGMMA
    typedef product::nothing kept;
    __device__ __forceinline__ kept prepare(float (&sum)[64], int, int) const { return product::from_zero(sum); }
    /* Columns column + 8 j and + 1 of rows row and row + 8. */
    __device__ __forceinline__ void store(const float (&d)[64], kept, int b, int row, int column) const
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            if (row + 8 * r >= m)
                continue;
            float *to = c + b * batch + (row + 8 * r) * ld + column;
#pragma unroll
            for (int j = 0; j < product_side / 8; j++) {
                const float2 v = make_float2(alpha * d[4 * j + 2 * r], alpha * d[4 * j + 2 * r + 1]);
                if (column + 8 * j + 1 < n)
                    *(float2 *)(to + 8 * j) = v;
                else if (column + 8 * j < n)
                    to[8 * j] = v.x;
            }
        }
    }
#endif
};

product_operand evenly(const void *x, int64_t rows, int64_t distance, int64_t batch)
{
    return {(const float *)x, 0, distance, product_unit, batch, (int)rows, INT_MAX};
}

} // namespace

bool ff_cuda_product_wgmma(struct ff_backend *be, const struct ff_cuda_gemm_args *g)
{
    if (!ff_cuda_has_wgmma(be) || g->a_trans || !g->b_trans || g->beta != 0.0f || g->bias || g->relu ||
        g->a_type != FF_F32 || g->c_type != FF_F32 || g->k == 0 || g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX)
        return false;
    const int64_t batch = g->batch > 1 ? g->batch : 1;
    const product_operand a = evenly(g->a, g->m, g->lda, batch > 1 ? g->a_batch : 0);
    const product_operand b = evenly(g->b, g->n, g->ldb, batch > 1 ? g->b_batch : 0);
    if (!product_fits(a) || !product_fits(b) || ((uintptr_t)g->c & 7) != 0 || g->ldc % 2 != 0 ||
        (batch > 1 && g->c_batch % 2 != 0))
        return false;
    const store_rows end = {(float *)g->c, g->ldc, batch > 1 ? g->c_batch : 0, (int)g->m, (int)g->n,
                            g->alpha == 0.0f ? 1.0f : g->alpha};
    product_launch(be, a, b, g->k, batch, end);
    return true;
}
