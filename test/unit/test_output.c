/* SPDX-License-Identifier: Apache-2.0
 * Result files: the JSON texts (expected ones printed by AlphaFold's own functions), the structure, what is written and
 * what is refused.
 */
#include "app/output.h"

#include "app/output_order.h"
#include "base/file.h"
#include "bio/pdb.h"
#include "format/npz.h"
#include "unit/testing.h"

/* --- JSON ------------------------------------------------------------------------------------------------------- */

static void expect_text(struct ff_strbuf *got, const char *expected)
{
    assert_string_equal(ff_strbuf_cstr(got), expected);
    ff_strbuf_free(got);
}

static void test_confidence(void **state)
{
    (void)state;
    static const float plddt[] = {0, 0.125f, 2.675f, 49.999f, 50, 69.995f, 70, 89.9999f, 90, 100, 33.335f, 12.5f};
    struct ff_strbuf text = {0};
    ff_output_confidence_json(12, plddt, &text);
    expect_text(&text, "{\"residueNumber\":[1,2,3,4,5,6,7,8,9,10,11,12],"
                       "\"confidenceScore\":[0.0,0.12,2.67,50.0,50.0,70.0,70.0,90.0,90.0,100.0,33.33,12.5],"
                       "\"confidenceCategory\":[\"D\",\"D\",\"D\",\"D\",\"L\",\"L\",\"M\",\"M\",\"H\",\"H\",\"D\","
                       "\"D\"]}");
}

static void test_pae(void **state)
{
    (void)state;
    static const float pae[] = {0.25f, 0.35f, 12.05f, 0.15f, 31.75f, 0.04f, 0.75f, 1e-3f, 30.999f};
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_output_pae_begin(&j, &text);
    for (int i = 0; i < 3; i++)
        ff_output_pae_row(&j, 3, pae + 3 * i);
    ff_output_pae_end(&j, 31.75);
    expect_text(&text, "[{\"predicted_aligned_error\":[[0.2,0.3,12.1],[0.2,31.8,0.0],[0.8,0.0,31.0]],"
                       "\"max_predicted_aligned_error\":31.75}]");
}

static void test_ranking(void **state)
{
    (void)state;
    static const struct ff_named_value items[] = {
        {"model_1_pred_0", 91.23456789}, {"model_2_pred_0", 95.0}, {"model_3_pred_0", 91.23456789}};
    struct ff_strbuf text = {0};
    ff_output_ranking_json("plddts", 3, items, &text);
    expect_text(&text, "{\n"
                       "    \"plddts\": {\n"
                       "        \"model_1_pred_0\": 91.23456789,\n"
                       "        \"model_2_pred_0\": 95.0,\n"
                       "        \"model_3_pred_0\": 91.23456789\n"
                       "    },\n"
                       "    \"order\": [\n"
                       "        \"model_2_pred_0\",\n"
                       "        \"model_1_pred_0\",\n"
                       "        \"model_3_pred_0\"\n"
                       "    ]\n"
                       "}");
}

static void test_timings(void **state)
{
    (void)state;
    static const struct ff_named_value items[] = {{"features", 0.1234}, {"process_features_model_1_pred_0", 2.0}};
    struct ff_strbuf text = {0};
    ff_output_timings_json(2, items, &text);
    expect_text(&text, "{\n    \"features\": 0.1234,\n    \"process_features_model_1_pred_0\": 2.0\n}");
}

/* --- a prediction of n residues, alanine and glycine in turns --------------------------------------------------- */

struct made {
    struct ff_prediction prediction;
    struct ff_output_config config;
    int32_t *aatype, *residue_index;
    struct ff_output_prediction output;
};

static float *add(struct ff_arrays *set, const char *name, int ndim, const int64_t *shape)
{
    return ff_arrays_add(set, name, FF_F32, ndim, shape)->data;
}

