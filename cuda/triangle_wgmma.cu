/* SPDX-License-Identifier: Apache-2.0
 * triangle_wgmma: projection and output of triangle multiplication in bf16 by products of warpgroups, one pass over
 * memory each. Persistent blocks of one warpgroup keep the weights in shared memory; two per multiprocessor, so that
 * one multiplies while the other norms or stores. A tile is 64 pairs (triangle_fused.cuh). Four lanes have a row of z,
 * lane t the channels 8 t .. + 7 of every 32. What is numbered in which order within a product is chosen so that
 * results come out where they are needed: nothing is turned over.
 *
 * triangle_project (Alg. 11, 12 lines 1-2): out[c, i, k] = mask (LN(z) W + b) sigmoid(LN(z) Wg + bg).
 *   The product is made transposed, out [64 channels, 64 pairs] = W^T LN(z)^T: W is operand A as it is stored,
 *   MN_MAJOR, in blocks of 64 channels, value and gate in turn; the normed rows are operand B, K_MAJOR. Row
 *   8 j + 2 t + e of each 32 rows of B is pair 8 t + 2 j + e: then a thread has eight neighbouring pairs of a channel,
 *   16 bytes of out. The next tile's rows are on their way while this one is multiplied; two tiles of B, so that one
 *   barrier per tile is enough. Shared memory: W and Wg 4 c_z c_i bytes, B 256 c_z.
 *   Cost: z read and out written once, 4 c_z c_i flops per pair.
 * triangle_output (Alg. 11, 12 lines 3-4): z += (LN(x) Wo + bo) sigmoid(LN(z) Wg + bg), x channel first.
 *   Operand A is LN(z) from registers, its channels in the order in which the lanes have them (the rows of Wg follow),
 *   and x [c_i, 64] as it lies, normed in place, MN_MAJOR. Column 8 j + 2 t + e of each 32 columns of both weights is
 *   channel 8 t + 2 j + e: the results meet the rows of z that the lanes still hold. Both inputs of the next tile are
 *   copied while this one is multiplied. Shared memory: weights 2 c_z (c_i + c_z) bytes, x 128 c_i, z 128 c_z.
 *   Cost: x and z read, z written once, 2 c_z (c_i + c_z) flops per pair.
 * Numerics: layer norm, sums and gates in float32, operands of the products rounded to bf16.
 * Reference: ops_cpu_triangle.c.
 */
#include "mma.cuh"
#include "triangle_fused.cuh"
#include "wgmma.cuh"

namespace {

constexpr int threads = 128, rows = triangle_wgmma_rows;

/* --- projection --- */

template <int CZ, int CI> struct project_shared {
    static constexpr unsigned block_bytes = CZ * 128, z_bytes = CZ / 64 * rows * 128;
    unsigned char w[CI / 64 * 2][block_bytes];   /* [64 channels: value, gate, of the next 64: ..][c_z, 64] */
    unsigned char z[2][z_bytes];                 /* [c_z / 64][64 pairs, 64] */
    float scale[CZ], offset[CZ], b[CI], gate_b[CI], mask[2][rows];
};

template <int CZ, int CI>
__global__ void __launch_bounds__(threads, 2) project_kernel(const __grid_constant__ triangle_project_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ uint4 shared_memory[];
    using S = project_shared<CZ, CI>;
    constexpr int pieces = CZ / 32, halves = CI / 64;
    const unsigned base = (shared_address(shared_memory) + 1023) / 1024 * 1024;
    S &s = *(S *)((char *)shared_memory + (base - shared_address(shared_memory)));
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;

    after_kernels_before();
    for (int u = (int)threadIdx.x; u < CZ * CI / 8; u += threads) {
        int k = u / (CI / 8), n = u % (CI / 8);
        unsigned at = wgmma_swizzled<128>((unsigned)(k * 128 + n % 8 * 16));
        copy16_async(s.w[n / 8 * 2] + at, a.w + u * 8, true);
        copy16_async(s.w[n / 8 * 2 + 1] + at, a.gate_w + u * 8, true);
    }
    copy_commit();
    for (int c = (int)threadIdx.x; c < CZ; c += threads) {
        s.scale[c] = a.scale[c];
        s.offset[c] = a.offset[c];
    }
    for (int c = (int)threadIdx.x; c < CI; c += threads) {
        s.b[c] = a.b[c];
        s.gate_b[c] = a.gate_b[c];
    }

    /* This lane's two rows of B are 8 apart: of the eight lanes that store at a time, two rows, 4 apart. */
    const int row = warp * 16 + g / 2 + g % 2 * 4;
    auto pair_of = [](int r) { return r / 32 * 32 + r / 2 % 4 * 8 + r / 8 % 4 * 2 + r % 2; };
    uint4 raw[2][pieces];
    float mask[2];
    auto load = [&](unsigned tile) {
        int i0, k0;
        a.t.origin(tile, rows, i0, k0);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            int pair = pair_of(row + 8 * e), i = i0 + a.t.i_of(pair), k = k0 + a.t.j_of(pair);
            bool there = i < a.t.n_i && k < a.t.n_j;
            const bf16 *from = a.z + i * a.z_i + k * a.z_k + t * 8;
#pragma unroll
            for (int p = 0; p < pieces; p++)
                raw[e][p] = there ? *(const uint4 *)(from + p * 32) : make_uint4(0, 0, 0, 0);
            mask[e] = there ? a.mask[i * a.mask_i + k * a.mask_k] : 0.0f;
        }
    };
    typename triangle_places<bf16>::place to_channel[halves][2];
#pragma unroll
    for (int h = 0; h < halves; h++)
#pragma unroll
        for (int e = 0; e < 2; e++)
            to_channel[h][e] = a.out.channel(h * 64 + warp * 16 + e * 8 + g);
    load(blockIdx.x);
    copy_wait<0>();
    __syncthreads();

