/* SPDX-License-Identifier: Apache-2.0
 * run_record: run.json, the record of how a target's results were made. It is also what a later run in the same folder
 * goes by: results of the same inputs and settings are kept, others are not touched without --overwrite.
 *
 * The record is written whole after every stage. Keys (app/run_key) name everything that decides a stage's result. All
 * strings belong to the record; {0} is an empty one.
 */
#ifndef FF_APP_RUN_RECORD_H
#define FF_APP_RUN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "app/output_json.h"
#include "app/search.h"
#include "model/model.h"

enum ff_stage { FF_STAGE_NONE, FF_STAGE_SEARCH, FF_STAGE_FEATURES, FF_STAGE_PREDICT };

const char *ff_stage_name(enum ff_stage s);      /* "search", "features", "predict" */

struct ff_run_input {
    char *role;                  /* "sequence", "msa", "features", "parameters" */
    char *path;
    char *sha256;                /* of the content; parameters: of names, sizes and checksums of the arrays */
};

struct ff_run_file {
    char *name;                  /* in the target's folder */
    int64_t bytes;
};

/* One of the predictions of a target: a model and a seed. */
struct ff_run_prediction {
    char *name;                  /* "model_1_ptm_pred_0" */
    char *key;                   /* app/run_key */
    char *model;
    int64_t seed;
    double mean_plddt, ptm, iptm, ranking_confidence;    /* NaN: none */
    double features_seconds, predict_seconds;
    int n_pass;
    struct ff_pass_report *passes;
    size_t weight_bytes, arena_bytes, workspace_bytes;
    size_t peak_backend_bytes, device_bytes;             /* planned; told by a GPU's driver */
    int64_t chunk_bytes;
    size_t host_bytes;           /* what a GPU could not hold, on the host */
    double copied_bytes;         /* in a pass, to and from there */
    double lost;                 /* of speed, as planned, for want of memory: 0.1 is a tenth more time */
};

struct ff_run_record {
    enum ff_stage stage;         /* last one that was finished */
    char *version;
    char *command;               /* as typed */
    char *target, *description;
    char *sequence_sha256;       /* NULL when features were given */
    int n_res;
    char *features_key;          /* NULL: no features yet */
    char *prediction_key;        /* of all predictions that were asked for; NULL: none was begun */
    int n_input;
    struct ff_run_input *inputs;
    int n_search;
    struct ff_search_record *searches;
    int n_file;
    struct ff_run_file *files;   /* results of the finished stages */
    int n_prediction;            /* finished ones, in their order */
    struct ff_run_prediction *predictions;

    /* Only written, never read back. */
    char *backend, *precision;
    int threads;
    size_t peak_host_bytes;
    int n_timing;
    struct ff_named_value *timings;    /* names belong to the record */
    char *configuration;               /* YAML */
};

void ff_run_record_free(struct ff_run_record *r);
void ff_run_record_add_input(struct ff_run_record *r, const char *role, const char *path, const char *sha256);
void ff_run_record_add_timing(struct ff_run_record *r, const char *name, double seconds);

/* Adds an empty prediction (scores NaN) and returns it; valid until the next one is added. */
struct ff_run_prediction *ff_run_record_add_prediction(struct ff_run_record *r);
/* Moves the prediction of that name and key, with the files that belong to it, from an earlier record; false when there
 * is none or a file of it is missing or of another size. */
bool ff_run_record_take_prediction(struct ff_run_record *r, struct ff_run_record *from, const char *name,
                                   const char *key, const char *target_dir);
/* The one with the highest ranking confidence, the first of equal ones; NULL without predictions. */
const struct ff_run_prediction *ff_run_record_best(const struct ff_run_record *r);

/* Adds the file of the target's folder with its present size. */
void ff_run_record_add_file(struct ff_run_record *r, const char *target_dir, const char *name);

/* Whether all files of the record are there with the sizes that it says. */
bool ff_run_record_files_present(const struct ff_run_record *r, const char *target_dir);

ff_status ff_run_record_write(const struct ff_run_record *r, const char *path) FF_MUST_USE;

/* Reads the fields up to the predictions. FF_EMISSING, FF_EIO; FF_EINPUT when the file is not such a record. */
ff_status ff_run_record_read(const char *path, struct ff_run_record *ret) FF_MUST_USE;

#endif
