/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_point: invariant point attention on the cpu.
 *
 * A piece is a block of query residues. It walks over the keys in tiles, with the running maximum and sum of a softmax
 * in one pass, so that neither the logits nor the normed pair rows are ever kept: scratch does not grow with the
 * sequence. Of each tile, keys and values are laid out feature by feature with the residues side by side, moved to the
 * global frame once per block. Distances are taken from differences of points, not from the expanded square, which
 * would cancel far from the origin.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 22; AlphaFold model/folding.py InvariantPointAttention.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "compute/ops_cpu.h"

/* Most heads of all queries of a piece: 64 queries at the published 12 heads. */
enum { HEADS = 768, KEYS = 128, MAX_HEAD = 64 };

struct point {
    const struct ff_point_attention_args *a;
    int64_t H, c, c_v, P, P_v, c_z;
    int64_t n_value;                         /* c_v + 3 * P_v */
    float qk_scale, pair_scale;
    float penalty;                           /* of masked keys */
    float weight[MAX_HEAD];                  /* of the squared distance */
};

struct tile {
    int64_t n;                               /* keys in it; rows below are KEYS apart */
    float *k;                                /* [H, c + 3 * P, KEYS]: features, then x, y, z of each point */
    float *v;                                /* [H, c_v + 3 * P_v, KEYS]: features, then all x, all y, all z */
    float *mask;                             /* [KEYS] */
};

struct state {                               /* of a block of queries */
    float *q;                                /* [queries, H, c + 3 * P], as k, times its scale */
    float *p;                                /* [queries, H, KEYS] logits, then weights of the tile */
    float *top, *sum;                        /* [queries, H] */
    float *value;                            /* [queries, H, n_value] */
    float *pair;                             /* [queries, H, c_z] */
    float *w2d;                              /* [H, c_z] */
    float *bias;                             /* [H, KEYS] of the query at hand */
};

/* y = R x + t for n points side by side; frame is [12] rows of which each holds n numbers. */
FF_CLONES
static void to_global(float *yx, float *yy, float *yz, const float *x, const float *y, const float *z,
                      const float *frame, int64_t n)
{
    const float *f = frame;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float px = x[j], py = y[j], pz = z[j];
        yx[j] = f[0 * KEYS + j] * px + f[1 * KEYS + j] * py + f[2 * KEYS + j] * pz + f[9 * KEYS + j];
        yy[j] = f[3 * KEYS + j] * px + f[4 * KEYS + j] * py + f[5 * KEYS + j] * pz + f[10 * KEYS + j];
        yz[j] = f[6 * KEYS + j] * px + f[7 * KEYS + j] * py + f[8 * KEYS + j] * pz + f[11 * KEYS + j];
    }
}

/* y[f, j] = x[j0 + j, f] */
static void load_transposed(float *y, const struct ff_tensor *x, int64_t j0, int64_t n)
{
    ff_tile_transpose(y, KEYS, FF_AT(float, x, j0), x->stride[0], n, x->shape[1]);
}

/* work: [12 + 3 * H * (P + P_v), KEYS] */
static void load_tile(const struct point *t, struct tile *tile, int64_t j0, int64_t n, float *work)
{
    const struct ff_point_attention_args *a = t->a;
    int64_t n_k = t->c + 3 * t->P, points = t->H * (t->P + t->P_v);
    tile->n = n;

    for (int64_t h = 0; h < t->H; h++) {
        const float *from = FF_AT(float, &a->kv, j0) + h * (t->c + t->c_v);
        ff_tile_transpose(tile->k + h * n_k * KEYS, KEYS, from, a->kv.stride[0], n, t->c);
        ff_tile_transpose(tile->v + h * t->n_value * KEYS, KEYS, from + t->c, a->kv.stride[0], n, t->c_v);
    }

    float *frame = work, *local = work + 12 * KEYS;
    load_transposed(frame, &a->frame_j, j0, n);
    load_transposed(local, &a->kv_point, j0, n);
    for (int64_t h = 0; h < t->H; h++)
        for (int64_t p = 0; p < t->P + t->P_v; p++) {
            const float *x = local + (h * (t->P + t->P_v) + p) * KEYS;
            float *to;
            int64_t step;
            if (p < t->P) {
                to = tile->k + (h * n_k + t->c + 3 * p) * KEYS;
                step = KEYS;
            } else {
                to = tile->v + (h * t->n_value + t->c_v + p - t->P) * KEYS;
                step = t->P_v * KEYS;
            }
            to_global(to, to + step, to + 2 * step, x, x + points * KEYS, x + 2 * points * KEYS, frame, n);
        }

    for (int64_t j = 0; j < n; j++)
        tile->mask[j] = *FF_AT(float, &a->mask_j, j0 + j);
}

