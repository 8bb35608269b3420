/* SPDX-License-Identifier: Apache-2.0
 * raw_features: one chain's sequence, alignments and templates as the named arrays that the published data pipeline
 * makes. A file of exactly these arrays is features.npz, from which a prediction can start again.
 *
 *   aatype [N, 21] int32           one-hot, X last          residue_index [N] int32           0, 1, 2, ...
 *   between_segment_residues [N] int32, zeros               seq_length [N] int32              N, N, ...
 *   domain_name, sequence uint8    text                     num_alignments [N] int32          M, M, ...
 *   msa [M, N] int32               HHblits numbers 0..21    deletion_matrix_int [M, N] int32
 *   msa_species_identifiers uint8  M lines, "" where the name tells no species
 * and, when templates were looked for (T may be 0):
 *   template_aatype [T, N, 22] float32, one-hot in HHblits order      template_sum_probs [T, 1] float32
 *   template_all_atom_positions [T, N, 37, 3] float32, angstrom       template_domain_names, template_sequence uint8
 *   template_all_atom_masks [T, N, 37] float32                          T lines each
 * and, for a chain of a complex, the rows that may be paired with those of other chains (P may be 1: the query):
 *   msa_all_seq, deletion_matrix_int_all_seq [P, N] int32             msa_species_identifiers_all_seq uint8, P lines
 *
 * Text arrays hold bytes; lists are joined by newlines. Source: AlphaFold data/pipeline.py (make_sequence_features,
 * make_msa_features), data/templates.py.
 */
#ifndef FF_FEATURE_RAW_FEATURES_H
#define FF_FEATURE_RAW_FEATURES_H

#include "bio/msa.h"
#include "format/array.h"

/* Fills *ret (caller frees). sequence is upper case; description names the record. msas come in the order of their
 * rank (UniRef90, BFD, MGnify as published); rows equal to an earlier row, in whichever alignment, are dropped, so the
 * query that heads each of them is kept once. templates may be NULL (none looked for); its arrays are copied.
 * FF_EINPUT: no alignment, one without rows or of another width than the query, or a letter that is no residue. */
ff_status ff_raw_features_make(const char *sequence, const char *description, int n_msa,
                               const struct ff_msa *const *msas /* [n_msa] */, const struct ff_arrays *templates,
                               struct ff_arrays *ret) FF_MUST_USE;

/* Adds the three arrays of rows for pairing from an alignment against UniProt. Fails like ff_raw_features_make. */
ff_status ff_raw_features_add_pairing(struct ff_arrays *raw, const struct ff_msa *msa) FF_MUST_USE;

/* The same from an alignment whose rows are paired already: row k belongs to row k of the other chains' alignments.
 * Rows are kept as they are, and the number of a row stands in place of its species; rows of gaps alone have none. */
ff_status ff_raw_features_add_paired(struct ff_arrays *raw, const struct ff_msa *msa) FF_MUST_USE;

/* What every set must satisfy before it is used, wherever it came from: names, types, shapes, ranges, the query in the
 * first row. Converts numbers to the types above in place. file is for messages. FF_EINPUT. */
ff_status ff_raw_features_check(const char *file, struct ff_arrays *raw) FF_MUST_USE;

#endif
