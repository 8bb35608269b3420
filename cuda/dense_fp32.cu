/* SPDX-License-Identifier: Apache-2.0
 * dense_fp32: float32 products on the matrix units with all that the dense layers do before and after them, for GPUs
 * without the products of warpgroups, and what dense_split.cu leaves.
 *
 * A float32 number is the sum of two TF32 numbers, hi + lo, up to 2^-22 of it; a product takes three of theirs
 * (hi hi + hi lo + lo hi), which keeps float32 accuracy; under the tf32 precision one product does. Operands lie in
 * shared memory as float32 and are split in registers, so memory sees each number once.
 *
 * A block makes [128, N] numbers of C, a warp [64, 32] of them, or [64, N / 2] under tf32; 32 of k pass through shared
 * memory at a time, three stages deep. Layer norm: mean and deviation of the block's rows are taken first, which brings
 * the rows to the second-level cache, and the operand is normed on its way from shared memory to the product.
 * Shared memory at N = 128: stages 3 * 36 KiB; eight warps per multiprocessor. Bound by mma.sync, under tf32 by memory.
 * Numerics: layer norm and bias in float32; sums in float32, under fp32 over 8 numbers by the matrix units, which
 * round towards zero, and of those by the others.
 */
#include "dense_split.cuh"
#include "ptx.cuh"

