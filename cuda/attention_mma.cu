/* SPDX-License-Identifier: Apache-2.0
 * attention_mma: gated attention of bf16 or float16 numbers on the matrix units, without ever writing a logit.
 *
 * A block works on QUERIES queries of one head in ROWS batch rows, so that one tile of the bias serves all of them;
 * keys pass by in tiles of KEYS, two tiles in flight. A warp holds 32 queries of one row: logits of STEP keys at a time
 * in the layout of the products' results, which is also that of the next product's left operand.
 *
 * The softmax is online, with a twist: the reference value of a row of logits is raised only when a logit exceeds it
 * so far that its exponential grows large. The result does not depend on it, and in nearly all tiles there is then no
 * maximum to find and nothing to rescale: per logit one multiply-add for scale, one for bias and reference, one
 * exponential, one addition.
 */
#include "attention.cuh"

namespace {

enum { QUERIES = 128, KEYS = 64, STEP = 16, ROWS = 2, THREADS = 256 };

template <int D> struct shape {
    static constexpr int DEPTH = D < 16 ? 16 : D;        /* of the first product, zeros behind D */
    static constexpr int K_LD = DEPTH + 8, V_LD = D + 8, BIAS_LD = KEYS + 8;
    static constexpr int K_BYTES = ROWS * KEYS * K_LD * 2, V_BYTES = ROWS * KEYS * V_LD * 2;
    static constexpr int BIAS_BYTES = QUERIES * BIAS_LD * 2;
    static constexpr int STAGE[2] = {K_BYTES + V_BYTES, K_BYTES + V_BYTES + BIAS_BYTES};   /* without and with a bias */
};

/* Which keys of STEP there are (inside) and which of these count (valid), one bit each. */
struct key_bits {
    unsigned valid, inside;
};

template <class N, int D, bool BIAS> class worker {
    using S = shape<D>;
    static constexpr int STEPS = S::DEPTH / 16, OUT_TILES = D / 8;

public:
    const struct ff_cuda_attention_job &j;
    const int lane, g, t;
    float scale;
    unsigned q[2][STEPS][4];
    float value[2][OUT_TILES][4];
    float minus_top[4], sum[4];          /* rows g, g + 8 of the two tiles of 16 queries */

    __device__ worker(const struct ff_cuda_attention_job &job)
        : j(job), lane(threadIdx.x % 32), g(lane / 4), t(lane % 4)
    {
    }

    __device__ void start(const typename N::type *from, int64_t ld, int query)
    {
        scale = FF_LOG2E * rsqrtf((float)D);
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int s = 0; s < STEPS; s++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int row = query + m * 16 + g + (i & 1) * 8, column = s * 16 + (i >> 1) * 8 + 2 * t;
                    q[m][s][i] = row < j.length && column < D ? *(const unsigned *)(from + row * ld + column) : 0u;
                }
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < OUT_TILES; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    value[m][n][i] = 0.0f;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            minus_top[r] = INFINITY;     /* no key yet: the first exponentials are infinite, which raises it */
            sum[r] = 0.0f;
        }
    }

    /* This thread's part of the addresses that ldmatrix takes, in bytes. */
    __device__ unsigned k_offset() const
    {
        const int part = lane / 8, row = lane % 8;
        return 2 * (STEPS == 2 ? row * S::K_LD + part * 8 : (part / 2 * 8 + row) * S::K_LD + part % 2 * 8);
    }
    __device__ unsigned v_offset() const
    {
        const int part = lane / 8, row = lane % 8;
        return 2 * ((part % 2 * 8 + row) * S::V_LD + (OUT_TILES > 1 ? part / 2 * 8 : 0));
    }
    __device__ unsigned bias_offset() const
    {
        const int part = lane / 8, row = lane % 8;
        return 2 * ((part % 2 * 8 + row) * S::BIAS_LD + part / 2 * 8);
    }

    /* Logits before scale and bias of 32 queries and STEP keys from the address k on. */
    __device__ __forceinline__ void logits(float (&s)[2][2][4], unsigned k) const
    {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < 2; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[m][n][i] = 0.0f;
        unsigned b[4];
        if constexpr (STEPS == 2) {
#pragma unroll
            for (int n = 0; n < 2; n++) {
                ldmatrix_x4(b, k + n * 8 * S::K_LD * 2);
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    N::multiply(s[m][n], q[m][0], b[0], b[1]);
                    N::multiply(s[m][n], q[m][1], b[2], b[3]);
                }
            }
        } else {
            ldmatrix_x4(b, k);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                N::multiply(s[m][0], q[m][0], b[0], b[1]);
                N::multiply(s[m][1], q[m][0], b[2], b[3]);
            }
        }
    }

    /* The bias of query tile m, pairs of numbers as the logits lie. */
    __device__ __forceinline__ void load_bias(unsigned (&b)[4], unsigned bias, int m) const
    {
        ldmatrix_x4(b, bias + m * 16 * S::BIAS_LD * 2);
    }

    __device__ __forceinline__ static float pick(float x, float masked, key_bits bits, int key)
    {
        return bits.valid >> key & 1 ? x : bits.inside >> key & 1 ? masked : -INFINITY;
    }

    /* Exponentials of s relative to the reference, packed for the next product; total is sum with them added. */
    template <bool MASKED>
    __device__ __forceinline__ void exponentials(unsigned (&p)[2][4], const float (&s)[2][2][4], unsigned bias,
                                                 key_bits bits, float (&total)[4]) const
    {
#pragma unroll
        for (int r = 0; r < 4; r++)
            total[r] = sum[r];
#pragma unroll
        for (int m = 0; m < 2; m++) {
            unsigned b[4] = {0, 0, 0, 0};
            if (BIAS)
                load_bias(b, bias, m);
#pragma unroll
            for (int i = 0; i < 4; i++) {            /* i: half of the rows, then of the keys */
                const int row = m * 2 + (i & 1), tile = i >> 1, c = (i & 1) * 2;
                float x = s[m][tile][c], y = s[m][tile][c + 1];
                if (BIAS) {
                    const float2 v = N::unpack(b[i]);
                    x = fmaf(x, scale, fmaf(v.x, FF_LOG2E, minus_top[row]));
                    y = fmaf(y, scale, fmaf(v.y, FF_LOG2E, minus_top[row]));
                } else {
                    x = fmaf(x, scale, minus_top[row]);
                    y = fmaf(y, scale, minus_top[row]);
                }
                if (MASKED) {
                    x = pick(x, FF_MASKED + minus_top[row], bits, tile * 8 + 2 * t);
                    y = pick(y, FF_MASKED + minus_top[row], bits, tile * 8 + 2 * t + 1);
                }
                x = exp2_fast(x);
                y = exp2_fast(y);
                total[row] += x;
                total[row] += y;
                p[m][i] = N::pack(x, y);
            }
        }
    }

    /* Raises the reference to the largest logit of these keys and brings what was summed to it. */
    template <bool MASKED>
    __device__ __forceinline__ void raise(const float (&s)[2][2][4], unsigned bias, key_bits bits)
    {
        float top[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
#pragma unroll
        for (int m = 0; m < 2; m++) {
            unsigned b[4] = {0, 0, 0, 0};
            if (BIAS)
                load_bias(b, bias, m);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int row = m * 2 + (i & 1), tile = i >> 1, c = (i & 1) * 2, key = tile * 8 + 2 * t;
                const float2 v = N::unpack(b[i]);
                float x = fmaf(s[m][tile][c], scale, BIAS ? v.x * FF_LOG2E : 0.0f);
                float y = fmaf(s[m][tile][c + 1], scale, BIAS ? v.y * FF_LOG2E : 0.0f);
                if (MASKED) {
                    x = pick(x, FF_MASKED, bits, key);
                    y = pick(y, FF_MASKED, bits, key + 1);
                }
                top[row] = fmaxf(top[row], fmaxf(x, y));
            }
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            top[r] = fmaxf(top[r] + N::room, -minus_top[r]);
            float factor = exp2_fast(-minus_top[r] - top[r]);
            minus_top[r] = -top[r];
            sum[r] *= factor;
#pragma unroll
            for (int n = 0; n < OUT_TILES; n++) {
                value[r / 2][n][r % 2 * 2] *= factor;
                value[r / 2][n][r % 2 * 2 + 1] *= factor;
            }
        }
    }

    template <bool MASKED>
    __device__ __forceinline__ void attend(unsigned k, unsigned v, unsigned bias, key_bits bits)
    {
        float s[2][2][4], total[4];
        unsigned p[2][4];
        logits(s, k);
        exponentials<MASKED>(p, s, bias, bits, total);
        /* Once is enough, and must be where a logit is no number. */
        if (!__all_sync(0xffffffffu, fmaxf(fmaxf(total[0], total[1]), fmaxf(total[2], total[3])) <= N::most)) {
            raise<MASKED>(s, bias, bits);
            exponentials<MASKED>(p, s, bias, bits, total);
        }
#pragma unroll
        for (int r = 0; r < 4; r++)
            sum[r] = total[r];
#pragma unroll
        for (int n = 0; n < OUT_TILES; n += 2) {
            unsigned b[4];
            ldmatrix_x4_trans(b, v + n * 8 * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                N::multiply(value[m][n], p[m], b[0], b[1]);
                if (OUT_TILES > 1)
                    N::multiply(value[m][n + (OUT_TILES > 1)], p[m], b[2], b[3]);
            }
        }
    }

    /* out = value / sum * sigmoid(gate) */
    __device__ void finish(typename N::type *out, int64_t out_ld, const typename N::type *gate, int64_t gate_ld,
                           int query)
    {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
            int row = query + r / 2 * 16 + r % 2 * 8 + g;
            if (row >= j.length)
                continue;
            float inverse = 1.0f / sum[r];
#pragma unroll
            for (int n = 0; n < OUT_TILES; n++) {
                const float2 w = N::unpack(*(const unsigned *)(gate + row * gate_ld + n * 8 + 2 * t));
                float x = value[r / 2][n][r % 2 * 2] * inverse / (1.0f + exp2_fast(-FF_LOG2E * w.x));
                float y = value[r / 2][n][r % 2 * 2 + 1] * inverse / (1.0f + exp2_fast(-FF_LOG2E * w.y));
                *(unsigned *)(out + row * out_ld + n * 8 + 2 * t) = N::pack(x, y);
            }
        }
    }
};

