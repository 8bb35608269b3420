/* SPDX-License-Identifier: Apache-2.0
 * options: puts a configuration together: defaults, the model's preset, files, the command line.
 */
#include "app/options.h"

#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/option_file.h"
#include "app/option_value.h"
#include "app/suggest.h"
#include "base/alloc.h"
#include "base/file.h"

/* --- 1. what the command line said -------------------------------------------------------------------------------- */

struct assignment {              /* one setting of the command line, applied when the files have been */
    const struct ff_option *option;
    struct ff_yaml value;        /* text owned */
    char *place;                 /* "--recycles", "--set model.num_recycle" */
};

struct parser {
    int argc;
    char **argv;
    int at;
    const char *command;
    unsigned groups;
    struct ff_command_line *line;
    const char *model;               /* chosen by the caller; NULL: by the command line */
    bool line_only;                  /* the network is not known yet, so settings are not compared with it */
    struct assignment *set;
    int n_set, cap_set;
    struct ff_option_file **files;
    int n_file, cap_file;
    int cap_operand;
};

static void parser_free(struct parser *p)
{
    for (int i = 0; i < p->n_set; i++) {
        free(p->set[i].value.text);
        free(p->set[i].place);
    }
    for (int i = 0; i < p->n_file; i++)
        ff_option_file_free(p->files[i]);
    free(p->set);
    free(p->files);
}

static void assign(struct parser *p, const struct ff_option *o, const char *text, bool quoted, const char *place)
{
    FF_GROW(p->set, p->n_set, p->cap_set);
    p->set[p->n_set++] = (struct assignment){
        .option = o,
        .value = {.kind = FF_YAML_SCALAR, .text = ff_xstrdup(text), .quoted = quoted},
        .place = ff_xstrdup(place),
    };
}

static unsigned groups_of(const char *command)
{
#define X(name, heading, groups, operands, summary) \
    if (strcmp(command, #name) == 0)                \
        return groups;
    FF_COMMANDS(X)
#undef X
    return FF_GROUP_ALL;
}

/* --- 2. reading arguments ----------------------------------------------------------------------------------------- */

/* The value of a flag: behind its '=', or the next argument. */
static ff_status take_value(struct parser *p, const char *flag, const char *inline_value, const char *metavar,
                            const char **ret)
{
    *ret = inline_value;
    if (inline_value != NULL)
        return FF_OK;
    if (p->at + 1 >= p->argc)
        return ff_fail(FF_EUSAGE, "%s: expected a value behind it: %s", flag, metavar);
    *ret = p->argv[++p->at];
    return FF_OK;
}

static ff_status parse_set(struct parser *p, const char *text)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text)
        return ff_fail(FF_EUSAGE, "--set %s: expected KEY=VALUE, such as --set model.num_recycle=1", text);
    char *key = ff_xstrndup(text, (size_t)(eq - text));
    const struct ff_option *o = ff_option_table_find(key);
    ff_status st = FF_OK;
    if (o != NULL) {
        assign(p, o, eq + 1, false, "--set");
    } else if (ff_option_table_is_section(key)) {
        st = ff_fail(FF_EUSAGE, "--set %s: '%s' is a section; expected one of its keys", text, key);
    } else {
        struct ff_suggest s = {.given = key};
        for (int i = 0; i < ff_option_count; i++)
            ff_suggest_try(&s, ff_option_table[i].key);
        st = ff_fail(FF_EUSAGE, "--set %s: unknown key '%s'%s%s%s", text, key, s.best ? "; did you mean '" : "",
                     s.best ? s.best : "; `fastfold config` prints all keys", s.best ? "'?" : "");
    }
    free(key);
    return st;
}

static ff_status add_file(struct parser *p, const char *spec)
{
    struct ff_option_file *f;
    ff_status st = ff_option_file_load(spec, &f);
    if (st != FF_OK)
        return ff_context(st, "--config");
    FF_GROW(p->files, p->n_file, p->cap_file);
    p->files[p->n_file++] = f;
    return FF_OK;
}

