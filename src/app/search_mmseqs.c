/* SPDX-License-Identifier: Apache-2.0
 * search_mmseqs: a search by MMseqs2.
 *
 *  1. The database
 *  2. Rows
 *  3. The calls
 */
#include "app/search_mmseqs.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bio/lines.h"

/* One program of MMseqs2; a, b, c, ... are its arguments. */
#define STEP(job, r, which, ...) \
    call_step(job, r, &(struct ff_tool_call){.step = which, .paths = {__VA_ARGS__}})

static ff_status call_step(const struct ff_search_job *job, struct ff_search_record *r, struct ff_tool_call *call)
{
    call->cpus = job->cpus;
    call->memory = job->config->search.memory;
    return ff_search_job_call(job, FF_TOOL_MMSEQS, call, NULL, NULL, r);
}

/* --- 1. the database -------------------------------------------------------------------------------------------- */

/* Converts the FASTA file to FOLDER/db; for a GPU that one has a padded copy, which is what stays. */
static ff_status convert(const struct ff_search_job *job, const char *folder, struct ff_search_record *r)
{
    char *made = ff_path_join(folder, job->gpu ? "plain" : "db"), *db = ff_path_join(folder, "db");
    int64_t room = ff_free_space(folder);
    ff_status st = FF_OK;
    if (room >= 0 && room < 2 * job->database.bytes)
        st = ff_fail(FF_EIO, "%s has %.0f MiB free; %s in the form of MMseqs2 may need %.0f MiB", folder,
                     (double)room / (1 << 20), job->databases[0], 2 * (double)job->database.bytes / (1 << 20));
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_CREATEDB, job->databases[0], made);
    if (st == FF_OK && job->gpu)
        st = STEP(job, r, FF_MMSEQS_PAD, made, db);
    if (st == FF_OK && !ff_tool_is_mmseqs_database(db))
        st = ff_fail(FF_ETOOL, "mmseqs createdb ended without an error but made no database");
    free(made);
    free(db);
    return st;
}

/* Converts into a folder that gets its name when all is done. */
static ff_status convert_into(const struct ff_search_job *job, const char *cache, const char *folder,
                              struct ff_search_record *r)
{
    char *tmp;
    FF_TRY(ff_mkdirs(cache));
    FF_TRY(ff_make_temp_dir(cache, ".new-", &tmp));
    ff_info("%s is converted for MMseqs2, once, into %s", job->databases[0], folder);
    ff_status st = convert(job, tmp, r);
    if (st == FF_OK && rename(tmp, folder) != 0 && !ff_file_is_dir(folder)) /* another run may have been faster */
        st = ff_fail_errno(FF_EIO, "%s cannot be renamed to %s", tmp, folder);
    char *message = ff_xstrdup(ff_status_message());
    if (ff_file_is_dir(tmp) && ff_remove_tree(tmp) != FF_OK)
        ff_warn("%s stays: %s", tmp, ff_status_message());
    ff_status_clear();
    if (st != FF_OK)
        st = ff_fail(st, "%s", message);
    free(message);
    free(tmp);
    return st;
}

static char *key_of(const struct ff_search_job *job)
{
    char sha256[65];
    char *text = ff_xasprintf("mmseqs database 1\n%s\n%lld %lld\n%s\n%d\n", ff_path_base(job->databases[0]),
                              (long long)job->database.bytes, (long long)job->database.mtime,
                              job->programs[FF_TOOL_MMSEQS].version, job->gpu);
    ff_hash_sha256_hex(text, strlen(text), sha256);
    free(text);
    return ff_xstrndup(sha256, 32);
}

