/* SPDX-License-Identifier: Apache-2.0
 * attention_fp32: gated attention of float32 activations on the matrix units (sm_80 and later), without ever writing a
 * logit.
 *
 * Maths: out[b, i, h] = sigmoid(gate) sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j]) v[b, j, h]; d 8, 16 or 32.
 * Numbers: products of float32 numbers as three of float16 numbers, under the tf32 precision as one (split.cuh). The
 *   scale is, of a query, that of its largest number; of the keys and of the values of a batch row that of the largest
 *   in the first tile, with room for numbers 2^9 times as large. When a later tile has a larger one the scale falls,
 *   and what was summed goes along.
 * Work: a block has QUERIES queries of one head in ROWS batch rows, four warps per row with 32 queries each, so that a
 *   tile of the bias serves all rows. Keys pass by in tiles of KEYS, two in flight: read into registers while the tile
 *   before is worked on, then split and stored. Neighbouring blocks share keys, which stay in the second-level cache.
 * Order: key 4 t + 2 j + i of sixteen lies at place 8 j + 2 t + i of the tile, so that the four logits of a thread are
 *   those of four neighbouring keys, whose bias is one load.
 * Softmax: relative to a reference per query that rises only when exponentials leave the range of float16; the tile is
 *   then done again. The result does not depend on it.
 * Sums: the matrix units cut off what a sum loses; for float32 accuracy they sum over the keys of one tile at most.
 * Reference: ops_cpu_attention.c.
 */
#include "attention.cuh"
#include "split.cuh"

