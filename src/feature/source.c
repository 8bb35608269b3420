/* SPDX-License-Identifier: Apache-2.0
 * source: processed features, made from raw ones or read from a file, one set per pass and ensemble member.
 */
#include "feature/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "feature/feature_check.h"
#include "feature/monomer_features.h"
#include "feature/multimer_features.h"
#include "feature/raw_features.h"

/* ---- one chain, from raw features -------------------------------------------------------------------------------- */

struct monomer_source {
    struct ff_source base;
    struct ff_source_options options;
    struct ff_monomer_features features;
};

static ff_status monomer_next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct monomer_source *s = self->impl;
    struct ff_msa_draw draw = {.seed = s->options.seed, .pass = pass, .member = member,
                               .resample = s->options.resample};
    *ret = (struct ff_arrays){0};
    ff_monomer_features_make(&s->features, &draw, ret);
    return FF_OK;
}

static void monomer_destroy(struct ff_source *self)
{
    struct monomer_source *s = self->impl;
    ff_monomer_features_free(&s->features);
    free(s);
}

ff_status ff_source_from_raw(const char *name, struct ff_arrays *raw, const struct ff_source_options *options,
                             struct ff_source **ret)
{
    *ret = NULL;
    struct monomer_source *s = FF_NEW(struct monomer_source);
    ff_status st;
    FF_TRY_GOTO(st, ff_raw_features_check(name, raw), cleanup);
    FF_TRY_GOTO(st, ff_monomer_features_init(raw, &options->features, options->fixed_size, &s->features), cleanup);
    s->options = *options;
    s->base = (struct ff_source){
        .shape = {.n_res = s->features.pool.n_res,
                  .n_seq = s->features.n_seq,
                  .n_extra = s->features.n_extra,
                  .n_template = s->features.n_template},
        .next = monomer_next,
        .destroy = monomer_destroy,
        .impl = s,
    };
    *ret = &s->base;
    s = NULL;
cleanup:
    if (s != NULL)
        ff_monomer_features_free(&s->features);
    free(s);
    ff_arrays_free(raw);
    return st;
}

/* ---- a complex --------------------------------------------------------------------------------------------------- */

struct multimer_source {
    struct ff_source base;
    struct ff_source_options options;
    struct ff_multimer_features features;
};

static ff_status multimer_next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct multimer_source *s = self->impl;
    struct ff_msa_draw draw = {.seed = s->options.seed, .pass = pass, .member = member, .last_pass = self->last_pass,
                               .resample = s->options.resample};
    *ret = (struct ff_arrays){0};
    ff_multimer_features_make(&s->features, &draw, ret);
    return FF_OK;
}

static void multimer_destroy(struct ff_source *self)
{
    struct multimer_source *s = self->impl;
    ff_multimer_features_free(&s->features);
    free(s);
}

ff_status ff_source_from_complex(const char *name, struct ff_arrays *raw, const struct ff_source_options *options,
                                 struct ff_source **ret)
{
    *ret = NULL;
    struct multimer_source *s = FF_NEW(struct multimer_source);
    ff_status st = ff_multimer_features_init(name, raw, &options->features, options->fixed_size, &s->features);
    ff_arrays_free(raw);
    if (st != FF_OK) {
        free(s);
        return st;
    }
    s->options = *options;
    s->base = (struct ff_source){
        .shape = {.n_res = s->features.pool.n_res,
                  .n_seq = s->features.n_centre,
                  .n_extra = s->features.n_extra,
                  .n_template = s->features.n_template,
                  .has_masked_residues = s->features.has_masked_residues},
        .next = multimer_next,
        .destroy = multimer_destroy,
        .impl = s,
    };
    *ret = &s->base;
    return FF_OK;
}

/* ---- processed features ------------------------------------------------------------------------------------------ */

