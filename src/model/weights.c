/* SPDX-License-Identifier: Apache-2.0
 * weights: the table of published parameter arrays, and the walk over it. See weights.h.
 *
 * Source of names and shapes: params_*.npz of AlphaFold 2.3 (scopes of model/modules.py, modules_multimer.py,
 * folding.py, folding_multimer.py).
 */
#include "model/weights.h"

#include <stdio.h>

/* --- declaring one array ---------------------------------------------------------------------------------------- */

enum { MAX_NAME = 320 };

/* A scope being walked: its text, and the leading block axis (0: none). */
struct scope {
    struct ff_weights_walker *k;
    char text[MAX_NAME];
    int n_block;
};

static struct scope scope_make(struct ff_weights_walker *k, const char *text, int n_block)
{
    struct scope s = {.k = k, .n_block = n_block};
    int n = snprintf(s.text, sizeof s.text, "%s", text);
    FF_ASSERT(n >= 0 && (size_t)n < sizeof s.text);
    return s;
}

static struct scope scope_sub(const struct scope *parent, const char *sub)
{
    struct scope s = {.k = parent->k, .n_block = parent->n_block};
    int n = snprintf(s.text, sizeof s.text, "%s/%s", parent->text, sub);
    FF_ASSERT(n >= 0 && (size_t)n < sizeof s.text);
    return s;
}

/* Memory for a [dims] tensor of every block of the scope. */
static struct ff_tensor push(const struct scope *s, enum ff_dtype dtype, int ndim, const int64_t *dims)
{
    int64_t shape[FF_TENSOR_MAX_DIM];
    int n = 0;
    if (s->n_block > 0)
        shape[n++] = s->n_block;
    for (int d = 0; d < ndim; d++)
        shape[n++] = dims[d];
    return ff_arena_push(s->k->arena, dtype, n, shape);
}

static void declare_full(const struct scope *s, const char *leaf, struct ff_tensor dst, bool add, int ndim,
                         const int64_t *dims)
{
    if (s->k->visit == NULL)
        return;
    char name[MAX_NAME + 64];
    int len = snprintf(name, sizeof name, "%s//%s", s->text, leaf);
    FF_ASSERT(len >= 0 && (size_t)len < sizeof name);
    struct ff_weight_decl d = {.name = name, .dst = dst, .add = add};
    if (s->n_block > 0)
        d.shape[d.ndim++] = s->n_block;
    for (int i = 0; i < ndim; i++)
        d.shape[d.ndim++] = dims[i];
    int64_t count = 1;
    for (int i = 0; i < d.ndim; i++)
        count *= d.shape[i];
    FF_ASSERT(count == ff_tensor_count(&dst));
    s->k->visit(s->k->user, &d);
}

#define DECLARE(s, leaf, dst, ...) declare_full((s), (leaf), (dst), false, FF_SHAPE(__VA_ARGS__))
#define PUSH(s, dtype, ...) push((s), (dtype), FF_SHAPE(__VA_ARGS__))

/* Axis numbers of a stacked tensor are shifted by the block axis. */
static int axis(const struct scope *s, int a)
{
    return s->n_block > 0 ? a + 1 : a;
}

static struct ff_tensor columns(const struct scope *s, struct ff_tensor t, int64_t from, int64_t count)
{
    return ff_tensor_slice(t, axis(s, 1), from, count);
}

/* The part [from, from + count) of a vector per block. */
static struct ff_tensor elements(const struct scope *s, struct ff_tensor t, int64_t from, int64_t count)
{
    return ff_tensor_slice(t, axis(s, 0), from, count);
}

/* --- layers that occur everywhere --------------------------------------------------------------------------------- */

static void walk_norm(const struct scope *parent, const char *sub, int c, struct ff_norm *ret)
{
    struct scope s = scope_sub(parent, sub);
    ret->scale = PUSH(&s, FF_F32, c);
    ret->offset = PUSH(&s, FF_F32, c);
    DECLARE(&s, "offset", ret->offset, c);
    DECLARE(&s, "scale", ret->scale, c);
}

