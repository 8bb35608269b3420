/* SPDX-License-Identifier: Apache-2.0
 * schedule: see schedule.h.
 */
#include "parallel/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

enum { ALL_SIZES_TO = 8 };
/* A schedule with larger groups must be better by this share: smaller ones lose less when a guess is wrong. */
static const double margin = 0.02;

int ff_schedule_sizes(int n_rank, int ret[FF_SCHEDULE_SIZES])
{
    int n = 0, size = 1;
    while (size < n_rank && n < FF_SCHEDULE_SIZES - 1) {
        ret[n++] = size;
        size = n_rank <= ALL_SIZES_TO ? size + 1 : 2 * size;
    }
    ret[n++] = n_rank;
    return n;
}

struct problem {
    int n_rank, n_size, n;
    const int *size;
    const double *seconds;           /* [n, n_size] */
    double *load;                    /* [n_rank] scratch: of the groups of a phase */
};

/* The size that a target gets where `wanted` is meant for it: the next larger one that it fits, else the next smaller
 * one (a short chain on many ranks). */
static int fitting(const struct problem *p, int target, int wanted)
{
    const double *s = p->seconds + (size_t)target * (size_t)p->n_size;
    for (int k = wanted; k < p->n_size; k++)
        if (isfinite(s[k]))
            return k;
    for (int k = wanted - 1; k >= 0; k--)
        if (isfinite(s[k]))
            return k;
    FF_ASSERT(!"a target fits no group");
    return 0;
}

/* The `n_long` longest targets on groups of size number `large`, the others on `small`: predicted seconds. */
static double evaluate(const struct problem *p, int small, int large, int n_long)
{
    double total = 0;
    for (int k = p->n_size - 1; k >= 0; k--) {
        int n_group = p->n_rank / p->size[k];
        double longest = 0;
        memset(p->load, 0, (size_t)n_group * sizeof *p->load);
        for (int i = p->n - 1; i >= 0; i--) {
            if (fitting(p, i, i >= p->n - n_long ? large : small) != k)
                continue;
            int least = 0; /* who is free first takes the next target */
            for (int g = 1; g < n_group; g++)
                least = p->load[g] < p->load[least] ? g : least;
            p->load[least] += p->seconds[(size_t)i * (size_t)p->n_size + (size_t)k];
            longest = p->load[least] > longest ? p->load[least] : longest;
        }
        total += longest;
    }
    return total;
}

static void write(const struct problem *p, int small, int large, int n_long, struct ff_schedule *ret, int *ret_phase)
{
    int phase_of[FF_SCHEDULE_SIZES];
    ret->n_phase = 0;
    for (int k = p->n_size - 1; k >= 0; k--) {
        bool used = false;
        for (int i = 0; i < p->n && !used; i++)
            used = fitting(p, i, i >= p->n - n_long ? large : small) == k;
        phase_of[k] = ret->n_phase;
        if (used)
            ret->size[ret->n_phase++] = p->size[k];
    }
    for (int i = 0; i < p->n; i++)
        ret_phase[i] = phase_of[fitting(p, i, i >= p->n - n_long ? large : small)];
}

void ff_schedule_make(int n_rank, int n_size, const int *size, int n, const double *seconds, struct ff_schedule *ret,
                      int *ret_phase)
{
    struct problem p = {.n_rank = n_rank, .n_size = n_size, .n = n, .size = size, .seconds = seconds,
                        .load = FF_NEW_ARRAY(double, (size_t)n_rank)};
    double best = INFINITY;
    int small = 0, large = 0, n_long = 0;
    for (int s = 0; s < n_size; s++)
        for (int l = s; l < n_size; l++)
            /* 1, 2, ..., 8, then steps of a fifth; 0 belongs to l == s. */
            for (int k = l > s ? 1 : 0; k == 0 || (l > s && k < n); k += 1 + k / 8 + (k > 8 ? k / 8 : 0)) {
                double t = evaluate(&p, s, l, k);
                if (t < best * (1 - margin) || !isfinite(best)) {
                    best = t;
                    small = s;
                    large = l;
                    n_long = k;
                }
                if (l == s)
                    break;
            }
    *ret = (struct ff_schedule){.seconds = best};
    write(&p, small, large, n_long, ret, ret_phase);
    free(p.load);
}
