/* SPDX-License-Identifier: Apache-2.0
 * global_attention_fused: global attention (Suppl. Alg. 19) in bf16 for 64 channels and 8 heads of 8, the sizes of the
 * published network, in two passes over m [S, R, 64].
 *
 *   collect   x = LN(m); k, v [R, S, 16] = x Wkv, and for every column sums of mask x over some of its sequences
 *   attend    q[h] = (sum mask x / (sum mask + 1e-10)) Wq / sqrt(8); value[r, h] = sum_s softmax_s(q[h].k[s]) v[s]
 *   apply     m += (sigmoid(LN(m) Wg + bg) * value) Wo + bo
 *
 * collect and apply: a block has 8 neighbouring columns and every n-th piece of 16 sequences; warp w has of each
 * piece two sequences, that is a tile [16, 64] of mma.sync: row g is (sequence 0, column g), row g + 8 (sequence 1,
 * column g). Lane 4 g + t of the warp reads the channels 8 t .. + 7 and 32 + 8 t .. + 7 of its two rows and never gives
 * them away: what a product sums over may stand in any order, so the lane's own channels are its part of operand A and
 * the rows of the weights are put in that order (`own`), and so are the columns of Wo, whose results are added to the
 * rows where they lie. The next tile is on its way while one is computed.
 * attend: a block has one column, a thread one head and every 32nd sequence, with a running maximum.
 *
 * Shared memory: the weights as the lanes want them, 8 KiB per product. Memory: m read twice and written once, k and v
 * written and read once; bound by that. Numerics: layer norm, means, query, softmax and gate in float32, operands of
 * the products and k, v in bf16. Any number of sequences; columns come in pieces whose k, v fit into the workspace.
 * Reference: ops_cpu_global_attention.c.
 */
#include <algorithm>

#include "global_attention_fused.cuh"
#include "mma.cuh"

namespace {

constexpr int threads = 256, warps = threads / 32, channels = 64, heads = 8, dim = 8;
constexpr int columns = 8, sequences = 2 * warps;        /* of a block's tile */
constexpr float log2e = 1.4426950408889634f;

struct job {
    bf16 *m;                             /* the first column of the piece */
    int64_t m_s, m_r;
    const float *mask;
    int64_t mask_s, mask_r;
    int n_seq, n_col;
    const float *scale, *offset;
    const bf16 *q_w, *kv_w, *gate_w, *o_w;       /* [64, 64], [64, 16], [64, 64], [64, 64] */
    const float *gate_b, *o_b;
    bf16 *kv;                            /* [n_col, n_seq, 16] */
    float *sums, *counts;                /* [splits, n_col, 64], [splits, n_col] */
    float *value;                        /* [n_col, 64] */
    int splits;
};

/* The i-th of eight pairs of channels that lane t of four has. */
__device__ __forceinline__ int own(int t, int i) { return i / 4 * 32 + t * 8 + i % 4 * 2; }

/* Two rows of a lane, 16 numbers each. */
struct tile_rows {
    uint4 raw[2][2];
    __device__ __forceinline__ void load(const job &a, int r, int s, int t)
    {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const bf16 *from = a.m + (s + e) * a.m_s + r * a.m_r + t * 8;
            bool there = r < a.n_col && s + e < a.n_seq;
            raw[e][0] = there ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
            raw[e][1] = there ? *(const uint4 *)(from + 32) : make_uint4(0, 0, 0, 0);
        }
    }
};

