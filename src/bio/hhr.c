/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/hhr.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "bio/lines.h"
#include "format/gzip.h"

/* Alignment lines are "Q " or "T ", the name in 14 columns and a space, then the numbers and letters. */
enum { LINE_PREFIX = 17 };

/* One side of the alignment while it is collected. */
struct side {
    struct ff_strbuf letters;
    int32_t *indices;            /* [n] */
    int n, capacity;
};

struct parser {
    const char *name;
    struct ff_lines it;
    bool more;                   /* it holds a line */
};

static bool advance(struct parser *p)
{
    p->more = ff_lines_next(&p->it);
    return p->more;
}

static bool starts_with(const struct parser *p, const char *prefix)
{
    return ff_lines_starts_with(p->it.line, p->it.len, prefix);
}

static ff_status fail_line(const struct parser *p, const char *expected)
{
    return ff_fail(FF_EINPUT, "%s:%d: expected %s, found '%.*s'", p->name, p->more ? p->it.number : p->it.number + 1,
                   expected, p->more ? (int)(p->it.len < 80 ? p->it.len : 80) : 11,
                   p->more ? p->it.line : "end of file");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits at *p; false when there are none or too many for an int. */
static bool read_number(const char **p, const char *end, int *ret)
{
    const char *s = *p;
    int value = 0;

    while (s < end && is_digit(*s) && s - *p < 9)
        value = value * 10 + (*s++ - '0');
    if (s == *p || (s < end && is_digit(*s)))
        return false;
    *p = s;
    *ret = value;
    return true;
}

static void skip_blanks(const char **p, const char *end)
{
    while (*p < end && (**p == ' ' || **p == '\t'))
        ++*p;
}

/* The number behind "key=" in the summary line. */
static bool read_summary(const struct parser *p, const char *key, double *ret)
{
    const char *end = p->it.line + p->it.len;
    size_t n = strlen(key);

    for (const char *s = p->it.line; s + n <= end; s++) {
        if (memcmp(s, key, n) != 0)
            continue;
        char buf[32];
        size_t len = 0;
        for (s += n; s < end && *s != ' ' && *s != '\t' && *s != '%'; s++) {
            if (len + 1 == sizeof buf)
                return false;
            buf[len++] = *s;
        }
        buf[len] = '\0';
        char *stop;
        *ret = strtod(buf, &stop);
        return len > 0 && *stop == '\0' && isfinite(*ret);
    }
    return false;
}

/* "   14 LVPG-HMDKK   23 (70)": first residue, letters, last residue, length of the whole sequence. */
static ff_status read_alignment_line(const struct parser *p, bool check_end, struct side *side, size_t *ret_len)
{
    const char *end = p->it.line + p->it.len;
    const char *s = p->it.len > LINE_PREFIX ? p->it.line + LINE_PREFIX : end;
    const char *const expected = "'first LETTERS last (length)' from column 18 on";
    int first, last, total;

    skip_blanks(&s, end);
    if (!read_number(&s, end, &first) || first < 1 || s == end || *s++ != ' ')
        return fail_line(p, expected);
    const char *letters = s;
    while (s < end && ((*s >= 'A' && *s <= 'Z') || *s == '-'))
        s++;
    size_t len = (size_t)(s - letters);
    skip_blanks(&s, end);
    if (!read_number(&s, end, &last) || end - s < 2 || s[0] != ' ' || s[1] != '(')
        return fail_line(p, expected);
    s += 2;
    if (!read_number(&s, end, &total) || s == end || *s != ')')
        return fail_line(p, expected);

    int residue = first - 1;
    for (size_t i = 0; i < len; i++) {
        FF_GROW(side->indices, side->n, side->capacity);
        side->indices[side->n++] = letters[i] == '-' ? -1 : residue++;
    }
    ff_strbuf_append(&side->letters, letters, len);
    if (check_end && residue != last)
        return fail_line(p, "as many residues as the line's numbers say");
    *ret_len = len;
    return FF_OK;
}

static bool is_annotation(const struct parser *p)
{
    return ff_lines_starts_with(p->it.line + 2, p->it.len - 2, "ss_dssp")
        || ff_lines_starts_with(p->it.line + 2, p->it.len - 2, "ss_pred")
        || ff_lines_starts_with(p->it.line + 2, p->it.len - 2, "Consensus");
}

/* The lines of one hit behind its summary, up to the next 'No ' line or the end. */
static ff_status read_alignment(struct parser *p, struct side *query, struct side *hit)
{
    bool have_block = false;
    size_t block = 0, len;

    for (; p->more && !starts_with(p, "No "); advance(p)) {
        if (starts_with(p, "Q ") && !is_annotation(p)) {
            FF_TRY(read_alignment_line(p, true, query, &block));
            have_block = true;
        } else if (starts_with(p, "T ") && !is_annotation(p)) {
            if (!have_block)
                return fail_line(p, "the query's line before the template's");
            FF_TRY(read_alignment_line(p, false, hit, &len));
            if (len != block)
                return fail_line(p, "as many columns as in the query's line");
        }
    }
    return FF_OK;
}

static char *take_text(struct ff_strbuf *b)
{
    ff_strbuf_puts(b, "");
    return ff_strbuf_detach(b);
}

/* One paragraph; p is at its 'No n' line. */
static ff_status read_hit(struct parser *p, struct ff_template_hit *ret)
{
    double aligned_cols;
    size_t len = p->it.len;
    ff_lines_trim_end(p->it.line, &len);
    const char *end = p->it.line + len;
    const char *word = end;
    while (word > p->it.line && !ff_lines_is_space(word[-1]))
        word--;
    if (!read_number(&word, end, &ret->index) || word != end)
        return fail_line(p, "'No' and the number of a hit");
    if (!advance(p) || p->it.len == 0)
        return fail_line(p, "the hit's name ('>' and text)");
    ret->name = ff_xstrndup(p->it.line + 1, p->it.len - 1);
    if (!advance(p) || !starts_with(p, "Probab=") || !read_summary(p, "Aligned_cols=", &aligned_cols)
        || !read_summary(p, "Sum_probs=", &ret->sum_probs) || aligned_cols < 0 || aligned_cols > 1e9)
        return fail_line(p, "the hit's summary ('Probab=... Aligned_cols=... Sum_probs=...')");
    ret->aligned_cols = (int)aligned_cols;
    advance(p);

    struct side query = {0}, hit = {0};
    ff_status st = read_alignment(p, &query, &hit);
    ret->query = take_text(&query.letters);
    ret->hit_sequence = take_text(&hit.letters);
    ret->indices_query = query.indices;
    ret->indices_hit = hit.indices;
    ret->n_query = query.n;
    ret->n_hit = hit.n;
    return st;
}

ff_status ff_hhr_parse(const char *name, const char *text, size_t len, struct ff_template_hits *ret)
{
    struct parser p = {.name = name};
    ff_status st = FF_OK;

    *ret = (struct ff_template_hits){0};
    ff_lines_init(&p.it, text, len);
    advance(&p);
    while (p.more && st == FF_OK) {
        if (starts_with(&p, "No "))
            st = read_hit(&p, ff_template_hits_add(ret));
        else
            advance(&p);
    }
    if (st != FF_OK)
        ff_template_hits_free(ret);
    return st;
}

ff_status ff_hhr_load(const char *path, struct ff_template_hits *ret)
{
    char *text;
    size_t len;

    *ret = (struct ff_template_hits){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_hhr_parse(path, text, len, ret);
    free(text);
    return st;
}
