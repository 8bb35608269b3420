/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tile.h"

#include <math.h>
#include <string.h>

#include "compute/vmath.h"

/* --- walking --- */

void ff_walk_begin(struct ff_walk *w, const struct ff_tensor *t, int n_axis, int64_t row)
{
    FF_ASSERT(n_axis >= 0 && n_axis <= t->ndim);
    *w = (struct ff_walk){.t = t, .n_axis = n_axis};
    for (int d = n_axis - 1; d >= 0; d--) {
        w->index[d] = row % t->shape[d];
        w->at += w->index[d] * t->stride[d];
        row /= t->shape[d];
    }
}

/* How many of the next `left` rows lie at one distance from each other. */
static int64_t run_length(const struct ff_walk *w, int64_t left)
{
    if (w->n_axis == 0)
        return 1;
    int64_t run = w->t->shape[w->n_axis - 1] - w->index[w->n_axis - 1];
    return run < left ? run : left;
}

static int64_t run_stride(const struct ff_walk *w)
{
    return w->n_axis > 0 ? w->t->stride[w->n_axis - 1] : 0;
}

/* Steps over a run. */
static void skip_run(struct ff_walk *w, int64_t run)
{
    if (w->n_axis == 0)
        return;
    w->at += (run - 1) * run_stride(w);
    w->index[w->n_axis - 1] += run - 1;
    ff_walk_next(w);
}

int64_t ff_tile_row_count(const struct ff_tensor *t)
{
    int64_t n = 1;
    for (int d = 0; d < t->ndim - 1; d++)
        n *= t->shape[d];
    return n;
}

const float *ff_tile_rows_at(const struct ff_tensor *x, int64_t row, int64_t rows, int64_t *ld)
{
    int64_t c = x->shape[x->ndim - 1];
    struct ff_walk w;
    ff_walk_begin(&w, x, x->ndim - 1, row);
    const float *p = (const float *)x->data + w.at;
    *ld = c;
    if (rows <= 1)
        return p;
    /* From the innermost axis outwards until all the rows lie within the axes seen: rows [at, at + rows) of extent. */
    int64_t at = 0, extent = 1;
    for (int d = x->ndim - 2; d >= 0 && at + rows > extent; d--) {
        if (x->shape[d] == 1)
            continue;
        if (extent == 1)
            *ld = x->stride[d];
        else if (x->stride[d] != *ld * extent)
            return NULL;
        at += w.index[d] * extent;
        extent *= x->shape[d];
    }
    return *ld >= c ? p : NULL;
}

const float *ff_tile_ahead(const struct ff_tensor *x, int64_t row, int64_t rows)
{
    int64_t ld, c = x->shape[x->ndim - 1];
    if (row + rows > ff_tile_row_count(x))
        return NULL;
    const float *p = ff_tile_rows_at(x, row, rows, &ld);
    return ld == c ? p : NULL;
}

/* --- loading --- */

static void copy_block(float *restrict y, int64_t ldy, const float *restrict x, int64_t ldx, int64_t rows, int64_t n)
{
    if (ldx == n && ldy == n) {
        memcpy(y, x, (size_t)(rows * n) * sizeof *y);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * ldy, x + r * ldx, (size_t)n * sizeof *y);
}

FF_CLONES static void relu_block(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        float *to = y + r * ldy;
        const float *from = x + r * ldx;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i] > 0.0f ? from[i] : 0.0f;
    }
}

FF_CLONES static void sum_block(float *restrict sum, int64_t ld, const float *x, int64_t ldx, const float *y,
                                int64_t ldy, int64_t rows, int64_t n)
{
    enum { AHEAD = 8 };
    for (int64_t r = 0; r < rows; r++) {
        /* Rows of a transposed view lie in different pages, where the processor does not look ahead by itself. */
        for (int64_t i = 0; r + AHEAD < rows && i < n; i += 16) {
            __builtin_prefetch(x + (r + AHEAD) * ldx + i);
            __builtin_prefetch(y + (r + AHEAD) * ldy + i);
        }
        float *restrict to = sum + r * ld;
        for (int64_t i = 0; i < n; i++)
            to[i] = x[r * ldx + i] + y[r * ldy + i];
    }
}

enum load { LOAD_PLAIN, LOAD_NORM, LOAD_RELU };

