/* SPDX-License-Identifier: Apache-2.0
 * search_part: see search_part.h.
 */
#include "app/search_part.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/search_database.h"
#include "base/alloc.h"
#include "bio/fasta_stream.h"

enum { PIECE = 1 << 20, TURN = 256 << 10 }; /* TURN: bytes that a thread takes of a part at a time */

/* --- feeding a part to phmmer -------------------------------------------------------------------------------- */

/* Waits until phmmer has opened the pipe. */
static int open_fifo(struct ff_search_part *p)
{
    for (;;) {
        int fd = open(p->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || errno != ENXIO || atomic_load(&p->ended))
            return fd;
        poll(NULL, 0, 2);
    }
}

/* Writes everything unless the reader goes away. */
static bool write_all(struct ff_search_part *p, int fd, const char *data, size_t len)
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
static void add_record(const struct ff_search_part *p, void *scratch, int64_t place, const char *record, size_t len,
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
    struct ff_search_part *p;
    void *scratch;               /* of the filter */
    struct ff_strbuf text, out;
};

/* Writes what was collected. false: there is nobody who reads. */
static bool flush(struct feeder *f)
{
    struct ff_search_part *p = f->p;
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
    struct ff_search_part *p = f->p;
    int64_t from = ff_search_database_next(p->fd, turn, p->to);
    int64_t to = turn + TURN < p->to ? ff_search_database_next(p->fd, turn + TURN, p->to) : p->to;
    if (from >= 0 && to >= 0)
        return collect_range(f, from, to);
    atomic_store(&p->read_failed, true);
    return false;
}

static void begin_feeding(struct ff_search_part *p, struct feeder *f)
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
    struct ff_search_part *p = user;
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
    struct ff_search_part *p = user;
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
    struct ff_search_part *p = user;
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

/* --- searching a part ---------------------------------------------------------------------------------------- */

/* A line of the table: target name, accession, query name, accession, E-value, score, ... */
static void take_line(struct ff_search_part *p, const char *line)
{
    unsigned long long place;
    double score;
    if (strncmp(line, "# [ok]", 6) == 0)
        p->has_end = true;
    if (*line == '#' || sscanf(line, "%llx %*s %*s %*s %*s %lf", &place, &score) != 2)
        return;
    FF_GROW(p->hits, p->n_hit, p->capacity);
    p->hits[p->n_hit++] = (struct ff_search_hit){(int64_t)place, score};
}

static bool take_table(void *user, const char *data, size_t len)
{
    struct ff_search_part *p = user;
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

static ff_status search_part(struct ff_search_part *p)
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

void *ff_search_part_run(void *user)
{
    struct ff_search_part *p = user;
    p->status = search_part(p);
    p->message = p->status != FF_OK ? ff_xstrdup(ff_status_message()) : NULL;
    return NULL;
}