namespace {

enum { ROWS = 3, QUERIES = 128, KEYS = 32, ROW_WARPS = QUERIES / 32, WARPS = ROWS * ROW_WARPS, THREADS = 32 * WARPS };
enum { UNITS = 2 * ROWS };             /* a unit: the keys or the values of a batch row; two warps bring it */

constexpr float LARGE = 32768.0f;        /* up to here a number and what it is rounded to are float16 numbers */
constexpr float ROOM = 1.0f / 512;       /* for numbers of later tiles */
constexpr float ABOVE = 6.0f;            /* log 2 of the largest exponential at first: small ones keep more digits */

template <int D, bool TF32> struct shape {
    static constexpr int PLANES = TF32 ? 1 : 2;                      /* hi; lo */
    static constexpr int PLANE = KEYS * D * 2;                       /* bytes of the keys or values of a batch row */
    static constexpr int ROW_BYTES = 2 * PLANES * PLANE;             /* planes of k, then of v */
    static constexpr int BIAS_AT = ROWS * ROW_BYTES, BIAS_ROW = KEYS * (int)sizeof(float);
    static constexpr int STAGE[2] = {BIAS_AT, BIAS_AT + QUERIES * BIAS_ROW};       /* without and with a bias */
    static constexpr int PIECES = D / 8;                             /* of 16 bytes that a thread has of its unit */
};

/* Where byte `at` of a plane lies: no two of the rows that are read together share banks. */
template <int D> __device__ __forceinline__ unsigned swizzled(unsigned at)
{
    return at ^ (at >> 3 & (2 * D - 16));
}

/* What a block shares besides the tiles. */
struct shared_state {
    unsigned valid[2][ROWS];          /* bit per key of a tile: it counts */
    float scale[UNITS];               /* of the unit's numbers */
    float most[WARPS];
};

/* The bias of a tile at an edge, or of rows that are not aligned. bias: of the first query and key; to: its place. */
__device__ __noinline__ void copy_some_bias(char *to, const float *bias, int64_t ld, int queries, int keys,
                                            bool aligned)
{
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < QUERIES * KEYS / 4; i += THREADS) {
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
template <int D, bool BIAS, bool TF32> struct reader {
    using S = shape<D, TF32>;
    static constexpr int STAGE = S::STAGE[BIAS], APART = 256 / D;    /* keys from one piece to the next */
    static constexpr int BIAS_PIECES = KEYS / 4, BIAS_AT_ONCE = THREADS / BIAS_PIECES;
    const struct ff_cuda_attention_job &j;
    const int head, query;
    char *const stages;
    const bool whole;                    /* all queries are there, and the bias may be copied */
    const float *from, *from_bias;       /* this thread's part of the next tile */
    float4 x[S::PIECES];

    __device__ __forceinline__ reader(const struct ff_cuda_attention_job &job, int row, int h, int q, char *to)
        : j(job), head(h), query(q), stages(to), whole(q + QUERIES <= job.length && job.bias_aligned)
    {
        const int u = (int)threadIdx.x / 64, at = (int)threadIdx.x % 64, b = min(row + u / 2, j.n_row - 1);
        from = (const float *)j.qkvg + b * j.qkvg_b + at / (D / 4) * j.qkvg_l + (u % 2 + 1) * j.n_head * D + head * D +
               at % (D / 4) * 4;
        from_bias = BIAS && whole ? (const float *)j.bias + head * j.bias_h +
                                        (query + (int)threadIdx.x / BIAS_PIECES) * j.bias_i +
                                        (int)threadIdx.x % BIAS_PIECES * 4
                                  : NULL;
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
            const unsigned to = shared_address(stages) + (unsigned)(tile % 2 * STAGE + S::BIAS_AT + m * S::BIAS_ROW +
                                                                    (c ^ (m & 1) * 4) * 16);
            const float *at = from_bias;
#pragma unroll
            for (int i = 0; i < QUERIES; i += BIAS_AT_ONCE, at += BIAS_AT_ONCE * j.bias_i)
                if (i + BIAS_AT_ONCE <= QUERIES || i + m < QUERIES)
                    copy16_async(to + (unsigned)(i * S::BIAS_ROW), at);
            from_bias += KEYS;
        } else {
            copy_some_bias(
                stages + tile % 2 * STAGE + S::BIAS_AT,
                (const float *)j.bias + head * j.bias_h + query * j.bias_i + tile * KEYS, j.bias_i, j.length - query,
                j.length - tile * KEYS, j.bias_aligned);
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

    __device__ __forceinline__ void store(int tile, float scale) const
    {
        char *plane = stages + tile % 2 * STAGE + (int)threadIdx.x / 64 * S::PLANES * S::PLANE;
#pragma unroll
        for (int i = 0; i < S::PIECES; i++) {
            const int at = (int)threadIdx.x % 64 + i * 64, n = at / (D / 4);
            const int place = (n & 0x11) | (n & 2) << 2 | (n & 12) >> 1;
            char *to = plane + swizzled<D>((unsigned)(place * 2 * D + at % (D / 4) * 8));
            const float4 v = make_float4(x[i].x * scale, x[i].y * scale, x[i].z * scale, x[i].w * scale);
            const uint2 hi = make_uint2(split_high(v.x, v.y), split_high(v.z, v.w));
            *(uint2 *)to = hi;
            if (!TF32)
                *(uint2 *)(to + S::PLANE) = make_uint2(split_low(v.x, v.y, hi.x), split_low(v.z, v.w, hi.y));
        }
    }
};

/* 32 queries of a warp and what has been summed of them; a thread has rows g, g + 8 of two tiles of 16. */
template <int D, bool BIAS, bool TF32> class worker {
    using S = shape<D, TF32>;
    static constexpr int STEPS = D < 16 ? 1 : D / 16, GROUPS = D / 8, PLANES = S::PLANES;
    const int lane, g, t;
    unsigned q[2][STEPS][PLANES][4];
    float value[2][GROUPS][4];
    float scale[4], minus_top[4], sum[4];

    /* c += a b, a and b split; of b two registers per plane. */
    __device__ __forceinline__ static void multiply(float (&c)[4], const unsigned (&a)[PLANES][4], unsigned hi0,
                                                    unsigned hi1, unsigned lo0, unsigned lo1)
    {
        if constexpr (!TF32) {
            mma_f16(c, a[PLANES - 1], hi0, hi1);
            mma_f16(c, a[0], lo0, lo1);
        }
        mma_f16(c, a[0], hi0, hi1);
    }

    /* Logits of a tile before scale and bias. */
    __device__ __forceinline__ void logits(float (&s)[2][KEYS / 8][4], unsigned k) const
    {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[m][n][i] = 0.0f;
        if constexpr (D == 8) {
            /* Half as deep as a product: one takes hi and lo of the keys. */
            unsigned hi[4], lo[4] = {0, 0, 0, 0};
            ldmatrix_x4(hi, k);
            if (!TF32)
                ldmatrix_x4(lo, k + S::PLANE);
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    if (!TF32)
                        mma_f16(s[m][n], q[m][0][PLANES - 1], hi[n], 0);
                    mma_f16(s[m][n], q[m][0][0], hi[n], lo[n]);
                }
        } else {
            constexpr int AT_ONCE = 2 / STEPS;                       /* eights of keys that one load brings */
#pragma unroll
            for (int n = 0; n < KEYS / 8; n += AT_ONCE) {
                unsigned b[PLANES][4];
#pragma unroll
                for (int p = 0; p < PLANES; p++)
                    ldmatrix_x4(b[p], k + (unsigned)(p * S::PLANE + n * 8 * 2 * D));
#pragma unroll
                for (int r = 0; r < 4; r += 2)
#pragma unroll
                    for (int m = 0; m < 2; m++)
                        multiply(s[m][n + r / 2 % AT_ONCE], q[m][r / 2 / AT_ONCE], b[0][r], b[0][r + 1],
                                 b[PLANES - 1][r], b[PLANES - 1][r + 1]);
            }
        }
    }

    /* f(m, r, h, x, b) for every four neighbouring logits: row r of query tile m, keys 16 h + 4 t and on, b their
     * bias. */
    template <class F>
    __device__ __forceinline__ void each(float (&s)[2][KEYS / 8][4], const char *bias, F &&f) const
    {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int r = 0; r < 2; r++)
#pragma unroll
                for (int h = 0; h < KEYS / 16; h++) {
                    float4 b = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    if (BIAS)
                        b = *(const float4 *)(bias + (m * 16 + r * 8) * S::BIAS_ROW + (((g & 1) ^ h) * 4 + t) * 16);
                    float(&x)[4] = s[m][2 * h], (&y)[4] = s[m][2 * h + 1];
                    f(m, r, h, x[2 * r], x[2 * r + 1], y[2 * r], y[2 * r + 1], b);
                }
    }

    __device__ __forceinline__ static float pick(float x, float masked, unsigned valid, unsigned inside, int key)
    {
        return valid >> key & 1 ? x : inside >> key & 1 ? masked : -INFINITY;
    }

    /* Raises the reference to the largest logit of this tile and brings what was summed to it. */
    __device__ __forceinline__ void raise(float (&s)[2][KEYS / 8][4], const char *bias, unsigned valid, unsigned inside)
    {
        float top[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        each(s, bias, [&](int m, int r, int h, float x0, float x1, float x2, float x3, float4 b) {
            const int row = 2 * m + r, key = 16 * h + 4 * t;
            x0 = pick(fmaf(x0, scale[row], b.x * FF_LOG2E), FF_MASKED, valid, inside, key);
            x1 = pick(fmaf(x1, scale[row], b.y * FF_LOG2E), FF_MASKED, valid, inside, key + 1);
            x2 = pick(fmaf(x2, scale[row], b.z * FF_LOG2E), FF_MASKED, valid, inside, key + 2);
            x3 = pick(fmaf(x3, scale[row], b.w * FF_LOG2E), FF_MASKED, valid, inside, key + 3);
            top[row] = fmaxf(top[row], fmaxf(fmaxf(x0, x1), fmaxf(x2, x3)));
        });
#pragma unroll
        for (int r = 0; r < 4; r++) {
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            top[r] = fmaxf(top[r] - ABOVE, -minus_top[r]);
            float factor = exp2_fast(-minus_top[r] - top[r]);
            minus_top[r] = -top[r];
            sum[r] *= factor;
#pragma unroll
            for (int n = 0; n < GROUPS; n++) {
                value[r / 2][n][r % 2 * 2] *= factor;
                value[r / 2][n][r % 2 * 2 + 1] *= factor;
            }
        }
    }

    /* Exponentials relative to the reference, split for the next product, and their sums. */
    template <bool MASKED>
    __device__ __forceinline__ void exponentials(unsigned (&p)[2][KEYS / 16][PLANES][4], float (&total)[4],
                                                 float (&s)[2][KEYS / 8][4], const char *bias, unsigned valid,
                                                 unsigned inside) const
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
            total[r] = 0.0f;
        each(s, bias, [&](int m, int r, int h, float x0, float x1, float x2, float x3, float4 b) {
            const int row = 2 * m + r, key = 16 * h + 4 * t;
            const float minus = minus_top[row], masked = FF_MASKED + minus;
            x0 = fmaf(x0, scale[row], BIAS ? fmaf(b.x, FF_LOG2E, minus) : minus);
            x1 = fmaf(x1, scale[row], BIAS ? fmaf(b.y, FF_LOG2E, minus) : minus);
            x2 = fmaf(x2, scale[row], BIAS ? fmaf(b.z, FF_LOG2E, minus) : minus);
            x3 = fmaf(x3, scale[row], BIAS ? fmaf(b.w, FF_LOG2E, minus) : minus);
            if (MASKED) {
                x0 = pick(x0, masked, valid, inside, key);
                x1 = pick(x1, masked, valid, inside, key + 1);
                x2 = pick(x2, masked, valid, inside, key + 2);
                x3 = pick(x3, masked, valid, inside, key + 3);
            }
            x0 = exp2_fast(x0);
            x1 = exp2_fast(x1);
            x2 = exp2_fast(x2);
            x3 = exp2_fast(x3);
            total[row] += (x0 + x1) + (x2 + x3);
            p[m][h][0][r] = split_high(x0, x1);
            p[m][h][0][2 + r] = split_high(x2, x3);
            if (!TF32) {
                p[m][h][PLANES - 1][r] = split_low(x0, x1, p[m][h][0][r]);
                p[m][h][PLANES - 1][2 + r] = split_low(x2, x3, p[m][h][0][2 + r]);
            }
        });
    }

    /* value += p v */
    __device__ __forceinline__ void add_values(const unsigned (&p)[2][KEYS / 16][PLANES][4], unsigned v)
    {
        constexpr int AT_ONCE = GROUPS > 1 ? 2 : 1;                  /* eights of channels that one load brings */
#pragma unroll
        for (int n = 0; n < GROUPS; n += AT_ONCE) {
            float part[2][AT_ONCE][4];
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int e = 0; e < AT_ONCE; e++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        part[m][e][i] = TF32 ? value[m][n + e][i] : 0.0f;
            unsigned b[PLANES][4];
#pragma unroll
            for (int h = 0; h < KEYS / 16; h++) {
                if (AT_ONCE > 1 || h == 0)
#pragma unroll
                    for (int c = 0; c < PLANES; c++)
                        ldmatrix_x4_trans(b[c], (v ^ (unsigned)(n * 16)) + (unsigned)(c * S::PLANE + h * 16 * 2 * D));
                const int first = AT_ONCE > 1 ? 0 : 2 * h;
#pragma unroll
                for (int e = 0; e < AT_ONCE; e++)
#pragma unroll
                    for (int m = 0; m < 2; m++)
                        multiply(part[m][e], p[m][h], b[0][first + 2 * e], b[0][first + 2 * e + 1],
                                 b[PLANES - 1][first + 2 * e], b[PLANES - 1][first + 2 * e + 1]);
            }
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int e = 0; e < AT_ONCE; e++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        value[m][n + e][i] = TF32 ? part[m][e][i] : value[m][n + e][i] + part[m][e][i];
        }
    }

public:
    __device__ __forceinline__ worker() : lane((int)threadIdx.x % 32), g(lane / 4), t(lane % 4) {}

    /* This thread's part of the addresses that ldmatrix takes, and of the bias, in bytes. */
    __device__ __forceinline__ unsigned k_offset() const
    {
        const int part = lane / 8, row = lane % 8;
        return D == 8 ? (unsigned)lane * 16
                      : swizzled<D>((unsigned)(STEPS == 2 ? row * 2 * D + part * 16
                                                          : (part / 2 * 8 + row) * 2 * D + part % 2 * 16));
    }
    __device__ __forceinline__ unsigned v_offset() const
    {
        return D == 8 ? (unsigned)lane * 16 : swizzled<D>((unsigned)(lane % 16 * 2 * D + lane / 16 * 16));
    }
    __device__ __forceinline__ int bias_offset() const { return g * S::BIAS_ROW; }

    /* own: the first of this head's numbers in the batch row. The scale of the keys is still 1. */
    __device__ __forceinline__ void start(const float *own, int64_t ld, int query, int length)
    {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int row = query + m * 16 + r * 8 + g;
                float2 x[D / 8];
                float most = 0.0f;
#pragma unroll
                for (int c = 0; c < D / 8; c++) {
                    x[c] = row < length ? *(const float2 *)(own + row * ld + c * 8 + 2 * t) : make_float2(0.0f, 0.0f);
                    most = fmaxf(most, fmaxf(fabsf(x[c].x), fabsf(x[c].y)));
                }
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
                const split_scale to = split_scale_of(most);
                scale[2 * m + r] = FF_LOG2E * rsqrtf((float)D) * to.inverse;
#pragma unroll
                for (int c = 0; c < D / 8; c++) {
                    const float u = x[c].x * to.scale, v = x[c].y * to.scale;
                    const unsigned hi = split_high(u, v);
                    q[m][c / 2][0][c % 2 * 2 + r] = hi;
                    if (!TF32)
                        q[m][c / 2][PLANES - 1][c % 2 * 2 + r] = split_low(u, v, hi);
                    if (D == 8) {
                        q[m][0][0][2 + r] = TF32 ? 0 : hi;
                        q[m][0][PLANES - 1][2 + r] = 0;
                    }
                }
                minus_top[2 * m + r] = INFINITY;     /* no key yet */
                sum[2 * m + r] = 0.0f;
#pragma unroll
                for (int n = 0; n < GROUPS; n++)
                    value[m][n][2 * r] = value[m][n][2 * r + 1] = 0.0f;
            }
    }