static ff_status not_here(const struct parser *p, const char *flag)
{
    return ff_fail(FF_EUSAGE, "%s is not an option of fastfold %s; see fastfold help %s", flag, p->command, p->command);
}

static ff_status unknown_flag(const struct parser *p, const char *flag)
{
    for (int i = 0; i < ff_line_option_count; i++)
        if (strcmp(flag, ff_line_options[i].flag) == 0)
            return not_here(p, flag);
    struct ff_suggest s = {.given = flag};
    ff_suggest_try(&s, "--config");
    ff_suggest_try(&s, "--set");
    ff_suggest_try(&s, "--help");
    for (int i = 0; i < ff_option_count; i++)
        if (ff_option_table[i].flag != NULL)
            ff_suggest_try(&s, ff_option_table[i].flag);
    for (int i = 0; i < ff_option_switch_count; i++)
        ff_suggest_try(&s, ff_option_switches[i].flag);
    for (int i = 0; i < ff_line_option_count; i++)
        if (ff_option_table_line(ff_line_options[i].flag, p->command) != NULL)
            ff_suggest_try(&s, ff_line_options[i].flag);
    return ff_fail(FF_EUSAGE, "unknown option '%s'%s%s%s; see fastfold help %s", flag, s.best ? "; did you mean '" : "",
                   s.best ? s.best : "", s.best ? "'?" : "", p->command);
}

/* A flag of the option table; --no-X turns a bool off. */
static ff_status parse_table_flag(struct parser *p, const char *flag, const char *inline_value, bool *ret_known)
{
    bool off = strncmp(flag, "--no-", 5) == 0;
    char *positive = off ? ff_xasprintf("--%s", flag + 5) : ff_xstrdup(flag);
    const struct ff_option *o = ff_option_table_flag(positive);
    free(positive);
    *ret_known = o != NULL && (!off || o->type == FF_OPTION_BOOL);
    if (!*ret_known)
        return FF_OK;
    if ((ff_option_table_group(o) & p->groups) == 0)
        return not_here(p, flag);
    if (o->type == FF_OPTION_BOOL) {
        if (off && inline_value != NULL)
            return ff_fail(FF_EUSAGE, "%s: takes no value", flag);
        assign(p, o, off ? "false" : inline_value != NULL ? inline_value : "true", false, flag);
        return FF_OK;
    }
    const char *value = NULL;
    FF_TRY(take_value(p, flag, inline_value, o->metavar, &value));
    assign(p, o, value, ff_option_text(o, &(struct ff_config){0}) != NULL, flag);
    return FF_OK;
}

static ff_status parse_line_flag(struct parser *p, const struct ff_line_option *o, const char *inline_value)
{
    void *field = (char *)p->line + o->offset;
    if (o->metavar == NULL) {
        if (inline_value != NULL)
            return ff_fail(FF_EUSAGE, "%s: takes no value", o->flag);
        *(bool *)field = true;
        return FF_OK;
    }
    const char *value = NULL;
    FF_TRY(take_value(p, o->flag, inline_value, o->metavar, &value));
    if (*value == '\0')
        return ff_fail(FF_EUSAGE, "%s: expected a value: %s", o->flag, o->metavar);
    char *before = *(char **)field;
    *(char **)field = before != NULL && o->repeats ? ff_xasprintf("%s\n%s", before, value) : ff_xstrdup(value);
    free(before);
    return FF_OK;
}