/* R: (pass, member), N residues, S cluster rows, E extra rows, T templates. */
static const struct ff_feature_spec processed_table[] = {
    {"aatype", FF_I32, "R N", 0, 20, FF_FEATURE_REQUIRED},
    {"residue_index", FF_I32, "R N", INT32_MIN, INT32_MAX, FF_FEATURE_REQUIRED},
    {"seq_length", FF_I32, "R", 1, INT32_MAX, FF_FEATURE_OPTIONAL},
    {"seq_mask", FF_F32, "R N", 0, 1, FF_FEATURE_REQUIRED},
    {"target_feat", FF_F32, "R N 22", 1, 0, FF_FEATURE_REQUIRED},
    {"atom14_atom_exists", FF_F32, "R N 14", 0, 1, FF_FEATURE_REQUIRED},
    {"residx_atom14_to_atom37", FF_I32, "R N 14", 0, 36, FF_FEATURE_REQUIRED},
    {"residx_atom37_to_atom14", FF_I32, "R N 37", 0, 13, FF_FEATURE_REQUIRED},
    {"atom37_atom_exists", FF_F32, "R N 37", 0, 1, FF_FEATURE_REQUIRED},
    {"is_distillation", FF_F32, "R", 0, 1, FF_FEATURE_OPTIONAL},
    {"msa_feat", FF_F32, "R S N 49", 1, 0, FF_FEATURE_REQUIRED},
    {"msa_mask", FF_F32, "R S N", 0, 1, FF_FEATURE_REQUIRED},
    {"msa_row_mask", FF_F32, "R S", 0, 1, FF_FEATURE_OPTIONAL},
    {"bert_mask", FF_F32, "R S N", 0, 1, FF_FEATURE_OPTIONAL},
    {"true_msa", FF_I32, "R S N", 0, 22, FF_FEATURE_OPTIONAL},
    {"extra_msa", FF_I32, "R E N", 0, 22, FF_FEATURE_REQUIRED},
    {"extra_msa_mask", FF_F32, "R E N", 0, 1, FF_FEATURE_REQUIRED},
    {"extra_has_deletion", FF_F32, "R E N", 0, 1, FF_FEATURE_REQUIRED},
    {"extra_deletion_value", FF_F32, "R E N", 1, 0, FF_FEATURE_REQUIRED},
    {"extra_msa_row_mask", FF_F32, "R E", 0, 1, FF_FEATURE_OPTIONAL},
};

static const struct ff_feature_spec processed_template_table[] = {
    {"template_aatype", FF_I32, "R T N", 0, 21, FF_FEATURE_REQUIRED},
    {"template_all_atom_positions", FF_F32, "R T N 37 3", 1, 0, FF_FEATURE_REQUIRED},
    {"template_all_atom_masks", FF_F32, "R T N 37", 0, 1, FF_FEATURE_REQUIRED},
    {"template_mask", FF_F32, "R T", 0, 1, FF_FEATURE_REQUIRED},
    {"template_pseudo_beta", FF_F32, "R T N 3", 1, 0, FF_FEATURE_REQUIRED},
    {"template_pseudo_beta_mask", FF_F32, "R T N", 0, 1, FF_FEATURE_REQUIRED},
    {"template_sum_probs", FF_F32, "R T 1", 1, 0, FF_FEATURE_OPTIONAL},
};

enum {
    N_PROCESSED = sizeof processed_table / sizeof *processed_table,
    N_PROCESSED_TEMPLATE = sizeof processed_template_table / sizeof *processed_template_table,
};

struct processed_source {
    struct ff_source base;
    struct ff_arrays arrays;     /* with the leading axis */
    int n_set, num_ensemble;
    bool one_for_all;            /* the same set in every pass */
};

static ff_status processed_next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct processed_source *s = self->impl;
    int64_t set = s->one_for_all ? member : (int64_t)pass * s->num_ensemble + member;
    if (set >= s->n_set || member >= s->num_ensemble)
        return ff_fail(FF_EUSAGE,
                       "pass %d, ensemble member %d was asked for, but the features hold %d sets for %d members each; "
                       "lower the number of recycles or of ensemble members", pass + 1, member + 1, s->n_set,
                       s->num_ensemble);
    *ret = (struct ff_arrays){0};
    for (int i = 0; i < s->arrays.count; i++) {
        const struct ff_array *a = &s->arrays.items[i];
        struct ff_array *slice = ff_arrays_add(ret, a->name, a->dtype, a->ndim - 1, a->shape + 1);
        size_t bytes = ff_array_bytes(slice);
        if (bytes > 0)
            memcpy(slice->data, (const char *)a->data + (size_t)set * bytes, bytes);
    }
    return FF_OK;
}

