/* SPDX-License-Identifier: Apache-2.0
 * template_attention on the cpu (Alg. 17): every pair (i, j) attends over the few templates at that pair.
 */
#include <math.h>

#include "compute/ops_cpu.h"

/* logits[row, h] = q[row, h] . k[row, h] */
FF_CLONES static void head_dots(float *logits, const float *q, const float *k, int64_t rows, int64_t n_head, int64_t d)
{
    for (int64_t i = 0; i < rows * n_head; i++) {
        const float *a = q + i * d, *b = k + i * d;
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t e = 0; e < d; e++)
            sum += a[e] * b[e];
        logits[i] = sum;
    }
}

/* Softmax over templates of logits [T, n], in place; work: [n]. */
FF_CLONES static void softmax_templates(float *restrict logits, float *restrict work, int64_t n_template, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        work[i] = logits[i];
    for (int64_t t = 1; t < n_template; t++)
        for (int64_t i = 0; i < n; i++)
            work[i] = logits[t * n + i] > work[i] ? logits[t * n + i] : work[i];
    for (int64_t t = 0; t < n_template; t++)
        for (int64_t i = 0; i < n; i++)
            logits[t * n + i] = ff_expf_below(logits[t * n + i] - work[i]);
    for (int64_t i = 0; i < n; i++)
        work[i] = logits[i];
    for (int64_t t = 1; t < n_template; t++)
        for (int64_t i = 0; i < n; i++)
            work[i] += logits[t * n + i];
    for (int64_t t = 0; t < n_template; t++)
        for (int64_t i = 0; i < n; i++)
            logits[t * n + i] /= work[i];
}

/* out[row, h] (+)= weight[row, h] v[row, h] */
FF_CLONES static void add_weighted(float *out, const float *weight, const float *v, int64_t rows, int64_t n_head,
                                   int64_t d, bool first)
{
    for (int64_t i = 0; i < rows * n_head; i++) {
        float *to = out + i * d, w = weight[i];
        const float *from = v + i * d;
#pragma omp simd
        for (int64_t e = 0; e < d; e++)
            to[e] = first ? w * from[e] : to[e] + w * from[e];
    }
}

/* Rows of x where they lie, or loaded into tile. */
static const float *rows_of(const struct ff_tensor *x, float *tile, int64_t from, int64_t count, int64_t *ld)
{
    const float *at = ff_tile_rows_at(x, from, count, ld);
    if (at)
        return at;
    *ld = x->shape[x->ndim - 1];
    ff_tile_load(tile, *ld, x, from, count);
    return tile;
}

/* Part k of the next pairs to be fetched, [count, ct] floats: of their rows, and then of their first template. */
static const float *of_next_pairs(const struct ff_template_attention_args *a, int64_t from, int64_t count, int64_t k)
{
    int64_t c = a->out.shape[2], ct = a->t.shape[3];
    struct ff_tensor first = ff_tensor_index(a->t, 0, 0);
    if (k * ct == c)
        return ff_tile_ahead(&first, from, count);
    const float *z = (k + 1) * ct <= c ? ff_tile_ahead(&a->out, from, count) : NULL;
    return z ? z + k * count * ct : NULL;
}

/* Products with keys fetch the rows of the next template, products with values those of the next pairs. */
static void pairs_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_template_attention_args *a = user;
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    int64_t n_head = a->n_head, d = hd / n_head;
    int64_t n = count * n_head, ld;
    float *z = ff_scratch_floats(s, count * c), *q = ff_scratch_floats(s, count * hd);
    float *t = ff_scratch_floats(s, n_template * count * ct), *kv = ff_scratch_floats(s, count * hd);
    float *logits = ff_scratch_floats(s, n_template * n), *work = ff_scratch_floats(s, n);
    const float scale = (float)(1.0 / sqrt((double)d));

    const float *x = rows_of(&a->out, z, from, count, &ld);
    ff_tile_gemm(false, false, count, hd, c, scale, x, ld, a->q_w.data, hd, 0.0f, q, hd);
    for (int64_t k = 0; k < n_template; k++) {
        if (*FF_AT(float, &a->mask, k) == 0.0f) {
            for (int64_t i = 0; i < n; i++)
                logits[k * n + i] = -1e9f;
            continue;
        }
        struct ff_tensor one = ff_tensor_index(a->t, 0, k);
        x = rows_of(&one, t + k * count * ct, from, count, &ld);
        struct ff_tensor next = k + 1 < n_template ? ff_tensor_index(a->t, 0, k + 1) : one;
        const struct ff_tile_affine how = {.ahead = k + 1 < n_template ? ff_tile_ahead(&next, from, count) : NULL};
        ff_tile_affine(kv, hd, x, ld, count, &a->k_w, &how);
        head_dots(logits + k * n, q, kv, count, n_head, d);
    }
    softmax_templates(logits, work, n_template, n);
    for (int64_t k = 0; k < n_template; k++) {
        struct ff_tensor one = ff_tensor_index(a->t, 0, k);
        x = rows_of(&one, t + k * count * ct, from, count, &ld);
        const struct ff_tile_affine how = {.ahead = of_next_pairs(a, from + count, count, k)};
        ff_tile_affine(kv, hd, x, ld, count, &a->v_w, &how);
        add_weighted(q, logits + k * n, kv, count, n_head, d, k == 0);
    }
    ff_tile_add_linear(&a->out, from, count, q, hd, &a->o_w, ff_weights(&a->o_b), z);
}

void ff_cpu_template_attention(struct ff_backend *be, const struct ff_template_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->t.ndim == 4 && a->out.dtype == FF_F32 && a->t.dtype == FF_F32);
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    FF_ASSERT(n_template >= 1 && ff_tensor_count(&a->mask) == n_template && hd % a->n_head == 0);
    FF_ASSERT(a->t.shape[1] == a->out.shape[0] && a->t.shape[2] == a->out.shape[1]);
    FF_ASSERT(a->q_w.shape[0] == c && a->k_w.shape[0] == ct && a->v_w.shape[0] == ct);
    FF_ASSERT(a->k_w.shape[1] == hd && a->v_w.shape[1] == hd && a->o_w.shape[0] == hd && a->o_w.shape[1] == c);
    int64_t row = c + 2 * hd + n_template * ct + (n_template + 1) * a->n_head;
    ff_cpu_rows(be, ff_tile_row_count(&a->out), row, 0, pairs_piece, (void *)a);
}
