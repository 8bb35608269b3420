/* SPDX-License-Identifier: Apache-2.0
 * transition_fused: x += relu(LN(x) W1 + b1) W2 + b2 in bf16 for rows of 64 or 128 channels, with the hidden layer in
 * registers.
 *
 * Shapes: x [.., c] with any leading strides, W1 [c, n], W2 [n, c], n a multiple of 32. A block has 128 rows, a warp
 * 32 of them with all channels of the result (128 accumulators per thread at c = 128). The hidden layer is made 32
 * numbers at a time: the accumulators of the first product, with bias and relu, are the left operand of the second
 * as they lie. The 32 columns of W1 and rows of W2 pass through shared memory three stages deep.
 * Shared memory: normed rows [128, c] 34 KiB, stages 3 * 19 KiB, two blocks per multiprocessor.
 * Cost: x read twice (the second time from the second-level cache) and written once; 4 c n flops per row; bound by
 * mma.sync. Numerics: layer norm, sums and bias in float32; normed rows and hidden layer rounded to bf16.
 * Reference: ops_cpu_transition.c.
 */
#include "transition_fused.cuh"

#include "mma.cuh"

namespace {

constexpr int warps = 4, threads = 32 * warps, block_rows = 32 * warps;
constexpr int chunk = 32, stages = 3, max_hidden = 1024;

struct fused_args {
    bf16 *x;
    ff_cuda_rows rows;
    unsigned n_row;
    int n;
    const bf16 *w1, *w2;
    const float *scale, *offset, *b1, *b2;
};

template <int C>
struct fused_shared {
    static constexpr int x_pitch = C + 8, w1_pitch = chunk + 8, w2_pitch = C + 8;
    static constexpr int half = C / 2, result_pitch = half + 4;  /* the result leaves in two halves of the channels */
    static_assert(32 * result_pitch * 4 <= 32 * x_pitch * 2, "a warp's result takes the place of its rows");
    struct weights {
        bf16 w1[C * w1_pitch], w2[chunk * w2_pitch];
    };
    bf16 x[block_rows * x_pitch];
    weights stage[stages];
    float scale[C], offset[C], b2[C], b1[max_hidden];
};

template <int C>
__device__ __forceinline__ void load_weights(fused_shared<C> &s, const fused_args &a, int step)
{
    using S = fused_shared<C>;
    auto &to = s.stage[step % stages];
#pragma unroll
    for (int u = (int)threadIdx.x; u < C * chunk / 8; u += threads) {
        int k = u / (chunk / 8), n = u % (chunk / 8) * 8;
        copy16_async(to.w1 + k * S::w1_pitch + n, a.w1 + (int64_t)k * a.n + step * chunk + n, true);
    }
#pragma unroll
    for (int u = (int)threadIdx.x; u < chunk * C / 8; u += threads) {
        int k = u / (C / 8), n = u % (C / 8) * 8;
        copy16_async(to.w2 + k * S::w2_pitch + n, a.w2 + (int64_t)(step * chunk + k) * C + n, true);
    }
}

template <int C>
__global__ void __launch_bounds__(threads, 2) transition_kernel(const __grid_constant__ fused_args a)
{
    extern __shared__ uint4 shared_memory[];
    auto &s = *(fused_shared<C> *)shared_memory;
    using S = fused_shared<C>;
    constexpr int per_row = C / 8, row_step = 32 / per_row, batch = 8;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, row0 = warp * 32;
    const unsigned first = blockIdx.x * block_rows;
    const int steps = a.n / chunk;

#pragma unroll
    for (int p = 0; p < stages - 1; p++) {
        if (p < steps)
            load_weights<C>(s, a, p);
        copy_commit();
    }
    for (int k = (int)threadIdx.x; k < C; k += threads) {
        s.scale[k] = a.scale[k];
        s.offset[k] = a.offset[k];
        s.b2[k] = a.b2[k];
    }
    for (int k = (int)threadIdx.x; k < a.n; k += threads)
        s.b1[k] = a.b1[k];
    __syncthreads();

    /* layer norm of the warp's own rows, several in flight */
    const int channel = lane % per_row * 8;
#pragma unroll 1
    for (int r = 0; r < 32; r += batch * row_step) {
        uint4 raw[batch];
#pragma unroll
        for (int p = 0; p < batch; p++) {
            unsigned row = first + (unsigned)(row0 + r + p * row_step + lane / per_row);
            raw[p] = make_uint4(0, 0, 0, 0);
            if (r + p * row_step < 32 && row < a.n_row)
                raw[p] = *(const uint4 *)(a.x + a.rows.at(row) + channel);
        }
#pragma unroll
        for (int p = 0; p < batch; p++) {
            int row = row0 + r + p * row_step + lane / per_row;
            uint4 y = norm_row<C>(raw[p], s.scale + channel, s.offset + channel);
            if (r + p * row_step < 32)
                *(uint4 *)(s.x + row * S::x_pitch + channel) = y;
        }
    }

    float result[2][C / 8][4] = {};
    const unsigned x_address = mma_a_address(s.x, S::x_pitch, row0, 0);
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        copy_wait<stages - 2>();
        __syncthreads();
        if (step + stages - 1 < steps)
            load_weights<C>(s, a, step + stages - 1);
        copy_commit();
        const auto &w = s.stage[step % stages];

        float hidden[2][4][4] = {};
        const unsigned w1_address = mma_b_address(w.w1, S::w1_pitch, 0, 0);
#pragma unroll
        for (int k = 0; k < C; k += 16) {
            unsigned x0[4], x1[4];
            ldmatrix_x4(x0, x_address + (unsigned)k * 2u);
            ldmatrix_x4(x1, x_address + (unsigned)(16 * S::x_pitch + k) * 2u);
#pragma unroll
            for (int n = 0; n < 4; n += 2) {
                unsigned b[4];
                ldmatrix_x4_trans(b, w1_address + (unsigned)(k * S::w1_pitch + 8 * n) * 2u);
                mma_bf16(hidden[0][n], x0, b[0], b[1]);
                mma_bf16(hidden[0][n + 1], x0, b[2], b[3]);
                mma_bf16(hidden[1][n], x1, b[0], b[1]);
                mma_bf16(hidden[1][n + 1], x1, b[2], b[3]);
            }
        }
        unsigned h[2][2][4];
#pragma unroll
        for (int n = 0; n < 4; n++) {
            float2 b = *(const float2 *)(s.b1 + step * chunk + 8 * n + lane % 4 * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) {
                const float *v = hidden[m][n];
                h[m][n / 2][n % 2 * 2] = pack2(fmaxf(v[0] + b.x, 0.0f), fmaxf(v[1] + b.y, 0.0f));
                h[m][n / 2][n % 2 * 2 + 1] = pack2(fmaxf(v[2] + b.x, 0.0f), fmaxf(v[3] + b.y, 0.0f));
            }
        }
        const unsigned w2_address = mma_b_address(w.w2, S::w2_pitch, 0, 0);
#pragma unroll
        for (int k = 0; k < 2; k++)
#pragma unroll
            for (int n = 0; n < C / 8; n += 2) {
                unsigned b[4];
                ldmatrix_x4_trans(b, w2_address + (unsigned)(16 * k * S::w2_pitch + 8 * n) * 2u);
                mma_bf16(result[0][n], h[0][k], b[0], b[1]);
                mma_bf16(result[0][n + 1], h[0][k], b[2], b[3]);
                mma_bf16(result[1][n], h[1][k], b[0], b[1]);
                mma_bf16(result[1][n + 1], h[1][k], b[2], b[3]);
            }
    }

