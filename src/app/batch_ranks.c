/* SPDX-License-Identifier: Apache-2.0
 * batch_ranks: see batch_ranks.h.
 *
 *  1. The plan, on rank 0
 *  2. Searches
 *  3. Predictions
 *  4. All together
 */
#include "app/batch_ranks.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/estimate.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "parallel/schedule.h"
#include "parallel/team.h"

/* Orders to the ranks of a group: mail's what. */
enum { PREDICT = 1, PHASE_ENDED };

struct ranks {
    struct ff_comm *world;
    const struct ff_pipeline_options *o;
    struct ff_pipeline *pipeline;
    struct ff_pipeline *searcher;        /* of a machine's first rank, when there is something to search */
    int n;
    struct ff_batch_entry *entries;      /* [n] */
    struct ff_team_target *targets;      /* [n] */
    struct ff_schedule schedule;
    struct ff_team *team;
    struct ff_comm *comm;                /* the group of this phase; NULL: this rank alone */
    int phase;
};

static bool stopped(const struct ranks *r)
{
    return r->o->stop != NULL && *(const volatile bool *)r->o->stop;
}

int ff_batch_ranks_threads(const struct ff_run_config *run)
{
    int ranks = ff_comm_local_size(), processors = ff_clock_cpu_count();
    if (run->threads > 0 || ranks == 1)
        return run->threads;
    return ff_clock_is_bound() ? processors : processors > ranks ? processors / ranks : 1;
}

ff_status ff_batch_ranks_configure(const struct ff_comm *world, int n_model, struct ff_config *configs,
                                   enum ff_stage last, int *ret_n_rank)
{
    int dap = configs->parallel.dap;
    *ret_n_rank = last < FF_STAGE_PREDICT ? 1 : dap > 0 ? dap : world->size;
    if (*ret_n_rank > world->size)
        return ff_fail(FF_EUSAGE, "parallel.dap is %d, but fastfold runs on %d rank%s; start it with mpirun -np %d, or "
                       "give --dap auto", dap, world->size, world->size > 1 ? "s" : "", dap);
    if (world->size == 1)
        return FF_OK;
    if (configs->run.dump != NULL && last == FF_STAGE_PREDICT)
        return ff_fail(FF_EUSAGE, "--dump writes the operations of one process, but there are %d ranks; leave mpirun "
                       "or --dump out", world->size);
    /* The watch of the team ends the job first, as it can name the rank that is missing. */
    int timeout = configs->parallel.timeout;
    ff_comm_set_time_limit(timeout > 0 ? 1.25 * timeout + 10 : 0);
    ff_comm_set_transport(configs->parallel.transport);
    for (int i = 0; i < n_model; i++)
        configs[i].run.threads = ff_batch_ranks_threads(&configs[i].run);
    return FF_OK;
}

/* --- 1. the plan, on rank 0 --------------------------------------------------------------------------------------- */

enum { PLANS = 24 };                 /* lengths that are planned for each size of group; the others round up to them */

/* Seconds of a target on a group, from the plan; infinite when it does not fit. */
static double predict_seconds(const struct ranks *r, const struct ff_target *t, int size)
{
    const struct ff_config *c = r->o->configs;
    struct ff_plan plan;
    if (size > t->n_res && t->n_res > 0)
        return INFINITY;
    if (ff_pipeline_plan(r->pipeline, t, size, &plan) != FF_OK) {
        ff_status_clear();
        return INFINITY;
    }
    const struct ff_backend *be = ff_pipeline_device(r->pipeline);
    struct ff_machine_rates rates = ff_estimate_rates(be->name, be->precision, c->run.threads);
    struct ff_estimate e = ff_estimate_pass(&plan, &rates);
    return ff_estimate_seconds(&e) * (c->model.num_recycle + 1) * c->run.num_seeds * r->o->n_model;
}

