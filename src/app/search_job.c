/* SPDX-License-Identifier: Apache-2.0
 * search_job: one search.
 *
 *  1. One program
 *  2. Searches of sequences
 *  3. Searches of templates
 */
#include "app/search_job.h"

#include <stdlib.h>
#include <string.h>

#include "app/search_mmseqs.h"
#include "app/search_shard.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "bio/a3m.h"
#include "bio/stockholm_text.h"
#include "format/gzip.h"

/* --- 1. one program --------------------------------------------------------------------------------------------- */

ff_status ff_search_job_call(const struct ff_search_job *job, enum ff_tool tool, const struct ff_tool_call *call,
                             bool (*output)(void *user, const char *data, size_t len), void *user,
                             struct ff_search_record *r)
{
    if (job->stop != NULL && *(const volatile bool *)job->stop)
        return ff_fail(FF_EINTERRUPT, "interrupted before %s was started", ff_tool_name(tool));
    struct ff_tool_call c = *call;
    c.program = job->programs[tool].path;
    if (output != NULL)
        c.output = "/dev/stdout";
    struct ff_command command;
    ff_tool_command(tool, &c, &command);
    char *text = ff_command_text(&command), *before = r->command;
    ff_debug("%s", text);
    r->command = before != NULL ? ff_xasprintf("%s; %s", before, text) : ff_xstrdup(text);
    free(before);
    free(text);
    struct ff_subprocess_result result = {0};
    ff_status st = ff_subprocess_check_limited((const char *const *)command.argv, NULL, output, user,
                                               job->config->search.time_limit, &result);
    r->seconds += result.wall_seconds;
    r->peak_bytes = result.peak_rss > r->peak_bytes ? result.peak_rss : r->peak_bytes;
    ff_command_free(&command);
    if (st == FF_OK)
        ff_subprocess_result_free(&result);
    else if (result.timed_out)
        ff_context(st, "search.time_limit");
    if (job->stop != NULL && *job->stop)
        return ff_fail(FF_EINTERRUPT, "interrupted while %s was running", ff_tool_name(tool));
    return st;
}

static void name_program(const struct ff_search_job *job, enum ff_tool tool, struct ff_search_record *r)
{
    r->program = ff_xstrdup(job->programs[tool].path);
    r->version = ff_xstrdup(job->programs[tool].version);
}

static ff_status write_in(const struct ff_search_job *job, const char *name, const char *text, size_t len,
                          char **ret_path)
{
    *ret_path = ff_path_join(job->dir, name);
    return ff_file_write(*ret_path, text, len);
}

ff_status ff_search_job_query(const struct ff_search_job *job, char **ret_path)
{
    char *text = ff_xasprintf(">%s\n%s\n", job->name, job->sequence);
    ff_status st = write_in(job, "query.fasta", text, strlen(text), ret_path);
    free(text);
    return st;
}

/* --- 2. searches of sequences ----------------------------------------------------------------------------------- */

struct sink {
    struct ff_stockholm_cut *cut;    /* NULL: all is kept */
    struct ff_strbuf *text;
};

static bool take_piece(void *user, const char *data, size_t len)
{
    struct sink *s = user;
    if (s->cut != NULL)
        ff_stockholm_cut_feed(s->cut, data, len);
    else
        ff_strbuf_append(s->text, data, len);
    return true;
}

ff_status ff_search_job_jackhmmer(const struct ff_search_job *job, const struct ff_tool_call *call,
                                  struct ff_strbuf *text, struct ff_search_record *r)
{
    struct sink sink = {.text = text};
    if (job->max_rows > 0)
        sink.cut = ff_stockholm_cut_new(job->max_rows, text);
    ff_status st = ff_search_job_call(job, FF_TOOL_JACKHMMER, call, take_piece, &sink, r);
    bool complete = true;
    if (sink.cut != NULL)
        complete = ff_stockholm_cut_end(sink.cut); /* without a cap the parser sees to it */
    FF_TRY(st);
    if (text->len == 0)
        return ff_fail(FF_ETOOL, "jackhmmer ended without an error but wrote no alignment; run its command by hand to "
                       "see why: %s", r->command);
    if (!complete)
        return ff_fail(FF_ETOOL, "jackhmmer wrote an alignment without its end ('//')");
    return FF_OK;
}

static ff_status read_result(const struct ff_search_job *job, const char *path, struct ff_strbuf *text)
{
    if (ff_file_size(path) <= 0)
        return ff_fail(FF_ETOOL, "%s ended without an error but wrote nothing; run its command by hand to see why",
                       ff_tool_name(job->tool));
    char *s;
    size_t len;
    FF_TRY(ff_file_read(path, &s, &len));
    ff_strbuf_append(text, s, len);
    free(s);
    return FF_OK;
}

/* A search from the query's sequence. */
static ff_status search_sequences(const struct ff_search_job *job, struct ff_strbuf *text, struct ff_search_record *r)
{
    char *query, *output = ff_path_join(job->dir, ff_tool_output(job->tool));
    ff_status st = ff_search_job_query(job, &query);
    struct ff_tool_call call = {
        .query = query,
        .output = output,
        .databases = job->databases,
        .n_database = job->n_database,
        .cpus = job->cpus,
    };
    if (st == FF_OK && job->tool == FF_TOOL_JACKHMMER) {
        st = job->shards > 0 ? ff_search_shard_run(job, query, text, r) : ff_search_job_jackhmmer(job, &call, text, r);
    } else if (st == FF_OK && job->tool == FF_TOOL_MMSEQS) {
        st = ff_search_mmseqs_run(job, query, text, r);
    } else if (st == FF_OK) {
        st = ff_search_job_call(job, job->tool, &call, NULL, NULL, r);
        if (st == FF_OK)
            st = read_result(job, output, text);
    }
    free(query);
    free(output);
    return st;
}

