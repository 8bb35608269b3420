/* SPDX-License-Identifier: Apache-2.0
 * test_options: presets, precedence, paths, error messages, and that what is printed reads back equal.
 */
#include "testing.h"

#include <unistd.h>

#include "app/builtin.h"
#include "app/option_file.h"
#include "app/option_table.h"
#include "app/options.h"
#include "app/suggest.h"
#include "base/strbuf.h"

enum { MAX_ARGS = 16 };

/* Parses the words given, up to NULL. */
static ff_status parse(struct ff_config *c, struct ff_command_line *l, const char *command, ...)
{
    char *argv[MAX_ARGS];
    int argc = 0;
    va_list ap;
    va_start(ap, command);
    for (char *a; argc < MAX_ARGS && (a = va_arg(ap, char *)) != NULL;)
        argv[argc++] = a;
    va_end(ap);
    ff_status st = ff_options_parse(argc, argv, command, c, l);
    ff_log_set_level(FF_LOG_INFO);
    return st;
}

static void release(struct ff_config *c, struct ff_command_line *l)
{
    ff_config_free(c);
    ff_command_line_free(l);
}

/* Writes text into dir/name and returns the path; caller frees. */
static char *write_file(const char *dir, const char *name, const char *text)
{
    char *path = ff_path_join(dir, name);
    assert_ok(ff_file_write(path, text, strlen(text)));
    return path;
}

/* The configuration file holds text; parsing it fails with a message holding "NAME:" and each of the words. */
static void expect_file_error(const char *text, const char *words, const char *more)
{
    char *dir = test_make_dir(), *path = write_file(dir, "bad.yaml", text);
    struct ff_config c;
    struct ff_command_line l;
    assert_fails(parse(&c, &l, "config", "--config", path, NULL), FF_EUSAGE, words);
    assert_non_null(strstr(ff_status_message(), path));
    if (strstr(ff_status_message(), more) == NULL)
        fail_msg("the message lacks \"%s\": %s", more, ff_status_message());
    free(path);
    test_remove_dir(dir);
}

/* --- presets -------------------------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "seq.fasta", NULL));
    assert_string_equal(c.model.name, "model_1_ptm");
    assert_int_equal(c.run.device, FF_DEVICE_AUTO);
    assert_int_equal(c.run.seed, 0);
    assert_null(c.run.params);
    assert_string_equal(c.tools.jackhmmer, "jackhmmer");
    assert_int_equal(c.databases.uniref90_max_hits, 10000);
    assert_int_equal(c.databases.mgnify_max_hits, 501);
    assert_true(c.search.enabled);
    assert_int_equal(c.model.evoformer.num_block, 48);
    assert_int_equal(l.n_operand, 1);
    assert_string_equal(l.operands[0], "seq.fasta");
    release(&c, &l);
}

struct preset {
    const char *name;
    int clusters, extra, templates;
    bool reduce, has_templates, ptm, multimer, fused;
    int recycles;
};

/* AlphaFold model/config.py: CONFIG, CONFIG_MULTIMER and their differences. */
static const struct preset published[] = {
    {"model_1", 512, 5120, 4, true, true, false, false, false, 3},
    {"model_2", 512, 1024, 4, true, true, false, false, false, 3},
    {"model_3", 512, 5120, 0, false, false, false, false, false, 3},
    {"model_4", 512, 5120, 0, false, false, false, false, false, 3},
    {"model_5", 512, 1024, 0, false, false, false, false, false, 3},
    {"model_1_ptm", 512, 5120, 4, true, true, true, false, false, 3},
    {"model_2_ptm", 512, 1024, 4, true, true, true, false, false, 3},
    {"model_3_ptm", 512, 5120, 0, false, false, true, false, false, 3},
    {"model_4_ptm", 512, 5120, 0, false, false, true, false, false, 3},
    {"model_5_ptm", 512, 1024, 0, false, false, true, false, false, 3},
    {"model_1_multimer_v3", 508, 2048, 4, false, true, true, true, true, 20},
    {"model_2_multimer_v3", 508, 2048, 4, false, true, true, true, true, 20},
    {"model_3_multimer_v3", 508, 2048, 4, false, true, true, true, true, 20},
    {"model_4_multimer_v3", 508, 1152, 4, false, true, true, true, true, 20},
    {"model_5_multimer_v3", 508, 1152, 4, false, true, true, true, true, 20},
    {"model_1_multimer", 252, 1152, 4, false, true, true, true, false, 20},
    {"model_5_multimer", 252, 1152, 4, false, true, true, true, false, 20},
    {"model_1_multimer_v2", 252, 1152, 4, false, true, true, true, false, 20},
    {"model_3_multimer_v2", 252, 1152, 4, false, true, true, true, false, 20},
};

