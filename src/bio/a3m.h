/* SPDX-License-Identifier: Apache-2.0
 * a3m: alignments in A3M. Upper-case letters and '-' are match columns, lower-case letters are insertions.
 *
 * Accepted beyond the published parser: sequences wrapped over lines, white space inside them, '.' (a gap in an
 * insertion, dropped), comment lines starting with '#' before the first row, rows with secondary structure (names that
 * start with ss_ or sa_, skipped), any line end, byte order mark. Refused: rows whose number of match columns differs
 * from the first row's, and bytes that are not letters, '-' or '.', both with row and line.
 * Source: AlphaFold data/parsers.py (parse_a3m).
 */
#ifndef FF_BIO_A3M_H
#define FF_BIO_A3M_H

#include <stddef.h>

#include "base/status.h"
#include "bio/msa.h"

/* name is used in messages. max_rows 0 keeps all rows; otherwise parsing stops after that many. The query (first row)
 * may hold no gap, as its residues are the columns. FF_EINPUT. */
ff_status ff_a3m_parse(const char *name, const char *text, size_t len, int max_rows, struct ff_msa *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_a3m_load(const char *path, int max_rows, struct ff_msa *ret) FF_MUST_USE;

#endif
