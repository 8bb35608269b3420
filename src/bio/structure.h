/* SPDX-License-Identifier: Apache-2.0
 * structure: a protein as atoms in the atom37 layout, chain after chain: predictions, and what PDB files are read into.
 */
#ifndef FF_BIO_STRUCTURE_H
#define FF_BIO_STRUCTURE_H

#include <stdint.h>

#include "bio/residue.h"

struct ff_structure {
    int n_res;
    int32_t *aatype;          /* [n_res] 0..20 */
    float *positions;         /* [n_res, 37, 3] angstrom, 0 where the mask is 0 */
    float *mask;              /* [n_res, 37] 1: the atom is there (tested as >= 0.5) */
    float *b_factors;         /* [n_res, 37] B factors, or pLDDT for predictions */
    int32_t *residue_index;   /* [n_res] number written in files; need not be contiguous */
    int32_t *chain_index;     /* [n_res] 0-based; as published, asym_id (from 1) for multimer predictions */
    char *insertion_code;     /* [n_res] ' ' when none */
    char *chain_id;           /* [n_chain] letters as read from a PDB file, by chain_index; NULL for predictions */
    int n_chain;              /* entries of chain_id; 0 for predictions */
};

/* All arrays, zeroed (insertion codes ' '). */
void ff_structure_alloc(struct ff_structure *s, int n_res);
void ff_structure_free(struct ff_structure *s);          /* frees what is inside and resets to {0} */

/* The different values of chain_index, ascending; returns their number. Caller frees *ret_index (NULL if none). */
int ff_structure_chains(const struct ff_structure *s, int32_t **ret_index);

#endif
