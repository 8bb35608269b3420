/* SPDX-License-Identifier: Apache-2.0
 * yaml: builds the node tree from libyaml's events.
 *
 * Only the plain data of YAML is let through: maps with scalar keys, lists, scalars. Aliases could make a small file
 * explode, and tags would change types behind the reader's back.
 */
#include "format/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/file.h"

enum { MAX_DEPTH = 64 };

struct builder {
    const char *name;
    const char *text;
    size_t len;
    yaml_parser_t parser;
};

static int line_of(const yaml_event_t *e)
{
    return (int)e->start_mark.line + 1;
}

/* Whether that line, from 0, is indented with a tab, of which libyaml only says that no token begins so. */
static bool has_tab(const struct builder *b, size_t line)
{
    const char *p = b->text, *end = b->text + b->len;
    for (; line > 0 && p < end; p++)
        line -= *p == '\n';
    while (p < end && *p == ' ')
        p++;
    return p < end && *p == '\t';
}

static ff_status next_event(struct builder *b, yaml_event_t *e)
{
    if (yaml_parser_parse(&b->parser, e))
        return FF_OK;
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return ff_fail(FF_EMEMORY, "%s: out of memory", b->name);
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR) { /* knows no line, only the byte where the text stops being UTF-8 */
        size_t line = 1;
        for (size_t i = 0; i < p->problem_offset && i < b->len; i++)
            line += b->text[i] == '\n';
        return ff_fail(FF_EUSAGE, "%s:%zu: %s", b->name, line, problem);
    }
    if (has_tab(b, p->problem_mark.line))
        return ff_fail(FF_EUSAGE, "%s:%zu: found a tab; YAML is indented with blanks", b->name,
                       p->problem_mark.line + 1);
    if (p->context)
        return ff_fail(FF_EUSAGE, "%s:%zu: %s, %s", b->name, p->problem_mark.line + 1, p->context, problem);
    return ff_fail(FF_EUSAGE, "%s:%zu: %s", b->name, p->problem_mark.line + 1, problem);
}

static void free_content(struct ff_yaml *n)
{
    for (int i = 0; i < n->count; i++)
        free_content(&n->items[i]);
    free(n->items);
    free(n->key);
    free(n->text);
    *n = (struct ff_yaml){0};
}

static ff_status refuse_extras(const struct builder *b, int line, const void *anchor, const void *tag)
{
    if (anchor)
        return ff_fail(FF_EUSAGE, "%s:%d: anchors (&name) are not allowed; write the value out", b->name, line);
    if (tag)
        return ff_fail(FF_EUSAGE, "%s:%d: tags (!name) are not allowed; write the plain value", b->name, line);
    return FF_OK;
}

static ff_status set_scalar(const struct builder *b, const yaml_event_t *e, struct ff_yaml *n)
{
    int line = line_of(e);
    FF_TRY(refuse_extras(b, line, e->data.scalar.anchor, e->data.scalar.tag));
    const char *value = (const char *)e->data.scalar.value;
    if (strlen(value) != e->data.scalar.length)
        return ff_fail(FF_EUSAGE, "%s:%d: a text holds a NUL character", b->name, line);
    n->kind = FF_YAML_SCALAR;
    n->line = line;
    n->text = ff_xstrdup(value);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return FF_OK;
}

static ff_status build_node(struct builder *b, const yaml_event_t *e, int depth, struct ff_yaml *n);

static ff_status build_list(struct builder *b, int depth, struct ff_yaml *list)
{
    int capacity = 0;
    for (;;) {
        yaml_event_t e;
        FF_TRY(next_event(b, &e));
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return FF_OK;
        }
        FF_GROW(list->items, list->count, capacity);
        struct ff_yaml *item = &list->items[list->count++];
        *item = (struct ff_yaml){0};
        ff_status st = build_node(b, &e, depth, item);
        yaml_event_delete(&e);
        FF_TRY(st);
    }
}

