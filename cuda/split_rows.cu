/* SPDX-License-Identifier: Apache-2.0
 * split_rows: writes float32 rows and weights as the operands of dense_split.cu.
 *
 * Rows: a warp has four at a time (eight of 64 channels), normed in registers; each 128 channels of a row get their own
 * scale. Weights: a block has whole columns, 32 of them, in registers.
 * Cost: bound by memory, with weights by its latency. Numerics: layer norm in float32; the split as in split.cuh.
 */
#include "split_rows.cuh"

namespace {

constexpr int threads = 256;

/* --- rows --- */

struct rows_job {
    split_source from;
    split_operand to;
};

template <int PIECES, int LANES, int PARTS>
__global__ void __launch_bounds__(threads) split_rows_kernel(const __grid_constant__ rows_job a)
{
    const unsigned row0 = (blockIdx.x * threads + threadIdx.x) / LANES * split_at_once;
    float4 x[split_at_once][PIECES];
    split_load<PIECES, LANES>(x, a.from, row0);
    split_store<PIECES, LANES, PARTS>(x, a.from, a.to, row0);
}

template <int PIECES, int LANES> void launch(struct ff_backend *be, const rows_job &a)
{
    const unsigned blocks = ff_blocks(a.from.rows, threads / LANES * split_at_once);
    if (be->precision == FF_PRECISION_TF32)
        split_rows_kernel<PIECES, LANES, 1><<<blocks, threads, 0, ff_cuda_stream(be)>>>(a);
    else
        split_rows_kernel<PIECES, LANES, 2><<<blocks, threads, 0, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

/* --- weights --- */

constexpr int weight_threads = 1024, weight_columns = 32, eights = weight_threads / weight_columns;

struct weights_job {
    const float *w;
    int64_t ld;
    int k, n, group;
    bool hidden;
    split_operand to;
};

/* A block has 32 columns, a thread of one of them ROUNDS times eight neighbouring places of k. */
template <int ROUNDS, int PARTS>
__global__ void __launch_bounds__(weight_threads) split_weights_kernel(const __grid_constant__ weights_job a)
{
    __shared__ float most[eights][weight_columns + 1];
    const int lane = (int)threadIdx.x % weight_columns, eight0 = (int)threadIdx.x / weight_columns;
    const unsigned column = blockIdx.x * weight_columns + (unsigned)lane;
    float x[ROUNDS][8], size = 0.0f;
#pragma unroll
    for (int q = 0; q < ROUNDS; q++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int eight = eight0 + q * eights;
            const int k = eight / 4 * split_block + (a.hidden ? i / 2 * 8 + eight % 4 * 2 + i % 2 : eight % 4 * 8 + i);
            x[q][i] = k < a.k && (int)column < a.n ? a.w[k * a.ld + column] : 0.0f;
        }
#pragma unroll
    for (int q = 0; q < ROUNDS; q++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            size = fmaxf(size, fabsf(x[q][i]));
    most[eight0][lane] = size;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < eights; i++)
        size = fmaxf(size, most[i][lane]);
    const split_scale s = split_scale_of(size);
    if (eight0 == 0)
        a.to.inverse[column] = s.inverse;
#pragma unroll
    for (int q = 0; q < ROUNDS; q++) {
        const int eight = eight0 + q * eights;
        if (eight * 8 >= a.k)
            continue;
        char *to = split_place<PARTS>(a.to, a.group, column, (unsigned)eight / 4) +
                   wgmma_swizzled<64>(column % (unsigned)a.group * 64 + (unsigned)eight % 4 * 16);
        unsigned high[4], low[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float v0 = x[q][2 * i] * s.scale, v1 = x[q][2 * i + 1] * s.scale;
            high[i] = split_high(v0, v1);
            low[i] = PARTS == 2 ? split_low(v0, v1, high[i]) : 0;
        }
        *(uint4 *)to = make_uint4(high[0], high[1], high[2], high[3]);
        if (PARTS == 2)
            *(uint4 *)(to + a.group * 64) = make_uint4(low[0], low[1], low[2], low[3]);
    }
}

template <int ROUNDS> void launch_weights(struct ff_backend *be, const weights_job &a)
{
    const unsigned blocks = a.to.rows / weight_columns;
    if (be->precision == FF_PRECISION_TF32)
        split_weights_kernel<ROUNDS, 1><<<blocks, weight_threads, 0, ff_cuda_stream(be)>>>(a);
    else
        split_weights_kernel<ROUNDS, 2><<<blocks, weight_threads, 0, ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
}

size_t part_bytes(struct ff_backend *be) { return be->precision == FF_PRECISION_TF32 ? 2 : 4; }

} // namespace

size_t ff_cuda_split_row_bytes(struct ff_backend *be, unsigned k)
{
    return k * part_bytes(be) + ff_blocks(k, split_chunk) * sizeof(float);
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
    rows_job a = {split_source_of(j, first, rows), *to};
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
    FF_ASSERT(k <= 4 * 8 * eights);
    if (k <= 8 * eights)
        launch_weights<1>(be, a);
    else if (k <= 2 * 8 * eights)
        launch_weights<2>(be, a);
    else
        launch_weights<4>(be, a);
}
