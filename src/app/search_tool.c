/* SPDX-License-Identifier: Apache-2.0
 * search_tool: how each external search program is found, called and fed.
 */
#include "app/search_tool.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/subprocess.h"

/* --- command lines ---------------------------------------------------------------------------------------------- */

FF_PRINTF(2, 3) static void add(struct ff_command *c, const char *fmt, ...)
{
    FF_ASSERT(c->n < FF_COMMAND_MAX);
    va_list ap;
    va_start(ap, fmt);
    struct ff_strbuf b = {0};
    ff_strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    c->argv[c->n++] = ff_strbuf_detach(&b);
}

static void add_all(struct ff_command *c, size_t n, const char *const *words)
{
    for (size_t i = 0; i < n; i++)
        add(c, "%s", words[i]);
}

void ff_command_free(struct ff_command *c)
{
    for (int i = 0; i < c->n; i++)
        free(c->argv[i]);
    *c = (struct ff_command){0};
}

char *ff_command_text(const struct ff_command *c)
{
    struct ff_strbuf b = {0};
    for (int i = 0; i < c->n; i++) {
        const char *a = c->argv[i];
        if (i > 0)
            ff_strbuf_putc(&b, ' ');
        if (*a != '\0' && strpbrk(a, " \t\n'\"\\$`&|;<>()*?[]#~!{}") == NULL) {
            ff_strbuf_puts(&b, a);
            continue;
        }
        ff_strbuf_putc(&b, '\'');
        for (; *a; a++) {
            if (*a == '\'')
                ff_strbuf_puts(&b, "'\\''");
            else
                ff_strbuf_putc(&b, *a);
        }
        ff_strbuf_putc(&b, '\'');
    }
    return ff_strbuf_detach(&b);
}

#define FF_TEXT_(x) #x
#define FF_TEXT(x) FF_TEXT_(x)

/* The filter values make a search of MGnify bearable at the price of some sensitivity; E is the inclusion threshold. */
static const char *const jackhmmer_fixed[] = {"--noali", "--F1", FF_TEXT(FF_TOOL_FIRST_FILTER), "--F2", "5e-05",
                                              "--F3", "5e-07", "--incE", "0.0001", "-E", "0.0001"};

static void add_size(const struct ff_tool_call *call, struct ff_command *c)
{
    if (call->z > 0) {
        add(c, "-Z");
        add(c, "%lld", (long long)call->z);
    }
    if (call->dom_z > 0) {
        add(c, "--domZ");
        add(c, "%lld", (long long)call->dom_z);
    }
}

static void jackhmmer_command(const struct ff_tool_call *call, struct ff_command *c)
{
    add(c, "-o");
    add(c, "/dev/null");
    add(c, "-A");
    add(c, "%s", call->output);
    add_all(c, sizeof jackhmmer_fixed / sizeof *jackhmmer_fixed, jackhmmer_fixed);
    add(c, "--cpu");
    add(c, "%d", call->cpus);
    add(c, "-N");
    add(c, "1");
    add_size(call, c);
    add(c, "%s", call->query);
    add(c, "%s", call->databases[0]);
}

/* The search of jackhmmer's only round, on a database that may be a pipe; tells names and scores alone. */
static void phmmer_command(const struct ff_tool_call *call, struct ff_command *c)
{
    add(c, "-o");
    add(c, "/dev/null");
    add(c, "--tblout");
    add(c, "%s", call->output);
    add_all(c, sizeof jackhmmer_fixed / sizeof *jackhmmer_fixed, jackhmmer_fixed);
    add(c, "--cpu");
    add(c, "%d", call->cpus);
    add_size(call, c);
    add(c, "%s", call->query);
    add(c, "%s", call->databases[0]);
}

