/* SPDX-License-Identifier: Apache-2.0
 * search_ahead: the searches of targets whose turn has not come yet.
 */
#include "app/search_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"

struct item {
    const struct ff_target *target;      /* NULL: nothing to do */
    bool ended;
    ff_status status;
    char *message;
    struct ff_outcome outcome;
};

struct ff_ahead {
    struct ff_pipeline *pipeline;
    struct item *items;                  /* [n] */
    int n, ahead;
    int next;                            /* target to take next */
    int asked;                           /* the last one that was asked for, -1 before */
    bool stop;
    const bool *interrupted;             /* of the run; may be NULL */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t *threads;                  /* [ahead] */
};

static bool is_interrupted(const struct ff_ahead *a)
{
    return a->interrupted != NULL && *(const volatile bool *)a->interrupted;
}

/* Waits a little, as the flag of an interruption wakes nobody. */
static void wait_for_change(struct ff_ahead *a)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&a->changed, &a->lock, &until);
}

/* The next target to search, or NULL at the end. */
static struct item *take(struct ff_ahead *a)
{
    struct item *item = NULL;
    pthread_mutex_lock(&a->lock);
    while (!a->stop && !is_interrupted(a) && a->next < a->n && a->next > a->asked + a->ahead)
        wait_for_change(a);
    if (!a->stop && !is_interrupted(a) && a->next < a->n)
        item = &a->items[a->next++];
    pthread_mutex_unlock(&a->lock);
    return item;
}

static void *work(void *user)
{
    struct ff_ahead *a = user;
    struct item *item;
    while ((item = take(a)) != NULL) {
        ff_status st = FF_OK;
        ff_status_clear();
        if (item->target != NULL)
            st = ff_pipeline_run(a->pipeline, item->target, &item->outcome);
        char *message = ff_xstrdup(ff_status_message());
        pthread_mutex_lock(&a->lock);
        item->status = st;
        item->message = message;
        item->ended = true;
        pthread_cond_broadcast(&a->changed);
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

ff_status ff_ahead_start(const struct ff_pipeline_options *options, int n, const struct ff_target *const *targets,
                         int ahead, struct ff_ahead **ret)
{
    struct ff_pipeline_options o = *options;
    struct ff_pipeline *p;
    o.last = FF_STAGE_SEARCH;
    *ret = NULL;
    FF_TRY(ff_pipeline_open(&o, &p));
    struct ff_ahead *a = FF_NEW(struct ff_ahead);
    *a = (struct ff_ahead){.pipeline = p, .items = FF_NEW_ARRAY(struct item, (size_t)n), .n = n, .asked = -1,
                           .ahead = ahead, .threads = FF_NEW_ARRAY(pthread_t, (size_t)ahead),
                           .interrupted = options->stop};
    for (int i = 0; i < n; i++)
        a->items[i].target = targets[i];
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    for (int i = 0; i < ahead; i++)
        FF_ASSERT(pthread_create(&a->threads[i], NULL, work, a) == 0);
    *ret = a;
    return FF_OK;
}

ff_status ff_ahead_wait(struct ff_ahead *a, int i, struct ff_outcome *ret)
{
    struct item *item = &a->items[i];
    pthread_mutex_lock(&a->lock);
    a->asked = i;
    pthread_cond_broadcast(&a->changed);
    while (!item->ended && !is_interrupted(a))
        wait_for_change(a);
    bool ended = item->ended;
    pthread_mutex_unlock(&a->lock);
    *ret = (struct ff_outcome){0};
    if (!ended)
        return ff_fail(FF_EINTERRUPT, "interrupted while searching");
    *ret = item->outcome;
    item->outcome = (struct ff_outcome){0};
    return item->status == FF_OK ? FF_OK : ff_fail(item->status, "%s", item->message);
}

void ff_ahead_stop(struct ff_ahead *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < a->ahead; i++)
        pthread_join(a->threads[i], NULL);
    for (int i = 0; i < a->n; i++) {
        free(a->items[i].message);
        ff_outcome_free(&a->items[i].outcome);
    }
    ff_pipeline_close(a->pipeline);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a->threads);
    free(a->items);
    free(a);
}
