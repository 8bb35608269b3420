/* SPDX-License-Identifier: Apache-2.0
 * predictor: the networks as the stages use them: backend, parameters and memory plan of a run, and for every
 * prediction one call that shows progress, writes its result files and fills the run's record.
 *
 * A run may have several networks. Parameters are read into the backend when a prediction needs them, so that searches
 * do not hold their memory, and those of the next network take the place of the present one's.
 */
#ifndef FF_APP_PREDICTOR_H
#define FF_APP_PREDICTOR_H

#include <stdbool.h>

#include "app/options.h"
#include "app/run_record.h"
#include "feature/source.h"
#include "model/model.h"

struct ff_predictor;

/* Chooses the backend and checks the parameters by their headers. configs, one for each network, must outlive the
 * result; they differ in model and msa alone. FF_EUSAGE, FF_EINPUT, FF_EMISSING, FF_EGPU. */
ff_status ff_predictor_open(int n_model, const struct ff_config *configs /* [n_model] */,
                            struct ff_predictor **ret) FF_MUST_USE;
void ff_predictor_close(struct ff_predictor *p);         /* NULL is allowed */

/* The ranks that share the coming predictions, NULL: this one alone. The first of them writes the results; all make the
 * same calls of ff_predictor_agree and ff_predictor_run in the same order. */
void ff_predictor_set_comm(struct ff_predictor *p, struct ff_comm *comm);
/* The status of the first of these ranks that failed, for all of them. */
ff_status ff_predictor_agree(const struct ff_predictor *p, ff_status own) FF_MUST_USE;
struct ff_backend *ff_predictor_device(const struct ff_predictor *p);

/* Of the network number model. */
const char *ff_predictor_params_path(const struct ff_predictor *p, int model);   /* "synthetic" without a file */
const char *ff_predictor_params_sha256(const struct ff_predictor *p, int model); /* ff_run_key_params */
enum ff_precision ff_predictor_precision(const struct ff_predictor *p);
const char *ff_predictor_precision_name(const struct ff_predictor *p);
const char *ff_predictor_backend(const struct ff_predictor *p);

/* Sizes of a target's features before they are made: n_row rows of alignment, -1 where a search will tell. */
void ff_predictor_shape(const struct ff_config *config, int n_res, int n_row, struct ff_input_shape *ret);

/* Whether a prediction of that shape fits this rank, and how. FF_EMEMORY with the numbers. */
ff_status ff_predictor_plan(struct ff_predictor *p, int model, const struct ff_input_shape *shape,
                            struct ff_plan *ret) FF_MUST_USE;

struct ff_predictor_job {
    int model;                   /* number of the network */
    const char *name;            /* of the prediction */
    int64_t seed;                /* that the source draws with */
    struct ff_source *source;
    int n_chain;                 /* of input_chain */
    const int32_t *input_chain;  /* [n_chain] places of the chains in the input (feature/assembly.h); NULL: same */
    const char *target_dir;
    const bool *stop;            /* true ends it with FF_EINTERRUPT */
};

/* Predicts, writes the files of this prediction into target_dir, and adds it and them to the record. Of several ranks
 * the first one writes; for the others record and target_dir are NULL. */
ff_status ff_predictor_run(struct ff_predictor *p, const struct ff_predictor_job *job,
                           struct ff_run_record *record) FF_MUST_USE;

/* Prints the time of every kind of operation (run.profile) and completes the dump (run.dump). */
ff_status ff_predictor_finish(struct ff_predictor *p) FF_MUST_USE;

#endif
