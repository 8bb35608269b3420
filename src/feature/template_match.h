/* SPDX-License-Identifier: Apache-2.0
 * template_match: finds a hit's sequence in the structure that it names, and lays the atoms of that chain on the query.
 * Source: AlphaFold data/templates.py (_find_template_in_pdb, _realign_pdb_template_to_query,
 * _extract_template_features).
 */
#ifndef FF_FEATURE_TEMPLATE_MATCH_H
#define FF_FEATURE_TEMPLATE_MATCH_H

#include <stdbool.h>

#include "base/status.h"
#include "bio/mmcif.h"
#include "feature/template_hits.h"
#include "feature/template_set.h"

/* Aligns two sequences (kalign in the published program). Returns rows of equal length with '-' for gaps, which the
 * caller frees. A failure costs one hit; only FF_EINTERRUPT and FF_ETERMINATE stop the run. */
typedef ff_status (*ff_template_aligner)(void *user, const char *seq_a, const char *seq_b, char **ret_row_a,
                                         char **ret_row_b);

/* Looks for letters (a piece of a chain) in the chain of that id, then in any chain, then in any chain with X as a
 * wildcard on either side. Returns the chain, the first in the file's order, and where the piece begins; NULL when
 * there is none. */
const struct ff_mmcif_chain *ff_template_match_find(const struct ff_mmcif *m, const char *chain_id,
                                                    const char *letters, int *ret_offset);

/* The chain to which a hit that was not found is aligned anew: the one of that id, or the only one; NULL otherwise. */
const struct ff_mmcif_chain *ff_template_match_fallback(const struct ff_mmcif *m, const char *chain_id);

/* Aligns letters to the chain's sequence and rewrites mapping to the chain's numbers, -1 where a residue of the hit has
 * no partner. FF_EINPUT when less than 90 % of the shorter sequence are identical, or the aligner's status. */
ff_status ff_template_match_realign(const char *letters, const struct ff_mmcif_chain *chain,
                                    ff_template_aligner align, void *user,
                                    struct ff_template_mapping *mapping) FF_MUST_USE;

enum ff_template_laid {
    FF_TEMPLATE_LAID,
    FF_TEMPLATE_NO_ATOMS,        /* a residue is not where it should be, CA atoms too far apart, or hardly any atom */
    FF_TEMPLATE_NO_CHAIN,        /* the first model does not have the chain */
};

/* Fills ret from the chain: query residue q gets the atoms of residue hit[q] + offset and the letter letters[hit[q]].
 * Negative numbers count from the end, as in Python. what_failed: text for a message, caller frees; NULL when laid. */
enum ff_template_laid ff_template_match_lay(const struct ff_mmcif_chain *chain, const char *letters, int offset,
                                            const struct ff_template_mapping *mapping, int n_query,
                                            struct ff_template *ret, char **what_failed);

#endif
