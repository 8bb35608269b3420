/* SPDX-License-Identifier: Apache-2.0
 * triangle_fused: projection and output of triangle multiplication in bf16, one pass over memory each.
 *
 * Both kernels are persistent: a block keeps the weights in shared memory and walks over tiles of pairs, two blocks per
 * multiprocessor so that one loads while the other multiplies. A tile is [ti, tj] pairs, ti * tj = rows, with tj chosen
 * so that little of the last tile is wasted; eight neighbouring pairs of a tile have one i, so that channel-first
 * tensors move in pieces of 16 bytes where their rows are aligned to that.
 *
 * triangle_project (Alg. 11, 12 lines 1-2): out[c, i, k] = mask (LN(z) W + b) sigmoid(LN(z) Wg + bg).
 *   Rows: 128 pairs. A half (or quarter) warp reads and norms one pair's channels. Warp w multiplies rows
 *   32 (w % 4) .. + 31 with half of the channels, value and gate of the same channels side by side, so that the gate is
 *   applied to the accumulators; the result goes through shared memory into channel-first order.
 *   Cost: z read and out written once, 4 c_z c_i flops per pair; balanced between memory and mma.sync at 128 channels.
 * triangle_output (Alg. 11, 12 lines 3-4): z += (LN(x) Wo + bo) sigmoid(LN(z) Wg + bg), x channel first.
 *   Rows: 64 pairs. x is normed where it lies, [c_i, 64], and read as the transposed operand. Warp w multiplies rows
 *   32 (w % 2) .. + 31 with a quarter of the channels, both products; the result is added to z's row while that is
 *   still
 *   in registers. Cost: x and z read, z written once; 2 c_z (c_i + c_z) flops per pair.
 * Numerics: layer norms, sums and gates in float32, operands of the products rounded to bf16.
 * Reference: ops_cpu_triangle.c.
 */
#include "mma.cuh"
#include "triangle_fused.cuh"

struct triangle_tiling ff_cuda_triangle_tiling(const struct ff_tensor *z, int rows)
{
    int64_t n_i = z->shape[0], n_j = z->shape[1];
    auto count = [&](int shift) {
        int64_t tj = 1 << shift, ti = rows / tj;
        return ((n_i + ti - 1) / ti) * ((n_j + tj - 1) / tj);
    };
    int top = 0;
    while (2 << top <= rows)
        top++;
    int64_t least = count(top);
    for (int s = 3; s < top; s++)
        least = count(s) < least ? count(s) : least;
    int shift = top;
    while (shift > 3 && count(shift) * 20 > least * 21)
        shift--;
    int64_t tj = 1 << shift;
    return {(int)n_i, (int)n_j, shift, (int)((n_j + tj - 1) / tj), (unsigned)count(shift)};
}

