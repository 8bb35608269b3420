/* SPDX-License-Identifier: Apache-2.0
 * ipa: invariant point attention in one pass over the pair representation; no logits and no normed pairs in memory.
 *
 * Shapes: as in ops.h; z [I, J, c_z] with any strides on I and J, float32 or bf16, c_z <= 128; H <= 24.
 * pack_keys_kernel moves the points of all keys to the global frame and lays keys out feature by feature,
 * k [H, c + 3 P, J'] (features, then x, y, z of each point), and values row by row, v [J, H, c_v + 3 P_v] (features,
 * all x, all y, all z); J' is J rounded up to 64.
 * point_attention_kernel: a block has `queries` residues i and walks over tiles of 64 keys with a running softmax:
 *   1. scalar and point logits of all its queries, a thread per key and every fourth head, so that keys are read once;
 *   2. per query: 64 rows of z into shared memory, normed, a warp per row; their part of the logits, a thread per key
 *      and three heads; the softmax step, a warp per head; the weighted sum of rows, a warp per three heads and share
 *      of the keys, a lane per four channels;
 *   3. the weighted sum of values, a thread per output, so that values are read once for all queries.
 * Shared memory: 64 rows of z (33 KiB), w2d, queries, weights: 60 KiB at most. Registers: the sums of rows and values.
 * Cost: z read once; some 6 c_z H flops per pair; bound by shared memory and multiply-adds. Numerics: float32
 * throughout, distances from differences of points (the expanded square would cancel far from the origin).
 *
 * The term 1e5 (1 - mask_i mask_j) is the same for all keys where the query is masked or all keys are: it drops out
 * of the softmax, and adding it would only round the logits. So the penalty is 1e5 mask_i (1 - mask_j), or nothing.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 22; AlphaFold model/folding.py InvariantPointAttention.
 * Reference: ops_cpu_point.c.
 */
#include "common.cuh"

namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int keys = 64;                 /* per tile */
constexpr int p_pitch = keys + 1;
constexpr int max_channels = 128, z_pitch = max_channels + 4;
constexpr int group = 3;                 /* heads that share one read of z */
constexpr int max_head = group * warps;
constexpr int values_per_thread = 2;

struct point_args {
    ff_point_attention_args a;
    const float *k;                      /* [H, n_key, J'] */
    const float *v;                      /* [J, H * n_value] */
    int H, c, c_v, P, P_v, c_z, n_i, n_j, padded_j;
    int n_key, n_value;                  /* c + 3 P, c_v + 3 P_v */
    float qk_scale, pair_scale, point_scale;
};

__device__ __forceinline__ const float *row_of(const ff_tensor &t, int64_t i)
{
    return (const float *)t.data + i * t.stride[0];
}

/* y = R x + t */
__device__ __forceinline__ void to_global(float (&y)[3], const float *f, float x0, float x1, float x2)
{
#pragma unroll
    for (int d = 0; d < 3; d++)
        y[d] = f[3 * d] * x0 + f[3 * d + 1] * x1 + f[3 * d + 2] * x2 + f[9 + d];
}

/* A thread lays out one key of one head. */
__global__ void pack_keys_kernel(const __grid_constant__ point_args t, float *k, float *v)
{
    int j = (int)(blockIdx.x * blockDim.x + threadIdx.x), h = (int)blockIdx.y;
    if (j >= t.n_j)
        return;
    const float *kv = row_of(t.a.kv, j) + h * (t.c + t.c_v), *points = row_of(t.a.kv_point, j);
    const float *frame = row_of(t.a.frame_j, j);
    int n_point = t.P + t.P_v, all = t.H * n_point;
    float *to_k = k + (int64_t)h * t.n_key * t.padded_j + j, *to_v = v + ((int64_t)j * t.H + h) * t.n_value;
    for (int e = 0; e < t.c; e++)
        to_k[(int64_t)e * t.padded_j] = kv[e];
    for (int e = 0; e < t.c_v; e++)
        to_v[e] = kv[t.c + e];
    for (int p = 0; p < n_point; p++) {
        int at = h * n_point + p;
        float y[3];
        to_global(y, frame, points[at], points[all + at], points[2 * all + at]);
        for (int d = 0; d < 3; d++) {
            if (p < t.P)
                to_k[(int64_t)(t.c + 3 * p + d) * t.padded_j] = y[d];
            else
                to_v[t.c_v + d * t.P_v + p - t.P] = y[d];
        }
    }
}

