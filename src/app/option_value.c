/* SPDX-License-Identifier: Apache-2.0
 * option_value: conversions between the text of a setting and its field.
 */
#include "app/option_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/suggest.h"
#include "base/alloc.h"
#include "base/file.h"
#include "feature/template_hits.h"

static void *field_of(const struct ff_option *o, struct ff_config *config) { return (char *)config + o->offset; }

static const void *const_field_of(const struct ff_option *o, const struct ff_config *config)
{
    return (const char *)config + o->offset;
}

static bool is_text(const struct ff_option *o)
{
    return o->type == FF_OPTION_TEXT || o->type == FF_OPTION_DATE || o->type == FF_OPTION_PROGRAM ||
           o->type == FF_OPTION_PATH || o->type == FF_OPTION_PARAMS || o->type == FF_OPTION_OUTPUT;
}

char **ff_option_text(const struct ff_option *o, struct ff_config *config)
{
    return is_text(o) ? field_of(o, config) : NULL;
}

/* --- 1. sizes with a unit ----------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    double bytes;
} units[] = {
    {"TiB", 1099511627776.0}, {"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"KiB", 1024.0}, /* the printed ones */
    {"TB", 1e12},             {"GB", 1e9},           {"MB", 1e6},        {"KB", 1e3},
    {"T", 1099511627776.0},   {"G", 1073741824.0},   {"M", 1048576.0},   {"K", 1024.0},
    {"B", 1},                 {"", 1},
};
enum { N_UNIT = sizeof units / sizeof units[0], N_PRINTED_UNIT = 4 };

static bool read_bytes(const char *text, int64_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    double v = strtod(text, &end);
    while (*end == ' ')
        end++;
    for (int i = 0; i < N_UNIT; i++) {
        if (strcasecmp(end, units[i].name) != 0)
            continue;
        v *= units[i].bytes;
        if (!(v < 9.2e18))
            return false;
        *ret = (int64_t)v;
        return true;
    }
    return false;
}

static void print_bytes(int64_t v, struct ff_strbuf *out)
{
    for (int i = 0; i < N_PRINTED_UNIT && v != 0; i++) {
        int64_t unit = (int64_t)units[i].bytes;
        if (v % unit == 0) {
            ff_strbuf_printf(out, "%" PRId64 "%s", v / unit, units[i].name);
            return;
        }
    }
    ff_strbuf_printf(out, "%" PRId64, v);
}

/* --- 2. what is expected ------------------------------------------------------------------------------------------ */

static void print_number(double v, struct ff_strbuf *out) { ff_strbuf_printf(out, "%.16g", v); }

void ff_option_describe(const struct ff_option *o, struct ff_strbuf *out)
{
    switch (o->type) {
    case FF_OPTION_BOOL:
        ff_strbuf_puts(out, "true or false");
        return;
    case FF_OPTION_INT:
    case FF_OPTION_FLOAT:
        for (const struct ff_choice *c = o->choices; c != NULL && c->name != NULL; c++)
            ff_strbuf_printf(out, "%s or ", c->name);
        ff_strbuf_puts(out, o->type == FF_OPTION_INT ? "an integer from " : "a number from ");
        print_number(o->lo, out);
        ff_strbuf_puts(out, " to ");
        print_number(o->hi, out);
        return;
    case FF_OPTION_BYTES:
        ff_strbuf_puts(out, "a size such as 8GiB or 500MB");
        return;
    case FF_OPTION_CHOICE:
        ff_strbuf_puts(out, "one of ");
        for (const struct ff_choice *c = o->choices; c->name != NULL; c++)
            ff_strbuf_printf(out, "%s%s", c == o->choices ? "" : ", ", c->name);
        return;
    case FF_OPTION_NAME:
        ff_strbuf_printf(out, "a name of letters, digits, '.', '_' and '-', at most %zu", o->size - 1);
        return;
    case FF_OPTION_TEXT:
        ff_strbuf_puts(out, "a text");
        return;
    case FF_OPTION_DATE:
        ff_strbuf_puts(out, "a day such as 2021-09-30");
        return;
    case FF_OPTION_PROGRAM:
        ff_strbuf_puts(out, "a program");
        return;
    case FF_OPTION_PATH:
        ff_strbuf_puts(out, "a path");
        return;
    case FF_OPTION_PARAMS:
        ff_strbuf_puts(out, "a path or the word synthetic");
        return;
    case FF_OPTION_OUTPUT:
        ff_strbuf_puts(out, "a path to write to");
        return;
    }
}

