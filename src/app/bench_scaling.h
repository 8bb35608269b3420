/* SPDX-License-Identifier: Apache-2.0
 * bench_scaling: one pass of the network on all ranks of mpirun: its time, memory, and what the ranks sent each other.
 */
#ifndef FF_APP_BENCH_SCALING_H
#define FF_APP_BENCH_SCALING_H

#include "app/options.h"
#include "feature/source.h"
#include "format/json.h"

/* Collective over the world; one rank is a world too. For models of single chains, with synthetic parameters and random
 * features. A first pass warms up, the second is timed, a third gives logits to compare. Rank 0 prints, or adds an
 * object to json where that is not NULL. FF_EMEMORY, FF_EUSAGE. */
ff_status ff_bench_scaling(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                           struct ff_json *json) FF_MUST_USE;

#endif