    /* The scales of keys and values become k and v times what they were. */
    __device__ __forceinline__ void rescale(float k, float v)
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
            scale[r] /= k;
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < GROUPS; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    value[m][n][i] *= v;
    }

    /* A tile of keys and values. plain: all of its keys count. */
    __device__ __forceinline__ void attend(unsigned k, unsigned v, const char *bias, bool first, unsigned valid,
                                           int n_inside)
    {
        unsigned p[2][KEYS / 16][PLANES][4];
        float total[4];
        const unsigned inside = n_inside >= KEYS ? 0xffffffffu : (1u << n_inside) - 1;
        for (bool again = first;; again = true) {
            float s[2][KEYS / 8][4];
            logits(s, k);
            if (again)
                raise(s, bias, valid, inside);
            if (valid == 0xffffffffu)
                exponentials<false>(p, total, s, bias, valid, inside);
            else
                exponentials<true>(p, total, s, bias, valid, inside);
            /* Once is enough, and must be where a logit is no number. */
            if (again ||
                __all_sync(0xffffffffu, fmaxf(fmaxf(total[0], total[1]), fmaxf(total[2], total[3])) <= LARGE))
                break;
        }
#pragma unroll
        for (int r = 0; r < 4; r++)
            sum[r] += total[r];
        add_values(p, v);
    }

    /* out = value / sum * sigmoid(gate); v: the scale of the values. */
    __device__ __forceinline__ void finish(float *out, int64_t out_ld, const float *gate, int64_t gate_ld, int query,
                                           int length, float v)
    {
        float2 w[4][GROUPS];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const float *at = gate + min(query + r / 2 * 16 + r % 2 * 8 + g, length - 1) * gate_ld + 2 * t;
#pragma unroll
            for (int n = 0; n < GROUPS; n++)
                w[r][n] = *(const float2 *)(at + n * 8);
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
            const int row = query + r / 2 * 16 + r % 2 * 8 + g;
            if (row >= length)
                continue;
            const float inverse = 1.0f / sum[r] / v;
            float *to = out + row * out_ld + 2 * t;
#pragma unroll
            for (int n = 0; n < GROUPS; n++) {
                float x = __fdividef(value[r / 2][n][r % 2 * 2] * inverse, 1.0f + expf(-w[r][n].x));
                float y = __fdividef(value[r / 2][n][r % 2 * 2 + 1] * inverse, 1.0f + expf(-w[r][n].y));
                *(float2 *)(to + n * 8) = make_float2(x, y);
            }
        }
    }
};

