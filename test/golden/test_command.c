/* SPDX-License-Identifier: Apache-2.0
 * Whole passes of the published model through the program itself: `fastfold predict --features FILE.npz` must write the
 * golden arrays into result_*.npz, and the same atoms and confidence into its PDB file. $FASTFOLD is the program.
 */
#include "base/subprocess.h"
#include "bio/pdb.h"
#include "format/npz.h"
#include "unit/testing.h"

#define LIMIT_RELATIVE 1e-5
#define LIMIT_ATOM 0.005
#define LIMIT_PDB 0.00051        /* PDB files hold three decimals */

enum { MAX_ARGUMENT = 32 };

struct pass_case {
    const char *file;            /* golden file, or a path from the root */
    const char *name;            /* of the target: the file's stem */
    const char *model;           /* as it stands in result files */
    int last;                    /* pass whose arrays are compared */
    const char *arguments[MAX_ARGUMENT];
};

static const char *program(void)
{
    const char *path = getenv("FASTFOLD");
    if (path == NULL || *path == '\0')
        skip();
    return path;
}

static void run_predict(const struct pass_case *c, const char *features, const char *dir)
{
    const char *argv[MAX_ARGUMENT + 16] = {program(), "predict", "--quiet", "--device", "cpu", "--save-representations",
                                           "--features", features, "--output-dir", dir};
    int n = 10;
    for (int i = 0; c->arguments[i] != NULL; i++)
        argv[n++] = c->arguments[i];
    struct ff_subprocess_result result = {0};
    assert_ok(ff_subprocess_check(argv, NULL, NULL, NULL, &result));
    ff_subprocess_result_free(&result);
}

/* Largest distance of an atom. */
static double atom_error(const float *a, const float *b, int64_t n_atom)
{
    double worst = 0;
    for (int64_t i = 0; i < n_atom; i++, a += 3, b += 3) {
        double d = sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
        if (!(d <= worst))
            worst = d;
    }
    return worst;
}

static void compare_array(const char *name, const struct ff_array *got, const struct ff_array *expected)
{
    char a[128], b[128];
    if (got == NULL)
        fail_msg("the result has no %s", name);
    assert_string_equal(ff_array_shape_text(got, a, sizeof a), ff_array_shape_text(expected, b, sizeof b));
    assert_int_equal(got->dtype, expected->dtype);
    int64_t n = ff_array_count(expected);
    if (expected->dtype == FF_I32) {
        assert_memory_equal(got->data, expected->data, ff_array_bytes(expected));
        return;
    }
    assert_int_equal(expected->dtype, FF_F32);
    if (strcmp(name, "structure_module/final_atom_positions") != 0) {
        test_assert_close(name, got->data, expected->data, (size_t)n, LIMIT_RELATIVE);
        return;
    }
    double worst = atom_error(got->data, expected->data, n / 3);
    if (!(worst <= LIMIT_ATOM))
        fail_msg("an atom is %.4f A from its place", worst);
}

/* Every array of the last pass, and what follows from it. */
static int compare_arrays(const struct ff_arrays *golden, const struct ff_arrays *result, int last)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "out/pass%d/", last);
    int compared = 0;
    for (int i = 0; i < golden->count; i++) {
        const char *name = golden->items[i].name;
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            name += strlen(prefix);
        else if (strncmp(name, "out/", 4) == 0 && strncmp(name, "out/pass", 8) != 0)
            name += 4;
        else
            continue;
        compare_array(name, ff_arrays_find(result, name), &golden->items[i]);
        compared++;
    }
    return compared;
}

/* The PDB file tells the same as the arrays. */
static void compare_pdb(const char *path, const struct ff_arrays *golden, const struct ff_arrays *result)
{
    struct ff_structure s;
    assert_ok(ff_pdb_load(path, &s));
    const struct ff_array *positions = ff_arrays_find(result, "structure_module/final_atom_positions");
    const struct ff_array *mask = ff_arrays_find(result, "structure_module/final_atom_mask");
    const struct ff_array *plddt = ff_arrays_find(result, "plddt");
    const struct ff_array *aatype = ff_arrays_find(golden, "in/aatype");
    const struct ff_array *residue_index = ff_arrays_find(golden, "in/residue_index");
    int n_res = (int)plddt->shape[0], k = 0;
    for (int i = 0; i < n_res; i++) {
        const float *m = (const float *)mask->data + (size_t)i * FF_N_ATOM37;
        bool any = false;
        for (int a = 0; a < FF_N_ATOM37; a++)
            any = any || m[a] >= 0.5f;
        if (!any)
            continue; /* unknown residue types have no atoms and no lines */
        assert_true(k < s.n_res);
        assert_int_equal(s.aatype[k], ((const int32_t *)aatype->data)[i]);
        assert_int_equal(s.residue_index[k], ((const int32_t *)residue_index->data)[i] + 1);
        for (int a = 0; a < FF_N_ATOM37; a++) {
            assert_int_equal(s.mask[k * FF_N_ATOM37 + a] >= 0.5f, m[a] >= 0.5f);
            if (m[a] < 0.5f)
                continue;
            double b_factor = (double)s.b_factors[k * FF_N_ATOM37 + a];
            const float *want = (const float *)positions->data + ((size_t)i * FF_N_ATOM37 + (size_t)a) * 3;
            const float *got = s.positions + ((size_t)k * FF_N_ATOM37 + (size_t)a) * 3;
            for (int d = 0; d < 3; d++)
                assert_true(fabs((double)got[d] - (double)want[d]) <= LIMIT_PDB);
            assert_true(fabs(b_factor - (double)((const float *)plddt->data)[i]) <= 0.0051);
        }
        k++;
    }
    assert_int_equal(k, s.n_res);
    ff_structure_free(&s);
}

