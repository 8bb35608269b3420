/* SPDX-License-Identifier: Apache-2.0
 * Whole passes on several ranks against one rank, and layers whose pieces are uneven, or empty on some of them. Run by
 * mpirun on 1 to 4 ranks (test/parallel/dap.bats); of passes rank 0 compares, and prints the results.
 * $FF_TEST_DEVICE=cuda: one GPU per rank, $FF_TEST_TRANSPORT among them. An argument names the test to run.
 */
#include "golden/golden.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "feature/feature_file.h"
#include "model/model.h"
#include "model/outer_product.h"
#include "model/triangle.h"

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

/* --- one layer -------------------------------------------------------------------------------------------------- */

enum { LAYER_ARENA = 16 << 20, SEQUENCES = 5, MSA_CHANNELS = 8, OUTER = 4, PAIR_CHANNELS = 8 };

/* [a, n, c] of numbers made up: indices from on of a longer second axis. */
static struct ff_tensor numbers(const struct ff_context *ctx, uint64_t key, int64_t a, int64_t from, int64_t n,
                                int64_t c)
{
    struct ff_tensor t = ff_arena_push(ctx->arena, FF_F32, FF_SHAPE(a, n, c));
    float *host = FF_NEW_ARRAY(float, (size_t)(a * n * c)), *at = host;
    for (int64_t i = 0; i < a; i++)
        for (int64_t j = from; j < from + n; j++)
            for (int64_t k = 0; k < c; k++)
                *at++ = (float)(ff_rng_at(key, (uint64_t)((i * 1000 + j) * 1000 + k)) >> 40) * 0x1p-24f - 0.5f;
    ctx->be->upload(ctx->be, &t, host);
    ctx->be->sync(ctx->be);
    free(host);
    return t;
}

static struct ff_norm norm(const struct ff_context *ctx, uint64_t key, int64_t n)
{
    return (struct ff_norm){ff_tensor_reshape(numbers(ctx, key, 1, 0, 1, n), FF_SHAPE(n)),
                            ff_tensor_reshape(numbers(ctx, key + 1, 1, 0, 1, n), FF_SHAPE(n))};
}

static struct ff_linear_weights layer(const struct ff_context *ctx, uint64_t key, int64_t k, int64_t n)
{
    return (struct ff_linear_weights){ff_tensor_reshape(numbers(ctx, key, 1, 0, k, n), FF_SHAPE(k, n)),
                                      ff_tensor_reshape(numbers(ctx, key + 1, 1, 0, 1, n), FF_SHAPE(n))};
}

/* What a layer works in, on a rank or alone: comm is NULL then. */
struct room {
    const struct ff_context *ctx;
    int64_t n_res, from, n;          /* all rows of the pair; this rank's */
    int64_t channels;
    enum memory size;
    void *host;                      /* what lies there, given back in the end; or NULL */
};
typedef struct ff_tensor made_up_layer(struct room *r);  /* [n, n_res, PAIR_CHANNELS] */

static float *rows_of(made_up_layer *make, struct golden *g, struct ff_comm *comm, int64_t n_res, int64_t channels,
                      int64_t chunk_bytes, enum memory size, size_t *count)
{
    void *memory;
    struct ff_arena arena;
    assert_ok(g->be->alloc(g->be, LAYER_ARENA, &memory));
    ff_arena_init(&arena, memory, LAYER_ARENA);
    const struct ff_dap dap = {.comm = comm, .be = g->be, .arena = &arena};
    const struct ff_context ctx = {.be = g->be, .arena = &arena, .config = &g->config.model,
                                   .chunk_bytes = chunk_bytes, .dap = comm != NULL ? &dap : NULL};
    if (comm != NULL)
        ff_comm_attach(comm, memory, LAYER_ARENA);
    struct room r = {.ctx = &ctx, .n_res = n_res, .from = ff_dap_from(ctx.dap, n_res, ff_dap_rank(ctx.dap)),
                     .n = ff_context_part(&ctx, n_res), .channels = channels, .size = size};
    struct ff_tensor z = make(&r);
    *count = (size_t)ff_tensor_count(&z);
    float *host = FF_NEW_ARRAY(float, *count);
    g->be->download(g->be, host, &z);
    if (comm != NULL)
        ff_comm_detach(comm);
    g->be->release(g->be, memory);
    if (r.host != NULL)
        g->be->release_host(g->be, r.host);
    return host;
}

/* Rows that a layer makes on several ranks, in pieces of so many bytes and with little memory, against its rows on one
 * with plenty. */
