/* SPDX-License-Identifier: Apache-2.0
 * option_file: reads configuration files and presets and carries their values into a config.
 */
#include "app/option_file.h"

#include <stdlib.h>
#include <string.h>

#include "app/builtin.h"
#include "app/option_value.h"
#include "app/suggest.h"
#include "base/alloc.h"
#include "base/file.h"

enum { MAX_BASE_DEPTH = 8, MAX_KEY = 256 };

/* --- 1. built-in presets ------------------------------------------------------------------------------------------ */

static const struct ff_builtin_config *find_builtin(const char *name)
{
    for (int i = 0; i < ff_builtin_config_count; i++)
        if (strcmp(ff_builtin_configs[i].name, name) == 0)
            return &ff_builtin_configs[i];
    return NULL;
}

/* A preset that stands on a base describes a whole network; default, monomer, ... are parts. */
static bool is_model_text(const char *text)
{
    return strncmp(text, "base:", 5) == 0 || strstr(text, "\nbase:") != NULL;
}

const char *ff_option_file_model_name(int i)
{
    for (int k = 0; k < ff_builtin_config_count; k++)
        if (is_model_text(ff_builtin_configs[k].text) && i-- == 0)
            return ff_builtin_configs[k].name;
    return NULL;
}

bool ff_option_file_is_model(const char *name)
{
    const struct ff_builtin_config *b = find_builtin(name);
    return b != NULL && is_model_text(b->text);
}

/* The folder that holds a built-in preset as a file, so that its relative paths mean something: configs/ of the source
 * tree, which the program lies one to four folders below (build/, build/asan/test/unit/), or share/fastfold/configs/
 * beside the bin/ that it was installed in. NULL when neither is there, as after copying the program alone. */
static char *builtin_dir(const char *name)
{
    static const char *const places[] = {"share/fastfold/configs", "configs"};
    char *up = ff_path_exe_dir(), *found = NULL;
    char *file = ff_xasprintf("%s.yaml", name);
    for (int level = 0; level < 4 && found == NULL; level++) {
        char *higher = ff_path_join(up, "..");
        free(up);
        up = higher;
        for (size_t i = 0; i < sizeof places / sizeof places[0] && found == NULL; i++) {
            char *dir = ff_path_join(up, places[i]);
            char *path = ff_path_join(dir, file);
            if (ff_file_exists(path))
                found = realpath(dir, NULL);
            free(path);
            free(dir);
        }
    }
    free(file);
    free(up);
    return found;
}

/* --- 2. loading --------------------------------------------------------------------------------------------------- */

static ff_status load_builtin(const struct ff_builtin_config *b, struct ff_option_file *f)
{
    f->name = ff_xasprintf("built-in %s.yaml", b->name);
    f->preset = ff_xstrdup(b->name);
    f->dir = builtin_dir(b->name);
    return ff_yaml_parse(f->name, b->text, strlen(b->text), &f->root);
}

static ff_status not_found(const char *spec)
{
    struct ff_suggest s = {.given = spec};
    for (int i = 0; i < ff_builtin_config_count; i++)
        ff_suggest_try(&s, ff_builtin_configs[i].name);
    return ff_fail(FF_EMISSING, "%s: no such configuration file or built-in preset%s%s%s", spec,
                   s.best ? "; did you mean '" : "", s.best ? s.best : "", s.best ? "'?" : "");
}

static ff_status load(const char *spec, int depth, struct ff_option_file **ret);

