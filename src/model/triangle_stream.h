/* SPDX-License-Identifier: Apache-2.0
 * triangle_stream: triangle multiplication whose right operand does not fit beside the pair: it lies in host memory and
 * passes through the GPU in pieces of rows, once for every piece of rows of the left operand. One rank only.
 *
 * The work on what is fetched grows with the rows of the left operand that are held at a time, so these get most of
 * the scratch. A piece is on its way while the one before is contracted.
 */
#ifndef FF_MODEL_TRIANGLE_STREAM_H
#define FF_MODEL_TRIANGLE_STREAM_H

#include "model/pair.h"
#include "model/weights.h"

/* Bytes of the operand on the host. */
int64_t ff_triangle_stream_bytes(enum ff_dtype dtype, int64_t n_res, int64_t c_i);

/* z += triangle multiplication with outgoing edges (of the transposed pair: incoming). */
void ff_triangle_stream(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_pair *p);

#endif
