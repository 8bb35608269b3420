/* SPDX-License-Identifier: Apache-2.0
 * attention: the bias from the pair, and the choice of an attention kernel. Head sizes and strides that the fast
 * kernels do not take go through a plain one.
 */
#include <algorithm>

#include "attention.cuh"

/* --- pair bias --- */

namespace {

enum { BIAS_ROWS = 64, BIAS_THREADS = 256, MAX_HEADS = 16, MAX_CHANNELS = 512 };

/* BIAS_ROWS rows per block, a group of 16 threads per row at a time: LN(x) . w[:, h] for all heads, then the block
 * writes its rows of each head side by side. w lies in shared memory as [H][c]. */
template <class X, class W>
__global__ void __launch_bounds__(BIAS_THREADS)
    pair_bias_kernel(X *out, int64_t out_h, int64_t out_i, unsigned columns, const X *x, struct ff_cuda_rows rows,
                     unsigned n_row, int c, int n_head, const float *scale, const float *offset, const W *w)
{
    extern __shared__ float shared[];
    float *ws = shared, *result = shared + n_head * c;       /* [H, c], [H, BIAS_ROWS] */
    for (int i = threadIdx.x; i < n_head * c; i += BIAS_THREADS)
        ws[i % n_head * c + i / n_head] = to_float(w[i]);
    __syncthreads();
    const int lane = threadIdx.x % 16, group = threadIdx.x / 16;
    const unsigned first = blockIdx.x * BIAS_ROWS;
    for (int r = group; r < BIAS_ROWS; r += BIAS_THREADS / 16) {
        const X *from = x + rows.at(min(first + r, n_row - 1));
        float sum = 0.0f, square = 0.0f;
        for (int k = lane; k < c; k += 16)
            sum += to_float(from[k]);
        for (int d = 8; d > 0; d >>= 1)
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
        float mean = sum / (float)c;
        for (int k = lane; k < c; k += 16) {
            float v = to_float(from[k]) - mean;
            square += v * v;
        }
        for (int d = 8; d > 0; d >>= 1)
            square += __shfl_xor_sync(0xffffffffu, square, d);
        float inverse = rsqrtf(square / (float)c + 1e-5f), dot[MAX_HEADS];
#pragma unroll
        for (int h = 0; h < MAX_HEADS; h++)
            dot[h] = 0.0f;
        for (int k = lane; k < c; k += 16) {
            float v = (to_float(from[k]) - mean) * inverse * scale[k] + offset[k];
#pragma unroll
            for (int h = 0; h < MAX_HEADS; h++)
                if (h < n_head)
                    dot[h] += v * ws[h * c + k];
        }
#pragma unroll
        for (int h = 0; h < MAX_HEADS; h++) {
            if (h >= n_head)
                break;
            for (int d = 8; d > 0; d >>= 1)
                dot[h] += __shfl_xor_sync(0xffffffffu, dot[h], d);
            if (lane == 0)
                result[h * BIAS_ROWS + r] = dot[h];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n_head * BIAS_ROWS; i += BIAS_THREADS) {
        unsigned h = i / BIAS_ROWS, row = first + i % BIAS_ROWS;
        if (row < n_row)
            out[h * out_h + row / columns * out_i + row % columns] = from_float<X>(result[i]);
    }
}

/* The same for 128 channels and up to 8 heads, the sizes of the published network: 16 threads hold a row in registers,
 * 8 channels each, and the sums over threads halve the number of heads that each looks after. */
template <class X> __device__ __forceinline__ void load8(float (&v)[8], const X *p)
{
    float4 a = load4(p), b = load4(p + 4);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

template <class X, class W, int H>
__global__ void __launch_bounds__(BIAS_THREADS)
    pair_bias_128_kernel(X *out, int64_t out_h, int64_t out_i, unsigned columns, const X *x, struct ff_cuda_rows rows,
                         unsigned n_row, const float *scale, const float *offset, const W *w)
{
    __shared__ float result[H][BIAS_ROWS];
    const int lane = threadIdx.x % 16, group = threadIdx.x / 16;
    const unsigned first = blockIdx.x * BIAS_ROWS;
    /* LN(x) . w = inverse * (x - mean) . (scale w) + offset . w */
    float ws[H][8], s[8], o[8], constant[H];
    load8(s, scale + lane * 8);
    load8(o, offset + lane * 8);
#pragma unroll
    for (int h = 0; h < H; h++) {
        constant[h] = 0.0f;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float v = to_float(w[(lane * 8 + k) * H + h]);
            constant[h] += o[k] * v;
            ws[h][k] = s[k] * v;
        }
        for (int d = 8; d > 0; d >>= 1)
            constant[h] += __shfl_xor_sync(0xffffffffu, constant[h], d);
    }
#pragma unroll
    for (int it = 0; it < BIAS_ROWS / 16; it++) {
        const int r = it * 16 + group;
        float v[8], sum = 0.0f, square = 0.0f;
        load8(v, x + rows.at(min(first + r, n_row - 1)) + lane * 8);
#pragma unroll
        for (int k = 0; k < 8; k++)
            sum += v[k];
        for (int d = 8; d > 0; d >>= 1)
            sum += __shfl_xor_sync(0xffffffffu, sum, d);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            v[k] -= sum / 128.0f;
            square += v[k] * v[k];
        }
        for (int d = 8; d > 0; d >>= 1)
            square += __shfl_xor_sync(0xffffffffu, square, d);
        float inverse = rsqrtf(square / 128.0f + 1e-5f), dot[H];
#pragma unroll
        for (int h = 0; h < H; h++) {
            dot[h] = 0.0f;
#pragma unroll
            for (int k = 0; k < 8; k++)
                dot[h] += v[k] * ws[h][k];
        }
        /* After each step the upper half of the threads keeps the upper half of the heads. */
        int mine = 0;
#pragma unroll
        for (int n = H, d = 8; n > 1; n /= 2, d /= 2) {
            bool upper = lane & d;
#pragma unroll
            for (int h = 0; h < H / 2; h++)
                if (h < n / 2) {
                    float send = upper ? dot[h] : dot[h + n / 2], keep = upper ? dot[h + n / 2] : dot[h];
                    dot[h] = keep + __shfl_xor_sync(0xffffffffu, send, d);
                }
            mine = mine * 2 + upper;
        }
        for (int d = 8 / H; d > 0; d >>= 1)
            dot[0] += __shfl_xor_sync(0xffffffffu, dot[0], d);
        if (lane % (16 / H) == 0) {
            float c = 0.0f;
#pragma unroll
            for (int h = 0; h < H; h++)
                c = h == mine ? constant[h] : c;
            result[mine][r] = inverse * dot[0] + c;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < H * BIAS_ROWS; i += BIAS_THREADS) {
        unsigned h = i / BIAS_ROWS, row = first + i % BIAS_ROWS;
        if (row < n_row)
            out[h * out_h + row / columns * out_i + row % columns] = from_float<X>(result[h][i % BIAS_ROWS]);
    }
}

}  // namespace

extern "C" void ff_cuda_pair_bias(struct ff_backend *be, const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->x.ndim == 3 && a->out.shape[0] == n_head && a->x.shape[2] == c);
    FF_ASSERT(a->out.shape[1] == a->x.shape[0] && a->out.shape[2] == a->x.shape[1] && a->out.stride[2] == 1);
    FF_ASSERT(a->out.dtype == a->x.dtype && n_head <= MAX_HEADS && c <= MAX_CHANNELS);
    unsigned n_row = (unsigned)ff_cuda_row_count(&a->x, 2), columns = (unsigned)a->x.shape[1];
    struct ff_cuda_rows rows = ff_cuda_rows_of(&a->x, 2);
    const float *scale = (const float *)a->norm.scale.data, *offset = (const float *)a->norm.offset.data;
    bool fast = c == 128 && (n_head == 4 || n_head == 8) && ff_cuda_aligned(&a->x, 4) && (uintptr_t)scale % 16 == 0 &&
                (uintptr_t)offset % 16 == 0;
    size_t shared = (size_t)(n_head * (c + BIAS_ROWS)) * sizeof(float);
    cudaStream_t stream = ff_cuda_stream(be);
    unsigned blocks = ff_blocks(n_row, BIAS_ROWS);
    ff_cuda_with_type(a->x.dtype, [&](auto tx) {
        ff_cuda_with_type(a->w.dtype, [&](auto tw) {
            using X = decltype(tx);
            using W = decltype(tw);
            X *out = (X *)a->out.data;
            const X *x = (const X *)a->x.data;
            const W *w = (const W *)a->w.data;
            if (fast && n_head == 8)
                pair_bias_128_kernel<X, W, 8><<<blocks, BIAS_THREADS, 0, stream>>>(
                    out, a->out.stride[0], a->out.stride[1], columns, x, rows, n_row, scale, offset, w);
            else if (fast)
                pair_bias_128_kernel<X, W, 4><<<blocks, BIAS_THREADS, 0, stream>>>(
                    out, a->out.stride[0], a->out.stride[1], columns, x, rows, n_row, scale, offset, w);
            else
                pair_bias_kernel<X, W>
                    <<<blocks, BIAS_THREADS, shared, stream>>>(out, a->out.stride[0], a->out.stride[1], columns, x,
                                                               rows, n_row, (int)c, (int)n_head, scale, offset, w);
        });
    });
    FF_CUDA_LAUNCHED();
}

