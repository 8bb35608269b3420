/* SPDX-License-Identifier: Apache-2.0
 * linear: layer norm, product, bias, activation, mask and accumulation.
 *
 * On GPUs with the products of warpgroups, rows of 64, 128 and 256 bf16 channels go through the fused kernel of
 * linear_wgmma.cu, large float32 products through those of dense_split.cu or dense_fp32.cu. Else the product reads x
 * where it lies when nothing is to be done to it, else a tile that a first pass made (normed, converted, gathered from
 * strided rows) and that is still in the second-level cache. It writes out where that lies when rows have one or two
 * strides and the product can do all that remains, else a tile that a last pass stores. The type of w decides the
 * arithmetic: a float32 w makes a float32 product of bf16 rows.
 */
#include <algorithm>

#include "dense_split.cuh"
#include "dense_wgmma.cuh"

namespace {

/* Rows as matrices [outer][inner rows, n]. */
struct matrices {
    int64_t outer, inner, outer_stride, inner_stride;
};

bool as_matrices(const struct ff_tensor *t, int64_t rows, matrices *ret)
{
    struct ff_cuda_rows r = ff_cuda_rows_of(t, t->ndim - 1);
    int64_t n = t->shape[t->ndim - 1];
    if (r.n1 != 1)
        return false;
    if (r.n2 == 1)
        *ret = {1, rows, 0, r.s0};
    else
        *ret = {rows / r.n2, r.n2, r.s0, r.s2};
    if (rows == 1)
        ret->inner_stride = n;
    /* Rows that overlap or go backwards are no matrix. */
    return ret->inner_stride >= n;
}

struct sizes {
    int64_t rows, k, n;
};

}  // namespace

/* One product of rows [row, row + rows): a holds them with distance lda. */
static void multiply(struct ff_backend *be, const struct ff_linear_args *a, const sizes &z, const void *x, int64_t lda,
                     const void *w, bool direct, const matrices &to, int64_t row, int64_t rows)
{
    enum ff_dtype type = a->w.dtype;
    struct ff_cuda_gemm_args g = {};
    g.n = z.n;
    g.k = z.k;
    g.a = x;
    g.lda = lda;
    g.b = w;
    g.ldb = z.n;
    g.a_type = g.b_type = type;
    if (direct) {
        int64_t inner = to.outer == 1 ? rows : to.inner;
        g.m = inner;
        g.batch = rows / inner;
        g.a_batch = inner * lda;
        g.c = (char *)a->out.data + (row / to.inner * to.outer_stride + row % to.inner * to.inner_stride) *
                                        (int64_t)ff_dtype_size(a->out.dtype);
        g.c_type = a->out.dtype;
        g.ldc = to.inner_stride;
        g.c_batch = to.outer_stride;
        g.bias = ff_cuda_floats(&a->b);
        g.relu = a->relu;
        g.beta = a->accumulate ? 1.0f : 0.0f;
        ff_cuda_gemm(be, &g);
        return;
    }
    ff_cuda_mark mark(be);
    enum ff_dtype tile_type = a->accumulate || type == FF_F32 ? FF_F32 : a->out.dtype;
    int64_t ld = (z.n + 7) / 8 * 8;
    void *tile = ff_cuda_take_bytes(be, (size_t)(rows * ld) * ff_dtype_size(tile_type));
    g.m = rows;
    g.c = tile;
    g.c_type = tile_type;
    g.ldc = ld;
    ff_cuda_gemm(be, &g);
    struct ff_cuda_store how = {};
    how.b = ff_cuda_floats(&a->b);
    how.mask = &a->mask;
    how.relu = a->relu;
    how.accumulate = a->accumulate;
    ff_cuda_store_rows(be, &a->out, row, rows, tile, tile_type, ld, &how);
}

