/* SPDX-License-Identifier: Apache-2.0
 * search_database: see search_database.h.
 */
#include "app/search_database.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "bio/fasta_stream.h"

enum { PIECE = 1 << 20 };

/* --- places in a FASTA file ---------------------------------------------------------------------------------- */

bool ff_search_database_compressed(const char *path)
{
    unsigned char magic[2] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, magic, 2);
    close(fd);
    return n == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

ff_status ff_search_database_open(const char *path, int *ret_fd, int64_t *ret_bytes)
{
    *ret_bytes = ff_file_size(path);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return ff_fail_errno(FF_EMISSING, "%s cannot be opened", path);
    return FF_OK;
}

int64_t ff_search_database_next(int fd, int64_t from, int64_t bytes)
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

/* --- counting ------------------------------------------------------------------------------------------------ */

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
    FF_TRY(ff_search_database_open(path, &fd, &bytes));
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

ff_status ff_search_database_count(const char *path, int threads, const bool *stop, int64_t *ret)
{
    struct stream_count c = {.stop = stop};
    bool compressed = ff_search_database_compressed(path);
    ff_status st = compressed ? ff_fasta_stream(path, count_record, &c) : count_in_parts(path, threads, stop, &c.n);
    if (stop != NULL && *stop)
        return ff_fail(FF_EINTERRUPT, "interrupted while counting the sequences of %s", path);
    FF_TRY(st);
    *ret = c.n;
    return c.n > 0 ? FF_OK : ff_fail(FF_EIO, "%s has no sequences", path);
}
