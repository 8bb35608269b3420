/* SPDX-License-Identifier: Apache-2.0
 * attention: the attention layers of the MSA and pair stacks, with their residual add.
 * Source: Jumper et al. 2021, Suppl. Alg. 7 (row), 8 (column), 13 and 14 (triangle), 19 (global column).
 */
#ifndef FF_MODEL_ATTENTION_H
#define FF_MODEL_ATTENTION_H

#include "model/context.h"
#include "model/weights.h"

/* m += row attention biased by the pair. Alg. 7. */
void ff_attention_msa_row(const struct ff_context *ctx, const struct ff_attention_weights *w,
                          struct ff_tensor m /* [S, N, c_m] */, struct ff_tensor msa_mask /* [S, N] */,
                          struct ff_tensor z /* [N, N, c_z] */);

/* m += column attention. Alg. 8. */
void ff_attention_msa_column(const struct ff_context *ctx, const struct ff_attention_weights *w,
                             struct ff_tensor m /* [S, N, c_m] */, struct ff_tensor msa_mask /* [S, N] */);

/* m += global column attention. Alg. 19. */
void ff_attention_msa_column_global(const struct ff_context *ctx, const struct ff_global_attention_weights *w,
                                    struct ff_tensor m /* [S, N, c_e] */, struct ff_tensor msa_mask /* [S, N] */);

/* z += attention around the starting node (rows, Alg. 13) or the ending node (columns, Alg. 14). */
enum ff_triangle_node { FF_STARTING_NODE, FF_ENDING_NODE };
void ff_attention_triangle(const struct ff_context *ctx, const struct ff_attention_weights *w,
                           enum ff_triangle_node node, struct ff_tensor z /* [N, N, c_z] */,
                           struct ff_tensor pair_mask /* [N, N] */);

#endif