static void same_rows(made_up_layer *make, int64_t n_res, int64_t channels, int64_t chunk_bytes)
{
    struct golden *g = golden_open("monomer_ptm_small.npz", "model_1_ptm", NULL);
    if (g == NULL)
        skip();
    struct ff_comm *comm = NULL;
    assert_ok(ff_comm_split(g->be, 0, &comm));
    const struct ff_dap dap = {.comm = comm};
    const int64_t from = ff_dap_from(&dap, n_res, comm->rank) * n_res * PAIR_CHANNELS;
    size_t n, all;
    float *many = rows_of(make, g, comm, n_res, channels, chunk_bytes, LITTLE, &n);
    float *one = rows_of(make, g, NULL, n_res, channels, 1 << 20, PLENTY, &all);
    assert_true(n < all || comm->size == 1);
    test_assert_close("pair", many, one + from, n, GOLDEN_RELATIVE);
    free(many);
    free(one);
    ff_comm_destroy(comm);
    golden_close(g);
}

/* The outer product mean. With little memory the MSA waits on the host. */
static struct ff_tensor outer_product(struct room *r)
{
    const struct ff_context *ctx = r->ctx;
    struct ff_backend *be = ctx->be;
    const struct ff_outer_product_weights w = {
        .layer_norm_input = norm(ctx, 1, MSA_CHANNELS),
        .left_projection = layer(ctx, 3, MSA_CHANNELS, r->channels),
        .right_projection = layer(ctx, 5, MSA_CHANNELS, r->channels),
        .output = layer(ctx, 7, r->channels * r->channels, PAIR_CHANNELS)};
    struct ff_offload m = {.x = numbers(ctx, 9, SEQUENCES, r->from, r->n, MSA_CHANNELS), .away = r->size == LITTLE};
    if (m.away) {
        assert_ok(be->alloc_host(be, ff_tensor_bytes(&m.x), &r->host));
        m.host = r->host;
        be->store(be, m.host, 0, &m.x);
        be->settle(be);
    }
    struct ff_tensor mask = ff_tensor_reshape(numbers(ctx, 10, 1, 0, SEQUENCES, r->n_res),
                                              FF_SHAPE(SEQUENCES, r->n_res));
    struct ff_tensor z = numbers(ctx, 11, r->n, 0, r->n_res, PAIR_CHANNELS);
    FF_OP(be, fill, .out = mask, .value = 1.0f);
    FF_OP(be, fill, .out = z, .value = 0.0f);
    ff_outer_product_mean(ctx, &w, &m, mask, z);
    return z;
}

/* Operands have at least 16 columns at a time: of one column more on rank 0 the others have none in its last piece. */
static void test_outer_product_last_column(void **state)
{
    (void)state;
    same_rows(outer_product, 16 * ff_comm_world_size() + 1, OUTER, 1);
}

/* Triangle multiplications, one behind the other. */
static struct ff_tensor triangles(struct room *r)
{
    const struct ff_context *ctx = r->ctx;
    const int64_t c_z = PAIR_CHANNELS, c_i = r->channels;
    const struct ff_triangle_weights w = {
        .layer_norm_input = norm(ctx, 1, c_z), .center_layer_norm = norm(ctx, 3, c_i),
        .left_projection = layer(ctx, 5, c_z, c_i), .left_gate = layer(ctx, 7, c_z, c_i),
        .right_projection = layer(ctx, 9, c_z, c_i), .right_gate = layer(ctx, 11, c_z, c_i),
        .output_projection = layer(ctx, 13, c_i, c_z), .gating_linear = layer(ctx, 15, c_z, c_z)};
    struct ff_tensor z = ff_pair_push_rows(ctx, r->n_res, c_z), all = numbers(ctx, 17, r->n_res, 0, r->n_res, c_z);
    struct ff_tensor mask = ff_tensor_reshape(numbers(ctx, 18, 1, 0, r->n_res, r->n_res), FF_SHAPE(r->n_res, r->n_res));
    FF_OP(ctx->be, copy, .out = z, .x = ff_tensor_slice(all, 0, r->from, r->n));
    struct ff_pair p = ff_pair_make(ctx, z, mask, c_i);
    for (int i = 0; i < 4; i++)
        ff_triangle_multiplication(ctx, &w, i % 2 == 0 ? FF_OUTGOING : FF_INCOMING, &p);
    return z;
}

/* Parts of uneven size; even ones; fewer channels than ranks may be. In many chunks of one or few rows, and in one. */
static void test_triangles(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{41, 10, 24 << 10}, {40, 16, 1 << 20}, {6, 3, 1}}; /* residues, channels, bytes */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        same_rows(triangles, sizes[i][0], sizes[i][1], sizes[i][2]);
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
        cmocka_unit_test(test_outer_product_last_column),
        cmocka_unit_test(test_triangles),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (ff_comm_world_rank() > 0 && freopen("/dev/null", "w", stdout) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ff_comm_stop();
    return failed;
}