static void load_query(const struct point *t, float *q, int64_t i)
{
    const struct ff_point_attention_args *a = t->a;
    const float *x = FF_AT(float, &a->q, i), *p = FF_AT(float, &a->q_point, i), *f = FF_AT(float, &a->frame_i, i);
    int64_t points = t->H * t->P;
    for (int64_t h = 0; h < t->H; h++) {
        for (int64_t e = 0; e < t->c; e++)
            *q++ = x[h * t->c + e] * t->qk_scale;
        for (int64_t e = 0; e < t->P; e++) {
            int64_t at = h * t->P + e;
            for (int d = 0; d < 3; d++)
                *q++ = f[3 * d] * p[at] + f[3 * d + 1] * p[points + at] + f[3 * d + 2] * p[2 * points + at] + f[9 + d];
        }
    }
}

/* The logits of one query and head on a tile, without the pair's bias. */
FF_CLONES
static void logits(float *l, const float *q, const float *k, int64_t n, int64_t c, int64_t n_point, float point_weight,
                   const float *mask, float penalty)
{
    float d2[KEYS];
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        l[j] = penalty * (mask[j] - 1.0f);
        d2[j] = 0.0f;
    }
    int64_t e = 0;
    for (; e + 4 <= c; e += 4, k += 4 * KEYS)
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            l[j] += q[e] * k[j] + q[e + 1] * k[KEYS + j] + q[e + 2] * k[2 * KEYS + j] + q[e + 3] * k[3 * KEYS + j];
    for (; e < c; e++, k += KEYS)
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            l[j] += q[e] * k[j];
    q += c;
    for (int64_t p = 0; p < n_point; p++, q += 3, k += 3 * KEYS)
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            float dx = q[0] - k[j], dy = q[1] - k[KEYS + j], dz = q[2] - k[2 * KEYS + j];
            d2[j] += dx * dx + dy * dy + dz * dz;
        }
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        l[j] += point_weight * d2[j];
}

/* One step of the running softmax: l, with the pair's bias added, becomes the weights against the new maximum; returns
 * what the sums of the earlier tiles have to be multiplied with. */
FF_CLONES
static float softmax_step(float *l, const float *bias, float offset, float pair_scale, int64_t n, float *top,
                          float *sum)
{
    float now = *top, total = 0.0f;
#pragma omp simd reduction(max : now)
    for (int64_t j = 0; j < n; j++) {
        l[j] += (bias[j] + offset) * pair_scale;
        now = l[j] > now ? l[j] : now;
    }
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; j++) {
        l[j] = ff_expf_below(l[j] - now);
        total += l[j];
    }
    float factor = ff_expf(*top - now);
    *sum = *sum * factor + total;
    *top = now;
    return factor;
}

FF_CLONES
static void scale(float *x, int64_t n, float factor)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++)
        x[k] *= factor;
}

/* Logits of all queries on a tile, head by head: the keys of one stay in the first-level cache. */
static void find_logits(const struct point *t, const struct tile *tile, const struct state *s, int64_t from,
                        int64_t count)
{
    int64_t n_k = t->c + 3 * t->P;
    for (int64_t h = 0; h < t->H; h++)
        for (int64_t r = 0; r < count; r++)
            logits(s->p + (r * t->H + h) * KEYS, s->q + (r * t->H + h) * n_k, tile->k + h * n_k * KEYS, tile->n, t->c,
                   t->P, t->weight[h], tile->mask, t->penalty * *FF_AT(float, &t->a->mask_i, from + r));
}

