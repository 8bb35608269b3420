/* SPDX-License-Identifier: Apache-2.0
 * evoformer: one block of the Evoformer, extra-MSA or template stack: the order of the layers, in one place.
 * Source: Jumper et al. 2021, Suppl. Alg. 6 (Evoformer), 16 (template pair stack), 18 (extra-MSA stack);
 * Evans et al. 2021 for the orders of the multimer network.
 */
#ifndef FF_MODEL_EVOFORMER_H
#define FF_MODEL_EVOFORMER_H

#include "model/offload.h"
#include "model/pair.h"
#include "model/weights.h"

/* m holds this rank's columns R of all sequences; the pair this rank's rows. */
void ff_evoformer_block(const struct ff_context *ctx, const struct ff_block_weights *w,
                        const struct ff_stack_config *config, enum ff_stack_kind kind,
                        const struct ff_offload *m /* [S, R, c_m] +=; NULL in the template stack */,
                        struct ff_tensor msa_mask /* [S, N] */, struct ff_pair *pair);

/* All blocks of a stack; tells ctx->on_stage before each, returns early when the run is stopped. */
void ff_evoformer_stack(const struct ff_context *ctx, const struct ff_block_weights *stack,
                        const struct ff_stack_config *config, enum ff_stack_kind kind, const char *stage,
                        const struct ff_offload *m, struct ff_tensor msa_mask, struct ff_pair *pair);

#endif
