/* SPDX-License-Identifier: Apache-2.0
 * split_product: what the kernels have in common that multiply split operands (dense_split.cuh): the products of one
 * place in shared memory, 32 k with both parts or 64 k with one, and what becomes of the sums of a warpgroup's 64 rows
 * and N columns.
 *
 * Results go to memory, or, if they are the left operand of the next product, are split: a warp has all 128 columns of
 * its rows, which get one scale. Of 32 columns lane t = lane % 4 has 8 j + 2 t + e, j < 4; in the operand they follow
 * each other, 16 bytes, and the rows of the next weights are put in the same order.
 */
#ifndef FF_CUDA_SPLIT_PRODUCT_CUH
#define FF_CUDA_SPLIT_PRODUCT_CUH

#include "dense_split.cuh"
#include "wgmma.cuh"

struct split_result {
    unsigned m, n;
    unsigned first;              /* row of the job that is row 0 here */
    void *c;
    ff_cuda_rows c_rows, mask_rows;
    unsigned c_first;
    const float *inverse;        /* of the scales of the columns */
    const float *bias, *mask;    /* or NULL */
    bool relu;
    float beta;
    split_operand to;            /* instead of c */
};

static inline split_result split_result_of(const struct ff_cuda_dense_job *j, const split_operand *weights)
{
    split_result r = {};
    r.n = j->n;
    r.c = j->c;
    r.c_rows = j->c_rows;
    r.mask_rows = j->mask_rows;
    r.inverse = weights->inverse;
    r.bias = j->bias;
    r.mask = j->mask;
    r.relu = j->relu;
    r.beta = j->beta;
    return r;
}

#ifdef FF_HAVE_WGMMA
/* part (+)= what lies in a place. */
template <int N, int PARTS>
__device__ __forceinline__ void split_multiply(float (&part)[N / 2], unsigned a_address, unsigned b_address, bool add)
{
    constexpr unsigned a_half = split_group * 64, b_half = N * 64;
    const uint64_t a = wgmma_operand<64>(a_address, 0, 512), b = wgmma_operand<64>(b_address, 0, 512);
    auto product = [&](unsigned a_at, unsigned b_at, bool and_add) {
        wgmma_ss<N, WGMMA_K_MAJOR, WGMMA_K_MAJOR, WGMMA_F16>(part, wgmma_advance(a, a_at), wgmma_advance(b, b_at),
                                                             and_add);
    };
    wgmma_fence();
    if (PARTS == 2) {
        product(a_half, 0, add);
        product(a_half + 32, 32, true);
        product(0, b_half, true);
        product(32, b_half + 32, true);
        product(0, 0, true);
        product(32, 32, true);
    } else {
        product(0, 0, add);
        product(32, 32, true);
        product(a_half, b_half, true);
        product(a_half + 32, b_half + 32, true);
    }
    wgmma_commit();
}

/* Places in the ring that one thread fills and the warpgroups empty; or each is filled once, and stays so. */
struct split_ring {
    unsigned place, parity, turn;        /* places until the next round */
    bool stays;
    __device__ __forceinline__ void next()
    {
        if (++place == turn) {
            place = 0;
            parity ^= stays ? 0u : 1u;
        }
    }
};

/* total += inverse * what the next `count` places give: the products over at most 128 k. rows(b, place),
 * weights(place): the operands of the b-th of them. */
template <int N, int PARTS, int UNROLL, class Rows, class Weights>
__device__ __forceinline__ void split_sum(float (&total)[N / 2], const float *inverse, split_ring &from, uint64_t *full,
                                          uint64_t *empty, unsigned count, Rows &&rows, Weights &&weights)
{
    float part[N / 2] = {};
    const float inverse0 = inverse[0], inverse1 = inverse[8];
    auto release = [&](unsigned place) {
        if (!from.stays && threadIdx.x % 32 == 0)
            barrier_arrive(&empty[place]);
    };
    unsigned before = from.place;
#pragma unroll(UNROLL)
    for (unsigned b = 0; b < count; b++) {
        barrier_wait(&full[from.place], from.parity);
        split_multiply<N, PARTS>(part, rows(b, from.place), weights(from.place), b > 0);
        if (b > 0) {
            wgmma_wait<1>();
            release(before);
        }
        before = from.place;
        from.next();
    }
    wgmma_wait<0>();
    wgmma_use(part);
    release(before);
#pragma unroll
    for (int i = 0; i < N / 2; i++)
        total[i] = fmaf(part[i], i % 4 < 2 ? inverse0 : inverse1, total[i]);
}

