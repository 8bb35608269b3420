/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/stockholm.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "format/gzip.h"

/* --- segment by segment --- */

void ff_stockholm_reader_init(struct ff_stockholm_reader *r, const char *name, const char *text, size_t len,
                              int max_rows)
{
    *r = (struct ff_stockholm_reader){.file = name, .max_rows = max_rows, .row = -1};
    ff_lines_init(&r->lines, text, len);
}

void ff_stockholm_reader_free(struct ff_stockholm_reader *r)
{
    ff_strset_free(&r->names);
}

/* Row of a name, added if it is new and there is room; -1 for rows beyond the cap. Blocks repeat the same names in the
 * same order, so the row after the last one is tried before the table. */
static int find_row(struct ff_stockholm_reader *r, const char *name, size_t len)
{
    if (r->names.count > 0) {
        int guess = r->row + 1 < r->names.count ? r->row + 1 : 0;
        if (r->names.length[guess] == len && memcmp(ff_strset_key(&r->names, guess), name, len) == 0)
            return guess;
    }
    if (r->max_rows > 0 && r->names.count >= r->max_rows)
        return ff_strset_find(&r->names, name, len);
    return ff_strset_add(&r->names, name, len, NULL);
}

ff_status ff_stockholm_reader_next(struct ff_stockholm_reader *r, bool *ret_more)
{
    *ret_more = false;
    while (ff_lines_next(&r->lines)) {
        int number = r->lines.number;
        const char *p = r->lines.line, *end = p + r->lines.len, *name, *extra;
        size_t name_len, extra_len;
        if (!ff_lines_word(&p, end, &name, &name_len))
            continue;
        if (r->has_end)
            return ff_fail(FF_EINPUT, "%s:%d: text behind the end line '//'; the file must hold a single alignment",
                           r->file, number);
        if (!r->has_header) {
            char shown[8];
            if (!ff_lines_starts_with(name, (size_t)(end - name), "# STOCKHOLM"))
                return ff_fail(FF_EINPUT,
                               "%s:%d: the text starts with %s; a Stockholm file starts with '# STOCKHOLM 1.0'",
                               r->file, number, ff_lines_show_byte(*name, shown));
            r->has_header = true;
            continue;
        }
        if (name_len == 2 && name[0] == '/' && name[1] == '/')
            r->has_end = true;
        if (r->has_end || name[0] == '#')
            continue;
        if (memchr(name, '\0', name_len))
            return ff_fail(FF_EINPUT, "%s:%d: the row's name has a byte 0x00; the file is damaged or no text", r->file,
                           number);
        if (!ff_lines_word(&p, end, &r->segment, &r->segment_len))
            return ff_fail(FF_EINPUT, "%s:%d: row '%.*s' has a name but no letters", r->file, number,
                           (int)(name_len < 60 ? name_len : 60), name);
        if (ff_lines_word(&p, end, &extra, &extra_len))
            return ff_fail(FF_EINPUT, "%s:%d: row '%.*s' has text behind its letters; expected a name and one word",
                           r->file, number, (int)(name_len < 60 ? name_len : 60), name);
        int row = find_row(r, name, name_len);
        if (row < 0)
            continue;
        r->row = row;
        *ret_more = true;
        return FF_OK;
    }
    if (!r->has_header)
        return ff_fail(FF_EINPUT, "%s: the file is empty; expected a Stockholm alignment", r->file);
    if (!r->has_end)
        return ff_fail(FF_EINPUT, "%s:%d: the file does not end with '//', it was cut off; make it again", r->file,
                       r->lines.number);
    return FF_OK;
}

/* --- letters --- */

char ff_stockholm_letter(char c)
{
    static const char gaps[256] = {['-'] = '-', ['.'] = '-', ['_'] = '-', ['~'] = '-'};
    if (c >= 'A' && c <= 'Z')
        return c;
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return gaps[(unsigned char)c];
}

