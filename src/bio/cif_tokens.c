/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/cif_tokens.h"

#include <stdbool.h>
#include <string.h>

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
    return is_blank(c) || is_line_end(c);
}

static const char *find_line_end(const char *p, const char *end)
{
    while (p < end && !is_line_end(*p))
        p++;
    return p;
}

/* First byte of the line after the one that ends at p. */
static const char *skip_line_end(const char *p, const char *end)
{
    if (p < end && *p == '\r')
        p++;
    else if (p < end && *p == '\n')
        return p + 1;
    return p < end && *p == '\n' ? p + 1 : p;
}

int ff_cif_tokens_line(const char *text, const char *place)
{
    int line = 1;
    for (const char *p = text; p < place; p++)
        if (*p == '\r' || (*p == '\n' && (p == text || p[-1] != '\r')))
            line++;
    return line;
}

void ff_cif_tokens_init(struct ff_cif_tokens *it, const char *name, const char *text, size_t len)
{
    *it = (struct ff_cif_tokens){.name = name, .text = text, .next = text, .end = text + len};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        it->text = it->next = text + 3;
}

static ff_status next_text(struct ff_cif_tokens *it, struct ff_cif_token *ret)
{
    const char *start = it->next + 1;                   /* behind the ';' */
    const char *line = find_line_end(start, it->end);

    for (;;) {
        const char *stop = line;
        line = skip_line_end(line, it->end);
        if (line >= it->end)
            return ff_fail(FF_EINPUT, "%s:%d: the text field that starts here has no end (a line that starts with "
                           "';'); the file may be cut off", it->name, ff_cif_tokens_line(it->text, it->next));
        if (*line == ';') {
            if (line + 1 < it->end && !is_space(line[1]))
                return ff_fail(FF_EINPUT, "%s:%d: expected white space behind the ';' that ends a text field",
                               it->name, ff_cif_tokens_line(it->text, line));
            while (stop > start && is_space(stop[-1]))
                stop--;
            *ret = (struct ff_cif_token){FF_CIF_TEXT, start, (size_t)(stop - start)};
            it->next = line + 1;
            return FF_OK;
        }
        line = find_line_end(line, it->end);
    }
}

static ff_status next_quoted(struct ff_cif_tokens *it, struct ff_cif_token *ret)
{
    const char quote = *it->next;
    const char *start = it->next + 1;

    for (const char *p = start; p < it->end && !is_line_end(*p); p++) {
        if (*p == quote && (p + 1 == it->end || is_space(p[1]))) {
            *ret = (struct ff_cif_token){FF_CIF_QUOTED, start, (size_t)(p - start)};
            it->next = p + 1;
            return FF_OK;
        }
    }
    return ff_fail(FF_EINPUT, "%s:%d: the value that starts with %c has no closing %c on its line", it->name,
                   ff_cif_tokens_line(it->text, it->next), quote, quote);
}

ff_status ff_cif_tokens_next(struct ff_cif_tokens *it, struct ff_cif_token *ret)
{
    const char *p = it->next;
    const char *end = it->end;

    for (;;) {
        while (p < end && is_space(*p))
            p++;
        if (p >= end || *p != '#')
            break;
        p = find_line_end(p, end);
    }
    it->next = p;
    if (p >= end) {
        *ret = (struct ff_cif_token){FF_CIF_END, end, 0};
        return FF_OK;
    }
    if (*p == ';' && (p == it->text || is_line_end(p[-1])))
        return next_text(it, ret);
    if (*p == '\'' || *p == '"')
        return next_quoted(it, ret);
    while (p < end && !is_space(*p))
        p++;
    *ret = (struct ff_cif_token){FF_CIF_BARE, it->next, (size_t)(p - it->next)};
    it->next = p;
    return FF_OK;
}