static ff_status read_key(struct builder *b, const yaml_event_t *e, struct ff_yaml *key)
{
    if (e->type == YAML_ALIAS_EVENT)
        return ff_fail(FF_EUSAGE, "%s:%d: aliases (*name) are not allowed; write the value out", b->name, line_of(e));
    if (e->type != YAML_SCALAR_EVENT)
        return ff_fail(FF_EUSAGE, "%s:%d: a key must be a plain word, not a list or a map", b->name, line_of(e));
    return set_scalar(b, e, key);
}

static int compare_entries(const void *a, const void *b)
{
    const struct ff_yaml *const *x = a, *const *y = b;
    int order = strcmp((*x)->key, (*y)->key);
    return order ? order : (*x > *y) - (*x < *y); /* then file order */
}

static ff_status check_unique(const struct builder *b, const struct ff_yaml *map)
{
    const struct ff_yaml **sorted = FF_NEW_ARRAY(const struct ff_yaml *, (size_t)map->count);
    for (int i = 0; i < map->count; i++)
        sorted[i] = &map->items[i];
    qsort(sorted, (size_t)map->count, sizeof *sorted, compare_entries);
    ff_status st = FF_OK;
    for (int i = 1; i < map->count && st == FF_OK; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            st = ff_fail(FF_EUSAGE, "%s:%d: key '%s' is there twice (first in line %d)", b->name, sorted[i]->line,
                         sorted[i]->key, sorted[i - 1]->line);
    free(sorted);
    return st;
}

static ff_status build_map(struct builder *b, int depth, struct ff_yaml *map)
{
    int capacity = 0;
    for (;;) {
        yaml_event_t e;
        struct ff_yaml key = {0};
        FF_TRY(next_event(b, &e));
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            return check_unique(b, map);
        }
        ff_status st = read_key(b, &e, &key);
        yaml_event_delete(&e);
        if (st == FF_OK)
            st = next_event(b, &e);
        if (st != FF_OK) {
            free_content(&key);
            return st;
        }
        FF_GROW(map->items, map->count, capacity);
        struct ff_yaml *item = &map->items[map->count++];
        *item = (struct ff_yaml){.key = key.text};
        st = build_node(b, &e, depth, item);
        yaml_event_delete(&e);
        FF_TRY(st);
        item->line = key.line; /* the value may begin lines below */
    }
}

/* Fills n, which is zeroed but for its key. On failure n holds what was built so far. */
static ff_status build_node(struct builder *b, const yaml_event_t *e, int depth, struct ff_yaml *n)
{
    n->line = line_of(e);
    if (depth > MAX_DEPTH)
        return ff_fail(FF_EUSAGE, "%s:%d: nested more than %d deep", b->name, n->line, MAX_DEPTH);
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return set_scalar(b, e, n);
    case YAML_SEQUENCE_START_EVENT:
        n->kind = FF_YAML_LIST;
        FF_TRY(refuse_extras(b, n->line, e->data.sequence_start.anchor, e->data.sequence_start.tag));
        return build_list(b, depth + 1, n);
    case YAML_MAPPING_START_EVENT:
        n->kind = FF_YAML_MAP;
        FF_TRY(refuse_extras(b, n->line, e->data.mapping_start.anchor, e->data.mapping_start.tag));
        return build_map(b, depth + 1, n);
    case YAML_ALIAS_EVENT:
        return ff_fail(FF_EUSAGE, "%s:%d: aliases (*name) are not allowed; write the value out", b->name, n->line);
    default:
        return ff_fail(FF_EUSAGE, "%s:%d: not YAML", b->name, n->line);
    }
}

