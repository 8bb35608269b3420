/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/error_tile.h"

#define BODY "compute/error_tile.inc"
#include "compute/vector_versions.inc"

void ff_error_tile(float *error, float *tm, const float *x, int64_t n, const float *centre, const float *weight)
{
    FF_VERSION(expect)(error, tm, x, n, centre, weight);
}
