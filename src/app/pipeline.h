/* SPDX-License-Identifier: Apache-2.0
 * pipeline: one target on its way from sequence to result files: search - features - network - output.
 *
 * Order of calls: ff_pipeline_open (what all targets share), ff_pipeline_check for every target (finds what can be
 * found before the first search), ff_pipeline_run for every target, ff_pipeline_close. It may stop after any stage.
 *
 * The folder of a target holds the record of its last run (app/run_record). Results of the same inputs and settings are
 * kept and the target is skipped; an unfinished run goes on with the alignments and predictions that it has; results of
 * other inputs or settings, or of another program, are refused unless output.overwrite is set.
 */
#ifndef FF_APP_PIPELINE_H
#define FF_APP_PIPELINE_H

#include <stdbool.h>

#include "app/options.h"
#include "app/run_record.h"
#include "app/target.h"

struct ff_pipeline_options {
    int n_model;                 /* networks to predict with, at least one */
    const struct ff_config *configs;     /* [n_model] they differ in model and msa alone */
    enum ff_stage last;          /* the stage to stop after */
    const char *command;         /* as typed, for the record */
    const char *msa;             /* alignment of the user's, NULL: none */
    const char *templates;       /* structures of the user's, "FILE[:CHAIN]" on lines; NULL: none */
    const char *features;        /* file of features, NULL: none; there is one target then */
    const bool *stop;            /* true: end with FF_EINTERRUPT as soon as possible */
};

/* How a target ended. */
struct ff_outcome {
    bool skipped;                /* results were there already */
    double mean_plddt, ptm, iptm;        /* NaN: none */
    double search_seconds, features_seconds, predict_seconds, seconds;
    size_t peak_bytes;           /* most memory in use: backend and host */
    size_t planned_bytes, device_bytes;  /* of the GPU: foreseen, and told by its driver; 0: on the host */
    char *result;                /* path of what the last stage made: structure, features.npz or msas/ */
};
void ff_outcome_free(struct ff_outcome *o);

struct ff_pipeline;

/* What options point to must outlive the result. All codes but FF_ETOOL and FF_EINTERRUPT. */
ff_status ff_pipeline_open(const struct ff_pipeline_options *options, struct ff_pipeline **ret) FF_MUST_USE;
void ff_pipeline_close(struct ff_pipeline *p);           /* NULL is allowed */

/* The target of a file of features: its name is the record's that the file tells, or the file's. Caller frees. */
void ff_pipeline_features_target(const struct ff_pipeline *p, struct ff_target *ret);

/* FF_EMEMORY concerns this target alone, other codes the whole run. */
ff_status ff_pipeline_check(struct ff_pipeline *p, const struct ff_target *t) FF_MUST_USE;

/* Whether the target's results are there already, so that ff_pipeline_run will make nothing. */
bool ff_pipeline_is_done(const struct ff_pipeline *p, const struct ff_target *t);

ff_status ff_pipeline_run(struct ff_pipeline *p, const struct ff_target *t, struct ff_outcome *ret) FF_MUST_USE;

/* After the last target: profile and dump. */
ff_status ff_pipeline_finish(struct ff_pipeline *p) FF_MUST_USE;

#endif