/* One query against one tile: weights, and the sum over the pair rows; z is the normed rows [tile->n, c_z], ahead those
 * that come next. */
static void attend(const struct point *t, const struct tile *tile, const struct state *s, int64_t query, const float *z,
                   const float *ahead)
{
    const float *b2d = t->a->b2d.data;
    float *p = s->p + query * t->H * KEYS, *pair = s->pair + query * t->H * t->c_z;
    /* Of the rows ahead one product fetches as many as the other does not: at once they would be waited for. */
    const int64_t parts = t->c_z / 32, most = parts * t->H * tile->n / t->c_z;
    const int64_t later = most < tile->n ? most : tile->n;
    ff_tile_few(s->bias, KEYS, z, t->c_z, later, s->w2d, t->H, t->c_z, NULL);
    ff_tile_few(s->bias + later, KEYS, z + later * t->c_z, t->c_z, tile->n - later, s->w2d, t->H, t->c_z,
                ahead ? ahead + later * t->c_z : NULL);
    for (int64_t h = 0; h < t->H; h++) {
        int64_t at = query * t->H + h;
        float factor = softmax_step(p + h * KEYS, s->bias + h * KEYS, b2d[h], t->pair_scale, tile->n, &s->top[at],
                                    &s->sum[at]);
        if (factor != 1.0f) {
            scale(pair + h * t->c_z, t->c_z, factor);
            scale(s->value + at * t->n_value, t->n_value, factor);
        }
    }
    const struct ff_tensor rows = ff_tensor_make((void *)z, FF_F32, FF_SHAPE(tile->n, t->c_z));
    const struct ff_tile_affine how = {.accumulate = true, .ahead = ahead, .ahead_parts = parts};
    ff_tile_affine(pair, t->c_z, p, KEYS, t->H, &rows, &how);
}

/* out[i] from the sums: divide, take the points back to the local frame of i, add their lengths. */
static void put(const struct point *t, const struct state *s, int64_t query, int64_t i)
{
    const float *f = FF_AT(float, &t->a->frame_i, i);
    float *out = FF_AT(float, &t->a->out, i);
    int64_t points = t->H * t->P_v;
    float *local = out + t->H * t->c_v, *length = local + 3 * points, *pair = length + points;
    for (int64_t h = 0; h < t->H; h++) {
        int64_t at = query * t->H + h;
        float inverse = 1.0f / s->sum[at];
        const float *v = s->value + at * t->n_value, *g = v + t->c_v, *z = s->pair + at * t->c_z;
        for (int64_t e = 0; e < t->c_v; e++)
            out[h * t->c_v + e] = v[e] * inverse;
        for (int64_t p = 0; p < t->P_v; p++) {
            float d[3], length2 = 1e-8f;
            for (int k = 0; k < 3; k++)
                d[k] = g[k * t->P_v + p] * inverse - f[9 + k];
            for (int k = 0; k < 3; k++) {
                float x = f[k] * d[0] + f[3 + k] * d[1] + f[6 + k] * d[2];
                local[k * points + h * t->P_v + p] = x;
                length2 += x * x;
            }
            length[h * t->P_v + p] = sqrtf(length2);
        }
        for (int64_t e = 0; e < t->c_z; e++)
            pair[h * t->c_z + e] = z[e] * inverse;
    }
}

