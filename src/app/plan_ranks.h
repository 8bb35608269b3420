/* SPDX-License-Identifier: Apache-2.0
 * plan_ranks: what a target would take on 1, 2, ... ranks: memory of a rank, what it sends, predicted time.
 */
#ifndef FF_APP_PLAN_RANKS_H
#define FF_APP_PLAN_RANKS_H

#include "app/estimate.h"
#include "format/json.h"
#include "parallel/schedule.h"

struct ff_plan_rank_row {
    int n_rank;
    bool fits;
    struct ff_plan plan;             /* of the rank with the largest part; where it fits */
    struct ff_estimate pass;
    double efficiency;               /* against one rank with all the memory that it needs */
};

struct ff_plan_ranks {
    int n_row, chosen;               /* the row of parallel.dap: auto; -1: none fits */
    struct ff_plan_rank_row rows[FF_SCHEDULE_SIZES];
};

struct ff_plan_ranks_options {
    const struct ff_model_config *config;
    struct ff_input_shape shape;
    enum ff_precision precision;
    enum ff_dtype activation;
    struct ff_plan_memory memory;    /* of a rank */
    bool shared;                     /* ranks share the memory: they are on one host */
    struct ff_machine_rates rates;
};

/* FF_EMEMORY when the target fits on no number of ranks, FF_EUSAGE. */
ff_status ff_plan_ranks_make(const struct ff_plan_ranks_options *o, int n_rank, struct ff_plan_ranks *ret) FF_MUST_USE;

void ff_plan_ranks_print(const struct ff_plan_ranks *r, const struct ff_machine_rates *rates);
void ff_plan_ranks_json(const struct ff_plan_ranks *r, const struct ff_machine_rates *rates, struct ff_json *j);

#endif