    /* The warp's rows are no longer needed: its result takes their place, and whole rows of x are added to. */
    float *mine = (float *)(s.x + row0 * S::x_pitch);
    constexpr int lanes = S::half / 8, lines = 32 / lanes;
    const int c = lane % lanes * 8;
#pragma unroll
    for (int part = 0; part < 2; part++) {
        __syncwarp();
#pragma unroll
        for (int n = 0; n < C / 16; n++)
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int lower = 0; lower < 2; lower++) {
                    const float *v = result[m][part * (C / 16) + n] + 2 * lower;
                    *(float2 *)(mine + (16 * m + 8 * lower + lane / 4) * S::result_pitch + 8 * n + lane % 4 * 2) =
                        make_float2(v[0], v[1]);
                }
        __syncwarp();
        for (int line = lane / lanes; line < 32; line += lines) {
            unsigned row = first + (unsigned)(row0 + line);
            if (row >= a.n_row)
                break;
            uint4 *to = (uint4 *)(a.x + a.rows.at(row) + part * S::half + c);
            float y[8];
            unpack8(y, *to);
#pragma unroll
            for (int k = 0; k < 8; k += 4) {
                float4 v = load4(mine + line * S::result_pitch + c + k), b = load4(s.b2 + part * S::half + c + k);
                y[k] += v.x + b.x;
                y[k + 1] += v.y + b.y;
                y[k + 2] += v.z + b.z;
                y[k + 3] += v.w + b.w;
            }
            *to = pack8(y);
        }
    }
}

template <int C>
bool launch(struct ff_backend *be, const fused_args &a)
{
    static int ready = -1;
    if (ready < 0) {
        int device, most, bytes = (int)sizeof(fused_shared<C>);
        FF_CUDA(cudaGetDevice(&device));
        FF_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
        ready = bytes <= most;
        if (ready)
            FF_CUDA(cudaFuncSetAttribute(transition_kernel<C>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    }
    if (!ready)
        return false;
    transition_kernel<C><<<ff_blocks(a.n_row, block_rows), threads, sizeof(fused_shared<C>), ff_cuda_stream(be)>>>(a);
    FF_CUDA_LAUNCHED();
    return true;
}

} // namespace

bool ff_cuda_transition_fused(struct ff_backend *be, const struct ff_transition_args *a)
{
    int64_t c = a->w1.shape[0], n = a->w1.shape[1];
    if (!ff_is_bf16(&a->out) || (c != 64 && c != 128) || n % chunk != 0 || n > max_hidden ||
        !ff_cuda_aligned(&a->out, 8))
        return false;
    ff_cuda_mark mark(be);
    const void *w1 = ff_cuda_as_type(be, &a->w1, FF_BF16), *w2 = ff_cuda_as_type(be, &a->w2, FF_BF16);
    if (((uintptr_t)w1 | (uintptr_t)w2) & 15)
        return false;
    int axes = a->out.ndim - 1;
    fused_args f = {(bf16 *)a->out.data, ff_cuda_rows_of(&a->out, axes), (unsigned)ff_cuda_row_count(&a->out, axes),
                    (int)n, (const bf16 *)w1, (const bf16 *)w2, (const float *)a->norm.scale.data,
                    (const float *)a->norm.offset.data, (const float *)a->b1.data, (const float *)a->b2.data};
    if (f.n_row == 0)
        return true;
    return c == 64 ? launch<64>(be, f) : launch<128>(be, f);
}