namespace {

constexpr int threads = 256;

/* w[k][0 .. n) of a block's threads from a contiguous [K, N], 16 bytes at a time. */
template <int K, int N>
__device__ __forceinline__ void load_weights(bf16 *to, int pitch, const bf16 *from)
{
    for (int u = (int)threadIdx.x; u < K * N / 8; u += threads) {
        int k = u / (N / 8), n = u % (N / 8) * 8;
        *(uint4 *)(to + k * pitch + n) = *(const uint4 *)(from + k * N + n);
    }
}

__device__ __forceinline__ void load_floats(float *to, const float *from, int n)
{
    for (int k = (int)threadIdx.x; k < n; k += threads)
        to[k] = from[k];
}

/* --- projection --- */

constexpr int project_rows = 128;

template <int CZ, int CI>
struct project_shared {
    static constexpr int w_pitch = 2 * CI + 8, z_pitch = CZ + 8, out_pitch = project_rows + 8;
    static constexpr int tile = project_rows * z_pitch > CI * out_pitch ? project_rows * z_pitch : CI * out_pitch;
    bf16 w[CZ * w_pitch];                /* [c_z, value channels, gate channels] */
    bf16 tile_data[tile];                /* the normed rows [128, c_z], then the result [c_i, 128] */
    float scale[CZ], offset[CZ], b[CI], gate_b[CI], mask[project_rows];
};

template <int CZ, int CI>
__global__ void __launch_bounds__(threads, 2) triangle_project_kernel(const __grid_constant__ triangle_project_job a)
{
    extern __shared__ uint4 shared_memory[];
    auto &s = *(project_shared<CZ, CI> *)shared_memory;
    using S = project_shared<CZ, CI>;
    constexpr int per_row = CZ / 8, row_step = 32 / per_row, passes = 16 / row_step, k_steps = CZ / 16;
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;

    load_weights<CZ, CI>(s.w, S::w_pitch, a.w);
    load_weights<CZ, CI>(s.w + CI, S::w_pitch, a.gate_w);
    load_floats(s.scale, a.scale, CZ);
    load_floats(s.offset, a.offset, CZ);
    load_floats(s.b, a.b, CI);
    load_floats(s.gate_b, a.gate_b, CI);
    __syncthreads();

    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x) {
        int i0, k0;
        a.t.origin(tile, project_rows, i0, k0);

        /* layer norm: warp w has rows 16 w .. + 15 */
        int channel = lane % per_row * 8;
        uint4 raw[passes];
#pragma unroll
        for (int p = 0; p < passes; p++) {
            int row = warp * 16 + p * row_step + lane / per_row, i = i0 + a.t.i_of(row), k = k0 + a.t.j_of(row);
            raw[p] = make_uint4(0, 0, 0, 0);
            if (i < a.t.n_i && k < a.t.n_j)
                raw[p] = *(const uint4 *)(a.z + i * a.z_i + k * a.z_k + channel);
        }
        if (threadIdx.x < project_rows) {
            int row = (int)threadIdx.x, i = i0 + a.t.i_of(row), k = k0 + a.t.j_of(row);
            s.mask[row] = i < a.t.n_i && k < a.t.n_j ? a.mask[i * a.mask_i + k * a.mask_k] : 0.0f;
        }
#pragma unroll
        for (int p = 0; p < passes; p++) {
            int row = warp * 16 + p * row_step + lane / per_row;
            *(uint4 *)(s.tile_data + row * S::z_pitch + channel) =
                norm_row<CZ>(raw[p], s.scale + channel, s.offset + channel);
        }
        __syncthreads();

        /* products: the rows' fragments stay in registers, so that the tile's memory can take the result */
        int row0 = warp % 4 * 32, column0 = warp / 4 * (CI / 2);
        unsigned x[2][k_steps][4];
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int k = 0; k < k_steps; k++)
                ldmatrix_x4(x[m][k], mma_a_address(s.tile_data, S::z_pitch, row0 + 16 * m, 16 * k));
        __syncthreads();
        float mask[4];
#pragma unroll
        for (int m = 0; m < 4; m++)
            mask[m] = s.mask[row0 + 8 * m + lane / 4];
#pragma unroll 1
        for (int column = column0; column < column0 + CI / 2; column += 16) {
            float value[2][2][4] = {}, gate[2][2][4] = {};
            unsigned w_address = mma_b_address(s.w, S::w_pitch, 0, column);
#pragma unroll
            for (int k = 0; k < k_steps; k++) {
                unsigned wv[4], wg[4];
                ldmatrix_x4_trans(wv, w_address + (unsigned)(16 * k * S::w_pitch) * 2u);
                ldmatrix_x4_trans(wg, w_address + (unsigned)(16 * k * S::w_pitch + CI) * 2u);
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    mma_bf16(value[m][0], x[m][k], wv[0], wv[1]);
                    mma_bf16(value[m][1], x[m][k], wv[2], wv[3]);
                    mma_bf16(gate[m][0], x[m][k], wg[0], wg[1]);
                    mma_bf16(gate[m][1], x[m][k], wg[2], wg[3]);
                }
            }
#pragma unroll
            for (int n = 0; n < 2; n++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int c = column + 8 * n + lane % 4 * 2 + e;
                    float b = s.b[c], gate_b = s.gate_b[c];
                    bf16 *to = s.tile_data + c * S::out_pitch + row0 + lane / 4;
#pragma unroll
                    for (int m = 0; m < 2; m++)
#pragma unroll
                        for (int half = 0; half < 2; half++) {
                            float v = value[m][n][2 * half + e] + b, g = gate[m][n][2 * half + e] + gate_b;
                            to[16 * m + 8 * half] = __float2bfloat16_rn(mask[2 * m + half] * v * fast_sigmoid(g));
                        }
                }
        }
        __syncthreads();

        /* channel first: sixteen threads write 128 pairs of one channel */
        int row = (int)threadIdx.x % 16 * 8, i = i0 + a.t.i_of(row), k = k0 + a.t.j_of(row);
        if (i < a.t.n_i && k < a.t.n_j) {
            bool whole = a.out.wide && k + 8 <= a.t.n_j;
            int left = a.t.n_j - k < 8 ? a.t.n_j - k : 8;
            for (int c = (int)threadIdx.x / 16; c < CI; c += threads / 16) {
                const bf16 *from = s.tile_data + c * S::out_pitch + row;
                bf16 *to = a.out.channel(c).at(i, k);
                if (whole) {
                    *(uint4 *)to = *(const uint4 *)from;
                } else {
                    for (int e = 0; e < left; e++)
                        to[e] = from[e];
                }
            }
        }
        __syncthreads();
    }
}

