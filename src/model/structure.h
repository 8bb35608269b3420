/* SPDX-License-Identifier: Apache-2.0
 * structure: the structure module: from single and pair representations to atoms.
 * Source: Jumper et al. 2021, Suppl. Alg. 20 (structure module), 22-24; Evans et al. 2021 (multimer).
 */
#ifndef FF_MODEL_STRUCTURE_H
#define FF_MODEL_STRUCTURE_H

#include "model/context.h"
#include "model/weights.h"

/* Ideal geometry per residue type (bio/residue) as tensors of the backend. */
struct ff_residue_constants {
    struct ff_tensor frame;          /* [21, 8, 12] */
    struct ff_tensor group;          /* [21, 14] int32 */
    struct ff_tensor position;       /* [21, 14, 3] */
    struct ff_tensor atom14;         /* [21, 37] int32 */
    struct ff_tensor exists;         /* [21, 37] */
};

/* Pushes the tables to arena and uploads them. */
void ff_structure_constants(struct ff_backend *be, struct ff_arena *arena, struct ff_residue_constants *ret);

struct ff_structure_out {
    struct ff_tensor act;            /* [N, c] last activations, what the pLDDT head reads */
    struct ff_tensor atoms;          /* [N, 37, 3] angstrom */
    struct ff_tensor atom14;         /* [N, 14, 3]; absent: not wanted */
    struct ff_tensor quat;           /* [N, 4] */
    struct ff_tensor frame;          /* [N, 12], translation in network units (times position_scale: angstrom) */
    struct ff_tensor trajectory;     /* [num_layer, N, 7]: quaternion, translation; absent: not wanted */
};

/* All tensors of out are the caller's. */
void ff_structure_module(const struct ff_context *ctx, const struct ff_structure_weights *w,
                         const struct ff_residue_constants *constants, struct ff_tensor single /* [N, c_s] float32 */,
                         struct ff_tensor z /* [I, N, c_z], rows of this rank */,
                         struct ff_tensor aatype /* [N] int32 */, struct ff_tensor seq_mask /* [N] float32 */,
                         const struct ff_structure_out *out);

#endif
