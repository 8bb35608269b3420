/* SPDX-License-Identifier: Apache-2.0
 * msa_features: the MSA arrays of one pass: clusters with their profiles, and the extra sequences.
 *
 * Only rows that exist are made. The published program pads to fixed sizes with rows whose mask is 0; such rows change
 * nothing else: in row attention each row sees itself alone, in column attention and in the extra stack's global
 * attention masked keys get weight 0, the outer product mean multiplies every row by its mask, and the transition and
 * layer norms work row by row. Even an extra MSA of padding alone equals an empty one: the outer product mean then is
 * its output bias over 1e-3, whatever the number of rows. So padding is made on demand only, to compare files.
 *
 * Source: AlphaFold model/tf/data_transforms.py (make_msa_feat, crop_extra_msa, make_fixed_size),
 * model/modules_multimer.py (create_msa_feat, create_extra_msa_feature); Jumper et al. 2021, Suppl. Table 1.
 */
#ifndef FF_FEATURE_MSA_FEATURES_H
#define FF_FEATURE_MSA_FEATURES_H

#include <stdbool.h>

#include "feature/msa_pool.h"
#include "format/array.h"

enum { FF_MSA_FEAT_DIM = 49 };

struct ff_msa_features_options {
    const struct ff_feature_config *config;
    struct ff_msa_draw draw;
    bool multimer;           /* shared clusters, masked positions become 0 */
    int n_centre, n_extra;   /* rows to make: n_centre + n_extra <= n_row */
    int pad_centre, pad_extra; /* rows after padding; 0: as many as were made */
};

/* Adds msa_feat [S, N, 49], msa_mask and bert_mask [S, N], msa_row_mask [S], true_msa [S, N] int32, extra_msa [E, N]
 * int32, extra_msa_mask, extra_has_deletion and extra_deletion_value [E, N], extra_msa_row_mask [E]; float32 where
 * nothing is said. Clusters are made of all rows of the pool, whatever n_extra. */
void ff_msa_features_make(const struct ff_msa_pool *p, const struct ff_msa_features_options *o, struct ff_arrays *ret);

#endif
