/* SPDX-License-Identifier: Apache-2.0
 * team: see team.h.
 *
 *  1. The queue, on rank 0
 *  2. The watch, on rank 0
 *  3. The thread of every rank
 *  4. Asking and telling
 */
#include "parallel/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/subprocess.h"

enum { POLL_US = 2000, AGAIN_US = 50000, NAME_SIZE = 64 };

/* Mail's what; orders have those behind ORDER. */
enum { ASK = 1, ANSWER, TELL_SEARCHED, TELL_DONE, BEAT, ALIVE, ORDER = 100 };

enum question { NEXT_SEARCH, NEXT_TARGET, PHASE_END, N_QUESTION };
enum { LATER = -2 };

enum state { TO_SEARCH, SEARCHING, READY, GIVEN, DONE };

struct item {
    enum state state;
    int phase;
    struct ff_mail searched, done;
};

/* What rank 0 knows of a rank. */
struct member {
    char name[NAME_SIZE];
    double heard;                    /* when */
    bool working;                    /* with others on a target */
    int first, size;                 /* of its group */
    int64_t begun, ended;            /* waits for others */
    double counted;                  /* collectives */
};

struct ff_team {
    int rank, size;
    bool stop;
    pthread_t thread;
    pthread_mutex_t lock;
    struct ff_team_options o;

    int n, n_done;
    struct item *items;              /* [n] rank 0 */
    bool search_only;

    struct member *members;          /* [size]; rank 0, but the names */
    int64_t *moved_sum;              /* [size] of the group that begins with the rank, when it last moved */
    double *moved_at;

    pthread_mutex_t asking[N_QUESTION];      /* one of a kind at a time */
    bool answered[N_QUESTION];
    int answer[N_QUESTION];
    struct ff_mail *orders;
    int n_order, order_capacity;
    const struct ff_comm *watched;   /* NULL: this rank works alone or not at all */
    int n_watch;
    double beaten, alive;            /* the last sign to and from rank 0 */
};

/* --- 1. the queue, on rank 0 -------------------------------------------------------------------------------------- */

static int first_in_state(struct ff_team *t, enum state state, int phase)
{
    for (int i = t->n - 1; i >= 0; i--)
        if (t->items[i].state == state && (phase < 0 || t->items[i].phase == phase))
            return i;
    return FF_TEAM_END;
}

/* The target of the earliest phase, the longest of it. */
static int next_search(struct ff_team *t)
{
    int best = FF_TEAM_END;
    for (int i = t->n - 1; i >= 0; i--)
        if (t->items[i].state == TO_SEARCH && (best < 0 || t->items[i].phase < t->items[best].phase))
            best = i;
    if (best >= 0)
        t->items[best].state = SEARCHING;
    return best;
}

static int next_target(struct ff_team *t, int phase, bool take)
{
    int next = take ? first_in_state(t, READY, phase) : FF_TEAM_END;
    if (next >= 0)
        t->items[next].state = GIVEN;
    else
        for (enum state s = TO_SEARCH; s < DONE && next == FF_TEAM_END; s++)
            next = first_in_state(t, s, phase) >= 0 ? LATER : FF_TEAM_END;
    return next;
}

static int decide(struct ff_team *t, enum question q, int phase)
{
    pthread_mutex_lock(&t->lock);
    int next = q == NEXT_SEARCH ? next_search(t) : next_target(t, phase, q == NEXT_TARGET);
    pthread_mutex_unlock(&t->lock);
    return next;
}

static void keep(struct ff_mail *to, const struct ff_mail *m)
{
    free(to->text);
    *to = *m;
    to->text = m->text != NULL ? ff_xstrdup(m->text) : NULL;
}

/* Caller holds the lock. */
static void finish(struct ff_team *t, const struct ff_mail *m)
{
    struct item *item = &t->items[m->index];
    keep(&item->done, m);
    item->state = DONE;
    t->n_done++;
    if (t->o.on_done != NULL)
        t->o.on_done(t->o.user, m, t->n_done);
}

static void note_searched(struct ff_team *t, const struct ff_mail *m)
{
    pthread_mutex_lock(&t->lock);
    keep(&t->items[m->index].searched, m);
    if (m->status != FF_OK || t->search_only)
        finish(t, m);
    else
        t->items[m->index].state = READY;
    pthread_mutex_unlock(&t->lock);
}

static void note_done(struct ff_team *t, const struct ff_mail *m)
{
    pthread_mutex_lock(&t->lock);
    finish(t, m);
    pthread_mutex_unlock(&t->lock);
}

/* --- 2. the watch, on rank 0 -------------------------------------------------------------------------------------- */