static void processed_destroy(struct ff_source *self)
{
    struct processed_source *s = self->impl;
    ff_arrays_free(&s->arrays);
    free(s);
}

/* Moves the arrays that the table names from one set to another. A single set without the leading axis gets one. */
static void take(struct ff_arrays *from, const struct ff_feature_spec *table, int n, bool add_axis,
                 struct ff_arrays *to)
{
    for (int i = 0; i < n; i++) {
        struct ff_array *a = ff_arrays_find(from, table[i].name);
        if (a == NULL)
            continue;
        FF_GROW(to->items, to->count, to->capacity);
        struct ff_array *moved = &to->items[to->count++];
        *moved = *a;
        *a = (struct ff_array){.name = ff_xstrdup("")};
        if (add_axis && moved->ndim < FF_ARRAY_MAX_DIM) {
            memmove(moved->shape + 1, moved->shape, (size_t)moved->ndim * sizeof *moved->shape);
            moved->shape[0] = 1;
            moved->ndim++;
        }
    }
}

static ff_status check_processed(const char *name, struct ff_arrays *arrays, struct ff_feature_sizes *sizes)
{
    ff_feature_sizes_init(sizes);
    FF_TRY(ff_feature_check(name, arrays, processed_table, N_PROCESSED, sizes));
    if (ff_arrays_find(arrays, "template_aatype") || ff_arrays_find(arrays, "template_all_atom_positions"))
        FF_TRY(ff_feature_check(name, arrays, processed_template_table, N_PROCESSED_TEMPLATE, sizes));
    int64_t n = ff_feature_size(sizes, 'N'), s = ff_feature_size(sizes, 'S'), r = ff_feature_size(sizes, 'R');
    if (n < 1 || s < 1 || r < 1)
        return ff_fail(FF_EINPUT,
                       "%s: %" PRId64 " sets of %" PRId64 " cluster rows and %" PRId64 " residues; at least one of "
                       "each is needed", name, r, s, n);
    return FF_OK;
}

ff_status ff_source_from_processed(const char *name, struct ff_arrays *processed,
                                   const struct ff_source_options *options, struct ff_source **ret)
{
    *ret = NULL;
    struct processed_source *s = FF_NEW(struct processed_source);
    const struct ff_array *aatype = ff_arrays_find(processed, "aatype");
    bool add_axis = aatype != NULL && aatype->ndim == 1;
    take(processed, processed_table, N_PROCESSED, add_axis, &s->arrays);
    take(processed, processed_template_table, N_PROCESSED_TEMPLATE, add_axis, &s->arrays);
    ff_arrays_free(processed);

    struct ff_feature_sizes sizes;
    ff_status st;
    FF_TRY_GOTO(st, check_processed(name, &s->arrays, &sizes), cleanup);
    s->n_set = (int)ff_feature_size(&sizes, 'R');
    s->num_ensemble = options->num_ensemble > 0 ? options->num_ensemble : 1;
    s->one_for_all = !options->resample && s->n_set == s->num_ensemble;
    if (s->n_set % s->num_ensemble != 0) {
        st = ff_fail(FF_EINPUT, "%s: the leading axis has %d sets, which is not a multiple of the %d ensemble members",
                     name, s->n_set, s->num_ensemble);
        goto cleanup;
    }
    int64_t n_template = ff_feature_size(&sizes, 'T');
    const struct ff_array *seq_mask = ff_arrays_find(&s->arrays, "seq_mask");
    bool masked = false;
    for (int64_t i = 0; i < ff_array_count(seq_mask); i++)
        masked = masked || ((const float *)seq_mask->data)[i] != 1.0f;
    s->base = (struct ff_source){
        .shape = {.n_res = (int)ff_feature_size(&sizes, 'N'),
                  .n_seq = (int)ff_feature_size(&sizes, 'S'),
                  .n_extra = (int)ff_feature_size(&sizes, 'E'),
                  .n_template = n_template < 0 ? 0 : (int)n_template,
                  .has_masked_residues = masked,
                  .n_pass = s->one_for_all ? 0 : s->n_set / s->num_ensemble},
        .next = processed_next,
        .destroy = processed_destroy,
        .impl = s,
    };
    *ret = &s->base;
    return FF_OK;
cleanup:
    ff_arrays_free(&s->arrays);
    free(s);
    return st;
}