static void load(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows, enum load how,
                 const struct ff_norm *norm)
{
    FF_ASSERT(x->dtype == FF_F32);
    int64_t c = x->shape[x->ndim - 1];
    struct ff_walk w;
    ff_walk_begin(&w, x, x->ndim - 1, row);
    while (rows > 0) {
        int64_t run = run_length(&w, rows), ldx = run_stride(&w);
        const float *from = (const float *)x->data + w.at;
        if (how == LOAD_PLAIN)
            copy_block(tile, ld, from, ldx, run, c);
        else if (how == LOAD_RELU)
            relu_block(tile, ld, from, ldx, run, c);
        else
            ff_tile_norm(tile, ld, from, ldx, run, c,
                         &(struct ff_tile_norming){.scale = norm->scale.data, .offset = norm->offset.data});
        tile += run * ld;
        rows -= run;
        if (rows > 0)
            skip_run(&w, run);
    }
}

void ff_tile_load(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows)
{
    load(tile, ld, x, row, rows, LOAD_PLAIN, NULL);
}

void ff_tile_load_norm(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows,
                       const struct ff_norm *norm)
{
    load(tile, ld, x, row, rows, ff_tensor_present(&norm->scale) ? LOAD_NORM : LOAD_PLAIN, norm);
}

void ff_tile_load_relu(float *tile, int64_t ld, const struct ff_tensor *x, int64_t row, int64_t rows)
{
    load(tile, ld, x, row, rows, LOAD_RELU, NULL);
}

void ff_tile_load_sum(float *tile, int64_t ld, const struct ff_tensor *x, const struct ff_tensor *y, int64_t row,
                      int64_t rows)
{
    FF_ASSERT(x->dtype == FF_F32 && y->dtype == FF_F32 && ff_tensor_same_shape(x, y));
    struct ff_walk wx, wy;
    ff_walk_begin(&wx, x, x->ndim - 1, row);
    ff_walk_begin(&wy, y, y->ndim - 1, row);
    for (int64_t run; rows > 0; rows -= run, tile += run * ld) {
        run = run_length(&wx, rows);         /* that of y too: it is of one shape */
        sum_block(tile, ld, (const float *)x->data + wx.at, run_stride(&wx), (const float *)y->data + wy.at,
                  run_stride(&wy), run, x->shape[x->ndim - 1]);
        if (rows > run) {
            skip_run(&wx, run);
            skip_run(&wy, run);
        }
    }
}

/* --- on a tile --- */

FF_CLONES static void bias_block(float *x, int64_t ld, int64_t rows, int64_t n, const float *restrict b)
{
    for (int64_t r = 0; r < rows; r++) {
        float *restrict to = x + r * ld;
        for (int64_t i = 0; i < n; i++)
            to[i] += b[i];
    }
}

void ff_tile_bias(float *x, int64_t ld, int64_t rows, int64_t n, const float *b)
{
    if (b)
        bias_block(x, ld, rows, n, b);
}

FF_CLONES static void bias_relu_block(float *x, int64_t ld, int64_t rows, int64_t n, const float *restrict b)
{
    for (int64_t r = 0; r < rows; r++) {
        float *restrict to = x + r * ld;
        for (int64_t i = 0; i < n; i++) {
            float v = to[i] + b[i];
            to[i] = v > 0.0f ? v : 0.0f;
        }
    }
}

void ff_tile_bias_relu(float *x, int64_t ld, int64_t rows, int64_t n, const float *b)
{
    if (b)
        bias_relu_block(x, ld, rows, n, b);
    else
        relu_block(x, ld, x, ld, rows, n);
}

FF_CLONES void ff_tile_scale_rows(float *x, int64_t ld, int64_t rows, int64_t n, const float *factor)
{
    for (int64_t r = 0; r < rows; r++) {
        float *restrict to = x + r * ld;
        float f = factor[r];
        for (int64_t i = 0; i < n; i++)
            to[i] *= f;
    }
}

FF_CLONES void ff_tile_softmax(float *x, int64_t ld, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        float *to = x + r * ld;
        float top = to[0], sum = 0.0f;
#pragma omp simd reduction(max : top)
        for (int64_t i = 0; i < n; i++)
            top = to[i] > top ? to[i] : top;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++) {
            float e = ff_expf(to[i] - top);
            to[i] = e;
            sum += e;
        }
        float inverse = 1.0f / sum;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            to[i] *= inverse;
    }
}

