/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/template_tile.h"

#define BODY "compute/template_tile.inc"
#include "compute/vector_versions.inc"

void ff_template_tile(float *out, int64_t ld, int64_t c, const struct ff_template_pair *pair, int64_t n,
                      const float *const shared[FF_TEMPLATE_SHARED], const float *b)
{
    FF_VERSION(embed)(out, ld, c, pair, n, shared, b);
}