static void make(struct made *m, int n_res, const char *dir)
{
    *m = (struct made){.config = {.pae_json_max_residues = 100}};
    struct ff_arrays *set = &m->prediction.arrays;
    float *positions = add(set, "structure_module/final_atom_positions", 3, (int64_t[]){n_res, 37, 3});
    float *mask = add(set, "structure_module/final_atom_mask", 2, (int64_t[]){n_res, 37});
    float *plddt = add(set, "plddt", 1, (int64_t[]){n_res});
    float *pae = add(set, "predicted_aligned_error", 2, (int64_t[]){n_res, n_res});
    *add(set, "max_predicted_aligned_error", 0, NULL) = 31.75f;
    *add(set, "ptm", 0, NULL) = 0.5f;
    add(set, "representations/pair", 3, (int64_t[]){n_res, n_res, 2});
    m->aatype = FF_NEW_ARRAY(int32_t, (size_t)n_res);
    m->residue_index = FF_NEW_ARRAY(int32_t, (size_t)n_res);
    for (int i = 0; i < n_res; i++) {
        m->aatype[i] = i % 2 == 0 ? 0 : 7;
        m->residue_index[i] = i;
        plddt[i] = 50 + (float)(i % 40) + 0.25f;
        for (int a = 0; a < (i % 2 == 0 ? 5 : 3); a++) {
            mask[i * 37 + a] = 1;
            for (int d = 0; d < 3; d++)
                positions[(i * 37 + a) * 3 + d] = (float)(i % 100) + 0.1f * (float)a + (float)d;
        }
        pae[(size_t)i * (size_t)n_res] = 1;
    }
    m->prediction.n_res = n_res;
    m->prediction.ranking_confidence = 60;
    m->output = (struct ff_output_prediction){
        .target_dir = dir,
        .name = "model_1_ptm_pred_0",
        .config = &m->config,
        .prediction = &m->prediction,
        .aatype = m->aatype,
        .residue_index = m->residue_index,
    };
}

static void unmake(struct made *m)
{
    ff_arrays_free(&m->prediction.arrays);
    free(m->aatype);
    free(m->residue_index);
}

static bool has_file(const char *dir, const char *name)
{
    char *path = ff_path_join(dir, name);
    bool has = ff_file_exists(path);
    free(path);
    return has;
}

static void test_structure(void **state)
{
    (void)state;
    struct made m;
    make(&m, 6, ".");
    m.residue_index[4] = 100;
    m.residue_index[5] = 101;
    struct ff_structure s;
    ff_output_structure(&m.output, &s);
    assert_int_equal(s.n_res, 6);
    assert_int_equal(s.residue_index[0], 1);
    assert_int_equal(s.residue_index[4], 101);
    assert_int_equal(s.aatype[1], 7);
    assert_int_equal(s.chain_index[5], 0);
    for (int a = 0; a < 37; a++)
        assert_true(s.b_factors[2 * 37 + a] == 52.25f);
    ff_structure_free(&s);

    static const int32_t asym_id[] = {1, 1, 1, 2, 2, 2};
    m.output.asym_id = asym_id;
    ff_output_structure(&m.output, &s);
    assert_int_equal(s.chain_index[0], 1);
    assert_int_equal(s.chain_index[5], 2);
    ff_structure_free(&s);
    unmake(&m);
}

static void test_files(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "result_model_1_ptm_pred_0.npz", "confidence_model_1_ptm_pred_0.json", "pae_model_1_ptm_pred_0.json",
        "unrelaxed_model_1_ptm_pred_0.pdb"};
    char *dir = test_make_dir();
    struct made m;
    make(&m, 6, dir);
    m.output.params_note = "these parameters are for a test";
    struct ff_output_files files = {0};
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_int_equal(files.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(files.names[i], expected[i]);
        assert_true(has_file(dir, expected[i]));
    }
    char *structure = ff_path_join(dir, expected[3]), *text;
    size_t len;
    assert_ok(ff_file_read(structure, &text, &len));
    assert_non_null(strstr(text, "these parameters are for a test"));
    free(text);

    struct ff_arrays result = {0};
    char *npz = ff_path_join(dir, expected[0]);
    assert_ok(ff_npz_load(npz, &result));
    assert_null(ff_arrays_find(&result, "representations/pair"));
    test_assert_array("plddt", ff_arrays_find(&result, "plddt"), ff_arrays_find(&m.prediction.arrays, "plddt"), 0);
    ff_arrays_free(&result);

    m.config.save_representations = true;
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_ok(ff_npz_load(npz, &result));
    assert_non_null(ff_arrays_find(&result, "representations/pair"));
    ff_arrays_free(&result);
    free(npz);
    free(structure);
    ff_output_files_free(&files);
    unmake(&m);
    test_remove_dir(dir);
}

