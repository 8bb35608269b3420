/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/cif_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "bio/cif_tokens.h"

enum { SKIPPED = -1 };           /* number of a column that no prefix asks for */

void ff_cif_free(struct ff_cif *c)
{
    for (int i = 0; i < c->n_column; i++)
        free(c->columns[i].values);
    free(c->columns);
    *c = (struct ff_cif){0};
}

static struct ff_cif_value to_value(const struct ff_cif *c, const struct ff_cif_token *t)
{
    return (struct ff_cif_value){(uint32_t)(t->s - c->text), (uint32_t)t->len};
}

/* Number of the column named by the token, emptied if it was there before; SKIPPED when it is not wanted. */
static int open_column(struct ff_cif *c, const char *const *prefixes, const struct ff_cif_token *t)
{
    bool wanted = false;
    for (; *prefixes && !wanted; prefixes++) {
        size_t n = strlen(*prefixes);
        wanted = t->len >= n && memcmp(t->s, *prefixes, n) == 0;
    }
    if (!wanted)
        return SKIPPED;
    struct ff_cif_value key = to_value(c, t);
    for (int i = 0; i < c->n_column; i++) {
        if (ff_cif_same(c, c->columns[i].key, key)) {
            c->columns[i].count = 0;
            return i;
        }
    }
    FF_GROW(c->columns, c->n_column, c->capacity);
    c->columns[c->n_column] = (struct ff_cif_column){.key = key};
    return c->n_column++;
}

static void add_value(struct ff_cif *c, int column, const struct ff_cif_token *t)
{
    if (column == SKIPPED)
        return;
    struct ff_cif_column *col = &c->columns[column];
    FF_GROW(col->values, col->count, col->capacity);
    col->values[col->count++] = to_value(c, t);
}

static bool is_word(const struct ff_cif_token *t, const char *word)
{
    return t->kind == FF_CIF_BARE && t->len == strlen(word) && strncasecmp(t->s, word, t->len) == 0;
}

static bool is_block(const struct ff_cif_token *t)
{
    return t->kind == FF_CIF_BARE && t->len >= 5 && strncasecmp(t->s, "data_", 5) == 0;
}

static bool is_key(const struct ff_cif_token *t)
{
    return t->kind == FF_CIF_BARE && t->s[0] == '_';
}

/* Reads the loop behind 'loop_'. *tok is the token after it when done. */
static ff_status read_loop(struct ff_cif *c, const char *const *prefixes, struct ff_cif_tokens *it,
                           struct ff_cif_token *tok)
{
    ff_status st = FF_OK;
    int *columns = NULL;         /* [n] */
    int n = 0, capacity = 0;

    FF_TRY_GOTO(st, ff_cif_tokens_next(it, tok), done);
    while (is_key(tok)) {
        FF_GROW(columns, n, capacity);
        columns[n++] = open_column(c, prefixes, tok);
        FF_TRY_GOTO(st, ff_cif_tokens_next(it, tok), done);
    }
    if (n == 0) {
        st = ff_fail(FF_EINPUT, "%s:%d: 'loop_' without data names behind it", it->name,
                     ff_cif_tokens_line(it->text, tok->s));
        goto done;
    }
    /* Some deposited files have bare values that start with '_'; only in the first column they are data names. */
    for (int i = 0; tok->kind != FF_CIF_END && !is_word(tok, "loop_"); i = i + 1 < n ? i + 1 : 0) {
        if (i == 0 && (is_key(tok) || is_block(tok)))
            break;
        add_value(c, columns[i], tok);
        FF_TRY_GOTO(st, ff_cif_tokens_next(it, tok), done);
    }
done:
    free(columns);
    return st;
}

static ff_status read_block(struct ff_cif *c, const char *const *prefixes, struct ff_cif_tokens *it)
{
    struct ff_cif_token tok;

    FF_TRY(ff_cif_tokens_next(it, &tok));
    if (!is_block(&tok))
        return ff_fail(FF_EINPUT, "%s: not an mmCIF file: it does not start with 'data_'", it->name);
    FF_TRY(ff_cif_tokens_next(it, &tok));
    while (tok.kind != FF_CIF_END && !is_block(&tok)) {
        if (is_word(&tok, "loop_")) {
            FF_TRY(read_loop(c, prefixes, it, &tok));
            continue;
        }
        if (!is_key(&tok))
            return ff_fail(FF_EINPUT, "%s:%d: expected a data name or 'loop_', found '%.*s'", it->name,
                           ff_cif_tokens_line(it->text, tok.s), tok.len < 40 ? (int)tok.len : 40, tok.s);
        int column = open_column(c, prefixes, &tok);
        struct ff_cif_token value;
        FF_TRY(ff_cif_tokens_next(it, &value));
        if (value.kind == FF_CIF_END || is_word(&value, "loop_"))
            return ff_fail(FF_EINPUT, "%s:%d: '%.*s' has no value", it->name, ff_cif_tokens_line(it->text, tok.s),
                           tok.len < 80 ? (int)tok.len : 80, tok.s);
        add_value(c, column, &value);
        FF_TRY(ff_cif_tokens_next(it, &tok));
    }
    return FF_OK;
}