static void test_published_presets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct preset *p = &published[i];
        struct ff_config c;
        struct ff_command_line l;
        assert_ok(parse(&c, &l, "predict", "--model", p->name, NULL));
        const struct ff_model_config *m = &c.model;
        assert_string_equal(m->name, p->name);
        assert_int_equal(c.msa.max_clusters, p->clusters);
        assert_int_equal(c.msa.max_extra, p->extra);
        assert_int_equal(c.msa.max_templates, p->templates);
        assert_int_equal(c.msa.reduce_clusters_by_max_templates, p->reduce);
        assert_int_equal(m->templates.enabled, p->has_templates);
        assert_int_equal(m->templates.embed_torsion_angles, p->has_templates);
        assert_int_equal(m->heads.predicted_aligned_error, p->ptm);
        assert_int_equal(m->multimer, p->multimer);
        assert_int_equal(m->evoformer.fuse_projection_weights, p->fused);
        assert_int_equal(m->extra_msa_stack.fuse_projection_weights, p->fused);
        assert_int_equal(m->templates.stack.fuse_projection_weights, p->fused);
        assert_int_equal(m->evoformer.outer_product_mean_first, p->multimer);
        assert_int_equal(m->extra_msa_stack.outer_product_mean_first, p->multimer);
        assert_int_equal(m->num_recycle, p->recycles);
        assert_int_equal(m->target_feat_dim, p->multimer ? 21 : 22);
        assert_int_equal(m->heads.masked_msa_num_output, p->multimer ? 22 : 23);
        assert_true(m->structure.position_scale == (p->multimer ? 20.0f : 10.0f));
        assert_true(m->recycle_early_stop_tolerance == (p->multimer ? 0.5f : -1.0f));
        assert_int_equal(m->num_ensemble, 1);
        release(&c, &l);
    }
}

/* A key that no built-in file sets would silently be zero. */
static void test_every_key_has_a_default(void **state)
{
    (void)state;
    static const char *const bases[] = {"monomer", "multimer"};
    for (size_t b = 0; b < 2; b++) {
        struct ff_strbuf seen = {0};
        for (int i = 0; i < ff_builtin_config_count; i++) {
            const char *name = ff_builtin_configs[i].name;
            if (strcmp(name, "default") != 0 && strcmp(name, bases[b]) != 0)
                continue;
            struct ff_yaml *root;
            assert_ok(ff_yaml_parse(name, ff_builtin_configs[i].text, strlen(ff_builtin_configs[i].text), &root));
            for (int k = 0; k < ff_option_count; k++) {
                const struct ff_yaml *n = root;
                char part[64];
                const char *key = ff_option_table[k].key;
                while (n != NULL && *key != '\0') {
                    size_t len = strcspn(key, ".");
                    assert_true(len < sizeof part);
                    memcpy(part, key, len);
                    part[len] = '\0';
                    n = ff_yaml_get(n, part);
                    key += len + (key[len] == '.');
                }
                if (n != NULL)
                    ff_strbuf_printf(&seen, " %s ", ff_option_table[k].key);
            }
            ff_yaml_free(root);
        }
        for (int k = 0; k < ff_option_count; k++) {
            char word[128];
            snprintf(word, sizeof word, " %s ", ff_option_table[k].key);
            if (strstr(ff_strbuf_cstr(&seen), word) == NULL)
                fail_msg("%s has no default in default.yaml or %s.yaml", ff_option_table[k].key, bases[b]);
        }
        ff_strbuf_free(&seen);
    }
}

