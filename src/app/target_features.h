/* SPDX-License-Identifier: Apache-2.0
 * target_features: the stages before the network: searches for every different chain of a target, and its raw features.
 *
 * A single chain keeps its alignments in msas/. Of a complex, each sequence is searched once and keeps them in
 * msas/<id of its first chain>/; msas/chain_id_map.json tells what the ids stand for. Sequences of one complex are also
 * searched for rows to be paired when there are two or more.
 * Source: AlphaFold data/pipeline_multimer.py.
 */
#ifndef FF_APP_TARGET_FEATURES_H
#define FF_APP_TARGET_FEATURES_H

#include "app/options.h"
#include "app/search.h"
#include "app/target.h"
#include "app/user_msa.h"
#include "format/array.h"

struct ff_target_inputs {
    const struct ff_config *config;
    const struct ff_target *target;
    bool complex;                        /* features are to be those of a complex */
    struct ff_searches *searches;        /* NULL: no search */
    const struct ff_user_msa *msa;       /* the user's alignment; NULL: none */
    const char *templates;               /* the user's, "FILE[:CHAIN]" on lines; NULL: none */
    const char *msa_dir;
    const char *tmp_parent;
    const bool *stop;
};

/* What the searches found, sequence by sequence. */
struct ff_target_hits {
    int n_entity;
    struct ff_search_results *items;     /* [n_entity] */
};
void ff_target_hits_free(struct ff_target_hits *h);      /* frees what is inside and resets to {0} */

/* ff_searches_check for every sequence; ret_n_run counts searches of all of them. */
ff_status ff_target_features_check(const struct ff_target_inputs *in, int *ret_n_run) FF_MUST_USE;

ff_status ff_target_features_search(const struct ff_target_inputs *in, struct ff_target_hits *ret) FF_MUST_USE;

/* Records of all searches, with files as they lie in msas/ ("A/uniref90_hits.sto"). Caller frees them and the array. */
int ff_target_features_records(const struct ff_target_inputs *in, const struct ff_target_hits *hits,
                               struct ff_search_record **ret);

/* Raw features of a chain (feature/raw_features.h), or of the complex (feature/assembly.h). hits may be empty. */
ff_status ff_target_features_make(const struct ff_target_inputs *in, const struct ff_target_hits *hits,
                                  struct ff_arrays *ret) FF_MUST_USE;

#endif
