/* SPDX-License-Identifier: Apache-2.0
 * cif_table: the first data block of a CIF text as columns of values, whether they were written as a loop or as single
 * items. Values are stored as places in the text (8 bytes each), which must outlive the table.
 */
#ifndef FF_BIO_CIF_TABLE_H
#define FF_BIO_CIF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct ff_cif_value {
    uint32_t offset;             /* in the text */
    uint32_t len;
};

struct ff_cif_column {
    struct ff_cif_value key;     /* "_atom_site.id", spelled as in the file */
    struct ff_cif_value *values; /* [count] */
    int count;
    int capacity;
};

struct ff_cif {
    const char *name;            /* of the file, for messages; not owned */
    const char *text;            /* not owned */
    struct ff_cif_column *columns; /* [n_column] in the order of their first appearance */
    int n_column;
    int capacity;
};

/* Keeps the columns whose names start with one of the prefixes ("_struct_asym."; NULL-terminated). An item that is
 * given twice has its last values. Reads on as far as it can make sense of the text: loops whose number of values is
 * no multiple of their columns are left to the callers, who know which columns they need (ff_cif_check_category).
 * FF_EINPUT: not CIF, broken quotes or text fields, items without value, 4 GiB or more. */
ff_status ff_cif_parse(const char *name, const char *text, size_t len, const char *const *prefixes,
                       struct ff_cif *ret) FF_MUST_USE;
void ff_cif_free(struct ff_cif *c);                  /* frees what is inside and resets to {0} */

const struct ff_cif_column *ff_cif_find(const struct ff_cif *c, const char *key);       /* NULL when absent */
/* ff_cif_find that fails with FF_EINPUT and names what is missing. */
ff_status ff_cif_need(const struct ff_cif *c, const char *key, const struct ff_cif_column **ret) FF_MUST_USE;
/* All columns of a category ("_chem_comp.") must have the same number of values: FF_EINPUT otherwise. ret_rows may be
 * NULL; it gets 0 when there are no such columns. */
ff_status ff_cif_check_category(const struct ff_cif *c, const char *prefix, int *ret_rows) FF_MUST_USE;

static inline const char *ff_cif_text(const struct ff_cif *c, struct ff_cif_value v)
{
    return c->text + v.offset;                       /* v.len bytes, not NUL-terminated */
}

bool ff_cif_equals(const struct ff_cif *c, struct ff_cif_value v, const char *text);
bool ff_cif_same(const struct ff_cif *c, struct ff_cif_value a, struct ff_cif_value b);
bool ff_cif_is_unset(const struct ff_cif *c, struct ff_cif_value v);                    /* '.' or '?' */
char *ff_cif_strdup(const struct ff_cif *c, struct ff_cif_value v);                     /* caller frees */
/* Decimal integers, and decimal numbers with or without exponent; false for anything else, such as '.' or 'nan'. */
bool ff_cif_to_int(const struct ff_cif *c, struct ff_cif_value v, int *ret);
bool ff_cif_to_double(const struct ff_cif *c, struct ff_cif_value v, double *ret);
/* Fails with "NAME:LINE: 'value' of KEY ...: what". */
ff_status ff_cif_fail_value(const struct ff_cif *c, const struct ff_cif_column *column, int row,
                            const char *what);

#endif
