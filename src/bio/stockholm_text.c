/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/stockholm_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strset.h"
#include "bio/lines.h"
#include "bio/msa.h"
#include "bio/stockholm.h"

/* --- lines --- */

enum line_kind { BLANK, END, HEADER, REFERENCE, DESCRIPTION, OTHER_MARKUP, ROW };

/* What a line is, and for DESCRIPTION and ROW the name it is about. */
static enum line_kind classify(const char *line, size_t len, const char **ret_name, size_t *ret_len)
{
    const char *p = line, *end = line + len, *word;
    size_t n;
    if (!ff_lines_word(&p, end, &word, &n))
        return BLANK;
    if (n == 2 && memcmp(word, "//", 2) == 0)
        return END;
    size_t left = (size_t)(end - word);
    *ret_name = word;
    *ret_len = n;
    if (word[0] != '#')
        return ROW;
    if (ff_lines_starts_with(word, left, "# STOCKHOLM"))
        return HEADER;
    if (ff_lines_starts_with(word, left, "#=GC RF"))
        return REFERENCE;
    if (!ff_lines_starts_with(word, left, "#=GS"))
        return OTHER_MARKUP;
    ff_lines_word(&p, end, ret_name, ret_len);
    return DESCRIPTION;
}

/* Whether a text cut down to the rows in names keeps this line. */
static bool keep_line(const char *line, size_t len, const struct ff_strset *names)
{
    const char *name;
    size_t name_len;
    enum line_kind kind = classify(line, len, &name, &name_len);
    if (kind == ROW || kind == DESCRIPTION)
        return ff_strset_find(names, name, name_len) >= 0;
    return kind != OTHER_MARKUP;
}

static void put_line(struct ff_strbuf *out, const char *line, size_t len, bool newline)
{
    ff_strbuf_append(out, line, len);
    if (newline)
        ff_strbuf_putc(out, '\n');
}

/* --- cutting --- */

struct ff_stockholm_cut {
    int max_rows;
    struct ff_strbuf *out;
    struct ff_strset names;      /* the first max_rows names */
    struct ff_strbuf held;       /* lines that wait until all names are known */
    struct ff_strbuf partial;    /* start of a line whose end was not fed yet */
    bool ended;                  /* the last line that was not blank was '//' */
};

static void flush_held(struct ff_stockholm_cut *c)
{
    struct ff_lines it = {.next = c->held.s, .end = c->held.s + c->held.len};
    while (ff_lines_next(&it)) {
        bool newline = it.next < it.end || it.end[-1] == '\n';
        if (keep_line(it.line, it.len, &c->names))
            put_line(c->out, it.line, it.len, newline);
    }
    ff_strbuf_free(&c->held);
}

/* One line without its line end; newline: it had one. */
static void cut_line(struct ff_stockholm_cut *c, const char *line, size_t len, bool newline)
{
    const char *name;
    size_t name_len;
    enum line_kind kind = classify(line, len, &name, &name_len);
    if (kind != BLANK)
        c->ended = kind == END;
    if (kind == OTHER_MARKUP)
        return;
    if (c->names.count >= c->max_rows) {
        if (keep_line(line, len, &c->names))
            put_line(c->out, line, len, newline);
        return;
    }
    put_line(&c->held, line, len, newline);
    if (kind == ROW)
        ff_strset_add(&c->names, name, name_len, NULL);
    if (c->names.count == c->max_rows)
        flush_held(c);
}

struct ff_stockholm_cut *ff_stockholm_cut_new(int max_rows, struct ff_strbuf *out)
{
    struct ff_stockholm_cut *c = FF_NEW(struct ff_stockholm_cut);
    c->max_rows = max_rows > 1 ? max_rows : 1;
    c->out = out;
    return c;
}

void ff_stockholm_cut_feed(struct ff_stockholm_cut *c, const char *data, size_t len)
{
    const char *end = data + len, *stop;
    while (data < end && (stop = memchr(data, '\n', (size_t)(end - data)))) {
        const char *line = data;
        size_t n = (size_t)(stop - data);
        if (c->partial.len) {
            ff_strbuf_append(&c->partial, data, n);
            line = c->partial.s;
            n = c->partial.len;
        }
        if (n > 0 && line[n - 1] == '\r')
            n--;
        cut_line(c, line, n, true);
        ff_strbuf_clear(&c->partial);
        data = stop + 1;
    }
    if (data < end)
        ff_strbuf_append(&c->partial, data, (size_t)(end - data));
}

bool ff_stockholm_cut_end(struct ff_stockholm_cut *c)
{
    if (c->partial.len)
        cut_line(c, c->partial.s, c->partial.len, false);
    if (c->held.len)
        flush_held(c);
    bool ended = c->ended;
    ff_strset_free(&c->names);
    ff_strbuf_free(&c->partial);
    free(c);
    return ended;
}

