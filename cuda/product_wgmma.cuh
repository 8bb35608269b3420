/* SPDX-License-Identifier: Apache-2.0
 * product_wgmma: C = A B^T of float32 numbers to float32 accuracy by products of warpgroups (sm_90a), for operands with
 * the summed axis inside; what becomes of C is the caller's (END).
 *
 * A persistent block makes tiles of 128 x 128. Two warpgroups read float32 numbers from memory, 32 of the summed axis
 * at a time, split each into two float16 numbers (split.cuh) and put them side by side into a row of 128 bytes of
 * shared memory; of each 16 rows, which one warp brings, the largest decides the scale. Two other warpgroups multiply,
 * 64 x 128 each: lo hi + hi lo + hi hi over those 32 numbers in the matrix units, which cut off what a sum loses; the
 * scales are taken out where that is added to the sum, in float32. Six such stages; those that bring are ahead, also
 * into the next tile.
 * Shared memory: 192 KiB. Cost: 6 flops of the matrix units per multiply-add; per tile and 32 numbers 32 KiB from the
 * second-level cache. Numerics: as float32 products with sums of 32 at a time. A number that is not finite makes the
 * results of its 16 rows none.
 */
#ifndef FF_CUDA_PRODUCT_WGMMA_CUH
#define FF_CUDA_PRODUCT_WGMMA_CUH

#include <limits.h>

#include "common.cuh"
#include "split.cuh"
#include "wgmma.cuh"

/* Rows of an operand: row r at x + r / n_inner * outer + r % n_inner * inner, its numbers in pieces of 32, unit apart.
 * Everything at multiples of 16 bytes. */
struct product_operand {
    const float *x;
    int64_t outer, inner, unit, batch;
    int rows, n_inner;           /* n_inner: INT_MAX when the rows are evenly spaced */
};

template <class END> struct product_job {
    product_operand a, b;
    int k, units;                /* units: pieces of 32 */
    int m_tiles, n_tiles;
    unsigned tiles;              /* of all products of the batch */
    END end;
};

constexpr int product_side = 128, product_unit = 32;

namespace product {

constexpr int warps = 8, threads = 2 * 32 * warps, stages = 6;   /* warps that multiply; as many bring */
constexpr unsigned operand_bytes = product_side * 128, stage_bytes = 2 * operand_bytes;

/* What takes the scales out belongs to 16 rows, or to each row of A. */
template <bool ROWS> struct shared {
    char stage[stages][stage_bytes];             /* A, B [128 rows][32 hi, 32 lo] */
    float a_inverse[stages][ROWS ? product_side : warps], b_inverse[stages][warps];
    uint64_t full[stages], empty[stages];
};

struct ring {
    unsigned slot, parity;
    __device__ __forceinline__ void next()
    {
        if (++slot == stages) {
            slot = 0;
            parity ^= 1u;
        }
    }
};

/* Tiles in groups of eight rows of them, so that those at work at the same time share operands. */
struct place {
    int batch, m0, n0;
};
template <class JOB> __device__ __forceinline__ place place_of(const JOB &a, unsigned tile)
{
    constexpr int high = 8;
    const unsigned one = (unsigned)a.m_tiles * (unsigned)a.n_tiles, batch = tile / one, at = tile - batch * one;
    const unsigned group = at / (unsigned)(high * a.n_tiles), rest = at - group * (unsigned)(high * a.n_tiles);
    const unsigned rows = min((unsigned)high, (unsigned)a.m_tiles - group * high);
    return {(int)batch, (int)(group * high + rest % rows) * product_side, (int)(rest / rows) * product_side};
}

#ifdef FF_HAVE_WGMMA
/* For an END that keeps nothing from the beginning of a tile to its end. */
struct nothing {};
__device__ __forceinline__ nothing from_zero(float (&sum)[64])
{
#pragma unroll
    for (int i = 0; i < 64; i++)
        sum[i] = 0.0f;
    return {};
}

/* Of four numbers those that are there. */
__device__ __forceinline__ float4 first_of(float4 v, int there)
{
    return make_float4(there > 0 ? v.x : 0.0f, there > 1 ? v.y : 0.0f, there > 2 ? v.z : 0.0f, there > 3 ? v.w : 0.0f);
}

/* 16 rows of an operand on their way through a warp: eight lanes have a row, a lane four numbers of four rows. Rows are
 * dealt out so that the pieces of eight bytes that half a warp stores at a time do not meet. */
struct rows16 {
    float4 x[4];
    static __device__ __forceinline__ int row(int i)
    {
        const int lane = (int)threadIdx.x % 32;
        return lane / 16 + i % 2 * 2 + lane / 8 % 2 * 4 + i / 2 * 8;
    }

    __device__ __forceinline__ void load(const char *base, const unsigned (&offset)[4], unsigned piece)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            x[i] = load4((const float *)(base + offset[i] + piece));
    }

