/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/op_fill.h"

#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "compute/vmath.h"

/* Every number depends on its place in the tensor alone, so that any number of threads gives the same contents. A row
 * of n elements draws at most n numbers. */
struct draw {
    uint64_t key;
    uint64_t at;
};

/* [0, 2) in steps of 2^-23 */
FF_INLINE int32_t steps(uint64_t key, uint64_t at)
{
    return (int32_t)(ff_rng_at(key, at) >> 40);
}

static double symmetric(struct draw *d)
{
    return (double)steps(d->key, d->at++) * 0x1p-23 - 1.0;
}

static int32_t below(struct draw *d, uint32_t n)
{
    return (int32_t)((ff_rng_at(d->key, d->at++) >> 32) * n >> 32);
}

/* x = by * (shift + [-1, 1)). The sum is one of integers, for a fused multiply-add would round differently. */
FF_CLONES static void fill_uniform(float *x, int64_t n, struct draw d, float by, int32_t shift)
{
    for (int64_t i = 0; i < n; i++) {
        int32_t k = steps(d.key, d.at + (uint64_t)i) + (shift - 1) * (1 << 23);
        x[i] = (float)k * (by * 0x1p-23f);
    }
}

static void fill_frame(struct draw *draw, float *f, double extent)
{
    double q[4], n = 0;
    for (int i = 0; i < 4; i++) {
        q[i] = symmetric(draw) + (i == 0 ? 1.5 : 0.0);
        n += q[i] * q[i];
    }
    double a = q[0], b = q[1], c = q[2], d = q[3];
    const double m[9] = {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c),
                         2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b),
                         2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d};
    for (int i = 0; i < 9; i++)
        f[i] = (float)(m[i] / n);
    for (int i = 9; i < 12; i++)
        f[i] = (float)(extent * symmetric(draw));
}

/* One row of the last axis. */
static void fill_row(struct draw d, enum ff_fill how, float *x, int64_t n, double fan_in)
{
    int32_t *v = (int32_t *)(void *)x;
    double length = 0;
    switch (how) {
    case FF_FILL_NORMAL:
        fill_uniform(x, n, d, 1.7320508f, 0);
        break;
    case FF_FILL_WEIGHT:
        fill_uniform(x, n, d, (float)sqrt(3.0 / fan_in), 0);
        break;
    case FF_FILL_BIAS:
        fill_uniform(x, n, d, 0.1f, 0);
        break;
    case FF_FILL_SCALE:
        fill_uniform(x, n, d, 0.1f, 10);
        break;
    case FF_FILL_POSITION:
        fill_uniform(x, n, d, 20.0f, 0);
        break;
    case FF_FILL_FRAME:
    case FF_FILL_NEAR_FRAME:
        fill_frame(&d, x, how == FF_FILL_FRAME ? 20.0 : 2.0);
        break;
    case FF_FILL_QUATERNION:
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float)(symmetric(&d) + (i == 0 ? 1.5 : 0.0));
            length += (double)x[i] * x[i];
        }
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(x[i] / sqrt(length));
        break;
    case FF_FILL_AATYPE:
    case FF_FILL_TOKEN:
    case FF_FILL_MSA:
        for (int64_t i = 0; i < n; i++)
            v[i] = below(&d, how == FF_FILL_AATYPE ? 21 : how == FF_FILL_TOKEN ? 22 : 23);
        break;
    case FF_FILL_RESIDUE:
        for (int64_t i = 0; i < n; i++)
            v[i] = (int32_t)(i + (i > n / 2 ? 200 : 0) + 3 * (i / 11));
        break;
    case FF_FILL_CHAIN:
        for (int64_t i = 0; i < n; i++)
            v[i] = i >= n / 2 ? 2 : 1;
        break;
    case FF_FILL_COPY:
        for (int64_t i = 0; i < n; i++)
            v[i] = 1 + (int32_t)(3 * i / n);
        break;
    case FF_FILL_GROUP:
    case FF_FILL_ATOM:
        for (int64_t i = 0; i < n; i++)
            v[i] = below(&d, how == FF_FILL_GROUP ? 8 : 14);
        break;
    case FF_FILL_MASK:
    case FF_FILL_NOTHING:
        break;
    }
}

/* Offset of a row (or element) of the first n_axis axes, in C order. */
static int64_t offset(const struct ff_tensor *t, int n_axis, int64_t row)
{
    int64_t at = 0;
    for (int d = n_axis - 1; d >= 0; d--) {
        at += row % t->shape[d] * t->stride[d];
        row /= t->shape[d];
    }
    return at;
}

/* Not worth a thread below this many elements. */
enum { SMALL = 1 << 16 };

static void fill_mask(uint64_t key, const struct ff_tensor *t, int flags)
{
    int64_t count = ff_tensor_count(t), columns = t->shape[t->ndim - 1], first = t->ndim > 1 ? count / t->shape[0] : 0;
#pragma omp parallel for schedule(static) if (count > SMALL)
    for (int64_t i = 0; i < count; i++) {
        struct draw d = {key, (uint64_t)i};
        bool on = below(&d, 5) != 0 || (flags & FF_CASE_UNMASKED);
        if ((flags & FF_CASE_EMPTY) && (i < first || i % columns == columns - 1))
            on = false;
        if ((flags & FF_CASE_LATE) && i % columns < columns / 2)
            on = false;
        ((float *)t->data)[offset(t, t->ndim, i)] = on ? 1.0f : 0.0f;
    }
}

void ff_fill_tensor(const struct ff_tensor *t, enum ff_fill how, enum ff_op op, int number, int flags, uint64_t seed,
                    enum ff_dtype exact_in)
{
    int64_t count = ff_tensor_count(t), n = t->shape[t->ndim - 1], rows = n > 0 ? count / n : 0;
    if (how == FF_FILL_NOTHING || count == 0)
        return;
    struct ff_rng r;
    ff_rng_init(&r, seed, ff_op_name[op], (uint64_t)number);
    uint64_t key = ff_rng_u64(&r);
    if (how == FF_FILL_MASK) {
        fill_mask(key, t, flags);
        return;
    }
    double fan_in = t->ndim > 1 ? (double)t->shape[0] : 1.0;
#pragma omp parallel for schedule(static) if (count > SMALL)
    for (int64_t row = 0; row < rows; row++) {
        float *x = (float *)t->data + offset(t, t->ndim - 1, row);
        fill_row((struct draw){key, (uint64_t)(row * n)}, how, x, n, fan_in);
        if (exact_in != FF_F32 && t->dtype == FF_F32)
            for (int64_t i = 0; i < n; i++)
                x[i] = exact_in == FF_F16 ? ff_f16_to_f32(ff_f32_to_f16(x[i])) : ff_bf16_to_f32(ff_f32_to_bf16(x[i]));
    }
}

uint32_t *ff_fill_storage(size_t elements)
{
    uint32_t *storage = ff_xmalloc_large(elements * sizeof *storage + 64);
#pragma omp parallel for schedule(static) if (elements > SMALL)
    for (size_t i = 0; i < elements; i++)
        storage[i] = FF_OP_CALL_UNUSED;
    return storage;
}

void ff_fill_narrow(uint16_t *y, enum ff_dtype type, const float *x, size_t n)
{
#pragma omp parallel for schedule(static) if (n > SMALL)
    for (size_t i = 0; i < n; i++)
        y[i] = type == FF_F16 ? ff_f32_to_f16(x[i]) : ff_f32_to_bf16(x[i]);
}
