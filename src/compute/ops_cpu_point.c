/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_point: invariant point attention on the cpu.
 *
 * A piece is a block of query residues. It walks over the keys in tiles, with the running maximum and sum of a softmax
 * in one pass, so that neither the logits nor the normed pair rows are ever kept: scratch does not grow with the
 * sequence. Keys and values are laid out with the heads side by side (compute/point_tile.h), points in the global
 * frame: once for all pieces, or of one tile for one piece where all are too many. Distances are taken from differences
 * of points, not from the expanded square, which would cancel far from the origin.
 *
 * Pair rows are multiplied where they lie, for writing normed ones takes as long as the sum over them. Of their layer
 * norm the scale is in the weights of the bias and in what is put out, the offset in what is put out alone (like b2d it
 * gives all logits of a head the same), the standard deviations are in the bias and in the weights that rows are summed
 * with, and what the means have added is taken out of both sums. That would cancel where a mean is far larger than the
 * standard deviation: there rows are centered first.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 22; AlphaFold model/folding.py InvariantPointAttention.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "compute/ops_cpu.h"
#include "compute/point_tile.h"

/* Most lanes of all queries of a piece: 128 queries at the published 12 heads. */
enum { LANES = FF_POINT_LANES, MOST_LANES = 2048, KEYS = FF_POINT_KEYS, MAX_HEAD = 64, ROWS = 16 };

struct point {
    const struct ff_point_attention_args *a;
    const struct ff_point_tile *tile;        /* inner loops */
    int64_t H, c, c_v, P, P_v, c_z;
    int64_t width;                           /* c_z, filled up to whole vectors */
    int64_t lanes;                           /* heads, filled up */
    int64_t n_k;                             /* c + 3 * P */
    int64_t n_value;                         /* c_v + 3 * P_v, filled up */
    int64_t p_ld;                            /* between the logits of two queries: not a power of 2, or they are in
                                              * each other's place in the cache */
    float pair_scale;
    float penalty;                           /* of masked keys */
    float qk_scale[MAX_HEAD], distance_scale[MAX_HEAD];     /* the latter: root of the squared distance's weight */
    float zeros[FF_POINT_STEP * MAX_HEAD];
    float *w2d;                              /* [width, lanes], packed */
    float *of_mean;                          /* [lanes]: w2d summed over a row */
    float *tiles;                            /* [keys / KEYS, tile_floats()] all keys; NULL: too many, pieces lay out
                                              * theirs */
};

struct tile {
    float *k, *v, *mask;                     /* as in struct ff_point_block; [KEYS] */
};

struct staging {                             /* of one residue */
    float *row, *turned, *point;
};

struct state {                               /* of a piece */
    struct tile own;                         /* where its keys are laid out, if it does that itself */
    struct staging staging;
    float *q;                                /* [queries, n_k, lanes] */
    float *p;                                /* [FF_POINT_QUERIES, KEYS, lanes] */
    float *top, *sum, *means;                /* [queries, lanes]: as in struct ff_point_softmax */
    float *value;                            /* [queries, n_value, lanes]: features, then all x, all y, all z */
    float *pair;                             /* [queries, H, width] */
    float *z;                                /* [KEYS, width] pair rows of one query, where their own place won't do */
    float *mean, *inverse;                   /* [KEYS] */
    float *bias;                             /* [KEYS, lanes], then the weights of the pair rows */
    float *fade;                             /* [lanes] */
};

static int64_t filled(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* --- residues with their heads side by side --- */

/* Floats of a row [H, n] with what to_lanes() reads past its end. */
static int64_t row_floats(const struct point *t, int64_t n)
{
    return t->lanes * n + LANES;
}

/* y [n, lanes] = x [H, n]^T, and some rows more: to a multiple of LANES. */
static void to_lanes(const struct point *t, float *y, const float *x, int64_t n)
{
    ff_tile_transpose(y, t->lanes, x, n, t->lanes, filled(n, LANES));
}

/* y = R x + t of n points; coordinates are `part` apart, frame is [12]. */
FF_CLONES
static void move(float *y, const float *x, int64_t n, int64_t part, const float *frame)
{
    const float *f = frame, *x1 = x + part, *x2 = x1 + part;
    float *y1 = y + part, *y2 = y1 + part;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        y[i] = f[0] * x[i] + f[1] * x1[i] + f[2] * x2[i] + f[9];
        y1[i] = f[3] * x[i] + f[4] * x1[i] + f[5] * x2[i] + f[10];
        y2[i] = f[6] * x[i] + f[7] * x1[i] + f[8] * x2[i] + f[11];
    }
}