static void test_demo_preset_as_name_and_as_file(void **state)
{
    (void)state;
    struct ff_config a, b;
    struct ff_command_line l, m;
    struct ff_strbuf ya = {0}, yb = {0};
    assert_ok(parse(&a, &l, "predict", "--model", "demo", NULL));
    assert_ok(parse(&b, &m, "predict", "--config", "configs/demo.yaml", NULL));
    assert_string_equal(a.model.name, "demo");
    assert_int_equal(a.model.msa_channel, 64);
    assert_int_equal(a.model.seq_channel, 128);
    assert_int_equal(a.model.evoformer.num_block, 4);
    assert_int_equal(a.model.extra_msa_stack.num_block, 1);
    assert_true(a.model.heads.predicted_aligned_error);
    assert_int_equal(a.msa.max_clusters, 128);
    assert_int_equal(a.msa.max_extra, 256);
    assert_non_null(strstr(a.params_note, "PARAMS_DEMO.md"));
    assert_non_null(strstr(a.params_note, "download_params.sh"));
    assert_true(ff_file_exists(a.run.params));
    assert_true(ff_file_exists(a.databases.uniref90));
    ff_options_to_yaml(&a, &ya);
    ff_options_to_yaml(&b, &yb);
    assert_string_equal(ff_strbuf_cstr(&ya), ff_strbuf_cstr(&yb));
    ff_strbuf_free(&ya);
    ff_strbuf_free(&yb);
    release(&a, &l);
    release(&b, &m);
}

static void test_casp14_overlay(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "--model", "model_2", "--config", "monomer_casp14", NULL));
    assert_int_equal(c.model.num_ensemble, 8);
    assert_string_equal(c.model.name, "model_2");
    release(&c, &l);
}

/* --- precedence ----------------------------------------------------------------------------------------------- */

static void test_later_wins(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *one = write_file(dir, "one.yaml", "model:\n  num_recycle: 5\n  num_ensemble: 2\nrun: {seed: 7}\n");
    char *two = write_file(dir, "two.yaml", "model.num_recycle: 6\nmodel: {name: model_3}\n");
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "--config", one, "--recycles", "9", "--config", two, NULL));
    assert_int_equal(c.model.num_recycle, 9);
    assert_int_equal(c.model.num_ensemble, 2);
    assert_int_equal(c.run.seed, 7);
    assert_string_equal(c.model.name, "model_3");
    assert_int_equal(c.msa.max_templates, 0); /* of model_3 */
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--config", two, "--config", one, NULL));
    assert_int_equal(c.model.num_recycle, 5);
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--config", two, "--model", "model_2_ptm", "--recycles=1", "--set",
                    "model.num_recycle=2", "--no-msa", "--no-early-stop", NULL));
    assert_string_equal(c.model.name, "model_2_ptm");
    assert_int_equal(c.model.num_recycle, 2);
    assert_int_equal(c.msa.max_templates, 4);
    assert_false(c.search.enabled);
    assert_true(c.model.recycle_early_stop_tolerance == -1.0f);
    release(&c, &l);
    free(one);
    free(two);
    test_remove_dir(dir);
}

static void test_own_network(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *base = write_file(dir, "small.yaml", "base: model_5\nmodel:\n  name: small\n  evoformer: {num_block: 2}\n");
    char *top = write_file(dir, "top.yaml", "base: ./small.yaml\nmodel: {num_recycle: 0}\n");
    char *unnamed = write_file(dir, "unnamed.yaml", "base: model_4\nmodel: {num_recycle: 1}\n");
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "--config", top, NULL));
    assert_string_equal(c.model.name, "small");
    assert_int_equal(c.model.evoformer.num_block, 2);
    assert_int_equal(c.model.num_recycle, 0);
    assert_int_equal(c.msa.max_extra, 1024); /* of model_5, not of the default model_1_ptm */
    assert_false(c.model.heads.predicted_aligned_error);
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--config", unnamed, NULL));
    assert_string_equal(c.model.name, "model_4");
    assert_int_equal(c.msa.max_extra, 5120);
    release(&c, &l);
    assert_fails(parse(&c, &l, "predict", "--config", top, "--model", "model_1", NULL), FF_EUSAGE, "'small'");
    assert_ok(parse(&c, &l, "predict", "--config", top, "--model", "small", NULL));
    release(&c, &l);
    free(base);
    free(top);
    free(unnamed);
    test_remove_dir(dir);
}

