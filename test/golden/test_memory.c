/* SPDX-License-Identifier: Apache-2.0
 * Whole passes with little memory against the same with all they want. Weights that come block by block change no bit;
 * small pieces change the order in which the library adds, so there the results are equal to the tests' tolerance.
 */
#include "golden/golden.h"

#include "feature/feature_file.h"
#include "model/model.h"

static ff_status make_plan(const struct golden *g, const struct ff_source *source, size_t budget, struct ff_plan *ret)
{
    const struct ff_plan_memory memory = {.overhead = g->be->workspace, .budget = budget, .host = SIZE_MAX / 2};
    return ff_model_plan(&g->config.model, &source->shape, g->be->precision, g->be->activation, &memory, ret);
}

/* The plan for the least memory, to five per cent. */
static void least_plan(const struct golden *g, const struct ff_source *source, const struct ff_plan *most,
                       struct ff_plan *ret)
{
    struct ff_plan p;
    *ret = *most;
    while (make_plan(g, source, ret->total_bytes - (ret->total_bytes - g->be->workspace) / 20, &p) == FF_OK)
        *ret = p;
    assert_string_not_equal(ff_status_message(), "");
    ff_status_clear();
}

static void compare(const struct ff_prediction *want, const struct ff_prediction *got, bool to_the_bit)
{
    assert_int_equal(want->arrays.count, got->arrays.count);
    for (int i = 0; i < want->arrays.count; i++) {
        const struct ff_array *a = &want->arrays.items[i], *b = ff_arrays_find(&got->arrays, a->name);
        if (b == NULL)
            fail_msg("no %s", a->name);
        size_t n = (size_t)ff_array_count(a);
        if (!to_the_bit)
            test_assert_close(a->name, b->data, a->data, n, GOLDEN_RELATIVE);
        else if (memcmp(a->data, b->data, n * ff_dtype_size(a->dtype)) != 0)
            fail_msg("%s differs: by %.2e of its largest value", a->name, test_relative_error(b->data, a->data, n));
    }
}

enum { ENOUGH = 64 << 20 };          /* for templates and extra MSA of these targets */

/* on_host: where memory is least, new rows of the pair wait there too. */
static void little_memory(const char *file, const char *model, const char *const *settings, bool on_host)
{
    struct golden *g = golden_open(file, model, settings);
    if (g == NULL)
        skip();
    struct ff_arrays inputs = {0};
    enum ff_feature_kind kind;
    assert_ok(ff_feature_file_load(g->path, &kind, &inputs));
    struct ff_source_options options = {.features = g->config.msa, .resample = true, .num_ensemble = 1};
    struct ff_source *source = NULL;
    if (g->config.model.multimer)
        assert_ok(ff_source_from_complex(file, &inputs, &options, &source));
    else
        assert_ok(ff_source_from_processed(file, &inputs, &options, &source));

    struct ff_plan most, stream, least;
    assert_ok(make_plan(g, source, SIZE_MAX, &most));
    assert_false(most.stream_blocks);
    assert_ok(make_plan(g, source, most.total_bytes - 1, &stream));
    assert_true(stream.stream_blocks && stream.chunk_bytes == most.chunk_bytes);
    least_plan(g, source, &most, &least);
    assert_true(least.stream_blocks && (least.stream_bytes > 0) == on_host);
    assert_true(least.chunk_bytes < most.chunk_bytes);
    print_message("    %.1f MiB, chunks of %.1f; %.1f MiB, chunks of %.2f, %.1f MiB on the host\n",
                  (double)most.total_bytes / (1 << 20), (double)most.chunk_bytes / (1 << 20),
                  (double)least.total_bytes / (1 << 20), (double)least.chunk_bytes / (1 << 20),
                  (double)least.host_bytes / (1 << 20));

    struct ff_model *m = NULL;
    assert_ok(ff_model_open(&g->config.model, "synthetic", g->be, &m));
    struct ff_model_run_options run = {.want_representations = true, .want_logits = true};
    struct ff_prediction want, got;
    /* The weights move to the host, stay, and return. */
    struct ff_plan spill = least;
    if (spill.spilled_bytes == 0) {
        spill.spilled_bytes = ENOUGH;
        spill.arena_bytes += ENOUGH;
    }
    /* Operands in parts too; the pair leaves while templates are embedded. */
    struct ff_plan all = spill;
    all.stream_bytes = 512 << 10;
    all.waiting_bytes = ENOUGH;
    all.arena_bytes += ENOUGH;
    /* The extra MSA comes in pieces: with large chunks, and with small ones. */
    struct ff_plan pieces = spill, small_pieces = all;
    pieces.msa_in_pieces = small_pieces.msa_in_pieces = true;
    const struct ff_plan *const plans[] = {&stream, &least, &spill, &all, &pieces, &small_pieces, &most};
    assert_ok(ff_model_run(m, source, &most, &run, &want));
    for (int i = 0; i < 7; i++) {
        assert_ok(ff_model_run(m, source, plans[i], &run, &got));
        compare(&want, &got, plans[i] == &stream || plans[i] == &most);
        ff_prediction_free(&got);
        /* The next network's weights go where this one's are. */
        assert_ok(ff_model_reload(m, &g->config.model, "synthetic"));
    }
    ff_prediction_free(&want);
    ff_model_close(m);
    ff_source_destroy(source);
    golden_close(g);
}

static const char *const SMALL[] = {"model.evoformer.num_block=2", "model.extra_msa_stack.num_block=2", NULL};

static void test_monomer(void **state)
{
    (void)state;
    little_memory("monomer_ptm_small.npz", "model_1_ptm", SMALL, false);
}

static void test_complex(void **state)
{
    (void)state;
    little_memory("multimer_v3_small.npz", "model_1_multimer_v3", SMALL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_monomer), cmocka_unit_test(test_complex)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
