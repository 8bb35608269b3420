/* SPDX-License-Identifier: Apache-2.0
 * attention_fp32: gated attention of float32 activations on the matrix units. A float32 number is split into two TF32
 * numbers and a product takes three of theirs (hi hi + hi lo + lo hi), which keeps float32 accuracy; under the tf32
 * precision one product does.
 *
 * A warp holds 16 queries of one head of one batch row; keys pass by in tiles of KEYS, two in flight, 8 keys at a time
 * through the products. The order in which the second product takes the 8 keys is chosen so that the results of the
 * first are its operand as they lie: its k-th key is key 2 k, its (4 + k)-th key 2 k + 1.
 */
#include "attention.cuh"

namespace {

enum { WARPS = 8, QUERIES = 16 * WARPS, KEYS = 64, STEP = 32, THREADS = 32 * WARPS };

template <int D> struct shape {
    static constexpr int LD = D + 4;             /* no two of the rows read together share banks */
    static constexpr int TILE = KEYS * LD;       /* floats of k or v */
};

struct split {
    unsigned hi, lo;
};

template <bool TF32> __device__ __forceinline__ split split_up(float x)
{
    split r;
    r.hi = to_tf32(x);
    r.lo = TF32 ? 0 : to_tf32(x - __uint_as_float(r.hi));
    return r;
}

template <bool TF32> __device__ __forceinline__ void multiply_add(float (&c)[4], const split (&a)[4], float x, float y)
{
    split b0 = split_up<TF32>(x), b1 = split_up<TF32>(y);
    if (!TF32) {
        mma_tf32(c, a[0].lo, a[1].lo, a[2].lo, a[3].lo, b0.hi, b1.hi);
        mma_tf32(c, a[0].hi, a[1].hi, a[2].hi, a[3].hi, b0.lo, b1.lo);
    }
    mma_tf32(c, a[0].hi, a[1].hi, a[2].hi, a[3].hi, b0.hi, b1.hi);
}

template <int D>
__device__ __forceinline__ void fetch(const struct ff_cuda_attention_job &j, float *k, const float *from, int key)
{
    float *v = k + shape<D>::TILE;
    const int hd = j.n_head * D;
    for (int i = threadIdx.x; i < KEYS * (D / 4); i += THREADS) {
        int n = i / (D / 4), c = i % (D / 4) * 4;
        bool there = key + n < j.length;
        const float *p = there ? from + (key + n) * j.qkvg_l + c : from;
        copy16_async(k + n * shape<D>::LD + c, p + hd, there);
        copy16_async(v + n * shape<D>::LD + c, p + 2 * hd, there);
    }
}

template <int D, bool BIAS, bool TF32>
__global__ void __launch_bounds__(THREADS, 2) kernel(struct ff_cuda_attention_job j)
{
    using S = shape<D>;
    constexpr int CHUNKS = D / 8;
    extern __shared__ __align__(16) float shared[];              /* two stages of k and v */
    const int row = blockIdx.x, head = blockIdx.z, lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4,
              t = lane % 4;
    const int query = blockIdx.y * QUERIES + warp * 16;
    const float *from = (const float *)j.qkvg + row * j.qkvg_b + head * D;
    const float *mask = j.mask + row * j.mask_b;
    const float scale = FF_LOG2E * rsqrtf((float)D);

    split q[CHUNKS][4];
#pragma unroll
    for (int s = 0; s < CHUNKS; s++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int r = query + g + (i & 1) * 8, c = s * 8 + t + (i >> 1) * 4;
            q[s][i] = split_up<TF32>(r < j.length ? from[r * j.qkvg_l + c] * scale : 0.0f);
        }
    float value[CHUNKS][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    const float *bias[2] = {NULL, NULL};
    if (BIAS)
        for (int r = 0; r < 2; r++)
            bias[r] = (const float *)j.bias + head * j.bias_h + min(query + g + r * 8, j.length - 1) * j.bias_i;

    fetch<D>(j, shared, from, 0);
    copy_commit();
    const int n_tile = (j.length + KEYS - 1) / KEYS;
    for (int tile = 0; tile < n_tile; tile++) {
        copy_wait<0>();
        __syncthreads();
        if (tile + 1 < n_tile) {
            fetch<D>(j, shared + ((tile + 1) % 2) * 2 * S::TILE, from, (tile + 1) * KEYS);
            copy_commit();
        }
        const float *ks = shared + (tile & 1) * 2 * S::TILE, *vs = ks + S::TILE;
#pragma unroll 1
        for (int first = 0; first < KEYS; first += STEP) {
            const int key = tile * KEYS + first;
            if (key >= j.length)
                break;
            float own_mask = key + lane < j.length ? mask[(key + lane) * j.mask_l] : 0.0f;
            unsigned valid = __ballot_sync(0xffffffffu, own_mask != 0.0f);
            float s[STEP / 8][4], most[2] = {top[0], top[1]};
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[n][i] = 0.0f;
#pragma unroll
                for (int c = 0; c < CHUNKS; c++) {
                    const float *k = ks + (first + n * 8 + g) * S::LD + c * 8 + t;
                    multiply_add<TF32>(s[n], q[c], k[0], k[4]);
                }
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int at = n * 8 + 2 * t + (i & 1), k = key + at;
                    if (BIAS && k < j.length)
                        s[n][i] = fmaf(bias[i >> 1][k], FF_LOG2E, s[n][i]);
                    s[n][i] = valid >> at & 1 ? s[n][i] : k < j.length ? FF_MASKED : -INFINITY;
                    most[i >> 1] = fmaxf(most[i >> 1], s[n][i]);
                }
            }
#pragma unroll
            for (int r = 0; r < 2; r++) {
                most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 1));
                most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 2));
                float factor = exp2_fast(top[r] - most[r]);
                top[r] = most[r];
                sum[r] *= factor;