static void hhblits_command(const struct ff_tool_call *call, struct ff_command *c)
{
    static const char *const fixed[] = {"-n", "3", "-e", "0.001", "-maxseq", "1000000", "-realign_max", "100000",
                                        "-maxfilt", "100000", "-min_prefilter_hits", "1000"};
    add(c, "-i");
    add(c, "%s", call->query);
    add(c, "-cpu");
    add(c, "%d", call->cpus);
    add(c, "-oa3m");
    add(c, "%s", call->output);
    add(c, "-o");
    add(c, "/dev/null");
    add_all(c, sizeof fixed / sizeof *fixed, fixed);
    for (int i = 0; i < call->n_database; i++) {
        add(c, "-d");
        add(c, "%s", call->databases[i]);
    }
}

static void hhsearch_command(const struct ff_tool_call *call, struct ff_command *c)
{
    add(c, "-i");
    add(c, "%s", call->query);
    add(c, "-o");
    add(c, "%s", call->output);
    add(c, "-maxseq");
    add(c, "1000000");
    add(c, "-cpu");
    add(c, "%d", call->cpus);
    for (int i = 0; i < call->n_database; i++) {
        add(c, "-d");
        add(c, "%s", call->databases[i]);
    }
}

/* Match columns are those of the reference line, so that the profile's columns are the query's residues. */
static void hmmbuild_command(const struct ff_tool_call *call, struct ff_command *c)
{
    static const char *const one_sequence[] = {"--singlemx", "--informat", "afa", "-o", "/dev/null"};
    if (call->one_sequence)
        add_all(c, sizeof one_sequence / sizeof *one_sequence, one_sequence);
    else
        add(c, "--hand");
    add(c, "--amino");
    add(c, "%s", call->output);
    add(c, "%s", call->query);
}

static void hmmsearch_command(const struct ff_tool_call *call, struct ff_command *c)
{
    static const char *const fixed[] = {"--F1", "0.1", "--F2", "0.1", "--F3", "0.1", "--incE", "100",
                                        "-E", "100", "--domE", "100", "--incdomE", "100"};
    add(c, "--noali");
    add(c, "--cpu");
    add(c, "%d", call->cpus);
    add_all(c, sizeof fixed / sizeof *fixed, fixed);
    add(c, "-A");
    add(c, "%s", call->output);
    add(c, "%s", call->query);
    add(c, "%s", call->databases[0]);
}

/* The chain of calls of ColabFold. Clusters are expanded where a database has them; what aligns badly is left out, and
 * of many similar rows some stay. */
static const struct {
    const char *name;
    const char *flags[12];
    bool threads;
} mmseqs_steps[FF_MMSEQS_COUNT] = {
    [FF_MMSEQS_CREATEDB] = {"createdb", {NULL}, false},
    [FF_MMSEQS_PAD] = {"makepaddedseqdb", {NULL}, true},
    [FF_MMSEQS_SEARCH] = {"search", {"--num-iterations", "3", "-a", "-s", "8", "-e", "0.1", "--max-seqs", "10000"},
                          true},
    [FF_MMSEQS_MOVE] = {"mvdb", {NULL}, false},
    [FF_MMSEQS_LINK] = {"lndb", {NULL}, false},
    [FF_MMSEQS_EXPAND] = {"expandaln", {"--expansion-mode", "0", "-e", "inf", "--expand-filter-clusters", "1",
                                        "--max-seq-id", "0.95"}, true},
    [FF_MMSEQS_ALIGN] = {"align", {"-e", "10", "--max-accept", "100000", "--alt-ali", "10", "-a"}, true},
    [FF_MMSEQS_FILTER] = {"filterresult", {"--qid", "0", "--qsc", "0.8", "--diff", "0", "--max-seq-id", "1.0",
                                           "--filter-min-enable", "100"}, true},
    [FF_MMSEQS_DIVERSE] = {"filterresult", {"--qid", "0.0,0.2,0.4,0.6,0.8,1.0", "--qsc", "0", "--diff", "3000",
                                            "--max-seq-id", "0.95", "--filter-min-enable", "1000"}, true},
    [FF_MMSEQS_TABLE] = {"convertalis", {"--format-output", "qstart,qend,tstart,tend,qaln,taln,theader"}, true},
};

