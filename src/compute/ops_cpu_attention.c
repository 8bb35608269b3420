/* SPDX-License-Identifier: Apache-2.0
 * pair_bias, attention on the cpu (Alg. 7, 8, 13, 14). The products and the softmax of a tile are in attention_tile.
 */
#include <math.h>
#include <string.h>

#include "compute/attention_tile.h"
#include "compute/ops_cpu.h"

/* --- pair_bias --- */

static void pair_bias_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_pair_bias_args *a = user;
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    float *x = ff_scratch_floats(s, count * c), *bias = ff_scratch_floats(s, count * n_head);
    ff_tile_load_norm(x, c, &a->x, from, count, &a->norm);
    ff_tile_gemm(true, true, n_head, count, c, 1.0f, a->w.data, n_head, x, c, 0.0f, bias, count);

    int64_t columns = a->x.shape[1];
    for (int64_t done = 0; done < count;) {
        int64_t i = (from + done) / columns, j = (from + done) % columns;
        int64_t run = columns - j < count - done ? columns - j : count - done;
        for (int64_t h = 0; h < n_head; h++) {
            float *out = FF_AT(float, &a->out, h, i, j);
            const float *at = bias + h * count + done;
            for (int64_t r = 0; r < run; r++)
                out[r] = at[r];
        }
        done += run;
    }
}

void ff_cpu_pair_bias(struct ff_backend *be, const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    FF_ASSERT(a->out.dtype == FF_F32 && a->x.dtype == FF_F32 && a->out.ndim == 3 && a->x.ndim == 3);
    FF_ASSERT(a->out.shape[0] == n_head && a->out.shape[1] == a->x.shape[0] && a->out.shape[2] == a->x.shape[1]);
    FF_ASSERT(a->x.shape[2] == c && ff_tensor_count(&a->norm.scale) == c && a->out.stride[2] == 1);
    ff_cpu_rows(be, ff_tile_row_count(&a->x), c + n_head, 0, pair_bias_piece, (void *)a);
}

/* --- attention --- */

/* Work is cut into pieces of a few batch rows and all of their heads (or some, where there would be few pieces). A
 * piece keeps the state of QUERIES queries while KEYS keys and values pass by, so scratch does not grow with L. The
 * transposed bias of one block of queries serves all batch rows of the piece.
 *
 * A row of qkvg is read from end to end, once, and handed out to the heads: one head of one row alone is a few cache
 * lines in every page, which no prefetcher expects. For the same reason results leave as whole rows. */
enum { QUERIES = 256, KEYS = 512, MAX_GROUP = 8, PAD = 32 };

struct attention {
    const struct ff_attention_args *a;
    const struct ff_attention_tile *tile;
    int64_t n_row, length, n_head, d;    /* B, L, H, d */
    int64_t group;                       /* batch rows per piece */
    int64_t heads;                       /* heads per piece */
};

/* What a piece keeps of one batch row. The heads of k, v and q are PAD floats further apart than they are long: at
 * powers of two they would all fall into the same cache sets. */
struct row {
    float *k, *v;                        /* [heads, KEYS, d] + PAD per head */
    float *mask;                         /* [KEYS] */
    float *q;                            /* [heads, QUERIES, d] + PAD per head */
    float *gate;                         /* [QUERIES, heads * d] */
    float *value;                        /* [heads, QUERIES / lanes, d, lanes] */
    float *top, *sum;                    /* [heads, QUERIES] of the softmax, as in attention_tile.h */
};

static int64_t row_floats(int64_t heads, int64_t d)
{
    return heads * (2 * KEYS * d + 3 * QUERIES * d + 2 * QUERIES + 3 * PAD) + KEYS;
}

