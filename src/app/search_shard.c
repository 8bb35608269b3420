/* SPDX-License-Identifier: Apache-2.0
 * search_shard: see search_shard.h.
 */
#include "app/search_shard.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/search_database.h"
#include "app/search_part.h"
#include "base/alloc.h"
#include "base/file.h"
#include "bio/fasta_stream.h"

enum { SPARE_HITS = 4, HITS_PER_CPU = 200 };

/* --- the hits of all parts ----------------------------------------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const struct ff_search_hit *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

static int by_place(const void *a, const void *b)
{
    const struct ff_search_hit *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Keeps the best n hits and those that score like the last of them, as scores are rounded. */
static int keep_best(struct ff_search_hit *hits, int count, int n)
{
    qsort(hits, (size_t)count, sizeof *hits, by_score);
    while (n < count && hits[n].score >= hits[n - 1].score)
        n++;
    return n < count ? n : count;
}

struct hit_writer {
    FILE *to;
    const struct ff_search_hit *hits;      /* in the order of their places */
    int n, next;
};

/* A record of the database as it comes. */
static bool write_record(void *user, int64_t place, const char *record, size_t len)
{
    struct hit_writer *w = user;
    if (place != w->hits[w->next].place)
        return true;
    if (fwrite(record, 1, len, w->to) == len && record[len - 1] != '\n')
        putc('\n', w->to);
    return ++w->next < w->n;
}

/* Goes to the records of a plain file. */
static ff_status write_from(int fd, int64_t bytes, struct hit_writer *w)
{
    struct ff_strbuf record = {0};
    ssize_t got = 0;
    size_t len = 0;
    for (bool more = true; more && got == (ssize_t)len;) {
        int64_t place = w->hits[w->next].place, end = place < 0 ? -1 : ff_search_database_next(fd, place + 1, bytes);
        got = -1;
        if (end < 0)
            break;
        len = (size_t)(end - place);
        ff_strbuf_clear(&record);
        ff_strbuf_reserve(&record, len);
        got = pread(fd, record.s, len, place);
        more = got == (ssize_t)len && write_record(w, place, record.s, len);
    }
    ff_strbuf_free(&record);
    return w->next == w->n ? FF_OK : FF_EIO;
}

/* The records of the hits as a file, in the database's order; without hits its first record, so that there is one. */
static ff_status write_hits(const struct ff_search_job *job, int fd, int64_t bytes, struct ff_search_hit *hits, int n,
                            const char *path)
{
    const char *database = job->databases[0];
    bool compressed = ff_search_database_compressed(database);
    struct ff_search_hit first = {.place = compressed ? 0 : ff_search_database_next(fd, 0, bytes)};
    struct ff_outfile *out;
    FF_TRY(ff_outfile_open(path, &out));
    if (n > 0)
        qsort(hits, (size_t)n, sizeof *hits, by_place);
    else
        hits = &first, n = 1;
    struct hit_writer w = {.to = ff_outfile_stream(out), .hits = hits, .n = n};
    ff_status st = compressed ? ff_fasta_stream(database, write_record, &w) : write_from(fd, bytes, &w);
    if (st == FF_EIO || (st == FF_OK && w.next < n))
        st = ff_fail(FF_EIO, "%s cannot be read", database);
    if (st == FF_OK)
        return ff_outfile_commit(out);
    ff_outfile_abort(out);
    return st;
}

/* Rows of the alignment are domains: a hit nearly always has one that is kept, so some spare hits fill the cap. */
static ff_status align_hits(const struct ff_search_job *job, const char *query, int fd, int64_t bytes,
                            struct ff_search_hit *hits, int n_hit, struct ff_strbuf *text, struct ff_search_record *r)
{
    int n = n_hit, cpus = 1 + n_hit / HITS_PER_CPU, most = job->config->search.threads;
    ff_search_budget_resize(job->budget, job->ticket, cpus < most ? cpus : most);
    struct ff_tool_call call = {.query = query, .n_database = 1, .cpus = job->ticket->cpus, .z = job->n_sequence};
    if (job->max_rows > 0 && n_hit / SPARE_HITS > job->max_rows) {
        n = keep_best(hits, n_hit, 2 * job->max_rows);
        call.dom_z = n_hit;
    }
    char *path = ff_path_join(job->dir, "hits.fasta");
    const char *database = path;
    call.databases = &database;
    ff_status st = write_hits(job, fd, bytes, hits, n, path);
    if (st == FF_OK)
        st = ff_search_job_jackhmmer(job, &call, text, r);
    free(path);
    return st;
}

bool ff_search_shard_filters(void)
{
    return ff_ssv_best_isa() != FF_SSV_PLAIN;
}

/* What HMMER's first filter drops, from the profile that it makes of the query. NULL on a processor without the vectors
 * that make this worth while. */
