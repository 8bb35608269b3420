/* SPDX-License-Identifier: Apache-2.0
 * forward: see forward.h.
 */
#include "model/forward.h"

#include "model/embed.h"
#include "model/evoformer.h"
#include "model/offload.h"
#include "model/pair.h"
#include "model/template.h"

void ff_forward_begin(const struct ff_context *ctx, const struct ff_batch *b, struct ff_forward_state *s)
{
    const struct ff_model_config *c = ctx->config;
    int64_t n = b->n_res;
    enum ff_dtype act = ctx->be->activation;
    *s = (struct ff_forward_state){0};
    int64_t own = ff_context_part(ctx, n);
    s->msa_first_row = FF_PUSH(ctx, FF_F32, n, c->msa_channel);
    s->single = FF_PUSH(ctx, FF_F32, n, c->seq_channel);
    s->prev_atoms = FF_PUSH(ctx, FF_F32, n, 37, 3);
    s->structure.act = FF_PUSH(ctx, FF_F32, n, c->structure.num_channel);
    s->structure.atoms = FF_PUSH(ctx, FF_F32, n, 37, 3);
    s->structure.quat = FF_PUSH(ctx, FF_F32, n, 4);
    s->structure.frame = FF_PUSH(ctx, FF_F32, n, 12);
    s->change = FF_PUSH(ctx, FF_F32, 1);
    s->aatype = ff_batch_upload(ctx, FF_I32, b->aatype, FF_SHAPE(n));
    s->seq_mask = ff_batch_upload(ctx, FF_F32, b->seq_mask, FF_SHAPE(n));
    s->pair_mask = ff_batch_pair_mask(ctx, b);
    s->member_first_row = s->msa_first_row;
    if (c->num_ensemble > 1) {
        s->prev_z = FF_PUSH(ctx, act, own, n, c->pair_channel);
        s->sum_z = FF_PUSH(ctx, act, own, n, c->pair_channel);
        s->sum_first_row = FF_PUSH(ctx, FF_F32, n, c->msa_channel);
        s->member_first_row = FF_PUSH(ctx, FF_F32, n, c->msa_channel);
    }
    s->z = ff_pair_push_rows(ctx, n, c->pair_channel);
    if (c->num_ensemble == 1)
        s->prev_z = s->z;
    FF_OP(ctx->be, fill, .out = s->z, .value = 0.0f);
    FF_OP(ctx->be, fill, .out = s->msa_first_row, .value = 0.0f);
    FF_OP(ctx->be, fill, .out = s->structure.atoms, .value = 0.0f);
}

/* Main MSA stack: embeds the clusters (and template rows), runs the Evoformer, leaves the member's first row. */
static void main_stack(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b, int member,
                       struct ff_forward_state *s, const struct ff_forward_out *out)
{
    const struct ff_model_config *c = ctx->config;
    int64_t n = b->n_res, n_row = c->templates.enabled && c->templates.embed_torsion_angles ? b->n_template : 0;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor m = FF_PUSH(ctx, ctx->be->activation, b->n_seq + n_row, ff_context_part(ctx, n), c->msa_channel);
    struct ff_tensor mask = FF_PUSH(ctx, FF_F32, b->n_seq + n_row, n);
    struct ff_tensor clusters = ff_tensor_slice(m, 0, 0, b->n_seq);
    struct ff_tensor cluster_mask = ff_tensor_slice(mask, 0, 0, b->n_seq);

    struct ff_pair pair = ff_pair_make(ctx, s->z, s->pair_mask, c->evoformer.triangle_multiplication_channel);
    ff_context_stage(ctx, "Evoformer", 0, c->evoformer.num_block);
    ctx->be->upload(ctx->be, &cluster_mask, b->msa_mask);
    ff_embed_msa(ctx, w, b, s->msa_first_row, clusters);
    if (n_row > 0)
        ff_template_msa_rows(ctx, &w->templates, b, ff_tensor_slice(m, 0, b->n_seq, n_row),
                             ff_tensor_slice(mask, 0, b->n_seq, n_row));
    ff_evoformer_stack(ctx, &w->evoformer, &c->evoformer, FF_STACK_EVOFORMER, "Evoformer",
                       &(struct ff_offload){.x = m}, mask, &pair);
    struct ff_tensor own_row = FF_PUSH(ctx, FF_F32, m.shape[1], c->msa_channel);
    FF_OP(ctx->be, copy, .out = own_row, .x = ff_tensor_index(m, 0, 0));
    FF_OP(ctx->be, copy, .out = s->member_first_row, .x = ff_dap_gather(ctx->dap, own_row, 0, n));
    if (member == 0 && out->logits)
        ff_heads_masked_msa(ctx, &w->heads, clusters, n, out->masked_msa_logits);
    ff_arena_release(ctx->arena, mark);
}