static void end_job(const char *message)
{
    ff_error("%s; the job ends, what is finished is kept, and the same command goes on from there", message);
    ff_subprocess_kill_all(SIGTERM);
    ff_files_discard_open();
    ff_comm_abort(FF_EINTERNAL);
}

static void add_name(struct ff_strbuf *to, const char *name)
{
    ff_strbuf_printf(to, "%s%s", to->len > 0 ? ", " : "", name);
}

/* The ranks that the others wait for: those of the group that do not wait themselves. */
static void blame(const struct ff_team *t, const struct member *first, double seconds)
{
    struct ff_strbuf missing = {0}, waiting = {0}, text = {0};
    for (int i = 0; i < first->size; i++) {
        const struct member *m = first + i;
        add_name(m->working && m->begun > m->ended ? &waiting : &missing, m->name);
    }
    if (missing.len == 0)
        ff_strbuf_printf(&text, "a collective of %s has not ended for %.0f s", ff_strbuf_cstr(&waiting), seconds);
    else if (waiting.len == 0)
        ff_strbuf_printf(&text, "%s have not moved for %.0f s", ff_strbuf_cstr(&missing), seconds);
    else
        ff_strbuf_printf(&text, "%s has not come to a collective for %.0f s, and %s waits", ff_strbuf_cstr(&missing),
                         seconds, ff_strbuf_cstr(&waiting));
    ff_strbuf_printf(&text, " (parallel.timeout %.0f)", t->o.timeout);
    end_job(ff_strbuf_cstr(&text));
    ff_strbuf_free(&text);
    ff_strbuf_free(&waiting);
    ff_strbuf_free(&missing);
}

static void watch_group(struct ff_team *t, int first, double now)
{
    struct member *m = &t->members[first];
    int64_t sum = 0;
    bool working = false;
    for (int i = 0; i < m->size; i++) {
        working = working || m[i].working;
        sum += m[i].begun + m[i].ended + (int64_t)m[i].counted;
    }
    if (!working || sum != t->moved_sum[first]) {
        t->moved_sum[first] = sum;
        t->moved_at[first] = now;
    }
    double still = now - t->moved_at[first];
    if (still > t->o.timeout)
        blame(t, m, still);
}

static void watch_all(struct ff_team *t, double now)
{
    for (int r = 0; r < t->size; r++) {
        const struct member *m = &t->members[r];
        if (now - m->heard > t->o.timeout) {
            char *text = ff_xasprintf("%s has been silent for %.0f s (parallel.timeout %.0f)", m->name, now - m->heard,
                                      t->o.timeout);
            end_job(text);
            free(text);
        }
        if (m->first == r && m->size > 1)
            watch_group(t, r, now);
    }
}

static void note_beat(struct ff_team *t, const struct ff_mail *m)
{
    struct member *to = &t->members[m->from];
    to->heard = ff_clock_now();
    to->working = m->status != 0;
    if (to->working) {
        to->first = m->index;
        to->size = (int)m->value[2];
    }
    to->begun = (int64_t)m->value[0];
    to->ended = (int64_t)m->value[1];
    to->counted = m->value[3];
}

/* --- 3. the thread of every rank -------------------------------------------------------------------------------- */

static void serve(struct ff_team *t, struct ff_mail *m)
{
    if (m->what == ASK) {
        struct ff_mail answer = {.what = ANSWER, .index = decide(t, (enum question)m->status, m->index),
                                 .status = m->status};
        ff_mail_send(m->from, &answer);
    } else if (m->what == TELL_SEARCHED) {
        note_searched(t, m);
    } else if (m->what == TELL_DONE) {
        note_done(t, m);
    } else if (m->what == BEAT) {
        note_beat(t, m);
        ff_mail_send(m->from, &(struct ff_mail){.what = ALIVE});
    } else if (m->what == ALIVE) {
        t->alive = ff_clock_now();
    } else {
        pthread_mutex_lock(&t->lock);
        if (m->what == ANSWER) {
            t->answer[m->status] = m->index;
            t->answered[m->status] = true;
        } else {
            FF_GROW(t->orders, t->n_order, t->order_capacity);
            t->orders[t->n_order++] = *m;
            m->text = NULL;
        }
        pthread_mutex_unlock(&t->lock);
    }
    free(m->text);
}