ff_status ff_cif_parse(const char *name, const char *text, size_t len, const char *const *prefixes,
                       struct ff_cif *ret)
{
    *ret = (struct ff_cif){.name = name, .text = text};
    if (len >= UINT32_MAX)
        return ff_fail(FF_EINPUT, "%s: %zu bytes are too many for an mmCIF file (limit: 4 GiB)", name, len);
    struct ff_cif_tokens it;
    ff_cif_tokens_init(&it, name, text, len);
    ff_status st = read_block(ret, prefixes, &it);
    if (st != FF_OK)
        ff_cif_free(ret);
    return st;
}

const struct ff_cif_column *ff_cif_find(const struct ff_cif *c, const char *key)
{
    for (int i = 0; i < c->n_column; i++)
        if (ff_cif_equals(c, c->columns[i].key, key))
            return &c->columns[i];
    return NULL;
}

ff_status ff_cif_need(const struct ff_cif *c, const char *key, const struct ff_cif_column **ret)
{
    *ret = ff_cif_find(c, key);
    return *ret ? FF_OK : ff_fail(FF_EINPUT, "%s: the mmCIF file has no item %s", c->name, key);
}

ff_status ff_cif_check_category(const struct ff_cif *c, const char *prefix, int *ret_rows)
{
    const struct ff_cif_column *first = NULL;
    size_t n = strlen(prefix);

    for (int i = 0; i < c->n_column; i++) {
        const struct ff_cif_column *col = &c->columns[i];
        if (col->key.len < n || memcmp(ff_cif_text(c, col->key), prefix, n) != 0)
            continue;
        if (!first)
            first = col;
        if (col->count != first->count)
            return ff_fail(FF_EINPUT, "%s:%d: the columns of %s have different numbers of values: %.*s has %d, "
                           "%.*s has %d; the file may be cut off", c->name,
                           ff_cif_tokens_line(c->text, ff_cif_text(c, col->key)), prefix, (int)first->key.len,
                           ff_cif_text(c, first->key), first->count, (int)col->key.len, ff_cif_text(c, col->key),
                           col->count);
    }
    if (ret_rows)
        *ret_rows = first ? first->count : 0;
    return FF_OK;
}

bool ff_cif_equals(const struct ff_cif *c, struct ff_cif_value v, const char *text)
{
    return strlen(text) == v.len && memcmp(ff_cif_text(c, v), text, v.len) == 0;
}

bool ff_cif_same(const struct ff_cif *c, struct ff_cif_value a, struct ff_cif_value b)
{
    return a.len == b.len && memcmp(ff_cif_text(c, a), ff_cif_text(c, b), a.len) == 0;
}

bool ff_cif_is_unset(const struct ff_cif *c, struct ff_cif_value v)
{
    return v.len == 1 && (*ff_cif_text(c, v) == '.' || *ff_cif_text(c, v) == '?');
}

char *ff_cif_strdup(const struct ff_cif *c, struct ff_cif_value v)
{
    return ff_xstrndup(ff_cif_text(c, v), v.len);
}

bool ff_cif_to_int(const struct ff_cif *c, struct ff_cif_value v, int *ret)
{
    const char *p = ff_cif_text(c, v);
    const char *end = p + v.len;
    bool minus = p < end && *p == '-';

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || end - p > 9)
        return false;
    int value = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (*p - '0');
    }
    *ret = minus ? -value : value;
    return true;
}

bool ff_cif_to_double(const struct ff_cif *c, struct ff_cif_value v, double *ret)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = ff_cif_text(c, v);
    const char *end = p + v.len;
    bool minus = p < end && *p == '-';
    int64_t digits = 0;
    int n_digit = 0, n_decimal = 0;
    bool point = false;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (; p < end; p++) {
        if (*p >= '0' && *p <= '9') {
            digits = n_digit < 16 ? digits * 10 + (*p - '0') : digits;
            n_digit++;
            n_decimal += point;
        } else if (*p == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    if (n_digit == 0)
        return false;
    /* Up to 15 digits and powers of ten up to 10^15 are exact, so one division rounds as strtod does. */
    if (p == end && n_digit <= 15) {
        double value = (double)digits / power[n_decimal];
        *ret = minus ? -value : value;
        return true;
    }
    char buf[64];
    if (v.len >= sizeof buf || (p < end && *p != 'e' && *p != 'E'))
        return false;
    memcpy(buf, ff_cif_text(c, v), v.len);
    buf[v.len] = '\0';
    char *stop;
    double value = strtod(buf, &stop);
    if (stop != buf + v.len || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

ff_status ff_cif_fail_value(const struct ff_cif *c, const struct ff_cif_column *column, int row, const char *what)
{
    struct ff_cif_value v = column->values[row];
    return ff_fail(FF_EINPUT, "%s:%d: '%.*s' in %.*s %s", c->name, ff_cif_tokens_line(c->text, ff_cif_text(c, v)),
                   v.len < 40 ? (int)v.len : 40, ff_cif_text(c, v), (int)column->key.len,
                   ff_cif_text(c, column->key), what);
}
