/* SPDX-License-Identifier: Apache-2.0
 * triangle: the three parts of triangle multiplication for any sizes and types. With the usual sizes the projections
 * and the output run in the fused kernels of triangle_fused.cu (bf16) and triangle_float32.cu instead.
 *
 * Here each part goes through tiles of pairs in the workspace that stay in the second-level cache: layer norm into a
 * tile, products by the library, and one elementwise kernel that joins them and changes the layout.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 11 and 12; AlphaFold model/modules.py TriangleMultiplication.
 * Reference: ops_cpu_triangle.c.
 */
#include "triangle_fused.cuh"

namespace {

constexpr int side = 32;         /* of the square that is transposed through shared memory */
constexpr int lines = 8;

/* --- projection --- */

/* out[c, i, k] = mask[i, k] (p[r, c] + b[c]) sigmoid(g[r, c] + bg[c]), r = row + (pairs i * K + k) of this tile; p
 * and g [rows, n_c]. A block turns a square of 32 pairs times 32 channels, 33 floats per line in shared memory. */
template <class T>
__global__ void gate_transpose_kernel(const __grid_constant__ triangle_places<T> out, unsigned n_k, const float *p,
                                      const float *g, const float *mask, ff_cuda_rows mask_rows, const float *b,
                                      const float *bg, unsigned row, unsigned rows, int n_c)
{
    __shared__ float square[side][side + 1];
    unsigned r0 = blockIdx.x * side;
    int c0 = (int)blockIdx.y * side, c = c0 + (int)threadIdx.x;
    for (int line = (int)threadIdx.y; line < side; line += lines) {
        unsigned r = r0 + (unsigned)line;
        if (r >= rows || c >= n_c)
            continue;
        int64_t at = (int64_t)r * n_c + c;
        square[line][threadIdx.x] = mask[mask_rows.at(row + r)] * (p[at] + b[c]) * sigmoid(g[at] + bg[c]);
    }
    __syncthreads();
    unsigned r = r0 + threadIdx.x;
    if (r >= rows)
        return;
    unsigned i = (row + r) / n_k, k = (row + r) - i * n_k;
    for (int line = (int)threadIdx.y; line < side && c0 + line < n_c; line += lines)
        *out.channel(c0 + line).at(i, k) = from_float<T>(square[threadIdx.x][line]);
}

struct ff_cuda_gemm_args rows_times(const void *x, enum ff_dtype type, int64_t k, const void *w, int64_t n, float *y)
{
    struct ff_cuda_gemm_args g = {};
    g.n = n;
    g.k = k;
    g.a = x;
    g.a_type = g.b_type = type;
    g.lda = k;
    g.b = w;
    g.ldb = n;
    g.c = y;
    g.c_type = FF_F32;
    g.ldc = n;
    g.alpha = 1.0f;
    return g;
}

/* --- output --- */

/* y[r, c] = LN over c of x[c, i, j], r = row + (pairs i * J + j). A block takes 32 pairs: their channels lie in shared
 * memory as [n_c, 33]; a warp then makes the sums of one pair at a time. */
template <class T>
__global__ void norm_transpose_kernel(T *y, const __grid_constant__ triangle_planes<const T> x, unsigned n_j,
                                      const float *scale, const float *offset, unsigned row, unsigned rows, int n_c)
{
    extern __shared__ float column[];            /* [n_c, side + 1] */
    unsigned r0 = blockIdx.x * side, r = r0 + threadIdx.x;
    if (r < rows) {
        unsigned i = (row + r) / n_j, j = (row + r) - i * n_j;
        const auto from = x.of(i, j);
        for (int c = (int)threadIdx.y; c < n_c; c += lines)
            column[c * (side + 1) + threadIdx.x] = to_float(*x.channel(from, c));
    }
    __syncthreads();
    int lane = (int)threadIdx.x;
    for (unsigned line = threadIdx.y; line < side && r0 + line < rows; line += lines) {
        float sum = 0.0f, square = 0.0f;
        for (int c = lane; c < n_c; c += 32)
            sum += column[c * (side + 1) + line];
        float mean = warp_sum(sum) / (float)n_c;
        for (int c = lane; c < n_c; c += 32) {
            float d = column[c * (side + 1) + line] - mean;
            square += d * d;
        }
        float inverse = 1.0f / sqrtf(warp_sum(square) / (float)n_c + 1e-5f);
        T *to = y + (int64_t)(r0 + line) * n_c;
        for (int c = lane; c < n_c; c += 32)
            to[c] = from_float<T>((column[c * (side + 1) + line] - mean) * inverse * scale[c] + offset[c]);
    }
}

/* out[row + r, :] += (o[r, :] + b) sigmoid(g[r, :] + bg); a thread makes one number. */
template <class T>
__global__ void add_gated_kernel(T *out, ff_cuda_rows out_rows, const float *o, const float *g, const float *b,
                                 const float *bg, unsigned row, int64_t rows, int n_c)
{
    int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, r = at / n_c;
    int c = (int)(at - r * n_c);
    if (r >= rows)
        return;
    T *to = out + out_rows.at(row + (unsigned)r) + c;
    *to = from_float<T>(to_float(*to) + (o[at] + b[c]) * sigmoid(g[at] + bg[c]));
}

/* Rows of contiguous pairs; c channels in all. */
bool planes_fit(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart, int64_t c)
{
    struct ff_planes runs[FF_PLANES_MOST];
    const int n = ff_planes_of(others, apart, n_apart, runs);    /* which looks at the shapes */
    for (int r = 0; r < n; r++)
        if (runs[r].t.stride[2] != 1)
            return false;
    return ff_planes_count(others, apart, n_apart) == c;
}

/* --- contraction --- */

/* The library's fast kernels want rows that start at multiples of 16 bytes. */
bool good_rows(const struct ff_tensor *t)
{
    return !ff_is_bf16(t) || (t->stride[1] % 8 == 0 && t->stride[0] % 8 == 0 && ((uintptr_t)t->data & 15) == 0);
}

} // namespace