static ff_status parse_flag(struct parser *p, const char *flag, const char *inline_value)
{
    const char *value = NULL;
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
        p->line->help = true;
        return FF_OK;
    }
    if (p->groups != 0 && strcmp(flag, "--config") == 0) {
        FF_TRY(take_value(p, flag, inline_value, "FILE", &value));
        return add_file(p, value);
    }
    if (p->groups != 0 && strcmp(flag, "--set") == 0) {
        FF_TRY(take_value(p, flag, inline_value, "KEY=VALUE", &value));
        return parse_set(p, value);
    }
    const struct ff_line_option *own = ff_option_table_line(flag, p->command);
    if (own != NULL)
        return parse_line_flag(p, own, inline_value);
    const struct ff_option_switch *sw = ff_option_table_switch(flag);
    if (sw != NULL) {
        const struct ff_option *o = ff_option_table_find(sw->key);
        if ((ff_option_table_group(o) & p->groups) == 0)
            return not_here(p, flag);
        if (inline_value != NULL)
            return ff_fail(FF_EUSAGE, "%s: takes no value", flag);
        assign(p, o, sw->value, false, flag);
        return FF_OK;
    }
    bool known;
    FF_TRY(parse_table_flag(p, flag, inline_value, &known));
    return known ? FF_OK : unknown_flag(p, flag);
}

static void add_operand(struct parser *p, const char *text)
{
    FF_GROW(p->line->operands, p->line->n_operand, p->cap_operand);
    p->line->operands[p->line->n_operand++] = ff_xstrdup(text);
}

static ff_status parse_arguments(struct parser *p)
{
    bool flags = true;
    for (; p->at < p->argc; p->at++) {
        const char *arg = p->argv[p->at];
        if (!flags || arg[0] != '-' || arg[1] == '\0') {
            add_operand(p, arg);
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            flags = false;
            continue;
        }
        const char *eq = arg[1] == '-' ? strchr(arg, '=') : NULL;
        char *flag = eq != NULL ? ff_xstrndup(arg, (size_t)(eq - arg)) : ff_xstrdup(arg);
        ff_status st = parse_flag(p, flag, eq != NULL ? eq + 1 : NULL);
        free(flag);
        FF_TRY(st);
        if (p->line->help)
            return FF_OK;
    }
    return FF_OK;
}

static bool is_given(const struct parser *p, const char *flag)
{
    const struct ff_line_option *own = ff_option_table_line(flag, p->command);
    if (own != NULL) {
        const void *field = (const char *)p->line + own->offset;
        return own->metavar == NULL ? *(const bool *)field : *(char *const *)field != NULL;
    }
    for (int i = 0; i < p->n_set; i++)
        if (strcmp(p->set[i].place, flag) == 0)
            return true;
    return false;
}

static ff_status check_conflicts(const struct parser *p)
{
    for (int i = 0; i < ff_option_conflict_count; i++) {
        const struct ff_option_conflict *c = &ff_option_conflicts[i];
        if (is_given(p, c->one) && is_given(p, c->other))
            return ff_fail(FF_EUSAGE, "%s and %s exclude each other: %s; leave one of the two out", c->one, c->other,
                           c->why);
    }
    return FF_OK;
}

/* --- 3. putting it together --------------------------------------------------------------------------------------- */

static ff_status apply_preset(const char *name, struct ff_config *config)
{
    struct ff_option_file *f;
    FF_TRY(ff_option_file_load(name, &f));
    ff_status st = ff_option_file_apply(f, config);
    ff_option_file_free(f);
    return st;
}

static ff_status unknown_model(const char *place, const char *name)
{
    struct ff_suggest s = {.given = name};
    struct ff_strbuf all = {0};
    const char *m;
    for (int i = 0; (m = ff_option_file_model_name(i)) != NULL; i++) {
        ff_suggest_try(&s, m);
        ff_strbuf_printf(&all, "%s%s", i ? ", " : "", m);
    }
    ff_status st = ff_fail(FF_EUSAGE, "%s: unknown model '%s'%s%s%s; there are %s", place, name,
                           s.best ? "; did you mean '" : "", s.best ? s.best : "", s.best ? "'?" : "",
                           ff_strbuf_cstr(&all));
    ff_strbuf_free(&all);
    return st;
}

