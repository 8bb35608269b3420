/* SPDX-License-Identifier: Apache-2.0
 * chain_features: from what is known about one chain (search results, the user's alignment and templates) to its raw
 * features.
 */
#ifndef FF_APP_CHAIN_FEATURES_H
#define FF_APP_CHAIN_FEATURES_H

#include <stdbool.h>

#include "app/options.h"
#include "app/search.h"
#include "format/array.h"

struct ff_chain_inputs {
    const struct ff_config *config;
    const char *sequence, *description;
    const struct ff_search_results *hits;    /* may be NULL */
    const struct ff_msa *msa;                /* the user's; NULL: none. With neither, the query alone */
    const char *templates;                   /* the user's, "FILE[:CHAIN]" on lines; NULL: none */
    const char *tmp_parent;                  /* for the files of the aligner */
    const bool *stop;                        /* may be NULL */
};

/* The user's templates come first, then those of the search, at most search.max_template_hits in all. Templates that
 * cannot be used are told as warnings; the user's own are errors. Rows for pairing are added when the results have
 * them. FF_EINPUT, FF_EMISSING, FF_EIO, FF_EINTERRUPT. */
ff_status ff_chain_features_make(const struct ff_chain_inputs *in, struct ff_arrays *ret) FF_MUST_USE;

#endif
