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
        return r->max_rows == 1 ? -1 : ff_strset_find(&r->names, name, len);
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
        int row = find_row(r, name, name_len);
        if (row < 0)
            continue;
        if (!ff_lines_word(&p, end, &r->segment, &r->segment_len))
            return ff_fail(FF_EINPUT, "%s:%d: row '%.*s' has a name but no letters", r->file, number,
                           (int)(name_len < 60 ? name_len : 60), name);
        if (ff_lines_word(&p, end, &extra, &extra_len))
            return ff_fail(FF_EINPUT, "%s:%d: row '%.*s' has text behind its letters; expected a name and one word",
                           r->file, number, (int)(name_len < 60 ? name_len : 60), name);
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
    int32_t pending;     /* inserted letters whose number is not in the alignment yet */
    int pending_before;  /* the column of the query that they lie before */
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
    m->letters = ff_xmalloc((size_t)rows->capacity * (size_t)m->n_col);
    rows->progress = FF_NEW_ARRAY(struct progress, (size_t)rows->capacity);
}

/* The columns of the alignment. */
struct columns {
    size_t n;
    int *rank;                   /* [n + 1] columns of the query before this one */
    int *kept;                   /* [n_col] of the alignment, that the query has */
    uint8_t *inserted;           /* [n + STEP] 0 where the query has a letter, 1 where not */
};

/* Columns that are taken at once: loops of this fixed length are compiled without a question for each letter. */
enum { STEP = 64 };

static void columns_open(const struct ff_strbuf *query, struct columns *ret)
{
    *ret = (struct columns){.n = query->len};
    ret->rank = FF_NEW_ARRAY(int, query->len + 1);
    ret->kept = FF_NEW_ARRAY(int, query->len);
    ret->inserted = FF_NEW_ARRAY(uint8_t, query->len + STEP);
    for (size_t i = 0; i < query->len; i++) {
        ret->inserted[i] = query->s[i] == '-';
        ret->kept[ret->rank[i]] = (int)i;
        ret->rank[i + 1] = ret->rank[i] + !ret->inserted[i];
    }
}

static void columns_close(struct columns *c)
{
    free(c->rank);
    free(c->kept);
    free(c->inserted);
}

typedef uint8_t letters16 __attribute__((vector_size(16)));

/* ff_stockholm_letter of STEP bytes, '-' for a bad one, in arithmetic. Returns whether there is a bad one. inserted: 1
 * for a letter where is_inserted is 1. */
static bool take_letters(const uint8_t *text, const uint8_t *is_inserted, uint8_t *upper, uint8_t *inserted)
{
    letters16 bad = {0};
    for (int k = 0; k < STEP; k += 16) {
        letters16 c, where;
        memcpy(&c, text + k, sizeof c);
        memcpy(&where, is_inserted + k, sizeof where);
        letters16 big = c & 0xDF, letter = (letters16)(big - 'A' < 26);
        letters16 gap = (letters16)((c == '-') | (c == '.') | (c == '_') | (c == '~'));
        letters16 result = (big & letter) | ('-' & ~letter), found = where & letter;
        memcpy(upper + k, &result, sizeof result);
        memcpy(inserted + k, &found, sizeof found);
        bad |= ~(letter | gap);
    }
    static const letters16 none = {0};
    return memcmp(&bad, &none, sizeof bad) != 0;
}

/* Counts letters that are inserted (1 in each byte of them), from the column of the alignment on. */
static void count_inserted(const uint8_t *them /* [STEP] */, size_t column, const struct columns *columns, int row,
                           struct progress *progress, struct ff_msa *msa)
{
    int before = progress->pending_before, pending = progress->pending;
    for (int i = 0; i < STEP; i += 8) {
        uint64_t eight;
        memcpy(&eight, them + i, sizeof eight);
        for (; eight != 0; eight &= eight - 1) {
            int rank = columns->rank[column + (size_t)i + (size_t)__builtin_ctzll(eight) / 8];
            if (rank != before && pending > 0) {
                ff_msa_add_deletions(msa, row, before, pending);
                pending = 0;
            }
            before = rank;
            pending++;
        }
    }
    progress->pending_before = before;
    progress->pending = pending;
}