/* The rows as operand A of four products over 16 channels each, `own` order. */
__device__ __forceinline__ void operand_of(unsigned (&x)[4][4], const float (&row)[2][16])
{
#pragma unroll
    for (int k = 0; k < 4; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            x[k][i] = pack2(row[i % 2][4 * k + i / 2 * 2], row[i % 2][4 * k + i / 2 * 2 + 1]);
}

/* Weights [64, n] as the lanes want them: to[(k, j), lane] = B of the product over the k-th 16 channels for the column
 * tiles 2 j and 2 j + 1. row(k, t, p): where rows 2 t + 8 p and + 1 of the k-th 16 come from; column(j, g): column g
 * of tile j. */
template <class Row, class Column>
__device__ __forceinline__ void load_fragments(uint4 *to, const bf16 *w, int n, Row &&row, Column &&column)
{
    const unsigned short *from = (const unsigned short *)w;
    for (int u = (int)threadIdx.x; u < n / 16 * 4 * 32; u += threads) {
        int lane = u % 32, j = u / 32 % (n / 16), k = u / 32 / (n / 16);
        unsigned v[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int at = row(k, lane % 4, i % 2) * n + column(2 * j + i / 2, lane / 4);
            v[i] = (unsigned)from[at] | (unsigned)from[at + n] << 16;
        }
        to[u] = make_uint4(v[0], v[1], v[2], v[3]);
    }
}

__device__ __forceinline__ void load_norm(float *scale, float *offset, const job &a)
{
    if (threadIdx.x < channels) {
        scale[threadIdx.x] = a.scale[threadIdx.x];
        offset[threadIdx.x] = a.offset[threadIdx.x];
    }
}

__global__ void __launch_bounds__(threads, 2) collect_kernel(const __grid_constant__ job a)
{
    __shared__ uint4 w[4 * 32];
    __shared__ __align__(16) float scale[channels], offset[channels];
    __shared__ float sums[warps][columns][channels], counts[warps][columns];
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int r = (int)blockIdx.x * columns + g, step = a.splits * sequences;
    int s = (int)blockIdx.y * sequences + 2 * warp;
    tile_rows next;
    float next_mask[2];
    auto load = [&](int s) {
        next.load(a, r, s, t);
#pragma unroll
        for (int e = 0; e < 2; e++)
            next_mask[e] = r < a.n_col && s + e < a.n_seq ? a.mask[(s + e) * a.mask_s + r * a.mask_r] : 0.0f;
    };
    load(s);
    load_norm(scale, offset, a);
    /* A lane's results are four neighbouring numbers of [k, v]. */
    load_fragments(w, a.kv_w, 2 * dim, [](int k, int i, int p) { return own(i, 2 * k + p); },
                   [](int j, int i) { return i / 2 * 4 + j * 2 + i % 2; });
    __syncthreads();

    float sum[16] = {}, count = 0.0f;
    /* All warps of a block go through the same number of tiles. */
    for (int first = (int)blockIdx.y * sequences; first < a.n_seq; first += step, s += step) {
        tile_rows now = next;
        const float mask[2] = {next_mask[0], next_mask[1]};
        float x[2][16];
        load(s + step);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            norm_quarter<channels>(x[e], now.raw[e], scale, offset, t);
            count += mask[e];
#pragma unroll
            for (int k = 0; k < 16; k++)
                sum[k] += mask[e] * x[e][k];
        }
        unsigned operand[4][4];
        operand_of(operand, x);
        float kv[2][4] = {};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            uint4 b = w[k * 32 + lane];
            mma_bf16(kv[0], operand[k], b.x, b.y);
            mma_bf16(kv[1], operand[k], b.z, b.w);
        }
        bf16 *to = a.kv + ((int64_t)r * a.n_seq + s) * (2 * dim) + t * 4;
#pragma unroll
        for (int e = 0; e < 2; e++)
            if (r < a.n_col && s + e < a.n_seq)
                *(uint2 *)(to + e * 2 * dim) =
                    make_uint2(pack2(kv[0][2 * e], kv[0][2 * e + 1]), pack2(kv[1][2 * e], kv[1][2 * e + 1]));
    }
