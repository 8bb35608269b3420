/* SPDX-License-Identifier: Apache-2.0
 * confidence: scores from the heads' outputs, on the host.
 * Source: Jumper et al. 2021, Suppl. 1.9.6-1.9.7, Alg. 29; AlphaFold common/confidence.py.
 */
#ifndef FF_MODEL_CONFIDENCE_H
#define FF_MODEL_CONFIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Per-residue pLDDT, 0..100: expectation over equal bins of [0, 1]. Returns the mean. */
float ff_confidence_plddt(int n_res, int n_bin, const float *logits /* [n_res, n_bin] */, float *plddt /* [n_res] */);

/* d0 of the TM-score for n_res residues, at least 19, in angstrom. */
double ff_confidence_tm_d0(int n_res);

/* Scores of the chains of a complex and of their pairs. Like ptm and iptm of the whole, but over the residues of one
 * chain or two alone; the terms of tm, and so d0, stay those of the whole complex, as in AlphaFold 3's summary. */
struct ff_chain_scores {
    int n_chain;                 /* 0: none */
    int32_t *asym_id;            /* [n_chain] ascending */
    int32_t *n_res;              /* [n_chain] */
    double *plddt;               /* [n_chain] mean */
    double *ptm;                 /* [n_chain] pairs inside the chain; NULL without tm, as the two below */
    double *pair_ptm;            /* [n_chain, n_chain] pairs inside both chains together; ptm on the diagonal */
    double *pair_iptm;           /* [n_chain, n_chain] pairs between the two; 0 on the diagonal */
};

void ff_chain_scores_free(struct ff_chain_scores *s);        /* frees what is inside and resets to {0} */

/* What is read off the expected TM terms tm [n_res, n_res], of residue j aligned on i. It takes rows, in any order, so
 * that they need not be there together. */
struct ff_tm_scores {
    int n_res;
    const int32_t *asym_id;      /* [n_res], the caller's; NULL: a single chain */
    int64_t n_row;               /* taken */
    double ptm;                  /* predicted TM-score: the best over i of the mean over j */
    double iptm;                 /* of pairs of different chains alone; 0 without such pairs */
    struct ff_chain_scores chains; /* of complexes; without pLDDT */
    int *chain;                  /* [n_res] */
    double *sum;                 /* [n_chain] of one row */
};

void ff_tm_scores_begin(int n_res, const int32_t *asym_id /* [n_res] or NULL */, struct ff_tm_scores *ret);
void ff_tm_scores_add(struct ff_tm_scores *s, int64_t from, int64_t n, const float *rows /* [n, n_res] */);
/* What rows taken elsewhere gave, as numbers, and as much taken from there. */
size_t ff_tm_scores_count(const struct ff_tm_scores *s);
void ff_tm_scores_pack(const struct ff_tm_scores *s, double *ret /* [count] */);
void ff_tm_scores_merge(struct ff_tm_scores *s, const double *packed /* [count] */);
void ff_tm_scores_free(struct ff_tm_scores *s);

/* The chains and their pLDDT; with scores (or NULL) all that these have found of them, which moves to ret. */
void ff_confidence_chains(int n_res, const int32_t *asym_id /* [n_res] */, const float *plddt /* [n_res] */,
                          struct ff_tm_scores *scores, struct ff_chain_scores *ret);

/* n aligned errors in eighths of an angstrom; more than 31.875 becomes 255. */
void ff_confidence_pae_eighths(int64_t n, const float *pae, uint8_t *ret);
float ff_confidence_pae_from_eighths(uint8_t eighths);

/* Largest aligned error that can be reported: the centre of the last bin (31.75 for 64 bins to 31 A). */
float ff_confidence_max_pae(float max_bin, int n_bin);

#endif
