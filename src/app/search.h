/* SPDX-License-Identifier: Apache-2.0
 * search: homologues of a query from sequence databases, by external programs (search_tool knows those).
 *
 * A search is one row of the table in search.c: a program, its databases, a cap of rows and the file kept in the msas/
 * folder of the target (the published names, so folders of AlphaFold are taken as they are). A kept file is used again
 * when it is complete, its first row is the query, and it is not known to come from another database or a smaller cap.
 *
 * Order of calls: ff_searches_open, then for every target ff_searches_check before anything runs, ff_searches_run, and
 * ff_searches_close. Tools and databases are looked at only for searches that will run.
 * Source: AlphaFold data/pipeline.py, data/tools/jackhmmer.py, data/tools/hhblits.py.
 */
#ifndef FF_APP_SEARCH_H
#define FF_APP_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/options.h"
#include "bio/msa.h"

/* How one alignment came to be: for the run's record, and to judge later whether its file can be used again. */
struct ff_search_record {
    char *name;                  /* "uniref90", "mgnify", ... */
    char *file;                  /* name in the msas/ folder */
    char *database;              /* path; several joined with ' '; NULL: not known */
    int64_t database_bytes;      /* size of the database file(s); -1: not known */
    char *program;               /* path of the tool; NULL: not known (kept file without a record) */
    char *version;               /* the tool's own line */
    char *command;               /* command line */
    int max_rows;                /* cap applied, query included; 0: none */
    int rows;
    double seconds;              /* of the search, however long ago */
    size_t peak_bytes;           /* memory of the tool */
    bool reused;
};

struct ff_search_hits {
    struct ff_search_record record;
    struct ff_msa msa;
};

/* In the order in which alignments are merged: uniref90, bfd or small_bfd, mgnify. */
struct ff_search_results {
    int count;
    struct ff_search_hits *items;   /* [count] */
};

void ff_search_record_free(struct ff_search_record *r);
void ff_search_record_copy(const struct ff_search_record *r, struct ff_search_record *ret);
void ff_search_results_free(struct ff_search_results *r);

struct ff_searches;

/* The searches that this configuration makes. config must outlive the result. */
void ff_searches_open(const struct ff_config *config, struct ff_searches **ret);
void ff_searches_close(struct ff_searches *s);          /* NULL is allowed */

/* Appends a text that tells apart what was searched: programs, databases (file name and size) and caps. */
void ff_searches_describe(const struct ff_searches *s, struct ff_strbuf *out);

/* Everything that can be wrong before the first search for this target: no database at all, a missing or broken tool,
 * a missing, empty or foreign database. old are the records of an earlier run in the same folder. ret_n_run: how many
 * searches will run, the others having kept files; may be NULL. FF_EUSAGE, FF_EMISSING, FF_EINPUT, FF_ETOOL. */
ff_status ff_searches_check(struct ff_searches *s, const char *msa_dir, int n_old, const struct ff_search_record *old,
                            int *ret_n_run) FF_MUST_USE;

/* Runs or reuses every search of one target. name goes into the query's FASTA header. Temporary files lie in a folder
 * below tmp_parent that is gone on return. *stop true, looked at when a program has ended, gives FF_EINTERRUPT. */
ff_status ff_searches_run(struct ff_searches *s, const char *name, const char *sequence, const char *msa_dir,
                          const char *tmp_parent, int n_old, const struct ff_search_record *old, const bool *stop,
                          struct ff_search_results *ret) FF_MUST_USE;

#endif