#pragma unroll
    for (int k = 0; k < 16; k++)
        sums[warp][g][k / 8 * 32 + t * 8 + k % 8] = sum[k];
    if (t == 0)
        counts[warp][g] = count;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < columns * (channels + 1); i += threads) {
        int column = i / (channels + 1), c = i % (channels + 1), to = (int)blockIdx.x * columns + column;
        if (to >= a.n_col)
            break;
        float all = 0.0f;
#pragma unroll
        for (int k = 0; k < warps; k++)
            all += c < channels ? sums[k][column][c] : counts[k][column];
        int64_t at = (int64_t)blockIdx.y * a.n_col + to;
        (c < channels ? a.sums[at * channels + c] : a.counts[at]) = all;
    }
}

/* One softmax under way: the largest logit in units of log 2, the sum of weights and the weighted values. */
struct running {
    float top, sum, value[dim];
    __device__ __forceinline__ void join(const running &o)
    {
        float now = fmaxf(top, o.top), mine = exp2_fast(top - now), other = exp2_fast(o.top - now);
        top = now;
        sum = sum * mine + o.sum * other;
#pragma unroll
        for (int e = 0; e < dim; e++)
            value[e] = value[e] * mine + o.value[e] * other;
    }
};

__global__ void __launch_bounds__(threads) attend_kernel(const __grid_constant__ job a)
{
    constexpr int groups = threads / channels;
    __shared__ float part[groups][channels], mean[channels], q[channels];
    __shared__ running state[warps][heads];
    const int r = (int)blockIdx.x, c = (int)threadIdx.x % channels, group = (int)threadIdx.x / channels;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, h = lane % heads;

    float sum = 0.0f, count = 0.0f;
    for (int i = group; i < a.splits; i += groups)
        sum += a.sums[((int64_t)i * a.n_col + r) * channels + c];
    for (int i = 0; i < a.splits; i++)
        count += a.counts[(int64_t)i * a.n_col + r];
    part[group][c] = sum;
    __syncthreads();
    if (group == 0)
        mean[c] = (part[0][c] + part[1][c] + part[2][c] + part[3][c]) / (count + 1e-10f);
    __syncthreads();
    sum = 0.0f;
#pragma unroll
    for (int k = 0; k < channels / groups; k++)
        sum += mean[group * (channels / groups) + k] *
               to_float(a.q_w[(group * (channels / groups) + k) * channels + c]);
    part[group][c] = sum;
    __syncthreads();
    if (group == 0)
        q[c] = (part[0][c] + part[1][c] + part[2][c] + part[3][c]) * (log2e * rsqrtf((float)dim));
    __syncthreads();

    float query[dim];
#pragma unroll
    for (int e = 0; e < dim; e++)
        query[e] = q[h * dim + e];
    running now = {-INFINITY, 0.0f, {}};
    const uint4 *kv = (const uint4 *)(a.kv + (int64_t)r * a.n_seq * (2 * dim));
    const float *mask = a.mask + r * a.mask_r;
#pragma unroll 8
    for (int s = (int)threadIdx.x / heads; s < a.n_seq; s += threads / heads) {
        float key[8], value[8];
        unpack8(key, kv[2 * s]);
        unpack8(value, kv[2 * s + 1]);
        float dot = 0.0f;
#pragma unroll
        for (int e = 0; e < dim; e++)
            dot += query[e] * key[e];
        dot = mask[s * a.mask_s] == 0.0f ? -1e9f * log2e : dot;
        float top = fmaxf(now.top, dot), old = exp2_fast(now.top - top), p = exp2_fast(dot - top);
        now.top = top;
        now.sum = now.sum * old + p;
#pragma unroll
        for (int e = 0; e < dim; e++)
            now.value[e] = now.value[e] * old + p * value[e];
    }
    /* Threads without a sequence have a sum of 0, and a maximum that changes nothing. */
    now.top = fmaxf(now.top, -3.0e38f);
#pragma unroll
    for (int d = heads; d < 32; d <<= 1) {
        running other;
        other.top = __shfl_xor_sync(0xffffffffu, now.top, d);
        other.sum = __shfl_xor_sync(0xffffffffu, now.sum, d);
#pragma unroll
        for (int e = 0; e < dim; e++)
            other.value[e] = __shfl_xor_sync(0xffffffffu, now.value[e], d);
        now.join(other);
    }
    if (lane < heads)
        state[warp][lane] = now;
    __syncthreads();
    if (threadIdx.x < heads) {
        now = state[0][threadIdx.x];
        for (int i = 1; i < warps; i++)
            now.join(state[i][threadIdx.x]);
        float *to = a.value + (int64_t)r * channels + threadIdx.x * dim;
#pragma unroll
        for (int e = 0; e < dim; e++)
            to[e] = now.value[e] / now.sum;
    }
}

