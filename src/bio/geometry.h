/* SPDX-License-Identifier: Apache-2.0
 * geometry: superposition of point sets and measures of how alike two structures are.
 */
#ifndef FF_BIO_GEOMETRY_H
#define FF_BIO_GEOMETRY_H

/* Rigid motion: x goes to rot x + trans. */
struct ff_motion {
    double rot[3][3];        /* proper rotation, determinant 1 */
    double trans[3];
};

/* The motion that brings mobile closest to target (least squares), by the largest eigenvector of the 4 x 4 quaternion
 * matrix of Horn 1987: never a reflection, and for points on a line or on one spot still one of the best motions.
 * Returns the root mean square deviation after it; 0 with the identity when n is 0. */
double ff_geometry_superpose(int n, const float *mobile /* [n, 3] */, const float *target /* [n, 3] */,
                             struct ff_motion *ret);

void ff_geometry_move(const struct ff_motion *m, int n, float *points /* [n, 3], in place */);

/* Root mean square deviation as the points are. */
double ff_geometry_rmsd(int n, const float *a /* [n, 3] */, const float *b /* [n, 3] */);

/* lDDT of single points per residue (CA): Mariani et al. 2013, inclusion radius 15 A, thresholds 0.5, 1, 2 and 4 A,
 * distances within the reference that are below the radius count. mask may be NULL; residues with mask 0 are ignored.
 * ret_per_residue [n] in 0..1, NaN where a residue has no neighbour (or mask 0); may be NULL.
 * Returns the mean over the residues that have a value, NaN when there is none. */
double ff_geometry_lddt(int n, const float *model /* [n, 3] */, const float *reference /* [n, 3] */,
                        const float *mask /* [n] */, float *ret_per_residue);

#endif