extern "C" void ff_cuda_triangle_project(struct ff_backend *be, const struct ff_triangle_project_args *a)
{
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->z.ndim == 3 && a->mask.ndim == 2 && a->out.dtype == a->z.dtype);
    FF_ASSERT(a->out.shape[1] == a->z.shape[0] && a->out.shape[2] == a->z.shape[1]);
    FF_ASSERT(a->mask.shape[0] == a->z.shape[0] && a->mask.shape[1] == a->z.shape[1]);
    FF_ASSERT(a->z.shape[2] == c_z && a->gate_w.shape[0] == c_z && a->gate_w.shape[1] == c_i);
    FF_ASSERT(a->b.shape[0] == c_i && a->gate_b.shape[0] == c_i && planes_fit(&a->out, a->apart, FF_PLANES_APART, c_i));
    if (ff_cuda_triangle_project_fused(be, a) || ff_cuda_triangle_project_float32(be, a))
        return;
    ff_cuda_mark mark(be);
    enum ff_dtype type = a->z.dtype;
    int64_t n_row = ff_cuda_row_count(&a->z, 2);
    const void *w = ff_cuda_as_type(be, &a->w, type), *gate_w = ff_cuda_as_type(be, &a->gate_w, type);
    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)c_z * ff_dtype_size(type) + 2 * (size_t)c_i * sizeof(float));
    void *x = ff_cuda_take_bytes(be, (size_t)(step * c_z) * ff_dtype_size(type));    /* [step, c_z] */
    float *p = ff_cuda_take<float>(be, step * c_i);                                  /* [step, c_i] */
    float *g = ff_cuda_take<float>(be, step * c_i);
    struct ff_cuda_gemm_args project = rows_times(x, type, c_z, w, c_i, p);
    struct ff_cuda_gemm_args gate = rows_times(x, type, c_z, gate_w, c_i, g);
    ff_cuda_rows mask_rows = ff_cuda_rows_of(&a->mask, 2);
    for (int64_t row = 0; row < n_row; row += step) {
        int64_t rows = n_row - row < step ? n_row - row : step;
        project.m = gate.m = rows;
        ff_cuda_load_rows(be, x, type, c_z, &a->z, row, rows, &a->norm, false);
        ff_cuda_gemm(be, &project);
        ff_cuda_gemm(be, &gate);
        dim3 grid(ff_blocks(rows, side), ff_blocks(c_i, side));
        ff_cuda_with_type(type, [&](auto t) {
            using T = decltype(t);
            gate_transpose_kernel<T><<<grid, dim3(side, lines), 0, ff_cuda_stream(be)>>>(
                triangle_places_of<T>(a), (unsigned)a->out.shape[2], p, g,
                (const float *)a->mask.data, mask_rows, (const float *)a->b.data, (const float *)a->gate_b.data,
                (unsigned)row, (unsigned)rows, (int)c_i);
        });
        FF_CUDA_LAUNCHED();
    }
}