static void test_no_pae(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct made m;
    struct ff_output_files files = {0};
    make(&m, 6, dir);
    m.config.pae_json_max_residues = 5;
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_false(has_file(dir, "pae_model_1_ptm_pred_0.json"));
    m.config.pae_json_max_residues = 6;
    ff_arrays_remove(&m.prediction.arrays, "predicted_aligned_error");
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_false(has_file(dir, "pae_model_1_ptm_pred_0.json"));
    ff_output_files_free(&files);
    unmake(&m);
    test_remove_dir(dir);
}

/* Residue numbers of five digits do not fit the columns of PDB. */
static void test_mmcif(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct made m;
    make(&m, 6, dir);
    m.residue_index[5] = 10000;
    struct ff_output_files files = {0};
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_true(has_file(dir, "unrelaxed_model_1_ptm_pred_0.cif"));
    assert_false(has_file(dir, "unrelaxed_model_1_ptm_pred_0.pdb"));
    ff_output_files_free(&files);
    unmake(&m);
    test_remove_dir(dir);
}

/* More residues than PDB numbers can tell, though each chain has few. */
static void test_many_residues(void **state)
{
    (void)state;
    enum { N = 10000 };
    char *dir = test_make_dir();
    struct made m;
    struct ff_output_files files = {0};
    int32_t *asym_id = FF_NEW_ARRAY(int32_t, N);
    make(&m, N, dir);
    ff_arrays_remove(&m.prediction.arrays, "predicted_aligned_error");
    for (int i = 0; i < N; i++) {
        m.residue_index[i] = i % 5000;
        asym_id[i] = 1 + i / 5000;
    }
    m.output.asym_id = asym_id;
    assert_ok(ff_output_write_prediction(&m.output, &files));
    assert_true(has_file(dir, "unrelaxed_model_1_ptm_pred_0.cif"));
    assert_false(has_file(dir, "unrelaxed_model_1_ptm_pred_0.pdb"));
    free(asym_id);
    ff_output_files_free(&files);
    unmake(&m);
    test_remove_dir(dir);
}

/* Structures by score; equal scores keep their order. */
static void test_ranked_files(void **state)
{
    (void)state;
    static const struct ff_named_value scores[] = {{"a_pred_0", 1.5}, {"b_pred_0", 2.5}, {"c_pred_0", 1.5}};
    static const char *const order[] = {"b_pred_0", "a_pred_0", "c_pred_0"};
    char *dir = test_make_dir();
    struct ff_output_files files = {0};
    for (int i = 0; i < 3; i++) {
        char *path = ff_output_path(dir, i == 2 ? FF_RESULT_CIF : FF_RESULT_PDB, scores[i].name);
        assert_ok(ff_file_write(path, scores[i].name, strlen(scores[i].name)));
        free(path);
    }
    struct ff_output_ranking ranking = {.target_dir = dir, .multimer = true, .count = 3, .scores = scores};
    assert_ok(ff_output_write_ranking(&ranking, &files));
    assert_int_equal(files.count, 5);
    for (int k = 0; k < 3; k++) {
        char *path = ff_output_ranked_path(dir, k), *text;
        size_t len;
        assert_string_equal(ff_path_base(path), k == 0 ? "ranked_0.pdb" : k == 1 ? "ranked_1.pdb" : "ranked_2.cif");
        assert_ok(ff_file_read(path, &text, &len));
        assert_string_equal(text, order[k]);
        free(text);
        free(path);
    }
    ff_output_files_free(&files);
    test_remove_dir(dir);
}

/* --- complexes --------------------------------------------------------------------------------------------------- */

