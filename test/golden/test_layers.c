/* SPDX-License-Identifier: Apache-2.0
 * Layers of the network, one by one, against the published model: single operations, whole blocks, template embedding,
 * structure module and confidence.
 */
#include "golden/golden.h"

#include "bio/residue.h"
#include "model/attention.h"
#include "model/batch.h"
#include "model/confidence.h"
#include "model/evoformer.h"
#include "model/outer_product.h"
#include "model/structure.h"
#include "model/template.h"
#include "model/triangle.h"
#include "model/triangle_stream.h"

#define OPEN(g, file, model)                         \
    struct golden *g = golden_open(file, model, NULL); \
    if (g == NULL)                                    \
        skip()

/* Declares the weights of one part under scope: measures and fills on the host, then the views on the backend. */
#define WEIGHTS(g, call_with_k)                                  \
    for (int step_ = 0; step_ < 2; step_++) {                    \
        struct ff_weights_walker walker_ = golden_walker(g, step_), *k = &walker_; \
        call_with_k;                                             \
    }                                                            \
    golden_upload_weights(g)

static const struct ff_attention_config MSA_ATTENTION = {8, 32}, EXTRA_ATTENTION = {8, 8}, PAIR_ATTENTION = {4, 32};

/* --- attention -------------------------------------------------------------------------------------------------- */

static void row_attention(const char *file, const char *scope, struct ff_attention_config a, int c_m)
{
    OPEN(g, file, "model_1");
    struct ff_attention_weights w = {0};
    WEIGHTS(g, ff_weights_walk_row_attention(k, scope, 0, c_m, 128, a, &w));
    struct ff_tensor m = golden_input(g, "msa");
    struct ff_pair pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), (struct ff_tensor){0}, 0);
    ff_attention_msa_row(&g->ctx, &w, &(struct ff_offload){.x = m}, golden_input(g, "msa_mask"), &pair);
    golden_compare(g, "act", m, "msa");
    golden_close(g);
}

static void test_msa_row_attention(void **state)
{
    (void)state;
    row_attention("msa_row_attention_with_pair_bias.npz", "msa_row_attention_with_pair_bias", MSA_ATTENTION, 256);
}

static void test_msa_row_attention_extra(void **state)
{
    (void)state;
    row_attention("msa_row_attention_with_pair_bias_extra.npz", "msa_row_attention_with_pair_bias", EXTRA_ATTENTION,
                  64);
}

static void test_msa_column_attention(void **state)
{
    (void)state;
    OPEN(g, "msa_column_attention.npz", "model_1");
    struct ff_attention_weights w = {0};
    WEIGHTS(g, ff_weights_walk_column_attention(k, "msa_column_attention", 0, 256, MSA_ATTENTION, &w));
    struct ff_tensor m = golden_input(g, "msa");
    ff_attention_msa_column(&g->ctx, &w, m, golden_input(g, "msa_mask"));
    golden_compare(g, "act", m, "msa");
    golden_close(g);
}

static void test_msa_column_global_attention(void **state)
{
    (void)state;
    OPEN(g, "msa_column_global_attention.npz", "model_1");
    struct ff_global_attention_weights w = {0};
    WEIGHTS(g, ff_weights_walk_global_attention(k, "msa_column_global_attention", 0, 64, EXTRA_ATTENTION, &w));
    struct ff_tensor m = golden_input(g, "msa");
    ff_attention_msa_column_global(&g->ctx, &w, m, golden_input(g, "msa_mask"));
    golden_compare(g, "act", m, "msa");
    golden_close(g);
}

static void triangle_attention(const char *file, const char *scope, enum ff_triangle_node node)
{
    OPEN(g, file, "model_1");
    struct ff_attention_weights w = {0};
    WEIGHTS(g, ff_weights_walk_triangle_attention(k, scope, 0, 128, PAIR_ATTENTION, &w));
    struct ff_pair pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), golden_input(g, "pair_mask"), 0);
    ff_attention_triangle(&g->ctx, &w, node, &pair);
    golden_compare(g, "act", pair.z, "pair");
    golden_close(g);
}

static void test_triangle_attention_starting_node(void **state)
{
    (void)state;
    triangle_attention("triangle_attention_starting_node.npz", "triangle_attention_starting_node", FF_STARTING_NODE);
}

