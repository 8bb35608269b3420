/* SPDX-License-Identifier: Apache-2.0
 * log: message lines and progress lines on stderr.
 *
 * One mutex orders everything. A progress line that stands on the terminal is wiped before a message is written and
 * drawn again after it. Progresses nest: the innermost is the one shown.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/strbuf.h"

enum { BAR_WIDTH = 24 };
static const double redraw_seconds = 0.1;
#define CLEAR_LINE "\r\033[K"

struct ff_progress {
    char *stage;
    char *detail;                /* may be NULL */
    long total;                  /* 0: unknown */
    long done;
    double started;
    double drawn;                /* time of the last redraw */
    bool visible;                /* this level and rank show progress at all */
    bool terminal;
    struct ff_progress *outer;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum ff_log_level threshold = FF_LOG_INFO;
static int this_rank;
static struct ff_progress *active; /* innermost */
static bool line_on_screen;        /* a progress line without newline stands on the terminal */

void ff_log_set_level(enum ff_log_level level)
{
    pthread_mutex_lock(&lock);
    threshold = level < FF_LOG_WARNING ? FF_LOG_WARNING : level;
    pthread_mutex_unlock(&lock);
}

void ff_log_set_rank(int rank)
{
    pthread_mutex_lock(&lock);
    this_rank = rank;
    pthread_mutex_unlock(&lock);
}

static bool is_shown(enum ff_log_level level)
{
    return level <= (this_rank == 0 ? threshold : FF_LOG_WARNING);
}

static void write_stderr(const struct ff_strbuf *b)
{
    const char *s = b->s;
    size_t len = b->len;
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        s += n;
        len -= (size_t)n;
    }
}

static void format_duration(char *buf, size_t size, double seconds)
{
    long s = seconds < 0 ? 0 : (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(buf, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, size, "%ld:%02ld", s / 60, s % 60);
}

static int terminal_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    return 80;
}

/* The progress line without its line break, cut to the width: a line that wraps could not be wiped. */
static void format_progress(struct ff_strbuf *out, const struct ff_progress *p, double now)
{
    struct ff_strbuf line = {0};
    char time[32];
    double elapsed = now - p->started;
    ff_strbuf_puts(&line, p->stage);
    if (p->total > 0) {
        double part = (double)p->done / (double)p->total;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        int full = (int)(part * BAR_WIDTH);
        ff_strbuf_puts(&line, "  [");
        for (int i = 0; i < BAR_WIDTH; i++)
            ff_strbuf_putc(&line, i < full ? '#' : '.');
        ff_strbuf_printf(&line, "] %3d%%  %ld/%ld", (int)(part * 100), p->done, p->total);
        if (p->done > 0 && part < 1) {
            format_duration(time, sizeof time, elapsed / part * (1 - part));
            ff_strbuf_printf(&line, "  %s left", time);
        }
    } else {
        format_duration(time, sizeof time, elapsed);
        ff_strbuf_printf(&line, "  %s", time);
        if (p->done > 0)
            ff_strbuf_printf(&line, "  %ld done", p->done);
    }
    if (p->detail)
        ff_strbuf_printf(&line, "  %s", p->detail);
    size_t width = (size_t)terminal_width() - 1;
    ff_strbuf_append(out, line.s, line.len < width ? line.len : width);
    ff_strbuf_free(&line);
}

/* Appends what brings the screen from a bare cursor at column 0 to the innermost progress line. */
static void append_active(struct ff_strbuf *out, double now)
{
    line_on_screen = false;
    if (active && active->visible && active->terminal) {
        format_progress(out, active, now);
        active->drawn = now;
        line_on_screen = true;
    }
}

static void redraw(double now)
{
    struct ff_strbuf out = {0};
    ff_strbuf_puts(&out, CLEAR_LINE);
    append_active(&out, now);
    write_stderr(&out);
    ff_strbuf_free(&out);
}

/* Caller holds the lock. */
static void write_line(enum ff_log_level level, const char *text)
{
    static const char *const prefix[] = {"error: ", "warning: ", "note: ", "", ""};
    struct ff_strbuf out = {0};
    bool had_line = line_on_screen;
    if (had_line)
        ff_strbuf_puts(&out, CLEAR_LINE);
    if (this_rank != 0)
        ff_strbuf_printf(&out, "[rank %d] ", this_rank);
    ff_strbuf_printf(&out, "%s%s\n", prefix[level], text);
    if (had_line)
        append_active(&out, ff_clock_now());
    write_stderr(&out);
    ff_strbuf_free(&out);
}

void ff_log(enum ff_log_level level, const char *fmt, ...)
{
    int saved = errno; /* logging must not change what the caller reports next */
    pthread_mutex_lock(&lock);
    if (is_shown(level)) {
        struct ff_strbuf text = {0};
        va_list ap;
        va_start(ap, fmt);
        ff_strbuf_vprintf(&text, fmt, ap);
        va_end(ap);
        write_line(level, ff_strbuf_cstr(&text));
        ff_strbuf_free(&text);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
}

static bool stderr_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

struct ff_progress *ff_progress_start(const char *stage, long total)
{
    struct ff_progress *p = FF_NEW(struct ff_progress);
    p->stage = ff_xstrdup(stage);
    p->total = total;
    p->started = ff_clock_now();
    pthread_mutex_lock(&lock);
    p->visible = is_shown(FF_LOG_INFO);
    p->terminal = p->visible && stderr_is_terminal();
    p->outer = active;
    active = p;
    if (p->terminal) {
        redraw(p->started);
    } else if (p->visible) {
        char text[512];
        snprintf(text, sizeof text, "%s ...", stage);
        write_line(FF_LOG_INFO, text);
    }
    pthread_mutex_unlock(&lock);
    return p;
}

void ff_progress_update(struct ff_progress *p, long done, const char *detail)
{
    if (!p || !p->terminal)
        return;
    pthread_mutex_lock(&lock);
    bool changed = detail && (!p->detail || strcmp(p->detail, detail) != 0);
    p->done = done;
    if (changed) {
        free(p->detail);
        p->detail = ff_xstrdup(detail);
    }
    double now = ff_clock_now();
    if (p == active && now - p->drawn >= redraw_seconds)
        redraw(now);
    pthread_mutex_unlock(&lock);
}

void ff_progress_end(struct ff_progress *p, const char *summary)
{
    if (!p)
        return;
    pthread_mutex_lock(&lock);
    for (struct ff_progress **link = &active; *link; link = &(*link)->outer) {
        if (*link == p) {
            *link = p->outer;
            break;
        }
    }
    if (p->visible) {
        struct ff_strbuf text = {0};
        ff_strbuf_printf(&text, "%s: done in %.1f s", p->stage, ff_clock_now() - p->started);
        if (summary && *summary)
            ff_strbuf_printf(&text, " (%s)", summary);
        write_line(FF_LOG_INFO, ff_strbuf_cstr(&text));
        ff_strbuf_free(&text);
    }
    pthread_mutex_unlock(&lock);
    free(p->stage);
    free(p->detail);
    free(p);
}
