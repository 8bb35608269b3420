/* SPDX-License-Identifier: Apache-2.0
 * team: all ranks of a job while they work through a batch. One thread on every rank serves mail, so that a rank which
 * waits keeps no processor busy and one that computes still answers; rank 0's thread also keeps the queue.
 *
 *   queue     targets wait to be searched, then to be predicted. A batch has phases: in each the ranks form groups of
 *             one size, whose first ranks take the phase's targets, the longest first.
 *   orders    the first rank of a group tells the others what to predict.
 *   watch     every rank tells rank 0 now and then that it lives, how many collectives it has begun, and whether it
 *             waits. When a rank is silent, or a group that predicts has not moved, for longer than the time limit,
 *             the job ends with an error that names the rank.
 *
 * For tests, FF_TEST_FAULT=kill:R:N or hang:R:N in the environment makes rank R kill itself, or stop for ever, when it
 * begins its N-th shared prediction.
 */
#ifndef FF_PARALLEL_TEAM_H
#define FF_PARALLEL_TEAM_H

#include <stdbool.h>

#include "parallel/comm.h"
#include "parallel/mail.h"

struct ff_team;

struct ff_team_options {
    struct ff_comm *world;       /* all ranks, for host calls; outlives the team */
    double timeout;              /* seconds; 0: none */
    /* Rank 0, from any thread: a target is done. n of them are. May be NULL. */
    void (*on_done)(void *user, const struct ff_mail *m, int n);
    void *user;
};

/* Collective over the world, of several ranks. */
struct ff_team *ff_team_start(const struct ff_team_options *o);
void ff_team_stop(struct ff_team *t);                    /* the same; NULL is allowed */

/* --- 1. the queue ----------------------------------------------------------------------------------------------- */

enum { FF_TEAM_END = -1 };

struct ff_team_target {
    int phase;                   /* in which it is predicted */
    bool search;                 /* to be searched first */
    bool done;                   /* nothing to do */
};

/* targets [n] in ascending length, the same on all ranks; search_only: a searched target is done. Collective. */
void ff_team_fill(struct ff_team *t, int n, const struct ff_team_target *targets, bool search_only);

/* The next target to search, FF_TEAM_END when there is none. From any thread. stop: true ends the waiting. */
int ff_team_next_search(struct ff_team *t, const bool *stop);
/* How it went: m->index is the target, m->status other than FF_OK takes it out of the queue. The rest is kept. */
void ff_team_searched(struct ff_team *t, const struct ff_mail *m);

/* The next searched target of a phase; FF_TEAM_END when all of the phase are done, by whomever. */
int ff_team_next_target(struct ff_team *t, int phase, const bool *stop);
void ff_team_done(struct ff_team *t, const struct ff_mail *m);
/* For ranks without a group: waits for the end of the phase. */
void ff_team_wait_phase(struct ff_team *t, int phase, const bool *stop);

/* Rank 0: what was told of a target, what is {0} when nothing was. They stay the team's. */
void ff_team_results(const struct ff_team *t, int index, const struct ff_mail **ret_searched,
                     const struct ff_mail **ret_done);

/* --- 2. orders ---------------------------------------------------------------------------------------------------- */

/* m->what, above 0, is the caller's own numbering. */
void ff_team_order(struct ff_team *t, int to, const struct ff_mail *m);
/* false: stopped. */
bool ff_team_wait_order(struct ff_team *t, const bool *stop, struct ff_mail *ret);

/* --- 3. watch ----------------------------------------------------------------------------------------------------- */

/* From now on this rank works with those of comm; NULL: no longer. */
void ff_team_watch(struct ff_team *t, const struct ff_comm *comm);

#endif
