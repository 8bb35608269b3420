/* SPDX-License-Identifier: Apache-2.0
 * embed: see embed.h.
 */
#include "model/embed.h"

static struct ff_tensor target_feat(const struct ff_context *ctx, const struct ff_batch *b)
{
    return ff_batch_upload(ctx, FF_F32, b->target_feat, FF_SHAPE(b->n_res, ctx->config->target_feat_dim));
}

/* This rank's part of a per-residue tensor. */
static struct ff_tensor own(const struct ff_context *ctx, struct ff_tensor t)
{
    return ff_tensor_present(&t) ? ff_dap_part(ctx->dap, t, 0) : t;
}

static void relative_position(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                              struct ff_tensor z)
{
    const struct ff_model_config *c = ctx->config;
    struct ff_tensor index = ff_batch_upload(ctx, FF_I32, b->residue_index, FF_SHAPE(b->n_res));
    struct ff_tensor asym = {0}, entity = {0}, sym = {0};
    if (c->multimer) {
        asym = ff_batch_upload(ctx, FF_I32, b->asym_id, FF_SHAPE(b->n_res));
        entity = ff_batch_upload(ctx, FF_I32, b->entity_id, FF_SHAPE(b->n_res));
        sym = ff_batch_upload(ctx, FF_I32, b->sym_id, FF_SHAPE(b->n_res));
    }
    FF_OP(ctx->be, relative_position, .out = z, .index_i = own(ctx, index), .index_j = index,
          .asym_i = own(ctx, asym), .asym_j = asym, .entity_i = own(ctx, entity), .entity_j = entity,
          .sym_i = own(ctx, sym), .sym_j = sym, .w = w->relative_position.w, .b = w->relative_position.b,
          .max_relative_idx = c->max_relative_feature, .max_relative_chain = c->max_relative_chain);
}

void ff_embed_pair(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                   struct ff_tensor prev_z, struct ff_tensor prev_atoms, struct ff_tensor z)
{
    const struct ff_model_config *c = ctx->config;
    int64_t n = b->n_res;
    size_t mark = ff_arena_mark(ctx->arena);

    FF_OP(ctx->be, layer_norm, .out = z, .x = prev_z, .norm = w->prev_pair_norm);

    struct ff_tensor target = target_feat(ctx, b);
    struct ff_tensor left = FF_PUSH(ctx, FF_F32, n, c->pair_channel), right = FF_PUSH(ctx, FF_F32, n, c->pair_channel);
    FF_OP(ctx->be, linear, .out = left, .x = target, .w = w->left_single.w, .b = w->left_single.b);
    FF_OP(ctx->be, linear, .out = right, .x = target, .w = w->right_single.w, .b = w->right_single.b);
    FF_OP(ctx->be, outer_sum, .out = z, .left = own(ctx, left), .right = right);

    struct ff_tensor aatype = ff_batch_upload(ctx, FF_I32, b->aatype, FF_SHAPE(n));
    struct ff_tensor beta = FF_PUSH(ctx, FF_F32, n, 3);
    FF_OP(ctx->be, pseudo_beta, .out = beta, .atoms = prev_atoms, .aatype = aatype);
    FF_OP(ctx->be, distance_embed, .out = z, .x_i = own(ctx, beta), .x_j = beta, .w = w->prev_pos_linear.w,
          .b = w->prev_pos_linear.b, .min_bin = c->prev_pos_min_bin, .max_bin = c->prev_pos_max_bin);

    relative_position(ctx, w, b, z);
    ff_arena_release(ctx->arena, mark);
}

void ff_embed_msa(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                  struct ff_tensor prev_msa_first_row, struct ff_tensor m)
{
    const struct ff_model_config *c = ctx->config;
    int64_t n = m.shape[1], feat = c->msa_feat_dim,
            from_column = ff_dap_from(ctx->dap, b->n_res, ff_dap_rank(ctx->dap));
    size_t mark = ff_arena_mark(ctx->arena);

    int64_t rows = ff_context_rows(ctx, b->n_seq, n * feat * (int64_t)sizeof(float));
    size_t loop = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < b->n_seq; from += rows) {
        int64_t count = from + rows <= b->n_seq ? rows : b->n_seq - from;
        struct ff_tensor x = ff_batch_upload_columns(ctx, b, FF_F32, b->msa_feat, from, count, feat, from_column, n);
        FF_OP(ctx->be, linear, .out = ff_tensor_slice(m, 0, from, count), .x = x, .w = w->preprocess_msa.w,
              .b = w->preprocess_msa.b);
        ff_arena_release(ctx->arena, loop);
    }
    struct ff_tensor target = target_feat(ctx, b), row = FF_PUSH(ctx, FF_F32, b->n_res, c->msa_channel);
    FF_OP(ctx->be, linear, .out = row, .x = target, .w = w->preprocess_1d.w, .b = w->preprocess_1d.b);
    FF_OP(ctx->be, outer_sum, .out = m, .right = own(ctx, row));
    FF_OP(ctx->be, layer_norm, .out = ff_tensor_index(m, 0, 0), .x = own(ctx, prev_msa_first_row),
          .norm = w->prev_msa_first_row_norm, .accumulate = true);
    ff_arena_release(ctx->arena, mark);
}

/* Rows [from, from + n) of what is known of the extra sequences, [E, N], and of them this rank's columns. */
static struct ff_tensor extra_rows(const struct ff_context *ctx, const struct ff_batch *b, enum ff_dtype dtype,
                                   const void *host, int64_t from, int64_t n)
{
    int rank = ff_dap_rank(ctx->dap);
    struct ff_tensor t = ff_batch_upload_columns(ctx, b, dtype, host, from, n, 1, ff_dap_from(ctx->dap, b->n_res, rank),
                                                 ff_dap_count(ctx->dap, b->n_res, rank));
    return ff_tensor_index(t, 2, 0);
}

void ff_embed_extra_msa(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                        const struct ff_offload *e)
{
    struct ff_offload_visit v;
    struct ff_tensor part;
    ff_offload_visit_open(ctx, e, 0, 0, b->n_extra, ff_offload_size(e, 0, ctx->chunk_bytes), FF_OFFLOAD_MAKE, &v);
    while (ff_offload_visit_next(&v, &part)) {
        size_t mark = ff_arena_mark(ctx->arena);
        struct ff_tensor msa = extra_rows(ctx, b, FF_I32, b->extra_msa, v.at, v.count);
        struct ff_tensor has = extra_rows(ctx, b, FF_F32, b->extra_has_deletion, v.at, v.count);
        struct ff_tensor value = extra_rows(ctx, b, FF_F32, b->extra_deletion_value, v.at, v.count);
        FF_OP(ctx->be, extra_msa_embed, .out = part, .msa = msa, .has_deletion = has, .deletion_value = value,
              .w = w->extra_msa_activations.w, .b = w->extra_msa_activations.b);
        ff_arena_release(ctx->arena, mark);
    }
}
