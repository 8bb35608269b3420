/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "bio/residue.h"
#include "bio/torsion.h"
#include "feature/msa_cluster.h"
#include "feature/raw_features.h"
#include "feature/source.h"

static const struct ff_feature_config published = {
    .max_clusters = 512,
    .max_extra = 1024,
    .max_templates = 4,
    .mask_fraction = 0.15f,
    .profile_prob = 0.1f,
    .same_prob = 0.1f,
    .uniform_prob = 0.1f,
    .sampling = FF_SAMPLING_RANDOM,
};

/* ---- golden files ------------------------------------------------------------------------------------------------ */

static bool load_raw(const char *dir, bool templates, struct ff_arrays *raw)
{
    *raw = (struct ff_arrays){0};
    if (!golden_load("monomer_raw", dir, raw))
        return false;
    struct ff_arrays t = {0};
    if (templates && strcmp(dir, "6KWC_1") != 0 && !golden_load("templates", dir, &t)) {
        ff_arrays_free(raw);
        return false;
    }
    for (int i = 0; i < t.count; i++) {
        struct ff_array *a = &t.items[i];
        memcpy(ff_arrays_add(raw, a->name, a->dtype, a->ndim, a->shape)->data, a->data, ff_array_bytes(a));
    }
    ff_arrays_free(&t);
    return true;
}

/* The intermediate results that reach the features only squashed or cropped. */
static void check_intermediates(const char *name, const struct ff_arrays *raw, int n_centre,
                                const struct ff_arrays *expected)
{
    struct ff_msa_pool pool;
    const struct ff_array *msa = ff_arrays_find(raw, "msa");
    const int32_t *ids = msa->data, *deletions = ff_arrays_find(raw, "deletion_matrix_int")->data;
    int64_t rows = msa->shape[0], n = msa->shape[1];
    ff_msa_pool_alloc(&pool, (int)rows, (int)n, false);
    for (int64_t i = 0; i < rows * n; i++) {
        pool.ids[i] = (uint8_t)ff_residue_from_hhblits[ids[i]];
        pool.deletions[i] = (float)deletions[i];
    }
    ff_msa_pool_set_profile(&pool);
    int64_t *order = FF_NEW_ARRAY(int64_t, (size_t)rows);
    ff_msa_pool_order(&pool, FF_SAMPLING_ORDERED, &(struct ff_msa_draw){0}, order);

    struct ff_arrays got = {0};
    float *profile = ff_arrays_add(&got, "intermediate_hhblits_profile", FF_F32, 2, (int64_t[]){n, 22})->data;
    memcpy(profile, pool.profile, (size_t)n * 22 * sizeof *profile);
    int32_t *assignment =
        ff_arrays_add(&got, "intermediate_extra_cluster_assignment", FF_I32, 1, (int64_t[]){rows - n_centre})->data;
    ff_msa_cluster_assign(&pool, order, n_centre, pool.ids, assignment);
    struct ff_msa_clusters clusters;
    ff_msa_cluster_nearest(&pool, order, n_centre, pool.ids, &clusters);
    float *mean = ff_arrays_add(&got, "intermediate_cluster_deletion_mean", FF_F32, 2, (int64_t[]){n_centre, n})->data;
    float *cluster_profile = FF_NEW_ARRAY(float, (size_t)(n_centre * n * FF_MSA_N_ID));
    ff_msa_cluster_summarize(&pool, order, pool.ids, &clusters, cluster_profile, FF_MSA_N_ID, mean);
    for (int i = 0; i < got.count; i++)
        test_assert_array(name, &got.items[i], ff_arrays_find(expected, got.items[i].name), 1e-6);
    free(cluster_profile);
    ff_msa_clusters_free(&clusters);
    free(order);
    ff_arrays_free(&got);
    ff_msa_pool_free(&pool);
}