static void test_base_that_names_itself(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *loop = write_file(dir, "loop.yaml", "base: ./loop.yaml\n");
    struct ff_config c;
    struct ff_command_line l;
    assert_fails(parse(&c, &l, "config", "--config", loop, NULL), FF_EUSAGE, "itself");
    free(loop);
    test_remove_dir(dir);
}

/* --- values --------------------------------------------------------------------------------------------------- */

static void test_paths_start_at_the_file(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = write_file(dir, "site.yaml",
                            "run: {params: weights/p.npz, dump: d.npz}\n"
                            "databases: {mgnify: /db/m.fa}\ntools: {jackhmmer: bin/jackhmmer, kalign: kalign3}\n"
                            "output: {dir: results}\n");
    char *params = ff_path_join(dir, "weights/p.npz"), *tool = ff_path_join(dir, "bin/jackhmmer");
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "--config", path, NULL));
    assert_string_equal(c.run.params, params);
    assert_string_equal(c.tools.jackhmmer, tool);
    assert_string_equal(c.tools.kalign, "kalign3");
    assert_string_equal(c.databases.mgnify, "/db/m.fa");
    assert_string_equal(c.output.dir, "results");
    assert_string_equal(c.run.dump, "d.npz");
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--config", path, "--params", "synthetic", "--set", "databases.mgnify=null",
                    NULL));
    assert_string_equal(c.run.params, "synthetic");
    assert_null(c.databases.mgnify);
    release(&c, &l);
    free(params);
    free(tool);
    free(path);
    test_remove_dir(dir);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {
        {"8GiB", 8LL << 30}, {"8G", 8LL << 30}, {"1.5KiB", 1536}, {"500MB", 500000000}, {"12345", 12345},
        {"2TiB", 2LL << 40}, {"3 mib", 3 << 20}, {"0", 0},
    };
    struct ff_config c;
    struct ff_command_line l;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_ok(parse(&c, &l, "plan", "--memory-limit", sizes[i].text, NULL));
        assert_true(c.run.memory_limit == sizes[i].bytes);
        release(&c, &l);
    }
    assert_fails(parse(&c, &l, "plan", "--memory-limit", "8XB", NULL), FF_EUSAGE, "'8XB'");
    assert_fails(parse(&c, &l, "plan", "--memory-limit", "-1", NULL), FF_EUSAGE, "8GiB");
    assert_fails(parse(&c, &l, "plan", "--memory-limit", "99999999TiB", NULL), FF_EUSAGE, "8GiB");
}

static void test_data_dir(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "--data-dir", "/data", "--set", "databases.mgnify=/own/m.fa", NULL));
    assert_string_equal(c.databases.uniref90, "/data/uniref90/uniref90.fasta");
    assert_string_equal(c.databases.mgnify, "/own/m.fa");
    assert_string_equal(c.databases.uniref30, "/data/uniref30/UniRef30_2021_03");
    assert_string_equal(c.databases.pdb70, "/data/pdb70/pdb70");
    assert_string_equal(c.run.params, "/data/params");
    assert_null(c.databases.small_bfd);
    assert_null(c.databases.uniprot);
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--data-dir", "/data", "--db-preset", "reduced_dbs", "--model",
                    "model_1_multimer_v3", "--params", "p.npz", NULL));
    assert_null(c.databases.bfd);
    assert_string_equal(c.databases.small_bfd, "/data/small_bfd/bfd-first_non_consensus_sequences.fasta");
    assert_string_equal(c.databases.uniprot, "/data/uniprot/uniprot.fasta");
    assert_null(c.databases.pdb70);
    assert_string_equal(c.run.params, "p.npz");
    release(&c, &l);
}

