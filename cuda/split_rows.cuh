/* SPDX-License-Identifier: Apache-2.0
 * split_rows: rows of float32 numbers, normed on the way, as a split operand (dense_split.cuh) in memory or in shared
 * memory. LANES lanes of a warp have a row together, four neighbouring channels of each 128 each, and several rows at a
 * time.
 */
#ifndef FF_CUDA_SPLIT_ROWS_CUH
#define FF_CUDA_SPLIT_ROWS_CUH

#include "dense_split.cuh"
#include "wgmma.cuh"

constexpr int split_at_once = 4;

struct split_source {
    const void *x;
    ff_cuda_rows at;
    unsigned first, rows;                /* number of row 0, how many */
    int k;
    const float *scale, *offset;         /* of layer norm, or NULL */
    bool relu;
};

static inline split_source split_source_of(const struct ff_cuda_dense_job *j, unsigned first, unsigned rows)
{
    return {j->a, j->a_rows, j->a_first + first, rows, (int)j->k, j->scale, j->offset, j->relu_input};
}

template <int LANES, class F> __device__ __forceinline__ float split_over_row(float x, F &&with)
{
#pragma unroll
    for (int d = LANES / 2; d > 0; d >>= 1)
        x = with(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}

/* Rows row0 .. of the source; zeros where it has ended. */
template <int PIECES, int LANES>
__device__ __forceinline__ void split_load(float4 (&x)[split_at_once][PIECES], const split_source &a, unsigned row0)
{
    const int lane = (int)threadIdx.x % LANES;
#pragma unroll
    for (int r = 0; r < split_at_once; r++) {
        const float *row = (const float *)a.x + (row0 + r < a.rows ? a.at.at(a.first + row0 + r) : 0);
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            int k = p * 128 + lane * 4;
            x[r][p] = row0 + r < a.rows && k < a.k ? load4(row + k) : make_float4(0, 0, 0, 0);
        }
    }
}

template <int PIECES, int LANES>
__device__ __forceinline__ void split_norm(float4 (&x)[split_at_once][PIECES], const split_source &a)
{
    const int lane = (int)threadIdx.x % LANES;
    auto add = [](float u, float v) { return u + v; };
    float inverse[split_at_once];
#pragma unroll
    for (int r = 0; r < split_at_once; r++) {
        float sum = 0.0f, square = 0.0f;
#pragma unroll
        for (int p = 0; p < PIECES; p++)
            sum += (x[r][p].x + x[r][p].y) + (x[r][p].z + x[r][p].w);
        const float mean = split_over_row<LANES>(sum, add) / (float)a.k;
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            if (p * 128 + lane * 4 >= a.k)
                continue;
            float4 &v = x[r][p];
            v = make_float4(v.x - mean, v.y - mean, v.z - mean, v.w - mean);
            square += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
        }
        inverse[r] = rsqrtf(split_over_row<LANES>(square, add) / (float)a.k + 1e-5f);
    }
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
        int k = p * 128 + lane * 4;
        if (k >= a.k)
            continue;
        float4 s = load4(a.scale + k), o = load4(a.offset + k);
#pragma unroll
        for (int r = 0; r < split_at_once; r++) {
            float4 &v = x[r][p];
            v = make_float4(fmaf(v.x * inverse[r], s.x, o.x), fmaf(v.y * inverse[r], s.y, o.y),
                            fmaf(v.z * inverse[r], s.z, o.z), fmaf(v.w * inverse[r], s.w, o.w));
        }
    }
}

/* What was loaded, normed and split, as rows row0 .. of the operand as far as it has them. */
template <int PIECES, int LANES, int PARTS>
__device__ __forceinline__ void split_store(float4 (&x)[split_at_once][PIECES], const split_source &a,
                                            const split_operand &to, unsigned row0)
{
    const int lane = (int)threadIdx.x % LANES;
    if (a.scale)
        split_norm<PIECES, LANES>(x, a);
#pragma unroll
    for (int r = 0; r < split_at_once; r++)
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            const unsigned row = row0 + r;
            const int k = p * 128 + lane * 4;
            float4 v = x[r][p];
            if (a.relu)
                v = make_float4(fmaxf(v.x, 0.0f), fmaxf(v.y, 0.0f), fmaxf(v.z, 0.0f), fmaxf(v.w, 0.0f));
            const float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
            const split_scale s =
                split_scale_of(split_over_row<LANES>(most, [](float u, float w) { return fmaxf(u, w); }));
            if (row >= to.rows || k >= a.k)
                continue;
            v = make_float4(v.x * s.scale, v.y * s.scale, v.z * s.scale, v.w * s.scale);
            char *place = split_place<PARTS>(to, split_group, row, (unsigned)k / split_block) +
                          wgmma_swizzled<64>(row % split_group * 64 + (unsigned)k % split_block * 2);
            uint2 high = make_uint2(split_high(v.x, v.y), split_high(v.z, v.w));
            *(uint2 *)place = high;
            if (PARTS == 2)
                *(uint2 *)(place + split_group * 64) =
                    make_uint2(split_low(v.x, v.y, high.x), split_low(v.z, v.w, high.y));
            if (lane == 0)
                to.inverse[(int64_t)p * to.rows + row] = s.inverse;
        }
}

#endif
