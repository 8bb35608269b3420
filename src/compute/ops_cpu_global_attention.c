/* SPDX-License-Identifier: Apache-2.0
 * global_attention on the cpu (Alg. 19). A piece is a few columns of the MSA; all rows stream past it three times in
 * tiles of (row, column) pairs: the mean of LN(m), which gives the queries; the softmax over the rows with its weighted
 * values (online, so nothing of length S is kept); gate, output projection and residual. Layer norm is done again each
 * time, which is cheaper than writing it down.
 */
#include <math.h>

#include "compute/ops_cpu.h"

/* Tiles of STEP rows whatever the number of columns, so that sums do not depend on how the columns are shared out. */
enum { COLUMNS = 16, STEP = 16 };

struct columns {
    const struct ff_global_attention_args *a;
    int64_t c, n_head, d;
    int64_t n_row;              /* S */
    int64_t n_col;              /* columns of this piece */
    struct ff_tensor m;         /* [S, n_col, c] view */
    struct ff_tensor mask;      /* [S, n_col] view */
    float *x;                   /* [STEP * n_col, c] LN(m) */
    float *wide;                /* [STEP * n_col, max(2 d, H d)] */
    float *out;                 /* [STEP * n_col, c] */
    float *weight;              /* [STEP * n_col, H] */
    float *alive;               /* [STEP * n_col] mask */
    float *q;                   /* [n_col, d, H] */
    float *top, *sum;           /* [n_col, H] */
    float *value, *part;        /* [n_col, d, H] */
    float *result;              /* [n_col, H, d] */
};

/* LN(m) and mask of MSA rows [s, s + count). */
static void load_rows(const struct columns *w, int64_t s, int64_t count)
{
    struct ff_tensor rows = ff_tensor_slice(w->m, 0, s, count), mask = ff_tensor_slice(w->mask, 0, s, count);
    ff_tile_load_norm(w->x, w->c, &rows, 0, count * w->n_col, &w->a->norm);
    struct ff_walk walk;
    ff_walk_begin(&walk, &mask, 2, 0);
    for (int64_t r = 0; r < count * w->n_col; r++, ff_walk_next(&walk))
        w->alive[r] = ((const float *)mask.data)[walk.at];
}

/* --- queries --- */

FF_CLONES static void add_masked(float *restrict part, const float *x, const float *alive, int64_t count,
                                 int64_t n_col, int64_t c)
{
    for (int64_t i = 0; i < n_col * c; i++)
        part[i] = 0.0f;
    for (int64_t s = 0; s < count; s++) {
        for (int64_t r = 0; r < n_col; r++) {
            const float *restrict row = x + (s * n_col + r) * c;
            float *restrict to = part + r * c;
            float f = alive[s * n_col + r];
            for (int64_t i = 0; i < c; i++)
                to[i] += f * row[i];
        }
    }
}

/* q[r] = (mean of the unmasked LN(m)[:, r]) Wq / sqrt(d). The sums over S are kept in double. */
static void make_queries(const struct columns *w, struct ff_scratch s)
{
    int64_t c = w->c, hd = w->n_head * w->d, n = w->n_col * c;
    double *total = (double *)(void *)ff_scratch_floats(&s, 2 * n);
    float *part = ff_scratch_floats(&s, n), *q = ff_scratch_floats(&s, w->n_col * hd);
    double count[COLUMNS] = {0};
    for (int64_t i = 0; i < n; i++)
        total[i] = 0.0;
    for (int64_t row = 0; row < w->n_row; row += STEP) {
        int64_t rows = w->n_row - row < STEP ? w->n_row - row : STEP;
        load_rows(w, row, rows);
        add_masked(part, w->x, w->alive, rows, w->n_col, c);
        for (int64_t i = 0; i < n; i++)
            total[i] += part[i];
        for (int64_t i = 0; i < rows * w->n_col; i++)
            count[i % w->n_col] += w->alive[i];
    }
    for (int64_t i = 0; i < n; i++)
        part[i] = (float)(total[i] / (count[i / c] + 1e-10));
    ff_tile_linear(q, part, c, w->n_col, &w->a->q_w);
    float scale = (float)(1.0 / sqrt((double)w->d));
    for (int64_t r = 0; r < w->n_col; r++)
        for (int64_t h = 0; h < w->n_head; h++)
            for (int64_t e = 0; e < w->d; e++)
                w->q[(r * w->d + e) * w->n_head + h] = scale * q[r * hd + h * w->d + e];
}

/* --- softmax over the rows --- */