    int turn = 0;
#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x, turn ^= 1) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            float x[CZ / 4];
            norm_quarter<CZ>(x, raw[e], s.scale, s.offset, t);
#pragma unroll
            for (int p = 0; p < pieces; p++) {
                unsigned at = wgmma_swizzled<128>((unsigned)((row + 8 * e) * 128 + p % 2 * 64 + t * 16));
                *(uint4 *)(s.z[turn] + p / 2 * (rows * 128) + at) =
                    make_uint4(pack2(x[8 * p], x[8 * p + 1]), pack2(x[8 * p + 2], x[8 * p + 3]),
                               pack2(x[8 * p + 4], x[8 * p + 5]), pack2(x[8 * p + 6], x[8 * p + 7]));
            }
            if (t == 0)
                s.mask[turn][pair_of(row + 8 * e)] = mask[e];
        }
        if (tile + gridDim.x < a.t.tiles)
            load(tile + gridDim.x);
        shared_fence();
        __syncthreads();                 /* B is there; all have done with the tile before last */

        float value[halves][32], gate[halves][32];
        const uint64_t z = wgmma_operand<128>(base + (unsigned)((unsigned char *)s.z[turn] - (unsigned char *)&s), 0,
                                              1024);
        wgmma_fence();
#pragma unroll
        for (int h = 0; h < halves; h++) {
            const uint64_t w = wgmma_operand<128>(base + 2 * (unsigned)h * S::block_bytes, 0, 1024);
#pragma unroll
            for (int k = 0; k < CZ / 16; k++) {
                const uint64_t b = wgmma_advance(z, (unsigned)(k / 4 * rows * 128 + k % 4 * 32));
                wgmma_ss<rows, WGMMA_MN_MAJOR, WGMMA_K_MAJOR>(value[h], wgmma_advance(w, (unsigned)k * 2048), b, k > 0);
                wgmma_ss<rows, WGMMA_MN_MAJOR, WGMMA_K_MAJOR>(
                    gate[h], wgmma_advance(w, S::block_bytes + (unsigned)k * 2048), b, k > 0);
            }
            wgmma_commit();
        }

        int i0, k0;
        a.t.origin(tile, rows, i0, k0);
