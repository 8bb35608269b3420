/* SPDX-License-Identifier: Apache-2.0
 * align: the best alignment of two protein sequences with affine gap costs (Gotoh 1982, J Mol Biol 162:705) and
 * BLOSUM62 (Henikoff and Henikoff 1992).
 *
 * A gap of n residues costs open + (n - 1) * extend. Time and memory are len_a * len_b (one byte each).
 */
#ifndef FF_BIO_ALIGN_H
#define FF_BIO_ALIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { FF_ALIGN_OPEN = 11, FF_ALIGN_EXTEND = 1 };            /* the usual costs with BLOSUM62 */

enum ff_align_mode {
    FF_ALIGN_GLOBAL,             /* from end to end */
    FF_ALIGN_OVERLAP,            /* from end to end, but gaps at the ends are free: one may stick out or lie within */
    FF_ALIGN_LOCAL,              /* the best pieces of both */
};

/* BLOSUM62 score of two upper-case letters; other bytes score as X. */
int ff_align_score(char a, char b);

/* Aligns a and b (upper-case letters, NUL-terminated). ret_b_of_a [strlen(a)]: index in b of the partner, -1 where
 * there is none. Returns the score. Ties are decided in a fixed way: pairs before gaps, a new gap before a longer one,
 * and the first end of a local alignment. */
int ff_align(const char *a, const char *b, enum ff_align_mode mode, int32_t *ret_b_of_a);

/* The alignment as two rows of equal length with '-' for gaps, all residues of both included. Caller frees both. */
void ff_align_rows(const char *a, const char *b, const int32_t *b_of_a /* [strlen(a)] */, char **ret_row_a,
                   char **ret_row_b);

/* Reads an alignment of two sequences in FASTA (as kalign writes it): two records whose rows are equally long.
 * Lower-case letters are dropped, as in A3M. name is the file's in messages. Caller frees both. FF_EINPUT. */
ff_status ff_align_parse_rows(const char *name, const char *text, size_t len, char **ret_row_a,
                              char **ret_row_b) FF_MUST_USE;

#endif