/* Row j of x, parts of n for each head, where to_lanes() can read past its end: in place but for the last. */
static const float *row_to_read(const struct point *t, const struct staging *s, const struct ff_tensor *x, int64_t j,
                                int64_t n)
{
    const float *row = FF_AT(float, x, j);
    if (j + 1 < x->shape[0] && row_floats(t, n) - t->H * n <= x->stride[0])
        return row;
    return memcpy(s->row, row, (size_t)x->shape[1] * sizeof *row);
}

/* s->point [3, n rounded up, lanes]: points of residue j in the global frame. Returns the floats of one coordinate. */
static int64_t turn_points(const struct point *t, const struct staging *s, const struct ff_tensor *x, int64_t j,
                           int64_t n, const float *frame)
{
    const float *row = row_to_read(t, s, x, j, n);
    int64_t part = filled(n, LANES) * t->lanes;
    for (int d = 0; d < 3; d++)
        to_lanes(t, s->turned + d * part, row + d * t->H * n, n);
    move(s->point, s->turned, n * t->lanes, part, frame);
    return part;
}

/* The numbers of all heads, times factor. */
FF_INLINE void lanes_scaled(float *y, const float *x, const float *factor, int64_t lanes)
{
    for (int64_t h = 0; h < lanes; h += LANES)
#pragma omp simd
        for (int64_t i = h; i < h + LANES; i++)
            y[i] = x[i] * factor[i];
}

FF_INLINE void lanes_copied(float *y, const float *x, int64_t lanes)
{
    for (int64_t h = 0; h < lanes; h += LANES)
        memcpy(y + h, x + h, LANES * sizeof *y);
}

/* y [P, 3, lanes]: the points of queries and keys, so that the square of a difference is the distance's part of a
 * logit; coordinates of x are `part` floats apart. */
FF_CLONES
static void put_points(float *y, const float *x, int64_t part, const float *factor, int64_t P, int64_t lanes)
{
    for (int64_t p = 0; p < P; p++, x += lanes)
        for (int d = 0; d < 3; d++, y += lanes)
            lanes_scaled(y, x + d * part, factor, lanes);
}

/* Numbers [from, from + n) of the value of a key at v, of x [n, lanes]. */
FF_CLONES
static void put_value(float *v, int64_t from, const float *x, int64_t n, int64_t lanes)
{
    for (int64_t e = from; e < from + n; e++, x += lanes)
        lanes_copied(v + (e / FF_POINT_STEP * KEYS * FF_POINT_STEP + e % FF_POINT_STEP) * lanes, x, lanes);
}

static int64_t tile_floats(const struct point *t)
{
    return KEYS * ((t->n_k + t->n_value) * t->lanes + 1);
}

static struct tile tile_at(const struct point *t, float *at)
{
    float *v = at + KEYS * t->n_k * t->lanes;
    return (struct tile){at, v, v + KEYS * t->n_value * t->lanes};
}

static void load_key(const struct point *t, const struct tile *tile, const struct staging *s, int64_t j)
{
    const struct ff_point_attention_args *a = t->a;
    const int64_t n = t->c + t->c_v, lanes = t->lanes, at = j % KEYS;
    float *k = tile->k + at * t->n_k * lanes, *v = tile->v + at * FF_POINT_STEP * lanes;
    to_lanes(t, s->turned, row_to_read(t, s, &a->kv, j, n), n);
    memcpy(k, s->turned, (size_t)(t->c * lanes) * sizeof(float));
    put_value(v, 0, s->turned + t->c * lanes, t->c_v, lanes);

    int64_t part = turn_points(t, s, &a->kv_point, j, t->P + t->P_v, FF_AT(float, &a->frame_j, j));
    put_points(k + t->c * lanes, s->point, part, t->distance_scale, t->P, lanes);
    for (int d = 0; d < 3; d++)
        put_value(v, t->c_v + d * t->P_v, s->point + d * part + t->P * lanes, t->P_v, lanes);
    int64_t end = t->c_v + 3 * t->P_v;
    put_value(v, end, t->zeros, t->n_value - end, lanes);
    tile->mask[at] = *FF_AT(float, &a->mask_j, j);
}

