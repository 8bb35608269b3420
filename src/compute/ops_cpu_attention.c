/* SPDX-License-Identifier: Apache-2.0
 * pair_bias, attention on the cpu (Alg. 7, 8, 13, 14). The products and the softmax of a tile are in attention_tile.
 */
#include <math.h>
#include <string.h>

#include "compute/attention_tile.h"
#include "compute/ops_cpu.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- pair_bias --- */

/* Few rows at a time: they are used once, and stay in the first-level cache until then. */
enum { BIAS_ROWS = 32 };

static void pair_bias_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_pair_bias_args *a = user;
    int64_t c = a->w.shape[0], n_head = a->w.shape[1], columns = a->x.shape[1];
    float *x = ff_scratch_floats(s, BIAS_ROWS * c), *w = ff_scratch_floats(s, n_head * c);
    ff_tile_transpose(w, c, a->w.data, n_head, c, n_head);
    for (int64_t at = from, run; at < from + count; at += run) {
        int64_t i = at / columns, j = at % columns;
        run = least(least(columns - j, from + count - at), BIAS_ROWS);
        ff_tile_load_norm(x, c, &a->x, at, run, &a->norm);
        ff_tile_few(FF_AT(float, &a->out, 0, i, j), a->out.stride[0], x, c, run, w, n_head, c,
                    ff_tile_ahead(&a->x, at + run, run));
    }
}

void ff_cpu_pair_bias(struct ff_backend *be, const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    FF_ASSERT(a->out.dtype == FF_F32 && a->x.dtype == FF_F32 && a->out.ndim == 3 && a->x.ndim == 3);
    FF_ASSERT(a->out.shape[0] == n_head && a->out.shape[1] == a->x.shape[0] && a->out.shape[2] == a->x.shape[1]);
    FF_ASSERT(a->x.shape[2] == c && ff_tensor_count(&a->norm.scale) == c && a->out.stride[2] == 1);
    ff_cpu_rows(be, ff_tile_row_count(&a->x), 0, (BIAS_ROWS + n_head) * c, pair_bias_piece, (void *)a);
}

/* --- attention --- */

/* Work is cut into pieces of a few batch rows and some or all of their heads. A piece keeps the keys and values of its
 * rows while blocks of queries pass by; or, where those of one head alone are too many, the state of SOME_QUERIES
 * queries while SOME_KEYS keys and values pass by, so scratch does not grow with L. The transposed bias of one block
 * of queries serves all batch rows of the piece.
 *
 * A piece keeps KEPT floats: half of a second-level cache of 2 MiB would hold them. Into the other half comes what is
 * wanted next, asked for little by little during the products: heads of rows are a few cache lines in every page, which
 * the processor does not look ahead for by itself, and more requests at a time than it has room for stop its work. */
enum { SOME_QUERIES = 256, SOME_KEYS = 512, MAX_GROUP = 8, PAD = 32, WIDE = 32, KEPT = 5 << 15, LOADED = 16 };

struct attention {
    const struct ff_attention_args *a;
    const struct ff_attention_tile *tile;
    int64_t n_row, length, n_head, d;    /* B, L, H, d */
    int64_t group;                       /* batch rows per piece */
    int64_t heads;                       /* heads per piece */
    int64_t queries, keys;               /* that a piece keeps at a time */
    int64_t share;                       /* heads that share WIDE channels of what is fetched */
    int64_t share_rows;                  /* and how many queries each takes */
    struct ff_attention_ahead ahead[2];  /* how much at a time */
};

/* What a piece keeps of one batch row. The heads of k and v are PAD floats further apart than they are long: at powers
 * of two they would all fall into the same cache sets. */
struct row {
    float *k, *v;                        /* [heads, keys, d] + PAD per head */
    float *mask;                         /* [keys] */
    float *q;                            /* [queries / lanes, heads, d, lanes], times 1 / sqrt(d) */
    float *value;                        /* [queries / lanes, heads, d, lanes] */
    float *top, *sum;                    /* [queries / lanes, heads, lanes] of the softmax, as in attention_tile.h */
};

