/* SPDX-License-Identifier: Apache-2.0
 * split_rows: writes float32 rows and weights as the operands of dense_split.cu.
 *
 * Rows: a warp has four rows at a time (eight of 64 channels), normed in registers; each 128 channels of a row get
 * their own scale. Weights: a block has 64 columns and 128 of k; it reads the columns as a whole for their scales.
 * Cost: rows read once; what is written stays in the second-level cache. Bound by memory. Numerics: layer norm in
 * float32; the split as in split.cuh.
 */
#include "dense_split.cuh"
#include "wgmma.cuh"

namespace {

constexpr int threads = 256, batch = 4;

/* --- rows --- */

struct rows_job {
    const float *x;
    ff_cuda_rows at;
    unsigned first, rows;
    int k;
    const float *scale, *offset;         /* or NULL */
    bool relu;
    split_operand to;
};

__device__ __forceinline__ float most_of(float4 v)
{
    return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
}

template <int PIECES, int LANES, int PARTS>
__global__ void __launch_bounds__(threads) split_rows_kernel(const __grid_constant__ rows_job a)
{
    const int lane = (int)threadIdx.x % LANES;
    const unsigned row0 = (blockIdx.x * threads + threadIdx.x) / LANES * batch;
    auto over_row = [](float x, auto &&with) {
#pragma unroll
        for (int d = LANES / 2; d > 0; d >>= 1)
            x = with(x, __shfl_xor_sync(0xffffffffu, x, d));
        return x;
    };
    auto add = [](float x, float y) { return x + y; };
    auto larger = [](float x, float y) { return fmaxf(x, y); };

    float4 x[batch][PIECES];
#pragma unroll
    for (int r = 0; r < batch; r++) {
        const float *row = a.x + (row0 + r < a.rows ? a.at.at(a.first + row0 + r) : 0);
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            int k = p * 128 + lane * 4;
            x[r][p] = row0 + r < a.rows && k < a.k ? load4(row + k) : make_float4(0, 0, 0, 0);
        }
    }
    if (a.scale) {
        float mean[batch], inverse[batch];
#pragma unroll
        for (int r = 0; r < batch; r++) {
            float sum = 0.0f, square = 0.0f;
#pragma unroll
            for (int p = 0; p < PIECES; p++)
                sum += (x[r][p].x + x[r][p].y) + (x[r][p].z + x[r][p].w);
            mean[r] = over_row(sum, add) / (float)a.k;
#pragma unroll
            for (int p = 0; p < PIECES; p++) {
                if (p * 128 + lane * 4 >= a.k)
                    continue;
                float4 &v = x[r][p];
                v = make_float4(v.x - mean[r], v.y - mean[r], v.z - mean[r], v.w - mean[r]);
                square += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
            }
            inverse[r] = rsqrtf(over_row(square, add) / (float)a.k + 1e-5f);
        }
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            int k = p * 128 + lane * 4;
            if (k >= a.k)
                continue;
            float4 s = load4(a.scale + k), o = load4(a.offset + k);
#pragma unroll
            for (int r = 0; r < batch; r++) {
                float4 &v = x[r][p];
                v = make_float4(fmaf(v.x * inverse[r], s.x, o.x), fmaf(v.y * inverse[r], s.y, o.y),
                                fmaf(v.z * inverse[r], s.z, o.z), fmaf(v.w * inverse[r], s.w, o.w));
            }
        }
    }
#pragma unroll
    for (int r = 0; r < batch; r++)
#pragma unroll
        for (int p = 0; p < PIECES; p++) {
            const unsigned row = row0 + r;
            const int k = p * 128 + lane * 4;
            float4 v = x[r][p];
            if (a.relu)
                v = make_float4(fmaxf(v.x, 0.0f), fmaxf(v.y, 0.0f), fmaxf(v.z, 0.0f), fmaxf(v.w, 0.0f));
            const split_scale s = split_scale_of(over_row(most_of(v), larger));
            if (row >= a.rows || k >= a.k)
                continue;
            v = make_float4(v.x * s.scale, v.y * s.scale, v.z * s.scale, v.w * s.scale);
            char *to = split_place<PARTS>(a.to, split_group, row, (unsigned)k / split_block) +
                       wgmma_swizzled<64>(row % split_group * 64 + (unsigned)k % split_block * 2);
            uint2 high = make_uint2(split_high(v.x, v.y), split_high(v.z, v.w));
            *(uint2 *)to = high;
            if (PARTS == 2)
                *(uint2 *)(to + split_group * 64) =
                    make_uint2(split_low(v.x, v.y, high.x), split_low(v.z, v.w, high.y));
            if (lane == 0)
                a.to.inverse[(int64_t)p * a.to.rows + row] = s.inverse;
        }
}