/* The published text of a published prediction, byte for byte; with chain_ids auto the chains begin at A. */
static void test_published_text(void **state)
{
    (void)state;
    static const char *const cases[] = {"from_prediction_monomer", "from_prediction_multimer"};
    char *dir = test_make_dir();
    for (int i = 0; i < 2; i++) {
        struct ff_arrays in = {0};
        char *npz = ff_xasprintf("test/data/features/pdb_text/%s.npz", cases[i]), *text, *expected;
        char *golden = ff_xasprintf("test/data/features/pdb_text/%s.pdb", cases[i]);
        assert_ok(ff_npz_load(npz, &in));
        struct ff_output_config config = {.published_chain_ids = true};
        struct ff_prediction p = {.n_res = (int)ff_arrays_find(&in, "plddt")->shape[0]};
        static const char *const names[][2] = {{"final_atom_positions", "structure_module/final_atom_positions"},
                                               {"final_atom_mask", "structure_module/final_atom_mask"},
                                               {"plddt", "plddt"}};
        for (int k = 0; k < 3; k++) {
            const struct ff_array *a = ff_arrays_find(&in, names[k][0]);
            memcpy(add(&p.arrays, names[k][1], a->ndim, a->shape), a->data, ff_array_bytes(a));
        }
        struct ff_array *asym_id = ff_arrays_find(&in, "asym_id");
        if (asym_id != NULL)
            ff_array_to_i32(asym_id);
        struct ff_output_prediction o = {
            .target_dir = dir, .name = "x", .config = &config, .prediction = &p, .multimer = asym_id != NULL,
            .aatype = ff_arrays_find(&in, "aatype")->data, .residue_index = ff_arrays_find(&in, "residue_index")->data,
            .asym_id = asym_id != NULL ? asym_id->data : NULL,
        };
        struct ff_output_files files = {0};
        assert_ok(ff_output_write_prediction(&o, &files));
        char *path = ff_path_join(dir, "unrelaxed_x.pdb");
        size_t len;
        assert_ok(ff_file_read(path, &text, &len));
        assert_ok(ff_file_read(golden, &expected, &len));
        assert_string_equal(text, expected);
        assert_int_equal(text[strcspn(text, "\n") + 1 + 21], asym_id != NULL ? 'B' : 'A');
        free(text);
        config.published_chain_ids = false;
        assert_ok(ff_output_write_prediction(&o, &files));
        assert_ok(ff_file_read(path, &text, &len));
        assert_int_equal(text[strcspn(text, "\n") + 1 + 21], 'A');
        free(text);
        free(expected);
        free(path);
        free(golden);
        free(npz);
        ff_output_files_free(&files);
        ff_arrays_free(&p.arrays);
        ff_arrays_free(&in);
    }
    test_remove_dir(dir);
}

/* Chains A (3 residues), B (2), A (1) of the input as the network has them: 1, 3, 2. */
static void test_order(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct made m;
    make(&m, 6, dir);
    static const int32_t input_chain[] = {0, 2, 1};
    int32_t asym_id[] = {1, 1, 1, 2, 3, 3};
    float *pae = ff_arrays_find(&m.prediction.arrays, "predicted_aligned_error")->data;
    float *msa = add(&m.prediction.arrays, "masked_msa/logits", 3, (int64_t[]){2, 6, 1});
    for (int i = 0; i < 36; i++)
        pae[i] = (float)(i / 6 * 10 + i % 6);
    for (int i = 0; i < 12; i++)
        msa[i] = (float)i;
    for (int i = 0; i < 6; i++)
        m.residue_index[i] = i;
    const float *plddt = ff_arrays_find(&m.prediction.arrays, "plddt")->data;
    struct ff_tm_scores tm;
    ff_tm_scores_begin(6, asym_id, &tm);
    ff_tm_scores_add(&tm, 0, 6, pae);
    ff_confidence_chains(6, asym_id, plddt, &tm, &m.prediction.chains);
    ff_tm_scores_free(&tm);
    double lone = m.prediction.chains.ptm[1], pair = m.prediction.chains.pair_iptm[1];
    struct ff_output_residues r = {6, m.aatype, m.residue_index, asym_id};
    int *order = ff_output_order_find(6, asym_id, 3, input_chain);
    ff_output_order(&m.prediction, &r, 3, input_chain, order);
    static const int32_t from[] = {0, 1, 2, 4, 5, 3}, chain[] = {1, 1, 1, 2, 2, 3};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(order[i], from[i]);
        assert_int_equal(m.residue_index[i], from[i]);
        assert_int_equal(asym_id[i], chain[i]);
        assert_true(plddt[i] == 50.25f + (float)from[i]);
        for (int k = 0; k < 6; k++)
            assert_true(pae[i * 6 + k] == (float)(from[i] * 10 + from[k]));
        assert_true(msa[i] == (float)from[i] && msa[6 + i] == (float)(6 + from[i]));
    }
    assert_true(m.prediction.chains.ptm[2] == lone && m.prediction.chains.pair_iptm[2] == pair);
    assert_int_equal(m.prediction.chains.n_res[1], 2);
    free(order);
    /* The order of the input already, and numbers that are no order. */
    static const int32_t same[] = {0, 1, 2}, twice[] = {0, 0, 1};
    assert_null(ff_output_order_find(6, asym_id, 3, same));
    assert_null(ff_output_order_find(6, asym_id, 3, twice));
    assert_null(ff_output_order_find(6, asym_id, 2, same));
    assert_null(ff_output_order_find(3, asym_id, 3, input_chain)); /* no residues of two chains */
    ff_chain_scores_free(&m.prediction.chains);
    unmake(&m);
    test_remove_dir(dir);
}

