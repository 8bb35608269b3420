/* SPDX-License-Identifier: Apache-2.0
 * search_record: how one alignment or list of hits came to be, and the manifest of a msas/ folder: the records of all
 * files in it (msas/searches.json). The manifest is written whole after every search, so that what an interrupted run
 * finished is known to the next one; a file that differs from its record is not used again.
 *
 * All strings belong to the record.
 */
#ifndef FF_APP_SEARCH_RECORD_H
#define FF_APP_SEARCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "format/json.h"
#include "format/yaml.h"

struct ff_search_record {
    char *name;                  /* "uniref90", "mgnify", ... */
    char *file;                  /* name in the msas/ folder */
    char *key;                   /* SHA-256 of all that decides the result (app/search_cache); NULL: not known */
    char *sha256;                /* of the file; NULL: not known */
    char *input;                 /* SHA-256 of the alignment that a template search started from; NULL: none */
    char *database;              /* path; several joined with ' '; NULL: not known */
    int64_t database_bytes;      /* size of the database file(s); -1: not known */
    char *program;               /* path of the tool; NULL: not known (kept file without a record) */
    char *version;               /* the tool's own line */
    char *command;               /* command line */
    int max_rows;                /* cap applied, query included; 0: none */
    int rows;                    /* of the alignment; of a template search: hits */
    double seconds;              /* of the search, however long ago */
    size_t peak_bytes;           /* memory of the tool */
    bool reused;
};

void ff_search_record_free(struct ff_search_record *r);
void ff_search_record_copy(const struct ff_search_record *r, struct ff_search_record *ret);

/* As an object of JSON, and back. What the text lacks is NULL, 0 or -1. */
void ff_search_record_put(struct ff_json *j, const struct ff_search_record *r);
void ff_search_record_get(const struct ff_yaml *n, struct ff_search_record *ret);

struct ff_search_manifest {
    int count;
    struct ff_search_record *items;
};

/* Of the folder; a missing or damaged manifest is an empty one. */
void ff_search_manifest_read(const char *msa_dir, struct ff_search_manifest *ret);
ff_status ff_search_manifest_write(const char *msa_dir, const struct ff_search_manifest *m) FF_MUST_USE;
/* The record of a file; NULL when there is none. */
const struct ff_search_record *ff_search_manifest_find(const struct ff_search_manifest *m, const char *file);
/* Puts a copy of the record in the place of the one of the same file, or at the end. */
void ff_search_manifest_set(struct ff_search_manifest *m, const struct ff_search_record *r);
void ff_search_manifest_free(struct ff_search_manifest *m);

#endif
