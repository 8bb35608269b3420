/* SPDX-License-Identifier: Apache-2.0
 * search_chain: the searches of one chain, side by side.
 *
 *  1. What decides a result, and whether a kept file will do
 *  2. One search
 *  3. All of them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/alignment.h"
#include "app/search_cache.h"
#include "app/search_database.h"
#include "app/search_set.h"
#include "app/search_shard.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bio/hhr.h"
#include "bio/hmmsearch_hits.h"
#include "format/gzip.h"

/* --- 1. what decides a result ----------------------------------------------------------------------------------- */

/* Key of the result of a search that was checked. input: SHA-256 of the alignment that it starts from, or NULL. */
static void result_key(const struct ff_searches *s, const struct ff_search *item, const char *sequence,
                       const char *input, char ret[65])
{
    const char *names[FF_SEARCH_MAX_DATABASE];
    for (int k = 0; k < item->n_database; k++)
        names[k] = ff_path_base(item->database[k]);
    struct ff_tool_call call = {.program = "", .query = "", .output = "", .databases = names,
                                .n_database = item->n_database};
    struct ff_command command;
    ff_tool_command(item->tool, &call, &command);
    char *flags = ff_command_text(&command);
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "search 1\n%s\n%s\n%s%s\n%lld %lld\nmax_rows %d\n%s\n", sequence,
                     input != NULL ? input : "", ff_tool_name(item->tool), flags,
                     (long long)item->state.bytes, (long long)item->state.mtime, item->max_rows,
                     s->programs[item->tool].version);
    ff_hash_sha256_hex(text.s, text.len, ret);
    ff_strbuf_free(&text);
    free(flags);
    ff_command_free(&command);
}

/* Whether the hits of hhsearch are of this query: each aligned piece must stand in it. */
static ff_status check_hhr(const char *name, const char *text, size_t len, const char *sequence,
                           const struct ff_template_hits *hits)
{
    int n = (int)strlen(sequence), columns = -1;
    const char *at = strstr(text, "Match_columns");
    if (at != NULL && sscanf(at, "Match_columns %d", &columns) == 1 && columns != n)
        return ff_fail(FF_EINPUT, "%s: its query has %d residues, this one has %d", name, columns, n);
    /* hhsearch ends its file with an empty line, older versions with "Done!". */
    bool ended = (len >= 2 && memcmp(text + len - 2, "\n\n", 2) == 0) || (len >= 6 && strstr(text + len - 6, "Done!"));
    if (!ended)
        return ff_fail(FF_EINPUT, "%s: the end of the file is missing (an empty line)", name);
    for (int i = 0; i < hits->count; i++) {
        const struct ff_template_hit *h = &hits->items[i];
        for (int k = 0; k < h->n_query; k++) {
            int q = h->indices_query[k];
            if (q < 0)
                continue;
            char found = h->query[k], expected = q < n ? sequence[q] : '?';
            if (found != expected && found != 'X' && strchr("ACDEFGHIKLMNPQRSTVWY", expected) != NULL)
                return ff_fail(FF_EINPUT, "%s: hit %d has %c at residue %d of the query, which has %c there", name,
                               h->index, found, q + 1, expected);
        }
    }
    return FF_OK;
}

/* The text of a result as what it is for. */
static ff_status parse_result(const struct ff_search *item, const char *name, const char *text, size_t len,
                              const char *sequence, struct ff_search_hits *hits)
{
    hits->use = item->spec->use;
    if (hits->use != FF_SEARCH_TEMPLATES) {
        FF_TRY(ff_alignment_parse(name, text, len, sequence, item->max_rows, &hits->msa));
        hits->record.rows = hits->msa.n_row;
        return FF_OK;
    }
    ff_status st;
    if (item->tool == FF_TOOL_HHSEARCH) {
        hits->template_search = FF_TEMPLATES_HHSEARCH;
        FF_TRY(ff_hhr_parse(name, text, len, &hits->templates));
        st = check_hhr(name, text, len, sequence, &hits->templates);
    } else {
        hits->template_search = FF_TEMPLATES_HMMSEARCH;
        FF_TRY(ff_hmmsearch_hits_parse(name, text, len, sequence, &hits->templates));
        bool fits = hits->templates.count == 0 || hits->templates.items[0].n_hit == (int)strlen(sequence);
        st = fits ? FF_OK : ff_fail(FF_EINPUT, "%s: its query has %d residues, this one has %zu", name,
                                    hits->templates.items[0].n_hit, strlen(sequence));
    }
    if (st != FF_OK)
        ff_template_hits_free(&hits->templates);
    hits->record.rows = hits->templates.count;
    return st;
}