/* --- any sizes and strides --- */

namespace {

enum { MAX_D = 256 };

/* One warp per query: 32 keys at a time, a key per thread for the logits, a channel per thread for the values. */
template <class T> __global__ void __launch_bounds__(128) plain_kernel(struct ff_cuda_attention_job j)
{
    __shared__ float queries[4][MAX_D];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, hd = j.n_head * j.d, d = j.d;
    int64_t item = blockIdx.x * 4ll + warp;
    if (item >= (int64_t)j.n_row * j.n_head * j.length)
        return;
    int i = (int)(item % j.length), h = (int)(item / j.length % j.n_head), b = (int)(item / j.length / j.n_head);
    const T *row = (const T *)j.qkvg + b * j.qkvg_b + h * d;
    float *q = queries[warp], value[MAX_D / 32], top = -INFINITY, sum = 0.0f, scale = FF_LOG2E * rsqrtf((float)d);
    for (int c = lane; c < d; c += 32)
        q[c] = to_float(row[i * j.qkvg_l + c]) * scale;
    __syncwarp();
    for (int n = 0; n < MAX_D / 32; n++)
        value[n] = 0.0f;
    for (int key = 0; key < j.length; key += 32) {
        float s = -INFINITY;
        int k = key + lane;
        if (k < j.length) {
            s = 0.0f;
            for (int c = 0; c < d; c++)
                s += q[c] * to_float(row[k * j.qkvg_l + hd + c]);
            if (j.bias)
                s += FF_LOG2E * to_float(((const T *)j.bias)[h * j.bias_h + i * j.bias_i + k]);
            if (j.mask[b * j.mask_b + k * j.mask_l] == 0.0f)
                s = FF_MASKED;
        }
        float now = fmaxf(top, warp_max(s)), factor = exp2f(top - now), p = exp2f(s - now);
        top = now;
        sum = sum * factor + warp_sum(p);
        for (int n = 0; n < MAX_D / 32; n++)
            value[n] *= factor;
        for (int other = 0; other < min(32, j.length - key); other++) {
            float weight = __shfl_sync(0xffffffffu, p, other);
            const T *v = row + (key + other) * j.qkvg_l + 2 * hd;
            for (int n = 0; n < MAX_D / 32; n++)
                if (n * 32 + lane < d)
                    value[n] += weight * to_float(v[n * 32 + lane]);
        }
    }
    for (int n = 0; n < MAX_D / 32; n++) {
        int c = n * 32 + lane;
        if (c < d)
            ((T *)j.out)[b * j.out_b + i * j.out_l + h * d + c] =
                from_float<T>(value[n] / sum * sigmoid(to_float(row[i * j.qkvg_l + 3 * hd + c])));
    }
}

}  // namespace

