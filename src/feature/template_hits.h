/* SPDX-License-Identifier: Apache-2.0
 * template_hits: what can be said about a template hit before its structure is read: which residues pair, whether it is
 * worth reading, which entry replaced it. Source: AlphaFold data/templates.py.
 */
#ifndef FF_FEATURE_TEMPLATE_HITS_H
#define FF_FEATURE_TEMPLATE_HITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strset.h"
#include "bio/template_hit.h"

/* --- dates --- a date is the number yyyymmdd */

/* "2021-09-30" (one-digit months and days are fine); false when it is no date. */
bool ff_template_date_parse(const char *text, size_t len, int *ret);

struct ff_release_dates {
    struct ff_strset ids;        /* as spelled in the file: lower case is looked up */
    int *dates;                  /* [ids.count] */
    int capacity;
};

/* Lines "1abc: 2001-02-03"; later ones win. FF_EINPUT with file and line. */
ff_status ff_release_dates_parse(const char *name, const char *text, size_t len,
                                 struct ff_release_dates *ret) FF_MUST_USE;
ff_status ff_release_dates_load(const char *path, struct ff_release_dates *ret) FF_MUST_USE;  /* gzip too */
void ff_release_dates_free(struct ff_release_dates *d);
int ff_release_dates_find(const struct ff_release_dates *d, const char *pdb_id);             /* 0 when not known */

/* --- obsolete entries --- */

struct ff_obsolete {
    struct ff_strset ids;        /* lower case */
    char (*replacement)[5];      /* [ids.count] lower case; "" when the entry was removed without one */
    int capacity;
};

/* The PDB's obsolete.dat. Lines of other forms are passed over; of several successors the first counts. */
void ff_obsolete_parse(const char *text, size_t len, struct ff_obsolete *ret);
ff_status ff_obsolete_load(const char *path, struct ff_obsolete *ret) FF_MUST_USE;            /* gzip too */
void ff_obsolete_free(struct ff_obsolete *o);
const char *ff_obsolete_find(const struct ff_obsolete *o, const char *pdb_id);                /* NULL: not obsolete */

/* --- hits --- */

/* Pairs of residues: query[i] goes with hit[i]. Numbers of the hit count within its sequence without gaps. In the
 * published program a query number can be -1 (the aligned piece does not occur in the query, as when the search tool
 * changed letters), which there means the last residue. */
struct ff_template_mapping {
    int n;
    int32_t *query;              /* [n] */
    int32_t *hit;                /* [n] */
};

/* false, and an empty mapping, when the hit aligns no residue on one of its sides. A hit without any alignment has an
 * empty mapping, too, and gives true. */
bool ff_template_mapping_build(const struct ff_template_hit *hit, const char *query, struct ff_template_mapping *ret);
void ff_template_mapping_free(struct ff_template_mapping *m);

/* The hit's sequence without gaps. Caller frees. */
char *ff_template_hit_letters(const struct ff_template_hit *hit);

enum ff_template_filter {
    FF_TEMPLATE_PASSES,
    FF_TEMPLATE_TOO_NEW,         /* by the release dates given; entries that are not in there pass */
    FF_TEMPLATE_TOO_FEW,         /* aligned columns: at most a tenth of the query */
    FF_TEMPLATE_DUPLICATE,       /* a piece of the query itself with more than 95 % of its length */
    FF_TEMPLATE_TOO_SHORT,       /* less than 10 residues */
};

/* The first of these reasons that holds. pdb_id: of the entry that will be read. dates may be NULL. */
enum ff_template_filter ff_template_prefilter(const struct ff_template_hit *hit, const char *pdb_id, const char *query,
                                              const struct ff_release_dates *dates, int max_date);

#endif