__global__ void __launch_bounds__(threads, 2) apply_kernel(const __grid_constant__ job a)
{
    __shared__ uint4 gate_w[4 * 4 * 32], o_w[4 * 4 * 32];
    __shared__ __align__(16) float scale[channels], offset[channels], gate_b[channels], o_b[channels];
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int r = (int)blockIdx.x * columns + g, step = a.splits * sequences;
    int s = (int)blockIdx.y * sequences + 2 * warp;
    tile_rows next;
    next.load(a, r, s, t);
    load_norm(scale, offset, a);
    if (threadIdx.x < channels) {
        gate_b[threadIdx.x] = a.gate_b[threadIdx.x];
        o_b[threadIdx.x] = a.o_b[threadIdx.x];
    }
    load_fragments(gate_w, a.gate_w, channels, [](int k, int i, int p) { return own(i, 2 * k + p); },
                   [](int j, int i) { return j * 8 + i; });
    load_fragments(o_w, a.o_w, channels, [](int k, int i, int p) { return 16 * k + 8 * p + 2 * i; },
                   [](int j, int i) { return own(i / 2, j) + i % 2; });
    float2 value[heads];                 /* of column g: what head h, channels 2 t and + 1 have */
#pragma unroll
    for (int h = 0; h < heads; h++)
        value[h] = r < a.n_col ? *(const float2 *)(a.value + (int64_t)r * channels + h * dim + 2 * t)
                               : make_float2(0.0f, 0.0f);
    __syncthreads();

    for (int first = (int)blockIdx.y * sequences; first < a.n_seq; first += step, s += step) {
        tile_rows now = next;
        next.load(a, r, s + step, t);
        unsigned x[4][4], y[4][4];
        {
            float row[2][16];
            norm_quarter<channels>(row[0], now.raw[0], scale, offset, t);
            norm_quarter<channels>(row[1], now.raw[1], scale, offset, t);
            operand_of(x, row);
        }
        /* Two heads of gates make 16 channels of the next operand. */
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float gate[2][4] = {};
#pragma unroll
            for (int k = 0; k < 4; k++) {
                uint4 b = gate_w[(k * 4 + j) * 32 + lane];
                mma_bf16(gate[0], x[k], b.x, b.y);
                mma_bf16(gate[1], x[k], b.z, b.w);
            }
#pragma unroll
            for (int n = 0; n < 2; n++) {
                int h = 2 * j + n;
                float2 bias = *(const float2 *)(gate_b + h * dim + 2 * t);
#pragma unroll
                for (int e = 0; e < 2; e++)
                    y[j][2 * n + e] = pack2(fast_sigmoid(gate[n][2 * e] + bias.x) * value[h].x,
                                            fast_sigmoid(gate[n][2 * e + 1] + bias.y) * value[h].y);
            }
        }
        /* Four column tiles are eight neighbouring channels of each lane. */
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float o[4][4] = {};
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
                for (int n = 0; n < 4; n += 2) {
                    uint4 b = o_w[(k * 4 + half * 2 + n / 2) * 32 + lane];
                    mma_bf16(o[n], y[k], b.x, b.y);
                    mma_bf16(o[n + 1], y[k], b.z, b.w);
                }
            float4 b0 = load4(o_b + half * 32 + t * 8), b1 = load4(o_b + half * 32 + t * 8 + 4);
            const float bias[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float sum[8];
                unpack8(sum, now.raw[e][half]);
#pragma unroll
                for (int k = 0; k < 8; k++)
                    sum[k] += o[k / 2][2 * e + k % 2] + bias[k];
                if (r < a.n_col && s + e < a.n_seq)
                    *(uint4 *)(a.m + (s + e) * a.m_s + r * a.m_r + half * 32 + t * 8) = pack8(sum);
            }
        }
    }
}

}  // namespace

