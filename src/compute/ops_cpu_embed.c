/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_embed: the embeddings on the cpu. One-hot features times a weight matrix are sums of its rows, so no feature
 * is ever written: each op makes one pass over its output and is bound by memory.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 2 to 4 and 32; Evans et al. 2021; AlphaFold model/modules.py and
 * modules_multimer.py (relative encoding, dgram_from_positions, SingleTemplateEmbedding).
 */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "compute/ops_cpu.h"
#include "compute/template_tile.h"

enum { PAIRS = 512, MAX_BIN = 128 };                 /* pairs per piece; distance bins */

/* Calls fn(user, s, i, j, n) for the longest pieces of rows, pairs (i, j) to (i, j + n - 1), of a piece of the pairs
 * [from, from + count) of a tensor with n_j columns. */
typedef void (*segment_fn)(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n);

static void segments(int64_t n_j, const void *user, struct ff_scratch *s, int64_t from, int64_t count, segment_fn fn)
{
    for (int64_t t = 0, n; t < count; t += n) {
        int64_t j = (from + t) % n_j;
        n = n_j - j < count - t ? n_j - j : count - t;
        struct ff_scratch own = *s;
        fn(user, &own, (from + t) / n_j, j, n);
    }
}

static bool is_pairs(const struct ff_tensor *t, int64_t c) { return t->ndim == 3 && t->shape[2] == c; }

/* --- outer sum --- */

FF_CLONES
static void outer_sum_segment(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n)
{
    const struct ff_outer_sum_args *a = user;
    int64_t c = a->out.shape[2];
    (void)s;
    for (int64_t p = 0; p < n; p++) {
        float *o = FF_AT(float, &a->out, i, j + p);
        const float *right = FF_AT(float, &a->right, j + p);
        if (a->left.ndim > 0) {
            const float *left = FF_AT(float, &a->left, i);
#pragma omp simd
            for (int64_t k = 0; k < c; k++)
                o[k] += left[k] + right[k];
        } else {
#pragma omp simd
            for (int64_t k = 0; k < c; k++)
                o[k] += right[k];
        }
    }
}

static void outer_sum_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_outer_sum_args *a = user;
    segments(a->out.shape[1], a, s, from, count, outer_sum_segment);
}

void ff_cpu_outer_sum(struct ff_backend *be, const struct ff_outer_sum_args *a)
{
    FF_ASSERT(is_pairs(&a->out, a->right.shape[1]) && a->right.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->left.ndim == 0 || (a->left.shape[0] == a->out.shape[0] && a->left.shape[1] == a->out.shape[2]));
    ff_cpu_for(be, a->out.shape[0] * a->out.shape[1], PAIRS, outer_sum_piece, (void *)a);
}

/* --- relative position --- */

static inline int64_t clip(int64_t x, int64_t top) { return x < 0 ? 0 : x > top ? top : x; }

FF_CLONES
static void relative_segment(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n)
{
    const struct ff_relative_position_args *a = user;
    int64_t c = a->out.shape[2], k = a->max_relative_idx, m = a->max_relative_chain;
    const float *w = a->w.data, *b = a->b.data;
    int64_t index_i = *FF_AT(int32_t, &a->index_i, i);
    (void)s;
    for (int64_t p = 0; p < n; p++) {
        float *o = FF_AT(float, &a->out, i, j + p);
        int64_t bin = clip(index_i - *FF_AT(int32_t, &a->index_j, j + p) + k, 2 * k);
        if (a->asym_i.ndim == 0) {
            const float *row = w + bin * c;
#pragma omp simd
            for (int64_t x = 0; x < c; x++)
                o[x] += row[x] + b[x];
            continue;
        }
        bool same_chain = *FF_AT(int32_t, &a->asym_i, i) == *FF_AT(int32_t, &a->asym_j, j + p);
        bool same_entity = *FF_AT(int32_t, &a->entity_i, i) == *FF_AT(int32_t, &a->entity_j, j + p);
        int64_t chain = clip((int64_t)*FF_AT(int32_t, &a->sym_i, i) - *FF_AT(int32_t, &a->sym_j, j + p) + m, 2 * m);
        const float *row = w + (same_chain ? bin : 2 * k + 1) * c;
        const float *entity = w + (2 * k + 2) * c;
        const float *row_chain = w + (2 * k + 3 + (same_entity ? chain : 2 * m + 1)) * c;
        float is_same = same_entity ? 1.0f : 0.0f;
#pragma omp simd
        for (int64_t x = 0; x < c; x++)
            o[x] += row[x] + is_same * entity[x] + row_chain[x] + b[x];
    }
}

