/* SPDX-License-Identifier: Apache-2.0
 * triangle_stream: triangle multiplication where no operand fits beside the pair. Both are made in parts: some rows of
 * the left one, and for these all rows of the right one, part by part. The pair must stay as it is until the last part
 * is made, so its new rows wait on the host, and come back at the end: the pair travels once each way, whatever the
 * scratch. The way out is beside the products; the way back is not hidden.
 *
 * With n rows of the left operand at a time, the right one is made N / n times, at 2 c_z / n of the products' work.
 * (To fetch it from the host as often would take 8 times as long as the products with n = 2048, on a GPU of 800 TFLOP/s
 * behind 50 GB/s.) Ranks send each other their channels of every part, so they send N / n times as much.
 */
#ifndef FF_MODEL_TRIANGLE_STREAM_H
#define FF_MODEL_TRIANGLE_STREAM_H

#include "model/pair.h"
#include "model/weights.h"

/* Bytes of the host that the new rows of one of n_rank ranks take, at most. */
int64_t ff_triangle_stream_bytes(enum ff_dtype dtype, int64_t n_res, int n_rank, int64_t c_z);

/* z += triangle multiplication, with ctx->stream_bytes of scratch and ctx->waiting on the host. */
void ff_triangle_stream(const struct ff_context *ctx, const struct ff_triangle_weights *w, bool incoming,
                        struct ff_pair *p);

#endif