template <int PIECES, int LANES> void launch(struct ff_backend *be, const rows_job &a)
{
    const unsigned blocks = ff_blocks(a.rows, threads / LANES * batch);
    if (be->precision == FF_PRECISION_TF32)
        split_rows_kernel<PIECES, LANES, 1><<<blocks, threads, 0, ff_cuda_stream(be)>>>(a);
    else
        split_rows_kernel<PIECES, LANES, 2><<<blocks, threads, 0, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

/* --- weights --- */

struct weights_job {
    const float *w;
    int64_t ld;
    int k, n, group;
    bool hidden;
    split_operand to;
};

template <int PARTS>
__global__ void __launch_bounds__(threads) split_weights_kernel(const __grid_constant__ weights_job a)
{
    __shared__ float most[threads / 16][64], scales[64];
    const int column0 = (int)blockIdx.x * 64;
    float4 v = make_float4(0, 0, 0, 0);
    {
        const int column = column0 + (int)threadIdx.x % 16 * 4;
#pragma unroll 8
        for (int k = (int)threadIdx.x / 16; k < a.k; k += threads / 16) {
            float4 w = column < a.n ? load4(a.w + k * a.ld + column) : make_float4(0, 0, 0, 0);
            v = make_float4(fmaxf(v.x, fabsf(w.x)), fmaxf(v.y, fabsf(w.y)), fmaxf(v.z, fabsf(w.z)),
                            fmaxf(v.w, fabsf(w.w)));
        }
        store4(&most[threadIdx.x / 16][threadIdx.x % 16 * 4], v);
    }
    __syncthreads();
    if (threadIdx.x < 64) {
        float of_column = 0.0f;
#pragma unroll
        for (int i = 0; i < threads / 16; i++)
            of_column = fmaxf(of_column, most[i][threadIdx.x]);
        const split_scale s = split_scale_of(of_column);
        scales[threadIdx.x] = s.scale;
        if (blockIdx.y == 0)
            a.to.inverse[column0 + (int)threadIdx.x] = s.inverse;
    }
    __syncthreads();

    /* Eight places of k of one column at a time. */
    const unsigned column = (unsigned)column0 + threadIdx.x % 64;
    const float scale = scales[threadIdx.x % 64];
#pragma unroll
    for (int q = (int)threadIdx.x / 64; q < split_chunk / 8; q += threads / 64) {
        const int block = (int)blockIdx.y * (split_chunk / split_block) + q / 4;
        if (block * split_block >= a.k)
            continue;
        float x[8];
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int k = block * split_block + (a.hidden ? i / 2 * 8 + q % 4 * 2 + i % 2 : q % 4 * 8 + i);
            x[i] = (int)column < a.n ? a.w[k * a.ld + column] * scale : 0.0f;
        }
        char *to = split_place<PARTS>(a.to, a.group, column, (unsigned)block) +
                   wgmma_swizzled<64>(column % (unsigned)a.group * 64 + (unsigned)q % 4 * 16);
        unsigned high[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            high[i] = split_high(x[2 * i], x[2 * i + 1]);
        *(uint4 *)to = make_uint4(high[0], high[1], high[2], high[3]);
        if (PARTS == 2)
            *(uint4 *)(to + a.group * 64) =
                make_uint4(split_low(x[0], x[1], high[0]), split_low(x[2], x[3], high[1]),
                           split_low(x[4], x[5], high[2]), split_low(x[6], x[7], high[3]));
    }
}

size_t part_bytes(struct ff_backend *be) { return be->precision == FF_PRECISION_TF32 ? 2 : 4; }

} // namespace

size_t ff_cuda_split_bytes(struct ff_backend *be, unsigned rows, unsigned k)
{
    return (size_t)rows * (k * part_bytes(be) + ff_blocks(k, split_chunk) * sizeof(float)) + 512;
}

struct split_operand ff_cuda_split_take(struct ff_backend *be, unsigned rows, unsigned k, bool weights)
{
    char *data = ff_cuda_take<char>(be, (int64_t)rows * k * (int64_t)part_bytes(be));
    float *inverse = ff_cuda_take<float>(be, (int64_t)rows * (weights ? 1 : ff_blocks(k, split_chunk)));
    return {data, inverse, rows, k / split_block};
}

void ff_cuda_split_rows(struct ff_backend *be, const struct split_operand *to, const struct ff_cuda_dense_job *j,
                        unsigned first, unsigned rows)
{
    rows_job a = {j->a, j->a_rows, j->a_first + first, rows, (int)j->k, j->scale, j->offset, j->relu_input, *to};
    if (j->k == 64)
        launch<1, 16>(be, a);
    else if (j->k <= 128)
        launch<1, 32>(be, a);
    else if (j->k <= 256)
        launch<2, 32>(be, a);
    else
        launch<4, 32>(be, a);
}

void ff_cuda_split_weights(struct ff_backend *be, const struct split_operand *to, int group, const float *w, int64_t ld,
                           unsigned k, unsigned n, bool hidden)
{
    weights_job a = {w, ld, (int)k, (int)n, group, hidden, *to};
    const dim3 grid(to->rows / 64, ff_blocks(k, split_chunk));
    if (be->precision == FF_PRECISION_TF32)
        split_weights_kernel<1><<<grid, threads, 0, ff_cuda_stream(be)>>>(a);
    else
        split_weights_kernel<2><<<grid, threads, 0, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}
