/* SPDX-License-Identifier: Apache-2.0
 * torsion: the seven torsion angles of residues as sine and cosine, from atom positions.
 * Source: AlphaFold model/all_atom.py (atom37_to_torsion_angles); Jumper et al. 2021, Suppl. Alg. 21, Table 2.
 */
#ifndef FF_BIO_TORSION_H
#define FF_BIO_TORSION_H

#include <stdint.h>

/* Where atoms are missing, the published angles are rounding noise of order one, and the network is fed with it. The
 * features are made by plain operations, each rounded by itself; the compiled network fuses multiplications with the
 * additions that follow. Either noise can be had; where all atoms are known both give the same to single precision. */
enum ff_torsion_rounding { FF_TORSION_PLAIN, FF_TORSION_FUSED };

/* Angles in the order pre-omega, phi, psi, chi1..4, each as (sin, cos). Pre-omega and phi use the residue before,
 * whatever its number; for the first residue it is all zeros. Angles with missing atoms are computed from the positions
 * as they are (zeros as a rule) and not set to a placeholder: the published template embedding works so. aatype above
 * 20 counts as 20. alt: chi angles that plus pi are the same structure (ASP, GLU, PHE, TYR), turned by pi. Outputs may
 * be NULL. */
void ff_torsion_from_atom37(enum ff_torsion_rounding rounding, int n_res, const int32_t *aatype /* [n_res] */,
                            const float *positions /* [n_res, 37, 3] */, const float *mask /* [n_res, 37] */,
                            float *ret_sin_cos /* [n_res, 7, 2] */, float *ret_alt_sin_cos /* [n_res, 7, 2] */,
                            float *ret_mask /* [n_res, 7] */);

#endif
