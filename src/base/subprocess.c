/* SPDX-License-Identifier: Apache-2.0
 * subprocess: running external programs without a shell.
 *
 * posix_spawn rather than fork: it does not copy the page tables of a process that holds gigabytes, and it says at once
 * why a program could not be started. A child leads its own process group and is registered until just before it is
 * reaped, so that ff_subprocess_kill_all can never hit a process number that has been given to somebody else.
 */
#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"

extern char **environ;

enum { MAX_CHILDREN = 256, TAIL_SIZE = 8192, PIECE = 65536, POLL_MS = 100, GRACE_SECONDS = 5 };

static atomic_int children[MAX_CHILDREN]; /* process groups; 0: free, -1: claimed */
static atomic_int last_signal;            /* of the last kill_all */
static atomic_uint kill_count;            /* calls of kill_all */

void ff_subprocess_kill_all(int sig)
{
    atomic_store(&last_signal, sig);
    atomic_fetch_add(&kill_count, 1);
    for (int i = 0; i < MAX_CHILDREN; i++) {
        int group = atomic_load(&children[i]);
        if (group > 0)
            kill(-group, sig);
    }
}

static int claim_slot(void)
{
    for (int i = 0; i < MAX_CHILDREN; i++) {
        int expected = 0;
        if (atomic_compare_exchange_strong(&children[i], &expected, -1))
            return i;
    }
    return -1;
}

/* ---- start ---- */

struct child {
    pid_t pid;
    int out, err;                /* read ends, -1 when there is none */
    int slot;
};

/* A path that stays right after the change to cwd. */
static char *find_program(const char *name, const char *cwd)
{
    char *path = ff_path_which(name);
    if (path && cwd && path[0] != '/') {
        char *full = realpath(path, NULL);
        free(path);
        path = full;
    }
    return path;
}

static void close_pipe(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int set_attributes(posix_spawnattr_t *attr)
{
    /* The child starts with default signals whatever this program or its libraries have set. */
    sigset_t all, none;
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    sigemptyset(&none);
    int rc = posix_spawnattr_setsigdefault(attr, &all);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attr, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    return rc;
}

static int set_actions(posix_spawn_file_actions_t *actions, const char *cwd, int out, int err)
{
    int rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0 && out >= 0)
        rc = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    else if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, err, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (rc == 0 && cwd)
        rc = posix_spawn_file_actions_addchdir_np(actions, cwd);
    return rc;
}

/* pipe2, with both ends above the standard descriptors even where the caller runs with some of those closed. */
static int open_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        if (fds[i] > STDERR_FILENO)
            continue;
        int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (moved < 0)
            return errno;
        close(fds[i]);
        fds[i] = moved;
    }
    return 0;
}

static ff_status start(const char *const *argv, const char *cwd, bool want_stdout, struct child *c)
{
    *c = (struct child){.pid = -1, .out = -1, .err = -1};
    if (cwd && !ff_file_is_dir(cwd))
        return ff_fail(FF_ETOOL, "%s: cannot be run in %s: no such folder", argv[0], cwd);
    char *program = find_program(argv[0], cwd);
    if (!program)
        return ff_fail(FF_ETOOL, "%s: program not found%s; install it or give its path", argv[0],
                       strchr(argv[0], '/') ? "" : " on PATH");
    c->slot = claim_slot();
    if (c->slot < 0) {
        free(program);
        return ff_fail(FF_ETOOL, "%s: more than %d programs are running", argv[0], MAX_CHILDREN);
    }

    int out[2] = {-1, -1}, err[2] = {-1, -1};
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&actions);
    int rc = want_stdout ? open_pipe(out) : 0;
    if (rc == 0)
        rc = open_pipe(err);
    if (rc == 0)
        rc = set_attributes(&attr);
    if (rc == 0)
        rc = set_actions(&actions, cwd, out[1], err[1]);
    if (rc == 0) {
        /* A kill_all between the start and the registration does not see this child; the count tells. */
        unsigned before = atomic_load(&kill_count);
        /* posix_spawn does not change the strings; its type is older than const. */
        rc = posix_spawn(&c->pid, program, &actions, &attr, (char *const *)(uintptr_t)argv, environ);
        atomic_store(&children[c->slot], rc == 0 ? c->pid : 0);
        if (rc == 0 && atomic_load(&kill_count) != before)
            kill(-c->pid, atomic_load(&last_signal));
    } else {
        atomic_store(&children[c->slot], 0);
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    free(program);
    if (rc != 0) {
        close_pipe(out);
        close_pipe(err);
        errno = rc;
        return ff_fail_errno(FF_ETOOL, "%s: cannot be started", argv[0]);
    }
    close(err[1]);
    if (want_stdout)
        close(out[1]);
    c->out = out[0];
    c->err = err[0];
    return FF_OK;
}

