/* SPDX-License-Identifier: Apache-2.0
 * template: see template.h.
 */
#include "model/template.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "bio/residue.h"
#include "bio/torsion.h"
#include "model/evoformer.h"
#include "model/offload.h"

/* --- geometry of one template (host) ---------------------------------------------------------------------------- */

struct backbone {
    float *frame;                    /* [N, 12]: rotation row by row, translation (CA) */
    float *mask;                     /* [N]: N, CA and C are all known */
};

/* The embedding of a residue's direction from itself is nothing but what rounding leaves of R^T t - R^T t (see
 * ff_template_pair_embed_args), so frames are rounded here as in the compiled published network: single precision,
 * multiplications fused with the additions that follow. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

/* The product that is rounded first, by itself, is the one of this axis (0 or 1). */
static float dot(int axis, const float *a, const float *b)
{
    return fmaf(a[2], b[2], fmaf(a[1 - axis], b[1 - axis], a[axis] * b[axis]));
}

static void normalise(float v[3])
{
    float length = sqrtf(fmaxf(dot(1, v, v), 1e-12f));
    for (int d = 0; d < 3; d++)
        v[d] /= length;
}

/* Frame of one residue: CA at the origin, C on the x axis, N in the xy plane (Suppl. Alg. 21). */
static void backbone_frame(const float *atoms /* [37, 3] */, float *frame /* [12] */)
{
    const float *n = atoms + 3 * FF_ATOM_N, *ca = atoms + 3 * FF_ATOM_CA, *c = atoms + 3 * FF_ATOM_C;
    float e0[3], e1[3];
    for (int d = 0; d < 3; d++) {
        e0[d] = c[d] - ca[d];
        e1[d] = n[d] - ca[d];
    }
    normalise(e0);
    const float ca_n[3] = {e1[0], e1[1], e1[2]};
    for (int d = 0; d < 3; d++)
        e1[d] = fmaf(-dot(d > 0, ca_n, e0), e0[d], ca_n[d]);
    normalise(e1);
    const float e2[3] = {fmaf(e0[1], e1[2], -(e0[2] * e1[1])), fmaf(e0[2], e1[0], -(e0[0] * e1[2])),
                         fmaf(e0[0], e1[1], -(e0[1] * e1[0]))};
    for (int d = 0; d < 3; d++) {
        frame[3 * d] = e0[d];
        frame[3 * d + 1] = e1[d];
        frame[3 * d + 2] = e2[d];
        frame[9 + d] = ca[d];
    }
}

static struct backbone backbone_make(const struct ff_batch *b, int t)
{
    struct backbone r = {0};
    if (b->template_positions == NULL)
        return r;
    size_t n = (size_t)b->n_res;
    r.frame = FF_NEW_ARRAY(float, n * 12);
    r.mask = FF_NEW_ARRAY(float, n);
    const float *atoms = b->template_positions + (size_t)t * n * 37 * 3;
    const float *mask = b->template_atom_mask + (size_t)t * n * 37;
    for (size_t i = 0; i < n; i++) {
        backbone_frame(atoms + i * 37 * 3, r.frame + i * 12);
        r.mask[i] = mask[i * 37 + FF_ATOM_N] * mask[i * 37 + FF_ATOM_CA] * mask[i * 37 + FF_ATOM_C];
    }
    return r;
}

/* --- pair embedding --------------------------------------------------------------------------------------------- */

static const float *at(const float *p, size_t offset)
{
    return p != NULL ? p + offset : NULL;
}

/* This rank's part of a per-residue tensor. */
static struct ff_tensor own(const struct ff_context *ctx, struct ff_tensor t)
{
    return ff_tensor_present(&t) ? ff_dap_part(ctx->dap, t, 0) : t;
}

/* act = pair features of template t, through the pair stack, before its final layer norm. */
static void embed_one(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                      int t, const struct ff_offload *z, struct ff_tensor pair_mask,
                      struct ff_tensor act /* [I, N, c_t] */)
{
    const struct ff_template_config *c = &ctx->config->templates;
    bool multimer = ctx->config->multimer;
    int64_t n = b->n_res;
    size_t offset = (size_t)t * (size_t)n, mark = ff_arena_mark(ctx->arena);

