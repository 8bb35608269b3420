/* SPDX-License-Identifier: Apache-2.0
 * embed: from features and the recycle state to the MSA, extra-MSA and pair representations.
 * Source: Jumper et al. 2021, Suppl. Alg. 3 (input), 4 (relative position), 32 (recycling); Evans et al. 2021.
 */
#ifndef FF_MODEL_EMBED_H
#define FF_MODEL_EMBED_H

#include "model/batch.h"
#include "model/offload.h"
#include "model/weights.h"

/* Rows I of the pair and columns R of the MSA are this rank's. */

/* z = input + relative position + recycled pair and distances. prev_z may be z itself (made in place). */
void ff_embed_pair(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                   struct ff_tensor prev_z /* [I, N, c_z] */, struct ff_tensor prev_atoms /* [N, 37, 3] */,
                   struct ff_tensor z /* [I, N, c_z] */);

/* m[0:S] = embedded clusters, the recycled first row added to row 0. Template rows are ff_template_msa_rows' work. */
void ff_embed_msa(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                  struct ff_tensor prev_msa_first_row /* [N, c_m] float32 */, struct ff_tensor m /* [S, R, c_m] */);

/* e = embedded extra sequences. */
void ff_embed_extra_msa(const struct ff_context *ctx, const struct ff_weights *w, const struct ff_batch *b,
                        const struct ff_offload *e /* [E, R, c_e] */);

#endif
