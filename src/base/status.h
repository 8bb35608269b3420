/* SPDX-License-Identifier: Apache-2.0
 * status: results of calls that may fail, and the message stack behind them.
 *
 * Two roads, never mixed:
 *   - a failure is the user's or the machine's: bad input, missing file, tool, memory, disk. The function pushes a
 *     message with ff_fail() and returns its code; callers add context with ff_context() or pass it on with FF_TRY.
 *     The text says file and line of the input, what was found, what was expected and what to do.
 *   - a broken invariant or a failed GPU call is ours: FF_ASSERT / ff_die() name the expression and the place,
 *     call the abort hook (which stops the other ranks) and end the process with FF_EINTERNAL or the code given.
 *
 * The message stack is per thread. The codes are the exit codes of the program.
 */
#ifndef FF_BASE_STATUS_H
#define FF_BASE_STATUS_H

#include <stdbool.h>

typedef enum {
    FF_OK = 0,
    FF_EINTERNAL = 1,    /* a bug in fastfold */
    FF_EUSAGE = 2,       /* command line or configuration */
    FF_EINPUT = 3,       /* bad input: sequence, alignment, parameters, features */
    FF_EMISSING = 4,     /* a file, database or tool is not there */
    FF_ETOOL = 5,        /* an external search tool failed */
    FF_EGPU = 6,         /* CUDA, NCCL or the driver */
    FF_EMEMORY = 7,      /* the job does not fit */
    FF_EIO = 8,          /* reading or writing failed, disk full */
    FF_EPARTIAL = 9,     /* some targets of a batch failed */
    FF_EINTERRUPT = 130, /* SIGINT (143: SIGTERM) */
    FF_ETERMINATE = 143,
} ff_status;

#define FF_MUST_USE __attribute__((warn_unused_result))
#define FF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Starts a new message stack with one message and returns code, so that `return ff_fail(FF_EINPUT, ...)` reads well. */
ff_status ff_fail(ff_status code, const char *fmt, ...) FF_PRINTF(2, 3);

/* Like ff_fail, and appends ": " strerror(errno) as it was on entry. */
ff_status ff_fail_errno(ff_status code, const char *fmt, ...) FF_PRINTF(2, 3);

/* Puts "context: " before the current message and returns code unchanged; a no-op when code is FF_OK. */
ff_status ff_context(ff_status code, const char *fmt, ...) FF_PRINTF(2, 3);

/* The current message, without a final newline; "" when there is none. Valid until the thread's next ff_fail. */
const char *ff_status_message(void);
void ff_status_clear(void);

/* Short name of a code, as used in summaries: "bad input", "missing file", ... */
const char *ff_status_name(ff_status code);

/* Ends the process: prints the message with its place, runs the abort hook, exits with code. Never returns. */
void ff_die(ff_status code, const char *file, int line, const char *fmt, ...) FF_PRINTF(4, 5)
    __attribute__((noreturn));

/* hook runs once inside ff_die, before the exit (MPI_Abort, removal of half files); rank is printed if >= 0. */
void ff_die_set_hook(void (*hook)(void), int rank);

#define FF_TRY(call)                       \
    do {                                   \
        ff_status ff_try_st_ = (call);     \
        if (ff_try_st_ != FF_OK)           \
            return ff_try_st_;             \
    } while (0)

/* Jumps to label with the variable st (an ff_status of the caller) set. */
#define FF_TRY_GOTO(st, call, label)       \
    do {                                   \
        (st) = (call);                     \
        if ((st) != FF_OK)                 \
            goto label;                    \
    } while (0)

#define FF_ASSERT(cond)                                                               \
    do {                                                                              \
        if (!(cond))                                                                  \
            ff_die(FF_EINTERNAL, __FILE__, __LINE__, "assertion failed: %s", #cond); \
    } while (0)

#endif
