/* SPDX-License-Identifier: Apache-2.0
 * attention_wgmma: gated attention of bf16 activations on the matrix units of sm_90a, without ever writing a logit.
 *
 * Maths: out[b, i, h] = sigmoid(gate) sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j]) v[b, j, h]; d 8, 16 or 32.
 * Work: a block has QUERIES queries of one head in two batch rows, a warpgroup per row, so that a tile of the bias
 *   serves both rows and a tile of keys all queries. Keys pass by in tiles of KEYS, two in flight. Logits are made by
 *   units of 64 queries and UNIT keys, as one product from shared memory, one unit ahead of the exponentials, which are
 *   made in registers, whose layout is that of the second product's left operand. Two blocks per multiprocessor.
 *   Neighbouring blocks share keys, so that those stay in the second-level cache; the bias of one head does too.
 * Softmax: exponentials are taken as they are, not relative to the largest logit. That does no harm until the sum of a
 *   query leaves the range of numbers, up or down; which shows at the end, and the block then starts again, carefully,
 *   relative to a reference that rises with every unit. In between there is nothing to compare and nothing to rescale.
 * Shared memory: queries 16 KiB, per stage keys and values 8 KiB each and bias 16 KiB, ones 4 KiB (d 32): 84 KiB.
 * Cost: 4 d flops and one exponential per logit; bound by the exponentials (16 per clock and multiprocessor).
 * Numerics: logits, sums and values in float32; exponentials rounded to bf16 for the second product, which makes both
 *   the sums and the values.
 * Reference: ops_cpu_attention.c.
 */
#include "attention.cuh"
#include "mma.cuh"
#include "wgmma.cuh"

namespace {

enum { QUERIES = 128, KEYS = 64, ROWS = 2, THREADS = 128 * ROWS, STAGES = 2 };
/* A tile is worked on in units of 64 queries and UNIT keys. */
enum { UNIT = 32, PARTS = QUERIES / 64, UNITS = PARTS * (KEYS / UNIT) };

template <int D> struct shape {
    static constexpr int ROW = D < 16 ? 32 : 2 * D;      /* bytes of a query or key: at least one product deep */
    static constexpr int V_ROW = 2 * D;
    static constexpr int Q_BYTES = ROWS * QUERIES * ROW, K_BYTES = ROWS * KEYS * ROW, V_BYTES = ROWS * KEYS * V_ROW;
    /* What stands for eight more channels of the values: 1 for every key, so that the product sums exponentials too. */
    static constexpr int ONES_BYTES = KEYS * V_ROW;
    static constexpr int BIAS_BYTES = QUERIES * KEYS * 2;
    static constexpr int STAGE[2] = {K_BYTES + V_BYTES, K_BYTES + V_BYTES + BIAS_BYTES};   /* without and with a bias */
};

/* Which keys of 32 there are (inside) and which of these count (valid), one bit each. */
struct key_bits {
    unsigned valid, inside;
};

#ifdef FF_HAVE_WGMMA

/* Of a sum of exponentials: far inside of what float32 holds, so that no part that counts has left it either. */
constexpr float LEAST = 1e-18f, MOST = 1e30f;

/* 64 queries and what has been summed of them. A thread has two of them. */
template <int D, bool BIAS> struct queries {
    /* [64, D + 8] as the products leave it: behind the values the sum of the exponentials, eight times. */
    float value[D / 2 + 4], minus_top[2];

    __device__ __forceinline__ void clear(bool careful)
    {
#pragma unroll
        for (int i = 0; i < D / 2 + 4; i++)
            value[i] = 0.0f;
        minus_top[0] = minus_top[1] = careful ? INFINITY : 0.0f;
    }

    __device__ __forceinline__ static float pick(float x, float masked, key_bits bits, int key)
    {
        return bits.valid >> key & 1 ? x : bits.inside >> key & 1 ? masked : -INFINITY;
    }

    /* f(k, i, x, y, b) for every pair of neighbouring logits of a unit: k its sixteen of keys, i & 1 the thread's
     * query, i >> 1 the half of the sixteen, b the pair's bias. */
    template <class F> __device__ __forceinline__ static void each(const float (&s)[UNIT / 2], unsigned bias, F &&f)
    {
#pragma unroll
        for (int k = 0; k < UNIT / 16; k++) {
            unsigned b[4] = {0, 0, 0, 0};
            if (BIAS)
                ldmatrix_x4(b, bias ^ k * 32u);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int at = 4 * (2 * k + (i >> 1)) + 2 * (i & 1);
                f(k, i, s[at], s[at + 1], b[i]);
            }
        }
    }