static char *result_path(const char *dir, const struct pass_case *c, const char *head, const char *tail)
{
    return ff_xasprintf("%s/%s/%s%s_pred_0%s", dir, c->name, head, c->model, tail);
}

static void check_case(const struct pass_case *c, int least_arrays)
{
    char *features = ff_file_exists(c->file) ? ff_xstrdup(c->file) : NULL;
    if (features == NULL) {
        char *relative = ff_xasprintf("model/%s", c->file);
        features = test_data_path(relative);
        free(relative);
    }
    if (features == NULL)
        skip();
    char *dir = test_make_dir();
    run_predict(c, features, dir);

    struct ff_arrays golden = {0}, result = {0};
    char *npz = result_path(dir, c, "result_", ".npz"), *pdb = result_path(dir, c, "unrelaxed_", ".pdb");
    assert_ok(ff_npz_load(features, &golden));
    assert_ok(ff_npz_load(npz, &result));
    assert_true(compare_arrays(&golden, &result, c->last) >= least_arrays);
    compare_pdb(pdb, &golden, &result);
    ff_arrays_free(&golden);
    ff_arrays_free(&result);
    free(npz);
    free(pdb);
    free(features);
    test_remove_dir(dir);
}

static void test_monomer_ptm_small(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"monomer_ptm_small.npz", "monomer_ptm_small", "model_1_ptm", 2,
                                   {"--model", "model_1_ptm", "--params", "synthetic", "--recycles", "2", "--set",
                                    "model.evoformer.num_block=2", "--set", "model.extra_msa_stack.num_block=1"}},
               15);
}

static void test_monomer_notemplate_small(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"monomer_notemplate_small.npz", "monomer_notemplate_small", "model_3", 0,
                                   {"--model", "model_3", "--params", "synthetic", "--recycles", "0", "--set",
                                    "model.evoformer.num_block=2", "--set", "model.extra_msa_stack.num_block=1"}},
               12);
}

static void test_monomer_ptm_full(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"monomer_ptm_full.npz", "monomer_ptm_full", "model_1_ptm", 3,
                                   {"--model", "model_1_ptm", "--params", "synthetic", "--recycles", "3"}},
               15);
}

/* Sampling as in the reference: rows in their order, nothing hidden. */
#define MULTIMER(clusters, extra, recycles)                                                                          \
    "--params", "synthetic", "--recycles", recycles, "--set", "msa.sampling=ordered", "--set", "msa.mask_fraction=0", \
        "--set", "msa.max_clusters=" clusters, "--set", "msa.max_extra=" extra, "--no-early-stop", "--precision", "fp32"
#define SMALL "--set", "model.evoformer.num_block=2", "--set", "model.extra_msa_stack.num_block=1"

static void test_multimer_v3_small(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"multimer_v3_small.npz", "multimer_v3_small", "model_1_multimer_v3", 1,
                                   {"--model", "model_1_multimer_v3", MULTIMER("11", "12", "1"), SMALL}},
               16);
}

static void test_multimer_v1_small(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"multimer_v1_small.npz", "multimer_v1_small", "model_1_multimer", 0,
                                   {"--model", "model_1_multimer", MULTIMER("9", "10", "0"), SMALL}},
               16);
}

static void test_multimer_v3_full(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"multimer_v3_full.npz", "multimer_v3_full", "model_1_multimer_v3", 2,
                                   {"--models", "model_1_multimer_v3", MULTIMER("20", "30", "2")}},
               16);
}

static void test_demo_4ot(void **state)
{
    (void)state;
    check_case(&(struct pass_case){"data/demo/golden_4ot.npz", "golden_4ot", "demo", 3,
                                   {"--config", "configs/demo.yaml"}},
               15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monomer_ptm_small),
        cmocka_unit_test(test_monomer_notemplate_small),
        cmocka_unit_test(test_monomer_ptm_full),
        cmocka_unit_test(test_multimer_v3_small),
        cmocka_unit_test(test_multimer_v1_small),
        cmocka_unit_test(test_multimer_v3_full),
        cmocka_unit_test(test_demo_4ot),
    };
    cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