/* Keys [j, j + n) of one tile. */
static void load_keys(const struct point *t, const struct tile *tile, const struct staging *s, int64_t j, int64_t n)
{
    const int64_t row = t->n_k * t->lanes, end = (j + n - 1) % KEYS + 1;
    for (int64_t i = j; i < j + n; i++)
        load_key(t, tile, s, i);
    if (j + n == t->a->kv.shape[0])
        memset(tile->k + end * row, 0, (size_t)((filled(end, FF_POINT_STEP) - end) * row) * sizeof(float));
}

static void load_query(const struct point *t, const struct staging *s, float *q, int64_t i)
{
    const struct ff_point_attention_args *a = t->a;
    to_lanes(t, s->turned, row_to_read(t, s, &a->q, i, t->c), t->c);
    for (int64_t e = 0; e < t->c; e++)
        lanes_scaled(q + e * t->lanes, s->turned + e * t->lanes, t->qk_scale, t->lanes);
    int64_t part = turn_points(t, s, &a->q_point, i, t->P, FF_AT(float, &a->frame_i, i));
    put_points(q + t->c * t->lanes, s->point, part, t->distance_scale, t->P, t->lanes);
}

/* --- pair rows that are wanted later --- */

/* Pair rows are read once, in the order of tiles and queries, and come from far away. So they are fetched during all of
 * the work, evenly: a little of them by each part. */
struct fetch {
    int64_t from, count;                     /* queries of the piece */
    int64_t query, j0;                       /* whose rows are being fetched: [n, c_z] */
    const float *end;                        /* of them */
    int64_t size, left;                      /* floats of them, and not yet fetched; 0 in the end */
    int64_t ahead;                           /* floats fetched that were not yet used */
};

/* How far ahead at most, in floats: what the second-level cache has room for, and where the products with pair rows,
 * which have the least time for it, leave it to the others. */
enum { FAR_AHEAD = 96 << 10, NEAR_AHEAD = 24 << 10 };

static int64_t keys_of_tile(int64_t n_j, int64_t j0)
{
    return n_j - j0 < KEYS ? n_j - j0 : KEYS;
}

/* Those of the first query were fetched by the piece before. */
static struct fetch fetch_begin(const struct point *t, int64_t from, int64_t count)
{
    return (struct fetch){.from = from, .count = count, .ahead = keys_of_tile(t->a->kv.shape[0], 0) * t->c_z};
}

/* To the rows of the next query, or of the first one against the next keys, or of the next piece. */
static void fetch_next(const struct point *t, struct fetch *f)
{
    const int64_t n_j = t->a->kv.shape[0];
    f->left = 0;
    if (f->j0 >= n_j)
        return;
    if (++f->query == f->count) {
        f->query = 0;
        f->j0 += KEYS;
    }
    const bool here = f->j0 < n_j;
    const int64_t query = f->from + (here ? f->query : f->count), j0 = here ? f->j0 : 0;
    if (query >= t->a->z.shape[0] || t->width != t->c_z)
        return;
    const int64_t n = keys_of_tile(n_j, j0);
    const float *x = ff_tile_ahead(&t->a->z, query * n_j + j0, n);
    if (x) {
        f->left = f->size = n * t->c_z;
        f->end = x + f->left;
    }
}

/* `lines` lines to fetch, or NULL. */
static const float *fetch(const struct point *t, struct fetch *f, int64_t lines, int64_t most)
{
    const int64_t n = lines * FF_POINT_LINE;
    if (f->ahead > most)
        return NULL;
    if (f->left == 0)
        fetch_next(t, f);
    if (f->left == 0 || n > f->size)
        return NULL;
    int64_t new = f->left < n ? f->left : n;     /* some once more at the end */
    const float *x = f->end - f->left + new - n;
    f->left -= new;
    f->ahead += new;
    return x;
}

