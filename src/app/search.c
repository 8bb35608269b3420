/* SPDX-License-Identifier: Apache-2.0
 * search: homologues of a query from sequence databases.
 *
 *  1. Searches: which tool reads which database into which file
 *  2. Checks before anything runs, and whether a kept file will do
 *  3. One search
 *  4. All searches of a target
 *  5. Results
 *
 * A new database is a row in section 1.
 */
#include "app/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/alignment.h"
#include "app/search_tool.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "bio/stockholm_text.h"

/* --- 1. searches -------------------------------------------------------------------------------------------------- */

enum { IN_FULL = 1, IN_REDUCED = 2, MAX_DATABASE = 2 };

static const char query_file[] = "query.fasta"; /* in the temporary folder of a target */

#define DATABASE(field) offsetof(struct ff_database_config, field)

static const struct search_spec {
    const char *name;
    const char *file;            /* in the msas/ folder */
    enum ff_tool tool;
    int presets;                 /* of IN_FULL and IN_REDUCED */
    int n_database;
    size_t database[MAX_DATABASE];      /* offsets in struct ff_database_config */
    const char *key[MAX_DATABASE];      /* their settings, for messages */
    size_t max_rows;             /* offset; 0: no cap, as data_dir and not a cap lies there */
} specs[] = {
    {"uniref90", "uniref90_hits.sto", FF_TOOL_JACKHMMER, IN_FULL | IN_REDUCED, 1,
     {DATABASE(uniref90)}, {"databases.uniref90"}, DATABASE(uniref90_max_hits)},
    {"bfd", "bfd_uniref_hits.a3m", FF_TOOL_HHBLITS, IN_FULL, 2,
     {DATABASE(bfd), DATABASE(uniref30)}, {"databases.bfd", "databases.uniref30"}, 0},
    {"small_bfd", "small_bfd_hits.sto", FF_TOOL_JACKHMMER, IN_REDUCED, 1,
     {DATABASE(small_bfd)}, {"databases.small_bfd"}, DATABASE(small_bfd_max_hits)},
    {"mgnify", "mgnify_hits.sto", FF_TOOL_JACKHMMER, IN_FULL | IN_REDUCED, 1,
     {DATABASE(mgnify)}, {"databases.mgnify"}, DATABASE(mgnify_max_hits)},
};
enum { N_SPEC = sizeof specs / sizeof *specs };

struct search {
    const struct search_spec *spec;
    const char *database[MAX_DATABASE]; /* paths of the configuration; n_database 0: not configured */
    const char *key[MAX_DATABASE];
    int n_database;
    int max_rows;                       /* 0: all */
    bool checked;
    int64_t database_bytes;             /* once checked */
};

struct tool_state {
    char *path;                  /* NULL: not looked for yet */
    char *version;
};

struct ff_searches {
    const struct ff_config *config;
    struct search items[N_SPEC];
    int count;
    struct tool_state tools[FF_TOOL_COUNT];
};

void ff_searches_open(const struct ff_config *config, struct ff_searches **ret)
{
    struct ff_searches *s = FF_NEW(struct ff_searches);
    s->config = config;
    int preset = config->databases.preset == FF_DB_FULL ? IN_FULL : IN_REDUCED;
    const char *base = (const char *)&config->databases;
    for (int i = 0; i < N_SPEC; i++) {
        const struct search_spec *spec = &specs[i];
        if (!(spec->presets & preset))
            continue;
        struct search *item = &s->items[s->count++];
        item->spec = spec;
        if (spec->max_rows != 0)
            memcpy(&item->max_rows, base + spec->max_rows, sizeof item->max_rows);
        for (int k = 0; k < spec->n_database; k++) {
            const char *path;
            memcpy(&path, base + spec->database[k], sizeof path);
            if (path == NULL)
                continue;
            item->key[item->n_database] = spec->key[k];
            item->database[item->n_database++] = path;
        }
    }
    *ret = s;
}

void ff_searches_close(struct ff_searches *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < FF_TOOL_COUNT; i++) {
        free(s->tools[i].path);
        free(s->tools[i].version);
    }
    free(s);
}

static char *database_text(const struct search *item)
{
    struct ff_strbuf b = {0};
    for (int k = 0; k < item->n_database; k++)
        ff_strbuf_printf(&b, "%s%s", k > 0 ? " " : "", item->database[k]);
    return ff_strbuf_detach(&b);
}