/* This thread's results of row r < 2, columns 8 j + 2 t, from y[r] on. */
template <int N, int PARTS>
__device__ __forceinline__ void split_store_next(const split_result &a, const float (&y)[N / 2], unsigned row0,
                                                 unsigned column0)
{
    const unsigned lane = threadIdx.x % 32, t = lane % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const unsigned row = row0 + 8 * r;
        float most = 0.0f;
#pragma unroll
        for (int j = 0; j < N / 8; j++)
            most = fmaxf(most, fmaxf(fabsf(y[4 * j + 2 * r]), fabsf(y[4 * j + 2 * r + 1])));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const split_scale s = split_scale_of(most);
#pragma unroll
        for (int block = 0; block < N / split_block; block++) {
            unsigned high[4], low[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float v0 = y[16 * block + 4 * j + 2 * r] * s.scale, v1 = y[16 * block + 4 * j + 2 * r + 1] * s.scale;
                high[j] = split_high(v0, v1);
                low[j] = PARTS == 2 ? split_low(v0, v1, high[j]) : 0;
            }
            char *to = split_place<PARTS>(a.to, split_group, row, column0 / split_block + block) +
                       wgmma_swizzled<64>(row % split_group * 64 + t * 16);
            *(uint4 *)to = make_uint4(high[0], high[1], high[2], high[3]);
            if (PARTS == 2)
                *(uint4 *)(to + split_group * 64) = make_uint4(low[0], low[1], low[2], low[3]);
        }
        if (t == 0)
            a.to.inverse[(int64_t)(column0 / split_chunk) * a.to.rows + row] = s.inverse;
    }
}

template <int N>
__device__ __forceinline__ void split_store_rows(const split_result &a, const float (&y)[N / 2], unsigned row0,
                                                 unsigned column0)
{
    const unsigned t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const unsigned row = row0 + 8 * r;
        if (row >= a.m)
            continue;
        const float mask = a.mask ? a.mask[a.mask_rows.at(a.first + row)] : 1.0f;
        float *to = (float *)a.c + a.c_rows.at(a.c_first + row) + column0 + 2 * t;
        if (a.beta != 0.0f) {
#pragma unroll
            for (int half = 0; half < N / 8; half += 8) {        /* eight loads under way */
                float2 old[8];
#pragma unroll
                for (int j = 0; j < 8; j++)
                    old[j] = column0 + 8 * (half + j) + 2 * t < a.n ? *(const float2 *)(to + 8 * (half + j))
                                                                    : make_float2(0, 0);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    const int at = 4 * (half + j) + 2 * r;
                    if (column0 + 8 * (half + j) + 2 * t < a.n)
                        *(float2 *)(to + 8 * (half + j)) = make_float2(fmaf(a.beta, old[j].x, y[at] * mask),
                                                                       fmaf(a.beta, old[j].y, y[at + 1] * mask));
                }
            }
        } else {
#pragma unroll
            for (int j = 0; j < N / 8; j++)
                if (column0 + 8 * j + 2 * t < a.n)
                    *(float2 *)(to + 8 * j) = make_float2(y[4 * j + 2 * r] * mask, y[4 * j + 2 * r + 1] * mask);
        }
    }
}

/* The same as float16, for which lanes t and t ^ 1 change columns: each has four neighbours of sixteen then. */
template <int N>
__device__ __forceinline__ void split_store_halves(const split_result &a, const float (&y)[N / 2], unsigned row0,
                                                   unsigned column0)
{
    const unsigned t = threadIdx.x % 4, odd = t % 2;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const unsigned row = row0 + 8 * r, column = column0 + 8 * odd + 2 * (t - odd);
        const bool there = row < a.m;
        const float mask = there && a.mask ? a.mask[a.mask_rows.at(a.first + row)] : 1.0f;
        f16 *to = (f16 *)a.c + (there ? a.c_rows.at(a.c_first + row) : 0) + column;
#pragma unroll
        for (int j = 0; j < N / 8; j += 2) {
            const int at = 4 * j + 2 * r;
            const unsigned own[2] = {pack_f16(y[at] * mask, y[at + 1] * mask),
                                     pack_f16(y[at + 4] * mask, y[at + 5] * mask)};
            const unsigned other = __shfl_xor_sync(0xffffffffu, odd ? own[0] : own[1], 1);
            if (there && column + 8 * j < a.n)
                *(uint2 *)(to + 8 * j) = odd ? make_uint2(other, own[1]) : make_uint2(own[0], other);
        }
    }
}

/* The inverse scale and the bias of this thread's columns 8 j + 2 t. */
__device__ __forceinline__ float4 split_column(const split_result &a, unsigned column0, int j)
{
    const unsigned column = column0 + 8 * (unsigned)j + 2 * (threadIdx.x % 4);
    const float2 inverse = *(const float2 *)(a.inverse + column);
    const float2 bias = a.bias && column < a.n ? *(const float2 *)(a.bias + column) : make_float2(0, 0);
    return make_float4(inverse.x, inverse.y, bias.x, bias.y);
}

/* The sums with the scales of the columns, bias and relu. */
template <int N, class F>
__device__ __forceinline__ void split_finish(const split_result &a, float (&y)[N / 2], F &&column)
{
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
        const float4 of = column(j);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float &v = y[4 * j + e];
            v = fmaf(v, e % 2 ? of.y : of.x, e % 2 ? of.w : of.z);
            v = a.relu ? fmaxf(v, 0.0f) : v;
        }
    }
}
#endif

#endif
