/* SPDX-License-Identifier: Apache-2.0
 * triangle_float32: projection and output of triangle multiplication of float32 activations on the matrix units, one
 * pass over memory each (tf32.cuh has the arithmetic, triangle_fused.cu the formulas); on GPUs with products of
 * warpgroups those of triangle_split.cu.
 *
 * Both kernels are persistent, one block per multiprocessor: it keeps the weights in shared memory, turned to
 * [n, k], and walks over tiles of 64 pairs; while it multiplies, the lines of its next tile are fetched into the
 * second-level cache. Sixteen warps: warp w has rows 32 (w % 2) .. + 31 and an eighth of the channels.
 *   triangle_project: value and gate of the same channels side by side; the result goes through shared memory into
 *     channel-first order. z read and out written once.
 *   triangle_output: x is turned on its way into shared memory and normed there; the result is added to z's row, which
 *     is still in the caches. x and z read, z written once.
 * Cost: 4 c_z c_i and 2 c_z (c_i + c_z) flops per pair, under fp32 three times that on the matrix units; balanced
 * between those and memory. Numerics: everything in float32, products as in tf32.cuh.
 * Reference: ops_cpu_triangle.c.
 */
#include "tf32.cuh"
#include "triangle_fused.cuh"

namespace {

constexpr int threads = 512, rows = 64, column_groups = 8;

/* LN of a row of C channels, of which each of C / 4 neighbouring lanes has four. */
template <int C> __device__ __forceinline__ float4 norm4(float4 v, const float *scale, const float *offset)
{
    float sum = (v.x + v.y) + (v.z + v.w);
#pragma unroll
    for (int d = C / 8; d > 0; d >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, d);
    float mean = sum * (1.0f / C);
    v = make_float4(v.x - mean, v.y - mean, v.z - mean, v.w - mean);
    float square = (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
#pragma unroll
    for (int d = C / 8; d > 0; d >>= 1)
        square += __shfl_xor_sync(0xffffffffu, square, d);
    float inverse = 1.0f / sqrtf(square * (1.0f / C) + 1e-5f);
    float4 s = load4(scale), o = load4(offset);
    return make_float4(v.x * inverse * s.x + o.x, v.y * inverse * s.y + o.y, v.z * inverse * s.z + o.z,
                       v.w * inverse * s.w + o.w);
}

/* to[row(n)][k] = w[k, n]; w contiguous [K, N]. */
template <bool TF32, int K, int N, class Row>
__device__ __forceinline__ void load_turned(float *to, const float *w, Row &&row)
{
    for (int u = (int)threadIdx.x; u < K * N; u += threads)
        to[row(u % N) * (K + 4) + u / N] = tf32_stored<TF32>(w[u]);
}

__device__ __forceinline__ void load_floats(float *to, const float *from, int n)
{
    for (int k = (int)threadIdx.x; k < n; k += threads)
        to[k] = from[k];
}

/* The tile's rows of z, normed, as [64, C + 4]. */
template <int C>
__device__ __forceinline__ void load_normed(float *to, const triangle_tiling &t, int i0, int j0, const float *z,
                                            int64_t z_i, int64_t z_j, const float *scale, const float *offset)
{
    constexpr int per_row = C / 4, step = threads / per_row;
    const int channel = (int)threadIdx.x % per_row * 4;
    float4 v[rows / step];
#pragma unroll
    for (int p = 0; p < rows / step; p++) {
        int row = (int)threadIdx.x / per_row + p * step, i = i0 + t.i_of(row), j = j0 + t.j_of(row);
        v[p] = i < t.n_i && j < t.n_j ? load4(z + i * z_i + j * z_j + channel) : make_float4(0, 0, 0, 0);
    }
#pragma unroll
    for (int p = 0; p < rows / step; p++)
        store4(to + ((int)threadIdx.x / per_row + p * step) * (C + 4) + channel,
               norm4<C>(v[p], scale + channel, offset + channel));
}

/* Towards the second-level cache: the rows of z of a later tile. */
template <int C>
__device__ __forceinline__ void prefetch_rows(const triangle_tiling &t, unsigned tile, const float *z, int64_t z_i,
                                              int64_t z_j)
{
    constexpr int per_row = C / 32;
    if (tile >= t.tiles)
        return;
    int i0, j0;
    t.origin(tile, rows, i0, j0);
    for (int u = (int)threadIdx.x; u < rows * per_row; u += threads) {
        int i = i0 + t.i_of(u / per_row), j = j0 + t.j_of(u / per_row);
        if (i < t.n_i && j < t.n_j)
            prefetch_line(z + i * z_i + j * z_j + u % per_row * 32);
    }
}

/* --- projection --- */

template <int CZ, int CI, bool TF32> struct project_shared {
    static constexpr int pitch = CZ + 4, out_pitch = rows + 4;
    float w[2 * CI * pitch];             /* of each eighth of the channels the values' columns, then the gates' */
    float z[rows * pitch], out[CI * out_pitch], mask[rows];
    float scale[CZ], offset[CZ], b[CI], gate_b[CI];
};

template <int CZ, int CI, bool TF32>
__global__ void __launch_bounds__(threads, 1) project_kernel(const __grid_constant__ triangle_project_of<float> a)
{
    extern __shared__ uint4 shared_memory[];
    using S = project_shared<CZ, CI, TF32>;
    auto &s = *(S *)shared_memory;
    constexpr int mine = CI / column_groups, n_tiles = mine / 8;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;

    load_turned<TF32, CZ, CI>(s.w, a.w, [](int c) { return c / mine * 2 * mine + c % mine; });
    load_turned<TF32, CZ, CI>(s.w, a.gate_w, [](int c) { return c / mine * 2 * mine + mine + c % mine; });
    load_floats(s.scale, a.scale, CZ);
    load_floats(s.offset, a.offset, CZ);
    load_floats(s.b, a.b, CI);
    load_floats(s.gate_b, a.gate_b, CI);
    __syncthreads();

    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x) {
        int i0, k0;
        a.t.origin(tile, rows, i0, k0);
        if (threadIdx.x < rows) {
            int row = (int)threadIdx.x, i = i0 + a.t.i_of(row), k = k0 + a.t.j_of(row);
            s.mask[row] = i < a.t.n_i && k < a.t.n_j ? a.mask[i * a.mask_i + k * a.mask_k] : 0.0f;
        }
        load_normed<CZ>(s.z, a.t, i0, k0, a.z, a.z_i, a.z_k, s.scale, s.offset);
        __syncthreads();
        prefetch_rows<CZ>(a.t, tile + gridDim.x, a.z, a.z_i, a.z_k);

        const int row0 = warp % 2 * 32, group = warp / 2;
        float sum[2][2 * n_tiles][4] = {};
        tf32_multiply_long<TF32, 2, 2 * n_tiles, CZ>(sum, tf32_a_address(s.z, S::pitch, row0, 0), S::pitch,
                                                     tf32_b_address(s.w, S::pitch, group * 2 * mine, 0), S::pitch);
#pragma unroll
        for (int n = 0; n < n_tiles; n++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                int c = group * mine + 8 * n + lane % 4 * 2 + e;
                float b = s.b[c], gate_b = s.gate_b[c];
#pragma unroll
                for (int m = 0; m < 4; m++) {
                    int row = row0 + 8 * m + lane / 4, at = m % 2 * 2 + e;
                    s.out[c * S::out_pitch + row] = s.mask[row] * (sum[m / 2][n][at] + b) *
                                                    sigmoid(sum[m / 2][n_tiles + n][at] + gate_b);
                }
            }
        __syncthreads();

        /* channel first: sixteen threads write 64 pairs of one channel */
        int row = (int)threadIdx.x % 16 * 4, i = i0 + a.t.i_of(row), k = k0 + a.t.j_of(row);
        if (i < a.t.n_i && k < a.t.n_j) {
            int left = a.t.n_j - k;
#pragma unroll
            for (int c = (int)threadIdx.x / 16; c < CI; c += threads / 16) {
                float4 v = load4(s.out + c * S::out_pitch + row);
                float *at = a.out.channel(c).at(i, k);
                if (a.out.wide && left >= 4) {
                    store4(at, v);
                    continue;
                }
                at[0] = v.x;
                if (left > 1)
                    at[1] = v.y;
                if (left > 2)
                    at[2] = v.z;
                if (left > 3)
                    at[3] = v.w;
            }
        }
    }
}

/* --- output --- */

template <int CI, int CZ, bool TF32> struct output_shared {
    static constexpr int x_pitch = CI + 4, z_pitch = CZ + 4;
    float o_w[CZ * x_pitch], gate_w[CZ * z_pitch], x[rows * x_pitch], z[rows * z_pitch];
    float center_scale[CI], center_offset[CI], scale[CZ], offset[CZ], o_b[CZ], gate_b[CZ];
};

template <int CI, int CZ, bool TF32>
__global__ void __launch_bounds__(threads, 1) output_kernel(const __grid_constant__ triangle_output_of<float> a)
{
    extern __shared__ uint4 shared_memory[];
    using S = output_shared<CI, CZ, TF32>;
    auto &s = *(S *)shared_memory;
    constexpr int mine = CZ / column_groups, n_tiles = mine / 8;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;

    load_turned<TF32, CI, CZ>(s.o_w, a.o_w, [](int c) { return c; });
    load_turned<TF32, CZ, CZ>(s.gate_w, a.gate_w, [](int c) { return c; });
    load_floats(s.center_scale, a.center_scale, CI);
    load_floats(s.center_offset, a.center_offset, CI);
    load_floats(s.scale, a.scale, CZ);
    load_floats(s.offset, a.offset, CZ);
    load_floats(s.o_b, a.o_b, CZ);
    load_floats(s.gate_b, a.gate_b, CZ);
    __syncthreads();

    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x) {
        int i0, j0;
        a.t.origin(tile, rows, i0, j0);

        /* A warp reads 16 pairs of eight channels at a time. */
#pragma unroll
        for (int u = warp; u < CI / 2; u += threads / 32) {
            int c = u / 4 * 8 + lane / 4, row = u % 4 * 16 + lane % 4 * 4;
            int i = i0 + a.t.i_of(row), j = j0 + a.t.j_of(row), left = i < a.t.n_i ? a.t.n_j - j : 0;
            const float *from = a.x.channel(a.x.of(i, j), c);
            float4 v = make_float4(0, 0, 0, 0);
            if (a.x.wide && left >= 4) {
                v = load4(from);
            } else {
                v.x = left > 0 ? from[0] : 0.0f;
                v.y = left > 1 ? from[1] : 0.0f;
                v.z = left > 2 ? from[2] : 0.0f;
                v.w = left > 3 ? from[3] : 0.0f;
            }
            float *to = s.x + row * S::x_pitch + c;
            to[0] = v.x;
            to[S::x_pitch] = v.y;
            to[2 * S::x_pitch] = v.z;
            to[3 * S::x_pitch] = v.w;
        }
        load_normed<CZ>(s.z, a.t, i0, j0, a.z, a.z_i, a.z_j, s.scale, s.offset);
        __syncthreads();
        constexpr int per_row = CI / 4;
        const int channel = (int)threadIdx.x % per_row * 4;
#pragma unroll
        for (int row = (int)threadIdx.x / per_row; row < rows; row += threads / per_row) {
            float *at = s.x + row * S::x_pitch + channel;
            store4(at, norm4<CI>(load4(at), s.center_scale + channel, s.center_offset + channel));
        }
        __syncthreads();

        unsigned next = tile + gridDim.x;
        prefetch_rows<CZ>(a.t, next, a.z, a.z_i, a.z_j);
        if (next < a.t.tiles && threadIdx.x < 2 * CI) {
            int i, j, row = (int)threadIdx.x % 2 * 32;
            a.t.origin(next, rows, i, j);
            i += a.t.i_of(row);
            j += a.t.j_of(row);
            if (i < a.t.n_i && j < a.t.n_j)
                prefetch_line(a.x.channel(a.x.of(i, j), (int)threadIdx.x / 2));
        }

        const int row0 = warp % 2 * 32, column0 = warp / 2 * mine;
        float o[2][n_tiles][4] = {}, g[2][n_tiles][4] = {};
        tf32_multiply_long<TF32, 2, n_tiles, CI>(o, tf32_a_address(s.x, S::x_pitch, row0, 0), S::x_pitch,
                                                 tf32_b_address(s.o_w, S::x_pitch, column0, 0), S::x_pitch);
        tf32_multiply_long<TF32, 2, n_tiles, CZ>(g, tf32_a_address(s.z, S::z_pitch, row0, 0), S::z_pitch,
                                                 tf32_b_address(s.gate_w, S::z_pitch, column0, 0), S::z_pitch);
#pragma unroll
        for (int m = 0; m < 4; m++) {
            int row = row0 + 8 * m + lane / 4, i = i0 + a.t.i_of(row), j = j0 + a.t.j_of(row), at = m % 2 * 2;
            if (i >= a.t.n_i || j >= a.t.n_j)
                continue;
#pragma unroll
            for (int n = 0; n < n_tiles; n++) {
                int c = column0 + 8 * n + lane % 4 * 2;
                float2 *to = (float2 *)(a.z + i * a.z_i + j * a.z_j + c), z = *to;
                z.x += (o[m / 2][n][at] + s.o_b[c]) * sigmoid(g[m / 2][n][at] + s.gate_b[c]);
                z.y += (o[m / 2][n][at + 1] + s.o_b[c + 1]) * sigmoid(g[m / 2][n][at + 1] + s.gate_b[c + 1]);
                *to = z;
            }
        }
        __syncthreads();
    }
}

