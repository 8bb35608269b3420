/* SPDX-License-Identifier: Apache-2.0
 * attention_fp32: gated attention of float32 activations on the matrix units (sm_80 and later), without ever writing a
 * logit.
 *
 * Maths: out[b, i, h] = sigmoid(gate) sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j]) v[b, j, h]; d 8, 16 or 32.
 * Work, numbers, softmax: attention_float32.cuh. A warp has 32 queries of one batch row, two tiles of keys are in
 *   flight.
 * Reference: ops_cpu_attention.c.
 */
#include "attention_float32.cuh"

using namespace attention_float32;

namespace {

/* 32 queries of a warp and what has been summed of them: two tiles of 16. */
template <int D, bool BIAS> class worker {
    using S = shape<D, false>;
    static constexpr int STEPS = D < 16 ? 1 : D / 16, GROUPS = D / 8;
    const int lane, g, t;
    unsigned q[2][STEPS][PLANES][4];
    float value[2][GROUPS][4];
    softmax<BIAS> soft[2];

    __device__ __forceinline__ static float (&tile(float *x))[4]
    {
        return *(float(*)[4])x;
    }

    /* c += a b, a and b split; of b two registers per plane. */
    __device__ __forceinline__ static void multiply(float (&c)[4], const unsigned (&a)[PLANES][4], unsigned hi0,
                                                    unsigned hi1, unsigned lo0, unsigned lo1)
    {
        mma_f16(c, a[1], hi0, hi1);
        mma_f16(c, a[0], lo0, lo1);
        mma_f16(c, a[0], hi0, hi1);
    }

    /* Logits of a tile before scale and bias. */
    __device__ __forceinline__ void logits(float (&s)[2][KEYS / 2], unsigned k) const
    {
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < KEYS / 2; i++)
                s[m][i] = 0.0f;
        if constexpr (D == 8) {
            /* Half as deep as a product: one takes hi and lo of the keys. */
            unsigned hi[4], lo[4];
            ldmatrix_x4(hi, k);
            ldmatrix_x4(lo, k + S::PLANE);
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    mma_f16(tile(s[m] + 4 * n), q[m][0][1], hi[n], 0);
                    mma_f16(tile(s[m] + 4 * n), q[m][0][0], hi[n], lo[n]);
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
                        multiply(tile(s[m] + 4 * (n + r / 2 % AT_ONCE)), q[m][r / 2 / AT_ONCE], b[0][r], b[0][r + 1],
                                 b[1][r], b[1][r + 1]);
            }
        }
    }

    /* value += p v */
    __device__ __forceinline__ void add_values(const unsigned (&p)[2][KEYS / 16][PLANES][4], unsigned v)
    {
        constexpr int AT_ONCE = GROUPS > 1 ? 2 : 1;                  /* eights of channels that one load brings */
#pragma unroll
        for (int n = 0; n < GROUPS; n += AT_ONCE) {
            float part[2][AT_ONCE][4] = {};
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
                                 b[1][first + 2 * e], b[1][first + 2 * e + 1]);
            }
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int e = 0; e < AT_ONCE; e++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        value[m][n + e][i] += part[m][e][i];
        }
    }

public:
    __device__ __forceinline__ worker() : lane((int)threadIdx.x % 32), g(lane / 4), t(lane % 4) {}

    /* This thread's part of the addresses that ldmatrix takes, and of the bias, in bytes. */
    __device__ __forceinline__ unsigned k_offset() const
    {
        const int part = lane / 8, row = lane % 8;
        return D == 8 ? (unsigned)lane * 16
                      : wgmma_swizzled<2 * D>((unsigned)(STEPS == 2 ? row * 2 * D + part * 16
                                                                    : (part / 2 * 8 + row) * 2 * D + part % 2 * 16));
    }
    __device__ __forceinline__ unsigned v_offset() const
    {
        return D == 8 ? (unsigned)lane * 16 : wgmma_swizzled<2 * D>((unsigned)(lane % 16 * 2 * D + lane / 16 * 16));
    }
    __device__ __forceinline__ int bias_offset() const { return g * S::BIAS_ROW; }

    /* own: the first of this head's numbers in the batch row. The scales of the keys and values are still 1. */
    __device__ __forceinline__ void start(const float *own, int64_t ld, int query, int length)
    {
#pragma unroll
        for (int m = 0; m < 2; m++) {
            soft[m].clear();
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int row = query + m * 16 + r * 8 + g;
                soft[m].template load<D>(q[m], r, own + min(row, length - 1) * ld, row < length);
#pragma unroll
                for (int n = 0; n < GROUPS; n++)
                    value[m][n][2 * r] = value[m][n][2 * r + 1] = 0.0f;
            }
        }
    }

    /* The scales of keys and values become k and v times what they were. */
    __device__ __forceinline__ void rescale(float k, float v)
    {
#pragma unroll
        for (int m = 0; m < 2; m++) {
            soft[m].scale[0] /= k;
            soft[m].scale[1] /= k;
#pragma unroll
            for (int n = 0; n < GROUPS; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    value[m][n][i] *= v;
        }
    }

    /* A tile of keys and values; valid: bit per key that counts. */
    __device__ __forceinline__ void attend(unsigned k, unsigned v, const char *bias, bool first, unsigned valid,
                                           unsigned inside)
    {
        unsigned p[2][KEYS / 16][PLANES][4];
        float total[2][2];
        for (bool again = first;; again = true) {
            float s[2][KEYS / 2];
            logits(s, k);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                const char *own_bias = bias + m * 16 * S::BIAS_ROW;
                if (again) {
                    float factor[2];
                    soft[m].raise(factor, s[m], own_bias, valid, inside);
#pragma unroll
                    for (int n = 0; n < GROUPS; n++)
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            value[m][n][i] *= factor[i / 2];
                }
            }
            if (valid == 0xffffffffu) {
#pragma unroll
                for (int m = 0; m < 2; m++)
                    soft[m].template exponentials<false>(p[m], total[m], s[m], bias + m * 16 * S::BIAS_ROW, valid,
                                                         inside);
            } else {
#pragma unroll
                for (int m = 0; m < 2; m++)
                    soft[m].template exponentials<true>(p[m], total[m], s[m], bias + m * 16 * S::BIAS_ROW, valid,
                                                        inside);
            }
            /* Once is enough, and must be where a logit is no number. */
            if (again || __all_sync(0xffffffffu, fmaxf(fmaxf(total[0][0], total[0][1]),
                                                       fmaxf(total[1][0], total[1][1])) <= LARGE))
                break;
        }
#pragma unroll
        for (int m = 0; m < 2; m++) {
            soft[m].sum[0] += total[m][0];
            soft[m].sum[1] += total[m][1];
        }
        add_values(p, v);
    }

    /* out and gate: of this head in the batch row; v: the scale of the values. */
    __device__ __forceinline__ void finish(float *out, int64_t out_ld, const float *gate, int64_t gate_ld, int query,
                                           int length, float v) const
    {
        float2 w[4][GROUPS], x[GROUPS];
#pragma unroll
        for (int r = 0; r < 4; r++)
            load_gates<D>(w[r], gate + min(query + r * 8 + g, length - 1) * gate_ld);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const int row = query + r * 8 + g;
#pragma unroll
            for (int n = 0; n < GROUPS; n++)
                x[n] = make_float2(value[r / 2][n][r % 2 * 2], value[r / 2][n][r % 2 * 2 + 1]);
            write_out<D>(out + row * out_ld, x, w[r], soft[r / 2].sum[r % 2], v, row < length);
        }
    }
};

