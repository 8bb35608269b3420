/* SPDX-License-Identifier: Apache-2.0
 * copy, fill, scale_add, layer_norm, linear on the cpu.
 */
#include <string.h>

#include "compute/ops_cpu.h"

/* --- copy --- */

FF_CLONES static void widen(float *restrict y, const uint16_t *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        union { uint32_t i; float f; } v = {.i = (uint32_t)x[i] << 16};
        y[i] = v.f;
    }
}

static void convert_row(void *y, enum ff_dtype to, const void *x, enum ff_dtype from, int64_t n)
{
    if (to == from) {
        memcpy(y, x, (size_t)n * ff_dtype_size(to));
    } else if (to == FF_F32 && from == FF_BF16) {
        widen(y, x, n);
    } else {
        FF_ASSERT(to == FF_BF16 && from == FF_F32);
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)y)[i] = ff_f32_to_bf16(((const float *)x)[i]);
    }
}

static void copy_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    (void)s;
    const struct ff_copy_args *a = user;
    int64_t c = a->out.shape[a->out.ndim - 1];
    size_t size_out = ff_dtype_size(a->out.dtype), size_x = ff_dtype_size(a->x.dtype);
    struct ff_walk to, at;
    ff_walk_begin(&to, &a->out, a->out.ndim - 1, from);
    ff_walk_begin(&at, &a->x, a->x.ndim - 1, from);
    for (int64_t r = 0; r < count; r++) {
        convert_row((char *)a->out.data + (size_t)to.at * size_out, a->out.dtype,
                    (const char *)a->x.data + (size_t)at.at * size_x, a->x.dtype, c);
        ff_walk_next(&to);
        ff_walk_next(&at);
    }
}

/* Rows per piece of an op that only moves memory: about 256 KiB, so that short rows cost no more than long ones. */
static int64_t moving_step(int64_t c)
{
    int64_t step = 65536 / (c > 0 ? c : 1);
    return step > 1 ? step : 1;
}

void ff_cpu_copy(struct ff_backend *be, const struct ff_copy_args *a)
{
    FF_ASSERT(ff_tensor_same_shape(&a->out, &a->x));
    FF_ASSERT((a->out.dtype == FF_I32) == (a->x.dtype == FF_I32));
    struct ff_copy_args flat = *a;
    if (ff_tensor_contiguous(&a->out) && ff_tensor_contiguous(&a->x)) {
        /* One row after another is one long row: pieces of it are then plain moves. */
        int64_t n = ff_tensor_count(&a->out), c = 4096;
        if (n % c == 0 && n > 0) {
            flat.out = ff_tensor_reshape(a->out, FF_SHAPE(n / c, c));
            flat.x = ff_tensor_reshape(a->x, FF_SHAPE(n / c, c));
        }
    }
    int64_t c = flat.out.shape[flat.out.ndim - 1];
    ff_cpu_for(be, ff_tile_row_count(&flat.out), moving_step(c), copy_piece, &flat);
}

/* --- fill --- */

static void fill_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    (void)s;
    const struct ff_fill_args *a = user;
    int64_t c = a->out.shape[a->out.ndim - 1];
    struct ff_walk w;
    ff_walk_begin(&w, &a->out, a->out.ndim - 1, from);
    for (int64_t r = 0; r < count; r++, ff_walk_next(&w)) {
        if (a->out.dtype == FF_F32) {
            float *y = (float *)a->out.data + w.at;
            for (int64_t i = 0; i < c; i++)
                y[i] = a->value;
        } else if (a->out.dtype == FF_I32) {
            int32_t *y = (int32_t *)a->out.data + w.at;
            for (int64_t i = 0; i < c; i++)
                y[i] = (int32_t)a->value;
        } else {
            uint16_t *y = (uint16_t *)a->out.data + w.at;
            for (int64_t i = 0; i < c; i++)
                y[i] = ff_f32_to_bf16(a->value);
        }
    }
}

