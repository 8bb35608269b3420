/* SPDX-License-Identifier: Apache-2.0
 * forward: one pass of the network over tensors that are already there; the same code runs, plans and is profiled.
 * Source: Jumper et al. 2021, Suppl. Alg. 2 lines 5-21.
 */
#ifndef FF_MODEL_FORWARD_H
#define FF_MODEL_FORWARD_H

#include "model/batch.h"
#include "model/heads.h"
#include "model/structure.h"
#include "model/weights.h"

/* What lives from pass to pass. In the normal case (one ensemble member) the pair of the pass before is turned into the
 * new one in place; an ensemble needs the old one for every member and a sum, so it has two more. */
struct ff_forward_state {
    struct ff_tensor z;              /* [I, N, c_z]: rows of this rank; pushed last, so that it can leave for a while */
    struct ff_tensor prev_z;         /* z itself without an ensemble */
    struct ff_tensor sum_z;          /* absent without an ensemble */
    struct ff_tensor msa_first_row;  /* [N, c_m] float32 */
    struct ff_tensor sum_first_row;  /* [N, c_m] float32; absent without an ensemble */
    struct ff_tensor single;         /* [N, c_s] float32 */
    struct ff_tensor prev_atoms;     /* [N, 37, 3] of the pass before */
    struct ff_structure_out structure;
    struct ff_tensor aatype;         /* [N] int32 */
    struct ff_tensor seq_mask;       /* [N] float32 */
    struct ff_tensor pair_mask;      /* [N, N] float32 */
    struct ff_tensor member_first_row;      /* [N, c_m] float32, of one ensemble member; msa_first_row itself without */
    struct ff_tensor change;         /* [1] distance change between the last two passes */
};

/* Host memory for the outputs of a pass; NULL: not wanted, or not rank 0. plddt_logits and distance_change on all. */
struct ff_forward_out {
    bool logits;                     /* pair-shaped and MSA-shaped logits are wanted (counts while planning too) */
    float *plddt_logits;             /* [N, bins] */
    struct ff_head_rows pae, tm;     /* [N, N], with the head only */
    float *pae_logits, *distogram_logits; /* [N, N, bins] */
    float *masked_msa_logits;        /* [S, N, 23] */
    float *resolved_logits;          /* [N, 37] */
    float *distance_change;          /* [1] */
};

/* Pushes the state and sets it to what pass 0 starts from. */
void ff_forward_begin(const struct ff_context *ctx, const struct ff_batch *b, struct ff_forward_state *s);

/* Embedding, templates, extra-MSA stack and Evoformer of one ensemble member. out: masked-MSA logits of member 0. */
void ff_forward_trunk(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b, int member,
                      int n_member, struct ff_forward_state *s, const struct ff_forward_out *out);

/* Structure module and heads. */
void ff_forward_structure(const struct ff_context *ctx, const struct ff_weights *w,
                          const struct ff_residue_constants *constants, struct ff_forward_state *s,
                          const struct ff_forward_out *out);

#endif
