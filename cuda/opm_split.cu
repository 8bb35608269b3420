/* SPDX-License-Identifier: Apache-2.0
 * opm_split: both products of the outer product mean of float32 activations to float32 accuracy by products of
 * warpgroups (sm_90a), from operands that are split into float16 numbers once, before: see opm_float32.cu for the
 * whole and product_wgmma.cuh for the product.
 *
 * An operand lies as blocks of 128 rows and 32 of the summed axis, each a tile as shared memory has it, 16 KiB [128
 * rows][32 hi, 32 lo], so that one thread begins the copies; blocks follow each other along the summed axis.
 *   Panels of a and b: rows (residue, channel), sums over the sequences. W: rows are the channels of the pair.
 *   Outer products p: rows are pairs, i * n_j + j, a block has one c and all e. The first product splits its sums;
 *     each pair and c has a scale of its own. Of 32 e lane t of four has 8 q + 2 t + b, q < 4, b < 2, which become
 *     neighbours; W follows that order.
 * Cost: 32 KiB from the second-level cache for 128 x 128 x 32 products, 6 flops of the matrix units for each; bound by
 * these. Numerics: as product_wgmma.cuh; p has 22 bits.
 */
#include "opm.cuh"
#include "product_wgmma.cuh"

namespace {

constexpr unsigned block_bytes = product::operand_bytes;
constexpr int block_threads = 32 * (product::warps + 1), residues = product_side / opm_outer;

/* --- panels and W --- */

/* A block takes rows 4 m + r / 32, r % 32 of x [s, residue, channel] and 32 of s, as blocks of a panel have them; zeros
 * where there is none. A thread has a row; sixteen rows get a scale. of_lanes: s in the order that p has. */
__global__ void __launch_bounds__(product_side) panel_kernel(char *blocks, float *inverse, const float *x, int64_t x_s,
                                                             int64_t x_r, int n_r, int n_s, bool of_lanes)
{
    __shared__ __align__(16) char image[block_bytes];
    const int row = (int)threadIdx.x, residue = (int)blockIdx.y * residues + row / opm_outer, s0 = (int)blockIdx.x * 32;
    const int64_t block = (int64_t)blockIdx.y * gridDim.x + blockIdx.x;
    float v[32], most = 0.0f;
    x += residue * x_r + row % opm_outer;
#pragma unroll
    for (int k = 0; k < 32; k++) {
        const int s = s0 + (of_lanes ? k / 8 * 2 + k % 8 / 2 * 8 + k % 2 : k);
        v[k] = residue < n_r && s < n_s ? x[s * x_s] : 0.0f;
        most = fmaxf(most, fabsf(v[k]));
    }
#pragma unroll
    for (int d = 8; d > 0; d >>= 1)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, d));
    const split_scale s = split_scale_of(most);
    if (row % 16 == 0)
        inverse[block * product::warps + row / 16] = most < INFINITY ? s.inverse : NAN;
#pragma unroll
    for (int k = 0; k < 32; k += 8) {
        unsigned hi[4], lo[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float y = v[k + 2 * i] * s.scale, z = v[k + 2 * i + 1] * s.scale;
            hi[i] = split_high(y, z);
            lo[i] = split_low(y, z, hi[i]);
        }
        const unsigned at = wgmma_swizzled<128>((unsigned)(row * 128 + k * 2));
        *(uint4 *)(image + at) = make_uint4(hi[0], hi[1], hi[2], hi[3]);
        *(uint4 *)(image + (at ^ 64u)) = make_uint4(lo[0], lo[1], lo[2], lo[3]);
    }
    __syncthreads();
#pragma unroll
    for (unsigned at = threadIdx.x * 16; at < block_bytes; at += product_side * 16)
        *(uint4 *)(blocks + block * block_bytes + at) = *(const uint4 *)(image + at);
}

/* --- the products --- */

template <class END> struct block_job {
    const char *a, *b;
    const float *a_inverse, *b_inverse;
    int units, m_tiles, n_tiles;
    unsigned tiles;
    END end;
};