/* Why the content of a kept file is not what its record tells of; NULL when it is. Caller frees. */
static char *content_mismatch(const struct ff_search_record *r, const char *text, size_t len, const char *input)
{
    char sha256[65];
    if (r == NULL)
        return NULL;
    ff_hash_sha256_hex(text, len, sha256);
    if (r->sha256 != NULL && strcmp(sha256, r->sha256) != 0)
        return ff_xstrdup("it was changed after it was made");
    if (input != NULL && r->input != NULL && strcmp(input, r->input) != 0)
        return ff_xstrdup("the alignment that it was made from is another one now");
    return NULL;
}

/* Takes the kept file at path if it will do, and says why if not. input: SHA-256 of what a template search starts from,
 * NULL: not known. */
static bool reuse_file(const struct ff_search *item, const char *path, const char *sequence, const char *input,
                       const struct ff_search_record *old, struct ff_search_hits *hits)
{
    char *text = NULL;
    size_t len;
    if (!ff_file_exists(path))
        return false;
    char *reason = ff_search_mismatch(item, old);
    if (reason == NULL && ff_gzip_read_file(path, &text, &len) == FF_OK) {
        reason = content_mismatch(old, text, len, input);
        if (reason == NULL && parse_result(item, path, text, len, sequence, hits) != FF_OK)
            reason = ff_xstrdup(ff_status_message());
    } else if (reason == NULL) {
        reason = ff_xstrdup(ff_status_message());
    }
    free(text);
    ff_status_clear();
    if (reason != NULL) {
        ff_warn("%s is not used again: %s", path, reason);
        free(reason);
        return false;
    }
    int rows = hits->record.rows;
    if (old != NULL)
        ff_search_record_copy(old, &hits->record);
    else
        hits->record = (struct ff_search_record){.name = ff_xstrdup(item->spec->name),
                                                 .file = ff_xstrdup(item->file), .database_bytes = -1};
    hits->record.rows = rows;
    hits->record.reused = true;
    return true;
}

/* --- 2. one search of a chain ----------------------------------------------------------------------------------- */

/* A chain while its searches run. */
struct chain {
    struct ff_searches *s;
    const struct ff_search_request *q;
    const char *dir;                     /* for temporary files */
    pthread_mutex_t lock;
    pthread_cond_t ended;                /* some search has ended */
    struct ff_search_manifest manifest;
    bool failed;                         /* searches that wait for room do not begin any more */
};

enum task_state { TASK_WAITING, TASK_DONE, TASK_FAILED };

struct task {
    struct chain *chain;
    struct ff_search *item;
    struct ff_search_hits *hits;
    char *path;                          /* in the msas/ folder */
    struct task *before;                 /* whose result this search starts from; NULL: none, or it was there already */
    const char *profile;                 /* its file; NULL: the query alone */
    char input[65];                      /* SHA-256 of the profile; "" without one */
    struct ff_search_ticket ticket;
    pthread_t thread;
    enum task_state state;               /* under the chain's lock */
    ff_status status;
    char *message;
};

/* Writes the result where it is kept, and tells the manifest. */
static ff_status keep_result(struct task *t, const char *text, size_t len)
{
    struct chain *c = t->chain;
    FF_TRY(ff_file_write(t->path, text, len));
    pthread_mutex_lock(&c->lock);
    ff_search_manifest_set(&c->manifest, &t->hits->record);
    ff_status st = ff_search_manifest_write(c->q->msa_dir, &c->manifest);
    pthread_mutex_unlock(&c->lock);
    return st;
}

