/* SPDX-License-Identifier: Apache-2.0
 * predictor: the network as the stages use it: backend, parameters and memory plan of a run, and for every target one
 * call that shows progress, writes the result files and fills the run's record.
 *
 * The parameters are read into the backend by the first ff_predictor_run, so that searches do not hold their memory.
 */
#ifndef FF_APP_PREDICTOR_H
#define FF_APP_PREDICTOR_H

#include <stdbool.h>

#include "app/options.h"
#include "app/run_record.h"
#include "feature/source.h"
#include "model/model.h"

struct ff_predictor;

/* Chooses the backend and checks the parameters by their headers. config must outlive the result. FF_EUSAGE, FF_EINPUT,
 * FF_EMISSING, FF_EGPU. */
ff_status ff_predictor_open(const struct ff_config *config, struct ff_predictor **ret) FF_MUST_USE;
void ff_predictor_close(struct ff_predictor *p);         /* NULL is allowed */

const char *ff_predictor_params_path(const struct ff_predictor *p);      /* "synthetic" without a file */
const char *ff_predictor_params_sha256(const struct ff_predictor *p);    /* ff_run_key_params */
enum ff_precision ff_predictor_precision(const struct ff_predictor *p);

/* Sizes of a target's features before they are made: n_row rows of alignment, -1 where a search will tell. */
void ff_predictor_shape(const struct ff_config *config, int n_res, int n_row, struct ff_input_shape *ret);

/* Whether a prediction of that shape fits, and how. FF_EMEMORY with the numbers. */
ff_status ff_predictor_plan(struct ff_predictor *p, const struct ff_input_shape *shape,
                            struct ff_plan *ret) FF_MUST_USE;

/* Predicts, writes the result files into target_dir, and adds to record what run.json tells of a prediction. *stop
 * true ends it with FF_EINTERRUPT. ret_structure gets the path of the ranked structure; the caller frees it. */
ff_status ff_predictor_run(struct ff_predictor *p, struct ff_source *source, const char *target_dir, const bool *stop,
                           struct ff_run_record *record, char **ret_structure) FF_MUST_USE;

/* Prints the time of every kind of operation (run.profile) and completes the dump (run.dump). */
ff_status ff_predictor_finish(struct ff_predictor *p) FF_MUST_USE;

#endif