static void mmseqs_step(const struct ff_tool_call *call, enum ff_mmseqs_step step, struct ff_command *c)
{
    add(c, "%s", mmseqs_steps[step].name);
    for (int i = 0; i < FF_MMSEQS_MAX_PATH && call->paths[i] != NULL; i++)
        add(c, "%s", call->paths[i]);
    for (const char *const *flag = mmseqs_steps[step].flags; *flag != NULL; flag++)
        add(c, "%s", *flag);
}

static void mmseqs_command(const struct ff_tool_call *call, struct ff_command *c)
{
    if (call->step == FF_MMSEQS_ALL) {
        for (int i = 0; i < call->n_database; i++)
            add(c, "%s", call->databases[i]);
        for (int step = FF_MMSEQS_ALL + 1; step < FF_MMSEQS_COUNT; step++)
            mmseqs_step(call, (enum ff_mmseqs_step)step, c);
        return;
    }
    mmseqs_step(call, call->step, c);
    add(c, "-v");
    add(c, "1");
    if (mmseqs_steps[call->step].threads) {
        add(c, "--threads");
        add(c, "%d", call->cpus);
    }
    if (call->step == FF_MMSEQS_SEARCH && call->gpu) {
        add(c, "--gpu");
        add(c, "1");
        add(c, "--prefilter-mode");
        add(c, "1");
    } else if (call->step == FF_MMSEQS_SEARCH && call->memory > 0) {
        add(c, "--split-memory-limit");
        add(c, "%lldM", (long long)(call->memory >> 20) + 1);
    }
}

/* --- databases -------------------------------------------------------------------------------------------------- */

/* A readable, non-empty file; adds its size. */
static ff_status check_file(const char *key, const char *path, struct ff_tool_database *state)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        return ff_fail_errno(FF_EMISSING, "%s: %s cannot be found (correct the path, or fetch the database)", key,
                             path);
    if (!S_ISREG(sb.st_mode))
        return ff_fail(FF_EMISSING, "%s: %s is not a file; expected a database file", key, path);
    if (access(path, R_OK) != 0)
        return ff_fail_errno(FF_EMISSING, "%s: %s may not be read (its permissions must allow it)", key, path);
    if (sb.st_size == 0)
        return ff_fail(FF_EMISSING, "%s: %s is empty; fetch the database again", key, path);
    state->bytes += sb.st_size;
    if (state->mtime < sb.st_mtim.tv_sec)
        state->mtime = sb.st_mtim.tv_sec;
    return FF_OK;
}

static ff_status check_fasta_database(const char *key, const char *path, struct ff_tool_database *state)
{
    FF_TRY(check_file(key, path, state));
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return ff_fail_errno(FF_EMISSING, "%s: %s cannot be opened", key, path);
    int first = getc(f), second = getc(f);
    fclose(f);
    bool gzip = first == 0x1f && second == 0x8b; /* hmmsearch reads it through gzip when the name ends in .gz */
    if (first != '>' && !gzip)
        return ff_fail(FF_EINPUT, "%s: %s does not begin with '>'; expected sequences in FASTA format", key, path);
    return FF_OK;
}

/* The prefix of an hh-suite database stands for six files. */
static ff_status check_hhsuite_database(const char *key, const char *path, struct ff_tool_database *state)
{
    static const char *const suffix[] = {"_a3m.ffdata",  "_a3m.ffindex",   "_hhm.ffdata",
                                         "_hhm.ffindex", "_cs219.ffdata",  "_cs219.ffindex"};
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        char *file = ff_xasprintf("%s%s", path, suffix[i]);
        ff_status st = check_file(key, file, state);
        free(file);
        FF_TRY(st);
    }
    return FF_OK;
}

