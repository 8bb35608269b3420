/* SPDX-License-Identifier: Apache-2.0
 * attention_tile: softmax attention of one block of queries of one head over a block of keys, with the state of an
 * online softmax, so that no more than FF_ATTENTION_KEYS logits per query exist at a time.
 *
 * Lanes of a vector are queries: the logits of one key are one vector, so that the softmax needs no sums across a
 * vector, any head size fills the vectors, and both products are rank-one updates of registers with a broadcast number.
 * A softmax needs its largest logit only to stay within the range of floats. So a block of keys is first weighed
 * against whatever was subtracted from the blocks before it, 0 at first, while its logits are in registers; where that
 * leaves the range it is done again with the largest logit known.
 *
 * Queries, bias and state are channel first, [.., lanes]; keys and values are rows. 64-byte alignment throughout.
 */
#ifndef FF_COMPUTE_ATTENTION_TILE_H
#define FF_COMPUTE_ATTENTION_TILE_H

#include <stdint.h>

enum { FF_ATTENTION_KEYS = 128 };

/* Memory that is soon wanted: rows of up to 32 floats of a few parts, fetched into the second-level cache at every
 * step of a block's work, or at some. What is fetched past the end of a part does no harm. */
enum { FF_ATTENTION_PARTS = 3, FF_ATTENTION_STEP = 16 };

struct ff_attention_ahead {
    const float *part[FF_ATTENTION_PARTS];   /* the next row of each */
    int64_t ld[FF_ATTENTION_PARTS];
    int64_t second;                          /* floats from the first line of a row to its last */
    int64_t at_once;                         /* rows of every part */
    int64_t rest;                            /* 2^n - 1: every 2^n steps */
};

struct ff_attention_block {
    int64_t n_key;           /* <= FF_ATTENTION_KEYS */
    int64_t d;
    const float *q;          /* [d, lanes] */
    const float *k, *v;      /* [n_key, d], rows at a distance of ld */
    int64_t ld;
    const float *bias;       /* [n_key, lanes]; NULL: none */
    const float *mask;       /* [n_key]; the logits of keys where it is 0 are -1e9 */
    float *logits;           /* [FF_ATTENTION_KEYS, lanes] scratch */
    float *top;              /* [lanes] what is subtracted from the logits */
    float *sum;              /* [lanes] sum of exp(logit - top); top, sum and value are 0 before the first key */
    float *value;            /* [d, lanes] sum of exp(logit - top) v */
    /* Three parts while keys are weighed, in steps of the tile's `keys`, and two while values are added, in steps of
     * FF_ATTENTION_STEP keys and `keys` channels. */
    struct ff_attention_ahead *ahead[2];
};

struct ff_attention_tile {
    int lanes;               /* queries per block: a multiple of 4, at most FF_ATTENTION_LANES */
    int keys;                /* per step */
    void (*attend)(const struct ff_attention_block *b);
};
enum { FF_ATTENTION_LANES = 32 };

/* The version for this processor. */
const struct ff_attention_tile *ff_attention_tile_get(void);

#endif
