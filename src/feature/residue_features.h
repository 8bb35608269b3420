/* SPDX-License-Identifier: Apache-2.0
 * residue_features: what the network reads besides the MSA: per-residue arrays and templates. The same in every pass.
 * Source: AlphaFold model/tf/data_transforms.py (make_seq_mask, make_atom14_masks, make_msa_feat, fix_templates_aatype,
 * make_pseudo_beta, crop_templates).
 */
#ifndef FF_FEATURE_RESIDUE_FEATURES_H
#define FF_FEATURE_RESIDUE_FEATURES_H

#include <stdint.h>

#include "format/array.h"

/* Adds aatype and residue_index [N] int32, seq_length (a scalar), seq_mask [N] of ones, atom14_atom_exists [N, 14],
 * residx_atom14_to_atom37 [N, 14] int32, residx_atom37_to_atom14 [N, 37] int32, atom37_atom_exists [N, 37]. */
void ff_residue_features_make(int n_res, const int32_t *aatype /* [n_res] 0..20 */,
                              const int32_t *residue_index /* [n_res] */, struct ff_arrays *ret);

/* Adds target_feat: [N, 22] with the chain break in front (monomer), [N, 21] when breaks is NULL (multimer). */
void ff_residue_features_make_target(int n_res, const int32_t *aatype, const int32_t *breaks /* [n_res] or NULL */,
                                     struct ff_arrays *ret);

/* Adds template_pseudo_beta [T, N, 3] and template_pseudo_beta_mask [T, N] of the template arrays already in ret:
 * template_aatype [T, N] and, under the names given, positions [T, N, 37, 3] and mask [T, N, 37]. CB, or CA of
 * glycine. */
void ff_residue_features_add_pseudo_beta(const char *mask_name, struct ff_arrays *ret);

/* From raw templates (feature/raw_features.h) to the network's: the first max_templates, residue types as numbers in
 * the network's order, template_mask [T] of ones, pseudo-beta positions. Adds them padded with zeros to pad templates
 * (0: no padding) and returns their number without padding. Raw sets without template arrays have none. */
int ff_residue_features_make_templates(const struct ff_arrays *raw, int n_res, int max_templates, int pad,
                                       struct ff_arrays *ret);

#endif