bool ff_cuda_global_attention_fused(struct ff_backend *be, const struct ff_global_attention_args *a)
{
    int64_t n_seq = a->out.shape[0], n_col = a->out.shape[1];
    if (!ff_is_bf16(&a->out) || a->out.shape[2] != channels || a->n_head != heads || a->q_w.shape[1] != heads * dim ||
        !ff_cuda_aligned(&a->out, 8) || n_seq > INT32_MAX / 64 || n_col > INT32_MAX / 64)
        return false;
    ff_cuda_mark mark(be);
    job j = {};
    j.m_s = a->out.stride[0];
    j.m_r = a->out.stride[1];
    j.mask_s = a->mask.stride[0];
    j.mask_r = a->mask.stride[1];
    j.n_seq = (int)n_seq;
    j.scale = (const float *)a->norm.scale.data;
    j.offset = (const float *)a->norm.offset.data;
    j.q_w = (const bf16 *)ff_cuda_as_type(be, &a->q_w, FF_BF16);
    j.kv_w = (const bf16 *)ff_cuda_as_type(be, &a->kv_w, FF_BF16);
    j.gate_w = (const bf16 *)ff_cuda_as_type(be, &a->gate_w, FF_BF16);
    j.o_w = (const bf16 *)ff_cuda_as_type(be, &a->o_w, FF_BF16);
    j.gate_b = (const float *)a->gate_b.data;
    j.o_b = (const float *)a->o_b.data;

    /* Columns at a time: what is kept of them goes into half of what is left, and need not leave the cache. */
    int64_t longest = (n_seq + 127) / 128, sm = ff_cuda_sm_count(be);
    int64_t column_bytes = n_seq * 2 * dim * (int64_t)sizeof(bf16) + longest * (channels + 1) * (int64_t)sizeof(float);
    int64_t room = std::min<int64_t>((int64_t)ff_cuda_left(be) / 2, 4 * (int64_t)FF_CUDA_TILE_BYTES);
    int64_t step = std::max<int64_t>(room / column_bytes / columns, 1) * columns;
    step = std::min(step, n_col);
    /* Four rounds of two blocks per multiprocessor, or pieces of 128 sequences where that gives fewer blocks. */
    int64_t groups = (step + columns - 1) / columns;
    j.splits = (int)std::min(longest, (8 * sm + groups - 1) / groups);
    j.kv = ff_cuda_take<bf16>(be, step * n_seq * 2 * dim);
    j.sums = ff_cuda_take<float>(be, j.splits * step * channels);
    j.counts = ff_cuda_take<float>(be, j.splits * step);
    j.value = ff_cuda_take<float>(be, step * channels);
    cudaStream_t stream = ff_cuda_stream(be);
    for (int64_t first = 0; first < n_col; first += step) {
        j.n_col = (int)std::min(step, n_col - first);
        j.m = (bf16 *)a->out.data + first * j.m_r;
        j.mask = (const float *)a->mask.data + first * j.mask_r;
        dim3 grid(ff_blocks(j.n_col, columns), (unsigned)j.splits);
        collect_kernel<<<grid, threads, 0, stream>>>(j);
        FF_CUDA_LAUNCHED();
        attend_kernel<<<(unsigned)j.n_col, threads, 0, stream>>>(j);
        FF_CUDA_LAUNCHED();
        apply_kernel<<<grid, threads, 0, stream>>>(j);
        FF_CUDA_LAUNCHED();
    }
    return true;
}