static void walk_linear_typed(const struct scope *parent, const char *sub, enum ff_dtype dtype, int k, int n,
                              struct ff_linear_weights *ret)
{
    struct scope s = scope_sub(parent, sub);
    ret->w = PUSH(&s, dtype, k, n);
    ret->b = PUSH(&s, FF_F32, n);
    DECLARE(&s, "bias", ret->b, n);
    DECLARE(&s, "weights", ret->w, k, n);
}

static void walk_linear(const struct scope *parent, const char *sub, int k, int n, struct ff_linear_weights *ret)
{
    walk_linear_typed(parent, sub, FF_F32, k, n, ret);
}

/* Linear of the MSA and pair stacks, in the type of their activations. */
static void walk_trunk_linear(const struct scope *parent, const char *sub, int k, int n,
                              struct ff_linear_weights *ret)
{
    walk_linear_typed(parent, sub, parent->k->trunk_dtype, k, n, ret);
}

static void walk_transition(const struct scope *s, int c, int factor, struct ff_transition_weights *ret)
{
    walk_norm(s, "input_layer_norm", c, &ret->input_layer_norm);
    walk_trunk_linear(s, "transition1", c, c * factor, &ret->transition1);
    walk_trunk_linear(s, "transition2", c * factor, c, &ret->transition2);
}

/* --- attention -------------------------------------------------------------------------------------------------- */

/* query_w, key_w, value_w, gating_w [c, H, d] and gating_b [H, d] as one product [c, 4 H d]. */
static void walk_gated_attention(const struct scope *parent, int c, struct ff_attention_config a,
                                 struct ff_attention_weights *ret)
{
    struct scope s = scope_sub(parent, "attention");
    enum ff_dtype t = s.k->trunk_dtype;
    int h = a.num_head, d = a.head_dim, hd = h * d;
    ret->num_head = h;
    ret->qkvg.w = PUSH(&s, t, c, 4 * hd);
    ret->qkvg.b = PUSH(&s, FF_F32, 4 * hd);
    ret->output.w = PUSH(&s, t, hd, c);
    ret->output.b = PUSH(&s, FF_F32, c);
    DECLARE(&s, "gating_b", elements(&s, ret->qkvg.b, 3 * hd, hd), h, d);
    DECLARE(&s, "gating_w", columns(&s, ret->qkvg.w, 3 * hd, hd), c, h, d);
    DECLARE(&s, "key_w", columns(&s, ret->qkvg.w, hd, hd), c, h, d);
    DECLARE(&s, "output_b", ret->output.b, c);
    DECLARE(&s, "output_w", ret->output.w, h, d, c);
    DECLARE(&s, "query_w", columns(&s, ret->qkvg.w, 0, hd), c, h, d);
    DECLARE(&s, "value_w", columns(&s, ret->qkvg.w, 2 * hd, hd), c, h, d);
}

static void walk_row_attention(const struct scope *s, int c_m, int c_z, struct ff_attention_config a,
                               struct ff_attention_weights *ret)
{
    ret->pair_bias = PUSH(s, s->k->trunk_dtype, c_z, a.num_head);
    DECLARE(s, "feat_2d_weights", ret->pair_bias, c_z, a.num_head);
    walk_gated_attention(s, c_m, a, ret);
    walk_norm(s, "feat_2d_norm", c_z, &ret->pair_norm);
    walk_norm(s, "query_norm", c_m, &ret->query_norm);
}

static void walk_column_attention(const struct scope *s, int c_m, struct ff_attention_config a,
                                  struct ff_attention_weights *ret)
{
    walk_gated_attention(s, c_m, a, ret);
    walk_norm(s, "query_norm", c_m, &ret->query_norm);
}

