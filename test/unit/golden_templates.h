/* SPDX-License-Identifier: Apache-2.0
 * golden_templates: what template tests need around them: a folder of structures, kalign as the aligner, and the golden
 * cases of features/templates with their settings.
 */
#ifndef FF_TEST_UNIT_GOLDEN_TEMPLATES_H
#define FF_TEST_UNIT_GOLDEN_TEMPLATES_H

#include "unit/golden_features.h"

#include "base/subprocess.h"
#include "bio/align.h"
#include "bio/fasta.h"
#include "bio/hhr.h"
#include "bio/hmmsearch_hits.h"
#include "feature/template_features.h"
#include "format/yaml.h"

/* --- structures --- */

/* Links every structure that this machine has into dir. */
static inline void link_structures(const char *dir)
{
    static const char *const ids[] = {"1psm", "2crb", "2q2k", "3u8v", "3zee", "4i6p", "4zey", "5kc1", "9bad", "9syn"};
    static const char *const places[][2] = {{"mmcifs", ".cif.gz"}, {"mmcifs", ".cif"}, {"mmcifs_synthetic", ".cif"}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (int k = 0; k < 3; k++) {
            char *relative = ff_xasprintf("features/inputs/%s/%s%s", places[k][0], ids[i], places[k][1]);
            char *path = test_data_path(relative);
            free(relative);
            if (!path)
                continue;
            char *link = ff_xasprintf("%s/%s%s", dir, ids[i], places[k][1]);
            char *target = realpath(path, NULL);
            assert_non_null(target);
            assert_int_equal(symlink(target, link), 0);
            free(target);
            free(link);
            free(path);
            break;
        }
    }
}

static inline bool has_structure(const char *dir, const char *id)
{
    char *plain = ff_xasprintf("%s/%s.cif", dir, id), *packed = ff_xasprintf("%s/%s.cif.gz", dir, id);
    bool found = ff_file_exists(plain) || ff_file_exists(packed);
    free(plain);
    free(packed);
    return found;
}

/* --- kalign --- */

struct kalign {
    const char *dir;             /* for its files */
    int n_call;
    char *row_a, *row_b;         /* of the last call */
};

static inline bool have_kalign(void)
{
    char *path = ff_path_which("kalign");
    free(path);
    return path != NULL;
}

/* ff_template_aligner; user is a struct kalign. */
static inline ff_status run_kalign(void *user, const char *seq_a, const char *seq_b, char **ret_row_a, char **ret_row_b)
{
    struct kalign *k = user;
    char *in = ff_path_join(k->dir, "kalign_in.fasta"), *out = ff_path_join(k->dir, "kalign_out.fasta");
    char *text = ff_xasprintf(">sequence 1\n%s\n>sequence 2\n%s\n", seq_a, seq_b);
    struct ff_subprocess_result result = {0};
    const char *const argv[] = {"kalign", "-i", in, "-o", out, "-format", "fasta", NULL};
    size_t len;
    assert_ok(ff_file_write(in, text, strlen(text)));
    free(text);
    assert_ok(ff_subprocess_check(argv, NULL, NULL, NULL, &result));
    ff_subprocess_result_free(&result);
    assert_ok(ff_file_read(out, &text, &len));
    ff_status st = ff_align_parse_rows(out, text, len, ret_row_a, ret_row_b);
    if (st == FF_OK) {
        free(k->row_a);
        free(k->row_b);
        k->row_a = ff_xstrdup(*ret_row_a);
        k->row_b = ff_xstrdup(*ret_row_b);
        k->n_call++;
    }
    free(text);
    free(in);
    free(out);
    return st;
}

/* --- golden cases --- */

struct golden_templates {
    const char *name;            /* "fam_A" */
    struct ff_arrays arrays;     /* the published features */
    struct ff_yaml *json;
    char *query;
    struct ff_template_hits hits;
    struct ff_release_dates dates;
    struct ff_obsolete obsolete;
    struct ff_template_options opt;
};

static inline const struct ff_yaml *golden_get(const struct ff_yaml *map, const char *key)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    if (!n)
        fail_msg("golden file without %s", key);
    return n;
}

static inline int golden_int(const struct ff_yaml *map, const char *key)
{
    int64_t v;
    assert_true(ff_yaml_to_int(golden_get(map, key), &v));
    return (int)v;
}

