/* SPDX-License-Identifier: Apache-2.0
 * point_tile: the inner loops of invariant point attention, for a block of queries against a tile of keys.
 *
 * Lanes of a vector are heads, for in this attention every head of a query meets a key of its own but all of them meet
 * the same row of the pair: logits, softmax and sums need nothing across a vector, and the weights of one key are the
 * numbers that its pair row is multiplied with. Heads are filled up to `lanes`, a multiple of FF_POINT_LANES; what is
 * computed for those past the last is used nowhere. 64-byte alignment of all but pair rows.
 */
#ifndef FF_COMPUTE_POINT_TILE_H
#define FF_COMPUTE_POINT_TILE_H

#include <stdbool.h>
#include <stdint.h>

/* At most so many queries in a block, and keys in a tile. Keys and the numbers of a value are filled up to a multiple
 * of FF_POINT_STEP. */
enum { FF_POINT_LANES = 16, FF_POINT_QUERIES = 12, FF_POINT_STEP = 4, FF_POINT_KEYS = 128 };

struct ff_point_block {
    int64_t n_query;             /* filled up */
    int64_t lanes;
    int64_t n_feature, n_coordinate, n_value;    /* n_value filled up */
    const float *q, *k;          /* [n_query | keys, n_feature + n_coordinate, lanes] */
    const float *v;              /* [n_value / FF_POINT_STEP, FF_POINT_KEYS, FF_POINT_STEP, lanes] */
    float *p;                    /* [n_query, keys, lanes], queries at a distance of ld */
    int64_t ld;
    float *value;                /* [n_query, n_value, lanes] */
};

/* bias [n, lanes] = x [n, width] w for n rows of the pair. */
struct ff_point_bias {
    int64_t n, width;            /* width: a multiple of FF_POINT_LANES */
    int64_t lanes, n_head;
    const float *x;
    const float *w;              /* as pack() made it */
    float *bias;
    float *sum, *square;         /* [n] of the numbers of each row, of their squares */
    const float *ahead;
};

/* One query. */
struct ff_point_softmax {
    int64_t n_key;               /* not filled up */
    int64_t lanes;
    float *p;                    /* [n_key, lanes] logits without the bias; then exp(logit - top) */
    float *bias;                 /* [n_key, lanes] of the pair rows as they are; then p times inverse */
    const float *mean, *inverse; /* [n_key] of each pair row, 1 / its standard deviation */
    const float *of_mean;        /* [lanes] the bias that a mean of 1 has made: it is taken out */
    const float *mask;           /* [n_key]; NULL: all 1 */
    float penalty;               /* of keys where mask is 0 */
    float *top, *sum;            /* [lanes] the largest logit so far, the sum of exp(logit - top) */
    float *means;                /* [lanes] the sum of exp(logit - top) * inverse * mean */
    float *fade;                 /* [lanes] what sums of earlier tiles have to be multiplied with */
};

struct ff_point_tile {
    int vector;                  /* lanes of a vector */
    int queries;                 /* of a block, filled up to a multiple of this: a divisor of FF_POINT_QUERIES */
    int rows;                    /* of the pair that bias() takes in one step */
    /* p = sum over features of q k - sum over coordinates of (q - k)^2, for n_key keys (filled up) from `from` on */
    void (*logits)(const struct ff_point_block *b, int64_t from, int64_t n_key, const float *ahead);
    /* packed [width, lanes] of w [width, n_head] */
    void (*pack)(float *packed, const float *w, int64_t width, int64_t n_head);
    void (*bias)(const struct ff_point_bias *b);
    /* Returns whether any fade is not 1. */
    bool (*softmax)(const struct ff_point_softmax *s);
    /* value = [value +] sum of p v over n_key keys (not filled up) from key `from` on */
    void (*values)(const struct ff_point_block *b, int64_t from, int64_t n_key, bool accumulate, const float *ahead);
};

/* What is wanted later is fetched into the second-level cache, a line at each step of the work at hand, for more at
 * once would be waited for: `ahead` has as many lines as there are steps, or is NULL. What is fetched past the end of
 * anything does no harm. */
enum { FF_POINT_LINE = 16 };     /* floats */

static inline int64_t ff_point_logit_steps(const struct ff_point_tile *t, const struct ff_point_block *b, int64_t n_key)
{
    return n_key / FF_POINT_STEP * (b->n_query / t->queries) * (b->lanes / t->vector) *
           (b->n_feature + b->n_coordinate);
}

static inline int64_t ff_point_value_steps(const struct ff_point_tile *t, const struct ff_point_block *b, int64_t n_key)
{
    return n_key / 2 * (b->n_query / t->queries) * (b->lanes / t->vector) * (b->n_value / FF_POINT_STEP);
}

static inline int64_t ff_point_bias_steps(const struct ff_point_tile *t, const struct ff_point_bias *b)
{
    return b->n / t->rows * ((b->n_head + t->vector - 1) / t->vector) * (b->width / t->vector) * ((t->vector + 4) / 8);
}

/* The version for this processor. */
const struct ff_point_tile *ff_point_tile_get(void);

#endif
