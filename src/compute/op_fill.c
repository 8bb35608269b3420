/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/op_fill.h"

#include <math.h>

#include "base/rng.h"


static double symmetric(struct ff_rng *r)
{
    return 2.0 * ff_rng_uniform(r) - 1.0;
}

static void fill_frame(struct ff_rng *r, float *f, double extent)
{
    double q[4], n = 0;
    for (int i = 0; i < 4; i++) {
        q[i] = symmetric(r) + (i == 0 ? 1.5 : 0.0);
        n += q[i] * q[i];
    }
    double a = q[0], b = q[1], c = q[2], d = q[3];
    const double m[9] = {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c),
                         2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b),
                         2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c + d * d};
    for (int i = 0; i < 9; i++)
        f[i] = (float)(m[i] / n);
    for (int i = 9; i < 12; i++)
        f[i] = (float)(extent * symmetric(r));
}

/* One row of the last axis. */
static void fill_row(struct ff_rng *r, enum ff_fill how, float *x, int64_t n, double fan_in)
{
    int32_t *v = (int32_t *)(void *)x;
    double length = 0;
    switch (how) {
    case FF_FILL_NORMAL:
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(1.7320508075688772 * symmetric(r));
        break;
    case FF_FILL_WEIGHT:
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(sqrt(3.0 / fan_in) * symmetric(r));
        break;
    case FF_FILL_BIAS:
    case FF_FILL_SCALE:
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)((how == FF_FILL_SCALE ? 1.0 : 0.0) + 0.1 * symmetric(r));
        break;
    case FF_FILL_POSITION:
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(20.0 * symmetric(r));
        break;
    case FF_FILL_FRAME:
    case FF_FILL_NEAR_FRAME:
        fill_frame(r, x, how == FF_FILL_FRAME ? 20.0 : 2.0);
        break;
    case FF_FILL_QUATERNION:
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float)(symmetric(r) + (i == 0 ? 1.5 : 0.0));
            length += (double)x[i] * x[i];
        }
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(x[i] / sqrt(length));
        break;
    case FF_FILL_AATYPE:
    case FF_FILL_TOKEN:
    case FF_FILL_MSA:
        for (int64_t i = 0; i < n; i++)
            v[i] = (int32_t)ff_rng_below(r, how == FF_FILL_AATYPE ? 21 : how == FF_FILL_TOKEN ? 22 : 23);
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
            v[i] = (int32_t)ff_rng_below(r, how == FF_FILL_GROUP ? 8 : 14);
        break;
    case FF_FILL_MASK:
    case FF_FILL_NOTHING:
        break;
    }
}

static void fill_mask(struct ff_rng *r, const struct ff_tensor *t, int flags)
{
    int64_t rows = t->ndim > 1 ? t->shape[0] : 1, inner = ff_tensor_count(t) / (rows ? rows : 1);
    int64_t columns = t->shape[t->ndim - 1];
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < inner; i++) {
            int64_t at = t->ndim > 1 ? row * t->stride[0] : 0, rest = i;
            for (int d = t->ndim - 1; d >= (t->ndim > 1 ? 1 : 0); d--) {
                at += rest % t->shape[d] * t->stride[d];
                rest /= t->shape[d];
            }
            bool on = ff_rng_below(r, 5) != 0 || (flags & FF_CASE_UNMASKED);
            if ((flags & FF_CASE_EMPTY) && ((t->ndim > 1 && row == 0) || i % columns == columns - 1))
                on = false;
            ((float *)t->data)[at] = on ? 1.0f : 0.0f;
        }
    }
}

void ff_fill_tensor(const struct ff_tensor *t, enum ff_fill how, enum ff_op op, int number, int flags, uint64_t seed,
                    bool round_bf16)
{
    struct ff_rng r;
    ff_rng_init(&r, seed, ff_op_name[op], (uint64_t)number);
    if (how == FF_FILL_MASK) {
        fill_mask(&r, t, flags);
        return;
    }
    int64_t n = t->shape[t->ndim - 1], rows = n > 0 ? ff_tensor_count(t) / n : 0;
    double fan_in = t->ndim > 1 ? (double)t->shape[0] : 1.0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at = 0, rest = row;
        for (int d = t->ndim - 2; d >= 0; d--) {
            at += rest % t->shape[d] * t->stride[d];
            rest /= t->shape[d];
        }
        float *x = (float *)t->data + at;
        fill_row(&r, how, x, n, fan_in);
        if (round_bf16 && t->dtype == FF_F32 && how != FF_FILL_NOTHING)
            for (int64_t i = 0; i < n; i++)
                x[i] = ff_bf16_to_f32(ff_f32_to_bf16(x[i]));
    }
}
