/* SPDX-License-Identifier: Apache-2.0
 * msa_cluster: nearest cluster centres of alignment rows, and profiles of the clusters.
 */
#include "feature/msa_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

/* ---- counting agreements ----------------------------------------------------------------------------------------- */

/* 16 bytes are a register of every 64-bit processor; four sums at once keep its units busy. */
enum { LANES = 16, VECTOR = 4 * LANES };
typedef uint8_t lanes_u8 __attribute__((vector_size(LANES)));
typedef uint16_t lanes_u16 __attribute__((vector_size(LANES)));

/* What never agrees is 255 in centres and 254 in the other rows; so is the padding to whole vectors. */
enum { NEVER_CENTRE = 255, NEVER_ROW = 254 };

static size_t padded(int n_res)
{
    return ((size_t)n_res + VECTOR - 1) / VECTOR * VECTOR;
}

static void encode(const uint8_t *ids, const uint8_t *mask, int n_res, uint8_t never, uint8_t *ret /* [padded] */)
{
    memset(ret, never, padded(n_res));
    for (int i = 0; i < n_res; i++)
        if (ids[i] < FF_MSA_GAP && (mask == NULL || mask[i]))
            ret[i] = ids[i];
}

static inline lanes_u8 load(const uint8_t *p)
{
    lanes_u8 v;
    memcpy(&v, p, LANES);
    return v;
}

static inline lanes_u16 widen(lanes_u8 v)
{
    lanes_u16 w = (lanes_u16)v;
    return (w & 0xff) + (w >> 8);
}

/* Equal bytes of row with each centre. A lane counts up to 255 matches before it must be added to the total. */
static void count_equal(const uint8_t *row, const uint8_t *centres, int n_centre, size_t length, int32_t *ret)
{
    for (int s = 0; s < n_centre; s++) {
        const uint8_t *centre = centres + (size_t)s * length;
        int32_t total = 0;
        for (size_t start = 0; start < length; start += 255 * VECTOR) {
            size_t end = length - start < 255 * VECTOR ? length : start + 255 * VECTOR;
            lanes_u8 a = {0}, b = {0}, c = {0}, d = {0};
            for (size_t i = start; i < end; i += VECTOR) {   /* equal lanes are -1 */
                a -= (lanes_u8)(load(row + i) == load(centre + i));
                b -= (lanes_u8)(load(row + i + LANES) == load(centre + i + LANES));
                c -= (lanes_u8)(load(row + i + 2 * LANES) == load(centre + i + 2 * LANES));
                d -= (lanes_u8)(load(row + i + 3 * LANES) == load(centre + i + 3 * LANES));
            }
            lanes_u16 sum = widen(a) + widen(b) + widen(c) + widen(d);
            for (int k = 0; k < LANES / 2; k++)
                total += sum[k];
        }
        ret[s] = total;
    }
}

static uint8_t *encode_centres(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres)
{
    size_t n = (size_t)p->n_res, length = padded(p->n_res);
    uint8_t *codes = FF_NEW_ARRAY(uint8_t, (size_t)n_centre * length); /* [n_centre, length] */
    for (int s = 0; s < n_centre; s++)
        encode(centres + (size_t)s * n, p->mask ? p->mask + (size_t)order[s] * n : NULL, p->n_res, NEVER_CENTRE,
               codes + (size_t)s * length);
    return codes;
}

/* Calls visit for every row behind the centres with its agreements [n_centre]; rows in any order, on all threads. */
static void for_each_row(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                         void (*visit)(void *user, int64_t row, const int32_t *agreement), void *user)
{
    size_t n = (size_t)p->n_res, length = padded(p->n_res);
    int64_t n_other = p->n_row - n_centre;
    uint8_t *codes = encode_centres(p, order, n_centre, centres);
#pragma omp parallel
    {
        uint8_t *row = FF_NEW_ARRAY(uint8_t, length);
        int32_t *agreement = FF_NEW_ARRAY(int32_t, (size_t)n_centre);
#pragma omp for schedule(dynamic, 16)
        for (int64_t e = 0; e < n_other; e++) {
            size_t at = (size_t)order[n_centre + e] * n;
            encode(p->ids + at, p->mask ? p->mask + at : NULL, p->n_res, NEVER_ROW, row);
            count_equal(row, codes, n_centre, length, agreement);
            visit(user, e, agreement);
        }
        free(row);
        free(agreement);
    }
    free(codes);
}

