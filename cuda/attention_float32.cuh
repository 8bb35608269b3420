/* SPDX-License-Identifier: Apache-2.0
 * attention_float32: what the attention kernels for float32 activations have in common, whatever their products.
 *
 * Numbers: products of float32 numbers as three of float16 numbers (split.cuh). The scale is, of a query, that of its
 *   largest number; of the keys and of the values of a batch row that of the largest in the first tile, with room for
 *   numbers 2^9 times as large. When a later tile has a larger one the scale falls, and what was summed goes along.
 * Work: a block has QUERIES queries of one head in ROWS batch rows, four warps per row, so that a tile of the bias
 *   serves all rows. Keys pass by in tiles of KEYS: read into registers while the tile before is worked on, then split
 *   and stored. Neighbouring blocks share keys, which stay in the second-level cache.
 * Order: key 4 t + 2 j + i of sixteen lies at place 8 j + 2 t + i of the tile, so that the four logits of a thread are
 *   those of four neighbouring keys, whose bias is one load.
 * Softmax: relative to a reference per query that rises only when exponentials leave the range of float16; a tile's are
 *   then made again. The result does not depend on it.
 * Sums: the matrix units cut off what a sum loses; they sum over the keys of one tile at most.
 */
#ifndef FF_CUDA_ATTENTION_FLOAT32_CUH
#define FF_CUDA_ATTENTION_FLOAT32_CUH

#include "attention.cuh"
#include "split.cuh"

namespace attention_float32 {

enum { QUERIES = 128, KEYS = 32, ROW_WARPS = QUERIES / 32, PLANES = 2 /* hi, lo */ };

constexpr float LARGE = 32768.0f;        /* up to here a number and what it is rounded to are float16 numbers */
constexpr float ROOM = 1.0f / 512;       /* for numbers of later tiles */
constexpr float ABOVE = 6.0f;            /* log 2 of the largest exponential at first: small ones keep more digits */

template <int D, bool WGMMA> struct shape {
    /* One block per multiprocessor has more registers, two have more threads. */
    static constexpr int BLOCKS = D == 32 ? 1 : 2, ROWS = BLOCKS == 1 ? 3 : 2;
    static constexpr int STAGES = WGMMA ? 3 : 2;                     /* tiles in shared memory */
    static constexpr int WARPS = ROWS * ROW_WARPS, THREADS = 32 * WARPS;
    static constexpr int UNITS = 2 * ROWS;       /* a unit: the keys or the values of a batch row; two warps bring it */
    static constexpr int PLANE = KEYS * D * 2;                       /* bytes of the keys or values of a batch row */
    static constexpr int ROW_BYTES = 2 * PLANES * PLANE;             /* planes of k, then of v */
    static constexpr int BIAS_AT = ROWS * ROW_BYTES, BIAS_ROW = KEYS * (int)sizeof(float);
    static constexpr int STAGE[2] = {BIAS_AT, BIAS_AT + QUERIES * BIAS_ROW};       /* without and with a bias */
    static constexpr int PIECES = D / 8;                             /* of 16 bytes that a thread has of its unit */
};

/* What a block shares besides the tiles. */
template <class S> struct shared_state {
    unsigned valid[S::STAGES][S::ROWS];     /* bit per key of a tile: it counts */
    float scale[S::STAGES][S::UNITS];       /* of the unit's numbers */
    float most[S::WARPS];
};

/* What a block works on. Queries vary fastest, then heads, or batch rows where the bias of all heads is too much for
 * the cache. */
template <int ROWS> struct place {
    int query, head, row;
    __device__ __forceinline__ place(const struct ff_cuda_attention_job &j, bool head_inside)
    {
        const int n_query = (j.length + QUERIES - 1) / QUERIES, n_group = (j.n_row + ROWS - 1) / ROWS;
        const int rest = (int)blockIdx.x / n_query;
        query = (int)blockIdx.x % n_query * QUERIES;
        head = head_inside ? rest % j.n_head : rest / n_group;
        row = (head_inside ? rest / j.n_head : rest % n_group) * ROWS;
    }
};
static inline bool head_inside(const struct ff_cuda_attention_job *j)
{
    /* Half of the second-level cache of an H100. */
    return !j->bias || 4.0 * j->n_head * j->length * j->length <= 25e6;
}
template <class S> static inline unsigned blocks(const struct ff_cuda_attention_job *j)
{
    return ff_blocks(j->length, QUERIES) * ff_blocks(j->n_row, S::ROWS) * (unsigned)j->n_head;
}

/* The bias of a tile at an edge, or of rows that are not aligned. bias: of the first query and key; to: its place. */
static __device__ __noinline__ void copy_some_bias(char *to, const float *bias, int64_t ld, int queries, int keys,
                                            bool aligned)
{
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < QUERIES * KEYS / 4; i += (int)blockDim.x) {
        const int m = i / (KEYS / 4), c = i % (KEYS / 4), n = keys - c * 4;
        const float *at = bias + min(m, queries - 1) * ld + (n > 0 ? c * 4 : 0);
        void *place = to + m * KEYS * (int)sizeof(float) + (c ^ (m & 1) * 4) * 16;
        /* The last piece of a row may reach past its keys, not past the row's distance: that is a multiple of 4. */
        if (aligned)
            copy16_async(place, at, n > 0);
        else
            *(float4 *)place = make_float4(n > 0 ? at[0] : 0.0f, n > 1 ? at[1] : 0.0f, n > 2 ? at[2] : 0.0f,
                                           n > 3 ? at[3] : 0.0f);
    }
}

