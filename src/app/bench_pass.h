/* SPDX-License-Identifier: Apache-2.0
 * bench_pass: one whole pass of the network over random features with synthetic parameters: its time, and
 * where that goes.
 */
#ifndef FF_APP_BENCH_PASS_H
#define FF_APP_BENCH_PASS_H

#include "app/bench_time.h"
#include "app/options.h"
#include "feature/source.h"
#include "model/model.h"

struct ff_bench_pass {
    struct ff_bench_times times;         /* of passes that nothing waits in or looks at, without logits */
    double with_logits;                  /* seconds of one whose logits go to the host; 0: not measured */
    double features;                     /* seconds that the features of a pass took, before it */
    double parameters;                   /* seconds until the parameters were in the backend */
    size_t peak_bytes;
    double profiled;                     /* seconds of the pass that was profiled */
    struct ff_profile profile;
};

/* For models of single chains. shape: n_res, n_seq, n_extra and n_template count. Where the host does not compute
 * itself, some passes are run one after the other, of which the first warms up, and one more under a profile;
 * elsewhere that one is all. FF_EMEMORY. */
ff_status ff_bench_pass(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                        const bool *stop, struct ff_bench_pass *ret) FF_MUST_USE;

/* For results that nobody keeps. */
void ff_bench_drop_rows(void *user, int64_t from, int64_t n, const float *rows);

/* Random features of that shape, drawn from the same seed each time. */
ff_status ff_bench_source(const struct ff_config *config, const struct ff_input_shape *shape,
                          struct ff_source **ret) FF_MUST_USE;

#endif
