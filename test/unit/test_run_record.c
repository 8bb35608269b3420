/* SPDX-License-Identifier: Apache-2.0
 * run.json: what is written is read back, damaged records are refused; keys change with what changes results alone.
 */
#include "app/run_record.h"

#include "app/run_key.h"
#include "base/file.h"
#include "format/npz.h"
#include "format/yaml.h"
#include "unit/testing.h"

static struct ff_search_record a_search(void)
{
    return (struct ff_search_record){
        .name = ff_xstrdup("uniref90"),
        .file = ff_xstrdup("uniref90_hits.sto"),
        .database = ff_xstrdup("/data/my \"db\".fasta"),
        .database_bytes = 123456789012,
        .program = ff_xstrdup("/usr/bin/jackhmmer"),
        .version = ff_xstrdup("HMMER 3.3.2 (Nov 2020); http://hmmer.org/"),
        .command = ff_xstrdup("jackhmmer -N 1 'a b' c"),
        .max_rows = 10000,
        .rows = 321,
        .seconds = 0.25,
        .peak_bytes = 4096,
    };
}

static void a_record(struct ff_run_record *r)
{
    *r = (struct ff_run_record){
        .stage = FF_STAGE_PREDICT,
        .version = ff_xstrdup("0.1.0"),
        .command = ff_xstrdup("fastfold predict \"x y\".fasta"),
        .target = ff_xstrdup("x"),
        .description = ff_xstrdup("x: a # \\ strange 'header' \xc3\xa9"),
        .sequence_sha256 = ff_xstrdup("0123"),
        .n_res = 59,
        .features_key = ff_xstrdup("12345678901234567890"),
        .prediction_key = ff_xstrdup("1e10"),
        .backend = ff_xstrdup("cpu"),
        .precision = ff_xstrdup("fp32"),
        .configuration = ff_xstrdup("run: {seed: 3, params: null, note: 'true'}\nmsa: {mask_fraction: 0.15}\n"),
    };
    r->searches = FF_NEW(struct ff_search_record);
    r->searches[r->n_search++] = a_search();
    ff_run_record_add_input(r, "sequence", "x y.fasta", "ab");
    ff_run_record_add_timing(r, "features", 1.5);
    static const char *const names[] = {"model_1_ptm_pred_0", "model_1_ptm_pred_1"};
    for (int i = 0; i < 2; i++) {
        struct ff_run_prediction *p = ff_run_record_add_prediction(r);
        p->name = ff_xstrdup(names[i]);
        p->key = ff_xstrdup(i == 0 ? "aa" : "1e5");
        p->model = ff_xstrdup("model_1_ptm");
        p->seed = 9007199254740990 + i;
        p->mean_plddt = p->ranking_confidence = 90.5 + i;
        p->ptm = 0.75;
        p->predict_seconds = 2.5;
        p->chunk_bytes = 1 << 20;
        p->passes = FF_NEW(struct ff_pass_report);
        p->passes[p->n_pass++] = (struct ff_pass_report){.seconds = 1, .mean_plddt = 91.5f, .ptm = 0.75f, .iptm = NAN,
                                                         .distance_change = NAN};
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "run.json"), *file = ff_path_join(dir, "ranked_0.pdb");
    struct ff_run_record r, back;
    a_record(&r);
    assert_ok(ff_file_write(file, "12345", 5));
    ff_run_record_add_file(&r, dir, "ranked_0.pdb");
    assert_ok(ff_run_record_write(&r, path));
    assert_ok(ff_run_record_read(path, &back));

    assert_int_equal(back.stage, FF_STAGE_PREDICT);
    assert_string_equal(back.command, r.command);
    assert_string_equal(back.description, r.description);
    assert_string_equal(back.features_key, r.features_key);
    assert_string_equal(back.prediction_key, r.prediction_key);
    assert_int_equal(back.n_res, 59);
    assert_int_equal(back.n_prediction, 2);
    const struct ff_run_prediction *p = &back.predictions[1];
    assert_string_equal(p->name, "model_1_ptm_pred_1");
    assert_string_equal(p->key, "1e5");
    assert_string_equal(p->model, "model_1_ptm");
    assert_true(p->seed == 9007199254740991 && p->chunk_bytes == 1 << 20);
    assert_true(p->mean_plddt == 91.5 && p->ptm == 0.75 && isnan(p->iptm) && p->predict_seconds == 2.5);
    assert_int_equal(p->n_pass, 1);
    assert_true(p->passes[0].mean_plddt == 91.5f && isnan(p->passes[0].distance_change));
    assert_ptr_equal(ff_run_record_best(&back), p);
    assert_int_equal(back.n_input, 1);
    assert_string_equal(back.inputs[0].path, "x y.fasta");
    assert_int_equal(back.n_search, 1);
    const struct ff_search_record *a = &r.searches[0], *b = &back.searches[0];
    assert_string_equal(b->name, a->name);
    assert_string_equal(b->file, a->file);
    assert_string_equal(b->database, a->database);
    assert_true(b->database_bytes == a->database_bytes);
    assert_string_equal(b->program, a->program);
    assert_string_equal(b->version, a->version);
    assert_string_equal(b->command, a->command);
    assert_int_equal(b->max_rows, a->max_rows);
    assert_int_equal(b->rows, a->rows);
    assert_true(b->seconds == a->seconds && b->peak_bytes == a->peak_bytes);
    assert_int_equal(back.n_file, 1);
    assert_string_equal(back.files[0].name, "ranked_0.pdb");
    assert_int_equal(back.files[0].bytes, 5);
    ff_run_record_free(&r);
    ff_run_record_free(&back);
    free(file);
    free(path);
    test_remove_dir(dir);
}