/* Size of the databases as they are now, -1 when that cannot be told. */
static int64_t database_bytes(const struct search *item)
{
    int64_t bytes = 0;
    for (int k = 0; k < item->n_database; k++) {
        if (ff_tool_check_database(item->spec->tool, item->key[k], item->database[k], &bytes) != FF_OK) {
            ff_status_clear();
            return -1;
        }
    }
    return item->n_database > 0 ? bytes : -1;
}

void ff_searches_describe(const struct ff_searches *s, struct ff_strbuf *out)
{
    for (int i = 0; i < s->count; i++) {
        const struct search *item = &s->items[i];
        if (item->n_database == 0)
            continue;
        ff_strbuf_printf(out, "%s %s max_rows=%d bytes=%lld", item->spec->name, ff_tool_name(item->spec->tool),
                         item->max_rows, (long long)database_bytes(item));
        for (int k = 0; k < item->n_database; k++)
            ff_strbuf_printf(out, " %s", ff_path_base(item->database[k]));
        ff_strbuf_putc(out, '\n');
    }
}

/* --- 2. checks ---------------------------------------------------------------------------------------------------- */

/* Tool and databases of one search; looks once. */
static ff_status check_search(struct ff_searches *s, struct search *item)
{
    if (item->checked)
        return FF_OK;
    struct tool_state *tool = &s->tools[item->spec->tool];
    if (tool->path == NULL)
        FF_TRY(ff_tool_find(&s->config->tools, item->spec->tool, &tool->path, &tool->version));
    int64_t bytes = 0;
    for (int k = 0; k < item->n_database; k++)
        FF_TRY(ff_tool_check_database(item->spec->tool, item->key[k], item->database[k], &bytes));
    item->database_bytes = bytes;
    item->checked = true;
    return FF_OK;
}

/* Why a kept file does not answer today's question, from its record alone; NULL when nothing speaks against it. A text
 * for a message, caller frees. */
static char *record_mismatch(const struct search *item, const struct ff_search_record *r)
{
    if (r == NULL)
        return NULL;
    bool cut = r->max_rows > 0 && r->rows >= r->max_rows;
    if (cut && (item->max_rows == 0 || item->max_rows > r->max_rows))
        return ff_xasprintf("it was cut at %d rows", r->max_rows);
    if (r->database == NULL || item->n_database == 0)
        return NULL;
    char *text = database_text(item);
    int64_t bytes = database_bytes(item);
    bool same = strcmp(ff_path_base(r->database), ff_path_base(text)) == 0 &&
                (bytes < 0 || r->database_bytes < 0 || bytes == r->database_bytes);
    free(text);
    return same ? NULL : ff_xasprintf("it was made from another database (%s)", r->database);
}

static ff_status check_all(struct ff_searches *s, const char *msa_dir, const struct ff_search_manifest *old,
                           int *ret_n_run)
{
    int n_used = 0, n_run = 0;
    for (int i = 0; i < s->count; i++) {
        struct search *item = &s->items[i];
        char *path = ff_path_join(msa_dir, item->spec->file);
        bool kept = ff_file_size(path) > 0;
        free(path);
        if (kept) {
            char *reason = record_mismatch(item, ff_search_manifest_find(old, item->spec->file));
            kept = reason == NULL;
            free(reason);
        }
        if (!kept && item->n_database > 0) {
            FF_TRY(check_search(s, item));
            n_run++;
        }
        n_used += kept || item->n_database > 0;
    }
    if (n_used == 0)
        return ff_fail(FF_EUSAGE, "no sequence database is configured, so there is nothing to search; give --data-dir "
                       "or databases.* in a configuration file, an alignment of your own with --msa FILE, or --no-msa");
    if (ret_n_run != NULL)
        *ret_n_run = n_run;
    return FF_OK;
}

ff_status ff_searches_check(struct ff_searches *s, const struct ff_search_request *q, int *ret_n_run)
{
    struct ff_search_manifest old;
    ff_search_manifest_read(q->msa_dir, &old);
    ff_status st = check_all(s, q->msa_dir, &old, ret_n_run);
    ff_search_manifest_free(&old);
    return st;
}

/* --- 3. one search ------------------------------------------------------------------------------------------------ */