bool ff_tool_is_mmseqs_database(const char *path)
{
    char *type = ff_xasprintf("%s.dbtype", path);
    bool is = ff_file_exists(type);
    free(type);
    return is;
}

int64_t ff_tool_mmseqs_type(const char *path)
{
    char *file = ff_xasprintf("%s.dbtype", path), *s = NULL;
    size_t len;
    int64_t type = -1;
    if (ff_file_read(file, &s, &len) == FF_OK && len == 4) {
        const unsigned char *b = (const unsigned char *)s;
        type = b[0] | b[1] << 8 | (int64_t)(b[2] | (b[3] & 0x7f) << 8) << 16; /* the highest bit: compressed */
    }
    ff_status_clear();
    free(s);
    free(file);
    return type;
}

/* A FASTA file, or the files that MMseqs2 makes of one. Large data lie in several files, PATH.0 and on. */
static ff_status check_mmseqs_database(const char *key, const char *path, struct ff_tool_database *state)
{
    static const char *const suffix[] = {".index", ".dbtype", "_h.index", "_h.dbtype"};
    if (!ff_tool_is_mmseqs_database(path))
        return check_fasta_database(key, path, state);
    int64_t type = ff_tool_mmseqs_type(path) & 0xffff;
    if (type != FF_MMSEQS_AMINO_ACIDS)
        return ff_fail(FF_EINPUT, "%s: %s is an MMseqs2 database of type %d; expected one of protein sequences (0)",
                       key, path, (int)type);
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        char *file = ff_xasprintf("%s%s", path, suffix[i]);
        ff_status st = check_file(key, file, state);
        free(file);
        FF_TRY(st);
    }
    if (ff_file_exists(path))
        return check_file(key, path, state);
    for (int i = 0;; i++) {
        char *file = ff_xasprintf("%s.%d", path, i);
        bool end = i > 0 && !ff_file_exists(file);
        ff_status st = end ? FF_OK : check_file(key, file, state);
        free(file);
        if (end || st != FF_OK)
            return st;
    }
}

/* --- the programs ----------------------------------------------------------------------------------------------- */

static const struct tool_spec {
    const char *name;
    size_t config;               /* offset in struct ff_tool_config */
    const char *version_mark;    /* begins the version in the output of `PROGRAM -h` */
    const char *package;         /* of Debian */
    const char *output;
    double cost;
    int gib;                     /* of memory, with a large database */
    int mib;                     /* with a small one */
    void (*command)(const struct ff_tool_call *call, struct ff_command *c);
    ff_status (*check_database)(const char *key, const char *path, struct ff_tool_database *state);
} specs[FF_TOOL_COUNT] = {
    [FF_TOOL_JACKHMMER] = {"jackhmmer", offsetof(struct ff_tool_config, jackhmmer), "HMMER", "hmmer", "output.sto",
                           1, 2, 256, jackhmmer_command, check_fasta_database},
    [FF_TOOL_PHMMER] = {"phmmer", offsetof(struct ff_tool_config, phmmer), "HMMER", "hmmer", "output.tbl",
                        1, 1, 256, phmmer_command, check_fasta_database},
    [FF_TOOL_HHBLITS] = {"hhblits", offsetof(struct ff_tool_config, hhblits), "HHblits", "hhsuite", "output.a3m",
                         0.5, 16, 256, hhblits_command, check_hhsuite_database},
    [FF_TOOL_HHSEARCH] = {"hhsearch", offsetof(struct ff_tool_config, hhsearch), "HHsearch", "hhsuite", "output.hhr",
                          1, 8, 256, hhsearch_command, check_hhsuite_database},
    [FF_TOOL_HMMBUILD] = {"hmmbuild", offsetof(struct ff_tool_config, hmmbuild), "HMMER", "hmmer", "output.hmm",
                          0, 1, 256, hmmbuild_command, NULL},
    [FF_TOOL_HMMSEARCH] = {"hmmsearch", offsetof(struct ff_tool_config, hmmsearch), "HMMER", "hmmer", "output.sto",
                           20, 2, 256, hmmsearch_command, check_fasta_database},
    [FF_TOOL_MMSEQS] = {"mmseqs", offsetof(struct ff_tool_config, mmseqs), "MMseqs2 Version", "mmseqs2", "output.tsv",
                        0.1, 64, 1024, mmseqs_command, check_mmseqs_database},
};

