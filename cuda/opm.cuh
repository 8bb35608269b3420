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
    /* 1 / (1e-3 + number of sequences that have both) */
    __device__ __forceinline__ float factor(int i, int j) const
    {
        int count = 0;
        for (int w = 0; w < words; w++)
            count += __popc(a[(int64_t)w * n_i + i] & b[(int64_t)w * n_j + j]);
        return 1.0f / (1e-3f + (float)count);
    }
};

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

/* What the sums of a block's pairs are multiplied with. */
__device__ __forceinline__ void opm_load_factors(float *factor, const opm_mean_args &a, int pair0)
{
    if (threadIdx.x >= opm_rows)
        return;
    int pair = pair0 + (int)threadIdx.x, i = pair / a.n_j, j = pair - i * a.n_j;
    factor[threadIdx.x] = i < a.n_i ? a.bits.factor(a.i0 + i, a.j0 + j) : 0.0f;
}

/* A block adds its rows, y [128, opm_pitch], to those of z from pair0 on. */
__device__ __forceinline__ void opm_add_rows(const opm_mean_args &a, const float *y, int pair0)
{
    const int n_pair = a.n_i * a.n_j;
    int c = (int)threadIdx.x % 16 * 8;
#pragma unroll 4
    for (int row = (int)threadIdx.x / 16; row < opm_rows; row += opm_threads / 16) {
        int pair = pair0 + row, i = pair / a.n_j, j = pair - i * a.n_j;
        if (pair >= n_pair)
            break;
        uint4 *to = (uint4 *)(a.z + i * a.z_i + j * a.z_j + c);
        float x[8];
        unpack8(x, *to);
        float4 lo = load4(y + row * opm_pitch + c), hi = load4(y + row * opm_pitch + c + 4);
        x[0] += lo.x;
        x[1] += lo.y;
        x[2] += lo.z;
        x[3] += lo.w;
        x[4] += hi.x;
        x[5] += hi.y;
        x[6] += hi.z;
        x[7] += hi.w;
        *to = pack8(x);
    }
}

/* False, having done nothing, where this GPU has no products of warpgroups. */
bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const struct opm_mean_args *a);

#endif
