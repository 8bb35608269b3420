/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "base/strbuf.h"
#include "bio/a3m.h"
#include "feature/assembly.h"
#include "feature/feature_file.h"
#include "feature/jax_sampling.h"
#include "feature/raw_features.h"
#include "feature/source.h"

static const struct ff_feature_config published = {
    .max_clusters = 4,
    .max_extra = 3,
    .max_templates = 4,
    .mask_fraction = 0.15f,
    .profile_prob = 0.1f,
    .same_prob = 0.1f,
    .uniform_prob = 0.1f,
    .sampling = FF_SAMPLING_RANDOM,
};

/* rows joined by '/'; each row has the species SPECk that species[k] names, '.' for none. */
static void make_msa(const char *rows, const char *species, struct ff_msa *ret)
{
    struct ff_strbuf a3m = {0};
    for (const char *p = rows; *p; species++) {
        size_t len = strcspn(p, "/");
        if (*species == '.')
            ff_strbuf_printf(&a3m, ">row\n%.*s\n", (int)len, p);
        else
            ff_strbuf_printf(&a3m, ">tr|A0A146SKV9|A0A146SKV9_SPEC%c\n%.*s\n", *species, (int)len, p);
        p += len + (p[len] == '/');
    }
    assert_ok(ff_a3m_parse("test", a3m.s, a3m.len, 0, ret));
    ff_strbuf_free(&a3m);
}

static void make_chain(const char *sequence, const char *rows, const char *paired, const char *species,
                       struct ff_arrays *ret)
{
    struct ff_msa msa;
    const struct ff_msa *list[] = {&msa};
    make_msa(rows, "....................", &msa);
    assert_ok(ff_raw_features_make(sequence, "test", 1, list, NULL, ret));
    ff_msa_free(&msa);
    if (paired == NULL)
        return;
    make_msa(paired, species, &msa);
    assert_ok(ff_raw_features_add_pairing(ret, &msa));
    ff_msa_free(&msa);
    assert_ok(ff_raw_features_check("chain", ret));
}

/* Rows of the merged alignment as letters; masked rows are blank. */
static char *row_text(const struct ff_arrays *complex, int row, char *buf)
{
    const struct ff_array *msa = ff_arrays_find(complex, "msa");
    const float *mask = ff_arrays_find(complex, "msa_mask")->data;
    int n = (int)msa->shape[1];
    for (int i = 0; i < n; i++)
        buf[i] = mask[row * n + i] > 0 ? "ARNDCQEGHILKMFPSTWYVX-"[((const int32_t *)msa->data)[row * n + i]] : ' ';
    buf[n] = '\0';
    return buf;
}

static void rows_are_paired_and_put_into_blocks(void **state)
{
    (void)state;
    struct ff_arrays a, b, got;
    /* Species 1 has two rows in a and one in b; 2 and 3 are in one chain only. In a, the second row of species 1 is
     * nearer to the query. */
    make_chain("ACDE", "ACDE/ACDF/GGGG", "ACDE/AGGE/ACDG/GGGG", ".112", &a);
    make_chain("KLM", "KLM/KLL/K-L", "KLM/KKK/KLL", ".31", &b);
    const struct ff_arrays *list[] = {&b, &a, &b};
    assert_ok(ff_assembly_make(3, list, &got));
    char text[32];
    const char *const expected[] = {
        "KLMKLMACDE",            /* the queries */
        "KLLKLLACDG",            /* species 1, in all chains */
        "KKKKKK----",            /* species 3, in both copies of b */
        "K-LK-L----",            /* unpaired rows of b, of which KLM and KLL are in the paired part */
        "------ACDF", "------GGGG",
        "          ",
    };
    for (int r = 0; r < 7; r++)
        assert_string_equal(row_text(&got, r, text), expected[r]);
    assert_int_equal(ff_arrays_find(&got, "msa")->shape[0], 512);
    const float *asym = ff_arrays_find(&got, "asym_id")->data, *entity = ff_arrays_find(&got, "entity_id")->data;
    const float *sym = ff_arrays_find(&got, "sym_id")->data, *bert = ff_arrays_find(&got, "bert_mask")->data;
    const int32_t *input = ff_arrays_find(&got, "input_chain")->data;
    const int32_t expected_input[] = {0, 2, 1};
    for (int i = 0; i < 10; i++) {
        int chain = i < 3 ? 0 : i < 6 ? 1 : 2;
        assert_int_equal((int)asym[i], chain + 1);
        assert_int_equal((int)entity[i], chain == 2 ? 2 : 1);
        assert_int_equal((int)sym[i], chain == 1 ? 2 : 1);
        assert_int_equal(input[chain], expected_input[chain]);
        assert_int_equal((int)bert[2 * 10 + i], 1);      /* paired rows count whole, blocks in their columns */
        assert_int_equal((int)bert[3 * 10 + i], i < 6);
        assert_int_equal((int)bert[4 * 10 + i], i >= 6);
        assert_int_equal((int)bert[6 * 10 + i], 0);
    }
    assert_int_equal(*(const int32_t *)ff_arrays_find(&got, "num_alignments")->data, 6);
    assert_int_equal(ff_arrays_find(&got, "template_aatype")->shape[0], 4);
    ff_arrays_free(&got);
    ff_arrays_free(&a);
    ff_arrays_free(&b);
}

