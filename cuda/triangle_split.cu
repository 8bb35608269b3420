/* SPDX-License-Identifier: Apache-2.0
 * triangle_split: projection and output of triangle multiplication of float32 activations by products of warpgroups
 * (sm_90a), one pass over memory each. Numbers are split into two float16 numbers (split.cuh), under tf32 rounded to
 * one.
 *
 * Persistent blocks, one per multiprocessor, keep the weights in shared memory as operand B. Two warpgroups, which
 * share nothing else, walk over tiles of 64 pairs (triangle_fused.cuh); everything else stays in registers: a warp has
 * 16 pairs, of which lane 4 g + t reads the rows g and g + 8, channels 16 p + 4 t .. + 3 of each. After the layer norm
 * they are operand A as they are; of each 16 that a product sums over these are numbers 2 t, 2 t + 1 and 2 t + 8,
 * 2 t + 9, an order that the rows of the weights follow.
 *   triangle_project (Alg. 11, 12 lines 1-2): out[c, i, k] = mask (LN(z) W + b) sigmoid(LN(z) Wg + bg). 64 channels at
 *     a time; a store has eight neighbouring pairs of four channels. The next tile's rows are on their way meanwhile.
 *   triangle_output (Alg. 11, 12 lines 3-4): z += (LN(x) Wo + bo) sigmoid(LN(z) Wg + bg), x channel first, read eight
 *     neighbouring pairs at a time while the gates are multiplied. Column 8 j + 2 t + e of both weights is channel
 *     16 (j / 2) + 4 t + 2 (j % 2) + e: the results are those that a lane has of z.
 * Scales are powers of two that leave room for the largest a layer norm can give, and the largest weight.
 * Cost: everything read and written once, but z by triangle_output a second time from the caches; 4 c_z c_i and
 * 2 c_z (c_i + c_z) flops per pair, under fp32 three times that on the matrix units. Numerics: layer norm, sums and
 * gates in float32; the matrix units add the small products lo hi, hi lo before the large ones. Reference:
 * ops_cpu_triangle.c.
 */
#include "split.cuh"
#include "triangle_fused.cuh"
#include "wgmma.cuh"