static ff_status wrong(const struct ff_option *o, const struct ff_yaml *value, const struct ff_option_place *place)
{
    struct ff_strbuf expected = {0};
    ff_option_describe(o, &expected);
    ff_status st;
    if (value->kind != FF_YAML_SCALAR) {
        st = ff_fail(FF_EUSAGE, "%s: %s: found a %s; expected %s", place->name, o->key,
                     value->kind == FF_YAML_LIST ? "list" : "section", ff_strbuf_cstr(&expected));
    } else {
        struct ff_suggest s = {.given = value->text};
        for (const struct ff_choice *c = o->choices; c != NULL && c->name != NULL; c++)
            if (c->name[0] == value->text[0]) /* "gpu" is not a slip of who meant "cpu" */
                ff_suggest_try(&s, c->name);
        st = ff_fail(FF_EUSAGE, "%s: %s: found '%s'; expected %s%s%s%s", place->name, o->key, value->text,
                     ff_strbuf_cstr(&expected), s.best ? " (did you mean '" : "", s.best ? s.best : "",
                     s.best ? "'?)" : "");
    }
    ff_strbuf_free(&expected);
    return st;
}

/* --- 3. text to field --------------------------------------------------------------------------------------------- */

static bool name_is_safe(const char *s)
{
    if (*s == '\0' || *s == '.' || *s == '-')
        return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
            return false;
    return true;
}

/* dir/text; leading "../" are taken off dir itself where it exists, for names without detours. Caller frees. */
static char *join_path(const char *dir, const char *text)
{
    char *real = strncmp(text, "../", 3) == 0 ? realpath(dir, NULL) : NULL;
    if (real == NULL)
        return ff_path_join(dir, text);
    while (strncmp(text, "../", 3) == 0) {
        char *slash = strrchr(real, '/');
        slash[slash == real] = '\0'; /* the root stays "/" */
        text += 3;
    }
    char *path = ff_path_join(real, text);
    free(real);
    return path;
}

/* The path as the rest of the program sees it. Caller frees. */
static char *place_path(const struct ff_option *o, const char *text, const char *dir)
{
    bool relative_to_file = o->type == FF_OPTION_PATH ||
                            (o->type == FF_OPTION_PARAMS && strcmp(text, "synthetic") != 0) ||
                            (o->type == FF_OPTION_PROGRAM && strchr(text, '/') != NULL);
    return relative_to_file && dir != NULL ? join_path(dir, text) : ff_xstrdup(text);
}

static void store_int(const struct ff_option *o, int64_t v, void *field)
{
    if (o->size == sizeof(int64_t))
        *(int64_t *)field = v;
    else if (o->size == sizeof(bool))
        *(bool *)field = v != 0;
    else
        *(int *)field = (int)v;
}

static int64_t load_int(const struct ff_option *o, const void *field)
{
    if (o->size == sizeof(int64_t))
        return *(const int64_t *)field;
    return o->size == sizeof(bool) ? *(const bool *)field : *(const int *)field;
}

static bool read_number(const struct ff_option *o, const struct ff_yaml *value, void *field)
{
    int64_t i;
    double d;
    if (o->type == FF_OPTION_FLOAT) {
        if (!ff_yaml_to_double(value, &d) || !isfinite(d) || d < o->lo || d > o->hi)
            return false;
        *(float *)field = (float)d;
        return true;
    }
    bool ok = o->type == FF_OPTION_BYTES ? read_bytes(value->text, &i) : ff_yaml_to_int(value, &i);
    if (!ok || (double)i < o->lo || (double)i > o->hi)
        return false;
    store_int(o, i, field);
    return true;
}

static bool read_choice(const struct ff_option *o, const char *text, void *field)
{
    for (const struct ff_choice *c = o->choices; c != NULL && c->name != NULL; c++)
        if (strcmp(text, c->name) == 0) {
            store_int(o, c->value, field);
            return true;
        }
    return false;
}

