/* SPDX-License-Identifier: Apache-2.0
 * residue_features: per-residue arrays and templates.
 */
#include "feature/residue_features.h"

#include <string.h>

#include "bio/residue.h"

void ff_residue_features_make(int n_res, const int32_t *aatype, const int32_t *residue_index, struct ff_arrays *ret)
{
    const struct ff_residue_tables *t = ff_residue_tables();
    int64_t n = n_res;
    memcpy(ff_arrays_add(ret, "aatype", FF_I32, 1, &n)->data, aatype, (size_t)n * sizeof *aatype);
    memcpy(ff_arrays_add(ret, "residue_index", FF_I32, 1, &n)->data, residue_index, (size_t)n * sizeof *residue_index);
    *(int32_t *)ff_arrays_add(ret, "seq_length", FF_I32, 0, NULL)->data = n_res;
    float *seq_mask = ff_arrays_add(ret, "seq_mask", FF_F32, 1, &n)->data;

    const int64_t by14[] = {n, FF_N_ATOM14}, by37[] = {n, FF_N_ATOM37};
    float *exists14 = ff_arrays_add(ret, "atom14_atom_exists", FF_F32, 2, by14)->data;
    int32_t *to37 = ff_arrays_add(ret, "residx_atom14_to_atom37", FF_I32, 2, by14)->data;
    int32_t *to14 = ff_arrays_add(ret, "residx_atom37_to_atom14", FF_I32, 2, by37)->data;
    float *exists37 = ff_arrays_add(ret, "atom37_atom_exists", FF_F32, 2, by37)->data;
    for (int i = 0; i < n_res; i++) {
        int type = aatype[i];
        FF_ASSERT(type >= 0 && type < FF_N_RESTYPE_X);
        seq_mask[i] = 1.0f;
        memcpy(exists14 + i * FF_N_ATOM14, t->atom14_mask[type], sizeof t->atom14_mask[type]);
        memcpy(to37 + i * FF_N_ATOM14, t->atom14_to_atom37[type], sizeof t->atom14_to_atom37[type]);
        memcpy(to14 + i * FF_N_ATOM37, t->atom37_to_atom14[type], sizeof t->atom37_to_atom14[type]);
        memcpy(exists37 + i * FF_N_ATOM37, t->atom37_mask[type], sizeof t->atom37_mask[type]);
    }
}

void ff_residue_features_make_target(int n_res, const int32_t *aatype, const int32_t *breaks, struct ff_arrays *ret)
{
    int64_t first = breaks ? 1 : 0, width = first + FF_N_RESTYPE_X;
    float *feat = ff_arrays_add(ret, "target_feat", FF_F32, 2, (int64_t[]){n_res, width})->data; /* [n_res, width] */
    for (int64_t i = 0; i < n_res; i++) {
        if (breaks)
            feat[i * width] = breaks[i] > 0 ? 1.0f : 0.0f;
        feat[i * width + first + aatype[i]] = 1.0f;
    }
}

void ff_residue_features_add_pseudo_beta(const char *mask_name, struct ff_arrays *ret)
{
    enum { GLYCINE = 7 };
    const struct ff_array *aatype_array = ff_arrays_find(ret, "template_aatype");
    const struct ff_array *position_array = ff_arrays_find(ret, "template_all_atom_positions");
    const struct ff_array *mask_array = ff_arrays_find(ret, mask_name);
    FF_ASSERT(aatype_array != NULL && position_array != NULL && mask_array != NULL);
    const int32_t *aatype = aatype_array->data;        /* [t, n] */
    const float *positions = position_array->data;     /* [t, n, 37, 3] */
    const float *mask = mask_array->data;              /* [t, n, 37] */
    int64_t t = aatype_array->shape[0], n = aatype_array->shape[1];
    float *beta = ff_arrays_add(ret, "template_pseudo_beta", FF_F32, 3, (int64_t[]){t, n, 3})->data;
    float *beta_mask = ff_arrays_add(ret, "template_pseudo_beta_mask", FF_F32, 2, (int64_t[]){t, n})->data;
    for (int64_t i = 0; i < t * n; i++) {
        int64_t at = i * FF_N_ATOM37 + (aatype[i] == GLYCINE ? FF_ATOM_CA : FF_ATOM_CB);
        memcpy(beta + i * 3, positions + at * 3, 3 * sizeof *beta);
        beta_mask[i] = mask[at];
    }
}

/* The first t of raw's entries along the first axis; the others stay zero. Absent arrays give zeros. */
static void copy_first(const struct ff_arrays *raw, const char *name, int64_t t, int64_t per_template, float *ret)
{
    const struct ff_array *a = ff_arrays_find(raw, name);
    if (a != NULL && t > 0)
        memcpy(ret, a->data, (size_t)(t * per_template) * sizeof *ret);
}

int ff_residue_features_make_templates(const struct ff_arrays *raw, int n_res, int max_templates, int pad,
                                       struct ff_arrays *ret)
{
    const struct ff_array *one_hot = ff_arrays_find(raw, "template_aatype"); /* [T, n, 22] in HHblits order */
    int64_t found = one_hot ? one_hot->shape[0] : 0, n = n_res;
    int64_t t = found < max_templates ? found : max_templates, rows = pad ? pad : t;
    FF_ASSERT(rows >= t);
    int32_t *aatype = ff_arrays_add(ret, "template_aatype", FF_I32, 2, (int64_t[]){rows, n})->data;
    for (int64_t i = 0; i < t * n; i++) {
        const float *v = (const float *)one_hot->data + i * (FF_RESTYPE_GAP + 1);
        int best = 0;
        for (int k = 1; k <= FF_RESTYPE_GAP; k++)
            if (v[k] > v[best])
                best = k;
        aatype[i] = ff_residue_from_hhblits[best];
    }
    float *positions = ff_arrays_add(ret, "template_all_atom_positions", FF_F32, 4,
                                     (int64_t[]){rows, n, FF_N_ATOM37, 3})->data;
    copy_first(raw, "template_all_atom_positions", t, n * FF_N_ATOM37 * 3, positions);
    float *masks = ff_arrays_add(ret, "template_all_atom_masks", FF_F32, 3, (int64_t[]){rows, n, FF_N_ATOM37})->data;
    copy_first(raw, "template_all_atom_masks", t, n * FF_N_ATOM37, masks);
    float *sum_probs = ff_arrays_add(ret, "template_sum_probs", FF_F32, 2, (int64_t[]){rows, 1})->data;
    copy_first(raw, "template_sum_probs", t, 1, sum_probs);
    float *mask = ff_arrays_add(ret, "template_mask", FF_F32, 1, &rows)->data;
    for (int64_t i = 0; i < t; i++)
        mask[i] = 1.0f;
    ff_residue_features_add_pseudo_beta("template_all_atom_masks", ret);
    return (int)t;
}