void ff_cpu_fill(struct ff_backend *be, const struct ff_fill_args *a)
{
    FF_ASSERT(a->out.dtype == FF_F32 || a->out.dtype == FF_I32 || a->out.dtype == FF_BF16);
    ff_cpu_for(be, ff_tile_row_count(&a->out), moving_step(a->out.shape[a->out.ndim - 1]), fill_piece, (void *)a);
}

/* --- scale_add --- */

FF_CLONES static void scale_row(float *y, const float *x, int64_t n, float alpha, float beta)
{
    if (!x) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = alpha != 0.0f ? alpha * y[i] : 0.0f;
    } else if (alpha == 0.0f) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = beta * x[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = alpha * y[i] + beta * x[i];
    }
}

static void scale_add_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    (void)s;
    const struct ff_scale_add_args *a = user;
    int64_t c = a->out.shape[a->out.ndim - 1];
    bool adds = ff_tensor_present(&a->x);
    struct ff_walk to, at = {0};
    ff_walk_begin(&to, &a->out, a->out.ndim - 1, from);
    if (adds)
        ff_walk_begin(&at, &a->x, a->x.ndim - 1, from);
    for (int64_t r = 0; r < count; r++) {
        scale_row((float *)a->out.data + to.at, adds ? (const float *)a->x.data + at.at : NULL, c, a->alpha, a->beta);
        ff_walk_next(&to);
        if (adds)
            ff_walk_next(&at);
    }
}

void ff_cpu_scale_add(struct ff_backend *be, const struct ff_scale_add_args *a)
{
    FF_ASSERT(a->out.dtype == FF_F32);
    FF_ASSERT(!ff_tensor_present(&a->x) || (ff_tensor_same_shape(&a->out, &a->x) && a->x.dtype == FF_F32));
    ff_cpu_for(be, ff_tile_row_count(&a->out), moving_step(a->out.shape[a->out.ndim - 1]), scale_add_piece, (void *)a);
}

/* --- layer_norm --- */

static void layer_norm_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_layer_norm_args *a = user;
    int64_t c = a->x.shape[a->x.ndim - 1], ld_out = 0;
    float *out = (float *)ff_tile_rows_at(&a->out, from, count, &ld_out);
    if (out && !a->accumulate) {
        int64_t ld;
        const float *x = ff_tile_rows_at(&a->x, from, count, &ld);
        if (x)
            ff_tile_norm(out, ld_out, x, ld, count, c,
                         &(struct ff_tile_norming){.scale = a->norm.scale.data, .offset = a->norm.offset.data});
        else
            ff_tile_load_norm(out, ld_out, &a->x, from, count, &a->norm);
        return;
    }
    float *tile = ff_scratch_floats(s, count * c);
    ff_tile_load_norm(tile, c, &a->x, from, count, &a->norm);
    ff_tile_put(&a->out, from, count, tile, c, &(struct ff_tile_store){.accumulate = a->accumulate});
}

void ff_cpu_layer_norm(struct ff_backend *be, const struct ff_layer_norm_args *a)
{
    int64_t c = a->x.shape[a->x.ndim - 1];
    FF_ASSERT(ff_tensor_same_shape(&a->out, &a->x));
    FF_ASSERT(a->out.dtype == FF_F32 && a->x.dtype == FF_F32);
    FF_ASSERT(ff_tensor_count(&a->norm.scale) == c && ff_tensor_count(&a->norm.offset) == c);
    ff_cpu_rows(be, ff_tile_row_count(&a->x), c, 0, layer_norm_piece, (void *)a);
}

/* --- linear --- */

/* Outputs of this size leave the caches before they are read. */
enum { LARGE = 16 << 20 };