namespace {

enum { M = 128, K = 32, STAGES = 3, MAX_NORM = 512, PITCH_K = K + 4, PITCH_M = M + 8 };

/* Warps lie in two rows; those of fp32 need the registers of half as many columns for the sums of eight. */
template <int N, bool TF32> constexpr int warp_columns = TF32 ? N / 2 : 32;
template <int N, bool TF32> constexpr int threads = 64 * N / warp_columns<N, TF32>;

template <int N, bool A_TRANS, bool B_TRANS>
struct dense_shared {
    static constexpr int PITCH_N = N + 8;
    struct operands {
        float a[A_TRANS ? K * PITCH_M : M * PITCH_K], b[B_TRANS ? N * PITCH_K : K * PITCH_N];
    };
    operands stage[STAGES];
    int64_t row_at[M];
    float mean[M], inverse[M];
    float scale[MAX_NORM], offset[MAX_NORM];
};

/* The matrix units take the upper 19 bits of what they get. */
struct pair {
    unsigned hi, lo;
};
template <bool TF32> __device__ __forceinline__ pair split_up(float x)
{
    unsigned near = __float_as_uint(x) + 0x1000u;
    if (TF32)
        return {isfinite(x) ? near : __float_as_uint(x), 0};
    near &= 0xffffe000u;
    return {near, __float_as_uint(x - __uint_as_float(near))};
}

template <int THREADS, int N, bool A_TRANS, bool B_TRANS>
__device__ __forceinline__ void fetch(dense_shared<N, A_TRANS, B_TRANS> &s, const ff_cuda_dense_job &j, const float *a,
                                      const float *b, unsigned m0, unsigned n0, unsigned step)
{
    using S = dense_shared<N, A_TRANS, B_TRANS>;
    auto &to = s.stage[step % STAGES];
    const unsigned k0 = step * K;
#pragma unroll
    for (unsigned u = threadIdx.x; u < M * K / 4; u += THREADS) {
        if (A_TRANS) {
            unsigned k = u / (M / 4), m = u % (M / 4) * 4;
            bool there = k0 + k < j.k && m0 + m < j.m;
            copy16_async(to.a + k * PITCH_M + m, there ? a + j.a_rows.at(j.a_first + k0 + k) + m0 + m : a, there);
        } else {
            unsigned m = u / (K / 4), k = u % (K / 4) * 4;
            bool there = k0 + k < j.k && m0 + m < j.m;
            copy16_async(to.a + m * PITCH_K + k, there ? a + s.row_at[m] + k0 + k : a, there);
        }
    }
#pragma unroll
    for (unsigned u = threadIdx.x; u < N * K / 4; u += THREADS) {
        if (B_TRANS) {
            unsigned n = u / (K / 4), k = u % (K / 4) * 4;
            bool there = k0 + k < j.k && n0 + n < j.n;
            copy16_async(to.b + n * PITCH_K + k, there ? b + (n0 + n) * j.ldb + k0 + k : b, there);
        } else {
            unsigned k = u / (N / 4), n = u % (N / 4) * 4;
            bool there = k0 + k < j.k && n0 + n < j.n;
            copy16_async(to.b + k * S::PITCH_N + n, there ? b + (k0 + k) * j.ldb + n0 + n : b, there);
        }
    }
}

/* Mean and inverse deviation of the block's rows; a warp takes four at a time. */
template <int THREADS, class S>
__device__ __forceinline__ void take_moments(S &s, const ff_cuda_dense_job &j, const float *a, unsigned m0)
{
    constexpr int BATCH = 4, PIECES = MAX_NORM / 128;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
#pragma unroll 1
    for (int first = warp * BATCH; first < M; first += THREADS / 32 * BATCH) {
        float4 x[BATCH][PIECES];
        float sum[BATCH] = {}, square[BATCH] = {};
#pragma unroll
        for (int r = 0; r < BATCH; r++)
#pragma unroll
            for (int p = 0; p < PIECES; p++) {
                unsigned k = (unsigned)(p * 128 + lane * 4);
                bool there = k < j.k && m0 + first + r < j.m;
                x[r][p] = there ? load4(a + s.row_at[first + r] + k) : make_float4(0, 0, 0, 0);
            }
#pragma unroll
        for (int r = 0; r < BATCH; r++) {
#pragma unroll
            for (int p = 0; p < PIECES; p++)
                sum[r] += x[r][p].x + x[r][p].y + (x[r][p].z + x[r][p].w);
            float mean = warp_sum(sum[r]) / j.k;
#pragma unroll
            for (int p = 0; p < PIECES; p++) {
                float4 d = make_float4(x[r][p].x - mean, x[r][p].y - mean, x[r][p].z - mean, x[r][p].w - mean);
                if (p * 128 + lane * 4 < (int)j.k)
                    square[r] += d.x * d.x + d.y * d.y + (d.z * d.z + d.w * d.w);
            }
            float variance = warp_sum(square[r]) / j.k;
            if (lane == 0) {
                s.mean[first + r] = mean;
                s.inverse[first + r] = rsqrtf(variance + 1e-5f);
            }
        }
    }
}

template <int N, bool A_TRANS, bool B_TRANS, bool PRE, bool TF32>
__global__ void __launch_bounds__(threads<N, TF32>, 256 / threads<N, TF32>)
    kernel(const __grid_constant__ ff_cuda_dense_job j)
{
    extern __shared__ uint4 shared_memory[];
    auto &s = *(dense_shared<N, A_TRANS, B_TRANS> *)shared_memory;
    using S = dense_shared<N, A_TRANS, B_TRANS>;
    constexpr int THREADS = threads<N, TF32>, COLUMNS = warp_columns<N, TF32>, TILES = COLUMNS / 8;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int m_own = warp % 2 * 64, n_own = warp / 2 * COLUMNS;
    const unsigned columns = (j.n + N - 1) / N, n0 = blockIdx.x % columns * N, m0 = blockIdx.x / columns * M;
    const float *a = (const float *)j.a + blockIdx.z * j.a_batch, *b = j.b + blockIdx.z * j.b_batch;
    const unsigned steps = (j.k + K - 1) / K;

    if (!A_TRANS) {
        for (unsigned m = threadIdx.x; m < M; m += THREADS)
            s.row_at[m] = m0 + m < j.m ? j.a_rows.at(j.a_first + m0 + m) : 0;
        __syncthreads();
    }
#pragma unroll
    for (unsigned p = 0; p < STAGES - 1; p++) {
        if (p < steps)
            fetch<THREADS>(s, j, a, b, m0, n0, p);
        copy_commit();
    }
    const bool norm = PRE && j.scale != NULL;
    float mean[8], inverse[8];
    if (PRE && norm) {
        for (unsigned k = threadIdx.x; k < steps * K; k += THREADS) {
            s.scale[k] = k < j.k ? j.scale[k] : 0.0f;
            s.offset[k] = k < j.k ? j.offset[k] : 0.0f;
        }
        take_moments<THREADS>(s, j, a, m0);
        __syncthreads();
    }
    if (PRE)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            mean[i] = norm ? s.mean[m_own + 8 * i + g] : 0.0f;
            inverse[i] = norm ? s.inverse[m_own + 8 * i + g] : 1.0f;
        }