const float *floats_of(struct ff_backend *be, const struct ff_tensor *t)
{
    return (const float *)ff_cuda_as_type(be, t, FF_F32);
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

bool ff_cuda_triangle_project_float32(struct ff_backend *be, const struct ff_triangle_project_args *a)
{
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    bool tf32 = be->precision == FF_PRECISION_TF32;
    if (a->z.dtype != FF_F32 || a->out.dtype != FF_F32 || (c_z != 64 && c_z != 128) || c_i != 128 ||
        !ff_cuda_aligned(&a->z, 4) || a->out.stride[2] != 1 || !triangle_fits(&a->z))
        return false;
    ff_cuda_mark mark(be);
    auto job = triangle_project_in(a, floats_of(be, &a->w), floats_of(be, &a->gate_w), rows);
    if (ff_cuda_triangle_project_split(be, (int)c_z, tf32, job))
        return true;
    if (c_z == 128)
        return tf32 ? project<128, 128, true>(be, job) : project<128, 128, false>(be, job);
    return tf32 ? project<64, 128, true>(be, job) : project<64, 128, false>(be, job);
}

bool ff_cuda_triangle_output_float32(struct ff_backend *be, const struct ff_triangle_output_args *a)
{
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    bool tf32 = be->precision == FF_PRECISION_TF32;
    if (a->out.dtype != FF_F32 || a->x.dtype != FF_F32 || (c_i != 64 && c_i != 128) || c_z != 128 ||
        !ff_cuda_aligned(&a->out, 4) || a->x.stride[2] != 1 || !triangle_fits(&a->out))
        return false;
    ff_cuda_mark mark(be);
    auto job = triangle_output_in(a, floats_of(be, &a->o_w), floats_of(be, &a->gate_w), rows);
    if (ff_cuda_triangle_output_split(be, (int)c_i, tf32, job))
        return true;
    if (c_i == 128)
        return tf32 ? output<128, 128, true>(be, job) : output<128, 128, false>(be, job);
    return tf32 ? output<64, 128, true>(be, job) : output<64, 128, false>(be, job);
}