    struct backbone host = backbone_make(b, t);
    const int32_t *types = b->template_aatype != NULL ? b->template_aatype + offset : NULL;
    struct ff_tensor aatype = ff_batch_upload(ctx, FF_I32, types, FF_SHAPE(n));
    struct ff_tensor beta = ff_batch_upload(ctx, FF_F32, at(b->template_pseudo_beta, 3 * offset), FF_SHAPE(n, 3));
    struct ff_tensor beta_mask = ff_batch_upload(ctx, FF_F32, at(b->template_pseudo_beta_mask, offset), FF_SHAPE(n));
    struct ff_tensor frame = ff_batch_upload(ctx, FF_F32, host.frame, FF_SHAPE(n, 12));
    struct ff_tensor backbone_mask = ff_batch_upload(ctx, FF_F32, host.mask, FF_SHAPE(n));
    struct ff_tensor asym = {0};
    if (multimer)
        asym = ff_batch_upload(ctx, FF_I32, b->asym_id, FF_SHAPE(n));
    free(host.frame);
    free(host.mask);

    struct ff_tensor e = w->pair_embedding.w;
    int64_t bins = c->dgram_num_bins;
    FF_OP(ctx->be, template_pair_embed, .out = act, .aatype_i = own(ctx, aatype), .aatype_j = aatype,
          .pseudo_beta_i = own(ctx, beta), .pseudo_beta_j = beta, .pseudo_beta_mask_i = own(ctx, beta_mask),
          .pseudo_beta_mask_j = beta_mask, .frame_i = own(ctx, frame), .frame_j = frame,
          .backbone_mask_i = own(ctx, backbone_mask), .backbone_mask_j = backbone_mask, .asym_i = own(ctx, asym),
          .asym_j = asym, .w_dgram = ff_tensor_slice(e, 0, 0, bins), .w_pb_mask = ff_tensor_index(e, 0, bins),
          .w_aatype_j = ff_tensor_slice(e, 0, bins + 1, 22), .w_aatype_i = ff_tensor_slice(e, 0, bins + 23, 22),
          /* The published single-chain presets switch the unit vectors off (use_template_unit_vector). */
          .w_unit = multimer ? ff_tensor_slice(e, 0, bins + 45, 3) : (struct ff_tensor){0},
          .w_bb_mask = ff_tensor_index(e, 0, bins + 48), .b = w->pair_embedding.b, .min_bin = c->dgram_min_bin,
          .max_bin = c->dgram_max_bin, .mask_all = !multimer, .clamp_norm = multimer);
    struct ff_offload_visit v;
    struct ff_tensor rows;
    if (multimer) {
        int64_t n_row = z->x.shape[0];
        ff_offload_visit_open(ctx, z, 0, 0, n_row, ff_offload_size(z, 0, ctx->chunk_bytes), FF_OFFLOAD_READ, &v);
        while (ff_offload_visit_next(&v, &rows))
            FF_OP(ctx->be, linear, .out = ff_tensor_slice(act, 0, v.at, v.count), .x = rows,
                  .norm = w->query_embedding_norm, .w = w->query_embedding, .accumulate = true);
    }
    struct ff_pair pair = ff_pair_make(ctx, act, pair_mask, c->stack.triangle_multiplication_channel);
    ff_evoformer_stack(ctx, &w->stack, &c->stack, FF_STACK_TEMPLATE, "templates", NULL,
                       (struct ff_tensor){0}, &pair);
    ff_arena_release(ctx->arena, mark);
}

/* z += attention over the templates' rows t [T, I, N, c_t], whose layer norm is made in place. */
static void attend(const struct ff_context *ctx, const struct ff_template_weights *w, struct ff_tensor z,
                   struct ff_tensor t)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor ones = FF_PUSH(ctx, FF_F32, t.shape[0]);
    for (int64_t k = 0; k < t.shape[0]; k++) {
        struct ff_tensor one = ff_tensor_index(t, 0, k);
        FF_OP(ctx->be, layer_norm, .out = one, .x = one, .norm = w->output_layer_norm);
    }
    FF_OP(ctx->be, fill, .out = ones, .value = 1.0f);
    FF_OP(ctx->be, template_attention, .out = z, .t = t, .mask = ones, .q_w = w->query, .k_w = w->key, .v_w = w->value,
          .o_w = w->output.w, .o_b = w->output.b, .n_head = ctx->config->templates.attention.num_head);
    ff_arena_release(ctx->arena, mark);
}

/* sum (+)= the layer norm of one template's rows: the first one makes the sum. */
static void add_to_sum(const struct ff_context *ctx, const struct ff_template_weights *w, struct ff_tensor sum,
                       struct ff_tensor one, bool first)
{
    FF_OP(ctx->be, layer_norm, .out = sum, .x = one, .norm = w->output_layer_norm, .accumulate = !first);
}