/* The database as MMseqs2 reads it. Caller frees *ret. */
static ff_status open_database(const struct ff_search_job *job, struct ff_search_record *r, char **ret)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    const char *path = job->databases[0], *cache_dir = job->config->search.cache_dir;
    *ret = NULL;
    if (ff_tool_is_mmseqs_database(path)) {
        *ret = ff_xstrdup(path);
        return FF_OK;
    }
    if (cache_dir == NULL) {
        ff_warn("%s is converted for MMseqs2 for this search alone; set search.cache_dir to keep it", path);
        FF_TRY(convert(job, job->dir, r));
        *ret = ff_path_join(job->dir, "db");
        return FF_OK;
    }
    char *key = key_of(job), *cache = ff_path_join(cache_dir, "mmseqs"), *folder = ff_path_join(cache, key);
    pthread_mutex_lock(&one_at_a_time);
    ff_status st = ff_file_is_dir(folder) ? FF_OK : convert_into(job, cache, folder, r);
    pthread_mutex_unlock(&one_at_a_time);
    if (st == FF_OK)
        *ret = ff_path_join(folder, "db");
    free(folder);
    free(cache);
    free(key);
    return st;
}

/* --- 2. rows ---------------------------------------------------------------------------------------------------- */

enum { QSTART, QEND, TSTART, TEND, QALN, TALN, THEADER, N_FIELD };

struct field {
    const char *s;
    size_t len;
};

/* The fields of a line, the last one with all that follows. */
static bool split(const char *line, size_t len, struct field *ret)
{
    const char *end = line + len;
    for (int i = 0; i < N_FIELD; i++) {
        const char *tab = i + 1 < N_FIELD ? memchr(line, '\t', (size_t)(end - line)) : end;
        if (tab == NULL)
            return false;
        ret[i] = (struct field){line, (size_t)(tab - line)};
        line = tab + 1;
    }
    return true;
}

static int number(struct field f)
{
    int n;
    return f.len > 0 && f.len < 10 && sscanf(f.s, "%d", &n) == 1 ? n : -1;
}

/* Appends the row of an alignment of n_col columns. false: it is none. */
static bool add_row(const struct field *f, int n_col, struct ff_strbuf *out)
{
    int column = number(f[QSTART]) - 1;
    if (column < 0 || f[QALN].len != f[TALN].len)
        return false;
    size_t name = 0;
    while (name < f[THEADER].len && !ff_lines_is_space(f[THEADER].s[name]))
        name++;
    ff_strbuf_printf(out, ">%.*s/%d-%d\n", (int)name, f[THEADER].s, number(f[TSTART]), number(f[TEND]));
    for (int i = 0; i < column && i < n_col; i++)
        ff_strbuf_putc(out, '-');
    for (size_t i = 0; i < f[QALN].len; i++) {
        char q = f[QALN].s[i], t = f[TALN].s[i];
        bool gap = t == '-';
        t = isalpha((unsigned char)t) ? t : 'X';
        if (q == '-' && !gap)
            ff_strbuf_putc(out, (char)tolower((unsigned char)t));
        else if (q != '-')
            ff_strbuf_putc(out, gap ? '-' : (char)toupper((unsigned char)t));
        column += q != '-';
    }
    if (column != number(f[QEND]) || column > n_col)
        return false;
    for (; column < n_col; column++)
        ff_strbuf_putc(out, '-');
    ff_strbuf_putc(out, '\n');
    return true;
}

ff_status ff_search_mmseqs_a3m(const char *name, const char *sequence, const char *table, size_t len, int max_rows,
                               struct ff_strbuf *ret)
{
    struct ff_lines it;
    struct field f[N_FIELD];
    int n_col = (int)strlen(sequence), rows = 1;
    ff_strbuf_printf(ret, ">%s\n%s\n", name, sequence);
    if (len > 0 && table[len - 1] != '\n')
        return ff_fail(FF_ETOOL, "mmseqs wrote a table of alignments without its end");
    ff_lines_init(&it, table, len);
    while (ff_lines_next(&it) && (max_rows == 0 || rows < max_rows)) {
        if (!split(it.line, it.len, f) || !add_row(f, n_col, ret))
            return ff_fail(FF_ETOOL, "mmseqs wrote a table that cannot be used: line %d is no alignment of the query",
                           it.number);
        rows++;
    }
    return FF_OK;
}

