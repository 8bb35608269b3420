/* SPDX-License-Identifier: Apache-2.0
 * attention: the attention layers of the MSA and pair stacks, with their residual add.
 * Source: Jumper et al. 2021, Suppl. Alg. 7 (row), 8 (column), 13 and 14 (triangle), 19 (global column).
 */
#ifndef FF_MODEL_ATTENTION_H
#define FF_MODEL_ATTENTION_H

#include "model/offload.h"
#include "model/pair.h"
#include "model/weights.h"

/* Columns R of m are this rank's, of N. */

/* m += row attention biased by the pair. Alg. 7. */
void ff_attention_msa_row(const struct ff_context *ctx, const struct ff_attention_weights *w,
                          const struct ff_offload *m /* [S, R, c_m] */, struct ff_tensor msa_mask /* [S, N] */,
                          const struct ff_pair *pair);

/* m += column attention. Alg. 8. */
void ff_attention_msa_column(const struct ff_context *ctx, const struct ff_attention_weights *w,
                             struct ff_tensor m /* [S, R, c_m] */, struct ff_tensor msa_mask /* [S, R] */);

/* m += global column attention. Alg. 19. */
void ff_attention_msa_column_global(const struct ff_context *ctx, const struct ff_global_attention_weights *w,
                                    struct ff_tensor m /* [S, R, c_e] */, struct ff_tensor msa_mask /* [S, R] */);

/* z += attention around the starting node (rows, Alg. 13) or the ending node (columns, Alg. 14). */
enum ff_triangle_node { FF_STARTING_NODE, FF_ENDING_NODE };
void ff_attention_triangle(const struct ff_context *ctx, const struct ff_attention_weights *w,
                           enum ff_triangle_node node, struct ff_pair *p /* z += */);

#endif
