/* SPDX-License-Identifier: Apache-2.0
 * msa_features: the MSA arrays of one pass.
 */
#include "feature/msa_features.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "feature/jax_sampling.h"
#include "feature/msa_cluster.h"

/* Channels of msa_feat. */
enum { AT_ID = 0, AT_HAS_DELETION = 23, AT_DELETION = 24, AT_PROFILE = 25, AT_DELETION_MEAN = 48 };

static float has_deletion(float count)
{
    return count < 0 ? 0.0f : count > 1 ? 1.0f : count;
}

static float squash(float count)
{
    return (float)(atan((double)count / 3.0) * (2.0 / M_PI));
}

/* squash() of whole numbers: nearly all counts of single rows are small ones. */
enum { N_SMALL = 256 };
struct squash_table {
    float small[N_SMALL];
};

static void fill_table(struct squash_table *t)
{
    for (int i = 0; i < N_SMALL; i++)
        t->small[i] = squash((float)i);
}

static float squash_count(const struct squash_table *t, float count)
{
    if (count >= 0 && count < N_SMALL && count == (float)(int)count)
        return t->small[(int)count];
    return squash(count);
}

static void *add(struct ff_arrays *ret, const char *name, enum ff_dtype dtype, int64_t rows, int64_t n, int64_t width)
{
    return ff_arrays_add(ret, name, dtype, n == 0 ? 1 : width == 0 ? 2 : 3, (int64_t[]){rows, n, width})->data;
}

static void add_row_masks(struct ff_arrays *ret, const char *name, int64_t rows, int64_t n_real)
{
    float *mask = add(ret, name, FF_F32, rows, 0, 0);
    for (int64_t r = 0; r < n_real; r++)
        mask[r] = 1.0f;
}

/* ---- drawing, by the generator that the configuration names ------------------------------------------------------ */

static void set_order(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, int64_t *ret)
{
    struct ff_jax_key order_key, hide_key;
    if (o->config->sampling != FF_SAMPLING_JAX) {
        ff_msa_pool_order(p, o->config->sampling, &o->draw, ret);
        return;
    }
    ff_jax_sampling_keys(&o->draw, &order_key, &hide_key);
    ff_jax_sampling_order(p, order_key, ret);
}

static void hide(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, const int64_t *order,
                 uint8_t *ret_ids, uint8_t *ret_hidden)
{
    struct ff_jax_key order_key, hide_key;
    if (o->config->sampling != FF_SAMPLING_JAX) {
        double epsilon = o->multimer ? 1e-6 : 1e-10;
        ff_msa_pool_hide(p, o->config, &o->draw, order, o->n_centre, epsilon, ret_ids, ret_hidden);
        return;
    }
    ff_jax_sampling_keys(&o->draw, &order_key, &hide_key);
    ff_jax_sampling_hide(p, o->config, hide_key, order, o->n_centre, ret_ids, ret_hidden);
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static void make_centres(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, const int64_t *order,
                         const struct squash_table *table, struct ff_arrays *ret)
{
    size_t n = (size_t)p->n_res, count = (size_t)o->n_centre * n;
    int64_t rows = o->pad_centre ? o->pad_centre : o->n_centre;
    uint8_t *ids = FF_NEW_ARRAY(uint8_t, count), *hidden = FF_NEW_ARRAY(uint8_t, count); /* [n_centre, n_res] */
    hide(p, o, order, ids, hidden);
    struct ff_msa_clusters clusters;
    (o->multimer ? ff_msa_cluster_shared : ff_msa_cluster_nearest)(p, order, o->n_centre, ids, &clusters);

    float *feat = add(ret, "msa_feat", FF_F32, rows, p->n_res, FF_MSA_FEAT_DIM);
    float *mask = add(ret, "msa_mask", FF_F32, rows, p->n_res, 0);
    float *bert_mask = add(ret, "bert_mask", FF_F32, rows, p->n_res, 0);
    int32_t *true_msa = add(ret, "true_msa", FF_I32, rows, p->n_res, 0);
    float *deletion_mean = FF_NEW_ARRAY(float, count); /* [n_centre, n_res] */
    ff_msa_cluster_summarize(p, order, ids, &clusters, feat + AT_PROFILE, FF_MSA_FEAT_DIM, deletion_mean);
#pragma omp parallel for schedule(static)
    for (int s = 0; s < o->n_centre; s++) {
        size_t to = (size_t)s * n, from = (size_t)order[s] * n;
        for (size_t i = 0; i < n; i++) {
            float *f = feat + (to + i) * FF_MSA_FEAT_DIM, deletions = p->deletions[from + i];
            bool unmasked = p->mask == NULL || p->mask[from + i];
            f[AT_ID + (unmasked ? ids[to + i] : 0)] = 1.0f;
            f[AT_HAS_DELETION] = has_deletion(deletions);
            f[AT_DELETION] = squash_count(table, deletions);
            f[AT_DELETION_MEAN] = squash(deletion_mean[to + i]);
            mask[to + i] = unmasked;
            bert_mask[to + i] = hidden[to + i];
            true_msa[to + i] = p->ids[from + i];
        }
    }
    add_row_masks(ret, "msa_row_mask", rows, o->n_centre);
    ff_msa_clusters_free(&clusters);
    free(deletion_mean);
    free(ids);
    free(hidden);
}

static void make_extra(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, const int64_t *order,
                       const struct squash_table *table, struct ff_arrays *ret)
{
    size_t n = (size_t)p->n_res;
    int64_t rows = o->pad_extra ? o->pad_extra : o->n_extra;
    int32_t *msa = add(ret, "extra_msa", FF_I32, rows, p->n_res, 0);
    float *mask = add(ret, "extra_msa_mask", FF_F32, rows, p->n_res, 0);
    float *has = add(ret, "extra_has_deletion", FF_F32, rows, p->n_res, 0);
    float *value = add(ret, "extra_deletion_value", FF_F32, rows, p->n_res, 0);
#pragma omp parallel for schedule(static)
    for (int e = 0; e < o->n_extra; e++) {
        size_t to = (size_t)e * n, from = (size_t)order[o->n_centre + e] * n;
        for (size_t i = 0; i < n; i++) {
            msa[to + i] = p->ids[from + i];
            mask[to + i] = p->mask == NULL || p->mask[from + i];
            has[to + i] = has_deletion(p->deletions[from + i]);
            value[to + i] = squash_count(table, p->deletions[from + i]);
        }
    }
    add_row_masks(ret, "extra_msa_row_mask", rows, o->n_extra);
}

void ff_msa_features_make(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, struct ff_arrays *ret)
{
    FF_ASSERT(o->n_centre >= 1 && o->n_extra >= 0 && o->n_centre + o->n_extra <= p->n_row);
    FF_ASSERT(!o->pad_centre || o->pad_centre >= o->n_centre);
    FF_ASSERT(!o->pad_extra || o->pad_extra >= o->n_extra);
    struct squash_table table;
    fill_table(&table);
    int64_t *order = FF_NEW_ARRAY(int64_t, (size_t)p->n_row);
    set_order(p, o, order);
    make_centres(p, o, order, &table, ret);
    make_extra(p, o, order, &table, ret);
    free(order);
}