/* What the network's template embedding computes from the template arrays. */
static void check_torsions(const char *name, const struct ff_arrays *got, const struct ff_arrays *expected)
{
    if (ff_arrays_find(expected, "template_torsion_angles_mask") == NULL)
        return;
    const struct ff_array *aatype = ff_arrays_find(got, "template_aatype");
    int64_t t = aatype->shape[0], n = aatype->shape[1];
    const float *positions = ff_arrays_find(got, "template_all_atom_positions")->data;
    const float *atom_mask = ff_arrays_find(got, "template_all_atom_masks")->data;
    struct ff_arrays made = {0};
    const int64_t shape[] = {t, n, 7, 2};
    float *sin_cos = ff_arrays_add(&made, "template_torsion_angles_sin_cos", FF_F32, 4, shape)->data;
    float *alt = ff_arrays_add(&made, "template_alt_torsion_angles_sin_cos", FF_F32, 4, shape)->data;
    float *mask = ff_arrays_add(&made, "template_torsion_angles_mask", FF_F32, 3, shape)->data;
    for (int64_t i = 0; i < t; i++)
        ff_torsion_from_atom37(FF_TORSION_PLAIN, (int)n, (const int32_t *)aatype->data + i * n,
                               positions + i * n * 37 * 3, atom_mask + i * n * 37, sin_cos + i * n * 14,
                               alt + i * n * 14, mask + i * n * 7);
    /* The sine of an angle between nearly parallel vectors carries the rounding of float32 coordinates. */
    for (int i = 0; i < made.count; i++)
        test_assert_array(name, &made.items[i], ff_arrays_find(expected, made.items[i].name), 1e-5);
    ff_arrays_free(&made);
}

static void check_case(const char *dir, int model, int max_clusters, int max_extra)
{
    char *name = ff_xasprintf("%s__model_%d__c%d_e%d", dir, model, max_clusters, max_extra);
    bool templates = model <= 2;
    struct ff_arrays raw, expected = {0};
    if (load_raw(dir, templates, &raw) && golden_load("processed", name, &expected)) {
        struct ff_source_options o = {.features = published, .seed = 1, .resample = true, .num_ensemble = 1,
                                      .fixed_size = true};
        o.features.max_clusters = max_clusters;
        o.features.max_extra = max_extra;
        o.features.max_templates = templates ? 4 : 0;
        o.features.reduce_clusters_by_max_templates = templates;
        o.features.sampling = FF_SAMPLING_ORDERED;
        int n_centre = max_clusters - (templates ? 4 : 0);
        int n_row = (int)ff_arrays_find(&raw, "msa")->shape[0];
        check_intermediates(name, &raw, n_centre < n_row ? n_centre : n_row, &expected);

        struct ff_source *source;
        assert_ok(ff_source_from_raw(name, &raw, &o, &source));
        struct ff_arrays got;
        assert_ok(source->next(source, 0, 0, &got));
        static const char *const except[] = {"intermediate_", "template_torsion_", "template_alt_torsion_", NULL};
        assert_int_equal(golden_compare(name, &got, &expected, except), got.count);
        check_torsions(name, &got, &expected);
        ff_arrays_free(&got);
        ff_source_destroy(source);
        golden_n_done++;
    }
    ff_arrays_free(&raw);
    ff_arrays_free(&expected);
    free(name);
}

static void golden_cases(void **state)
{
    (void)state;
    check_case("short", 1, 16, 32);
    check_case("short", 1, 512, 1024);
    check_case("short", 3, 512, 5120);
    check_case("fam_C", 1, 16, 32);
    check_case("fam_C", 1, 512, 1024);
    check_case("6KWC_1", 1, 16, 32);
    check_case("6KWC_1", 3, 16, 32);
    golden_report();
}

/* ---- without padding --------------------------------------------------------------------------------------------- */

static struct ff_source *open_short(bool fixed_size, const struct ff_feature_config *features, uint64_t seed,
                                    bool resample)
{
    struct ff_arrays raw;
    assert_true(load_raw("short", true, &raw));
    struct ff_source_options o = {.features = *features, .seed = seed, .resample = resample, .num_ensemble = 2,
                                  .fixed_size = fixed_size};
    struct ff_source *source;
    assert_ok(ff_source_from_raw("short", &raw, &o, &source));
    return source;
}

