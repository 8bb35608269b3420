/* SPDX-License-Identifier: Apache-2.0
 * search_shard: one FASTA database searched in parts side by side.
 *
 *  1. Places in a FASTA file
 *  2. Counting
 *  3. Feeding a part to phmmer
 *  4. Searching a part
 *  5. The hits of all parts
 */
#include "app/search_shard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "bio/fasta_stream.h"
#include "bio/ssv_filter.h"

enum { PIECE = 1 << 20, TURN = 256 << 10 }; /* TURN: bytes that a thread takes of a part at a time */
enum { SPARE_HITS = 4, HITS_PER_CPU = 200 };

/* --- 1. places in a FASTA file ---------------------------------------------------------------------------------- */

bool ff_search_shard_compressed(const char *path)
{
    unsigned char magic[2] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, magic, 2);
    close(fd);
    return n == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

static ff_status open_database(const char *path, int *ret_fd, int64_t *ret_bytes)
{
    *ret_bytes = ff_file_size(path);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return ff_fail_errno(FF_EMISSING, "%s cannot be opened", path);
    return FF_OK;
}

/* Where the first record at or behind from begins; bytes when there is none. -1: reading failed. */
static int64_t next_record(int fd, int64_t from, int64_t bytes)
{
    enum { STEP = 4096 };
    char *buf = ff_xmalloc(STEP);
    bool line_start = from == 0;
    int64_t found = bytes, at = line_start ? 0 : from - 1;
    while (at < bytes && found == bytes) {
        ssize_t n = pread(fd, buf, STEP, at);
        if (n <= 0) {
            found = -1;
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (line_start && buf[i] == '>') {
                found = at + i;
                break;
            }
            line_start = buf[i] == '\n';
        }
        at += n;
    }
    free(buf);
    return found;
}

/* --- 2. counting ------------------------------------------------------------------------------------------------ */

struct count {
    int fd;
    int64_t from, to;
    const bool *stop;
    int64_t n;                   /* records that begin in [from, to); -1: reading failed */
};

static void *count_records(void *user)
{
    struct count *c = user;
    char *buf = ff_xmalloc(PIECE);
    char last = '\n';
    if (c->from > 0 && pread(c->fd, &last, 1, c->from - 1) != 1)
        c->n = -1;
    for (int64_t at = c->from; at < c->to && c->n >= 0;) {
        size_t want = c->to - at < PIECE ? (size_t)(c->to - at) : PIECE;
        ssize_t n = pread(c->fd, buf, want, at);
        if (n <= 0 || (c->stop != NULL && *(const volatile bool *)c->stop)) {
            c->n = -1;
            break;
        }
        for (const char *p = buf, *end = buf + n; p < end && (p = memchr(p, '>', (size_t)(end - p))) != NULL; p++)
            c->n += (p > buf ? p[-1] : last) == '\n';
        last = buf[n - 1];
        at += n;
    }
    free(buf);
    return NULL;
}

struct stream_count {
    const bool *stop;
    int64_t n;
};

static bool count_record(void *user, int64_t place, const char *record, size_t len)
{
    (void)place, (void)record, (void)len;
    struct stream_count *c = user;
    c->n++;
    return c->stop == NULL || !*(const volatile bool *)c->stop;
}

static ff_status count_in_parts(const char *path, int threads, const bool *stop, int64_t *ret)
{
    int fd;
    int64_t bytes;
    FF_TRY(open_database(path, &fd, &bytes));
    struct count *parts = FF_NEW_ARRAY(struct count, (size_t)threads);
    pthread_t *ids = FF_NEW_ARRAY(pthread_t, (size_t)threads);
    for (int i = 0; i < threads; i++) {
        parts[i] = (struct count){.fd = fd, .from = bytes * i / threads, .to = bytes * (i + 1) / threads, .stop = stop};
        FF_ASSERT(pthread_create(&ids[i], NULL, count_records, &parts[i]) == 0);
    }
    bool failed = false;
    *ret = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        failed = failed || parts[i].n < 0;
        *ret += parts[i].n;
    }
    free(ids);
    free(parts);
    close(fd);
    return failed ? ff_fail(FF_EIO, "%s cannot be read to its end", path) : FF_OK;
}

