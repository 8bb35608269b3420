/* SPDX-License-Identifier: Apache-2.0
 * triangle: triangle multiplication, with its residual add.
 * Source: Jumper et al. 2021, Suppl. Alg. 11 (outgoing), 12 (incoming).
 */
#ifndef FF_MODEL_TRIANGLE_H
#define FF_MODEL_TRIANGLE_H

#include "model/pair.h"
#include "model/weights.h"

enum { FF_TRIANGLE_ROWS = 128 };     /* of a product that fast kernels make at a time */
enum { FF_TRIANGLE_MANY_RANKS = 4 }; /* that have few channels each */

enum ff_triangle_edges { FF_OUTGOING, FF_INCOMING };
void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p /* z += */);

#endif
