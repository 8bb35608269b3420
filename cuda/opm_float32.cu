/* SPDX-License-Identifier: Apache-2.0
 * opm_float32: outer product mean of float32 activations for 32 outer channels and 128 of the pair, on the matrix units
 * (see opm.cu for the whole, tf32.cuh for the arithmetic).
 *
 * The operands of the first product are turned so that the sequences lie inside, [(residue, channel), sequence]. The
 * outer products p of a tile of pairs stay in the second-level cache, or most of them. The second product takes the 32
 * pieces of each pair where they lie, multiplies them with W and adds the result to z.
 * With products of warpgroups both are those of opm_split.cu under fp32; under tf32 numbers are scaled by a power of
 * two, which their largest decides, and rounded to float16, which has the digits of a TF32 number: then the library and
 * the kernel of opm_wgmma.cu work as for bf16. Elsewhere the library multiplies TF32 numbers, under fp32 of operands
 * that are split on the way, [hi | hi | lo] and [hi | lo | hi], and mean_kernel multiplies with W.
 * Cost: 2 C C (S + c_z) flops per pair, under fp32 three times that on the matrix units; bound by the products.
 * Numerics: sums in float32; under fp32 those of W over 32 numbers at a time, which are then added.
 */
#include <algorithm>

#include "opm.cuh"
#include "split.cuh"
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

/* Float16 numbers, under tf32 by products of warpgroups: scaled by a power of two by the largest, *most. A thread takes
 * four of the 32 channels of residue and sequence at / 8. */
struct rows_of_four {
    const float *x;
    int64_t x_s, x_r, n;
    unsigned n_r;
    __device__ __forceinline__ float4 at(int64_t at) const
    {
        const unsigned row = (unsigned)(at / (opm_outer / 4)), s = row / n_r;
        return load4(x + s * x_s + (row - s * n_r) * x_r + at % (opm_outer / 4) * 4);
    }
};

__global__ void most_kernel(float *most, const rows_of_four x)
{
    __shared__ float shared[32];
    float m = 0.0f;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < x.n; i += (int64_t)gridDim.x * blockDim.x) {
        const float4 v = x.at(i);
        m = fmaxf(fmaxf(fmaxf(m, fabsf(v.x)), fmaxf(fabsf(v.y), fabsf(v.z))), fabsf(v.w));
    }
    m = block_max(m, shared);
    if (threadIdx.x == 0)
        atomicMax((unsigned *)most, __float_as_uint(m));         /* none is below 0 */
}

__global__ void halve_kernel(uint2 *y, const rows_of_four x, const float *most)
{
    const float scale = split_scale_of(*most).scale;
    const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i >= x.n)
        return;
    const float4 v = x.at(i);
    y[i] = make_uint2(split_high(v.x * scale, v.y * scale), split_high(v.z * scale, v.w * scale));
}

rows_of_four rows_of(const float *x, int64_t x_s, int64_t x_r, int64_t n_r, int64_t n_s)
{
    return {x, x_s, x_r, n_s * n_r * (opm_outer / 4), (unsigned)n_r};
}

void find_most(struct ff_backend *be, float *most, const rows_of_four &x)
{
    most_kernel<<<std::min(4 * (unsigned)ff_cuda_sm_count(be), ff_blocks(x.n, threads)), threads, 0,
                  ff_cuda_stream(be)>>>(most, x);
    FF_CUDA_LAUNCHED();
}

void halve(struct ff_backend *be, uint16_t *y, const rows_of_four &x, const float *most)
{
    halve_kernel<<<ff_blocks(x.n, threads), threads, 0, ff_cuda_stream(be)>>>((uint2 *)y, x, most);
    FF_CUDA_LAUNCHED();
}

/* --- mean --- */

constexpr int stages = 3, pitch = opm_outer + 4;

struct mean_stage {
    float p[rows_per_block * pitch], w[opm_channels * pitch];    /* of one c: [64 pairs, 32 e], [128, 32 e] */
};

/* A block makes 64 pairs and all channels in 32 steps of one c. Warp w has rows 32 (w % 2) .. + 31 and a quarter of the
 * channels. */
template <bool TF32> __global__ void __launch_bounds__(threads, 2) mean_kernel(const __grid_constant__ opm_mean_float a)
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

template <bool TF32> void launch(struct ff_backend *be, const opm_mean_float &job)
{
    mean_kernel<TF32><<<ff_blocks(job.n_i * job.n_j, rows_per_block), threads, stages * sizeof(mean_stage),
                        ff_cuda_stream(be)>>>(job);
    FF_CUDA_LAUNCHED();
}

/* --- tiles --- */

struct tiling {
    int64_t group, tj, ti;       /* residues whose panel of b is kept; of a tile */
};