    float sum[4][TILES][4] = {};
#pragma unroll 1
    for (unsigned step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        if (step + STAGES - 1 < steps)
            fetch<THREADS>(s, j, a, b, m0, n0, step + STAGES - 1);
        copy_commit();
        const auto &from = s.stage[step % STAGES];
        const unsigned a_address = shared_address(from.a + (m_own + lane % 16) * PITCH_K + lane / 16 * 4);
#pragma unroll(TF32 ? 4 : 1) /* without spills */
        for (int k = 0; k < K; k += 8) {
            float scale[2] = {1.0f, 1.0f}, offset[2] = {0.0f, 0.0f};
            if (PRE && norm)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    scale[i] = s.scale[step * K + (unsigned)(k + t + 4 * i)];
                    offset[i] = s.offset[step * K + (unsigned)(k + t + 4 * i)];
                }
            pair x[4][4];
#pragma unroll
            for (int m = 0; m < 4; m++) {
                unsigned raw[4];
                if (A_TRANS)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        raw[i] = __float_as_uint(
                            from.a[(k + t + i / 2 * 4) * PITCH_M + m_own + 16 * m + g + i % 2 * 8]);
                else
                    ldmatrix_x4(raw, a_address + (unsigned)(16 * m * PITCH_K + k) * 4u);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float v = __uint_as_float(raw[i]);
                    if (PRE) {
                        int r = 2 * m + i % 2;
                        v = fmaf((v - mean[r]) * inverse[r], scale[i / 2], offset[i / 2]);
                        v = j.relu_input ? fmaxf(v, 0.0f) : v;
                    }
                    x[m][i] = split_up<TF32>(v);
                }
            }
#pragma unroll
            for (int n = 0; n < TILES; n++) {
                const int column = n_own + 8 * n + g;
                float v0, v1;
                if (B_TRANS) {
                    v0 = from.b[column * PITCH_K + k + t];
                    v1 = from.b[column * PITCH_K + k + t + 4];
                } else {
                    v0 = from.b[(k + t) * S::PITCH_N + column];
                    v1 = from.b[(k + t + 4) * S::PITCH_N + column];
                }
                pair y0 = split_up<TF32>(v0), y1 = split_up<TF32>(v1);
                if (TF32) {
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_tf32(sum[m][n], x[m][0].hi, x[m][1].hi, x[m][2].hi, x[m][3].hi, y0.hi, y1.hi);
                } else {
                    float part[4][4] = {};
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_tf32(part[m], x[m][0].lo, x[m][1].lo, x[m][2].lo, x[m][3].lo, y0.hi, y1.hi);
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_tf32(part[m], x[m][0].hi, x[m][1].hi, x[m][2].hi, x[m][3].hi, y0.lo, y1.lo);
#pragma unroll
                    for (int m = 0; m < 4; m++)
                        mma_tf32(part[m], x[m][0].hi, x[m][1].hi, x[m][2].hi, x[m][3].hi, y0.hi, y1.hi);
#pragma unroll
                    for (int m = 0; m < 4; m++)
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            sum[m][n][i] += part[m][i];
                }
            }
        }
    }

#pragma unroll
    for (int i = 0; i < 8; i++) {
        const unsigned row = m0 + (unsigned)(m_own + 8 * i + g);
        if (row >= j.m)
            continue;
        const float mask = j.mask ? j.mask[j.mask_rows.at(row)] : 1.0f;
        const int64_t at = blockIdx.z * j.c_batch + j.c_rows.at(j.c_first + row);
        float *to = (float *)j.c + at;
#pragma unroll
        for (int n = 0; n < TILES; n++) {
            const unsigned column = n0 + (unsigned)(n_own + 8 * n + 2 * t);
            if (column >= j.n)
                continue;
            float2 y = make_float2(sum[i / 2][n][i % 2 * 2] * j.alpha, sum[i / 2][n][i % 2 * 2 + 1] * j.alpha);
            if (j.bias) {
                y.x += j.bias[column];
                y.y += j.bias[column + 1];
            }
            if (j.relu)
                y = make_float2(fmaxf(y.x, 0.0f), fmaxf(y.y, 0.0f));
            y = make_float2(y.x * mask, y.y * mask);
            if (j.beta != 0.0f) {
                float2 old = *(const float2 *)(to + column);
                y = make_float2(fmaf(j.beta, old.x, y.x), fmaf(j.beta, old.y, y.y));
            }
            if (j.c_half)
                *(unsigned *)((f16 *)j.c + at + column) = pack_f16(y.x, y.y);
            else
                *(float2 *)(to + column) = y;
        }
    }
}

