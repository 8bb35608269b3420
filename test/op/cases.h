/* SPDX-License-Identifier: Apache-2.0
 * cases: the shapes that every op is tested with, on every backend.
 */
#ifndef FF_TEST_OP_CASES_H
#define FF_TEST_OP_CASES_H

#include "compute/op_call.h"

extern const struct ff_op_case op_cases[];
extern const int op_case_count;

/* "linear i 5 j 7 c 33 n 9 +norm" into buf; returns buf. */
const char *op_case_text(const struct ff_op_case *c, char *buf, size_t size);

#endif