/* The alignment that the program wrote, as text; Stockholm is cut to max_rows. */
static ff_status read_output(const struct search *item, const char *path, struct ff_strbuf *out)
{
    const char *program = ff_tool_name(item->spec->tool);
    if (ff_file_size(path) <= 0)
        return ff_fail(FF_ETOOL, "%s ended without an error but wrote no alignment; run its command by hand to see why",
                       program);
    if (item->max_rows == 0) {
        char *text;
        size_t len;
        FF_TRY(ff_file_read(path, &text, &len));
        *out = (struct ff_strbuf){.s = text, .len = len, .cap = len + 1};
        return FF_OK;
    }
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return ff_fail_errno(FF_EIO, "%s cannot be opened", path);
    enum { PIECE = 1 << 20 };
    char *piece = ff_xmalloc(PIECE);
    struct ff_stockholm_cut *cut = ff_stockholm_cut_new(item->max_rows, out);
    size_t n;
    while ((n = fread(piece, 1, PIECE, f)) > 0)
        ff_stockholm_cut_feed(cut, piece, n);
    bool failed = ferror(f) != 0;
    bool complete = ff_stockholm_cut_end(cut);
    free(piece);
    fclose(f);
    if (failed)
        return ff_fail(FF_EIO, "%s cannot be read to its end", path);
    if (!complete)
        return ff_fail(FF_ETOOL, "%s wrote an alignment without its end ('//'); is there space left for %s?", program,
                       path);
    return FF_OK;
}

static void name_record(const struct search *item, struct ff_search_record *r)
{
    *r = (struct ff_search_record){.name = ff_xstrdup(item->spec->name), .file = ff_xstrdup(item->spec->file),
                                   .database_bytes = -1};
}

static ff_status run_program(const struct ff_searches *s, const struct search *item, const char *query,
                             const char *output, const bool *stop, struct ff_search_record *record)
{
    int processors = ff_clock_cpu_count();
    struct ff_tool_call call = {
        .program = s->tools[item->spec->tool].path,
        .query = query,
        .output = output,
        .databases = item->database,
        .n_database = item->n_database,
        .cpus = s->config->search.cpus > 0 && s->config->search.cpus < processors ? s->config->search.cpus : processors,
    };
    struct ff_command command;
    ff_tool_command(item->spec->tool, &call, &command);
    record->command = ff_command_text(&command);
    ff_debug("%s", record->command);
    struct ff_subprocess_result result = {0};
    ff_status st = ff_subprocess_check((const char *const *)command.argv, NULL, NULL, NULL, &result);
    record->seconds = result.wall_seconds;
    record->peak_bytes = result.peak_rss;
    ff_subprocess_result_free(&result);
    ff_command_free(&command);
    if (stop != NULL && *stop)
        return ff_fail(FF_EINTERRUPT, "interrupted while searching %s", item->spec->name);
    return st;
}

/* Runs the program in the folder dir, which holds the query, and keeps its alignment at path. */
static ff_status search_database(struct ff_searches *s, struct search *item, const char *dir, const char *path,
                                 const char *sequence, const bool *stop, struct ff_search_hits *hits)
{
    FF_TRY(check_search(s, item));
    struct ff_search_record *r = &hits->record;
    name_record(item, r);
    char *query = ff_path_join(dir, query_file);
    char *output = ff_path_join(dir, ff_tool_output(item->spec->tool));
    struct ff_strbuf text = {0};
    ff_status st;
    FF_TRY_GOTO(st, run_program(s, item, query, output, stop, r), cleanup);
    FF_TRY_GOTO(st, read_output(item, output, &text), cleanup);
    st = ff_alignment_parse(output, ff_strbuf_cstr(&text), text.len, sequence, item->max_rows, &hits->msa);
    if (st != FF_OK) { /* the program's fault, not that of the user's input */
        ff_context(st, "%s wrote an alignment that cannot be used", ff_tool_name(item->spec->tool));
        st = FF_ETOOL;
        goto cleanup;
    }
    FF_TRY_GOTO(st, ff_file_write(path, text.s, text.len), cleanup);
    r->database = database_text(item);
    r->database_bytes = item->database_bytes;
    r->program = ff_xstrdup(s->tools[item->spec->tool].path);
    r->version = ff_xstrdup(s->tools[item->spec->tool].version);
    r->max_rows = item->max_rows;
    r->rows = hits->msa.n_row;

cleanup:
    (void)unlink(output); /* the next search writes its own; what cannot be removed shows with the folder */
    ff_strbuf_free(&text);
    free(output);
    free(query);
    return ff_context(st, "search of %s (%s)", item->spec->name, item->database[0]);
}