#ifdef FF_HAVE_WGMMA
template <bool ROWS, class JOB> __device__ __forceinline__ void bring_blocks(product::shared<ROWS> &s, const JOB &a)
{
    constexpr unsigned a_factors = sizeof s.a_inverse[0], b_factors = sizeof s.b_inverse[0];
    product::ring to = {0, 1};
    for (unsigned tile = blockIdx.x; tile < a.tiles; tile += gridDim.x) {
        const product::place p = product::place_of(a, tile);
        int64_t x = (int64_t)(p.m0 / product_side) * a.units, y = (int64_t)(p.n0 / product_side) * a.units;
        for (int unit = 0; unit < a.units; unit++, x++, y++) {
            char *stage = s.stage[to.slot];
            uint64_t *full = &s.full[to.slot];
            barrier_wait(&s.empty[to.slot], to.parity);
            barrier_expect(full, 2 * block_bytes + a_factors + b_factors);
            bulk_copy(stage, a.a + x * block_bytes, block_bytes, full);
            bulk_copy(stage + block_bytes, a.b + y * block_bytes, block_bytes, full);
            bulk_copy(s.a_inverse[to.slot], (const char *)a.a_inverse + x * a_factors, a_factors, full);
            bulk_copy(s.b_inverse[to.slot], (const char *)a.b_inverse + y * b_factors, b_factors, full);
            to.next();
        }
    }
}
#endif

template <bool ROWS, class END>
__global__ void __launch_bounds__(block_threads, 1) block_kernel(const __grid_constant__ block_job<END> a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    auto &s = *(product::shared<ROWS> *)shared_memory;
    if (threadIdx.x < product::stages) {
        barrier_start(&s.full[threadIdx.x], 1);
        barrier_start(&s.empty[threadIdx.x], product::warps * warp_arrivals);
    }
    __syncthreads();
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    if (warp < product::warps)
        product::multiply<false>(s, a, warp);
    else if (threadIdx.x % 32 == 0)
        bring_blocks(s, a);
#endif
}

/* Sums become rows of pairs: of each pair a thread has eight e of two c. */
struct split_pairs {
    char *p;
    float *inverse;              /* [blocks, 128] */
    int n_i, n_j;

#ifdef FF_HAVE_WGMMA
    typedef product::nothing kept;
    __device__ __forceinline__ kept prepare(float (&sum)[64], int, int) const { return product::from_zero(sum); }
    __device__ __forceinline__ void store(const float (&d)[64], kept, int, int row, int column) const
    {
        const int t = (int)threadIdx.x % 4;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int i = row / opm_outer, c = row % opm_outer + 8 * r;
#pragma unroll
            for (int n = 0; n < residues; n++) {
                const int j = column / opm_outer + n, pair = i * n_j + j;
                float v[8], most = 0.0f;
#pragma unroll
                for (int k = 0; k < 8; k++) {
                    v[k] = d[16 * n + k / 2 * 4 + 2 * r + k % 2];
                    most = fmaxf(most, fabsf(v[k]));
                }
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
                most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
                if (i >= n_i || j >= n_j)
                    continue;
                const split_scale s = split_scale_of(most);
                unsigned hi[4], lo[4];
#pragma unroll
                for (int q = 0; q < 4; q++) {
                    hi[q] = split_high(v[2 * q] * s.scale, v[2 * q + 1] * s.scale);
                    lo[q] = split_low(v[2 * q] * s.scale, v[2 * q + 1] * s.scale, hi[q]);
                }
                const int64_t block = (int64_t)(pair / product_side) * opm_outer + c;
                char *to = p + block * block_bytes;
                const unsigned at = wgmma_swizzled<128>((unsigned)(pair % product_side * 128 + t * 16));
                *(uint4 *)(to + at) = make_uint4(hi[0], hi[1], hi[2], hi[3]);
                *(uint4 *)(to + (at ^ 64u)) = make_uint4(lo[0], lo[1], lo[2], lo[3]);
                if (t == 0)
                    inverse[block * product_side + pair % product_side] = most < INFINITY ? s.inverse : NAN;
            }
        }
    }
#endif
};

