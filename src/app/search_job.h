/* SPDX-License-Identifier: Apache-2.0
 * search_job: one search: its programs run in a folder of their own, their output read as it comes, cut to the rows
 * that are kept. Only search*.c use it.
 */
#ifndef FF_APP_SEARCH_JOB_H
#define FF_APP_SEARCH_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "app/options.h"
#include "app/search_budget.h"
#include "app/search_record.h"
#include "app/search_tool.h"
#include "base/strbuf.h"

struct ff_search_program {
    char *path;                  /* NULL: not looked for yet */
    char *version;
};

struct ff_search_job {
    const struct ff_config *config;
    const struct ff_search_program *programs;    /* [FF_TOOL_COUNT] */
    enum ff_tool tool;
    const char *const *databases;                /* [n_database] */
    int n_database;
    int max_rows;                                /* 0: all */
    const char *dir;                             /* for its files; empty */
    const char *name, *sequence;                 /* of the query */
    const char *profile;                         /* template searches: the alignment that they start from, a file;
                                                  * NULL: the query alone */
    int profile_rows;                            /* of it that count; 0: all */
    int cpus;
    struct ff_search_budget *budget;             /* that cpus are from, with */
    struct ff_search_ticket *ticket;
    bool all_rows;                               /* mmseqs: similar rows stay, as each may have a partner */
    bool gpu;                                    /* mmseqs: on the GPU, where the database is made for it */
    struct ff_tool_database database;            /* what its files are now */
    int shards;                                  /* jackhmmer: parts of the database; 0: whole */
    int64_t n_sequence;                          /* of the whole database, for shards */
    const bool *stop;                            /* may be NULL */
};

/* Appends the alignment or list of hits to text, and fills program, version, command, seconds and peak_bytes of r.
 * FF_ETOOL, FF_EIO, FF_EINPUT, FF_EINTERRUPT. */
ff_status ff_search_job_run(const struct ff_search_job *job, struct ff_strbuf *text,
                            struct ff_search_record *r) FF_MUST_USE;

/* Runs one program of the job, and adds command, seconds and memory to r. output NULL: it writes to call->output;
 * otherwise what it writes to its standard output is passed on in pieces. */
ff_status ff_search_job_call(const struct ff_search_job *job, enum ff_tool tool, const struct ff_tool_call *call,
                             bool (*output)(void *user, const char *data, size_t len), void *user,
                             struct ff_search_record *r) FF_MUST_USE;

/* jackhmmer over call's database, its Stockholm alignment cut to max_rows while it comes. */
ff_status ff_search_job_jackhmmer(const struct ff_search_job *job, const struct ff_tool_call *call,
                                  struct ff_strbuf *text, struct ff_search_record *r) FF_MUST_USE;

/* The query as a FASTA file in the job's folder. Caller frees *ret_path. */
ff_status ff_search_job_query(const struct ff_search_job *job, char **ret_path) FF_MUST_USE;

#endif