/* One product per channel. bf16 operands with rows that are no multiple of 16 bytes apart (the pair tensors of the
 * network are padded so that theirs are) are copied, some channels at a time, with zeros behind each row. */
extern "C" void ff_cuda_triangle_contract(struct ff_backend *be, const struct ff_triangle_contract_args *a)
{
    int64_t n_c = a->out.shape[0], n_i = a->out.shape[1], n_j = a->out.shape[2], n_k = a->a.shape[2];
    FF_ASSERT(a->out.ndim == 3 && a->a.ndim == 3 && a->b.ndim == 3);
    FF_ASSERT(a->a.shape[0] == n_c && a->b.shape[0] == n_c && a->a.shape[2] == a->b.shape[2]);
    FF_ASSERT(a->a.shape[1] == n_i && a->b.shape[1] == n_j);
    FF_ASSERT(a->a.dtype == a->b.dtype && a->a.dtype == a->out.dtype);
    struct ff_cuda_gemm_args g = {};
    g.m = n_i;
    g.n = n_j;
    g.k = n_k;
    g.batch = n_c;
    g.a = a->a.data;
    g.a_type = g.b_type = g.c_type = a->a.dtype;
    g.lda = a->a.stride[1];
    g.a_batch = a->a.stride[0];
    g.b = a->b.data;
    g.ldb = a->b.stride[1];
    g.b_batch = a->b.stride[0];
    g.b_trans = true;
    g.c = a->out.data;
    g.ldc = a->out.stride[1];
    g.c_batch = a->out.stride[0];
    g.alpha = 1.0f;
    if (good_rows(&a->a) && good_rows(&a->b) && good_rows(&a->out)) {
        ff_cuda_gemm(be, &g);
        return;
    }

    ff_cuda_mark mark(be);
    int64_t pad_k = (n_k + 7) / 8 * 8, pad_j = (n_j + 7) / 8 * 8;
    int64_t step = (int64_t)(ff_cuda_left(be) / 2 / ((size_t)(n_i * pad_k + n_j * pad_k + n_i * pad_j) * sizeof(bf16)));
    step = step < 1 ? 1 : step > n_c ? n_c : step;
    bf16 *pa = ff_cuda_take<bf16>(be, step * n_i * pad_k);       /* [step, I, pad_k] */
    bf16 *pb = ff_cuda_take<bf16>(be, step * n_j * pad_k);       /* [step, J, pad_k] */
    bf16 *pc = ff_cuda_take<bf16>(be, step * n_i * pad_j);       /* [step, I, pad_j] */
    g.a = pa;
    g.b = pb;
    g.c = pc;
    g.lda = g.ldb = g.k = pad_k;
    g.ldc = pad_j;
    g.a_batch = n_i * pad_k;
    g.b_batch = n_j * pad_k;
    g.c_batch = n_i * pad_j;
    for (int64_t c = 0; c < n_c; c += step) {
        struct ff_cuda_store how = {};
        g.batch = n_c - c < step ? n_c - c : step;
        ff_cuda_load_rows(be, pa, FF_BF16, pad_k, &a->a, c * n_i, g.batch * n_i, nullptr, false);
        ff_cuda_load_rows(be, pb, FF_BF16, pad_k, &a->b, c * n_j, g.batch * n_j, nullptr, false);
        ff_cuda_gemm(be, &g);
        ff_cuda_store_rows(be, &a->out, c * n_i, g.batch * n_i, pc, FF_BF16, pad_j, &how);
    }
}