/* Takes the kept file at path if it will do, and says why if not. */
static bool reuse_file(const struct search *item, const char *path, const char *sequence,
                       const struct ff_search_record *old, struct ff_search_hits *hits)
{
    if (!ff_file_exists(path))
        return false;
    char *reason = record_mismatch(item, old);
    if (reason == NULL && ff_alignment_load(path, sequence, item->max_rows, &hits->msa) != FF_OK) {
        reason = ff_xstrdup(ff_status_message());
        ff_status_clear();
    }
    if (reason != NULL) {
        ff_warn("%s is not used again: %s", path, reason);
        free(reason);
        return false;
    }
    if (old != NULL)
        ff_search_record_copy(old, &hits->record);
    else
        name_record(item, &hits->record);
    hits->record.rows = hits->msa.n_row;
    hits->record.reused = true;
    return true;
}

/* --- 4. all searches of a target ---------------------------------------------------------------------------------- */

static ff_status make_work_folder(const char *parent, const char *name, const char *sequence, char **ret)
{
    FF_TRY(ff_mkdirs(parent));
    FF_TRY(ff_make_temp_dir(parent, ".search-", ret));
    char *path = ff_path_join(*ret, query_file);
    char *text = ff_xasprintf(">%s\n%s\n", name, sequence);
    ff_status st = ff_file_write(path, text, strlen(text));
    free(text);
    free(path);
    return st;
}

/* One search with what the user sees of it. */
static ff_status run_search(struct ff_searches *s, struct search *item, const char *dir, const char *path,
                            const char *sequence, const bool *stop, struct ff_search_hits *hits)
{
    char *stage = ff_xasprintf("search %s", item->spec->name);
    struct ff_progress *progress = ff_progress_start(stage, 0);
    ff_status st = search_database(s, item, dir, path, sequence, stop, hits);
    char *summary = st == FF_OK ? ff_xasprintf("%d rows", hits->msa.n_row) : ff_xstrdup("failed");
    ff_progress_end(progress, summary);
    free(summary);
    free(stage);
    return st;
}

/* Removes the temporary folder; an earlier failure st and its message stay. */
static ff_status remove_work_folder(char *dir, ff_status st)
{
    if (dir == NULL)
        return st;
    char *message = ff_xstrdup(ff_status_message());
    ff_status removed = ff_remove_tree(dir);
    free(dir);
    if (st != FF_OK && removed != FF_OK)
        removed = ff_fail(st, "%s", message);
    free(message);
    return st != FF_OK ? st : removed;
}

ff_status ff_searches_run(struct ff_searches *s, const struct ff_search_request *q, struct ff_search_results *ret)
{
    *ret = (struct ff_search_results){.items = FF_NEW_ARRAY(struct ff_search_hits, N_SPEC)};
    struct ff_search_manifest manifest;
    char *dir = NULL;
    ff_search_manifest_read(q->msa_dir, &manifest);
    ff_status st = ff_mkdirs(q->msa_dir);
    for (int i = 0; i < s->count && st == FF_OK; i++) {
        struct search *item = &s->items[i];
        struct ff_search_hits *hits = &ret->items[ret->count];
        char *path = ff_path_join(q->msa_dir, item->spec->file);
        if (reuse_file(item, path, q->sequence, ff_search_manifest_find(&manifest, item->spec->file), hits)) {
            ff_note("search %s: %s used again (%d rows)", item->spec->name, path, hits->msa.n_row);
            ret->count++;
        } else if (item->n_database > 0) {
            if (dir == NULL)
                st = make_work_folder(q->tmp_parent, q->name, q->sequence, &dir);
            if (st == FF_OK)
                st = run_search(s, item, dir, path, q->sequence, q->stop, hits);
            if (st == FF_OK) {
                ff_search_manifest_set(&manifest, &hits->record);
                st = ff_search_manifest_write(q->msa_dir, &manifest);
            }
            ret->count++;
        } else {
            ff_info("search %s: no database is configured, skipped", item->spec->name);
        }
        free(path);
    }
    st = remove_work_folder(dir, st);
    ff_search_manifest_free(&manifest);
    if (st != FF_OK)
        ff_search_results_free(ret);
    return st;
}

/* --- 5. results -------------------------------------------------------------------------------------------------- */

void ff_search_results_free(struct ff_search_results *r)
{
    for (int i = 0; i < r->count; i++) {
        ff_search_record_free(&r->items[i].record);
        ff_msa_free(&r->items[i].msa);
        ff_template_hits_free(&r->items[i].templates);
    }
    free(r->items);
    *r = (struct ff_search_results){0};
}