/* --- errors --------------------------------------------------------------------------------------------------- */

static void test_file_errors(void **state)
{
    (void)state;
    expect_file_error("model:\n  num_recycles: 3\n", "bad.yaml:2: unknown key 'model.num_recycles'",
                      "did you mean 'model.num_recycle'?");
    expect_file_error("num_recycle: 3\n", "bad.yaml:1: unknown key 'num_recycle'", "'model.num_recycle'");
    expect_file_error("run:\n  # why\n  seed: many\n", "bad.yaml:3: run.seed: found 'many'", "an integer from 0");
    expect_file_error("run:\n  seed: \"1\"\n", "bad.yaml:2: run.seed: found '1'", "expected an integer");
    expect_file_error("run: {device: gpu}\n", "bad.yaml:1: run.device: found 'gpu'", "one of auto, cpu, cuda");
    expect_file_error("run: {device: cude}\n", "run.device: found 'cude'", "did you mean 'cuda'?");
    expect_file_error("run: {device: gpu}\n", "run.device: found 'gpu'", "expected one of auto, cpu, cuda");
    assert_null(strstr(ff_status_message(), "did you mean"));
    expect_file_error("search: {enabled: maybe}\n", "search.enabled: found 'maybe'", "true or false");
    expect_file_error("msa: {mask_fraction: 1.5}\n", "msa.mask_fraction: found '1.5'", "from 0 to 1");
    expect_file_error("msa: {mask_fraction: .nan}\n", "msa.mask_fraction", "from 0 to 1");
    expect_file_error("model:\n  num_recycle: 2.5\n", "bad.yaml:2: model.num_recycle: found '2.5'", "an integer");
    expect_file_error("model:\n  num_recycle: [1]\n", "model.num_recycle: found a list", "an integer");
    expect_file_error("\nmodel: demo\n", "bad.yaml:2: model is a section", "'demo'");
    expect_file_error("run: [a]\n", "run is a section", "a list");
    expect_file_error("- a\n", "bad.yaml:1", "key: value");
    expect_file_error("run: {seed: 1}\nrun: {seed: 2}\n", "bad.yaml:2", "twice");
    expect_file_error("model: {name: model_6_ptm}\n", "unknown model 'model_6_ptm'", "model_1_multimer_v3");
    expect_file_error("model: {name: ../x}\n", "model.name: found '../x'", "letters, digits");
    expect_file_error("tools: {kalign: ''}\n", "tools.kalign: found ''", "a program");
    expect_file_error("base: [a]\n", "bad.yaml:1: base", "preset");
    expect_file_error("run: {memory_limit: lots}\n", "run.memory_limit: found 'lots'", "8GiB");
    expect_file_error("a: &x 1\n", "bad.yaml:1", "anchors");
}