static void unpadded_sets_are_the_real_rows(void **state)
{
    (void)state;
    struct ff_feature_config c = published;
    c.max_clusters = 1200;            /* more than the 1136 rows */
    struct ff_source *tight = open_short(false, &c, 3, true), *padded = open_short(true, &c, 3, true);
    assert_int_equal(tight->shape.n_seq, 1136);
    assert_int_equal(tight->shape.n_extra, 0);
    assert_int_equal(tight->shape.n_template, 4);
    assert_int_equal(tight->shape.n_res, 73);
    assert_int_equal(padded->shape.n_seq, 1200);
    assert_int_equal(padded->shape.n_extra, 1024);
    struct ff_arrays a, b;
    assert_ok(tight->next(tight, 0, 0, &a));
    assert_ok(padded->next(padded, 0, 0, &b));
    assert_int_equal(a.count, b.count);
    for (int i = 0; i < a.count; i++) {
        const struct ff_array *x = &a.items[i], *y = ff_arrays_find(&b, x->name);
        assert_true(ff_array_bytes(y) >= ff_array_bytes(x));
        assert_memory_equal(x->data, y->data, ff_array_bytes(x));
        for (size_t k = ff_array_bytes(x); k < ff_array_bytes(y); k++)
            assert_int_equal(((const char *)y->data)[k], 0);
    }
    assert_int_equal(ff_arrays_find(&a, "extra_msa")->shape[0], 0);
    ff_arrays_free(&a);
    ff_arrays_free(&b);
    ff_source_destroy(tight);
    ff_source_destroy(padded);
}

static void a_query_alone_is_one_row(void **state)
{
    (void)state;
    struct ff_msa msa;
    ff_msa_from_query("MKVX", "q", &msa);
    const struct ff_msa *list[] = {&msa};
    struct ff_arrays raw, got;
    assert_ok(ff_raw_features_make("MKVX", "q", 1, list, NULL, &raw));
    ff_msa_free(&msa);
    struct ff_source_options o = {.features = published, .num_ensemble = 1};
    struct ff_source *source;
    assert_ok(ff_source_from_raw("q", &raw, &o, &source));
    assert_int_equal(source->shape.n_seq, 1);
    assert_int_equal(source->shape.n_extra, 0);
    assert_int_equal(source->shape.n_template, 0);
    assert_ok(source->next(source, 0, 0, &got));
    const float *feat = ff_arrays_find(&got, "msa_feat")->data;
    for (int i = 0; i < 4; i++) {
        /* The centre is the cluster: its hidden residues are the profile. */
        for (int k = 0; k < 23; k++)
            assert_true(fabsf(feat[i * 49 + k] - feat[i * 49 + 25 + k]) < 2e-6);
    }
    ff_arrays_free(&got);
    ff_source_destroy(source);
}

/* ---- random sampling --------------------------------------------------------------------------------------------- */

static uint64_t fingerprint(struct ff_source *s, int pass, int member)
{
    struct ff_arrays a;
    assert_ok(s->next(s, pass, member, &a));
    uint64_t h = 0;
    for (int i = 0; i < a.count; i++)
        for (size_t k = 0; k < ff_array_bytes(&a.items[i]); k++)
            h = h * 31 + ((const uint8_t *)a.items[i].data)[k];
    ff_arrays_free(&a);
    return h;
}

static void draws_follow_seed_pass_and_member(void **state)
{
    (void)state;
    struct ff_feature_config c = published;
    c.max_clusters = 16;
    c.max_extra = 32;
    struct ff_source *a = open_short(false, &c, 5, true), *b = open_short(false, &c, 5, true);
    struct ff_source *other = open_short(false, &c, 6, true), *same = open_short(false, &c, 5, false);
    uint64_t first = fingerprint(a, 0, 0);
    assert_true(fingerprint(a, 1, 0) != first);
    assert_true(fingerprint(a, 0, 1) != first);
    assert_true(fingerprint(a, 0, 0) == first);
    assert_true(fingerprint(b, 1, 0) == fingerprint(a, 1, 0));
    assert_true(fingerprint(other, 0, 0) != first);
    /* One draw for all passes, but still one per member. */
    assert_true(fingerprint(same, 0, 0) == first);
    assert_true(fingerprint(same, 3, 0) == first);
    assert_true(fingerprint(same, 3, 1) == fingerprint(a, 0, 1));
    ff_source_destroy(a);
    ff_source_destroy(b);
    ff_source_destroy(other);
    ff_source_destroy(same);
}

static void random_rows_are_the_query_and_a_fair_choice(void **state)
{
    (void)state;
    enum { ROWS = 40, CENTRES = 10, DRAWS = 4000 };
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, ROWS, 1, false);
    int64_t order[ROWS];
    int centre_count[ROWS] = {0};
    for (int d = 0; d < DRAWS; d++) {
        ff_msa_pool_order(&p, FF_SAMPLING_RANDOM, &(struct ff_msa_draw){.seed = 9, .pass = d, .resample = true}, order);
        bool seen[ROWS] = {false};
        assert_int_equal(order[0], 0);
        for (int r = 0; r < ROWS; r++) {
            assert_false(seen[order[r]]);
            seen[order[r]] = true;
            centre_count[order[r]] += r < CENTRES;
        }
    }
    /* Each other row is a centre with probability 9/39: 923 of 4000 times, standard deviation 27. */
    for (int r = 1; r < ROWS; r++)
        assert_in_range(centre_count[r], 923 - 5 * 27, 923 + 5 * 27);
    ff_msa_pool_free(&p);
}