/* Targets of nearly equal length share a plan, made for the longest of them. */
static void predict_all(const struct ranks *r, int n_size, const int *size, double *seconds)
{
    int longest = r->entries[r->n - 1].target.n_res, step = 1 + longest / PLANS, last = -1;
    for (int i = r->n - 1; i >= 0; i--) {
        int length = (r->entries[i].target.n_res + step - 1) / step;
        double *row = seconds + (size_t)i * (size_t)n_size;
        if (length == last) {
            memcpy(row, row + n_size, (size_t)n_size * sizeof *row);
            continue;
        }
        for (int k = 0; k < n_size; k++)
            row[k] = predict_seconds(r, &r->entries[i].target, size[k]);
        last = length;
    }
}

static void log_schedule(const struct ranks *r)
{
    struct ff_strbuf text = {0};
    int at = 0;
    for (int p = 0; p < r->schedule.n_phase; p++) {
        int n = 0, size = r->schedule.size[p], groups = r->world->size / size;
        for (int i = 0; i < r->n; i++)
            n += r->targets[i].phase == p && !r->targets[i].done;
        if (n == 0)
            continue;
        ff_strbuf_printf(&text, "%s%d target%s on %d group%s of %d rank%s", at++ > 0 ? ", then " : "", n,
                         n > 1 ? "s" : "", groups, groups > 1 ? "s" : "", size, size > 1 ? "s" : "");
    }
    if (at > 0)
        ff_info("%d ranks: %s", r->world->size, ff_strbuf_cstr(&text));
    ff_strbuf_free(&text);
}

/* Who is done already needs nobody; the others get a phase. */
static void make_schedule(struct ranks *r)
{
    int sizes[FF_SCHEDULE_SIZES] = {1}, n_size = 1, dap = r->o->configs->parallel.dap;
    if (r->o->last == FF_STAGE_PREDICT && dap > 0)
        sizes[0] = dap;
    else if (r->o->last == FF_STAGE_PREDICT)
        n_size = ff_schedule_sizes(r->world->size, sizes);
    double *seconds = FF_NEW_ARRAY(double, (size_t)r->n * (size_t)n_size);
    int *phase = FF_NEW_ARRAY(int, (size_t)r->n);
    for (int i = 0; i < r->n * n_size; i++)
        seconds[i] = 1;
    if (n_size > 1)
        predict_all(r, n_size, sizes, seconds);
    for (int i = 0; i < r->n; i++) {
        double *row = seconds + (size_t)i * (size_t)n_size;
        bool fits = false;
        for (int k = 0; k < n_size; k++)
            fits = fits || isfinite(row[k]);
        for (int k = 0; k < n_size && (!fits || r->targets[i].done); k++)
            row[k] = 0; /* the pipeline tells why it does not fit */
    }
    ff_schedule_make(r->world->size, n_size, sizes, r->n, seconds, &r->schedule, phase);
    for (int i = 0; i < r->n; i++)
        r->targets[i].phase = phase[i];
    free(phase);
    free(seconds);
}

static void plan(struct ranks *r)
{
    const struct ff_config *c = r->o->configs;
    bool search = c->search.enabled && r->o->msa == NULL && r->o->features == NULL;
    for (int i = 0; i < r->n; i++) {
        struct ff_batch_entry *e = &r->entries[i];
        struct ff_team_target *t = &r->targets[i];
        t->done = e->status != FF_OK;
        t->search = search;
        if (t->done || !ff_pipeline_is_done(r->pipeline, &e->target))
            continue;
        t->done = true;
        ff_status st = ff_pipeline_run(r->pipeline, &e->target, &e->outcome); /* tells of what is there */
        if (st != FF_OK)
            ff_batch_fail(e, st);
    }
    make_schedule(r);
    log_schedule(r);
}

/* --- 2. searches -------------------------------------------------------------------------------------------------- */

/* The numbers of an outcome in mail's values. */
static double *const *fields(struct ff_outcome *o, double *f[7])
{
    double *list[7] = {&o->mean_plddt, &o->ptm, &o->iptm, &o->search_seconds, &o->features_seconds,
                       &o->predict_seconds, &o->seconds};
    memcpy(f, list, sizeof list);
    return f;
}

