/* SPDX-License-Identifier: Apache-2.0
 * template_attention on the cpu (Alg. 17): every pair (i, j) attends over the few templates at that pair.
 */
#include <math.h>

#include "compute/ops_cpu.h"


/* logits[row, h] = q[row, h] . k[row, h] */
FF_CLONES static void head_dots(float *logits, int64_t ld, const float *q, const float *k, int64_t rows, int64_t n_head,
                                int64_t d)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t h = 0; h < n_head; h++) {
            const float *a = q + (r * n_head + h) * d, *b = k + (r * n_head + h) * d;
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (int64_t e = 0; e < d; e++)
                sum += a[e] * b[e];
            logits[r * ld + h] = sum;
        }
    }
}

/* Softmax over templates of logits [rows, T, H], in place. */
FF_CLONES static void softmax_templates(float *logits, int64_t rows, int64_t n_template, int64_t n_head)
{
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * n_template * n_head;
        for (int64_t h = 0; h < n_head; h++) {
            float top = row[h], sum = 0.0f;
            for (int64_t t = 1; t < n_template; t++)
                top = row[t * n_head + h] > top ? row[t * n_head + h] : top;
            for (int64_t t = 0; t < n_template; t++) {
                row[t * n_head + h] = ff_expf(row[t * n_head + h] - top);
                sum += row[t * n_head + h];
            }
            for (int64_t t = 0; t < n_template; t++)
                row[t * n_head + h] /= sum;
        }
    }
}

/* out[row, h] (+)= weight[row, h] v[row, h] */
FF_CLONES static void add_weighted(float *out, const float *weight, int64_t ld, const float *v, int64_t rows,
                                   int64_t n_head, int64_t d, bool first)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t h = 0; h < n_head; h++) {
            float *to = out + (r * n_head + h) * d, w = weight[r * ld + h];
            const float *from = v + (r * n_head + h) * d;
#pragma omp simd
            for (int64_t e = 0; e < d; e++)
                to[e] = first ? w * from[e] : to[e] + w * from[e];
        }
    }
}

static void pairs_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_template_attention_args *a = user;
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    int64_t n_head = a->n_head, d = hd / n_head;
    float *z = ff_scratch_floats(s, count * c), *q = ff_scratch_floats(s, count * hd);
    float *t = ff_scratch_floats(s, n_template * count * ct), *kv = ff_scratch_floats(s, count * hd);
    float *logits = ff_scratch_floats(s, count * n_template * n_head);
    const float scale = (float)(1.0 / sqrt((double)d));

    ff_tile_load(z, c, &a->out, from, count);
    ff_tile_gemm(false, false, count, hd, c, scale, z, c, a->q_w.data, hd, 0.0f, q, hd);
    for (int64_t k = 0; k < n_template; k++) {
        struct ff_tensor one = ff_tensor_index(a->t, 0, k);
        float *tile = t + k * count * ct;
        ff_tile_load(tile, ct, &one, from, count);
        if (*FF_AT(float, &a->mask, k) == 0.0f) {
            for (int64_t r = 0; r < count; r++)
                for (int64_t h = 0; h < n_head; h++)
                    logits[(r * n_template + k) * n_head + h] = -1e9f;
            continue;
        }
        ff_tile_linear(kv, tile, ct, count, &a->k_w);
        head_dots(logits + k * n_head, n_template * n_head, q, kv, count, n_head, d);
    }
    softmax_templates(logits, count, n_template, n_head);
    for (int64_t k = 0; k < n_template; k++) {
        ff_tile_linear(kv, t + k * count * ct, ct, count, &a->v_w);
        add_weighted(q, logits + k * n_head, n_template * n_head, kv, count, n_head, d, k == 0);
    }
    ff_tile_linear(z, q, hd, count, &a->o_w);
    ff_tile_put(&a->out, from, count, z, c,
                &(struct ff_tile_store){.b = ff_weights(&a->o_b), .accumulate = true});
}

void ff_cpu_template_attention(struct ff_backend *be, const struct ff_template_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->t.ndim == 4 && a->out.dtype == FF_F32 && a->t.dtype == FF_F32);
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    FF_ASSERT(n_template >= 1 && ff_tensor_count(&a->mask) == n_template && hd % a->n_head == 0);
    FF_ASSERT(a->t.shape[1] == a->out.shape[0] && a->t.shape[2] == a->out.shape[1]);
    FF_ASSERT(a->q_w.shape[0] == c && a->k_w.shape[0] == ct && a->v_w.shape[0] == ct);
    FF_ASSERT(a->k_w.shape[1] == hd && a->v_w.shape[1] == hd && a->o_w.shape[0] == hd && a->o_w.shape[1] == c);
    int64_t row = c + 2 * hd + n_template * (ct + a->n_head);
    ff_cpu_rows(be, ff_tile_row_count(&a->out), row, 0, pairs_piece, (void *)a);
}
