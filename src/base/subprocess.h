/* SPDX-License-Identifier: Apache-2.0
 * subprocess: running external programs without a shell.
 *
 * Every child is put into its own process group and registered, so that ff_subprocess_kill_all() (the signal path)
 * ends it and its own children too.
 */
#ifndef FF_BASE_SUBPROCESS_H
#define FF_BASE_SUBPROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strbuf.h"

struct ff_subprocess_result {
    int exit_code;               /* -1 when ended by a signal */
    int signal;                  /* 0 when it exited */
    bool timed_out;              /* it was ended for its time limit */
    double wall_seconds;
    double cpu_seconds;
    size_t peak_rss;             /* bytes; 0 when the run was too short to see it */
    struct ff_strbuf stderr_tail; /* last 8 KiB */
};

/* Runs argv (NULL-terminated, argv[0] searched on PATH), waits for it.
 * on_stdout: NULL sends standard output to /dev/null; otherwise called with each piece as it comes; returning false
 * closes the pipe (the child then gets SIGPIPE, which is not an error).
 * Returns FF_ETOOL only when the program could not be started; a bad exit code is for the caller to judge. */
typedef bool (*ff_subprocess_sink)(void *user, const char *data, size_t len);
ff_status ff_subprocess_run(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout, void *user,
                            struct ff_subprocess_result *ret) FF_MUST_USE;
void ff_subprocess_result_free(struct ff_subprocess_result *r);

/* ff_subprocess_run, and turns a non-zero exit or a signal into FF_ETOOL with the command, the code or the signal's
 * name (with a hint at memory for SIGKILL) and the tail of stderr. ret may be NULL; after a failure its numbers are
 * valid and it holds nothing to free. */
ff_status ff_subprocess_check(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout, void *user,
                              struct ff_subprocess_result *ret) FF_MUST_USE;

/* ff_subprocess_check with a limit of wall time in seconds (0: none): a program that takes longer is ended, and the
 * message says so. */
ff_status ff_subprocess_check_limited(const char *const *argv, const char *cwd, ff_subprocess_sink on_stdout,
                                      void *user, double limit, struct ff_subprocess_result *ret) FF_MUST_USE;

void ff_subprocess_kill_all(int sig);   /* async-signal-safe */

#endif
