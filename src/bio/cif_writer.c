/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/cif_writer.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

void ff_cif_writer_free(struct ff_cif_writer *w)
{
    ff_strbuf_free(&w->values);
    free(w->offset);
    *w = (struct ff_cif_writer){.out = w->out};
}

void ff_cif_writer_begin(struct ff_cif_writer *w, const char *category, const char *items)
{
    w->category = category;
    w->items = items;
    w->n_item = 1;
    for (const char *c = items; *c; c++)
        w->n_item += *c == ' ';
    w->n_value = 0;
    ff_strbuf_clear(&w->values);
}

void ff_cif_writer_add(struct ff_cif_writer *w, const char *fmt, ...)
{
    FF_GROW(w->offset, w->n_value, w->capacity);
    w->offset[w->n_value++] = w->values.len;
    va_list ap;
    va_start(ap, fmt);
    ff_strbuf_vprintf(&w->values, fmt, ap);
    va_end(ap);
    ff_strbuf_putc(&w->values, '\0');
}

static const char *value_at(const struct ff_cif_writer *w, size_t i)
{
    return w->values.s + w->offset[i];
}

/* --- quoting --- */

static bool needs_text_field(const char *v)
{
    return strchr(v, '\n') || (strstr(v, "' ") && strstr(v, "\" "));
}

static bool needs_quotes(const char *v)
{
    static const char *const words[] = {"loop_", "stop_", "global_"};
    if (strpbrk(v, " '\"") || strchr("_#$[];", v[0])) /* the empty text too: strchr finds its NUL */
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(v, words[i]) == 0)
            return true;
    return strncmp(v, "data_", 5) == 0 || strncmp(v, "save_", 5) == 0;
}

static size_t width_of(const char *v)
{
    return strlen(v) + (needs_quotes(v) && !needs_text_field(v) ? 2 : 0);
}

/* The value, padded with blanks to width (a text field is not padded). */
static void put_value(struct ff_strbuf *out, const char *v, size_t width)
{
    if (needs_text_field(v)) {
        ff_strbuf_printf(out, "\n;%s\n;\n", v);
        return;
    }
    size_t start = out->len;
    if (needs_quotes(v)) {
        const char *quote = strstr(v, "' ") ? "\"" : "'";
        ff_strbuf_printf(out, "%s%s%s", quote, v, quote);
    } else {
        ff_strbuf_puts(out, v);
    }
    while (out->len - start < width)
        ff_strbuf_putc(out, ' ');
}

/* --- categories --- */

/* Length of the item's name at p, and where the next one starts. */
static size_t item_length(const char *p)
{
    return strcspn(p, " ");
}

static void put_pairs(struct ff_cif_writer *w)
{
    size_t longest = 0;
    for (const char *p = w->items; *p; p += item_length(p), p += *p == ' ')
        if (item_length(p) > longest)
            longest = item_length(p);
    size_t i = 0, width = strlen(w->category) + longest + 4;
    for (const char *p = w->items; *p; p += item_length(p), p += *p == ' ') {
        size_t start = w->out->len;
        ff_strbuf_printf(w->out, "%s.%.*s", w->category, (int)item_length(p), p);
        while (w->out->len - start < width)
            ff_strbuf_putc(w->out, ' ');
        put_value(w->out, value_at(w, i++), 0);
        ff_strbuf_putc(w->out, '\n');
    }
}

static void put_loop(struct ff_cif_writer *w)
{
    size_t n_item = (size_t)w->n_item;
    size_t *width = FF_NEW_ARRAY(size_t, n_item);
    ff_strbuf_puts(w->out, "loop_\n");
    for (const char *p = w->items; *p; p += item_length(p), p += *p == ' ')
        ff_strbuf_printf(w->out, "%s.%.*s\n", w->category, (int)item_length(p), p);
    for (size_t i = 0; i < w->n_value; i++) {
        size_t n = width_of(value_at(w, i));
        if (n > width[i % n_item])
            width[i % n_item] = n;
    }
    for (size_t i = 0; i < w->n_value; i++) {
        put_value(w->out, value_at(w, i), width[i % n_item] + 1);
        if (i % n_item == n_item - 1)
            ff_strbuf_putc(w->out, '\n');
    }
    free(width);
}

void ff_cif_writer_end(struct ff_cif_writer *w)
{
    FF_ASSERT(w->n_value % (size_t)w->n_item == 0);
    if (w->n_value == 0)
        return;
    if (w->n_value == (size_t)w->n_item)
        put_pairs(w);
    else
        put_loop(w);
    ff_strbuf_puts(w->out, "#\n");
}

void ff_cif_writer_single(struct ff_cif_writer *w, const char *category, const char *item, const char *value)
{
    ff_cif_writer_begin(w, category, item);
    ff_cif_writer_add(w, "%s", value);
    ff_cif_writer_end(w);
}