static int first_max(const int32_t *v, int n)
{
    int best = 0;
    for (int s = 1; s < n; s++)
        if (v[s] > v[best])
            best = s;
    return best;
}

struct assign_state {
    int n_centre;
    int32_t *assignment;
};

static void visit_assign(void *user, int64_t row, const int32_t *agreement)
{
    struct assign_state *a = user;
    a->assignment[row] = first_max(agreement, a->n_centre);
}

void ff_msa_cluster_assign(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                           int32_t *ret)
{
    FF_ASSERT(n_centre >= 1 && n_centre <= p->n_row);
    struct assign_state a = {n_centre, ret};
    for_each_row(p, order, n_centre, centres, visit_assign, &a);
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

void ff_msa_clusters_free(struct ff_msa_clusters *c)
{
    free(c->first);
    free(c->row);
    free(c->weight);
    free(c->size);
    *c = (struct ff_msa_clusters){0};
}

/* Room for the members counted in first[s + 1]; turns the counts into places. */
static void place_members(struct ff_msa_clusters *c)
{
    for (int s = 0; s < c->n_centre; s++)
        c->first[s + 1] += c->first[s];
    size_t total = (size_t)c->first[c->n_centre];
    c->row = FF_NEW_ARRAY(int64_t, total);
    c->weight = FF_NEW_ARRAY(float, total);
}

void ff_msa_cluster_nearest(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                            struct ff_msa_clusters *ret)
{
    int64_t n_other = p->n_row - n_centre;
    int32_t *assignment = FF_NEW_ARRAY(int32_t, (size_t)n_other);
    ff_msa_cluster_assign(p, order, n_centre, centres, assignment);

    *ret = (struct ff_msa_clusters){.n_centre = n_centre};
    ret->first = FF_NEW_ARRAY(int64_t, (size_t)n_centre + 1);
    for (int64_t e = 0; e < n_other; e++)
        ret->first[assignment[e] + 1]++;
    place_members(ret);
    ret->size = FF_NEW_ARRAY(float, (size_t)n_centre);
    int64_t *next = FF_NEW_ARRAY(int64_t, (size_t)n_centre);
    memcpy(next, ret->first, (size_t)n_centre * sizeof *next);
    for (int64_t e = 0; e < n_other; e++) {
        int64_t at = next[assignment[e]]++;
        ret->row[at] = order[n_centre + e];
        ret->weight[at] = 1.0f;
    }
    /* The published 1e-6 against empty clusters; the order of the sum matters in float32. */
    for (int s = 0; s < n_centre; s++)
        ret->size[s] = (1e-6f + 1.0f) + (float)(ret->first[s + 1] - ret->first[s]);
    free(next);
    free(assignment);
}

/* One row and one of the centres that it agrees with most. */
struct share {
    int64_t row;             /* behind the centres: 0 .. n_other - 1 */
    int32_t centre;
    float weight;
};

struct share_state {
    const struct ff_msa_pool *p;
    const int64_t *order;
    int n_centre;
    struct share *shares;    /* grows */
    int64_t count, capacity;
};

static int32_t count_unmasked_in_both(const struct ff_msa_pool *p, int64_t row_a, int64_t row_b)
{
    if (p->mask == NULL)
        return p->n_res;
    const uint8_t *a = p->mask + (size_t)row_a * (size_t)p->n_res, *b = p->mask + (size_t)row_b * (size_t)p->n_res;
    int32_t count = 0;
    for (int i = 0; i < p->n_res; i++)
        count += a[i] & b[i];
    return count;
}

static void visit_share(void *user, int64_t row, const int32_t *agreement)
{
    struct share_state *st = user;
    int32_t most = agreement[first_max(agreement, st->n_centre)];
    int ties = 0;
    for (int s = 0; s < st->n_centre; s++)
        ties += agreement[s] == most;
    for (int s = 0; s < st->n_centre; s++) {
        if (agreement[s] != most)
            continue;
        int32_t common = count_unmasked_in_both(st->p, st->order[s], st->order[st->n_centre + row]);
        if (common == 0)
            continue;
        struct share share = {row, s, 1.0f / (float)ties * (float)common};
#pragma omp critical(ff_msa_cluster_share)
        {
            FF_GROW(st->shares, st->count, st->capacity);
            st->shares[st->count++] = share;
        }
    }
}

static int compare_shares(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    if (x->centre != y->centre)
        return x->centre < y->centre ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

void ff_msa_cluster_shared(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                           struct ff_msa_clusters *ret)
{
    FF_ASSERT(n_centre >= 1 && n_centre <= p->n_row);
    struct share_state st = {.p = p, .order = order, .n_centre = n_centre};
    for_each_row(p, order, n_centre, centres, visit_share, &st);
    /* Threads came in any order; sums are made in this one. */
    if (st.count > 0)
        qsort(st.shares, (size_t)st.count, sizeof *st.shares, compare_shares);

    *ret = (struct ff_msa_clusters){.n_centre = n_centre};
    ret->first = FF_NEW_ARRAY(int64_t, (size_t)n_centre + 1);
    ret->size = FF_NEW_ARRAY(float, (size_t)n_centre);
    double *size = FF_NEW_ARRAY(double, (size_t)n_centre);
    for (int64_t k = 0; k < st.count; k++) {
        ret->first[st.shares[k].centre + 1]++;
        size[st.shares[k].centre] += st.shares[k].weight;
    }
    place_members(ret);
    for (int64_t k = 0; k < st.count; k++) {
        ret->row[k] = order[n_centre + st.shares[k].row];
        ret->weight[k] = st.shares[k].weight;
    }
    for (int s = 0; s < n_centre; s++)
        ret->size[s] = (float)(size[s] + 1.0);
    free(size);
    free(st.shares);
}

/* ---- profiles ---------------------------------------------------------------------------------------------------- */

static void add_row(const uint8_t *ids, const uint8_t *mask, const float *deletions, int n_res, double weight,
                    double *sum /* [n_res, 24]: 23 tokens and the deletions */)
{
    for (int i = 0; i < n_res; i++) {
        if (mask && !mask[i])
            continue;
        sum[i * (FF_MSA_N_ID + 1) + ids[i]] += weight;
        sum[i * (FF_MSA_N_ID + 1) + FF_MSA_N_ID] += weight * (double)deletions[i];
    }
}

void ff_msa_cluster_summarize(const struct ff_msa_pool *p, const int64_t *order, const uint8_t *centres,
                              const struct ff_msa_clusters *c, float *ret_profile, int64_t stride,
                              float *ret_deletion_mean)
{
    size_t n = (size_t)p->n_res;
    enum { WIDTH = FF_MSA_N_ID + 1 };
#pragma omp parallel
    {
        double *sum = FF_NEW_ARRAY(double, n * WIDTH);
#pragma omp for schedule(dynamic)
        for (int s = 0; s < c->n_centre; s++) {
            memset(sum, 0, n * WIDTH * sizeof *sum);
            size_t at = (size_t)order[s] * n;
            add_row(centres + (size_t)s * n, p->mask ? p->mask + at : NULL, p->deletions + at, p->n_res, 1.0, sum);
            /* The centre's own deletions count where it is masked, too (as published). */
            for (size_t i = 0; p->mask && i < n; i++)
                if (!p->mask[at + i])
                    sum[i * WIDTH + FF_MSA_N_ID] += (double)p->deletions[at + i];
            for (int64_t k = c->first[s]; k < c->first[s + 1]; k++) {
                at = (size_t)c->row[k] * n;
                add_row(p->ids + at, p->mask ? p->mask + at : NULL, p->deletions + at, p->n_res, c->weight[k], sum);
            }
            for (size_t i = 0; i < n; i++) {
                float *profile = ret_profile + (int64_t)((size_t)s * n + i) * stride;
                for (int k = 0; k < FF_MSA_N_ID; k++)
                    profile[k] = (float)sum[i * WIDTH + (size_t)k] / c->size[s];
                ret_deletion_mean[(size_t)s * n + i] = (float)sum[i * WIDTH + FF_MSA_N_ID] / c->size[s];
            }
        }
        free(sum);
    }
}