void ff_tile_linear(float *c, const float *x, int64_t ldx, int64_t rows, const struct ff_tensor *w)
{
    FF_ASSERT(w->ndim == 2 && w->dtype == FF_F32);
    int64_t k = w->shape[0], n = w->shape[1];
    ff_tile_gemm(false, false, rows, n, k, 1.0f, x, ldx, w->data, n, 0.0f, c, n);
}

/* --- storing --- */

struct put {
    int64_t ld, ld_out, mask_stride, rows, n;
    const float *b;
    const float *mask;
};

/* Constant flags, so that every combination becomes its own loop. */
FF_INLINE void put_block(float *out, const float *tile, const struct put *p, bool biased, bool relu, bool accumulate)
{
    for (int64_t r = 0; r < p->rows; r++) {
        float *restrict to = out + r * p->ld_out;
        const float *restrict from = tile + r * p->ld;
        const float *restrict b = p->b;
        float factor = p->mask ? p->mask[r * p->mask_stride] : 1.0f;
        for (int64_t i = 0; i < p->n; i++) {
            float v = biased ? from[i] + b[i] : from[i];
            if (relu)
                v = v > 0.0f ? v : 0.0f;
            v *= factor;
            to[i] = accumulate ? to[i] + v : v;
        }
    }
}

FF_CLONES static void put_any(float *out, const float *tile, const struct put *p, bool relu, bool accumulate)
{
    if (p->b && relu && accumulate)
        put_block(out, tile, p, true, true, true);
    else if (p->b && relu)
        put_block(out, tile, p, true, true, false);
    else if (p->b && accumulate)
        put_block(out, tile, p, true, false, true);
    else if (p->b)
        put_block(out, tile, p, true, false, false);
    else if (relu && accumulate)
        put_block(out, tile, p, false, true, true);
    else if (relu)
        put_block(out, tile, p, false, true, false);
    else if (accumulate)
        put_block(out, tile, p, false, false, true);
    else
        put_block(out, tile, p, false, false, false);
}

void ff_tile_put(const struct ff_tensor *out, int64_t row, int64_t rows, const float *tile, int64_t ld,
                 const struct ff_tile_store *how)
{
    static const struct ff_tile_store plain = {0};
    if (!how)
        how = &plain;
    FF_ASSERT(out->dtype == FF_F32);
    bool masked = how->mask && ff_tensor_present(how->mask);
    FF_ASSERT(!masked || how->mask->ndim == out->ndim - 1);
    struct ff_walk w, wm = {0};
    ff_walk_begin(&w, out, out->ndim - 1, row);
    if (masked)
        ff_walk_begin(&wm, how->mask, out->ndim - 1, row);
    struct put p = {.ld = ld, .n = out->shape[out->ndim - 1], .b = how->b};
    while (rows > 0) {
        p.rows = run_length(&w, rows);
        p.ld_out = run_stride(&w);
        if (masked) {
            p.mask = (const float *)how->mask->data + wm.at;
            p.mask_stride = run_stride(&wm);
        }
        put_any((float *)out->data + w.at, tile, &p, how->relu, how->accumulate);
        tile += p.rows * ld;
        rows -= p.rows;
        if (rows > 0) {
            skip_run(&w, p.rows);
            if (masked)
                skip_run(&wm, p.rows);
        }
    }
}

void ff_tile_add_linear(const struct ff_tensor *out, int64_t row, int64_t rows, const float *x, int64_t ldx,
                        const struct ff_tensor *w, const float *b, float *tile)
{
    int64_t ld, n = w->shape[1];
    float *at = (float *)ff_tile_rows_at(out, row, rows, &ld);
    if (at) {
        ff_tile_affine(at, ld, x, ldx, rows, w, &(struct ff_tile_affine){.b = b, .accumulate = true});
        return;
    }
    /* In the same order as in place: which rows lie together depends on how many threads share them. */
    ff_tile_load(tile, n, out, row, rows);
    ff_tile_affine(tile, n, x, ldx, rows, w, &(struct ff_tile_affine){.b = b, .accumulate = true});
    ff_tile_put(out, row, rows, tile, n, NULL);
}