static bool looks_like_path(const char *s)
{
    size_t n = strlen(s);
    return strchr(s, '/') != NULL || (n > 5 && strcmp(s + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(s + n - 4, ".yml") == 0);
}

static ff_status load_base(struct ff_option_file *f, int depth)
{
    const struct ff_yaml *base = ff_yaml_get(f->root, "base");
    if (base == NULL)
        return FF_OK;
    if (base->kind != FF_YAML_SCALAR || base->text[0] == '\0')
        return ff_fail(FF_EUSAGE, "%s:%d: base: expected the name of a preset or file", f->name, base->line);
    if (depth == MAX_BASE_DEPTH)
        return ff_fail(FF_EUSAGE, "%s:%d: base: more than %d files stand on each other; does one name itself?", f->name,
                       base->line, MAX_BASE_DEPTH);
    bool path = looks_like_path(base->text) && f->preset == NULL;
    char *spec = path && f->dir != NULL ? ff_path_join(f->dir, base->text) : ff_xstrdup(base->text);
    ff_status st = load(spec, depth + 1, &f->base);
    free(spec);
    return st == FF_EMISSING ? ff_context(st, "%s:%d: base", f->name, base->line) : st;
}

static ff_status load(const char *spec, int depth, struct ff_option_file **ret)
{
    ff_status st;
    struct ff_option_file *f = FF_NEW(struct ff_option_file);
    *ret = NULL;
    bool is_file = ff_file_exists(spec) && !ff_file_is_dir(spec);
    const struct ff_builtin_config *b = looks_like_path(spec) ? NULL : find_builtin(spec);
    if (b != NULL && !(is_file && depth == 0)) {
        FF_TRY_GOTO(st, load_builtin(b, f), fail);
    } else if (is_file) {
        f->name = ff_xstrdup(spec);
        f->dir = ff_path_dir(spec);
        FF_TRY_GOTO(st, ff_yaml_load(spec, &f->root), fail);
    } else {
        FF_TRY_GOTO(st, not_found(spec), fail);
    }
    if (f->root->kind != FF_YAML_MAP) {
        st = ff_fail(FF_EUSAGE, "%s:%d: expected 'key: value' lines", f->name, f->root->line);
        goto fail;
    }
    FF_TRY_GOTO(st, load_base(f, depth), fail);
    *ret = f;
    return FF_OK;
fail:
    ff_option_file_free(f);
    return st;
}

ff_status ff_option_file_load(const char *spec, struct ff_option_file **ret) { return load(spec, 0, ret); }

void ff_option_file_free(struct ff_option_file *f)
{
    if (f == NULL)
        return;
    ff_option_file_free(f->base);
    ff_yaml_free(f->root);
    free(f->name);
    free(f->dir);
    free(f->preset);
    free(f);
}

/* --- 3. values ---------------------------------------------------------------------------------------------------- */

static ff_status unknown_key(const char *name, int line, const char *key)
{
    struct ff_suggest s = {.given = key};
    const char *last = strrchr(key, '.');
    for (int i = 0; i < ff_option_count; i++)
        ff_suggest_try(&s, ff_option_table[i].key);
    /* A right name in a wrong section. */
    struct ff_suggest t = {.given = last != NULL ? last + 1 : key};
    for (int i = 0; i < ff_option_count && s.best == NULL; i++)
        ff_suggest_try(&t, ff_option_table[i].key);
    const char *best = s.best != NULL ? s.best : t.best;
    return ff_fail(FF_EUSAGE, "%s:%d: unknown key '%s'%s%s%s", name, line, key, best ? "; did you mean '" : "",
                   best ? best : "; `fastfold config` prints all keys", best ? "'?" : "");
}

static ff_status apply_node(const struct ff_option_file *f, const struct ff_yaml *map, const char *prefix,
                            struct ff_config *config)
{
    for (int i = 0; i < map->count; i++) {
        const struct ff_yaml *n = &map->items[i];
        char key[MAX_KEY];
        int len = snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", n->key);
        if (len >= (int)sizeof key)
            return ff_fail(FF_EUSAGE, "%s:%d: this key is too long", f->name, n->line);
        if (strcmp(key, "base") == 0)
            continue;
        const struct ff_option *o = ff_option_table_find(key);
        if (o != NULL) {
            char *name = ff_xasprintf("%s:%d", f->name, n->line);
            struct ff_option_place place = {.name = name, .dir = f->dir};
            ff_status st = ff_option_set(o, n, &place, config);
            free(name);
            FF_TRY(st);
        } else if (!ff_option_table_is_section(key)) {
            return unknown_key(f->name, n->line, key);
        } else if (n->kind == FF_YAML_MAP) {
            FF_TRY(apply_node(f, n, key, config));
        } else if (n->kind != FF_YAML_SCALAR || !ff_yaml_is_null(n)) {
            return ff_fail(FF_EUSAGE, "%s:%d: %s is a section: expected 'key: value' lines below it, found %s%s%s",
                           f->name, n->line, key, n->kind == FF_YAML_LIST ? "a list" : "'",
                           n->kind == FF_YAML_LIST ? "" : n->text, n->kind == FF_YAML_LIST ? "" : "'");
        }
    }
    return FF_OK;
}

ff_status ff_option_file_apply(const struct ff_option_file *f, struct ff_config *config)
{
    if (f->base != NULL)
        FF_TRY(ff_option_file_apply(f->base, config));
    return apply_node(f, f->root, "", config);
}

const char *ff_option_file_model(const struct ff_option_file *f)
{
    const struct ff_yaml *name = ff_yaml_get(ff_yaml_get(f->root, "model"), "name");
    if (name == NULL)
        name = ff_yaml_get(f->root, "model.name");
    if (name != NULL && name->kind == FF_YAML_SCALAR)
        return name->text;
    if (f->base == NULL)
        return NULL;
    return f->base->preset != NULL && ff_option_file_is_model(f->base->preset) ? f->base->preset
                                                                               : ff_option_file_model(f->base);
}