static void relative_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_relative_position_args *a = user;
    segments(a->out.shape[1], a, s, from, count, relative_segment);
}

void ff_cpu_relative_position(struct ff_backend *be, const struct ff_relative_position_args *a)
{
    int64_t k = a->max_relative_idx, m = a->max_relative_chain;
    FF_ASSERT(is_pairs(&a->out, a->w.shape[1]) && a->b.shape[0] == a->w.shape[1]);
    FF_ASSERT(a->w.shape[0] == (a->asym_i.ndim > 0 ? 2 * k + 2 + 1 + 2 * m + 2 : 2 * k + 1));
    FF_ASSERT(a->index_i.shape[0] == a->out.shape[0] && a->index_j.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->index_i.dtype == FF_I32 && a->index_j.dtype == FF_I32);
    ff_cpu_for(be, a->out.shape[0] * a->out.shape[1], PAIRS, relative_piece, (void *)a);
}

/* --- distances --- */

struct bins {
    int64_t n;                               /* rounded up to whole vectors */
    float lower[MAX_BIN];                    /* squared lower borders, then infinity */
    float upper[MAX_BIN + 1];                /* squared upper border of the bin before; the last one's is 1e8 */
};

/* Borders as the published program has them: interpolated between the ends, squared, each step rounded to float32. */
static void bins_init(struct bins *b, float min_bin, float max_bin, int64_t n)
{
    FF_ASSERT(n >= 1 && n <= MAX_BIN);
    b->n = (n + 15) / 16 * 16;
    for (int64_t k = 0; k < n; k++) {
        volatile float step = n > 1 ? (float)k / (float)(n - 1) : 0.0f;
        volatile float low = min_bin * (1.0f - step), high = max_bin * step;   /* volatile: no fused multiply-add */
        float x = n > 1 && k == n - 1 ? max_bin : low + high;
        b->lower[k] = b->upper[k] = x * x;
    }
    for (int64_t k = n; k < b->n; k++)
        b->lower[k] = INFINITY;
    b->upper[n] = 1e8f;
}

/* The bin of d2, which is above `below` lower borders, or -1 where no bin has it: below all, on a border, beyond the
 * last, not a number. Without a branch, which could not be guessed. */
FF_INLINE int64_t bin_among(const struct bins *b, float d2, int32_t below)
{
    int32_t inside = (below > 0) & (d2 < b->upper[below]);
    return (below & -inside) - 1;
}

/* The bin of |x - y|^2. */
FF_INLINE int64_t bin_of(const struct bins *b, const float *x, const float *y)
{
    float dx = x[0] - y[0], dy = x[1] - y[1], dz = x[2] - y[2];
    float d2 = dx * dx + dy * dy + dz * dz;
    int32_t below = 0;
#pragma omp simd reduction(+ : below)
    for (int64_t k = 0; k < b->n; k++)
        below += d2 > b->lower[k];
    return bin_among(b, d2, below);
}

struct distance {
    const struct ff_distance_embed_args *a;
    struct bins bins;
};

FF_CLONES
static void distance_segment(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n)
{
    const struct distance *d = user;
    const struct ff_distance_embed_args *a = d->a;
    int64_t c = a->out.shape[2];
    const float *b = a->b.data;
    (void)s;
    for (int64_t p = 0; p < n; p++) {
        float *o = FF_AT(float, &a->out, i, j + p);
        int64_t bin = bin_of(&d->bins, FF_AT(float, &a->x_i, i), FF_AT(float, &a->x_j, j + p));
        if (bin >= 0) {
            const float *row = (const float *)a->w.data + bin * c;
#pragma omp simd
            for (int64_t k = 0; k < c; k++)
                o[k] += row[k] + b[k];
        } else {
#pragma omp simd
            for (int64_t k = 0; k < c; k++)
                o[k] += b[k];
        }
    }
}

