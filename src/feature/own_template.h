/* SPDX-License-Identifier: Apache-2.0
 * own_template: structures that the user names as templates. No search, no database, no date: the chain is aligned to
 * the query here.
 */
#ifndef FF_FEATURE_OWN_TEMPLATE_H
#define FF_FEATURE_OWN_TEMPLATE_H

#include "base/status.h"
#include "feature/template_set.h"

/* Splits "FILE[:CHAIN]": an existing file of the whole name wins, otherwise the text behind the last ':' is the chain.
 * *ret_chain is NULL when there is none. Caller frees both. */
void ff_own_template_split(const char *spec, char **ret_path, char **ret_chain);

/* Reads an mmCIF or PDB file (gzip too; told apart by its content), aligns the chain to the query (whole sequences,
 * gaps at the ends free, BLOSUM62) and appends it to set, whose n_res is the query's length. chain: author id; NULL
 * takes the chain that aligns best. mmCIF files may lack the sequence tables. FF_EMISSING, FF_EIO, FF_EINPUT
 * (unreadable, no such chain, less than 5 atoms on the query). Notes with ff_note how much was aligned. */
ff_status ff_own_template_add(const char *path, const char *chain, const char *query,
                              struct ff_template_set *set) FF_MUST_USE;

#endif
