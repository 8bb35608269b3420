/* SPDX-License-Identifier: Apache-2.0
 * output_order: puts the chains of a complex into the order of the user's input.
 *
 * The network reads the copies of a chain one behind the other (feature/assembly.h), so that A, B, A becomes A, A, B.
 * Unless the published order is asked for (output.chain_ids: alphafold), results stand in the input's order, all of
 * them: atoms, scores, tables, and the arrays of result_*.npz.
 */
#ifndef FF_APP_OUTPUT_ORDER_H
#define FF_APP_OUTPUT_ORDER_H

#include <stdint.h>

#include "model/model.h"

/* The residues of what the network read, as int32; all are changed. */
struct ff_output_residues {
    int n_res;
    int32_t *aatype;             /* [n_res] */
    int32_t *residue_index;      /* [n_res] */
    int32_t *asym_id;            /* [n_res] from 1 */
};

/* input_chain[c] is the place in the input, from 0, of the chain with asym_id c + 1. Returns which residue of the
 * network's each residue of the input is [n_res], or NULL when the numbers do not fit each other or the order is the
 * input's already. Caller frees. */
int *ff_output_order_find(int n_res, const int32_t *asym_id, int n_chain, const int32_t *input_chain /* [n_chain] */);

/* Applies what was found (NULL: nothing): chains stand in the order of their places and have asym_id place + 1. */
void ff_output_order(struct ff_prediction *p, struct ff_output_residues *r, int n_chain, const int32_t *input_chain,
                     const int *from);

#endif
