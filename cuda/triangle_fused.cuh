/* SPDX-License-Identifier: Apache-2.0
 * triangle_fused: the fused bf16 kernels of triangle multiplication. Each returns false, having done nothing, where
 * types, sizes or alignment are not its own; triangle.cu then does the work in steps.
 */
#ifndef FF_CUDA_TRIANGLE_FUSED_CUH
#define FF_CUDA_TRIANGLE_FUSED_CUH

#include "common.cuh"

/* How the tiles lie on the pairs. */
struct triangle_tiling {
    int n_i, n_j, shift, tiles_j;        /* tj = 1 << shift */
    unsigned tiles;
    __device__ __forceinline__ void origin(unsigned tile, int rows, int &i0, int &j0) const
    {
        int a = (int)(tile / (unsigned)tiles_j);
        i0 = a * (rows >> shift);
        j0 = (int)(tile - (unsigned)a * (unsigned)tiles_j) << shift;
    }
    __device__ __forceinline__ int i_of(int row) const { return row >> shift; }
    __device__ __forceinline__ int j_of(int row) const { return row & ((1 << shift) - 1); }
};

struct triangle_project_job {
    bf16 *out;
    int64_t out_c, out_i;
    const bf16 *z;
    int64_t z_i, z_k;
    const float *mask;
    int64_t mask_i, mask_k;
    const bf16 *w, *gate_w;
    const float *scale, *offset, *b, *gate_b;
    triangle_tiling t;
    bool wide;                           /* out may be written 16 bytes at a time */
};

struct triangle_output_job {
    bf16 *z;
    int64_t z_i, z_j;
    const bf16 *x;
    int64_t x_c, x_i;
    const bf16 *o_w, *gate_w;
    const float *center_scale, *center_offset, *scale, *offset, *o_b, *gate_b;
    triangle_tiling t;
    bool wide;                           /* x may be read 16 bytes at a time */
};

bool ff_cuda_triangle_project_fused(struct ff_backend *be, const struct ff_triangle_project_args *a);
bool ff_cuda_triangle_output_fused(struct ff_backend *be, const struct ff_triangle_output_args *a);

/* The same on GPUs with products of warpgroups, c_z and c_i 64 or 128, for tiles of this many pairs. */
constexpr int triangle_wgmma_rows = 64;
bool ff_cuda_triangle_project_wgmma(struct ff_backend *be, int c_z, int c_i, const struct triangle_project_job *j);
bool ff_cuda_triangle_output_wgmma(struct ff_backend *be, int c_i, int c_z, const struct triangle_output_job *j);

#endif