static bool read_value(const struct ff_option *o, const struct ff_yaml *value, const char *dir, void *field)
{
    switch (o->type) {
    case FF_OPTION_BOOL:
        return ff_yaml_to_bool(value, field);
    case FF_OPTION_INT:
    case FF_OPTION_FLOAT:
    case FF_OPTION_BYTES:
        return read_choice(o, value->text, field) || read_number(o, value, field);
    case FF_OPTION_CHOICE:
        return read_choice(o, value->text, field);
    case FF_OPTION_NAME: {
        size_t n = strlen(value->text);
        if (n >= o->size || !name_is_safe(value->text))
            return false;
        memset(field, 0, o->size);
        memcpy(field, value->text, n);
        return true;
    }
    default: {
        char **text = field;
        bool empty = !value->quoted && ff_yaml_is_null(value);
        int date;
        if (!empty && value->text[0] == '\0')
            return false;
        if (!empty && o->type == FF_OPTION_DATE && !ff_template_date_parse(value->text, strlen(value->text), &date))
            return false;
        free(*text);
        *text = empty ? NULL : place_path(o, value->text, dir);
        return true;
    }
    }
}

ff_status ff_option_set(const struct ff_option *o, const struct ff_yaml *value, const struct ff_option_place *place,
                        struct ff_config *config)
{
    if (value->kind != FF_YAML_SCALAR || !read_value(o, value, place->dir, field_of(o, config)))
        return wrong(o, value, place);
    return FF_OK;
}

/* --- 4. field to text --------------------------------------------------------------------------------------------- */

/* The shortest decimal text that gives the same float, always with a point or exponent so that it reads as a number. */
static void print_float(float v, struct ff_strbuf *out)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    ff_strbuf_puts(out, text);
    if (strpbrk(text, ".e") == NULL)
        ff_strbuf_puts(out, ".0");
}

static void print_quoted(const char *s, struct ff_strbuf *out)
{
    ff_strbuf_putc(out, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            ff_strbuf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            ff_strbuf_printf(out, "\\x%02x", c);
        else
            ff_strbuf_putc(out, (char)c);
    }
    ff_strbuf_putc(out, '"');
}

static bool is_path(const struct ff_option *o, const char *text)
{
    if (o->type == FF_OPTION_PROGRAM)
        return strchr(text, '/') != NULL;
    return o->type == FF_OPTION_PATH || (o->type == FF_OPTION_PARAMS && strcmp(text, "synthetic") != 0);
}

static void print_text(const struct ff_option *o, const char *text, bool absolute, struct ff_strbuf *out)
{
    if (text == NULL) {
        ff_strbuf_puts(out, "null");
        return;
    }
    char *cwd = absolute && text[0] != '/' && is_path(o, text) ? getcwd(NULL, 0) : NULL;
    if (cwd != NULL) {
        char *full = ff_path_join(cwd, text);
        print_quoted(full, out);
        free(full);
    } else {
        print_quoted(text, out);
    }
    free(cwd);
}

static bool print_choice(const struct ff_option *o, int64_t value, struct ff_strbuf *out)
{
    for (const struct ff_choice *c = o->choices; c != NULL && c->name != NULL; c++)
        if (c->value == value) {
            ff_strbuf_puts(out, c->name);
            return true;
        }
    return false;
}

void ff_option_print(const struct ff_option *o, const struct ff_config *config, bool absolute, struct ff_strbuf *out)
{
    const void *field = const_field_of(o, config);
    switch (o->type) {
    case FF_OPTION_BOOL:
        ff_strbuf_puts(out, *(const bool *)field ? "true" : "false");
        return;
    case FF_OPTION_INT:
        if (!print_choice(o, load_int(o, field), out))
            ff_strbuf_printf(out, "%" PRId64, load_int(o, field));
        return;
    case FF_OPTION_FLOAT:
        print_float(*(const float *)field, out);
        return;
    case FF_OPTION_BYTES:
        print_bytes(load_int(o, field), out);
        return;
    case FF_OPTION_CHOICE:
        print_choice(o, load_int(o, field), out);
        return;
    case FF_OPTION_NAME:
        ff_strbuf_puts(out, field);
        return;
    default:
        print_text(o, *(char *const *)field, absolute, out);
        return;
    }
}

void ff_option_release(const struct ff_option *o, struct ff_config *config)
{
    char **text = ff_option_text(o, config);
    if (text != NULL) {
        free(*text);
        *text = NULL;
    }
}