/* --- output --- */

constexpr int output_rows = 64;

template <int CI, int CZ>
struct output_shared {
    static constexpr int w_pitch = CZ + 8, x_pitch = output_rows + 8, z_pitch = CZ + 8, result_pitch = CZ + 8;
    static constexpr int operands = (CI * x_pitch + output_rows * z_pitch) * 2;
    static constexpr int results = output_rows * result_pitch * 4;
    bf16 o_w[CI * w_pitch], gate_w[CZ * w_pitch];
    uint4 tile[(operands > results ? operands : results) / 16];  /* x [c_i, 64], z [64, c_z]; then result [64, c_z] */
    float center_scale[CI], center_offset[CI], scale[CZ], offset[CZ], o_b[CZ], gate_b[CZ];
};

template <int CI, int CZ>
__global__ void __launch_bounds__(threads, 2) triangle_output_kernel(const __grid_constant__ triangle_output_job a)
{
    extern __shared__ uint4 shared_memory[];
    auto &s = *(output_shared<CI, CZ> *)shared_memory;
    using S = output_shared<CI, CZ>;
    constexpr int per_row = CZ / 8, row_step = 32 / per_row, passes = 8 / row_step, n_tiles = CZ / 32;
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    bf16 *x_tile = (bf16 *)s.tile, *z_tile = x_tile + CI * S::x_pitch;
    float *result = (float *)s.tile;

    load_weights<CI, CZ>(s.o_w, S::w_pitch, a.o_w);
    load_weights<CZ, CZ>(s.gate_w, S::w_pitch, a.gate_w);
    load_floats(s.center_scale, a.center_scale, CI);
    load_floats(s.center_offset, a.center_offset, CI);
    load_floats(s.scale, a.scale, CZ);
    load_floats(s.offset, a.offset, CZ);
    load_floats(s.o_b, a.o_b, CZ);
    load_floats(s.gate_b, a.gate_b, CZ);
    __syncthreads();

    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x) {
        int i0, j0;
        a.t.origin(tile, output_rows, i0, j0);

        /* x as it lies: eight threads read 64 pairs of one channel */
        {
            int row = (int)threadIdx.x % 8 * 8, i = i0 + a.t.i_of(row), j = j0 + a.t.j_of(row);
            int left = i < a.t.n_i ? a.t.n_j - j : 0;
            const auto at_pair = a.x.of(i, j);
#pragma unroll
            for (int p = 0; p < CI * 8 / threads; p++) {
                int c = (int)threadIdx.x / 8 + p * (threads / 8);
                const unsigned short *h = (const unsigned short *)a.x.channel(at_pair, c);
                uint4 v = make_uint4(0, 0, 0, 0);
                if (a.x.wide && left >= 8) {
                    v = *(const uint4 *)h;
                } else if (left > 0) {
                    unsigned e[8];
#pragma unroll
                    for (int k = 0; k < 8; k++)
                        e[k] = k < left ? h[k] : 0u;
                    v = make_uint4(e[0] | e[1] << 16, e[2] | e[3] << 16, e[4] | e[5] << 16, e[6] | e[7] << 16);
                }
                *(uint4 *)(x_tile + c * S::x_pitch + row) = v;
            }
        }

        /* z, normed; the rows themselves stay in registers for the addition at the end */
        int channel = lane % per_row * 8;
        uint4 raw[passes];
#pragma unroll
        for (int p = 0; p < passes; p++) {
            int row = warp * 8 + p * row_step + lane / per_row, i = i0 + a.t.i_of(row), j = j0 + a.t.j_of(row);
            raw[p] = make_uint4(0, 0, 0, 0);
            if (i < a.t.n_i && j < a.t.n_j)
                raw[p] = *(const uint4 *)(a.z + i * a.z_i + j * a.z_j + channel);
        }
#pragma unroll
        for (int p = 0; p < passes; p++) {
            int row = warp * 8 + p * row_step + lane / per_row;
            *(uint4 *)(z_tile + row * S::z_pitch + channel) =
                norm_row<CZ>(raw[p], s.scale + channel, s.offset + channel);
        }
        __syncthreads();

        /* LN of x down the channels: a lane has a pair of rows and every eighth channel, eight lanes make the sums */
        {
            constexpr int n = CI / 8;
            unsigned *at = (unsigned *)(x_tile + lane / 4 * S::x_pitch) + warp * 4 + lane % 4, v[n];
            float2 mean, inverse;
#pragma unroll
            for (int k = 0; k < n; k++)
                v[k] = at[k * 8 * S::x_pitch / 2];
            column_moments<CI, 4>(v, mean, inverse);
#pragma unroll
            for (int k = 0; k < n; k++) {
                float g = s.center_scale[k * 8 + lane / 4], o = s.center_offset[k * 8 + lane / 4];
                at[k * 8 * S::x_pitch / 2] = pack2((low_half(v[k]) - mean.x) * inverse.x * g + o,
                                                   (high_half(v[k]) - mean.y) * inverse.y * g + o);
            }
        }
        __syncthreads();

        int row0 = warp % 2 * 32, column0 = warp / 2 * (CZ / 4);
        float o[2][n_tiles][4] = {}, g[2][n_tiles][4] = {};
        unsigned x_address = mma_a_trans_address(x_tile, S::x_pitch, row0, 0);
        unsigned z_address = mma_a_address(z_tile, S::z_pitch, row0, 0);
        unsigned o_address = mma_b_address(s.o_w, S::w_pitch, 0, column0);
        unsigned g_address = mma_b_address(s.gate_w, S::w_pitch, 0, column0);
#pragma unroll 2
        for (int k = 0; k < CI; k += 16) {
            unsigned m0[4], m1[4];
            ldmatrix_x4_trans(m0, x_address + (unsigned)(k * S::x_pitch) * 2u);
            ldmatrix_x4_trans(m1, x_address + (unsigned)(k * S::x_pitch + 16) * 2u);
#pragma unroll
            for (int n = 0; n < n_tiles; n += 2) {
                unsigned w[4];
                ldmatrix_x4_trans(w, o_address + (unsigned)(k * S::w_pitch + 8 * n) * 2u);
                mma_bf16(o[0][n], m0, w[0], w[1]);
                mma_bf16(o[0][n + 1], m0, w[2], w[3]);
                mma_bf16(o[1][n], m1, w[0], w[1]);
                mma_bf16(o[1][n + 1], m1, w[2], w[3]);
            }
        }
#pragma unroll 2
        for (int k = 0; k < CZ; k += 16) {
            unsigned m0[4], m1[4];
            ldmatrix_x4(m0, z_address + (unsigned)k * 2u);
            ldmatrix_x4(m1, z_address + (unsigned)(16 * S::z_pitch + k) * 2u);
#pragma unroll
            for (int n = 0; n < n_tiles; n += 2) {
                unsigned w[4];
                ldmatrix_x4_trans(w, g_address + (unsigned)(k * S::w_pitch + 8 * n) * 2u);
                mma_bf16(g[0][n], m0, w[0], w[1]);
                mma_bf16(g[0][n + 1], m0, w[2], w[3]);
                mma_bf16(g[1][n], m1, w[0], w[1]);
                mma_bf16(g[1][n + 1], m1, w[2], w[3]);
            }
        }
        __syncthreads();
#pragma unroll
        for (int n = 0; n < n_tiles; n++) {
            int c = column0 + 8 * n + lane % 4 * 2;
            float b0 = s.o_b[c], b1 = s.o_b[c + 1], gate_b0 = s.gate_b[c], gate_b1 = s.gate_b[c + 1];
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float v0 = (o[m][n][2 * half] + b0) * fast_sigmoid(g[m][n][2 * half] + gate_b0);
                    float v1 = (o[m][n][2 * half + 1] + b1) * fast_sigmoid(g[m][n][2 * half + 1] + gate_b1);
                    int row = row0 + 16 * m + 8 * half + lane / 4;
                    *(float2 *)(result + row * S::result_pitch + c) = make_float2(v0, v1);
                }
        }
        __syncthreads();
