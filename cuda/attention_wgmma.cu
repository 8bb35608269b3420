/* SPDX-License-Identifier: Apache-2.0
 * attention_wgmma: gated attention of bf16 or float16 numbers on the matrix units of sm_90a, without ever writing a
 * logit.
 *
 * Maths: out[b, i, h] = sigmoid(gate) sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j]) v[b, j, h]; d 8, 16 or 32.
 * Work: an item is QUERIES queries of one head in ROWS batch rows, a warpgroup per row, so that a tile of the bias
 *   serves all rows and a tile of keys all queries. One block per multiprocessor takes item after item. Four more warps
 *   bring queries, gates, and keys, values and bias in tiles of KEYS keys, STAGES in flight, the next item's before the
 *   last one's end. Logits are made by units of 64 queries and KEYS keys, as products from shared memory, a tile ahead
 *   of the exponentials, which are made in registers, whose layout is that of the second product's left operand: while
 *   exponentials are made, the matrix units make other logits and add the unit before to the values.
 *   Neighbouring blocks share keys, so that those stay in the second-level cache; the bias of one head does too.
 * Bias: added by the matrix units, which have time: bias [64, KEYS] times sqrt(d) on a diagonal [KEYS, KEYS]. A number
 *   that is none spreads over KEYS keys of its query, which it would spoil anyway.
 * Softmax: exponentials of bf16 are taken as they are, not relative to the largest logit, of float16 relative to the
 *   largest of the first tile and a good deal above it. That does no harm until the sum of a query leaves the range of
 *   numbers, up or down; which shows at the end, and the block then does the item again, carefully, relative to a
 *   reference that rises with every unit. In between there is nothing to compare and nothing
 *   to rescale. Warpgroups do not wait for each other at an item's end: they have begun the next when they learn that
 *   the last must be done again, and then begin it again too.
 * Shared memory: queries 64 KiB, per stage keys, values and bias 8 KiB each, gates 32 KiB, ones and diagonal 2 KiB each
 *   (d 32): 220 KiB.
 * Cost: 4 d flops and one exponential per logit; bound by the exponentials (16 per clock and multiprocessor).
 * Numerics: logits, sums and values in float32; sqrt(d) before the bias in 16 bits, a ten-thousandth off where it is
 *   no power of 2; exponentials rounded to 16 bits for the second product, which makes both the sums and the values.
 * Reference: ops_cpu_attention.c.
 */
#include "attention.cuh"

