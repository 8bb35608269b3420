/* SPDX-License-Identifier: Apache-2.0
 * confidence: scores from the heads' outputs, on the host.
 * Source: Jumper et al. 2021, Suppl. 1.9.6-1.9.7, Alg. 29; AlphaFold common/confidence.py.
 */
#ifndef FF_MODEL_CONFIDENCE_H
#define FF_MODEL_CONFIDENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Per-residue pLDDT, 0..100: expectation over equal bins of [0, 1]. Returns the mean. */
float ff_confidence_plddt(int n_res, int n_bin, const float *logits /* [n_res, n_bin] */, float *plddt /* [n_res] */);

/* d0 of the TM-score for n_res residues, at least 19, in angstrom. */
double ff_confidence_tm_d0(int n_res);

/* Predicted TM-score: the best over i of the mean over j of tm[i, j], the expected TM term of residue j aligned on i.
 * With asym_id only pairs of different chains count (interface score, ipTM); without such pairs it is 0. */
double ff_confidence_ptm(int n_res, const float *tm /* [n_res, n_res] */, const int32_t *asym_id /* [n_res] or NULL */);

/* Largest aligned error that can be reported: the centre of the last bin (31.75 for 64 bins to 31 A). */
float ff_confidence_max_pae(float max_bin, int n_bin);

#endif
