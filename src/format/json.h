/* SPDX-License-Identifier: Apache-2.0
 * json: writing JSON into a strbuf, with commas and escapes kept right. Reading is format/yaml's work (JSON is YAML).
 *
 * indent 0 writes no white space at all; otherwise one value per line, indented. Numbers are written so that they read
 * back equal, or with a fixed number of decimals; NaN and infinities become null.
 */
#ifndef FF_FORMAT_JSON_H
#define FF_FORMAT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct ff_json {
    struct ff_strbuf *out;
    int indent;
    int depth;
    uint64_t has_item;           /* bit d: the container at depth d already has an item */
    bool after_key;
};

void ff_json_init(struct ff_json *j, struct ff_strbuf *out, int indent);
void ff_json_begin_object(struct ff_json *j);
void ff_json_end_object(struct ff_json *j);
void ff_json_begin_array(struct ff_json *j);
void ff_json_end_array(struct ff_json *j);
void ff_json_key(struct ff_json *j, const char *key);
void ff_json_string(struct ff_json *j, const char *s);   /* NULL writes null */
void ff_json_int(struct ff_json *j, int64_t v);
void ff_json_bool(struct ff_json *j, bool v);
void ff_json_double(struct ff_json *j, double v);                  /* shortest text that reads back equal */
/* A key with its value. */
void ff_json_put_string(struct ff_json *j, const char *key, const char *s);
void ff_json_put_int(struct ff_json *j, const char *key, int64_t v);
void ff_json_put_double(struct ff_json *j, const char *key, double v);
void ff_json_fixed(struct ff_json *j, double v, int decimals);     /* as Python's round(v, decimals): 1.0, 0.25 */
void ff_json_null(struct ff_json *j);

#endif