template <int D, bool BIAS>
__global__ void __launch_bounds__((shape<D, false>::THREADS), (shape<D, false>::BLOCKS))
    kernel(const __grid_constant__ struct ff_cuda_attention_job j, bool head_inside)
{
    using S = shape<D, false>;
    constexpr int STAGES = S::STAGES, STAGE = S::STAGE[BIAS];
    extern __shared__ __align__(128) char shared[];
    auto *state = (shared_state<S> *)(shared + STAGES * STAGE);
    const place<S::ROWS> p(j, head_inside);
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0), own = warp / ROW_WARPS;
    const int query = p.query + warp % ROW_WARPS * 32, b = min(p.row + own, j.n_row - 1);
    const float *from = (const float *)j.qkvg + b * j.qkvg_b + p.head * D;
    const int n_tile = (j.length + KEYS - 1) / KEYS;

    worker<D, BIAS> w;
    reader<D, BIAS, false> read(j, p, shared, state);
    read.begin(0);
    w.start(from, j.qkvg_l, query, j.length);
    read.fit(0);
    w.rescale(read.scale_of(0, false), read.scale_of(0, true));
    const unsigned k_at = shared_address(shared) + (unsigned)(own * S::ROW_BYTES) + w.k_offset();
    const unsigned v_at = shared_address(shared) + (unsigned)(own * S::ROW_BYTES + S::ROW_BYTES / 2) + w.v_offset();
    const char *bias_at = shared + S::BIAS_AT + warp % ROW_WARPS * 32 * S::BIAS_ROW + w.bias_offset();
#pragma unroll 1
    for (int tile = 0; tile < n_tile; tile++) {
        const int stage = tile % STAGES * STAGE;
        if (tile + 1 < n_tile)
            read.begin(tile + 1);
        w.attend(k_at + (unsigned)stage, v_at + (unsigned)stage, bias_at + stage, tile == 0,
                 state->valid[tile % STAGES][own], keys_inside(j.length - tile * KEYS));
        if (tile + 1 < n_tile && read.end(tile + 1))
            w.rescale(read.scale_of(tile + 1, false) / read.scale_of(tile, false),
                      read.scale_of(tile + 1, true) / read.scale_of(tile, true));
    }
    if (p.row + own < j.n_row)
        w.finish((float *)j.out + b * j.out_b + p.head * D, j.out_l, from + 3 * j.n_head * D, j.qkvg_l, query, j.length,
                 read.scale_of(n_tile - 1, true));
}

template <int D, bool BIAS> void launch(const struct ff_cuda_attention_job *j)
{
    using S = shape<D, false>;
    constexpr int bytes = S::STAGES * S::STAGE[BIAS] + (int)sizeof(shared_state<S>);
    FF_CUDA(cudaFuncSetAttribute(kernel<D, BIAS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    kernel<D, BIAS><<<blocks<S>(j), S::THREADS, bytes, j->stream>>>(*j, head_inside(j));
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_attention_fp32(const struct ff_cuda_attention_job *j)
{
    return ff_cuda_attention_shape(
        j, [&](auto d, auto biased) { launch<decltype(d)::value, decltype(biased)::value>(j); });
}
