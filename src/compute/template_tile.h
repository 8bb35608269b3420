/* SPDX-License-Identifier: Apache-2.0
 * template_tile: the embedding of pairs of a template, each a weighted sum of rows of weights. Some rows are the same
 * for all pairs and stay in registers while pairs pass by.
 */
#ifndef FF_COMPUTE_TEMPLATE_TILE_H
#define FF_COMPUTE_TEMPLATE_TILE_H

#include <stdint.h>

enum { FF_TEMPLATE_OWN = 2, FF_TEMPLATE_SHARED = 6 };

struct ff_template_pair {
    const float *row[FF_TEMPLATE_OWN];       /* [c] rows of its own */
    float weight[FF_TEMPLATE_OWN];
    float shared[FF_TEMPLATE_SHARED];        /* weights of the rows that all pairs share */
};

/* out[p, :] = b + the weighted rows of pair[p], p < n; out [n, c] has a distance of ld between its rows. */
void ff_template_tile(float *out, int64_t ld, int64_t c, const struct ff_template_pair *pair, int64_t n,
                      const float *const shared[FF_TEMPLATE_SHARED], const float *b);

#endif
