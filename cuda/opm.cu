/* SPDX-License-Identifier: Apache-2.0
 * opm: outer product mean in tiles of pairs,
 *   z[i, j] += (flat(sum_s a[s, i] (x) b[s, j]) W + bias) / (1e-3 + sum_s mask_a[s, i] mask_b[s, j]).
 *
 * Shapes: a [S, I, C], b [S, J, C] with any strides on S and I or J (as a rule two halves of one projection), W
 * [C C, c_z]. For a tile of ti x tj pairs one product over the sequences gives all outer products p[(i, c), (j, e)],
 * which stay in the second-level cache; a second product with W finds those of one pair as C pieces of C numbers. In
 * bf16 with C = 32 and c_z = 128 that second product is mean_kernel, or that of opm_wgmma.cu, which read the pieces
 * where they lie and add the result to z; in float32 it is that of opm_float32.cu. Otherwise they are put in order
 * first and multiplied by the library. The sums of masks are counts of common bits.
 * Cost: 2 C C (S + c_z) flops per pair; bound by the products. Numerics: sums in float32, p in the type of a.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 10; AlphaFold model/modules.py OuterProductMean. Reference: ops_cpu_opm.c.
 */
#include "opm.cuh"

namespace {

constexpr int threads = opm_threads;
constexpr int64_t few_pairs = 256 * 256;

/* --- sums of masks --- */

/* bits[w, r] = the mask of sequences 32 w .. 32 w + 31 at residue r. */
__global__ void mask_bits_kernel(unsigned *bits, const float *mask, int64_t stride_s, int64_t stride_r, int n_s,
                                 int n_r)
{
    int r = (int)(blockIdx.x * blockDim.x + threadIdx.x), s0 = (int)blockIdx.y * 32;
    if (r >= n_r)
        return;
    unsigned word = 0;
#pragma unroll
    for (int s = 0; s < 32; s++) {               /* all are asked for at once */
        const float m = mask[min(s0 + s, n_s - 1) * stride_s + r * stride_r];
        word |= (m != 0.0f && s0 + s < n_s ? 1u : 0u) << s;
    }
    bits[(int64_t)blockIdx.y * n_r + r] = word;
}

const unsigned *make_bits(struct ff_backend *be, const struct ff_tensor *mask)
{
    int n_s = (int)mask->shape[0], n_r = (int)mask->shape[1], words = (n_s + 31) / 32;
    unsigned *bits = ff_cuda_take<unsigned>(be, (int64_t)words * n_r);
    mask_bits_kernel<<<dim3(ff_blocks(n_r, 128), (unsigned)words), 128, 0, ff_cuda_stream(be)>>>(
        bits, (const float *)mask->data, mask->stride[0], mask->stride[1], n_s, n_r);
    FF_CUDA_LAUNCHED();
    return bits;
}

bool is_same(const struct ff_tensor *a, const struct ff_tensor *b)
{
    return a->data == b->data && a->shape[1] == b->shape[1] && a->stride[0] == b->stride[0] &&
           a->stride[1] == b->stride[1];
}

/* --- any sizes and types --- */

/* q[i, j, c, e] = p[i, c, j, e] */
template <class T>
__global__ void reorder_kernel(T *q, const T *p, int n_i, int n_j, int n_c)
{
    int64_t at = (int64_t)blockIdx.x * threads + threadIdx.x;
    if (at >= (int64_t)n_i * n_j * n_c * n_c)
        return;
    int e = (int)(at % n_c), c = (int)(at / n_c % n_c);
    int64_t pair = at / n_c / n_c;
    int64_t i = pair / n_j, j = pair % n_j;
    q[at] = p[((i * n_c + c) * n_j + j) * n_c + e];
}

/* z[i0 + i, j0 + j, :] += (y[i, j, :] + bias) * factor(i0 + i, j0 + j) */
template <class T>
__global__ void add_mean_kernel(T *z, int64_t z_i, int64_t z_j, const float *y, const float *bias, mask_bits bits,
                                int i0, int j0, int n_i, int n_j, int n_c)
{
    int64_t at = (int64_t)blockIdx.x * threads + threadIdx.x, pair = at / n_c;
    int c = (int)(at - pair * n_c);
    if (pair >= (int64_t)n_i * n_j)
        return;
    int i = i0 + (int)(pair / n_j), j = j0 + (int)(pair % n_j);
    T *to = z + i * z_i + j * z_j + c;
    *to = from_float<T>(to_float(*to) + (y[at] + bias[c]) * mask_factor(bits.count(i, j, 0, 1)));
}

/* --- bf16, C = 32, c_z = 128 --- */

constexpr int k_step = 64, stages = 3;
constexpr int p_pitch = k_step + 8, w_pitch = opm_channels + 8;

struct mean_stage {
    bf16 p[opm_rows * p_pitch];  /* [128 pairs, 64 products] */
    bf16 w[k_step * w_pitch];    /* [64 products, 128] */
};

/* A block makes 128 pairs, numbered i * n_j + j within the tile, and all channels: 16 steps of 64 products (two
 * values of c, of each pair two pieces of 64 bytes), three stages deep. Warp w has rows 32 (w % 4) .. + 31 and half
 * of the channels. The result passes through shared memory so that whole rows of z are added to. */
__global__ void __launch_bounds__(threads, 2) mean_kernel(const __grid_constant__ opm_mean_args a)
{
    extern __shared__ uint4 shared_memory[];
    mean_stage *stage = (mean_stage *)shared_memory;
    float *y = (float *)shared_memory;           /* [128, opm_pitch] at the end */
    __shared__ int count[2][opm_rows];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int pair0 = (int)blockIdx.x * opm_rows;

    /* Thread t copies piece t % 8 of the rows t / 8 + 32 r: 16 bytes of the second or first c. */
    constexpr int row_copies = opm_rows / (threads / 8);
    int piece = (int)threadIdx.x % 8, from[row_copies];
#pragma unroll
    for (int r = 0; r < row_copies; r++)
        from[r] = opm_row(a, pair0 + (int)threadIdx.x / 8 + r * (threads / 8), piece);
    auto load = [&](int step) {
        mean_stage &s = stage[step % stages];
#pragma unroll
        for (int r = 0; r < row_copies; r++) {
            int at = from[r] < 0 ? 0 : from[r] + step * 2 * a.ld;
            int row = (int)threadIdx.x / 8 + r * (threads / 8);
            copy16_async(s.p + row * p_pitch + piece * 8, a.p + at, from[r] >= 0);
        }
        const bf16 *w = a.w + step * k_step * opm_channels;
#pragma unroll
        for (int r = 0; r < k_step * opm_channels / 8 / threads; r++) {
            int u = (int)threadIdx.x + r * threads;
            copy16_async(s.w + u / (opm_channels / 8) * w_pitch + u % (opm_channels / 8) * 8, w + u * 8, true);
        }
    };

    constexpr int steps = opm_outer * opm_outer / k_step;
#pragma unroll
    for (int s = 0; s < stages - 1; s++) {
        load(s);
        copy_commit();
    }
    opm_count(count, a, pair0);

    int row0 = warp % 4 * 32, column0 = warp / 4 * 64;
    float sum[2][8][4] = {};
    for (int step = 0; step < steps; step++) {
        copy_wait<stages - 2>();
        __syncthreads();
        if (step + stages - 1 < steps)
            load(step + stages - 1);
        copy_commit();
        const mean_stage &s = stage[step % stages];
        unsigned p_address = mma_a_address(s.p, p_pitch, row0, 0), w_address = mma_b_address(s.w, w_pitch, 0, column0);
#pragma unroll
        for (int k = 0; k < k_step; k += 16) {
            unsigned p0[4], p1[4];
            ldmatrix_x4(p0, p_address + (unsigned)k * 2u);
            ldmatrix_x4(p1, p_address + (unsigned)(16 * p_pitch + k) * 2u);
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                unsigned w[4];
                ldmatrix_x4_trans(w, w_address + (unsigned)(k * w_pitch + 8 * n) * 2u);
                mma_bf16(sum[0][n], p0, w[0], w[1]);
                mma_bf16(sum[0][n + 1], p0, w[2], w[3]);
                mma_bf16(sum[1][n], p1, w[0], w[1]);
                mma_bf16(sum[1][n + 1], p1, w[2], w[3]);
            }
        }
    }
    copy_wait<0>();
    __syncthreads();
#pragma unroll
    for (int n = 0; n < 8; n++) {
        int c = column0 + 8 * n + lane % 4 * 2;
        float b0 = a.bias[c], b1 = a.bias[c + 1];
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int row = row0 + 16 * m + 8 * half + lane / 4;
                float f = mask_factor(count[0][row] + count[1][row]);
                *(float2 *)(y + row * opm_pitch + c) =
                    make_float2((sum[m][n][2 * half] + b0) * f, (sum[m][n][2 * half + 1] + b1) * f);
            }
    }
    opm_target<bf16> target;
    target.load(a, pair0);
    __syncthreads();
    target.add(a, pair0, y);
}

