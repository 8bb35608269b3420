/* SPDX-License-Identifier: Apache-2.0
 * attention_fp32_wgmma: gated attention of float32 activations on the matrix units of sm_90a, for heads of 32 numbers.
 *
 * Maths: out[b, i, h] = sigmoid(gate) sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j]) v[b, j, h].
 * Work, numbers, softmax: attention_float32.cuh. A warpgroup has the QUERIES queries of one batch row, in halves of 64,
 *   split in registers. While it makes the exponentials of a half, other warpgroups multiply; the products of a half's
 *   values and those of the next logits run together. Three tiles of keys are in shared memory: the next is stored
 *   between the halves, so that nobody waits for it when it is needed, and the one after begins to come.
 * Reference: ops_cpu_attention.c.
 */
#include "attention_float32.cuh"

using namespace attention_float32;

namespace {

enum { D = 32, HALVES = QUERIES / 64 };

#ifdef FF_HAVE_WGMMA

/* A half's queries, or its weights of a tile of keys, split: left operands of sixteen. */
static_assert((int)KEYS == (int)D, "one shape for both products");
using operand = unsigned[D / 16][PLANES][4];

/* sum = a b, of a half; under way on return. b: the first plane of the keys or the values, STEP bytes from
 * sixteen to sixteen. */
template <int MAJOR, int STEP>
__device__ __forceinline__ void multiply(float (&sum)[D / 2], const operand &a, uint64_t b)
{
    const uint64_t lo = wgmma_advance(b, shape<D, true>::PLANE);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
        wgmma_rs<D, MAJOR, WGMMA_F16>(sum, a[i][1], wgmma_advance(b, i * STEP), i > 0);
        wgmma_rs<D, MAJOR, WGMMA_F16>(sum, a[i][0], wgmma_advance(lo, i * STEP));
    }
#pragma unroll
    for (int i = 0; i < D / 16; i++)
        wgmma_rs<D, MAJOR, WGMMA_F16>(sum, a[i][0], wgmma_advance(b, i * STEP));
    wgmma_commit();
}

/* Logits before scale and bias. */
__device__ __forceinline__ void multiply_keys(float (&s)[KEYS / 2], const operand &q, uint64_t k)
{
    multiply<WGMMA_K_MAJOR, 32>(s, q, k);
}

#endif /* FF_HAVE_WGMMA */

template <bool BIAS>
__global__ void __launch_bounds__((shape<D, true>::THREADS), (shape<D, true>::BLOCKS))
    kernel(const __grid_constant__ struct ff_cuda_attention_job j, bool head_inside)
{
#ifdef FF_HAVE_WGMMA
    using S = shape<D, true>;
    constexpr int STAGES = S::STAGES, STAGE = S::STAGE[BIAS];
    static_assert(S::PLANE % 1024 == 0 && STAGE % 1024 == 0, "operands of warpgroups");
    extern __shared__ __align__(1024) char shared[];
    auto *state = (shared_state<S> *)(shared + STAGES * STAGE);
    const place<S::ROWS> p(j, head_inside);
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0), own = warp / ROW_WARPS;
    const int first_row = warp % ROW_WARPS * 16 + (int)threadIdx.x % 32 / 4, b = min(p.row + own, j.n_row - 1);
    const float *from = (const float *)j.qkvg + b * j.qkvg_b + p.head * D;
    const int n_tile = (j.length + KEYS - 1) / KEYS;

    softmax<BIAS> soft[HALVES];
    operand q[HALVES];
    float value[HALVES][D / 2], s[KEYS / 2];
    reader<D, BIAS, true> read(j, p, shared, state);
    read.begin(0);
#pragma unroll
    for (int m = 0; m < HALVES; m++) {
        soft[m].clear();
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = p.query + m * 64 + r * 8 + first_row;
            soft[m].template load<D>(q[m], r, from + min(row, j.length - 1) * j.qkvg_l, row < j.length);
        }
#pragma unroll
        for (int i = 0; i < D / 2; i++)
            value[m][i] = 0.0f;
    }
    /* The scales of keys and values become k and v times what they were. */
    auto rescale = [&](float k, float v) {
#pragma unroll
        for (int m = 0; m < HALVES; m++) {
            soft[m].scale[0] /= k;
            soft[m].scale[1] /= k;
#pragma unroll
            for (int i = 0; i < D / 2; i++)
                value[m][i] *= v;
        }
    };
    read.fit(0);
    rescale(read.scale_of(0, false), 1.0f);
    if (n_tile > 1)
        read.begin(1);
    const uint64_t k_at = wgmma_operand<2 * D>(shared_address(shared) + own * S::ROW_BYTES, 0, 16 * D);
    const uint64_t v_at =
        wgmma_operand<2 * D>(shared_address(shared) + own * S::ROW_BYTES + S::ROW_BYTES / 2, 0, 16 * D);
    multiply_keys(s, q[0], k_at);
