/* SPDX-License-Identifier: Apache-2.0
 * msa_pool: all rows of a target's alignment in the network's alphabet, and what is drawn from them for one pass: the
 * order of the rows, and the cluster centres with some residues hidden.
 *
 * Everything random comes from streams of base/rng that depend on (seed, pass, member) alone, so a pass can be made
 * again, and in any order. Source: AlphaFold model/tf/data_transforms.py (make_hhblits_profile, sample_msa,
 * make_masked_msa), model/modules_multimer.py; Jumper et al. 2021, Suppl. 1.2.7.
 */
#ifndef FF_FEATURE_MSA_POOL_H
#define FF_FEATURE_MSA_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "feature/config.h"

enum { FF_MSA_GAP = 21, FF_MSA_MASK = 22, FF_MSA_N_ID = 23 };  /* 0..20 are residue types */

struct ff_msa_pool {
    int n_row, n_res;
    uint8_t *ids;            /* [n_row, n_res] 0..21 */
    float *deletions;        /* [n_row, n_res] */
    uint8_t *mask;           /* [n_row, n_res] 1: there is a residue; NULL: all ones */
    uint8_t *bias;           /* [n_row] 1: this row is a cluster centre in any case; NULL: row 0 alone is */
    float *profile;          /* [n_res, 22] frequencies over the rows, by ff_msa_pool_set_profile */
};

/* Zeroed arrays; mask and bias only when asked for. */
void ff_msa_pool_alloc(struct ff_msa_pool *p, int n_row, int n_res, bool with_mask);
void ff_msa_pool_free(struct ff_msa_pool *p);                    /* frees what is inside and resets to {0} */
void ff_msa_pool_set_profile(struct ff_msa_pool *p);             /* columns without any residue get zeros */

/* Which draw: equal values give equal draws. */
struct ff_msa_draw {
    uint64_t seed;
    int pass, member;
    bool resample;           /* false: every pass draws what pass 0 draws */
    bool last_pass;          /* matters to FF_SAMPLING_JAX alone */
};

/* Order of the rows: the first ones become cluster centres, the others the extra MSA. Rows with bias come first, rows
 * that are masked as a whole last; within each group the file's order (ordered) or a random one. ret is [n_row]. */
void ff_msa_pool_order(const struct ff_msa_pool *p, enum ff_msa_sampling sampling, const struct ff_msa_draw *draw,
                       int64_t *ret);

/* Copies the first n_centre rows of order and hides residues: each position with probability mask_fraction, where it
 * becomes a residue drawn evenly (uniform_prob), from the profile (profile_prob), itself (same_prob) or the mask token
 * (the rest). epsilon is what the published program adds to each of the 23 probabilities before it draws: 1e-10,
 * multimer 1e-6. Masked positions are not touched. Nothing is drawn in ordered sampling or when mask_fraction is 0. */
void ff_msa_pool_hide(const struct ff_msa_pool *p, const struct ff_feature_config *c, const struct ff_msa_draw *draw,
                      const int64_t *order, int n_centre, double epsilon, uint8_t *ret_ids /* [n_centre, n_res] */,
                      uint8_t *ret_hidden /* [n_centre, n_res] 1: a position that was drawn for hiding */);

#endif
