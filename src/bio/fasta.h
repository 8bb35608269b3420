/* SPDX-License-Identifier: Apache-2.0
 * fasta: query sequences. Everything that can be wrong with a FASTA file is found here, before any search.
 *
 * Accepted as it is: the 20 amino acid letters, and B Z U O J X, which the network takes as unknown (listed by record).
 * Accepted with a note or warning: lower case (folded), a final '*' (stripped). Taken out silently: spaces and tabs.
 * Refused with record, line, column and character: gaps ('-', '.'), digits, '*' inside and everything else; an empty
 * file; text before the first '>'; a header without sequence; two records whose names are equal. Line ends may be LF,
 * CRLF or CR, the file may start with a byte order mark, end without a newline and be compressed with gzip.
 *
 * The shortest accepted chain has FF_FASTA_MIN_LENGTH residues: below that there is no peptide bond, and so nothing
 * to predict. The search tools and the network take such a chain.
 */
#ifndef FF_BIO_FASTA_H
#define FF_BIO_FASTA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { FF_FASTA_MIN_LENGTH = 2, FF_FASTA_NAME_MAX = 100 };

struct ff_fasta_record {
    char *header;        /* text after '>', as written, white space at both ends removed; may be "" */
    char *name;          /* first word of the header made safe for file names: [A-Za-z0-9._-], at most 100 bytes */
    char *sequence;      /* upper-case letters; with chains joined by ':' when complexes are allowed */
    int line;            /* line of the header, 1-based */
    int n_residue;       /* letters in sequence, ':' not counted */
    int n_chain;         /* 1 + number of ':' */
    int n_folded;        /* lower-case letters that were folded */
    int n_star;          /* final '*' that were stripped */
    int n_unknown;       /* letters that the network takes as unknown (X) */
    char *unknown;       /* "U17 X20 X21 ...": letter and 1-based residue number, the first ten; NULL when none */
};

struct ff_fasta {
    struct ff_fasta_record *records;   /* [count] */
    int count;
};

void ff_fasta_free(struct ff_fasta *f);              /* frees what is inside and resets to {0} */

/* Parses text; name is the file's in messages. allow_complex: 'A:B:B' is a sequence of three chains; otherwise ':' is
 * refused. Logs nothing. FF_EINPUT. */
ff_status ff_fasta_parse(const char *name, const char *text, size_t len, bool allow_complex,
                         struct ff_fasta *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file, and logs what was changed on the way (ff_fasta_log_changes). FF_EMISSING, FF_EIO,
 * FF_EINPUT. */
ff_status ff_fasta_load(const char *path, bool allow_complex, struct ff_fasta *ret) FF_MUST_USE;

/* The same for a file whose records are the chains of one complex: ':' is allowed, and so are equal names. */
ff_status ff_fasta_load_chains(const char *path, struct ff_fasta *ret) FF_MUST_USE;

/* One line per record and kind: folded letters (note), stripped '*', nucleotides, unknown letters (warnings). */
void ff_fasta_log_changes(const char *name, const struct ff_fasta *f);

/* The safe form of a record name; caller frees. "" gives "". */
char *ff_fasta_safe_name(const char *text, size_t len);

#endif
