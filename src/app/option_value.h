/* SPDX-License-Identifier: Apache-2.0
 * option_value: text to field and field to text, for one row of the option table.
 */
#ifndef FF_APP_OPTION_VALUE_H
#define FF_APP_OPTION_VALUE_H

#include "app/option_table.h"

/* Where a value was written: `name` begins the message ("FILE:7" or "--recycles"), relative paths start at dir. */
struct ff_option_place {
    const char *name;
    const char *dir;             /* NULL: the working folder */
};

/* Reads value into the field of config. Plain (unquoted) null empties a field that may be NULL.
 * FF_EUSAGE: "PLACE: key: 'text' is ...; expected ...". */
ff_status ff_option_set(const struct ff_option *o, const struct ff_yaml *value, const struct ff_option_place *place,
                        struct ff_config *config) FF_MUST_USE;

/* What a row takes, for messages and manual: "an integer from 0 to 1000", "one of auto, cpu, cuda", ... */
void ff_option_describe(const struct ff_option *o, struct ff_strbuf *out);

/* Appends the field as a YAML scalar that ff_option_set reads back equal. Paths are made absolute if absolute. */
void ff_option_print(const struct ff_option *o, const struct ff_config *config, bool absolute, struct ff_strbuf *out);

/* Frees the text of a row that owns one. */
void ff_option_release(const struct ff_option *o, struct ff_config *config);

/* The char * field of a row whose type is one of the texts; NULL for other types. */
char **ff_option_text(const struct ff_option *o, struct ff_config *config);

#endif