/* The rows of the query are being used. */
static void fetch_used(const struct point *t, struct fetch *f, int64_t query, int64_t j0)
{
    if (f->j0 < j0 || (f->j0 == j0 && f->query <= query)) {
        f->j0 = j0;
        f->query = query;
        f->ahead = 0;
        fetch_next(t, f);
    } else {
        f->ahead -= keys_of_tile(t->a->kv.shape[0], j0) * t->c_z;
    }
}

/* --- one query against one tile --- */

/* s->bias of n rows x, and their sums and sums of squares. */
static void make_bias(const struct point *t, const struct state *s, struct fetch *f, const float *x, int64_t n)
{
    struct ff_point_bias how = {.width = t->width, .lanes = t->lanes, .n_head = t->H, .w = t->w2d};
    for (int64_t r = 0; r < n; r += ROWS) {
        how.n = n - r < ROWS ? n - r : ROWS;
        how.x = x + r * t->width;
        how.bias = s->bias + r * t->lanes;
        how.sum = s->mean + r;
        how.square = s->inverse + r;
        how.ahead = fetch(t, f, ff_point_bias_steps(t->tile, &how), NEAR_AHEAD);
        t->tile->bias(&how);
    }
}

/* Sums and sums of squares of rows of c numbers become means, and what norms them. Returns the largest |mean| in
 * standard deviations, or more. */
FF_CLONES
static float make_moments(float *mean, float *inverse, int64_t n, int64_t c)
{
    const float per_c = 1.0f / (float)c;
    float most = 0.0f;
#pragma omp simd reduction(max : most)
    for (int64_t r = 0; r < n; r++) {
        float m = mean[r] * per_c, variance = inverse[r] * per_c - m * m;
        float factor = 1.0f / sqrtf((variance > 0.0f ? variance : 0.0f) + 1e-5f), ratio = fabsf(m) * factor;
        mean[r] = m;
        inverse[r] = factor;
        most = ratio > most ? ratio : most;
    }
    return most;
}

/* s->mean, s->inverse and s->bias of n pair rows from `row` on. Returns the rows. */
static const float *load_pair(const struct point *t, const struct state *s, struct fetch *f, int64_t row, int64_t n)
{
    const float far = 4.0f;                  /* of a mean from 0: four bits of 24 are lost, half of them to the root */
    int64_t ld;
    const float *x = ff_tile_rows_at(&t->a->z, row, n, &ld);
    if (!x || ld != t->width || t->width != t->c_z) {
        ff_tile_load(s->z, t->width, &t->a->z, row, n);
        x = s->z;
    }
    make_bias(t, s, f, x, n);
    if (!ff_tensor_present(&t->a->norm.scale)) {
        for (int64_t r = 0; r < n; r++) {
            s->mean[r] = 0.0f;
            s->inverse[r] = 1.0f;
        }
    } else if (!(make_moments(s->mean, s->inverse, n, t->c_z) < far)) {
        for (int64_t r = 0; r < n; r++)
            for (int64_t e = 0; e < t->c_z; e++)
                s->z[r * t->width + e] = x[r * t->width + e] - s->mean[r];
        x = s->z;
        make_bias(t, s, f, x, n);
        make_moments(s->mean, s->inverse, n, t->c_z);
    }
    return x;
}

/* x [n, lanes] */
FF_CLONES
static void fade_values(float *x, const float *factor, int64_t n, int64_t lanes)
{
    for (int64_t e = 0; e < n; e++)
        lanes_scaled(x + e * lanes, x + e * lanes, factor, lanes);
}

