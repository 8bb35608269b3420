/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/fasta.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/lines.h"
#include "bio/residue.h"
#include "format/gzip.h"

enum { MAX_LISTED = 10, NUCLEOTIDES = 20 };

/* The record whose lines are being read. Messages show its safe name, which has no control characters. */
struct builder {
    const char *file;
    bool allow_complex;
    bool allow_equal_names;
    struct ff_fasta_record *rec;     /* NULL before the first header */
    struct ff_strbuf sequence;
    struct ff_strbuf unknown;
    int chain_length;                /* residues since the header or the last ':' */
    int star_line;                   /* place of a '*' behind which the chain must end; line 0: none */
    size_t star_column;
};

void ff_fasta_free(struct ff_fasta *f)
{
    for (int i = 0; i < f->count; i++) {
        struct ff_fasta_record *r = &f->records[i];
        free(r->header);
        free(r->name);
        free(r->sequence);
        free(r->unknown);
    }
    free(f->records);
    *f = (struct ff_fasta){0};
}

char *ff_fasta_safe_name(const char *text, size_t len)
{
    if (len > FF_FASTA_NAME_MAX)
        len = FF_FASTA_NAME_MAX;
    char *name = ff_xmalloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool safe = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                    (i > 0 && (c == '.' || c == '-')); /* not in front: hidden files, "..", options */
        name[i] = safe ? c : '_';
    }
    name[len] = '\0';
    return name;
}

/* --- residues --- */

static ff_status refuse(const struct builder *b, int line, size_t column, char c, const char *advice)
{
    char shown[8];
    return ff_fail(FF_EINPUT, "%s:%d: record '%s', column %zu (residue %d): found %s; %s", b->file, line, b->rec->name,
                   column + 1, b->rec->n_residue + 1, ff_lines_show_byte(c, shown), advice);
}

static const char *advice_for(char c)
{
    if (c == '-' || c == '.')
        return "a query has no gaps: give the sequence, not a row of an alignment";
    if (c == ':')
        return "':' joins the chains of a complex, which needs a multimer model";
    if (c >= '0' && c <= '9')
        return "remove the numbers, only amino acid letters are allowed";
    return "only amino acid letters are allowed";
}

static ff_status end_chain(struct builder *b)
{
    const struct ff_fasta_record *r = b->rec;
    if (r->n_residue == 0 && r->n_chain == 1)
        return ff_fail(FF_EINPUT, "%s:%d: record '%s' has no sequence; add it below the header or remove the header",
                       b->file, r->line, r->name);
    if (b->chain_length == 0)
        return ff_fail(FF_EINPUT, "%s:%d: record '%s': chain %d is empty; ':' must stand between two sequences",
                       b->file, r->line, r->name, r->n_chain);
    if (b->chain_length < FF_FASTA_MIN_LENGTH)
        return ff_fail(FF_EINPUT, "%s:%d: record '%s': chain %d has %d residue(s); the shortest accepted one has %d",
                       b->file, r->line, r->name, r->n_chain, b->chain_length, FF_FASTA_MIN_LENGTH);
    b->chain_length = 0;
    b->star_line = 0;
    return FF_OK;
}

static ff_status add_letter(struct builder *b, int line, char c)
{
    struct ff_fasta_record *r = b->rec;
    if (b->star_line)
        return refuse(b, b->star_line, b->star_column, '*', "'*' may only stand at the end of a sequence");
    if (r->n_residue == INT_MAX - 1)
        return ff_fail(FF_EINPUT, "%s:%d: record '%s' is too long", b->file, line, r->name);
    r->n_residue++;
    b->chain_length++;
    if (ff_residue_from_letter(c) == FF_RESTYPE_X) {
        if (r->n_unknown++ < MAX_LISTED)
            ff_strbuf_printf(&b->unknown, "%s%c%d", b->unknown.len ? " " : "", c, r->n_residue);
        else if (r->n_unknown == MAX_LISTED + 1)
            ff_strbuf_puts(&b->unknown, " ...");
    }
    ff_strbuf_putc(&b->sequence, c);
    return FF_OK;
}

static ff_status add_sequence_line(struct builder *b, const struct ff_lines *it)
{
    struct ff_fasta_record *r = b->rec;
    for (size_t i = 0; i < it->len; i++) {
        char c = it->line[i];
        if (ff_lines_is_space(c))
            continue;
        if (c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
            r->n_folded++;
        }
        if (c >= 'A' && c <= 'Z') {
            FF_TRY(add_letter(b, it->number, c));
        } else if (c == '*') {
            r->n_star++;
            if (!b->star_line) {
                b->star_line = it->number;
                b->star_column = i;
            }
        } else if (c == ':' && b->allow_complex) {
            FF_TRY(end_chain(b));
            r->n_chain++;
            ff_strbuf_putc(&b->sequence, ':');
        } else {
            return refuse(b, it->number, i, c, advice_for(c));
        }
    }
    return FF_OK;
}

/* --- records --- */

