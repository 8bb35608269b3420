/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/hmmsearch_hits.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "bio/lines.h"
#include "bio/stockholm_text.h"
#include "format/gzip.h"

/* What a row's description says. */
struct row_name {
    const char *id;              /* "4pqx" */
    size_t id_len;
    const char *chain;           /* "A" */
    size_t chain_len;
    int start;                   /* 1-based number of the first residue */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static const char *find(const char *s, const char *end, const char *word)
{
    return memmem(s, (size_t)(end - s), word, strlen(word));
}

/* "id_chain/start-end", later "protein length:" and a digit. */
static bool parse_description(const char *s, const char *end, struct row_name *ret)
{
    ret->id = s;
    while (s < end && (is_lower(*s) || is_digit(*s)))
        s++;
    ret->id_len = (size_t)(s - ret->id);
    if (ret->id_len == 0 || s == end || *s++ != '_')
        return false;
    ret->chain = s;
    while (s < end && (is_lower(*s) || is_upper(*s) || is_digit(*s) || *s == '_'))
        s++;
    ret->chain_len = (size_t)(s - ret->chain);
    if (ret->chain_len == 0 || s == end || *s++ != '/')
        return false;
    int value = 0;
    const char *digits = s;
    while (s < end && is_digit(*s) && s - digits < 9)
        value = value * 10 + (*s++ - '0');
    if (s == digits || s == end || *s++ != '-')
        return false;
    ret->start = value;
    if (s == end || !is_digit(*s))
        return false;
    for (const char *p = find(s, end, "protein length:"); p; p = find(p + 1, end, "protein length:"))
        if (p + 15 < end && is_digit(p[15]))
            return true;
    return false;
}

/* Numbers of the letters from start on; gaps get -1, lower-case letters (insertions) count but get no entry. */
static int32_t *list_indices(const char *letters, size_t len, int start, int *ret_n)
{
    int32_t *indices = ff_xmalloc(len * sizeof *indices);
    int n = 0;

    for (size_t i = 0; i < len; i++) {
        if (letters[i] == '-')
            indices[n++] = -1;
        else if (is_lower(letters[i]))
            start++;
        else
            indices[n++] = start++;
    }
    *ret_n = n;
    return indices;
}

static void fill_hit(const char *query, const struct row_name *row, const char *letters, size_t len, int index,
                     struct ff_template_hit *ret)
{
    ret->index = index;
    ret->name = ff_xasprintf("%.*s_%.*s", (int)row->id_len, row->id, (int)row->chain_len, row->chain);
    ret->sum_probs = NAN;
    ret->query = ff_xstrdup(query);
    ret->indices_query = list_indices(query, strlen(query), 0, &ret->n_query);
    ret->indices_hit = list_indices(letters, len, row->start - 1, &ret->n_hit);
    ret->hit_sequence = ff_xstrndup(letters, len);
    for (char *p = ret->hit_sequence; *p; p++) {
        ret->aligned_cols += is_upper(*p);
        if (is_lower(*p))
            *p = (char)(*p - 'a' + 'A');
    }
}

static void parse_a3m(const char *name, const char *text, size_t len, const char *query, struct ff_template_hits *ret)
{
    struct ff_lines it;
    struct ff_strbuf letters = {0};
    int index = 0, n_odd = 0;
    char *odd = NULL;            /* the first description of another form */

    ff_lines_init(&it, text, len);
    bool more = ff_lines_next(&it);
    while (more) {
        if (it.len == 0 || it.line[0] != '>') {
            more = ff_lines_next(&it);
            continue;
        }
        const char *head = it.line + 1;
        const char *head_end = it.line + it.len;
        ff_strbuf_clear(&letters);
        while ((more = ff_lines_next(&it)) && (it.len == 0 || it.line[0] != '>'))
            ff_strbuf_append(&letters, it.line, it.len);
        index++;
        if (!find(head, head_end, "mol:protein"))
            continue;
        struct row_name row;
        if (parse_description(head, head_end, &row)) {
            fill_hit(query, &row, ff_strbuf_cstr(&letters), letters.len, index, ff_template_hits_add(ret));
        } else if (n_odd++ == 0) {
            odd = ff_xstrndup(head, (size_t)(head_end - head));
        }
    }
    if (n_odd > 0)
        ff_warn("%s: left out %d hits whose description is not 'id_chain/start-end ... mol:protein length:n' as in "
                "pdb_seqres, first '%.80s'", name, n_odd, odd);
    free(odd);
    ff_strbuf_free(&letters);
}

ff_status ff_hmmsearch_hits_parse(const char *name, const char *text, size_t len, const char *query,
                                  struct ff_template_hits *ret)
{
    struct ff_strbuf a3m = {0};

    *ret = (struct ff_template_hits){0};
    if (ff_lines_is_blank(text, len))
        return FF_OK;
    ff_status st = ff_stockholm_text_to_a3m(name, text, len, 0, false, &a3m);
    if (st == FF_OK)
        parse_a3m(name, ff_strbuf_cstr(&a3m), a3m.len, query, ret);
    ff_strbuf_free(&a3m);
    return st;
}

ff_status ff_hmmsearch_hits_load(const char *path, const char *query, struct ff_template_hits *ret)
{
    char *text;
    size_t len;

    *ret = (struct ff_template_hits){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_hmmsearch_hits_parse(path, text, len, query, ret);
    free(text);
    return st;
}
