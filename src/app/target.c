/* SPDX-License-Identifier: Apache-2.0
 * target: reads input files into targets.
 */
#include "app/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/fasta.h"
#include "bio/lines.h"
#include "format/gzip.h"

/* --- in memory -------------------------------------------------------------------------------------------------- */

void ff_target_free(struct ff_target *t)
{
    free(t->name);
    free(t->description);
    free(t->sequence);
    free(t->file);
    for (int i = 0; i < t->n_chain; i++) {
        free(t->chains[i].sequence);
        free(t->chains[i].description);
    }
    free(t->chains);
    *t = (struct ff_target){0};
}

void ff_targets_free(struct ff_targets *t)
{
    for (int i = 0; i < t->count; i++)
        ff_target_free(&t->items[i]);
    free(t->items);
    *t = (struct ff_targets){0};
}

const struct ff_chain *ff_target_entity(const struct ff_target *t, int entity)
{
    int c = 0;
    while (t->chains[c].entity != entity)
        c++;
    return &t->chains[c];
}

static void add_chain(struct ff_target *t, const char *sequence, size_t len, const char *description)
{
    t->chains = ff_xreallocarray(t->chains, (size_t)t->n_chain + 1, sizeof *t->chains);
    t->chains[t->n_chain++] = (struct ff_chain){.sequence = ff_xstrndup(sequence, len),
                                                .description = ff_xstrdup(description)};
    t->n_res += (int)len;
}

static void add_chains(struct ff_target *t, const char *sequence, const char *description)
{
    for (const char *from = sequence;; from++) {
        size_t len = strcspn(from, ":");
        add_chain(t, from, len, description);
        from += len;
        if (*from == '\0')
            return;
    }
}

/* Joined sequence, entities and names, when all chains are there. */
static void finish(struct ff_target *t)
{
    struct ff_strset sequences = {0};
    struct ff_strbuf joined = {0};
    for (int i = 0; i < t->n_chain; i++) {
        struct ff_chain *c = &t->chains[i];
        c->entity = ff_strset_add(&sequences, c->sequence, strlen(c->sequence), NULL);
        ff_chain_id(i, t->n_chain <= FF_CHAIN_LETTERS, c->id);
        ff_strbuf_printf(&joined, "%s%s", i > 0 ? ":" : "", c->sequence);
    }
    t->n_entity = sequences.count;
    t->sequence = ff_strbuf_detach(&joined);
    t->complex = t->complex || t->n_chain > 1;
    ff_strset_free(&sequences);
}

void ff_target_make(struct ff_target *t, const char *name, const char *description, const char *sequence,
                    const char *file)
{
    *t = (struct ff_target){
        .name = ff_xstrdup(name),
        .description = ff_xstrdup(description),
        .file = ff_xstrdup(file),
    };
    add_chains(t, sequence, description);
    finish(t);
}

static struct ff_target *add_target(struct ff_targets *t)
{
    FF_GROW(t->items, t->count, t->capacity);
    struct ff_target *item = &t->items[t->count++];
    *item = (struct ff_target){0};
    return item;
}

/* --- FASTA ------------------------------------------------------------------------------------------------------ */

static const char *description_of(const struct ff_fasta_record *r)
{
    return *r->header != '\0' ? r->header : r->name;
}

/* All records are chains of one target, which has the file's name as in the published program. */
static void add_complex(struct ff_targets *list, const struct ff_fasta *fasta, const char *path)
{
    char *stem = ff_path_stem(path);
    struct ff_target *t = add_target(list);
    *t = (struct ff_target){
        .name = ff_fasta_safe_name(stem, strlen(stem)),
        .description = ff_xstrdup(stem),
        .file = ff_xstrdup(path),
        .complex = true,
    };
    for (int i = 0; i < fasta->count; i++)
        add_chains(t, fasta->records[i].sequence, description_of(&fasta->records[i]));
    finish(t);
    free(stem);
}