static bool take_from_cache(struct task *t, const char *key)
{
    const char *cache = t->chain->s->config->search.cache_dir;
    struct ff_search_record r;
    char *text;
    size_t len;
    if (cache == NULL || !ff_search_cache_get(cache, key, &r, &text, &len))
        return false;
    t->hits->record = r;
    t->hits->record.reused = true;
    ff_status st = parse_result(t->item, "a result in the cache", text, len, t->chain->q->sequence, t->hits);
    if (st == FF_OK)
        st = keep_result(t, text, len);
    if (st != FF_OK) {
        ff_warn("%s", ff_status_message());
        ff_search_record_free(&t->hits->record);
        ff_status_clear();
    }
    free(text);
    return st == FF_OK;
}

/* How many sequences the database holds; counted once, and remembered in the cache. */
static ff_status count_sequences(struct task *t, int64_t *ret)
{
    struct ff_searches *s = t->chain->s;
    const char *cache = s->config->search.cache_dir;
    pthread_mutex_lock(&s->lock);
    *ret = t->item->n_sequence;
    pthread_mutex_unlock(&s->lock);
    if (*ret > 0)
        return FF_OK;
    char key[65], *text = ff_xasprintf("sequences of %s %lld %lld", ff_path_base(t->item->database[0]),
                                       (long long)t->item->state.bytes, (long long)t->item->state.mtime);
    ff_hash_sha256_hex(text, strlen(text), key);
    free(text);
    if (cache == NULL || !ff_search_cache_get_number(cache, key, ret) || *ret < 1) {
        FF_TRY(ff_search_database_count(t->item->database[0], t->ticket.cpus, t->chain->q->stop, ret));
        if (cache != NULL)
            ff_search_cache_put_number(cache, key, *ret);
    }
    pthread_mutex_lock(&s->lock);
    t->item->n_sequence = *ret;
    pthread_mutex_unlock(&s->lock);
    return FF_OK;
}

static ff_status search_database(struct task *t, const char *dir, const char *key)
{
    struct ff_searches *s = t->chain->s;
    const struct ff_search *item = t->item;
    struct ff_search_record *r = &t->hits->record;
    struct ff_strbuf text = {0};
    char sha256[65];
    struct ff_search_job job = {
        .config = s->config,
        .programs = s->programs,
        .tool = item->tool,
        .databases = item->database,
        .n_database = item->n_database,
        .max_rows = item->max_rows,
        .dir = dir,
        .name = t->chain->q->name,
        .sequence = t->chain->q->sequence,
        .profile = t->profile,
        .profile_rows = t->profile != NULL ? s->items[0].max_rows : 0,
        .cpus = t->ticket.cpus,
        .budget = s->budget,
        .ticket = &t->ticket,
        .all_rows = item->spec->use == FF_SEARCH_PAIRING,
        .gpu = s->mmseqs_gpu,
        .database = item->state,
        .shards = ff_search_parts(s, item, t->ticket.cpus),
        .stop = t->chain->q->stop,
    };
    *r = (struct ff_search_record){
        .name = ff_xstrdup(item->spec->name),
        .file = ff_xstrdup(item->file),
        .key = ff_xstrdup(key),
        .input = t->input[0] != '\0' ? ff_xstrdup(t->input) : NULL,
        .database = ff_search_database_text(item),
        .database_bytes = item->state.bytes,
        .max_rows = item->max_rows,
    };
    ff_status st = FF_OK;
    if (job.shards > 0)
        st = count_sequences(t, &job.n_sequence);
    if (st == FF_OK)
        st = ff_search_job_run(&job, &text, r);
    if (st == FF_OK) {
        const char *tool = ff_tool_name(item->tool);
        st = parse_result(item, ff_tool_output(item->tool), ff_strbuf_cstr(&text), text.len, job.sequence,
                          t->hits);
        if (st != FF_OK) { /* the program's fault, not that of the user's input */
            ff_context(st, "%s wrote a result that cannot be used", tool);
            st = FF_ETOOL;
        }
    }
    if (st == FF_OK) {
        ff_hash_sha256_hex(ff_strbuf_cstr(&text), text.len, sha256);
        r->sha256 = ff_xstrdup(sha256);
        st = keep_result(t, ff_strbuf_cstr(&text), text.len);
    }
    if (st == FF_OK && s->config->search.cache_dir != NULL)
        ff_search_cache_put(s->config->search.cache_dir, r, ff_strbuf_cstr(&text), text.len);
    ff_strbuf_free(&text);
    return ff_context(st, "search of %s (%s)", item->spec->name, item->database[0]);
}