    /* Raises the reference to the largest logit of this unit and brings what was summed to it. */
    __device__ __forceinline__ void raise(const float (&s)[UNIT / 2], unsigned bias, key_bits bits)
    {
        const float scale = FF_LOG2E * rsqrtf((float)D);
        float top[2] = {-INFINITY, -INFINITY};
        each(s, bias, [&](int k, int i, float x, float y, unsigned b) {
            const int key = 8 * (2 * k + (i >> 1)) + 2 * ((int)threadIdx.x % 4);
            x = fmaf(x, scale, BIAS ? low_half(b) * FF_LOG2E : 0.0f);
            y = fmaf(y, scale, BIAS ? high_half(b) * FF_LOG2E : 0.0f);
            x = pick(x, FF_MASKED, bits, key);
            y = pick(y, FF_MASKED, bits, key + 1);
            top[i & 1] = fmaxf(top[i & 1], fmaxf(x, y));
        });
        wgmma_use(value);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            top[r] = fmaxf(top[r], -minus_top[r]);
            float factor = exp2_fast(-minus_top[r] - top[r]);
            minus_top[r] = -top[r];
#pragma unroll
            for (int n = 0; n < D / 8 + 1; n++) {
                value[4 * n + 2 * r] *= factor;
                value[4 * n + 2 * r + 1] *= factor;
            }
        }
    }

    /* Exponentials relative to the reference, packed for the next product. */
    template <bool MASKED>
    __device__ __forceinline__ void exponentials(unsigned (&p)[UNIT / 16][4], const float (&s)[UNIT / 2], unsigned bias,
                                                 key_bits bits)
    {
        const float scale = FF_LOG2E * rsqrtf((float)D);
        each(s, bias, [&](int k, int i, float x, float y, unsigned b) {
            const int r = i & 1, key = 8 * (2 * k + (i >> 1)) + 2 * ((int)threadIdx.x % 4);
            x = fmaf(x, scale, BIAS ? fmaf(low_half(b), FF_LOG2E, minus_top[r]) : minus_top[r]);
            y = fmaf(y, scale, BIAS ? fmaf(high_half(b), FF_LOG2E, minus_top[r]) : minus_top[r]);
            if (MASKED) {
                x = pick(x, FF_MASKED + minus_top[r], bits, key);
                y = pick(y, FF_MASKED + minus_top[r], bits, key + 1);
            }
            p[k][i] = pack2(exp2_fast(x), exp2_fast(y));
        });
    }

    /* Adds a unit whose logits are there; v: its values. The product is under way on return. plain: no key is masked,
     * and nothing is done carefully. */
    __device__ __forceinline__ void add(const float (&s)[UNIT / 2], uint64_t v, unsigned bias, const key_bits &bits,
                                        bool plain, bool careful)
    {
        unsigned p[UNIT / 16][4];
        if (plain) {
            exponentials<false>(p, s, bias, key_bits());
        } else {
            const key_bits masks = bits;
            if (careful)
                raise(s, bias, masks);
            exponentials<true>(p, s, bias, masks);
        }
        wgmma_fence();
#pragma unroll
        for (int n = 0; n < UNIT / 16; n++)
            wgmma_rs<D + 8, WGMMA_MN_MAJOR>(value, p[n], wgmma_advance(v, n * 16 * shape<D>::V_ROW));
        wgmma_commit();
    }

    __device__ __forceinline__ float sum(int r) const { return value[D / 2 + 2 * r]; }

    /* The gates of this thread's queries, rows from `query` on, before the sigmoid. */
    __device__ __forceinline__ static void load_gates(unsigned (&w)[2][D / 8], const bf16 *gate, int64_t gate_l,
                                                      int query, int length)
    {
        const int lane = (int)threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = query + (int)threadIdx.x / 32 % 4 * 16 + r * 8 + lane / 4;
            const bf16 *from = gate + min(row, length - 1) * gate_l + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < D / 8; n++)
                w[r][n] = *(const unsigned *)(from + n * 8);
        }
    }

    /* out = value / sum * sigmoid(gate) */
    __device__ __forceinline__ void finish(bf16 *out, int64_t out_l, const unsigned (&w)[2][D / 8], int query,
                                           int length) const
    {
        const int lane = (int)threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = query + (int)threadIdx.x / 32 % 4 * 16 + r * 8 + lane / 4;
            if (row >= length)
                continue;
            bf16 *to = out + row * out_l + lane % 4 * 2;
            float inverse = __fdividef(1.0f, sum(r));
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                float x = value[4 * n + 2 * r] * inverse * fast_sigmoid(low_half(w[r][n]));
                float y = value[4 * n + 2 * r + 1] * inverse * fast_sigmoid(high_half(w[r][n]));
                *(unsigned *)(to + n * 8) = pack2(x, y);
            }
        }
    }
};