template <int N, bool A_TRANS, bool B_TRANS, bool PRE, bool TF32>
void launch(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    constexpr int bytes = (int)sizeof(dense_shared<N, A_TRANS, B_TRANS>);
    auto f = kernel<N, A_TRANS, B_TRANS, PRE, TF32>;
    FF_CUDA(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    dim3 grid(ff_blocks(j->m, M) * ff_blocks(j->n, N), 1, j->batch);
    f<<<grid, threads<N, TF32>, bytes, ff_cuda_stream(be)>>>(*j);
    FF_CUDA_LAUNCHED();
}

template <int N, bool TF32> void choose(struct ff_backend *be, const struct ff_cuda_dense_job *j)
{
    if (j->a_trans && j->b_trans)
        launch<N, true, true, false, TF32>(be, j);
    else if (j->a_trans)
        launch<N, true, false, false, TF32>(be, j);
    else if (j->b_trans)
        launch<N, false, true, false, TF32>(be, j);
    else if (j->scale || j->relu_input)
        launch<N, false, false, true, TF32>(be, j);
    else
        launch<N, false, false, false, TF32>(be, j);
}

int most_shared_memory()
{
    static int most = 0;
    int device;
    if (most == 0) {
        FF_CUDA(cudaGetDevice(&device));
        FF_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    }
    return most;
}

bool strides_are(const struct ff_cuda_rows *r, int n) { return r->s0 % n == 0 && r->s1 % n == 0 && r->s2 % n == 0; }

}  // namespace

#ifndef FF_CUDA_DENSE_WORK
#define FF_CUDA_DENSE_WORK 1e8           /* multiply-adds; less in the tests */
#define FF_CUDA_DENSE_SIDE 32
#endif

bool ff_cuda_dense_is_much(const struct ff_cuda_dense_job *j)
{
    return (double)j->m * j->n * j->k * (j->batch ? j->batch : 1) >= FF_CUDA_DENSE_WORK && j->m >= FF_CUDA_DENSE_SIDE &&
           j->n >= FF_CUDA_DENSE_SIDE && j->k >= FF_CUDA_DENSE_SIDE;
}

bool ff_cuda_dense_fp32(struct ff_backend *be, const struct ff_cuda_dense_job *given)
{
    struct ff_cuda_dense_job j = *given;
    j.batch = j.batch ? j.batch : 1;
    const bool pre = j.scale || j.relu_input, tf32 = be->precision == FF_PRECISION_TF32;
    if (!j.always && !ff_cuda_dense_is_much(&j))
        return false;
    if (ff_cuda_dense_split(be, &j))
        return true;
    if (j.a_half || (j.c_half && j.beta != 0.0f) || j.batch > 65535 || (pre && (j.a_trans || j.b_trans)) ||
        (j.scale && j.k > MAX_NORM))
        return false;
    if (((uintptr_t)j.a | (uintptr_t)j.b) % 16 != 0 || !strides_are(&j.a_rows, 4) || j.ldb % 4 != 0 ||
        (j.a_trans ? j.m : j.k) % 4 != 0 || (j.b_trans ? j.k : j.n) % 4 != 0)
        return false;
    if (j.batch > 1 && (j.a_batch % 4 != 0 || j.b_batch % 4 != 0 || j.c_batch % 2 != 0))
        return false;
    if ((uintptr_t)j.c % 8 != 0 || !strides_are(&j.c_rows, 2) || j.n % 2 != 0)
        return false;
    const int most = most_shared_memory();
    if (most < (int)sizeof(dense_shared<64, false, true>))
        return false;
    const bool narrow = j.n <= 64 || most < (int)sizeof(dense_shared<128, false, true>) ||
                        (int64_t)ff_blocks(j.m, M) * ff_blocks(j.n, 128) * j.batch < ff_cuda_sm_count(be);
    if (narrow && tf32)
        choose<64, true>(be, &j);
    else if (narrow)
        choose<64, false>(be, &j);
    else if (tf32)
        choose<128, true>(be, &j);
    else
        choose<128, false>(be, &j);
    return true;
}
