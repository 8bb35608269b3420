/* SPDX-License-Identifier: Apache-2.0
 * schedule: how the ranks of a job are grouped for a batch of targets, so that every target fits its group and the
 * batch ends soon. The ranks form groups of one size, then, when the targets of this phase are done, smaller ones.
 *
 * One target gets all ranks; many targets of one length get one rank each; a few long ones among many go first, on
 * larger groups. The choice is the best of a few hundred such schedules by predicted time.
 */
#ifndef FF_PARALLEL_SCHEDULE_H
#define FF_PARALLEL_SCHEDULE_H

enum { FF_SCHEDULE_SIZES = 24 };

struct ff_schedule {
    int n_phase;
    int size[FF_SCHEDULE_SIZES];     /* ranks of a group, from phase to phase smaller */
    double seconds;                  /* predicted, from end to end */
};

/* Sizes of groups that are tried: 1, 2, 3, ... for few ranks, powers of two for many, and all ranks; ascending. */
int ff_schedule_sizes(int n_rank, int ret[FF_SCHEDULE_SIZES]);

/* seconds [n, n_size] of the n targets, in ascending length, on groups of each size (ascending); infinite where a
 * target does not fit. Each must fit somewhere. ret_phase [n]. */
void ff_schedule_make(int n_rank, int n_size, const int *size, int n, const double *seconds, struct ff_schedule *ret,
                      int *ret_phase);

#endif