void ff_stockholm_text_truncate(const char *text, size_t len, int max_rows, struct ff_strbuf *out)
{
    struct ff_stockholm_cut *c = ff_stockholm_cut_new(max_rows, out);
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it))
        cut_line(c, it.line, it.len, it.line + it.len < it.end);
    (void)ff_stockholm_cut_end(c);
}

/* --- duplicates --- */

ff_status ff_stockholm_text_deduplicate(const char *name, const char *text, size_t len, struct ff_strbuf *out)
{
    struct ff_msa msa;
    struct ff_strset seen = {0}, kept = {0};
    FF_TRY(ff_stockholm_parse(name, text, len, 0, &msa));
    for (int i = 0; i < msa.n_row; i++) {
        bool added;
        ff_strset_add(&seen, ff_msa_row(&msa, i), (size_t)msa.n_col, &added);
        if (added)
            ff_strset_add(&kept, msa.descriptions[i], strlen(msa.descriptions[i]), NULL);
    }
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it))
        if (keep_line(it.line, it.len, &kept))
            put_line(out, it.line, it.len, true);
    ff_strset_free(&seen);
    ff_strset_free(&kept);
    ff_msa_free(&msa);
    return FF_OK;
}

/* --- empty columns --- */

/* A line of the current block; the alignment is its last word. */
struct block_line {
    const char *line;
    size_t len;          /* without trailing white space */
    size_t prefix;       /* bytes before the alignment */
    bool aligned;        /* false: markup or blank, passed on as it is */
};

struct block {
    struct block_line *lines;
    int count;
    int capacity;
    bool *used;          /* [width] columns in which some row has a letter */
    size_t width;        /* of the block's rows; 0: no row yet */
    bool written;        /* some line was written before this block */
};

static ff_status add_block_line(struct block *b, const char *name, const struct ff_lines *it, enum line_kind kind)
{
    FF_GROW(b->lines, b->count, b->capacity);
    struct block_line *l = &b->lines[b->count++];
    *l = (struct block_line){.line = it->line, .len = it->len, .aligned = kind == ROW || kind == REFERENCE};
    if (!l->aligned)
        return FF_OK;
    ff_lines_trim_end(l->line, &l->len);
    l->prefix = l->len;
    while (l->prefix > 0 && !ff_lines_is_space(l->line[l->prefix - 1]))
        l->prefix--;
    size_t width = l->len - l->prefix;
    if (l->prefix == 0)
        return ff_fail(FF_EINPUT, "%s:%d: expected a name and the letters of a row, found one word", name, it->number);
    if (b->width == 0) {
        b->width = width;
        b->used = ff_xrealloc(b->used, width);
        memset(b->used, 0, width);
    }
    if (width != b->width)
        return ff_fail(FF_EINPUT, "%s:%d: this row of the block has %zu columns, the first has %zu", name, it->number,
                       width, b->width);
    if (kind == REFERENCE)
        return FF_OK;
    const char *row = l->line + l->prefix;
    for (size_t j = 0; j < width; j++)
        b->used[j] |= row[j] != '-' && row[j] != '.';
    return FF_OK;
}

/* Writes the lines of a block and empties it. Lines are separated, not ended, by LF. */
static void flush_block(struct block *b, struct ff_strbuf *out)
{
    bool any = b->width > 0 && memchr(b->used, true, b->width);
    for (int i = 0; i < b->count; i++) {
        const struct block_line *l = &b->lines[i];
        if (b->written)
            ff_strbuf_putc(out, '\n');
        b->written = true;
        if (!l->aligned) {
            ff_strbuf_append(out, l->line, l->len);
        } else if (any) {
            ff_strbuf_append(out, l->line, l->prefix);
            ff_strbuf_reserve(out, b->width);
            for (size_t j = 0; j < b->width; j++)
                if (b->used[j])
                    out->s[out->len++] = l->line[l->prefix + j];
            out->s[out->len] = '\0';
        }
    }
    b->count = 0;
    b->width = 0;
}

ff_status ff_stockholm_text_remove_empty_columns(const char *name, const char *text, size_t len,
                                                 struct ff_strbuf *out)
{
    ff_status st = FF_OK;
    struct block b = {0};
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        const char *word;
        size_t word_len;
        enum line_kind kind = classify(it.line, it.len, &word, &word_len);
        FF_TRY_GOTO(st, add_block_line(&b, name, &it, kind), cleanup);
        if (kind == REFERENCE)
            flush_block(&b, out);
    }
    if (b.width > 0)
        st = ff_fail(FF_EINPUT, "%s:%d: the last block has no '#=GC RF' line, which empty columns are removed by", name,
                     it.number);
    else
        flush_block(&b, out);
