/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/attention_tile.h"

#define BODY "compute/attention_tile.inc"
#include "compute/vector_versions.inc"

const struct ff_attention_tile *ff_attention_tile_get(void)
{
    return FF_VERSION(tile);
}