struct piece {
    const struct attention *w;
    int64_t b0, n_row;                   /* batch rows */
    int64_t h0, n_head;                  /* heads */
    int64_t query, n_query;              /* the queries at hand */
    int64_t key, n_key;                  /* the keys at hand */
    struct row row[MAX_GROUP];
    float *bias;                         /* [keys, lanes] */
    float *logits;                       /* [FF_ATTENTION_KEYS, lanes] */
    float *tile;                         /* [lanes, heads * d] */
};

static int64_t row_floats(int64_t heads, int64_t d, int64_t queries, int64_t keys)
{
    return heads * (2 * (keys * d + PAD) + 2 * queries * (d + 1)) + keys;
}

static int64_t piece_floats(int64_t heads, int64_t d, int64_t keys)
{
    return (keys + FF_ATTENTION_KEYS + heads * d) * FF_ATTENTION_LANES;
}

/* Channels of the heads of the piece of row i: of queries, keys, values or gates (part 0 to 3). */
static const float *part_of_row(const struct piece *p, int64_t b, int64_t i, int part)
{
    const struct attention *w = p->w;
    return FF_AT(float, &w->a->qkvg, p->b0 + b, i) + (part * w->n_head + p->h0) * w->d;
}

/* Moved at once: a loop of 16 numbers would become a call. */
typedef float part8 __attribute__((vector_size(32), aligned(4)));
typedef float part16 __attribute__((vector_size(64), aligned(4)));

/* Keys or values of n rows at a distance of ld: to[h, i] = from[i, h] for heads of d channels, which are head_ld apart
 * in `to`. */
FF_CLONES static void hand_out(float *to, int64_t head_ld, const float *from, int64_t ld, int64_t n, int64_t heads,
                               int64_t d)
{
    for (int64_t i = 0; i < n; i++, to += d, from += ld) {
        float *at = to;
        const float *x = from;
        for (int64_t h = 0; h < heads; h++, at += head_ld) {
            int64_t c = 0;
            for (; c + 16 <= d; c += 16, x += 16) {
                __builtin_prefetch(x + 8 * ld);
                *(part16 *)(at + c) = *(const part16 *)x;
            }
            for (; c + 8 <= d; c += 8, x += 8)
                *(part8 *)(at + c) = *(const part8 *)x;
            for (; c < d; c++, x++)
                at[c] = *x;
        }
    }
}

static void load_keys(const struct piece *p, int64_t b)
{
    const struct attention *w = p->w;
    const struct row *r = &p->row[b];
    const int64_t head_ld = w->keys * w->d + PAD, ld = w->a->qkvg.stride[1];
    for (int64_t from = 0; from < p->n_key; from += LOADED) {
        int64_t n = least(p->n_key - from, LOADED);
        hand_out(r->k + from * w->d, head_ld, part_of_row(p, b, p->key + from, 1), ld, n, p->n_head, w->d);
        hand_out(r->v + from * w->d, head_ld, part_of_row(p, b, p->key + from, 2), ld, n, p->n_head, w->d);
    }
    for (int64_t i = 0; i < p->n_key; i++)
        r->mask[i] = *FF_AT(float, &w->a->mask, p->b0 + b, p->key + i);
}

FF_CLONES static void scale(float *x, float by, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= by;
}

