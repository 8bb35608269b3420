/* SPDX-License-Identifier: Apache-2.0
 * search_set: the searches of a configuration as search.c knows them, for search_chain.c, which runs them. No other
 * file includes this.
 */
#ifndef FF_APP_SEARCH_SET_H
#define FF_APP_SEARCH_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "app/search.h"
#include "app/search_budget.h"
#include "app/search_job.h"
#include "app/search_tool.h"

enum { FF_SEARCH_SPECS = 7, FF_SEARCH_MAX_DATABASE = 2 };

/* A row of the table of searches. */
struct ff_search_spec {
    const char *name;
    const char *file;            /* in the msas/ folder */
    const char *mmseqs_file;     /* when MMseqs2 takes jackhmmer's place; NULL: it does not */
    enum ff_search_use use;
    enum ff_tool tool;
    int presets;                 /* of IN_FULL and IN_REDUCED */
    int networks;                /* of FOR_MONOMER and FOR_MULTIMER */
    int n_database;
    size_t database[FF_SEARCH_MAX_DATABASE];      /* offsets in struct ff_database_config */
    const char *key[FF_SEARCH_MAX_DATABASE];      /* their settings, for messages */
    size_t max_rows;             /* offset; 0: no cap, as data_dir and not a cap lies there */
};

extern const struct ff_search_spec ff_search_specs[FF_SEARCH_SPECS]; /* the first one is what templates start from */

/* A search that this configuration makes. */
struct ff_search {
    const struct ff_search_spec *spec;
    const char *database[FF_SEARCH_MAX_DATABASE]; /* paths of the configuration; n_database 0: not configured */
    const char *key[FF_SEARCH_MAX_DATABASE];
    int n_database;
    enum ff_tool tool;                  /* that of spec, or MMseqs2 in jackhmmer's place, with */
    const char *file;                   /* a name that says A3M */
    int max_rows;                       /* 0: all */
    bool checked;
    struct ff_tool_database state;      /* once checked */
    int64_t n_sequence;                 /* of the database, once counted for shards */
};

struct ff_searches {
    const struct ff_config *config;
    struct ff_search items[FF_SEARCH_SPECS];
    int count;
    struct ff_search_program programs[FF_TOOL_COUNT];
    bool mmseqs_gpu;                    /* MMseqs2 searches on the GPU where the database is made for it */
    pthread_mutex_t lock;               /* of what is looked at once: programs, and of items: checked to n_sequence */
    struct ff_search_budget *budget;    /* made by the first run */
};

/* Looks at tools and databases of one search, once. */
ff_status ff_search_look(struct ff_searches *s, struct ff_search *item) FF_MUST_USE;
/* Parts in which its database is searched when it has so many processors, once looked at; 0: it is searched whole. */
int ff_search_parts(const struct ff_searches *s, const struct ff_search *item, int cpus);
/* Whether a request asks for this search. */
bool ff_search_is_for(const struct ff_search *item, const struct ff_search_request *q);
/* The paths of its databases, joined. Caller frees. */
char *ff_search_database_text(const struct ff_search *item);
/* Why a kept file does not answer today's question, from its record alone (NULL: it has none); NULL when nothing speaks
 * against it. A text for a message, caller frees. */
char *ff_search_mismatch(const struct ff_search *item, const struct ff_search_record *r);

#endif