/* The stream: its start, at most one document, its end. */
static ff_status build_stream(struct builder *b, struct ff_yaml *root)
{
    bool have_document = false;
    for (;;) {
        yaml_event_t e;
        FF_TRY(next_event(b, &e));
        yaml_event_type_t type = e.type;
        int line = line_of(&e);
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT)
            return FF_OK;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (have_document)
            return ff_fail(FF_EUSAGE, "%s:%d: a second document begins here ('---'); expected one", b->name, line);
        have_document = true;
        FF_TRY(next_event(b, &e));
        ff_status st = build_node(b, &e, 0, root);
        yaml_event_delete(&e);
        FF_TRY(st);
    }
}

ff_status ff_yaml_parse(const char *name, const char *text, size_t len, struct ff_yaml **ret)
{
    *ret = NULL;
    struct builder b = {.name = name, .text = text, .len = len};
    if (!yaml_parser_initialize(&b.parser))
        return ff_fail(FF_EMEMORY, "%s: out of memory", name);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    struct ff_yaml *root = FF_NEW(struct ff_yaml);
    root->kind = FF_YAML_MAP; /* of a file that holds nothing but comments */
    root->line = 1;
    ff_status st = build_stream(&b, root);
    yaml_parser_delete(&b.parser);
    if (st != FF_OK) {
        ff_yaml_free(root);
        return st;
    }
    *ret = root;
    return FF_OK;
}

ff_status ff_yaml_load(const char *path, struct ff_yaml **ret)
{
    char *text;
    size_t len;
    *ret = NULL;
    FF_TRY(ff_file_read(path, &text, &len));
    ff_status st = ff_yaml_parse(path, text, len, ret);
    free(text);
    return st;
}

void ff_yaml_free(struct ff_yaml *root)
{
    if (!root)
        return;
    free_content(root);
    free(root);
}

const struct ff_yaml *ff_yaml_get(const struct ff_yaml *map, const char *key)
{
    if (!map || map->kind != FF_YAML_MAP)
        return NULL;
    for (int i = 0; i < map->count; i++)
        if (strcmp(map->items[i].key, key) == 0)
            return &map->items[i];
    return NULL;
}

/* ---- scalars (YAML 1.2, core schema) ---- */

/* The text of an unquoted scalar, NULL for anything else. */
static const char *plain_text(const struct ff_yaml *n)
{
    return n && n->kind == FF_YAML_SCALAR && !n->quoted ? n->text : NULL;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

bool ff_yaml_is_null(const struct ff_yaml *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    const char *text = plain_text(n);
    return text && is_one_of(text, words);
}

bool ff_yaml_to_bool(const struct ff_yaml *n, bool *ret)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL}, *const no[] = {"false", "False", "FALSE", NULL};
    const char *text = plain_text(n);
    if (!text || (!is_one_of(text, yes) && !is_one_of(text, no)))
        return false;
    *ret = is_one_of(text, yes);
    return true;
}

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

bool ff_yaml_to_int(const struct ff_yaml *n, int64_t *ret)
{
    const char *text = plain_text(n);
    if (!text)
        return false;
    const char *digits = text + (*text == '-' || *text == '+'), *end = skip_digits(digits);
    if (end == digits || *end)
        return false;
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return false;
    *ret = v;
    return true;
}

bool ff_yaml_to_double(const struct ff_yaml *n, double *ret)
{
    static const char *const infinity[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    const char *text = plain_text(n);
    if (!text)
        return false;
    if (is_one_of(text, nan_words)) {
        *ret = NAN;
        return true;
    }
    const char *s = text + (*text == '-' || *text == '+');
    if (is_one_of(s, infinity)) {
        *ret = *text == '-' ? -INFINITY : INFINITY;
        return true;
    }
    const char *whole = skip_digits(s), *end = whole;
    if (*end == '.')
        end = skip_digits(end + 1);
    if (end - s - (*whole == '.') < 1) /* no digit at all */
        return false;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1 + (end[1] == '-' || end[1] == '+');
        end = skip_digits(exponent);
        if (end == exponent)
            return false;
    }
    if (*end)
        return false;
    *ret = strtod(text, NULL);
    return true;
}