/* What a thread brings of every tile: a part of a unit, read, then split and stored, and of the bias, copied. */
template <int D, bool BIAS, bool WGMMA> struct reader {
    using S = shape<D, WGMMA>;
    static constexpr int STAGES = S::STAGES, STAGE = S::STAGE[BIAS];
    static constexpr int APART = 256 / D;                            /* keys from one piece to the next */
    static constexpr int BIAS_PIECES = KEYS / 4, BIAS_AT_ONCE = S::THREADS / BIAS_PIECES;
    const struct ff_cuda_attention_job &j;
    const place<S::ROWS> &p;
    char *const stages;
    shared_state<S> *const state;
    const bool whole;                    /* all queries are there, and the bias may be copied */
    float mask;                          /* of the first warps, one per batch row, a key per thread */
    const float *from, *from_bias;       /* this thread's part of the next tile */
    float4 x[S::PIECES];

    __device__ __forceinline__ reader(const struct ff_cuda_attention_job &job, const place<S::ROWS> &block, char *to,
                                      shared_state<S> *s)
        : j(job), p(block), stages(to), state(s), whole(p.query + QUERIES <= job.length && job.bias_aligned)
    {
        const int u = (int)threadIdx.x / 64, at = (int)threadIdx.x % 64, b = min(p.row + u / 2, j.n_row - 1);
        from = (const float *)j.qkvg + b * j.qkvg_b + at / (D / 4) * j.qkvg_l +
               ((u % 2 + 1) * j.n_head + p.head) * D + at % (D / 4) * 4;
        from_bias = BIAS && whole ? (const float *)j.bias + p.head * j.bias_h +
                                        (p.query + (int)threadIdx.x / BIAS_PIECES) * j.bias_i +
                                        (int)threadIdx.x % BIAS_PIECES * 4
                                  : NULL;
    }

    /* Begins to bring a tile. */
    __device__ __forceinline__ void begin(int tile)
    {
        read(tile);
        copy_bias(tile);
        const int warp = (int)threadIdx.x / 32, key = tile * KEYS + (int)threadIdx.x % 32;
        const bool there = warp < S::ROWS && key < j.length;
        mask = there ? j.mask[min(p.row + warp, j.n_row - 1) * j.mask_b + key * j.mask_l] : 0.0f;
    }

    /* Ends it: for all threads of the block, which may use it afterwards. Returns whether the scale has changed. */
    __device__ __forceinline__ bool end(int tile)
    {
        const int warp = (int)threadIdx.x / 32;
        const float scale = state->scale[(tile - 1) % STAGES][warp / 2];
        keep(tile, scale);
        arrived();
        if (!__syncthreads_or(most() * scale > LARGE))
            return false;
        fit(tile);
        return true;
    }

    /* The first tile, or one that the scale before does not fit. */
    __device__ __forceinline__ void fit(int tile)
    {
        const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, u = warp / 2;
        const float largest = warp_max(most_finite());
        if (lane == 0)
            state->most[warp] = largest;
        __syncthreads();
        float scale = split_scale_of(fmaxf(state->most[2 * u], state->most[2 * u + 1])).scale * ROOM;
        if (tile > 0)
            scale = fminf(scale, state->scale[(tile - 1) % STAGES][u]);
        keep(tile, scale);
        arrived();
        __syncthreads();
    }

    /* The scale of this thread's batch row in a tile: of the keys; of the values. */
    __device__ __forceinline__ float scale_of(int tile, bool values) const
    {
        return state->scale[tile % STAGES][2 * ((int)threadIdx.x / (32 * ROW_WARPS)) + values];
    }

private:
    __device__ __forceinline__ static void arrived()
    {
        copy_wait<0>();
        if constexpr (WGMMA)
            shared_fence();
    }

    __device__ __forceinline__ void read(int tile)
    {
        const int64_t step = APART * j.qkvg_l;
        if ((tile + 1) * KEYS <= j.length) {
#pragma unroll
            for (int i = 0; i < S::PIECES; i++, from += step)
                x[i] = load4(from);
        } else {
            const int key = tile * KEYS + (int)threadIdx.x % 64 / (D / 4);
#pragma unroll
            for (int i = 0; i < S::PIECES; i++, from += step)
                x[i] = key + i * APART < j.length ? load4(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
    }

    __device__ __forceinline__ void copy_bias(int tile)
    {
        if (!BIAS)
            return;
        const int m = (int)threadIdx.x / BIAS_PIECES, c = (int)threadIdx.x % BIAS_PIECES;
        if (whole && (tile + 1) * KEYS <= j.length) {
            const int place = S::BIAS_AT + m * S::BIAS_ROW + (c ^ (m & 1) * 4) * 16;
            const unsigned to = shared_address(stages) + (unsigned)(tile % STAGES * STAGE + place);
            const float *at = from_bias;
#pragma unroll
            for (int i = 0; i < QUERIES; i += BIAS_AT_ONCE, at += BIAS_AT_ONCE * j.bias_i)
                if (i + BIAS_AT_ONCE <= QUERIES || i + m < QUERIES)
                    copy16_async(to + (unsigned)(i * S::BIAS_ROW), at);
            from_bias += KEYS;
        } else {
            copy_some_bias(stages + tile % STAGES * STAGE + S::BIAS_AT,
                           (const float *)j.bias + p.head * j.bias_h + p.query * j.bias_i + tile * KEYS, j.bias_i,
                           j.length - p.query, j.length - tile * KEYS, j.bias_aligned);
        }
        copy_commit();
    }

    __device__ __forceinline__ float most() const
    {
        float m = 0.0f;
#pragma unroll
        for (int i = 0; i < S::PIECES; i++)
            m = fmaxf(m, fmaxf(fmaxf(fabsf(x[i].x), fabsf(x[i].y)), fmaxf(fabsf(x[i].z), fabsf(x[i].w))));
        return m;
    }

    /* The same without infinities, for which there is no scale. */
    __device__ __forceinline__ float most_finite() const
    {
        float m = 0.0f;
#pragma unroll
        for (int i = 0; i < S::PIECES; i++) {
            const float v[4] = {fabsf(x[i].x), fabsf(x[i].y), fabsf(x[i].z), fabsf(x[i].w)};
#pragma unroll
            for (int k = 0; k < 4; k++)
                m = v[k] < INFINITY ? fmaxf(m, v[k]) : m;
        }
        return m;
    }

    __device__ __forceinline__ void keep(int tile, float scale) const
    {
        const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
        if (lane == 0)
            state->scale[tile % STAGES][warp / 2] = scale;
        if (warp < S::ROWS) {
            const unsigned valid = __ballot_sync(0xffffffffu, mask != 0.0f);
            if (lane == 0)
                state->valid[tile % STAGES][warp] = valid;
        }
        char *plane = stages + tile % STAGES * STAGE + warp / 2 * PLANES * S::PLANE;
#pragma unroll
        for (int i = 0; i < S::PIECES; i++) {
            const int at = (int)threadIdx.x % 64 + i * 64, n = at / (D / 4);
            const int place = (n & 0x11) | (n & 2) << 2 | (n & 12) >> 1;
            char *to = plane + wgmma_swizzled<2 * D>((unsigned)(place * 2 * D + at % (D / 4) * 8));
            const float4 v = make_float4(x[i].x * scale, x[i].y * scale, x[i].z * scale, x[i].w * scale);
            const uint2 hi = make_uint2(split_high(v.x, v.y), split_high(v.z, v.w));
            *(uint2 *)to = hi;
            *(uint2 *)(to + S::PLANE) = make_uint2(split_low(v.x, v.y, hi.x), split_low(v.z, v.w, hi.y));
        }
    }
};

/* The softmax of two queries of a thread, rows g and g + 8 of a tile of 16, with g = lane / 4, t = lane % 4. Of row
 * g + 8 r the logits s[4 n + 2 r] and the next are those of the tile's places 8 n + 2 t and + 1. */
template <bool BIAS> struct softmax {
    float scale[2], minus_top[2], sum[2];

    /* f(r, h, x, b) for every four neighbouring logits x: keys 16 h + 4 t and on, b their bias; bias: this thread's row
     * g. */
    template <class F>
    __device__ __forceinline__ static void each(const float (&s)[KEYS / 2], const char *bias, F &&f)
    {
        const int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int h = 0; h < KEYS / 16; h++) {
                float4 b = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                if (BIAS)
                    b = *(const float4 *)(bias + r * 8 * KEYS * (int)sizeof(float) + (((g & 1) ^ h) * 4 + t) * 16);
                const float *x = s + 8 * h + 2 * r;
                f(r, h, make_float4(x[0], x[1], x[4], x[5]), b);
            }
    }

    __device__ __forceinline__ static float pick(float x, float masked, unsigned valid, unsigned inside, int key)
    {
        return valid >> key & 1 ? x : inside >> key & 1 ? masked : -INFINITY;
    }

    __device__ __forceinline__ void clear()
    {
        minus_top[0] = minus_top[1] = INFINITY;          /* no key yet */
        sum[0] = sum[1] = 0.0f;
    }

    /* Raises the reference to the largest logit of this tile; what was summed of row r has to be multiplied by
     * factor[r] then. */
    __device__ __forceinline__ void raise(float (&factor)[2], const float (&s)[KEYS / 2], const char *bias,
                                          unsigned valid, unsigned inside)
    {
        float top[2] = {-INFINITY, -INFINITY};
        each(s, bias, [&](int r, int h, float4 x, float4 b) {
            const int key = 16 * h + 4 * ((int)threadIdx.x % 4);
            x.x = pick(fmaf(x.x, scale[r], b.x * FF_LOG2E), FF_MASKED, valid, inside, key);
            x.y = pick(fmaf(x.y, scale[r], b.y * FF_LOG2E), FF_MASKED, valid, inside, key + 1);
            x.z = pick(fmaf(x.z, scale[r], b.z * FF_LOG2E), FF_MASKED, valid, inside, key + 2);
            x.w = pick(fmaf(x.w, scale[r], b.w * FF_LOG2E), FF_MASKED, valid, inside, key + 3);
            top[r] = fmaxf(top[r], fmaxf(fmaxf(x.x, x.y), fmaxf(x.z, x.w)));
        });
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            top[r] = fmaxf(top[r] - ABOVE, -minus_top[r]);
            factor[r] = exp2_fast(-minus_top[r] - top[r]);
            minus_top[r] = -top[r];
            sum[r] *= factor[r];
        }
    }

    /* Exponentials relative to the reference, split, as the left operand of the next product, and their sums. */
    template <bool MASKED>
    __device__ __forceinline__ void exponentials(unsigned (&p)[KEYS / 16][PLANES][4], float (&total)[2],
                                                 const float (&s)[KEYS / 2], const char *bias, unsigned valid,
                                                 unsigned inside) const
    {
        total[0] = total[1] = 0.0f;
        each(s, bias, [&](int r, int h, float4 x, float4 b) {
            const int key = 16 * h + 4 * ((int)threadIdx.x % 4);
            const float minus = minus_top[r], masked = FF_MASKED + minus;
            x.x = fmaf(x.x, scale[r], BIAS ? fmaf(b.x, FF_LOG2E, minus) : minus);
            x.y = fmaf(x.y, scale[r], BIAS ? fmaf(b.y, FF_LOG2E, minus) : minus);
            x.z = fmaf(x.z, scale[r], BIAS ? fmaf(b.z, FF_LOG2E, minus) : minus);
            x.w = fmaf(x.w, scale[r], BIAS ? fmaf(b.w, FF_LOG2E, minus) : minus);
            if (MASKED) {
                x.x = pick(x.x, masked, valid, inside, key);
                x.y = pick(x.y, masked, valid, inside, key + 1);
                x.z = pick(x.z, masked, valid, inside, key + 2);
                x.w = pick(x.w, masked, valid, inside, key + 3);
            }
            x = make_float4(exp2_fast(x.x), exp2_fast(x.y), exp2_fast(x.z), exp2_fast(x.w));
            total[r] += (x.x + x.y) + (x.z + x.w);
            const unsigned first = split_high(x.x, x.y), second = split_high(x.z, x.w);
            p[h][0][r] = first;
            p[h][0][2 + r] = second;
            p[h][1][r] = split_low(x.x, x.y, first);
            p[h][1][2 + r] = split_low(x.z, x.w, second);
        });
    }

    /* The query of row g + 8 r split, as the left operand of the first product, and its scale. at: its numbers. */
    template <int D>
    __device__ __forceinline__ void load(unsigned (&q)[D < 16 ? 1 : D / 16][PLANES][4], int r, const float *at,
                                         bool there)
    {
        float2 x[D / 8];
        float most = 0.0f;
#pragma unroll
        for (int c = 0; c < D / 8; c++) {
            x[c] = there ? *(const float2 *)(at + c * 8 + 2 * ((int)threadIdx.x % 4)) : make_float2(0.0f, 0.0f);
            most = fmaxf(most, fmaxf(fabsf(x[c].x), fabsf(x[c].y)));
        }
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const split_scale to = split_scale_of(most);
        scale[r] = FF_LOG2E * rsqrtf((float)D) * to.inverse;
#pragma unroll
        for (int c = 0; c < D / 8; c++) {
            const float u = x[c].x * to.scale, v = x[c].y * to.scale;
            const unsigned hi = split_high(u, v);
            q[c / 2][0][c % 2 * 2 + r] = hi;
            q[c / 2][1][c % 2 * 2 + r] = split_low(u, v, hi);
            if (D == 8) {        /* half as deep as a product, which takes hi and lo of the keys */
                q[0][0][2 + r] = hi;
                q[0][1][2 + r] = 0;
            }
        }
    }
};

/* Which of a tile's keys there are, one bit each. */
__device__ __forceinline__ unsigned keys_inside(int n)
{
    return n >= KEYS ? 0xffffffffu : (1u << n) - 1;
}

/* The gates of a query before the sigmoid, and out = value / sum * sigmoid(gate); v: the scale of the values. */
template <int D> __device__ __forceinline__ void load_gates(float2 (&w)[D / 8], const float *gate)
{
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        w[n] = *(const float2 *)(gate + n * 8 + 2 * ((int)threadIdx.x % 4));
}
template <int D>
__device__ __forceinline__ void write_out(float *out, const float2 (&value)[D / 8], const float2 (&w)[D / 8], float sum,
                                          float v, bool there)
{
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (!there)
        return;
    const float inverse = 1.0f / sum / v;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
        float x = __fdividef(value[n].x * inverse, 1.0f + expf(-w[n].x));
        float y = __fdividef(value[n].y * inverse, 1.0f + expf(-w[n].y));
        *(float2 *)(out + n * 8 + 2 * ((int)threadIdx.x % 4)) = make_float2(x, y);
    }
}

}  // namespace attention_float32

#endif