#pragma unroll
        for (int p = 0; p < passes; p++) {
            int row = warp * 8 + p * row_step + lane / per_row, i = i0 + a.t.i_of(row), j = j0 + a.t.j_of(row);
            if (i < a.t.n_i && j < a.t.n_j) {
                float x[8];
                unpack8(x, raw[p]);
                const float *add = result + row * S::result_pitch + channel;
                float4 lo = load4(add), hi = load4(add + 4);
                x[0] += lo.x;
                x[1] += lo.y;
                x[2] += lo.z;
                x[3] += lo.w;
                x[4] += hi.x;
                x[5] += hi.y;
                x[6] += hi.z;
                x[7] += hi.w;
                *(uint4 *)(a.z + i * a.z_i + j * a.z_j + channel) = pack8(x);
            }
        }
        __syncthreads();
    }
}

bool aligned16(const void *p) { return ((uintptr_t)p & 15) == 0; }

/* Contiguous bf16 weights at a multiple of 16 bytes, converted where they are float32. */
const bf16 *weights_of(struct ff_backend *be, const struct ff_tensor *w)
{
    return (const bf16 *)ff_cuda_as_type(be, w, FF_BF16);
}

bool usual(int64_t c) { return c == 64 || c == 128; }

} // namespace

bool ff_cuda_triangle_project_fused(struct ff_backend *be, const struct ff_triangle_project_args *a)
{
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    if (!ff_is_bf16(&a->z) || !ff_is_bf16(&a->out) || !usual(c_z) || !usual(c_i) || !ff_cuda_aligned(&a->z, 8) ||
        a->out.stride[2] != 1 || !triangle_fits(&a->z))
        return false;
    ff_cuda_mark mark(be);
    const bf16 *w = weights_of(be, &a->w), *gate_w = weights_of(be, &a->gate_w);
    if (!aligned16(w) || !aligned16(gate_w))
        return false;
    bool wgmma = ff_cuda_has_wgmma(be);
    triangle_project_job p = triangle_project_in(a, w, gate_w, wgmma ? triangle_wgmma_rows : project_rows);
    if (wgmma)
        return ff_cuda_triangle_project_wgmma(be, (int)c_z, (int)c_i, &p);
    if (c_z == 128 && c_i == 128)
        return triangle_launch<project_shared<128, 128>>(be, triangle_project_kernel<128, 128>, p, threads, 2);
    if (c_z == 128)
        return triangle_launch<project_shared<128, 64>>(be, triangle_project_kernel<128, 64>, p, threads, 2);
    if (c_i == 128)
        return triangle_launch<project_shared<64, 128>>(be, triangle_project_kernel<64, 128>, p, threads, 2);
    return triangle_launch<project_shared<64, 64>>(be, triangle_project_kernel<64, 64>, p, threads, 2);
}

