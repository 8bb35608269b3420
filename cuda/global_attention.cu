/* SPDX-License-Identifier: Apache-2.0
 * global_attention: gated attention with one query per column and head (Suppl. Alg. 19), some columns at a time.
 *
 * The sequences of a piece of columns are normed into a tile [columns, S, c]; their sums over the mask give the
 * queries; one product gives keys, values and gates; one block per column and head does the softmax; the gates are
 * applied, and the output projection adds to the MSA.
 */
#include <algorithm>

#include "global_attention_fused.cuh"

namespace {

enum { THREADS = 256, MEAN_THREADS = 1024, LOGITS = 1024 /* of so many sequences at a time */ };

/* mean[r, :] = sum_s mask[s, r] x[r, s, :] / (sum_s mask + 1e-10); one block per column, x [columns, S, c]. */
template <class T>
__global__ void __launch_bounds__(MEAN_THREADS) mean_kernel(float *mean, const T *x, const float *mask, int64_t mask_s,
                                                       int64_t mask_r, int64_t first, int n_seq, int c)
{
    extern __shared__ float shared[];                    /* [groups, c] */
    __shared__ float sums[32];
    const int64_t r = blockIdx.x;
    const float *m = mask + (first + r) * mask_r;
    float count = 0.0f;
    for (int s = threadIdx.x; s < n_seq; s += MEAN_THREADS)
        count += m[s * mask_s];
    count = block_sum(count, sums);
    const int width = min(c, (int)MEAN_THREADS), groups = MEAN_THREADS / width, group = threadIdx.x / width;
    for (int k = threadIdx.x % width; k < c && group < groups; k += width) {
        float sum = 0.0f;
        for (int s = group; s < n_seq; s += groups)
            sum += m[s * mask_s] * to_float(x[(r * n_seq + s) * c + k]);
        shared[group * c + k] = sum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < c; k += MEAN_THREADS) {
        float sum = 0.0f;
        for (int i = 0; i < groups; i++)
            sum += shared[i * c + k];
        mean[r * c + k] = sum / (count + 1e-10f);
    }
}

/* kvg [columns, S, 2 d + hd] -> value [columns, hd], the weighted mean of the column's values. */
template <class T>
__global__ void __launch_bounds__(THREADS)
    attend_kernel(float *value, const T *kvg, const float *q, const float *mask, int64_t mask_s, int64_t mask_r,
                  int64_t first, int n_seq, int n_head, int d)
{
    extern __shared__ float shared[];                    /* q [d], value [d], logits [LOGITS] */
    __shared__ float sums[32];
    const int h = (int)blockIdx.y, hd = n_head * d, ld = 2 * d + hd;
    const int64_t r = blockIdx.x;
    const float *m = mask + (first + r) * mask_r;
    const T *rows = kvg + r * n_seq * ld;
    float *qs = shared, *sum_v = qs + d, *logits = sum_v + d, top = -INFINITY, sum = 0.0f;
    for (int e = threadIdx.x; e < d; e += THREADS) {
        qs[e] = q[r * hd + h * d + e] * rsqrtf((float)d);
        sum_v[e] = 0.0f;
    }
    __syncthreads();
    for (int first_s = 0; first_s < n_seq; first_s += LOGITS) {
        const int count = min(n_seq - first_s, (int)LOGITS);
        const T *part = rows + (int64_t)first_s * ld;
        float most = -INFINITY, weights = 0.0f;
        for (int s = threadIdx.x; s < count; s += THREADS) {
            float dot = 0.0f;
            for (int e = 0; e < d; e++)
                dot += qs[e] * to_float(part[(int64_t)s * ld + e]);
            dot = m[(first_s + s) * mask_s] == 0.0f ? -1e9f : dot;
            logits[s] = dot;
            most = fmaxf(most, dot);
        }
        const float now = fmaxf(top, block_max(most, sums)), factor = expf(top - now);
        top = now;
        for (int s = threadIdx.x; s < count; s += THREADS) {
            float p = expf(logits[s] - top);
            logits[s] = p;
            weights += p;
        }
        sum = sum * factor + block_sum(weights, sums);
        /* A warp per value channel. */
        for (int e = threadIdx.x / 32; e < d; e += THREADS / 32) {
            float v = 0.0f;
            for (int s = threadIdx.x % 32; s < count; s += 32)
                v += logits[s] * to_float(part[(int64_t)s * ld + d + e]);
            v = warp_sum(v);
            if (threadIdx.x % 32 == 0)
                sum_v[e] = sum_v[e] * factor + v;
        }
        __syncthreads();
    }
    for (int e = threadIdx.x; e < d; e += THREADS)
        value[r * hd + h * d + e] = sum_v[e] / sum;
}

/* gated [columns, S, hd] = sigmoid(gate + gate_b) * value */
template <class T>
__global__ void __launch_bounds__(THREADS)
    gate_kernel(T *gated, const T *kvg, const float *value, const float *gate_b, int64_t rows, int n_seq, int hd, int d)
{
    const int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = blockIdx.x * (int64_t)THREADS + threadIdx.x; i < rows * hd; i += step) {
        const int64_t row = i / hd;
        const int e = (int)(i - row * hd);
        const float gate = sigmoid(to_float(kvg[row * (2 * d + hd) + 2 * d + e]) + gate_b[e]);
        gated[i] = from_float<T>(gate * value[row / n_seq * hd + e]);
    }
}