/* The logits of a unit before scale and bias; under way on return. */
template <int D> __device__ __forceinline__ void logits(float (&s)[UNIT / 2], uint64_t q, uint64_t k)
{
    wgmma_fence();
#pragma unroll
    for (int at = 0; at < shape<D>::ROW; at += 32)
        wgmma_ss<UNIT, WGMMA_K_MAJOR, WGMMA_K_MAJOR>(s, wgmma_advance(q, at), wgmma_advance(k, at), at > 0);
    wgmma_commit();
}

/* What a block reads: its queries once, tiles of keys, values and bias one after the other. A thread's part of every
 * tile lies at the same place of it. */
template <int D, bool BIAS> struct reader {
    using S = shape<D>;
    static constexpr int PIECES = D / 8, BIAS_PIECES = KEYS / 8;     /* 16 bytes each, of a head, of a row of bias */
    static constexpr int AT_ONCE = THREADS / (KEYS * PIECES);        /* batch rows that the threads cover together */
    static constexpr int BIAS_AT_ONCE = THREADS / BIAS_PIECES;
    static_assert(AT_ONCE >= 1, "a thread has one key of a batch row at most");
    const struct ff_cuda_attention_job &j;
    const int row, head, query;
    bool whole;                          /* all rows and queries are there, and the bias may be copied */
    int key;                             /* first of the next tile */
    const bf16 *from_keys, *from_bias;   /* this thread's part of it */
    unsigned to_keys, to_values, to_bias;    /* its place in the first stage */

    __device__ __forceinline__ const bf16 *at(int b, int l) const
    {
        return (const bf16 *)j.qkvg + (row + b) * j.qkvg_b + l * j.qkvg_l + head * D;
    }

    __device__ __forceinline__ reader(const struct ff_cuda_attention_job &job, int r, int h, int q, unsigned stages)
        : j(job), row(r), head(h), query(q)
    {
        const int b = (int)threadIdx.x / (KEYS * PIECES), l = (int)threadIdx.x / PIECES % KEYS,
                  piece = (int)threadIdx.x % PIECES * 16;
        whole = row + ROWS <= j.n_row && (!BIAS || (query + QUERIES <= j.length && j.bias_aligned));
        to_keys = stages + b * KEYS * S::ROW + wgmma_swizzled<S::ROW>(l * S::ROW + piece);
        to_values = stages + S::K_BYTES + b * KEYS * S::V_ROW + wgmma_swizzled<S::V_ROW>(l * S::V_ROW + piece);
        to_bias = stages + S::K_BYTES + S::V_BYTES + wgmma_swizzled<2 * KEYS>((int)threadIdx.x * 16);
    }

    __device__ __forceinline__ void start()
    {
        const int b = (int)threadIdx.x / (KEYS * PIECES), l = (int)threadIdx.x / PIECES % KEYS;
        key = 0;
        from_keys = at(b, l) + j.n_head * D + (int)threadIdx.x % PIECES * 8;
        from_bias = (const bf16 *)j.bias + head * j.bias_h + (query + (int)threadIdx.x / BIAS_PIECES) * j.bias_i +
                    (int)threadIdx.x % BIAS_PIECES * 8;
    }

    __device__ __forceinline__ void queries(char *to) const
    {
#pragma unroll 1
        for (int u = (int)threadIdx.x; u < ROWS * QUERIES * PIECES; u += THREADS) {
            int c = u % PIECES, l = u / PIECES % QUERIES, b = u / PIECES / QUERIES;
            bool there = query + l < j.length && row + b < j.n_row;
            copy16_async(to + wgmma_swizzled<S::ROW>((b * QUERIES + l) * S::ROW + c * 16),
                         there ? at(b, query + l) + c * 8 : (const bf16 *)j.qkvg, there);
        }
    }

    /* The next tile into a stage `distance` bytes behind the first: where nothing is missing, which is nearly always,
     * by copies alone. */
    __device__ __forceinline__ void next(char *stages, unsigned distance)
    {
        const int64_t hd = j.n_head * D;
        if (whole && key + KEYS <= j.length) {
            if (AT_ONCE <= ROWS || (int)threadIdx.x < ROWS * KEYS * PIECES) {
#pragma unroll
                for (int i = 0; i < ROWS; i += AT_ONCE) {
                    const bf16 *from = from_keys + i * j.qkvg_b;
                    copy16_async(to_keys + distance + i * KEYS * S::ROW, from);
                    copy16_async(to_values + distance + i * KEYS * S::V_ROW, from + hd);
                }
            }
            if (BIAS)
#pragma unroll
                for (int i = 0; i < QUERIES; i += BIAS_AT_ONCE)
                    copy16_async(to_bias + distance + i * 2 * KEYS, from_bias + i * j.bias_i);
        } else if (key < j.length) {
            some(stages + distance);
        }
        from_keys += KEYS * j.qkvg_l;
        from_bias += KEYS;
        key += KEYS;
        copy_commit();
    }

    /* A tile at an edge: zeros for what is not there. */
    __device__ __noinline__ void some(char *stage) const
    {
        char *k = stage, *v = stage + S::K_BYTES, *to = v + S::V_BYTES;
        const int hd = j.n_head * D;
#pragma unroll 1
        for (int u = (int)threadIdx.x; u < ROWS * KEYS * PIECES; u += THREADS) {
            const int piece = u % PIECES, l = u / PIECES % KEYS, b = u / PIECES / KEYS;
            bool there = key + l < j.length && row + b < j.n_row;
            const bf16 *from = there ? at(b, key + l) + piece * 8 + hd : (const bf16 *)j.qkvg;
            copy16_async(k + b * KEYS * S::ROW + wgmma_swizzled<S::ROW>(l * S::ROW + piece * 16), from, there);
            copy16_async(v + b * KEYS * S::V_ROW + wgmma_swizzled<S::V_ROW>(l * S::V_ROW + piece * 16),
                         there ? from + hd : from, there);
        }
        const bf16 *bias = (const bf16 *)j.bias + head * j.bias_h + query * j.bias_i + key;
#pragma unroll 1
        for (int u = (int)threadIdx.x; BIAS && j.bias_aligned && u < QUERIES * BIAS_PIECES; u += THREADS) {
            /* The last piece of a row may reach past its keys, not past the row's distance, a multiple of 8. */
            const int m = u / BIAS_PIECES, at = u % BIAS_PIECES * 8;
            bool there = query + m < j.length && key + at < j.length;
            copy16_async(to + wgmma_swizzled<2 * KEYS>(u * 16), there ? bias + m * j.bias_i + at : bias, there);
        }
#pragma unroll 1
        for (int u = (int)threadIdx.x; BIAS && !j.bias_aligned && u < QUERIES * KEYS; u += THREADS) {
            const int m = u / KEYS, n = u % KEYS;
            bool there = query + m < j.length && key + n < j.length;
            *(bf16 *)(to + wgmma_swizzled<2 * KEYS>(u * 2)) =
                there ? bias[m * j.bias_i + n] : __float2bfloat16(0.0f);
        }
    }
};