namespace {

enum { QUERIES = 128, PARTS = QUERIES / 64, KEYS = 32, ROWS = 4, STAGES = 5 };
enum { WARPS = 4 * ROWS, BRINGERS = 4, THREADS = 32 * (WARPS + BRINGERS) };
static_assert((int)BRINGERS == (int)ROWS, "a warp brings what a batch row needs");
/* Tiles of the next item that are brought, and used, before this one is known to be good. */
enum { AHEAD = 2 };

/* Which keys of 32 there are (inside) and which of these count (valid), one bit each. */
struct key_bits {
    unsigned valid, inside;
};

template <int D> struct shape {
    static constexpr int ROW = D < 16 ? 32 : 2 * D;      /* bytes of a query or key: at least one product deep */
    static constexpr int V_ROW = 2 * D, BIAS_ROW = 2 * KEYS;
    static constexpr int Q_BYTES = ROWS * QUERIES * ROW, K_BYTES = ROWS * KEYS * ROW, V_BYTES = ROWS * KEYS * V_ROW;
    /* What stands for eight more channels of the values: 1 for every key, so that the product sums exponentials too. */
    static constexpr int ONES_BYTES = KEYS * V_ROW;
    static constexpr int BIAS_BYTES = QUERIES * BIAS_ROW, EYE_BYTES = KEYS * BIAS_ROW;
    static constexpr int GATES_BYTES = ROWS * QUERIES * V_ROW;
    /* 16 bytes each, of a head, of a row of bias; enumerators, which may go without use on other architectures. */
    enum { PIECES = D / 8, BIAS_PIECES = KEYS / 8 };
};

/* What warps tell each other. */
struct signals {
    uint64_t full[STAGES], empty[STAGES];
    uint64_t gates;                      /* of this item are there */
    uint64_t done[2];                    /* items done, even and odd ones */
    unsigned again[2];                   /* how many were done with the one that must be done again */
    key_bits bits[STAGES][ROWS];
    unsigned all[STAGES][ROWS][2];       /* whether all keys of a tile count, twice */
};

/* Where things are: queries of this item and the next, stages, the diagonal, ones, gates. */
template <int D, bool BIAS> struct layout {
    using S = shape<D>;
    static constexpr int AT_KEYS = 2 * S::Q_BYTES, STAGE = S::K_BYTES + S::V_BYTES + (BIAS ? S::BIAS_BYTES : 0);
    static constexpr int AT_EYE = AT_KEYS + STAGES * STAGE, AT_ONES = AT_EYE + (BIAS ? S::EYE_BYTES : 0);
    static constexpr int AT_GATES = AT_ONES + S::ONES_BYTES, AT_SIGNALS = AT_GATES + S::GATES_BYTES;
    static constexpr int BYTES = AT_SIGNALS + (int)sizeof(signals);
};

/* Where a tile is; parity is that of the phase in which it is full. */
struct place {
    unsigned slot = 0, parity = 0;
    __device__ __forceinline__ void next()
    {
        const bool last = slot == STAGES - 1;
        slot = last ? 0 : slot + 1;
        parity ^= last;
    }
};

/* What a block works on at a time: the first of its batch rows and queries. */
struct item {
    int row, head, query;
};

#ifdef FF_HAVE_WGMMA

/* Of a sum of exponentials: far inside of what float32 holds, so that no part that counts has left it either. One that
 * is infinite as a float16 number makes the sum so. */
constexpr float LEAST = 1e-18f, MOST = 1e30f;

/* 64 queries and what has been summed of them. A thread has two of them. */
template <class N, int D> struct queries {
    /* [64, D + 8] as the products leave it: behind the values the sum of the exponentials, eight times. */
    float value[D / 2 + 4], minus_top[2];

    __device__ __forceinline__ void clear(bool careful)
    {
#pragma unroll
        for (int i = 0; i < D / 2 + 4; i++)
            value[i] = 0.0f;
        minus_top[0] = minus_top[1] = careful || N::narrow ? INFINITY : 0.0f;
    }

    __device__ __forceinline__ static float pick(float x, float masked, key_bits bits, int key)
    {
        return bits.valid >> key & 1 ? x : bits.inside >> key & 1 ? masked : -INFINITY;
    }

    /* f(i, r, key) for every logit s[i] of a unit: r the thread's query, key of the unit. */
    template <class F> __device__ __forceinline__ static void each(F &&f)
    {
#pragma unroll
        for (int i = 0; i < KEYS / 2; i++)
            f(i, i / 2 % 2, i / 4 * 8 + i % 2 + 2 * ((int)threadIdx.x % 4));
    }

    /* Raises the reference to the largest logit of this unit and brings what was summed to it. */
    __device__ __forceinline__ void raise(const float (&s)[KEYS / 2], key_bits bits)
    {
        const float scale = FF_LOG2E * rsqrtf((float)D);
        float top[2] = {-INFINITY, -INFINITY};
        each([&](int i, int r, int key) { top[r] = fmaxf(top[r], pick(s[i] * scale, FF_MASKED, bits, key)); });
        wgmma_wait<0>();
        wgmma_use(value);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            top[r] = fmaxf(top[r] + N::room, -minus_top[r]);
            float factor = exp2_fast(-minus_top[r] - top[r]);
            minus_top[r] = -top[r];
#pragma unroll
            for (int k = 0; k < D / 8 + 1; k++) {
                value[4 * k + 2 * r] *= factor;
                value[4 * k + 2 * r + 1] *= factor;
            }
        }
    }

