/* SPDX-License-Identifier: Apache-2.0
 * transition: x += relu(LN(x) W1 + b1) W2 + b2 (Jumper et al. 2021, Suppl. Alg. 9, 15), a tile of rows at a time. In
 * bf16 there are fused kernels: for rows of 64, 128 or 256 channels transition_wgmma.cu, on GPUs with the products of
 * warpgroups; for rows of 64 or 128 channels transition_fused.cu. In float32 the kernels of dense_split.cu, or of
 * dense_fp32.cu, make both products.
 *
 * Shapes: x [.., c] with any leading strides, W1 [c, n], W2 [n, c]. The tile's normed rows [rows, c] and its hidden
 * layer [rows, n] lie in the workspace and are sized to stay in the second-level cache, so the hidden layer never
 * goes through memory. Both products run on the library's kernels with bias and relu in their epilogues; where the
 * rows of x lie at one distance the second adds to x itself.
 * Cost: x read twice and written once; 4 c n flops per row; bound by the products. Numerics: layer norm and sums in
 * float32; hidden layer in the type of x. Reference: ops_cpu_transition.c.
 */
#include "dense_split.cuh"
#include "dense_wgmma.cuh"
#include "transition_fused.cuh"

/* In float32: the layer norm in the first product, the sum with x in the second; a piece of the hidden layer at a time,
 * of a size that stays in the second-level cache. */
static bool dense(struct ff_backend *be, const struct ff_transition_args *a, int64_t c, int64_t n, int64_t n_row)
{
    if (a->out.dtype != FF_F32 || a->w1.dtype != FF_F32 || a->w2.dtype != FF_F32 || n_row > UINT32_MAX)
        return false;
    struct ff_cuda_dense_job first = {}, second = {};
    first.n = second.k = (unsigned)n;
    first.k = second.n = (unsigned)c;
    first.a = second.c = (float *)a->out.data;
    first.a_rows = second.c_rows = ff_cuda_rows_of(&a->out, a->out.ndim - 1);
    first.b = (const float *)a->w1.data;
    second.b = (const float *)a->w2.data;
    first.ldb = n;
    second.ldb = c;
    first.scale = ff_cuda_floats(&a->norm.scale);
    first.offset = ff_cuda_floats(&a->norm.offset);
    first.bias = ff_cuda_floats(&a->b1);
    second.bias = ff_cuda_floats(&a->b2);
    first.relu = true;
    first.alpha = second.alpha = second.beta = 1.0f;
    first.m = second.m = (unsigned)n_row;
    if (ff_cuda_dense_is_much(&first) && ff_cuda_dense_split_two(be, &first, &second))
        return true;

    ff_cuda_mark mark(be);
    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)n * sizeof(float));
    first.c = ff_cuda_take<float>(be, step * n);                        /* [step, n] */
    first.c_rows = second.a_rows = {n, 0, 0, 1, 1};
    second.a = first.c;
    for (int64_t row = 0; row < n_row; row += step) {
        first.m = second.m = (unsigned)(n_row - row < step ? n_row - row : step);
        first.a_first = second.c_first = (unsigned)row;
        bool done = ff_cuda_dense_fp32(be, &first);
        if (!done && row == 0)
            return false;
        first.always = second.always = true;
        done = done && ff_cuda_dense_fp32(be, &second);
        FF_ASSERT(done);
    }
    return true;
}

extern "C" void ff_cuda_transition(struct ff_backend *be, const struct ff_transition_args *a)
{
    int64_t c = a->w1.shape[0], n = a->w1.shape[1], n_row = ff_cuda_row_count(&a->out, a->out.ndim - 1);
    enum ff_dtype type = a->out.dtype;
    FF_ASSERT(a->out.ndim >= 1 && a->out.shape[a->out.ndim - 1] == c);
    FF_ASSERT(a->w2.shape[0] == n && a->w2.shape[1] == c && a->b1.shape[0] == n && a->b2.shape[0] == c);
    if (ff_cuda_transition_wgmma(be, a) || ff_cuda_transition_fused(be, a) ||
        dense(be, a, c, n, n_row))
        return;
    ff_cuda_mark mark(be);
    size_t size = ff_dtype_size(type);
    bool direct = ff_tensor_contiguous(&a->out);

    struct ff_cuda_gemm_args first = {}, second = {};
    first.n = second.k = n;
    first.k = second.n = c;
    first.a_type = first.b_type = first.c_type = second.a_type = second.b_type = type;
    first.lda = second.ldb = c;
    first.ldb = first.ldc = second.lda = n;
    first.alpha = second.alpha = 1.0f;
    first.b = ff_cuda_as_type(be, &a->w1, type);
    second.b = ff_cuda_as_type(be, &a->w2, type);
    first.bias = ff_cuda_floats(&a->b1);
    first.relu = true;
    second.ldc = c;
    second.c_type = direct ? type : FF_F32;
    if (direct) {
        second.beta = 1.0f;
        second.bias = ff_cuda_floats(&a->b2);
    }

    int64_t step = ff_cuda_tile_rows(be, n_row, (size_t)(c + n) * size + (direct ? 0 : (size_t)c * sizeof(float)));
    char *x = ff_cuda_take<char>(be, step * c * (int64_t)size);          /* [step, c] */
    char *hidden = ff_cuda_take<char>(be, step * n * (int64_t)size);     /* [step, n] */
    float *y = direct ? nullptr : ff_cuda_take<float>(be, step * c);
    first.a = x;
    first.c = hidden;
    second.a = hidden;
    for (int64_t row = 0; row < n_row; row += step) {
        int64_t rows = n_row - row < step ? n_row - row : step;
        first.m = second.m = rows;
        second.c = direct ? (char *)a->out.data + row * c * (int64_t)size : (char *)y;
        ff_cuda_load_rows(be, x, type, c, &a->out, row, rows, &a->norm, false);
        ff_cuda_gemm(be, &first);
        ff_cuda_gemm(be, &second);
        if (!direct) {
            struct ff_cuda_store how = {};
            how.b = ff_cuda_floats(&a->b2);
            how.accumulate = true;
            ff_cuda_store_rows(be, &a->out, row, rows, y, FF_F32, c, &how);
        }
    }
}