static void test_triangle_attention_ending_node(void **state)
{
    (void)state;
    triangle_attention("triangle_attention_ending_node.npz", "triangle_attention_ending_node", FF_ENDING_NODE);
}

/* --- triangle multiplication, outer product mean, transitions --------------------------------------------------- */

static void triangle(const char *file, const char *scope, enum ff_triangle_edges edges, bool fused)
{
    OPEN(g, file, "model_1");
    struct ff_triangle_weights w = {0};
    WEIGHTS(g, ff_weights_walk_triangle(k, scope, 0, 128, 128, fused, &w));
    struct ff_pair pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), golden_input(g, "pair_mask"), 128);
    ff_triangle_multiplication(&g->ctx, &w, edges, &pair);
    golden_compare(g, "act", pair.z, "pair");

    /* The same with parts of both operands, and new rows that wait on the host. */
    int64_t bytes = ff_triangle_stream_bytes(g->be->activation, pair.n_res, 1, 128);
    void *waiting = NULL;
    assert_ok(g->be->alloc_host(g->be, (size_t)bytes, &waiting));
    g->ctx.waiting = waiting;
    g->ctx.stream_bytes = bytes * 3 / 4;
    pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), golden_input(g, "pair_mask"), 128);
    ff_triangle_multiplication(&g->ctx, &w, edges, &pair);
    golden_compare(g, "act", pair.z, "pair");
    g->be->sync(g->be);
    g->be->release_host(g->be, waiting);
    golden_close(g);
}

static void test_triangle_multiplication_outgoing(void **state)
{
    (void)state;
    triangle("triangle_multiplication_outgoing.npz", "triangle_multiplication_outgoing", FF_OUTGOING, false);
}

static void test_triangle_multiplication_incoming(void **state)
{
    (void)state;
    triangle("triangle_multiplication_incoming.npz", "triangle_multiplication_incoming", FF_INCOMING, false);
}

static void test_triangle_multiplication_outgoing_fused(void **state)
{
    (void)state;
    triangle("triangle_multiplication_outgoing_fused.npz", "triangle_multiplication_outgoing", FF_OUTGOING, true);
}

static void test_triangle_multiplication_incoming_fused(void **state)
{
    (void)state;
    triangle("triangle_multiplication_incoming_fused.npz", "triangle_multiplication_incoming", FF_INCOMING, true);
}

static void test_outer_product_mean(void **state)
{
    (void)state;
    OPEN(g, "outer_product_mean.npz", "model_1");
    struct ff_outer_product_weights w = {0};
    WEIGHTS(g, ff_weights_walk_outer_product(k, "outer_product_mean", 0, 256, 128, 32, &w));
    struct ff_tensor z = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(21, 21, 128));
    FF_OP(g->be, fill, .out = z, .value = 0.0f);
    const struct ff_offload m = {.x = golden_input(g, "msa")};
    ff_outer_product_mean(&g->ctx, &w, &m, golden_input(g, "msa_mask"), z);
    golden_compare(g, "act", z, NULL);
    golden_close(g);
}

static void transition(const char *file, const char *scope, const char *input, int c)
{
    OPEN(g, file, "model_1");
    struct ff_transition_weights w = {0};
    WEIGHTS(g, ff_weights_walk_transition(k, scope, 0, c, 4, &w));
    struct ff_tensor x = golden_input(g, input);
    FF_OP(g->be, transition, .out = x, .norm = w.input_layer_norm, .w1 = w.transition1.w, .b1 = w.transition1.b,
          .w2 = w.transition2.w, .b2 = w.transition2.b);
    golden_compare(g, "act", x, input);
    golden_close(g);
}

static void test_msa_transition(void **state)
{
    (void)state;
    transition("msa_transition.npz", "msa_transition", "msa", 256);
}

static void test_pair_transition(void **state)
{
    (void)state;
    transition("pair_transition.npz", "pair_transition", "pair", 128);
}

/* --- blocks ----------------------------------------------------------------------------------------------------- */