namespace {

constexpr int groups = 2, threads = 128 * groups;

/* B [K, 64 BLOCKS]: blocks of 64 columns, of each the upper halves of the numbers and, but for tf32, the lower. */
template <int K, int BLOCKS, bool TF32> struct weights {
    static constexpr unsigned plane = K * 128, block = (TF32 ? 1 : 2) * plane;
    unsigned char at[BLOCKS][block];
};

#ifdef FF_HAVE_WGMMA
constexpr int rows = 64;                 /* of a tile */

/* The largest of n numbers, for the whole block. */
__device__ __forceinline__ float largest(const float *x, int n, float *shared)
{
    float most = 0.0f;
    for (int k = (int)threadIdx.x; k < n; k += threads)
        most = fmaxf(most, fabsf(x[k]));
    return block_max(most, shared);
}

/* Scale and offset of a layer norm, so that its results are scaled. Returns what takes the scale out. */
__device__ __forceinline__ float load_norm(float *scale, float *offset, const float *from_scale,
                                           const float *from_offset, int n, float *shared)
{
    const float most = sqrtf((float)n) * largest(from_scale, n, shared) + largest(from_offset, n, shared);
    const split_scale s = split_scale_of(1.01f * most);
    for (int k = (int)threadIdx.x; k < n; k += threads) {
        scale[k] = from_scale[k] * s.scale;
        offset[k] = from_offset[k] * s.scale;
    }
    return s.inverse;
}

/* Columns of w [K, N] to every STEP-th block. column(n): which column comes at n, n even; the next one follows it. */
template <int K, int N, int STEP, bool TF32, class Weights, class Column>
__device__ __forceinline__ float load_weights(Weights &to, int first, const float *w, float *shared, Column &&column)
{
    const split_scale s = split_scale_of(largest(w, K * N, shared));
#pragma unroll 2
    for (int u = (int)threadIdx.x; u < K * N / 8; u += threads) {
        const int k = u / (N / 8), n = u % (N / 8) * 8;
        const float *from = w + (k / 16 * 16 + k % 8 / 2 * 4 + k % 16 / 8 * 2 + k % 2) * N;
        unsigned hi[4], lo[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float2 v = *(const float2 *)(from + column(n + 2 * i));
            v.x *= s.scale;
            v.y *= s.scale;
            hi[i] = split_high(v.x, v.y);
            lo[i] = split_low(v.x, v.y, hi[i]);
        }
        unsigned char *at = to.at[first + n / 64 * STEP] + wgmma_swizzled<128>((unsigned)(k * 128 + n % 64 * 2));
        *(uint4 *)at = make_uint4(hi[0], hi[1], hi[2], hi[3]);
        if (!TF32)
            *(uint4 *)(at + Weights::plane) = make_uint4(lo[0], lo[1], lo[2], lo[3]);
    }
    return s.inverse;
}

/* Rows as operand A. */
template <int C, bool TF32> struct split_rows {
    unsigned hi[C / 16][4], lo[TF32 ? 1 : C / 16][4];

    /* LN of row r of this lane: x [C / 4], 4 p + i for channel 16 p + 4 t + i. */
    __device__ __forceinline__ void norm(int r, const float *x, const float *scale, const float *offset)
    {
        const int t = (int)threadIdx.x % 4;
        float sum = 0.0f, square = 0.0f;
#pragma unroll
        for (int k = 0; k < C / 4; k++)
            sum += x[k];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        const float mean = sum * (1.0f / C);
#pragma unroll
        for (int k = 0; k < C / 4; k++)
            square += (x[k] - mean) * (x[k] - mean);
        square += __shfl_xor_sync(0xffffffffu, square, 1);
        square += __shfl_xor_sync(0xffffffffu, square, 2);
        const float inverse = 1.0f / sqrtf(square * (1.0f / C) + 1e-5f);
#pragma unroll
        for (int p = 0; p < C / 16; p++) {
            const float4 s = load4(scale + 16 * p + 4 * t), o = load4(offset + 16 * p + 4 * t);
            const float v0 = (x[4 * p] - mean) * inverse * s.x + o.x, v1 = (x[4 * p + 1] - mean) * inverse * s.y + o.y;
            const float v2 = (x[4 * p + 2] - mean) * inverse * s.z + o.z;
            const float v3 = (x[4 * p + 3] - mean) * inverse * s.w + o.w;
            hi[p][r] = split_high(v0, v1);
            hi[p][r + 2] = split_high(v2, v3);
            if (!TF32) {
                lo[p][r] = split_low(v0, v1, hi[p][r]);
                lo[p][r + 2] = split_low(v2, v3, hi[p][r + 2]);
            }
        }
    }

    /* d = rows times the block of 64 columns at this shared address, or two, `lead` bytes apart. */
    template <int N>
    __device__ __forceinline__ void multiply(float (&d)[N / 2], unsigned address, unsigned lead) const
    {
        const uint64_t w = wgmma_operand<128>(address, lead, 1024), w_lo = wgmma_advance(w, C * 128);
        if (!TF32) {
#pragma unroll
            for (int p = 0; p < C / 16; p++)
                wgmma_rs<N, WGMMA_MN_MAJOR, WGMMA_F16>(d, lo[TF32 ? 0 : p], wgmma_advance(w, p * 2048), p > 0);
#pragma unroll
            for (int p = 0; p < C / 16; p++)
                wgmma_rs<N, WGMMA_MN_MAJOR, WGMMA_F16>(d, hi[p], wgmma_advance(w_lo, p * 2048));
        }
#pragma unroll
        for (int p = 0; p < C / 16; p++)
            wgmma_rs<N, WGMMA_MN_MAJOR, WGMMA_F16>(d, hi[p], wgmma_advance(w, p * 2048), !TF32 || p > 0);
    }
};

/* Where this lane's row `row` of a tile lies. */
struct pair_at {
    int i, j;
    bool there;
    __device__ __forceinline__ pair_at(const triangle_tiling &t, unsigned tile, int row)
    {
        t.origin(tile, rows, i, j);
        i += t.i_of(row);
        j += t.j_of(row);
        there = tile < t.tiles && i < t.n_i && j < t.n_j;
    }
};

/* This lane's numbers of its two rows of z; zeros where there is none. */
template <int C>
__device__ __forceinline__ void load_pairs(float (&x)[2][C / 4], const triangle_tiling &t, unsigned tile, int row,
                                           const float *z, int64_t z_i, int64_t z_j)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const pair_at at(t, tile, row + 8 * r);
        const float *from = z + at.i * z_i + at.j * z_j + threadIdx.x % 4 * 4;
#pragma unroll
        for (int p = 0; p < C / 16; p++)
            *(float4 *)&x[r][4 * p] = at.there ? load4(from + 16 * p) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
}
#endif