/* The weights p of query number `query` of the piece, residue i, and the sum over its pair rows. */
static void attend(const struct point *t, const struct state *s, struct fetch *f, int64_t query, int64_t i, int64_t j0,
                   int64_t n, const float *mask, float *p)
{
    fetch_used(t, f, query, j0);
    const float *z = load_pair(t, s, f, i * t->a->kv.shape[0] + j0, n);
    const float penalty = t->penalty * *FF_AT(float, &t->a->mask_i, i);
    const struct ff_point_softmax softmax = {
        .n_key = n, .lanes = t->lanes, .p = p, .bias = s->bias, .mean = s->mean, .inverse = s->inverse,
        .of_mean = t->of_mean, .means = s->means + query * t->lanes,
        .mask = penalty != 0.0f ? mask : NULL, .penalty = penalty,
        .top = s->top + query * t->lanes, .sum = s->sum + query * t->lanes, .fade = s->fade,
    };
    float *pair = s->pair + query * t->H * t->width;
    if (t->tile->softmax(&softmax) && j0 > 0) {
        ff_tile_scale_rows(pair, t->width, t->H, t->width, s->fade);
        fade_values(s->value + query * t->n_value * t->lanes, s->fade, t->n_value, t->lanes);
    }
    const struct ff_tensor rows = ff_tensor_make((void *)z, FF_F32, FF_SHAPE(n, t->width));
    const int64_t parts = t->width / 32;
    const struct ff_tile_affine how = {.accumulate = j0 > 0, .trans_x = true, .ahead_parts = parts,
                                       .ahead = fetch(t, f, parts * t->H * n / FF_POINT_LINE, FAR_AHEAD)};
    ff_tile_affine(pair, t->width, s->bias, t->lanes, t->H, &rows, &how);
}

/* --- results --- */

/* y [c_v + 4 * P_v, lanes] = x / sum, points taken back to the local frame, and their lengths. */
FF_CLONES
static void finish_values(float *y, const float *x, const float *sum, int64_t lanes, int64_t c_v, int64_t P_v,
                          const float *frame)
{
    const int64_t part = P_v * lanes;
    const float *f = frame;
    float inverse[MAX_HEAD];
#pragma omp simd
    for (int64_t h = 0; h < lanes; h++)
        inverse[h] = 1.0f / sum[h];
    for (int64_t e = 0; e < c_v; e++, x += lanes, y += lanes)
        lanes_scaled(y, x, inverse, lanes);
    for (int64_t p = 0; p < P_v; p++, x += lanes, y += lanes)
#pragma omp simd
        for (int64_t h = 0; h < lanes; h++) {
            float dx = x[h] * inverse[h] - f[9], dy = x[part + h] * inverse[h] - f[10];
            float dz = x[2 * part + h] * inverse[h] - f[11];
            float lx = f[0] * dx + f[3] * dy + f[6] * dz, ly = f[1] * dx + f[4] * dy + f[7] * dz;
            float lz = f[2] * dx + f[5] * dy + f[8] * dz;
            y[h] = lx;
            y[part + h] = ly;
            y[2 * part + h] = lz;
            y[3 * part + h] = sqrtf(1e-8f + lx * lx + ly * ly + lz * lz);
        }
}

/* y [H, n] = (x [H, width] - means) / sum * scale + offset; scale and offset NULL: 1 and 0 */
FF_CLONES
static void finish_pair(float *y, const float *x, const float *sum, const float *means, int64_t H, int64_t n,
                        int64_t width, const float *scale, const float *offset)
{
    for (int64_t h = 0; h < H; h++, x += width, y += n) {
        const float inverse = 1.0f / sum[h];
        if (scale) {
#pragma omp simd
            for (int64_t e = 0; e < n; e++)
                y[e] = (x[e] - means[h]) * inverse * scale[e] + offset[e];
        } else {
#pragma omp simd
            for (int64_t e = 0; e < n; e++)
                y[e] = x[e] * inverse;
        }
    }
}

/* y [H, n] = x [n, lanes]^T */
static void from_lanes(const struct point *t, const struct staging *s, float *y, const float *x, int64_t n)
{
    ff_tile_transpose(s->turned, n, x, t->lanes, n, t->lanes);
    memcpy(y, s->turned, (size_t)(t->H * n) * sizeof *y);
}