static void test_command_line_errors(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    assert_fails(parse(&c, &l, "predict", "--recycle", "3", NULL), FF_EUSAGE, "did you mean '--recycles'?");
    assert_fails(parse(&c, &l, "predict", "--recycles", "x", NULL), FF_EUSAGE,
                 "--recycles: model.num_recycle: found 'x'");
    assert_fails(parse(&c, &l, "predict", "--recycles", NULL), FF_EUSAGE, "expected a value");
    assert_fails(parse(&c, &l, "predict", "--recycles=-1", NULL), FF_EUSAGE, "from 0 to 1000");
    assert_fails(parse(&c, &l, "predict", "--set", "model.num_recyle=1", NULL), FF_EUSAGE, "'model.num_recycle'");
    assert_fails(parse(&c, &l, "predict", "--set", "model.num_recycle", NULL), FF_EUSAGE, "KEY=VALUE");
    assert_fails(parse(&c, &l, "predict", "--set", "model=1", NULL), FF_EUSAGE, "is a section");
    assert_fails(parse(&c, &l, "predict", "--overwrite=perhaps", NULL), FF_EUSAGE, "true or false");
    assert_fails(parse(&c, &l, "predict", "--no-msa=1", NULL), FF_EUSAGE, "takes no value");
    assert_fails(parse(&c, &l, "predict", "--model", "model_1_pmt", NULL), FF_EUSAGE, "did you mean 'model_1_ptm'?");
    assert_fails(parse(&c, &l, "predict", "--model", "monomer", NULL), FF_EUSAGE, "unknown model 'monomer'");
    assert_fails(parse(&c, &l, "predict", "--config", "/nowhere/x.yaml", NULL), FF_EMISSING, "/nowhere/x.yaml");
    assert_fails(parse(&c, &l, "predict", "--config", "dem", NULL), FF_EMISSING, "did you mean 'demo'?");
    assert_fails(parse(&c, &l, "bench", "--data-dir", "d", NULL), FF_EUSAGE, "not an option of fastfold bench");
    assert_fails(parse(&c, &l, "compare", "--seed", "1", NULL), FF_EUSAGE, "not an option of fastfold compare");
    assert_fails(parse(&c, &l, "predict", "--set", "msa.profile_prob=0.9", NULL), FF_EUSAGE, "sum");
    assert_fails(parse(&c, &l, "predict", "--set", "model.name=model_7", NULL), FF_EUSAGE, "--set: unknown model");
    assert_fails(parse(&c, &l, "predict", "--max-msa-clusters", "4", NULL), FF_EUSAGE, "no room");
}

static void test_operands_and_double_dash(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    assert_ok(parse(&c, &l, "predict", "a.fasta", "-o", "out", "-q", "--", "--b.fasta", "-", NULL));
    assert_int_equal(l.n_operand, 3);
    assert_string_equal(l.operands[1], "--b.fasta");
    assert_string_equal(l.operands[2], "-");
    assert_string_equal(c.output.dir, "out");
    assert_int_equal(c.run.verbosity, FF_LOG_WARNING);
    release(&c, &l);
    assert_ok(parse(&c, &l, "predict", "--msa", "x.a3m", "--models=monomer", "--no-overwrite", NULL));
    assert_string_equal(l.msa, "x.a3m");
    assert_string_equal(l.models, "monomer");
    assert_false(c.output.overwrite);
    release(&c, &l);
    assert_fails(parse(&c, &l, "predict", "--features=f.npz", "--msa", "x.a3m", NULL), FF_EUSAGE, "exclude each other");
    assert_fails(parse(&c, &l, "predict", "--no-msa", "--msa", "x.a3m", NULL), FF_EUSAGE, "--msa and --no-msa");
    assert_fails(parse(&c, &l, "search", "--msa", "x.a3m", NULL), FF_EUSAGE, "not an option of fastfold search");
    assert_ok(parse(&c, &l, "predict", "-h", "--nonsense", NULL));
    assert_true(l.help);
    release(&c, &l);
}

/* --- printing ------------------------------------------------------------------------------------------------- */

/* to_yaml(parse(to_yaml(c))) == to_yaml(c) */
static void expect_round_trip(const struct ff_config *c)
{
    struct ff_strbuf first = {0}, second = {0};
    char *dir = test_make_dir();
    ff_options_to_yaml(c, &first);
    char *path = write_file(dir, "printed.yaml", ff_strbuf_cstr(&first));
    struct ff_config again;
    struct ff_command_line l;
    assert_ok(parse(&again, &l, "config", "--config", path, NULL));
    ff_options_to_yaml(&again, &second);
    assert_string_equal(ff_strbuf_cstr(&first), ff_strbuf_cstr(&second));
    release(&again, &l);
    ff_strbuf_free(&first);
    ff_strbuf_free(&second);
    free(path);
    test_remove_dir(dir);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line l;
    const char *name;
    for (int i = 0; (name = ff_option_file_model_name(i)) != NULL; i++) {
        assert_ok(parse(&c, &l, "config", "--model", name, NULL));
        expect_round_trip(&c);
        release(&c, &l);
    }
    assert_ok(parse(&c, &l, "config", "--params", "odd \"name\"\\ # : \xc3\xa9\t.npz", "--set", "params_note=null",
                    "--set", "msa.mask_fraction=0.1234567", "--set", "model.structure.position_scale=1e-3",
                    "--memory-limit", "1.7GB", "--set", "search.tmp_dir=null", "--seed", "9007199254740991", NULL));
    assert_non_null(strstr(c.run.params, "odd \"name\""));
    expect_round_trip(&c);
    release(&c, &l);

    char *dir = test_make_dir(), *own = write_file(dir, "own.yaml", "base: model_1_multimer\nmodel: {name: mine}\n");
    assert_ok(parse(&c, &l, "config", "--config", own, NULL));
    expect_round_trip(&c);
    release(&c, &l);
    free(own);
    test_remove_dir(dir);
}

