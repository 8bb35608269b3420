/* SPDX-License-Identifier: Apache-2.0
 * msa: a multiple sequence alignment against a query, as every stage after the parsers sees it.
 *
 * Row 0 is the query. Columns are the query's residues: insertions relative to it were removed by the parser and are
 * counted as deletions. Text forms live in bio/a3m and bio/stockholm.
 */
#ifndef FF_BIO_MSA_H
#define FF_BIO_MSA_H

#include <stdint.h>

#include "base/status.h"

/* Numbers of deletions that are not 0, few among many columns: a chain of pieces for each row, in which every number
 * follows its distance from the column of the one before, both in base 128, mostly a byte each. Rows may grow side by
 * side, as the blocks of a Stockholm file let them. {0} has none. */
struct ff_deletions {
    struct ff_deletion_row *rows;       /* [n_row]; rows beyond have none */
    int n_row;
    int row_capacity;
    struct ff_deletion_piece *pieces;   /* [n_piece], of all rows; the first is not used */
    int n_piece;
    int piece_capacity;
};

struct ff_msa {
    int n_row;
    int n_col;
    char *letters;          /* [n_row, n_col] upper-case residue letters and '-'; no NULs between rows */
    struct ff_deletions deletions;   /* residues inserted to the left of columns: ff_msa_deletions */
    char **descriptions;    /* [n_row] FASTA header or Stockholm name, never NULL */
};

void ff_msa_free(struct ff_msa *m);                                /* frees what is inside and resets to {0} */
void ff_msa_truncate(struct ff_msa *m, int max_rows);              /* keeps the first rows */
const char *ff_msa_row(const struct ff_msa *m, int row);           /* n_col letters, not NUL-terminated */
/* Sets the deletions of a column, n > 0, to the right of the columns of this row that were set before. */
void ff_msa_add_deletions(struct ff_msa *m, int row, int column, int32_t n);
void ff_msa_deletions(const struct ff_msa *m, int row, int32_t *ret /* [n_col] */);
/* A query alone: one row, no deletions. */
void ff_msa_from_query(const char *sequence, const char *description, struct ff_msa *ret);

/* HHBLITS_AA_TO_ID of a letter: A C D E F G H I K L M N P Q R S T V W Y -> 0..19 in that alphabetical order, B->D,
 * Z->E, U->C, J O X -> 20, '-' -> 21; -1 for anything else. */
int ff_msa_hhblits_id(char letter);

/* Row 0 must be the query: same length, same letters (X, and letters outside the 20, match X). FF_EINPUT names the
 * first difference; name is the file's. */
ff_status ff_msa_check_query(const struct ff_msa *m, const char *sequence, const char *name) FF_MUST_USE;

#endif
