/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/attention_tile.h"

#include <string.h>

#include "compute/tile.h"
#include "compute/vmath.h"

#define VEC 4
#define KEYS 4
#define NAME(x) x##_base
#include "compute/attention_tile.inc"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HAVE_X86_VERSIONS
#include "compute/vmath_x86.h"

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define VEC 8
#define KEYS 4
#define EXP(x) (vec) ff_exp_v3((__m256)(x))
#define NAME(x) x##_v3
#include "compute/attention_tile.inc"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define VEC 16
#define KEYS 8
#define EXP(x) (vec) ff_exp_v4((__m512)(x))
#define NAME(x) x##_v4
#include "compute/attention_tile.inc"
#pragma GCC pop_options
#endif

const struct ff_attention_tile *ff_attention_tile_get(void)
{
#ifdef HAVE_X86_VERSIONS
    if (ff_isa() == FF_ISA_V4)
        return &tile_v4;
    if (ff_isa() == FF_ISA_V3)
        return &tile_v3;
#endif
    return &tile_base;
}