/* Path of an input file named by the JSON under key; NULL when it names none. */
static inline char *golden_input(const struct ff_yaml *json, const char *key)
{
    const struct ff_yaml *n = golden_get(json, key);
    if (ff_yaml_is_null(n))
        return NULL;
    char *relative = ff_xasprintf("features/inputs/%s", n->text);
    char *path = test_data_path(relative);
    free(relative);
    assert_non_null(path);
    return path;
}

/* The hits that the golden case was made without: their structures are not here. */
static inline void golden_remove_hits(struct golden_templates *g)
{
    const struct ff_yaml *names = golden_get(g->json, "hits_removed_before_featurising");
    int n = 0;
    for (int i = 0; i < g->hits.count; i++) {
        bool removed = false;
        for (int k = 0; k < names->count; k++) {
            const char *name = names->items[k].text;
            removed = removed || strncmp(g->hits.items[i].name, name, strlen(name)) == 0;
        }
        if (removed)
            ff_template_hit_free(&g->hits.items[i]);
        else
            g->hits.items[n++] = g->hits.items[i];
    }
    g->hits.count = n;
}

/* False, and counted, when files are missing. mmcif_dir must outlive g. */
static inline bool golden_templates_open(const char *name, const char *mmcif_dir, const char *const *structures,
                                         struct golden_templates *g)
{
    *g = (struct golden_templates){.name = name};
    char *relative = ff_xasprintf("features/templates/%s.json", name);
    char *path = test_data_path(relative);
    free(relative);
    bool found = path != NULL;
    for (; found && *structures; structures++)
        found = has_structure(mmcif_dir, *structures);
    if (!found) {
        golden_n_skipped++;
        free(path);
        return false;
    }
    assert_ok(ff_yaml_load(path, &g->json));
    free(path);
    const char *dir = golden_get(g->json, "query_dir")->text, *file = golden_get(g->json, "hits_file")->text;
    relative = ff_xasprintf("features/inputs/%s/%s", dir, file);
    path = test_data_path(relative);
    free(relative);
    relative = ff_xasprintf("features/inputs/%s/query.fasta", dir);
    char *fasta_path = test_data_path(relative);
    free(relative);
    if (!path || !fasta_path || !golden_load("templates", name, &g->arrays)) {
        golden_n_skipped += !path || !fasta_path;
        ff_yaml_free(g->json);
        free(path);
        free(fasta_path);
        return false;
    }
    struct ff_fasta fasta;
    assert_ok(ff_fasta_load(fasta_path, false, &fasta));
    g->query = ff_xstrdup(fasta.records[0].sequence);
    ff_fasta_free(&fasta);
    free(fasta_path);

    g->opt = (struct ff_template_options){.mmcif_dir = mmcif_dir, .max_hits = golden_int(g->json, "max_hits")};
    if (strstr(file, ".hhr")) {
        g->opt.search = FF_TEMPLATES_HHSEARCH;
        assert_ok(ff_hhr_load(path, &g->hits));
    } else {
        g->opt.search = FF_TEMPLATES_HMMSEARCH;
        assert_ok(ff_hmmsearch_hits_load(path, g->query, &g->hits));
    }
    free(path);
    golden_remove_hits(g);
    const char *date = golden_get(g->json, "max_template_date")->text;
    assert_true(ff_template_date_parse(date, strlen(date), &g->opt.max_date));
    if ((path = golden_input(g->json, "release_dates_file"))) {
        assert_ok(ff_release_dates_load(path, &g->dates));
        g->opt.dates = &g->dates;
        free(path);
    }
    if ((path = golden_input(g->json, "obsolete_file"))) {
        assert_ok(ff_obsolete_load(path, &g->obsolete));
        g->opt.obsolete = &g->obsolete;
        free(path);
    }
    golden_n_done++;
    return true;
}

static inline void golden_templates_close(struct golden_templates *g)
{
    ff_arrays_free(&g->arrays);
    ff_yaml_free(g->json);
    free(g->query);
    ff_template_hits_free(&g->hits);
    ff_release_dates_free(&g->dates);
    ff_obsolete_free(&g->obsolete);
}

#endif
