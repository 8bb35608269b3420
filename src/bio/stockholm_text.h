/* SPDX-License-Identifier: Apache-2.0
 * stockholm_text: Stockholm alignments as text: cutting rows, removing duplicates and empty columns, turning into A3M.
 * The results are byte for byte those of AlphaFold data/parsers.py, as they are what the search tools get as input.
 *
 * Markup: cutting and removing duplicates keep the header, '#=GC RF', '#=GS' of kept rows, blank lines and '//' and
 * drop all other markup. name is used in messages; out is appended to. Errors (FF_EINPUT) name file and line.
 */
#ifndef FF_BIO_STOCKHOLM_TEXT_H
#define FF_BIO_STOCKHOLM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strbuf.h"

/* Keeps the rows of the first max_rows (at least 1) names: truncate_stockholm_msa. */
void ff_stockholm_text_truncate(const char *text, size_t len, int max_rows, struct ff_strbuf *out);

/* Keeps the first of rows that are equal in the query's columns: deduplicate_stockholm_msa. */
ff_status ff_stockholm_text_deduplicate(const char *name, const char *text, size_t len,
                                        struct ff_strbuf *out) FF_MUST_USE;

/* Removes columns in which every row has a gap; every block must end with '#=GC RF':
 * remove_empty_columns_from_stockholm_msa. The result has no final newline, as the published one. */
ff_status ff_stockholm_text_remove_empty_columns(const char *name, const char *text, size_t len,
                                                 struct ff_strbuf *out) FF_MUST_USE;

/* A3M with the '#=GS DE' texts as descriptions: convert_stockholm_to_a3m. max_rows 0: all rows. remove_query_gaps:
 * columns in which the first row has a gap become insertions (lower case); otherwise only '.' is removed. */
ff_status ff_stockholm_text_to_a3m(const char *name, const char *text, size_t len, int max_rows, bool remove_query_gaps,
                                   struct ff_strbuf *out) FF_MUST_USE;

/* --- cutting while reading ---
 * ff_stockholm_text_truncate for text that comes in pieces (a pipe, a file too large for memory): lines are held back
 * only until the max_rows'th name is known, then kept lines are passed on at once. */
struct ff_stockholm_cut;
struct ff_stockholm_cut *ff_stockholm_cut_new(int max_rows, struct ff_strbuf *out);
void ff_stockholm_cut_feed(struct ff_stockholm_cut *c, const char *data, size_t len);
/* Passes on what is left and frees c. Returns whether the text ended with '//'. */
bool ff_stockholm_cut_end(struct ff_stockholm_cut *c);

#endif
