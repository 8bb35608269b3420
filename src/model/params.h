/* SPDX-License-Identifier: Apache-2.0
 * params: the published parameter files: finding, checking and reading them into the weights; and synthetic ones.
 * The public functions (check, resolve, synthesise, list) are declared in model/model.h.
 */
#ifndef FF_MODEL_PARAMS_H
#define FF_MODEL_PARAMS_H

#include "model/model.h"
#include "model/weights.h"

/* Fills the weights laid out in host memory at base (bytes long, zeroed; the layout of ff_weights_walk). */
ff_status ff_params_load(const char *params, const struct ff_model_config *c, enum ff_dtype trunk_dtype, void *base,
                         size_t bytes) FF_MUST_USE;

#endif
