/* SPDX-License-Identifier: Apache-2.0
 * outer_product: outer product mean, from the MSA to the pair. Source: Jumper et al. 2021, Suppl. Alg. 10.
 */
#ifndef FF_MODEL_OUTER_PRODUCT_H
#define FF_MODEL_OUTER_PRODUCT_H

#include "model/offload.h"
#include "model/pair.h"
#include "model/weights.h"

void ff_outer_product_mean(const struct ff_context *ctx, const struct ff_outer_product_weights *w,
                           const struct ff_offload *m /* [S, R, c_m]: columns of this rank */,
                           struct ff_tensor msa_mask /* [S, N] */, struct ff_tensor z /* [R, N, c_z] += */);

#endif