    /* Logits, in place, to exponentials relative to the reference. plain: no key is masked, and the reference stays. */
    __device__ __forceinline__ void exponentials(float (&s)[KEYS / 2], const key_bits &bits, bool plain, bool raises)
    {
        const float scale = FF_LOG2E * rsqrtf((float)D);
        if (plain) {
            each([&](int i, int r, int) { s[i] = exp2_fast(fmaf(s[i], scale, minus_top[r])); });
        } else {
            const key_bits masks = bits;
            if (raises)
                raise(s, masks);
            each([&](int i, int r, int key) {
                s[i] = exp2_fast(pick(fmaf(s[i], scale, minus_top[r]), FF_MASKED + minus_top[r], masks, key));
            });
        }
    }

    /* Adds the values at v of the keys of a unit, times p; under way on return. */
    __device__ __forceinline__ void add(const unsigned (&p)[KEYS / 16][4], uint64_t v)
    {
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++)
            wgmma_rs<D + 8, WGMMA_MN_MAJOR, N::product>(value, p[k], wgmma_advance(v, k * 16 * shape<D>::V_ROW));
        wgmma_commit();
    }

    __device__ __forceinline__ float sum(int r) const { return value[D / 2 + 2 * r]; }

    /* The gates of this thread's queries before the sigmoid; those of the unit are at `gates`. */
    __device__ __forceinline__ static void load_gates(unsigned (&w)[2][D / 8], const char *gates)
    {
        const unsigned lane = threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int k = 0; k < D / 8; k++)
                w[r][k] = *(const unsigned *)(gates + wgmma_swizzled<shape<D>::V_ROW>(
                    (threadIdx.x / 32 % 4 * 16 + r * 8 + lane / 4) * shape<D>::V_ROW + k * 16 + lane % 4 * 4));
    }

    /* out = value / sum * sigmoid(gate) */
    __device__ __forceinline__ void finish(typename N::type *out, int64_t out_l, const unsigned (&w)[2][D / 8],
                                           int query, int length) const
    {
        const int lane = (int)threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = query + (int)threadIdx.x / 32 % 4 * 16 + r * 8 + lane / 4;
            if (row >= length)
                continue;
            auto *to = out + row * out_l + lane % 4 * 2;
            float inverse = __fdividef(1.0f, sum(r));
#pragma unroll
            for (int k = 0; k < D / 8; k++) {
                const float2 gate = N::unpack(w[r][k]);
                float x = value[4 * k + 2 * r] * inverse * fast_sigmoid(gate.x);
                float y = value[4 * k + 2 * r + 1] * inverse * fast_sigmoid(gate.y);
                *(unsigned *)(to + k * 8) = N::pack(x, y);
            }
        }
    }
};

/* The logits of a unit before the scale; under way on return. */
template <class N, int D, bool BIAS>
__device__ __forceinline__ void logits(float (&s)[KEYS / 2], uint64_t q, uint64_t k, uint64_t bias, uint64_t eye)
{
    wgmma_fence();
#pragma unroll
    for (int at = 0; at < shape<D>::ROW; at += 32)
        wgmma_ss<KEYS, WGMMA_K_MAJOR, WGMMA_K_MAJOR, N::product>(s, wgmma_advance(q, at), wgmma_advance(k, at),
                                                                 at > 0);
    if (BIAS)
#pragma unroll
        for (int at = 0; at < 2 * KEYS; at += 32)
            wgmma_ss<KEYS, WGMMA_K_MAJOR, WGMMA_K_MAJOR, N::product>(s, wgmma_advance(bias, at),
                                                                     wgmma_advance(eye, at));
    wgmma_commit();
}