static void put(const struct point *t, const struct state *s, int64_t query, int64_t i)
{
    const int64_t points = t->H * t->P_v, lanes = t->lanes;
    float *out = FF_AT(float, &t->a->out, i), *y = s->staging.point;
    const float *sum = s->sum + query * lanes;
    finish_values(y, s->value + query * t->n_value * lanes, sum, lanes, t->c_v, t->P_v,
                  FF_AT(float, &t->a->frame_i, i));
    from_lanes(t, &s->staging, out, y, t->c_v);
    out += t->H * t->c_v;
    for (int k = 0; k < 4; k++, out += points)
        from_lanes(t, &s->staging, out, y + (t->c_v + k * t->P_v) * lanes, t->P_v);
    finish_pair(out, s->pair + query * t->H * t->width, sum, s->means + query * lanes, t->H, t->c_z, t->width,
                ff_weights(&t->a->norm.scale), ff_weights(&t->a->norm.offset));
}

/* --- a piece --- */

static struct staging make_staging(const struct point *t, struct ff_scratch *s)
{
    int64_t features = filled(t->c + t->c_v, LANES), turned = 3 * filled(t->P + t->P_v, LANES), widest = t->c + t->c_v;
    turned = (turned > features ? turned : features) * t->lanes;
    widest = widest > 3 * (t->P + t->P_v) ? widest : 3 * (t->P + t->P_v);
    int64_t point = turned > (t->c_v + 4 * t->P_v) * t->lanes ? turned : (t->c_v + 4 * t->P_v) * t->lanes;
    struct staging staging = {
        .row = ff_scratch_floats(s, row_floats(t, widest)),
        .turned = ff_scratch_floats(s, turned),
        .point = ff_scratch_floats(s, point),
    };
    memset(staging.row, 0, (size_t)row_floats(t, widest) * sizeof(float));
    return staging;
}

static struct state make_state(const struct point *t, struct ff_scratch *s, int64_t count)
{
    const int64_t lanes = t->lanes, queries = filled(count, FF_POINT_QUERIES);
    struct state state = {
        .staging = make_staging(t, s),
        .q = ff_scratch_floats(s, queries * t->n_k * lanes),
        .p = ff_scratch_floats(s, FF_POINT_QUERIES * t->p_ld),
        .top = ff_scratch_floats(s, count * lanes),
        .sum = ff_scratch_floats(s, count * lanes),
        .means = ff_scratch_floats(s, count * lanes),
        .value = ff_scratch_floats(s, queries * t->n_value * lanes),
        .pair = ff_scratch_floats(s, count * t->H * t->width),
        .z = ff_scratch_floats(s, KEYS * t->width),
        .mean = ff_scratch_floats(s, KEYS),
        .inverse = ff_scratch_floats(s, KEYS),
        .bias = ff_scratch_floats(s, KEYS * lanes),
        .fade = ff_scratch_floats(s, lanes),
    };
    if (!t->tiles)
        state.own = tile_at(t, ff_scratch_floats(s, tile_floats(t)));
    memset(state.sum, 0, (size_t)(count * lanes) * sizeof(float));
    memset(state.means, 0, (size_t)(count * lanes) * sizeof(float));
    for (int64_t k = 0; k < count * lanes; k++)
        state.top[k] = -FLT_MAX;
    /* Numbers of a row past the end are 0, and so are their weights. */
    if (t->width != t->c_z)
        memset(state.z, 0, (size_t)(KEYS * t->width) * sizeof(float));
    return state;
}