/* What only people read: types of the configuration, missing numbers left out. */
static void test_text(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "run.json"), *text;
    struct ff_run_record r;
    a_record(&r);
    assert_ok(ff_run_record_write(&r, path));
    size_t len;
    assert_ok(ff_file_read(path, &text, &len));
    struct ff_yaml *root;
    assert_ok(ff_yaml_parse(path, text, len, &root));
    const struct ff_yaml *run = ff_yaml_get(ff_yaml_get(root, "configuration"), "run");
    int64_t seed;
    assert_true(ff_yaml_to_int(ff_yaml_get(run, "seed"), &seed) && seed == 3);
    assert_true(ff_yaml_is_null(ff_yaml_get(run, "params")));
    assert_true(ff_yaml_get(run, "note")->quoted);
    assert_true(ff_yaml_to_int(ff_yaml_get(root, "seed"), &seed) && seed == 9007199254740991);
    assert_null(ff_yaml_get(root, "iptm"));
    assert_null(strstr(text, "distance_change"));
    assert_null(strstr(text, "nan"));
    ff_yaml_free(root);
    free(text);
    free(path);
    ff_run_record_free(&r);
    test_remove_dir(dir);
}

/* An unfinished run's predictions go on in the next one, with their files. */
static void test_take_prediction(void **state)
{
    (void)state;
    static const char *const names[] = {"unrelaxed_model_1_ptm_pred_0.pdb", "result_model_1_ptm_pred_1.npz",
                                        "features.npz"};
    char *dir = test_make_dir();
    struct ff_run_record old, r = {0};
    a_record(&old);
    for (int i = 0; i < 3; i++) {
        char *path = ff_path_join(dir, names[i]);
        assert_ok(ff_file_write(path, "12345", 5));
        ff_run_record_add_file(&old, dir, names[i]);
        free(path);
    }
    assert_false(ff_run_record_take_prediction(&r, &old, "model_1_ptm_pred_0", "1e5", dir)); /* another key */
    assert_false(ff_run_record_take_prediction(&r, &old, "model_1_ptm_pred_2", "aa", dir));
    assert_null(ff_run_record_best(&r));
    assert_true(ff_run_record_take_prediction(&r, &old, "model_1_ptm_pred_0", "aa", dir));
    assert_int_equal(r.n_prediction, 1);
    assert_true(r.predictions[0].mean_plddt == 90.5);
    assert_int_equal(r.n_file, 1);
    assert_string_equal(r.files[0].name, names[0]);
    char *path = ff_path_join(dir, names[1]);
    assert_ok(ff_file_write(path, "1234", 4));
    assert_false(ff_run_record_take_prediction(&r, &old, "model_1_ptm_pred_1", "1e5", dir)); /* a file was cut */
    free(path);
    ff_run_record_free(&r);
    ff_run_record_free(&old);
    test_remove_dir(dir);
}