/* What rank 0 needs to know; takes what is in the outcome. */
static struct ff_mail report(int index, ff_status st, struct ff_outcome *o)
{
    double *f[7];
    struct ff_mail m = {.index = index, .status = (int32_t)st, .value[7] = (double)o->peak_bytes};
    for (int i = 0; i < 7; i++)
        m.value[i] = *fields(o, f)[i];
    m.text = st == FF_OK ? o->result : ff_xstrdup(ff_status_message());
    if (st == FF_OK)
        o->result = NULL;
    ff_outcome_free(o);
    return m;
}

static void *search_some(void *user)
{
    struct ranks *r = user;
    int i;
    ff_clock_unbind_thread();
    while (!stopped(r) && (i = ff_team_next_search(r->team, r->o->stop)) >= 0) {
        struct ff_outcome outcome = {0};
        ff_status_clear();
        ff_status st = ff_pipeline_run(r->searcher, &r->entries[i].target, &outcome);
        if (st == FF_EINTERRUPT)
            break;
        struct ff_mail m = report(i, st, &outcome);
        ff_team_searched(r->team, &m);
        free(m.text);
    }
    return NULL;
}

static bool searches(const struct ranks *r)
{
    bool any = false;
    for (int i = 0; i < r->n; i++)
        any = any || (r->targets[i].search && !r->targets[i].done);
    return any && ff_comm_local_rank() == 0;
}

static ff_status open_searcher(struct ranks *r)
{
    struct ff_pipeline_options o = *r->o;
    o.last = FF_STAGE_SEARCH;
    return searches(r) ? ff_pipeline_open(&o, &r->searcher) : FF_OK;
}

/* --- 3. predictions ----------------------------------------------------------------------------------------------- */

/* On the first rank of a group: calls the others to a prediction. */
static void call_group(void *user, const char *features, int model, int64_t seed)
{
    struct ranks *r = user;
    char *text = ff_xstrdup(features);
    struct ff_mail m = {.what = PREDICT, .index = model, .value = {(double)seed}, .text = text};
    for (int i = 1; i < r->comm->size; i++)
        ff_team_order(r->team, r->world->rank + i, &m);
    free(text);
    ff_team_watch(r->team, r->comm);
}

static void leave_group(void *user)
{
    struct ranks *r = user;
    ff_team_watch(r->team, NULL);
}

static void lead(struct ranks *r)
{
    int i;
    while (!stopped(r) && (i = ff_team_next_target(r->team, r->phase, r->o->stop)) >= 0) {
        struct ff_outcome outcome = {0};
        ff_info("target %d of %d: %s", r->n - i, r->n, r->entries[i].target.name);
        ff_status_clear();
        ff_status st = ff_pipeline_run(r->pipeline, &r->entries[i].target, &outcome);
        if (stopped(r))
            return;
        struct ff_mail m = report(i, st, &outcome);
        ff_team_done(r->team, &m);
        free(m.text);
    }
    for (int k = 1; r->comm != NULL && k < r->comm->size && !stopped(r); k++)
        ff_team_order(r->team, r->world->rank + k, &(struct ff_mail){.what = PHASE_ENDED});
}

/* Failures are the first rank's to tell. */
static void follow(struct ranks *r)
{
    struct ff_mail m;
    while (ff_team_wait_order(r->team, r->o->stop, &m) && m.what == PREDICT) {
        ff_team_watch(r->team, r->comm);
        if (ff_pipeline_join(r->pipeline, m.text, m.index, (int64_t)m.value[0]) != FF_OK)
            ff_debug("%s", ff_status_message());
        ff_team_watch(r->team, NULL);
        free(m.text);
    }
}

static ff_status run_phase(struct ranks *r)
{
    int size = r->schedule.size[r->phase], groups = r->world->size / size, group = r->world->rank / size;
    if (size > 1)
        FF_TRY(ff_comm_split(ff_pipeline_device(r->pipeline), group < groups ? group : groups, &r->comm));
    ff_pipeline_set_comm(r->pipeline, r->comm);
    if (group >= groups)
        ff_team_wait_phase(r->team, r->phase, r->o->stop);
    else if (r->comm == NULL || r->comm->rank == 0)
        lead(r);
    else
        follow(r);
    ff_pipeline_set_comm(r->pipeline, NULL);
    if (stopped(r))
        return ff_fail(FF_EINTERRUPT, "interrupted; the same command goes on where it stopped");
    ff_comm_destroy(r->comm);
    r->comm = NULL;
    return FF_OK;
}

