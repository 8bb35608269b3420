/* SPDX-License-Identifier: Apache-2.0
 * The profile backend: forwards every op to another backend and adds up its time and cost.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "compute/cost.h"
#include "compute/wrap.h"

struct profile {
    struct ff_backend *inner;    /* first: see wrap.h */
    double seconds[FF_OP_COUNT];
    struct ff_cost cost[FF_OP_COUNT];
};

static struct profile *profile_of(const struct ff_backend *be)
{
    return be->impl;
}

static void add(struct profile *p, enum ff_op op, double seconds, struct ff_cost c)
{
    p->seconds[op] += seconds;
    p->cost[op].flops += c.flops;
    p->cost[op].bytes += c.bytes;
    p->cost[op].calls += c.calls;
}

#define X(op)                                                                        \
    static void profile_##op(struct ff_backend *be, const struct ff_##op##_args *a)  \
    {                                                                                \
        struct profile *p = profile_of(be);                                          \
        p->inner->sync(p->inner);                                                    \
        double start = ff_clock_now();                                               \
        p->inner->ops->op(p->inner, a);                                              \
        p->inner->sync(p->inner);                                                    \
        add(p, FF_OP_##op, ff_clock_now() - start, ff_cost_##op(a));                 \
    }
FF_OPS(X)
#undef X

static const struct ff_ops profile_ops = {
#define X(op) .op = profile_##op,
    FF_OPS(X)
#undef X
};

static void profile_destroy(struct ff_backend *be)
{
    free(be->impl);
    free(be);
}

struct ff_backend *ff_backend_profile_create(struct ff_backend *inner)
{
    struct profile *p = FF_NEW(struct profile);
    p->inner = inner;
    return ff_wrap_create(inner, &profile_ops, p, profile_destroy);
}

const double *ff_backend_profile_seconds(const struct ff_backend *be)
{
    return profile_of(be)->seconds;
}

const struct ff_cost *ff_backend_profile_costs(const struct ff_backend *be)
{
    return profile_of(be)->cost;
}
