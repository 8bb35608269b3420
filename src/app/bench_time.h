/* SPDX-License-Identifier: Apache-2.0
 * bench_time: repeats work on a backend and times every run by the clock of who computes. On a GPU, whose second-level
 * cache would keep the operands of a small operation from run to run, that cache is overwritten before each.
 */
#ifndef FF_APP_BENCH_TIME_H
#define FF_APP_BENCH_TIME_H

#include "compute/backend.h"

struct ff_bench_timer {
    struct ff_backend *be;
    struct ff_tensor flood;          /* absent where caches are left as they are */
};

struct ff_bench_times {
    double best, median;             /* seconds; 0: nothing ran */
    double issue;                    /* host seconds to issue a run that nothing waits for; 0: not measured */
    int runs;
};

ff_status ff_bench_timer_open(struct ff_backend *be, struct ff_bench_timer *ret) FF_MUST_USE;  /* FF_EMEMORY */
void ff_bench_timer_close(struct ff_bench_timer *t);
/* Twice to warm up, then as often as makes a sound median in a fraction of a second, or fewest times at least. */
void ff_bench_time(const struct ff_bench_timer *t, int fewest, void (*run)(void *user), void *user,
                   struct ff_bench_times *ret);
/* Of n measured runs; sorts them. */
struct ff_bench_times ff_bench_times_of(double *seconds, int n);

#endif