static void piece(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct point *t = user;
    const int64_t n_j = t->a->kv.shape[0], row = t->n_k * t->lanes;
    const struct state s = make_state(t, scratch, count);
    for (int64_t r = 0; r < count; r++)
        load_query(t, &s.staging, s.q + r * row, from + r);
    memset(s.q + count * row, 0, (size_t)((filled(count, FF_POINT_QUERIES) - count) * row) * sizeof(float));

    struct fetch f = fetch_begin(t, from, count);
    for (int64_t j0 = 0; j0 < n_j; j0 += KEYS) {
        int64_t n = keys_of_tile(n_j, j0);
        const struct tile tile = t->tiles ? tile_at(t, t->tiles + j0 / KEYS * tile_floats(t)) : s.own;
        if (!t->tiles)
            load_keys(t, &tile, &s.staging, j0, n);
        for (int64_t q0 = 0; q0 < count; q0 += FF_POINT_QUERIES) {
            int64_t end = count - q0 < FF_POINT_QUERIES ? count : q0 + FF_POINT_QUERIES;
            const struct ff_point_block block = {
                .n_query = filled(end - q0, t->tile->queries), .lanes = t->lanes, .n_feature = t->c,
                .n_coordinate = 3 * t->P, .n_value = t->n_value, .q = s.q + q0 * row, .k = tile.k, .v = tile.v,
                .p = s.p, .ld = t->p_ld, .value = s.value + q0 * t->n_value * t->lanes,
            };
            for (int64_t j = 0; j < n; j += ROWS) {
                int64_t keys = filled(n - j < ROWS ? n - j : ROWS, FF_POINT_STEP);
                t->tile->logits(&block, j, keys, fetch(t, &f, ff_point_logit_steps(t->tile, &block, keys), FAR_AHEAD));
            }
            for (int64_t r = q0; r < end; r++)
                attend(t, &s, &f, r, from + r, j0, n, tile.mask, s.p + (r - q0) * t->p_ld);
            /* Half of the keys at a time: the weights of some queries stay in the first-level cache meanwhile. At last
             * the place of the results is fetched. */
            const float *out = FF_AT(float, &t->a->out, from + q0);
            for (int64_t j = 0; j < n; j += KEYS / 2) {
                int64_t keys = n - j < KEYS / 2 ? n - j : KEYS / 2;
                int64_t steps = ff_point_value_steps(t->tile, &block, keys);
                t->tile->values(&block, j, keys, j0 + j > 0, j0 + n < n_j ? fetch(t, &f, steps, FAR_AHEAD) : out);
                out += steps * FF_POINT_LINE;
            }
            for (int64_t r = q0; j0 + n == n_j && r < end; r++)
                put(t, &s, r, from + r);
        }
    }
}

/* --- for all pieces --- */

static void lay_out_keys(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct point *t = user;
    const struct staging staging = make_staging(t, scratch);
    const struct tile tile = tile_at(t, t->tiles + from / KEYS * tile_floats(t));
    load_keys(t, &tile, &staging, from, count);
}

/* w [width, H] is scratch. */
static void lay_out_weights(struct point *t, float *w)
{
    const float *scale = ff_weights(&t->a->norm.scale);
    memset(w, 0, (size_t)(t->width * t->H) * sizeof(float));
    memset(t->of_mean, 0, (size_t)t->lanes * sizeof(float));
    for (int64_t e = 0; e < t->c_z; e++)
        for (int64_t h = 0; h < t->H; h++) {
            w[e * t->H + h] = *FF_AT(float, &t->a->w2d, e, h) * t->pair_scale * (scale ? scale[e] : 1.0f);
            t->of_mean[h] += w[e * t->H + h];
        }
    t->tile->pack(t->w2d, w, t->width, t->H);
}

/* What all pieces share: the weights, and the keys as far as there is room for all of them. */
static void lay_out(struct ff_backend *be, struct point *t)
{
    const int64_t n_j = t->a->kv.shape[0], room = FF_CPU_SHARED / (int64_t)sizeof(float);
    const int64_t weights = t->lanes + t->width * (t->lanes + filled(t->H, LANES));
    const int64_t tiles = (n_j + KEYS - 1) / KEYS * tile_floats(t);
    const bool whole = tiles <= room - weights;
    t->of_mean = ff_cpu_shared(be, weights + (whole ? tiles : 0));
    t->w2d = t->of_mean + t->lanes;
    float *w = t->w2d + t->width * t->lanes;
    lay_out_weights(t, w);
    if (whole) {
        t->tiles = w + t->width * filled(t->H, LANES);
        ff_cpu_for(be, n_j, ROWS, lay_out_keys, t);
    }
}