static void walk_triangle_attention(const struct scope *s, int c_z, struct ff_attention_config a,
                                    struct ff_attention_weights *ret)
{
    ret->pair_bias = PUSH(s, s->k->trunk_dtype, c_z, a.num_head);
    DECLARE(s, "feat_2d_weights", ret->pair_bias, c_z, a.num_head);
    walk_gated_attention(s, c_z, a, ret);
    walk_norm(s, "query_norm", c_z, &ret->query_norm);
    ret->pair_norm = ret->query_norm;
}

static void walk_global_attention(const struct scope *parent, int c, struct ff_attention_config a,
                                  struct ff_global_attention_weights *ret)
{
    struct scope s = scope_sub(parent, "attention");
    enum ff_dtype t = s.k->trunk_dtype;
    int h = a.num_head, d = a.head_dim, hd = h * d;
    ret->num_head = h;
    ret->query = PUSH(&s, t, c, hd);
    ret->key_value = PUSH(&s, t, c, 2 * d);
    ret->gate.w = PUSH(&s, t, c, hd);
    ret->gate.b = PUSH(&s, FF_F32, hd);
    ret->output.w = PUSH(&s, t, hd, c);
    ret->output.b = PUSH(&s, FF_F32, c);
    DECLARE(&s, "gating_b", ret->gate.b, h, d);
    DECLARE(&s, "gating_w", ret->gate.w, c, h, d);
    DECLARE(&s, "key_w", columns(&s, ret->key_value, 0, d), c, d);
    DECLARE(&s, "output_b", ret->output.b, c);
    DECLARE(&s, "output_w", ret->output.w, h, d, c);
    DECLARE(&s, "query_w", ret->query, c, h, d);
    DECLARE(&s, "value_w", columns(&s, ret->key_value, d, d), c, d);
    walk_norm(parent, "query_norm", c, &ret->query_norm);
}

/* --- outer product mean, triangle multiplication ---------------------------------------------------------------- */

static void walk_outer_product(const struct scope *s, int c_m, int c_z, int n_outer,
                               struct ff_outer_product_weights *ret)
{
    enum ff_dtype t = s->k->trunk_dtype;
    int c = n_outer;
    ret->output.w = PUSH(s, t, c * c, c_z);
    ret->output.b = PUSH(s, FF_F32, c_z);
    DECLARE(s, "output_b", ret->output.b, c_z);
    DECLARE(s, "output_w", ret->output.w, c, c, c_z);
    walk_norm(s, "layer_norm_input", c_m, &ret->layer_norm_input);
    walk_trunk_linear(s, "left_projection", c_m, c, &ret->left_projection);
    walk_trunk_linear(s, "right_projection", c_m, c, &ret->right_projection);
}

/* Left and right [c, n] of a product that multimer v3 stores as one [c, 2 n]. */
static void walk_fused_pair(const struct scope *parent, const char *sub, int c, int n,
                            struct ff_linear_weights *left, struct ff_linear_weights *right)
{
    struct scope s = scope_sub(parent, sub);
    struct ff_tensor w = PUSH(&s, s.k->trunk_dtype, 2, c, n), b = PUSH(&s, FF_F32, 2, n);
    left->w = ff_tensor_index(w, axis(&s, 0), 0);
    right->w = ff_tensor_index(w, axis(&s, 0), 1);
    left->b = ff_tensor_index(b, axis(&s, 0), 0);
    right->b = ff_tensor_index(b, axis(&s, 0), 1);
    DECLARE(&s, "bias", b, 2 * n);
    DECLARE(&s, "weights", ff_tensor_transpose(w, axis(&s, 0), axis(&s, 1)), c, 2 * n);
}

