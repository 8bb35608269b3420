/* SPDX-License-Identifier: Apache-2.0
 * search_budget: who is let in when, and that no more than the processors and the memory are given away.
 */
#include "app/search_budget.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "unit/testing.h"

struct search {
    struct ff_search_budget *budget;
    struct ff_search_ticket ticket;
    pthread_mutex_t *lock;
    int *cpus_now, *cpus_most, *order, *n_done;
    int number;
};

static void *run(void *user)
{
    struct search *s = user;
    if (!ff_search_budget_wait(s->budget, &s->ticket, NULL))
        return NULL;
    pthread_mutex_lock(s->lock);
    *s->cpus_now += s->ticket.cpus;
    *s->cpus_most = *s->cpus_now > *s->cpus_most ? *s->cpus_now : *s->cpus_most;
    s->order[(*s->n_done)++] = s->number;
    pthread_mutex_unlock(s->lock);
    pthread_mutex_lock(s->lock);
    *s->cpus_now -= s->ticket.cpus;
    pthread_mutex_unlock(s->lock);
    ff_search_budget_release(s->budget, &s->ticket);
    return NULL;
}

/* With room for one at a time: chains in their order, of one chain the longest first. */
static void test_order(void **state)
{
    (void)state;
    static const struct {
        long chain;
        double cost;
        int place;               /* in the order of admission */
    } cases[] = {{1, 5, 4}, {0, 1, 2}, {0, 9, 0}, {1, 7, 3}, {0, 4, 1}, {2, 100, 5}};
    enum { N = sizeof cases / sizeof *cases };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int now = 0, most = 0, order[N] = {0}, done = 0;
    struct ff_search_budget *b = ff_search_budget_new(3, 1000);
    struct search all[N];
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        all[i] = (struct search){.budget = b, .lock = &lock, .cpus_now = &now, .cpus_most = &most, .order = order,
                                 .n_done = &done, .number = cases[i].place,
                                 .ticket = {.chain = cases[i].chain, .cost = cases[i].cost, .cpus = 3, .memory = 10}};
        ff_search_budget_enqueue(b, &all[i].ticket);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &all[i]), 0);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(done, N);
    assert_int_equal(most, 3);
    for (int i = 0; i < N; i++)
        assert_int_equal(order[i], i);
    ff_search_budget_free(b);
}

/* A second search begins beside the first when processors and memory allow, with what is left of what it wants. */
static void test_beside(void **state)
{
    (void)state;
    struct ff_search_budget *b = ff_search_budget_new(8, 100);
    bool stop = true;            /* wait returns at once: let in or not */
    struct ff_search_ticket first = {.cost = 3, .cpus = 6, .memory = 60}, second = {.cost = 2, .cpus = 4, .memory = 30};
    struct ff_search_ticket third = {.cost = 1, .cpus = 1, .memory = 30};
    ff_search_budget_enqueue(b, &first);
    ff_search_budget_enqueue(b, &second);
    ff_search_budget_enqueue(b, &third);
    assert_true(ff_search_budget_wait(b, &first, &stop));
    assert_true(ff_search_budget_wait(b, &second, &stop)); /* two of the four, half of what it wants */
    assert_int_equal(second.cpus, 2);
    assert_false(ff_search_budget_wait(b, &third, &stop)); /* no processor, and no memory */
    ff_search_budget_release(b, &second);
    ff_search_budget_enqueue(b, &third);
    assert_true(ff_search_budget_wait(b, &third, &stop));
    ff_search_budget_release(b, &third);
    /* More memory than there is: alone, but not beside another. */
    struct ff_search_ticket large = {.cost = 1, .cpus = 1, .memory = 1000};
    ff_search_budget_enqueue(b, &large);
    assert_false(ff_search_budget_wait(b, &large, &stop));
    ff_search_budget_release(b, &first);
    ff_search_budget_enqueue(b, &large);
    assert_true(ff_search_budget_wait(b, &large, &stop));
    ff_search_budget_release(b, &large);
    ff_search_budget_free(b);
}

/* What is given back is there for the next one, and comes back once. */
static void test_resize(void **state)
{
    (void)state;
    struct ff_search_budget *b = ff_search_budget_new(8, 1000);
    struct ff_search_ticket first = {.chain = 0, .cost = 1, .cpus = 8}, second = {.chain = 1, .cost = 1, .cpus = 6};
    struct ff_search_ticket third = {.chain = 2, .cost = 1, .cpus = 8};
    bool stop = true;
    ff_search_budget_enqueue(b, &first);
    assert_true(ff_search_budget_wait(b, &first, NULL));
    ff_search_budget_enqueue(b, &second);
    assert_false(ff_search_budget_wait(b, &second, &stop));
    ff_search_budget_resize(b, &first, 9);
    assert_int_equal(first.cpus, 8);
    ff_search_budget_resize(b, &first, 2);
    assert_int_equal(first.cpus, 2);
    ff_search_budget_enqueue(b, &second);
    assert_true(ff_search_budget_wait(b, &second, NULL));
    assert_int_equal(second.cpus, 6);
    ff_search_budget_release(b, &first);
    ff_search_budget_release(b, &second);
    ff_search_budget_enqueue(b, &third);
    assert_true(ff_search_budget_wait(b, &third, NULL));
    assert_int_equal(third.cpus, 8);
    ff_search_budget_release(b, &third);
    ff_search_budget_free(b);
}

