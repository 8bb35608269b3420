/* SPDX-License-Identifier: Apache-2.0
 * tile: blocks of rows of strided tensors, taken into contiguous memory, multiplied, and put back with everything
 * elementwise done while they are in cache. Single-threaded; float32.
 *
 * The rows of a tensor [.., c] are numbered in C order over its leading axes, whatever the strides. A tile is `rows`
 * rows of n floats with a distance of ld floats between them. Vectors of weights are contiguous tensors; absent ones
 * ({0}) do nothing.
 */
#ifndef FF_COMPUTE_TILE_H
#define FF_COMPUTE_TILE_H

#include "compute/ops.h"

enum { FF_TILE_ROWS = 192 };

/* Which versions of the inner loops run: any processor, AVX2 with FMA, AVX-512. */
enum ff_isa { FF_ISA_BASE, FF_ISA_V3, FF_ISA_V4 };
enum ff_isa ff_isa(void);
const char *ff_isa_name(enum ff_isa isa);    /* for people: whose products */
void ff_isa_limit(enum ff_isa most);         /* not more than this, for tests; before any op runs */

/* --- walking: addresses of consecutive rows (or elements) of a strided tensor --- */
struct ff_walk {
    int64_t at;                              /* offset of the current row from t->data, in elements */
    int n_axis;
    int64_t index[FF_TENSOR_MAX_DIM];
    const struct ff_tensor *t;
};

/* Stands on row number `row` of the first n_axis axes: t->ndim - 1 for rows [.., c], t->ndim for elements [..]. */
void ff_walk_begin(struct ff_walk *w, const struct ff_tensor *t, int n_axis, int64_t row);
static inline void ff_walk_next(struct ff_walk *w)
{
    for (int d = w->n_axis - 1; d >= 0; d--) {
        w->at += w->t->stride[d];
        if (++w->index[d] < w->t->shape[d])
            return;
        w->at -= w->t->stride[d] * w->t->shape[d];
        w->index[d] = 0;
    }
}
int64_t ff_tile_row_count(const struct ff_tensor *t);        /* product of all axes but the last */

/* --- loading --- */
/* tile[r, :] = x[row + r, :], r < rows, c = last axis of x. */
void ff_tile_load(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows);
/* The same with layer norm; copies when the norm is absent. */
void ff_tile_load_norm(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows,
                       const struct ff_norm *norm);
void ff_tile_load_relu(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows);
/* tile[r, :] = x[row + r, :] + y[row + r, :]; x and y are of one shape. */
void ff_tile_load_sum(float *tile, int64_t ld, const struct ff_tensor *x, const struct ff_tensor *y, int64_t row,
                      int64_t rows);

/* The rows as they lie in x, without a copy, with their distance in *ld; NULL when they lie at no one distance or
 * overlap. */
const float *ff_tile_rows_at(const struct ff_tensor *x, int64_t row, int64_t rows, int64_t *ld);

/* `rows` contiguous rows from `row` on, to be fetched while those before them are worked on; NULL where there are not
 * so many or they lie apart. */
const float *ff_tile_ahead(const struct ff_tensor *x, int64_t row, int64_t rows);

/* --- on a tile --- */
struct ff_tile_norming {
    const float *scale, *offset;             /* [n] */
    float *moments;                          /* [rows, 2] for who norms the same rows again; NULL: nobody */
    bool again;                              /* moments are there from before: the same y for less work */
    const float *ahead;                      /* rows, ldx apart, that are fetched meanwhile; NULL: those of x */
};
/* y[r, :] = LN(x[r, :]) * scale + offset, eps 1e-5, biased two-pass variance; y may be x. */
void ff_tile_norm(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t n,
                  const struct ff_tile_norming *how);
void ff_tile_bias(float *x, int64_t ld, int64_t rows, int64_t n, const float *b);           /* x += b; b may be NULL */
void ff_tile_bias_relu(float *x, int64_t ld, int64_t rows, int64_t n, const float *b);      /* x = relu(x + b) */
/* out = (x + b) * sigmoid(g + bg); b and bg may be NULL, out may be x or g. */
void ff_tile_gate(float *out, int64_t ld_out, const float *x, int64_t ld, const float *g, int64_t ldg, int64_t rows,
                  int64_t n, const float *b, const float *bg);
/* The same for channels as rows: out[c, :] = mask * (x[c, :] + b[c]) * sigmoid(g[c, :] + bg[c]). */
void ff_tile_gate_channels(float *out, int64_t ld_out, const float *x, const float *g, int64_t ld, int64_t rows,
                           int64_t n, const float *mask, const float *b, const float *bg);
void ff_tile_scale_rows(float *x, int64_t ld, int64_t rows, int64_t n, const float *factor); /* x[r, :] *= factor[r] */
/* y [n, rows] = x^T */
void ff_tile_transpose(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t n);
/* Softmax along each row, in place. */
void ff_tile_softmax(float *x, int64_t ld, int64_t rows, int64_t n);

/* c [m, n] = alpha op(a) op(b) + beta c, row-major, single-threaded; beta 0 does not read c. */
void ff_tile_gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                  const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
/* out [n, rows] = w [n, k] x^T for n far below the rows of a tile: x is read once, as it lies. ahead [rows, k]: fetched
 * into the caches meanwhile; NULL: nothing. */
void ff_tile_few(float *out, int64_t ldo, const float *x, int64_t ldx, int64_t rows, const float *w, int64_t n,
                 int64_t k, const float *ahead);
/* c [rows, n] = x [rows, k] W, W a contiguous [k, n] weight; ldc = n. */
void ff_tile_linear(float *c, const float *x, int64_t ldx, int64_t rows, const struct ff_tensor *w);

struct ff_tile_affine {
    const float *b;                          /* [n]; NULL: none */
    bool relu;
    const float *factor;                     /* [rows] of each row at the end; NULL: none */
    bool accumulate;                         /* add to c; without relu and factor */
    bool stream;                             /* c is not wanted again soon and too large for the caches anyway: written
                                              * past them where its alignment allows */
    bool trans_x;                            /* x is [k, rows] with a distance of ldx */
    const float *ahead;                      /* [rows, k] fetched into the caches meanwhile; NULL: nothing */
    int64_t ahead_parts;                     /* that many [rows, k], as far as there are 32 columns for each; 0: 1 */
};
/* c [rows, n] = factor * act(x W + b), act = relu or none; or c += x W + b. */
void ff_tile_affine(float *c, int64_t ldc, const float *x, int64_t ldx, int64_t rows, const struct ff_tensor *w,
                    const struct ff_tile_affine *how);

/* out[row + r, :] += x W + b, where the rows of out lie or by way of tile [rows, n]. */
void ff_tile_add_linear(const struct ff_tensor *out, int64_t row, int64_t rows, const float *x, int64_t ldx,
                        const struct ff_tensor *w, const float *b, float *tile);

/* --- storing --- */
struct ff_tile_store {
    const float *b;                          /* [n] added first; NULL: none */
    const struct ff_tensor *mask;            /* [..] one number per row, any strides; NULL or absent: none */
    bool relu;
    bool accumulate;
};
/* out[row + r, :] = [out +] mask[row + r] * act(tile[r, :] + b); how may be NULL: a plain copy. */
void ff_tile_put(const struct ff_tensor *out, int64_t row, int64_t rows, const float *tile, int64_t ld,
                 const struct ff_tile_store *how);

static inline const float *ff_weights(const struct ff_tensor *t)     /* NULL when absent */
{
    return t->ndim > 0 ? (const float *)t->data : NULL;
}

#endif