static ff_status bad_letter(const struct ff_stockholm_reader *r, char c)
{
    char shown[8];
    return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s': found %s; alignments have letters and the gaps - . _ ~ only",
                   r->file, r->lines.number, r->row + 1, ff_strset_key(&r->names, r->row),
                   ff_lines_show_byte(c, shown));
}

ff_status ff_stockholm_query(const char *name, const char *text, size_t len, struct ff_strbuf *ret)
{
    struct ff_stockholm_reader r;
    bool more;
    ff_stockholm_reader_init(&r, name, text, len, 1);
    size_t start = ret->len;
    ff_status st;
    for (;;) {
        FF_TRY_GOTO(st, ff_stockholm_reader_next(&r, &more), cleanup);
        if (!more)
            break;
        size_t at = ret->len;
        ff_strbuf_append(ret, r.segment, r.segment_len);
        for (size_t i = 0; i < r.segment_len; i++) {
            ret->s[at + i] = ff_stockholm_letter(r.segment[i]);
            if (!ret->s[at + i]) {
                st = bad_letter(&r, r.segment[i]);
                goto cleanup;
            }
        }
    }
    if (ret->len == start)
        st = ff_fail(FF_EINPUT, "%s: the alignment has no rows; expected the query as the first one", name);
cleanup:
    ff_stockholm_reader_free(&r);
    return st;
}

/* --- alignments --- */

/* How far a row has come. */
struct progress {
    size_t aligned;      /* columns of the alignment */
    int kept;            /* columns of the query */
    int32_t pending;     /* insertions since the last kept column */
};

struct rows {
    struct ff_msa *msa;
    struct progress *progress;   /* [capacity] */
    int capacity;
};

/* Room for as many rows as a text of that length can hold, at once: what is not used costs no memory, and a list that
 * grows would be there twice while it does. */
static void make_room(struct rows *rows, size_t len, size_t n_column, int max_rows)
{
    struct ff_msa *m = rows->msa;
    size_t most = len / (n_column + 3) + 1; /* a name, a space and a line end besides */
    rows->capacity = max_rows > 0 && (size_t)max_rows < most ? max_rows : (int)most;
    size_t cells = (size_t)rows->capacity * (size_t)m->n_col;
    m->letters = ff_xmalloc(cells);
    m->deletions = ff_xreallocarray(NULL, cells, sizeof *m->deletions);
    rows->progress = FF_NEW_ARRAY(struct progress, (size_t)rows->capacity);
}

/* The columns of the alignment, and what letters become. */
struct columns {
    size_t n;
    size_t *run_end;             /* [n] end of the run of columns, all kept or all not, that this one is in */
    const char *query;           /* [n] '-' where a column is not kept */
    char letter[256];            /* 0: none */
};

static void columns_open(const struct ff_strbuf *query, struct columns *ret)
{
    *ret = (struct columns){.n = query->len, .query = query->s, .run_end = FF_NEW_ARRAY(size_t, query->len)};
    for (size_t i = query->len; i-- > 0;) {
        bool last = i + 1 == query->len || (query->s[i] == '-') != (query->s[i + 1] == '-');
        ret->run_end[i] = last ? i + 1 : ret->run_end[i + 1];
    }
    for (int c = 0; c < 256; c++)
        ret->letter[c] = ff_stockholm_letter((char)c);
}