/* The queries at hand, and a state of the softmax that has not begun. The lanes past the last query are 0. */
static void load_queries(const struct piece *p, int64_t b)
{
    const struct attention *w = p->w;
    const struct row *r = &p->row[b];
    int64_t lanes = w->tile->lanes, wide = p->n_head * w->d, ld = w->a->qkvg.stride[1];
    for (int64_t i = 0; i < p->n_query; i += lanes) {
        float *q = r->q + i * wide;
        int64_t n = least(p->n_query - i, lanes);
        ff_tile_transpose(q, lanes, part_of_row(p, b, p->query + i, 0), ld, n, wide);
        for (int64_t c = 0; n < lanes && c < wide; c++)
            for (int64_t k = n; k < lanes; k++)
                q[c * lanes + k] = 0.0f;
        scale(q, (float)(1.0 / sqrt((double)w->d)), wide * lanes);
    }
    int64_t n = (p->n_query + lanes - 1) / lanes * lanes * p->n_head;
    memset(r->value, 0, (size_t)(n * w->d) * sizeof(float));
    memset(r->top, 0, (size_t)n * sizeof(float));
    memset(r->sum, 0, (size_t)n * sizeof(float));
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

/* While one head of a row and of a block of queries is at work, its share of what comes next is fetched: the gates and
 * the result of this block and the next queries, and besides, the keys and values of the row that is next. The share is
 * channels c to c + WIDE of some queries from `at` on. */
static void look_ahead(const struct piece *p, int64_t b, int64_t at, int64_t c, struct ff_attention_ahead ret[2])
{
    const struct attention *w = p->w;
    const int64_t lanes = w->tile->lanes, ld = w->a->qkvg.stride[1], next = w->group + b;
    ret[0] = w->ahead[0];
    ret[1] = w->ahead[1];
    if (p->key + p->n_key < w->length || at + w->share_rows > w->length) {
        ret[0].at_once = ret[1].at_once = 0;
        return;
    }
    ret[0].second = ret[1].second = c + WIDE <= p->n_head * w->d ? WIDE / 2 : 0;
    ret[0].part[0] = ret[0].part[2] = part_of_row(p, b, at, 3) + c;
    ret[0].part[1] = FF_AT(float, &w->a->out, p->b0 + b, at) + p->h0 * w->d + c;
    if (at + lanes + w->share_rows <= w->length)
        ret[0].part[2] = part_of_row(p, b, at + lanes, 0) + c;
    ret[0].ld[0] = ret[0].ld[2] = ret[1].ld[0] = ret[1].ld[1] = ld;
    ret[0].ld[1] = w->a->out.stride[1];
    if (p->b0 + next < w->n_row && w->keys >= w->length) {
        ret[1].part[0] = part_of_row(p, next, at, 1) + c;
        ret[1].part[1] = part_of_row(p, next, at, 2) + c;
    } else {
        ret[1].at_once = 0;
    }
}

/* One head: the queries at hand against the keys at hand. */
static void attend_head(const struct piece *p, int64_t h)
{
    const struct attention *w = p->w;
    int64_t d = w->d, lanes = w->tile->lanes;
    bool biased = ff_tensor_present(&w->a->bias);
    const int64_t share_at = h % w->share * w->share_rows, share_c = h / w->share * w->share * d;
    for (int64_t i = 0; i < p->n_query; i += lanes) {
        if (biased)
            load_bias(p, p->h0 + h, p->query + i, least(p->n_query - i, lanes));
        for (int64_t b = 0; b < p->n_row; b++) {
            const struct row *r = &p->row[b];
            int64_t at = i * p->n_head + h * lanes;
            struct ff_attention_ahead ahead[2];
            look_ahead(p, b, p->query + i + share_at, share_c, ahead);
            for (int64_t j = 0; j < p->n_key; j += FF_ATTENTION_KEYS)
                w->tile->attend(&(struct ff_attention_block){
                    .n_key = least(p->n_key - j, FF_ATTENTION_KEYS),
                    .d = d,
                    .q = r->q + at * d,
                    .k = r->k + (h * w->keys + j) * d + h * PAD,
                    .v = r->v + (h * w->keys + j) * d + h * PAD,
                    .ld = d,
                    .bias = biased ? p->bias + j * lanes : NULL,
                    .mask = r->mask + j,
                    .logits = p->logits,
                    .top = r->top + at,
                    .sum = r->sum + at,
                    .value = r->value + at * d,
                    .ahead = {&ahead[0], &ahead[1]},
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
            int64_t at = i * p->n_head + h * lanes;
            divide_columns(r->value + at * d, r->sum + at, d, lanes);
        }
        ff_tile_transpose(p->tile, wide, r->value + i * wide, lanes, wide, n);
        ff_tile_gate(FF_AT(float, &w->a->out, p->b0 + b, p->query + i) + p->h0 * d, w->a->out.stride[1], p->tile, wide,
                     part_of_row(p, b, p->query + i, 3), w->a->qkvg.stride[1], n, wide, NULL, NULL);
    }
}

static int64_t n_group(const struct attention *w, int64_t group)
{
    return (w->n_row + group - 1) / group;
}

static void attention_piece(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct attention *w = user;
    FF_ASSERT(count == 1);
    int64_t groups = n_group(w, w->group), lanes = w->tile->lanes, d = w->d, heads = w->heads;
    struct piece p = {
        .w = w,
        .b0 = from % groups * w->group,      /* the next piece has the same heads of the rows that follow */
        .h0 = from / groups * heads,
        .bias = ff_scratch_floats(scratch, w->keys * lanes),
        .logits = ff_scratch_floats(scratch, FF_ATTENTION_KEYS * lanes),
        .tile = ff_scratch_floats(scratch, lanes * heads * d),
    };
    p.n_row = least(w->n_row - p.b0, w->group);
    p.n_head = least(w->n_head - p.h0, heads);
    for (int64_t b = 0; b < p.n_row; b++)
        p.row[b] = (struct row){
            .k = ff_scratch_floats(scratch, heads * (w->keys * d + PAD)),
            .v = ff_scratch_floats(scratch, heads * (w->keys * d + PAD)),
            .mask = ff_scratch_floats(scratch, w->keys),
            .q = ff_scratch_floats(scratch, heads * w->queries * d),
            .value = ff_scratch_floats(scratch, heads * w->queries * d),
            .top = ff_scratch_floats(scratch, heads * w->queries),
            .sum = ff_scratch_floats(scratch, heads * w->queries),
        };
    for (p.query = 0; p.query < w->length; p.query += w->queries) {
        p.n_query = least(w->length - p.query, w->queries);
        for (int64_t b = 0; b < p.n_row; b++)
            load_queries(&p, b);
        for (p.key = 0; p.key < w->length; p.key += w->keys) {
            p.n_key = least(w->length - p.key, w->keys);
            for (int64_t b = 0; b < p.n_row && (p.query == 0 || w->keys < w->length); b++)
                load_keys(&p, b);
            for (int64_t h = 0; h < p.n_head; h++)
                attend_head(&p, h);
        }
        for (int64_t b = 0; b < p.n_row; b++)
            finish_queries(&p, b);
    }
}

static int64_t n_piece(const struct attention *w, int64_t group)
{
    return n_group(w, group) * ((w->n_head + w->heads - 1) / w->heads);
}

/* As many heads of a row as can be kept, of two rows where they share a bias and of four where it is large beside them,
 * and that leave enough pieces for every thread; then more batch rows for one bias. */
static void choose_pieces(struct attention *w, int64_t threads)
{
    const bool biased = ff_tensor_present(&w->a->bias);
    const int64_t room = FF_CPU_SCRATCH / (int64_t)sizeof(float) - 4096;
    const int64_t rows = !biased ? 1 : w->length < 384 ? 2 : 4;
    int64_t each = KEPT + 1;
    for (int some = 0; some < 2 && each > KEPT; some++) {
        w->queries = some ? SOME_QUERIES : w->tile->lanes;
        w->keys = some ? SOME_KEYS : w->length;
        w->heads = w->n_head;
        while (w->heads > 1 && (rows * row_floats(w->heads, w->d, w->queries, w->keys) > KEPT ||
                                n_piece(w, 1) < 4 * threads))
            w->heads = (w->heads + 1) / 2;
        each = row_floats(w->heads, w->d, w->queries, w->keys);
    }
    w->group = 1;
    while (biased && w->group < MAX_GROUP && n_piece(w, w->group + 1) >= 4 * threads &&
           (w->group + 1) * each <= (w->group == 1 ? room - piece_floats(w->heads, w->d, w->keys) : KEPT))
        w->group++;
}

/* Rows for each of so many steps, or one row for some of them. */
static void spread(struct ff_attention_ahead *ahead, int64_t rows, int64_t steps)
{
    ahead->at_once = steps > 0 ? (rows + steps - 1) / steps : 0;
    while (rows * (ahead->rest + 1) * 2 <= steps && ahead->rest < 7)
        ahead->rest = 2 * ahead->rest + 1;
}

static void choose_ahead(struct attention *w)
{
    w->share = w->d < WIDE ? WIDE / w->d : 1;
    w->share_rows = (w->tile->lanes + w->share - 1) / w->share;
    const int64_t keys = w->tile->keys;
    spread(&w->ahead[0], w->share_rows, w->keys / keys);
    spread(&w->ahead[1], w->share_rows, w->keys / FF_ATTENTION_STEP * ((w->d + keys - 1) / keys));
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
                          .n_head = a->n_head, .d = d};
    choose_pieces(&w, ff_cpu_threads(be));
    choose_ahead(&w);
    ff_cpu_for(be, n_piece(&w, w.group), 1, attention_piece, &w);
}
