/* SPDX-License-Identifier: Apache-2.0
 * batch_ranks: a batch on the ranks of mpirun. Rank 0 plans how they are grouped and keeps the queue (parallel/team.h);
 * the first rank of each group takes targets, calls the others of its group to every prediction, and writes the results
 * as a run on one rank would. One rank of each machine searches, on all its processors, while the others predict.
 */
#ifndef FF_APP_BATCH_RANKS_H
#define FF_APP_BATCH_RANKS_H

#include "app/batch.h"
#include "parallel/comm.h"

/* Settings of a run on several ranks: checks them, sets what auto means. FF_EUSAGE. */
ff_status ff_batch_ranks_configure(const struct ff_comm *world, int n_model, struct ff_config *configs /* [n_model] */,
                                   enum ff_stage last, int *ret_n_rank) FF_MUST_USE;

/* Threads of this rank's CPU backend: what is set, or its share of the machine's processors. */
int ff_batch_ranks_threads(const struct ff_run_config *run);

/* All targets whose entries have no failure yet, through the pipeline that was opened with o. Collective over the
 * world. The entries of rank 0 tell how they ended. FF_EINTERRUPT: the ranks are no longer in step. */
ff_status ff_batch_ranks_run(struct ff_comm *world, const struct ff_pipeline_options *o, struct ff_pipeline *p, int n,
                             struct ff_batch_entry *entries) FF_MUST_USE;

#endif
