/* SPDX-License-Identifier: Apache-2.0
 * config: how MSAs and templates are cut to what the network eats. YAML keys are msa.<field> (app/options.c).
 */
#ifndef FF_FEATURE_CONFIG_H
#define FF_FEATURE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum ff_msa_sampling { FF_SAMPLING_RANDOM, FF_SAMPLING_ORDERED, FF_SAMPLING_JAX };

struct ff_feature_config {
    int max_clusters;                       /* 512; multimer num_msa 508 or 252 */
    bool reduce_clusters_by_max_templates;  /* model_1, model_2: 512 - 4 */
    int max_extra;                          /* 1024 or 5120; multimer 2048 or 1152 */
    int max_templates;                      /* 4; 0 where the model has no templates */
    float mask_fraction;                    /* 0.15 */
    float profile_prob, same_prob, uniform_prob; /* 0.1 each; the rest becomes the mask token */
    enum ff_msa_sampling sampling;          /* ordered: file order, no draws at all */
};

#endif
