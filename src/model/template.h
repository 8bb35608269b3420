/* SPDX-License-Identifier: Apache-2.0
 * template: known structures as a bias on the pair and as extra rows of the MSA.
 * Source: Jumper et al. 2021, Suppl. Alg. 2 lines 7-13, Alg. 16, 17; Evans et al. 2021 (multimer).
 */
#ifndef FF_MODEL_TEMPLATE_H
#define FF_MODEL_TEMPLATE_H

#include "model/batch.h"
#include "model/weights.h"

/* z += template embedding. No templates, or (single chains) none that is not masked: z stays as it is. */
void ff_template_embed(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                       struct ff_tensor z /* [I, N, c_z] +=, rows of this rank */,
                       struct ff_tensor pair_mask /* [N, N] */);

/* MSA rows made of the templates' residue types and torsion angles, and their mask. */
void ff_template_msa_rows(const struct ff_context *ctx, const struct ff_template_weights *w, const struct ff_batch *b,
                          struct ff_tensor m /* [T, R, c_m], columns of this rank */,
                          struct ff_tensor mask /* [T, N] */);

#endif