cleanup:
    free(b.lines);
    free(b.used);
    return st;
}

/* --- A3M --- */

/* A row while its blocks are read. */
struct a3m_row {
    struct ff_strbuf letters;
    size_t aligned;              /* columns of the alignment so far */
    const char *description;     /* in the text; NULL: none */
    size_t description_len;
};

static ff_status add_a3m_segment(const struct ff_stockholm_reader *r, struct a3m_row *row,
                                 const struct ff_strbuf *query, bool remove_query_gaps)
{
    if (r->segment_len > query->len - row->aligned)
        return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s' is longer than the first row (%zu columns)", r->file,
                       r->lines.number, r->row + 1, ff_strset_key(&r->names, r->row), query->len);
    const char *q = query->s + row->aligned;
    ff_strbuf_reserve(&row->letters, r->segment_len);
    char *to = row->letters.s + row->letters.len;
    for (size_t i = 0; i < r->segment_len; i++) {
        char c = r->segment[i], letter = ff_stockholm_letter(c);
        if (!letter) {
            char shown[8];
            return ff_fail(FF_EINPUT, "%s:%d: row %d '%.60s': found %s; alignments have letters and gaps only", r->file,
                           r->lines.number, r->row + 1, ff_strset_key(&r->names, r->row), ff_lines_show_byte(c, shown));
        }
        if (!remove_query_gaps) {
            if (c != '.')
                *to++ = c;
        } else if (q[i] != '-') {
            *to++ = letter;
        } else if (letter != '-') {
            *to++ = (char)(letter - 'A' + 'a');
        }
    }
    *to = '\0';
    row->letters.len = (size_t)(to - row->letters.s);
    row->aligned += r->segment_len;
    return FF_OK;
}

/* Texts of the '#=GS name DE text' lines; later ones replace earlier ones until every row has one. */
static void find_descriptions(const char *text, size_t len, const struct ff_strset *names, struct a3m_row *rows)
{
    int found = 0;
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (found < names->count && ff_lines_next(&it)) {
        const char *name, *end = it.line + it.len, *word;
        size_t n;
        if (classify(it.line, it.len, &name, &n) != DESCRIPTION)
            continue;
        int row = ff_strset_find(names, name, n);
        const char *p = name + n;
        if (row < 0 || !ff_lines_word(&p, end, &word, &n) || n != 2 || memcmp(word, "DE", 2) != 0)
            continue;
        while (p < end && ff_lines_is_space(*p))
            p++;
        found += rows[row].description == NULL;
        rows[row].description = p;
        rows[row].description_len = (size_t)(end - p);
    }
}

ff_status ff_stockholm_text_to_a3m(const char *name, const char *text, size_t len, int max_rows, bool remove_query_gaps,
                                   struct ff_strbuf *out)
{
    ff_status st = FF_OK;
    struct ff_stockholm_reader r;
    struct ff_strbuf query = {0};
    struct a3m_row *rows = NULL;
    int n_row = 0, capacity = 0;
    bool more;
    ff_stockholm_reader_init(&r, name, text, len, max_rows);
    FF_TRY_GOTO(st, ff_stockholm_query(name, text, len, &query), cleanup);
    for (;;) {
        FF_TRY_GOTO(st, ff_stockholm_reader_next(&r, &more), cleanup);
        if (!more)
            break;
        if (r.row == n_row) {
            FF_GROW(rows, n_row, capacity);
            rows[n_row++] = (struct a3m_row){0};
        }
        FF_TRY_GOTO(st, add_a3m_segment(&r, &rows[r.row], &query, remove_query_gaps), cleanup);
    }
    find_descriptions(text, len, &r.names, rows);
    for (int i = 0; i < n_row; i++) {
        if (rows[i].aligned != query.len) {
            st = ff_fail(FF_EINPUT, "%s: row %d '%.60s' has %zu columns, the first row has %zu; all must be equal",
                         name, i + 1, ff_strset_key(&r.names, i), rows[i].aligned, query.len);
            goto cleanup;
        }
        ff_strbuf_printf(out, ">%s ", ff_strset_key(&r.names, i));
        ff_strbuf_append(out, rows[i].description, rows[i].description_len);
        ff_strbuf_putc(out, '\n');
        ff_strbuf_append(out, rows[i].letters.s, rows[i].letters.len);
        ff_strbuf_putc(out, '\n');
    }

cleanup:
    for (int i = 0; i < n_row; i++)
        ff_strbuf_free(&rows[i].letters);
    free(rows);
    ff_strbuf_free(&query);
    ff_stockholm_reader_free(&r);
    return st;
}
