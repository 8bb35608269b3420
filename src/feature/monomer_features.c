/* SPDX-License-Identifier: Apache-2.0
 * monomer_features: the published processing of one chain.
 */
#include "feature/monomer_features.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/residue.h"
#include "feature/residue_features.h"

static void fill_pool(const struct ff_arrays *raw, struct ff_msa_pool *pool)
{
    const struct ff_array *msa_array = ff_arrays_find(raw, "msa");
    const int32_t *msa = msa_array->data;                                            /* [m, n] HHblits numbers */
    const int32_t *deletions = ff_arrays_find(raw, "deletion_matrix_int")->data;     /* [m, n] */
    ff_msa_pool_alloc(pool, (int)msa_array->shape[0], (int)msa_array->shape[1], false);
    for (int64_t i = 0; i < ff_array_count(msa_array); i++) {
        pool->ids[i] = (uint8_t)ff_residue_from_hhblits[msa[i]];
        pool->deletions[i] = (float)deletions[i];
    }
    ff_msa_pool_set_profile(pool);
}

static void make_fixed(const struct ff_arrays *raw, int n_res, struct ff_arrays *ret)
{
    const int32_t *one_hot = ff_arrays_find(raw, "aatype")->data;                    /* [n, 21] */
    const struct ff_array *breaks_array = ff_arrays_find(raw, "between_segment_residues");
    int32_t *aatype = FF_NEW_ARRAY(int32_t, (size_t)n_res), *breaks = FF_NEW_ARRAY(int32_t, (size_t)n_res);
    for (int i = 0; i < n_res; i++)
        while (!one_hot[i * FF_N_RESTYPE_X + aatype[i]])
            aatype[i]++;
    if (breaks_array)
        memcpy(breaks, breaks_array->data, (size_t)n_res * sizeof *breaks);
    ff_residue_features_make(n_res, aatype, ff_arrays_find(raw, "residue_index")->data, ret);
    ff_residue_features_make_target(n_res, aatype, breaks, ret);
    ff_arrays_add(ret, "is_distillation", FF_F32, 0, NULL);
    free(aatype);
    free(breaks);
}

ff_status ff_monomer_features_init(const struct ff_arrays *raw, const struct ff_feature_config *config,
                                   bool fixed_size, struct ff_monomer_features *ret)
{
    *ret = (struct ff_monomer_features){.config = *config};
    int max_centre = config->max_clusters - (config->reduce_clusters_by_max_templates ? config->max_templates : 0);
    if (max_centre < 1)
        return ff_fail(FF_EUSAGE,
                       "msa.max_clusters is %d, which leaves no cluster for the query beside %d template rows; set it "
                       "to %d or more", config->max_clusters, config->max_clusters - max_centre,
                       config->max_clusters - max_centre + 1);
    if (config->sampling == FF_SAMPLING_JAX)
        return ff_fail(FF_EUSAGE,
                       "msa.sampling: jax is the published generator for complexes; single chains have random and "
                       "ordered");
    fill_pool(raw, &ret->pool);
    make_fixed(raw, ret->pool.n_res, &ret->fixed);
    ret->n_centre = ret->pool.n_row < max_centre ? ret->pool.n_row : max_centre;
    int others = ret->pool.n_row - ret->n_centre;
    ret->n_real_extra = others < config->max_extra ? others : config->max_extra;
    ret->n_seq = fixed_size ? max_centre : ret->n_centre;
    ret->n_extra = fixed_size ? config->max_extra : ret->n_real_extra;
    if (config->max_templates > 0) {
        int pad = fixed_size ? config->max_templates : 0;
        int found = ff_residue_features_make_templates(raw, ret->pool.n_res, config->max_templates, pad, &ret->fixed);
        ret->n_template = pad ? pad : found;
    }
    return FF_OK;
}

void ff_monomer_features_free(struct ff_monomer_features *f)
{
    ff_msa_pool_free(&f->pool);
    ff_arrays_free(&f->fixed);
}

void ff_monomer_features_make(const struct ff_monomer_features *f, const struct ff_msa_draw *draw,
                              struct ff_arrays *ret)
{
    for (int i = 0; i < f->fixed.count; i++) {
        const struct ff_array *a = &f->fixed.items[i];
        struct ff_array *copy = ff_arrays_add(ret, a->name, a->dtype, a->ndim, a->shape);
        if (ff_array_bytes(a) > 0)
            memcpy(copy->data, a->data, ff_array_bytes(a));
    }
    struct ff_msa_features_options o = {
        .config = &f->config,
        .draw = *draw,
        .n_centre = f->n_centre,
        .n_extra = f->n_real_extra,
        .pad_centre = f->n_seq,
        .pad_extra = f->n_extra,
    };
    ff_msa_features_make(&f->pool, &o, ret);
}