static void test_files_present(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "a");
    struct ff_run_record r = {0};
    assert_true(ff_run_record_files_present(&r, dir));
    assert_ok(ff_file_write(path, "123", 3));
    ff_run_record_add_file(&r, dir, "a");
    assert_true(ff_run_record_files_present(&r, dir));
    assert_ok(ff_file_write(path, "1234", 4));
    assert_false(ff_run_record_files_present(&r, dir));
    ff_run_record_add_file(&r, dir, "a");
    assert_int_equal(r.n_file, 1);
    assert_true(ff_run_record_files_present(&r, dir));
    assert_ok(ff_remove_tree(path));
    assert_false(ff_run_record_files_present(&r, dir));
    ff_run_record_free(&r);
    free(path);
    test_remove_dir(dir);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "[]", "3", "{\"program\": \"other\", \"stage\": \"predict\"}", "{\"program\": \"fastfold\"}",
        "{\"program\": \"fastfold\", \"stage\": \"none\"}", "{\"program\": \"fastfold\", \"stage\": [1]}",
        "\x89PNG\r\n"};
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "run.json");
    struct ff_run_record r;
    assert_fails(ff_run_record_read(path, &r), FF_EMISSING, "run.json");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_ok(ff_file_write(path, texts[i], strlen(texts[i])));
        assert_fails(ff_run_record_read(path, &r), FF_EINPUT, "run.json");
    }
    /* Odd types inside a record are as good as missing. */
    static const char odd[] = "{\"program\": \"fastfold\", \"stage\": \"search\", \"files\": [1],"
                              " \"searches\": [3, {}], \"inputs\": {\"a\": 1}, \"features_key\": {},"
                              " \"mean_plddt\": \"x\"}";
    assert_ok(ff_file_write(path, odd, strlen(odd)));
    assert_ok(ff_run_record_read(path, &r));
    assert_int_equal(r.stage, FF_STAGE_SEARCH);
    assert_null(r.features_key);
    assert_int_equal(r.n_search, 2);
    assert_null(r.searches[0].file);
    assert_int_equal(r.n_file, 0);
    assert_int_equal(r.n_prediction, 0);
    ff_run_record_free(&r);
    free(path);
    test_remove_dir(dir);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

static void prediction_key(struct ff_config *c, char ret[FF_KEY_SIZE])
{
    ff_run_key_prediction("features", c, "params", FF_PRECISION_FP32, ret);
}