static void chains_without_alignments_take_part(void **state)
{
    (void)state;
    struct ff_arrays a, b, got;
    make_chain("ACDE", "ACDE", NULL, NULL, &a);
    make_chain("K", "K", NULL, NULL, &b);
    const struct ff_arrays *list[] = {&a, &b};
    assert_ok(ff_assembly_make(2, list, &got));
    char text[32];
    assert_string_equal(row_text(&got, 0, text), "ACDEK");
    assert_string_equal(row_text(&got, 1, text), "     ");
    ff_arrays_free(&got);
    ff_arrays_remove(&b, "sequence");
    assert_fails(ff_assembly_make(2, list, &got), FF_EINPUT, "chain 2: array sequence is missing");
    ff_arrays_free(&a);
    ff_arrays_free(&b);
}

static void thirty_equal_chains_are_one_dense_block(void **state)
{
    (void)state;
    struct ff_arrays a, got;
    make_chain("ACDE", "ACDE/ACDF/GG-G", NULL, NULL, &a);
    const struct ff_arrays *list[30];
    for (int c = 0; c < 30; c++)
        list[c] = &a;
    assert_ok(ff_assembly_make(30, list, &got));
    char text[128];
    row_text(&got, 2, text);
    assert_int_equal(strlen(text), 120);
    for (int c = 0; c < 30; c++)
        assert_memory_equal(text + 4 * c, "GG-G", 4);
    const float *sym = ff_arrays_find(&got, "sym_id")->data, *entity = ff_arrays_find(&got, "entity_id")->data;
    assert_int_equal((int)sym[119], 30);
    assert_int_equal((int)entity[119], 1);
    ff_arrays_free(&got);
    ff_arrays_free(&a);
}

