/* SPDX-License-Identifier: Apache-2.0
 * opm: what the kernels have in common that make the mean of outer products from a tile of them, for 32 outer channels
 * and 128 of the pair.
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

/* z of type Z, products and weights of type P. */
template <class Z, class P> struct opm_mean_of {
    Z *z;                        /* the tile's first pair */
    int64_t z_i, z_j;
    const P *p;                  /* [ti * 32, ld]: [(i, c), (j, e)] */
    int ld;
    const P *w;                  /* [1024, 128]; float: turned, [128, 1024] */
    const float *bias;
    mask_bits bits;
    int i0, j0, n_i, n_j;        /* the tile; its pairs are numbered i * n_j + j */
};
typedef opm_mean_of<bf16, bf16> opm_mean_args;
typedef opm_mean_of<float, float> opm_mean_float;
struct opm_mean_half : opm_mean_of<float, uint16_t> {    /* float16 numbers; what follows takes their scales out */
    const float *most;           /* [3]: the largest of a, b and w */
    float rest;
};

/* Where p has piece 0 .. 7, 16 bytes each, of a pair's first two c; -1 behind the last pair. */
template <class Args> __device__ __forceinline__ int opm_row(const Args &a, int pair, int piece)
{
    int i = pair / a.n_j, j = pair - i * a.n_j;
    return i < a.n_i ? (i * opm_outer + piece / 4) * a.ld + j * opm_outer + piece % 4 * 8 : -1;
}

/* The sequences that a block's pairs share: two threads per pair count half of them each. */
template <class Args>
__device__ __forceinline__ void opm_count(int (&count)[2][opm_rows], const Args &a, int pair0)
{
    int row = (int)threadIdx.x % opm_rows, half = (int)threadIdx.x / opm_rows;
    int pair = pair0 + row, i = pair / a.n_j, j = pair - i * a.n_j;
    count[half][row] = i < a.n_i ? a.bits.count(a.i0 + i, a.j0 + j, half, 2) : 0;
}

/* What sixteen threads per row add to: a block's rows of z from pair0 on, fetched before the sums are ready. */
template <class Z> struct opm_target {
    static constexpr int n = opm_rows / (opm_threads / 16), words = (int)sizeof(Z) / 2;
    uint4 z[n][words];
    template <class Args> __device__ __forceinline__ Z *at(const Args &a, int pair0, int k) const
    {
        int pair = pair0 + (int)threadIdx.x / 16 + k * (opm_threads / 16), i = pair / a.n_j, j = pair - i * a.n_j;
        return i < a.n_i ? a.z + i * a.z_i + j * a.z_j + threadIdx.x % 16 * 8 : nullptr;
    }
    template <class Args> __device__ __forceinline__ void load(const Args &a, int pair0)
    {
#pragma unroll
        for (int k = 0; k < n; k++) {
            const Z *from = at(a, pair0, k);
#pragma unroll
            for (int w = 0; w < words; w++)
                z[k][w] = from ? ((const uint4 *)from)[w] : make_uint4(0, 0, 0, 0);
        }
    }
    /* y [128, opm_pitch] */
    template <class Args> __device__ __forceinline__ void add(const Args &a, int pair0, const float *y)
    {
        y += threadIdx.x / 16 * opm_pitch + threadIdx.x % 16 * 8;
#pragma unroll
        for (int k = 0; k < n; k++) {
            Z *to = at(a, pair0, k);
            float4 lo = load4(y), hi = load4(y + 4);
            y += opm_threads / 16 * opm_pitch;
            const float sum[8] = {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w};
            add(to, z[k], sum);
        }
    }
    static __device__ __forceinline__ void add(bf16 *to, const uint4 (&v)[1], const float (&sum)[8])
    {
        float x[8];
        unpack8(x, v[0]);
#pragma unroll
        for (int c = 0; c < 8; c++)
            x[c] += sum[c];
        if (to)
            *(uint4 *)to = pack8(x);
    }
    static __device__ __forceinline__ void add(float *to, const uint4 (&v)[2], const float (&sum)[8])
    {
#pragma unroll
        for (int w = 0; w < 2; w++) {
            float4 x = *(const float4 *)&v[w];
            x.x += sum[4 * w];
            x.y += sum[4 * w + 1];
            x.z += sum[4 * w + 2];
            x.w += sum[4 * w + 3];
            if (to)
                store4(to + 4 * w, x);
        }
    }
};

/* False, having done nothing, where this GPU has no products of warpgroups. */
bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const opm_mean_args *a);
bool ff_cuda_opm_mean_wgmma(struct ff_backend *be, const opm_mean_half *a);

/* Operands that are split before they are multiplied (opm_split.cu), and what takes their scales out. */
struct opm_blocks {
    char *data;
    float *inverse;
};
/* From the workspace: residues and sequences of a panel; outer products of pairs. */
opm_blocks ff_cuda_opm_take_panel(struct ff_backend *be, int64_t n_r, int64_t n_s);
opm_blocks ff_cuda_opm_take_pairs(struct ff_backend *be, int64_t pairs);
opm_blocks ff_cuda_opm_panel_part(opm_blocks panel, int64_t r, int64_t n_s);     /* from r on, a multiple of four */
/* x [n_s, n_r, 32] becomes a panel; W [1024, 128] in four times 32 channels the right operand of the mean. */
void ff_cuda_opm_split(struct ff_backend *be, opm_blocks to, const float *x, int64_t x_s, int64_t x_r, int64_t n_r,
                       int64_t n_s, bool weights);
/* Both products of a tile of pairs; the second as m says, whose p and w are not used. */
void ff_cuda_opm_split_products(struct ff_backend *be, opm_blocks p, opm_blocks a, opm_blocks b, int64_t n_i,
                                int64_t n_j, int64_t n_s);
void ff_cuda_opm_split_mean(struct ff_backend *be, opm_blocks p, opm_blocks w, const opm_mean_float &m);

/* The op for float32; false, having done nothing, where types, sizes or alignment are not its own. */
bool ff_cuda_opm_float32(struct ff_backend *be, const struct ff_outer_product_mean_args *a, const mask_bits *bits);

#endif
