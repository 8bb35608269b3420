/* SPDX-License-Identifier: Apache-2.0
 * search_budget: processors and memory that searches share. Every search stands in a queue, and is let in when there is
 * room for it: chains in the order in which they came, and of one chain the longest search first.
 *
 * Order of calls: enqueue all searches of a chain, then one thread for each calls wait, runs it, and calls release.
 *
 * A search whose work comes in small turns pools its processors: its threads ask for each turn, and work on whatever
 * processors of all such searches, and free ones, are not busy. So none idles while one of them prepares or ends. For
 * the same end the next of such searches comes in before there is room for it, with one processor, which for so long
 * the turns of the others do without.
 */
#ifndef FF_APP_SEARCH_BUDGET_H
#define FF_APP_SEARCH_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct ff_search_ticket {
    long chain;                  /* ff_search_budget_next_chain: lower ones go first */
    double cost;                 /* higher ones go first */
    int cpus;                    /* wanted; wait sets what was given: at least half of it, or one with turns */
    bool turns;                  /* will pool its processors */
    size_t memory;
    int pooled;                  /* of cpus, those that are lent to all that work in turns */
    struct ff_search_ticket *next;       /* of the queue */
};

struct ff_search_budget;

/* cpus at least 1. A search that wants more than there is runs alone. */
struct ff_search_budget *ff_search_budget_new(int cpus, size_t memory);
void ff_search_budget_free(struct ff_search_budget *b);      /* NULL is allowed */
int ff_search_budget_cpus(const struct ff_search_budget *b);
long ff_search_budget_next_chain(struct ff_search_budget *b);

void ff_search_budget_enqueue(struct ff_search_budget *b, struct ff_search_ticket *t);
/* Waits for room. false: *stop became true, and the ticket is not in the queue any more. stop may be NULL. */
bool ff_search_budget_wait(struct ff_search_budget *b, struct ff_search_ticket *t, const bool *stop);
/* For the rest of a search: gives back all processors but so many, or takes as many more as are free or pooled by
 * others. At least one stays. */
void ff_search_budget_resize(struct ff_search_budget *b, struct ff_search_ticket *t, int cpus);
void ff_search_budget_release(struct ff_search_budget *b, struct ff_search_ticket *t);
/* Lends the search's processors to all searches that work in turns, and takes them back; resize and release do, too. */
void ff_search_budget_pool(struct ff_search_budget *b, struct ff_search_ticket *t);
void ff_search_budget_unpool(struct ff_search_budget *b, struct ff_search_ticket *t);
/* A thread of a search that has pooled its processors, before and after each turn; it must not wait for others between
 * the two. */
void ff_search_budget_begin_turn(struct ff_search_budget *b);
void ff_search_budget_end_turn(struct ff_search_budget *b);
/* Takes a ticket out of the queue that will not be waited for. */
void ff_search_budget_cancel(struct ff_search_budget *b, struct ff_search_ticket *t);

#endif