    /* Split, to this lane's place in the first of the rows, `at` bytes from `to` on. Returns what takes the scale
     * out. */
    __device__ __forceinline__ float put(char *to, unsigned at) const
    {
        float most = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++)
            most = fmaxf(fmaxf(fmaxf(most, fabsf(x[i].x)), fmaxf(fabsf(x[i].y), fabsf(x[i].z))), fabsf(x[i].w));
        most = __uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(most)));
        const split_scale s = split_scale_of(most);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float4 v = make_float4(x[i].x * s.scale, x[i].y * s.scale, x[i].z * s.scale, x[i].w * s.scale);
            const uint2 hi = make_uint2(split_high(v.x, v.y), split_high(v.z, v.w));
            const uint2 lo = make_uint2(split_low(v.x, v.y, hi.x), split_low(v.z, v.w, hi.y));
            /* Two rows on the swizzle changes bit 1 of the number of a piece, lo is four pieces behind hi. */
            char *row = to + (i % 2 * 2 + i / 2 * 8) * 128;
            *(uint2 *)(row + (at ^ i % 2 * 32u)) = hi;
            *(uint2 *)(row + (at ^ (i % 2 * 32u + 64u))) = lo;
        }
        return most < INFINITY ? s.inverse : NAN;
    }
};

/* What a warp brings: 16 rows of A and of B, 32 numbers after 32 numbers of the block's tiles. */
template <class END> struct bringer {
    const product_job<END> &a;
    const int first, k0;                 /* the warp's rows of a tile; this lane's numbers of 32 */
    unsigned tile;
    int unit;
    const char *a_base, *b_base;
    unsigned a_offset[4], b_offset[4];

    __device__ __forceinline__ bringer(const product_job<END> &job, int warp)
        : a(job), first(warp * 16), k0((int)threadIdx.x % 8 * 4), tile(blockIdx.x), unit(0)
    {
    }

    static __device__ __forceinline__ unsigned offset_of(const product_operand &o, int row)
    {
        row = min(row, o.rows - 1);              /* behind the last: numbers that do no harm */
        const int outer = row / o.n_inner;
        return (unsigned)((outer * o.outer + (row - outer * o.n_inner) * o.inner) * 4);
    }

    __device__ __forceinline__ void load(rows16 &x, rows16 &y)
    {
        if (tile >= a.tiles)
            return;
        if (unit == 0) {
            const place p = place_of(a, tile);
            a_base = (const char *)(a.a.x + p.batch * a.a.batch);
            b_base = (const char *)(a.b.x + p.batch * a.b.batch);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                a_offset[i] = offset_of(a.a, p.m0 + first + rows16::row(i));
                b_offset[i] = offset_of(a.b, p.n0 + first + rows16::row(i));
            }
        }
        /* Behind the last number the first of the unit is read instead. */
        const unsigned piece = unit * product_unit + k0 < a.k ? (unsigned)k0 * 4u : 0u;
        x.load(a_base, a_offset, piece);
        y.load(b_base, b_offset, piece);
        a_base += a.a.unit * 4;
        b_base += a.b.unit * 4;
        if (++unit == a.units) {
            unit = 0;
            tile += gridDim.x;
        }
    }
};

template <class END>
__device__ __forceinline__ void bring(shared<false> &s, const product_job<END> &a, int warp)
{
    const int lane = (int)threadIdx.x % 32;
    bringer<END> b(a, warp);
    const unsigned at =
        wgmma_swizzled<128>((unsigned)((b.first + rows16::row(0)) * 128 + lane % 8 / 2 * 16)) + lane % 2 * 8;
    ring to = {0, 1};                            /* parity of the phase before: empty from the start */
    int unit = 0;
    auto put = [&](rows16 &x, rows16 &y) {
        const int there = a.k - unit * product_unit;
        if (there < product_unit)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x.x[i] = first_of(x.x[i], there - b.k0);
                y.x[i] = first_of(y.x[i], there - b.k0);
            }
        unit = unit + 1 == a.units ? 0 : unit + 1;
        barrier_wait(&s.empty[to.slot], to.parity);
        const float a_inverse = x.put(s.stage[to.slot], at);
        const float b_inverse = y.put(s.stage[to.slot] + operand_bytes, at);
        if (lane == 0) {
            s.a_inverse[to.slot][warp] = a_inverse;
            s.b_inverse[to.slot][warp] = b_inverse;
        }
        barrier_arrive_warp(&s.full[to.slot]);   /* those that multiply make the fence: here it would wait for loads */
        to.next();
    };
    const unsigned own = (a.tiles - blockIdx.x + gridDim.x - 1) / gridDim.x, steps = own * (unsigned)a.units;
    rows16 x0, y0, x1, y1;
    b.load(x0, y0);
