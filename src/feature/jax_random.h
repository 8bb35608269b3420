/* SPDX-License-Identifier: Apache-2.0
 * jax_random: the counter-based random numbers of JAX, bit for bit: Threefry-2x32 with 20 rounds (Salmon et al. 2011),
 * keys split and folded as by jax.random with jax_threefry_partitionable off, which was its default until version 0.5
 * and so is what the published program draws with.
 */
#ifndef FF_FEATURE_JAX_RANDOM_H
#define FF_FEATURE_JAX_RANDOM_H

#include <stdint.h>

struct ff_jax_key {
    uint32_t word[2];
};

/* The block cipher: 64 bits of counter to 64 random bits. */
void ff_jax_random_block(struct ff_jax_key key, uint32_t x0, uint32_t x1, uint32_t ret[2]);

struct ff_jax_key ff_jax_random_key(uint64_t seed);          /* PRNGKey: without 64-bit mode the low 32 bits count */
void ff_jax_random_split(struct ff_jax_key key, int n, struct ff_jax_key *ret /* [n] */);
struct ff_jax_key ff_jax_random_fold_in(struct ff_jax_key key, uint32_t data);
float ff_jax_random_uniform(struct ff_jax_key key);          /* one number of shape (), [0, 1), 23 bits */

#endif
