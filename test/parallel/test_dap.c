/* SPDX-License-Identifier: Apache-2.0
 * Whole passes on several ranks against one rank and against the published model. Run by mpirun on 1 to 4 ranks
 * (test/parallel/dap.bats); rank 0 compares, and prints the results. $FF_TEST_DEVICE=cuda: one GPU per rank, NCCL. An
 * argument names the test to run.
 */
#include "golden/golden.h"

#include "feature/feature_file.h"
#include "model/model.h"

enum memory { PLENTY, LITTLE };

static ff_status make_plan(const struct golden *g, const struct ff_source *source, size_t budget, struct ff_plan *ret)
{
    const struct ff_plan_memory memory = {.overhead = g->be->workspace, .budget = budget, .host = SIZE_MAX / 2};
    return ff_model_plan(&g->config.model, &source->shape, g->be->precision, g->be->activation, &memory, ret);
}

enum { ENOUGH = 64 << 20 };          /* for all that may lie on the host, of these targets */

/* The plan for the least memory, to five per cent, with all on the host that may lie there, even where nothing is won
 * by it. Many pieces of the operands. */
static void least_plan(const struct golden *g, const struct ff_source *source, struct ff_plan *p)
{
    struct ff_plan next;
    size_t most = p->total_bytes;
    while (make_plan(g, source, p->total_bytes - (p->total_bytes - g->be->workspace) / 20, &next) == FF_OK)
        *p = next;
    ff_status_clear();
    assert_true(p->stream_blocks);
    print_message("    %d ranks: %.1f MiB, and %.1f MiB with %.1f on the host\n", source->shape.n_rank,
                  (double)most / (1 << 20), (double)p->total_bytes / (1 << 20), (double)p->host_bytes / (1 << 20));
    p->arena_bytes += ENOUGH;
    p->spilled_bytes = p->waiting_bytes = ENOUGH;
    p->stream_bytes = 512 << 10;
    p->msa_in_pieces = true;
}

/* The same target on `comm`, or on this rank alone. */
static void run(struct golden *g, const char *file, int num_recycle, struct ff_comm *comm, enum memory memory,
                struct ff_prediction *ret)
{
    const struct ff_model_config *c = &g->config.model;
    struct ff_arrays inputs = {0};
    enum ff_feature_kind kind;
    assert_ok(ff_feature_file_load(g->path, &kind, &inputs));
    struct ff_source_options options = {.features = g->config.msa, .resample = true, .num_ensemble = c->num_ensemble};
    struct ff_source *source = NULL;
    if (c->multimer)
        assert_ok(ff_source_from_complex(file, &inputs, &options, &source));
    else
        assert_ok(ff_source_from_processed(file, &inputs, &options, &source));
    struct ff_plan plan;
    source->shape.n_rank = comm != NULL ? comm->size : 1;
    assert_ok(make_plan(g, source, SIZE_MAX, &plan));
    if (memory == LITTLE)
        least_plan(g, source, &plan);
    else if (comm != NULL)
        plan.chunk_bytes = 256 << 10; /* many pieces; the arena was planned for larger ones */
    struct ff_model *m = NULL;
    assert_ok(ff_model_open(c, "synthetic", g->be, &m));
    struct ff_model_run_options o = {.num_recycle = num_recycle, .want_representations = true, .want_logits = true,
                                     .comm = comm};
    assert_ok(ff_model_run(m, source, &plan, &o, ret));
    ff_model_close(m);
    ff_source_destroy(source);
}

static void compare(const struct ff_prediction *one, const struct ff_prediction *many)
{
    assert_int_equal(one->arrays.count, many->arrays.count);
    double worst = 0;
    for (int i = 0; i < one->arrays.count; i++) {
        const struct ff_array *want = &one->arrays.items[i], *got = ff_arrays_find(&many->arrays, want->name);
        if (got == NULL)
            fail_msg("several ranks give no %s", want->name);
        size_t n = (size_t)ff_array_count(want);
        assert_int_equal(n, ff_array_count(got));
        test_assert_close(want->name, got->data, want->data, n, GOLDEN_RELATIVE);
        double e = test_relative_error(got->data, want->data, n);
        worst = e > worst ? e : worst;
    }
    print_message("    %d arrays, largest relative difference %.2e of %.0e\n", one->arrays.count, worst,
                  GOLDEN_RELATIVE);
}