static void beat(struct ff_team *t, double now)
{
    double period = t->o.timeout / 8 < 5 ? t->o.timeout / 8 : 5;
    if (t->o.timeout <= 0 || now - t->beaten < period)
        return;
    t->beaten = now;
    struct ff_mail m = {.what = BEAT, .from = t->rank};
    pthread_mutex_lock(&t->lock);
    const struct ff_comm *c = t->watched;
    if (c != NULL) {
        m.status = 1;
        m.index = t->rank - c->rank; /* groups are ranks in a row */
        m.value[0] = (double)__atomic_load_n(&c->stats.waits_begun, __ATOMIC_RELAXED);
        m.value[1] = (double)__atomic_load_n(&c->stats.waits_ended, __ATOMIC_RELAXED);
        m.value[2] = c->size;
        for (int k = 0; k < FF_COLLECTIVE_COUNT; k++)
            m.value[3] += (double)__atomic_load_n(&c->stats.calls[k], __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&t->lock);
    if (t->rank > 0) {
        ff_mail_send(0, &m);
        if (now - t->alive > t->o.timeout) {
            char *text = ff_xasprintf("%s has not answered %s for %.0f s (parallel.timeout %.0f)", t->members[0].name,
                                      t->members[t->rank].name, now - t->alive, t->o.timeout);
            end_job(text);
            free(text);
        }
        return;
    }
    note_beat(t, &m);
    watch_all(t, now);
}

static void *run(void *user)
{
    struct ff_team *t = user;
    struct ff_mail m;
    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        while (ff_mail_receive(&m))
            serve(t, &m);
        beat(t, ff_clock_now());
        usleep(POLL_US);
    }
    return NULL;
}

static void share_names(struct ff_team *t)
{
    struct ff_comm *c = t->o.world;
    size_t *bytes = FF_NEW_ARRAY(size_t, (size_t)t->size), *offset = FF_NEW_ARRAY(size_t, (size_t)t->size);
    char own[NAME_SIZE], host[40] = "?", *all = ff_xcalloc((size_t)t->size, NAME_SIZE);
    gethostname(host, sizeof host - 1);
    snprintf(own, sizeof own, "rank %d on %s", t->rank, host);
    for (int i = 0; i < t->size; i++) {
        bytes[i] = NAME_SIZE;
        offset[i] = (size_t)i * NAME_SIZE;
    }
    c->gather_host(c, own, all, bytes, offset);
    c->broadcast_host(c, all, (size_t)t->size * NAME_SIZE, 0);
    for (int i = 0; i < t->size; i++)
        memcpy(t->members[i].name, all + offset[i], NAME_SIZE);
    free(all);
    free(bytes);
    free(offset);
}

struct ff_team *ff_team_start(const struct ff_team_options *o)
{
    struct ff_team *t = FF_NEW(struct ff_team);
    t->rank = ff_comm_world_rank();
    t->size = ff_comm_world_size();
    FF_ASSERT(t->size > 1);
    t->o = *o;
    t->members = FF_NEW_ARRAY(struct member, (size_t)t->size);
    t->moved_sum = FF_NEW_ARRAY(int64_t, (size_t)t->size);
    t->moved_at = FF_NEW_ARRAY(double, (size_t)t->size);
    share_names(t);
    pthread_mutex_init(&t->lock, NULL);
    for (int i = 0; i < N_QUESTION; i++)
        pthread_mutex_init(&t->asking[i], NULL);
    ff_mail_open();
    t->alive = ff_clock_now();
    for (int i = 0; i < t->size; i++)
        t->members[i].heard = t->alive;
    FF_ASSERT(pthread_create(&t->thread, NULL, run, t) == 0);
    return t;
}

void ff_team_stop(struct ff_team *t)
{
    if (t == NULL)
        return;
    t->o.world->barrier(t->o.world); /* nobody asks or tells any more; what is under way was waited for */
    __atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
    pthread_join(t->thread, NULL);
    struct ff_mail late;
    t->o.world->barrier(t->o.world);
    while (ff_mail_receive(&late)) /* signs of life */
        free(late.text);
    ff_mail_close();
    for (int i = 0; i < t->n && t->items != NULL; i++) {
        free(t->items[i].searched.text);
        free(t->items[i].done.text);
    }
    for (int i = 0; i < t->n_order; i++)
        free(t->orders[i].text);
    for (int i = 0; i < N_QUESTION; i++)
        pthread_mutex_destroy(&t->asking[i]);
    pthread_mutex_destroy(&t->lock);
    free(t->orders);
    free(t->items);
    free(t->members);
    free(t->moved_sum);
    free(t->moved_at);
    free(t);
}

/* --- 4. asking and telling ---------------------------------------------------------------------------------------- */

