/* SPDX-License-Identifier: Apache-2.0
 * global_attention on the cpu (Alg. 19). A piece is a few columns of the MSA; all rows stream past it in tiles of (row,
 * column) pairs: for the mean of LN(m), which gives the queries, and for keys and values, which are few and are kept as
 * far as there is room; then the softmax over the rows with its weighted values (online, so nothing else of length S
 * is kept); then gate, output projection and residual. Layer norm is made again for these, from the rows' moments,
 * which is cheaper than writing it down.
 */
#include <math.h>

#include "compute/ops_cpu.h"

/* Tiles of STEP rows whatever the number of columns, so that sums do not depend on how the columns are shared out. At
 * most KEPT floats of keys and values, and KNOWN of moments. */
enum { COLUMNS = 12, STEP = 12, KEPT = 1 << 19, KNOWN = 1 << 17 };

struct columns {
    const struct ff_global_attention_args *a;
    int64_t c, n_head, d;
    int64_t n_row;              /* S */
    int64_t n_col;              /* columns of this piece */
    int64_t n_kept;             /* rows whose keys and values are kept, whole tiles */
    int64_t n_known;            /* rows whose moments are kept */
    struct ff_tensor m;         /* [S, n_col, c] view */
    struct ff_tensor mask;      /* [S, n_col] view */
    float *x;                   /* [STEP * n_col, c] LN(m) */
    float *moments;             /* [n_known * n_col, 2] */
    float *kv;                  /* [n_kept * n_col, 2 d], and of one more tile */
    float *wide;                /* [STEP * n_col, H d] */
    float *weight;              /* [STEP * n_col, H] */
    float *alive;               /* [STEP * n_col] mask */
    float *q;                   /* [n_col, d, H] */
    float *top, *sum;           /* [n_col, H] */
    float *value;               /* [n_col, d, H] */
    float *result;              /* [n_col, H, d] */
};

/* LN(m) of MSA rows [s, s + count); again: not for the first time. A few columns are a few lines in a page of their
 * own, which no prefetcher expects: those of the rows that follow are asked for meanwhile. */
static void load_rows(const struct columns *w, int64_t s, int64_t count, bool again)
{
    enum { AHEAD = 3 };
    struct ff_tile_norming how = {.scale = w->a->norm.scale.data, .offset = w->a->norm.offset.data};
    for (int64_t row = s; row < s + count; row++) {
        how.moments = row < w->n_known ? w->moments + row * w->n_col * 2 : NULL;
        how.again = again && how.moments;
        how.ahead = !again && row + AHEAD < w->n_row ? FF_AT(float, &w->m, row + AHEAD) : NULL;
        ff_tile_norm(w->x + (row - s) * w->n_col * w->c, w->c, FF_AT(float, &w->m, row), w->m.stride[1], w->n_col, w->c,
                     &how);
    }
}

static void load_mask(const struct columns *w, int64_t s, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        for (int64_t r = 0; r < w->n_col; r++)
            w->alive[k * w->n_col + r] = *FF_AT(float, &w->mask, s + k, r);
}

/* Keys and values of rows [s, s + count), whose LN(m) is in x. */
static float *make_kv(const struct columns *w, int64_t s, int64_t count)
{
    float *kv = w->kv + (s < w->n_kept ? s : w->n_kept) * w->n_col * 2 * w->d;
    ff_tile_linear(kv, w->x, w->c, count * w->n_col, &w->a->kv_w);
    return kv;
}

/* --- queries --- */

/* part [n_col, c] = sum over `count` rows of alive [count, n_col] x [count, n_col, c]. Sums stay in registers while
 * rows pass by, as many channels of them as a vector of lines has. */
typedef float many __attribute__((vector_size(128), aligned(4)));

FF_CLONES static void add_masked(float *restrict part, const float *x, const float *alive, int64_t count,
                                 int64_t n_col, int64_t c)
{
    enum { MANY = sizeof(many) / sizeof(float) };
    const int64_t row = n_col * c;
    for (int64_t r = 0; r < n_col; r++, x += c, part += c) {
        int64_t i = 0;
        for (; i + MANY <= c; i += MANY) {
            many sum = {0};
            for (int64_t s = 0; s < count; s++)
                sum += alive[s * n_col + r] * *(const many *)(x + s * row + i);
            *(many *)(part + i) = sum;
        }
        for (; i < c; i++) {
            part[i] = 0.0f;
            for (int64_t s = 0; s < count; s++)
                part[i] += alive[s * n_col + r] * x[s * row + i];
        }
    }
}

