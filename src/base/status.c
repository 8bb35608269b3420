/* SPDX-License-Identifier: Apache-2.0
 * status: the per-thread message of the last failure, and the end of the program after a broken invariant.
 *
 * Messages live in a fixed thread-local buffer: no allocation on the way to reporting that memory ran out, and nothing
 * to free when a thread ends.
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Room for a command line and the 8 KiB tail of a tool's stderr. */
enum { MESSAGE_SIZE = 16384 };

static _Thread_local char message[MESSAGE_SIZE];

static void (*_Atomic die_hook)(void);
static atomic_int die_rank = -1;
static atomic_flag dying = ATOMIC_FLAG_INIT;
static _Thread_local bool dying_here;

/* A cut message ends in "..." so that nobody takes its end for the whole story. */
static void mark_cut(char *buf, size_t wanted)
{
    if (wanted >= MESSAGE_SIZE)
        memcpy(buf + MESSAGE_SIZE - 4, "...", 4);
}

FF_PRINTF(1, 0) static void set_message(const char *fmt, va_list ap, const char *suffix)
{
    char text[MESSAGE_SIZE]; /* arguments may point into the old message */
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (n < 0)
        text[0] = '\0';
    if (suffix && len < sizeof text - 1) {
        n = snprintf(text + len, sizeof text - len, ": %s", suffix);
        len += n < 0 ? 0 : (size_t)n;
    }
    mark_cut(text, len);
    memcpy(message, text, strlen(text) + 1);
}

ff_status ff_fail(ff_status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_message(fmt, ap, NULL);
    va_end(ap);
    return code;
}

ff_status ff_fail_errno(ff_status code, const char *fmt, ...)
{
    int err = errno;
    char buf[256];
    const char *reason = strerror_r(err, buf, sizeof buf); /* the GNU variant, which returns the text */
    va_list ap;
    va_start(ap, fmt);
    set_message(fmt, ap, reason);
    va_end(ap);
    return code;
}

ff_status ff_context(ff_status code, const char *fmt, ...)
{
    if (code == FF_OK)
        return code;
    char text[MESSAGE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (n < 0)
        text[0] = '\0';
    if (len < sizeof text - 1) {
        n = snprintf(text + len, sizeof text - len, ": %s", message);
        len += n < 0 ? 0 : (size_t)n;
    }
    mark_cut(text, len);
    memcpy(message, text, strlen(text) + 1);
    return code;
}

const char *ff_status_message(void)
{
    return message;
}

void ff_status_clear(void)
{
    message[0] = '\0';
}

const char *ff_status_name(ff_status code)
{
    switch (code) {
    case FF_OK: return "ok";
    case FF_EINTERNAL: return "internal error";
    case FF_EUSAGE: return "bad usage";
    case FF_EINPUT: return "bad input";
    case FF_EMISSING: return "missing file";
    case FF_ETOOL: return "tool failed";
    case FF_EGPU: return "GPU error";
    case FF_EMEMORY: return "out of memory";
    case FF_EIO: return "I/O error";
    case FF_EPARTIAL: return "partly failed";
    case FF_EINTERRUPT: return "interrupted";
    case FF_ETERMINATE: return "terminated";
    }
    return "unknown status";
}

void ff_die_set_hook(void (*hook)(void), int rank)
{
    atomic_store(&die_hook, hook);
    atomic_store(&die_rank, rank);
}

/* Writes straight to the descriptor: stdio or the log may be locked by the very thread that fails. */
static void write_all(int fd, const char *s, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s += n;
        len -= (size_t)n;
    }
}

void ff_die(ff_status code, const char *file, int line, const char *fmt, ...)
{
    if (dying_here) /* the hook itself failed */
        _exit(code);
    dying_here = true;
    if (atomic_flag_test_and_set(&dying)) /* another thread is reporting and will end the process */
        for (;;)
            pause();

    char text[4096];
    size_t len = 0;
    va_list ap;
    int n = snprintf(text, sizeof text, "%sfastfold: %s: ", isatty(STDERR_FILENO) ? "\r\033[K" : "",
                     ff_status_name(code));
    len = n < 0 ? 0 : (size_t)n;
    va_start(ap, fmt);
    n = vsnprintf(text + len, sizeof text - len, fmt, ap);
    va_end(ap);
    len += n < 0 ? 0 : (size_t)n;
    if (len > sizeof text - 1)
        len = sizeof text - 1;
    write_all(STDERR_FILENO, text, len);

    int rank = atomic_load(&die_rank);
    if (rank >= 0)
        n = snprintf(text, sizeof text, " (%s:%d, rank %d)\n", file, line, rank);
    else
        n = snprintf(text, sizeof text, " (%s:%d)\n", file, line);
    if (n > 0)
        write_all(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);

    void (*hook)(void) = atomic_exchange(&die_hook, NULL);
    if (hook)
        hook();
    /* Not exit(): its handlers and destructors would run under threads that are still working. */
    _exit(code);
}
