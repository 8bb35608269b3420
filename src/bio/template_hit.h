/* SPDX-License-Identifier: Apache-2.0
 * template_hit: what a template search says about one chain: how it aligns to the query. Read from hhsearch (bio/hhr)
 * or hmmsearch (bio/hmmsearch_hits) output.
 */
#ifndef FF_BIO_TEMPLATE_HIT_H
#define FF_BIO_TEMPLATE_HIT_H

#include <stdbool.h>
#include <stdint.h>

struct ff_template_hit {
    int index;                   /* number in the file, from 1 */
    char *name;                  /* "2CRB_A nuclear receptor ..." or "2crb_A" */
    int aligned_cols;
    double sum_probs;            /* NaN: not known (hmmsearch) */
    char *query;                 /* aligned part of the query (hmmsearch: all of it), '-' at insertions of the hit */
    char *hit_sequence;          /* aligned part of the hit, '-' at gaps; hmmsearch: with insertions, in upper case */
    int n_query;                 /* hhsearch: columns of the alignment; hmmsearch: residues of the query */
    int n_hit;                   /* hhsearch: columns of the alignment; hmmsearch: match columns */
    int32_t *indices_query;      /* [n_query] 0-based residue number, -1 at gaps */
    int32_t *indices_hit;        /* [n_hit] */
};

struct ff_template_hits {
    struct ff_template_hit *items;
    int count;
    int capacity;
};

void ff_template_hit_free(struct ff_template_hit *h);        /* frees what is inside and resets to {0} */
void ff_template_hits_free(struct ff_template_hits *h);
/* A new hit at the end, all zero. The pointer is valid until the next call. */
struct ff_template_hit *ff_template_hits_add(struct ff_template_hits *h);

/* PDB id in lower case and author chain of a hit whose name starts with four letters or digits, '_' and a chain of
 * letters, digits or '.' ("2CRB_.": chain not known); false when it does not. Caller frees *ret_chain. */
bool ff_template_hit_id(const struct ff_template_hit *h, char ret_pdb_id[5], char **ret_chain);

#endif
