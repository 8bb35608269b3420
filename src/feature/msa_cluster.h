/* SPDX-License-Identifier: Apache-2.0
 * msa_cluster: which cluster centres the other rows of an alignment are nearest to, and what each cluster looks like.
 *
 * Nearness is the number of columns in which two rows hold the same residue; gaps, mask tokens and masked positions
 * agree with nothing. Counts are exact integers: columns are compared as bytes, 16 in one instruction, and rows are
 * spread over all threads.
 * Source: AlphaFold model/tf/data_transforms.py and model/modules_multimer.py (nearest_neighbor_clusters,
 * summarize_clusters).
 */
#ifndef FF_FEATURE_MSA_CLUSTER_H
#define FF_FEATURE_MSA_CLUSTER_H

#include "feature/msa_pool.h"

/* Members of each cluster besides its centre. */
struct ff_msa_clusters {
    int n_centre;
    int64_t *first;          /* [n_centre + 1] members of cluster s are first[s] .. first[s + 1] - 1 */
    int64_t *row;            /* [first[n_centre]] rows of the pool, ascending in the order of sampling */
    float *weight;           /* [first[n_centre]] */
    float *size;             /* [n_centre] what sums are divided by; the centre counts 1 */
};
void ff_msa_clusters_free(struct ff_msa_clusters *c);

/* The centre that each row agrees with most, the first one on a tie. Rows are order[n_centre .. n_row - 1] of the pool;
 * centres are the first rows, perhaps with hidden residues. */
void ff_msa_cluster_assign(const struct ff_msa_pool *p, const int64_t *order /* [n_row] */, int n_centre,
                           const uint8_t *centres /* [n_centre, n_res] */,
                           int32_t *ret /* [n_row - n_centre] */);

/* Monomer model: every row belongs to the cluster of ff_msa_cluster_assign with weight 1. */
void ff_msa_cluster_nearest(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                            struct ff_msa_clusters *ret);

/* Multimer model: centres that agree equally share a row, and a row weighs as much as there are columns unmasked both
 * in it and in the centre (as published). */
void ff_msa_cluster_shared(const struct ff_msa_pool *p, const int64_t *order, int n_centre, const uint8_t *centres,
                           struct ff_msa_clusters *ret);

/* Frequencies of the 23 tokens and mean deletion count of every cluster and column, centre included. profile rows are
 * stride floats apart ([n_centre, n_res] places of 23 values), so that they may lie inside wider features. */
void ff_msa_cluster_summarize(const struct ff_msa_pool *p, const int64_t *order, const uint8_t *centres,
                              const struct ff_msa_clusters *c, float *ret_profile, int64_t stride,
                              float *ret_deletion_mean /* [n_centre, n_res] */);

#endif
