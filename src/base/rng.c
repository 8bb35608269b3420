/* SPDX-License-Identifier: Apache-2.0
 * rng: xoshiro256** (Blackman and Vigna 2021) with a state from splitmix64.
 */
#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/status.h"

static const uint64_t golden_gamma = 0x9E3779B97F4A7C15u;

void ff_rng_init(struct ff_rng *r, uint64_t seed, const char *stream, uint64_t index)
{
    /* Each part goes through the mixer before the next is added, so that neighbouring seeds and indices give
     * unrelated states and (seed, index) does not equal (index, seed). */
    uint64_t x = ff_hash_mix(seed + golden_gamma);
    x = ff_hash_mix(x + ff_hash_fnv1a(stream, strlen(stream)));
    x = ff_hash_mix(x + golden_gamma * (index + 1));
    for (int i = 0; i < 4; i++) {
        x += golden_gamma;
        r->s[i] = ff_hash_mix(x); /* four different counters cannot all mix to 0, the one bad state */
    }
}

static uint64_t rotate_left(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

uint64_t ff_rng_u64(struct ff_rng *r)
{
    uint64_t *s = r->s, result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double ff_rng_uniform(struct ff_rng *r)
{
    return (double)(ff_rng_u64(r) >> 11) * 0x1p-53;
}

int64_t ff_rng_below(struct ff_rng *r, int64_t n)
{
    FF_ASSERT(n >= 1);
    /* Draws from the incomplete last run of n values are thrown away: they would favour small results. */
    uint64_t m = (uint64_t)n, incomplete = (0 - m) % m, x;
    do
        x = ff_rng_u64(r);
    while (x < incomplete);
    return (int64_t)(x % m);
}

void ff_rng_shuffle(struct ff_rng *r, int64_t *index, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = ff_rng_below(r, i + 1), t = index[i];
        index[i] = index[j];
        index[j] = t;
    }
}

double ff_rng_normal(struct ff_rng *r)
{
    /* Marsaglia's polar method; the second of the pair is dropped, as keeping it would be hidden state. */
    double u, v, s;
    do {
        u = 2 * ff_rng_uniform(r) - 1;
        v = 2 * ff_rng_uniform(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * log(s) / s);
}