ff_status ff_search_shard_count(const char *path, int threads, const bool *stop, int64_t *ret)
{
    struct stream_count c = {.stop = stop};
    bool compressed = ff_search_shard_compressed(path);
    ff_status st = compressed ? ff_fasta_stream(path, count_record, &c) : count_in_parts(path, threads, stop, &c.n);
    if (stop != NULL && *stop)
        return ff_fail(FF_EINTERRUPT, "interrupted while counting the sequences of %s", path);
    FF_TRY(st);
    *ret = c.n;
    return c.n > 0 ? FF_OK : ff_fail(FF_EIO, "%s has no sequences", path);
}

/* --- 3. feeding a part to phmmer -------------------------------------------------------------------------------- */

struct hit {
    int64_t place;               /* of its record in the database */
    double score;                /* bits, as printed */
};

struct part {
    const struct ff_search_job *job;
    const char *query;
    const struct ff_ssv *filter;         /* NULL: everything is searched */
    int cpus;
    int fd;                      /* of the database */
    bool compressed;             /* then the only part */
    int64_t from, to;
    char *fifo;
    int n_feeder;                /* threads that write into the pipe; with a filter, as many as find work in turns */
    atomic_llong next;           /* where the next turn begins, from on */
    int pipe;                    /* its end for writing; -1: phmmer never opened it */
    pthread_mutex_t lock;        /* of writing, as records go in whole */
    atomic_bool ended;           /* phmmer is not there any more */
    atomic_bool read_failed;
    /* results */
    struct hit *hits;
    int n_hit, capacity;
    struct ff_strbuf line;       /* of phmmer's table that is not complete yet */
    bool has_end;                /* the table's last line came */
    struct ff_search_record record;
    ff_status status;
    char *message;
};

/* Waits until phmmer has opened the pipe. */
static int open_fifo(struct part *p)
{
    for (;;) {
        int fd = open(p->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || errno != ENXIO || atomic_load(&p->ended))
            return fd;
        poll(NULL, 0, 2);
    }
}

/* Writes everything unless the reader goes away. */
static bool write_all(struct part *p, int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, 100);
            if (atomic_load(&p->ended))
                return false;
        } else if (n < 0 && errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Appends the record at byte place of the database, unless HMMER would drop it at once: ">1f3a" is the name of the one
 * at byte 0x1f3a. The first one of a part always comes, as HMMER takes an empty file for a broken one. */
static void add_record(const struct part *p, void *scratch, int64_t place, const char *record, size_t len,
                       struct ff_strbuf *out)
{
    const char *stop = memchr(record, '\n', len);
    size_t header = stop != NULL ? (size_t)(stop + 1 - record) : len;
    if (p->filter != NULL && place != p->from &&
        !ff_ssv_may_pass(p->filter, scratch, record + header, len - header))
        return;
    ff_strbuf_printf(out, ">%llx\n", (unsigned long long)place);
    ff_strbuf_append(out, record + header, len - header);
}

/* What a feeding thread has in hands. */
struct feeder {
    struct part *p;
    void *scratch;               /* of the filter */
    struct ff_strbuf text, out;
};

/* Writes what was collected. false: there is nobody who reads. */
static bool flush(struct feeder *f)
{
    struct part *p = f->p;
    pthread_mutex_lock(&p->lock);
    bool ok = write_all(p, p->pipe, ff_strbuf_cstr(&f->out), f->out.len);
    pthread_mutex_unlock(&p->lock);
    ff_strbuf_clear(&f->out);
    return ok;
}

/* The records of [from, to), which begins and ends between two. What is left of a piece is the beginning of the next
 * one. */
static bool collect_range(struct feeder *f, int64_t from, int64_t to)
{
    struct ff_strbuf *text = &f->text;
    ff_strbuf_clear(text);
    for (int64_t at = from; at < to;) { /* text is what stands before at */
        size_t want = to - at < PIECE ? (size_t)(to - at) : PIECE;
        ff_strbuf_reserve(text, want);
        ssize_t n = pread(f->p->fd, text->s + text->len, want, at);
        if (n <= 0) {
            atomic_store(&f->p->read_failed, true);
            return false;
        }
        text->len += (size_t)n;
        at += n;
        const char *record = text->s, *end = text->s + text->len, *next;
        while ((next = ff_fasta_record_end(record, end)) != NULL || (at >= to && record < end)) {
            next = next != NULL ? next : end;
            add_record(f->p, f->scratch, at - (end - record), record, (size_t)(next - record), &f->out);
            record = next;
        }
        text->len = (size_t)(end - record);
        memmove(text->s, record, text->len);
        if (f->p->filter == NULL && !flush(f))
            return false;
    }
    return true;
}

/* The turn that begins at byte turn; what it hands on is written afterwards, as that may have to wait. */
static bool collect_turn(struct feeder *f, int64_t turn)
{
    struct part *p = f->p;
    int64_t from = next_record(p->fd, turn, p->to);
    int64_t to = turn + TURN < p->to ? next_record(p->fd, turn + TURN, p->to) : p->to;
    if (from >= 0 && to >= 0)
        return collect_range(f, from, to);
    atomic_store(&p->read_failed, true);
    return false;
}

static void begin_feeding(struct part *p, struct feeder *f)
{
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE); /* a reader that goes away shows as an error of write */
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    *f = (struct feeder){.p = p, .scratch = p->filter != NULL ? ff_ssv_scratch(p->filter) : NULL};
}

