/* SPDX-License-Identifier: Apache-2.0
 * search_budget: processors and memory that searches share.
 */
#include "app/search_budget.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/status.h"

enum { LOOK_MS = 100 };          /* how often a waiting search looks at its stop flag */
enum { AHEAD = 4 };              /* searches that may prepare on processors that others have pooled */

struct ff_search_budget {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_cond_t turn_ended;
    int cpus, free_cpus;                 /* below 0: so many that are pooled are not there for turns */
    int pooled_cpus, n_turn;             /* lent to turns; turns under way */
    size_t memory, free_memory;
    int n_running;
    long n_chain;
    struct ff_search_ticket *queue;      /* in the order of admission */
};

struct ff_search_budget *ff_search_budget_new(int cpus, size_t memory)
{
    struct ff_search_budget *b = FF_NEW(struct ff_search_budget);
    FF_ASSERT(cpus >= 1);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    pthread_cond_init(&b->turn_ended, NULL);
    b->cpus = b->free_cpus = cpus;
    b->memory = b->free_memory = memory;
    return b;
}

void ff_search_budget_free(struct ff_search_budget *b)
{
    if (b == NULL)
        return;
    pthread_cond_destroy(&b->turn_ended);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

int ff_search_budget_cpus(const struct ff_search_budget *b)
{
    return b->cpus;
}

long ff_search_budget_next_chain(struct ff_search_budget *b)
{
    pthread_mutex_lock(&b->lock);
    long n = b->n_chain++;
    pthread_mutex_unlock(&b->lock);
    return n;
}

static bool goes_before(const struct ff_search_ticket *a, const struct ff_search_ticket *b)
{
    return a->chain != b->chain ? a->chain < b->chain : a->cost > b->cost;
}

void ff_search_budget_enqueue(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    pthread_mutex_lock(&b->lock);
    struct ff_search_ticket **link = &b->queue;
    while (*link != NULL && !goes_before(t, *link))
        link = &(*link)->next;
    t->next = *link;
    *link = t;
    pthread_mutex_unlock(&b->lock);
}

static void take_out(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    for (struct ff_search_ticket **link = &b->queue; *link != NULL; link = &(*link)->next) {
        if (*link == t) {
            *link = t->next;
            break;
        }
    }
    pthread_cond_broadcast(&b->changed); /* another one may be the first now */
}

void ff_search_budget_cancel(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    pthread_mutex_lock(&b->lock);
    take_out(b, t);
    pthread_mutex_unlock(&b->lock);
}

/* A long search does not begin with a few processors while others are about to end, unless it shares theirs; when
 * nothing runs, it does. */
static bool fits(const struct ff_search_budget *b, const struct ff_search_ticket *t)
{
    if (b->n_running == 0)
        return true;
    if (t->memory > b->free_memory)
        return false;
    if (t->turns && b->pooled_cpus > 0)
        return b->free_cpus > -AHEAD && b->free_cpus + b->pooled_cpus > 0;
    return b->free_cpus >= 1 && 2 * b->free_cpus >= t->cpus;
}

bool ff_search_budget_wait(struct ff_search_budget *b, struct ff_search_ticket *t, const bool *stop)
{
    pthread_mutex_lock(&b->lock);
    while (b->queue != t || !fits(b, t)) {
        if (stop != NULL && *(const volatile bool *)stop) {
            take_out(b, t);
            pthread_mutex_unlock(&b->lock);
            return false;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&b->changed, &b->lock, &until);
    }
    take_out(b, t);
    if (t->cpus > b->free_cpus)
        t->cpus = b->free_cpus > 1 ? b->free_cpus : 1;
    if (t->memory > b->free_memory)
        t->memory = b->free_memory;
    b->free_cpus -= t->cpus;
    b->free_memory -= t->memory;
    b->n_running++;
    pthread_mutex_unlock(&b->lock);
    return true;
}

/* Those who wait for a turn, too: what is free is theirs. */
static void give_cpus(struct ff_search_budget *b, int cpus)
{
    b->free_cpus += cpus;
    pthread_cond_broadcast(&b->changed);
    pthread_cond_broadcast(&b->turn_ended);
}

static void unpool(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    b->pooled_cpus -= t->pooled;
    t->pooled = 0;
}

void ff_search_budget_resize(struct ff_search_budget *b, struct ff_search_ticket *t, int cpus)
{
    pthread_mutex_lock(&b->lock);
    unpool(b, t);
    int there = b->free_cpus + b->pooled_cpus, more = cpus - t->cpus;
    more = more > there ? there > 0 ? there : 0 : more;
    if (cpus >= 1) {
        t->cpus += more;
        give_cpus(b, -more);
    }
    pthread_mutex_unlock(&b->lock);
}

void ff_search_budget_release(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    pthread_mutex_lock(&b->lock);
    unpool(b, t);
    b->free_memory += t->memory;
    b->n_running--;
    give_cpus(b, t->cpus);
    pthread_mutex_unlock(&b->lock);
}

void ff_search_budget_pool(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    pthread_mutex_lock(&b->lock);
    b->pooled_cpus += t->cpus - t->pooled;
    t->pooled = t->cpus;
    pthread_cond_broadcast(&b->turn_ended);
    pthread_mutex_unlock(&b->lock);
}

void ff_search_budget_unpool(struct ff_search_budget *b, struct ff_search_ticket *t)
{
    pthread_mutex_lock(&b->lock);
    unpool(b, t);
    pthread_mutex_unlock(&b->lock);
}

void ff_search_budget_begin_turn(struct ff_search_budget *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->n_turn > 0 && b->n_turn >= b->pooled_cpus + b->free_cpus)
        pthread_cond_wait(&b->turn_ended, &b->lock);
    b->n_turn++;
    pthread_mutex_unlock(&b->lock);
}

void ff_search_budget_end_turn(struct ff_search_budget *b)
{
    pthread_mutex_lock(&b->lock);
    b->n_turn--;
    pthread_cond_signal(&b->turn_ended);
    pthread_mutex_unlock(&b->lock);
}
