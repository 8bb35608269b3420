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
#include "app/predictions.h"
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
    int n_rank;                  /* ranks that can share a target at most; 0 and 1: one */
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

/* Memory and work of the target on n_rank ranks: the largest plan of all networks. FF_EMEMORY: it does not fit. */
ff_status ff_pipeline_plan(struct ff_pipeline *p, const struct ff_target *t, int n_rank,
                           struct ff_plan *ret) FF_MUST_USE;

/* The ranks that share the predictions of the coming targets; NULL: this one alone. The first of them calls
 * ff_pipeline_run, the others ff_pipeline_join with what the first one tells (ff_shared_prediction). */
void ff_pipeline_set_comm(struct ff_pipeline *p, struct ff_comm *comm);
void ff_pipeline_set_shared(struct ff_pipeline *p, const struct ff_shared_prediction *shared);
ff_status ff_pipeline_join(struct ff_pipeline *p, const char *features, int model, int64_t seed) FF_MUST_USE;
struct ff_backend *ff_pipeline_device(const struct ff_pipeline *p);      /* NULL: stops before the network */

/* After the last target: profile and dump. */
ff_status ff_pipeline_finish(struct ff_pipeline *p) FF_MUST_USE;

#endif