/* Rows of z [keys, z_pitch] of one query, normed; rows from n on and channels from c_z on are zero. */
template <class T, bool wide>
__device__ __forceinline__ void load_rows(float *tile, const T *z, int64_t stride, int n, int c_z, const float *scale,
                                          const float *offset)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, c = lane * 4;
    float4 x[keys / warps];
#pragma unroll
    for (int r = 0; r < keys / warps; r++) {
        int j = warp + r * warps;
        x[r] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (j < n) {
            const T *from = z + j * stride + c;
            if constexpr (wide) {
                x[r] = load4(from);
            } else {
                x[r].x = c < c_z ? to_float(from[0]) : 0.0f;
                x[r].y = c + 1 < c_z ? to_float(from[1]) : 0.0f;
                x[r].z = c + 2 < c_z ? to_float(from[2]) : 0.0f;
                x[r].w = c + 3 < c_z ? to_float(from[3]) : 0.0f;
            }
        }
    }
    float4 s = load4(scale + c), o = load4(offset + c);      /* zero from c_z on */
    float inverse_n = 1.0f / (float)c_z;
#pragma unroll
    for (int r = 0; r < keys / warps; r++) {
        float4 v = x[r];
        float mean = warp_sum(v.x + v.y + v.z + v.w) * inverse_n;
        v.x = wide || c < c_z ? v.x - mean : 0.0f;
        v.y = wide || c + 1 < c_z ? v.y - mean : 0.0f;
        v.z = wide || c + 2 < c_z ? v.z - mean : 0.0f;
        v.w = wide || c + 3 < c_z ? v.w - mean : 0.0f;
        float inverse = 1.0f / sqrtf(warp_sum(v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w) * inverse_n + 1e-5f);
        int j = warp + r * warps;
        float there = j < n ? 1.0f : 0.0f;
        v.x = (v.x * inverse * s.x + o.x) * there;
        v.y = (v.y * inverse * s.y + o.y) * there;
        v.z = (v.z * inverse * s.z + o.z) * there;
        v.w = (v.w * inverse * s.w + o.w) * there;
        store4(tile + j * z_pitch + c, v);
    }
}

/* Sizes of the parts of shared memory in floats, each a multiple of 4. */
__host__ __device__ constexpr int up4(int n) { return (n + 3) / 4 * 4; }
struct layout {
    int z, w, norm, q, p, state, total;
    __host__ __device__ layout(int queries, int H, int n_key)
    {
        z = 0;                                   /* [keys, z_pitch]; at the end sums [H, 128], values [H, n_value] */
        w = z + keys * z_pitch;                  /* [H, z_pitch] */
        norm = w + H * z_pitch;                  /* scale, offset [128] each */
        q = norm + 2 * max_channels;             /* [queries, H, n_key] */
        p = q + up4(queries * H * n_key);        /* [queries, H, p_pitch] */
        state = p + up4(queries * H * p_pitch);  /* top, sum, factor [queries, H], weight, bias [H], penalty */
        total = state + 3 * queries * H + 2 * H + queries;
    }
};

