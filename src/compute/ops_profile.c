/* SPDX-License-Identifier: Apache-2.0
 * The profile backend: forwards every op to another backend and adds up its time and cost, by op and by stage.
 *
 * Moments are taken around every op and read when many have gathered, so that a GPU goes on as it would without.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "compute/cost.h"
#include "compute/moment.h"
#include "compute/wrap.h"

enum { MOST_PENDING = 8192 };

struct pending {
    int op, stage;
    struct ff_moment from, to;
};

struct profile {
    struct ff_backend *inner;    /* first: see wrap.h */
    struct ff_profile sums;
    int stage;                   /* number of the open one; -1: none yet */
    struct pending *pending;     /* [MOST_PENDING] */
    int n_pending;
};

static struct profile *profile_of(const struct ff_backend *be)
{
    return be->impl;
}

static void read_pending(struct profile *p)
{
    for (int i = 0; i < p->n_pending; i++) {
        const struct pending *x = &p->pending[i];
        double seconds = ff_moment_finish(p->inner, x->from, x->to);
        p->sums.seconds[x->op] += seconds;
        p->sums.stages[x->stage].seconds += seconds;
    }
    p->n_pending = 0;
}

static void open_stage(struct profile *p, const char *name)
{
    struct ff_profile *s = &p->sums;
    for (p->stage = 0; p->stage < s->n_stage; p->stage++)
        if (strcmp(s->stages[p->stage].name, name) == 0)
            return;
    FF_ASSERT(s->n_stage < FF_PROFILE_MAX_STAGE);
    s->stages[s->n_stage++].name = name;
}

static void add(struct profile *p, enum ff_op op, struct ff_moment from, struct ff_cost c)
{
    if (p->stage < 0)
        open_stage(p, "other");
    p->pending[p->n_pending++] = (struct pending){op, p->stage, from, ff_moment_take(p->inner)};
    ff_cost_add(&p->sums.cost[op], &c);
    ff_cost_add(&p->sums.stages[p->stage].cost, &c);
    if (p->n_pending == MOST_PENDING)
        read_pending(p);
}

#define X(op)                                                                        \
    static void profile_##op(struct ff_backend *be, const struct ff_##op##_args *a)  \
    {                                                                                \
        struct profile *p = profile_of(be);                                          \
        struct ff_moment from = ff_moment_take(p->inner);                            \
        p->inner->ops->op(p->inner, a);                                              \
        add(p, FF_OP_##op, from, ff_cost_##op(a));                                   \
    }
FF_OPS(X)
#undef X

static const struct ff_ops profile_ops = {
#define X(op) .op = profile_##op,
    FF_OPS(X)
#undef X
};

static void profile_stage(struct ff_backend *be, const char *name, int block, int n_block)
{
    struct profile *p = profile_of(be);
    open_stage(p, name);
    if (p->inner->stage != NULL)
        p->inner->stage(p->inner, name, block, n_block);
}

static void profile_destroy(struct ff_backend *be)
{
    struct profile *p = profile_of(be);
    read_pending(p);
    free(p->pending);
    free(p);
    free(be);
}

struct ff_backend *ff_backend_profile_create(struct ff_backend *inner)
{
    struct profile *p = FF_NEW(struct profile);
    p->inner = inner;
    p->stage = -1;
    p->pending = FF_NEW_ARRAY(struct pending, MOST_PENDING);
    struct ff_backend *be = ff_wrap_create(inner, &profile_ops, p, profile_destroy);
    be->stage = profile_stage;
    return be;
}

const struct ff_profile *ff_backend_profile_read(struct ff_backend *be)
{
    struct profile *p = profile_of(be);
    read_pending(p);
    return &p->sums;
}
