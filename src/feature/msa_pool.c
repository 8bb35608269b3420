/* SPDX-License-Identifier: Apache-2.0
 * msa_pool: rows of an alignment, and what is drawn from them for one pass.
 */
#include "feature/msa_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/status.h"

void ff_msa_pool_alloc(struct ff_msa_pool *p, int n_row, int n_res, bool with_mask)
{
    size_t count = (size_t)n_row * (size_t)n_res;
    *p = (struct ff_msa_pool){.n_row = n_row, .n_res = n_res};
    p->ids = FF_NEW_ARRAY(uint8_t, count);
    p->deletions = FF_NEW_ARRAY(float, count);
    if (with_mask) {
        p->mask = FF_NEW_ARRAY(uint8_t, count);
        p->bias = FF_NEW_ARRAY(uint8_t, (size_t)n_row);
    }
}

void ff_msa_pool_free(struct ff_msa_pool *p)
{
    free(p->ids);
    free(p->deletions);
    free(p->mask);
    free(p->bias);
    free(p->profile);
    *p = (struct ff_msa_pool){0};
}

void ff_msa_pool_set_profile(struct ff_msa_pool *p)
{
    size_t n = (size_t)p->n_res;
    int32_t *count = FF_NEW_ARRAY(int32_t, n * FF_MSA_MASK); /* [n_res, 22] */
    int32_t *total = FF_NEW_ARRAY(int32_t, n);
    for (size_t r = 0; r < (size_t)p->n_row; r++) {
        const uint8_t *ids = p->ids + r * n, *mask = p->mask ? p->mask + r * n : NULL;
        for (size_t i = 0; i < n; i++) {
            if (mask && !mask[i])
                continue;
            count[i * FF_MSA_MASK + ids[i]]++;
            total[i]++;
        }
    }
    free(p->profile);
    p->profile = FF_NEW_ARRAY(float, n * FF_MSA_MASK);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < FF_MSA_MASK && total[i] > 0; k++)
            p->profile[i * FF_MSA_MASK + k] = (float)count[i * FF_MSA_MASK + k] / (float)total[i];
    free(count);
    free(total);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static void init_stream(struct ff_rng *rng, const struct ff_msa_draw *draw, const char *stream)
{
    uint32_t pass = draw->resample ? (uint32_t)draw->pass : 0;
    ff_rng_init(rng, draw->seed, stream, (uint64_t)pass << 32 | (uint32_t)draw->member);
}

/* 0: comes first, 1: the others, 2: comes last. A row that is both biased and empty counts as one of the others, as the
 * published logits (+1e6 and -1e6) cancel. */
static int row_group(const struct ff_msa_pool *p, int row)
{
    int group = p->bias ? !p->bias[row] : row != 0;
    if (p->mask && memchr(p->mask + (size_t)row * (size_t)p->n_res, 1, (size_t)p->n_res) == NULL)
        group++;
    return group;
}

void ff_msa_pool_order(const struct ff_msa_pool *p, enum ff_msa_sampling sampling, const struct ff_msa_draw *draw,
                       int64_t *ret)
{
    FF_ASSERT(sampling == FF_SAMPLING_RANDOM || sampling == FF_SAMPLING_ORDERED);
    struct ff_rng rng;
    init_stream(&rng, draw, "msa.order");
    uint8_t *group = FF_NEW_ARRAY(uint8_t, (size_t)p->n_row);
    for (int r = 0; r < p->n_row; r++)
        group[r] = (uint8_t)row_group(p, r);
    int64_t count = 0;
    for (int g = 0; g < 3; g++) {
        int64_t first = count;
        for (int r = 0; r < p->n_row; r++)
            if (group[r] == g)
                ret[count++] = r;
        if (sampling == FF_SAMPLING_RANDOM)
            ff_rng_shuffle(&rng, ret + first, count - first);
    }
    free(group);
}

/* One of 23 tokens for a hidden position. profile is the column's [22]. */
static uint8_t draw_token(struct ff_rng *rng, const struct ff_feature_config *c, const float *profile, uint8_t id,
                          double epsilon)
{
    double p[FF_MSA_N_ID], sum = 0;
    for (int k = 0; k < FF_MSA_N_ID; k++) {
        if (k == FF_MSA_MASK)
            p[k] = 1.0 - c->profile_prob - c->same_prob - c->uniform_prob;
        else
            p[k] = (k < 20 ? c->uniform_prob / 20 : 0) + c->profile_prob * profile[k] + (k == id ? c->same_prob : 0);
        p[k] = (p[k] > 0 ? p[k] : 0) + epsilon;
        sum += p[k];
    }
    double u = ff_rng_uniform(rng) * sum;
    int k = 0;
    while (k < FF_MSA_N_ID - 1 && u >= p[k])
        u -= p[k++];
    return (uint8_t)k;
}

void ff_msa_pool_hide(const struct ff_msa_pool *p, const struct ff_feature_config *c, const struct ff_msa_draw *draw,
                      const int64_t *order, int n_centre, double epsilon, uint8_t *ret_ids, uint8_t *ret_hidden)
{
    FF_ASSERT(p->profile != NULL && n_centre <= p->n_row);
    size_t n = (size_t)p->n_res;
    bool hide = c->sampling != FF_SAMPLING_ORDERED && c->mask_fraction > 0;
    struct ff_rng rng;
    init_stream(&rng, draw, "msa.hide");
    memset(ret_hidden, 0, (size_t)n_centre * n);
    for (size_t s = 0; s < (size_t)n_centre; s++) {
        const uint8_t *mask = p->mask ? p->mask + (size_t)order[s] * n : NULL;
        uint8_t *ids = ret_ids + s * n;
        memcpy(ids, p->ids + (size_t)order[s] * n, n);
        for (size_t i = 0; hide && i < n; i++) {
            if (ff_rng_uniform(&rng) >= (double)c->mask_fraction || (mask && !mask[i]))
                continue;
            ids[i] = draw_token(&rng, c, p->profile + i * FF_MSA_MASK, ids[i], epsilon);
            ret_hidden[s * n + i] = 1;
        }
    }
}
