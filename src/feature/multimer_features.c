/* SPDX-License-Identifier: Apache-2.0
 * multimer_features: sampling, hiding and clusters of a complex, pass by pass.
 */
#include "feature/multimer_features.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "feature/feature_check.h"
#include "feature/residue_features.h"

static const struct ff_feature_spec complex_table[] = {
    {"aatype", FF_I32, "N", 0, 20, FF_FEATURE_REQUIRED},
    {"residue_index", FF_I32, "N", INT32_MIN, INT32_MAX, FF_FEATURE_REQUIRED},
    {"asym_id", FF_I32, "N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"entity_id", FF_I32, "N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"sym_id", FF_I32, "N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"seq_mask", FF_F32, "N", 0, 1, FF_FEATURE_REQUIRED},
    {"msa", FF_I32, "M N", 0, 21, FF_FEATURE_REQUIRED},
    {"deletion_matrix", FF_F32, "M N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"msa_mask", FF_I32, "M N", 0, 1, FF_FEATURE_REQUIRED},
    {"cluster_bias_mask", FF_I32, "M", 0, 1, FF_FEATURE_OPTIONAL},
};

static const struct ff_feature_spec template_table[] = {
    {"template_aatype", FF_I32, "T N", 0, 21, FF_FEATURE_REQUIRED},
    {"template_all_atom_positions", FF_F32, "T N 37 3", 1, 0, FF_FEATURE_REQUIRED},
    {"template_all_atom_mask", FF_F32, "T N 37", 0, 1, FF_FEATURE_REQUIRED},
};

static ff_status check(const char *name, struct ff_arrays *raw, struct ff_feature_sizes *sizes)
{
    ff_feature_sizes_init(sizes);
    FF_TRY(ff_feature_check(name, raw, complex_table, sizeof complex_table / sizeof *complex_table, sizes));
    if (ff_arrays_find(raw, "template_aatype") || ff_arrays_find(raw, "template_all_atom_positions"))
        FF_TRY(ff_feature_check(name, raw, template_table, sizeof template_table / sizeof *template_table, sizes));
    int64_t n = ff_feature_size(sizes, 'N'), m = ff_feature_size(sizes, 'M');
    if (n < 1 || m < 1 || n > INT_MAX || m > INT_MAX)
        return ff_fail(FF_EINPUT,
                       "%s: %" PRId64 " residues and %" PRId64 " alignment rows; at least one of each is needed", name,
                       n, m);
    return FF_OK;
}

static void fill_pool(const struct ff_arrays *raw, int n_row, int n_res, struct ff_msa_pool *pool)
{
    const int32_t *msa = ff_arrays_find(raw, "msa")->data, *mask = ff_arrays_find(raw, "msa_mask")->data; /* [m, n] */
    const struct ff_array *bias = ff_arrays_find(raw, "cluster_bias_mask");                              /* [m] */
    const float *deletions = ff_arrays_find(raw, "deletion_matrix")->data;                               /* [m, n] */
    ff_msa_pool_alloc(pool, n_row, n_res, true);
    for (int64_t i = 0; i < (int64_t)n_row * n_res; i++) {
        pool->ids[i] = (uint8_t)msa[i];
        pool->mask[i] = (uint8_t)mask[i];
        pool->deletions[i] = deletions[i];
    }
    for (int r = 0; r < n_row; r++)
        pool->bias[r] = bias ? (uint8_t)((const int32_t *)bias->data)[r] : r == 0;
    ff_msa_pool_set_profile(pool);
}

static void copy_array(const struct ff_array *a, struct ff_arrays *ret)
{
    struct ff_array *copy = ff_arrays_add(ret, a->name, a->dtype, a->ndim, a->shape);
    if (ff_array_bytes(a) > 0)
        memcpy(copy->data, a->data, ff_array_bytes(a));
}

/* The first count templates of an array. */
static void copy_templates(const struct ff_arrays *raw, const char *name, int64_t count, struct ff_arrays *ret)
{
    struct ff_array first = *ff_arrays_find(raw, name);
    first.shape[0] = count;
    copy_array(&first, ret);
}

static void make_fixed(const struct ff_arrays *raw, struct ff_multimer_features *f)
{
    int n = f->pool.n_res;
    const int32_t *aatype = ff_arrays_find(raw, "aatype")->data;
    ff_residue_features_make(n, aatype, ff_arrays_find(raw, "residue_index")->data, &f->fixed);
    ff_residue_features_make_target(n, aatype, NULL, &f->fixed);
    const char *const same[] = {"seq_mask", "asym_id", "entity_id", "sym_id"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        copy_array(ff_arrays_find(raw, same[i]), &f->fixed);
    const float *seq_mask = ff_arrays_find(raw, "seq_mask")->data;
    for (int i = 0; i < n; i++)
        f->has_masked_residues = f->has_masked_residues || seq_mask[i] != 1.0f;
    if (f->n_template == 0)
        return;
    copy_templates(raw, "template_aatype", f->n_template, &f->fixed);
    copy_templates(raw, "template_all_atom_positions", f->n_template, &f->fixed);
    copy_templates(raw, "template_all_atom_mask", f->n_template, &f->fixed);
    ff_residue_features_add_pseudo_beta("template_all_atom_mask", &f->fixed);
}

static int count_live_rows(const struct ff_msa_pool *p)
{
    int count = 0;
    for (int r = 0; r < p->n_row; r++)
        count += memchr(p->mask + (size_t)r * (size_t)p->n_res, 1, (size_t)p->n_res) != NULL;
    return count;
}

ff_status ff_multimer_features_init(const char *name, struct ff_arrays *raw, const struct ff_feature_config *config,
                                    bool keep_masked_rows, struct ff_multimer_features *ret)
{
    *ret = (struct ff_multimer_features){.config = *config};
    if (config->max_clusters < 1)
        return ff_fail(FF_EUSAGE, "msa.max_clusters is %d, which leaves no cluster for the query; set it to 1 or more",
                       config->max_clusters);
    struct ff_feature_sizes sizes;
    FF_TRY(check(name, raw, &sizes));
    fill_pool(raw, (int)ff_feature_size(&sizes, 'M'), (int)ff_feature_size(&sizes, 'N'), &ret->pool);
    int rows = keep_masked_rows ? ret->pool.n_row : count_live_rows(&ret->pool);
    ret->n_centre = rows < config->max_clusters ? rows : config->max_clusters;
    if (ret->n_centre < 1) {
        ff_multimer_features_free(ret);
        return ff_fail(FF_EINPUT, "%s: array msa_mask is 0 everywhere; the first row must be the query", name);
    }
    ret->n_extra = rows - ret->n_centre < config->max_extra ? rows - ret->n_centre : config->max_extra;
    int64_t found = ff_feature_size(&sizes, 'T');
    ret->n_template = found < 0 ? 0 : found < config->max_templates ? (int)found : config->max_templates;
    make_fixed(raw, ret);
    return FF_OK;
}

void ff_multimer_features_free(struct ff_multimer_features *f)
{
    ff_msa_pool_free(&f->pool);
    ff_arrays_free(&f->fixed);
}

void ff_multimer_features_make(const struct ff_multimer_features *f, const struct ff_msa_draw *draw,
                               struct ff_arrays *ret)
{
    for (int i = 0; i < f->fixed.count; i++)
        copy_array(&f->fixed.items[i], ret);
    struct ff_msa_features_options o = {
        .config = &f->config,
        .draw = *draw,
        .multimer = true,
        .n_centre = f->n_centre,
        .n_extra = f->n_extra,
    };
    ff_msa_features_make(&f->pool, &o, ret);
}