static void distance_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct distance *d = user;
    segments(d->a->out.shape[1], d, s, from, count, distance_segment);
}

void ff_cpu_distance_embed(struct ff_backend *be, const struct ff_distance_embed_args *a)
{
    struct distance d = {.a = a};
    FF_ASSERT(is_pairs(&a->out, a->w.shape[1]) && a->b.shape[0] == a->w.shape[1]);
    FF_ASSERT(a->x_i.shape[0] == a->out.shape[0] && a->x_j.shape[0] == a->out.shape[1]);
    FF_ASSERT(a->x_i.shape[1] == 3 && a->x_j.shape[1] == 3);
    bins_init(&d.bins, a->min_bin, a->max_bin, a->w.shape[0]);
    ff_cpu_for(be, a->out.shape[0] * a->out.shape[1], PAIRS, distance_piece, &d);
}

/* --- extra MSA --- */

enum { MSA_LETTERS = 23 };

FF_CLONES
static void extra_msa_segment(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n)
{
    const struct ff_extra_msa_embed_args *a = user;
    int64_t c = a->out.shape[2];
    const float *w = a->w.data, *b = a->b.data;
    const float *w_has = w + MSA_LETTERS * c, *w_value = w_has + c;
    (void)s;
    for (int64_t p = 0; p < n; p++) {
        float *o = FF_AT(float, &a->out, i, j + p);
        int32_t letter = *FF_AT(int32_t, &a->msa, i, j + p);
        float has = *FF_AT(float, &a->has_deletion, i, j + p), value = *FF_AT(float, &a->deletion_value, i, j + p);
        float is = letter >= 0 && letter < MSA_LETTERS ? 1.0f : 0.0f;      /* one_hot of anything else is zero */
        const float *row = w + (is > 0.0f ? letter : 0) * c;
#pragma omp simd
        for (int64_t k = 0; k < c; k++)
            o[k] = is * row[k] + has * w_has[k] + value * w_value[k] + b[k];
    }
}

static void extra_msa_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_extra_msa_embed_args *a = user;
    segments(a->out.shape[1], a, s, from, count, extra_msa_segment);
}

void ff_cpu_extra_msa_embed(struct ff_backend *be, const struct ff_extra_msa_embed_args *a)
{
    FF_ASSERT(is_pairs(&a->out, a->w.shape[1]) && a->w.shape[0] == MSA_LETTERS + 2 && a->b.shape[0] == a->w.shape[1]);
    FF_ASSERT(a->msa.ndim == 2 && a->msa.shape[0] == a->out.shape[0] && a->msa.shape[1] == a->out.shape[1]);
    FF_ASSERT(a->msa.dtype == FF_I32 && ff_tensor_same_shape(&a->msa, &a->has_deletion) &&
              ff_tensor_same_shape(&a->msa, &a->deletion_value));
    ff_cpu_for(be, a->out.shape[0] * a->out.shape[1], PAIRS, extra_msa_piece, (void *)a);
}

/* --- template pairs --- */

enum { AATYPES = 22 };

struct template_pair {
    const struct ff_template_pair_embed_args *a;
    struct bins bins;
};

/* R^T t of frame f, and R^T (-t), each in its own order of rounding: see unit_vector. */
FF_INLINE float to_local(const float *f, const float *t, int k)
{
    return fmaf(f[6 + k], t[2], fmaf(f[k], t[0], f[3 + k] * t[1]));
}
FF_INLINE float minus_origin(const float *f, int k)
{
    return fmaf(f[6 + k], -f[11], fmaf(f[3 + k], -f[10], f[k] * -f[9]));
}

/* Direction of the origin y of a frame seen from frame x, as ops.h defines it. The program for complexes applies the
 * inverse frame, R^T t_y + R^T (-t_x), and clamps the length at 1e-6 only. For a residue with itself the two products
 * cancel but for their rounding, and what is left, a few 1e-7, passes for a direction. So that the published numbers
 * come out, the products are rounded as they are there. */
