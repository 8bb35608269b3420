/* SPDX-License-Identifier: Apache-2.0
 * Whole passes, all recycles, through the public calls of model/model.h, against the published model.
 */
#include "golden/golden.h"

#include "feature/feature_file.h"
#include "model/model.h"

/* Largest distance of an atom, in A. */
static double atom_error(const struct ff_array *got, const struct ff_array *want)
{
    const float *a = got->data, *b = want->data;
    double worst = 0;
    for (int64_t i = 0; i < ff_array_count(want); i += 3) {
        double d = hypot(hypot(a[i] - b[i], a[i + 1] - b[i + 1]), a[i + 2] - b[i + 2]);
        if (!(d <= worst))
            worst = d;
    }
    return worst;
}

static void compare_one(const char *name, const struct ff_array *got, const struct ff_array *want)
{
    if (got == NULL)
        fail_msg("the prediction has no %s", name);
    assert_int_equal(ff_array_count(got), ff_array_count(want));
    if (want->dtype != FF_F32)
        return;
    size_t n = (size_t)ff_array_count(want);
    if (strcmp(name, "structure_module/final_atom_positions") == 0) {
        double worst = atom_error(got, want);
        print_message("    %-40s %.2e of %.0e A\n", name, worst, GOLDEN_ATOM);
        assert_true(worst <= GOLDEN_ATOM);
        return;
    }
    print_message("    %-40s %.2e of %.0e\n", name, test_relative_error(got->data, want->data, n), GOLDEN_RELATIVE);
    test_assert_close(name, got->data, want->data, n, GOLDEN_RELATIVE);
}

/* out/plddt, out/ptm, out/iptm and out/passK/... of the last pass; earlier passes are seen through it. */
static void compare_all(const struct ff_arrays *file, int last, const struct ff_prediction *p)
{
    char prefix[32];
    snprintf(prefix, sizeof prefix, "out/pass%d/", last);
    int compared = 0;
    for (int i = 0; i < file->count; i++) {
        const struct ff_array *a = &file->items[i];
        const char *name = NULL;
        if (strncmp(a->name, prefix, strlen(prefix)) == 0)
            name = a->name + strlen(prefix);
        else if (strncmp(a->name, "out/pass", 8) != 0 && strncmp(a->name, "out/", 4) == 0)
            name = a->name + 4;
        if (name == NULL || strcmp(name, "predicted_aligned_error/asym_id") == 0)
            continue;
        compare_one(name, ff_arrays_find(&p->arrays, name), a);
        compared++;
    }
    assert_true(compared >= 10);
}

static void whole_pass(const char *file, const char *model, const char *const *settings, const char *params,
                       int num_recycle)
{
    struct golden *g = golden_open(file, model, settings);
    if (g == NULL)
        skip();
    struct ff_arrays inputs = {0};
    enum ff_feature_kind kind;
    const struct ff_model_config *c = &g->config.model;
    assert_ok(ff_feature_file_load(g->path, &kind, &inputs));
    assert_int_equal(kind, c->multimer ? FF_FEATURES_COMPLEX : FF_FEATURES_PROCESSED);
    struct ff_source_options options = {.features = g->config.msa, .resample = true, .num_ensemble = 1};
    struct ff_source *source = NULL;
    if (c->multimer)
        assert_ok(ff_source_from_complex(file, &inputs, &options, &source));
    else
        assert_ok(ff_source_from_processed(file, &inputs, &options, &source));
    struct ff_plan plan;
    const struct ff_plan_memory memory = {.overhead = g->be->workspace, .budget = SIZE_MAX};
    assert_ok(ff_model_plan(c, &source->shape, g->be->precision, g->be->activation, &memory, &plan));
    struct ff_model *m = NULL;
    assert_ok(ff_model_open(c, params, g->be, &m));
    struct ff_model_run_options run = {.num_recycle = num_recycle, .want_representations = true, .want_logits = true};
    struct ff_prediction p;
    assert_ok(ff_model_run(m, source, &plan, &run, &p));
    assert_int_equal(p.n_pass, num_recycle + 1);
    compare_all(&g->file, num_recycle, &p);
    ff_prediction_free(&p);
    ff_model_close(m);
    ff_source_destroy(source);
    golden_close(g);
}

static const char *const SMALL[] = {"model.evoformer.num_block=2", "model.extra_msa_stack.num_block=1", NULL};

static void test_monomer_notemplate_small(void **state)
{
    (void)state;
    whole_pass("monomer_notemplate_small.npz", "model_3", SMALL, "synthetic", 0);
}

static void test_monomer_ptm_small(void **state)
{
    (void)state;
    whole_pass("monomer_ptm_small.npz", "model_1_ptm", SMALL, "synthetic", 2);
}

static void test_monomer_ptm_full(void **state)
{
    (void)state;
    whole_pass("monomer_ptm_full.npz", "model_1_ptm", NULL, "synthetic", 3);
}

static void test_demo(void **state)
{
    (void)state;
    whole_pass("data/demo/golden_4ot.npz", "demo", NULL, "data/demo/params_demo.npz", 3);
}

/* Complexes: clusters in file order, nothing hidden, no early stop, sizes as the file was made with. */
#define ORDERED "msa.sampling=ordered", "msa.mask_fraction=0", "model.recycle_early_stop_tolerance=-1"
#define SMALL_STACKS "model.evoformer.num_block=2", "model.extra_msa_stack.num_block=1"

static void test_multimer_v1_small(void **state)
{
    (void)state;
    static const char *const settings[] = {ORDERED, SMALL_STACKS, "msa.max_clusters=9", "msa.max_extra=10", NULL};
    whole_pass("multimer_v1_small.npz", "model_1_multimer", settings, "synthetic", 0);
}

static void test_multimer_v3_small(void **state)
{
    (void)state;
    static const char *const settings[] = {ORDERED, SMALL_STACKS, "msa.max_clusters=11", "msa.max_extra=12", NULL};
    whole_pass("multimer_v3_small.npz", "model_1_multimer_v3", settings, "synthetic", 1);
}

static void test_multimer_v3_full(void **state)
{
    (void)state;
    static const char *const settings[] = {ORDERED, "msa.max_clusters=20", "msa.max_extra=30", NULL};
    whole_pass("multimer_v3_full.npz", "model_1_multimer_v3", settings, "synthetic", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monomer_notemplate_small),
        cmocka_unit_test(test_monomer_ptm_small),
        cmocka_unit_test(test_monomer_ptm_full),
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_multimer_v1_small),
        cmocka_unit_test(test_multimer_v3_small),
        cmocka_unit_test(test_multimer_v3_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
