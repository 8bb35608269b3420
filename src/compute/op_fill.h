/* SPDX-License-Identifier: Apache-2.0
 * op_fill: random but plausible contents for the operands of ops, the same for the same seed on every machine.
 */
#ifndef FF_COMPUTE_OP_FILL_H
#define FF_COMPUTE_OP_FILL_H

#include "compute/op_call.h"

enum ff_fill {
    FF_FILL_NORMAL,      /* variance 1 */
    FF_FILL_WEIGHT,      /* variance 1 / first axis */
    FF_FILL_BIAS,        /* [-0.1, 0.1] */
    FF_FILL_SCALE,       /* 1 + [-0.1, 0.1] */
    FF_FILL_MASK,        /* 0 or 1 */
    FF_FILL_POSITION,    /* [-20, 20]: angstrom */
    FF_FILL_FRAME,       /* rotation row by row, translation as POSITION */
    FF_FILL_NEAR_FRAME,  /* translation in [-2, 2]: the structure module's unit is 10 angstrom, and attention is soft */
    FF_FILL_QUATERNION,
    FF_FILL_AATYPE,      /* 0 .. 20 */
    FF_FILL_TOKEN,       /* 0 .. 21 */
    FF_FILL_MSA,         /* 0 .. 22 */
    FF_FILL_RESIDUE,     /* growing, with jumps */
    FF_FILL_CHAIN,       /* 1 .. 2, growing */
    FF_FILL_COPY,        /* 1 .. 3 */
    FF_FILL_GROUP,       /* 0 .. 7 */
    FF_FILL_ATOM,        /* 0 .. 13 */
    FF_FILL_NOTHING,     /* contents undefined: outputs */
};

static inline bool ff_fill_is_int(enum ff_fill how) { return how >= FF_FILL_AATYPE && how <= FF_FILL_ATOM; }

/* Fills a host tensor of any strides. number tells the operands of one op apart; flags are those of the case; numbers
 * are exact in that type. */
void ff_fill_tensor(const struct ff_tensor *t, enum ff_fill how, enum ff_op op, int number, int flags, uint64_t seed,
                    enum ff_dtype exact_in);

/* New storage on the host in which no element has been used yet: FF_OP_CALL_UNUSED everywhere. */
uint32_t *ff_fill_storage(size_t elements);
/* y [n] = x in bfloat16 or float16; what was not used yet looks so there too. */
void ff_fill_narrow(uint16_t *y, enum ff_dtype type, const float *x, size_t n);

#endif