/* --- projection --- */

template <int CZ, int CI, bool TF32> struct project_shared {
    weights<CZ, CI / 64 * 2, TF32> w;    /* of 64 channels the values' columns, then the gates' */
    float scale[CZ], offset[CZ], b[CI], gate_b[CI], reduction[32];
};

template <int CZ, int CI, bool TF32>
__global__ void __launch_bounds__(threads, 1) project_kernel(const __grid_constant__ triangle_project_of<float> a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    using S = project_shared<CZ, CI, TF32>;
    auto &s = *(S *)shared_memory;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, t = lane % 4;
    const int row = warp % 4 * 16 + lane / 4;

    const unsigned first = blockIdx.x * groups + (unsigned)warp / 4, step = gridDim.x * groups;
    float x[2][CZ / 4];
    load_pairs<CZ>(x, a.t, first, row, a.z, a.z_i, a.z_k);
    float factor = load_norm(s.scale, s.offset, a.scale, a.offset, CZ, s.reduction), gate_factor = factor;
    auto plain = [](int n) { return n; };
    factor *= load_weights<CZ, CI, 2, TF32>(s.w, 0, a.w, s.reduction, plain);
    gate_factor *= load_weights<CZ, CI, 2, TF32>(s.w, 1, a.gate_w, s.reduction, plain);
    for (int c = (int)threadIdx.x; c < CI; c += threads) {
        s.b[c] = a.b[c];
        s.gate_b[c] = a.gate_b[c];
    }
    shared_fence();
    __syncthreads();

#pragma unroll 1
    for (unsigned tile = first; tile < a.t.tiles; tile += step) {
        split_rows<CZ, TF32> normed;
        float mask[2];
        bool there[2];
        int i[2], k[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            normed.norm(r, x[r], s.scale, s.offset);
            const pair_at at(a.t, tile, row + 8 * r);
            mask[r] = at.there ? a.mask[at.i * a.mask_i + at.j * a.mask_k] : 0.0f;
            there[r] = at.there;
            i[r] = at.i;
            k[r] = at.j;
        }
        load_pairs<CZ>(x, a.t, tile + step, row, a.z, a.z_i, a.z_k);
#pragma unroll 1
        for (int h = 0; h < CI / 64; h++) {
            float value[32], gate[32];
            const unsigned w = shared_address(s.w.at[2 * h]);
            wgmma_fence();
            normed.template multiply<64>(value, w, 0);
            normed.template multiply<64>(gate, w + decltype(s.w)::block, 0);
            wgmma_commit();
            wgmma_wait<0>();
            wgmma_use(value);
            wgmma_use(gate);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const int c = h * 64 + 8 * j + 2 * t;
                const float2 b = *(const float2 *)(s.b + c), gate_b = *(const float2 *)(s.gate_b + c);
                const auto to = a.out.channel(c), to_next = a.out.channel(c + 1);
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const int at = 4 * j + 2 * r;
                    const float y0 = mask[r] * (value[at] * factor + b.x) * sigmoid(gate[at] * gate_factor + gate_b.x);
                    const float y1 =
                        mask[r] * (value[at + 1] * factor + b.y) * sigmoid(gate[at + 1] * gate_factor + gate_b.y);
                    if (there[r]) {
                        *to.at(i[r], k[r]) = y0;
                        *to_next.at(i[r], k[r]) = y1;
                    }
                }
            }
        }
    }
#endif
}

/* --- output --- */

template <int CI, int CZ, bool TF32> struct output_shared {
    weights<CI, CZ / 64, TF32> o_w;
    weights<CZ, CZ / 64, TF32> gate_w;
    float center_scale[CI], center_offset[CI], scale[CZ], offset[CZ], o_b[CZ], gate_b[CZ], reduction[32];
};