#pragma unroll 1
    for (unsigned step = 0; step < steps; step += 2) {
        b.load(x1, y1);
        put(x0, y0);
        b.load(x0, y0);
        if (step + 1 < steps)
            put(x1, y1);
    }
}

/* FENCE: operands came by ordinary stores. */
template <bool FENCE, bool ROWS, class JOB>
__device__ __forceinline__ void multiply(shared<ROWS> &s, const JOB &a, int warp)
{
    const int lane = (int)threadIdx.x % 32;
    const unsigned base = shared_address(s.stage), a_at = (unsigned)(warp / 4) * 64 * 128;
    ring from = {0, 0};
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < a.tiles; tile += gridDim.x) {
        const place p = place_of(a, tile);
        const int row = p.m0 + warp * 16 + lane / 4, column = p.n0 + lane % 4 * 2;
        float sum[64];
        const auto kept = a.end.prepare(sum, row, column);
#pragma unroll 1
        for (int unit = 0; unit < a.units; unit++) {
            barrier_wait(&s.full[from.slot], from.parity);
            if (FENCE)
                shared_fence();
            const unsigned at = base + from.slot * stage_bytes;
            const uint64_t x = wgmma_operand<128>(at + a_at, 0, 1024);
            const uint64_t y = wgmma_operand<128>(at + operand_bytes, 0, 1024);
            float d[64];
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < 6; i++)              /* lo hi, hi lo, hi hi of 16 numbers, then of 16 more */
                wgmma_ss<product_side, WGMMA_K_MAJOR, WGMMA_K_MAJOR, WGMMA_F16>(
                    d, wgmma_advance(x, (i % 3 == 0 ? 64u : 0u) + (unsigned)(i / 3) * 32u),
                    wgmma_advance(y, (i % 3 == 1 ? 64u : 0u) + (unsigned)(i / 3) * 32u), i > 0);
            wgmma_commit();
            const int own = ROWS ? warp * 16 + lane / 4 : warp;
            const float f0 = s.a_inverse[from.slot][own], f1 = ROWS ? s.a_inverse[from.slot][own + 8] : f0;
            const float4 g0 = load4(s.b_inverse[from.slot]), g1 = load4(s.b_inverse[from.slot] + 4);
            const float g[8] = {g0.x, g0.y, g0.z, g0.w, g1.x, g1.y, g1.z, g1.w};
            wgmma_wait<0>();
            wgmma_use(d);
            barrier_arrive_warp(&s.empty[from.slot]);
            from.next();
#pragma unroll
            for (int i = 0; i < 64; i++)
                sum[i] += d[i] * ((i % 4 < 2 ? f0 : f1) * g[i / 8]);     /* 16 columns are eight of the numbers */
        }
        a.end.store(sum, kept, p.batch, row, column);
    }
}
#endif

} // namespace product

template <class END>
__global__ void __launch_bounds__(product::threads, 1) product_kernel(const __grid_constant__ product_job<END> a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    auto &s = *(product::shared<false> *)shared_memory;
    if (threadIdx.x < product::stages) {
        barrier_start(&s.full[threadIdx.x], product::warps * warp_arrivals);
        barrier_start(&s.empty[threadIdx.x], product::warps * warp_arrivals);
    }
    __syncthreads();
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    if (warp >= product::warps) {
        give_registers<112>();
        product::bring(s, a, warp - product::warps);
    } else {
        take_registers<144>();
        product::multiply<true>(s, a, warp);
    }
#endif
}

/* May float32 rows be an operand as they are? Those of one product are addressed in 32 bits. */
static inline bool product_fits(const product_operand &o)
{
    const int64_t inner = o.n_inner < o.rows ? o.n_inner : o.rows, outer = (o.rows + inner - 1) / inner;
    return ((uintptr_t)o.x & 15) == 0 && o.outer % 4 == 0 && o.inner % 4 == 0 && o.unit % 4 == 0 && o.batch % 4 == 0 &&
           (outer * o.outer + inner * o.inner) * 4 < UINT32_MAX;
}

template <class END>
void product_launch(struct ff_backend *be, const product_operand &x, const product_operand &y, int64_t k,
                    int64_t batch, const END &end)
{
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(product_kernel<END>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     (int)sizeof(product::shared<false>)));
    ready = true;
    product_job<END> job = {x, y, (int)k, (int)ff_blocks(k, product_unit), (int)ff_blocks(x.rows, product_side),
                            (int)ff_blocks(y.rows, product_side), 0, end};
    job.tiles = (unsigned)(batch * job.m_tiles * job.n_tiles);
    const unsigned blocks = min((unsigned)ff_cuda_sm_count(be), job.tiles);
    product_kernel<END><<<blocks, product::threads, sizeof(product::shared<false>), ff_cuda_stream(be)>>>(job);
    FF_CUDA_LAUNCHED();
}

#endif
