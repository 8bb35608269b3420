/* SPDX-License-Identifier: Apache-2.0
 * pair_bias, attention on the cpu (Alg. 7, 8, 13, 14). The products and the softmax of a tile are in attention_tile.
 */
#include <math.h>

#include "compute/attention_tile.h"
#include "compute/ops_cpu.h"

/* --- pair_bias --- */

static void pair_bias_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_pair_bias_args *a = user;
    int64_t c = a->w.shape[0], n_head = a->w.shape[1];
    float *x = ff_scratch_floats(s, count * c), *tile = ff_scratch_floats(s, count * n_head);
    float *bias = ff_scratch_floats(s, count * n_head);
    ff_tile_load_norm(x, c, &a->x, from, count, &a->norm);
    ff_tile_linear(tile, x, c, count, &a->w);
    ff_tile_transpose(bias, count, tile, n_head, count, n_head);

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
    ff_cpu_rows(be, ff_tile_row_count(&a->x), c + 2 * n_head, 0, pair_bias_piece, (void *)a);
}

/* --- attention --- */

/* Work is cut into pieces of some batch rows, one head or all, all queries. Within a piece QUERIES queries at a time
 * keep their state while packed keys and values of KEYS rows pass by; the transposed bias of one block of queries
 * serves all batch rows. So scratch does not grow with L. */
enum { QUERIES = 256, KEYS = 512, MAX_GROUP = 4 };

struct attention {
    const struct ff_attention_args *a;
    const struct ff_attention_tile *tile;
    int64_t n_row, length, n_head, d;    /* B, L, H, d */
    int64_t group;                       /* batch rows per piece */
    int64_t heads;                       /* heads per piece: 1 or H */
};

/* Floats of one batch row: packed keys, values and mask; state of the queries and the queries themselves. */
static int64_t row_floats(int64_t d)
{
    return KEYS * (2 * d + 1) + QUERIES * (2 * d + 2);
}

struct row {
    float *k, *v, *mask;                 /* [KEYS, d], [KEYS, d], [KEYS] */
    float *q, *value;                    /* [QUERIES / lanes, d, lanes] */
    float *top, *sum;                    /* [QUERIES] */
};

static void pack_keys(const struct attention *w, const struct row *r, int64_t b, int64_t h, int64_t from, int64_t count)
{
    int64_t d = w->d, hd = w->n_head * d, ld = w->a->qkvg.stride[1], mask_step = w->a->mask.stride[1];
    const float *k = FF_AT(float, &w->a->qkvg, b, from) + hd + h * d;
    const float *mask = FF_AT(float, &w->a->mask, b, from);
    for (int64_t j = 0; j < count; j++, k += ld) {
        for (int64_t c = 0; c < d; c++)
            r->k[j * d + c] = k[c];
        for (int64_t c = 0; c < d; c++)
            r->v[j * d + c] = k[hd + c];
        r->mask[j] = mask[j * mask_step];
    }
}

/* Queries [from, from + count) scaled and channel first, blocks of lanes; the lanes past the end are 0. */
static void start_queries(const struct attention *w, const struct row *r, int64_t b, int64_t h, int64_t from,
                          int64_t count)
{
    int64_t d = w->d, lanes = w->tile->lanes, ld = w->a->qkvg.stride[1];
    const float scale = (float)(1.44269504088896340736 / sqrt((double)d));
    for (int64_t i0 = 0; i0 < count; i0 += lanes) {
        const float *q = FF_AT(float, &w->a->qkvg, b, from + i0) + h * d;
        float *to = r->q + i0 * d, *value = r->value + i0 * d;
        int64_t n = count - i0 < lanes ? count - i0 : lanes;
        ff_tile_transpose(to, lanes, q, ld, n, d);
        for (int64_t c = 0; c < d; c++) {
            for (int64_t i = 0; i < n; i++)
                to[c * lanes + i] *= scale;
            for (int64_t i = n; i < lanes; i++)
                to[c * lanes + i] = 0.0f;
        }
        for (int64_t i = 0; i < lanes * d; i++)
            value[i] = 0.0f;
        for (int64_t i = i0; i < i0 + lanes; i++) {
            r->top[i] = -3e38f;
            r->sum[i] = 0.0f;
        }
    }
}

/* bias[h, from : from + n, key : key + n_key] as [n_key, lanes] in units of log 2. */
static void load_bias(const struct attention *w, float *bias, int64_t h, int64_t from, int64_t n, int64_t key,
                      int64_t n_key)
{
    int64_t lanes = w->tile->lanes;
    ff_tile_transpose(bias, lanes, FF_AT(float, &w->a->bias, h, from, key), w->a->bias.stride[1], n, n_key);
    if (n < lanes)
        for (int64_t j = 0; j < n_key; j++)
            for (int64_t i = n; i < lanes; i++)
                bias[j * lanes + i] = 0.0f;
    for (int64_t i = 0; i < n_key * lanes; i++)
        bias[i] *= FF_LOG2E;
}

FF_CLONES static void gate_row(float *restrict out, const float *restrict x, const float *restrict gate, float scale,
                               int64_t d)
{
    for (int64_t c = 0; c < d; c++)
        out[c] = x[c] * scale * ff_sigmoidf(gate[c]);
}