template <int CI, int CZ, bool TF32>
__global__ void __launch_bounds__(threads, 1) output_kernel(const __grid_constant__ triangle_output_of<float> a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    using S = output_shared<CI, CZ, TF32>;
    auto &s = *(S *)shared_memory;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, t = lane % 4;
    const int row = warp % 4 * 16 + lane / 4;

    const unsigned first = blockIdx.x * groups + (unsigned)warp / 4, step = gridDim.x * groups;
    float z[2][CZ / 4];
    load_pairs<CZ>(z, a.t, first, row, a.z, a.z_i, a.z_j);
    auto of_lane = [](int n) { return n / 16 * 16 + n % 8 / 2 * 4 + n % 16 / 8 * 2; };
    float factor = load_norm(s.center_scale, s.center_offset, a.center_scale, a.center_offset, CI, s.reduction);
    factor *= load_weights<CI, CZ, 1, TF32>(s.o_w, 0, a.o_w, s.reduction, of_lane);
    float gate_factor = load_norm(s.scale, s.offset, a.scale, a.offset, CZ, s.reduction);
    gate_factor *= load_weights<CZ, CZ, 1, TF32>(s.gate_w, 0, a.gate_w, s.reduction, of_lane);
    for (int c = (int)threadIdx.x; c < CZ; c += threads) {
        s.o_b[c] = a.o_b[c];
        s.gate_b[c] = a.gate_b[c];
    }
    shared_fence();
    __syncthreads();

#pragma unroll 1
    for (unsigned tile = first; tile < a.t.tiles; tile += step) {
        float gate[CZ / 2], o[CZ / 2], *to[2];
        split_rows<CZ, TF32> normed;
        float x[2][CI / 4];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const pair_at at(a.t, tile, row + 8 * r);
            const auto from = a.x.of(at.i, at.j);
#pragma unroll
            for (int c = 0; c < CI / 4; c++)
                x[r][c] = at.there ? *a.x.channel(from, c / 4 * 16 + 4 * t + c % 4) : 0.0f;
            to[r] = at.there ? a.z + at.i * a.z_i + at.j * a.z_j + 4 * t : nullptr;
            normed.norm(r, z[r], s.scale, s.offset);
        }
        wgmma_fence();
        normed.template multiply<CZ>(gate, shared_address(s.gate_w.at), decltype(s.gate_w)::block);
        wgmma_commit();
        split_rows<CI, TF32> centered;
#pragma unroll
        for (int r = 0; r < 2; r++)
            centered.norm(r, x[r], s.center_scale, s.center_offset);
        wgmma_wait<0>();
        wgmma_use(gate);
        wgmma_fence();
        centered.template multiply<CZ>(o, shared_address(s.o_w.at), decltype(s.o_w)::block);
        wgmma_commit();
#pragma unroll
        for (int c = 0; c < CZ / 2; c++)
            gate[c] = sigmoid(gate[c] * gate_factor + s.gate_b[c / 8 * 16 + 4 * t + c / 4 % 2 * 2 + c % 2]);
        wgmma_wait<0>();
        wgmma_use(o);
        load_pairs<CZ>(z, a.t, tile + step, row, a.z, a.z_i, a.z_j);
#pragma unroll
        for (int r = 0; r < 2; r++)
#pragma unroll
            for (int p = 0; p < CZ / 16; p++) {
                if (!to[r])
                    continue;
                const float4 b = load4(s.o_b + 16 * p + 4 * t);
                const int at = 8 * p + 2 * r;
                float4 v = load4(to[r] + 16 * p);
                v.x += (o[at] * factor + b.x) * gate[at];
                v.y += (o[at + 1] * factor + b.y) * gate[at + 1];
                v.z += (o[at + 4] * factor + b.z) * gate[at + 4];
                v.w += (o[at + 5] * factor + b.w) * gate[at + 5];
                store4(to[r] + 16 * p, v);
            }
    }
#endif
}

template <int CZ, int CI, bool TF32> bool project(struct ff_backend *be, const triangle_project_of<float> &job)
{
    return triangle_launch<project_shared<CZ, CI, TF32>>(be, project_kernel<CZ, CI, TF32>, job, threads, 1);
}

template <int CI, int CZ, bool TF32> bool output(struct ff_backend *be, const triangle_output_of<float> &job)
{
    return triangle_launch<output_shared<CI, CZ, TF32>>(be, output_kernel<CI, CZ, TF32>, job, threads, 1);
}

} // namespace

bool ff_cuda_triangle_project_split(struct ff_backend *be, int c_z, bool tf32, const triangle_project_of<float> &job)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    if (c_z == 128)
        return tf32 ? project<128, 128, true>(be, job) : project<128, 128, false>(be, job);
    return tf32 ? project<64, 128, true>(be, job) : project<64, 128, false>(be, job);
}

bool ff_cuda_triangle_output_split(struct ff_backend *be, int c_i, bool tf32, const triangle_output_of<float> &job)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    if (c_i == 128)
        return tf32 ? output<128, 128, true>(be, job) : output<128, 128, false>(be, job);
    return tf32 ? output<64, 128, true>(be, job) : output<64, 128, false>(be, job);
}
