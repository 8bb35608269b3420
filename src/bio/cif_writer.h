/* SPDX-License-Identifier: Apache-2.0
 * cif_writer: CIF text category by category, in the layout of Biopython's MMCIFIO: a category with one row becomes
 * lines of name and value, one with more rows a loop_ with padded columns. Values are quoted where CIF needs it.
 *
 * {.out = buffer} is ready; call in this order: begin, add for every value (row by row), end, begin, ...; then free.
 */
#ifndef FF_BIO_CIF_WRITER_H
#define FF_BIO_CIF_WRITER_H

#include <stddef.h>

#include "base/strbuf.h"

struct ff_cif_writer {
    struct ff_strbuf *out;
    const char *category;        /* "_atom_site" */
    const char *items;           /* names of the columns: "id type_symbol ..." */
    int n_item;
    struct ff_strbuf values;     /* of the open category, row by row, each with a NUL behind it */
    size_t *offset;              /* [n_value] into values */
    size_t n_value;
    size_t capacity;
};

/* items: names of the columns without the category, separated by single blanks. Both texts must stay until end. */
void ff_cif_writer_begin(struct ff_cif_writer *w, const char *category, const char *items);
void ff_cif_writer_add(struct ff_cif_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes the category and a line with '#'. Rows must be complete. Without rows nothing is written. */
void ff_cif_writer_end(struct ff_cif_writer *w);
/* A category of one row and one item. */
void ff_cif_writer_single(struct ff_cif_writer *w, const char *category, const char *item, const char *value);
void ff_cif_writer_free(struct ff_cif_writer *w);        /* not out */

#endif
