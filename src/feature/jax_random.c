/* SPDX-License-Identifier: Apache-2.0
 * jax_random: the counter-based random numbers of JAX.
 */
#include "feature/jax_random.h"

#include <string.h>

static uint32_t rotate(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

void ff_jax_random_block(struct ff_jax_key key, uint32_t x0, uint32_t x1, uint32_t ret[2])
{
    static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
    const uint32_t schedule[3] = {key.word[0], key.word[1], key.word[0] ^ key.word[1] ^ 0x1BD11BDA};
    x0 += schedule[0];
    x1 += schedule[1];
    for (uint32_t group = 0; group < 5; group++) {
        for (int i = 0; i < 4; i++) {
            x0 += x1;
            x1 = rotate(x1, rotations[group % 2][i]) ^ x0;
        }
        x0 += schedule[(group + 1) % 3];
        x1 += schedule[(group + 2) % 3] + group + 1;
    }
    ret[0] = x0;
    ret[1] = x1;
}

struct ff_jax_key ff_jax_random_key(uint64_t seed)
{
    return (struct ff_jax_key){{0, (uint32_t)seed}};
}

/* The counters 0 .. 2n - 1 are encrypted in pairs (i, n + i); first all first words, then all second words make up the
 * stream that is cut into keys. */
void ff_jax_random_split(struct ff_jax_key key, int n, struct ff_jax_key *ret)
{
    for (int i = 0; i < n; i++) {
        uint32_t out[2];
        ff_jax_random_block(key, (uint32_t)i, (uint32_t)(n + i), out);
        ret[i / 2].word[i % 2] = out[0];
        ret[(n + i) / 2].word[(n + i) % 2] = out[1];
    }
}

struct ff_jax_key ff_jax_random_fold_in(struct ff_jax_key key, uint32_t data)
{
    struct ff_jax_key ret;
    ff_jax_random_block(key, 0, data, ret.word);
    return ret;
}

float ff_jax_random_uniform(struct ff_jax_key key)
{
    uint32_t out[2];
    ff_jax_random_block(key, 0, 0, out);
    uint32_t bits = out[0] >> 9 | 0x3F800000;                /* a float in [1, 2) */
    float v;
    memcpy(&v, &bits, sizeof v);
    return v - 1.0f;
}