/* Scores of chains and pairs against the definition, and the text that tells them. */
static void test_summary(void **state)
{
    (void)state;
    static const float tm[] = {1, 0.5f, 0.25f, 0, /**/ 0.5f, 1, 0.75f, 0.125f, /**/ 0.25f, 0, 1, 0.5f, /**/
                               0, 0, 0.5f, 1};
    static const float plddt[] = {50, 60, 70, 90};
    static const int32_t asym_id[] = {1, 1, 2, 2};
    struct ff_prediction p = {.ptm = 0.5f, .iptm = 0.4375f, .ranking_confidence = 0.45f};
    struct ff_tm_scores s, there, nothing;
    ff_tm_scores_begin(4, asym_id, &s);
    ff_tm_scores_begin(4, asym_id, &there);
    ff_tm_scores_begin(4, asym_id, &nothing);
    ff_tm_scores_add(&s, 3, 1, tm + 12); /* rows as they come, and some of them elsewhere */
    ff_tm_scores_add(&s, 1, 1, tm + 4);
    ff_tm_scores_add(&there, 2, 1, tm + 8);
    ff_tm_scores_add(&there, 0, 1, tm);
    double packed[16];
    assert_int_equal(ff_tm_scores_count(&there), 3 + 2 + 2 * 4);
    ff_tm_scores_pack(&there, packed);
    ff_tm_scores_merge(&s, packed);
    ff_tm_scores_pack(&nothing, packed);
    ff_tm_scores_merge(&s, packed);
    assert_int_equal(s.n_row, 4);
    assert_true(fabs(s.ptm - (0.5 + 1 + 0.75 + 0.125) / 4) < 1e-8);
    ff_tm_scores_free(&there);
    ff_tm_scores_free(&nothing);
    double iptm = s.iptm;
    ff_confidence_chains(4, asym_id, plddt, &s, &p.chains);
    ff_tm_scores_free(&s);
    assert_true(p.chains.ptm[0] == 0.75 && p.chains.ptm[1] == 0.75);
    assert_true(p.chains.pair_iptm[1] == (0.75 + 0.125) / 2);
    assert_true(fabs(p.chains.pair_iptm[1] - iptm) < 1e-7); /* two chains: the whole */
    assert_true(p.chains.pair_ptm[2] == (0.5 + 1 + 0.75 + 0.125) / 4);
    static const char *const ids[] = {"A", "B"};
    struct ff_strbuf text = {0};
    ff_output_summary_json(&p, ids, &text);
    expect_text(&text, "{\"chain_ids\":[\"A\",\"B\"],\"chain_lengths\":[2,2],\"chain_starts\":[1,3],\"ptm\":0.5,"
                       "\"iptm\":0.4375,\"ranking_confidence\":0.45,\"chain_plddt\":[55.0,80.0],"
                       "\"chain_ptm\":[0.75,0.75],\"chain_iptm\":[0.4375,0.4375],"
                       "\"chain_pair_ptm\":[[0.75,0.5938],[0.5938,0.75]],"
                       "\"chain_pair_iptm\":[[0.0,0.4375],[0.4375,0.0]]}");
    ff_chain_scores_free(&p.chains);
}