struct add_mean : opm_mean_float {
#ifdef FF_HAVE_WGMMA
    struct kept {
        float factor[2];
    };
    __device__ __forceinline__ float *at(int pair) const         /* NULL behind the last */
    {
        const int i = pair / n_j, j = pair - i * n_j;
        return i < n_i ? z + i * z_i + j * z_j : nullptr;
    }
    /* Sums begin with the bias; z is asked for early. */
    __device__ __forceinline__ kept prepare(float (&sum)[64], int pair, int column) const
    {
        kept k;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int i = (pair + 8 * r) / n_j, j = pair + 8 * r - i * n_j, t = (int)threadIdx.x % 4;
            int count = i < n_i ? bits.count(i0 + i, j0 + j, t, 4) : 0;
            count += __shfl_xor_sync(0xffffffffu, count, 1);
            count += __shfl_xor_sync(0xffffffffu, count, 2);
            k.factor[r] = mask_factor(count);
            if (const float *to = at(pair + 8 * r))
                prefetch_line(to + 32 * t);
        }
#pragma unroll
        for (int n = 0; n < opm_channels / 8; n++) {
            const float2 b = *(const float2 *)(bias + column + 8 * n);
            sum[4 * n] = sum[4 * n + 2] = b.x;
            sum[4 * n + 1] = sum[4 * n + 3] = b.y;
        }
        return k;
    }
    __device__ __forceinline__ void store(const float (&d)[64], kept k, int, int pair, int column) const
    {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float *to = at(pair + 8 * r);
            if (!to)
                continue;
            float2 v[opm_channels / 8];
#pragma unroll
            for (int n = 0; n < opm_channels / 8; n++)
                v[n] = *(const float2 *)(to + column + 8 * n);
#pragma unroll
            for (int n = 0; n < opm_channels / 8; n++)
                *(float2 *)(to + column + 8 * n) = make_float2(v[n].x + d[4 * n + 2 * r] * k.factor[r],
                                                               v[n].y + d[4 * n + 2 * r + 1] * k.factor[r]);
        }
    }
#endif
};

template <bool ROWS, class END> void launch(struct ff_backend *be, block_job<END> &job)
{
    using S = product::shared<ROWS>;
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(block_kernel<ROWS, END>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     (int)sizeof(S)));
    ready = true;
    job.tiles = (unsigned)job.m_tiles * (unsigned)job.n_tiles;
    const unsigned blocks = min((unsigned)ff_cuda_sm_count(be), job.tiles);
    block_kernel<ROWS, END><<<blocks, block_threads, sizeof(S), ff_cuda_stream(be)>>>(job);
    FF_CUDA_LAUNCHED();
}

int blocks_of(int64_t n, int size) { return (int)((n + size - 1) / size); }

opm_blocks take(struct ff_backend *be, int64_t blocks, int factors)
{
    return {ff_cuda_take<char>(be, blocks * block_bytes), ff_cuda_take<float>(be, blocks * factors)};
}

} // namespace

opm_blocks ff_cuda_opm_take_panel(struct ff_backend *be, int64_t n_r, int64_t n_s)
{
    return take(be, (int64_t)blocks_of(n_r, residues) * blocks_of(n_s, product_unit), product::warps);
}

opm_blocks ff_cuda_opm_take_pairs(struct ff_backend *be, int64_t pairs)
{
    return take(be, (int64_t)blocks_of(pairs, product_side) * opm_outer, product_side);
}

opm_blocks ff_cuda_opm_panel_part(opm_blocks panel, int64_t r, int64_t n_s)
{
    const int64_t block = r / residues * blocks_of(n_s, product_unit);
    return {panel.data + block * block_bytes, panel.inverse + block * product::warps};
}

void ff_cuda_opm_split(struct ff_backend *be, opm_blocks to, const float *x, int64_t x_s, int64_t x_r, int64_t n_r,
                       int64_t n_s, bool weights)
{
    const dim3 grid((unsigned)blocks_of(n_s, product_unit), (unsigned)blocks_of(n_r, residues));
    panel_kernel<<<grid, product_side, 0, ff_cuda_stream(be)>>>(to.data, to.inverse, x, x_s, x_r, (int)n_r, (int)n_s,
                                                                weights);
    FF_CUDA_LAUNCHED();
}

void ff_cuda_opm_split_products(struct ff_backend *be, opm_blocks p, opm_blocks a, opm_blocks b, int64_t n_i,
                                int64_t n_j, int64_t n_s)
{
    block_job<split_pairs> job = {a.data, b.data, a.inverse, b.inverse, blocks_of(n_s, product_unit),
                                  blocks_of(n_i, residues), blocks_of(n_j, residues), 0,
                                  {p.data, p.inverse, (int)n_i, (int)n_j}};
    launch<false>(be, job);
}

void ff_cuda_opm_split_mean(struct ff_backend *be, opm_blocks p, opm_blocks w, const opm_mean_float &m)
{
    block_job<add_mean> job = {p.data, w.data, p.inverse, w.inverse, opm_outer,
                               blocks_of((int64_t)m.n_i * m.n_j, product_side), 1, 0, {m}};
    launch<true>(be, job);
}
