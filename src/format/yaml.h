/* SPDX-License-Identifier: Apache-2.0
 * yaml: YAML (and so JSON) text as a tree of nodes that know their line, on top of libyaml.
 */
#ifndef FF_FORMAT_YAML_H
#define FF_FORMAT_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum ff_yaml_kind { FF_YAML_SCALAR, FF_YAML_LIST, FF_YAML_MAP };

struct ff_yaml {
    enum ff_yaml_kind kind;
    int line;                    /* 1-based, of the key in a map, else of the first character */
    char *key;                   /* in a map: this entry's key; otherwise NULL */
    char *text;                  /* scalar: its text */
    bool quoted;                 /* scalar: written in quotes, so never null, bool or number */
    struct ff_yaml *items;       /* list or map: children, in file order */
    int count;
};

/* name is used in messages ("FILE:LINE: ..."). Duplicate keys, anchors and several documents are errors (FF_EUSAGE). */
ff_status ff_yaml_parse(const char *name, const char *text, size_t len, struct ff_yaml **ret) FF_MUST_USE;
ff_status ff_yaml_load(const char *path, struct ff_yaml **ret) FF_MUST_USE;
void ff_yaml_free(struct ff_yaml *root);

const struct ff_yaml *ff_yaml_get(const struct ff_yaml *map, const char *key);  /* NULL when absent or not a map */
bool ff_yaml_is_null(const struct ff_yaml *n);
/* false when the scalar is not of that type (YAML 1.2 core rules: true/false, decimal integers, floats). */
bool ff_yaml_to_bool(const struct ff_yaml *n, bool *ret);
bool ff_yaml_to_int(const struct ff_yaml *n, int64_t *ret);
bool ff_yaml_to_double(const struct ff_yaml *n, double *ret);

#endif
