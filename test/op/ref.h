/* SPDX-License-Identifier: Apache-2.0
 * ref: every op once more as plain loops in double, straight from the formula in compute/ops.h, on host tensors
 * (float32 or int32, any strides). Slow on purpose: no tiles, no shared code with the backends. A reference takes the
 * same arguments as the op and writes the same outputs, rounded to float32 at the very end.
 */
#ifndef FF_TEST_OP_REF_H
#define FF_TEST_OP_REF_H

#include "compute/ops.h"

#define X(op) void ref_##op(const struct ff_##op##_args *a);
FF_OPS(X)
#undef X

/* Element [i, j, ..] of a float32 tensor, all axes given: REF(t, i, j) is an lvalue. */
#define REF(t, ...) (*FF_AT(float, (&(t)), __VA_ARGS__))
#define REF_INT(t, ...) (*FF_AT(int32_t, (&(t)), __VA_ARGS__))

/* Offset of row number `row` of [.., c] (C order over the leading axes), whatever the strides. */
static inline int64_t ref_row(const struct ff_tensor *t, int64_t row, int n_lead)
{
    int64_t at = 0;
    for (int d = n_lead - 1; d >= 0; d--) {
        at += row % t->shape[d] * t->stride[d];
        row /= t->shape[d];
    }
    return at;
}
static inline int64_t ref_count(const struct ff_tensor *t, int n_lead)
{
    int64_t n = 1;
    for (int d = 0; d < n_lead; d++)
        n *= t->shape[d];
    return n;
}
/* y[c] = LN(x[c]); absent norm: copies. */
void ref_norm(double *y, const float *x, int64_t c, const struct ff_norm *norm);
static inline double ref_sigmoid(double x) { return 1.0 / (1.0 + __builtin_exp(-x)); }

#endif
