/* SPDX-License-Identifier: Apache-2.0
 * bench_block: one block of the Evoformer, forward, with synthetic parameters.
 */
#ifndef FF_APP_BENCH_BLOCK_H
#define FF_APP_BENCH_BLOCK_H

#include "app/bench_time.h"
#include "model/config.h"

struct ff_bench_block {
    int n_seq, n_res;
    struct ff_bench_times times;
    struct ff_cost cost;
    size_t bytes;                    /* representations, scratch and parameters */
};

enum { FF_BENCH_MAX_BLOCK = 16 };

/* "128x256,512x384": sequences x residues. FF_EUSAGE. */
ff_status ff_bench_block_parse(const char *flag, const char *text, struct ff_bench_block ret[FF_BENCH_MAX_BLOCK],
                               int *ret_n) FF_MUST_USE;
/* Fills the rest of *b. FF_EMEMORY. */
ff_status ff_bench_block(const struct ff_model_config *c, struct ff_bench_timer *timer,
                         struct ff_bench_block *b) FF_MUST_USE;

#endif