/* --- 3. the calls ----------------------------------------------------------------------------------------------- */

/* Files of a search, all in the job's folder. */
struct files {
    char *query, *query_h, *found, *tmp, *profile_made, *profile, *profile_h, *expanded, *aligned, *good, *some, *table;
};

/* Sequences of the clusters that were hit, aligned to the profile of the search. */
static ff_status expand(const struct ff_search_job *job, const struct files *f, const char *db,
                        struct ff_search_record *r)
{
    char *seq = ff_xasprintf("%s_seq", db), *aln = ff_xasprintf("%s_aln", db);
    ff_status st = STEP(job, r, FF_MMSEQS_MOVE, f->profile_made, f->profile);
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_LINK, f->query_h, f->profile_h);
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_EXPAND, f->query, seq, f->found, aln, f->expanded);
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_ALIGN, f->profile, seq, f->expanded, f->aligned);
    free(seq);
    free(aln);
    return st;
}

static bool has_clusters(const char *db)
{
    char *seq = ff_xasprintf("%s_seq", db), *aln = ff_xasprintf("%s_aln", db);
    bool has = ff_tool_is_mmseqs_database(seq) && ff_tool_is_mmseqs_database(aln);
    free(seq);
    free(aln);
    return has;
}

static ff_status search(const struct ff_search_job *job, const char *query, const char *db, const struct files *f,
                        struct ff_search_record *r)
{
    bool clusters = has_clusters(db), gpu = job->gpu && (ff_tool_mmseqs_type(db) & FF_MMSEQS_PADDED) != 0;
    char *sequences = ff_xasprintf("%s%s", db, clusters ? "_seq" : "");
    const char *hits = clusters ? f->aligned : f->found;
    struct ff_tool_call main_call = {.step = FF_MMSEQS_SEARCH, .paths = {f->query, db, f->found, f->tmp}, .gpu = gpu};
    ff_status st = STEP(job, r, FF_MMSEQS_CREATEDB, query, f->query);
    if (st == FF_OK)
        st = call_step(job, r, &main_call);
    if (st == FF_OK && clusters)
        st = expand(job, f, db, r);
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_FILTER, f->query, sequences, hits, f->good);
    if (st == FF_OK && !job->all_rows) {
        st = STEP(job, r, FF_MMSEQS_DIVERSE, f->query, sequences, f->good, f->some);
        hits = f->some;
    } else {
        hits = f->good;
    }
    if (st == FF_OK)
        st = STEP(job, r, FF_MMSEQS_TABLE, f->query, sequences, hits, f->table);
    free(sequences);
    return st;
}

ff_status ff_search_mmseqs_run(const struct ff_search_job *job, const char *query, struct ff_strbuf *text,
                               struct ff_search_record *r)
{
    static const char *const names[] = {"query", "query_h", "found", "tmp", "tmp/latest/profile_1", "profile",
                                        "profile_h", "expanded", "aligned", "good", "some", "table.tsv"};
    enum { N = sizeof names / sizeof *names };
    _Static_assert(N * sizeof(char *) == sizeof(struct files), "names of all files");
    char *paths[N], *db, *table = NULL;
    struct files f;
    size_t len = 0;
    FF_TRY(open_database(job, r, &db));
    for (int i = 0; i < N; i++)
        paths[i] = ff_path_join(job->dir, names[i]);
    memcpy(&f, paths, sizeof f);
    ff_status st = search(job, query, db, &f, r);
    if (st == FF_OK && !ff_file_exists(f.table))
        st = ff_fail(FF_ETOOL, "mmseqs convertalis ended without an error but wrote nothing");
    if (st == FF_OK)
        st = ff_file_read(f.table, &table, &len);
    if (st == FF_OK)
        st = ff_search_mmseqs_a3m(job->name, job->sequence, table, len, job->max_rows, text);
    free(table);
    for (int i = 0; i < N; i++)
        free(paths[i]);
    free(db);
    return st;
}