#pragma unroll
        for (int h = 0; h < halves; h++) {
            if (h + 1 < halves)
                wgmma_wait<1>();
            else
                wgmma_wait<0>();
            wgmma_use(value[h]);
            wgmma_use(gate[h]);
#pragma unroll
            for (int q = 0; q < 2; q++) {        /* eight pairs of each half of the tile */
                const int pair = q * 32 + t * 8, i = i0 + a.t.i_of(pair), k = k0 + a.t.j_of(pair);
                const int left = i < a.t.n_i ? a.t.n_j - k : 0;
                float4 m0 = load4(s.mask[turn] + pair), m1 = load4(s.mask[turn] + pair + 4);
                const float m[8] = {m0.x, m0.y, m0.z, m0.w, m1.x, m1.y, m1.z, m1.w};
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const int c = h * 64 + warp * 16 + e * 8 + g;
                    const float b = s.b[c], gate_b = s.gate_b[c];
                    float y[8];
#pragma unroll
                    for (int n = 0; n < 8; n++) {
                        const int at = 16 * q + n / 2 * 4 + e * 2 + n % 2;
                        y[n] = m[n] * (value[h][at] + b) * fast_sigmoid(gate[h][at] + gate_b);
                    }
                    bf16 *to = to_channel[h][e].at(i, k);
                    if (a.out.wide && left >= 8) {
                        *(uint4 *)to = pack8(y);
                    } else {
#pragma unroll
                        for (int n = 0; n < 8; n++)
                            if (n < left)
                                to[n] = __float2bfloat16_rn(y[n]);
                    }
                }
            }
        }
    }
#endif
}

/* --- output --- */

template <int CI, int CZ> struct output_shared {
    static constexpr unsigned o_block = CI * 128, gate_block = CZ * 128;
    unsigned char o_w[CZ / 64][o_block], gate_w[CZ / 64][gate_block];    /* [64 channels: ..][K, 64] */
    unsigned char x[CI * 128];                   /* [c_i, 64 pairs] */
    uint4 z[CZ / 16][threads];                   /* what each thread has of two rows */
    float center_scale[CI], center_offset[CI], scale[CZ], offset[CZ], o_b[CZ], gate_b[CZ];
};

/* Columns of w [K, CZ] in the order of the lanes, to blocks of 64 of them; row(k): which row comes k-th. */
template <int K, int CZ, class Row>
__device__ __forceinline__ void load_columns(unsigned char *to, const bf16 *w, Row &&row)
{
#pragma unroll 8
    for (int u = (int)threadIdx.x; u < K * CZ / 8; u += threads) {
        int k = u / (CZ / 8), j = u % (CZ / 8);
        const unsigned *from = (const unsigned *)(w + row(k) * CZ + j / 4 * 32 + j % 4 * 2);
        *(uint4 *)(to + j / 8 * (K * 128) + wgmma_swizzled<128>((unsigned)(k * 128 + j % 8 * 16))) =
            make_uint4(from[0], from[4], from[8], from[12]);
    }
}

