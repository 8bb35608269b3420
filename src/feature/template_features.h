/* SPDX-License-Identifier: Apache-2.0
 * template_features: turns the hits of a template search into templates for the network.
 *
 * As published (AlphaFold data/templates.py), with one difference: where the published program stops (a structure that
 * is missing or has no date, an hmmsearch hit that cannot be aligned anew, ...) the hit is skipped with a warning.
 */
#ifndef FF_FEATURE_TEMPLATE_FEATURES_H
#define FF_FEATURE_TEMPLATE_FEATURES_H

#include "base/status.h"
#include "bio/template_hit.h"
#include "feature/template_hits.h"
#include "feature/template_match.h"
#include "feature/template_set.h"

enum ff_template_search {
    FF_TEMPLATES_HHSEARCH,       /* repeats are allowed */
    FF_TEMPLATES_HMMSEARCH,      /* each template sequence is used once */
};

struct ff_template_options {
    enum ff_template_search search;
    const char *mmcif_dir;       /* holds 1abc.cif or 1abc.cif.gz, or these in folders "ab" as the PDB does */
    int max_date;                /* yyyymmdd; newer structures are left out */
    int max_hits;                /* templates wanted; 20 as published */
    const struct ff_release_dates *dates;    /* may be NULL: dates are then read from the structures */
    const struct ff_obsolete *obsolete;      /* may be NULL */
    ff_template_aligner align;   /* may be NULL: hits that must be aligned anew are then skipped */
    void *align_user;
};

/* What became of a hit. */
enum ff_template_fate {
    FF_TEMPLATE_USED,            /* with a message: it was aligned anew */
    FF_TEMPLATE_FILTERED,        /* by date, length, coverage, as a duplicate or repeat: nothing is wrong with it */
    FF_TEMPLATE_WARNING,         /* its structure cannot be used */
    FF_TEMPLATE_ERROR,           /* hit and structure do not fit together */
};

struct ff_template_fate_of_hit {
    int index;                   /* of the hit in its file */
    char *name;                  /* "2crb_A": entry that was read (after replacement of obsolete ones) and chain */
    enum ff_template_fate fate;
    char *message;               /* why, or NULL */
};

struct ff_template_report {
    struct ff_template_fate_of_hit *items;   /* in the order in which hits were tried; those after the last wanted
                                              * template are not in here */
    int count;
    int capacity;
};

void ff_template_report_free(struct ff_template_report *r);
int ff_template_report_count(const struct ff_template_report *r, enum ff_template_fate fate);
/* Warnings and errors as warnings, new alignments as information, filtered hits for --verbose. */
void ff_template_report_log(const struct ff_template_report *r);

/* Appends templates to set (set->n_res is the query's length), at most max_hits, and what happened to report (may be
 * NULL). Hits are tried by falling sum_probs, those without in the order of the file. Logs nothing. Fails only when
 * the aligner was interrupted. Empty sets are the caller's matter (ff_template_set_to_arrays). */
ff_status ff_template_features_make(const char *query, const struct ff_template_hits *hits,
                                    const struct ff_template_options *opt, struct ff_template_set *set,
                                    struct ff_template_report *report) FF_MUST_USE;

#endif