#endif /* FF_HAVE_WGMMA */

template <int D, bool BIAS>
__global__ void __launch_bounds__(THREADS, 2)
    kernel(const __grid_constant__ struct ff_cuda_attention_job j, int n_tile, bool head_inside)
{
#ifdef FF_HAVE_WGMMA
    using S = shape<D>;
    extern __shared__ __align__(1024) char shared[];
    constexpr int STAGE = S::STAGE[BIAS], AT_KEYS = S::Q_BYTES, AT_ONES = AT_KEYS + STAGES * STAGE;
    auto *bits = (key_bits(*)[ROWS][KEYS / UNIT])(shared + AT_ONES + S::ONES_BYTES);       /* [STAGES] */
    /* The shuffle tells the compiler that the whole warp has the same number. */
    const int lane = (int)threadIdx.x % 32, warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0), own = warp / 4;
    /* Queries vary fastest, then heads, or batch rows where the bias of all heads is too much for the cache. */
    const int n_query = (j.length + QUERIES - 1) / QUERIES, n_group = (j.n_row + ROWS - 1) / ROWS;
    const int query = (int)blockIdx.x % n_query * QUERIES, rest = (int)blockIdx.x / n_query;
    const int head = head_inside ? rest % j.n_head : rest / n_group;
    const int row = (head_inside ? rest / j.n_head : rest % n_group) * ROWS;
    reader<D, BIAS> read(j, row, head, query, shared_address(shared) + AT_KEYS);

    /* Heads smaller than the depth of a product: zeros behind queries and keys, which no copy touches. */
    if (S::ROW > 2 * D)
        for (int u = (int)threadIdx.x; u < ROWS * (QUERIES + STAGES * KEYS); u += THREADS) {
            bool q = u < ROWS * QUERIES;
            int l = q ? u : (u - ROWS * QUERIES) % (ROWS * KEYS), stage = q ? 0 : (u - ROWS * QUERIES) / (ROWS * KEYS);
            char *to = shared + (q ? 0 : AT_KEYS + stage * STAGE);
            *(uint4 *)(to + wgmma_swizzled<S::ROW>(l * S::ROW + 2 * D)) = make_uint4(0, 0, 0, 0);
        }
    for (int u = (int)threadIdx.x; u < S::ONES_BYTES / 4; u += THREADS)
        ((unsigned *)(shared + AT_ONES))[u] = 0x3f803f80u;
    read.queries(shared);

    /* The first warps, ROWS * KEYS / 32 of them, look after the mask: one thread per key. */
    const int mask_row = min(row + warp / (KEYS / 32), j.n_row - 1), mask_key = warp % (KEYS / 32) * 32 + lane;
    auto mask_at = [&](int tile) {
        const int key = tile * KEYS + mask_key;
        return warp < ROWS * KEYS / 32 && key < j.length ? j.mask[mask_row * j.mask_b + key * j.mask_l] : 0.0f;
    };
    auto keep_mask = [&](int tile, float m) {
        if (warp >= ROWS * KEYS / 32)
            return;
        unsigned valid = __ballot_sync(0xffffffffu, m != 0.0f);
        unsigned inside = __ballot_sync(0xffffffffu, tile * KEYS + mask_key < j.length);
        if (lane == 0)
            bits[tile % STAGES][warp / (KEYS / 32)][warp % (KEYS / 32)] = {valid, inside};
    };

    const uint64_t q_at = wgmma_operand<S::ROW>(shared_address(shared) + own * QUERIES * S::ROW, 0, 8 * S::ROW);
    const uint64_t k_at = wgmma_operand<S::ROW>(shared_address(shared) + AT_KEYS + own * KEYS * S::ROW, 0, 8 * S::ROW);
    auto values_of = [&](int stage) {
        const unsigned at = AT_KEYS + stage * STAGE + S::K_BYTES + own * KEYS * S::V_ROW, ones = AT_ONES - at;
        const bool swizzled = S::V_ROW > 16;
        return wgmma_operand<S::V_ROW>(shared_address(shared) + at, swizzled ? ones : 8 * S::V_ROW,
                                       swizzled ? 8 * S::V_ROW : ones);
    };
    const unsigned bias_at = shared_address(shared) + AT_KEYS + S::K_BYTES + S::V_BYTES +
                             wgmma_swizzled<2 * KEYS>((warp % 4 * 16 + lane % 16) * 2 * KEYS + lane / 16 * 16);
    auto unit_logits = [&](float (&s)[UNIT / 2], int stage, int unit) {
        logits<D>(s, wgmma_advance(q_at, unit % PARTS * 64 * S::ROW),
                  wgmma_advance(k_at, stage * STAGE + unit / PARTS * UNIT * S::ROW));
    };
    queries<D, BIAS> part[PARTS];
    for (bool careful = false;; careful = true) {
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            part[m].clear(careful);
        read.start();
        read.next(shared + AT_KEYS, 0);
        keep_mask(0, mask_at(0));
#pragma unroll 1
        for (int tile = 0; tile < n_tile; tile++) {
            const int stage = tile % STAGES;
            float s[2][UNIT / 2], mask;
            copy_wait<0>();
            shared_fence();
            wgmma_wait<0>();             /* the last tile's values are no longer read */
            __syncthreads();
            unit_logits(s[0], stage, 0);
            read.next(shared + AT_KEYS, (stage ^ 1) * STAGE);
            mask = mask_at(tile + 1);
            const uint64_t values = values_of(stage);
            bool plain[KEYS / UNIT];
#pragma unroll
            for (int i = 0; i < KEYS / UNIT; i++)
                plain[i] = bits[stage][own][i].valid == 0xffffffffu && !careful;
            /* The next unit's logits are under way while this one is worked on. */
#pragma unroll
            for (int u = 0; u < UNITS; u++) {
                if (u + 1 < UNITS) {
                    unit_logits(s[(u + 1) % 2], stage, u + 1);
                    wgmma_wait<1>();
                } else {
                    wgmma_wait<0>();
                }
                wgmma_use(s[u % 2]);
                part[u % PARTS].add(
                    s[u % 2], wgmma_advance(values, u / PARTS * UNIT * S::V_ROW),
                    (bias_at + stage * STAGE + u % PARTS * 64 * 2 * KEYS) ^ (unsigned)(u / PARTS * UNIT * 2),
                    bits[stage][own][u / PARTS], plain[u / PARTS], careful);
            }
            keep_mask(tile + 1, mask);
        }
        wgmma_wait<0>();
        copy_wait<0>();
        bool good = true;
#pragma unroll
        for (int m = 0; m < PARTS; m++) {
            wgmma_use(part[m].value);
#pragma unroll
            for (int r = 0; r < 2; r++)
                good = good && part[m].sum(r) >= LEAST && part[m].sum(r) <= MOST;
        }
        if (!__syncthreads_or(!good) || careful)
            break;
    }
    if (row + own >= j.n_row)
        return;
    unsigned gates[PARTS][2][D / 8];