extern "C" void ff_cuda_attention(struct ff_backend *be, const struct ff_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->qkvg.ndim == 3 && a->mask.ndim == 2 && a->n_head >= 1);
    struct ff_cuda_attention_job j = {};
    j.n_row = (int)a->qkvg.shape[0];
    j.length = (int)a->qkvg.shape[1];
    j.n_head = a->n_head;
    j.d = (int)(a->qkvg.shape[2] / 4 / a->n_head);
    FF_ASSERT(j.d * j.n_head * 4 == a->qkvg.shape[2] && a->out.shape[2] == j.d * j.n_head && j.d <= MAX_D);
    FF_ASSERT(a->out.shape[0] == j.n_row && a->out.shape[1] == j.length && a->out.dtype == a->qkvg.dtype);
    if (j.n_row == 0 || j.length == 0)
        return;
    j.qkvg = a->qkvg.data;
    j.out = a->out.data;
    j.mask = (const float *)a->mask.data;
    j.qkvg_b = a->qkvg.stride[0];
    j.qkvg_l = a->qkvg.stride[1];
    j.out_b = a->out.stride[0];
    j.out_l = a->out.stride[1];
    j.mask_b = a->mask.stride[0];
    j.mask_l = a->mask.stride[1];
    j.stream = ff_cuda_stream(be);
    int vector = 16 / (int)ff_dtype_size(a->qkvg.dtype);
    if (ff_tensor_present(&a->bias)) {
        FF_ASSERT(a->bias.ndim == 3 && a->bias.dtype == a->qkvg.dtype && a->bias.stride[2] == 1);
        FF_ASSERT(a->bias.shape[0] == j.n_head && a->bias.shape[1] == j.length && a->bias.shape[2] == j.length);
        j.bias = a->bias.data;
        j.bias_h = a->bias.stride[0];
        j.bias_i = a->bias.stride[1];
        j.bias_aligned = (uintptr_t)j.bias % 16 == 0 && j.bias_h % vector == 0 && j.bias_i % vector == 0;
    }
    /* Heads start at multiples of d numbers: of 16 bytes where d is. */
    bool fast = j.d % vector == 0 && ff_cuda_aligned(&a->qkvg, vector) && ff_cuda_aligned(&a->out, vector);
    if (fast && (a->qkvg.dtype == FF_BF16 ? ff_cuda_attention_bf16(&j)
                                          : ff_cuda_attention_fp32(&j, be->precision == FF_PRECISION_TF32)))
        return;
    int64_t warps = (int64_t)j.n_row * j.n_head * j.length;
    ff_cuda_with_type(a->qkvg.dtype,
                      [&](auto t) { plain_kernel<decltype(t)><<<ff_blocks(warps, 4), 128, 0, j.stream>>>(j); });
    FF_CUDA_LAUNCHED();
}
