/* SPDX-License-Identifier: Apache-2.0
 * structure: see structure.h. Everything here is float32, whatever the precision of the trunk.
 */
#include "model/structure.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "bio/residue.h"

static struct ff_tensor push_table(struct ff_backend *be, struct ff_arena *arena, enum ff_dtype dtype, const void *host,
                                   int ndim, const int64_t *shape)
{
    struct ff_tensor t = ff_arena_push(arena, dtype, ndim, shape);
    be->upload(be, &t, host);
    return t;
}

void ff_structure_constants(struct ff_backend *be, struct ff_arena *arena, struct ff_residue_constants *ret)
{
    enum { N = FF_N_RESTYPE_X };
    const struct ff_residue_tables *t = ff_residue_tables();
    float frames[N][FF_N_RIGID][12];
    for (int r = 0; r < N; r++) {
        for (int g = 0; g < FF_N_RIGID; g++) {
            for (int i = 0; i < 9; i++)
                frames[r][g][i] = t->default_frames[r][g][i / 3][i % 3];
            for (int i = 0; i < 3; i++)
                frames[r][g][9 + i] = t->default_frames[r][g][i][3];
        }
    }
    ret->frame = push_table(be, arena, FF_F32, frames, FF_SHAPE(N, FF_N_RIGID, 12));
    ret->group = push_table(be, arena, FF_I32, t->atom14_rigid_group, FF_SHAPE(N, FF_N_ATOM14));
    ret->position = push_table(be, arena, FF_F32, t->atom14_positions, FF_SHAPE(N, FF_N_ATOM14, 3));
    ret->atom14 = push_table(be, arena, FF_I32, t->atom37_to_atom14, FF_SHAPE(N, FF_N_ATOM37));
    ret->exists = push_table(be, arena, FF_F32, t->atom37_mask, FF_SHAPE(N, FF_N_ATOM37));
}

/* act += invariant point attention (Alg. 20 line 6, Alg. 22). All of the module is cheap but for the pair: every rank
 * does its rows of it here, and everything else for all residues. */
static void point_attention(const struct ff_context *ctx, const struct ff_structure_weights *w, struct ff_tensor act,
                            struct ff_tensor z, struct ff_tensor frame, struct ff_tensor seq_mask)
{
    const struct ff_structure_config *c = &ctx->config->structure;
    int64_t n = act.shape[0], n_feat = w->output_projection.w.shape[0];
    size_t mark = ff_arena_mark(ctx->arena);
    const struct ff_linear_weights *part[4] = {&w->q_scalar, &w->kv_scalar, &w->q_point, &w->kv_point};
    struct ff_tensor t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = FF_PUSH(ctx, FF_F32, n, part[i]->w.shape[1]);
        FF_OP(ctx->be, linear, .out = t[i], .x = act, .w = part[i]->w, .b = part[i]->b);
    }
    struct ff_tensor feat = FF_PUSH(ctx, FF_F32, z.shape[0], n_feat), own = ff_dap_part(ctx->dap, act, 0);
    FF_OP(ctx->be, point_attention, .out = feat, .q = ff_dap_part(ctx->dap, t[0], 0), .kv = t[1],
          .q_point = ff_dap_part(ctx->dap, t[2], 0), .kv_point = t[3], .frame_i = ff_dap_part(ctx->dap, frame, 0),
          .frame_j = frame, .mask_i = ff_dap_part(ctx->dap, seq_mask, 0), .mask_j = seq_mask, .z = z,
          .norm = w->pair_layer_norm, .w2d = w->attention_2d.w, .b2d = w->attention_2d.b,
          .point_weight = w->trainable_point_weights, .n_head = c->num_head, .n_qk = c->num_scalar_qk,
          .n_v = c->num_scalar_v, .n_point_qk = c->num_point_qk, .n_point_v = c->num_point_v);
    FF_OP(ctx->be, linear, .out = own, .x = feat, .w = w->output_projection.w, .b = w->output_projection.b,
          .accumulate = true);
    if (ff_dap_size(ctx->dap) > 1)
        FF_OP(ctx->be, copy, .out = act, .x = ff_dap_gather(ctx->dap, own, 0, n));
    ff_arena_release(ctx->arena, mark);
}

/* act = LN(act + transition(act)) (Alg. 20 lines 8-9). */
static void transition(const struct ff_context *ctx, const struct ff_structure_weights *w, struct ff_tensor act)
{
    int n_layer = ctx->config->structure.num_layer_in_transition;
    int64_t n = act.shape[0], c = act.shape[1];
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor hidden[2] = {FF_PUSH(ctx, FF_F32, n, c), FF_PUSH(ctx, FF_F32, n, c)};
    struct ff_tensor x = act;
    for (int i = 0; i < n_layer; i++) {
        bool last = i == n_layer - 1;
        struct ff_tensor y = last ? act : hidden[i % 2];
        FF_OP(ctx->be, linear, .out = y, .x = x, .w = w->transition[i].w, .b = w->transition[i].b, .relu = !last,
              .accumulate = last);
        x = y;
    }
    FF_OP(ctx->be, layer_norm, .out = act, .x = act, .norm = w->transition_layer_norm);
    ff_arena_release(ctx->arena, mark);
}