FF_INLINE void unit_vector(float u[3], const float *x, const float *y, const bool clamp_norm)
{
    float d0 = y[0] - x[9], d1 = y[1] - x[10], d2 = y[2] - x[11];
    float length2 = 0.0f;
    for (int k = 0; k < 3; k++) {
        u[k] = clamp_norm ? to_local(x, y, k) + minus_origin(x, k) : x[k] * d0 + x[3 + k] * d1 + x[6 + k] * d2;
        length2 += u[k] * u[k];
    }
    float inverse = 1.0f / sqrtf(clamp_norm ? (length2 > 1e-12f ? length2 : 1e-12f) : length2 + 1e-6f);
    for (int k = 0; k < 3; k++)
        u[k] *= inverse;
}

/* Pairs side by side, so that what is found out about each fills whole vectors. */
enum { AT_ONCE = 64, LANES = 16 };
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t counts __attribute__((vector_size(4 * LANES)));

struct some_pairs {                          /* (i, j) to (i, j + AT_ONCE - 1) */
    _Alignas(64) float beta[3][AT_ONCE], origin[3][AT_ONCE];     /* pseudo-beta atoms and frames of j */
    _Alignas(64) float square[AT_ONCE], unit[3][AT_ONCE];
    _Alignas(64) int32_t below[AT_ONCE];     /* borders of bins that are smaller than the squared distance */
};

static void gather(struct some_pairs *s, const struct ff_template_pair_embed_args *a, int64_t j, int64_t n)
{
    for (int64_t p = 0; p < n; p++) {
        const float *beta = FF_AT(float, &a->pseudo_beta_j, j + p), *frame = FF_AT(float, &a->frame_j, j + p);
        for (int d = 0; d < 3; d++) {
            s->beta[d][p] = beta[d];
            s->origin[d][p] = frame[9 + d];
        }
    }
}

FF_INLINE void directions(struct some_pairs *s, const float *frame, int64_t n, const bool clamp_norm)
{
#pragma omp simd
    for (int64_t p = 0; p < n; p++) {
        const float origin[3] = {s->origin[0][p], s->origin[1][p], s->origin[2][p]};
        float u[3];
        unit_vector(u, frame, origin, clamp_norm);
        s->unit[0][p] = u[0];
        s->unit[1][p] = u[1];
        s->unit[2][p] = u[2];
    }
}

FF_CLONES
static void measure(struct some_pairs *s, const struct bins *b, const float *beta, const float *frame, int64_t n,
                    bool clamp_norm)
{
#pragma omp simd
    for (int64_t p = 0; p < n; p++) {
        float dx = beta[0] - s->beta[0][p], dy = beta[1] - s->beta[1][p], dz = beta[2] - s->beta[2][p];
        s->square[p] = dx * dx + dy * dy + dz * dz;
    }
    for (int64_t p = 0; p < n; p += LANES) {
        const lanes square = *(const lanes *)(s->square + p);
        counts below = {0};
        for (int64_t k = 0; k < b->n; k++)
            below -= square > b->lower[k];
        *(counts *)(s->below + p) = below;
    }
    if (clamp_norm)
        directions(s, frame, n, true);
    else
        directions(s, frame, n, false);
}

/* Every pair is one weighted sum of rows; a row that does not count has the weight 0. */
static void weigh_pairs(const struct template_pair *t, const struct some_pairs *s, struct ff_template_pair *ret,
                        int64_t i, int64_t j, int64_t n)
{
    const struct ff_template_pair_embed_args *a = t->a;
    int64_t c = a->out.shape[2];
    const float *w_dgram = a->w_dgram.data, *w_aatype_j = a->w_aatype_j.data;
    const float pb_i = *FF_AT(float, &a->pseudo_beta_mask_i, i), bb_i = *FF_AT(float, &a->backbone_mask_i, i);
    for (int64_t p = 0; p < n; p++) {
        int64_t q = j + p;
        float same = a->asym_i.ndim == 0 || *FF_AT(int32_t, &a->asym_i, i) == *FF_AT(int32_t, &a->asym_j, q);
        float pb = pb_i * *FF_AT(float, &a->pseudo_beta_mask_j, q) * same;
        float bb = bb_i * *FF_AT(float, &a->backbone_mask_j, q) * same;
        int64_t bin = bin_among(&t->bins, s->square[p], s->below[p]);
        float is_bin = (a->mask_all ? 1.0f : pb) * (float)(bin >= 0);
        int32_t aatype_j = *FF_AT(int32_t, &a->aatype_j, q);
        bool known_j = aatype_j >= 0 && aatype_j < AATYPES;
        float all = a->mask_all ? bb : 1.0f, seen = all * bb;
        ret[p] = (struct ff_template_pair){
            .row = {w_aatype_j + (known_j ? aatype_j : 0) * c, w_dgram + (bin + (bin < 0)) * c},
            .weight = {known_j ? all : 0.0f, all * is_bin},
            .shared = {all, all * pb, seen},
        };
        for (int d = 0; d < 3; d++)
            ret[p].shared[3 + d] = bb != 0.0f ? seen * s->unit[d][p] : 0.0f;
    }
}