static void test_prediction_key(void **state)
{
    (void)state;
    struct ff_config c;
    struct ff_command_line line;
    char *argv[] = {"--model", "model_1_ptm"};
    char first[FF_KEY_SIZE], key[FF_KEY_SIZE];
    assert_ok(ff_options_parse(2, argv, "predict", &c, &line));
    prediction_key(&c, first);

    /* What cannot change a result. */
    c.run.threads = 3;
    c.run.memory_limit = 1 << 30;
    c.output.overwrite = true;
    c.search.cpus = 1;
    prediction_key(&c, key);
    assert_string_equal(key, first);
    /* What can. */
    c.run.seed++;
    prediction_key(&c, key);
    assert_string_not_equal(key, first);
    c.run.seed--;
    c.model.num_recycle++;
    prediction_key(&c, key);
    assert_string_not_equal(key, first);
    c.model.num_recycle--;
    c.msa.max_extra++;
    prediction_key(&c, key);
    assert_string_not_equal(key, first);
    c.msa.max_extra--;
    prediction_key(&c, key);
    assert_string_equal(key, first);
    ff_run_key_prediction("features", &c, "params", FF_PRECISION_BF16, key);
    assert_string_not_equal(key, first);
    ff_run_key_prediction("others", &c, "params", FF_PRECISION_FP32, key);
    assert_string_not_equal(key, first);
    ff_run_key_prediction("features", &c, "others", FF_PRECISION_FP32, key);
    assert_string_not_equal(key, first);
    ff_config_free(&c);
    ff_command_line_free(&line);
}

static void test_features_key(void **state)
{
    (void)state;
    struct ff_config c = {.databases = {.preset = FF_DB_REDUCED, .uniref90 = "data/demo/proteins.fasta",
                                        .uniref90_max_hits = 100}};
    struct ff_searches *searches;
    char alone[FF_KEY_SIZE], msa[FF_KEY_SIZE], searched[FF_KEY_SIZE], key[FF_KEY_SIZE];
    ff_searches_open(&c, &searches);
    ff_run_key_features("ACD", false, NULL, NULL, alone);
    ff_run_key_features("ACD", false, "aa", NULL, msa);
    ff_run_key_features("ACD", false, NULL, searches, searched);
    assert_string_not_equal(alone, msa);
    ff_run_key_features("ACD", true, NULL, NULL, key);
    assert_string_not_equal(alone, key);
    assert_string_not_equal(alone, searched);
    ff_run_key_features("ACE", false, NULL, NULL, key);
    assert_string_not_equal(alone, key);
    ff_run_key_features("ACD", false, "bb", NULL, key);
    assert_string_not_equal(msa, key);
    ff_searches_close(searches);

    c.databases.uniref90_max_hits = 200;
    ff_searches_open(&c, &searches);
    ff_run_key_features("ACD", false, NULL, searches, key);
    assert_string_not_equal(searched, key);
    ff_searches_close(searches);

    /* The same database in another folder. */
    char *dir = test_make_dir();
    char *copy = ff_path_join(dir, "proteins.fasta"), *text;
    size_t len;
    assert_ok(ff_file_read(c.databases.uniref90, &text, &len));
    assert_ok(ff_file_write(copy, text, len));
    c.databases.uniref90 = copy;
    c.databases.uniref90_max_hits = 100;
    ff_searches_open(&c, &searches);
    ff_run_key_features("ACD", false, NULL, searches, key);
    assert_string_equal(searched, key);
    ff_searches_close(searches);
    free(text);
    free(copy);
    test_remove_dir(dir);
}

/* Of the content, not of the file. */
static void test_params_key(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "p.npz"), *copy = ff_path_join(dir, "q.npz");
    char first[FF_KEY_SIZE], key[FF_KEY_SIZE];
    struct ff_arrays set = {0};
    float *values = ff_arrays_add(&set, "a//weights", FF_F32, 1, (int64_t[]){3})->data;
    assert_ok(ff_npz_save(path, &set));
    assert_ok(ff_npz_save(copy, &set));
    assert_ok(ff_run_key_params(path, first));
    assert_ok(ff_run_key_params(copy, key));
    assert_string_equal(key, first);
    values[1] = 1;
    assert_ok(ff_npz_save(path, &set));
    assert_ok(ff_run_key_params(path, key));
    assert_string_not_equal(key, first);
    assert_ok(ff_run_key_params(NULL, key));
    assert_string_not_equal(key, first);
    ff_arrays_free(&set);
    free(path);
    free(copy);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_files_present),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_take_prediction),
        cmocka_unit_test(test_prediction_key), cmocka_unit_test(test_features_key),
        cmocka_unit_test(test_params_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