/* A warp that brings: keys, values and queries of one batch row, and a quarter of the bias. Every lane has its part of
 * each row or tile at the same place of it. Queries and batch rows behind the last are the last once more: nobody
 * stores what comes of them. */
template <class T, int D, bool BIAS> struct bringer {
    using S = shape<D>;
    using L = layout<D, BIAS>;
    static constexpr int AT_ONCE = 32 / S::PIECES, BIAS_AT_ONCE = 32 / S::BIAS_PIECES;   /* rows, by one instruction */
    static constexpr int BIAS_ROWS = QUERIES / BRINGERS;
    const struct ff_cuda_attention_job &j;
    signals &s;
    const unsigned shared;
    const int warp, lane = (int)threadIdx.x % 32;
    place to;                            /* the next tile */
    int key, query;                      /* first key of the next tile; first query */
    const float *mask;                   /* of this lane's key of the tile after that */
    float counts;                        /* mask of the next tile, asked for early: it comes as late as the copies */
    const T *first, *keys, *bias;        /* the first query of the row; this lane's part of the next tile */

    __device__ __forceinline__ bringer(const struct ff_cuda_attention_job &job, signals &with, unsigned at, int w)
        : j(job), s(with), shared(at), warp(w)
    {
    }

    __device__ __forceinline__ void start(item from)
    {
        const int row = min(from.row + warp, j.n_row - 1);
        key = 0;
        query = from.query;
        mask = j.mask + row * j.mask_b + lane * j.mask_l;
        look_ahead();
        first = (const T *)j.qkvg + row * j.qkvg_b + from.head * D;
        keys = first + j.n_head * D + lane / S::PIECES * j.qkvg_l + lane % S::PIECES * 8;
        if (BIAS)
            bias = (const T *)j.bias + from.head * j.bias_h;
    }

    __device__ __forceinline__ void look_ahead()
    {
        counts = key + lane < j.length ? *mask : 0.0f;
        mask += KEYS * j.mask_l;
    }

    /* D numbers of each query of the item, into rows of ROW bytes; those of the first are at `from`. */
    template <int ROW> __device__ __forceinline__ void of_queries(unsigned to, const T *from) const
    {
        int l = query + lane / S::PIECES;
        from += min(l, j.length - 1) * j.qkvg_l + lane % S::PIECES * 8;
        to += wgmma_swizzled<ROW>((warp * QUERIES + lane / S::PIECES) * ROW + lane % S::PIECES * 16);
#pragma unroll 2
        for (int i = 0; i < QUERIES; i += AT_ONCE) {
            copy16_async(to + i * ROW, from);
            l += AT_ONCE;
            from += l < j.length ? AT_ONCE * j.qkvg_l : 0;
        }
    }

    /* Of this item, when nobody needs those of the last any more. */
    __device__ __forceinline__ void gates()
    {
        of_queries<S::V_ROW>(shared + L::AT_GATES, first + 3 * j.n_head * D);
        barrier_arrive_copied(&s.gates);
    }

    /* Tiles [tile, end) of the item; queries to number q, with the first. */
    __device__ __forceinline__ void bring(int tile, int end, unsigned q)
    {
#pragma unroll 1
        for (; tile < end; tile++) {
            barrier_wait(&s.empty[to.slot], to.parity ^ 1);
            __syncwarp();
            if (tile == 0)
                of_queries<S::ROW>(shared + q * S::Q_BYTES, first);
            copies(shared + L::AT_KEYS + to.slot * L::STAGE);
            barrier_arrive_copied(&s.full[to.slot]);
            const unsigned there = __ballot_sync(0xffffffffu, key + lane < j.length);
            const unsigned valid = __ballot_sync(0xffffffffu, counts != 0.0f);
            if (lane < 2)
                s.all[to.slot][warp][lane] = valid == 0xffffffffu;
            if (lane == 0)
                s.bits[to.slot][warp] = {valid, there};
            barrier_arrive_warp(&s.full[to.slot]);
            key += KEYS;
            to.next();
            look_ahead();
        }
    }

    /* The next tile; zeros for keys that are not there. */
    __device__ __forceinline__ void copies(unsigned to)
    {
        const int64_t hd = j.n_head * D;
        const unsigned k = to + wgmma_swizzled<S::ROW>((warp * KEYS + lane / S::PIECES) * S::ROW +
                                                       lane % S::PIECES * 16);
        const unsigned v = to + S::K_BYTES + wgmma_swizzled<S::V_ROW>((warp * KEYS + lane / S::PIECES) * S::V_ROW +
                                                                      lane % S::PIECES * 16);
        const bool all = key + KEYS <= j.length;
        if (all) {
#pragma unroll
            for (int i = 0; i < KEYS; i += AT_ONCE) {
                copy16_async(k + i * S::ROW, keys);
                copy16_async(v + i * S::V_ROW, keys + hd);
                keys += AT_ONCE * j.qkvg_l;
            }
        } else {
#pragma unroll 1
            for (int i = 0; i < KEYS; i += AT_ONCE) {
                const int bytes = key + i + lane / S::PIECES < j.length ? 16 : 0;
                copy_async(k + i * S::ROW, keys, bytes);
                copy_async(v + i * S::V_ROW, keys + hd, bytes);
                keys += AT_ONCE * j.qkvg_l;
            }
        }
        if (!BIAS)
            return;
        to += S::K_BYTES + S::V_BYTES;
        const int first_row = query + warp * BIAS_ROWS;
        if (j.bias_aligned) {
            /* The last piece of a row may reach past its keys, not past the row's distance, a multiple of 8. */
            const int column = key + lane % S::BIAS_PIECES * 8, bytes = 2 * max(0, min(8, j.length - column));
            int l = first_row + lane / S::BIAS_PIECES;
            const T *from = bias + min(l, j.length - 1) * j.bias_i + column;
            to += wgmma_swizzled<S::BIAS_ROW>((unsigned)(warp * BIAS_ROWS * S::BIAS_ROW + lane * 16));
            if (all && first_row + BIAS_ROWS <= j.length) {
#pragma unroll
                for (int i = 0; i < BIAS_ROWS; i += BIAS_AT_ONCE) {
                    copy16_async(to + i * S::BIAS_ROW, from);
                    from += BIAS_AT_ONCE * j.bias_i;
                }
                return;
            }
#pragma unroll 1
            for (int i = 0; i < BIAS_ROWS; i += BIAS_AT_ONCE) {
                copy_async(to + i * S::BIAS_ROW, bytes > 0 ? from : bias, bytes);
                l += BIAS_AT_ONCE;
                from += l < j.length ? BIAS_AT_ONCE * j.bias_i : 0;
            }
        } else {
            bias_by_numbers(j, bias, first_row, key, to, warp * BIAS_ROWS);
        }
    }

    /* Where rows of the bias begin anywhere. */
    static __device__ __noinline__ void bias_by_numbers(const struct ff_cuda_attention_job &j, const T *bias,
                                                        int row, int key, unsigned to, int place)
    {
        extern __shared__ __align__(1024) char memory[];
        char *tile = memory + (to - shared_address(memory));
#pragma unroll 1
        for (int u = (int)threadIdx.x % 32; u < BIAS_ROWS * KEYS; u += 32) {
            const int m = u / KEYS, n = u % KEYS;
            const bool there = row + m < j.length && key + n < j.length;
            *(T *)(tile + wgmma_swizzled<S::BIAS_ROW>((place + m) * S::BIAS_ROW + n * 2)) =
                there ? bias[(row + m) * j.bias_i + key + n] : T();
        }
    }
};

