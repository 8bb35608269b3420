/* SPDX-License-Identifier: Apache-2.0
 * stockholm: alignments in Stockholm format, as jackhmmer and hmmsearch write them (blocks, '#=GS' descriptions).
 *
 * The first row is the query; columns in which it has a gap become insertions of the other rows. '-', '.', '_' and '~'
 * are gaps; letters of either case are residues. Refused with line and row: bytes outside that alphabet, rows of
 * unequal length, a file that does not end with '//' (it was cut off) or holds a second alignment.
 * Changes of the text itself are in bio/stockholm_text. Source: AlphaFold data/parsers.py (parse_stockholm).
 */
#ifndef FF_BIO_STOCKHOLM_H
#define FF_BIO_STOCKHOLM_H

#include <stddef.h>

#include "base/status.h"
#include "bio/msa.h"

/* name is used in messages. max_rows 0 keeps all rows; otherwise only the first max_rows names in the file's order are
 * kept, which equals parsing the text cut by ff_stockholm_text_truncate. descriptions are the row names. An empty text
 * is an error: HMMER leaves one where hmmsearch found nothing, so ask before. FF_EINPUT. */
ff_status ff_stockholm_parse(const char *name, const char *text, size_t len, int max_rows,
                             struct ff_msa *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_stockholm_load(const char *path, int max_rows, struct ff_msa *ret) FF_MUST_USE;

#endif