static ff_status load_fasta(struct ff_targets *list, const char *path, bool complex)
{
    struct ff_fasta fasta;
    FF_TRY(complex ? ff_fasta_load_chains(path, &fasta) : ff_fasta_load(path, true, &fasta));
    if (complex)
        add_complex(list, &fasta, path);
    for (int i = 0; i < fasta.count && !complex; i++) {
        const struct ff_fasta_record *r = &fasta.records[i];
        ff_target_make(add_target(list), r->name, description_of(r), r->sequence, path);
    }
    ff_fasta_free(&fasta);
    return FF_OK;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* The next field of a row: white space and one pair of double quotes around it are left out. False behind the last. */
static bool next_field(const char **p, const char *end, char separator, const char **ret, size_t *ret_len)
{
    if (*p == NULL)
        return false;
    const char *from = *p, *to = memchr(from, separator, (size_t)(end - from));
    *p = to != NULL ? to + 1 : NULL;
    size_t len = (size_t)((to != NULL ? to : end) - from);
    ff_lines_trim(&from, &len);
    bool quoted = len >= 2 && from[0] == '"' && from[len - 1] == '"';
    *ret = from + quoted;
    *ret_len = quoted ? len - 2 : len;
    return true;
}

/* The sequence is checked as that of a FASTA record would be; messages name the row. */
static ff_status add_row(struct ff_targets *list, const char *path, int line, const char *id, size_t id_len,
                         const char *sequence, size_t len)
{
    char *place = ff_xasprintf("%s, row in line %d", path, line);
    char *text = ff_xasprintf(">%.*s\n%.*s\n", (int)id_len, id, (int)len, sequence);
    struct ff_fasta fasta;
    ff_status st = ff_fasta_parse(place, text, strlen(text), true, &fasta);
    if (st == FF_OK) {
        const struct ff_fasta_record *r = &fasta.records[0];
        ff_fasta_log_changes(place, &fasta);
        ff_target_make(add_target(list), r->name, description_of(r), r->sequence, path);
        ff_fasta_free(&fasta);
    }
    free(text);
    free(place);
    return st;
}

static ff_status parse_table(struct ff_targets *list, const char *path, const char *text, size_t text_len,
                             char separator)
{
    struct ff_lines it;
    int before = list->count;
    bool first = true;
    ff_lines_init(&it, text, text_len);
    while (ff_lines_next(&it)) {
        if (ff_lines_is_blank(it.line, it.len))
            continue;
        const char *p = it.line, *end = it.line + it.len, *id, *sequence;
        size_t id_len, len;
        next_field(&p, end, separator, &id, &id_len);
        bool heading = first && id_len == 2 && strncmp(id, "id", 2) == 0;
        first = false;
        if (heading)
            continue;
        if (!next_field(&p, end, separator, &sequence, &len) || id_len == 0)
            return ff_fail(FF_EINPUT, "%s:%d: expected a name and a sequence with '%s' between them", path, it.number,
                           separator == ',' ? "," : "a tab");
        FF_TRY(add_row(list, path, it.number, id, id_len, sequence, len));
    }
    if (list->count == before)
        return ff_fail(FF_EINPUT, "%s: no sequence in the table; expected rows of a name and a sequence", path);
    return FF_OK;
}

static ff_status load_table(struct ff_targets *list, const char *path, char separator)
{
    char *text;
    size_t len;
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = parse_table(list, path, text, len, separator);
    free(text);
    return st;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

ff_status ff_targets_load(struct ff_targets *t, const char *path, bool complex)
{
    bool csv = ends_with(path, ".csv") || ends_with(path, ".csv.gz");
    bool tsv = ends_with(path, ".tsv") || ends_with(path, ".tsv.gz");
    if (!csv && !tsv)
        return load_fasta(t, path, complex);
    if (complex)
        return ff_fail(FF_EUSAGE, "--complex joins the records of a FASTA file; in %s write the chains of a complex "
                       "with ':' between them", path);
    return load_table(t, path, csv ? ',' : '\t');
}