#endif /* FF_HAVE_WGMMA */

template <class N, int D, bool BIAS>
__global__ void __launch_bounds__(THREADS, 1)
    kernel(const __grid_constant__ struct ff_cuda_attention_job j, int n_tile, unsigned n_item, bool head_inside)
{
#ifdef FF_HAVE_WGMMA
    using S = shape<D>;
    using L = layout<D, BIAS>;
    using T = typename N::type;
    extern __shared__ __align__(1024) char shared[];
    signals &s = *(signals *)(shared + L::AT_SIGNALS);
    /* The shuffle tells the compiler that the whole warp has the same number. */
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0), own = warp / 4;
    /* Queries vary fastest, then heads, or batch rows where the bias of all heads is too much for the cache. */
    auto item_of = [&](unsigned i) {
        const unsigned n_query = (unsigned)(j.length + QUERIES - 1) / QUERIES, rest = i / n_query;
        const unsigned inside = head_inside ? (unsigned)j.n_head : (unsigned)(j.n_row + ROWS - 1) / ROWS;
        const int outer = (int)(rest / inside), inner = (int)(rest % inside);
        return item{(head_inside ? outer : inner) * ROWS, head_inside ? inner : outer, (int)(i % n_query) * QUERIES};
    };

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_start(&s.full[i], BRINGERS * (32 + warp_arrivals));  /* each lane's copies, and a warp */
            barrier_start(&s.empty[i], WARPS * warp_arrivals);
        }
        barrier_start(&s.gates, BRINGERS * 32);
        for (int i = 0; i < 2; i++) {
            barrier_start(&s.done[i], WARPS * warp_arrivals);
            s.again[i] = 0;
        }
    }
    /* Heads smaller than the depth of a product: zeros behind queries and keys, which no copy touches. */
    constexpr int N_ZERO = 2 * ROWS * QUERIES;
    if (S::ROW > 2 * D)
        for (int u = (int)threadIdx.x; u < N_ZERO + STAGES * ROWS * KEYS; u += THREADS) {
            bool q = u < N_ZERO;
            int l = q ? u : (u - N_ZERO) % (ROWS * KEYS), stage = q ? 0 : (u - N_ZERO) / (ROWS * KEYS);
            char *to = shared + (q ? 0 : L::AT_KEYS + stage * L::STAGE);
            *(uint4 *)(to + wgmma_swizzled<S::ROW>(l * S::ROW + 2 * D)) = make_uint4(0, 0, 0, 0);
        }
    for (int u = (int)threadIdx.x; u < S::ONES_BYTES / 4; u += THREADS)
        ((unsigned *)(shared + L::AT_ONES))[u] = N::ones;
    for (int u = (int)threadIdx.x; BIAS && u < KEYS * KEYS; u += THREADS)
        *(T *)(shared + L::AT_EYE + wgmma_swizzled<S::BIAS_ROW>(u * 2)) =
            from_float<T>(u / KEYS == u % KEYS ? sqrtf((float)D) : 0.0f);
    shared_fence();
    __syncthreads();
    after_kernels_before();

    const int ahead = min((int)AHEAD, n_tile);
    unsigned done = 0, q = 0;            /* items done; where the queries are */
    /* Waits for the item after the first `done`. Must it be done again? */
    auto must_again = [&]() {
        barrier_wait(&s.done[done % 2], done / 2 % 2);
        __syncwarp();
        const bool again = s.again[done % 2] == done + 1;
        done++;
        return again;
    };
    if (warp >= WARPS) {
        give_registers<32>();
        bringer<T, D, BIAS> b(j, s, shared_address(shared), warp - WARPS);
        auto bring = [&](unsigned i, int tile, int end, unsigned to) {
            if (tile == 0)
                b.start(item_of(i));
            b.bring(tile, end, to);
        };
#pragma unroll 1
        for (unsigned i = blockIdx.x;; i += gridDim.x) {
            const bool first = i == blockIdx.x, more = i < n_item;
            for (bool again = true; again;) {
                if (more)
                    bring(i, 0, ahead, q);
                again = !first && must_again();
                if (again)
                    bring(i - gridDim.x, 0, n_tile, q ^ 1);
            }
            if (!more)
                break;
            bring(i, ahead, n_tile, q);
            b.gates();
            q ^= 1;
        }
        return;
    }

    take_registers<112>();
    const uint64_t q_at = wgmma_operand<S::ROW>(shared_address(shared) + own * QUERIES * S::ROW, 0, 8 * S::ROW);
    const uint64_t k_at =
        wgmma_operand<S::ROW>(shared_address(shared) + L::AT_KEYS + own * KEYS * S::ROW, 0, 8 * S::ROW);
    const uint64_t bias_at = wgmma_operand<S::BIAS_ROW>(shared_address(shared) + L::AT_KEYS + S::K_BYTES + S::V_BYTES,
                                                        0, 8 * S::BIAS_ROW);
    const uint64_t eye = wgmma_operand<S::BIAS_ROW>(shared_address(shared) + L::AT_EYE, 0, 8 * S::BIAS_ROW);
    auto values_of = [&](unsigned slot) {
        const unsigned at = L::AT_KEYS + slot * L::STAGE + S::K_BYTES + own * KEYS * S::V_ROW;
        const unsigned ones = L::AT_ONES - at;
        const bool swizzled = S::V_ROW > 16;
        return wgmma_operand<S::V_ROW>(shared_address(shared) + at, swizzled ? ones : 8 * S::V_ROW,
                                       swizzled ? 8 * S::V_ROW : ones);
    };
    float x[PARTS][KEYS / 2];            /* logits, then exponentials, of 64 queries and a tile */
    place now;                           /* of this tile */
    unsigned before = 0, items = 0;      /* slot of the tile, number of the items before this one */
    /* Whether all keys of this tile count. Lanes read it at two addresses: a number from one address the compiler keeps
     * once for the whole warp, and waits for it where it is asked for. */
    unsigned all, all_at = shared_address(&s.all[0][own][threadIdx.x % 2]);
    keep_in_register(all_at);
    auto wait_for = [&](const place &of, bool there) {
        if (!there)
            barrier_wait(&s.full[of.slot], of.parity);
        all = shared_number(all_at + of.slot * (unsigned)sizeof s.all[0]);
        shared_fence();                  /* here, as nobody waits for the copies where they are begun */
    };
    auto release = [&](unsigned slot) { barrier_arrive_warp(&s.empty[slot]); };
    auto unit_logits = [&](int m, unsigned slot, unsigned of) {
        const unsigned stage = slot * L::STAGE;
        logits<N, D, BIAS>(x[m], wgmma_advance(q_at, of * S::Q_BYTES + m * 64 * S::ROW), wgmma_advance(k_at, stage),
                        wgmma_advance(bias_at, stage + m * 64 * S::BIAS_ROW), eye);
    };
    auto begin = [&]() {
        wait_for(now, false);
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            unit_logits(m, now.slot, q);
        wgmma_wait<0>();
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            wgmma_use(x[m]);
    };
    bool careful = false, first = true;
    begin();
