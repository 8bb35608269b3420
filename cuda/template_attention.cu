/* SPDX-License-Identifier: Apache-2.0
 * template_attention: every pair attends over the templates (Suppl. Alg. 17), a piece of the pairs at a time: three
 * products for queries, keys and values, a softmax over few templates, and the output projection.
 */
#include <algorithm>

#include "common.cuh"

namespace {

enum { MAX_TEMPLATES = 64 };

/* q [rows, H, d], k and v [T, rows, H, d] -> q = weighted values; one thread per row and head. */
template <class T>
__global__ void __launch_bounds__(256)
    mix_kernel(T *q, const T *k, const T *v, const float *mask, int64_t rows, int n_template, int n_head, int d)
{
    int64_t item = blockIdx.x * 256ll + threadIdx.x, size = rows * n_head * d;
    if (item >= rows * n_head)
        return;
    T *own = q + item * d;
    float logit[MAX_TEMPLATES], top = -INFINITY, sum = 0.0f;
    for (int t = 0; t < n_template; t++) {
        float dot = 0.0f;
        const T *p = k + t * size + item * d;
        for (int e = 0; e < d; e++)
            dot += to_float(own[e]) * to_float(p[e]);
        logit[t] = mask[t] == 0.0f ? -1e9f : dot * rsqrtf((float)d);
        top = fmaxf(top, logit[t]);
    }
    for (int t = 0; t < n_template; t++)
        sum += logit[t] = expf(logit[t] - top);
    for (int e = 0; e < d; e++) {
        float value = 0.0f;
        for (int t = 0; t < n_template; t++)
            value += logit[t] * to_float(v[t * size + item * d + e]);
        own[e] = from_float<T>(value / sum);
    }
}

}  // namespace

extern "C" void ff_cuda_template_attention(struct ff_backend *be, const struct ff_template_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->t.ndim == 4 && a->out.dtype == a->t.dtype);
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    FF_ASSERT(n_template >= 1 && n_template <= MAX_TEMPLATES && hd % a->n_head == 0);
    enum ff_dtype type = a->out.dtype;
    int64_t n_pair = ff_cuda_row_count(&a->out, 2), size = (int64_t)ff_dtype_size(type);
    ff_cuda_mark mark(be);
    const void *q_w = ff_cuda_as_type(be, &a->q_w, type), *k_w = ff_cuda_as_type(be, &a->k_w, type);
    const void *v_w = ff_cuda_as_type(be, &a->v_w, type), *o_w = ff_cuda_as_type(be, &a->o_w, type);
    struct ff_cuda_gemm_args g = {};
    g.a_type = g.b_type = g.c_type = type;

    int64_t step = ff_cuda_tile_rows(be, n_pair, (size_t)((c + hd + ct + 2 * n_template * hd) * size));
    for (int64_t from = 0; from < n_pair; from += step) {
        ff_cuda_mark piece(be);
        int64_t rows = std::min(step, n_pair - from);
        char *z = ff_cuda_take<char>(be, rows * c * size), *q = ff_cuda_take<char>(be, rows * hd * size);
        char *x = ff_cuda_take<char>(be, rows * ct * size);
        char *k = ff_cuda_take<char>(be, n_template * rows * hd * size),
             *v = ff_cuda_take<char>(be, n_template * rows * hd * size);
        ff_cuda_load_rows(be, z, type, c, &a->out, from, rows, NULL, false);
        g.m = rows;
        g.n = g.ldb = g.ldc = hd;
        g.k = g.lda = c;
        g.a = z;
        g.b = q_w;
        g.c = q;
        ff_cuda_gemm(be, &g);
        g.k = g.lda = ct;
        for (int64_t t = 0; t < n_template; t++) {
            struct ff_tensor one = a->t;
            one.data = (char *)one.data + t * one.stride[0] * size;
            one.ndim = 3;
            for (int d = 0; d < 3; d++) {
                one.shape[d] = a->t.shape[d + 1];
                one.stride[d] = a->t.stride[d + 1];
            }
            ff_cuda_load_rows(be, x, type, ct, &one, from, rows, NULL, false);
            g.a = x;
            g.b = k_w;
            g.c = k + t * rows * hd * size;
            ff_cuda_gemm(be, &g);
            g.b = v_w;
            g.c = v + t * rows * hd * size;
            ff_cuda_gemm(be, &g);
        }
        ff_cuda_with_type(type, [&](auto tag) {
            using T = decltype(tag);
            mix_kernel<T><<<ff_blocks(rows * a->n_head, 256), 256, 0, ff_cuda_stream(be)>>>(
                (T *)q, (const T *)k, (const T *)v, (const float *)a->mask.data, rows, (int)n_template, a->n_head,
                (int)(hd / a->n_head));
        });
        FF_CUDA_LAUNCHED();
        g.n = g.ldb = g.ldc = c;
        g.k = g.lda = hd;
        g.a = q;
        g.b = o_w;
        g.c = z;
        ff_cuda_gemm(be, &g);
        struct ff_cuda_store how = {};
        how.b = (const float *)a->o_b.data;
        how.accumulate = true;
        ff_cuda_store_rows(be, &a->out, from, rows, z, type, c, &how);
    }
}