/* weight[row, h] = q[h] . k[row], -1e9 where masked; kv is [rows, 2 d]. */
FF_INLINE void logits_of(float *weight, const float *q, const float *kv, const float *alive, int64_t rows,
                         int64_t n_col, int64_t n_head, int64_t d)
{
    for (int64_t row = 0; row < rows; row++) {
        const float *restrict k = kv + row * 2 * d, *restrict at = q + row % n_col * d * n_head;
        float *restrict to = weight + row * n_head;
        for (int64_t h = 0; h < n_head; h++)
            to[h] = at[h] * k[0];
        for (int64_t e = 1; e < d; e++)
            for (int64_t h = 0; h < n_head; h++)
                to[h] += at[e * n_head + h] * k[e];
        if (alive[row] == 0.0f)
            for (int64_t h = 0; h < n_head; h++)
                to[h] = -1e9f;
    }
}

/* part[r] = sum over the tile's rows of weight[row, h] v[row]. */
FF_INLINE void values_of(float *part, const float *weight, const float *kv, int64_t rows, int64_t n_col,
                         int64_t n_head, int64_t d)
{
    for (int64_t i = 0; i < n_col * d * n_head; i++)
        part[i] = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        const float *restrict v = kv + row * 2 * d + d, *restrict p = weight + row * n_head;
        float *restrict to = part + row % n_col * d * n_head;
        for (int64_t e = 0; e < d; e++)
            for (int64_t h = 0; h < n_head; h++)
                to[e * n_head + h] += v[e] * p[h];
    }
}

/* The published sizes as constants, so that the short loops become straight code. */
FF_CLONES static void find_logits(float *weight, const float *q, const float *kv, const float *alive, int64_t rows,
                                  int64_t n_col, int64_t n_head, int64_t d)
{
    if (n_head == 8 && d == 8)
        logits_of(weight, q, kv, alive, rows, n_col, 8, 8);
    else
        logits_of(weight, q, kv, alive, rows, n_col, n_head, d);
}

FF_CLONES static void find_values(float *part, const float *weight, const float *kv, int64_t rows, int64_t n_col,
                                  int64_t n_head, int64_t d)
{
    if (n_head == 8 && d == 8)
        values_of(part, weight, kv, rows, n_col, 8, 8);
    else
        values_of(part, weight, kv, rows, n_col, n_head, d);
}

/* Logits [n, lanes] to weights exp(logit - top) with the new top, and what the old sums are worth now into fade. */
FF_CLONES static void online_softmax(float *weight, float *restrict top, float *restrict sum, float *restrict fade,
                                     int64_t n, int64_t lanes)
{
    for (int64_t i = 0; i < lanes; i++)
        fade[i] = top[i];
    for (int64_t s = 0; s < n; s++) {
        const float *restrict row = weight + s * lanes;
        for (int64_t i = 0; i < lanes; i++)
            top[i] = row[i] > top[i] ? row[i] : top[i];
    }
    for (int64_t i = 0; i < lanes; i++) {
        fade[i] = ff_expf_below(fade[i] - top[i]);
        sum[i] *= fade[i];
    }
    for (int64_t s = 0; s < n; s++) {
        float *restrict row = weight + s * lanes;
        for (int64_t i = 0; i < lanes; i++) {
            row[i] = ff_expf_below(row[i] - top[i]);
            sum[i] += row[i];
        }
    }
}

/* value[r, e, h] = fade[r, h] value + part */
FF_CLONES static void add_part(float *value, const float *part, const float *fade, int64_t n_col, int64_t d,
                               int64_t n_head)
{
    for (int64_t r = 0; r < n_col; r++)
        for (int64_t e = 0; e < d; e++)
#pragma omp simd
            for (int64_t h = 0; h < n_head; h++) {
                int64_t at = (r * d + e) * n_head + h;
                value[at] = value[at] * fade[r * n_head + h] + part[at];
            }
}

static void attend_rows(const struct columns *w, struct ff_scratch s)
{
    int64_t n_head = w->n_head, d = w->d, lanes = w->n_col * n_head;
    float *fade = ff_scratch_floats(&s, lanes);
    for (int64_t i = 0; i < lanes; i++) {
        w->top[i] = -3e38f;
        w->sum[i] = 0.0f;
    }
    for (int64_t i = 0; i < lanes * d; i++)
        w->value[i] = 0.0f;
    for (int64_t row = 0; row < w->n_row; row += STEP) {
        int64_t n = w->n_row - row < STEP ? w->n_row - row : STEP, rows = n * w->n_col;
        load_rows(w, row, n);
        ff_tile_linear(w->wide, w->x, w->c, rows, &w->a->kv_w);
        find_logits(w->weight, w->q, w->wide, w->alive, rows, w->n_col, n_head, d);
        online_softmax(w->weight, w->top, w->sum, fade, n, lanes);
        find_values(w->part, w->weight, w->wide, rows, w->n_col, n_head, d);
        add_part(w->value, w->part, fade, w->n_col, d, n_head);
    }
    for (int64_t r = 0; r < w->n_col; r++)
        for (int64_t h = 0; h < n_head; h++)
            for (int64_t e = 0; e < d; e++)
                w->result[(r * n_head + h) * d + e] =
                    w->value[(r * d + e) * n_head + h] / w->sum[r * n_head + h];
}