template <int D, bool BIAS, bool TF32>
__global__ void __launch_bounds__(THREADS, 1)
    kernel(const __grid_constant__ struct ff_cuda_attention_job j, bool head_inside)
{
    using S = shape<D, TF32>;
    constexpr int STAGE = S::STAGE[BIAS];
    extern __shared__ __align__(128) char shared[];
    auto *state = (shared_state *)(shared + 2 * STAGE);
    const int lane = (int)threadIdx.x % 32, warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    const int own = warp / ROW_WARPS;                                /* batch row whose queries this warp has */
    /* Queries vary fastest, then heads, or batch rows where the bias of all heads is too much for the cache. */
    const int n_query = (j.length + QUERIES - 1) / QUERIES, n_group = (j.n_row + ROWS - 1) / ROWS;
    const int first_query = (int)blockIdx.x % n_query * QUERIES, rest = (int)blockIdx.x / n_query;
    const int head = head_inside ? rest % j.n_head : rest / n_group;
    const int row = (head_inside ? rest / j.n_head : rest % n_group) * ROWS;
    const int query = first_query + warp % ROW_WARPS * 32, b = min(row + own, j.n_row - 1);
    const float *from = (const float *)j.qkvg + b * j.qkvg_b + head * D;
    const int n_tile = (j.length + KEYS - 1) / KEYS;

    /* The first warps, one per batch row, look after the mask: a key per thread. */
    auto mask_at = [&](int tile) {
        const int key = tile * KEYS + lane;
        return warp < ROWS && key < j.length ? j.mask[min(row + warp, j.n_row - 1) * j.mask_b + key * j.mask_l] : 0.0f;
    };
    auto keep_mask = [&](int tile, float m) {
        if (warp >= ROWS)
            return;
        unsigned valid = __ballot_sync(0xffffffffu, m != 0.0f);
        if (lane == 0)
            state->valid[tile % 2][warp] = valid;
    };

    worker<D, BIAS, TF32> w;
    reader<D, BIAS, TF32> part(j, row, head, first_query, shared);
    /* Stores a tile that a scale does not fit, or the first, with one that does. */
    auto fit = [&](int tile) {
        const float most = warp_max(part.most_finite());
        if (lane == 0)
            state->most[warp] = most;
        __syncthreads();
        float old[3], now[3];
        const int units[3] = {warp / 2, 2 * own, 2 * own + 1};
#pragma unroll
        for (int i = 0; i < 3; i++) {
            const int u = units[i];
            old[i] = tile == 0 ? 1.0f : state->scale[u];
            now[i] = split_scale_of(fmaxf(state->most[2 * u], state->most[2 * u + 1])).scale * ROOM;
            if (tile > 0)
                now[i] = fminf(now[i], old[i]);
        }
        __syncthreads();
        state->scale[units[0]] = now[0];
        part.store(tile, now[0]);
        w.rescale(now[1] / old[1], now[2] / old[2]);
        __syncthreads();
    };

    part.read(0);
    part.copy_bias(0);
    keep_mask(0, mask_at(0));
    w.start(from, j.qkvg_l, query, j.length);
    copy_wait<0>();
    fit(0);
    const unsigned k_at = shared_address(shared) + (unsigned)(own * S::ROW_BYTES) + w.k_offset();
    const unsigned v_at = shared_address(shared) + (unsigned)(own * S::ROW_BYTES + S::ROW_BYTES / 2) + w.v_offset();
    const char *bias_at = shared + S::BIAS_AT + warp % ROW_WARPS * 32 * S::BIAS_ROW + w.bias_offset();
#pragma unroll 1
    for (int tile = 0; tile < n_tile; tile++) {
        const int stage = tile % 2 * STAGE;
        float mask = 0.0f;
        if (tile + 1 < n_tile) {
            part.read(tile + 1);
            part.copy_bias(tile + 1);
            mask = mask_at(tile + 1);
        }
        w.attend(k_at + (unsigned)stage, v_at + (unsigned)stage, bias_at + stage, tile == 0,
                 state->valid[tile % 2][own], j.length - tile * KEYS);
        if (tile + 1 < n_tile) {
            const float scale = state->scale[warp / 2];
            keep_mask(tile + 1, mask);
            part.store(tile + 1, scale);
            copy_wait<0>();
            if (__syncthreads_or(part.most() * scale > LARGE))
                fit(tile + 1);
        }
    }
    if (row + own < j.n_row)
        w.finish((float *)j.out + b * j.out_b + head * D, j.out_l, from + 3 * j.n_head * D, j.qkvg_l, query, j.length,
                 state->scale[2 * own + 1]);
}

template <int D, bool BIAS, bool TF32> void launch(const struct ff_cuda_attention_job *j)
{
    using S = shape<D, TF32>;
    constexpr int bytes = 2 * S::STAGE[BIAS] + (int)sizeof(shared_state);
    FF_CUDA(cudaFuncSetAttribute(kernel<D, BIAS, TF32>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    /* Half of the second-level cache of an H100. */
    bool head_inside = !BIAS || 4.0 * j->n_head * j->length * j->length <= 25e6;
    unsigned blocks = ff_blocks(j->length, QUERIES) * ff_blocks(j->n_row, ROWS) * (unsigned)j->n_head;
    kernel<D, BIAS, TF32><<<blocks, THREADS, bytes, j->stream>>>(*j, head_inside);
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_attention_fp32(const struct ff_cuda_attention_job *j, bool tf32)
{
    return ff_cuda_attention_shape(j, [&](auto d, auto biased) {
        if (tf32)
            launch<decltype(d)::value, decltype(biased)::value, true>(j);
        else
            launch<decltype(d)::value, decltype(biased)::value, false>(j);
    });
}