/* Copies of tiles of keys, values and bias, one after the other. A thread's part of every tile lies at the same place
 * of it. */
template <class T, int D, bool BIAS> class fetcher {
    using S = shape<D>;
    static constexpr int CHUNKS = D / 8, BIAS_CHUNKS = KEYS / 8;
    const struct ff_cuda_attention_job &j;
    const int row, query;
    int key = 0;                         /* first of the next tile */
    const T *keys, *bias;             /* this thread's part of it */

public:
    __device__ fetcher(const struct ff_cuda_attention_job &job, int first_row, int head, int first_query)
        : j(job), row(first_row), query(first_query)
    {
        keys = (const T *)j.qkvg + row * j.qkvg_b + threadIdx.x / CHUNKS % KEYS * j.qkvg_l + j.n_head * D +
               head * D + threadIdx.x % CHUNKS * 8;
        if (BIAS)
            bias =
                (const T *)j.bias + head * j.bias_h +
                (j.bias_aligned ? (query + threadIdx.x / BIAS_CHUNKS) * j.bias_i + threadIdx.x % BIAS_CHUNKS * 8 : 0);
    }

    __device__ __forceinline__ void next(char *stage)
    {
        T *k = (T *)stage, *v = (T *)(stage + S::K_BYTES), *to = (T *)(stage + S::K_BYTES + S::V_BYTES);
        const int n = threadIdx.x / CHUNKS % KEYS, chunk = threadIdx.x % CHUNKS;
        constexpr int AT_ONCE = THREADS / (KEYS * CHUNKS);           /* batch rows that the threads cover together */
        static_assert(AT_ONCE >= 1, "every thread has one key at most");
#pragma unroll
        for (int r = threadIdx.x / (KEYS * CHUNKS); r < ROWS; r += AT_ONCE) {
            bool there = key + n < j.length && row + r < j.n_row;
            const T *from = there ? keys + r * j.qkvg_b : (const T *)j.qkvg;
            copy16_async(k + (r * KEYS + n) * S::K_LD + chunk * 8, from, there);
            copy16_async(v + (r * KEYS + n) * S::V_LD + chunk * 8, there ? from + j.n_head * D : from, there);
        }
        keys += KEYS * j.qkvg_l;
        if (BIAS && j.bias_aligned) {
            const int i = threadIdx.x / BIAS_CHUNKS, c = threadIdx.x % BIAS_CHUNKS * 8;
#pragma unroll
            for (int m = 0; m < QUERIES; m += THREADS / BIAS_CHUNKS) {
                /* The last piece of a row may reach past its keys, not past the row's distance: that is a multiple
                 * of 8. */
                bool there = query + i + m < j.length && key + c < j.length;
                copy16_async(to + (i + m) * S::BIAS_LD + c, there ? bias + m * j.bias_i : (const T *)j.bias, there);
            }
            bias += KEYS;
        } else if (BIAS) {
#pragma unroll 1
            for (int i = threadIdx.x; i < QUERIES * KEYS; i += THREADS) {
                int m = i / KEYS, c = i % KEYS;
                bool there = query + m < j.length && key + c < j.length;
                to[m * S::BIAS_LD + c] = there ? bias[(query + m) * j.bias_i + key + c] : T();
            }
        }
        key += KEYS;
        copy_commit();
    }
};

