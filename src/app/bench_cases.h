/* SPDX-License-Identifier: Apache-2.0
 * bench_cases: the calls that one pass of a network is made of, at the sizes of one input.
 */
#ifndef FF_APP_BENCH_CASES_H
#define FF_APP_BENCH_CASES_H

#include "compute/op_call.h"
#include "model/config.h"

enum { FF_BENCH_MAX = 80 };

struct ff_bench_case {
    const char *where;           /* layer: "evoformer row attention" */
    struct ff_op_case call;
};

/* Writes at most FF_BENCH_MAX cases; returns how many. n_template 0: none of the template layers. */
int ff_bench_cases(const struct ff_model_config *c, int64_t n_res, int64_t n_seq, int64_t n_extra, int64_t n_template,
                   struct ff_bench_case *ret);

#endif