static void walk_triangle(const struct scope *s, int c_z, int c_i, bool fused, struct ff_triangle_weights *ret)
{
    if (fused) {
        walk_fused_pair(s, "projection", c_z, c_i, &ret->left_projection, &ret->right_projection);
        walk_fused_pair(s, "gate", c_z, c_i, &ret->left_gate, &ret->right_gate);
    } else {
        walk_trunk_linear(s, "left_projection", c_z, c_i, &ret->left_projection);
        walk_trunk_linear(s, "right_projection", c_z, c_i, &ret->right_projection);
        walk_trunk_linear(s, "left_gate", c_z, c_i, &ret->left_gate);
        walk_trunk_linear(s, "right_gate", c_z, c_i, &ret->right_gate);
    }
    walk_norm(s, fused ? "center_norm" : "center_layer_norm", c_i, &ret->center_layer_norm);
    walk_norm(s, fused ? "left_norm_input" : "layer_norm_input", c_z, &ret->layer_norm_input);
    walk_trunk_linear(s, "gating_linear", c_z, c_z, &ret->gating_linear);
    walk_trunk_linear(s, "output_projection", c_i, c_z, &ret->output_projection);
}

/* --- stacks ----------------------------------------------------------------------------------------------------- */

static void walk_stack(const struct scope *s, enum ff_stack_kind kind, int c_m, int c_z,
                       const struct ff_stack_config *c, struct ff_block_weights *ret)
{
    struct scope sub;
    if (kind != FF_STACK_TEMPLATE) {
        sub = scope_sub(s, "msa_row_attention_with_pair_bias");
        walk_row_attention(&sub, c_m, c_z, c->msa_row_attention, &ret->msa_row_attention_with_pair_bias);
        if (kind == FF_STACK_EVOFORMER) {
            sub = scope_sub(s, "msa_column_attention");
            walk_column_attention(&sub, c_m, c->msa_column_attention, &ret->msa_column_attention);
        } else {
            sub = scope_sub(s, "msa_column_global_attention");
            walk_global_attention(&sub, c_m, c->msa_column_attention, &ret->msa_column_global_attention);
        }
        sub = scope_sub(s, "msa_transition");
        walk_transition(&sub, c_m, c->msa_transition_factor, &ret->msa_transition);
        sub = scope_sub(s, "outer_product_mean");
        walk_outer_product(&sub, c_m, c_z, c->num_outer_channel, &ret->outer_product_mean);
    }
    sub = scope_sub(s, "pair_transition");
    walk_transition(&sub, c_z, c->pair_transition_factor, &ret->pair_transition);
    sub = scope_sub(s, "triangle_attention_ending_node");
    walk_triangle_attention(&sub, c_z, c->triangle_attention, &ret->triangle_attention_ending_node);
    sub = scope_sub(s, "triangle_attention_starting_node");
    walk_triangle_attention(&sub, c_z, c->triangle_attention, &ret->triangle_attention_starting_node);
    int c_i = c->triangle_multiplication_channel;
    sub = scope_sub(s, "triangle_multiplication_incoming");
    walk_triangle(&sub, c_z, c_i, c->fuse_projection_weights, &ret->triangle_multiplication_incoming);
    sub = scope_sub(s, "triangle_multiplication_outgoing");
    walk_triangle(&sub, c_z, c_i, c->fuse_projection_weights, &ret->triangle_multiplication_outgoing);
}

/* --- templates -------------------------------------------------------------------------------------------------- */

/* The multimer network embeds each pair feature by a linear of its own; together they are the rows of one matrix in the
 * order of the monomer's embedding2d, and their biases add up. */
static void walk_multimer_pair_embedding(const struct scope *s, int n_bin, int c_t, struct ff_template_weights *ret)
{
    const int rows[8] = {n_bin, 1, 22, 22, 1, 1, 1, 1};
    int at = 0;
    struct ff_tensor b = ret->pair_embedding.b;
    for (int i = 0; i < 8; i++) {
        char sub[40];
        snprintf(sub, sizeof sub, "template_pair_embedding_%d", i);
        struct scope e = scope_sub(s, sub);
        struct ff_tensor w = ff_tensor_slice(ret->pair_embedding.w, 0, at, rows[i]);
        declare_full(&e, "bias", b, true, FF_SHAPE(c_t));
        if (rows[i] == 1)
            DECLARE(&e, "weights", w, c_t);
        else
            DECLARE(&e, "weights", w, rows[i], c_t);
        at += rows[i];
    }
    struct scope e = scope_sub(s, "template_pair_embedding_8");
    int c_z = s->k->config->pair_channel;
    ret->query_embedding = PUSH(&e, s->k->trunk_dtype, c_z, c_t);
    declare_full(&e, "bias", b, true, FF_SHAPE(c_t));
    DECLARE(&e, "weights", ret->query_embedding, c_z, c_t);
    walk_norm(s, "query_embedding_norm", c_z, &ret->query_embedding_norm);
}

