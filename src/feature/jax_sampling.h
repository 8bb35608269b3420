/* SPDX-License-Identifier: Apache-2.0
 * jax_sampling: the published multimer program's own draws (msa.sampling: jax): the same seed chooses the same rows and
 * hides the same residues.
 *
 * Keys go from the seed to a draw as in that program: one split by its module library, one per recycle (not for the
 * last pass, which takes the key as it is), one per ensemble member, one into sampling and hiding. Its noise does not
 * depend on padding, so rows and columns draw the same numbers in alignments of any size. Two rows whose noise is equal
 * in float32 may come in another order, as its sort is not stable.
 * Source: AlphaFold model/modules_multimer.py, model/utils.py (padding_consistent_rng), model/prng.py, model/model.py.
 */
#ifndef FF_FEATURE_JAX_SAMPLING_H
#define FF_FEATURE_JAX_SAMPLING_H

#include "feature/jax_random.h"
#include "feature/msa_pool.h"

/* The keys of one pass and ensemble member. seed is what the published predict() is given: for model number k of n
 * models, k + n * random_seed. */
void ff_jax_sampling_keys(const struct ff_msa_draw *draw, struct ff_jax_key *ret_order, struct ff_jax_key *ret_hide);

/* Gumbel noise of one number: gumbel_noise with shape () . */
float ff_jax_sampling_gumbel(struct ff_jax_key key);

/* ff_msa_pool_order and ff_msa_pool_hide with these keys. */
void ff_jax_sampling_order(const struct ff_msa_pool *p, struct ff_jax_key key, int64_t *ret /* [n_row] */);
void ff_jax_sampling_hide(const struct ff_msa_pool *p, const struct ff_feature_config *c, struct ff_jax_key key,
                          const int64_t *order, int n_centre, uint8_t *ret_ids /* [n_centre, n_res] */,
                          uint8_t *ret_hidden /* [n_centre, n_res] */);

#endif
