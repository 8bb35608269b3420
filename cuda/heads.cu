/* SPDX-License-Identifier: Apache-2.0
 * heads: the output heads that read pairs. Always float32 arithmetic. Rows are worked on in tiles of the workspace that
 * stay in the second-level cache, so that the logits of the aligned error never lie in memory unless asked for.
 *
 * Cost per pair: reading c numbers of z (twice for the distogram), 2 c n flops; bound by memory where the product
 * runs on tensor cores.
 *
 * Source: Jumper et al. 2021, Suppl. 1.9.7 and 1.9.8; AlphaFold model/modules.py DistogramHead and
 * PredictedAlignedErrorHead, common/confidence.py. Reference: ops_cpu_heads.c.
 */
#include "common.cuh"

namespace {

constexpr int threads = 256;

/* y[r, k] = z[row + r, k] + zt[row + r, k], y contiguous [rows, c]; a thread makes V neighbouring numbers. */
template <class T, int V>
__global__ void __launch_bounds__(threads) sum_rows_kernel(float *y, const T *z, ff_cuda_rows z_rows, const T *zt,
                                                           ff_cuda_rows zt_rows, unsigned row, int64_t rows, int c)
{
    int64_t unit = (int64_t)blockIdx.x * threads + threadIdx.x;
    int units = c / V;
    int64_t r = unit / units;
    int k = (int)(unit % units) * V;
    if (r >= rows)
        return;
    const T *x0 = z + z_rows.at(row + (unsigned)r) + k, *x1 = zt + zt_rows.at(row + (unsigned)r) + k;
    if constexpr (V == 4) {
        float4 p = load4(x0), q = load4(x1);
        store4(y + r * c + k, make_float4(p.x + q.x, p.y + q.y, p.z + q.z, p.w + q.w));
    } else {
        y[r * c + k] = to_float(*x0) + to_float(*x1);
    }
}

__global__ void double_kernel(float *y, const float *x, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n)
        y[k] = 2.0f * x[k];
}

/* error[r] = sum_k softmax(x[r, :])[k] centre[k], tm[r] the same with 1 / (1 + centre^2 / d0^2); x [rows, n]. A warp
 * makes one row. */
__global__ void __launch_bounds__(threads) expectation_kernel(float *error, ff_cuda_rows error_rows, float *tm,
                                                              ff_cuda_rows tm_rows, const float *x, unsigned row,
                                                              int64_t rows, int n, float step, float inverse_d0_2)
{
    int64_t r = (int64_t)blockIdx.x * (threads / 32) + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (r >= rows)
        return;
    const float *l = x + r * n;
    float top = -3.0e38f, sum = 0.0f, sum_error = 0.0f, sum_tm = 0.0f;
    for (int k = lane; k < n; k += 32)
        top = fmaxf(top, l[k]);
    top = warp_max(top);
    for (int k = lane; k < n; k += 32) {
        float e = expf(l[k] - top), centre = step * ((float)k + 0.5f);
        sum += e;
        sum_error += e * centre;
        sum_tm += e / (1.0f + centre * centre * inverse_d0_2);
    }
    sum = warp_sum(sum);
    sum_error = warp_sum(sum_error);
    sum_tm = warp_sum(sum_tm);
    if (lane == 0) {
        error[error_rows.at(row + (unsigned)r)] = sum_error / sum;
        if (tm)
            tm[tm_rows.at(row + (unsigned)r)] = sum_tm / sum;
    }
}

void product(struct ff_backend *be, float *y, const float *x, int64_t rows, const float *w, int64_t c, int64_t n,
             const float *b)
{
    struct ff_cuda_gemm_args g = {};
    g.m = rows;
    g.n = n;
    g.k = c;
    g.a = x;
    g.a_type = FF_F32;
    g.lda = c;
    g.b = w;
    g.b_type = FF_F32;
    g.ldb = n;
    g.c = y;
    g.c_type = FF_F32;
    g.ldc = n;
    g.alpha = 1.0f;
    g.bias = b;
    ff_cuda_gemm(be, &g);
}

void sum_rows(struct ff_backend *be, float *y, const struct ff_tensor *z, const struct ff_tensor *zt, int64_t row,
              int64_t rows)
{
    int64_t c = z->shape[2];
    ff_cuda_rows at = ff_cuda_rows_of(z, 2), at_t = ff_cuda_rows_of(zt, 2);
    bool wide = c % 4 == 0 && ff_cuda_aligned(z, 4) && ff_cuda_aligned(zt, 4);
    ff_cuda_with_type(z->dtype, [&](auto type) {
        using T = decltype(type);
        const T *p = (const T *)z->data, *q = (const T *)zt->data;
        cudaStream_t stream = ff_cuda_stream(be);
        if (wide)
            sum_rows_kernel<T, 4><<<ff_blocks(rows * c / 4, threads), threads, 0, stream>>>(
                y, p, at, q, at_t, (unsigned)row, rows, (int)c);
        else
            sum_rows_kernel<T, 1><<<ff_blocks(rows * c, threads), threads, 0, stream>>>(
                y, p, at, q, at_t, (unsigned)row, rows, (int)c);
    });
    FF_CUDA_LAUNCHED();
}

} // namespace

