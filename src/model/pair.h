/* SPDX-License-Identifier: Apache-2.0
 * pair: the pair representation as the layers of a stack hold it: this rank's rows. One operand of triangle
 * multiplication is the only temporary of that size. On one rank it is scratch like any other, so that what the other
 * layers need lies where it lay; with several ranks it is a buffer of the stack, as the pair changes over to it when it
 * is transposed.
 *
 * "Rows" are split over the ranks. Layers work on rows only; what concerns columns (incoming edges, ending node) runs
 * on the transposed pair, which on one rank is a view and on several an exchange.
 */
#ifndef FF_MODEL_PAIR_H
#define FF_MODEL_PAIR_H

#include "model/context.h"

struct ff_pair {
    struct ff_tensor z;              /* [I, N, c]: rows I of this rank, all columns */
    struct ff_tensor spare;          /* bytes; several ranks only */
    int64_t free_bytes;              /* of the operand, that other layers may use instead */
    struct ff_tensor mask;           /* [N, N] float32, any strides; every rank has it whole */
    int64_t n_res;                   /* N */
};

/* Rows of this rank [I, n_res, c], uninitialised. They are also spare room when the pair is transposed, so they are
 * pushed as large as that must be; with several ranks every z comes from here. */
struct ff_tensor ff_pair_push_rows(const struct ff_context *ctx, int64_t n_res, int64_t c, int64_t c_extra);

/* Around the rows z of this rank; where a spare buffer is wanted, pushes one that is large enough for c_extra channels
 * too. */
struct ff_pair ff_pair_make(const struct ff_context *ctx, struct ff_tensor z, struct ff_tensor mask, int64_t c_extra);

/* z and mask transposed. Twice gives back the same memory. */
void ff_pair_transpose(const struct ff_context *ctx, struct ff_pair *p);

/* This rank's rows of the mask. */
struct ff_tensor ff_pair_mask_rows(const struct ff_context *ctx, const struct ff_pair *p);

/* The context for a layer other than triangle multiplication: its chunks may take the place of the operand, all but
 * `held` bytes that the layer holds besides, up to ctx->chunk_most. */
struct ff_context ff_pair_context(const struct ff_context *ctx, const struct ff_pair *p, int64_t held);

/* Room for an operand [c, rows, N] with rows padded to multiples of 8 elements: 16 bytes in bf16, as fast kernels want
 * them. In the spare buffer, or pushed where there is none. */
struct ff_tensor ff_pair_scratch(const struct ff_context *ctx, const struct ff_pair *p, int64_t c, int64_t rows);
int64_t ff_pair_padded(int64_t n);
/* The same in memory that is there. */
struct ff_tensor ff_pair_in(void *memory, enum ff_dtype type, int64_t c, int64_t rows, int64_t n);
/* The same from the arena always. */
struct ff_tensor ff_pair_push(const struct ff_context *ctx, enum ff_dtype type, int64_t c, int64_t rows, int64_t n);

#endif