/* --- 3. searches of templates ----------------------------------------------------------------------------------- */

/* Stockholm of rows whose columns are the query's residues. */
static void put_rows(const struct ff_search_job *job, const struct ff_msa *m, struct ff_strbuf *out)
{
    char *line = ff_xmalloc((size_t)m->n_col + 1);
    memset(line, 'x', (size_t)m->n_col);
    line[m->n_col] = '\0';
    ff_strbuf_printf(out, "# STOCKHOLM 1.0\n\n%s %.*s\n", job->name, m->n_col, ff_msa_row(m, 0));
    for (int i = 1; i < m->n_row; i++)
        ff_strbuf_printf(out, "row%d %.*s\n", i, m->n_col, ff_msa_row(m, i));
    ff_strbuf_printf(out, "#=GC RF %s\n//\n", line);
    free(line);
}

/* The kept alignment that a template search starts from: jackhmmer's, or an A3M of MMseqs2, without insertions. */
static ff_status read_profile(const struct ff_search_job *job, struct ff_strbuf *out)
{
    char *s;
    size_t len;
    FF_TRY(ff_gzip_read_file(job->profile, &s, &len));
    ff_status st = FF_OK;
    if (*s == '>') {
        struct ff_msa m;
        st = ff_a3m_parse(job->profile, s, len, job->profile_rows, &m);
        if (st == FF_OK)
            put_rows(job, &m, out);
        ff_msa_free(&m);
    } else if (job->profile_rows > 0) {
        ff_stockholm_text_truncate(s, len, job->profile_rows, out);
    } else {
        ff_strbuf_append(out, s, len);
    }
    free(s);
    return st;
}

/* The alignment that a template search starts from, without repeated rows and empty columns. */
static ff_status make_profile(const struct ff_search_job *job, struct ff_strbuf *ret)
{
    struct ff_strbuf text = {0}, unique = {0};
    ff_status st = FF_OK;
    if (job->profile != NULL) {
        st = read_profile(job, &text);
    } else {
        struct ff_msa m;
        ff_msa_from_query(job->sequence, job->name, &m);
        put_rows(job, &m, &text);
        ff_msa_free(&m);
    }
    const char *name = job->profile != NULL ? job->profile : "the query";
    if (st == FF_OK)
        st = ff_stockholm_text_deduplicate(name, ff_strbuf_cstr(&text), text.len, &unique);
    if (st == FF_OK)
        st = ff_stockholm_text_remove_empty_columns(name, ff_strbuf_cstr(&unique), unique.len, ret);
    ff_strbuf_free(&unique);
    ff_strbuf_free(&text);
    return st;
}

static ff_status search_by_hhsearch(const struct ff_search_job *job, const struct ff_strbuf *profile,
                                    struct ff_strbuf *text, struct ff_search_record *r)
{
    struct ff_strbuf a3m = {0};
    char *query = NULL, *output = ff_path_join(job->dir, ff_tool_output(job->tool));
    ff_status st = ff_stockholm_text_to_a3m("the alignment for hhsearch", ff_strbuf_cstr(profile), profile->len, 0,
                                            true, &a3m);
    if (st == FF_OK)
        st = write_in(job, "query.a3m", ff_strbuf_cstr(&a3m), a3m.len, &query);
    struct ff_tool_call call = {.query = query, .output = output, .databases = job->databases,
                                .n_database = job->n_database, .cpus = job->cpus};
    if (st == FF_OK)
        st = ff_search_job_call(job, job->tool, &call, NULL, NULL, r);
    if (st == FF_OK)
        st = read_result(job, output, text);
    ff_strbuf_free(&a3m);
    free(query);
    free(output);
    return st;
}

static ff_status search_by_hmmsearch(const struct ff_search_job *job, const struct ff_strbuf *profile,
                                     struct ff_strbuf *text, struct ff_search_record *r)
{
    char *msa, *hmm = ff_path_join(job->dir, ff_tool_output(FF_TOOL_HMMBUILD));
    char *output = ff_path_join(job->dir, ff_tool_output(job->tool));
    ff_status st = write_in(job, "query.msa", ff_strbuf_cstr(profile), profile->len, &msa);
    struct ff_tool_call build = {.query = msa, .output = hmm};
    struct ff_tool_call call = {.query = hmm, .output = output, .databases = job->databases,
                                .n_database = job->n_database, .cpus = job->cpus};
    if (st == FF_OK)
        st = ff_search_job_call(job, FF_TOOL_HMMBUILD, &build, NULL, NULL, r);
    if (st == FF_OK)
        st = ff_search_job_call(job, job->tool, &call, NULL, NULL, r);
    if (st == FF_OK && !ff_file_exists(output))
        st = ff_fail(FF_ETOOL, "hmmsearch ended without an error but wrote no alignment");
    if (st == FF_OK && ff_file_size(output) > 0) /* an empty file says that nothing was found */
        st = read_result(job, output, text);
    free(msa);
    free(hmm);
    free(output);
    return st;
}

ff_status ff_search_job_run(const struct ff_search_job *job, struct ff_strbuf *text, struct ff_search_record *r)
{
    name_program(job, job->tool, r);
    if (job->tool != FF_TOOL_HHSEARCH && job->tool != FF_TOOL_HMMSEARCH)
        return search_sequences(job, text, r);
    struct ff_strbuf profile = {0};
    ff_status st = make_profile(job, &profile);
    if (st == FF_OK && job->tool == FF_TOOL_HHSEARCH)
        st = search_by_hhsearch(job, &profile, text, r);
    else if (st == FF_OK)
        st = search_by_hmmsearch(job, &profile, text, r);
    ff_strbuf_free(&profile);
    return st;
}
