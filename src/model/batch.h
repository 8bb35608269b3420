/* SPDX-License-Identifier: Apache-2.0
 * batch: one set of processed features, checked and bound to pointers: what the embedding layers read.
 *
 * Host memory, owned by the array set it was bound to. While planning there are no values: every pointer is NULL and
 * only the sizes count, so the embedding layers never look behind a pointer themselves; they upload it.
 */
#ifndef FF_MODEL_BATCH_H
#define FF_MODEL_BATCH_H

#include "feature/source.h"
#include "model/context.h"

struct ff_batch {
    int n_res;                            /* N */
    int n_seq;                            /* S, cluster rows without template rows */
    int n_extra;                          /* E, at least 1: without extra sequences there is one masked row */
    int n_template;                       /* T */
    const int32_t *aatype;                /* [N] 0..20 */
    const int32_t *residue_index;         /* [N] */
    const int32_t *asym_id, *entity_id, *sym_id; /* [N]; NULL for single chains */
    const float *seq_mask;                /* [N] */
    const float *target_feat;             /* [N, 22], multimer 21 */
    const float *msa_feat;                /* [S, N, 49] */
    const float *msa_mask;                /* [S, N] */
    const int32_t *extra_msa;             /* [E, N] 0..22 */
    const float *extra_has_deletion;      /* [E, N] */
    const float *extra_deletion_value;    /* [E, N] */
    const float *extra_msa_mask;          /* [E, N] */
    const int32_t *template_aatype;       /* [T, N] 0..21 */
    const float *template_positions;      /* [T, N, 37, 3] */
    const float *template_atom_mask;      /* [T, N, 37] */
    const float *template_mask;           /* [T] */
    const float *template_pseudo_beta;    /* [T, N, 3] */
    const float *template_pseudo_beta_mask; /* [T, N] */
    bool seq_mask_full;                   /* seq_mask is 1 everywhere */
    float *owned;                         /* the masked extra row, when one had to be made */
};

/* Sizes alone, for planning. */
void ff_batch_from_shape(const struct ff_input_shape *shape, bool multimer, struct ff_batch *ret);

/* Binds arrays (published names without the recycle axis); shape must be what the plan was made for. FF_EINPUT names
 * what is missing or of another shape. ret points into arrays. */
ff_status ff_batch_bind(const struct ff_arrays *arrays, const struct ff_model_config *config,
                        const struct ff_input_shape *shape, struct ff_batch *ret) FF_MUST_USE;
void ff_batch_free(struct ff_batch *b);

/* A tensor of scratch with the values of host (NULL while planning). */
struct ff_tensor ff_batch_upload(const struct ff_context *ctx, enum ff_dtype dtype, const void *host, int ndim,
                                 const int64_t *shape);

/* Rows [from, from + count) and columns [from_column, + n_column) of host [rows, N, depth] (NULL while planning). */
struct ff_tensor ff_batch_upload_columns(const struct ff_context *ctx, const struct ff_batch *b, enum ff_dtype dtype,
                                         const void *host, int64_t from, int64_t count, int64_t depth,
                                         int64_t from_column, int64_t n_column);

/* [N, N] = seq_mask (x) seq_mask; one number with zero strides when the mask is full. */
struct ff_tensor ff_batch_pair_mask(const struct ff_context *ctx, const struct ff_batch *b);

#endif
