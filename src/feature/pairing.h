/* SPDX-License-Identifier: Apache-2.0
 * pairing: which rows of the chains' UniProt alignments belong together, as they come from one species.
 *
 * Within a species the rows of each chain are ranked by their identity with that chain's query, and equal ranks are
 * paired. Species in one chain alone, and species with more than 600 rows in some chain, are left out.
 * Source: AlphaFold data/msa_pairing.py; Evans et al. 2021, section 7.2.
 */
#ifndef FF_FEATURE_PAIRING_H
#define FF_FEATURE_PAIRING_H

#include <stdint.h>

struct ff_pairing_chain {
    int n_row, n_res;
    const int32_t *msa;              /* [n_row, n_res] HHblits numbers; row 0 is the query */
    const char *species;             /* n_row names joined by newlines; "" is no name */
    int64_t species_len;
};

struct ff_paired_rows {
    int n_chain;
    int n_row;
    int32_t *rows;                   /* [n_row, n_chain] row of each chain; -1: the chain has none (a row of gaps) */
    int32_t *n_partner;              /* [n_row] chains with a row */
    int capacity;
};

/* In the order in which they are found: the queries together, then species in byte order. */
void ff_pairing_match(int n_chain, const struct ff_pairing_chain *chains, struct ff_paired_rows *ret);

/* The order in the alignment: more partners first, then by the product of the row numbers (which stands for the rank of
 * the hits), as published: -1 counts as a row number and only the absolute value matters. */
void ff_pairing_sort(struct ff_paired_rows *p);

void ff_paired_rows_free(struct ff_paired_rows *p);

#endif