/* The model of the run: that of the command line, else of the last file that names one, else the default. */
static ff_status choose_model(const struct parser *p, struct ff_config *config)
{
    const struct ff_option *o = ff_option_table_find("model.name");
    const struct assignment *given = NULL;
    const struct ff_option_file *by_file = NULL; /* last file that names a model */
    const struct ff_option_file *own_base = NULL; /* last file that stands on a base */
    for (int i = 0; i < p->n_set; i++)
        if (p->set[i].option == o)
            given = &p->set[i];
    for (int i = 0; i < p->n_file; i++) {
        by_file = ff_option_file_model(p->files[i]) != NULL ? p->files[i] : by_file;
        own_base = p->files[i]->base != NULL ? p->files[i] : own_base;
    }
    p->line->model_given = given != NULL || by_file != NULL;
    const char *name = p->model != NULL ? p->model
                       : given != NULL ? given->value.text
                       : by_file != NULL ? ff_option_file_model(by_file)
                                         : config->model.name;
    const char *place = p->model != NULL ? "--models"
                        : given != NULL ? given->place
                        : by_file != NULL ? by_file->name
                                          : "model.name";
    if ((given != NULL || p->model != NULL) && own_base != NULL && ff_option_file_model(own_base) != NULL &&
        strcmp(name, ff_option_file_model(own_base)) != 0)
        return ff_fail(FF_EUSAGE, "%s %s: %s describes a network of its own, '%s'; leave one of the two out", place,
                       name, own_base->name, ff_option_file_model(own_base));

    char *chosen = ff_xstrdup(name); /* name may be the very field that is set */
    struct ff_yaml value = {.kind = FF_YAML_SCALAR, .text = chosen, .quoted = true};
    ff_status st = ff_option_set(o, &value, &(struct ff_option_place){.name = place}, config);
    if (st == FF_OK && ff_option_file_is_model(chosen))
        st = apply_preset(chosen, config);
    else if (st == FF_OK && own_base == NULL)
        st = unknown_model(place, chosen);
    free(chosen);
    return st;
}

/* The file, or the same one compressed where only that is there. */
static char *plain_or_compressed(const char *dir, const char *name)
{
    char *path = ff_path_join(dir, name), *compressed = ff_xasprintf("%s.gz", path);
    bool take = !ff_file_exists(path) && ff_file_exists(compressed);
    free(take ? path : compressed);
    return take ? compressed : path;
}

/* Sets what a folder in the published layout holds and nobody gave. */
static void fill_from_data_dir(struct ff_config *c)
{
    struct ff_database_config *d = &c->databases;
    bool full = d->preset == FF_DB_FULL, multimer = c->model.multimer;
    const struct {
        bool used;
        char **path;
        const char *name;
    } layout[] = {
        {true, &c->run.params, "params"},
        {true, &d->uniref90, "uniref90/uniref90.fasta"},
        {true, &d->mgnify, "mgnify/mgy_clusters_2022_05.fa"},
        {full, &d->bfd, "bfd/bfd_metaclust_clu_complete_id30_c90_final_seq.sorted_opt"},
        {full, &d->uniref30, "uniref30/UniRef30_2021_03"},
        {!full, &d->small_bfd, "small_bfd/bfd-first_non_consensus_sequences.fasta"},
        {multimer, &d->uniprot, "uniprot/uniprot.fasta"},
        {!multimer, &d->pdb70, "pdb70/pdb70"},
        {multimer, &d->pdb_seqres, "pdb_seqres/pdb_seqres.txt"},
        {true, &d->template_mmcif_dir, "pdb_mmcif/mmcif_files"},
        {true, &d->obsolete_pdbs, "pdb_mmcif/obsolete.dat"},
    };
    if (d->data_dir == NULL)
        return;
    for (size_t i = 0; i < sizeof layout / sizeof layout[0]; i++)
        if (layout[i].used && *layout[i].path == NULL)
            *layout[i].path = plain_or_compressed(d->data_dir, layout[i].name);
}

