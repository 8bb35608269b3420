/* SPDX-License-Identifier: Apache-2.0
 * bench_pass: one whole pass of the network over random features with synthetic parameters, timed op by op.
 */
#ifndef FF_APP_BENCH_PASS_H
#define FF_APP_BENCH_PASS_H

#include "app/options.h"
#include "model/model.h"

struct ff_bench_pass {
    double seconds;                      /* the pass, waiting after every op */
    size_t peak_bytes;
    double op_seconds[FF_OP_COUNT];
    struct ff_cost op_cost[FF_OP_COUNT];
};

/* For models of single chains. shape: n_res, n_seq, n_extra and n_template count. FF_EMEMORY. */
ff_status ff_bench_pass(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                        const bool *stop, struct ff_bench_pass *ret) FF_MUST_USE;

#endif