template <class N, int D, bool BIAS>
__global__ void __launch_bounds__(THREADS, 2) kernel(struct ff_cuda_attention_job j)
{
    using S = shape<D>;
    using T = typename N::type;
    extern __shared__ __align__(16) char shared[];
    constexpr int STAGE = S::STAGE[BIAS];
    key_bits *bits = (key_bits *)(shared + 2 * STAGE);           /* [2][ROWS][KEYS / 32] */
    const int row = blockIdx.x * ROWS, query = blockIdx.y * QUERIES, head = blockIdx.z, warp = threadIdx.x / 32;
    const int own_row = warp / 4, own_query = warp % 4 * 32;
    const int b = min(row + own_row, j.n_row - 1);
    const T *own = (const T *)j.qkvg + b * j.qkvg_b + head * D;

    /* Heads smaller than the depth of a product: what lies behind them in the rows of k stays 0. */
    if (S::DEPTH > D)
        for (int i = threadIdx.x; i < 2 * ROWS * KEYS; i += THREADS)
            *(uint4 *)((T *)(shared + i / (ROWS * KEYS) * STAGE) + i % (ROWS * KEYS) * S::K_LD + D) =
                make_uint4(0, 0, 0, 0);

    /* The first warps, ROWS * KEYS / 32 of them, look after the mask: one thread per key. */
    const int mask_row = min(row + warp / (KEYS / 32), j.n_row - 1),
              mask_key = warp % (KEYS / 32) * 32 + threadIdx.x % 32;
    auto mask_at = [&](int key) {
        return warp < ROWS * KEYS / 32 && key + mask_key < j.length
                   ? j.mask[mask_row * j.mask_b + (key + mask_key) * j.mask_l]
                   : 0.0f;
    };
    auto keep_mask = [&](int stage, int key, float m) {
        unsigned valid = __ballot_sync(0xffffffffu, m != 0.0f);
        unsigned inside = __ballot_sync(0xffffffffu, key + mask_key < j.length);
        if (warp < ROWS * KEYS / 32 && threadIdx.x % 32 == 0)
            bits[stage * (ROWS * KEYS / 32) + warp] = {valid, inside};
    };

    worker<N, D, BIAS> w(j);
    fetcher<T, D, BIAS> fetch(j, row, head, query);
    fetch.next(shared);
    keep_mask(0, 0, mask_at(0));
    w.start(own, j.qkvg_l, query + own_query);

    unsigned k_at = shared_address(shared) + own_row * KEYS * S::K_LD * 2 + w.k_offset();
    unsigned v_at = shared_address(shared) + S::K_BYTES + own_row * KEYS * S::V_LD * 2 + w.v_offset();
    unsigned bias_at = shared_address(shared) + S::K_BYTES + S::V_BYTES + own_query * S::BIAS_LD * 2 + w.bias_offset();
    keep_in_register(k_at);
    keep_in_register(v_at);
    keep_in_register(bias_at);
    const int n_tile = (j.length + KEYS - 1) / KEYS;
    for (int tile = 0; tile < n_tile; tile++) {
        const int stage = tile & 1, next = (tile + 1) * KEYS;
        float mask = 0.0f;
        copy_wait<0>();
        __syncthreads();
        if (tile + 1 < n_tile) {
            fetch.next(shared + (stage ^ 1) * STAGE);
            mask = mask_at(next);
        }
        const unsigned k = k_at + stage * STAGE, v = v_at + stage * STAGE, bias = bias_at + stage * STAGE;
        const key_bits *own_bits = bits + stage * (ROWS * KEYS / 32) + own_row * (KEYS / 32);
        if ((own_bits[0].valid & own_bits[1].valid) == 0xffffffffu) {
#pragma unroll
            for (int n = 0; n < KEYS; n += STEP)
                w.template attend<false>(k + n * S::K_LD * 2, v + n * S::V_LD * 2, bias + n * 2, key_bits());
        } else {
#pragma unroll 1
            for (int n = 0; n < KEYS; n += STEP) {
                const unsigned all = (1u << STEP) - 1;
                key_bits step = {own_bits[n / 32].valid >> n % 32 & all, own_bits[n / 32].inside >> n % 32 & all};
                if (step.inside != 0)
                    w.template attend<true>(k + n * S::K_LD * 2, v + n * S::V_LD * 2, bias + n * 2, step);
            }
        }
        if (tile + 1 < n_tile)
            keep_mask(stage ^ 1, next, mask);
    }
    if (row + own_row < j.n_row)
        w.finish((T *)j.out + b * j.out_b + head * D, j.out_l, own + 3 * j.n_head * D, j.qkvg_l, query + own_query);
}

template <class N, int D, bool BIAS> void launch(const struct ff_cuda_attention_job *j)
{
    constexpr int bytes = 2 * shape<D>::STAGE[BIAS] + 2 * ROWS * (KEYS / 32) * (int)sizeof(key_bits);
    FF_CUDA(cudaFuncSetAttribute(kernel<N, D, BIAS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    dim3 grid(ff_blocks(j->n_row, ROWS), ff_blocks(j->length, QUERIES), (unsigned)j->n_head);
    kernel<N, D, BIAS><<<grid, THREADS, bytes, j->stream>>>(*j);
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_attention_mma(const struct ff_cuda_attention_job *j)
{
    return ff_cuda_attention_narrow(j, [&](auto n, auto d, auto biased) {
        launch<decltype(n), decltype(d)::value, decltype(biased)::value>(j);
    });
}
