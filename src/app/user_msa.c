/* SPDX-License-Identifier: Apache-2.0
 * user_msa: alignments of the user's, cut into chains.
 */
#include "app/user_msa.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "app/alignment.h"
#include "base/alloc.h"
#include "base/strbuf.h"
#include "bio/lines.h"
#include "format/gzip.h"

void ff_user_msa_free(struct ff_user_msa *m)
{
    for (int e = 0; e < m->n_entity; e++) {
        ff_msa_free(&m->own[e]);
        ff_msa_free(&m->paired[e]);
    }
    free(m->own);
    free(m->paired);
    *m = (struct ff_user_msa){0};
}

/* --- the line of lengths and copies ------------------------------------------------------------------------------- */

/* The next number of a list with commas between; false when there is none. */
static bool next_number(const char **p, const char *end, int *ret)
{
    int64_t v = 0;
    const char *from = *p;
    while (*p < end && **p >= '0' && **p <= '9' && v < INT_MAX)
        v = v * 10 + (*(*p)++ - '0');
    if (*p == from || v > INT_MAX)
        return false;
    *ret = (int)v;
    if (*p < end && **p == ',')
        ++*p;
    return true;
}

static int copies_of(const struct ff_target *t, int entity)
{
    int n = 0;
    for (int i = 0; i < t->n_chain; i++)
        n += t->chains[i].entity == entity;
    return n;
}

static ff_status check_heading(const char *path, const char *line, size_t len, const struct ff_target *t)
{
    const char *p = line + 1, *end = line + len;
    for (int list = 0; list < 2; list++) {
        for (int e = 0; e < t->n_entity; e++) {
            int n, expected = list == 0 ? (int)strlen(ff_target_entity(t, e)->sequence) : copies_of(t, e);
            if (!next_number(&p, end, &n))
                return ff_fail(FF_EINPUT, "%s:1: expected '#', the lengths of the %d different sequences of %s, a tab "
                               "and their copies, such as #59,60<TAB>1,2", path, t->n_entity, t->name);
            if (n != expected)
                return ff_fail(FF_EINPUT, "%s:1: sequence %d of %s has %s %d, but the first line of the alignment says "
                               "%d", path, e + 1, t->name, list == 0 ? "length" : "number of copies", expected, n);
        }
        if (p < end && !ff_lines_is_space(*p))
            break;
        while (p < end && ff_lines_is_space(*p))
            p++;
    }
    if (p != end)
        return ff_fail(FF_EINPUT, "%s:1: the alignment is of more sequences than the %d different ones of %s", path,
                       t->n_entity, t->name);
    return FF_OK;
}

/* --- cutting ----------------------------------------------------------------------------------------------------- */

static bool has_residue(const struct ff_msa *m, int row, int from, int to)
{
    const char *letters = ff_msa_row(m, row);
    for (int i = from; i < to; i++)
        if (letters[i] != '-')
            return true;
    return false;
}

/* Columns [from, to) of a row as a new row of part, which has room for it. */
static void add_part(const struct ff_msa *whole, int row, const int32_t *deletions /* [n_col] of the row */, int from,
                     int to, struct ff_msa *part)
{
    size_t n = (size_t)(to - from);
    memcpy(part->letters + (size_t)part->n_row * n, ff_msa_row(whole, row) + from, n);
    for (int i = from; i < to; i++)
        if (deletions[i] > 0)
            ff_msa_add_deletions(part, part->n_row, i - from, deletions[i]);
    part->descriptions[part->n_row++] = ff_xstrdup(whole->descriptions[row]);
}

static void reserve(struct ff_msa *part, int n_row, int n_col)
{
    *part = (struct ff_msa){.n_col = n_col};
    part->letters = ff_xmalloc((size_t)n_row * (size_t)n_col);
    part->descriptions = FF_NEW_ARRAY(char *, (size_t)n_row);
}