static void block(const char *file, const char *model, enum ff_stack_kind kind)
{
    OPEN(g, file, model);
    const struct ff_model_config *c = &g->config.model;
    bool extra = kind == FF_STACK_EXTRA_MSA;
    const struct ff_stack_config *s = extra ? &c->extra_msa_stack : &c->evoformer;
    struct ff_block_weights w = {0};
    WEIGHTS(g, ff_weights_walk_stack(k, "block", kind, 0, extra ? c->extra_msa_channel : c->msa_channel,
                                     c->pair_channel, s, &w));
    struct ff_tensor m = golden_input(g, "msa");
    struct ff_pair pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), golden_input(g, "pair_mask"), 128);
    ff_evoformer_block(&g->ctx, &w, s, kind, &(struct ff_offload){.x = m}, golden_input(g, "msa_mask"), &pair);
    golden_compare(g, "msa", m, NULL);
    golden_compare(g, "pair", pair.z, NULL);
    if (!extra) {
        golden_close(g);
        return;
    }

    /* The same with an MSA on the host, of which small pieces come. */
    struct ff_tensor start = golden_input(g, "msa");
    void *host = NULL;
    assert_ok(g->be->alloc_host(g->be, ff_tensor_bytes(&start), &host));
    g->be->store(g->be, host, 0, &start);
    g->be->settle(g->be);
    g->ctx.chunk_bytes = g->ctx.chunk_most = 16 << 10;
    pair = ff_pair_make(&g->ctx, golden_input(g, "pair"), golden_input(g, "pair_mask"), 0);
    ff_evoformer_block(&g->ctx, &w, s, kind, &(struct ff_offload){.x = start, .away = true, .host = host},
                       golden_input(g, "msa_mask"), &pair);
    g->be->fetch(g->be, &m, host, 0);
    g->be->settle(g->be);
    golden_compare(g, "msa", m, NULL);
    golden_compare(g, "pair", pair.z, NULL);
    g->be->sync(g->be);
    g->be->release_host(g->be, host);
    golden_close(g);
}

static void test_evoformer_block(void **state)
{
    (void)state;
    block("evoformer_block.npz", "model_1", FF_STACK_EVOFORMER);
}

static void test_extra_msa_stack_block(void **state)
{
    (void)state;
    block("extra_msa_stack_block.npz", "model_1", FF_STACK_EXTRA_MSA);
}

static void test_evoformer_block_multimer(void **state)
{
    (void)state;
    block("evoformer_block_multimer.npz", "model_1_multimer_v3", FF_STACK_EVOFORMER);
}

static void test_extra_msa_stack_block_multimer(void **state)
{
    (void)state;
    block("extra_msa_stack_block_multimer.npz", "model_1_multimer_v3", FF_STACK_EXTRA_MSA);
}

/* --- templates -------------------------------------------------------------------------------------------------- */

static const void *input_data(struct golden *g, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, "in/%s", name);
    const struct ff_array *a = ff_arrays_find(&g->file, key);
    assert_non_null(a);
    return a->data;
}

static void template_embedding(struct golden *g, const struct ff_batch *b)
{
    struct ff_template_weights w = {0};
    WEIGHTS(g, ff_weights_walk_templates(k, "template_embedding", &w));
    struct ff_tensor pair_mask = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(b->n_res, b->n_res));
    FF_OP(g->be, fill, .out = pair_mask, .value = 1.0f);
    struct ff_tensor z = golden_input(g, "query_embedding");
    ff_template_embed(&g->ctx, &w, b, z, pair_mask);
    golden_compare(g, "act", z, "query_embedding");

    /* The same while the pair, pushed last, waits on the host, and then the templates do. */
    z = golden_input(g, "query_embedding");
    size_t bytes = ff_tensor_bytes(&z);
    void *host = NULL;
    assert_ok(g->be->alloc_host(g->be, bytes * (size_t)(1 + b->n_template), &host));
    g->ctx.waiting = host;
    g->ctx.spilled = (char *)host + bytes;
    g->ctx.spill = true;
    g->ctx.stream_bytes = (int64_t)bytes;
    g->ctx.chunk_bytes = (int64_t)bytes / 3;
    ff_template_embed(&g->ctx, &w, b, z, pair_mask);
    golden_compare(g, "act", z, "query_embedding");
    g->be->sync(g->be);
    g->be->release_host(g->be, host);
}

