/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/point_tile.h"

#define BODY "compute/point_tile.inc"
#include "compute/vector_versions.inc"

const struct ff_point_tile *ff_point_tile_get(void)
{
    return FF_VERSION(tile);
}