#pragma unroll 1
    for (unsigned i = blockIdx.x; i < n_item;) {
        const bool more = i + gridDim.x < n_item;
        queries<N, D> part[PARTS];
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            part[m].clear(careful);
        bool again = false;
        /* Up to which tile another one follows, and where the item before may turn out to be done again. In registers:
         * the compiler would make them anew for every tile. */
        unsigned tiles = n_tile, followed = n_tile - (more ? 0 : 1), check = first || careful ? 0 : ahead;
        keep_in_register(tiles);
        keep_in_register(followed);
        keep_in_register(check);
#pragma unroll 1
        for (unsigned tile = 1; tile <= tiles; tile++) {
            const bool raises = careful || (N::narrow && tile == 1);
            const bool plain = __all_sync(0xffffffffu, all) && !raises;
            const uint64_t values = values_of(now.slot);
            place after = now;
            after.next();
            /* Asked before the exponentials, as the answer takes a while. */
            const bool there = tile <= followed && barrier_over(&s.full[after.slot], after.parity);
#pragma unroll
            for (int m = 0; m < PARTS; m++) {
                part[m].exponentials(x[m], s.bits[now.slot][own], plain, raises);
                wgmma_use(x[m]);
                /* The other part's next logits and its values, under way meanwhile. */
                wgmma_wait<0>();
                wgmma_use(x[(m + 1) % PARTS]);
                if (m == 0 && tile > 1)
                    release(before);
                if (m == 0 && tile == check) {
                    again = must_again();
                    if (again)
                        break;
                }
                unsigned p[KEYS / 16][4];
#pragma unroll
                for (int u = 0; u < KEYS / 4; u++)
                    p[u / 4][u % 4] = N::pack(x[m][2 * u], x[m][2 * u + 1]);
                /* Behind the last tile logits of anything, for nobody. */
                if (m == 0 && tile <= followed)
                    wait_for(after, there);
                unit_logits(m, after.slot, tile < tiles ? q : q ^ 1);
                part[m].add(p, values);
            }
            if (again)
                break;
            before = now.slot;
            now = after;
        }
        if (again) {
            release(now.slot);
            now.next();
            i -= gridDim.x;
            items--;
            q ^= 1;
            careful = true;
            begin();
            continue;
        }
        const item here = item_of(i);
        unsigned gates[PARTS][2][D / 8];
        const int row = min(here.row + own, j.n_row - 1), length = here.row + own < j.n_row ? j.length : 0;
        barrier_wait(&s.gates, items % 2);
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            part[m].load_gates(gates[m], shared + L::AT_GATES + (own * QUERIES + m * 64) * S::V_ROW);
        wgmma_wait<0>();
        release(before);
        bool good = true;
#pragma unroll
        for (int m = 0; m < PARTS; m++) {
            wgmma_use(x[m]);
            wgmma_use(part[m].value);
#pragma unroll
            for (int r = 0; r < 2; r++)
                good = good && part[m].sum(r) >= LEAST && part[m].sum(r) <= MOST;
        }
        if (!good && !careful)
            s.again[done % 2] = done + 1;
        barrier_arrive_warp(&s.done[done % 2]);
        T *out = (T *)j.out + row * j.out_b + here.head * D;
#pragma unroll
        for (int m = 0; m < PARTS; m++)
            part[m].finish(out, j.out_l, gates[m], here.query + m * 64, length);
        first = false;
        if (!more && must_again()) {
            careful = true;
            begin();
            continue;
        }
        careful = false;
        i += gridDim.x;
        items++;
        q ^= 1;
    }
#endif
}

template <class N, int D, bool BIAS> void launch(const struct ff_cuda_attention_job *j)
{
    constexpr int bytes = layout<D, BIAS>::BYTES;
    FF_CUDA(cudaFuncSetAttribute(kernel<N, D, BIAS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    /* Half of the second-level cache of the smallest GPU with these instructions. */
    bool head_inside = !BIAS || 2.0 * j->n_head * j->length * j->length <= 25e6;
    unsigned items = ff_blocks(j->length, QUERIES) * ff_blocks(j->n_row, ROWS) * (unsigned)j->n_head;
    unsigned blocks = min(items, (unsigned)j->n_sm);
    ff_cuda_launch_early(kernel<N, D, BIAS>, blocks, THREADS, bytes, j->stream, true, *j, (j->length + KEYS - 1) / KEYS,
                         items, head_inside);
}

}  // namespace

bool ff_cuda_attention_wgmma(const struct ff_cuda_attention_job *j)
{
    return ff_cuda_attention_narrow(j, [&](auto n, auto d, auto biased) {
        launch<decltype(n), decltype(d)::value, decltype(biased)::value>(j);
    });
}
