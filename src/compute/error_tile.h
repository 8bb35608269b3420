/* SPDX-License-Identifier: Apache-2.0
 * error_tile: two expectations under a softmax, of a few rows side by side, so that no sum goes across a vector.
 */
#ifndef FF_COMPUTE_ERROR_TILE_H
#define FF_COMPUTE_ERROR_TILE_H

#include <stdint.h>

enum { FF_ERROR_ROWS = 16 };

/* error[r] = sum_k softmax(x[:, r])[k] centre[k], tm[r] the same with weight[k]; x [n, FF_ERROR_ROWS], all aligned to
 * 64 bytes. */
void ff_error_tile(float *error, float *tm, const float *x, int64_t n, const float *centre, const float *weight);

#endif