/* Appends a segment to its row, run by run, without a question for each letter. */
static ff_status add_segment(const struct ff_stockholm_reader *r, struct rows *rows, const struct columns *columns)
{
    struct progress *at = &rows->progress[r->row];
    if (r->segment_len > columns->n - at->aligned)
        return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s' is longer than the first row (%zu columns)", r->file,
                       r->lines.number, r->row + 1, ff_strset_key(&r->names, r->row), columns->n);
    char *letters = rows->msa->letters + (size_t)r->row * (size_t)rows->msa->n_col;
    uint16_t *deletions = rows->msa->deletions + (size_t)r->row * (size_t)rows->msa->n_col;
    const unsigned char *segment = (const unsigned char *)r->segment;
    const char *letter = columns->letter;
    int32_t pending = at->pending;
    bool bad = false;
    for (size_t i = 0; i < r->segment_len;) {
        size_t end = columns->run_end[at->aligned + i] - at->aligned, n;
        end = end < r->segment_len ? end : r->segment_len;
        n = end - i;
        if (columns->query[at->aligned + i] != '-') {
            char *to = letters + at->kept;
            uint16_t *deleted = deletions + at->kept;
            for (size_t k = 0; k < n; k++) {
                char c = letter[segment[i + k]];
                to[k] = c;
                deleted[k] = ff_msa_deletions(pending);
                pending = 0;
                bad |= c == 0;
            }
            at->kept += (int)n;
        } else {
            for (size_t k = 0; k < n; k++) {
                char c = letter[segment[i + k]];
                pending += c != '-';
                bad |= c == 0;
            }
        }
        i = end;
    }
    at->pending = pending;
    at->aligned += r->segment_len;
    for (size_t i = 0; bad && i < r->segment_len; i++)
        if (columns->letter[segment[i]] == 0)
            return bad_letter(r, r->segment[i]);
    return FF_OK;
}

ff_status ff_stockholm_parse(const char *name, const char *text, size_t len, int max_rows, struct ff_msa *ret)
{
    ff_status st = FF_OK;
    struct ff_stockholm_reader r;
    struct ff_strbuf query = {0};
    struct rows rows = {.msa = ret};
    struct columns columns = {0};
    bool more;
    *ret = (struct ff_msa){0};
    ff_stockholm_reader_init(&r, name, text, len, max_rows);

    if (len > INT_MAX) { /* columns and insertion counts are int, and no alignment that is used comes near */
        st = ff_fail(FF_EINPUT, "%s: %zu bytes are more than an alignment may have (2 GiB)", name, len);
        goto cleanup;
    }
    FF_TRY_GOTO(st, ff_stockholm_query(name, text, len, &query), cleanup);
    for (size_t i = 0; i < query.len; i++)
        ret->n_col += query.s[i] != '-';
    if (ret->n_col == 0) {
        st = ff_fail(FF_EINPUT, "%s: the first row has only gaps; it must be the query", name);
        goto cleanup;
    }
    columns_open(&query, &columns);
    make_room(&rows, len, query.len, max_rows);
    for (;;) {
        FF_TRY_GOTO(st, ff_stockholm_reader_next(&r, &more), cleanup);
        if (!more)
            break;
        if (r.row >= rows.capacity) {
            st = ff_fail(FF_EINPUT, "%s:%d: rows are shorter than the first one (%zu columns); all must be equal", name,
                         r.lines.number, query.len);
            goto cleanup;
        }
        FF_TRY_GOTO(st, add_segment(&r, &rows, &columns), cleanup);
    }
    for (int i = 0; i < r.names.count; i++) {
        if (rows.progress[i].aligned == query.len)
            continue;
        st = ff_fail(FF_EINPUT, "%s: row %d '%.60s' has %zu columns, the first row has %zu; all must be equal", name,
                     i + 1, ff_strset_key(&r.names, i), rows.progress[i].aligned, query.len);
        goto cleanup;
    }
    ret->n_row = r.names.count;
    ret->descriptions = FF_NEW_ARRAY(char *, ret->n_row);
    for (int i = 0; i < ret->n_row; i++)
        ret->descriptions[i] = ff_xstrdup(ff_strset_key(&r.names, i));

cleanup:
    free(columns.run_end);
    free(rows.progress);
    ff_strbuf_free(&query);
    ff_stockholm_reader_free(&r);
    if (st != FF_OK)
        ff_msa_free(ret);
    return st;
}

ff_status ff_stockholm_load(const char *path, int max_rows, struct ff_msa *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_msa){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_stockholm_parse(path, text, len, max_rows, ret);
    free(text);
    return st;
}
