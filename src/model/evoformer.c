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
                        const struct ff_offload *m, struct ff_tensor msa_mask, const struct ff_pair *pair)
{
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, msa_mask, 1), part;
    ff_attention_msa_row(ctx, &w->msa_row_attention_with_pair_bias, m, msa_mask, pair);
    struct ff_offload_visit v;
    ff_offload_visit_open(ctx, m, 1, 0, m->x.shape[1], ff_offload_size(m, 1, ctx->piece_bytes), FF_OFFLOAD_CHANGE, &v);
    while (ff_offload_visit_next(&v, &part)) {
        struct ff_tensor mask = ff_tensor_slice(own_mask, 1, v.at, v.count);
        if (kind == FF_STACK_EXTRA_MSA)
            ff_attention_msa_column_global(ctx, &w->msa_column_global_attention, part, mask);
        else
            ff_attention_msa_column(ctx, &w->msa_column_attention, part, mask);
        transition(ctx, &w->msa_transition, part);
    }
}

static void triangle_multiplications(const struct ff_context *ctx, const struct ff_block_weights *w,
                                     struct ff_pair *pair)
{
    ff_triangle_multiplication(ctx, &w->triangle_multiplication_outgoing, FF_OUTGOING, pair);
    ff_triangle_multiplication(ctx, &w->triangle_multiplication_incoming, FF_INCOMING, pair);
}

static void triangle_attentions(const struct ff_context *ctx, const struct ff_block_weights *w, struct ff_pair *pair)
{
    ff_attention_triangle(ctx, &w->triangle_attention_starting_node, FF_STARTING_NODE, pair);
    ff_attention_triangle(ctx, &w->triangle_attention_ending_node, FF_ENDING_NODE, pair);
}

/* For all layers but triangle multiplication; the largest bias of attention, and `held` bytes, lie beside their
 * chunks. */
static struct ff_context wide_context(const struct ff_context *ctx, const struct ff_stack_config *config,
                                      enum ff_stack_kind kind, const struct ff_pair *pair, int64_t held)
{
    int heads = config->triangle_attention.num_head;
    if (kind != FF_STACK_TEMPLATE && config->msa_row_attention.num_head > heads)
        heads = config->msa_row_attention.num_head;
    int64_t item = (int64_t)ff_dtype_size(ff_backend_attended(ctx->be));
    int64_t bias = heads * pair->n_res * ff_pair_padded(pair->n_res) * item;
    return ff_pair_context(ctx, pair, bias + held + 4 * FF_ARENA_ALIGN);
}

/* held: bytes of the MSA that other layers have room for. Of one on the host, pieces have that room. */
static void msa_layers(const struct ff_context *ctx, const struct ff_block_weights *w,
                       const struct ff_stack_config *config, enum ff_stack_kind kind, const struct ff_offload *m,
                       struct ff_tensor msa_mask, const struct ff_pair *pair, int64_t held)
{
    struct ff_context wide = wide_context(ctx, config, kind, pair, held);
    if (m->away && wide.piece_bytes < wide.chunk_bytes) {
        int64_t room = wide.piece_bytes + wide.chunk_bytes;
        wide.chunk_bytes = room / 2;
        wide.piece_bytes = room - wide.chunk_bytes;
    }
    if (config->outer_product_mean_first)
        ff_outer_product_mean(&wide, &w->outer_product_mean, m, msa_mask, pair->z);
    msa_updates(&wide, w, kind, m, msa_mask, pair);
    if (!config->outer_product_mean_first)
        ff_outer_product_mean(&wide, &w->outer_product_mean, m, msa_mask, pair->z);
}

static void pair_layers(const struct ff_context *ctx, const struct ff_block_weights *w,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, struct ff_pair *pair)
{
    struct ff_context wide = wide_context(ctx, config, kind, pair, 0);
    /* The monomer's template stack is the one place where attention comes before multiplication. */
    if (kind == FF_STACK_TEMPLATE && !ctx->config->multimer) {
        triangle_attentions(&wide, w, pair);
        triangle_multiplications(ctx, w, pair);
    } else {
        triangle_multiplications(ctx, w, pair);
        triangle_attentions(&wide, w, pair);
    }
    transition(ctx, &w->pair_transition, pair->z);
}

void ff_evoformer_block(const struct ff_context *ctx, const struct ff_block_weights *w,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, const struct ff_offload *m,
                        struct ff_tensor msa_mask, struct ff_pair *pair)
{
    if (kind != FF_STACK_TEMPLATE)
        msa_layers(ctx, w, config, kind, m, msa_mask, pair, 0);
    pair_layers(ctx, w, config, kind, pair);
}

/* A stack whose MSA, the last tensor pushed, lies on the host during the pair layers. Leaves the arena below it. */
static void stack_without_msa(const struct ff_context *ctx, const struct ff_block_weights *stack,
                              const struct ff_stack_config *config, enum ff_stack_kind kind, const char *stage,
                              const struct ff_offload *m, struct ff_tensor msa_mask, struct ff_pair *pair)
{
    int64_t bytes = (int64_t)ff_tensor_bytes(&m->x);
    struct ff_offload o = *m;
    for (int i = 0; i < config->num_block && !ff_context_stopped(ctx); i++) {
        ff_context_stage(ctx, stage, i, config->num_block);
        struct ff_block_weights w = ff_weights_block(stack, i);
        if (i > 0)
            ff_offload_return(ctx, &o);
        msa_layers(ctx, &w, config, kind, &o, msa_mask, pair, bytes);
        if (i < config->num_block - 1)
            ff_offload_leave(ctx, &o);
        else
            ff_offload_drop(ctx, &o);
        pair_layers(ctx, &w, config, kind, pair);
    }
}

/* Weights of a block. From the host they come in one piece, on its way while the blocks before are computed. */
static struct ff_block_weights block_weights(const struct ff_context *ctx, const struct ff_block_weights *stack,
                                             enum ff_stack_kind kind, int i)
{
    if (!ctx->stream_blocks || kind != FF_STACK_EVOFORMER)
        return ff_weights_block(stack, i);
    int64_t bytes = (int64_t)ff_weights_packed_bytes(stack);
    struct ff_tensor memory = FF_PUSH(ctx, FF_U8, bytes);
    ctx->be->upload(ctx->be, &memory, ctx->blocks != NULL ? ctx->blocks + i * bytes : NULL);
    return ff_weights_packed(stack, memory.data);
}

void ff_evoformer_stack(const struct ff_context *ctx, const struct ff_block_weights *stack,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, const char *stage,
                        const struct ff_offload *m, struct ff_tensor msa_mask, struct ff_pair *pair)
{
    const void *data = pair->z.data;
    if (ctx->spill && kind == FF_STACK_EXTRA_MSA && !m->away) {
        stack_without_msa(ctx, stack, config, kind, stage, m, msa_mask, pair);
        return;
    }
    for (int i = 0; i < config->num_block && !ff_context_stopped(ctx); i++) {
        ff_context_stage(ctx, stage, i, config->num_block);
        size_t start = ff_arena_mark(ctx->arena);
        struct ff_block_weights w = block_weights(ctx, stack, kind, i);
        ff_evoformer_block(ctx, &w, config, kind, m, msa_mask, pair);
        ff_arena_release(ctx->arena, start);
    }
    FF_ASSERT(pair->z.data == data && !pair->transposed);
}
