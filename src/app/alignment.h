/* SPDX-License-Identifier: Apache-2.0
 * alignment: alignment files of whichever format, checked against the query they are for: the user's own (--msa) and
 * those that searches kept.
 */
#ifndef FF_APP_ALIGNMENT_H
#define FF_APP_ALIGNMENT_H

#include <stddef.h>

#include "base/status.h"
#include "bio/msa.h"

/* Stockholm or A3M: the first line decides. name is used in messages. max_rows 0: all rows. sequence: the first row
 * must be this query (ff_msa_check_query). FF_EINPUT. */
ff_status ff_alignment_parse(const char *name, const char *text, size_t len, const char *sequence, int max_rows,
                             struct ff_msa *ret) FF_MUST_USE;

/* The same, all rows, of a text whose bytes may be lost: a large Stockholm text is used up on the way. */
ff_status ff_alignment_spend(const char *name, char *text, size_t len, const char *sequence,
                             struct ff_msa *ret) FF_MUST_USE;

#endif