/* Every flag that a command takes stands in its help, with the default. */
static void test_help(void **state)
{
    (void)state;
    struct ff_strbuf out = {0};
    ff_options_print_help("predict", &out);
    const char *help = ff_strbuf_cstr(&out);
    for (int i = 0; i < ff_option_count; i++)
        if (ff_option_table[i].flag != NULL)
            assert_non_null(strstr(help, ff_option_table[i].flag));
    for (int i = 0; i < ff_option_switch_count; i++)
        assert_non_null(strstr(help, ff_option_switches[i].flag));
    assert_non_null(strstr(help, "--features FILE.npz"));
    assert_non_null(strstr(help, "--set KEY=VALUE"));
    assert_non_null(strstr(help, "[model_1_ptm]"));
    assert_null(strstr(help, "\n  --list"));
    for (const char *line = help; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_true(end == NULL || end - line <= 100);
        line = end != NULL ? end + 1 : NULL;
    }
    ff_strbuf_clear(&out);
    ff_options_print_help("compare", &out);
    assert_null(strstr(ff_strbuf_cstr(&out), "--seed"));
    ff_strbuf_free(&out);
}

/* Rows of one section stand together, flags and keys are unique: what to_yaml and the look-up count on. */
static void test_table_is_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < ff_option_count; i++) {
        const struct ff_option *o = &ff_option_table[i];
        assert_ptr_equal(ff_option_table_find(o->key), o);
        if (o->flag != NULL)
            assert_ptr_equal(ff_option_table_flag(o->flag), o);
        assert_non_null(o->help);
        assert_false(ff_option_table_is_section(o->key));
        for (const char *dot = strchr(o->key, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            size_t n = (size_t)(dot - o->key) + 1;
            bool left = false; /* whether a row between two of this section belongs to another */
            for (int k = i + 1; k < ff_option_count; k++) {
                bool inside = strncmp(ff_option_table[k].key, o->key, n) == 0;
                if (inside && left)
                    fail_msg("%s: its section is interrupted before %s", o->key, ff_option_table[k].key);
                left |= !inside;
            }
        }
    }
    for (int i = 0; i < ff_option_switch_count; i++)
        assert_non_null(ff_option_table_find(ff_option_switches[i].key));
}

static void test_suggest(void **state)
{
    (void)state;
    assert_int_equal(ff_suggest_distance("", ""), 0);
    assert_int_equal(ff_suggest_distance("abc", ""), 3);
    assert_int_equal(ff_suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(ff_suggest_distance("ptm", "pmt"), 1);
    struct ff_suggest s = {.given = "zzzzzz"};
    ff_suggest_try(&s, "model");
    assert_null(s.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_published_presets),
        cmocka_unit_test(test_every_key_has_a_default),
        cmocka_unit_test(test_demo_preset_as_name_and_as_file),
        cmocka_unit_test(test_casp14_overlay),
        cmocka_unit_test(test_later_wins),
        cmocka_unit_test(test_own_network),
        cmocka_unit_test(test_base_that_names_itself),
        cmocka_unit_test(test_paths_start_at_the_file),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_data_dir),
        cmocka_unit_test(test_file_errors),
        cmocka_unit_test(test_command_line_errors),
        cmocka_unit_test(test_operands_and_double_dash),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_table_is_in_order),
        cmocka_unit_test(test_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
