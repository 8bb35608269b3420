/* SPDX-License-Identifier: Apache-2.0
 * config: sizes and switches of one network, as the presets in configs/ give them (configs/monomer.yaml and
 * configs/multimer.yaml hold every value, the model presets the published differences).
 *
 * A plain struct without pointers: copied by value, compared with memcmp never. app/options.c is the only file that
 * knows the YAML keys; they are the field names under the names of the nested structs (model.evoformer.num_block).
 */
#ifndef FF_MODEL_CONFIG_H
#define FF_MODEL_CONFIG_H

#include <stdbool.h>

#include "base/status.h"

struct ff_attention_config {
    int num_head;
    int head_dim;
};

/* One stack of pair updates: Evoformer, extra-MSA stack or template pair stack. */
struct ff_stack_config {
    int num_block;
    struct ff_attention_config msa_row_attention;       /* unused in the template stack */
    struct ff_attention_config msa_column_attention;    /* global in the extra-MSA stack */
    int msa_transition_factor;
    int num_outer_channel;                              /* outer product mean */
    bool outer_product_mean_first;
    struct ff_attention_config triangle_attention;
    int triangle_multiplication_channel;                /* num_intermediate_channel */
    bool fuse_projection_weights;                       /* left and right stored as one (multimer v3) */
    int pair_transition_factor;
};

struct ff_template_config {
    bool enabled;
    bool embed_torsion_angles;
    int max_templates;                                  /* 4 */
    int num_channel;                                    /* c_t */
    struct ff_attention_config attention;               /* pointwise attention (monomer) */
    float dgram_min_bin, dgram_max_bin;                 /* 3.25, 50.75 A */
    int dgram_num_bins;                                 /* 39 */
    struct ff_stack_config stack;
};

struct ff_structure_config {
    int num_layer;                                      /* 8, weights shared */
    int num_channel;                                    /* 384 */
    int num_head;                                       /* 12 */
    int num_scalar_qk, num_scalar_v;                    /* 16, 16 */
    int num_point_qk, num_point_v;                      /* 4, 8 */
    int num_layer_in_transition;                        /* 3 */
    float position_scale;                               /* 10, multimer 20 */
    int sidechain_num_channel;                          /* 128 */
    int sidechain_num_residual_block;                   /* 2 */
};

struct ff_heads_config {
    float distogram_first_break, distogram_last_break;  /* 2.3125, 21.6875 A */
    int distogram_num_bins;                             /* 64 */
    int plddt_num_channel, plddt_num_bins;              /* 128, 50 */
    bool predicted_aligned_error;                       /* the head exists (ptm and multimer parameters) */
    float pae_max_error_bin;                            /* 31 A */
    int pae_num_bins;                                   /* 64 */
    int masked_msa_num_output;                          /* 23, multimer 22 */
    int experimentally_resolved_num_output;             /* 37 */
};

struct ff_model_config {
    char name[64];                                      /* "model_1_ptm"; names result files */
    bool multimer;
    int num_recycle;                                    /* passes - 1: 3, multimer 20 */
    float recycle_early_stop_tolerance;                 /* A; negative: never stop early */
    bool resample_msa_in_recycling;
    int num_ensemble;                                   /* 1, casp14 8 */

    int msa_channel;                                    /* c_m 256 */
    int pair_channel;                                   /* c_z 128 */
    int extra_msa_channel;                              /* c_e 64 */
    int seq_channel;                                    /* c_s 384 */
    int target_feat_dim;                                /* 22, multimer 21 */
    int msa_feat_dim;                                   /* 49 */
    int max_relative_feature;                           /* 32 (max_relative_idx) */
    int max_relative_chain;                             /* multimer 2 */
    float prev_pos_min_bin, prev_pos_max_bin;           /* 3.25, 20.75 A */
    int prev_pos_num_bins;                              /* 15 */

    struct ff_stack_config evoformer;
    struct ff_stack_config extra_msa_stack;
    struct ff_template_config templates;
    struct ff_structure_config structure;
    struct ff_heads_config heads;
};

/* Values that no network can have (zero channels, heads that do not divide, ...): FF_EUSAGE names key and value. */
ff_status ff_model_config_check(const struct ff_model_config *c) FF_MUST_USE;

#endif