static void walk_templates(const struct scope *s, struct ff_template_weights *ret)
{
    const struct ff_model_config *c = s->k->config;
    const struct ff_template_config *t = &c->templates;
    int c_t = t->num_channel, c_z = c->pair_channel, n_feat = t->dgram_num_bins + 1 + 22 + 22 + 3 + 1;
    enum ff_dtype trunk = s->k->trunk_dtype;
    struct scope single = scope_sub(s, "single_template_embedding");

    if (c->multimer) {
        ret->pair_embedding.w = PUSH(&single, FF_F32, n_feat, c_t);
        ret->pair_embedding.b = PUSH(&single, FF_F32, c_t);
        walk_multimer_pair_embedding(&single, t->dgram_num_bins, c_t, ret);
        walk_trunk_linear(s, "output_linear", c_t, c_z, &ret->output);
    } else {
        walk_linear(&single, "embedding2d", n_feat, c_t, &ret->pair_embedding);
        struct scope a = scope_sub(s, "attention");
        int h = t->attention.num_head, d = t->attention.head_dim, hd = h * d;
        ret->query = PUSH(&a, trunk, c_z, hd);
        ret->key = PUSH(&a, trunk, c_t, hd);
        ret->value = PUSH(&a, trunk, c_t, hd);
        ret->output.w = PUSH(&a, trunk, hd, c_z);
        ret->output.b = PUSH(&a, FF_F32, c_z);
        DECLARE(&a, "key_w", ret->key, c_t, h, d);
        DECLARE(&a, "output_b", ret->output.b, c_z);
        DECLARE(&a, "output_w", ret->output.w, h, d, c_z);
        DECLARE(&a, "query_w", ret->query, c_z, h, d);
        DECLARE(&a, "value_w", ret->value, c_t, h, d);
    }
    walk_norm(&single, "output_layer_norm", c_t, &ret->output_layer_norm);
    struct scope stack = scope_sub(&single, c->multimer ? "template_embedding_iteration"
                                                        : "template_pair_stack/__layer_stack_no_state");
    stack.n_block = t->stack.num_block;
    walk_stack(&stack, FF_STACK_TEMPLATE, 0, c_t, &t->stack, &ret->stack);
}

/* --- structure module ------------------------------------------------------------------------------------------- */

/* Monomer: queries and points of all heads from plain linears, already in the layout of the op. */
static void walk_monomer_projections(const struct scope *s, int c, struct ff_structure_weights *ret)
{
    const struct ff_structure_config *g = &s->k->config->structure;
    int h = g->num_head;
    walk_linear(s, "kv_point_local", c, 3 * h * (g->num_point_qk + g->num_point_v), &ret->kv_point);
    walk_linear(s, "kv_scalar", c, h * (g->num_scalar_qk + g->num_scalar_v), &ret->kv_scalar);
    walk_linear(s, "q_point_local", c, 3 * h * g->num_point_qk, &ret->q_point);
    walk_linear(s, "q_scalar", c, h * g->num_scalar_qk, &ret->q_scalar);
}

/* Points of one multimer projection: published [c, H, (x | y | z) of n points], placed at point offset `from` of
 * [c, 3, H, total]. */