static void whole_pass(const char *file, const char *model, const char *const *settings, int num_recycle,
                       enum memory memory)
{
    struct golden *g = golden_open(file, model, settings);
    if (g == NULL)
        skip();
    struct ff_comm *comm = NULL;
    assert_ok(ff_comm_split(g->be, 0, &comm));
    assert_int_equal(comm->size, ff_comm_world_size());
    struct ff_prediction one = {0}, many = {0};
    run(g, file, num_recycle, comm, memory, &many);
    if (comm->rank == 0) {
        run(g, file, num_recycle, NULL, PLENTY, &one);
        compare(&one, &many);
        print_message("    %d ranks: sent by rank 0: %.1f MB gathered, %.1f MB exchanged\n", comm->size,
                      comm->stats.bytes[FF_ALL_GATHER] / 1e6, comm->stats.bytes[FF_ALL_TO_ALL] / 1e6);
    }
    assert_int_equal(many.n_pass, num_recycle + 1);
    ff_prediction_free(&one);
    ff_prediction_free(&many);
    ff_comm_destroy(comm);
    golden_close(g);
}

#define SMALL_STACKS "model.evoformer.num_block=2", "model.extra_msa_stack.num_block=1"

static void test_monomer_templates(void **state)
{
    (void)state;
    static const char *const settings[] = {SMALL_STACKS, NULL};
    whole_pass("monomer_ptm_small.npz", "model_1_ptm", settings, 2, PLENTY);
}

static void test_monomer_without_templates(void **state)
{
    (void)state;
    static const char *const settings[] = {SMALL_STACKS, NULL};
    whole_pass("monomer_notemplate_small.npz", "model_3", settings, 0, PLENTY);
}

static void test_complex(void **state)
{
    (void)state;
    static const char *const settings[] = {SMALL_STACKS, "msa.sampling=ordered", "msa.mask_fraction=0",
                                           "model.recycle_early_stop_tolerance=-1", "msa.max_clusters=11",
                                           "msa.max_extra=12", NULL};
    whole_pass("multimer_v3_small.npz", "model_1_multimer_v3", settings, 1, PLENTY);
}

static void test_complex_unfused(void **state)
{
    (void)state;
    static const char *const settings[] = {SMALL_STACKS, "msa.sampling=ordered", "msa.mask_fraction=0",
                                           "model.recycle_early_stop_tolerance=-1", "msa.max_clusters=9",
                                           "msa.max_extra=10", NULL};
    whole_pass("multimer_v1_small.npz", "model_1_multimer", settings, 0, PLENTY);
}

/* Weights, extra MSA or finished templates, and new rows of the pair on the host. */
static void test_little_memory(void **state)
{
    (void)state;
    static const char *const settings[] = {"model.evoformer.num_block=2", "model.extra_msa_stack.num_block=2",
                                           "model.templates.stack.num_block=1", NULL};
    whole_pass("monomer_ptm_small.npz", "model_1_ptm", settings, 0, LITTLE);
}

int main(int argc, char **argv)
{
    const char *transport = getenv("FF_TEST_TRANSPORT");
    if (transport != NULL && strcmp(transport, "auto") != 0)
        ff_comm_set_transport(strcmp(transport, "nccl") == 0 ? FF_TRANSPORT_NCCL : FF_TRANSPORT_PEER);
    if (ff_comm_start(&argc, &argv) != FF_OK) {
        fprintf(stderr, "%s\n", ff_status_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monomer_templates),
        cmocka_unit_test(test_monomer_without_templates),
        cmocka_unit_test(test_complex),
        cmocka_unit_test(test_complex_unfused),
        cmocka_unit_test(test_little_memory),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (ff_comm_world_rank() > 0 && freopen("/dev/null", "w", stdout) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ff_comm_stop();
    return failed;
}