/* False where the GPU has not the shared memory. */
bool prepare_mean()
{
    static int ready = -1;
    if (ready < 0) {
        int device, most, bytes = stages * (int)sizeof(mean_stage);
        FF_CUDA(cudaGetDevice(&device));
        FF_CUDA(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
        ready = bytes + 1024 <= most;
        if (ready)
            FF_CUDA(cudaFuncSetAttribute(mean_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    }
    return ready == 1;
}

/* y[s, r, :] = x[s, r0 + r, :], contiguous */
void pack(struct ff_backend *be, void *y, const struct ff_tensor *x, int64_t r0, int64_t n_r)
{
    struct ff_tensor part = ff_tensor_slice(*x, 1, r0, n_r);
    ff_cuda_load_rows(be, y, x->dtype, x->shape[2], &part, 0, x->shape[0] * n_r, nullptr, false);
}

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Some columns of x [S, R, C] are an operand as they are: C next to C, at multiples of 16 bytes. */
bool lies_well(const struct ff_tensor *x)
{
    int vector = 16 / (int)ff_dtype_size(x->dtype);
    return x->stride[1] == x->shape[2] && x->shape[2] % vector == 0 && ff_cuda_aligned(x, vector);
}

} // namespace

extern "C" void ff_cuda_outer_product_mean(struct ff_backend *be, const struct ff_outer_product_mean_args *a)
{
    int64_t n_s = a->a.shape[0], n_c = a->a.shape[2], n_i = a->out.shape[0], n_j = a->out.shape[1];
    int64_t c_z = a->out.shape[2], c2 = n_c * n_c;
    enum ff_dtype type = a->a.dtype;
    FF_ASSERT(a->out.ndim == 3 && a->a.ndim == 3 && a->b.ndim == 3 && a->mask_a.ndim == 2 && a->mask_b.ndim == 2);
    FF_ASSERT(a->a.shape[1] == n_i && a->b.shape[1] == n_j && a->b.shape[0] == n_s && a->b.shape[2] == n_c);
    FF_ASSERT(a->mask_a.shape[0] == n_s && a->mask_a.shape[1] == n_i && a->b.dtype == type);
    FF_ASSERT(a->mask_b.shape[0] == n_s && a->mask_b.shape[1] == n_j);
    FF_ASSERT(a->w.shape[0] == c2 && a->w.shape[1] == c_z && a->bias.shape[0] == c_z);
    ff_cuda_mark mark(be);
    mask_bits bits = {make_bits(be, &a->mask_a), nullptr, (int)((n_s + 31) / 32), (int)n_i, (int)n_j};
    bits.b = is_same(&a->mask_a, &a->mask_b) ? bits.a : make_bits(be, &a->mask_b);
    if (ff_cuda_opm_float32(be, a, &bits))
        return;
    size_t size = ff_dtype_size(type);
    const void *w = ff_cuda_as_type(be, &a->w, type);

    bool fused = type == FF_BF16 && ff_is_bf16(&a->out) && n_c == opm_outer && c_z == opm_channels &&
                 ff_cuda_aligned(&a->out, 8) && ((uintptr_t)w & 15) == 0 && (ff_cuda_has_wgmma(be) || prepare_mean());
    /* Tile: many waves of blocks, so that few of them are the last ones of a kernel; with panels that must be packed
     * never more than what is left. What one block of the fused kernel reads of p is in one place where tj is 128. p
     * goes through memory: of a small one little stays in the second-level cache either; only of few
     * pairs small tiles are the faster ones. */
    int64_t tj = least(n_j, fused ? 128 : 96), panel = n_s * n_c * (int64_t)size;
    int64_t pair_bytes = fused ? c2 * (int64_t)size : 2 * c2 * (int64_t)size + c_z * (int64_t)sizeof(float);
    int64_t half = (int64_t)ff_cuda_left(be) / 2, room = (int64_t)84 << 20;
    if (fused)
        room = (n_i * n_j > few_pairs ? 4 : 1) * (int64_t)FF_CUDA_TILE_BYTES;
    bool pack_a = !lies_well(&a->a), pack_b = !lies_well(&a->b);
    bool whole_b = !pack_b || n_j <= tj || (fused && n_j * panel <= half / 2);
    while (pack_b && tj > 1 && (!whole_b || n_j <= tj) && tj * panel > half / 4) {
        tj = (tj + 1) / 2;
        whole_b = false;
    }
    int64_t ti = least(room, fused ? half : half / 2) / (tj * pair_bytes);
    if (pack_a)
        ti = least(ti, half / 4 / panel);
    ti = ti < 1 ? 1 : least(ti, n_i);
    ti = (n_i + (n_i + ti - 1) / ti - 1) / ((n_i + ti - 1) / ti);        /* evened out */

    /* [S, J or tj, C], [S, ti, C] */
    char *pb = pack_b ? ff_cuda_take<char>(be, (whole_b ? n_j : tj) * panel) : (char *)a->b.data;
    char *pa = pack_a ? ff_cuda_take<char>(be, ti * panel) : nullptr;
    char *p = ff_cuda_take<char>(be, ti * tj * c2 * (int64_t)size);      /* [ti, C, tj, C] */
    char *q = fused ? nullptr : ff_cuda_take<char>(be, ti * tj * c2 * (int64_t)size);    /* [ti, tj, C, C] */
    float *y = fused ? nullptr : ff_cuda_take<float>(be, ti * tj * c_z);                 /* [ti, tj, c_z] */
    if (pack_b && whole_b)
        pack(be, pb, &a->b, 0, n_j);
    for (int64_t i0 = 0; i0 < n_i; i0 += ti) {
        int64_t ni = least(ti, n_i - i0);
        if (pack_a)
            pack(be, pa, &a->a, i0, ni);
        for (int64_t j0 = 0; j0 < n_j; j0 += tj) {
            int64_t nj = least(tj, n_j - j0);
            if (!whole_b)
                pack(be, pb, &a->b, j0, nj);
            struct ff_cuda_gemm_args g = {};
            g.m = ni * n_c;
            g.n = nj * n_c;
            g.k = n_s;
            g.a = pack_a ? pa : (char *)a->a.data + i0 * n_c * (int64_t)size;
            g.a_type = g.b_type = g.c_type = type;
            g.lda = pack_a ? ni * n_c : a->a.stride[0];
            g.a_trans = true;
            g.b = whole_b ? pb + j0 * n_c * (int64_t)size : pb;
            g.ldb = !pack_b ? a->b.stride[0] : (whole_b ? n_j : nj) * n_c;
            g.c = p;
            g.ldc = nj * n_c;
            g.alpha = 1.0f;
            ff_cuda_gemm(be, &g);

            int64_t pairs = ni * nj;
            if (fused) {
                opm_mean_args m = {(bf16 *)a->out.data + i0 * a->out.stride[0] + j0 * a->out.stride[1],
                                   a->out.stride[0], a->out.stride[1], (const bf16 *)p, (int)(nj * n_c),
                                   (const bf16 *)w, (const float *)a->bias.data, bits, (int)i0, (int)j0, (int)ni,
                                   (int)nj};
                if (ff_cuda_opm_mean_wgmma(be, &m))
                    continue;
                mean_kernel<<<ff_blocks(pairs, opm_rows), threads, stages * sizeof(mean_stage),
                              ff_cuda_stream(be)>>>(m);
                FF_CUDA_LAUNCHED();
                continue;
            }
            ff_cuda_with_type(type, [&](auto t) {
                using T = decltype(t);
                reorder_kernel<T><<<ff_blocks(pairs * c2, threads), threads, 0, ff_cuda_stream(be)>>>(
                    (T *)q, (const T *)p, (int)ni, (int)nj, (int)n_c);
            });
            FF_CUDA_LAUNCHED();
            struct ff_cuda_gemm_args h = {};
            h.m = pairs;
            h.n = h.ldb = h.ldc = c_z;
            h.k = h.lda = c2;
            h.a = q;
            h.a_type = h.b_type = type;
            h.b = w;
            h.c = y;
            h.c_type = FF_F32;
            h.alpha = 1.0f;
            ff_cuda_gemm(be, &h);
            ff_cuda_with_type(a->out.dtype, [&](auto t) {
                using T = decltype(t);
                add_mean_kernel<T><<<ff_blocks(pairs * c_z, threads), threads, 0, ff_cuda_stream(be)>>>(
                    (T *)a->out.data, a->out.stride[0], a->out.stride[1], y, (const float *)a->bias.data, bits, (int)i0,
                    (int)j0, (int)ni, (int)nj, (int)c_z);
            });
            FF_CUDA_LAUNCHED();
        }
    }
}