/* All in one kernel, by float32 weights. */
static bool dense(struct ff_backend *be, const struct ff_linear_args *a, const sizes &z)
{
    auto takes = [](enum ff_dtype t) { return t == FF_F32 || t == FF_F16; };
    if (!takes(a->x.dtype) || a->w.dtype != FF_F32 || !takes(a->out.dtype) || z.rows > UINT32_MAX)
        return false;
    int axes = a->x.ndim - 1;
    struct ff_cuda_dense_job j = {};
    j.m = (unsigned)z.rows;
    j.n = (unsigned)z.n;
    j.k = (unsigned)z.k;
    j.a = a->x.data;
    j.a_half = a->x.dtype == FF_F16;
    j.a_rows = ff_cuda_rows_of(&a->x, axes);
    j.b = (const float *)a->w.data;
    j.ldb = z.n;
    j.c = a->out.data;
    j.c_half = a->out.dtype == FF_F16;
    j.c_rows = ff_cuda_rows_of(&a->out, axes);
    j.scale = ff_cuda_floats(&a->norm.scale);
    j.offset = ff_cuda_floats(&a->norm.offset);
    j.bias = ff_cuda_floats(&a->b);
    j.mask = ff_cuda_floats(&a->mask);
    if (j.mask)
        j.mask_rows = ff_cuda_rows_of(&a->mask, axes);
    j.relu_input = a->relu_input;
    j.relu = a->relu;
    j.alpha = 1.0f;
    j.beta = a->accumulate ? 1.0f : 0.0f;
    return ff_cuda_dense_fp32(be, &j);
}

extern "C" void ff_cuda_linear(struct ff_backend *be, const struct ff_linear_args *a)
{
    int axes = a->x.ndim - 1;
    sizes z = {ff_cuda_row_count(&a->x, axes), a->w.shape[0], a->w.shape[1]};
    FF_ASSERT(a->out.ndim == a->x.ndim && a->x.shape[axes] == z.k && a->out.shape[axes] == z.n);
    FF_ASSERT(ff_cuda_row_count(&a->out, axes) == z.rows);
    struct ff_linear_args place[FF_LINEAR_PLACES];
    const int places = ff_linear_places(a, place);
    if ((z.rows == 0 && places == 1) || ff_cuda_linear_wgmma(be, a))
        return;
    if (places > 1) {
        for (int i = 0; i < places; i++)
            ff_cuda_linear(be, &place[i]);
        return;
    }
    if (ff_tensor_present(&a->out2)) {
        struct ff_linear_args one[2];
        ff_linear_apart(a, one);
        ff_cuda_linear(be, &one[0]);
        ff_cuda_linear(be, &one[1]);
        return;
    }
    enum ff_dtype type = a->w.dtype;
    bool normed = ff_tensor_present(&a->norm.scale), masked = ff_tensor_present(&a->mask);

    matrices to = {}, from = {};
    bool direct = as_matrices(&a->out, z.rows, &to) && !masked && !(a->relu && a->accumulate) &&
                  (type == FF_BF16 || a->out.dtype == FF_F32) &&
                  (!ff_tensor_present(&a->b) || (uintptr_t)a->b.data % 16 == 0);
    bool as_is =
        !normed && !a->relu_input && a->x.dtype == type && as_matrices(&a->x, z.rows, &from) && from.outer == 1;
    bool plain = as_is && direct && to.outer == 1;

    /* Else the library's TF32 products are the faster ones where nothing is to be done besides. */
    bool own = !plain || be->precision != FF_PRECISION_TF32 ||
               ff_cuda_linear_split_columns(be, (unsigned)z.k, (unsigned)z.n, false) > 0;
    if (own && dense(be, a, z))
        return;
    ff_cuda_mark mark(be);
    if (plain) {
        multiply(be, a, z, a->x.data, from.inner_stride, a->w.data, true, to, 0, z.rows);
        return;
    }
    /* Pieces of rows; of whole matrices where the product writes several of them. */
    int64_t lda = (z.k + 7) / 8 * 8, unit = direct && to.outer > 1 ? to.inner : 1;
    size_t bytes = (as_is ? 0 : (size_t)lda * ff_dtype_size(type)) + (direct ? (size_t)z.n * 2 : (size_t)(z.n + 8) * 4);
    int64_t step = ff_cuda_tile_rows(be, z.rows / unit, bytes * (size_t)unit) * unit;
    for (int64_t row = 0; row < z.rows; row += step) {
        ff_cuda_mark piece(be);
        int64_t rows = std::min(step, z.rows - row);
        const void *x = (const char *)a->x.data + row * from.inner_stride * (int64_t)ff_dtype_size(type);
        if (!as_is) {
            void *tile = ff_cuda_take_bytes(be, (size_t)(rows * lda) * ff_dtype_size(type));
            ff_cuda_load_rows(be, tile, type, lda, &a->x, row, rows, &a->norm, a->relu_input);
            x = tile;
        }
        multiply(be, a, z, x, as_is ? from.inner_stride : lda, a->w.data, direct, to, row, rows);
    }
}