struct piece {
    const struct attention *w;
    int64_t b0, n_row;                   /* batch rows */
    int64_t h0, n_head;                  /* heads */
    int64_t query, n_query;              /* the queries at hand */
    int64_t key, n_key;                  /* the keys at hand */
    struct row row[MAX_GROUP];
    float *bias;                         /* [KEYS, lanes] */
    float *logits;                       /* [FF_ATTENTION_KEYS, lanes] */
    float *scaled;                       /* [d, lanes] */
    float *tile;                         /* [lanes, heads * d] */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* to[h, at] = from[h] for all heads of the piece; moves of constant size stay in registers. */
static void hand_out(const struct piece *p, float *to, int64_t per_head, int64_t at, const float *from)
{
    int64_t d = p->w->d;
    to += at * d;
    for (int64_t h = 0; h < p->n_head; h++, to += per_head * d + PAD, from += d) {
        int64_t i = 0;
        for (; i + 8 <= d; i += 8)
            memcpy(to + i, from + i, 8 * sizeof *to);
        for (; i < d; i++)
            to[i] = from[i];
    }
}

/* Reads rows of qkvg from `first` on: queries and gates of the first n_query, keys and values of the first n_key. */
static void load_rows(const struct piece *p, int64_t b, int64_t first, int64_t n_query, int64_t n_key)
{
    const struct attention *w = p->w;
    const struct row *r = &p->row[b];
    int64_t hd = w->n_head * w->d, wide = p->n_head * w->d;
    for (int64_t i = 0; i < n_query || i < n_key; i++) {
        const float *x = FF_AT(float, &w->a->qkvg, p->b0 + b, first + i) + p->h0 * w->d;
        if (i < n_query)
            hand_out(p, r->q, QUERIES, i, x);
        if (i < n_key) {
            hand_out(p, r->k, KEYS, i, x + hd);
            hand_out(p, r->v, KEYS, i, x + 2 * hd);
            r->mask[i] = *FF_AT(float, &w->a->mask, p->b0 + b, first + i);
        }
        if (i < n_query)
            memcpy(r->gate + i * wide, x + 3 * hd, (size_t)wide * sizeof *x);
    }
}

static void clear_state(const struct piece *p, int64_t b)
{
    const struct row *r = &p->row[b];
    memset(r->value, 0, (size_t)(p->n_head * QUERIES * p->w->d) * sizeof(float));
    memset(r->top, 0, (size_t)(p->n_head * QUERIES) * sizeof(float));
    memset(r->sum, 0, (size_t)(p->n_head * QUERIES) * sizeof(float));
}

FF_CLONES static void scale(float *x, float by, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= by;
}

/* q [n, d] / sqrt(d) as [d, lanes]; the lanes past n are 0. */
static void scale_queries(const struct piece *p, const float *q, int64_t n)
{
    int64_t d = p->w->d, lanes = p->w->tile->lanes;
    ff_tile_transpose(p->scaled, lanes, q, d, n, d);
    for (int64_t c = 0; n < lanes && c < d; c++)
        for (int64_t i = n; i < lanes; i++)
            p->scaled[c * lanes + i] = 0.0f;
    scale(p->scaled, (float)(1.0 / sqrt((double)d)), d * lanes);
}

/* bias[h, from : from + n, keys] as [n_key, lanes]; the lanes past n are 0. */
static void load_bias(const struct piece *p, int64_t h, int64_t from, int64_t n)
{
    const struct ff_tensor *bias = &p->w->a->bias;
    int64_t lanes = p->w->tile->lanes;
    ff_tile_transpose(p->bias, lanes, FF_AT(float, bias, h, from, p->key), bias->stride[1], n, p->n_key);
    for (int64_t j = 0; n < lanes && j < p->n_key; j++)
        for (int64_t i = n; i < lanes; i++)
            p->bias[j * lanes + i] = 0.0f;
}

/* One head: the queries at hand against the keys at hand. */
static void attend_head(const struct piece *p, int64_t h)
{
    const struct attention *w = p->w;
    int64_t d = w->d, lanes = w->tile->lanes;
    bool biased = ff_tensor_present(&w->a->bias);
    for (int64_t i = 0; i < p->n_query; i += lanes) {
        int64_t n = least(p->n_query - i, lanes);
        if (biased)
            load_bias(p, p->h0 + h, p->query + i, n);
        for (int64_t b = 0; b < p->n_row; b++) {
            const struct row *r = &p->row[b];
            int64_t at = h * QUERIES + i;
            scale_queries(p, r->q + at * d + h * PAD, n);
            for (int64_t j = 0; j < p->n_key; j += FF_ATTENTION_KEYS)
                w->tile->attend(&(struct ff_attention_block){
                    .n_key = least(p->n_key - j, FF_ATTENTION_KEYS),
                    .d = d,
                    .q = p->scaled,
                    .k = r->k + (h * KEYS + j) * d + h * PAD,
                    .v = r->v + (h * KEYS + j) * d + h * PAD,
                    .ld = d,
                    .bias = biased ? p->bias + j * lanes : NULL,
                    .mask = r->mask + j,
                    .logits = p->logits,
                    .top = r->top + at,
                    .sum = r->sum + at,
                    .value = r->value + at * d,
                });
        }
    }
}

FF_CLONES static void divide_columns(float *x, const float *restrict by, int64_t rows, int64_t n)
{
    float inverse[FF_ATTENTION_LANES];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        inverse[i] = 1.0f / by[i];
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            x[r * n + i] *= inverse[i];
}

static void finish_queries(const struct piece *p, int64_t b)
{
    const struct attention *w = p->w;
    const struct row *r = &p->row[b];
    int64_t d = w->d, lanes = w->tile->lanes, wide = p->n_head * d;
    for (int64_t i = 0; i < p->n_query; i += lanes) {
        int64_t n = least(p->n_query - i, lanes);
        for (int64_t h = 0; h < p->n_head; h++) {
            int64_t at = h * QUERIES + i;
            divide_columns(r->value + at * d, r->sum + at, d, lanes);
            ff_tile_transpose(p->tile + h * d, wide, r->value + at * d, lanes, d, n);
        }
        ff_tile_gate(FF_AT(float, &w->a->out, p->b0 + b, p->query + i) + p->h0 * d, w->a->out.stride[1], p->tile, wide,
                     r->gate + i * wide, wide, n, wide, NULL, NULL);
    }
}

static void attention_piece(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct attention *w = user;
    FF_ASSERT(count == 1);
    int64_t splits = (w->n_head + w->heads - 1) / w->heads, lanes = w->tile->lanes, d = w->d, heads = w->heads;
    struct piece p = {
        .w = w,
        .b0 = from / splits * w->group,
        .h0 = from % splits * heads,
        .bias = ff_scratch_floats(scratch, KEYS * lanes),
        .logits = ff_scratch_floats(scratch, FF_ATTENTION_KEYS * lanes),
        .scaled = ff_scratch_floats(scratch, lanes * d),
        .tile = ff_scratch_floats(scratch, lanes * heads * d),
    };
    p.n_row = least(w->n_row - p.b0, w->group);
    p.n_head = least(w->n_head - p.h0, heads);
    for (int64_t b = 0; b < p.n_row; b++)
        p.row[b] = (struct row){
            .k = ff_scratch_floats(scratch, heads * (KEYS * d + PAD)),
            .v = ff_scratch_floats(scratch, heads * (KEYS * d + PAD)),
            .mask = ff_scratch_floats(scratch, KEYS),
            .q = ff_scratch_floats(scratch, heads * (QUERIES * d + PAD)),
            .gate = ff_scratch_floats(scratch, QUERIES * heads * d),
            .value = ff_scratch_floats(scratch, heads * QUERIES * d),
            .top = ff_scratch_floats(scratch, heads * QUERIES),
            .sum = ff_scratch_floats(scratch, heads * QUERIES),
        };
    for (p.query = 0; p.query < w->length; p.query += QUERIES) {
        p.n_query = least(w->length - p.query, QUERIES);
        for (int64_t b = 0; b < p.n_row; b++)
            clear_state(&p, b);
        for (p.key = 0; p.key < w->length; p.key += KEYS) {
            p.n_key = least(w->length - p.key, KEYS);
            /* Keys stay where there is one block of them; queries come with the first block. */
            int64_t n_key = p.query == 0 || w->length > KEYS ? p.n_key : 0, n_query = p.key == 0 ? p.n_query : 0;
            for (int64_t b = 0; b < p.n_row; b++) {
                if (p.key == p.query) {
                    load_rows(&p, b, p.key, n_query, n_key);
                } else {
                    load_rows(&p, b, p.query, n_query, 0);
                    load_rows(&p, b, p.key, 0, n_key);
                }
            }
            for (int64_t h = 0; h < p.n_head; h++)
                attend_head(&p, h);
        }
        for (int64_t b = 0; b < p.n_row; b++)
            finish_queries(&p, b);
    }
}

void ff_cpu_attention(struct ff_backend *be, const struct ff_attention_args *a)
{
    FF_ASSERT(a->out.ndim == 3 && a->qkvg.ndim == 3 && a->mask.ndim == 2 && a->n_head >= 1);
    FF_ASSERT(a->out.dtype == FF_F32 && a->qkvg.dtype == FF_F32 && a->mask.dtype == FF_F32);
    int64_t n_row = a->qkvg.shape[0], length = a->qkvg.shape[1], hd = a->qkvg.shape[2] / 4, d = hd / a->n_head;
    FF_ASSERT(hd * 4 == a->qkvg.shape[2] && d * a->n_head == hd);
    FF_ASSERT(a->out.shape[0] == n_row && a->out.shape[1] == length && a->out.shape[2] == hd);
    FF_ASSERT(a->mask.shape[0] == n_row && a->mask.shape[1] == length);
    FF_ASSERT(!ff_tensor_present(&a->bias) || (a->bias.ndim == 3 && a->bias.shape[0] == a->n_head &&
                                               a->bias.shape[1] == length && a->bias.shape[2] == length));
    if (n_row == 0 || length == 0)
        return;

    struct attention w = {.a = a, .tile = ff_attention_tile_get(), .n_row = n_row, .length = length,
                          .n_head = a->n_head, .d = d, .heads = a->n_head, .group = 1};
    /* All heads if their rows fit into the scratch, and if there are enough pieces for every thread; then more batch
     * rows for one bias. */
    int64_t threads = ff_cpu_threads(be), lanes = w.tile->lanes;
    const int64_t room = FF_CPU_SCRATCH / (int64_t)sizeof(float) - 4096 - KEYS * lanes - FF_ATTENTION_KEYS * lanes;
    while (w.heads > 1 && (row_floats(w.heads, d) + (w.heads + 1) * d * lanes > room ||
                           n_row * ((a->n_head + w.heads - 1) / w.heads) < 4 * threads))
        w.heads = (w.heads + 1) / 2;
    int64_t splits = (a->n_head + w.heads - 1) / w.heads;
    while (ff_tensor_present(&a->bias) && w.group < MAX_GROUP && n_row * splits / (w.group + 1) >= 4 * threads &&
           (w.group + 1) * row_floats(w.heads, d) + (w.heads + 1) * d * lanes <= room)
        w.group++;
    ff_cpu_for(be, (n_row + w.group - 1) / w.group * splits, 1, attention_piece, &w);
}
