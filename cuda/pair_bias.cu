/* SPDX-License-Identifier: Apache-2.0
 * pair_bias: out[h, i, j] = LN(x)[i, j] . w[:, h], the pair bias of row and triangle attention (Suppl. Alg. 7 line 3,
 * 13 line 3).
 *
 * x [I, J, c] is read once, in 16-byte pieces; out is H / c of that. Three kernels:
 *   mma     bf16, 64 or 128 channels, up to 8 heads: a warp has 16 neighbouring j, four threads a row. What a product
 *           sums over may stand in any order, so that the numbers a thread has loaded are its part of operand A as they
 *           are. Layer norm comes after the product, LN(x) . w = inverse (x . sw - mean sum(sw)) + offset . w with
 *           sw = scale w in two bf16 parts: x is not rounded again, and the difference keeps its digits.
 *   128     float32 or bf16 of other alignment, 128 channels, 4 or 8 heads
 *   any     the rest
 * The bias of float32 rows may be float16: attention reads it as such.
 * Numerics: sums, mean and variance in float32. Cost: bound by reading x. Reference: ops_cpu_attention.c.
 */
#include "mma.cuh"

namespace {

enum { BIAS_ROWS = 64, BIAS_THREADS = 256, MAX_HEADS = 16, MAX_CHANNELS = 512 };

/* --- mma --- */

struct bias_job {
    bf16 *out;
    int64_t out_h, out_i;
    const bf16 *x;
    int64_t x_i, x_j;
    int n_i, n_j, n_head;
    const float *scale, *offset;
    bool wide;                           /* out may be written two at a time */
};

/* Rows g and g + 8 of a warp's tile are j0 + 2 g and + 1, so that a thread's two results of one head are neighbours. */
template <int C, class W>
__global__ void __launch_bounds__(BIAS_THREADS, 3) pair_bias_mma_kernel(const __grid_constant__ bias_job a, const W *w)
{
    constexpr int pieces = C / 32, k_steps = C / 16;
    __shared__ uint4 weights[k_steps * 32];          /* of a lane: the large parts of B, the small parts */
    __shared__ float sums[8], constants[8];
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;

    for (int u = (int)threadIdx.x; u < k_steps * 32; u += BIAS_THREADS) {
        int k = u / 32, h = u % 32 / 4;
        unsigned part[4];
#pragma unroll
        for (int p = 0; p < 2; p++) {
            int i = 2 * k + p, c = i / 4 * 32 + u % 4 * 8 + i % 4 * 2;
            float v0 = h < a.n_head ? a.scale[c] * to_float(w[c * a.n_head + h]) : 0.0f;
            float v1 = h < a.n_head ? a.scale[c + 1] * to_float(w[(c + 1) * a.n_head + h]) : 0.0f;
            part[p] = pack2(v0, v1);
            part[2 + p] = pack2(v0 - __uint_as_float(part[p] << 16), v1 - __uint_as_float(part[p] & 0xffff0000u));
        }
        weights[u] = make_uint4(part[0], part[1], part[2], part[3]);
    }
    float sum_sw = 0.0f, constant = 0.0f;
    for (int c = lane; c < C && warp < a.n_head; c += 32) {
        float v = to_float(w[c * a.n_head + warp]);
        sum_sw += a.scale[c] * v;
        constant += a.offset[c] * v;
    }
    sum_sw = warp_sum(sum_sw);
    constant = warp_sum(constant);
    if (lane == 0) {
        sums[warp] = sum_sw;
        constants[warp] = constant;
    }
    __syncthreads();

    after_kernels_before();
    const int tiles_j = (a.n_j + 15) / 16, step = (int)gridDim.x * (BIAS_THREADS / 32);
    for (int tile = (int)blockIdx.x * (BIAS_THREADS / 32) + warp; tile < a.n_i * tiles_j; tile += step) {
        const int i = tile / tiles_j, j = tile % tiles_j * 16 + 2 * g;
        uint4 raw[2][pieces];
#pragma unroll
        for (int e = 0; e < 2; e++)
#pragma unroll
            for (int p = 0; p < pieces; p++)
                raw[e][p] = j + e < a.n_j ? *(const uint4 *)(a.x + i * a.x_i + (j + e) * a.x_j + p * 32 + t * 8)
                                          : make_uint4(0, 0, 0, 0);
        float mean[2], inverse[2];
#pragma unroll
        for (int e = 0; e < 2; e++) {
            float sum = 0.0f, square = 0.0f, x[8];
#pragma unroll
            for (int p = 0; p < pieces; p++) {
                unpack8(x, raw[e][p]);
#pragma unroll
                for (int k = 0; k < 8; k++)
                    sum += x[k];
            }
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            mean[e] = sum * (1.0f / C);
#pragma unroll
            for (int p = 0; p < pieces; p++) {
                unpack8(x, raw[e][p]);
#pragma unroll
                for (int k = 0; k < 8; k++)
                    square += (x[k] - mean[e]) * (x[k] - mean[e]);
            }
            square += __shfl_xor_sync(0xffffffffu, square, 1);
            square += __shfl_xor_sync(0xffffffffu, square, 2);
            inverse[e] = rsqrtf(square * (1.0f / C) + 1e-5f);
        }
        float dot[4] = {};                           /* of large and small parts */
#pragma unroll
        for (int k = 0; k < k_steps; k++) {
            const uint4 r0 = raw[0][k / 2], r1 = raw[1][k / 2], b = weights[k * 32 + lane];
            const unsigned x[4] = {k % 2 ? r0.z : r0.x, k % 2 ? r1.z : r1.x, k % 2 ? r0.w : r0.y, k % 2 ? r1.w : r1.y};
            mma_bf16(dot, x, b.x, b.y);
            mma_bf16(dot, x, b.z, b.w);
        }
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int h = 2 * t + e;
            const float sw = sums[h], c = constants[h];
            if (h >= a.n_head || j >= a.n_j)
                continue;
            const float first = inverse[0] * (dot[e] - mean[0] * sw) + c;
            const float second = inverse[1] * (dot[2 + e] - mean[1] * sw) + c;
            bf16 *to = a.out + h * a.out_h + i * a.out_i + j;
            if (a.wide && j + 1 < a.n_j) {
                *(unsigned *)to = pack2(first, second);
            } else {
                to[0] = __float2bfloat16_rn(first);
                if (j + 1 < a.n_j)
                    to[1] = __float2bfloat16_rn(second);
            }
        }
    }
}