static void test_template_embedding_monomer(void **state)
{
    (void)state;
    OPEN(g, "template_embedding_monomer.npz", "model_1");
    struct ff_batch b = {.n_res = 21, .n_template = 3,
                         .template_aatype = input_data(g, "template_aatype"),
                         .template_positions = input_data(g, "template_all_atom_positions"),
                         .template_atom_mask = input_data(g, "template_all_atom_masks"),
                         .template_mask = input_data(g, "template_mask"),
                         .template_pseudo_beta = input_data(g, "template_pseudo_beta"),
                         .template_pseudo_beta_mask = input_data(g, "template_pseudo_beta_mask")};
    template_embedding(g, &b);
    golden_close(g);
}

/* Chains and pseudo-beta positions, which the published module derives from its own inputs. */
static void test_template_embedding_multimer(void **state)
{
    (void)state;
    OPEN(g, "template_embedding_multimer.npz", "model_1_multimer_v3");
    enum { N = 21, T = 3 };
    const float *same_chain = input_data(g, "multichain_mask");
    const float(*positions)[37][3] = input_data(g, "template_all_atom_positions");
    const float(*masks)[37] = input_data(g, "template_all_atom_mask");
    const int32_t *aatype = input_data(g, "template_aatype");
    static int32_t asym_id[N];
    static float beta[T * N][3], beta_mask[T * N];
    for (int i = 0; i < N; i++)
        for (asym_id[i] = 0; same_chain[i * N + asym_id[i]] == 0.0f;)
            asym_id[i]++; /* a chain is named by its first residue */
    for (int i = 0; i < T * N; i++) {
        int atom = aatype[i] == 7 ? FF_ATOM_CA : FF_ATOM_CB;
        memcpy(beta[i], positions[i][atom], sizeof beta[i]);
        beta_mask[i] = masks[i][atom];
    }
    struct ff_batch b = {.n_res = N, .n_template = T, .asym_id = asym_id, .template_aatype = aatype,
                         .template_positions = &positions[0][0][0], .template_atom_mask = &masks[0][0],
                         .template_pseudo_beta = &beta[0][0], .template_pseudo_beta_mask = beta_mask};
    template_embedding(g, &b);
    golden_close(g);
}

/* --- structure module ------------------------------------------------------------------------------------------- */

static void compare_atoms(struct golden *g, struct ff_tensor atoms)
{
    const struct ff_array *want = ff_arrays_find(&g->file, "out/final_atom_positions");
    float *got = golden_values(g, atoms);
    const float *expected = want->data;
    double worst = 0;
    for (int64_t i = 0; i < ff_array_count(want); i += 3) {
        double d = hypot(hypot(got[i] - expected[i], got[i + 1] - expected[i + 1]), got[i + 2] - expected[i + 2]);
        worst = d > worst ? d : worst;
    }
    print_message("    %-34s %.2e of %.0e A\n", "atoms", worst, GOLDEN_ATOM);
    assert_true(worst <= GOLDEN_ATOM);
    free(got);
}

static void structure_module(const char *file, const char *model)
{
    OPEN(g, file, model);
    const struct ff_structure_config *c = &g->config.model.structure;
    struct ff_structure_weights w = {0};
    WEIGHTS(g, ff_weights_walk_structure(k, "structure_module", &w));
    struct ff_residue_constants constants;
    ff_structure_constants(g->be, &g->arena, &constants);
    int64_t n = 21;
    struct ff_structure_out out = {
        .act = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, c->num_channel)),
        .atoms = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, 37, 3)),
        .atom14 = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, 14, 3)),
        .quat = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, 4)),
        .frame = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, 12)),
        .trajectory = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(c->num_layer, n, 7)),
    };
    ff_structure_module(&g->ctx, &w, &constants, golden_input(g, "single"), golden_input(g, "pair"),
                        golden_input(g, "aatype"), golden_input(g, "seq_mask"), &out);
    compare_atoms(g, out.atoms);
    if (g->config.model.multimer) {
        golden_compare(g, "act", out.act, NULL);
    } else {
        golden_compare(g, "final_atom14_positions", out.atom14, NULL);
        FF_OP(g->be, scale_add, .out = ff_tensor_slice(out.trajectory, 2, 4, 3), .alpha = c->position_scale);
        golden_compare(g, "traj", out.trajectory, NULL);
        golden_compare(g, "final_affines", ff_tensor_index(out.trajectory, 0, c->num_layer - 1), NULL);
    }
    golden_close(g);
}