/* --- 4. all together ---------------------------------------------------------------------------------------------- */

static void share_plan(struct ranks *r)
{
    struct ff_comm *w = r->world;
    if (w->rank == 0)
        plan(r);
    w->broadcast_host(w, &r->schedule, sizeof r->schedule, 0);
    w->broadcast_host(w, r->targets, (size_t)r->n * sizeof *r->targets, 0);
}

static void tell_progress(void *user, const struct ff_mail *m, int n)
{
    const struct ranks *r = user;
    const char *name = r->entries[m->index].target.name;
    if (m->status != FF_OK)
        ff_error("%s: %s", name, m->text);
    else
        ff_info("%s: done by rank %d in %.1f s; %d of %d targets are done", name, m->from, m->value[6], n, r->n);
}

static void collect(struct ranks *r)
{
    for (int i = 0; i < r->n; i++) {
        struct ff_batch_entry *e = &r->entries[i];
        const struct ff_mail *searched, *m;
        double *f[7];
        if (r->targets[i].done)
            continue;
        ff_team_results(r->team, i, &searched, &m);
        FF_ASSERT(m->what != 0);
        e->status = (ff_status)m->status;
        if (e->status != FF_OK) {
            e->message = ff_xstrdup(m->text);
            continue;
        }
        for (int k = 0; k < 7; k++)
            *fields(&e->outcome, f)[k] = m->value[k];
        e->outcome.peak_bytes = (size_t)m->value[7];
        e->outcome.result = ff_xstrdup(m->text);
        if (r->o->last != FF_STAGE_SEARCH)
            e->outcome.search_seconds += searched->value[3];
    }
}

static ff_status run_phases(struct ranks *r)
{
    int n_thread = r->searcher == NULL ? 0 : r->o->configs->search.ahead > 1 ? r->o->configs->search.ahead : 1;
    pthread_t *threads = FF_NEW_ARRAY(pthread_t, (size_t)n_thread + 1);
    for (int i = 0; i < n_thread; i++)
        FF_ASSERT(pthread_create(&threads[i], NULL, search_some, r) == 0);
    ff_status st = FF_OK;
    for (r->phase = 0; r->phase < r->schedule.n_phase && st == FF_OK; r->phase++)
        st = run_phase(r);
    for (int i = 0; i < n_thread; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return st;
}

ff_status ff_batch_ranks_run(struct ff_comm *world, const struct ff_pipeline_options *o, struct ff_pipeline *p, int n,
                             struct ff_batch_entry *entries)
{
    struct ranks r = {.world = world, .o = o, .pipeline = p, .n = n, .entries = entries};
    struct ff_shared_prediction shared = {.begin = call_group, .end = leave_group, .user = &r};
    r.targets = FF_NEW_ARRAY(struct ff_team_target, (size_t)n);
    share_plan(&r);
    ff_pipeline_set_shared(p, &shared);
    ff_status st = ff_agree(world, open_searcher(&r));
    if (st == FF_OK) {
        struct ff_team_options options = {.world = world, .timeout = o->configs->parallel.timeout,
                                          .on_done = n > 1 ? tell_progress : NULL, .user = &r};
        r.team = ff_team_start(&options);
        ff_team_fill(r.team, n, r.targets, o->last == FF_STAGE_SEARCH);
        st = run_phases(&r);
        if (st != FF_OK)
            return st; /* the process ends without waiting for the other ranks */
        if (world->rank == 0)
            collect(&r);
        ff_team_stop(r.team);
    }
    ff_pipeline_set_shared(p, NULL);
    ff_pipeline_close(r.searcher);
    free(r.targets);
    return st;
}