#pragma unroll
    for (int m = 0; m < PARTS; m++)
        part[m].load_gates(gates[m], read.at(own, 0) + 3 * j.n_head * D, j.qkvg_l, query + m * 64, j.length);
#pragma unroll
    for (int m = 0; m < PARTS; m++)
        part[m].finish((bf16 *)j.out + (row + own) * j.out_b + head * D, j.out_l, gates[m], query + m * 64, j.length);
#endif
}

template <int D, bool BIAS> void launch(const struct ff_cuda_attention_job *j)
{
    constexpr int bytes =
        shape<D>::Q_BYTES + shape<D>::ONES_BYTES +
        STAGES * (shape<D>::STAGE[BIAS] + ROWS * (KEYS / UNIT) * (int)sizeof(key_bits));
    FF_CUDA(cudaFuncSetAttribute(kernel<D, BIAS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    /* Half of the second-level cache of the smallest GPU with these instructions. */
    bool head_inside = !BIAS || 2.0 * j->n_head * j->length * j->length <= 25e6;
    unsigned blocks = ff_blocks(j->length, QUERIES) * ff_blocks(j->n_row, ROWS) * (unsigned)j->n_head;
    kernel<D, BIAS><<<blocks, THREADS, bytes, j->stream>>>(*j, (j->length + KEYS - 1) / KEYS, head_inside);
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_attention_wgmma(const struct ff_cuda_attention_job *j)
{
    return ff_cuda_attention_shape(
        j, [&](auto d, auto biased) { launch<decltype(d)::value, decltype(biased)::value>(j); });
}