/* Of so many bytes that are left p has some, the panel of a a part, that of b, for many tiles, a half. */
tiling tiles_for(int64_t n_i, int64_t n_j, int64_t left, int64_t panel_bytes, int64_t pair_bytes, int64_t p_bytes,
                 int64_t a_bytes)
{
    auto pieces = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
    tiling t;
    t.group = std::max<int64_t>(1, std::min(n_j, left / 2 / panel_bytes));
    t.tj = std::min<int64_t>(t.group, 128);
    t.group = t.group < n_j ? t.group / t.tj * t.tj : n_j;
    t.ti = std::min(p_bytes / (t.tj * pair_bytes), a_bytes / panel_bytes);
    t.ti = std::max<int64_t>(1, std::min(t.ti, n_i));
    t.ti = pieces(n_i, pieces(n_i, t.ti));                                   /* evened out */
    return t;
}

/* right(g0, n) for the columns of many tiles, left(i0, n) for the rows of a row of tiles, tile(i0, ni, j0, nj, g0,
 * n). */
template <class R, class L, class T>
void each_tile(const tiling &t, int64_t n_i, int64_t n_j, R &&right, L &&left, T &&tile)
{
    for (int64_t g0 = 0; g0 < n_j; g0 += t.group) {
        const int64_t n = std::min(t.group, n_j - g0);
        right(g0, n);
        for (int64_t i0 = 0; i0 < n_i; i0 += t.ti) {
            const int64_t ni = std::min(t.ti, n_i - i0);
            left(i0, ni);
            for (int64_t j0 = g0; j0 < g0 + n; j0 += t.tj)
                tile(i0, ni, j0, std::min(t.tj, g0 + n - j0), g0, n);
        }
    }
}

template <class P>
opm_mean_of<float, P> mean_of(const struct ff_outer_product_mean_args *a, const mask_bits &bits, const void *p,
                              const void *w, int64_t i0, int64_t ni, int64_t j0, int64_t nj)
{
    return {(float *)a->out.data + i0 * a->out.stride[0] + j0 * a->out.stride[1], a->out.stride[0], a->out.stride[1],
            (const P *)p, (int)(nj * opm_outer), (const P *)w, (const float *)a->bias.data, bits, (int)i0, (int)j0,
            (int)ni, (int)nj};
}

/* fp32 by products of warpgroups. p is twice as large as elsewhere, or it would not have a tile for every
 * multiprocessor. */
void split_tiles(struct ff_backend *be, const struct ff_outer_product_mean_args *a, const mask_bits &bits)
{
    const int64_t n_s = a->a.shape[0], n_i = a->out.shape[0], n_j = a->out.shape[1], left = (int64_t)ff_cuda_left(be);
    const int64_t units = (n_s + 31) / 32, panel_bytes = units * (opm_outer * 128 + 8);
    const tiling t = tiles_for(n_i, n_j, left, panel_bytes, opm_outer * 132,
                               std::min<int64_t>(2 * FF_CUDA_TILE_BYTES, left / 7 * 2), left / 8);
    const opm_blocks w = ff_cuda_opm_take_panel(be, opm_channels / opm_outer, opm_outer * opm_outer);
    const opm_blocks pa = ff_cuda_opm_take_panel(be, t.ti, n_s), pb = ff_cuda_opm_take_panel(be, t.group, n_s);
    const opm_blocks p = ff_cuda_opm_take_pairs(be, t.ti * t.tj);
    auto panel = [&](const opm_blocks &to, const struct ff_tensor &x, int64_t r, int64_t n) {
        ff_cuda_opm_split(be, to, (const float *)x.data + r * x.stride[1], x.stride[0], x.stride[1], n, n_s, false);
    };
    ff_cuda_opm_split(be, w, (const float *)a->w.data, opm_channels, opm_outer, opm_channels / opm_outer,
                      opm_outer * opm_outer, true);
    each_tile(
        t, n_i, n_j, [&](int64_t g0, int64_t n) { panel(pb, a->b, g0, n); },
        [&](int64_t i0, int64_t n) { panel(pa, a->a, i0, n); },
        [&](int64_t i0, int64_t ni, int64_t j0, int64_t nj, int64_t g0, int64_t) {
            ff_cuda_opm_split_products(be, p, pa, ff_cuda_opm_panel_part(pb, j0 - g0, n_s), ni, nj, n_s);
            ff_cuda_opm_split_mean(be, p, w, mean_of<float>(a, bits, nullptr, nullptr, i0, ni, j0, nj));
        });
}

} // namespace

