/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/ops.h"

const char *const ff_op_name[FF_OP_COUNT] = {
#define X(op) [FF_OP_##op] = #op,
    FF_OPS(X)
#undef X
};