static void template_segment(const void *user, struct ff_scratch *s, int64_t i, int64_t j, int64_t n)
{
    const struct template_pair *t = user;
    const struct ff_template_pair_embed_args *a = t->a;
    int64_t c = a->out.shape[2];
    const float *w_aatype_i = a->w_aatype_i.data;
    float *none = memset(ff_scratch_floats(s, c), 0, (size_t)c * sizeof *none);
    const float *w_unit = a->w_unit.ndim > 0 ? a->w_unit.data : NULL;
    int32_t aatype_i = *FF_AT(int32_t, &a->aatype_i, i);
    const float *const shared[FF_TEMPLATE_SHARED] = {
        aatype_i >= 0 && aatype_i < AATYPES ? w_aatype_i + aatype_i * c : none, a->w_pb_mask.data, a->w_bb_mask.data,
        w_unit ? w_unit : none, w_unit ? w_unit + c : none, w_unit ? w_unit + 2 * c : none,
    };
    struct some_pairs about = {0};
    struct ff_template_pair pairs[AT_ONCE];
    for (int64_t p = 0; p < n; p += AT_ONCE) {
        int64_t some = n - p < AT_ONCE ? n - p : AT_ONCE;
        gather(&about, a, j + p, some);
        measure(&about, &t->bins, FF_AT(float, &a->pseudo_beta_i, i), FF_AT(float, &a->frame_i, i), some,
                a->clamp_norm);
        weigh_pairs(t, &about, pairs, i, j + p, some);
        ff_template_tile(FF_AT(float, &a->out, i, j + p), a->out.stride[1], c, pairs, some, shared, a->b.data);
    }
}

static void template_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct template_pair *t = user;
    segments(t->a->out.shape[1], t, s, from, count, template_segment);
}

void ff_cpu_template_pair_embed(struct ff_backend *be, const struct ff_template_pair_embed_args *a)
{
    struct template_pair t = {.a = a};
    int64_t n_i = a->out.shape[0], n_j = a->out.shape[1], c = a->out.shape[2];
    FF_ASSERT(a->out.ndim == 3 && a->w_dgram.shape[1] == c && a->b.shape[0] == c);
    FF_ASSERT(a->w_pb_mask.shape[0] == c && a->w_bb_mask.shape[0] == c);
    FF_ASSERT(a->w_aatype_i.shape[0] == AATYPES && a->w_aatype_j.shape[0] == AATYPES);
    FF_ASSERT(a->w_aatype_i.shape[1] == c && a->w_aatype_j.shape[1] == c);
    FF_ASSERT(a->w_unit.ndim == 0 || (a->w_unit.shape[0] == 3 && a->w_unit.shape[1] == c));
    FF_ASSERT(a->aatype_i.shape[0] == n_i && a->aatype_j.shape[0] == n_j);
    FF_ASSERT(a->pseudo_beta_i.shape[0] == n_i && a->pseudo_beta_j.shape[0] == n_j);
    FF_ASSERT(a->frame_i.shape[0] == n_i && a->frame_j.shape[0] == n_j);
    FF_ASSERT(a->backbone_mask_i.shape[0] == n_i && a->backbone_mask_j.shape[0] == n_j);
    FF_ASSERT(a->pseudo_beta_mask_i.shape[0] == n_i && a->pseudo_beta_mask_j.shape[0] == n_j);
    bins_init(&t.bins, a->min_bin, a->max_bin, a->w_dgram.shape[0]);
    ff_cpu_for(be, n_i * n_j, PAIRS, template_piece, &t);
}
