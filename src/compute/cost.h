/* SPDX-License-Identifier: Apache-2.0
 * cost: floating-point operations and least memory traffic of one op call, from its shapes alone. Used by the planner,
 * the profile and the benchmark. A multiply-add counts as two; elementwise work is not counted as flops. What of it is
 * more than an addition or a product is counted as functions: exponentials, roots, quotients (a sigmoid is two), and
 * numbers that a layer norm makes, some ten instructions each.
 */
#ifndef FF_COMPUTE_COST_H
#define FF_COMPUTE_COST_H

#include "compute/backend.h"

#define X(op) struct ff_cost ff_cost_##op(const struct ff_##op##_args *a);
FF_OPS(X)
#undef X

#endif