static ff_status make_filter(const struct ff_search_job *job, const char *query, struct ff_search_record *r,
                             struct ff_ssv **ret)
{
    *ret = NULL;
    if (!ff_search_shard_filters())
        return FF_OK;
    char *text = NULL, *path = ff_path_join(job->dir, "query.hmm");
    size_t len;
    struct ff_tool_call build = {.query = query, .output = path, .one_sequence = true};
    ff_status st = ff_search_job_call(job, FF_TOOL_HMMBUILD, &build, NULL, NULL, r);
    if (st == FF_OK)
        st = ff_file_read(path, &text, &len);
    if (st == FF_OK)
        st = ff_ssv_new("what hmmbuild wrote", text, len, FF_TOOL_FIRST_FILTER, ff_ssv_best_isa(), ret);
    free(text);
    free(path);
    return st == FF_EINPUT ? FF_ETOOL : st;
}

static ff_status run_parts(const struct ff_search_job *job, const char *query, const struct ff_ssv *filter, int fd,
                           int64_t bytes, struct ff_search_part *parts, struct ff_search_record *r)
{
    pthread_t *ids = FF_NEW_ARRAY(pthread_t, (size_t)job->shards);
    ff_status st = FF_OK;
    int64_t from = 0;
    int all = ff_search_budget_cpus(job->budget), feeders = (2 * all + job->shards - 1) / job->shards;
    bool compressed = ff_search_database_compressed(job->databases[0]);
    feeders = feeders < all ? feeders : all; /* twice as many as one search needs alone: parts end one by one */
    for (int i = 0; i < job->shards; i++) {
        int64_t to = i + 1 < job->shards ? ff_search_database_next(fd, bytes * (i + 1) / job->shards, bytes) : bytes;
        to = to < from ? from : to;
        int cpus = job->cpus * (i + 1) / job->shards - job->cpus * i / job->shards;
        parts[i] = (struct ff_search_part){
            .job = job,
            .query = query,
            .filter = filter,
            .fd = fd,
            .from = from,
            .to = to,
            .cpus = cpus > 0 ? cpus : 1,
            .next = from,
            .n_feeder = filter != NULL && !compressed ? feeders : 1,
            .compressed = compressed,
            .fifo = ff_xasprintf("%s/part-%d.fasta", job->dir, i + 1),
        };
        if (to > from) /* a small database may have fewer records than parts */
            FF_ASSERT(pthread_create(&ids[i], NULL, ff_search_part_run, &parts[i]) == 0);
        from = to;
    }
    double seconds = 0;
    for (int i = 0; i < job->shards; i++) {
        if (parts[i].to <= parts[i].from)
            continue;
        pthread_join(ids[i], NULL);
        seconds = parts[i].record.seconds > seconds ? parts[i].record.seconds : seconds;
        r->peak_bytes += parts[i].record.peak_bytes;
        if (parts[i].status != FF_OK && st == FF_OK)
            st = ff_fail(parts[i].status, "%s", parts[i].message);
    }
    r->seconds += seconds;
    if (parts[0].record.command != NULL) {
        char *before = r->command;
        r->command = ff_xasprintf("%s%s%s (%d parts in all)", before != NULL ? before : "", before != NULL ? "; " : "",
                                  parts[0].record.command, job->shards);
        free(before);
    }
    free(ids);
    return st;
}

ff_status ff_search_shard_run(const struct ff_search_job *job, const char *query, struct ff_strbuf *text,
                              struct ff_search_record *r)
{
    int fd;
    int64_t bytes;
    struct ff_ssv *filter;
    if (ff_search_shard_filters()) /* what this search does not use at once, others do */
        ff_search_budget_pool(job->budget, job->ticket);
    FF_TRY(make_filter(job, query, r, &filter));
    ff_status st = ff_search_database_open(job->databases[0], &fd, &bytes);
    if (st != FF_OK) {
        ff_ssv_free(filter);
        return st;
    }
    struct ff_search_part *parts = FF_NEW_ARRAY(struct ff_search_part, (size_t)job->shards);
    st = run_parts(job, query, filter, fd, bytes, parts, r);
    ff_search_budget_unpool(job->budget, job->ticket);
    ff_ssv_free(filter);
    struct ff_search_hit *hits = NULL;
    int n = 0;
    for (int i = 0; i < job->shards; i++) {
        struct ff_search_part *p = &parts[i];
        if (p->n_hit > 0) {
            hits = ff_xreallocarray(hits, (size_t)(n + p->n_hit), sizeof *hits);
            memcpy(hits + n, p->hits, (size_t)p->n_hit * sizeof *hits);
            n += p->n_hit;
        }
        free(p->hits);
        free(p->fifo);
        free(p->message);
        ff_strbuf_free(&p->line);
        ff_search_record_free(&p->record);
    }
    if (st == FF_OK)
        st = align_hits(job, query, fd, bytes, hits, n, text, r);
    free(hits);
    free(parts);
    close(fd);
    return st;
}