/* Appends a segment to its row. */
static ff_status add_segment(const struct ff_stockholm_reader *r, struct rows *rows, const struct columns *columns)
{
    struct progress *at = &rows->progress[r->row];
    if (r->segment_len > columns->n - at->aligned)
        return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s' is longer than the first row (%zu columns)", r->file,
                       r->lines.number, r->row + 1, ff_strset_key(&r->names, r->row), columns->n);
    char *letters = rows->msa->letters + (size_t)r->row * (size_t)rows->msa->n_col;
    uint8_t text[STEP], upper[STEP], inserted[STEP];
    bool bad = false;
    for (size_t i = 0, n; i < r->segment_len; i += n) {
        n = r->segment_len - i < STEP ? r->segment_len - i : STEP;
        const uint8_t *from = (const uint8_t *)r->segment + i;
        if (n < STEP) {
            memset(text, '-', sizeof text);
            from = memcpy(text, from, n);
        }
        bad |= take_letters(from, columns->inserted + at->aligned, upper, inserted);
        int to = columns->rank[at->aligned + n];
        for (int k = columns->rank[at->aligned]; k < to; k++)
            letters[k] = (char)upper[(size_t)columns->kept[k] - at->aligned];
        count_inserted(inserted, at->aligned, columns, r->row, at, rows->msa);
        at->aligned += n;
    }
    for (size_t i = 0; bad && i < r->segment_len; i++)
        if (ff_stockholm_letter(r->segment[i]) == 0)
            return bad_letter(r, r->segment[i]);
    return FF_OK;
}

/* spent: the text to use up, or NULL. */
static ff_status parse(const char *name, const char *text, char *spent, size_t len, int max_rows, struct ff_msa *ret)
{
    ff_status st = FF_OK;
    struct ff_stockholm_reader r;
    struct ff_strbuf query = {0};
    struct rows rows = {.msa = ret};
    struct columns columns = {0};
    bool more;
    *ret = (struct ff_msa){0};
    ff_stockholm_reader_init(&r, name, text, len, max_rows);
    if (spent)
        ff_lines_init_spend(&r.lines, spent, len);

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
        const struct progress *at = &rows.progress[i];
        if (at->aligned == query.len) {
            if (at->pending > 0 && at->pending_before < ret->n_col) /* those behind the last column are not counted */
                ff_msa_add_deletions(ret, i, at->pending_before, at->pending);
            continue;
        }
        st = ff_fail(FF_EINPUT, "%s: row %d '%.60s' has %zu columns, the first row has %zu; all must be equal", name,
                     i + 1, ff_strset_key(&r.names, i), at->aligned, query.len);
        goto cleanup;
    }
    ret->n_row = r.names.count;
    ret->descriptions = FF_NEW_ARRAY(char *, ret->n_row);
    for (int i = 0; i < ret->n_row; i++)
        ret->descriptions[i] = ff_xstrdup(ff_strset_key(&r.names, i));

cleanup:
    columns_close(&columns);
    free(rows.progress);
    ff_strbuf_free(&query);
    ff_stockholm_reader_free(&r);
    if (st != FF_OK)
        ff_msa_free(ret);
    return st;
}

ff_status ff_stockholm_parse(const char *name, const char *text, size_t len, int max_rows, struct ff_msa *ret)
{
    return parse(name, text, NULL, len, max_rows, ret);
}

ff_status ff_stockholm_spend(const char *name, char *text, size_t len, int max_rows, struct ff_msa *ret)
{
    return parse(name, text, text, len, max_rows, ret);
}

ff_status ff_stockholm_load(const char *path, int max_rows, struct ff_msa *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_msa){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_stockholm_spend(path, text, len, max_rows, ret);
    free(text);
    return st;
}
