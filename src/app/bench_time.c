/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_time.h"

#include <stdlib.h>

#include "base/clock.h"
#include "compute/moment.h"

enum { MOST_RUNS = 50, FLOOD_ROWS = 64 << 10, FLOOD_COLUMNS = 1 << 10 };     /* 256 MiB: no GPU caches that much */
static const double enough_seconds = 0.1;

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
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct ff_bench_times ff_bench_times_of(double *seconds, int n)
{
    qsort(seconds, (size_t)n, sizeof *seconds, compare_doubles);
    return (struct ff_bench_times){.best = seconds[0], .median = (seconds[n / 2] + seconds[(n - 1) / 2]) / 2,
                                   .runs = n};
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

/* All runs are issued before the first is read, so that a GPU never waits for the host inside of one. */
void ff_bench_time(const struct ff_bench_timer *t, int fewest, void (*run)(void *user), void *user,
                   struct ff_bench_times *ret)
{
    struct span spans[MOST_RUNS];
    double seconds[MOST_RUNS], estimate = 0, issue = 0;
    for (int i = 0; i < 2; i++) {
        t->be->sync(t->be);
        double start = ff_clock_now();
        struct span s = one_run(t, run, user);
        issue = ff_clock_now() - start;
        estimate = ff_moment_finish(t->be, s.from, s.to);
    }
    double wanted = enough_seconds / (estimate > 1e-9 ? estimate : 1e-9);
    int n = wanted > MOST_RUNS ? MOST_RUNS : wanted < fewest ? fewest : (int)wanted;
    for (int i = 0; i < n; i++)
        spans[i] = one_run(t, run, user);
    for (int i = 0; i < n; i++)
        seconds[i] = ff_moment_finish(t->be, spans[i].from, spans[i].to);
    *ret = ff_bench_times_of(seconds, n);
    ret->issue = t->be->mark != NULL ? issue : 0;
}
