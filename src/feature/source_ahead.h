/* SPDX-License-Identifier: Apache-2.0
 * source_ahead: the features of the next pass, made by a thread while the network, on a GPU, runs with those of this
 * one. They are what the source itself would have given.
 */
#ifndef FF_FEATURE_SOURCE_AHEAD_H
#define FF_FEATURE_SOURCE_AHEAD_H

#include "feature/source.h"

/* Around inner, which stays the caller's and must outlive it, for n_pass passes of n_member members, asked for in this
 * order; fewer may be. Whoever knows by then that there will be fewer sets last_pass, and the set is made anew if it
 * was made without. Two sets of features are in memory. Freed by ff_source_destroy, which waits for the thread. */
struct ff_source *ff_source_ahead(struct ff_source *inner, int n_pass, int n_member);

#endif