/* One output of rows [from, from + count), whose x is made. */
static void linear_out(const struct ff_linear_args *a, struct ff_scratch s, int64_t from, int64_t count, const float *x,
                       int64_t ldx, const float *factor, const float *ahead)
{
    int64_t n = a->w.shape[1], ld = n;
    const float *b = ff_weights(&a->b);
    /* Straight into the output where nothing stands between the product and it. */
    bool direct = !(a->accumulate && (a->relu || factor));
    float *out = direct ? (float *)ff_tile_rows_at(&a->out, from, count, &ld) : NULL;
    if (out) {
        bool stream = !a->accumulate && ff_tensor_bytes(&a->out) >= LARGE;
        ff_tile_affine(out, ld, x, ldx, count, &a->w,
                       &(struct ff_tile_affine){.b = b, .relu = a->relu, .factor = factor, .accumulate = a->accumulate,
                                                .stream = stream, .ahead = ahead});
        return;
    }
    float *tile = ff_scratch_floats(&s, count * n);
    if (direct && a->accumulate) {
        ff_tile_add_linear(&a->out, from, count, x, ldx, &a->w, b, tile);
        return;
    }
    ff_tile_affine(tile, n, x, ldx, count, &a->w, &(struct ff_tile_affine){.ahead = ahead});
    ff_tile_put(&a->out, from, count, tile, n,
                &(struct ff_tile_store){.b = b, .mask = &a->mask, .relu = a->relu, .accumulate = a->accumulate});
}

static void linear_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_linear_args *a = user;
    int64_t k = a->w.shape[0], ldx = k;
    bool normed = ff_tensor_present(&a->norm.scale), masked = ff_tensor_present(&a->mask);

    const float *x = normed || a->relu_input ? NULL : ff_tile_rows_at(&a->x, from, count, &ldx);
    if (!x) {
        float *tile = ff_scratch_floats(s, count * k);
        if (a->relu_input)
            ff_tile_load_relu(tile, k, &a->x, from, count);
        else
            ff_tile_load_norm(tile, k, &a->x, from, count, &a->norm);
        x = tile;
        ldx = k;
    }
    const float *ahead = ff_tile_ahead(&a->x, from + count, count);
    float *factor = masked ? ff_scratch_floats(s, count) : NULL;
    if (masked) {
        struct ff_walk w;
        ff_walk_begin(&w, &a->mask, a->mask.ndim, from);
        for (int64_t r = 0; r < count; r++, ff_walk_next(&w))
            factor[r] = ((const float *)a->mask.data)[w.at];
    }
    if (!ff_tensor_present(&a->out2)) {
        linear_out(a, *s, from, count, x, ldx, factor, ahead);
        return;
    }
    struct ff_linear_args one[2];
    ff_linear_apart(a, one);
    linear_out(&one[0], *s, from, count, x, ldx, factor, ahead);
    linear_out(&one[1], *s, from, count, x, ldx, factor, NULL);
}

static void check_linear(const struct ff_linear_args *a)
{
    FF_ASSERT(a->w.ndim == 2 && a->x.dtype == FF_F32 && a->out.dtype == FF_F32);
    int64_t k = a->w.shape[0], n = a->w.shape[1];
    FF_ASSERT(a->x.shape[a->x.ndim - 1] == k && a->out.shape[a->out.ndim - 1] == n);
    FF_ASSERT(ff_tile_row_count(&a->x) == ff_tile_row_count(&a->out));
    FF_ASSERT(!ff_tensor_present(&a->b) || ff_tensor_count(&a->b) == n);
    FF_ASSERT(!ff_tensor_present(&a->norm.scale) || ff_tensor_count(&a->norm.scale) == k);
    FF_ASSERT(!ff_tensor_present(&a->norm.scale) || !a->relu_input);
}

void ff_cpu_linear(struct ff_backend *be, const struct ff_linear_args *a)
{
    struct ff_linear_args place[FF_LINEAR_PLACES];
    int n_place = ff_linear_places(a, place);
    if (n_place > 1) {
        for (int i = 0; i < n_place; i++)
            ff_cpu_linear(be, &place[i]);
        return;
    }
    int64_t n = a->w.shape[1];
    if (ff_tensor_present(&a->out2)) {
        struct ff_linear_args one[2];
        ff_linear_apart(a, one);
        check_linear(&one[0]);
        check_linear(&one[1]);
        n = n > a->w2.shape[1] ? n : a->w2.shape[1];
    } else {
        check_linear(a);
    }
    ff_cpu_rows(be, ff_tile_row_count(&a->x), a->w.shape[0] + n + 1, 0, linear_piece, (void *)a);
}