static void piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct point *t = user;
    const struct ff_point_attention_args *a = t->a;
    int64_t n_j = a->kv.shape[0], n_k = t->c + 3 * t->P, heads = count * t->H;
    int64_t work_rows = 12 + 3 * t->H * (t->P + t->P_v);
    if (work_rows < t->c_z)
        work_rows = t->c_z;
    struct tile tile = {
        .k = ff_scratch_floats(s, t->H * n_k * KEYS),
        .v = ff_scratch_floats(s, t->H * t->n_value * KEYS),
        .mask = ff_scratch_floats(s, KEYS),
    };
    struct state state = {
        .q = ff_scratch_floats(s, heads * n_k),
        .p = ff_scratch_floats(s, heads * KEYS),
        .top = ff_scratch_floats(s, heads),
        .sum = ff_scratch_floats(s, heads),
        .value = ff_scratch_floats(s, heads * t->n_value),
        .pair = ff_scratch_floats(s, heads * t->c_z),
        .w2d = ff_scratch_floats(s, t->H * t->c_z),
        .bias = ff_scratch_floats(s, t->H * KEYS),
    };
    float *work = ff_scratch_floats(s, work_rows * KEYS);        /* staging of a tile, then its pair rows [n, c_z] */

    ff_tile_transpose(state.w2d, t->c_z, a->w2d.data, t->H, t->c_z, t->H);
    memset(state.sum, 0, (size_t)heads * sizeof(float));
    memset(state.value, 0, (size_t)(heads * t->n_value) * sizeof(float));
    memset(state.pair, 0, (size_t)(heads * t->c_z) * sizeof(float));
    for (int64_t k = 0; k < heads; k++)
        state.top[k] = -FLT_MAX;
    for (int64_t r = 0; r < count; r++)
        load_query(t, state.q + r * t->H * n_k, from + r);

    for (int64_t j0 = 0; j0 < n_j; j0 += KEYS) {
        load_tile(t, &tile, j0, n_j - j0 < KEYS ? n_j - j0 : KEYS, work);
        find_logits(t, &tile, &state, from, count);
        for (int64_t r = 0; r < count; r++) {
            ff_tile_load_norm(work, t->c_z, &a->z, (from + r) * n_j + j0, tile.n, &a->norm);
            /* Pair rows of the next query, or of the first against the next keys. */
            int64_t next = r + 1 < count ? (from + r + 1) * n_j + j0 : from * n_j + j0 + tile.n;
            const float *ahead = r + 1 < count || j0 + 2 * tile.n <= n_j ? ff_tile_ahead(&a->z, next, tile.n) : NULL;
            attend(t, &tile, &state, r, work, ahead);
        }
        for (int64_t h = 0; h < t->H; h++)
            ff_tile_gemm(false, true, count, t->n_value, tile.n, 1.0f, state.p + h * KEYS, t->H * KEYS,
                         tile.v + h * t->n_value * KEYS, KEYS, 1.0f, state.value + h * t->n_value,
                         t->H * t->n_value);
    }
    for (int64_t r = 0; r < count; r++)
        put(t, &state, r, from + r);
}

void ff_cpu_point_attention(struct ff_backend *be, const struct ff_point_attention_args *a)
{
    int64_t n_i = a->out.shape[0], n_j = a->kv.shape[0];
    struct point t = {.a = a, .H = a->n_head, .c = a->n_qk, .c_v = a->n_v, .P = a->n_point_qk, .P_v = a->n_point_v};
    t.c_z = a->z.shape[2];
    t.n_value = t.c_v + 3 * t.P_v;
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

    t.qk_scale = (float)sqrt(1.0 / (3.0 * (double)t.c));
    t.pair_scale = (float)sqrt(1.0 / 3.0);
    for (int64_t h = 0; h < t.H; h++) {
        double w = *FF_AT(float, &a->point_weight, h);
        double softplus = w > 0.0 ? w + log1p(exp(-w)) : log1p(exp(w));
        t.weight[h] = (float)(-0.5 * sqrt(2.0 / (27.0 * (double)t.P)) * softplus);
    }
    /* 1e5 (1 - mask_i mask_j) is the same for all keys where the query is masked or all keys are: it drops out of the
     * softmax, and adding it would only round the logits. So the penalty is 1e5 mask_i (1 - mask_j), or nothing. */
    for (int64_t j = 0; j < n_j; j++)
        if (*FF_AT(float, &a->mask_j, j) != 0.0f)
            t.penalty = 1e5f;

    /* As many pieces for one thread as for the others, at least two. */
    int64_t threads = ff_cpu_threads(be), most = HEADS / t.H, rounds = (n_i + threads * most - 1) / (threads * most);
    int64_t pieces = threads * (rounds < 2 ? 2 : rounds), step = (n_i + pieces - 1) / pieces;
    ff_cpu_for(be, n_i, step < 1 ? 1 : step, piece, &t);
}