/* Side-chain torsion angles (Alg. 20 lines 11-14): angles [N, 14] before normalisation. */
static void torsion_angles(const struct ff_context *ctx, const struct ff_structure_weights *w, struct ff_tensor act,
                           struct ff_tensor initial, struct ff_tensor angles)
{
    int64_t n = act.shape[0], c = ctx->config->structure.sidechain_num_channel;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor a = FF_PUSH(ctx, FF_F32, n, c), hidden = FF_PUSH(ctx, FF_F32, n, c);
    FF_OP(ctx->be, linear, .out = a, .x = act, .w = w->input_projection[0].w, .b = w->input_projection[0].b,
          .relu_input = true);
    FF_OP(ctx->be, linear, .out = a, .x = initial, .w = w->input_projection[1].w, .b = w->input_projection[1].b,
          .relu_input = true, .accumulate = true);
    for (int i = 0; i < ctx->config->structure.sidechain_num_residual_block; i++) {
        FF_OP(ctx->be, linear, .out = hidden, .x = a, .w = w->resblock1[i].w, .b = w->resblock1[i].b,
              .relu_input = true);
        FF_OP(ctx->be, linear, .out = a, .x = hidden, .w = w->resblock2[i].w, .b = w->resblock2[i].b,
              .relu_input = true, .accumulate = true);
    }
    FF_OP(ctx->be, linear, .out = angles, .x = a, .w = w->unnormalized_angles.w, .b = w->unnormalized_angles.b,
          .relu_input = true);
    ff_arena_release(ctx->arena, mark);
}

/* Every residue starts at the origin without rotation ("black hole initialisation"). */
static void initial_frames(const struct ff_context *ctx, const struct ff_structure_out *out)
{
    FF_OP(ctx->be, fill, .out = out->quat, .value = 0.0f);
    FF_OP(ctx->be, fill, .out = ff_tensor_slice(out->quat, 1, 0, 1), .value = 1.0f);
    FF_OP(ctx->be, fill, .out = out->frame, .value = 0.0f);
    for (int d = 0; d < 3; d++)
        FF_OP(ctx->be, fill, .out = ff_tensor_slice(out->frame, 1, 4 * d, 1), .value = 1.0f);
}

static void record_trajectory(const struct ff_context *ctx, const struct ff_structure_out *out, int layer)
{
    struct ff_tensor row = ff_tensor_index(out->trajectory, 0, layer);
    FF_OP(ctx->be, copy, .out = ff_tensor_slice(row, 1, 0, 4), .x = out->quat);
    FF_OP(ctx->be, copy, .out = ff_tensor_slice(row, 1, 4, 3), .x = ff_tensor_slice(out->frame, 1, 9, 3));
}

void ff_structure_module(const struct ff_context *ctx, const struct ff_structure_weights *w,
                         const struct ff_residue_constants *constants, struct ff_tensor single, struct ff_tensor z,
                         struct ff_tensor aatype, struct ff_tensor seq_mask, const struct ff_structure_out *out)
{
    const struct ff_structure_config *c = &ctx->config->structure;
    int64_t n = single.shape[0];
    struct ff_tensor act = out->act;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor initial = FF_PUSH(ctx, FF_F32, n, single.shape[1]);
    struct ff_tensor update = FF_PUSH(ctx, FF_F32, n, 6), angles = FF_PUSH(ctx, FF_F32, n, 14);

    FF_OP(ctx->be, layer_norm, .out = initial, .x = single, .norm = w->single_layer_norm);
    FF_OP(ctx->be, linear, .out = act, .x = initial, .w = w->initial_projection.w, .b = w->initial_projection.b);
    initial_frames(ctx, out);
    for (int layer = 0; layer < c->num_layer && !ff_context_stopped(ctx); layer++) {
        ff_context_stage(ctx, "structure module", layer, c->num_layer);
        point_attention(ctx, w, act, z, out->frame, seq_mask);
        FF_OP(ctx->be, layer_norm, .out = act, .x = act, .norm = w->attention_layer_norm);
        transition(ctx, w, act);
        FF_OP(ctx->be, linear, .out = update, .x = act, .w = w->affine_update.w, .b = w->affine_update.b);
        FF_OP(ctx->be, rigid_update, .out = out->frame, .quat = out->quat, .update = update);
        if (ff_tensor_present(&out->trajectory))
            record_trajectory(ctx, out, layer);
    }
    /* Only the last layer's side chains are ever read. */
    torsion_angles(ctx, w, act, initial, angles);
    FF_OP(ctx->be, atoms_from_angles, .out = out->atoms, .atom14 = out->atom14, .frame = out->frame, .angles = angles,
          .aatype = aatype, .table_frame = constants->frame, .table_group = constants->group,
          .table_position = constants->position, .table_atom14 = constants->atom14, .table_exists = constants->exists,
          .scale = c->position_scale);
    ff_arena_release(ctx->arena, mark);
}