/* ---- run ---- */

/* Keeps the last TAIL_SIZE bytes; moves them only when twice as much has come. */
static void append_tail(struct ff_strbuf *tail, const char *data, size_t len, size_t keep_up_to)
{
    ff_strbuf_append(tail, data, len);
    if (tail->len > keep_up_to) {
        size_t drop = tail->len - TAIL_SIZE;
        memmove(tail->s, tail->s + drop, TAIL_SIZE + 1);
        tail->len = TAIL_SIZE;
    }
}

/* Peak memory of a running process (VmHWM), 0 when it has ended. */
static size_t sample_peak(pid_t pid)
{
    char path[64], line[256];
    size_t peak = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = (size_t)strtoull(line + 6, NULL, 10) * 1024;
    fclose(f);
    return peak;
}

static bool has_exited(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Ends a child that has run for longer than its limit: asks first, and kills it GRACE_SECONDS later. */
static void keep_limit(const struct child *c, double seconds, double limit, struct ff_subprocess_result *r)
{
    if (limit <= 0 || seconds < limit)
        return;
    if (!r->timed_out)
        kill(-c->pid, SIGTERM);
    else if (seconds > limit + GRACE_SECONDS)
        kill(-c->pid, SIGKILL);
    r->timed_out = true;
}

/* Reads both pipes until they end. Returns whether the sink closed stdout early. */
static bool pump(struct child *c, ff_subprocess_sink on_stdout, void *user, double limit,
                 struct ff_subprocess_result *r)
{
    char *buf = ff_xmalloc(PIECE);
    bool cut = false, exited = false;
    double looked = 0, started = ff_clock_now();
    while (c->out >= 0 || c->err >= 0) {
        struct pollfd fds[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
        int ready = poll(fds, 2, POLL_MS);
        if (ready < 0 && errno != EINTR)
            break;
        double now = ff_clock_now();
        keep_limit(c, now - started, limit, r);
        if (!exited && now - looked > POLL_MS * 1e-3) {
            looked = now;
            size_t peak = sample_peak(c->pid);
            r->peak_rss = peak > r->peak_rss ? peak : r->peak_rss;
            exited = has_exited(c->pid);
            if (exited) /* what it left behind would keep the pipes open, perhaps for ever */
                kill(-c->pid, SIGKILL);
        } else if (exited && ready == 0) {
            break; /* a stray in another group still holds a pipe */
        }
        if (ready <= 0)
            continue;
        if (fds[0].revents) {
            ssize_t n = read(c->out, buf, PIECE);
            if (n > 0 && !on_stdout(user, buf, (size_t)n)) {
                cut = true;
                close_end(&c->out);
            } else if (n == 0 || (n < 0 && errno != EINTR)) {
                close_end(&c->out);
            }
        }
        if (fds[1].revents) {
            ssize_t n = read(c->err, buf, PIECE);
            if (n > 0)
                append_tail(&r->stderr_tail, buf, (size_t)n, 2 * TAIL_SIZE);
            else if (n == 0 || errno != EINTR)
                close_end(&c->err);
        }
    }
    append_tail(&r->stderr_tail, "", 0, TAIL_SIZE);
    close_end(&c->out);
    close_end(&c->err);
    free(buf);
    return cut;
}

static double timeval_seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static ff_status run(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout, void *user,
                     double limit, struct ff_subprocess_result *r, bool *ret_cut)
{
    struct child c;
    *r = (struct ff_subprocess_result){0};
    double started = ff_clock_now();
    size_t own_peak = ff_clock_peak_rss();
    FF_TRY(start(argv, cwd, on_stdout != NULL, &c));
    *ret_cut = pump(&c, on_stdout, user, limit, r);

    siginfo_t info;
    while (waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        continue;
    atomic_store(&children[c.slot], 0); /* before its number can be used again */
    int status = 0;
    struct rusage usage = {0};
    while (wait4(c.pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    r->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    r->wall_seconds = ff_clock_now() - started;
    r->cpu_seconds = timeval_seconds(usage.ru_utime) + timeval_seconds(usage.ru_stime);
    /* The kernel's figure starts from this program's own memory at the start of the child: below that the samples
     * are what there is. */
    size_t peak = (size_t)usage.ru_maxrss * 1024;
    if (peak > own_peak)
        r->peak_rss = peak;
    return FF_OK;
}

ff_status ff_subprocess_run(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout, void *user,
                            struct ff_subprocess_result *ret)
{
    bool cut;
    return run(argv, cwd, on_stdout, user, 0, ret, &cut);
}

void ff_subprocess_result_free(struct ff_subprocess_result *r)
{
    ff_strbuf_free(&r->stderr_tail);
}

/* ---- check ---- */

/* The command as it could be typed into a shell. */
static void put_command(struct ff_strbuf *b, const char *const *argv)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";
    for (int i = 0; argv[i]; i++) {
        if (i > 0)
            ff_strbuf_putc(b, ' ');
        if (argv[i][0] && argv[i][strspn(argv[i], plain)] == '\0') {
            ff_strbuf_puts(b, argv[i]);
            continue;
        }
        ff_strbuf_putc(b, '\'');
        for (const char *c = argv[i]; *c; c++) {
            if (*c == '\'')
                ff_strbuf_puts(b, "'\\''");
            else
                ff_strbuf_putc(b, *c);
        }
        ff_strbuf_putc(b, '\'');
    }
}

/* The tail as lines under the message: no final line breaks, nothing that could change the screen. */
static void put_tail(struct ff_strbuf *b, const struct ff_strbuf *tail)
{
    size_t len = tail->len;
    while (len > 0 && (tail->s[len - 1] == '\n' || tail->s[len - 1] == ' ' || tail->s[len - 1] == '\r'))
        len--;
    if (len == 0) {
        ff_strbuf_puts(b, "\n  it wrote nothing to stderr");
        return;
    }
    ff_strbuf_puts(b, "\n  its last lines on stderr:\n    ");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)tail->s[i];
        if (c == '\n')
            ff_strbuf_puts(b, "\n    ");
        else
            ff_strbuf_putc(b, c == '\t' || c >= 0x20 ? (char)c : ' ');
    }
}

ff_status ff_subprocess_check(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout, void *user,
                              struct ff_subprocess_result *ret)
{
    return ff_subprocess_check_limited(argv, cwd, on_stdout, user, 0, ret);
}

ff_status ff_subprocess_check_limited(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout,
                                      void *user, double limit, struct ff_subprocess_result *ret)
{
    struct ff_subprocess_result own, *r = ret ? ret : &own;
    bool cut = false;
    FF_TRY(run(argv, cwd, on_stdout, user, limit, r, &cut));
    /* 128 + SIGPIPE is how a shell script reports it. */
    bool stopped_by_us = cut && (r->signal == SIGPIPE || r->exit_code == 128 + SIGPIPE);
    if (!r->timed_out && ((r->signal == 0 && r->exit_code == 0) || stopped_by_us)) {
        if (!ret)
            ff_subprocess_result_free(r);
        return FF_OK;
    }
    struct ff_strbuf text = {0};
    ff_strbuf_puts(&text, argv[0]);
    if (r->timed_out) {
        ff_strbuf_printf(&text, ": ended because it took longer than %g s, the time limit", limit);
    } else if (r->signal != 0) {
        const char *name = sigabbrev_np(r->signal);
        ff_strbuf_printf(&text, ": ended by signal %d (SIG%s)", r->signal, name ? name : "?");
        if (r->signal == SIGKILL)
            ff_strbuf_puts(&text, "; perhaps the machine or its container ran out of memory");
    } else {
        ff_strbuf_printf(&text, ": failed with exit code %d", r->exit_code);
    }
    ff_strbuf_puts(&text, "\n  command: ");
    put_command(&text, argv);
    put_tail(&text, &r->stderr_tail);
    ff_status st = ff_fail(FF_ETOOL, "%s", text.s);
    ff_strbuf_free(&text);
    ff_subprocess_result_free(r);
    return st;
}
