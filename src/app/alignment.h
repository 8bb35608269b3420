/* SPDX-License-Identifier: Apache-2.0
 * alignment: alignment files of whichever format, checked against the query they are for: the user's own (--msa) and
 * those that searches kept.
 */
#ifndef FF_APP_ALIGNMENT_H
#define FF_APP_ALIGNMENT_H

#include <stddef.h>

#include "base/status.h"
#include "bio/msa.h"

/* Reads a Stockholm or A3M file (the first line decides, not the name; gzip too). max_rows 0: all rows. sequence: the
 * first row must be this query (ff_msa_check_query). FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_alignment_load(const char *path, const char *sequence, int max_rows, struct ff_msa *ret) FF_MUST_USE;

/* The same of a text in memory; name is used in messages. */
ff_status ff_alignment_parse(const char *name, const char *text, size_t len, const char *sequence, int max_rows,
                             struct ff_msa *ret) FF_MUST_USE;

#endif
