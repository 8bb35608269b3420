/* SPDX-License-Identifier: Apache-2.0
 * agree: what the ranks of a communicator have to know together before they go on: that nobody failed, and numbers that
 * must be the same for all. Collective; on one rank, or without a communicator (NULL), there is nobody to ask.
 */
#ifndef FF_PARALLEL_AGREE_H
#define FF_PARALLEL_AGREE_H

#include "parallel/comm.h"

/* The status of the first rank that failed, with its message, on all ranks; FF_OK when none did. A message of another
 * rank than the communicator's first begins with that rank's name. */
ff_status ff_agree(struct ff_comm *c, ff_status own) FF_MUST_USE;

/* The least of what the ranks have. */
size_t ff_agree_least(struct ff_comm *c, size_t own);

/* "rank 3 on node7": this process, as messages name it. Valid until the next call of the thread. */
const char *ff_agree_name(void);

#endif