bool ff_cuda_opm_float32(struct ff_backend *be, const struct ff_outer_product_mean_args *a, const mask_bits *bits)
{
    const bool tf32 = be->precision == FF_PRECISION_TF32, wgmma = ff_cuda_has_wgmma(be), half = tf32 && wgmma;
    const int64_t n_s = a->a.shape[0], n_i = a->out.shape[0], n_j = a->out.shape[1], left = (int64_t)ff_cuda_left(be);
    if (a->a.dtype != FF_F32 || a->w.dtype != FF_F32 || a->out.dtype != FF_F32 || a->a.shape[2] != opm_outer ||
        a->out.shape[2] != opm_channels || !ff_cuda_aligned(&a->out, 4) || n_s == 0 || n_i == 0 || n_j == 0 ||
        !ff_cuda_aligned(&a->bias, 4) || n_s * std::max(n_i, n_j) > UINT32_MAX ||
        (half && (!ff_cuda_aligned(&a->a, 4) || !ff_cuda_aligned(&a->b, 4))) ||
        !(wgmma || (tf32 ? prepare<true>() : prepare<false>())))
        return false;
    ff_cuda_mark mark(be);
    if (wgmma && !tf32) {
        split_tiles(be, a, *bits);
        return true;
    }
    const int64_t padded = (n_s + 3) / 4 * 4, depth = half ? n_s : tf32 ? padded : 3 * padded;
    const int64_t size = half ? 2 : 4, panel_bytes = opm_outer * depth * size;
    const int64_t pair_bytes = opm_outer * opm_outer * size;
    const tiling t = tiles_for(n_i, n_j, left, panel_bytes, pair_bytes,
                               std::min<int64_t>(FF_CUDA_TILE_BYTES, left / 8), left / 4);

    const rows_of_four all_w = rows_of((const float *)a->w.data, opm_channels, side, opm_channels / side,
                                       opm_outer * opm_outer);
    char *w = ff_cuda_take<char>(be, opm_outer * opm_outer * opm_channels * size);   /* [128, 1024]; half: turned */
    char *pa = ff_cuda_take<char>(be, t.ti * panel_bytes);           /* [ti, C, depth]; half: [depth, ti, C] */
    char *pb = ff_cuda_take<char>(be, t.group * panel_bytes);        /* [group, C, depth]; half: [depth, group, C] */
    char *p = ff_cuda_take<char>(be, t.ti * t.tj * pair_bytes);      /* [ti, C, tj, C] */
    float *most = ff_cuda_take<float>(be, 3);                        /* of a, b, w */

    auto residues = [](const struct ff_tensor &x, int64_t r0, int64_t n_r) {
        return rows_of((const float *)x.data + r0 * x.stride[1], x.stride[0], x.stride[1], n_r, x.shape[0]);
    };
    auto operand = [&](char *to, const struct ff_tensor &x, int64_t r0, int64_t n_r, enum turned how, float *largest) {
        const rows_of_four from = residues(x, r0, n_r);
        if (half)
            halve(be, (uint16_t *)to, from, largest);
        else
            turn(be, (float *)to, from.x, from.x_s, from.x_r, n_r, n_s, padded, how);
    };
    if (half) {
        FF_CUDA(cudaMemsetAsync(most, 0, 3 * sizeof *most, ff_cuda_stream(be)));
        find_most(be, most, residues(a->a, 0, n_i));
        find_most(be, most + 1, residues(a->b, 0, n_j));
        find_most(be, most + 2, all_w);
        halve(be, (uint16_t *)w, all_w, most + 2);
    } else {
        turn(be, (float *)w, all_w.x, all_w.x_s, all_w.x_r, all_w.n_r, opm_outer * opm_outer, opm_outer * opm_outer,
             tf32 ? ROUNDED : WHOLE);
    }
    /* A sum over the sequences of numbers below 2^15 each comes to 2^15 at most. */
    int exponent = -15;
    for (int64_t n = 1; n < n_s; n *= 2)
        exponent--;

    auto right = [&](int64_t g0, int64_t n) { operand(pb, a->b, g0, n, tf32 ? ROUNDED : HI_LO_HI, most + 1); };
    auto rows = [&](int64_t i0, int64_t n) { operand(pa, a->a, i0, n, tf32 ? ROUNDED : HI_HI_LO, most); };
    each_tile(t, n_i, n_j, right, rows, [&](int64_t i0, int64_t ni, int64_t j0, int64_t nj, int64_t g0, int64_t n) {
        struct ff_cuda_gemm_args g = {};
        g.m = ni * opm_outer;
        g.n = g.ldc = nj * opm_outer;
        g.k = depth;
        g.lda = half ? ni * opm_outer : depth;
        g.ldb = half ? n * opm_outer : depth;
        g.a = pa;
        g.a_trans = half;
        g.b = pb + (half ? (j0 - g0) * opm_outer * size : (j0 - g0) * panel_bytes);
        g.b_trans = !half;
        g.c = p;
        g.a_type = g.b_type = g.c_type = half ? FF_BF16 : FF_F32;
        g.alpha = half ? ldexpf(1.0f, exponent) : 1.0f;
        g.tf32 = true;
        g.f16 = half;
        ff_cuda_gemm(be, &g);
        if (half) {
            const opm_mean_half m = {mean_of<uint16_t>(a, *bits, p, w, i0, ni, j0, nj), most, ldexpf(1.0f, -exponent)};
            (void)ff_cuda_opm_mean_wgmma(be, &m);
        } else if (tf32) {
            launch<true>(be, mean_of<float>(a, *bits, p, w, i0, ni, j0, nj));
        } else {
            launch<false>(be, mean_of<float>(a, *bits, p, w, i0, ni, j0, nj));
        }
    });
    return true;
}