template <int CI, int CZ>
__global__ void __launch_bounds__(threads, 2) output_kernel(const __grid_constant__ triangle_output_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ uint4 shared_memory[];
    using S = output_shared<CI, CZ>;
    constexpr int pieces = CZ / 32;
    const unsigned base = (shared_address(shared_memory) + 1023) / 1024 * 1024;
    S &s = *(S *)((char *)shared_memory + (base - shared_address(shared_memory)));
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;

    after_kernels_before();
    for (int c = (int)threadIdx.x; c < CI; c += threads) {
        s.center_scale[c] = a.center_scale[c];
        s.center_offset[c] = a.center_offset[c];
    }
    for (int c = (int)threadIdx.x; c < CZ; c += threads) {
        s.scale[c] = a.scale[c];
        s.offset[c] = a.offset[c];
        s.o_b[c] = a.o_b[c];
        s.gate_b[c] = a.gate_b[c];
    }

    const int row = warp * 16 + g;               /* and row + 8 */
    auto row_at = [&](unsigned tile, int e, bool &there) {
        int i0, j0;
        a.t.origin(tile, rows, i0, j0);
        int i = i0 + a.t.i_of(row + 8 * e), j = j0 + a.t.j_of(row + 8 * e);
        there = i < a.t.n_i && j < a.t.n_j;
        return a.z + (there ? i * a.z_i + j * a.z_j : 0) + t * 8;
    };
    auto load_z = [&](unsigned tile) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            bool there;
            const bf16 *from = row_at(tile, e, there);
#pragma unroll
            for (int p = 0; p < pieces; p++)
                copy16_async(&s.z[e * pieces + p][threadIdx.x], from + p * 32, there);
        }
    };
    /* Eight threads copy the 64 pairs of a channel. */
    auto load_x = [&](unsigned tile) {
        int i0, j0, pair = (int)threadIdx.x % 8 * 8, c0 = (int)threadIdx.x / 8;
        a.t.origin(tile, rows, i0, j0);
        int i = i0 + a.t.i_of(pair), j = j0 + a.t.j_of(pair), left = i < a.t.n_i ? a.t.n_j - j : 0;
        const auto at_pair = a.x.of(left > 0 ? i : 0, left > 0 ? j : 0);
#pragma unroll 4
        for (int r = 0; r < CI / (threads / 8); r++) {
            int c = c0 + r * (threads / 8);
            unsigned char *to = s.x + wgmma_swizzled<128>((unsigned)(c * 128 + pair * 2));
            const unsigned short *h = (const unsigned short *)a.x.channel(at_pair, c);
            if (left <= 0 || (a.x.wide && left >= 8)) {
                copy16_async(to, left > 0 ? (const void *)h : (const void *)a.z, left > 0);
            } else {
#pragma unroll
                for (int k = 0; k < 8; k++)
                    ((unsigned short *)to)[k] = k < left ? h[k] : (unsigned short)0;
            }
        }
    };
    load_z(blockIdx.x);
    load_x(blockIdx.x);
    copy_commit();
    load_columns<CI, CZ>(s.o_w[0], a.o_w, [](int k) { return k; });
    /* Of each 16 that a product sums over, lane t gives two of its pairs of channels: numbers 2 t, 2 t + 1 and
     * 2 t + 8, 2 t + 9. */
    load_columns<CZ, CZ>(s.gate_w[0], a.gate_w, [](int k) {
        int i = k / 16 * 2 + k / 8 % 2;
        return i / 4 * 32 + k / 2 % 4 * 8 + i % 4 * 2 + k % 2;
    });
    shared_fence();                              /* the barrier follows */

#pragma unroll 1
    for (unsigned tile = blockIdx.x; tile < a.t.tiles; tile += gridDim.x) {
        copy_wait<0>();
        __syncthreads();

        /* gate: the rows stay in registers for the addition */
        uint4 raw[2][pieces];
        unsigned operand[CZ / 16][4];
#pragma unroll
        for (int e = 0; e < 2; e++) {
#pragma unroll
            for (int p = 0; p < pieces; p++)
                raw[e][p] = s.z[e * pieces + p][threadIdx.x];
            float x[CZ / 4];
            norm_quarter<CZ>(x, raw[e], s.scale, s.offset, t);
#pragma unroll
            for (int k = 0; k < CZ / 16; k++) {
                operand[k][e] = pack2(x[4 * k], x[4 * k + 1]);
                operand[k][e + 2] = pack2(x[4 * k + 2], x[4 * k + 3]);
            }
        }
        const bool more = tile + gridDim.x < a.t.tiles;
        if (more)
            load_z(tile + gridDim.x);
        float gate[CZ / 2], o[CZ / 2];
        const uint64_t gate_w = wgmma_operand<128>(base + (unsigned)sizeof s.o_w, S::gate_block, 1024);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < CZ / 16; k++)
            wgmma_rs<CZ, WGMMA_MN_MAJOR>(gate, operand[k], wgmma_advance(gate_w, (unsigned)k * 2048), k > 0);
        wgmma_commit();

        /* LN of x down the channels: a lane has a pair of pairs and every fourth channel, four lanes make the sums.
         * The four rows of a load are two apart, so that their swizzled pieces do not meet. */
        {
            constexpr int n = CI / 4;
            unsigned *at[2], v[n];
            float2 mean, inverse;
#pragma unroll
            for (int e = 0; e < 2; e++)
                at[e] = (unsigned *)(s.x + wgmma_swizzled<128>((unsigned)((lane / 8 * 2 + e) * 128 + warp * 32 +
                                                                          lane % 8 / 4 * 16)) +
                                     lane % 4 * 4);
#pragma unroll
            for (int k = 0; k < n; k++)
                v[k] = at[k % 2][k / 2 * 256];
            column_moments<CI, 8>(v, mean, inverse);
#pragma unroll
            for (int k = 0; k < n; k++) {
                int c = k / 2 * 8 + lane / 8 * 2 + k % 2;
                float scale = s.center_scale[c], offset = s.center_offset[c];
                float x0 = low_half(v[k]) - mean.x, x1 = high_half(v[k]) - mean.y;
                at[k % 2][k / 2 * 256] = pack2(x0 * inverse.x * scale + offset, x1 * inverse.y * scale + offset);
            }
        }
        shared_fence();
        __syncthreads();
        const uint64_t x = wgmma_operand<128>(base + (unsigned)(s.x - (unsigned char *)&s), 0, 1024);
        const uint64_t o_w = wgmma_operand<128>(base, S::o_block, 1024);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < CI / 16; k++)
            wgmma_ss<CZ, WGMMA_MN_MAJOR, WGMMA_MN_MAJOR>(o, wgmma_advance(x, (unsigned)k * 2048),
                                                         wgmma_advance(o_w, (unsigned)k * 2048), k > 0);
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_use(gate);
        wgmma_use(o);
        __syncthreads();                 /* all have multiplied x */
        if (more)
            load_x(tile + gridDim.x);
        copy_commit();