static void end_feeding(struct feeder *f)
{
    if (!atomic_load(&f->p->read_failed) && f->out.len > 0)
        flush(f);
    ff_strbuf_free(&f->out);
    ff_strbuf_free(&f->text);
    free(f->scratch);
}

/* Turn after turn, as the threads of a part come to it. */
static void *feed_turns(void *user)
{
    struct part *p = user;
    struct feeder f;
    begin_feeding(p, &f);
    struct ff_search_budget *budget = p->filter != NULL ? p->job->budget : NULL;
    bool go_on = true;
    while (go_on && !atomic_load(&p->ended) && atomic_load(&p->next) < p->to) {
        if (budget != NULL)
            ff_search_budget_begin_turn(budget);
        int64_t turn = atomic_fetch_add(&p->next, TURN);
        go_on = turn < p->to && collect_turn(&f, turn);
        if (budget != NULL)
            ff_search_budget_end_turn(budget);
        if (f.out.len >= PIECE / 16)
            go_on = flush(&f) && go_on;
    }
    end_feeding(&f);
    return NULL;
}

static bool feed_record(void *user, int64_t place, const char *record, size_t len)
{
    struct feeder *f = user;
    add_record(f->p, f->scratch, place, record, len, &f->out);
    return !atomic_load(&f->p->ended) && (f->out.len < PIECE / 16 || flush(f));
}

/* A compressed database has one way to be read, and this thread goes it. */
static void *feed_stream(void *user)
{
    struct part *p = user;
    struct feeder f;
    begin_feeding(p, &f);
    if (ff_fasta_stream(p->job->databases[0], feed_record, &f) != FF_OK)
        atomic_store(&p->read_failed, true);
    end_feeding(&f);
    return NULL;
}

/* Everything of the part into its pipe. */
static void *feed_part(void *user)
{
    struct part *p = user;
    pthread_t *ids = FF_NEW_ARRAY(pthread_t, (size_t)p->n_feeder);
    p->pipe = open_fifo(p);
    for (int i = 0; i < p->n_feeder && p->pipe >= 0; i++)
        FF_ASSERT(pthread_create(&ids[i], NULL, p->compressed ? feed_stream : feed_turns, p) == 0);
    for (int i = 0; i < p->n_feeder && p->pipe >= 0; i++)
        pthread_join(ids[i], NULL);
    if (p->pipe >= 0)
        close(p->pipe);
    free(ids);
    return NULL;
}

/* --- 4. searching a part ---------------------------------------------------------------------------------------- */

/* A line of the table: target name, accession, query name, accession, E-value, score, ... */
static void take_line(struct part *p, const char *line)
{
    unsigned long long place;
    double score;
    if (strncmp(line, "# [ok]", 6) == 0)
        p->has_end = true;
    if (*line == '#' || sscanf(line, "%llx %*s %*s %*s %*s %lf", &place, &score) != 2)
        return;
    FF_GROW(p->hits, p->n_hit, p->capacity);
    p->hits[p->n_hit++] = (struct hit){(int64_t)place, score};
}

static bool take_table(void *user, const char *data, size_t len)
{
    struct part *p = user;
    for (const char *end = data + len; data < end;) {
        const char *stop = memchr(data, '\n', (size_t)(end - data));
        ff_strbuf_append(&p->line, data, (size_t)((stop != NULL ? stop : end) - data));
        if (stop == NULL)
            break;
        take_line(p, ff_strbuf_cstr(&p->line));
        ff_strbuf_clear(&p->line);
        data = stop + 1;
    }
    return true;
}