static void walk_multimer_points(const struct scope *parent, const char *sub, int c, int n, int from, int total,
                                 struct ff_linear_weights *dst)
{
    int h = parent->k->config->structure.num_head;
    struct scope s = scope_sub(parent, sub);
    struct ff_tensor w = ff_tensor_reshape(dst->w, FF_SHAPE(c, 3, h, total));
    struct ff_tensor b = ff_tensor_reshape(dst->b, FF_SHAPE(3, h, total));
    w = ff_tensor_transpose(ff_tensor_slice(w, 3, from, n), 1, 2);
    b = ff_tensor_transpose(ff_tensor_slice(b, 2, from, n), 0, 1);
    DECLARE(&s, "bias", b, h, 3 * n);
    DECLARE(&s, "weights", w, c, h, 3 * n);
}

static void walk_multimer_projections(const struct scope *s, int c, struct ff_structure_weights *ret)
{
    const struct ff_structure_config *g = &s->k->config->structure;
    int h = g->num_head, qk = g->num_scalar_qk, v = g->num_scalar_v, p = g->num_point_qk, pv = g->num_point_v;
    ret->q_scalar.w = PUSH(s, FF_F32, c, h * qk);
    ret->kv_scalar.w = PUSH(s, FF_F32, c, h * (qk + v));
    ret->q_point.w = PUSH(s, FF_F32, c, 3 * h * p);
    ret->q_point.b = PUSH(s, FF_F32, 3 * h * p);
    ret->kv_point.w = PUSH(s, FF_F32, c, 3 * h * (p + pv));
    ret->kv_point.b = PUSH(s, FF_F32, 3 * h * (p + pv));
    struct ff_tensor kv = ff_tensor_reshape(ret->kv_scalar.w, FF_SHAPE(c, h, qk + v));
    struct scope sub;
    walk_multimer_points(s, "k_point_projection/point_projection", c, p, 0, p + pv, &ret->kv_point);
    sub = scope_sub(s, "k_scalar_projection");
    DECLARE(&sub, "weights", ff_tensor_slice(kv, 2, 0, qk), c, h, qk);
    walk_multimer_points(s, "q_point_projection/point_projection", c, p, 0, p, &ret->q_point);
    sub = scope_sub(s, "q_scalar_projection");
    DECLARE(&sub, "weights", ret->q_scalar.w, c, h, qk);
    walk_multimer_points(s, "v_point_projection/point_projection", c, pv, p, p + pv, &ret->kv_point);
    sub = scope_sub(s, "v_scalar_projection");
    DECLARE(&sub, "weights", ff_tensor_slice(kv, 2, qk, v), c, h, v);
}

/* name, name_1, name_2, ...: how the published program names repeated layers. */
static void walk_repeated(const struct scope *s, const char *name, int index, int k, int n,
                          struct ff_linear_weights *ret)
{
    char sub[64];
    if (index == 0)
        snprintf(sub, sizeof sub, "%s", name);
    else
        snprintf(sub, sizeof sub, "%s_%d", name, index);
    walk_linear(s, sub, k, n, ret);
}