template <class T, int queries, bool wide>
__global__ void __launch_bounds__(threads, 2) point_attention_kernel(const __grid_constant__ point_args t)
{
    extern __shared__ float4 shared_memory[];
    float *shared = (float *)shared_memory;
    const layout at(queries, t.H, t.n_key);
    float *z_tile = shared + at.z, *w = shared + at.w, *scale = shared + at.norm, *offset = scale + max_channels;
    float *q = shared + at.q, *p = shared + at.p;
    float *top = shared + at.state, *sum = top + queries * t.H, *factor = sum + queries * t.H;
    float *weight = factor + queries * t.H, *bias = weight + t.H, *penalty = bias + t.H;
    const int tid = (int)threadIdx.x, lane = tid % 32, warp = tid / 32, H = t.H;
    const int i0 = (int)blockIdx.x * queries;

    /* --- once: constants and queries --- */
    for (int u = tid; u < H * max_channels; u += threads) {
        int h = u / max_channels, c = u % max_channels;
        w[h * z_pitch + c] = c < t.c_z ? ((const float *)t.a.w2d.data)[(int64_t)c * H + h] : 0.0f;
    }
    for (int c = tid; c < max_channels; c += threads) {
        scale[c] = c < t.c_z ? ((const float *)t.a.norm.scale.data)[c] : 0.0f;
        offset[c] = c < t.c_z ? ((const float *)t.a.norm.offset.data)[c] : 0.0f;
    }
    for (int h = tid; h < H; h += threads) {
        double x = (double)((const float *)t.a.point_weight.data)[h];
        double softplus = x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
        weight[h] = (float)((double)t.point_scale * softplus);
        bias[h] = ((const float *)t.a.b2d.data)[h] * t.pair_scale;
    }
    for (int u = tid; u < queries * H; u += threads) {
        top[u] = -INFINITY;
        sum[u] = 0.0f;
        int h = u % H, i = min(i0 + u / H, t.n_i - 1);
        const float *x = row_of(t.a.q, i) + h * t.c, *point = row_of(t.a.q_point, i), *frame = row_of(t.a.frame_i, i);
        float *to = q + u * t.n_key;
        for (int e = 0; e < t.c; e++)
            to[e] = x[e] * t.qk_scale;
        for (int e = 0; e < t.P; e++) {
            int k = h * t.P + e;
            float y[3];
            to_global(y, frame, point[k], point[H * t.P + k], point[2 * H * t.P + k]);
            for (int d = 0; d < 3; d++)
                to[t.c + 3 * e + d] = y[d];
        }
    }
    const float *mask_j = (const float *)t.a.mask_j.data;
    const int64_t mask_step = t.a.mask_j.stride[0];
    int any = 0;
    for (int j = tid; j < t.n_j; j += threads)
        any |= mask_j[j * mask_step] != 0.0f;
    any = __syncthreads_or(any);
    if (tid < queries) {
        int i = min(i0 + tid, t.n_i - 1);
        penalty[tid] = any ? 1e5f * ((const float *)t.a.mask_i.data)[i * t.a.mask_i.stride[0]] : 0.0f;
    }
    __syncthreads();

    /* This warp's share of the sums of rows: heads head0 .. + 2, every n_share-th key from share on. */
    const int n_group = (H + group - 1) / group, n_share = warps / n_group;
    const int head0 = warp % n_group * group, share = warp / n_group;
    float row_sum[queries][group][4] = {}, value_sum[queries][values_per_thread] = {};
    const int n_out = H * t.n_value;

    for (int j0 = 0; j0 < t.n_j; j0 += keys) {
        const int n = min(keys, t.n_j - j0);

        /* 1. scalars and points */
        {
            int j = tid % keys;
            float masked = j < n ? 1.0f - mask_j[(j0 + j) * mask_step] : 0.0f;
            for (int h = tid / keys; h < H; h += threads / keys) {
                const float *key = t.k + (int64_t)h * t.n_key * t.padded_j + j0 + j;
                float dot[queries], d2[queries];
#pragma unroll
                for (int b = 0; b < queries; b++)
                    dot[b] = d2[b] = 0.0f;
#pragma unroll 4
                for (int e = 0; e < t.c; e++) {
                    float x = key[(int64_t)e * t.padded_j];
#pragma unroll
                    for (int b = 0; b < queries; b++)
                        dot[b] += q[(b * H + h) * t.n_key + e] * x;
                }
#pragma unroll 4
                for (int e = t.c; e < t.n_key; e++) {
                    float x = key[(int64_t)e * t.padded_j];
#pragma unroll
                    for (int b = 0; b < queries; b++) {
                        float d = q[(b * H + h) * t.n_key + e] - x;
                        d2[b] += d * d;
                    }
                }
#pragma unroll
                for (int b = 0; b < queries; b++)
                    p[(b * H + h) * p_pitch + j] =
                        j < n ? dot[b] + weight[h] * d2[b] + bias[h] - penalty[b] * masked : -INFINITY;
            }
        }

        /* 2. pairs */
#pragma unroll
        for (int b = 0; b < queries; b++) {
            int64_t i = min(i0 + b, t.n_i - 1);
            load_rows<T, wide>(z_tile, (const T *)t.a.z.data + i * t.a.z.stride[0] + j0 * t.a.z.stride[1],
                               t.a.z.stride[1], n, t.c_z, scale, offset);
            __syncthreads();
            {
                int j = tid % keys;
                const float *row = z_tile + j * z_pitch;
                for (int h = tid / keys * group; h < H; h += threads / keys * group) {
                    float l[group] = {};
                    const float *w0 = w + h * z_pitch;
                    const float *w1 = w + min(h + 1, H - 1) * z_pitch, *w2 = w + min(h + 2, H - 1) * z_pitch;
#pragma unroll 4
                    for (int c = 0; c < max_channels; c += 4) {
                        float4 x = load4(row + c), u0 = load4(w0 + c), u1 = load4(w1 + c), u2 = load4(w2 + c);
                        l[0] += x.x * u0.x + x.y * u0.y + x.z * u0.z + x.w * u0.w;
                        l[1] += x.x * u1.x + x.y * u1.y + x.z * u1.z + x.w * u1.w;
                        l[2] += x.x * u2.x + x.y * u2.y + x.z * u2.z + x.w * u2.w;
                    }
#pragma unroll
                    for (int k = 0; k < group; k++)
                        if (h + k < H)
                            p[(b * H + h + k) * p_pitch + j] += t.pair_scale * l[k];
                }
            }
            __syncthreads();
            for (int h = warp; h < H; h += warps) {
                float *x = p + (b * H + h) * p_pitch;
                float x0 = x[lane], x1 = x[lane + 32], before = top[b * H + h];
                float now = fmaxf(before, warp_max(fmaxf(x0, x1)));
                x0 = expf(x0 - now);
                x1 = expf(x1 - now);
                x[lane] = x0;
                x[lane + 32] = x1;
                float total = warp_sum(x0 + x1);
                __syncwarp();                    /* all lanes have read top */
                if (lane == 0) {
                    float f = expf(before - now);
                    factor[b * H + h] = f;
                    sum[b * H + h] = sum[b * H + h] * f + total;
                    top[b * H + h] = now;
                }
            }
            __syncthreads();
            if (share < n_share) {
                const float *p0 = p + (b * H + head0) * p_pitch;
                const float *p1 = p + (b * H + min(head0 + 1, H - 1)) * p_pitch;
                const float *p2 = p + (b * H + min(head0 + 2, H - 1)) * p_pitch;
#pragma unroll
                for (int k = 0; k < group; k++) {
                    float f = factor[b * H + min(head0 + k, H - 1)];
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        row_sum[b][k][e] *= f;
                }
#pragma unroll 4
                for (int j = share; j < n; j += n_share) {
                    float4 x = load4(z_tile + j * z_pitch + lane * 4);
                    float a0 = p0[j], a1 = p1[j], a2 = p2[j];
                    row_sum[b][0][0] += a0 * x.x;
                    row_sum[b][0][1] += a0 * x.y;
                    row_sum[b][0][2] += a0 * x.z;
                    row_sum[b][0][3] += a0 * x.w;
                    row_sum[b][1][0] += a1 * x.x;
                    row_sum[b][1][1] += a1 * x.y;
                    row_sum[b][1][2] += a1 * x.z;
                    row_sum[b][1][3] += a1 * x.w;
                    row_sum[b][2][0] += a2 * x.x;
                    row_sum[b][2][1] += a2 * x.y;
                    row_sum[b][2][2] += a2 * x.z;
                    row_sum[b][2][3] += a2 * x.w;
                }
            }
            __syncthreads();
        }

        /* 3. values */
#pragma unroll
        for (int u = 0; u < values_per_thread; u++) {
            int o = tid + u * threads;
            if (o >= n_out)
                continue;
            int h = o / t.n_value;
            const float *v = t.v + (int64_t)j0 * n_out + o;
#pragma unroll
            for (int b = 0; b < queries; b++)
                value_sum[b][u] *= factor[b * H + h];
#pragma unroll 4
            for (int j = 0; j < n; j++) {
                float x = v[(int64_t)j * n_out];
#pragma unroll
                for (int b = 0; b < queries; b++)
                    value_sum[b][u] += p[(b * H + h) * p_pitch + j] * x;
            }
        }
        __syncthreads();
    }

    /* --- the results of one query after another pass through shared memory --- */
    float *rows = z_tile, *values = z_tile + H * max_channels;
#pragma unroll
    for (int b = 0; b < queries; b++) {
        int i = i0 + b;
        if (i >= t.n_i)
            return;
        for (int s = 0; s < n_share; s++) {
            if (share == s) {
#pragma unroll
                for (int k = 0; k < group; k++) {
                    if (head0 + k >= H)
                        continue;
                    float *to = rows + (head0 + k) * max_channels + lane * 4;
                    float4 x = make_float4(row_sum[b][k][0], row_sum[b][k][1], row_sum[b][k][2], row_sum[b][k][3]);
                    if (s > 0) {
                        float4 y = load4(to);
                        x = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
                    }
                    store4(to, x);
                }
            }
            __syncthreads();
        }
#pragma unroll
        for (int u = 0; u < values_per_thread; u++)
            if (tid + u * threads < n_out)
                values[tid + u * threads] = value_sum[b][u] / sum[b * H + (tid + u * threads) / t.n_value];
        __syncthreads();

        float *out = (float *)t.a.out.data + i * t.a.out.stride[0];
        const int points = H * t.P_v;
        float *local = out + H * t.c_v, *length = local + 3 * points, *pair = length + points;
        for (int u = tid; u < H * t.c_v; u += threads)
            out[u] = values[u / t.c_v * t.n_value + u % t.c_v];
        const float *f = row_of(t.a.frame_i, i);
        for (int u = tid; u < points; u += threads) {
            const float *g = values + u / t.P_v * t.n_value + t.c_v + u % t.P_v;
            float d0 = g[0] - f[9], d1 = g[t.P_v] - f[10], d2 = g[2 * t.P_v] - f[11], square = 1e-8f;
#pragma unroll
            for (int k = 0; k < 3; k++) {
                float x = f[k] * d0 + f[3 + k] * d1 + f[6 + k] * d2;
                local[k * points + u] = x;
                square += x * x;
            }
            length[u] = sqrtf(square);
        }
        for (int u = tid; u < H * t.c_z; u += threads) {
            int h = u / t.c_z;
            pair[u] = rows[h * max_channels + u % t.c_z] / sum[b * H + h];
        }
        __syncthreads();
    }
}