/* One search with what the user sees of it. */
static ff_status run_search(struct task *t, const char *key)
{
    const char *name = t->item->spec->name;
    char *dir = ff_path_join(t->chain->dir, name), *stage = ff_xasprintf("search %s", name);
    struct ff_progress *progress = ff_progress_start(stage, 0);
    ff_status st = ff_mkdirs(dir);
    if (st == FF_OK)
        st = search_database(t, dir, key);
    char *summary = st == FF_OK ? ff_xasprintf(t->hits->use == FF_SEARCH_TEMPLATES ? "%d hits" : "%d rows",
                                               t->hits->record.rows)
                                : ff_xstrdup("failed");
    ff_progress_end(progress, summary);
    free(summary);
    free(stage);
    free(dir);
    return st;
}

/* Waits for the search that this one starts from. false: it failed. */
static bool wait_before(struct task *t)
{
    struct chain *c = t->chain;
    pthread_mutex_lock(&c->lock);
    while (t->before != NULL && t->before->state == TASK_WAITING)
        pthread_cond_wait(&c->ended, &c->lock);
    bool go_on = t->before == NULL || t->before->state == TASK_DONE;
    if (go_on && t->before != NULL)
        snprintf(t->input, sizeof t->input, "%s", t->before->hits->record.sha256);
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

static ff_status do_task(struct task *t)
{
    struct chain *c = t->chain;
    struct ff_search_budget *budget = c->s->budget;
    const char *name = t->item->spec->name;
    char key[65];
    if (!wait_before(t))
        return FF_EINTERRUPT; /* silent: the failure is told by the other search */
    result_key(c->s, t->item, c->q->sequence, t->input[0] != '\0' ? t->input : NULL, key);
    if (take_from_cache(t, key)) {
        if (t->before == NULL)
            ff_search_budget_cancel(budget, &t->ticket);
        ff_note("search %s: taken from the cache (%d %s)", name, t->hits->record.rows,
                t->hits->use == FF_SEARCH_TEMPLATES ? "hits" : "rows");
        return FF_OK;
    }
    if (t->before != NULL)
        ff_search_budget_enqueue(budget, &t->ticket);
    if (!ff_search_budget_wait(budget, &t->ticket, c->q->stop))
        return ff_fail(FF_EINTERRUPT, "interrupted before the search of %s", name);
    pthread_mutex_lock(&c->lock);
    bool failed = c->failed;
    pthread_mutex_unlock(&c->lock);
    ff_status st = failed ? FF_EINTERRUPT : run_search(t, key);
    ff_search_budget_release(budget, &t->ticket);
    return st;
}

static void *run_task(void *user)
{
    struct task *t = user;
    struct chain *c = t->chain;
    ff_status_clear();
    t->status = do_task(t);
    t->message = ff_xstrdup(ff_status_message());
    pthread_mutex_lock(&c->lock);
    t->state = t->status == FF_OK ? TASK_DONE : TASK_FAILED;
    c->failed = c->failed || t->status != FF_OK;
    pthread_cond_broadcast(&c->ended);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- 3. all searches of a chain --------------------------------------------------------------------------------- */

static void open_budget(struct ff_searches *s)
{
    const struct ff_search_config *c = &s->config->search;
    int processors = ff_clock_cpu_count();
    pthread_mutex_lock(&s->lock);
    if (s->budget == NULL)
        s->budget = ff_search_budget_new(c->cpus > 0 && c->cpus < processors ? c->cpus : processors,
                                         c->memory > 0 ? (size_t)c->memory : ff_clock_available_memory());
    pthread_mutex_unlock(&s->lock);
}

/* Processors by the share that a search has in the work of its chain, so that all end at about the same time. A search
 * that another one waits for counts with that one's work. */
static void fill_tickets(struct ff_searches *s, struct task *tasks, int n)
{
    double total = 0;
    int cpus = ff_search_budget_cpus(s->budget), threads = s->config->search.threads;
    long chain = ff_search_budget_next_chain(s->budget);
    for (int i = 0; i < n; i++) {
        const struct ff_search *item = tasks[i].item;
        tasks[i].ticket = (struct ff_search_ticket){
            .chain = chain,
            .cost = ff_tool_cost(item->tool) * (double)item->state.bytes,
            .memory = ff_tool_memory(item->tool, item->state.bytes),
        };
    }
    for (int i = 0; i < n; i++) {
        if (tasks[i].before != NULL)
            tasks[i].before->ticket.cost += tasks[i].ticket.cost;
        else
            total += tasks[i].ticket.cost;
    }
    for (int i = 0; i < n; i++) {
        struct ff_search_ticket *t = &tasks[i].ticket;
        const struct ff_search *item = tasks[i].item;
        int parts = ff_search_parts(s, item, cpus), most = threads * (parts > 0 ? parts : 1);
        double share = tasks[i].before != NULL || total <= 0 ? 1 : t->cost / total;
        t->cpus = (int)(share * cpus + 0.5);
        t->cpus = t->cpus > most ? most : t->cpus;
        t->cpus = t->cpus > cpus ? cpus : t->cpus < 1 ? 1 : t->cpus;
        t->turns = parts > 0 && ff_search_shard_filters();
        parts = ff_search_parts(s, item, t->cpus);
        if (parts > 0) /* they see little of the database, and keep names and scores alone */
            t->memory += (size_t)parts * ff_tool_memory(FF_TOOL_PHMMER, 0);
    }
}

/* Room for the results that are kept: a Stockholm row needs some four bytes for a residue, with gaps and names. */
static ff_status check_space(const struct ff_search_request *q, const struct task *tasks, int n)
{
    enum { ROWS = 20000 };       /* of a search without a cap */
    double need = 0;
    for (int i = 0; i < n; i++) {
        double rows = tasks[i].item->max_rows > 0 ? tasks[i].item->max_rows : ROWS;
        double most = rows * (4.0 * (double)strlen(q->sequence) + 300);
        double of_database = 4.0 * (double)tasks[i].item->state.bytes;
        need += most < of_database ? most : of_database;
    }
    int64_t room = ff_free_space(q->msa_dir);
    if (room >= 0 && (double)room < need)
        return ff_fail(FF_EIO, "%s has %.0f MiB free; these searches may need %.0f MiB", q->msa_dir,
                       (double)room / (1 << 20), need / (1 << 20));
    return FF_OK;
}

/* Removes the temporary folder; an earlier failure st and its message stay. */
static ff_status remove_work_folder(const char *dir, ff_status st)
{
    char *message = ff_xstrdup(ff_status_message());
    ff_status removed = ff_remove_tree(dir);
    if (st != FF_OK)
        ff_fail(st, "%s", message);
    free(message);
    return st != FF_OK ? st : removed;
}

static ff_status run_tasks(struct chain *c, struct task *tasks, int n)
{
    char *dir;
    for (int i = 0; i < n; i++)
        FF_TRY(ff_search_look(c->s, tasks[i].item));
    FF_TRY(check_space(c->q, tasks, n));
    FF_TRY(ff_mkdirs(c->q->tmp_parent));
    FF_TRY(ff_make_temp_dir(c->q->tmp_parent, ".search-", &dir));
    c->dir = dir;
    open_budget(c->s);
    fill_tickets(c->s, tasks, n);
    for (int i = 0; i < n; i++)
        if (tasks[i].before == NULL)
            ff_search_budget_enqueue(c->s->budget, &tasks[i].ticket);
    for (int i = 0; i < n; i++)
        FF_ASSERT(pthread_create(&tasks[i].thread, NULL, run_task, &tasks[i]) == 0);
    ff_status st = FF_OK;
    for (int i = 0; i < n; i++)
        pthread_join(tasks[i].thread, NULL);
    for (int i = 0; i < n; i++)
        if (tasks[i].status != FF_OK && tasks[i].message[0] != '\0' && st == FF_OK)
            st = ff_fail(tasks[i].status, "%s", tasks[i].message);
    st = remove_work_folder(dir, st);
    free(dir);
    return st;
}

static bool hash_file(const char *path, char ret[65])
{
    bool ok = ff_hash_sha256_file(path, ret) == FF_OK;
    ff_status_clear();
    return ok;
}

/* Takes what is there already, and makes tasks of the rest. Results have the order of the searches. */
static int make_tasks(struct chain *c, struct task *tasks, struct ff_search_results *ret)
{
    struct ff_searches *s = c->s;
    const struct ff_search_request *q = c->q;
    struct task *profile_task = NULL;
    char *profile = NULL, sha256[65] = "";
    int n = 0;
    for (int i = 0; i < s->count; i++) {
        struct ff_search *item = &s->items[i];
        bool templates = item->spec->use == FF_SEARCH_TEMPLATES;
        if (!ff_search_is_for(item, q))
            continue;
        struct ff_search_hits *hits = &ret->items[ret->count];
        char *path = ff_path_join(q->msa_dir, item->file);
        const struct ff_search_record *old = ff_search_manifest_find(&c->manifest, item->file);
        bool may_reuse = !templates || profile_task == NULL;
        if (may_reuse && reuse_file(item, path, q->sequence, templates && sha256[0] != '\0' ? sha256 : NULL, old,
                                    hits)) {
            ff_note("search %s: %s used again (%d %s)", item->spec->name, path, hits->record.rows,
                    templates ? "hits" : "rows");
            if (item->spec == &ff_search_specs[0] && hash_file(path, sha256))
                profile = ff_xstrdup(path);
            ret->count++;
        } else if (item->n_database > 0) {
            struct task *t = &tasks[n++];
            *t = (struct task){.chain = c, .item = item, .hits = hits, .path = ff_xstrdup(path)};
            hits->use = item->spec->use;
            if (item->spec == &ff_search_specs[0]) {
                profile_task = t;
                profile = ff_xstrdup(path);
            }
            if (templates) {
                t->before = profile_task;
                t->profile = profile;
                memcpy(t->input, sha256, sizeof sha256);
            }
            ret->count++;
        } else {
            ff_info("search %s: no database is configured, skipped", item->spec->name);
        }
        free(path);
    }
    for (int i = 0; i < n; i++)
        tasks[i].profile = tasks[i].profile != NULL ? ff_xstrdup(tasks[i].profile) : NULL;
    free(profile);
    return n;
}

ff_status ff_searches_run(struct ff_searches *s, const struct ff_search_request *q, struct ff_search_results *ret)
{
    *ret = (struct ff_search_results){.items = FF_NEW_ARRAY(struct ff_search_hits, FF_SEARCH_SPECS)};
    struct chain c = {.s = s, .q = q};
    struct task tasks[FF_SEARCH_SPECS];
    int n = 0;
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.ended, NULL);
    ff_search_manifest_read(q->msa_dir, &c.manifest);
    ff_remove_stale(q->msa_dir);
    ff_remove_stale(q->tmp_parent);
    ff_status st = ff_mkdirs(q->msa_dir);
    if (st == FF_OK)
        n = make_tasks(&c, tasks, ret);
    if (n > 0)
        st = run_tasks(&c, tasks, n);
    for (int i = 0; i < n; i++) {
        free(tasks[i].path);
        free(tasks[i].message);
        free((char *)(uintptr_t)tasks[i].profile);
    }
    ff_search_manifest_free(&c.manifest);
    pthread_cond_destroy(&c.ended);
    pthread_mutex_destroy(&c.lock);
    if (st != FF_OK)
        ff_search_results_free(ret);
    return st;
}