static void walk_structure(const struct scope *s, struct ff_structure_weights *ret)
{
    const struct ff_model_config *m = s->k->config;
    const struct ff_structure_config *g = &m->structure;
    int c = g->num_channel, h = g->num_head, c_s = m->seq_channel, c_z = m->pair_channel;
    struct scope fold = scope_sub(s, "fold_iteration");
    walk_linear(&fold, m->multimer ? "quat_rigid/rigid" : "affine_update", c, 6, &ret->affine_update);
    walk_norm(&fold, "attention_layer_norm", c, &ret->attention_layer_norm);

    struct scope ipa = scope_sub(&fold, "invariant_point_attention");
    ret->trainable_point_weights = PUSH(&ipa, FF_F32, h);
    DECLARE(&ipa, "trainable_point_weights", ret->trainable_point_weights, h);
    walk_linear(&ipa, "attention_2d", c_z, h, &ret->attention_2d);
    if (m->multimer)
        walk_multimer_projections(&ipa, c, ret);
    else
        walk_monomer_projections(&ipa, c, ret);
    walk_linear(&ipa, "output_projection", h * (g->num_scalar_v + 4 * g->num_point_v + c_z), c,
                &ret->output_projection);

    struct scope side = scope_sub(&fold, "rigid_sidechain");
    int c_side = g->sidechain_num_channel;
    walk_repeated(&side, "input_projection", 0, c, c_side, &ret->input_projection[0]);
    walk_repeated(&side, "input_projection", 1, c_s, c_side, &ret->input_projection[1]);
    for (int i = 0; i < g->sidechain_num_residual_block; i++) {
        walk_repeated(&side, "resblock1", i, c_side, c_side, &ret->resblock1[i]);
        walk_repeated(&side, "resblock2", i, c_side, c_side, &ret->resblock2[i]);
    }
    walk_linear(&side, "unnormalized_angles", c_side, 14, &ret->unnormalized_angles);
    for (int i = 0; i < g->num_layer_in_transition; i++)
        walk_repeated(&fold, "transition", i, c, c, &ret->transition[i]);
    walk_norm(&fold, "transition_layer_norm", c, &ret->transition_layer_norm);
    walk_linear(s, "initial_projection", c_s, c, &ret->initial_projection);
    walk_norm(s, "pair_layer_norm", c_z, &ret->pair_layer_norm);
    walk_norm(s, "single_layer_norm", c_s, &ret->single_layer_norm);
}

/* --- the whole network ------------------------------------------------------------------------------------------ */

static void walk_heads(const struct scope *s, struct ff_heads_weights *ret)
{
    const struct ff_model_config *c = s->k->config;
    const struct ff_heads_config *h = &c->heads;
    walk_linear(s, "distogram_head/half_logits", c->pair_channel, h->distogram_num_bins, &ret->distogram);
    walk_linear(s, "experimentally_resolved_head/logits", c->seq_channel, h->experimentally_resolved_num_output,
                &ret->experimentally_resolved);
    walk_linear(s, "masked_msa_head/logits", c->msa_channel, h->masked_msa_num_output, &ret->masked_msa);
    if (h->predicted_aligned_error)
        walk_linear(s, "predicted_aligned_error_head/logits", c->pair_channel, h->pae_num_bins,
                    &ret->predicted_aligned_error);
    int n = h->plddt_num_channel, c_sm = c->structure.num_channel;
    struct scope p = scope_sub(s, "predicted_lddt_head");
    walk_linear(&p, "act_0", c_sm, n, &ret->plddt_act_0);
    walk_linear(&p, "act_1", n, n, &ret->plddt_act_1);
    walk_norm(&p, "input_layer_norm", c_sm, &ret->plddt_norm);
    walk_linear(&p, "logits", n, h->plddt_num_bins, &ret->plddt_logits);
}