/* --- any --- */

/* A logit beyond the range of float16 decides as one at its end does. */
template <class Y> __device__ __forceinline__ Y to_bias(float x) { return from_float<Y>(x); }
template <> __device__ __forceinline__ f16 to_bias<f16>(float x)
{
    return from_float<f16>(fabsf(x) > 65504.0f ? copysignf(65504.0f, x) : x);
}

/* BIAS_ROWS rows per block, a group of 16 threads per row at a time: LN(x) . w[:, h] for all heads, then the block
 * writes its rows of each head side by side. w lies in shared memory as [H][c]. */
template <class Y, class X, class W>
__global__ void __launch_bounds__(BIAS_THREADS)
    pair_bias_kernel(Y *out, int64_t out_h, int64_t out_i, unsigned columns, const X *x, struct ff_cuda_rows rows,
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
            out[h * out_h + row / columns * out_i + row % columns] = to_bias<Y>(result[i]);
    }
}

/* --- 128 --- */

/* The same for 128 channels and up to 8 heads, the sizes of the published network: 16 threads hold a row in registers,
 * 8 channels each, and the sums over threads halve the number of heads that each looks after. The weights stay in
 * registers while a block walks over its rows. */
template <class X> __device__ __forceinline__ void load8(float (&v)[8], const X *p)
{
    float4 a = load4(p), b = load4(p + 4);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

template <class Y, class X, class W, int H>
__global__ void __launch_bounds__(BIAS_THREADS, 2)
    pair_bias_128_kernel(Y *out, int64_t out_h, int64_t out_i, unsigned columns, const X *x, struct ff_cuda_rows rows,
                         unsigned n_row, const float *scale, const float *offset, const W *w)
{
    __shared__ float result[H][BIAS_ROWS];
    const int lane = threadIdx.x % 16, group = threadIdx.x / 16;
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
    for (unsigned first = blockIdx.x * BIAS_ROWS; first < n_row; first += gridDim.x * BIAS_ROWS) {
        float all[BIAS_ROWS / 16][8];                        /* on their way together */
#pragma unroll
        for (int it = 0; it < BIAS_ROWS / 16; it++)
            load8(all[it], x + rows.at(min(first + it * 16 + group, n_row - 1)) + lane * 8);
#pragma unroll
        for (int it = 0; it < BIAS_ROWS / 16; it++) {
            const int r = it * 16 + group;
            float(&v)[8] = all[it], sum = 0.0f, square = 0.0f;
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
                out[h * out_h + row / columns * out_i + row % columns] = to_bias<Y>(result[h][i % BIAS_ROWS]);
        }
        __syncthreads();
    }
}

/* False where types, sizes or alignment are not its own. */
bool pair_bias_mma(struct ff_backend *be, const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0], n_head = a->w.shape[1], n_i = a->x.shape[0], n_j = a->x.shape[1];
    if (!ff_is_bf16(&a->x) || (c != 64 && c != 128) || n_head > 8 || !ff_cuda_aligned(&a->x, 8))
        return false;
    bias_job j = {
        (bf16 *)a->out.data, a->out.stride[0], a->out.stride[1],
        (const bf16 *)a->x.data, a->x.stride[0], a->x.stride[1],
        (int)n_i, (int)n_j, (int)n_head,
        (const float *)a->norm.scale.data, (const float *)a->norm.offset.data,
        ((uintptr_t)a->out.data & 3) == 0 && a->out.stride[0] % 2 == 0 && a->out.stride[1] % 2 == 0,
    };
    int64_t blocks = (n_i * ((n_j + 15) / 16) + BIAS_THREADS / 32 - 1) / (BIAS_THREADS / 32);
    int64_t most = 3 * (int64_t)ff_cuda_sm_count(be);
    unsigned grid = (unsigned)(blocks < most ? blocks : most);
    auto launch = [&](auto *kernel, auto *w) {
        ff_cuda_launch_early(kernel, grid, BIAS_THREADS, 0, ff_cuda_stream(be), ff_cuda_has_wgmma(be), j, w);
    };
    ff_cuda_with_type(a->w.dtype, [&](auto t) {
        using W = decltype(t);
        const W *w = (const W *)a->w.data;
        if (c == 128)
            launch(pair_bias_mma_kernel<128, W>, w);
        else
            launch(pair_bias_mma_kernel<64, W>, w);
    });
    return true;
}

}  // namespace

