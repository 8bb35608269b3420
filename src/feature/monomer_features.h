/* SPDX-License-Identifier: Apache-2.0
 * monomer_features: the published processing of one chain, from raw features to what the network reads.
 * Source: AlphaFold model/tf/input_pipeline.py, model/features.py.
 */
#ifndef FF_FEATURE_MONOMER_FEATURES_H
#define FF_FEATURE_MONOMER_FEATURES_H

#include "feature/msa_features.h"
#include "feature/msa_pool.h"

struct ff_monomer_features {
    struct ff_feature_config config;
    struct ff_msa_pool pool;
    struct ff_arrays fixed;          /* arrays that are the same in every pass */
    int n_seq, n_extra, n_template;  /* rows that a pass has, padding included */
    int n_centre, n_real_extra;      /* without padding */
};

/* raw must have passed ff_raw_features_check; it is not needed afterwards. fixed_size: pad as published.
 * FF_EUSAGE: no room for a cluster, or a sampling that single chains do not have. */
ff_status ff_monomer_features_init(const struct ff_arrays *raw, const struct ff_feature_config *config,
                                   bool fixed_size, struct ff_monomer_features *ret) FF_MUST_USE;
void ff_monomer_features_free(struct ff_monomer_features *f);

/* Adds every array of one pass. */
void ff_monomer_features_make(const struct ff_monomer_features *f, const struct ff_msa_draw *draw,
                              struct ff_arrays *ret);

#endif
