/* SPDX-License-Identifier: Apache-2.0
 * opm_wgmma: the second product of the outer product mean for a tile of pairs, by products of warpgroups, in bf16, and
 * under tf32 of scaled float16 numbers,
 *   z[i, j, :] += (sum_ce p[(i, c), (j, e)] W[(c, e), :] + bias) / (1e-3 + sum_s mask_a[s, i] mask_b[s, j]).
 *
 * A block makes 128 pairs and all 128 channels, warpgroup w the pairs 64 w .. + 63: 16 steps of 64 products, of each
 * pair two pieces of 64 bytes, which lie in shared memory as operand A [128, 64], K_MAJOR, beside W's [64, 128],
 * MN_MAJOR. Six stages of 32 KiB; four steps are on their way while one is multiplied and one may still be read by the
 * other warpgroup. The sums pass through shared memory so that whole rows of z are added to.
 * Cost: 4 KiB per pair from the second-level cache, half of it W, and 2 * 1024 * 128 flops; bound by that cache.
 * Numerics: sums in float32. Reference: ops_cpu_opm.c.
 */
#include "opm.cuh"
#include "split.cuh"
#include "wgmma.cuh"

namespace {

constexpr int k_step = 64, stages = 6;
constexpr unsigned p_bytes = opm_rows * 128, w_bytes = k_step * opm_channels * 2, stage_bytes = p_bytes + w_bytes;
constexpr size_t shared_bytes = stages * stage_bytes + 1024;     /* the stages begin at a multiple of 1024 */

#ifdef FF_HAVE_WGMMA
/* What takes the scales of float16 numbers out of a sum. */
__device__ __forceinline__ float inverse_of(const opm_mean_args &) { return 1.0f; }
__device__ __forceinline__ float inverse_of(const opm_mean_half &a)
{
    float f = a.rest;
#pragma unroll
    for (int i = 0; i < 3; i++)
        f *= a.most[i] < INFINITY ? split_scale_of(a.most[i]).inverse : NAN;
    return f;
}
#endif

template <class Args, class Z>
__global__ void __launch_bounds__(opm_threads) mean_wgmma_kernel(const __grid_constant__ Args a)
{
#ifdef FF_HAVE_WGMMA
    constexpr int ahead = stages - 2, steps = opm_outer * opm_outer / k_step;
    extern __shared__ uint4 shared_memory[];
    __shared__ int count[2][opm_rows];
    const unsigned base = (shared_address(shared_memory) + 1023) / 1024 * 1024;
    char *stage = (char *)shared_memory + (base - shared_address(shared_memory));
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, pair0 = (int)blockIdx.x * opm_rows;

    /* Thread t copies piece t % 8 of the rows t / 8 + 32 r, and of W the pieces t + 256 r. */
    constexpr int row_copies = opm_rows / (opm_threads / 8), w_copies = k_step * opm_channels / 8 / opm_threads;
    const int piece = (int)threadIdx.x % 8, row = (int)threadIdx.x / 8;
    int from[row_copies];
#pragma unroll
    for (int r = 0; r < row_copies; r++)
        from[r] = opm_row(a, pair0 + row + r * (opm_threads / 8), piece);
    const unsigned p_at = wgmma_swizzled<128>((unsigned)(row * 128 + piece * 16));
    const unsigned w_at = p_bytes + (threadIdx.x / 8 % 2) * (w_bytes / 2) +
                          wgmma_swizzled<128>(threadIdx.x / 16 * 128 + threadIdx.x % 8 * 16);
    auto load = [&](int step) {
        char *to = stage + (unsigned)(step % stages) * stage_bytes;
#pragma unroll
        for (int r = 0; r < row_copies; r++)
            copy16_async(to + p_at + r * (opm_threads / 8) * 128, a.p + (from[r] < 0 ? 0 : from[r] + step * 2 * a.ld),
                         from[r] >= 0);
        const auto *w = a.w + step * k_step * opm_channels + threadIdx.x * 8;
#pragma unroll
        for (int r = 0; r < w_copies; r++)
            copy16_async(to + w_at + r * (opm_threads / 16) * 128, w + r * opm_threads * 8, true);
    };
#pragma unroll
    for (int s = 0; s < ahead; s++) {
        load(s);
        copy_commit();
    }
    opm_count(count, a, pair0);

    float sum[64] = {};
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        copy_wait<ahead - 1>();
        shared_fence();
        __syncthreads();                 /* the step's operands are there; the step before last is multiplied */
        if (step + ahead < steps)
            load(step + ahead);
        copy_commit();
        const unsigned at = base + (unsigned)(step % stages) * stage_bytes;
        uint64_t p = wgmma_operand<128>(at + (unsigned)(warp / 4) * (p_bytes / 2), 0, 1024);
        uint64_t w = wgmma_operand<128>(at + p_bytes, w_bytes / 2, 1024);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < k_step / 16; k++)
            wgmma_ss<opm_channels, WGMMA_K_MAJOR, WGMMA_MN_MAJOR, sizeof(Z) == 4 ? WGMMA_F16 : WGMMA_BF16>(
                sum, wgmma_advance(p, k * 32), wgmma_advance(w, k * 2048));
        wgmma_commit();
        wgmma_wait<1>();
    }
    opm_target<Z> target;
    target.load(a, pair0);
    const float inverse = inverse_of(a);
    wgmma_wait<0>();
    wgmma_use(sum);
    copy_wait<0>();
    __syncthreads();

    float *y = (float *)stage;           /* [128, opm_pitch] */
    const int row0 = warp * 16 + lane / 4, column = lane % 4 * 2;
    const float f0 = mask_factor(count[0][row0] + count[1][row0]);
    const float f1 = mask_factor(count[0][row0 + 8] + count[1][row0 + 8]);
#pragma unroll
    for (int n = 0; n < opm_channels / 8; n++) {
        float2 b = *(const float2 *)(a.bias + 8 * n + column);
        *(float2 *)(y + row0 * opm_pitch + 8 * n + column) =
            make_float2((sum[4 * n] * inverse + b.x) * f0, (sum[4 * n + 1] * inverse + b.y) * f0);
        *(float2 *)(y + (row0 + 8) * opm_pitch + 8 * n + column) =
            make_float2((sum[4 * n + 2] * inverse + b.x) * f1, (sum[4 * n + 3] * inverse + b.y) * f1);
    }
    __syncthreads();
    target.add(a, pair0, y);
#endif
}

template <class Args, class Z> bool launch(struct ff_backend *be, const Args &a)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    auto *kernel = mean_wgmma_kernel<Args, Z>;
    FF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes));
    kernel<<<ff_blocks((int64_t)a.n_i * a.n_j, opm_rows), opm_threads, shared_bytes, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
    return true;
}

}  // namespace

bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const opm_mean_args *a)
{
    return launch<opm_mean_args, bf16>(be, *a);
}

bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const opm_mean_half *a)
{
    return launch<opm_mean_half, float>(be, *a);
}
