/* SPDX-License-Identifier: Apache-2.0
 * evoformer: see evoformer.h.
 */
#include "model/evoformer.h"

#include "model/attention.h"
#include "model/outer_product.h"
#include "model/triangle.h"

static void transition(const struct ff_context *ctx, const struct ff_transition_weights *w, struct ff_tensor x)
{
    FF_OP(ctx->be, transition, .out = x, .norm = w->input_layer_norm, .w1 = w->transition1.w, .b1 = w->transition1.b,
          .w2 = w->transition2.w, .b2 = w->transition2.b);
}

static void msa_updates(const struct ff_context *ctx, const struct ff_block_weights *w, enum ff_stack_kind kind,
                        struct ff_tensor m, struct ff_tensor msa_mask, struct ff_tensor z)
{
    ff_attention_msa_row(ctx, &w->msa_row_attention_with_pair_bias, m, msa_mask, z);
    if (kind == FF_STACK_EXTRA_MSA)
        ff_attention_msa_column_global(ctx, &w->msa_column_global_attention, m, msa_mask);
    else
        ff_attention_msa_column(ctx, &w->msa_column_attention, m, msa_mask);
    transition(ctx, &w->msa_transition, m);
}

static void triangle_multiplications(const struct ff_context *ctx, const struct ff_block_weights *w,
                                     struct ff_tensor z, struct ff_tensor pair_mask)
{
    ff_triangle_multiplication(ctx, &w->triangle_multiplication_outgoing, FF_OUTGOING, z, pair_mask);
    ff_triangle_multiplication(ctx, &w->triangle_multiplication_incoming, FF_INCOMING, z, pair_mask);
}

static void triangle_attentions(const struct ff_context *ctx, const struct ff_block_weights *w, struct ff_tensor z,
                                struct ff_tensor pair_mask)
{
    ff_attention_triangle(ctx, &w->triangle_attention_starting_node, FF_STARTING_NODE, z, pair_mask);
    ff_attention_triangle(ctx, &w->triangle_attention_ending_node, FF_ENDING_NODE, z, pair_mask);
}

void ff_evoformer_block(const struct ff_context *ctx, const struct ff_block_weights *w,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, struct ff_tensor m,
                        struct ff_tensor msa_mask, struct ff_tensor z, struct ff_tensor pair_mask)
{
    if (kind != FF_STACK_TEMPLATE) {
        if (config->outer_product_mean_first)
            ff_outer_product_mean(ctx, &w->outer_product_mean, m, msa_mask, z);
        msa_updates(ctx, w, kind, m, msa_mask, z);
        if (!config->outer_product_mean_first)
            ff_outer_product_mean(ctx, &w->outer_product_mean, m, msa_mask, z);
    }
    /* The monomer's template stack is the one place where attention comes before multiplication. */
    if (kind == FF_STACK_TEMPLATE && !ctx->config->multimer) {
        triangle_attentions(ctx, w, z, pair_mask);
        triangle_multiplications(ctx, w, z, pair_mask);
    } else {
        triangle_multiplications(ctx, w, z, pair_mask);
        triangle_attentions(ctx, w, z, pair_mask);
    }
    transition(ctx, &w->pair_transition, z);
}

void ff_evoformer_stack(const struct ff_context *ctx, const struct ff_block_weights *stack,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, const char *stage,
                        struct ff_tensor m, struct ff_tensor msa_mask, struct ff_tensor z, struct ff_tensor pair_mask)
{
    for (int i = 0; i < config->num_block && !ff_context_stopped(ctx); i++) {
        ff_context_stage(ctx, stage, i, config->num_block);
        struct ff_block_weights w = ff_weights_block(stack, i);
        ff_evoformer_block(ctx, &w, config, kind, m, msa_mask, z, pair_mask);
    }
}
