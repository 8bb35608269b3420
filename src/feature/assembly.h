/* SPDX-License-Identifier: Apache-2.0
 * assembly: from the raw features of chains to those of their complex: equal chains grouped, alignments paired by
 * species, what is left put into blocks.
 *
 *   aatype, residue_index [N] int32, chain after chain         asym_id, entity_id, sym_id [N] float32, from 1
 *   msa [M, N] int32, numbers of bio/residue, gap 21           deletion_matrix, msa_mask, bert_mask [M, N] float32
 *   cluster_bias_mask [M] float32                              deletion_mean [N] float32
 *   template_aatype [4, N] int32                               template_all_atom_positions [4, N, 37, 3] float32
 *   template_all_atom_mask [4, N, 37] float32                  seq_mask [N] float32, entity_mask [N] int32
 *   all_atom_mask [N, 37] int32, all_atom_positions zeros      seq_length, num_alignments, num_templates,
 *   input_chain [chains] int32 (not in published files):         assembly_num_chains: int32 scalars
 *     place in the input of the chain with asym_id 1, 2, ...
 *
 * The alignment holds the paired rows first, then each entity's own rows with gaps in all other columns; copies of an
 * entity repeat its row. It is padded to 512 rows with rows whose msa_mask is 0. Templates are padded with zeros to
 * four, which the network averages over, so chains without templates have four empty ones.
 * Source: AlphaFold data/pipeline_multimer.py, data/feature_processing.py, data/msa_pairing.py; Evans et al. 2021.
 */
#ifndef FF_FEATURE_ASSEMBLY_H
#define FF_FEATURE_ASSEMBLY_H

#include <stdbool.h>

#include "feature/pairing.h"
#include "format/array.h"

struct ff_assembly_chain {
    int input;                       /* place in the input */
    int entity;                      /* index into entities */
};

/* Chains of one sequence. */
struct ff_assembly_entity {
    const struct ff_arrays *raw;     /* of its first chain, the caller's */
    int n_res;
    int first_chain, n_chain;        /* place among the chains */
    int64_t *unpaired;               /* [n_unpaired] rows of msa that equal no paired row, in order */
    int n_unpaired;
    int n_used;                      /* of these, after the crop */
};

/* What goes where; ff_assembly_merge does it. */
struct ff_assembly {
    int n_chain, n_entity;
    struct ff_assembly_chain *chains;    /* [n_chain] in the order of the complex: entity by entity */
    struct ff_assembly_entity *entities; /* [n_entity] in the order of their first chain in the input */
    struct ff_paired_rows paired;        /* sorted; without rows for a single entity */
    int n_paired;                        /* of these, after the crop */
};

/* chains in input order, each with raw features that passed ff_raw_features_check; chains of equal sequence may point
 * to the same set. Chains without rows for pairing take part with their query alone. FF_EINPUT: a set without its
 * sequence. The sets must outlive ret. */
ff_status ff_assembly_plan(int n_chain, const struct ff_arrays *const *chains /* [n_chain] */,
                           struct ff_assembly *ret) FF_MUST_USE;
void ff_assembly_merge(const struct ff_assembly *a, struct ff_arrays *ret);
void ff_assembly_free(struct ff_assembly *a);

/* All of it. */
ff_status ff_assembly_make(int n_chain, const struct ff_arrays *const *chains, struct ff_arrays *ret) FF_MUST_USE;

#endif