static ff_status search_part(struct part *p)
{
    if (mkfifo(p->fifo, 0600) != 0)
        return ff_fail_errno(FF_EIO, "%s: a pipe cannot be made here; set search.tmp_dir to a folder of a local disk, "
                             "or search.shards to 1", p->fifo);
    pthread_t feeder;
    pthread_mutex_init(&p->lock, NULL);
    FF_ASSERT(pthread_create(&feeder, NULL, feed_part, p) == 0);
    const char *database = p->fifo;
    struct ff_tool_call call = {.query = p->query, .databases = &database, .n_database = 1, .cpus = p->cpus,
                                .z = p->job->n_sequence};
    ff_status st = ff_search_job_call(p->job, FF_TOOL_PHMMER, &call, take_table, p, &p->record);
    atomic_store(&p->ended, true);
    pthread_join(feeder, NULL);
    pthread_mutex_destroy(&p->lock);
    if (st == FF_OK && atomic_load(&p->read_failed))
        st = ff_fail(FF_EIO, "%s cannot be read to its end", p->job->databases[0]);
    if (st == FF_OK && !p->has_end)
        st = ff_fail(FF_ETOOL, "phmmer wrote a table of hits without its end");
    return st;
}

static void *run_part(void *user)
{
    struct part *p = user;
    p->status = search_part(p);
    p->message = p->status != FF_OK ? ff_xstrdup(ff_status_message()) : NULL;
    return NULL;
}

/* --- 5. the hits of all parts ----------------------------------------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

static int by_place(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Keeps the best n hits and those that score like the last of them, as scores are rounded. */
static int keep_best(struct hit *hits, int count, int n)
{
    qsort(hits, (size_t)count, sizeof *hits, by_score);
    while (n < count && hits[n].score >= hits[n - 1].score)
        n++;
    return n < count ? n : count;
}

struct hit_writer {
    FILE *to;
    const struct hit *hits;      /* in the order of their places */
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
        int64_t place = w->hits[w->next].place, end = place < 0 ? -1 : next_record(fd, place + 1, bytes);
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
static ff_status write_hits(const struct ff_search_job *job, int fd, int64_t bytes, struct hit *hits, int n,
                            const char *path)
{
    const char *database = job->databases[0];
    bool compressed = ff_search_shard_compressed(database);
    struct hit first = {.place = compressed ? 0 : next_record(fd, 0, bytes)};
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
                            struct hit *hits, int n_hit, struct ff_strbuf *text, struct ff_search_record *r)
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
                           int64_t bytes, struct part *parts, struct ff_search_record *r)
{
    pthread_t *ids = FF_NEW_ARRAY(pthread_t, (size_t)job->shards);
    ff_status st = FF_OK;
    int64_t from = 0;
    int all = ff_search_budget_cpus(job->budget), feeders = (2 * all + job->shards - 1) / job->shards;
    bool compressed = ff_search_shard_compressed(job->databases[0]);
    feeders = feeders < all ? feeders : all; /* twice as many as one search needs alone: parts end one by one */
    for (int i = 0; i < job->shards; i++) {
        int64_t to = i + 1 < job->shards ? next_record(fd, bytes * (i + 1) / job->shards, bytes) : bytes;
        to = to < from ? from : to;
        int cpus = job->cpus * (i + 1) / job->shards - job->cpus * i / job->shards;
        parts[i] = (struct part){.job = job, .query = query, .filter = filter, .fd = fd, .from = from, .to = to,
                                 .cpus = cpus > 0 ? cpus : 1, .next = from,
                                 .n_feeder = filter != NULL && !compressed ? feeders : 1, .compressed = compressed,
                                 .fifo = ff_xasprintf("%s/part-%d.fasta", job->dir, i + 1)};
        if (to > from) /* a small database may have fewer records than parts */
            FF_ASSERT(pthread_create(&ids[i], NULL, run_part, &parts[i]) == 0);
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
    ff_status st = open_database(job->databases[0], &fd, &bytes);
    if (st != FF_OK) {
        ff_ssv_free(filter);
        return st;
    }
    struct part *parts = FF_NEW_ARRAY(struct part, (size_t)job->shards);
    st = run_parts(job, query, filter, fd, bytes, parts, r);
    ff_search_budget_unpool(job->budget, job->ticket);
    ff_ssv_free(filter);
    struct hit *hits = NULL;
    int n = 0;
    for (int i = 0; i < job->shards; i++) {
        struct part *p = &parts[i];
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