#pragma unroll
        for (int p = 0; p < pieces; p++) {
            const int c = p * 32 + t * 8;
            float b[8], gate_b[8];
            *(float4 *)b = load4(s.o_b + c);
            *(float4 *)(b + 4) = load4(s.o_b + c + 4);
            *(float4 *)gate_b = load4(s.gate_b + c);
            *(float4 *)(gate_b + 4) = load4(s.gate_b + c + 4);
#pragma unroll
            for (int e = 0; e < 2; e++) {
                bool there;
                bf16 *to = row_at(tile, e, there) + p * 32;
                float y[8];
                unpack8(y, raw[e][p]);
#pragma unroll
                for (int k = 0; k < 8; k++) {
                    const int n = 16 * p + k / 2 * 4 + e * 2 + k % 2;
                    y[k] += (o[n] + b[k]) * fast_sigmoid(gate[n] + gate_b[k]);
                }
                if (there)
                    *(uint4 *)to = pack8(y);
            }
        }
    }
#endif
}

template <class Shared, class Job>
void launch(struct ff_backend *be, void (*kernel)(Job), const Job *j, bool early)
{
    constexpr int bytes = (int)sizeof(Shared) + 1024;        /* the operands begin at a multiple of 1024 */
    FF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    unsigned blocks = 2 * (unsigned)ff_cuda_sm_count(be);
    blocks = j->t.tiles < blocks ? j->t.tiles : blocks;
    ff_cuda_launch_early(kernel, blocks, threads, bytes, ff_cuda_stream(be), early, *j);
}

}  // namespace

bool ff_cuda_triangle_project_wgmma(struct ff_backend *be, int c_z, int c_i, const triangle_project_job *j)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    if (c_z == 128 && c_i == 128)
        launch<project_shared<128, 128>>(be, project_kernel<128, 128>, j, true);
    else if (c_z == 128)
        launch<project_shared<128, 64>>(be, project_kernel<128, 64>, j, true);
    else if (c_i == 128)
        launch<project_shared<64, 128>>(be, project_kernel<64, 128>, j, true);
    else
        launch<project_shared<64, 64>>(be, project_kernel<64, 64>, j, true);
    return true;
}

bool ff_cuda_triangle_output_wgmma(struct ff_backend *be, int c_i, int c_z, const triangle_output_job *j)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    if (c_i == 128 && c_z == 128)
        launch<output_shared<128, 128>>(be, output_kernel<128, 128>, j, false);
    else if (c_i == 128)
        launch<output_shared<128, 64>>(be, output_kernel<128, 64>, j, false);
    else if (c_z == 128)
        launch<output_shared<64, 128>>(be, output_kernel<64, 128>, j, false);
    else
        launch<output_shared<64, 64>>(be, output_kernel<64, 64>, j, false);
    return true;
}
