/* SPDX-License-Identifier: Apache-2.0
 * search: homologues and templates of a query from databases, by external programs (search_tool knows those).
 *
 * A search is one row of the table in search.c: a program, its databases, a cap of rows and the file kept in the msas/
 * folder of the chain (the published names, so folders of AlphaFold are taken as they are). All searches of a chain run
 * side by side as far as processors and memory allow (search.cpus, search.memory), the longest first. A kept file is
 * used again when it is complete, its first row is the query, and it is not known to come from another database or a
 * smaller cap; with a cache (search.cache_dir) results are shared between folders.
 *
 * Order of calls: ff_searches_open, then for every chain ff_searches_check before anything runs, ff_searches_run, and
 * ff_searches_close. Tools and databases are looked at only for searches that will run. Several threads may run
 * searches of different chains at once.
 * Source: AlphaFold data/pipeline.py, data/pipeline_multimer.py, data/tools/.
 */
#ifndef FF_APP_SEARCH_H
#define FF_APP_SEARCH_H

#include <stdbool.h>

#include "app/options.h"
#include "app/search_record.h"
#include "bio/msa.h"
#include "bio/template_hit.h"
#include "feature/template_features.h"

enum ff_search_use {
    FF_SEARCH_MSA,               /* rows of the alignment */
    FF_SEARCH_PAIRING,           /* rows that are paired with those of other chains */
    FF_SEARCH_TEMPLATES,
};

struct ff_search_hits {
    enum ff_search_use use;
    struct ff_search_record record;
    struct ff_msa msa;                   /* empty for FF_SEARCH_TEMPLATES */
    struct ff_template_hits templates;   /* FF_SEARCH_TEMPLATES only */
    enum ff_template_search template_search;
};

/* Alignments stand in the order in which they are merged: uniref90, bfd or small_bfd, mgnify. */
struct ff_search_results {
    int count;
    struct ff_search_hits *items;   /* [count] */
};

void ff_search_results_free(struct ff_search_results *r);

struct ff_searches;

/* The searches that this configuration makes. config must outlive the result. */
void ff_searches_open(const struct ff_config *config, struct ff_searches **ret);
void ff_searches_close(struct ff_searches *s);          /* NULL is allowed */

/* Appends a text that tells apart what was searched: programs, databases (file name and size) and caps. */
void ff_searches_describe(const struct ff_searches *s, struct ff_strbuf *out);

/* One chain. */
struct ff_search_request {
    const char *name;            /* for the query's FASTA header */
    const char *sequence;
    const char *msa_dir;         /* where results are kept, with their manifest */
    const char *tmp_parent;      /* temporary files lie in a folder below it that is gone when the call returns */
    bool pairing;                /* also search for rows to be paired (complexes of different chains) */
    const bool *stop;            /* true, looked at when a program has ended, gives FF_EINTERRUPT; may be NULL */
};

/* Everything that can be wrong before the first search for this chain: no database at all, a missing or broken tool, a
 * missing, empty or foreign database. ret_n_run: how many searches will run, the others having kept files; may be
 * NULL. FF_EUSAGE, FF_EMISSING, FF_EINPUT, FF_ETOOL. */
ff_status ff_searches_check(struct ff_searches *s, const struct ff_search_request *q, int *ret_n_run) FF_MUST_USE;

/* Runs or reuses every search of one chain. */
ff_status ff_searches_run(struct ff_searches *s, const struct ff_search_request *q,
                          struct ff_search_results *ret) FF_MUST_USE;

#endif