/* Species names are compared as bytes, and 601 rows of one are too many. */
static void crowded_species_are_left_out(void **state)
{
    (void)state;
    for (int n = 600; n <= 601; n++) {
        struct ff_strbuf names = {0};
        int32_t *msa = FF_NEW_ARRAY(int32_t, 700 * 2);
        for (int r = 1; r <= n; r++)
            ff_strbuf_puts(&names, "\nMANY");
        ff_strbuf_puts(&names, "\nFEW");
        const char few[] = "\nFEW\nMANY";
        struct ff_pairing_chain chains[] = {{n + 2, 2, msa, names.s, (int64_t)names.len},
                                            {3, 2, msa, few, sizeof few - 1}};
        struct ff_paired_rows p;
        ff_pairing_match(2, chains, &p);
        assert_int_equal(p.n_row, n == 600 ? 3 : 2);
        assert_int_equal(p.rows[2], n + 1);              /* FEW comes before MANY */
        assert_int_equal(p.rows[3], 1);
        if (n == 600) {
            assert_int_equal(p.rows[4], 1);
            assert_int_equal(p.rows[5], 2);
        }
        ff_paired_rows_free(&p);
        free(msa);
        ff_strbuf_free(&names);
    }
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static struct ff_source *open_complex(const struct ff_feature_config *c, bool fixed_size, uint64_t seed)
{
    struct ff_arrays a, b, raw;
    make_chain("ACDE", "ACDE/ACDF/GGGG/AAAA/CCCC/DDDD/EEEE", "ACDE/AGGE/ACDG", ".11", &a);
    make_chain("KLM", "KLM/KLL/K-L/LLL/MMM", "KLM/KKK/KLL", ".31", &b);
    const struct ff_arrays *list[] = {&a, &b};
    assert_ok(ff_assembly_make(2, list, &raw));
    ff_arrays_free(&a);
    ff_arrays_free(&b);
    struct ff_source_options o = {.features = *c, .seed = seed, .resample = true, .num_ensemble = 1,
                                  .fixed_size = fixed_size};
    struct ff_source *source;
    assert_ok(ff_source_from_complex("test", &raw, &o, &source));
    assert_int_equal(raw.count, 0);
    return source;
}

static void masked_rows_are_left_out(void **state)
{
    (void)state;
    struct ff_feature_config c = published;
    c.max_clusters = 508;
    c.max_extra = 2048;
    c.sampling = FF_SAMPLING_ORDERED;
    struct ff_source *tight = open_complex(&c, false, 1), *whole = open_complex(&c, true, 1);
    assert_int_equal(tight->shape.n_res, 7);
    assert_int_equal(tight->shape.n_template, 4);
    assert_int_equal(tight->shape.n_extra, 0);
    assert_true(tight->shape.n_seq < 20);
    assert_int_equal(whole->shape.n_seq, 508);
    assert_int_equal(whole->shape.n_extra, 4);
    struct ff_arrays a, b;
    assert_ok(tight->next(tight, 0, 0, &a));
    assert_ok(whole->next(whole, 0, 0, &b));
    const struct ff_array *x = ff_arrays_find(&a, "msa_feat"), *y = ff_arrays_find(&b, "msa_feat");
    assert_int_equal(x->shape[0], tight->shape.n_seq);
    assert_memory_equal(x->data, y->data, ff_array_bytes(x));
    const float *mask = ff_arrays_find(&b, "msa_mask")->data;
    for (int64_t i = 0; i < 508 * 7; i++)
        assert_int_equal((int)mask[i], i < tight->shape.n_seq * 7);
    ff_arrays_free(&a);
    ff_arrays_free(&b);
    ff_source_destroy(tight);
    ff_source_destroy(whole);
}

static bool same_draw(struct ff_source *s, int pass_a, bool last_a, int pass_b, bool last_b)
{
    struct ff_arrays a, b;
    s->last_pass = last_a;
    assert_ok(s->next(s, pass_a, 0, &a));
    s->last_pass = last_b;
    assert_ok(s->next(s, pass_b, 0, &b));
    const struct ff_array *x = ff_arrays_find(&a, "msa_feat"), *y = ff_arrays_find(&b, "msa_feat");
    const struct ff_array *u = ff_arrays_find(&a, "extra_msa"), *v = ff_arrays_find(&b, "extra_msa");
    bool same = memcmp(x->data, y->data, ff_array_bytes(x)) == 0 && memcmp(u->data, v->data, ff_array_bytes(u)) == 0;
    ff_arrays_free(&a);
    ff_arrays_free(&b);
    return same;
}

static void passes_draw_anew(void **state)
{
    (void)state;
    struct ff_feature_config c = published;
    struct ff_source *random = open_complex(&c, false, 3);
    assert_true(same_draw(random, 1, false, 1, true));
    assert_false(same_draw(random, 0, false, 1, false));
    ff_source_destroy(random);
    c.sampling = FF_SAMPLING_JAX;
    struct ff_source *jax = open_complex(&c, false, 3);
    assert_true(same_draw(jax, 1, false, 1, false));
    assert_false(same_draw(jax, 0, false, 1, false));
    assert_false(same_draw(jax, 1, false, 1, true));     /* the last pass takes its key unsplit */
    ff_source_destroy(jax);
    c.sampling = FF_SAMPLING_ORDERED;
    struct ff_source *ordered = open_complex(&c, false, 3);
    assert_true(same_draw(ordered, 0, false, 5, true));
    ff_source_destroy(ordered);
}

static void queries_come_first_and_empty_rows_last(void **state)
{
    (void)state;
    enum { ROWS = 12, N = 3 };
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, ROWS, N, true);
    p.bias[0] = p.bias[5] = p.bias[7] = 1;
    for (int r = 0; r < ROWS; r++)
        p.mask[r * N + r % N] = r != 3 && r != 7 && r != 11;
    for (int d = 0; d < 50; d++) {
        int64_t order[2][ROWS];
        struct ff_msa_draw draw = {.seed = (uint64_t)d};
        struct ff_jax_key key, other;
        ff_msa_pool_order(&p, FF_SAMPLING_RANDOM, &draw, order[0]);
        ff_jax_sampling_keys(&draw, &key, &other);
        ff_jax_sampling_order(&p, key, order[1]);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(order[k][0] + order[k][1], 5);          /* 0 and 5 */
            assert_int_equal(order[k][0] * order[k][1], 0);
            assert_int_equal(order[k][10] + order[k][11], 14);       /* 3 and 11; 7 is both and so neither */
            assert_true(order[k][10] == 3 || order[k][10] == 11);
        }
    }
    int64_t ordered[ROWS];
    const int64_t expected[ROWS] = {0, 5, 1, 2, 4, 6, 7, 8, 9, 10, 3, 11};
    ff_msa_pool_order(&p, FF_SAMPLING_ORDERED, &(struct ff_msa_draw){0}, ordered);
    assert_memory_equal(ordered, expected, sizeof expected);
    ff_msa_pool_free(&p);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void damaged_complexes_are_refused(void **state)
{
    (void)state;
    struct ff_arrays a, raw;
    const struct ff_arrays *list[] = {&a, &a};
    make_chain("ACDE", "ACDE/ACDF/GGGG", NULL, NULL, &a);
    struct ff_source_options o = {.features = published, .num_ensemble = 1};
    struct ff_source *source;
    static const struct {
        const char *array;
        int index;
        double value;
        const char *message;
    } changes[] = {
        {"aatype", 1, 21, "array aatype has the value 21 at [1]"},
        {"msa", 9, 22, "array msa has the value 22 at [1, 1]"},
        {"msa_mask", 3, 0.5, "array msa_mask has the value 0.5"},
        {"deletion_matrix", 0, -1, "array deletion_matrix"},
        {"asym_id", 2, 1.5, "array asym_id has the value 1.5"},
        {"cluster_bias_mask", 1, 2, "array cluster_bias_mask"},
        {"template_aatype", 0, -1, "array template_aatype"},
        {"template_all_atom_positions", 5, NAN, "array template_all_atom_positions"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_ok(ff_assembly_make(2, list, &raw));
        struct ff_array *x = ff_arrays_find(&raw, changes[i].array);
        if (x->dtype == FF_F32)
            ((float *)x->data)[changes[i].index] = (float)changes[i].value;
        else
            ((int32_t *)x->data)[changes[i].index] = (int32_t)changes[i].value;
        assert_fails(ff_source_from_complex("c.npz", &raw, &o, &source), FF_EINPUT, changes[i].message);
        assert_int_equal(raw.count, 0);
    }
    assert_ok(ff_assembly_make(2, list, &raw));
    memset(ff_arrays_find(&raw, "msa_mask")->data, 0, ff_array_bytes(ff_arrays_find(&raw, "msa_mask")));
    assert_fails(ff_source_from_complex("c.npz", &raw, &o, &source), FF_EINPUT, "msa_mask is 0 everywhere");
    assert_ok(ff_assembly_make(2, list, &raw));
    ff_arrays_remove(&raw, "sym_id");
    assert_fails(ff_source_from_complex("c.npz", &raw, &o, &source), FF_EINPUT, "array sym_id is missing");
    assert_ok(ff_assembly_make(2, list, &raw));
    o.features.max_clusters = 0;
    assert_fails(ff_source_from_complex("c.npz", &raw, &o, &source), FF_EUSAGE, "msa.max_clusters is 0");
    ff_arrays_free(&a);
}

static void golden_files_open(void **state)
{
    (void)state;
    static const char *const files[] = {"model/multimer_v3_small.npz", "model/multimer_v1_small.npz",
                                        "model/multimer_v3_full.npz"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = test_data_path(files[i]);
        if (path == NULL) {
            golden_n_skipped++;
            continue;
        }
        enum ff_feature_kind kind;
        struct ff_arrays raw, got;
        assert_ok(ff_feature_file_load(path, &kind, &raw));
        assert_int_equal(kind, FF_FEATURES_COMPLEX);
        int64_t rows = ff_arrays_find(&raw, "msa")->shape[0], n = ff_arrays_find(&raw, "msa")->shape[1];
        int64_t t = ff_arrays_find(&raw, "template_aatype")->shape[0];
        struct ff_source_options o = {.features = published, .num_ensemble = 1};
        o.features.sampling = FF_SAMPLING_ORDERED;
        o.features.max_extra = 1000;
        struct ff_source *source;
        assert_ok(ff_source_from_complex(path, &raw, &o, &source));
        assert_int_equal(source->shape.n_res, n);
        assert_int_equal(source->shape.n_seq, 4);
        assert_int_equal(source->shape.n_extra, rows - 4);
        assert_int_equal(source->shape.n_template, t);
        assert_false(source->shape.has_masked_residues);
        assert_ok(source->next(source, 0, 0, &got));
        const struct ff_array *a;
        assert_ok(ff_arrays_get(&got, "target_feat", FF_F32, 2, (int64_t[]){n, 21}, &a));
        assert_ok(ff_arrays_get(&got, "template_pseudo_beta", FF_F32, 3, (int64_t[]){t, n, 3}, &a));
        assert_ok(ff_arrays_get(&got, "template_all_atom_mask", FF_F32, 3, (int64_t[]){t, n, 37}, &a));
        assert_ok(ff_arrays_get(&got, "sym_id", FF_I32, 1, (int64_t[]){n}, &a));
        ff_arrays_free(&got);
        ff_source_destroy(source);
        free(path);
        golden_n_done++;
    }
    print_message("%d golden files opened, %d are not on this machine\n", golden_n_done, golden_n_skipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_paired_and_put_into_blocks),
        cmocka_unit_test(chains_without_alignments_take_part),
        cmocka_unit_test(thirty_equal_chains_are_one_dense_block),
        cmocka_unit_test(crowded_species_are_left_out),
        cmocka_unit_test(masked_rows_are_left_out),
        cmocka_unit_test(passes_draw_anew),
        cmocka_unit_test(queries_come_first_and_empty_rows_last),
        cmocka_unit_test(damaged_complexes_are_refused),
        cmocka_unit_test(golden_files_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