static void finish_queries(const struct attention *w, const struct row *r, float *tile, int64_t b, int64_t h,
                           int64_t from, int64_t count)
{
    int64_t d = w->d, hd = w->n_head * d, lanes = w->tile->lanes;
    for (int64_t i0 = 0; i0 < count; i0 += lanes) {
        int64_t n = count - i0 < lanes ? count - i0 : lanes;
        ff_tile_transpose(tile, d, r->value + i0 * d, lanes, d, n);
        for (int64_t i = 0; i < n; i++)
            gate_row(FF_AT(float, &w->a->out, b, from + i0 + i) + h * d, tile + i * d,
                     FF_AT(float, &w->a->qkvg, b, from + i0 + i) + 3 * hd + h * d, 1.0f / r->sum[i0 + i], d);
    }
}

struct attention_scratch {
    struct row row[MAX_GROUP];
    float *bias;                         /* [KEYS, lanes] */
    float *logits;                       /* [FF_ATTENTION_KEYS, lanes] */
    float *tile;                         /* [lanes, d] */
};

static void attend_head(const struct attention *w, const struct attention_scratch *t, int64_t b0, int64_t n_row,
                        int64_t h, int64_t from, int64_t count)
{
    int64_t d = w->d, lanes = w->tile->lanes;
    bool biased = ff_tensor_present(&w->a->bias);
    for (int64_t b = 0; b < n_row; b++)
        start_queries(w, &t->row[b], b0 + b, h, from, count);
    for (int64_t key = 0; key < w->length; key += KEYS) {
        int64_t n_key = w->length - key < KEYS ? w->length - key : KEYS;
        for (int64_t b = 0; b < n_row; b++)
            pack_keys(w, &t->row[b], b0 + b, h, key, n_key);
        for (int64_t i0 = 0; i0 < count; i0 += lanes) {
            if (biased)
                load_bias(w, t->bias, h, from + i0, count - i0 < lanes ? count - i0 : lanes, key, n_key);
            for (int64_t b = 0; b < n_row; b++) {
                const struct row *r = &t->row[b];
                for (int64_t j = 0; j < n_key; j += FF_ATTENTION_KEYS)
                    w->tile->attend(&(struct ff_attention_block){
                        .n_key = n_key - j < FF_ATTENTION_KEYS ? n_key - j : FF_ATTENTION_KEYS,
                        .d = d,
                        .q = r->q + i0 * d,
                        .k = r->k + j * d,
                        .v = r->v + j * d,
                        .bias = biased ? t->bias + j * lanes : NULL,
                        .mask = r->mask + j,
                        .logits = t->logits,
                        .top = r->top + i0,
                        .sum = r->sum + i0,
                        .value = r->value + i0 * d,
                    });
            }
        }
    }
    for (int64_t b = 0; b < n_row; b++)
        finish_queries(w, &t->row[b], t->tile, b0 + b, h, from, count);
}

static void attention_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct attention *w = user;
    FF_ASSERT(count == 1);
    int64_t splits = w->n_head / w->heads, b0 = from / splits * w->group, h0 = from % splits * w->heads;
    int64_t n_row = w->n_row - b0 < w->group ? w->n_row - b0 : w->group, lanes = w->tile->lanes, d = w->d;

    struct attention_scratch t = {
        .bias = ff_scratch_floats(s, KEYS * lanes),
        .logits = ff_scratch_floats(s, FF_ATTENTION_KEYS * lanes),
        .tile = ff_scratch_floats(s, lanes * d),
    };
    for (int64_t b = 0; b < n_row; b++)
        t.row[b] = (struct row){
            .k = ff_scratch_floats(s, KEYS * d),
            .v = ff_scratch_floats(s, KEYS * d),
            .mask = ff_scratch_floats(s, KEYS),
            .q = ff_scratch_floats(s, QUERIES * d),
            .value = ff_scratch_floats(s, QUERIES * d),
            .top = ff_scratch_floats(s, QUERIES),
            .sum = ff_scratch_floats(s, QUERIES),
        };
    /* Heads innermost but one: their slices share cache lines of the same rows. */
    for (int64_t i = 0; i < w->length; i += QUERIES)
        for (int64_t h = h0; h < h0 + w->heads; h++)
            attend_head(w, &t, b0, n_row, h, i, w->length - i < QUERIES ? w->length - i : QUERIES);
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

    struct attention w = {.a = a, .tile = ff_attention_tile_get(), .n_row = n_row, .length = length,
                          .n_head = a->n_head, .d = d, .heads = a->n_head};
    const int64_t used = KEYS * FF_ATTENTION_LANES + FF_ATTENTION_KEYS * FF_ATTENTION_LANES + FF_ATTENTION_LANES * d;
    w.group = ((int64_t)(FF_CPU_SCRATCH / sizeof(float)) - used - 2048) / row_floats(d);
    FF_ASSERT(w.group >= 1);
    if (w.group > MAX_GROUP)
        w.group = MAX_GROUP;
    /* Every thread should get work, four pieces if possible; without a bias nothing is shared by batch rows. */
    int64_t threads = ff_cpu_threads(be), most = n_row * a->n_head / (4 * threads);
    if (!ff_tensor_present(&a->bias) || most < 1)
        w.group = 1;
    else if (w.group > most)
        w.group = most;
    int64_t pieces = (n_row + w.group - 1) / w.group;
    if (pieces < 4 * threads) {
        w.heads = 1;
        pieces *= a->n_head;
    }
    ff_cpu_for(be, pieces, 1, attention_piece, &w);
}
