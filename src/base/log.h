/* SPDX-License-Identifier: Apache-2.0
 * log: what the user reads while the program runs, all on stderr. Results go to files or stdout, never through here.
 *
 * Levels: error and warning are always shown and prefixed; note and info are hidden by --quiet; debug needs --verbose.
 * Thread safe, one write per line. On ranks other than 0 only warnings and errors are shown, with the rank.
 */
#ifndef FF_BASE_LOG_H
#define FF_BASE_LOG_H

#include <stdbool.h>

enum ff_log_level { FF_LOG_ERROR, FF_LOG_WARNING, FF_LOG_NOTE, FF_LOG_INFO, FF_LOG_DEBUG };

void ff_log_set_level(enum ff_log_level level);
void ff_log_set_rank(int rank);                         /* default 0 */
void ff_log(enum ff_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define ff_error(...) ff_log(FF_LOG_ERROR, __VA_ARGS__)
#define ff_warn(...) ff_log(FF_LOG_WARNING, __VA_ARGS__)
#define ff_note(...) ff_log(FF_LOG_NOTE, __VA_ARGS__)
#define ff_info(...) ff_log(FF_LOG_INFO, __VA_ARGS__)
#define ff_debug(...) ff_log(FF_LOG_DEBUG, __VA_ARGS__)

/* Progress of one stage. On a terminal: one line that redraws itself (bar, percent, time left); elsewhere a plain line
 * at the start and one at the end. total 0: unknown length (no bar). */
struct ff_progress;
struct ff_progress *ff_progress_start(const char *stage, long total);
/* detail may be NULL (the last one stays); cheap to call often. */
void ff_progress_update(struct ff_progress *p, long done, const char *detail);
void ff_progress_end(struct ff_progress *p, const char *summary);              /* frees p; NULL p is allowed */

#endif