void ff_weights_walk(struct ff_weights_walker *k, struct ff_weights *ret)
{
    const struct ff_model_config *c = k->config;
    *ret = (struct ff_weights){0};
    struct scope top = scope_make(k, "alphafold/alphafold_iteration", 0), s = scope_sub(&top, "evoformer");
    int c_m = c->msa_channel, c_z = c->pair_channel, c_e = c->extra_msa_channel;

    walk_linear(&s, "preprocess_1d", c->target_feat_dim, c_m, &ret->preprocess_1d);
    walk_linear(&s, "preprocess_msa", c->msa_feat_dim, c_m, &ret->preprocess_msa);
    walk_linear(&s, "left_single", c->target_feat_dim, c_z, &ret->left_single);
    walk_linear(&s, "right_single", c->target_feat_dim, c_z, &ret->right_single);
    walk_linear(&s, "prev_pos_linear", c->prev_pos_num_bins, c_z, &ret->prev_pos_linear);
    walk_norm(&s, "prev_msa_first_row_norm", c_m, &ret->prev_msa_first_row_norm);
    walk_norm(&s, "prev_pair_norm", c_z, &ret->prev_pair_norm);
    int n_rel = 2 * c->max_relative_feature + 1;
    if (c->multimer) /* + other chain, same entity, relative chain, other entity */
        walk_linear(&s, "~_relative_encoding/position_activations", n_rel + 2 + 2 * c->max_relative_chain + 2, c_z,
                    &ret->relative_position);
    else
        walk_linear(&s, "pair_activiations", n_rel, c_z, &ret->relative_position); /* published spelling */
    walk_linear(&s, "extra_msa_activations", 25, c_e, &ret->extra_msa_activations);
    walk_linear(&s, "single_activations", c_m, c->seq_channel, &ret->single_activations);

    if (c->templates.enabled) {
        struct scope t = scope_sub(&s, "template_embedding");
        walk_templates(&t, &ret->templates);
        if (c->templates.embed_torsion_angles) {
            walk_linear(&s, "template_single_embedding", c->multimer ? 34 : 57, c_m, &ret->templates.single_embedding);
            walk_linear(&s, "template_projection", c_m, c_m, &ret->templates.projection);
        }
    }
    struct scope e = scope_sub(&s, "extra_msa_stack");
    e.n_block = c->extra_msa_stack.num_block;
    walk_stack(&e, FF_STACK_EXTRA_MSA, c_e, c_z, &c->extra_msa_stack, &ret->extra_msa_stack);
    e = scope_sub(&top, "structure_module");
    walk_structure(&e, &ret->structure);
    walk_heads(&top, &ret->heads);
    /* Last, as they are most of all and may lie elsewhere. */
    struct ff_arena *rest = k->arena;
    if (k->block_arena != NULL)
        k->arena = k->block_arena;
    e = scope_sub(&s, "evoformer_iteration");
    e.n_block = c->evoformer.num_block;
    walk_stack(&e, FF_STACK_EVOFORMER, c_m, c_z, &c->evoformer, &ret->evoformer);
    k->arena = rest;
}

/* --- parts by themselves ---------------------------------------------------------------------------------------- */

void ff_weights_walk_row_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m, int c_z,
                                   struct ff_attention_config a, struct ff_attention_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_row_attention(&s, c_m, c_z, a, ret);
}

void ff_weights_walk_column_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m,
                                      struct ff_attention_config a, struct ff_attention_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_column_attention(&s, c_m, a, ret);
}

void ff_weights_walk_global_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_m,
                                      struct ff_attention_config a, struct ff_global_attention_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_global_attention(&s, c_m, a, ret);
}

void ff_weights_walk_triangle_attention(struct ff_weights_walker *k, const char *scope, int n_block, int c_z,
                                        struct ff_attention_config a, struct ff_attention_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_triangle_attention(&s, c_z, a, ret);
}

void ff_weights_walk_triangle(struct ff_weights_walker *k, const char *scope, int n_block, int c_z, int c_i, bool fused,
                              struct ff_triangle_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_triangle(&s, c_z, c_i, fused, ret);
}

void ff_weights_walk_transition(struct ff_weights_walker *k, const char *scope, int n_block, int c, int factor,
                                struct ff_transition_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_transition(&s, c, factor, ret);
}

void ff_weights_walk_outer_product(struct ff_weights_walker *k, const char *scope, int n_block, int c_m, int c_z,
                                   int n_outer, struct ff_outer_product_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_outer_product(&s, c_m, c_z, n_outer, ret);
}

void ff_weights_walk_stack(struct ff_weights_walker *k, const char *scope, enum ff_stack_kind kind, int n_block,
                           int c_m, int c_z, const struct ff_stack_config *c, struct ff_block_weights *ret)
{
    struct scope s = scope_make(k, scope, n_block);
    walk_stack(&s, kind, c_m, c_z, c, ret);
}

void ff_weights_walk_templates(struct ff_weights_walker *k, const char *scope, struct ff_template_weights *ret)
{
    struct scope s = scope_make(k, scope, 0);
    walk_templates(&s, ret);
}

void ff_weights_walk_structure(struct ff_weights_walker *k, const char *scope, struct ff_structure_weights *ret)
{
    struct scope s = scope_make(k, scope, 0);
    walk_structure(&s, ret);
}
