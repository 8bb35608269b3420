/* SPDX-License-Identifier: Apache-2.0
 * heads: what is read off the representations, downloaded to the host. Pair-shaped outputs are made by pieces of rows.
 * Rows of the pair and columns of the MSA are this rank's; rank 0 gets the whole. Host pointers may be NULL (planning,
 * and on ranks other than 0). Source: Jumper et al. 2021, Suppl. 1.9.6-1.9.10.
 */
#ifndef FF_MODEL_HEADS_H
#define FF_MODEL_HEADS_H

#include "model/confidence.h"
#include "model/context.h"
#include "model/weights.h"

/* Where the rows of a pair-shaped result go: to an array, or to a function that takes them as they come, each once, in
 * no promised order; it is named on all ranks, and called on rank 0, or on every rank with its own rows. */
struct ff_head_rows {
    float *whole;                    /* [N, ..] */
    void (*take)(void *user, int64_t from, int64_t n, const float *rows);
    void *user;
    bool own;                        /* every rank takes its own */
};

void ff_heads_predicted_lddt(const struct ff_context *ctx, const struct ff_heads_weights *w,
                             struct ff_tensor act /* [N, c] of the structure module */, float *logits /* [N, bins] */);
void ff_heads_experimentally_resolved(const struct ff_context *ctx, const struct ff_heads_weights *w,
                                      struct ff_tensor single /* [N, c_s] */, float *logits /* [N, 37] */);
void ff_heads_masked_msa(const struct ff_context *ctx, const struct ff_heads_weights *w,
                         struct ff_tensor m /* [S, R, c_m] */, int64_t n_res, float *logits /* [S, N, 23] */);
void ff_heads_distogram(const struct ff_context *ctx, const struct ff_heads_weights *w,
                        struct ff_tensor z /* [I, N, c_z] */, struct ff_head_rows logits /* [N, N, bins] */);
/* pae: expected error in angstrom, kept where a function takes it; tm: expected TM term; logits only when wanted.
 * want_logits counts while planning. */
void ff_heads_aligned_error(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                            bool want_logits, struct ff_head_rows pae /* [N, N] */,
                            struct ff_head_rows tm /* [N, N] */, struct ff_head_rows logits /* [N, N, bins] */);
/* What every rank has read off its own rows of tm, together on rank 0. */
void ff_heads_merge_tm(const struct ff_dap *d, struct ff_tm_scores *s);

#endif