#pragma unroll 1
    for (int tile = 0; tile < n_tile; tile++) {
        const int stage = tile % STAGES * STAGE, next = (tile + 1) % STAGES * STAGE;
        const bool more = tile + 1 < n_tile;
        const unsigned valid = state->valid[tile % STAGES][own], inside = keys_inside(j.length - tile * KEYS);
        bool changed = false;
#pragma unroll
        for (int m = 0; m < HALVES; m++) {
            const char *bias = shared + stage + S::BIAS_AT + (m * 64 + first_row) * S::BIAS_ROW;
            operand weight;
            float total[2], part[D / 2];
            wgmma_wait<0>();
            wgmma_use(s);
            for (bool again = tile == 0;; again = true) {
                if (again) {
                    float factor[2];
                    soft[m].raise(factor, s, bias, valid, inside);
#pragma unroll
                    for (int i = 0; i < D / 2; i++)
                        value[m][i] *= factor[i / 2 % 2];
                }
                if (valid == 0xffffffffu)
                    soft[m].template exponentials<false>(weight, total, s, bias, valid, inside);
                else
                    soft[m].template exponentials<true>(weight, total, s, bias, valid, inside);
                /* Once is enough, and must be where a logit is no number. */
                if (again || __all_sync(0xffffffffu, fmaxf(total[0], total[1]) <= LARGE))
                    break;
            }
            soft[m].sum[0] += total[0];
            soft[m].sum[1] += total[1];
            multiply<WGMMA_MN_MAJOR, 32 * D>(part, weight, wgmma_advance(v_at, stage));
            /* Behind the last tile there is something too. */
            multiply_keys(s, q[(m + 1) % HALVES], wgmma_advance(k_at, m + 1 < HALVES ? stage : next));
            wgmma_wait<1>();
            wgmma_use(part);
#pragma unroll
            for (int i = 0; i < D / 2; i++)
                value[m][i] += part[i];
            if (m == 0 && more) {
                changed = read.end(tile + 1);
                if (tile + 2 < n_tile)
                    read.begin(tile + 2);
            }
        }
        if (changed)
            rescale(read.scale_of(tile + 1, false) / read.scale_of(tile, false),
                    read.scale_of(tile + 1, true) / read.scale_of(tile, true));
    }
    wgmma_wait<0>();
    wgmma_use(s);
    if (p.row + own >= j.n_row)
        return;
    float2 w[HALVES][2][D / 8], x[D / 8];
#pragma unroll
    for (int m = 0; m < HALVES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            load_gates<D>(w[m][r], from + 3 * j.n_head * D +
                                       min(p.query + m * 64 + r * 8 + first_row, j.length - 1) * j.qkvg_l);
    const float scale = read.scale_of(n_tile - 1, true);
    float *out = (float *)j.out + b * j.out_b + p.head * D;
#pragma unroll
    for (int m = 0; m < HALVES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = p.query + m * 64 + r * 8 + first_row;
#pragma unroll
            for (int n = 0; n < D / 8; n++)
                x[n] = make_float2(value[m][4 * n + 2 * r], value[m][4 * n + 2 * r + 1]);
            write_out<D>(out + row * j.out_l, x, w[m][r], soft[m].sum[r], scale, row < j.length);
        }
#endif
}

template <bool BIAS> void launch(const struct ff_cuda_attention_job *j)
{
    using S = shape<D, true>;
    constexpr int bytes = S::STAGES * S::STAGE[BIAS] + (int)sizeof(shared_state<S>);
    FF_CUDA(cudaFuncSetAttribute(kernel<BIAS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    kernel<BIAS><<<blocks<S>(j), S::THREADS, bytes, j->stream>>>(*j, head_inside(j));
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_attention_fp32_wgmma(const struct ff_cuda_attention_job *j)
{
    if (j->d != D)
        return false;
    if (j->bias)
        launch<true>(j);
    else
        launch<false>(j);
    return true;
}