/* w [c, 2 d + hd] = kv_w beside gate_w. */
template <class T> __global__ void join_kernel(T *w, const T *kv, const T *gate, int c, int n_kv, int n_gate)
{
    int n = n_kv + n_gate;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < c * n; i += gridDim.x * blockDim.x) {
        int k = i / n, o = i % n;
        w[i] = o < n_kv ? kv[k * n_kv + o] : gate[k * n_gate + o - n_kv];
    }
}

}  // namespace

template <class T>
static void columns(struct ff_backend *be, const struct ff_global_attention_args *a, const T *w, const float *q_w,
                    const T *o_w, int64_t first, int64_t count)
{
    ff_cuda_mark mark(be);
    cudaStream_t stream = ff_cuda_stream(be);
    enum ff_dtype type = sizeof(T) == 2 ? FF_BF16 : FF_F32;
    int64_t n_seq = a->out.shape[0], c = a->out.shape[2], hd = a->q_w.shape[1], d = hd / a->n_head, n = 2 * d + hd;
    int64_t rows = count * n_seq;
    struct ff_tensor part = a->out;                      /* [columns, S, c]: the piece, transposed */
    part.data = (char *)part.data + first * part.stride[1] * (int64_t)ff_dtype_size(part.dtype);
    part.shape[0] = count;
    part.shape[1] = n_seq;
    part.stride[0] = a->out.stride[1];
    part.stride[1] = a->out.stride[0];

    T *x = ff_cuda_take<T>(be, rows * c), *kvg = ff_cuda_take<T>(be, rows * n);
    float *mean = ff_cuda_take<float>(be, count * c), *q = ff_cuda_take<float>(be, count * hd);
    float *value = ff_cuda_take<float>(be, count * hd);
    ff_cuda_load_rows(be, x, type, c, &part, 0, rows, &a->norm, false);
    const float *m = (const float *)a->mask.data;
    int width = (int)std::min<int64_t>(c, MEAN_THREADS);
    mean_kernel<T><<<(unsigned)count, MEAN_THREADS, (size_t)(MEAN_THREADS / width * c) * sizeof(float), stream>>>(
        mean, x, m, a->mask.stride[0], a->mask.stride[1], first, (int)n_seq, (int)c);
    FF_CUDA_LAUNCHED();

    struct ff_cuda_gemm_args g = {};
    g.m = count;
    g.n = g.ldb = g.ldc = hd;
    g.k = g.lda = c;
    g.a = mean;
    g.b = q_w;
    g.c = q;
    g.a_type = g.b_type = g.c_type = FF_F32;
    ff_cuda_gemm(be, &g);

    g.m = rows;
    g.n = g.ldb = g.ldc = n;
    g.a = x;
    g.b = w;
    g.c = kvg;
    g.a_type = g.b_type = g.c_type = type;
    ff_cuda_gemm(be, &g);

    T *gated = hd <= c ? x : ff_cuda_take<T>(be, rows * hd);
    const size_t shared = (size_t)(LOGITS + 2 * d) * sizeof(float);
    attend_kernel<T><<<dim3((unsigned)count, (unsigned)a->n_head), THREADS, shared, stream>>>(
        value, kvg, q, m, a->mask.stride[0], a->mask.stride[1], first, (int)n_seq, a->n_head, (int)d);
    FF_CUDA_LAUNCHED();
    const unsigned blocks = (unsigned)std::min<int64_t>(ff_blocks(rows * hd, THREADS), 16 * ff_cuda_sm_count(be));
    gate_kernel<T><<<blocks, THREADS, 0, stream>>>(gated, kvg, value, (const float *)a->gate_b.data, rows, (int)n_seq,
                                                   (int)hd, (int)d);
    FF_CUDA_LAUNCHED();

    T *product = kvg;                                    /* [columns, S, c] */
    if (c > n)
        product = ff_cuda_take<T>(be, rows * c);
    g.n = g.ldb = g.ldc = c;
    g.k = g.lda = hd;
    g.a = gated;
    g.b = o_w;
    g.c = product;
    ff_cuda_gemm(be, &g);
    struct ff_cuda_store how = {};
    how.b = (const float *)a->o_b.data;
    how.accumulate = true;
    ff_cuda_store_rows(be, &part, 0, rows, product, type, c, &how);
}

