/* SPDX-License-Identifier: Apache-2.0
 * batch: see batch.h.
 */
#include "model/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void ff_batch_from_shape(const struct ff_input_shape *shape, bool multimer, struct ff_batch *ret)
{
    static const int32_t planned = 0;
    *ret = (struct ff_batch){
        .n_res = shape->n_res,
        .n_seq = shape->n_seq,
        .n_extra = shape->n_extra > 0 ? shape->n_extra : 1,
        .n_template = shape->n_template,
        .asym_id = multimer ? &planned : NULL, /* only its presence is looked at */
        .seq_mask_full = !shape->has_masked_residues,
    };
}

/* --- binding ---------------------------------------------------------------------------------------------------- */

static ff_status get(const struct ff_arrays *s, const char *name, enum ff_dtype dtype, int ndim, const int64_t *shape,
                     const void *ret_data)
{
    const struct ff_array *a = NULL;
    FF_TRY(ff_arrays_get(s, name, dtype, ndim, shape, &a));
    *(const void **)ret_data = a->data;
    return FF_OK;
}

static ff_status bind_templates(const struct ff_arrays *s, bool multimer, struct ff_batch *b)
{
    int64_t t = b->n_template, n = b->n_res;
    FF_TRY(get(s, "template_aatype", FF_I32, FF_SHAPE(t, n), &b->template_aatype));
    FF_TRY(get(s, "template_all_atom_positions", FF_F32, FF_SHAPE(t, n, 37, 3), &b->template_positions));
    FF_TRY(get(s, multimer ? "template_all_atom_mask" : "template_all_atom_masks", FF_F32, FF_SHAPE(t, n, 37),
               &b->template_atom_mask));
    FF_TRY(get(s, "template_pseudo_beta", FF_F32, FF_SHAPE(t, n, 3), &b->template_pseudo_beta));
    FF_TRY(get(s, "template_pseudo_beta_mask", FF_F32, FF_SHAPE(t, n), &b->template_pseudo_beta_mask));
    if (!multimer)
        FF_TRY(get(s, "template_mask", FF_F32, FF_SHAPE(t), &b->template_mask));
    return FF_OK;
}

/* A fully masked row stands for "no extra sequences": the published program pads with such rows, and its outer product
 * mean is not zero for them (bias / 1e-3). */
static void make_masked_extra_row(struct ff_batch *b)
{
    b->owned = FF_NEW_ARRAY(float, b->n_res);
    b->n_extra = 1;
    b->extra_msa = (const int32_t *)b->owned;
    b->extra_has_deletion = b->extra_deletion_value = b->extra_msa_mask = b->owned;
}

ff_status ff_batch_bind(const struct ff_arrays *arrays, const struct ff_model_config *config,
                        const struct ff_input_shape *shape, struct ff_batch *ret)
{
    struct ff_batch b = {.n_res = shape->n_res, .n_seq = shape->n_seq, .n_extra = shape->n_extra,
                         .n_template = config->templates.enabled ? shape->n_template : 0};
    int64_t n = b.n_res, s = b.n_seq, e = b.n_extra;
    FF_TRY(get(arrays, "aatype", FF_I32, FF_SHAPE(n), &b.aatype));
    FF_TRY(get(arrays, "residue_index", FF_I32, FF_SHAPE(n), &b.residue_index));
    FF_TRY(get(arrays, "seq_mask", FF_F32, FF_SHAPE(n), &b.seq_mask));
    b.seq_mask_full = !shape->has_masked_residues;
    for (int64_t i = 0; i < n; i++)
        if (b.seq_mask_full && b.seq_mask[i] != 1.0f)
            return ff_fail(FF_EINPUT, "seq_mask has zeros in one pass but not in the first; all passes must agree");
    FF_TRY(get(arrays, "target_feat", FF_F32, FF_SHAPE(n, config->target_feat_dim), &b.target_feat));
    FF_TRY(get(arrays, "msa_feat", FF_F32, FF_SHAPE(s, n, config->msa_feat_dim), &b.msa_feat));
    FF_TRY(get(arrays, "msa_mask", FF_F32, FF_SHAPE(s, n), &b.msa_mask));
    if (config->multimer) {
        FF_TRY(get(arrays, "asym_id", FF_I32, FF_SHAPE(n), &b.asym_id));
        FF_TRY(get(arrays, "entity_id", FF_I32, FF_SHAPE(n), &b.entity_id));
        FF_TRY(get(arrays, "sym_id", FF_I32, FF_SHAPE(n), &b.sym_id));
    }
    if (b.n_template > 0)
        FF_TRY(bind_templates(arrays, config->multimer, &b));
    if (e > 0) {
        FF_TRY(get(arrays, "extra_msa", FF_I32, FF_SHAPE(e, n), &b.extra_msa));
        FF_TRY(get(arrays, "extra_has_deletion", FF_F32, FF_SHAPE(e, n), &b.extra_has_deletion));
        FF_TRY(get(arrays, "extra_deletion_value", FF_F32, FF_SHAPE(e, n), &b.extra_deletion_value));
        FF_TRY(get(arrays, "extra_msa_mask", FF_F32, FF_SHAPE(e, n), &b.extra_msa_mask));
    } else {
        make_masked_extra_row(&b);
    }
    *ret = b;
    return FF_OK;
}

void ff_batch_free(struct ff_batch *b)
{
    free(b->owned);
    *b = (struct ff_batch){0};
}

/* --- tensors ---------------------------------------------------------------------------------------------------- */

struct ff_tensor ff_batch_upload(const struct ff_context *ctx, enum ff_dtype dtype, const void *host, int ndim,
                                 const int64_t *shape)
{
    struct ff_tensor t = ff_arena_push(ctx->arena, dtype, ndim, shape);
    ctx->be->upload(ctx->be, &t, host);
    return t;
}

struct ff_tensor ff_batch_upload_columns(const struct ff_context *ctx, const struct ff_batch *b, enum ff_dtype dtype,
                                         const void *host, int64_t from, int64_t count, int64_t depth,
                                         int64_t from_column, int64_t n_column)
{
    const int64_t shape[3] = {count, n_column, depth}, item = depth * (int64_t)ff_dtype_size(dtype);
    const int64_t row = b->n_res * item;
    struct ff_tensor t = ff_arena_push(ctx->arena, dtype, 3, shape);
    if (host != NULL)
        host = (const char *)host + from * row + from_column * item;
    ctx->be->upload_rows(ctx->be, &t, host, (size_t)row);
    return t;
}

struct ff_tensor ff_batch_pair_mask(const struct ff_context *ctx, const struct ff_batch *b)
{
    int64_t n = b->n_res;
    if (b->seq_mask_full) {
        struct ff_tensor t = FF_PUSH(ctx, FF_F32, 1, 1);
        FF_OP(ctx->be, fill, .out = t, .value = 1.0f);
        t.shape[0] = t.shape[1] = n;
        t.stride[0] = t.stride[1] = 0;
        return t;
    }
    if (b->seq_mask == NULL)
        return FF_PUSH(ctx, FF_F32, n, n);
    float *host = FF_NEW_ARRAY(float, (size_t)(n * n));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            host[i * n + j] = b->seq_mask[i] * b->seq_mask[j];
    struct ff_tensor t = ff_batch_upload(ctx, FF_F32, host, FF_SHAPE(n, n));
    free(host);
    return t;
}