/* What a single row cannot know: values that contradict each other. */
static ff_status check_together(const struct ff_config *c)
{
    const struct ff_feature_config *m = &c->msa;
    double sum = (double)m->profile_prob + m->same_prob + m->uniform_prob;
    if (sum > 1 + 1e-6)
        return ff_fail(FF_EUSAGE, "msa.profile_prob, msa.same_prob, msa.uniform_prob: the sum is %g; expected up to 1",
                       sum);
    if (m->reduce_clusters_by_max_templates && m->max_clusters <= m->max_templates)
        return ff_fail(FF_EUSAGE, "msa.max_clusters: %d clusters leave no room beside %d templates "
                                  "(msa.reduce_clusters_by_max_templates)", m->max_clusters, m->max_templates);
    return ff_model_config_check(&c->model);
}

static ff_status build(struct parser *p, struct ff_config *config)
{
    FF_TRY(apply_preset("default", config));
    FF_TRY(choose_model(p, config));
    char chosen[sizeof config->model.name];
    memcpy(chosen, config->model.name, sizeof chosen);
    for (int i = 0; i < p->n_file; i++)
        FF_TRY(ff_option_file_apply(p->files[i], config));
    for (int i = 0; i < p->n_set; i++) {
        struct ff_option_place place = {.name = p->set[i].place};
        FF_TRY(ff_option_set(p->set[i].option, &p->set[i].value, &place, config));
    }
    memcpy(config->model.name, chosen, sizeof chosen);
    fill_from_data_dir(config);
    return p->line_only ? FF_OK : check_together(config);
}

static ff_status parse_all(struct parser *p, const char *preset, struct ff_config *config)
{
    if (preset != NULL)
        FF_TRY(add_file(p, preset));
    FF_TRY(parse_arguments(p));
    FF_TRY(check_conflicts(p));
    return p->line->help || p->groups == 0 ? FF_OK : build(p, config);
}

static ff_status run_parser(struct parser *p, const char *preset, struct ff_config *config)
{
    *config = (struct ff_config){0};
    *p->line = (struct ff_command_line){0};
    p->groups = groups_of(p->command);
    ff_status st = parse_all(p, preset, config);
    parser_free(p);
    if (st != FF_OK) {
        ff_config_free(config);
        ff_command_line_free(p->line);
    }
    return st;
}

ff_status ff_options_parse_for(int argc, char **argv, const char *command, const char *model, const char *preset,
                               struct ff_config *config, struct ff_command_line *line)
{
    struct parser p = {.argc = argc, .argv = argv, .command = command, .line = line, .model = model};
    return run_parser(&p, preset, config);
}

ff_status ff_options_parse(int argc, char **argv, const char *command, struct ff_config *config,
                           struct ff_command_line *line)
{
    FF_TRY(ff_options_parse_for(argc, argv, command, NULL, NULL, config, line));
    if (!line->help && groups_of(command) != 0)
        ff_log_set_level(config->run.verbosity);
    return FF_OK;
}

ff_status ff_options_parse_line(int argc, char **argv, const char *command, struct ff_command_line *line)
{
    struct parser p = {.argc = argc, .argv = argv, .command = command, .line = line, .line_only = true};
    struct ff_config config;
    FF_TRY(run_parser(&p, NULL, &config));
    if (!line->help && groups_of(command) != 0)
        ff_log_set_level(config.run.verbosity);
    ff_config_free(&config);
    return FF_OK;
}

/* --- 4. ends ------------------------------------------------------------------------------------------------------ */

void ff_config_free(struct ff_config *config)
{
    for (int i = 0; i < ff_option_count; i++)
        ff_option_release(&ff_option_table[i], config);
}

void ff_command_line_free(struct ff_command_line *line)
{
    for (int i = 0; i < line->n_operand; i++)
        free(line->operands[i]);
    free(line->operands);
    for (int i = 0; i < ff_line_option_count; i++)
        if (ff_line_options[i].metavar != NULL)
            free(*(char **)((char *)line + ff_line_options[i].offset));
    *line = (struct ff_command_line){0};
}
