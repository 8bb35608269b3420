/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "feature/jax_random.h"
#include "feature/jax_sampling.h"

static void check_keys(const struct ff_jax_key *got, const uint32_t (*expected)[2], int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(got[i].word[k], expected[i][k]);
}

/* The test vectors of the generator's authors (Random123, kat_vectors: threefry2x32, 20 rounds). */
static void blocks_equal_the_authors_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[2], key[2], out[2];
    } vectors[] = {
        {{0x00000000, 0x00000000}, {0x00000000, 0x00000000}, {0x6b200159, 0x99ba4efe}},
        {{0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}, {0x1cb996fc, 0xbb002be7}},
        {{0x243f6a88, 0x85a308d3}, {0x13198a2e, 0x03707344}, {0xc4923a9c, 0x483df7a0}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[2];
        struct ff_jax_key key = {{vectors[i].key[0], vectors[i].key[1]}};
        ff_jax_random_block(key, vectors[i].counter[0], vectors[i].counter[1], out);
        assert_int_equal(out[0], vectors[i].out[0]);
        assert_int_equal(out[1], vectors[i].out[1]);
    }
}

/* Values of jax.random 0.4.38 with jax_threefry_partitionable off. */
static void keys_and_numbers_equal_jax(void **state)
{
    (void)state;
    struct ff_jax_key key = ff_jax_random_key(42), keys[5];
    check_keys(&key, (const uint32_t[][2]){{0, 42}}, 1);
    keys[0] = ff_jax_random_key((1ull << 40) + 7);
    keys[1] = ff_jax_random_key((1u << 31) + 5);
    check_keys(keys, (const uint32_t[][2]){{0, 7}, {0, 2147483653}}, 2);
    ff_jax_random_split(key, 2, keys);
    check_keys(keys, (const uint32_t[][2]){{2465931498, 3679230171}, {255383827, 267815257}}, 2);
    ff_jax_random_split(key, 3, keys);
    check_keys(keys, (const uint32_t[][2]){{3134548294, 3733159049}, {3746501087, 894150801}, {801545058, 2363201431}},
               3);
    ff_jax_random_split(key, 5, keys);
    check_keys(keys, (const uint32_t[][2]){{2765691542, 1385194879}, {831049250, 3807460095}, {3616728933, 824333390},
                                           {1482326074, 1083977345}, {2713995981, 2812206153}}, 5);
    const uint32_t data[] = {0, 1, 2, 1000};
    for (int i = 0; i < 4; i++)
        keys[i] = ff_jax_random_fold_in(key, data[i]);
    check_keys(keys, (const uint32_t[][2]){{1832780943, 270669613}, {64467757, 2916123636}, {2465931498, 255383827},
                                           {3383801349, 143359933}}, 4);
    const float uniform[] = {0.23566985130310059f, 0.7421189546585083f, 0.3738672733306885f, 0.5734988451004028f};
    const float gumbel[] = {-0.36833086609840393f, 1.2098387479782104f, 0.01627904362976551f, 0.5869894623756409f};
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(ff_jax_random_uniform(ff_jax_random_fold_in(key, i)) == uniform[i]);
        assert_true(fabsf(ff_jax_sampling_gumbel(ff_jax_random_fold_in(key, i)) - gumbel[i]) < 5e-7f);
    }
}

/* Every draw of whole runs of the published program (recycles, ensemble members) on the rows of a small complex. */
static void draws_equal_the_published_program(void **state)
{
    (void)state;
    struct ff_arrays file;
    assert_ok(ff_npz_load("test/data/features/jax_sampling.npz", &file));
    const struct ff_array *msa = ff_arrays_find(&file, "in/msa");
    int rows = (int)msa->shape[0], n = (int)msa->shape[1];
    const float *mask = ff_arrays_find(&file, "in/msa_mask")->data;
    const float *bias = ff_arrays_find(&file, "in/cluster_bias_mask")->data;
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, rows, n, true);
    for (int i = 0; i < rows * n; i++) {
        p.ids[i] = (uint8_t)((const int32_t *)msa->data)[i];
        p.mask[i] = mask[i] > 0;
    }
    for (int r = 0; r < rows; r++)
        p.bias[r] = bias[r] > 0;
    ff_msa_pool_set_profile(&p);

    static const struct {
        const char *name;
        uint64_t seed;
        int n_member;
        bool resample;
    } runs[] = {
        {"recycles", 7, 1, true},
        {"seed64", (1ull << 33) + 123, 1, true},
        {"ensemble", 5, 2, true},
        {"same", 9, 1, false},
    };
    const struct ff_feature_config config = {.mask_fraction = 0.15f, .profile_prob = 0.1f, .same_prob = 0.1f,
                                             .uniform_prob = 0.1f, .sampling = FF_SAMPLING_JAX};
    int64_t *order = FF_NEW_ARRAY(int64_t, (size_t)rows);
    uint8_t *ids = FF_NEW_ARRAY(uint8_t, (size_t)(rows * n)), *hidden = FF_NEW_ARRAY(uint8_t, (size_t)(rows * n));
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        char *name[3];
        const char *const parts[] = {"order", "msa", "hidden"};
        const struct ff_array *expected[3];
        for (int i = 0; i < 3; i++) {
            name[i] = ff_xasprintf("%s/%s", runs[k].name, parts[i]);
            expected[i] = ff_arrays_find(&file, name[i]);
            assert_non_null(expected[i]);
            free(name[i]);
        }
        int n_draw = (int)expected[0]->shape[0], n_centre = (int)expected[1]->shape[1];
        for (int d = 0; d < n_draw; d++) {
            struct ff_msa_draw draw = {.seed = runs[k].seed, .pass = d / runs[k].n_member,
                                       .member = d % runs[k].n_member, .resample = runs[k].resample,
                                       .last_pass = d / runs[k].n_member == n_draw / runs[k].n_member - 1};
            struct ff_jax_key order_key, hide_key;
            ff_jax_sampling_keys(&draw, &order_key, &hide_key);
            ff_jax_sampling_order(&p, order_key, order);
            const int32_t *want = (const int32_t *)expected[0]->data + d * rows;
            for (int r = 0; r < rows; r++)
                assert_int_equal(order[r], want[r]);
            ff_jax_sampling_hide(&p, &config, hide_key, order, n_centre, ids, hidden);
            const int32_t *want_ids = (const int32_t *)expected[1]->data + d * n_centre * n;
            const int32_t *want_hidden = (const int32_t *)expected[2]->data + d * n_centre * n;
            for (int i = 0; i < n_centre * n; i++) {
                bool unmasked = p.mask[order[i / n] * n + i % n];
                assert_int_equal(hidden[i], want_hidden[i]);
                assert_int_equal(unmasked ? ids[i] : 0, want_ids[i]);
            }
        }
        golden_n_done++;
    }
    free(order);
    free(ids);
    free(hidden);
    ff_msa_pool_free(&p);
    ff_arrays_free(&file);
    golden_report();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_equal_the_authors_vectors),
        cmocka_unit_test(keys_and_numbers_equal_jax),
        cmocka_unit_test(draws_equal_the_published_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
