/* SPDX-License-Identifier: Apache-2.0
 * triangle_wgmma: the projection of triangle multiplication in bf16 by products of warpgroups, one pass over memory.
 *
 * triangle_project (Alg. 11, 12 lines 1-2): out[c, i, k] = mask (LN(z) W + b) sigmoid(LN(z) Wg + bg).
 *   Persistent blocks of one warpgroup, two per multiprocessor, so that one multiplies while the other norms or
 *   stores. A tile is 64 pairs (triangle_fused.cuh). The product is made transposed, out [64 channels, 64 pairs] =
 *   W^T LN(z)^T: W stays in shared memory as it is stored, operand A, MN_MAJOR, in blocks of 64 channels, value and
 *   gate in turn; the normed rows are operand B, K_MAJOR. Row 8 j + 2 t + e of each 32 rows of B is pair 8 t + 2 j + e:
 *   then a thread has eight neighbouring pairs of a channel, 16 bytes of out, and nothing is turned over.
 *   Four lanes norm a row from registers while the next tile's rows are already on their way; two tiles of B, so that
 *   one barrier per tile is enough.
 * Shared memory: W and Wg 4 c_z c_i bytes, B 256 c_z. Cost: z read and out written once, 4 c_z c_i flops per pair.
 * Numerics: layer norm, sums and gates in float32, operands of the products rounded to bf16.
 * Reference: ops_cpu_triangle.c.
 */
#include "mma.cuh"
#include "triangle_fused.cuh"
#include "wgmma.cuh"

namespace {

constexpr int threads = 128, rows = triangle_wgmma_rows;

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

    for (int u = (int)threadIdx.x; u < CZ * CI / 8; u += threads) {
        int k = u / (CI / 8), n = u % (CI / 8);
        unsigned at = wgmma_swizzled<128>((unsigned)(k * 128 + n % 8 * 16));
        *(uint4 *)(s.w[n / 8 * 2] + at) = *(const uint4 *)(a.w + u * 8);
        *(uint4 *)(s.w[n / 8 * 2 + 1] + at) = *(const uint4 *)(a.gate_w + u * 8);
    }
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
    load(blockIdx.x);
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
                    bf16 *to = a.out + c * a.out_c + i * a.out_i + k;
                    if (a.wide && left >= 8) {
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

template <class Shared, class Job>
void launch(struct ff_backend *be, void (*kernel)(Job), const Job *j)
{
    constexpr int bytes = (int)sizeof(Shared) + 1024;        /* the operands begin at a multiple of 1024 */
    FF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    unsigned blocks = 2 * (unsigned)ff_cuda_sm_count(be);
    blocks = j->t.tiles < blocks ? j->t.tiles : blocks;
    kernel<<<blocks, threads, bytes, ff_cuda_stream(be)>>>(*j);
    FF_CUDA_LAUNCHED();
}

}  // namespace

bool ff_cuda_triangle_project_wgmma(struct ff_backend *be, int c_z, int c_i, const struct triangle_project_job *j)
{
    if (!ff_cuda_has_wgmma(be))
        return false;
    if (c_z == 128 && c_i == 128)
        launch<project_shared<128, 128>>(be, project_kernel<128, 128>, j);
    else if (c_z == 128)
        launch<project_shared<128, 64>>(be, project_kernel<128, 64>, j);
    else if (c_i == 128)
        launch<project_shared<64, 128>>(be, project_kernel<64, 128>, j);
    else
        launch<project_shared<64, 64>>(be, project_kernel<64, 64>, j);
    return true;
}
