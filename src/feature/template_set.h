/* SPDX-License-Identifier: Apache-2.0
 * template_set: templates laid on the query, and the arrays that the network's features are made of.
 */
#ifndef FF_FEATURE_TEMPLATE_SET_H
#define FF_FEATURE_TEMPLATE_SET_H

#include <stdbool.h>

#include "format/array.h"

struct ff_template {
    char *domain_name;           /* "2crb_A" */
    char *sequence;              /* [n_res] template letter at each residue of the query, '-' where there is none */
    float *positions;            /* [n_res, 37, 3] angstrom, atom37 order */
    float *mask;                 /* [n_res, 37] */
    double sum_probs;            /* hhsearch's confidence; 0 when not known */
};

struct ff_template_set {
    int n_res;                   /* of the query */
    struct ff_template *items;
    int count;
    int capacity;
};

void ff_template_set_free(struct ff_template_set *s);        /* frees what is inside and resets to {0} */

/* A new template at the end: all gaps, no atoms; takes a copy of the name. The pointer is valid until the next call. */
struct ff_template *ff_template_set_add(struct ff_template_set *s, const char *domain_name);

/* Removes the last template. */
void ff_template_set_drop_last(struct ff_template_set *s);

/* The published arrays, T templates over N residues: template_aatype [T, N, 22] (one-hot, HHblits order, gap last),
 * template_all_atom_masks [T, N, 37], template_all_atom_positions [T, N, 37, 3], template_sum_probs [T, 1], all
 * float32, and as text with one entry per line template_domain_names and template_sequence. one_if_empty: an empty set
 * gives T = 1 with all zeros, empty texts and template_sum_probs [1], as the published program does after hmmsearch;
 * otherwise T = 0, as it does after hhsearch. */
void ff_template_set_to_arrays(const struct ff_template_set *s, bool one_if_empty, struct ff_arrays *ret);

#endif