/* A row with residues of several sequences is paired, of one alone its own; the first, the query, is both. */
static void cut(const struct ff_msa *whole, const struct ff_target *t, struct ff_user_msa *ret)
{
    int *border = FF_NEW_ARRAY(int, (size_t)t->n_entity + 1);
    for (int e = 0; e < t->n_entity; e++)
        border[e + 1] = border[e] + (int)strlen(ff_target_entity(t, e)->sequence);
    int *n_own = FF_NEW_ARRAY(int, (size_t)t->n_entity), n_paired = 0;
    int *kind = FF_NEW_ARRAY(int, (size_t)whole->n_row); /* entity of an own row, n_entity: paired, -1: gaps alone */
    for (int r = 0; r < whole->n_row; r++) {
        kind[r] = -1;
        for (int e = 0; e < t->n_entity; e++)
            if (has_residue(whole, r, border[e], border[e + 1]))
                kind[r] = kind[r] < 0 ? e : t->n_entity;
        if (kind[r] == t->n_entity)
            n_paired++;
        else if (kind[r] >= 0)
            n_own[kind[r]]++;
    }
    for (int e = 0; e < t->n_entity; e++) {
        reserve(&ret->own[e], n_own[e] + 1, border[e + 1] - border[e]);
        reserve(&ret->paired[e], n_paired, border[e + 1] - border[e]);
    }
    int32_t *deletions = FF_NEW_ARRAY(int32_t, (size_t)whole->n_col);
    for (int r = 0; r < whole->n_row; r++) {
        ff_msa_deletions(whole, r, deletions);
        for (int e = 0; e < t->n_entity; e++) {
            if (kind[r] == e || r == 0)
                add_part(whole, r, deletions, border[e], border[e + 1], &ret->own[e]);
            if (kind[r] == t->n_entity)
                add_part(whole, r, deletions, border[e], border[e + 1], &ret->paired[e]);
        }
    }
    free(deletions);
    free(kind);
    free(n_own);
    free(border);
}

static ff_status load_complex(const char *path, char *text, size_t len, const struct ff_target *t,
                              struct ff_user_msa *ret)
{
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    bool any = ff_lines_next(&it);
    size_t n = any ? it.len : 0;
    if (any)
        ff_lines_trim_end(it.line, &n);
    if (n == 0 || *it.line != '#' || n < 2 || it.line[1] == ' ')
        return ff_fail(FF_EINPUT, "%s is the alignment of one sequence, but %s has %d different ones; expected a "
                       "ColabFold A3M, whose first line tells their lengths and copies, such as #59,60<TAB>1,2", path,
                       t->name, t->n_entity);
    FF_TRY(check_heading(path, it.line, n, t));
    struct ff_strbuf joined = {0};
    for (int e = 0; e < t->n_entity; e++)
        ff_strbuf_puts(&joined, ff_target_entity(t, e)->sequence);
    struct ff_msa whole;
    ff_status st = ff_alignment_spend(path, text, len, ff_strbuf_cstr(&joined), &whole);
    ff_strbuf_free(&joined);
    FF_TRY(st);
    cut(&whole, t, ret);
    ff_msa_free(&whole);
    return FF_OK;
}

ff_status ff_user_msa_load(const char *path, const struct ff_target *t, struct ff_user_msa *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_user_msa){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    while (len > 0 && text[len - 1] == '\0') /* ColabFold's files may end with one */
        len--;
    ret->n_entity = t->n_entity;
    ret->own = FF_NEW_ARRAY(struct ff_msa, (size_t)t->n_entity);
    ret->paired = FF_NEW_ARRAY(struct ff_msa, (size_t)t->n_entity);
    ff_status st = t->n_entity == 1 ? ff_alignment_spend(path, text, len, t->chains[0].sequence, &ret->own[0])
                                    : load_complex(path, text, len, t, ret);
    free(text);
    if (st != FF_OK)
        ff_user_msa_free(ret);
    return st;
}
