/* SPDX-License-Identifier: Apache-2.0
 * bench_time: repeats work on a backend and times every run by the clock of who computes, beside what the machine
 * reaches. A GPU is ours: it is measured once. Its second-level cache would keep the operands of a small operation from
 * run to run and is overwritten before each. Processors are shared with others, and what they reach moves by a third
 * within seconds: runs and measurements take turns there, and what is compared ran side by side.
 */
#ifndef FF_APP_BENCH_TIME_H
#define FF_APP_BENCH_TIME_H

#include "compute/backend.h"

enum { FF_BENCH_TURNS = 4 };

struct ff_bench_timer {
    struct ff_backend *be;
    struct ff_tensor flood;          /* absent where caches are left as they are */
    struct ff_rates *rounds;         /* what was measured, in order */
    int n_round, room;
};

/* Runs one after the other; rates are the mean of what the machine reached before and after them. */
struct ff_bench_turn {
    double seconds;                  /* of a run: the mean on processors, the median on a GPU */
    struct ff_rates rates;           /* 0: not measured */
};

struct ff_bench_times {
    double best, median;             /* seconds; 0: nothing ran */
    double issue;                    /* host seconds to issue a run that nothing waits for; 0: not measured */
    int runs;
    struct ff_bench_turn turns[FF_BENCH_TURNS];
    int n_turn;
};

struct ff_bench_rates {
    struct ff_rates median, least, most;
};

ff_status ff_bench_timer_open(struct ff_backend *be, struct ff_bench_timer *ret) FF_MUST_USE;  /* FF_EMEMORY */
/* Gives back memory; what was measured stays until ff_bench_timer_free. */
void ff_bench_timer_close(struct ff_bench_timer *t);
void ff_bench_timer_free(struct ff_bench_timer *t);
/* What the machine reaches now, on processors; on a GPU what it reached when the timer was opened. of: what has to be
 * known, NULL: everything. */
struct ff_rates ff_bench_measure(struct ff_bench_timer *t, const struct ff_cost *of);
/* Of the measurements from number `first` on. */
struct ff_bench_rates ff_bench_rates(const struct ff_bench_timer *t, int first);
/* Warms up, then as often as makes a sound median in a fraction of a second, or fewest times at least. cost: of a
 * run. */
void ff_bench_time(struct ff_bench_timer *t, int fewest, const struct ff_cost *cost, void (*run)(void *user),
                   void *user, struct ff_bench_times *ret);
double ff_bench_median(double *x, int n);                /* sorts them */
/* Of n measured runs; sorts them. */
struct ff_bench_times ff_bench_times_of(double *seconds, int n);

#endif