static void test_not_finite(void **state)
{
    (void)state;
    static const char *const names[] = {"plddt", "structure_module/final_atom_positions", "predicted_aligned_error"};
    for (int i = 0; i < 3; i++) {
        char *dir = test_make_dir();
        struct made m;
        make(&m, 6, dir);
        ((float *)ff_arrays_find(&m.prediction.arrays, names[i])->data)[5] = i == 0 ? NAN : INFINITY;
        struct ff_output_files files = {0};
        assert_fails(ff_output_write_prediction(&m.output, &files), FF_EINTERNAL, names[i]);
        assert_int_equal(files.count, 0);
        assert_null(ff_output_find_result(dir));
        unmake(&m);
        test_remove_dir(dir);
    }
}

static void test_unwritable(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *missing = ff_path_join(dir, "missing");
    struct made m;
    make(&m, 6, missing);
    struct ff_output_files files = {0};
    assert_fails(ff_output_write_prediction(&m.output, &files), FF_EIO, missing);
    ff_output_files_free(&files);
    unmake(&m);
    free(missing);
    test_remove_dir(dir);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static void expect_path(enum ff_result_file file, const char *expected)
{
    char *path = ff_output_path("d", file, "model_3_pred_0");
    assert_string_equal(path, expected);
    free(path);
}

static void test_names(void **state)
{
    (void)state;
    expect_path(FF_RESULT_FEATURES, "d/features.npz");
    expect_path(FF_RESULT_RUN, "d/run.json");
    expect_path(FF_RESULT_PDB, "d/unrelaxed_model_3_pred_0.pdb");
    expect_path(FF_RESULT_CIF, "d/unrelaxed_model_3_pred_0.cif");
    expect_path(FF_RESULT_ARRAYS, "d/result_model_3_pred_0.npz");
    expect_path(FF_RESULT_CONFIDENCE, "d/confidence_model_3_pred_0.json");
    expect_path(FF_RESULT_PAE, "d/pae_model_3_pred_0.json");
    expect_path(FF_RESULT_RANKING, "d/ranking_debug.json");
    expect_path(FF_RESULT_TIMINGS, "d/timings.json");
    assert_true(ff_output_is_of("unrelaxed_model_3_pred_1.cif", "model_3_pred_1"));
    assert_false(ff_output_is_of("unrelaxed_model_3_pred_10.cif", "model_3_pred_1"));
    assert_false(ff_output_is_of("ranked_0.pdb", "model_3_pred_1"));
    assert_false(ff_output_is_of("features.npz", "model_3_pred_1"));
    char *name = ff_output_prediction_name("model_3", 4);
    assert_string_equal(name, "model_3_pred_4");
    free(name);
    char *msas = ff_output_msa_dir("d");
    assert_string_equal(msas, "d/msas");
    free(msas);
}

static void test_find_result(void **state)
{
    (void)state;
    static const char *const results[] = {"features.pkl", "unrelaxed_model_1.pdb", "ranked_3.pdb",
                                          "result_model_1.pkl"};
    static const char *const others[] = {"msas", "notes.txt", "my_ranked_0.pdb", "run.json"};
    char *dir = test_make_dir();
    assert_null(ff_output_find_result(dir));
    for (int i = 0; i < 4; i++) {
        char *path = ff_path_join(dir, others[i]);
        assert_ok(ff_file_write(path, "x", 1));
        free(path);
    }
    assert_null(ff_output_find_result(dir));
    for (int i = 0; i < 4; i++) {
        char *path = ff_path_join(dir, results[i]);
        assert_ok(ff_file_write(path, "x", 1));
        char *found = ff_output_find_result(dir);
        assert_string_equal(found, results[i]);
        free(found);
        assert_ok(ff_remove_tree(path));
        free(path);
    }
    char *missing = ff_path_join(dir, "none");
    assert_null(ff_output_find_result(missing));
    free(missing);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confidence), cmocka_unit_test(test_pae),         cmocka_unit_test(test_ranking),
        cmocka_unit_test(test_timings),    cmocka_unit_test(test_structure),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_pae),     cmocka_unit_test(test_mmcif),       cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_unwritable), cmocka_unit_test(test_names),       cmocka_unit_test(test_find_result),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_summary),     cmocka_unit_test(test_ranked_files),
        cmocka_unit_test(test_many_residues), cmocka_unit_test(test_published_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