extern "C" void ff_cuda_pair_bias(struct ff_backend *be, const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->x.ndim == 3 && a->out.shape[0] == n_head && a->x.shape[2] == c);
    FF_ASSERT(a->out.shape[1] == a->x.shape[0] && a->out.shape[2] == a->x.shape[1] && a->out.stride[2] == 1);
    FF_ASSERT(n_head <= MAX_HEADS && c <= MAX_CHANNELS);
    FF_ASSERT(a->out.dtype == a->x.dtype || (a->out.dtype == FF_F16 && a->x.dtype == FF_F32));
    if (a->x.shape[0] == 0 || a->x.shape[1] == 0 || pair_bias_mma(be, a))
        return;
    unsigned n_row = (unsigned)ff_cuda_row_count(&a->x, 2), columns = (unsigned)a->x.shape[1];
    struct ff_cuda_rows rows = ff_cuda_rows_of(&a->x, 2);
    const float *scale = (const float *)a->norm.scale.data, *offset = (const float *)a->norm.offset.data;
    bool fast = c == 128 && (n_head == 4 || n_head == 8) && ff_cuda_aligned(&a->x, 4) && (uintptr_t)scale % 16 == 0 &&
                (uintptr_t)offset % 16 == 0;
    size_t shared = (size_t)(n_head * (c + BIAS_ROWS)) * sizeof(float);
    cudaStream_t stream = ff_cuda_stream(be);
    unsigned blocks = ff_blocks(n_row, BIAS_ROWS), persistent = min(blocks, 2 * (unsigned)ff_cuda_sm_count(be));
    auto run = [&](auto ty, auto tx, auto tw) {
        using Y = decltype(ty);
        using X = decltype(tx);
        using W = decltype(tw);
        Y *out = (Y *)a->out.data;
        const X *x = (const X *)a->x.data;
        const W *w = (const W *)a->w.data;
        if (fast && n_head == 8)
            pair_bias_128_kernel<Y, X, W, 8><<<persistent, BIAS_THREADS, 0, stream>>>(
                out, a->out.stride[0], a->out.stride[1], columns, x, rows, n_row, scale, offset, w);
        else if (fast)
            pair_bias_128_kernel<Y, X, W, 4><<<persistent, BIAS_THREADS, 0, stream>>>(
                out, a->out.stride[0], a->out.stride[1], columns, x, rows, n_row, scale, offset, w);
        else
            pair_bias_kernel<Y, X, W>
                <<<blocks, BIAS_THREADS, shared, stream>>>(out, a->out.stride[0], a->out.stride[1], columns, x, rows,
                                                           n_row, (int)c, (int)n_head, scale, offset, w);
    };
    ff_cuda_with_type(a->w.dtype, [&](auto tw) {
        if (a->out.dtype == FF_F16)
            run(f16(), float(), tw);
        else
            ff_cuda_with_type(a->x.dtype, [&](auto tx) { run(tx, tx, tw); });
    });
    FF_CUDA_LAUNCHED();
}