/* z += one linear of the relu of the mean of n templates, whose sum is there. */
static void add_mean(const struct ff_context *ctx, const struct ff_template_weights *w, struct ff_tensor z,
                     struct ff_tensor sum, int64_t n)
{
    FF_OP(ctx->be, scale_add, .out = sum, .alpha = 1.0f / (float)n);
    FF_OP(ctx->be, linear, .out = z, .x = sum, .w = w->output.w, .b = w->output.b, .relu_input = true,
          .accumulate = true);
}

/* The templates that count. Single chains: pointwise attention gives masked templates no weight at all, so they are not
 * computed. */
static bool counts(const struct ff_context *ctx, const struct ff_batch *b, int t)
{
    return ctx->config->multimer || b->template_mask == NULL || b->template_mask[t] != 0.0f;
}

/* Where finished templates are. Single chains need all of them at the end, complexes their sum alone; on the host all
 * wait until their rows are asked for. */
struct finished {
    struct ff_offload t;             /* [T, I, N, c_t]; complexes: on the host only */
    struct ff_tensor sum;            /* [I, N, c_t] of complexes, if not on the host */
    int64_t n;
};

static void embed_next(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                       int t, const struct ff_offload *z, struct ff_tensor pair_mask, struct finished *f)
{
    bool in_place = !f->t.away && !ctx->config->multimer;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor act = in_place ? ff_tensor_index(f->t.x, 0, f->n)
                                    : FF_PUSH(ctx, f->t.x.dtype, z->x.shape[0], b->n_res, f->t.x.shape[3]);
    embed_one(ctx, w, b, t, z, pair_mask, act);
    if (f->t.away) {
        size_t bytes = ff_tensor_bytes(&act);
        ctx->be->store(ctx->be, f->t.host != NULL ? f->t.host + (size_t)f->n * bytes : NULL, 0, &act);
        ctx->be->settle(ctx->be);
    } else if (ctx->config->multimer) {
        add_to_sum(ctx, w, f->sum, act, f->n == 0);
    }
    ff_arena_release(ctx->arena, mark);
    f->n++;
}

static void add_finished(const struct ff_context *ctx, const struct ff_template_weights *w, struct ff_tensor z,
                         struct finished *f)
{
    bool multimer = ctx->config->multimer;
    if (multimer && !f->t.away) {
        add_mean(ctx, w, z, f->sum, f->n);
        return;
    }
    struct ff_offload_visit v;
    struct ff_tensor t, sum = {0};
    f->t.x.shape[0] = f->n;
    int64_t n = z.shape[0], size = ff_offload_size(&f->t, 1, ctx->chunk_bytes);
    size_t mark = ff_arena_mark(ctx->arena);
    if (multimer)
        sum = FF_PUSH(ctx, z.dtype, size, z.shape[1], ctx->config->templates.num_channel);
    ff_offload_visit_open(ctx, &f->t, 1, 0, n, size, FF_OFFLOAD_READ, &v);
    while (ff_offload_visit_next(&v, &t)) {
        struct ff_tensor rows = ff_tensor_slice(z, 0, v.at, v.count);
        if (!multimer) {
            attend(ctx, w, rows, t);
            continue;
        }
        struct ff_tensor sum_rows = ff_tensor_slice(sum, 0, 0, v.count);
        for (int64_t k = 0; k < f->n; k++)
            add_to_sum(ctx, w, sum_rows, ff_tensor_index(t, 0, k), k == 0);
        add_mean(ctx, w, rows, sum_rows, f->n);
    }
    ff_arena_release(ctx->arena, mark);
}

/* Where triangle multiplication has no room for an operand, the pair itself, the tensor pushed last, waits on the host
 * until the templates are finished: a template's pair and its operand fit into its place. */
void ff_template_embed(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                       struct ff_tensor z, struct ff_tensor pair_mask)
{
    int64_t c_t = ctx->config->templates.num_channel, n_used = 0;
    for (int t = 0; t < b->n_template && ctx->config->templates.enabled; t++)
        n_used += counts(ctx, b, t);
    if (n_used == 0)
        return;
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_context roomy = *ctx;
    struct ff_offload pair = {.x = z, .host = ctx->waiting};
    struct finished f = {.t = {.away = ctx->spill, .host = ctx->spilled}};
    if (ctx->spill && ctx->stream_bytes > 0) {
        ff_offload_leave(ctx, &pair);
        roomy.triangle_bytes = ctx->stream_bytes;
        roomy.stream_bytes = 0;
    }
    const int64_t shape[4] = {n_used, z.shape[0], b->n_res, c_t};
    f.t.x = f.t.away || ctx->config->multimer ? ff_tensor_make(NULL, z.dtype, 4, shape)
                                              : ff_arena_push(ctx->arena, z.dtype, 4, shape);
    if (!f.t.away && ctx->config->multimer)
        f.sum = FF_PUSH(ctx, z.dtype, z.shape[0], b->n_res, c_t);
    for (int t = 0; t < b->n_template; t++)
        if (counts(ctx, b, t))
            embed_next(&roomy, w, b, t, &pair, pair_mask, &f);
    if (pair.away)
        ff_offload_return(ctx, &pair);
    add_finished(ctx, w, z, &f);
    ff_arena_release(ctx->arena, mark);
}

