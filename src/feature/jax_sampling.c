/* SPDX-License-Identifier: Apache-2.0
 * jax_sampling: the published multimer program's own draws.
 */
#include "feature/jax_sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

void ff_jax_sampling_keys(const struct ff_msa_draw *draw, struct ff_jax_key *ret_order, struct ff_jax_key *ret_hide)
{
    struct ff_jax_key key = ff_jax_random_key(draw->seed), parts[3];
    ff_jax_random_split(key, 2, parts);
    key = parts[1];
    for (int pass = 0; draw->resample && pass <= draw->pass; pass++) {
        if (pass == draw->pass && draw->last_pass)
            break;
        ff_jax_random_split(key, 2, parts);
        key = parts[pass == draw->pass];             /* the first goes on to the next pass */
    }
    for (int member = 0; member <= draw->member; member++) {
        ff_jax_random_split(key, 2, parts);
        key = parts[member == draw->member];
    }
    ff_jax_random_split(key, 3, parts);
    *ret_order = parts[1];
    *ret_hide = parts[2];
}

float ff_jax_sampling_gumbel(struct ff_jax_key key)
{
    const float epsilon = 1e-6f;
    return -logf(-logf(ff_jax_random_uniform(key) + epsilon) + epsilon);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

struct noisy_row {
    float logit;
    int row;
};

/* The published sort is ascending and read backwards. */
static int compare_rows(const void *x, const void *y)
{
    const struct noisy_row *a = x, *b = y;
    if (a->logit != b->logit)
        return a->logit > b->logit ? -1 : 1;
    return b->row - a->row;
}

void ff_jax_sampling_order(const struct ff_msa_pool *p, struct ff_jax_key key, int64_t *ret)
{
    struct noisy_row *rows = FF_NEW_ARRAY(struct noisy_row, (size_t)p->n_row);
    for (int r = 0; r < p->n_row; r++) {
        bool biased = p->bias ? p->bias[r] : r == 0;
        bool empty = p->mask && memchr(p->mask + (size_t)r * (size_t)p->n_res, 1, (size_t)p->n_res) == NULL;
        /* In this order in float32: noise beside 1e6 keeps only a few bits. */
        float logit = (empty ? -1e6f : 0.0f) + (biased ? 1e6f : 0.0f);
        rows[r] = (struct noisy_row){logit + ff_jax_sampling_gumbel(ff_jax_random_fold_in(key, (uint32_t)r)), r};
    }
    qsort(rows, (size_t)p->n_row, sizeof *rows, compare_rows);
    for (int r = 0; r < p->n_row; r++)
        ret[r] = rows[r].row;
    free(rows);
}

/* ---- hiding ------------------------------------------------------------------------------------------------------ */

/* The token with the largest noisy logit. key is the position's. */
static uint8_t draw_token(struct ff_jax_key key, const struct ff_feature_config *c, const float *profile, uint8_t id)
{
    float best_value = -INFINITY;
    uint8_t best = 0;
    for (uint32_t k = 0; k < FF_MSA_N_ID; k++) {
        float p;
        if (k == FF_MSA_MASK)
            p = (float)(1.0 - (double)c->profile_prob - (double)c->same_prob - (double)c->uniform_prob);
        else
            p = c->uniform_prob * (k < 20 ? 0.05f : 0.0f) + c->profile_prob * profile[k] +
                c->same_prob * (k == id ? 1.0f : 0.0f);
        float value = logf(p + 1e-6f) + ff_jax_sampling_gumbel(ff_jax_random_fold_in(key, k));
        if (value > best_value) {
            best_value = value;
            best = (uint8_t)k;
        }
    }
    return best;
}

void ff_jax_sampling_hide(const struct ff_msa_pool *p, const struct ff_feature_config *c, struct ff_jax_key key,
                          const int64_t *order, int n_centre, uint8_t *ret_ids, uint8_t *ret_hidden)
{
    FF_ASSERT(p->profile != NULL && n_centre <= p->n_row);
    size_t n = (size_t)p->n_res;
    struct ff_jax_key keys[3];
    ff_jax_random_split(key, 3, keys);
#pragma omp parallel for schedule(dynamic)
    for (int s = 0; s < n_centre; s++) {
        struct ff_jax_key place_row = ff_jax_random_fold_in(keys[1], (uint32_t)s);
        struct ff_jax_key token_row = ff_jax_random_fold_in(keys[2], (uint32_t)s);
        const uint8_t *mask = p->mask ? p->mask + (size_t)order[s] * n : NULL;
        uint8_t *ids = ret_ids + (size_t)s * n, *hidden = ret_hidden + (size_t)s * n;
        memcpy(ids, p->ids + (size_t)order[s] * n, n);
        for (size_t i = 0; i < n; i++) {
            float u = ff_jax_random_uniform(ff_jax_random_fold_in(place_row, (uint32_t)i));
            hidden[i] = u < c->mask_fraction && (mask == NULL || mask[i]);
            if (hidden[i])
                ids[i] = draw_token(ff_jax_random_fold_in(token_row, (uint32_t)i), c, p->profile + i * FF_MSA_MASK,
                                    ids[i]);
        }
    }
}