static void test_structure_module_monomer(void **state)
{
    (void)state;
    structure_module("structure_module_monomer.npz", "model_1");
}

static void test_structure_module_multimer(void **state)
{
    (void)state;
    structure_module("structure_module_multimer.npz", "model_1_multimer_v3");
}

/* --- confidence ------------------------------------------------------------------------------------------------- */

static void expect_scalar(struct golden *g, const char *name, double got)
{
    char key[64];
    snprintf(key, sizeof key, "out/%s", name);
    double want = test_element(ff_arrays_find(&g->file, key), 0);
    print_message("    %-34s %.9g, published %.9g\n", name, got, want);
    assert_true(fabs(got - want) <= GOLDEN_RELATIVE * fabs(want));
}

/* The op takes a pair representation; an identity matrix makes it take the published logits. */
static void test_confidence(void **state)
{
    (void)state;
    OPEN(g, "confidence.npz", "model_1_ptm");
    int64_t n = 21, bins = 64;
    float identity[64 * 64] = {0}, zero[64] = {0}, plddt[21];
    for (int i = 0; i < bins; i++)
        identity[i * bins + i] = 1.0f;
    struct ff_tensor w = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(bins, bins));
    struct ff_tensor b = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(bins));
    struct ff_tensor pae = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, n));
    struct ff_tensor tm = ff_arena_push(&g->arena, FF_F32, FF_SHAPE(n, n));
    g->be->upload(g->be, &w, identity);
    g->be->upload(g->be, &b, zero);
    FF_OP(g->be, aligned_error, .out = pae, .tm = tm, .z = golden_input(g, "pae_logits"), .w = w, .b = b, .max_bin = 31,
          .d0 = (float)ff_confidence_tm_d0((int)n));
    golden_compare(g, "predicted_aligned_error", pae, NULL);
    float *term = golden_values(g, tm);
    struct ff_tm_scores scores;
    ff_tm_scores_begin((int)n, input_data(g, "asym_id"), &scores);
    ff_tm_scores_add(&scores, 0, n, term);
    expect_scalar(g, "ptm", scores.ptm);
    expect_scalar(g, "iptm", scores.iptm);
    ff_tm_scores_free(&scores);
    expect_scalar(g, "max_predicted_aligned_error", ff_confidence_max_pae(31, 64));
    ff_confidence_plddt((int)n, 50, input_data(g, "plddt_logits"), plddt);
    test_assert_close("plddt", plddt, ff_arrays_find(&g->file, "out/plddt")->data, (size_t)n, GOLDEN_RELATIVE);
    free(term);
    golden_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msa_row_attention),
        cmocka_unit_test(test_msa_row_attention_extra),
        cmocka_unit_test(test_msa_column_attention),
        cmocka_unit_test(test_msa_column_global_attention),
        cmocka_unit_test(test_triangle_attention_starting_node),
        cmocka_unit_test(test_triangle_attention_ending_node),
        cmocka_unit_test(test_triangle_multiplication_outgoing),
        cmocka_unit_test(test_triangle_multiplication_incoming),
        cmocka_unit_test(test_triangle_multiplication_outgoing_fused),
        cmocka_unit_test(test_triangle_multiplication_incoming_fused),
        cmocka_unit_test(test_outer_product_mean),
        cmocka_unit_test(test_msa_transition),
        cmocka_unit_test(test_pair_transition),
        cmocka_unit_test(test_evoformer_block),
        cmocka_unit_test(test_extra_msa_stack_block),
        cmocka_unit_test(test_evoformer_block_multimer),
        cmocka_unit_test(test_extra_msa_stack_block_multimer),
        cmocka_unit_test(test_template_embedding_monomer),
        cmocka_unit_test(test_template_embedding_multimer),
        cmocka_unit_test(test_structure_module_monomer),
        cmocka_unit_test(test_structure_module_multimer),
        cmocka_unit_test(test_confidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
