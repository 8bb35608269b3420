/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/a3m.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/lines.h"
#include "format/gzip.h"

/* Rows grow in the result itself: the width is known when the first row ends. */
struct builder {
    const char *file;
    struct ff_msa *msa;
    int row_capacity;
    size_t letter_capacity;
    int row_line;                /* line of the current row's header; 0: no row is open */
    int row_width;               /* match columns of the current row so far */
    int pending;                 /* insertions since the last match column */
    bool skip;                   /* the current row carries secondary structure */
};

static const char *row_name(const struct builder *b)
{
    const char *d = b->msa->descriptions[b->msa->n_row];
    return d[0] ? d : "(no name)";
}

static ff_status end_row(struct builder *b)
{
    if (!b->row_line || b->skip)
        return FF_OK;
    struct ff_msa *m = b->msa;
    if (m->n_row == 0)
        m->n_col = b->row_width;
    if (b->row_width == 0)
        return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s' has no sequence", b->file, b->row_line, m->n_row + 1,
                       row_name(b));
    if (b->row_width != m->n_col)
        return ff_fail(FF_EINPUT,
                       "%s:%d: row %d '%.60s' has %d match columns (upper-case letters and '-'), the first row has %d; "
                       "all rows of A3M must have the same number",
                       b->file, b->row_line, m->n_row + 1, row_name(b), b->row_width, m->n_col);
    m->n_row++;
    return FF_OK;
}

static bool is_structure_row(const char *name, size_t len)
{
    return ff_lines_starts_with(name, len, "ss_") || ff_lines_starts_with(name, len, "sa_");
}

static void begin_row(struct builder *b, const char *line, size_t len, int number)
{
    struct ff_msa *m = b->msa;
    b->row_line = number;
    b->row_width = 0;
    b->pending = 0;
    b->skip = is_structure_row(line + 1, len - 1);
    if (b->skip)
        return;
    if (m->n_row >= b->row_capacity) {
        b->row_capacity = b->row_capacity ? 2 * b->row_capacity : 64;
        m->descriptions = ff_xreallocarray(m->descriptions, (size_t)b->row_capacity, sizeof *m->descriptions);
    }
    m->descriptions[m->n_row] = ff_xstrndup(line + 1, len - 1);
}

static ff_status add_line(struct builder *b, const char *line, size_t len, int number)
{
    struct ff_msa *m = b->msa;
    /* All of a line may be match columns; room is made once, so that the loop below only stores. */
    size_t start = (size_t)m->n_row * (size_t)m->n_col;
    size_t need = start + (size_t)b->row_width + len;
    if (need > b->letter_capacity) {
        b->letter_capacity = need + need / 2 + 4096;
        m->letters = ff_xrealloc(m->letters, b->letter_capacity);
    }
    char *letters = m->letters + start;
    int width = b->row_width, pending = b->pending;
    for (size_t i = 0; i < len; i++) {
        char c = line[i];
        if ((c >= 'A' && c <= 'Z') || c == '-') {
            if (pending > 0)
                ff_msa_add_deletions(m, m->n_row, width, pending);
            letters[width++] = c;
            pending = 0;
        } else if (c >= 'a' && c <= 'z') {
            pending++;
        } else if (c != '.' && !ff_lines_is_space(c)) {
            char shown[8];
            return ff_fail(FF_EINPUT,
                           "%s:%d: row %d '%.60s', column %zu: found %s; A3M rows have letters, '-' and '.' only",
                           b->file, number, m->n_row + 1, row_name(b), i + 1, ff_lines_show_byte(c, shown));
        }
    }
    b->row_width = width;
    b->pending = pending;
    return FF_OK;
}

ff_status ff_a3m_parse(const char *name, const char *text, size_t len, int max_rows, struct ff_msa *ret)
{
    ff_status st = FF_OK;
    struct ff_lines it;
    *ret = (struct ff_msa){0};
    struct builder b = {.file = name, .msa = ret};
    bool open = false;

    if (len > INT_MAX) /* widths and insertion counts are int, and no real alignment comes near */
        return ff_fail(FF_EINPUT, "%s: %zu bytes are more than an alignment may have (2 GiB)", name, len);
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        const char *line = it.line;
        size_t n = it.len;
        ff_lines_trim(&line, &n);
        if (n == 0)
            continue;
        if (*line == '>') {
            FF_TRY_GOTO(st, end_row(&b), cleanup);
            open = false;
            if (max_rows > 0 && ret->n_row >= max_rows) {
                b.row_line = 0;
                break;
            }
            begin_row(&b, line, n, it.number);
            open = !b.skip;
        } else if (b.row_line) {
            if (!b.skip)
                FF_TRY_GOTO(st, add_line(&b, it.line, it.len, it.number), cleanup);
        } else if (*line != '#') {
            char shown[8];
            st = ff_fail(FF_EINPUT, "%s:%d: the text starts with %s; an A3M file starts with '>' and the query's name",
                         name, it.number, ff_lines_show_byte(*line, shown));
            goto cleanup;
        }
    }
    FF_TRY_GOTO(st, end_row(&b), cleanup);
    open = false;
    if (ret->n_row == 0) {
        st = ff_fail(FF_EINPUT, "%s: no sequence in the file; expected A3M with the query as its first row", name);
        goto cleanup;
    }
    const char *gap = memchr(ret->letters, '-', (size_t)ret->n_col);
    if (gap)
        st = ff_fail(FF_EINPUT,
                     "%s: the first row '%.60s' has a gap at column %d; the first row must be the query without gaps",
                     name, ret->descriptions[0], (int)(gap - ret->letters) + 1);

cleanup:
    if (st != FF_OK) {
        if (open)
            free(ret->descriptions[ret->n_row]);
        ff_msa_free(ret);
    }
    return st;
}

ff_status ff_a3m_load(const char *path, int max_rows, struct ff_msa *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_msa){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_a3m_parse(path, text, len, max_rows, ret);
    free(text);
    return st;
}