extern "C" void ff_cuda_symmetric_linear(struct ff_backend *be, const struct ff_symmetric_linear_args *a)
{
    int64_t c = a->w.shape[0], n = a->w.shape[1], n_row = ff_cuda_row_count(&a->z, 2);
    FF_ASSERT(a->out.ndim == 3 && a->out.shape[2] == n && a->b.shape[0] == n && a->out.dtype == FF_F32);
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[2] == c && ff_tensor_same_shape(&a->z, &a->zt));
    FF_ASSERT(a->z.dtype == a->zt.dtype);
    FF_ASSERT(a->out.shape[0] == a->z.shape[0] && a->out.shape[1] == a->z.shape[1]);
    ff_cuda_mark mark(be);
    const float *w = (const float *)ff_cuda_as_type(be, &a->w, FF_F32);
    float *b2 = ff_cuda_take<float>(be, n);
    double_kernel<<<ff_blocks(n, threads), threads, 0, ff_cuda_stream(be)>>>(b2, (const float *)a->b.data, (int)n);
    FF_CUDA_LAUNCHED();

    bool direct = ff_tensor_contiguous(&a->out);
    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)(c + n) * sizeof(float));
    float *x = ff_cuda_take<float>(be, step * c);                /* [step, c] */
    float *y = direct ? nullptr : ff_cuda_take<float>(be, step * n);
    for (int64_t row = 0; row < n_row; row += step) {
        int64_t rows = n_row - row < step ? n_row - row : step;
        sum_rows(be, x, &a->z, &a->zt, row, rows);
        product(be, direct ? (float *)a->out.data + row * n : y, x, rows, w, c, n, b2);
        if (!direct) {
            struct ff_cuda_store how = {};
            ff_cuda_store_rows(be, &a->out, row, rows, y, FF_F32, n, &how);
        }
    }
}

extern "C" void ff_cuda_aligned_error(struct ff_backend *be, const struct ff_aligned_error_args *a)
{
    int64_t c = a->w.shape[0], n = a->w.shape[1], n_row = ff_cuda_row_count(&a->z, 2);
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[2] == c && n > 2 && a->b.shape[0] == n);
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[0] == a->z.shape[0] && a->out.shape[1] == a->z.shape[1]);
    FF_ASSERT(a->tm.ndim == 0 || (ff_tensor_same_shape(&a->tm, &a->out) && a->d0 > 0.0f));
    FF_ASSERT(a->logits.ndim == 0 || (a->logits.ndim == 3 && a->logits.shape[2] == n));
    ff_cuda_mark mark(be);
    const float *w = (const float *)ff_cuda_as_type(be, &a->w, FF_F32);
    bool keep = a->logits.ndim > 0, direct = keep && ff_tensor_contiguous(&a->logits);
    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)(c + n) * sizeof(float));
    float *x = ff_cuda_take<float>(be, step * c);                /* [step, c] */
    float *y = direct ? nullptr : ff_cuda_take<float>(be, step * n);
    float bin = a->max_bin / (float)(n - 2), inverse = a->tm.ndim > 0 ? 1.0f / (a->d0 * a->d0) : 0.0f;
    ff_cuda_rows error_rows = ff_cuda_rows_of(&a->out, 2), tm_rows = error_rows;
    if (a->tm.ndim > 0)
        tm_rows = ff_cuda_rows_of(&a->tm, 2);
    for (int64_t row = 0; row < n_row; row += step) {
        int64_t rows = n_row - row < step ? n_row - row : step;
        float *logits = direct ? (float *)a->logits.data + row * n : y;
        ff_cuda_load_rows(be, x, FF_F32, c, &a->z, row, rows, nullptr, false);
        product(be, logits, x, rows, w, c, n, (const float *)a->b.data);
        expectation_kernel<<<ff_blocks(rows, threads / 32), threads, 0, ff_cuda_stream(be)>>>(
            (float *)a->out.data, error_rows, a->tm.ndim > 0 ? (float *)a->tm.data : nullptr, tm_rows, logits,
            (unsigned)row, rows, (int)n, bin, inverse);
        FF_CUDA_LAUNCHED();
        if (keep && !direct) {
            struct ff_cuda_store how = {};
            ff_cuda_store_rows(be, &a->logits, row, rows, y, FF_F32, n, &how);
        }
    }
}