/* --- gate and output --- */

static void add_output(const struct columns *w)
{
    int64_t hd = w->n_head * w->d;
    struct ff_tile_store store = {.b = ff_weights(&w->a->o_b), .accumulate = true};
    for (int64_t row = 0; row < w->n_row; row += STEP) {
        int64_t n = w->n_row - row < STEP ? w->n_row - row : STEP, rows = n * w->n_col;
        load_rows(w, row, n);
        ff_tile_linear(w->wide, w->x, w->c, rows, &w->a->gate_w);
        for (int64_t k = 0; k < rows; k += w->n_col)
            ff_tile_gate(w->wide + k * hd, hd, w->result, hd, w->wide + k * hd, hd, w->n_col, hd, NULL,
                         w->a->gate_b.data);
        ff_tile_linear(w->out, w->wide, hd, rows, &w->a->o_w);
        struct ff_tensor out = ff_tensor_slice(w->m, 0, row, n);
        ff_tile_put(&out, 0, rows, w->out, w->c, &store);
    }
}

static void columns_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_global_attention_args *a = user;
    int64_t c = a->out.shape[2], d = a->kv_w.shape[1] / 2, n_head = a->n_head, hd = n_head * d;
    struct columns w = {.a = a, .c = c, .n_head = n_head, .d = d, .n_row = a->out.shape[0], .n_col = count,
                        .m = ff_tensor_slice(a->out, 1, from, count), .mask = ff_tensor_slice(a->mask, 1, from, count)};
    int64_t rows = STEP * count, state = count * hd, width = hd > 2 * d ? hd : 2 * d;
    w.x = ff_scratch_floats(s, rows * c);
    w.wide = ff_scratch_floats(s, rows * width);
    w.out = ff_scratch_floats(s, rows * c);
    w.weight = ff_scratch_floats(s, rows * n_head);
    w.alive = ff_scratch_floats(s, rows);
    w.q = ff_scratch_floats(s, state);
    w.top = ff_scratch_floats(s, count * n_head);
    w.sum = ff_scratch_floats(s, count * n_head);
    w.value = ff_scratch_floats(s, state);
    w.part = ff_scratch_floats(s, state);
    w.result = ff_scratch_floats(s, state);
    make_queries(&w, *s);
    attend_rows(&w, *s);
    add_output(&w);
}

void ff_cpu_global_attention(struct ff_backend *be, const struct ff_global_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->out.dtype == FF_F32 && a->mask.ndim == 2 && a->mask.dtype == FF_F32);
    int64_t c = a->out.shape[2], d = a->kv_w.shape[1] / 2, hd = a->n_head * d;
    FF_ASSERT(a->mask.shape[0] == a->out.shape[0] && a->mask.shape[1] == a->out.shape[1]);
    FF_ASSERT(a->q_w.shape[0] == c && a->q_w.shape[1] == hd && a->kv_w.shape[0] == c);
    FF_ASSERT(a->gate_w.shape[0] == c && a->gate_w.shape[1] == hd && ff_tensor_count(&a->gate_b) == hd);
    FF_ASSERT(a->o_w.shape[0] == hd && a->o_w.shape[1] == c && ff_tensor_count(&a->o_b) == c);
    /* Few enough columns for every thread to get some, and for the tiles to fit into the scratch. */
    int64_t width = hd > 2 * d ? hd : 2 * d, per_column = STEP * (2 * c + width + a->n_head + 1) + 4 * hd + 3 * c;
    int64_t most = (FF_CPU_SCRATCH / (int64_t)sizeof(float) - 2048) / per_column;
    int64_t share = (a->out.shape[1] + ff_cpu_threads(be) - 1) / ff_cpu_threads(be);
    int64_t columns = share < COLUMNS ? share : COLUMNS;
    columns = columns < most ? columns : most;
    ff_cpu_for(be, a->out.shape[1], columns > 0 ? columns : 1, columns_piece, (void *)a);
}