extern "C" void ff_cuda_triangle_output(struct ff_backend *be, const struct ff_triangle_output_args *a)
{
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->x.ndim == 3 && a->out.shape[2] == c_z);
    FF_ASSERT(a->x.shape[1] == a->out.shape[0] && a->x.shape[2] == a->out.shape[1] && a->x.dtype == a->out.dtype);
    FF_ASSERT(a->gate_w.shape[0] == c_z && a->gate_w.shape[1] == c_z);
    FF_ASSERT(a->o_b.shape[0] == c_z && a->gate_b.shape[0] == c_z);
    FF_ASSERT(ff_tensor_present(&a->center_norm.scale) && a->center_norm.scale.shape[0] == c_i && c_i <= 320);
    FF_ASSERT(planes_fit(&a->x, &a->apart, 1, c_i));
    if (ff_cuda_triangle_output_fused(be, a) || ff_cuda_triangle_output_float32(be, a))
        return;
    ff_cuda_mark mark(be);
    enum ff_dtype type = a->out.dtype;
    size_t size = ff_dtype_size(type);
    int64_t n_row = ff_cuda_row_count(&a->out, 2);
    const void *o_w = ff_cuda_as_type(be, &a->o_w, type), *gate_w = ff_cuda_as_type(be, &a->gate_w, type);
    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)(c_i + c_z) * size + 2 * (size_t)c_z * sizeof(float));
    void *x = ff_cuda_take_bytes(be, (size_t)(step * c_i) * size);           /* [step, c_i] */
    void *z = ff_cuda_take_bytes(be, (size_t)(step * c_z) * size);           /* [step, c_z] */
    float *o = ff_cuda_take<float>(be, step * c_z);                          /* [step, c_z] */
    float *g = ff_cuda_take<float>(be, step * c_z);
    struct ff_cuda_gemm_args project = rows_times(x, type, c_i, o_w, c_z, o);
    struct ff_cuda_gemm_args gate = rows_times(z, type, c_z, gate_w, c_z, g);
    ff_cuda_rows out_rows = ff_cuda_rows_of(&a->out, 2);
    for (int64_t row = 0; row < n_row; row += step) {
        int64_t rows = n_row - row < step ? n_row - row : step;
        project.m = gate.m = rows;
        ff_cuda_with_type(type, [&](auto t) {
            using T = decltype(t);
            size_t shared = (size_t)c_i * (side + 1) * sizeof(float);
            norm_transpose_kernel<T><<<ff_blocks(rows, side), dim3(side, lines), shared, ff_cuda_stream(be)>>>(
                (T *)x, triangle_planes_of<const T>(&a->x, &a->apart), (unsigned)a->x.shape[2],
                (const float *)a->center_norm.scale.data, (const float *)a->center_norm.offset.data, (unsigned)row,
                (unsigned)rows, (int)c_i);
        });
        FF_CUDA_LAUNCHED();
        ff_cuda_load_rows(be, z, type, c_z, &a->out, row, rows, &a->norm, false);
        ff_cuda_gemm(be, &project);
        ff_cuda_gemm(be, &gate);
        ff_cuda_with_type(type, [&](auto t) {
            using T = decltype(t);
            add_gated_kernel<T><<<ff_blocks(rows * c_z, 256), 256, 0, ff_cuda_stream(be)>>>(
                (T *)a->out.data, out_rows, o, g, (const float *)a->o_b.data, (const float *)a->gate_b.data,
                (unsigned)row, rows, (int)c_z);
        });
        FF_CUDA_LAUNCHED();
    }
}
