/* SPDX-License-Identifier: Apache-2.0
 * search_ahead: the searches of targets whose turn has not come yet, while an earlier one is predicted. Some threads
 * take the targets in order; they are never further than `ahead` targets beyond the one that was asked for last.
 */
#ifndef FF_APP_SEARCH_AHEAD_H
#define FF_APP_SEARCH_AHEAD_H

#include "app/pipeline.h"

struct ff_ahead;

/* options are those of the run; the searches are done by a pipeline of their own that stops behind them. targets[i]
 * NULL: nothing to do for that one. What is pointed to must outlive the result. Fails like ff_pipeline_open. */
ff_status ff_ahead_start(const struct ff_pipeline_options *options, int n, const struct ff_target *const *targets,
                         int ahead, struct ff_ahead **ret) FF_MUST_USE;

/* Waits for the searches of target i; targets are asked for in order. Returns their status, with its message, and how
 * they went; the outcome is the caller's. */
ff_status ff_ahead_wait(struct ff_ahead *a, int i, struct ff_outcome *ret) FF_MUST_USE;

/* Begins no more searches, waits for those that run. NULL is allowed. */
void ff_ahead_stop(struct ff_ahead *a);

#endif
