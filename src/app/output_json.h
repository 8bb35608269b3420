/* SPDX-License-Identifier: Apache-2.0
 * output_json: the JSON texts that AlphaFold writes beside a structure, character by character.
 *
 * confidence and pae have no white space, ranking_debug and timings are indented by four. Rounding is the published
 * one: confidence as Python's round to 2 decimals, pae as numpy's round to 1 (both ties to even, but numpy on ten times
 * the value). Every function appends to out.
 * Source: AlphaFold common/confidence.py (confidence_json, pae_json), run_alphafold.py (ranking_debug, timings).
 */
#ifndef FF_APP_OUTPUT_JSON_H
#define FF_APP_OUTPUT_JSON_H

#include "base/strbuf.h"
#include "format/json.h"
#include "model/model.h"

/* {"residueNumber":[1,...],"confidenceScore":[..],"confidenceCategory":["H",...]}: D below 50, L below 70, M below 90,
 * H above. */
void ff_output_confidence_json(int n_res, const float *plddt /* [n_res] 0..100 */, struct ff_strbuf *out);

/* [{"predicted_aligned_error":[[..],..],"max_predicted_aligned_error":31.75}]
 * In rows, as their text can be larger than all else: begin, each row in turn, end. out may be emptied in between. */
void ff_output_pae_begin(struct ff_json *j, struct ff_strbuf *out);
void ff_output_pae_row(struct ff_json *j, int n_res, const float *row /* [n_res] angstrom */);
void ff_output_pae_end(struct ff_json *j, double max_pae);

struct ff_named_value {
    const char *name;
    double value;
};

/* {label: {name: score, ...}, "order": [names, best first]}; label is "plddts", or "iptm+ptm" for complexes. items are
 * written in the order given; equal scores keep it in "order" too. */
void ff_output_ranking_json(const char *label, int count, const struct ff_named_value *items, struct ff_strbuf *out);

/* Numbers of the items, the best first; equal scores keep their order. */
void ff_output_rank(int count, const struct ff_named_value *items, int *ret_order /* [count] */);

/* What AlphaFold does not write: the chains of a complex, in the order of the structure's and of the rows of the PAE.
 * {"chain_ids": [..], "chain_lengths": [..], "chain_starts": [1, ...], "ptm": .., "iptm": .., "ranking_confidence": ..,
 *  "chain_plddt": [..], "chain_ptm": [..], "chain_iptm": [..], "chain_pair_ptm": [[..]], "chain_pair_iptm": [[..]]}
 * model/confidence.h tells what the scores are; chain_iptm is the mean of a chain's row of chain_pair_iptm over the
 * other chains. Scores with four decimals; those that the network does not give are left out. */
void ff_output_summary_json(const struct ff_prediction *p, const char *const *chain_ids /* [n_chain] */,
                            struct ff_strbuf *out);

/* {name: seconds, ...} in the order given. */
void ff_output_timings_json(int count, const struct ff_named_value *items, struct ff_strbuf *out);

#endif