/* --- MSA rows --------------------------------------------------------------------------------------------------- */

/* Features of one residue. Monomer [57]: type 22, torsions 7 x (sin, cos), alternative torsions 7 x 2, mask 7.
 * Multimer [34]: type 22, sin chi 4, cos chi 4, mask 4; sines and cosines masked. */
static void torsion_features(bool multimer, int aatype, const float *sin_cos, const float *alt, const float *mask,
                             float *ret)
{
    if (aatype >= 0 && aatype < 22)
        ret[aatype] = 1.0f;
    if (multimer) {
        for (int chi = 0; chi < 4; chi++) {
            float known = mask[3 + chi];
            ret[22 + chi] = sin_cos[2 * (3 + chi)] * known;
            ret[26 + chi] = sin_cos[2 * (3 + chi) + 1] * known;
            ret[30 + chi] = known;
        }
        return;
    }
    for (int i = 0; i < 14; i++) {
        ret[22 + i] = sin_cos[i];
        ret[36 + i] = alt[i];
    }
    for (int i = 0; i < 7; i++)
        ret[50 + i] = mask[i];
}

/* Features [T, N, n_feat] and row masks [T, N] of all templates: psi known (monomer), chi1 known (multimer). */
static void torsion_rows(const struct ff_batch *b, bool multimer, int n_feat, float *feat, float *row_mask)
{
    size_t n = (size_t)b->n_res;
    float *sin_cos = FF_NEW_ARRAY(float, n * 14), *alt = FF_NEW_ARRAY(float, n * 14),
          *mask = FF_NEW_ARRAY(float, n * 7);
    for (size_t t = 0; t < (size_t)b->n_template; t++) {
        const int32_t *aatype = b->template_aatype + t * n;
        ff_torsion_from_atom37(FF_TORSION_FUSED, b->n_res, aatype, b->template_positions + t * n * 37 * 3,
                               b->template_atom_mask + t * n * 37, sin_cos, alt, mask);
        for (size_t i = 0; i < n; i++) {
            torsion_features(multimer, aatype[i], sin_cos + i * 14, alt + i * 14, mask + i * 7,
                             feat + (t * n + i) * (size_t)n_feat);
            row_mask[t * n + i] = mask[i * 7 + (multimer ? 3 : 2)];
        }
    }
    free(sin_cos);
    free(alt);
    free(mask);
}

void ff_template_msa_rows(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                          struct ff_tensor m, struct ff_tensor mask)
{
    bool multimer = ctx->config->multimer;
    int64_t n = b->n_res, n_templ = b->n_template, n_feat = w->single_embedding.w.shape[0];
    float *feat = NULL, *row_mask = NULL;
    if (b->template_positions != NULL) {
        feat = FF_NEW_ARRAY(float, (size_t)(n_templ * n * n_feat));
        row_mask = FF_NEW_ARRAY(float, (size_t)(n_templ * n));
        torsion_rows(b, multimer, (int)n_feat, feat, row_mask);
    }
    size_t mark = ff_arena_mark(ctx->arena);
    ctx->be->upload(ctx->be, &mask, row_mask);
    struct ff_tensor x = ff_batch_upload(ctx, FF_F32, feat, FF_SHAPE(n_templ, n, n_feat));
    struct ff_tensor hidden = FF_PUSH(ctx, FF_F32, n_templ, n, w->single_embedding.w.shape[1]);
    FF_OP(ctx->be, linear, .out = hidden, .x = x, .w = w->single_embedding.w, .b = w->single_embedding.b, .relu = true);
    FF_OP(ctx->be, linear, .out = m, .x = ff_dap_part(ctx->dap, hidden, 1), .w = w->projection.w, .b = w->projection.b);
    ff_arena_release(ctx->arena, mark);
    free(feat);
    free(row_mask);
}
