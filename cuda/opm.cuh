/* SPDX-License-Identifier: Apache-2.0
 * opm: what the two kernels have in common that make the mean of outer products from a tile of them, in bf16 for 32
 * outer channels and 128 of the pair.
 */
#ifndef FF_CUDA_OPM_CUH
#define FF_CUDA_OPM_CUH

#include "mma.cuh"

constexpr int opm_outer = 32, opm_channels = 128, opm_threads = 256, opm_rows = 128;
constexpr int opm_pitch = opm_channels + 8;          /* of the sums of a block's pairs in shared memory */

struct mask_bits {
    const unsigned *a, *b;       /* [words, I], [words, J] */
    int words, n_i, n_j;
    /* The number of sequences that have both, of every step-th word from the first on. */
    __device__ __forceinline__ int count(int i, int j, int first, int step) const
    {
        int sum = 0;
#pragma unroll 8
        for (int w = first; w < words; w += step)
            sum += __popc(a[(int64_t)w * n_i + i] & b[(int64_t)w * n_j + j]);
        return sum;
    }
};
__device__ __forceinline__ float mask_factor(int count) { return 1.0f / (1e-3f + (float)count); }

struct opm_mean_args {
    bf16 *z;                     /* the tile's first pair */
    int64_t z_i, z_j;
    const bf16 *p;               /* [ti * 32, ld]: [(i, c), (j, e)] */
    int ld;
    const bf16 *w;               /* [1024, 128] */
    const float *bias;
    mask_bits bits;
    int i0, j0, n_i, n_j;        /* the tile; its pairs are numbered i * n_j + j */
};

/* Where p has piece 0 .. 7, 16 bytes each, of a pair's first two c; -1 behind the last pair. */
__device__ __forceinline__ int opm_row(const opm_mean_args &a, int pair, int piece)
{
    int i = pair / a.n_j, j = pair - i * a.n_j;
    return i < a.n_i ? (i * opm_outer + piece / 4) * a.ld + j * opm_outer + piece % 4 * 8 : -1;
}

/* The sequences that a block's pairs share: two threads per pair count half of them each. */
__device__ __forceinline__ void opm_count(int (&count)[2][opm_rows], const opm_mean_args &a, int pair0)
{
    int row = (int)threadIdx.x % opm_rows, half = (int)threadIdx.x / opm_rows;
    int pair = pair0 + row, i = pair / a.n_j, j = pair - i * a.n_j;
    count[half][row] = i < a.n_i ? a.bits.count(a.i0 + i, a.j0 + j, half, 2) : 0;
}

/* What sixteen threads per row add to: a block's rows of z from pair0 on, fetched before the sums are ready. */
struct opm_target {
    static constexpr int n = opm_rows / (opm_threads / 16);
    uint4 z[n];
    __device__ __forceinline__ bf16 *at(const opm_mean_args &a, int pair0, int k) const
    {
        int pair = pair0 + (int)threadIdx.x / 16 + k * (opm_threads / 16), i = pair / a.n_j, j = pair - i * a.n_j;
        return i < a.n_i ? a.z + i * a.z_i + j * a.z_j + threadIdx.x % 16 * 8 : nullptr;
    }
    __device__ __forceinline__ void load(const opm_mean_args &a, int pair0)
    {
#pragma unroll
        for (int k = 0; k < n; k++) {
            const bf16 *from = at(a, pair0, k);
            z[k] = from ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
        }
    }
    /* y [128, opm_pitch] */
    __device__ __forceinline__ void add(const opm_mean_args &a, int pair0, const float *y)
    {
        y += threadIdx.x / 16 * opm_pitch + threadIdx.x % 16 * 8;
#pragma unroll
        for (int k = 0; k < n; k++) {
            bf16 *to = at(a, pair0, k);
            float x[8];
            unpack8(x, z[k]);
            float4 lo = load4(y), hi = load4(y + 4);
            y += opm_threads / 16 * opm_pitch;
            const float sum[8] = {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w};
#pragma unroll
            for (int c = 0; c < 8; c++)
                x[c] += sum[c];
            if (to)
                *(uint4 *)to = pack8(x);
        }
    }
};

/* False, having done nothing, where this GPU has no products of warpgroups. */
bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const struct opm_mean_args *a);

/* The op for float32; false, having done nothing, where types, sizes or alignment are not its own. */
bool ff_cuda_opm_float32(struct ff_backend *be, const struct ff_outer_product_mean_args *a, const mask_bits *bits);

#endif
