/* SPDX-License-Identifier: Apache-2.0
 * opm_float32: outer product mean of float32 activations for 32 outer channels and 128 of the pair, on the matrix units
 * (see opm.cu for the whole, tf32.cuh for the arithmetic).
 *
 * The operands of the first product are turned so that the sequences lie inside, [(residue, channel), sequence], which
 * the library multiplies fastest; under fp32 they are split into TF32 numbers on the way, [hi | hi | lo] and
 * [hi | lo | hi], once for many tiles. The outer products p of a tile of pairs stay in the second-level cache.
 * mean_kernel then multiplies the 32 pieces of each pair with W where they lie and adds the result to z.
 * Cost: 2 C C (S + c_z) flops per pair, under fp32 three times that on the matrix units; bound by the products.
 * Numerics: sums in float32; under fp32 those of W over 32 numbers at a time, which are then added.
 */
#include <algorithm>

#include "opm.cuh"
#include "tf32.cuh"

namespace {

constexpr int threads = opm_threads, rows_per_block = 64, side = 32;

/* --- operands --- */

/* What is kept of a number, side by side: itself, the nearest TF32 number, or the parts of a split. */
enum turned { WHOLE, ROUNDED, HI_HI_LO, HI_LO_HI };

/* y[r C + c, part * n_s_padded + s] = part of x[s, r0 + r, c]; zeros behind the last sequence. A block turns a square
 * of 32 sequences times 32 channels of one residue. */
__global__ void turn_kernel(float *y, int64_t ld, const float *x, int64_t x_s, int64_t x_r, int n_s, int n_s_padded,
                            enum turned how)
{
    __shared__ float square[side][side + 1];
    int s0 = (int)blockIdx.y * side;
    x += blockIdx.x * x_r + threadIdx.x;
    for (int line = (int)threadIdx.y; line < side; line += (int)blockDim.y)
        square[line][threadIdx.x] = s0 + line < n_s ? x[(s0 + line) * x_s] : 0.0f;
    __syncthreads();
    int s = s0 + (int)threadIdx.x;
    if (s >= n_s_padded)
        return;
    y += (int64_t)blockIdx.x * side * ld + s;
    for (int line = (int)threadIdx.y; line < side; line += (int)blockDim.y) {
        float v = square[threadIdx.x][line], *to = y + line * ld;
        float hi = __uint_as_float(to_tf32(v)), lo = __uint_as_float(to_tf32(v - hi));
        to[0] = how == WHOLE ? v : hi;
        if (how == WHOLE || how == ROUNDED)
            continue;
        to[n_s_padded] = how == HI_HI_LO ? hi : lo;
        to[2 * n_s_padded] = how == HI_HI_LO ? lo : hi;
    }
}

void turn(struct ff_backend *be, float *y, const float *x, int64_t x_s, int64_t x_r, int64_t n_r, int64_t n_s,
          int64_t n_s_padded, enum turned how)
{
    turn_kernel<<<dim3((unsigned)n_r, ff_blocks(n_s_padded, side)), dim3(side, 8), 0, ff_cuda_stream(be)>>>(
        y, (how == WHOLE || how == ROUNDED ? 1 : 3) * n_s_padded, x, x_s, x_r, (int)n_s, (int)n_s_padded, how);
    FF_CUDA_LAUNCHED();
}

/* --- mean --- */

constexpr int stages = 3, pitch = opm_outer + 4;

struct mean_job {
    float *z;                    /* the tile's first pair */
    int64_t z_i, z_j;
    const float *p;              /* [ti * 32, ld]: [(i, c), (j, e)] */
    int ld;
    const float *w;              /* [128, 1024], turned */
    const float *bias;
    mask_bits bits;
    int i0, j0, n_i, n_j;        /* the tile; its pairs are numbered i * n_j + j */
};

struct mean_stage {
    float p[rows_per_block * pitch], w[opm_channels * pitch];    /* of one c: [64 pairs, 32 e], [128, 32 e] */
};

/* A block makes 64 pairs and all channels in 32 steps of one c. Warp w has rows 32 (w % 2) .. + 31 and a quarter of the
 * channels. */
template <bool TF32> __global__ void __launch_bounds__(threads, 2) mean_kernel(const __grid_constant__ mean_job a)
{
    extern __shared__ uint4 shared_memory[];
    mean_stage *stage = (mean_stage *)shared_memory;
    __shared__ int count[threads / rows_per_block][rows_per_block];
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, pair0 = (int)blockIdx.x * rows_per_block;

    /* Thread t copies piece t % 8 of 16 bytes of the rows t / 8 + 32 r. */
    constexpr int copies = threads / 8;
    const int piece = (int)threadIdx.x % 8 * 4, line = (int)threadIdx.x / 8;
    int from[rows_per_block / copies];
#pragma unroll
    for (int r = 0; r < rows_per_block / copies; r++) {
        int pair = pair0 + line + r * copies, i = pair / a.n_j, j = pair - i * a.n_j;
        from[r] = i < a.n_i ? i * opm_outer * a.ld + j * opm_outer + piece : -1;
    }
    auto load = [&](int step) {
        mean_stage &s = stage[step % stages];
#pragma unroll
        for (int r = 0; r < rows_per_block / copies; r++)
            copy16_async(s.p + (line + r * copies) * pitch + piece, a.p + (from[r] < 0 ? 0 : from[r] + step * a.ld),
                         from[r] >= 0);
#pragma unroll
        for (int r = 0; r < opm_channels / copies; r++)
            copy16_async(s.w + (line + r * copies) * pitch + piece,
                         a.w + (line + r * copies) * opm_outer * opm_outer + step * opm_outer + piece, true);
    };
#pragma unroll
    for (int s = 0; s < stages - 1; s++) {
        load(s);
        copy_commit();
    }
    {
        int row = (int)threadIdx.x % rows_per_block, part = (int)threadIdx.x / rows_per_block;
        int pair = pair0 + row, i = pair / a.n_j, j = pair - i * a.n_j;
        count[part][row] = i < a.n_i ? a.bits.count(a.i0 + i, a.j0 + j, part, threads / rows_per_block) : 0;
    }

    const int row0 = warp % 2 * 32, column0 = warp / 2 * 32;
    float sum[2][4][4] = {};
#pragma unroll 1
    for (int step = 0; step < opm_outer; step++) {
        copy_wait<stages - 2>();
        __syncthreads();
        if (step + stages - 1 < opm_outer)
            load(step + stages - 1);
        copy_commit();
        const mean_stage &s = stage[step % stages];
        const unsigned p_address = tf32_a_address(s.p, pitch, row0, 0);
        const unsigned w_address = tf32_b_address(s.w, pitch, column0, 0);
        tf32_multiply_long<TF32, 2, 4, opm_outer>(sum, p_address, pitch, w_address, pitch);
    }
    copy_wait<0>();
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = row0 + 16 * m + 8 * half + lane / 4, pair = pair0 + row, i = pair / a.n_j, j = pair - i * a.n_j;
            if (i >= a.n_i)
                continue;
            float f = mask_factor(count[0][row] + count[1][row] + count[2][row] + count[3][row]);
            float *z = a.z + i * a.z_i + j * a.z_j;
#pragma unroll
            for (int n = 0; n < 4; n++) {
                int c = column0 + 8 * n + lane % 4 * 2;
                float2 to = *(float2 *)(z + c);
                to.x += (sum[m][n][2 * half] + a.bias[c]) * f;
                to.y += (sum[m][n][2 * half + 1] + a.bias[c + 1]) * f;
                *(float2 *)(z + c) = to;
            }
        }
}

