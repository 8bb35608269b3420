/* SPDX-License-Identifier: Apache-2.0
 * cmd_doctor: `fastfold doctor [options]`: what this machine has and lacks for a prediction with these options, each
 * lack with its remedy. Status FF_EMISSING when something that is needed is not there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/options.h"
#include "app/version.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "model/model.h"

enum { NAME_WIDTH = 20 };

struct report {
    int missing;                 /* needed and not there */
};

static void say(const char *name, const char *text) { printf("  %-*s %s\n", NAME_WIDTH, name, text); }

static void lack(struct report *r, const char *name, const char *text)
{
    printf("  %-*s MISSING: %s\n", NAME_WIDTH, name, text);
    r->missing++;
}

static void print_line(void *user, const char *text)
{
    (void)user;
    printf("  %s\n", text);
}

static void report_machine(void)
{
    printf("machine\n");
    char *text = ff_xasprintf("%d for this process", ff_clock_cpu_count());
    say("processors", text);
    free(text);
    text = ff_xasprintf("%.1f GiB available", (double)ff_clock_available_memory() / (1 << 30));
    say("memory", text);
    free(text);
    printf("\nwhat computes\n");
    ff_backend_describe(print_line, NULL);
}

static void report_params(const struct ff_config *c, struct report *r)
{
    printf("\nparameters of %s\n", c->model.name);
    if (c->run.params == NULL) {
        lack(r, "run.params", "not set; give --params FILE|DIR. scripts/download_params.sh DIR fetches the published "
                              "ones");
        return;
    }
    char *path = NULL;
    if (ff_params_resolve(c->run.params, &c->model, &path) != FF_OK ||
        ff_params_check(c->run.params, &c->model) != FF_OK)
        lack(r, "run.params", ff_status_message());
    else
        say("run.params", path != NULL ? path : c->run.params);
    free(path);
}

/* --- databases and tools ---------------------------------------------------------------------------------------- */

struct database {
    const char *key, *path;
    const char *suffix;          /* of a file that must be there behind an hh-suite prefix; "" for files and folders */
    bool searched;               /* by jackhmmer or hhblits: makes the MSA */
};

/* Each database that is set; true when one of them makes the MSA. */
static bool report_databases(const struct ff_database_config *d, struct report *r)
{
    const struct database list[] = {
        {"uniref90", d->uniref90, "", true},
        {"mgnify", d->mgnify, "", true},
        {"small_bfd", d->small_bfd, "", true},
        {"bfd", d->bfd, "_cs219.ffindex", true},
        {"uniref30", d->uniref30, "_cs219.ffindex", true},
        {"uniprot", d->uniprot, "", false},
        {"pdb70", d->pdb70, "_cs219.ffindex", false},
        {"pdb_seqres", d->pdb_seqres, "", false},
        {"template_mmcif_dir", d->template_mmcif_dir, "", false},
        {"obsolete_pdbs", d->obsolete_pdbs, "", false},
    };
    bool any = false;
    printf("\ndatabases\n");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (list[i].path == NULL)
            continue;
        any |= list[i].searched;
        char *file = ff_xasprintf("%s%s", list[i].path, list[i].suffix);
        if (ff_file_exists(file))
            say(list[i].key, list[i].path);
        else
            lack(r, list[i].key, file);
        free(file);
    }
    return any;
}

static void report_tools(const struct ff_config *c, struct report *r)
{
    const struct ff_database_config *d = &c->databases;
    const struct ff_tool_config *t = &c->tools;
    bool on = c->search.enabled, multimer = c->model.multimer;
    bool fasta = on && (d->uniref90 != NULL || d->mgnify != NULL || d->small_bfd != NULL || d->uniprot != NULL);
    bool mmseqs = fasta && c->search.tool == FF_SEARCH_BY_MMSEQS;
    bool parts = fasta && !mmseqs && c->search.shards != 1;
    bool hh = on && (d->bfd != NULL || d->uniref30 != NULL);
    bool templates = on && c->search.templates && c->model.templates.enabled && d->template_mmcif_dir != NULL;
    bool pdb70 = templates && !multimer && d->pdb70 != NULL;
    bool pdb_seqres = templates && multimer && d->pdb_seqres != NULL;
    const struct {
        const char *name, *program, *package;
        bool needed;
    } list[] = {
        {"jackhmmer", t->jackhmmer, "hmmer", fasta && !mmseqs},
        {"phmmer", t->phmmer, "hmmer", parts},
        {"hhblits", t->hhblits, "hhsuite", hh},
        {"hhsearch", t->hhsearch, "hhsuite", pdb70},
        {"hmmbuild", t->hmmbuild, "hmmer", pdb_seqres || parts},
        {"hmmsearch", t->hmmsearch, "hmmer", pdb_seqres},
        {"kalign", t->kalign, "kalign", pdb70 || pdb_seqres},
        {"mmseqs", t->mmseqs, "mmseqs2", mmseqs},
    };
    printf("\nsearch programs\n");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char *path = list[i].program != NULL ? ff_path_which(list[i].program) : NULL;
        char *text = ff_xasprintf("'%s' was not found (Debian: apt-get install %s)%s",
                                  list[i].program != NULL ? list[i].program : "null", list[i].package,
                                  list[i].needed ? "" : "; not needed with these options");
        if (path != NULL)
            say(list[i].name, path);
        else if (list[i].needed)
            lack(r, list[i].name, text);
        else
            say(list[i].name, text);
        free(text);
        free(path);
    }
}

static ff_status report_all(const struct ff_config *c)
{
    struct report r = {0};
    printf("fastfold %s\n\n", ff_version_text());
    report_machine();
    report_params(c, &r);
    if (!report_databases(&c->databases, &r))
        say("none to search", "give --data-dir DIR, or databases.* in a --config file; or use --msa FILE or --no-msa");
    report_tools(c, &r);
    printf("\nresults\n");
    char *text = ff_xasprintf("%.1f GiB free in %s", (double)ff_free_space(c->output.dir) / (1 << 30), c->output.dir);
    say("disk", text);
    free(text);
    if (r.missing == 0) {
        printf("\nNothing is missing for fastfold predict with these options.\n");
        return FF_OK;
    }
    printf("\n%d thing%s missing for fastfold predict with these options.\n", r.missing, r.missing == 1 ? "" : "s");
    ff_status_clear();
    return FF_EMISSING;
}

int ff_cmd_doctor(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "doctor", &config, &line));
    ff_status st;
    if (line.n_operand > 0)
        st = ff_fail(FF_EUSAGE, "doctor: found '%s'; expected options only", line.operands[0]);
    else
        st = report_all(&config);
    ff_config_free(&config);
    ff_command_line_free(&line);
    return (int)st;
}
