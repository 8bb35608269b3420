/* SPDX-License-Identifier: Apache-2.0
 * source_ahead: see source_ahead.h. The thread makes one set and ends; what it made is taken after it is joined, so
 * that nothing is shared while it runs.
 */
#include "feature/source_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"

struct set {
    int pass, member;
    bool last_pass;
    struct ff_arrays arrays;
    ff_status status;
    char *message;               /* of a failure: such messages are the thread's */
};

struct ahead {
    struct ff_source base;
    struct ff_source *inner;
    int n_pass, n_member;
    pthread_t thread;
    bool running;
    struct set set;              /* the thread's while it runs */
};

static void *make(void *user)
{
    struct ahead *a = user;
    struct set *s = &a->set;
    a->inner->last_pass = s->last_pass;
    s->status = a->inner->next(a->inner, s->pass, s->member, &s->arrays);
    s->message = s->status != FF_OK ? ff_xstrdup(ff_status_message()) : NULL;
    return NULL;
}

static void drop(struct ahead *a)
{
    if (a->running)
        pthread_join(a->thread, NULL);
    a->running = false;
    ff_arrays_free(&a->set.arrays);
    free(a->set.message);
    a->set = (struct set){.pass = -1};
}

/* Begins what follows (pass, member), if anything does. Without a thread it is made when it is asked for. */
static void begin(struct ahead *a, int pass, int member)
{
    bool next_pass = member == a->n_member - 1;
    pass += next_pass ? 1 : 0;
    if (pass >= a->n_pass || (next_pass && a->base.last_pass))
        return;
    a->set = (struct set){.pass = pass, .member = next_pass ? 0 : member + 1,
                          .last_pass = next_pass ? pass == a->n_pass - 1 : a->base.last_pass};
    a->running = pthread_create(&a->thread, NULL, make, a) == 0;
    if (!a->running)
        a->set.pass = -1;
}

static ff_status ahead_next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct ahead *a = self->impl;
    ff_status st;
    if (a->running)
        pthread_join(a->thread, NULL);
    a->running = false;
    if (a->set.pass == pass && a->set.member == member && a->set.last_pass == self->last_pass) {
        *ret = a->set.arrays;
        a->set.arrays = (struct ff_arrays){0};
        st = a->set.status == FF_OK ? FF_OK : ff_fail(a->set.status, "%s", a->set.message);
    } else {
        a->inner->last_pass = self->last_pass;
        st = a->inner->next(a->inner, pass, member, ret);
    }
    drop(a);
    if (st == FF_OK)
        begin(a, pass, member);
    return st;
}

static void ahead_destroy(struct ff_source *self)
{
    struct ahead *a = self->impl;
    drop(a);
    free(a);
}

struct ff_source *ff_source_ahead(struct ff_source *inner, int n_pass, int n_member)
{
    struct ahead *a = FF_NEW(struct ahead);
    *a = (struct ahead){.inner = inner, .n_pass = n_pass, .n_member = n_member, .set = {.pass = -1}};
    a->base = (struct ff_source){.shape = inner->shape, .next = ahead_next, .destroy = ahead_destroy, .impl = a};
    return &a->base;
}
