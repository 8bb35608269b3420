/* SPDX-License-Identifier: Apache-2.0
 * multimer_features: what the multimer network makes of a complex's features at the start of every pass: sampling,
 * hiding, clusters. The published program does this inside the network.
 * Source: AlphaFold model/modules_multimer.py (EmbeddingsAndEvoformer).
 */
#ifndef FF_FEATURE_MULTIMER_FEATURES_H
#define FF_FEATURE_MULTIMER_FEATURES_H

#include "feature/msa_features.h"
#include "feature/msa_pool.h"

struct ff_multimer_features {
    struct ff_feature_config config;
    struct ff_msa_pool pool;
    struct ff_arrays fixed;          /* arrays that are the same in every pass */
    int n_centre, n_extra, n_template;
    bool has_masked_residues;
};

/* Checks raw (feature/assembly.h; converts numbers in place), which is not needed afterwards. Rows that are masked as a
 * whole come last and are left out unless keep_masked_rows is set: they change nothing (feature/msa_features.h).
 * Templates stay as they are, empty ones too, as the network averages over all of them. name is for messages.
 * FF_EINPUT, FF_EUSAGE. */
ff_status ff_multimer_features_init(const char *name, struct ff_arrays *raw, const struct ff_feature_config *config,
                                    bool keep_masked_rows, struct ff_multimer_features *ret) FF_MUST_USE;
void ff_multimer_features_free(struct ff_multimer_features *f);

/* Adds every array of one pass: those of feature/msa_features.h and feature/residue_features.h, asym_id, entity_id,
 * sym_id [N] int32, template_aatype [T, N] int32, template_all_atom_positions [T, N, 37, 3], template_all_atom_mask
 * [T, N, 37], template_pseudo_beta [T, N, 3], template_pseudo_beta_mask [T, N]. */
void ff_multimer_features_make(const struct ff_multimer_features *f, const struct ff_msa_draw *draw,
                               struct ff_arrays *ret);

#endif
