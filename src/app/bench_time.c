/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "compute/moment.h"

enum { MOST_RUNS = 50, FLOOD_ROWS = 64 << 10, FLOOD_COLUMNS = 1 << 10 };     /* 256 MiB: no GPU caches that much */
enum { MOST_OF_TURN = 1024 };        /* a short operation is busy for about as long as the measurements beside it */
static const double enough_seconds = 0.1;

/* --- what the machine reaches ------------------------------------------------------------------------------------- */

ff_status ff_bench_timer_open(struct ff_backend *be, struct ff_bench_timer *ret)
{
    *ret = (struct ff_bench_timer){.be = be};
    if (be->mark == NULL)
        return FF_OK;
    void *memory;
    FF_TRY(be->alloc(be, (size_t)FLOOD_ROWS * FLOOD_COLUMNS * sizeof(float), &memory));
    ret->flood = ff_tensor_make(memory, FF_F32, FF_SHAPE(FLOOD_ROWS, FLOOD_COLUMNS));
    return FF_OK;
}

void ff_bench_timer_close(struct ff_bench_timer *t)
{
    if (ff_tensor_present(&t->flood))
        t->be->release(t->be, t->flood.data);
    t->flood = (struct ff_tensor){0};
    if (t->n_round > 0)
        t->be->measure(t->be, NULL, NULL);
}

void ff_bench_timer_free(struct ff_bench_timer *t)
{
    free(t->rounds);
    *t = (struct ff_bench_timer){0};
}

struct ff_rates ff_bench_measure(struct ff_bench_timer *t, const struct ff_cost *of)
{
    if (t->be->mark != NULL && t->n_round > 0)
        return t->rounds[0];
    struct ff_rates now;
    t->be->measure(t->be, of, &now);
    FF_GROW(t->rounds, t->n_round, t->room);
    t->rounds[t->n_round++] = now;
    return now;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ff_bench_median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    return n > 0 ? (x[n / 2] + x[(n - 1) / 2]) / 2 : 0;
}

static double *rate(struct ff_rates *r, int k)
{
    return k == 0 ? &r->flops : k == 1 ? &r->bytes : &r->functions;
}

struct ff_bench_rates ff_bench_rates(const struct ff_bench_timer *t, int first)
{
    struct ff_bench_rates all = {0};
    double *x = FF_NEW_ARRAY(double, (size_t)t->n_round + 1);
    for (int k = 0; k < 3; k++) {
        int n = 0;
        for (int i = first; i < t->n_round; i++)
            if (*rate(&t->rounds[i], k) > 0)
                x[n++] = *rate(&t->rounds[i], k);
        *rate(&all.median, k) = ff_bench_median(x, n);
        *rate(&all.least, k) = n > 0 ? x[0] : 0;
        *rate(&all.most, k) = n > 0 ? x[n - 1] : 0;
    }
    free(x);
    return all;
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

struct ff_bench_times ff_bench_times_of(double *seconds, int n)
{
    double median = ff_bench_median(seconds, n);
    return (struct ff_bench_times){.best = seconds[0], .median = median, .runs = n};
}

struct span {
    struct ff_moment from, to;
};

static struct span one_run(const struct ff_bench_timer *t, void (*run)(void *user), void *user)
{
    struct span s;
    if (ff_tensor_present(&t->flood))
        FF_OP(t->be, fill, .out = t->flood, .value = 0.0f);
    s.from = ff_moment_take(t->be);
    run(user);
    s.to = ff_moment_take(t->be);
    return s;
}

static double seconds_of_run(const struct ff_bench_timer *t, void (*run)(void *user), void *user)
{
    struct span s = one_run(t, run, user);
    return ff_moment_finish(t->be, s.from, s.to);
}

static int between(double x, int least, int most)
{
    return x < least ? least : x > most ? most : (int)x;
}

static struct ff_rates mean_rates(const struct ff_rates *a, const struct ff_rates *b)
{
    return (struct ff_rates){(a->flops + b->flops) / 2, (a->bytes + b->bytes) / 2, (a->functions + b->functions) / 2};
}

/* Turns for work of which a run takes that long, and a measurement round_seconds: measurements may take a few times as
 * long as the runs between them. */
static int turns_of(double run_seconds, double round_seconds)
{
    double runs = fmin(FF_BENCH_TURNS * MOST_OF_TURN * run_seconds, enough_seconds);
    return between((FF_BENCH_TURNS + 1) * runs / round_seconds, 1, FF_BENCH_TURNS);
}

/* Means, of runs as of measurements, which both take tens of milliseconds: the median of short runs would leave out
 * what others took from them, and measurements could not. */
static void time_by_turns(struct ff_bench_timer *t, const struct ff_cost *cost, void (*run)(void *user), void *user,
                          struct ff_bench_times *ret)
{
    struct ff_bench_turn turns[FF_BENCH_TURNS] = {0};
    double seconds[FF_BENCH_TURNS * MOST_OF_TURN], estimate = seconds_of_run(t, run, user);
    if (estimate < enough_seconds / FF_BENCH_TURNS)
        estimate = seconds_of_run(t, run, user);
    double start = ff_clock_now();
    struct ff_rates before = ff_bench_measure(t, cost);
    int n_turn = turns_of(estimate, ff_clock_now() - start), runs = 0;
    int n = between(enough_seconds / n_turn / (estimate > 1e-9 ? estimate : 1e-9), 1, MOST_OF_TURN);
    for (int i = 0; i < n_turn; i++) {
        double sum = 0;
        if (n > 1)
            run(user);               /* its operands are in the caches again */
        for (int k = 0; k < n; k++) {
            seconds[runs] = seconds_of_run(t, run, user);
            sum += seconds[runs++];
        }
        struct ff_rates after = ff_bench_measure(t, cost);
        turns[i] = (struct ff_bench_turn){sum / n, mean_rates(&before, &after)};
        before = after;
    }
    *ret = ff_bench_times_of(seconds, runs);
    memcpy(ret->turns, turns, sizeof turns);
    ret->n_turn = n_turn;
}

/* All runs are issued before the first is read, so that a GPU never waits for the host inside of one. */
static void time_issued(struct ff_bench_timer *t, int fewest, void (*run)(void *user), void *user,
                        struct ff_bench_times *ret)
{
    struct span spans[MOST_RUNS];
    double seconds[MOST_RUNS], estimate = 0, issue = 0;
    struct ff_rates rates = ff_bench_measure(t, NULL);
    for (int i = 0; i < 2; i++) {
        t->be->sync(t->be);
        double start = ff_clock_now();
        struct span s = one_run(t, run, user);
        issue = ff_clock_now() - start;
        estimate = ff_moment_finish(t->be, s.from, s.to);
    }
    int n = between(enough_seconds / (estimate > 1e-9 ? estimate : 1e-9), fewest, MOST_RUNS);
    for (int i = 0; i < n; i++)
        spans[i] = one_run(t, run, user);
    for (int i = 0; i < n; i++)
        seconds[i] = ff_moment_finish(t->be, spans[i].from, spans[i].to);
    *ret = ff_bench_times_of(seconds, n);
    ret->issue = issue;
    ret->turns[0] = (struct ff_bench_turn){ret->median, rates};
    ret->n_turn = 1;
}

void ff_bench_time(struct ff_bench_timer *t, int fewest, const struct ff_cost *cost, void (*run)(void *user),
                   void *user, struct ff_bench_times *ret)
{
    if (t->be->mark == NULL)
        time_by_turns(t, cost, run, user, ret);
    else
        time_issued(t, fewest, run, user, ret);
}