/* Queries of a piece that the scratch has room for. */
static int64_t most_queries(const struct point *t)
{
    const int64_t per_query = (t->n_k + t->n_value + 3) * t->lanes + t->H * t->width;
    const int64_t fixed = KEYS * (t->n_k + t->n_value + 1) * t->lanes + (KEYS + t->lanes + t->H) * t->width +
                          FF_POINT_QUERIES * (t->p_ld + per_query) + 16 * LANES * (t->n_k + t->n_value) +
                          32 * KEYS;                 /* staging, and the ends of cache lines */
    int64_t most = (FF_CPU_SCRATCH / (int64_t)sizeof(float) - fixed) / per_query;
    FF_ASSERT(most >= 1);
    return most < MOST_LANES / t->lanes ? most : MOST_LANES / t->lanes;
}

void ff_cpu_point_attention(struct ff_backend *be, const struct ff_point_attention_args *a)
{
    int64_t n_i = a->out.shape[0], n_j = a->kv.shape[0];
    struct point t = {.a = a, .tile = ff_point_tile_get(), .H = a->n_head, .c = a->n_qk, .c_v = a->n_v,
                      .P = a->n_point_qk,
                      .P_v = a->n_point_v};
    t.c_z = a->z.shape[2];
    t.width = filled(t.c_z, LANES);
    t.lanes = filled(t.H, LANES);
    t.n_k = t.c + 3 * t.P;
    t.n_value = filled(t.c_v + 3 * t.P_v, FF_POINT_STEP);
    t.p_ld = KEYS * t.lanes + LANES;
    FF_ASSERT(t.H >= 1 && t.H <= MAX_HEAD && t.c >= 1 && t.P >= 1);
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == t.H * (t.c_v + 4 * t.P_v + t.c_z));
    FF_ASSERT(a->q.shape[0] == n_i && a->q.shape[1] == t.H * t.c && a->kv.shape[1] == t.H * (t.c + t.c_v));
    FF_ASSERT(a->q_point.shape[0] == n_i && a->q_point.shape[1] == 3 * t.H * t.P);
    FF_ASSERT(a->kv_point.shape[0] == n_j && a->kv_point.shape[1] == 3 * t.H * (t.P + t.P_v));
    FF_ASSERT(a->frame_i.shape[0] == n_i && a->frame_j.shape[0] == n_j && a->frame_i.shape[1] == 12);
    FF_ASSERT(a->mask_i.shape[0] == n_i && a->mask_j.shape[0] == n_j && a->frame_j.shape[1] == 12);
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[0] == n_i && a->z.shape[1] == n_j);
    FF_ASSERT(a->w2d.shape[0] == t.c_z && a->w2d.shape[1] == t.H && a->b2d.shape[0] == t.H);
    FF_ASSERT(a->point_weight.shape[0] == t.H);

    t.pair_scale = (float)sqrt(1.0 / 3.0);
    for (int64_t h = 0; h < t.H; h++) {
        double w = *FF_AT(float, &a->point_weight, h);
        double softplus = w > 0.0 ? w + log1p(exp(-w)) : log1p(exp(w));
        t.qk_scale[h] = (float)sqrt(1.0 / (3.0 * (double)t.c));
        t.distance_scale[h] = (float)sqrt(0.5 * sqrt(2.0 / (27.0 * (double)t.P)) * softplus);
    }
    /* 1e5 (1 - mask_i mask_j) is the same for all keys where the query is masked or all keys are: it drops out of the
     * softmax, and adding it would only round the logits. So the penalty is 1e5 mask_i (1 - mask_j), or nothing. */
    for (int64_t j = 0; j < n_j; j++)
        if (*FF_AT(float, &a->mask_j, j) != 0.0f)
            t.penalty = 1e5f;

    lay_out(be, &t);
    /* As many pieces for one thread as for the others where keys are laid out anew for each; else small ones, so that
     * no thread waits for another, but the larger, the less of all keys a second-level cache holds. */
    int64_t threads = ff_cpu_threads(be), most = threads * most_queries(&t);
    int64_t pieces = threads * ((n_i + most - 1) / most), step = (n_i + pieces - 1) / pieces;
    int64_t few = (n_j + 2 * KEYS - 1) / (2 * KEYS) * FF_POINT_QUERIES;
    if (t.tiles && step > few)
        step = few;
    ff_cpu_for(be, n_i, step < 1 ? 1 : step, piece, &t);
}