bool ff_cuda_triangle_output_fused(struct ff_backend *be, const struct ff_triangle_output_args *a)
{
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    if (!ff_is_bf16(&a->out) || !ff_is_bf16(&a->x) || !usual(c_z) || !usual(c_i) || !ff_cuda_aligned(&a->out, 8) ||
        a->x.stride[2] != 1 || !triangle_fits(&a->out))
        return false;
    ff_cuda_mark mark(be);
    const bf16 *o_w = weights_of(be, &a->o_w), *gate_w = weights_of(be, &a->gate_w);
    if (!aligned16(o_w) || !aligned16(gate_w))
        return false;
    triangle_output_job p = triangle_output_in(a, o_w, gate_w, output_rows);
    static_assert(output_rows == triangle_wgmma_rows, "the tiling serves both");
    if (ff_cuda_triangle_output_wgmma(be, (int)c_i, (int)c_z, &p))
        return true;
    if (c_i == 128 && c_z == 128)
        return triangle_launch<output_shared<128, 128>>(be, triangle_output_kernel<128, 128>, p, threads, 2);
    if (c_i == 128)
        return triangle_launch<output_shared<128, 64>>(be, triangle_output_kernel<128, 64>, p, threads, 2);
    if (c_z == 128)
        return triangle_launch<output_shared<64, 128>>(be, triangle_output_kernel<64, 128>, p, threads, 2);
    return triangle_launch<output_shared<64, 64>>(be, triangle_output_kernel<64, 64>, p, threads, 2);
}