static void hidden_residues_follow_the_published_odds(void **state)
{
    (void)state;
    enum { ROWS = 500, N = 400 };
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, ROWS, N, false);
    for (int i = 0; i < ROWS * N; i++)
        p.ids[i] = i % N < N / 2 ? 3 : 21;          /* half of the columns D, half gaps */
    ff_msa_pool_set_profile(&p);
    int64_t *order = FF_NEW_ARRAY(int64_t, ROWS);
    uint8_t *ids = FF_NEW_ARRAY(uint8_t, ROWS * N), *hidden = FF_NEW_ARRAY(uint8_t, ROWS * N);
    struct ff_msa_draw draw = {.seed = 2};
    ff_msa_pool_order(&p, FF_SAMPLING_RANDOM, &draw, order);
    ff_msa_pool_hide(&p, &published, &draw, order, ROWS, 1e-10, ids, hidden);
    double n_hidden = 0, n_mask = 0, n_same = 0, n_uniform = 0;
    for (int i = 0; i < ROWS * N; i++) {
        uint8_t was = p.ids[i];                     /* all rows are equal */
        if (!hidden[i]) {
            assert_int_equal(ids[i], was);
            continue;
        }
        assert_true(ids[i] != 20);
        n_hidden++;
        n_mask += ids[i] == 22;
        n_same += ids[i] == was;
        n_uniform += ids[i] == 7;
    }
    /* Bounds of five standard deviations. The same residue comes from itself (0.1), the profile (0.1) and, for half of
     * the columns, the even choice (0.005). */
    assert_true(fabs(n_hidden / (ROWS * N) - 0.15) < 5 * sqrt(0.15 * 0.85 / (ROWS * N)));
    assert_true(fabs(n_mask / n_hidden - 0.7) < 5 * sqrt(0.7 * 0.3 / n_hidden));
    assert_true(fabs(n_same / n_hidden - 0.2025) < 5 * sqrt(0.2 * 0.8 / n_hidden));
    assert_true(fabs(n_uniform / n_hidden - 0.005) < 5 * sqrt(0.005 / n_hidden));
    struct ff_feature_config none = published;
    none.mask_fraction = 0;
    ff_msa_pool_hide(&p, &none, &draw, order, ROWS, 1e-10, ids, hidden);
    for (int i = 0; i < ROWS * N; i++)
        assert_true(!hidden[i] && ids[i] == p.ids[i]);
    none.mask_fraction = 1;
    ff_msa_pool_hide(&p, &none, &draw, order, ROWS, 1e-10, ids, hidden);
    for (int i = 0; i < ROWS * N; i++)
        assert_true(hidden[i]);
    free(order);
    free(ids);
    free(hidden);
    ff_msa_pool_free(&p);
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    struct ff_arrays raw;
    struct ff_source *source;
    struct ff_source_options o = {.features = published, .num_ensemble = 1};
    o.features.reduce_clusters_by_max_templates = true;
    o.features.max_clusters = 4;
    assert_true(load_raw("short", true, &raw));
    assert_fails(ff_source_from_raw("short", &raw, &o, &source), FF_EUSAGE, "set it to 5 or more");
    assert_int_equal(raw.count, 0);
    assert_true(load_raw("short", true, &raw));
    o.features = published;
    o.features.sampling = FF_SAMPLING_JAX;
    assert_fails(ff_source_from_raw("short", &raw, &o, &source), FF_EUSAGE, "jax");
    assert_true(load_raw("short", true, &raw));
    ff_arrays_remove(&raw, "msa");
    assert_fails(ff_source_from_raw("short.npz", &raw, &o, &source), FF_EINPUT, "short.npz: array msa is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases),
        cmocka_unit_test(unpadded_sets_are_the_real_rows),
        cmocka_unit_test(a_query_alone_is_one_row),
        cmocka_unit_test(draws_follow_seed_pass_and_member),
        cmocka_unit_test(random_rows_are_the_query_and_a_fair_choice),
        cmocka_unit_test(hidden_residues_follow_the_published_odds),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
