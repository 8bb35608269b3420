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

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/lines.h"
#include "bio/msa.h"

/* name is used in messages. max_rows 0 keeps all rows; otherwise only the first max_rows names in the file's order are
 * kept, which equals parsing the text cut by ff_stockholm_text_truncate. descriptions are the row names. An empty text
 * is an error: HMMER leaves one where hmmsearch found nothing, so ask before. FF_EINPUT. */
ff_status ff_stockholm_parse(const char *name, const char *text, size_t len, int max_rows,
                             struct ff_msa *ret) FF_MUST_USE;

/* The same, using up the text: what was parsed goes back to the system, so that text and alignment are never there both
 * as a whole. Its bytes are lost; the caller frees it. */
ff_status ff_stockholm_spend(const char *name, char *text, size_t len, int max_rows, struct ff_msa *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_stockholm_load(const char *path, int max_rows, struct ff_msa *ret) FF_MUST_USE;

/* --- segment by segment ---
 * The alignment lines of a file in order, each with its row number; what all above and in stockholm_text is made of.
 * Checks header, end and the form of lines of rows that are kept, not letters and lengths. The text must stay while the
 * reader is used. */
struct ff_stockholm_reader {
    const char *file;            /* for messages */
    int max_rows;                /* 0: all; lines of rows beyond are passed over */
    struct ff_lines lines;
    struct ff_strset names;      /* rows by name, numbered in the file's order */
    bool has_header;
    bool has_end;
    int row;                     /* of the current segment */
    const char *segment;         /* its letters and gaps, not NUL-terminated */
    size_t segment_len;
};

void ff_stockholm_reader_init(struct ff_stockholm_reader *r, const char *name, const char *text, size_t len,
                              int max_rows);
void ff_stockholm_reader_free(struct ff_stockholm_reader *r);
/* Goes to the next segment; *ret_more is false at the end of the file. FF_EINPUT. */
ff_status ff_stockholm_reader_next(struct ff_stockholm_reader *r, bool *ret_more) FF_MUST_USE;

/* The first row over all blocks, gaps as '-' and letters in upper case, appended to ret. FF_EINPUT. */
ff_status ff_stockholm_query(const char *name, const char *text, size_t len, struct ff_strbuf *ret) FF_MUST_USE;

/* '-' for a gap of any kind, the upper-case letter for a letter, 0 for a byte that alignments do not have. */
char ff_stockholm_letter(char c);

#endif