static ff_status end_record(struct builder *b)
{
    if (!b->rec)
        return FF_OK;
    FF_TRY(end_chain(b));
    b->rec->sequence = ff_strbuf_detach(&b->sequence);
    if (b->unknown.len)
        b->rec->unknown = ff_strbuf_detach(&b->unknown);
    return FF_OK;
}

static ff_status begin_record(struct builder *b, const char *line, size_t len, int number, struct ff_fasta *f,
                              int *capacity, struct ff_strset *names)
{
    FF_TRY(end_record(b));
    FF_GROW(f->records, f->count, *capacity);
    struct ff_fasta_record *r = b->rec = &f->records[f->count++];
    *r = (struct ff_fasta_record){.line = number, .n_chain = 1};

    const char *p = line + 1, *end = line + len, *word;
    size_t word_len;
    while (p < end && ff_lines_is_space(*p))
        p++;
    r->header = ff_xstrndup(p, (size_t)(end - p));
    if (ff_lines_word(&p, end, &word, &word_len))
        r->name = ff_fasta_safe_name(word, word_len);
    else
        r->name = ff_xasprintf("sequence_%d", f->count);

    bool added;
    int first = ff_strset_add(names, r->name, strlen(r->name), &added);
    if (!added && !b->allow_equal_names)
        return ff_fail(FF_EINPUT,
                       "%s:%d: record '%s' has the same name as the record in line %d (the name is the first word of "
                       "the header, up to %d characters, others than A-Z a-z 0-9 . _ - replaced by '_'); results would "
                       "overwrite each other, rename one",
                       b->file, number, r->name, f->records[first].line, FF_FASTA_NAME_MAX);
    return FF_OK;
}

static ff_status parse(struct builder b, const char *name, const char *text, size_t len, struct ff_fasta *ret)
{
    ff_status st = FF_OK;
    struct ff_strset names = {0};
    struct ff_lines it;
    int capacity = 0;
    *ret = (struct ff_fasta){0};

    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        const char *line = it.line;
        size_t n = it.len;
        ff_lines_trim(&line, &n);
        if (n == 0)
            continue;
        if (*line == '>') {
            FF_TRY_GOTO(st, begin_record(&b, line, n, it.number, ret, &capacity, &names), cleanup);
        } else if (b.rec) {
            FF_TRY_GOTO(st, add_sequence_line(&b, &it), cleanup);
        } else {
            char shown[8];
            st = ff_fail(FF_EINPUT,
                         "%s:%d: the text starts with %s; a FASTA file starts with a header line, '>' and a name", name,
                         it.number, ff_lines_show_byte(*line, shown));
            goto cleanup;
        }
    }
    FF_TRY_GOTO(st, end_record(&b), cleanup);
    if (ret->count == 0)
        st = ff_fail(FF_EINPUT, "%s: no sequence in the file; expected FASTA: '>' and a name, the sequence below",
                     name);

cleanup:
    ff_strset_free(&names);
    ff_strbuf_free(&b.sequence);
    ff_strbuf_free(&b.unknown);
    if (st != FF_OK)
        ff_fasta_free(ret);
    return st;
}

ff_status ff_fasta_parse(const char *name, const char *text, size_t len, bool allow_complex, struct ff_fasta *ret)
{
    return parse((struct builder){.file = name, .allow_complex = allow_complex}, name, text, len, ret);
}

/* Proteins of that length have other residues than alanine, cysteine, glycine and threonine. */
static bool looks_like_nucleotides(const struct ff_fasta_record *r)
{
    return r->n_residue >= NUCLEOTIDES && r->sequence[strspn(r->sequence, "ACGTUN:")] == '\0';
}

void ff_fasta_log_changes(const char *name, const struct ff_fasta *f)
{
    for (int i = 0; i < f->count; i++) {
        const struct ff_fasta_record *r = &f->records[i];
        if (r->n_folded)
            ff_note("%s:%d: record '%s': %d lower-case letters taken as upper case", name, r->line, r->name,
                    r->n_folded);
        if (r->n_star)
            ff_warn("%s:%d: record '%s': '*' at the end of the sequence left out", name, r->line, r->name);
        if (looks_like_nucleotides(r))
            ff_warn("%s:%d: record '%s': its letters are those of DNA or RNA, but are taken as amino acids; translate "
                    "the sequence if it is a gene", name, r->line, r->name);
        if (r->n_unknown)
            ff_warn("%s:%d: record '%s': letters outside the 20 amino acids are predicted as unknown (X): %s", name,
                    r->line, r->name, r->unknown);
    }
}

static ff_status load(struct builder b, const char *path, struct ff_fasta *ret)
{
    char *text;
    size_t len;
    *ret = (struct ff_fasta){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = parse(b, path, text, len, ret);
    free(text);
    if (st == FF_OK)
        ff_fasta_log_changes(path, ret);
    return st;
}

ff_status ff_fasta_load(const char *path, bool allow_complex, struct ff_fasta *ret)
{
    return load((struct builder){.file = path, .allow_complex = allow_complex}, path, ret);
}

ff_status ff_fasta_load_chains(const char *path, struct ff_fasta *ret)
{
    return load((struct builder){.file = path, .allow_complex = true, .allow_equal_names = true}, path, ret);
}