static void extra_stack(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                        struct ff_tensor z, struct ff_tensor pair_mask)
{
    const struct ff_model_config *c = ctx->config;
    int64_t n = b->n_res, n_extra = b->n_extra;
    size_t mark = ff_arena_mark(ctx->arena);
    ff_context_stage(ctx, "extra-MSA stack", 0, c->extra_msa_stack.num_block);
    struct ff_tensor mask = ff_batch_upload(ctx, FF_F32, b->extra_msa_mask, FF_SHAPE(n_extra, n));
    struct ff_pair pair = ff_pair_make(ctx, z, pair_mask, c->extra_msa_stack.triangle_multiplication_channel);
    struct ff_offload e = {.away = ctx->msa_in_pieces, .host = ctx->spilled};
    const int64_t shape[3] = {n_extra, ff_context_part(ctx, n), c->extra_msa_channel};
    /* Last: the stack may give back its room while it lies on the host. */
    e.x = e.away ? ff_tensor_make(NULL, ctx->be->activation, 3, shape)
                 : ff_arena_push(ctx->arena, ctx->be->activation, 3, shape);
    ff_embed_extra_msa(ctx, w, b, &e);
    ff_evoformer_stack(ctx, &w->extra_msa_stack, &c->extra_msa_stack, FF_STACK_EXTRA_MSA, "extra-MSA stack", &e, mask,
                       &pair);
    ff_arena_release(ctx->arena, mark);
}

/* Adds one member's result to the sums; the last one leaves the means in the state. */
static void ensemble(const struct ff_context *ctx, int member, int n_member, struct ff_forward_state *s)
{
    float keep = member > 0 ? 1.0f : 0.0f; /* 0: the old sum is not read */
    FF_OP(ctx->be, scale_add, .out = s->sum_z, .x = s->z, .alpha = keep, .beta = 1.0f);
    FF_OP(ctx->be, scale_add, .out = s->sum_first_row, .x = s->member_first_row, .alpha = keep, .beta = 1.0f);
    if (member < n_member - 1)
        return;
    FF_OP(ctx->be, scale_add, .out = s->z, .x = s->sum_z, .alpha = 0.0f, .beta = 1.0f / (float)n_member);
    FF_OP(ctx->be, scale_add, .out = s->msa_first_row, .x = s->sum_first_row, .alpha = 0.0f,
          .beta = 1.0f / (float)n_member);
}

void ff_forward_trunk(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b, int member,
                      int n_member, struct ff_forward_state *s, const struct ff_forward_out *out)
{
    if (n_member > 1 && member == 0)
        FF_OP(ctx->be, copy, .out = s->prev_z, .x = s->z);
    ff_context_stage(ctx, "embedding", 0, 1);
    ff_embed_pair(ctx, w, b, n_member > 1 ? s->prev_z : s->z, s->structure.atoms, s->z);
    if (ctx->config->templates.enabled && b->n_template > 0) {
        ff_context_stage(ctx, "templates", 0, 1);
        ff_template_embed(ctx, &w->templates, b, s->z, s->pair_mask);
    }
    extra_stack(ctx, w, b, s->z, s->pair_mask);
    main_stack(ctx, w, b, member, s, out);
    if (n_member > 1)
        ensemble(ctx, member, n_member, s);
}

static void heads(const struct ff_context *ctx, const struct ff_weights *w, struct ff_forward_state *s,
                  const struct ff_forward_out *out)
{
    ff_context_stage(ctx, "heads", 0, 1);
    ff_heads_predicted_lddt(ctx, &w->heads, s->structure.act, out->plddt_logits);
    if (ctx->config->heads.predicted_aligned_error)
        ff_heads_aligned_error(ctx, &w->heads, s->z, out->logits, out->pae, out->tm,
                               (struct ff_head_rows){.whole = out->pae_logits});
    if (out->logits) {
        ff_heads_experimentally_resolved(ctx, &w->heads, s->single, out->resolved_logits);
        ff_heads_distogram(ctx, &w->heads, s->z, (struct ff_head_rows){.whole = out->distogram_logits});
    }
}

void ff_forward_structure(const struct ff_context *ctx, const struct ff_weights *w,
                          const struct ff_residue_constants *constants, struct ff_forward_state *s,
                          const struct ff_forward_out *out)
{
    /* The mean of an ensemble's single representations is the single representation of the mean: it is linear. */
    FF_OP(ctx->be, linear, .out = s->single, .x = s->msa_first_row, .w = w->single_activations.w,
          .b = w->single_activations.b);
    FF_OP(ctx->be, copy, .out = s->prev_atoms, .x = s->structure.atoms);
    ff_structure_module(ctx, &w->structure, constants, s->single, s->z, s->aatype, s->seq_mask, &s->structure);
    FF_OP(ctx->be, distance_change, .out = s->change, .a = s->prev_atoms, .b = s->structure.atoms,
          .mask = s->seq_mask);
    ctx->be->download(ctx->be, out->distance_change, &s->change);
    heads(ctx, w, s, out);
}
