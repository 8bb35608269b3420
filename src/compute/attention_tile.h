/* SPDX-License-Identifier: Apache-2.0
 * attention_tile: softmax attention of one block of queries of one head over a block of keys, with the state of an
 * online softmax, so that no more than FF_ATTENTION_KEYS logits per query exist at a time.
 *
 * Lanes of a vector are queries: the logits of one key are one vector, so that the softmax needs no sums across a
 * vector, any head size fills the vectors, and both products are rank-one updates of registers with a broadcast number.
 * Logits are in units of log 2 (the caller scales queries and bias by log2 e), so that the softmax is 2^x.
 *
 * Queries, bias and state are channel first, [.., lanes]; keys and values are rows. 64-byte alignment throughout.
 */
#ifndef FF_COMPUTE_ATTENTION_TILE_H
#define FF_COMPUTE_ATTENTION_TILE_H

#include <stdint.h>

enum { FF_ATTENTION_KEYS = 128 };
#define FF_LOG2E 1.44269504088896341f

struct ff_attention_block {
    int64_t n_key;           /* <= FF_ATTENTION_KEYS */
    int64_t d;
    const float *q;          /* [d, lanes] */
    const float *k, *v;      /* [n_key, d], rows at a distance of ld */
    int64_t ld;
    const float *bias;       /* [n_key, lanes]; NULL: none */
    const float *mask;       /* [n_key]; the logits of keys where it is 0 are -1e9 (before the change of units) */
    float *logits;           /* [FF_ATTENTION_KEYS, lanes] scratch */
    float *top;              /* [lanes] largest logit so far */
    float *sum;              /* [lanes] sum of 2^(logit - top) */
    float *value;            /* [d, lanes] sum of 2^(logit - top) v */
};

struct ff_attention_tile {
    int lanes;               /* queries per block: a multiple of 4, at most FF_ATTENTION_LANES */
    void (*attend)(const struct ff_attention_block *b);
};
enum { FF_ATTENTION_LANES = 32 };

/* The version for this processor. */
const struct ff_attention_tile *ff_attention_tile_get(void);

#endif