template <class T, int queries, bool wide>
void launch(struct ff_backend *be, const point_args &t)
{
    int bytes = layout(queries, t.H, t.n_key).total * (int)sizeof(float);
    auto kernel = point_attention_kernel<T, queries, wide>;
    FF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    kernel<<<ff_blocks(t.n_i, queries), threads, bytes, ff_cuda_stream(be)>>>(t);
    FF_CUDA_LAUNCHED();
}

} // namespace

extern "C" void ff_cuda_point_attention(struct ff_backend *be, const struct ff_point_attention_args *a)
{
    point_args t = {};
    t.a = *a;
    t.H = a->n_head;
    t.c = a->n_qk;
    t.c_v = a->n_v;
    t.P = a->n_point_qk;
    t.P_v = a->n_point_v;
    t.c_z = (int)a->z.shape[2];
    t.n_i = (int)a->out.shape[0];
    t.n_j = (int)a->kv.shape[0];
    t.padded_j = (t.n_j + keys - 1) / keys * keys;
    t.n_key = t.c + 3 * t.P;
    t.n_value = t.c_v + 3 * t.P_v;
    FF_ASSERT(t.H >= 1 && t.H <= max_head && t.c >= 1 && t.P >= 1 && t.c_z <= max_channels);
    FF_ASSERT(t.H * t.n_value <= values_per_thread * threads);
    FF_ASSERT(t.H * (max_channels + t.n_value) <= keys * z_pitch);
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == t.H * (t.c_v + 4 * t.P_v + t.c_z));
    FF_ASSERT(a->q.shape[0] == t.n_i && a->q.shape[1] == t.H * t.c && a->kv.shape[1] == t.H * (t.c + t.c_v));
    FF_ASSERT(a->q_point.shape[0] == t.n_i && a->q_point.shape[1] == 3 * t.H * t.P);
    FF_ASSERT(a->kv_point.shape[0] == t.n_j && a->kv_point.shape[1] == 3 * t.H * (t.P + t.P_v));
    FF_ASSERT(a->frame_i.shape[0] == t.n_i && a->frame_j.shape[0] == t.n_j && a->frame_i.shape[1] == 12);
    FF_ASSERT(a->mask_i.shape[0] == t.n_i && a->mask_j.shape[0] == t.n_j && a->frame_j.shape[1] == 12);
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[0] == t.n_i && a->z.shape[1] == t.n_j);
    FF_ASSERT(a->w2d.shape[0] == t.c_z && a->w2d.shape[1] == t.H && a->b2d.shape[0] == t.H);
    FF_ASSERT(a->point_weight.shape[0] == t.H && a->w2d.dtype == FF_F32 && a->q.dtype == FF_F32);
    t.qk_scale = (float)(1.0 / sqrt(3.0 * t.c));
    t.pair_scale = (float)(1.0 / sqrt(3.0));
    t.point_scale = (float)(-0.5 * sqrt(2.0 / (27.0 * t.P)));

    ff_cuda_mark mark(be);
    float *k = ff_cuda_take<float>(be, (int64_t)t.H * t.n_key * t.padded_j);
    float *v = ff_cuda_take<float>(be, (int64_t)t.n_j * t.H * t.n_value);
    pack_keys_kernel<<<dim3(ff_blocks(t.n_j, 64), (unsigned)t.H), 64, 0, ff_cuda_stream(be)>>>(t, k, v);
    FF_CUDA_LAUNCHED();
    t.k = k;
    t.v = v;
    /* More queries per block read keys and values less often, as long as there are blocks for every multiprocessor. */
    bool wide = t.c_z == max_channels && ff_cuda_aligned(&a->z, 4);
    int sm = ff_cuda_sm_count(be), queries = t.n_i >= 6 * sm ? 4 : t.n_i >= 3 * sm ? 2 : 1;
    ff_cuda_with_type(a->z.dtype, [&](auto type) {
        using T = decltype(type);
        if (!wide)
            launch<T, 1, false>(be, t);
        else if (queries == 4)
            launch<T, 4, true>(be, t);
        else if (queries == 2)
            launch<T, 2, true>(be, t);
        else
            launch<T, 1, true>(be, t);
    });
}