const char *ff_tool_name(enum ff_tool tool)
{
    return specs[tool].name;
}

const char *ff_tool_output(enum ff_tool tool)
{
    return specs[tool].output;
}

size_t ff_tool_memory(enum ff_tool tool, int64_t database_bytes)
{
    size_t most = (size_t)specs[tool].gib << 30, small = ((size_t)specs[tool].mib << 20) + 4 * (size_t)database_bytes;
    return small < most ? small : most;
}

double ff_tool_cost(enum ff_tool tool)
{
    return specs[tool].cost;
}

void ff_tool_command(enum ff_tool tool, const struct ff_tool_call *call, struct ff_command *ret)
{
    *ret = (struct ff_command){0};
    add(ret, "%s", call->program);
    specs[tool].command(call, ret);
}

ff_status ff_tool_check_database(enum ff_tool tool, const char *key, const char *path, struct ff_tool_database *state)
{
    return specs[tool].check_database(key, path, state);
}

static bool keep_text(void *user, const char *data, size_t len)
{
    struct ff_strbuf *text = user;
    if (text->len < 65536)
        ff_strbuf_append(text, data, len);
    return true;
}

/* From the mark to the end of its line, or the first line when there is no mark. Caller frees. */
static char *version_line(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    const char *start = at != NULL ? at : text + strspn(text, " \t\r\n#");
    size_t len = strcspn(start, "\r\n");
    while (len > 0 && (start[len - 1] == ':' || start[len - 1] == ' '))
        len--;
    return ff_xstrndup(start, len);
}

ff_status ff_tool_find(const struct ff_tool_config *config, enum ff_tool tool, char **ret_path, char **ret_version)
{
    const struct tool_spec *spec = &specs[tool];
    *ret_path = *ret_version = NULL;
    const char *program;
    memcpy(&program, (const char *)config + spec->config, sizeof program);
    if (program == NULL || *program == '\0')
        return ff_fail(FF_EUSAGE, "tools.%s is empty; expected the name or path of a program", spec->name);
    char *path = ff_path_which(program);
    if (path == NULL)
        return ff_fail(FF_EMISSING, "tools.%s: program '%s' was not found or may not be run; install it (Debian: "
                       "apt-get install %s) or set tools.%s to its path", spec->name, program, spec->package,
                       spec->name);

    const char *argv[] = {path, "-h", NULL};
    struct ff_strbuf text = {0};
    struct ff_subprocess_result result = {0};
    ff_status st = ff_subprocess_check(argv, NULL, keep_text, &text, &result);
    if (st == FF_OK) {
        *ret_path = path;
        *ret_version = version_line(ff_strbuf_cstr(&text), spec->version_mark);
    } else {
        ff_context(st, "tools.%s does not run", spec->name);
        free(path);
    }
    ff_subprocess_result_free(&result);
    ff_strbuf_free(&text);
    return st;
}

bool ff_tool_mmseqs_has_gpu(const char *program)
{
    const char *argv[] = {program, "search", "-h", NULL};
    struct ff_strbuf text = {0};
    bool has = ff_subprocess_check(argv, NULL, keep_text, &text, NULL) == FF_OK &&
               strstr(ff_strbuf_cstr(&text), "--gpu ") != NULL;
    ff_status_clear();
    ff_strbuf_free(&text);
    return has;
}