template <bool TF32> bool prepare()
{
    static int ready = -1;
    if (ready < 0) {
        int device, most, bytes = stages * (int)sizeof(mean_stage);
        FF_CUDA(cudaGetDevice(&device));
        FF_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
        ready = bytes + 1024 <= most;
        if (ready)
            FF_CUDA(cudaFuncSetAttribute(mean_kernel<TF32>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    }
    return ready == 1;
}

template <bool TF32> void launch(struct ff_backend *be, const mean_job &job)
{
    mean_kernel<TF32><<<ff_blocks(job.n_i * job.n_j, rows_per_block), threads, stages * sizeof(mean_stage),
                        ff_cuda_stream(be)>>>(job);
    FF_CUDA_LAUNCHED();
}

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

} // namespace

bool ff_cuda_opm_float32(struct ff_backend *be, const struct ff_outer_product_mean_args *a, const mask_bits *bits)
{
    const bool tf32 = be->precision == FF_PRECISION_TF32;
    const int64_t n_s = a->a.shape[0], n_i = a->out.shape[0], n_j = a->out.shape[1], left = (int64_t)ff_cuda_left(be);
    if (a->a.dtype != FF_F32 || a->w.dtype != FF_F32 || a->out.dtype != FF_F32 || a->a.shape[2] != opm_outer ||
        a->out.shape[2] != opm_channels || !ff_cuda_aligned(&a->out, 2) || n_s == 0 || n_i == 0 || n_j == 0 ||
        !(tf32 ? prepare<true>() : prepare<false>()))
        return false;
    ff_cuda_mark mark(be);
    const int parts = tf32 ? 1 : 3;
    const int64_t padded = (n_s + 3) / 4 * 4, depth = parts * padded, panel = opm_outer * depth;

    /* Of what is left, p has an eighth at most, the panel of a a quarter, that of b, for many tiles, a half. */
    const int64_t pair_bytes = opm_outer * opm_outer * (int64_t)sizeof(float), panel_bytes = panel * 4;
    int64_t group = std::max<int64_t>(1, std::min(n_j, left / 2 / panel_bytes));
    int64_t tj = std::min<int64_t>(group, 128);
    group = group < n_j ? group / tj * tj : n_j;
    int64_t ti = std::min(std::min<int64_t>(FF_CUDA_TILE_BYTES, left / 8) / (tj * pair_bytes), left / 4 / panel_bytes);
    ti = std::max<int64_t>(1, std::min(ti, n_i));
    ti = pieces(n_i, pieces(n_i, ti));                                       /* evened out */

    float *w = ff_cuda_take<float>(be, opm_outer * opm_outer * opm_channels);        /* [128, 1024] */
    float *pa = ff_cuda_take<float>(be, ti * panel);                                 /* [ti, C, depth] */
    float *pb = ff_cuda_take<float>(be, group * panel);                              /* [group, C, depth] */
    float *p = ff_cuda_take<float>(be, ti * tj * opm_outer * opm_outer);             /* [ti, C, tj, C] */
    turn(be, w, (const float *)a->w.data, opm_channels, side, opm_channels / side, opm_outer * opm_outer,
         opm_outer * opm_outer, tf32 ? ROUNDED : WHOLE);
    for (int64_t g0 = 0; g0 < n_j; g0 += group) {
        int64_t g1 = std::min(g0 + group, n_j);
        turn(be, pb, (const float *)a->b.data + g0 * a->b.stride[1], a->b.stride[0], a->b.stride[1], g1 - g0, n_s,
             padded, tf32 ? ROUNDED : HI_LO_HI);
        for (int64_t i0 = 0; i0 < n_i; i0 += ti) {
            int64_t ni = std::min(ti, n_i - i0);
            turn(be, pa, (const float *)a->a.data + i0 * a->a.stride[1], a->a.stride[0], a->a.stride[1], ni, n_s,
                 padded, tf32 ? ROUNDED : HI_HI_LO);
            for (int64_t j0 = g0; j0 < g1; j0 += tj) {
                int64_t nj = std::min(tj, g1 - j0);
                struct ff_cuda_gemm_args g = {};
                g.m = ni * opm_outer;
                g.n = g.ldc = nj * opm_outer;
                g.k = g.lda = g.ldb = depth;
                g.a = pa;
                g.b = pb + (j0 - g0) * panel;
                g.b_trans = true;
                g.c = p;
                g.a_type = g.b_type = g.c_type = FF_F32;
                g.alpha = 1.0f;
                g.tf32 = true;
                ff_cuda_gemm(be, &g);
                mean_job m = {(float *)a->out.data + i0 * a->out.stride[0] + j0 * a->out.stride[1], a->out.stride[0],
                              a->out.stride[1], p, (int)(nj * opm_outer), w, (const float *)a->bias.data, *bits,
                              (int)i0, (int)j0, (int)ni, (int)nj};
                if (tf32)
                    launch<true>(be, m);
                else
                    launch<false>(be, m);
            }
        }
    }
    return true;
}
