/* SPDX-License-Identifier: Apache-2.0
 * pair: the pair representation as the layers of a stack hold it: this rank's rows. One operand of triangle
 * multiplication is the only temporary of that size; what the other layers need lies where it lay.
 *
 * "Rows" are split over the ranks. What concerns columns (incoming edges, ending node) runs on a transposed view, whose
 * columns are split.
 */
#ifndef FF_MODEL_PAIR_H
#define FF_MODEL_PAIR_H

#include "model/context.h"

struct ff_pair {
    struct ff_tensor z;              /* [I, N, c]: rows I of this rank, all columns; transposed [N, I, c] */
    bool transposed;
    int64_t free_bytes;              /* of the operand, that other layers may use instead */
    struct ff_tensor mask;           /* [N, N] float32, any strides; every rank has it whole */
    int64_t n_res;                   /* N */
};

/* Rows of this rank [I, n_res, c], uninitialised. */
struct ff_tensor ff_pair_push_rows(const struct ff_context *ctx, int64_t n_res, int64_t c);

/* Around the rows z of this rank, for triangle multiplication with c_extra channels. */
struct ff_pair ff_pair_make(const struct ff_context *ctx, struct ff_tensor z, struct ff_tensor mask, int64_t c_extra);

/* z and mask transposed: views. */
void ff_pair_transpose(struct ff_pair *p);

/* This rank's part of the mask, as z. */
struct ff_tensor ff_pair_mask_rows(const struct ff_context *ctx, const struct ff_pair *p);

/* The context for a layer other than triangle multiplication: its chunks may take the place of the operand, all but
 * `held` bytes that the layer holds besides, up to ctx->chunk_most. piece_bytes: the room that is left then. */
struct ff_context ff_pair_context(const struct ff_context *ctx, const struct ff_pair *p, int64_t held);

/* An operand [c, rows, n] whose rows are padded to multiples of 8 elements: 16 bytes in bf16, as fast kernels want
 * them. In memory that is there. */
struct ff_tensor ff_pair_in(void *memory, enum ff_dtype type, int64_t c, int64_t rows, int64_t n);
int64_t ff_pair_padded(int64_t n);
/* The same from the arena. */
struct ff_tensor ff_pair_push(const struct ff_context *ctx, enum ff_dtype type, int64_t c, int64_t rows, int64_t n);

#endif