void ff_team_fill(struct ff_team *t, int n, const struct ff_team_target *targets, bool search_only)
{
    pthread_mutex_lock(&t->lock);
    t->n = n;
    t->search_only = search_only;
    t->items = FF_NEW_ARRAY(struct item, (size_t)n);
    for (int i = 0; i < n; i++) {
        t->items[i].phase = targets[i].phase;
        t->n_done += targets[i].done;
        t->items[i].state = targets[i].done ? DONE : targets[i].search ? TO_SEARCH : READY;
    }
    pthread_mutex_unlock(&t->lock);
    t->o.world->barrier(t->o.world); /* rank 0 has it before anybody asks */
}

static bool is_set(const bool *stop)
{
    return stop != NULL && *(const volatile bool *)stop;
}

static bool take_answer(struct ff_team *t, enum question q, int *ret)
{
    pthread_mutex_lock(&t->lock);
    bool there = t->answered[q];
    if (there)
        *ret = t->answer[q];
    t->answered[q] = false;
    pthread_mutex_unlock(&t->lock);
    return there;
}

static int ask_once(struct ff_team *t, enum question q, int phase, const bool *stop)
{
    if (t->rank == 0)
        return decide(t, q, phase);
    int answer = FF_TEAM_END;
    pthread_mutex_lock(&t->asking[q]);
    ff_mail_send(0, &(struct ff_mail){.what = ASK, .index = phase, .status = (int32_t)q});
    while (!take_answer(t, q, &answer) && !is_set(stop))
        usleep(POLL_US);
    pthread_mutex_unlock(&t->asking[q]);
    return answer;
}

static int ask(struct ff_team *t, enum question q, int phase, const bool *stop)
{
    int answer = LATER;
    while (answer == LATER && !is_set(stop)) {
        answer = ask_once(t, q, phase, stop);
        if (answer == LATER)
            usleep(AGAIN_US);
    }
    return is_set(stop) ? FF_TEAM_END : answer;
}

int ff_team_next_search(struct ff_team *t, const bool *stop)
{
    return ask(t, NEXT_SEARCH, 0, stop);
}

int ff_team_next_target(struct ff_team *t, int phase, const bool *stop)
{
    return ask(t, NEXT_TARGET, phase, stop);
}

void ff_team_wait_phase(struct ff_team *t, int phase, const bool *stop)
{
    ask(t, PHASE_END, phase, stop);
}

static void tell(struct ff_team *t, int what, const struct ff_mail *m)
{
    struct ff_mail mail = *m;
    mail.what = what;
    mail.from = t->rank;
    if (t->rank > 0)
        ff_mail_send(0, &mail);
    else if (what == TELL_SEARCHED)
        note_searched(t, &mail);
    else
        note_done(t, &mail);
}

void ff_team_searched(struct ff_team *t, const struct ff_mail *m)
{
    tell(t, TELL_SEARCHED, m);
}

void ff_team_done(struct ff_team *t, const struct ff_mail *m)
{
    tell(t, TELL_DONE, m);
}

void ff_team_results(const struct ff_team *t, int index, const struct ff_mail **ret_searched,
                     const struct ff_mail **ret_done)
{
    *ret_searched = &t->items[index].searched;
    *ret_done = &t->items[index].done;
}

void ff_team_order(struct ff_team *t, int to, const struct ff_mail *m)
{
    (void)t;
    struct ff_mail mail = *m;
    mail.what += ORDER;
    ff_mail_send(to, &mail);
}

bool ff_team_wait_order(struct ff_team *t, const bool *stop, struct ff_mail *ret)
{
    while (!is_set(stop)) {
        pthread_mutex_lock(&t->lock);
        bool there = t->n_order > 0;
        if (there) {
            *ret = t->orders[0];
            memmove(t->orders, t->orders + 1, (size_t)--t->n_order * sizeof *t->orders);
        }
        pthread_mutex_unlock(&t->lock);
        if (there) {
            ret->what -= ORDER;
            return true;
        }
        usleep(POLL_US);
    }
    return false;
}

/* See team.h. */
static void fail_for_test(const struct ff_team *t)
{
    const char *fault = getenv("FF_TEST_FAULT");
    char what[8];
    int rank, n;
    if (fault == NULL || sscanf(fault, "%7[a-z]:%d:%d", what, &rank, &n) != 3 || rank != t->rank || n != t->n_watch)
        return;
    if (strcmp(what, "kill") == 0)
        raise(SIGKILL);
    for (;;)
        pause();
}

void ff_team_watch(struct ff_team *t, const struct ff_comm *comm)
{
    pthread_mutex_lock(&t->lock);
    t->watched = comm;
    t->n_watch += comm != NULL;
    pthread_mutex_unlock(&t->lock);
    if (comm != NULL)
        fail_for_test(t);
}
