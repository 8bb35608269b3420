/* SPDX-License-Identifier: Apache-2.0
 * rng: seeded random numbers, the same on every machine and for every number of threads.
 *
 * xoshiro256** state filled by splitmix64 from (seed, stream): every use derives its own stream with ff_rng_init, so
 * that adding a draw in one place does not shift another.
 */
#ifndef FF_BASE_RNG_H
#define FF_BASE_RNG_H

#include <stdint.h>

#include "base/hash.h"

struct ff_rng {
    uint64_t s[4];
};

void ff_rng_init(struct ff_rng *r, uint64_t seed, const char *stream, uint64_t index);
uint64_t ff_rng_u64(struct ff_rng *r);
double ff_rng_uniform(struct ff_rng *r);                      /* [0, 1), 53 bits */
int64_t ff_rng_below(struct ff_rng *r, int64_t n);            /* 0 .. n-1, unbiased; n >= 1 */
void ff_rng_shuffle(struct ff_rng *r, int64_t *index, int64_t n); /* Fisher-Yates, in place */
double ff_rng_normal(struct ff_rng *r);                       /* mean 0, variance 1 */

/* Number `index` of the numbers that belong to key, in any order: for large arrays that several threads fill. */
static inline uint64_t ff_rng_at(uint64_t key, uint64_t index)
{
    return ff_hash_mix(key + 0x9E3779B97F4A7C15u * (index + 1));
}

#endif