extern "C" void ff_cuda_global_attention(struct ff_backend *be, const struct ff_global_attention_args *a)
{
    int64_t n_seq = a->out.shape[0], n_col = a->out.shape[1], c = a->out.shape[2], hd = a->q_w.shape[1],
            d = hd / a->n_head;
    FF_ASSERT(a->out.ndim == 3 && a->mask.ndim == 2 && a->mask.shape[0] == n_seq && a->mask.shape[1] == n_col);
    FF_ASSERT(hd % a->n_head == 0 && a->kv_w.shape[1] == 2 * d && a->gate_w.shape[1] == hd && a->o_w.shape[1] == c);
    if (n_seq == 0 || n_col == 0 || ff_cuda_global_attention_fused(be, a))
        return;
    ff_cuda_mark mark(be);
    enum ff_dtype type = a->out.dtype;
    const float *q_w = (const float *)ff_cuda_as_type(be, &a->q_w, FF_F32);
    const void *kv = ff_cuda_as_type(be, &a->kv_w, type), *gate = ff_cuda_as_type(be, &a->gate_w, type);
    const void *o_w = ff_cuda_as_type(be, &a->o_w, type);
    ff_cuda_with_type(type, [&](auto t) {
        using T = decltype(t);
        int64_t n = 2 * d + hd;
        T *w = ff_cuda_take<T>(be, c * n);
        join_kernel<T><<<ff_blocks(c * n, 256), 256, 0, ff_cuda_stream(be)>>>(w, (const T *)kv, (const T *)gate, (int)c,
                                                                              (int)(2 * d), (int)hd);
        FF_CUDA_LAUNCHED();
        /* A block works on one column: many at a time, though they leave the second-level cache. Half of what is left
         * is for the products. */
        int64_t column = n_seq * (c + n + (hd > c ? hd : 0) + (c > n ? c : 0)) * (int64_t)sizeof(T) +
                         (c + 2 * hd) * (int64_t)sizeof(float);
        int64_t room = std::min<int64_t>((int64_t)ff_cuda_left(be) / 2, 8 * (int64_t)FF_CUDA_TILE_BYTES);
        int64_t step = std::max<int64_t>(1, std::min(n_col, room / column));
        step = (n_col + (n_col + step - 1) / step - 1) / ((n_col + step - 1) / step);    /* evened out */
        for (int64_t first = 0; first < n_col; first += step)
            columns<T>(be, a, w, q_w, (const T *)o_w, first, std::min(step, n_col - first));
    });
}