/* q[r] = (mean of the unmasked LN(m)[:, r]) Wq / sqrt(d). The sums over S are kept in double. Makes keys and values on
 * the way. */
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
        load_rows(w, row, rows, false);
        load_mask(w, row, rows);
        if (row < w->n_kept)
            make_kv(w, row, rows);
        add_masked(part, w->x, w->alive, rows, w->n_col, c);
        for (int64_t i = 0; i < n; i++)
            total[i] += part[i];
        for (int64_t k = 0; k < rows; k++)
            for (int64_t r = 0; r < w->n_col; r++)
                count[r] += w->alive[k * w->n_col + r];
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

/* A tile has n rows of n_col columns. weight[s, r, h] = q[r, h] . k[s, r], -1e9 where masked; kv is
 * [n, n_col, 2 d]. */
FF_CLONES static void find_logits(float *weight, const float *q, const float *kv, const float *alive, int64_t n,
                                  int64_t n_col, int64_t n_head, int64_t d)
{
    for (int64_t row = 0; row < n * n_col; row++) {
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

/* value[r] = fade[r, h] value[r] + sum over the tile's rows of weight[s, r, h] v[s, r]. */
FF_CLONES static void add_values(float *value, const float *fade, const float *weight, const float *kv, int64_t n,
                                 int64_t n_col, int64_t n_head, int64_t d)
{
    for (int64_t r = 0; r < n_col; r++)
        for (int64_t e = 0; e < d; e++) {
            float *restrict to = value + (r * d + e) * n_head;
            const float *restrict f = fade + r * n_head;
            for (int64_t h = 0; h < n_head; h++)
                to[h] *= f[h];
        }
    for (int64_t row = 0; row < n * n_col; row++) {
        const float *restrict v = kv + row * 2 * d + d, *restrict p = weight + row * n_head;
        float *restrict to = value + row % n_col * d * n_head;
        for (int64_t e = 0; e < d; e++)
            for (int64_t h = 0; h < n_head; h++)
                to[e * n_head + h] += v[e] * p[h];
    }
}

/* The same two at the published sizes, 8 heads of 8 channels: heads side by side in a vector, the queries or values of
 * a column in registers. */
typedef float eight __attribute__((vector_size(32), aligned(4)));

FF_CLONES static void find_logits_8(float *weight, const float *q, const float *kv, const float *alive, int64_t n,
                                    int64_t n_col)
{
    for (int64_t r = 0; r < n_col; r++) {
        const eight *at = (const eight *)(q + r * 64);
        eight q0 = at[0], q1 = at[1], q2 = at[2], q3 = at[3], q4 = at[4], q5 = at[5], q6 = at[6], q7 = at[7];
        for (int64_t row = r; row < n * n_col; row += n_col) {
            const float *k = kv + row * 16;
            eight even = q0 * k[0] + q2 * k[2] + q4 * k[4] + q6 * k[6];
            eight odd = q1 * k[1] + q3 * k[3] + q5 * k[5] + q7 * k[7];
            *(eight *)(weight + row * 8) = alive[row] == 0.0f ? (eight){0} - 1e9f : even + odd;
        }
    }
}

FF_CLONES static void add_values_8(float *value, const float *fade, const float *weight, const float *kv, int64_t n,
                                   int64_t n_col)
{
    for (int64_t r = 0; r < n_col; r++) {
        eight *to = (eight *)(value + r * 64), f = *(const eight *)(fade + r * 8), sum[8] = {{0}};
        for (int64_t row = r; row < n * n_col; row += n_col) {
            eight p = *(const eight *)(weight + row * 8);
            const float *v = kv + row * 16 + 8;
#pragma GCC unroll 8
            for (int e = 0; e < 8; e++)
                sum[e] += p * v[e];
        }
#pragma GCC unroll 8
        for (int e = 0; e < 8; e++)
            to[e] = to[e] * f + sum[e];
    }
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

static void attend_rows(const struct columns *w, struct ff_scratch s)
{
    int64_t n_head = w->n_head, d = w->d, lanes = w->n_col * n_head;
    const bool published = n_head == 8 && d == 8;
    float *fade = ff_scratch_floats(&s, lanes);
    for (int64_t i = 0; i < lanes; i++) {
        w->top[i] = -3e38f;
        w->sum[i] = 0.0f;
    }
    for (int64_t i = 0; i < lanes * d; i++)
        w->value[i] = 0.0f;
    for (int64_t row = 0; row < w->n_row; row += STEP) {
        int64_t n = w->n_row - row < STEP ? w->n_row - row : STEP;
        const float *kv = w->kv + row * w->n_col * 2 * d;
        if (row >= w->n_kept) {
            load_rows(w, row, n, true);
            kv = make_kv(w, row, n);
        }
        load_mask(w, row, n);
        if (published)
            find_logits_8(w->weight, w->q, kv, w->alive, n, w->n_col);
        else
            find_logits(w->weight, w->q, kv, w->alive, n, w->n_col, n_head, d);
        online_softmax(w->weight, w->top, w->sum, fade, n, lanes);
        if (published)
            add_values_8(w->value, fade, w->weight, kv, n, w->n_col);
        else
            add_values(w->value, fade, w->weight, kv, n, w->n_col, n_head, d);
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
    struct ff_tile_affine how = {.b = ff_weights(&w->a->o_b), .accumulate = true};
    for (int64_t row = 0; row < w->n_row; row += STEP) {
        int64_t n = w->n_row - row < STEP ? w->n_row - row : STEP;
        load_rows(w, row, n, true);
        ff_tile_linear(w->wide, w->x, w->c, n * w->n_col, &w->a->gate_w);
        for (int64_t k = 0; k < n; k++) {
            float *x = w->wide + k * w->n_col * hd;
            ff_tile_gate(x, hd, w->result, hd, x, hd, w->n_col, hd, NULL, w->a->gate_b.data);
            how.ahead = row + STEP + k < w->n_row ? FF_AT(float, &w->m, row + STEP + k) : NULL;
            ff_tile_affine(FF_AT(float, &w->m, row + k), w->m.stride[1], x, hd, w->n_col, &w->a->o_w, &how);
        }
    }
}

static void columns_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_global_attention_args *a = user;
    int64_t c = a->out.shape[2], d = a->kv_w.shape[1] / 2, n_head = a->n_head, hd = n_head * d;
    struct columns w = {.a = a, .c = c, .n_head = n_head, .d = d, .n_row = a->out.shape[0], .n_col = count,
                        .m = ff_tensor_slice(a->out, 1, from, count), .mask = ff_tensor_slice(a->mask, 1, from, count)};
    int64_t rows = STEP * count, state = count * hd;
    w.n_kept = KEPT / (count * 2 * d) / STEP * STEP;
    w.n_kept = w.n_kept < w.n_row ? w.n_kept : w.n_row;
    w.n_known = KNOWN / (count * 2) < w.n_row ? KNOWN / (count * 2) : w.n_row;
    w.x = ff_scratch_floats(s, rows * c);
    w.moments = ff_scratch_floats(s, w.n_known * count * 2);
    w.kv = ff_scratch_floats(s, (w.n_kept + STEP) * count * 2 * d);
    w.wide = ff_scratch_floats(s, rows * hd);
    w.weight = ff_scratch_floats(s, rows * n_head);
    w.alive = ff_scratch_floats(s, rows);
    w.q = ff_scratch_floats(s, state);
    w.top = ff_scratch_floats(s, count * n_head);
    w.sum = ff_scratch_floats(s, count * n_head);
    w.value = ff_scratch_floats(s, state);
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
    /* Few enough columns for every thread to get some, for all keys and values to be kept if that leaves some, and for
     * the tiles to fit into the scratch. */
    int64_t per_column = STEP * (c + 2 * d + hd + a->n_head + 1) + 4 * hd + 3 * c + 3 * a->n_head;
    int64_t most = (FF_CPU_SCRATCH / (int64_t)sizeof(float) - KEPT - KNOWN - 2048) / per_column;
    int64_t whole = KEPT / (2 * d * (a->out.shape[0] + STEP));
    if (whole >= COLUMNS / 4 && whole < most)
        most = whole;
    int64_t share = (a->out.shape[1] + ff_cpu_threads(be) - 1) / ff_cpu_threads(be);
    int64_t columns = share < COLUMNS ? share : COLUMNS;
    columns = columns < most ? columns : most;
    ff_cpu_for(be, a->out.shape[1], columns > 0 ? columns : 1, columns_piece, (void *)a);
}