struct worker {
    struct ff_search_budget *budget;
    atomic_int *now, *most, *turns;
};

static void *work_in_turns(void *user)
{
    struct worker *w = user;
    for (int i = 0; i < 50; i++) {
        ff_search_budget_begin_turn(w->budget);
        int now = atomic_fetch_add(w->now, 1) + 1, most = atomic_load(w->most);
        while (now > most && !atomic_compare_exchange_weak(w->most, &most, now))
            continue;
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        atomic_fetch_sub(w->now, 1);
        atomic_fetch_add(w->turns, 1);
        ff_search_budget_end_turn(w->budget);
    }
    return NULL;
}

/* Many threads with turns: never more at once than n processors, and all come to an end. One thread alone has as many
 * turns without waiting. */
static void assert_turns(struct ff_search_budget *b, int n)
{
    enum { N = 12 };
    for (int i = 0; i < n; i++)
        ff_search_budget_begin_turn(b);
    for (int i = 0; i < n; i++)
        ff_search_budget_end_turn(b);
    atomic_int now = 0, most = 0, turns = 0;
    struct worker w = {b, &now, &most, &turns};
    pthread_t threads[N];
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_in_turns, &w), 0);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(turns, N * 50);
    assert_in_range(most, 1, n);
}

static void test_turns(void **state)
{
    (void)state;
    struct ff_search_budget *b = ff_search_budget_new(8, 1000);
    struct ff_search_ticket in_turns = {.cost = 2, .cpus = 3}, plain = {.cost = 1, .cpus = 4};
    ff_search_budget_enqueue(b, &in_turns);
    assert_true(ff_search_budget_wait(b, &in_turns, NULL));
    ff_search_budget_enqueue(b, &plain);
    assert_true(ff_search_budget_wait(b, &plain, NULL));
    ff_search_budget_pool(b, &in_turns);
    ff_search_budget_pool(b, &in_turns); /* once */
    assert_turns(b, 4); /* its own three and the free one */
    ff_search_budget_release(b, &plain);
    assert_turns(b, 8);
    ff_search_budget_resize(b, &in_turns, 2); /* for something that is not done in turns */
    assert_turns(b, 6);
    ff_search_budget_pool(b, &in_turns);
    ff_search_budget_unpool(b, &in_turns);
    assert_turns(b, 6);
    ff_search_budget_pool(b, &in_turns);
    ff_search_budget_release(b, &in_turns);
    assert_turns(b, 8);
    ff_search_budget_free(b);
}

/* Searches in turns come in while others have all processors, so many of them, and take theirs from the turns. */
static void test_ahead(void **state)
{
    (void)state;
    enum { AHEAD = 4 };
    struct ff_search_budget *b = ff_search_budget_new(8, 1000);
    struct ff_search_ticket first = {.cpus = 8, .turns = true}, next[AHEAD + 1];
    struct ff_search_ticket plain = {.chain = 9, .cpus = 1};
    bool stop = true;
    ff_search_budget_enqueue(b, &first);
    assert_true(ff_search_budget_wait(b, &first, NULL));
    for (int i = 0; i <= AHEAD; i++)
        next[i] = (struct ff_search_ticket){.chain = 1 + i, .cpus = 8, .turns = true};
    ff_search_budget_enqueue(b, &next[0]);
    assert_false(ff_search_budget_wait(b, &next[0], &stop)); /* the first one has not pooled anything */
    ff_search_budget_pool(b, &first);
    for (int i = 0; i < AHEAD; i++) {
        ff_search_budget_enqueue(b, &next[i]);
        assert_true(ff_search_budget_wait(b, &next[i], NULL));
        assert_int_equal(next[i].cpus, 1);
        assert_turns(b, 8 - 1 - i);
    }
    ff_search_budget_enqueue(b, &next[AHEAD]);
    assert_false(ff_search_budget_wait(b, &next[AHEAD], &stop));
    ff_search_budget_enqueue(b, &plain);
    assert_false(ff_search_budget_wait(b, &plain, &stop));
    ff_search_budget_pool(b, &next[0]); /* it has prepared */
    assert_turns(b, 8 - AHEAD + 1);
    ff_search_budget_resize(b, &first, 3);
    assert_int_equal(first.cpus, 3);
    assert_turns(b, 8 - 3 - AHEAD + 1);
    ff_search_budget_resize(b, &next[1], 8); /* of the others: three, and one in each of two that prepare */
    assert_int_equal(next[1].cpus, 8 - 3 - 2);
    ff_search_budget_release(b, &first);
    for (int i = 0; i < AHEAD; i++)
        ff_search_budget_release(b, &next[i]);
    assert_turns(b, 8);
    ff_search_budget_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_beside),
                                       cmocka_unit_test(test_resize), cmocka_unit_test(test_turns),
                                       cmocka_unit_test(test_ahead)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
