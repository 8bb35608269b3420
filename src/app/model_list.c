/* SPDX-License-Identifier: Apache-2.0
 * model_list: networks and families of networks.
 */
#include "app/model_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { FAMILY_SIZE = 5 };

/* Families of five, as published: model_1<tail> to model_5<tail>. */
static const struct family {
    const char *name, *tail;
    const char *preset;              /* applied to each; NULL: none */
} families[] = {
    {"monomer", "", NULL},
    {"monomer_casp14", "", "monomer_casp14"},
    {"monomer_ptm", "_ptm", NULL},
    {"multimer", "_multimer_v3", NULL},
    {"multimer_v3", "_multimer_v3", NULL},
    {"multimer_v2", "_multimer_v2", NULL},
    {"multimer_v1", "_multimer", NULL},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

struct maker {
    int argc;
    char **argv;
    const char *command;
    struct ff_model_list *list;
};

/* model NULL: that of the command line. */
static ff_status add(const struct maker *m, const char *model, const char *preset)
{
    struct ff_model_list *l = m->list;
    struct ff_command_line line;
    l->configs = ff_xreallocarray(l->configs, (size_t)l->count + 1, sizeof *l->configs);
    FF_TRY(ff_options_parse_for(m->argc, m->argv, m->command, model, preset, &l->configs[l->count], &line));
    ff_command_line_free(&line);
    const struct ff_config *c = &l->configs[l->count++];
    for (int i = 0; i + 1 < l->count; i++) {
        if (strcmp(l->configs[i].model.name, c->model.name) == 0)
            return ff_fail(FF_EUSAGE, "--models: %s is named twice; --num-seeds N makes several predictions by one "
                           "network", c->model.name);
        if (l->configs[i].model.multimer != c->model.multimer)
            return ff_fail(FF_EUSAGE, "--models: %s and %s do not go together: one predicts single chains, the other "
                           "complexes", l->configs[i].model.name, c->model.name);
    }
    return FF_OK;
}

static ff_status add_family(const struct maker *m, const struct family *f)
{
    for (int i = 1; i <= FAMILY_SIZE; i++) {
        char *name = ff_xasprintf("model_%d%s", i, f->tail);
        ff_status st = add(m, name, f->preset);
        free(name);
        FF_TRY(st);
    }
    return FF_OK;
}

/* Names and families with commas between. */
static ff_status add_names(const struct maker *m, const char *names)
{
    for (const char *p = names;; p++) {
        size_t len = strcspn(p, ",");
        char *name = ff_xstrndup(p, len);
        const struct family *f = find_family(name);
        ff_status st = len == 0    ? ff_fail(FF_EUSAGE, "--models %s: expected names with commas between", names)
                       : f != NULL ? add_family(m, f)
                                   : add(m, name, NULL);
        free(name);
        FF_TRY(st);
        p += len;
        if (*p == '\0')
            return FF_OK;
    }
}

ff_status ff_model_list_make(int argc, char **argv, const char *command, const struct ff_command_line *line,
                             bool complex, struct ff_model_list *ret)
{
    *ret = (struct ff_model_list){0};
    struct maker m = {.argc = argc, .argv = argv, .command = command, .list = ret};
    ff_status st;
    if (line->models != NULL && line->model_given)
        st = ff_fail(FF_EUSAGE, "--models and --model (or a file that names a model) exclude each other");
    else if (line->models != NULL)
        st = add_names(&m, line->models);
    else if (complex && !line->model_given)
        st = add_names(&m, "multimer");
    else
        st = add(&m, NULL, NULL);
    if (st != FF_OK)
        ff_model_list_free(ret);
    return st;
}

void ff_model_list_free(struct ff_model_list *l)
{
    for (int i = 0; i < l->count; i++)
        ff_config_free(&l->configs[i]);
    free(l->configs);
    *l = (struct ff_model_list){0};
}