#pragma unroll
                for (int c = 0; c < CHUNKS; c++) {
                    value[c][2 * r] *= factor;
                    value[c][2 * r + 1] *= factor;
                }
            }
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
                split p[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float x = exp2_fast(s[n][i] - top[i >> 1]);
                    sum[i >> 1] += x;
                    /* Results (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) as operand (g, t), (g + 8, t), (g, t +
                     * 4), (g + 8, t + 4). */
                    p[(i & 1) * 2 + (i >> 1)] = split_up<TF32>(x);
                }
#pragma unroll
                for (int c = 0; c < CHUNKS; c++) {
                    const float *v = vs + (first + n * 8 + 2 * t) * S::LD + c * 8 + g;
                    multiply_add<TF32>(value[c], p, v[0], v[S::LD]);
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
        sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
        int i = query + g + r * 8;
        if (i >= j.length)
            continue;
        const float *gate = from + i * j.qkvg_l + 3 * j.n_head * D;
        float *out = (float *)j.out + row * j.out_b + i * j.out_l + head * D;
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            float2 w = *(const float2 *)(gate + c * 8 + 2 * t);
            float x = value[c][2 * r] / sum[r] * sigmoid(w.x), y = value[c][2 * r + 1] / sum[r] * sigmoid(w.y);
            *(float2 *)(out + c * 8 + 2 * t) = make_float2(x, y);
        }
    }
}

template <int D, bool BIAS, bool TF32> void launch(const struct ff_cuda_attention_job *j)
{
    constexpr int bytes = 4 * shape<D>::TILE * (int)sizeof(float);
    FF_CUDA(cudaFuncSetAttribute(kernel<D, BIAS, TF32>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    dim3 grid((unsigned)j->n_row, ff_blocks(j->length, QUERIES), (unsigned)j->n_head);
    kernel<D, BIAS, TF32><<<grid, THREADS, bytes, j->stream>>>(*j);
    FF_CUDA_LAUNCHED();
}

template <int D> void choose(const struct ff_cuda_attention_job *j, bool tf32)
{
    if (j->bias && tf32)
        launch<D, true, true>(j);
    else if (j->bias)
        launch<D, true, false>(j);
    else if (tf32)
        launch<D, false, true>(j);
    else
        launch<D, false, false>(j);
}

}  // namespace

bool ff_cuda_attention_fp32(const struct ff_cuda_attention_job *j, bool tf32)
{
    if (j->d == 32)
        choose<32>(j, tf32);
    else if (j->d == 16)
        choose<16>(j, tf32);
    else if (j->d == 8)
        choose<8>(j, tf32);
    else
        return false;
    return true;
}
