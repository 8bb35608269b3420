/* SPDX-License-Identifier: Apache-2.0
 * array: named n-dimensional host arrays and ordered sets of them.
 */
#include "format/array.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [FF_F32] = {"float32", 4}, [FF_BF16] = {"bfloat16", 2}, [FF_F16] = {"float16", 2}, [FF_F64] = {"float64", 8},
    [FF_I32] = {"int32", 4},   [FF_I64] = {"int64", 8},     [FF_U8] = {"uint8", 1},    [FF_BOOL] = {"bool", 1},
};

size_t ff_dtype_size(enum ff_dtype t)
{
    FF_ASSERT((size_t)t < sizeof dtypes / sizeof *dtypes);
    return dtypes[t].size;
}

const char *ff_dtype_name(enum ff_dtype t)
{
    FF_ASSERT((size_t)t < sizeof dtypes / sizeof *dtypes);
    return dtypes[t].name;
}

int64_t ff_array_count(const struct ff_array *a)
{
    int64_t n = 1;
    for (int d = 0; d < a->ndim; d++)
        n *= a->shape[d];
    return n;
}

size_t ff_array_bytes(const struct ff_array *a)
{
    return (size_t)ff_array_count(a) * ff_dtype_size(a->dtype);
}

void ff_array_free(struct ff_array *a)
{
    free(a->name);
    free(a->data);
    *a = (struct ff_array){0};
}

/* -1 stands for any size. */
static const char *shape_text(int ndim, const int64_t *shape, char *buf, size_t size)
{
    size_t len = 0;
    if (size > 0)
        buf[0] = '\0';
    for (int d = 0; d <= ndim && len < size; d++) {
        const char *open = d == 0 ? "[" : d < ndim ? ", " : "";
        int n;
        if (d == ndim)
            n = snprintf(buf + len, size - len, "%s]", open);
        else if (shape[d] < 0)
            n = snprintf(buf + len, size - len, "%s*", open);
        else
            n = snprintf(buf + len, size - len, "%s%" PRId64, open, shape[d]);
        len += n < 0 ? 0 : (size_t)n;
    }
    return buf;
}

const char *ff_array_shape_text(const struct ff_array *a, char *buf, size_t size)
{
    return shape_text(a->ndim, a->shape, buf, size);
}

void ff_arrays_free(struct ff_arrays *s)
{
    for (int i = 0; i < s->count; i++)
        ff_array_free(&s->items[i]);
    free(s->items);
    *s = (struct ff_arrays){0};
}

struct ff_array *ff_arrays_find(const struct ff_arrays *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->items[i].name, name) == 0)
            return &s->items[i];
    return NULL;
}

struct ff_array *ff_arrays_add(struct ff_arrays *s, const char *name, enum ff_dtype dtype, int ndim,
                               const int64_t *shape)
{
    FF_ASSERT(ndim >= 0 && ndim <= FF_ARRAY_MAX_DIM);
    struct ff_array a = {.dtype = dtype, .ndim = ndim};
    size_t count = 1;
    for (int d = 0; d < ndim; d++) {
        FF_ASSERT(shape[d] >= 0 && !__builtin_mul_overflow(count, (size_t)shape[d], &count));
        a.shape[d] = shape[d];
    }
    a.data = ff_xcalloc(count, ff_dtype_size(dtype));
    a.name = ff_xstrdup(name); /* a copy first: name may belong to the array that is replaced */
    struct ff_array *at = ff_arrays_find(s, name);
    if (at) {
        ff_array_free(at);
    } else {
        FF_GROW(s->items, s->count, s->capacity);
        at = &s->items[s->count++];
    }
    *at = a;
    return at;
}

bool ff_arrays_remove(struct ff_arrays *s, const char *name)
{
    struct ff_array *a = ff_arrays_find(s, name);
    if (!a)
        return false;
    ff_array_free(a);
    s->count--;
    size_t behind = (size_t)(&s->items[s->count] - a);
    memmove(a, a + 1, behind * sizeof *a);
    return true;
}

ff_status ff_arrays_get(const struct ff_arrays *s, const char *name, enum ff_dtype dtype, int ndim,
                        const int64_t *shape, const struct ff_array **ret)
{
    *ret = NULL;
    char want[256], have[256];
    const struct ff_array *a = ff_arrays_find(s, name);
    if (!a)
        return ff_fail(FF_EINPUT, "array '%s' is missing; expected %s %s", name, ff_dtype_name(dtype),
                       shape_text(ndim, shape, want, sizeof want));
    bool same = a->dtype == dtype && a->ndim == ndim;
    for (int d = 0; same && d < ndim; d++)
        same = shape[d] == -1 || shape[d] == a->shape[d];
    if (!same)
        return ff_fail(FF_EINPUT, "array '%s' is %s %s; expected %s %s", name, ff_dtype_name(a->dtype),
                       ff_array_shape_text(a, have, sizeof have), ff_dtype_name(dtype),
                       shape_text(ndim, shape, want, sizeof want));
    *ret = a;
    return FF_OK;
}

struct ff_array *ff_arrays_add_text(struct ff_arrays *s, const char *name, const char *text, size_t len)
{
    struct ff_array *a = ff_arrays_add(s, name, FF_U8, 1, (const int64_t[]){(int64_t)len});
    if (len > 0)
        memcpy(a->data, text, len);
    return a;
}

float ff_bf16_to_f32(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t ff_f32_to_bf16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* NaN stays a (quiet) NaN whatever its low bits are */
    bits += 0x7fffu + (bits >> 16 & 1u);
    return (uint16_t)(bits >> 16);
}

float ff_f16_to_f32(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000u) << 16, exponent = v >> 10 & 0x1fu, mantissa = v & 0x3ffu, bits;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent > 0) {
        bits = sign | (exponent + 127 - 15) << 23 | mantissa << 13;
    } else { /* subnormal or zero: mantissa * 2^-24 is exact in float32 */
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t ff_f32_to_f16(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (size >> 13 & 0x3ffu)); /* quiet; keeps what it can */
    if (size >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u);
    if (size < 0x38800000u) { /* subnormal: a float32 sum that leaves multiples of 2^-24 rounds as wanted */
        float f, shift = 0.5f;
        memcpy(&f, &size, sizeof f);
        f += shift;
        memcpy(&size, &f, sizeof size);
        return (uint16_t)(sign | (size - 0x3f000000u));
    }
    size += 0xfffu + (size >> 13 & 1u);
    return (uint16_t)(sign | ((size - 0x38000000u) >> 13));
}

/* Element i as a double; exact but for int64 beyond 2^53. */
static double element(const struct ff_array *a, int64_t i)
{
    switch (a->dtype) {
    case FF_F32: return ((const float *)a->data)[i];
    case FF_BF16: return ff_bf16_to_f32(((const uint16_t *)a->data)[i]);
    case FF_F16: return ff_f16_to_f32(((const uint16_t *)a->data)[i]);
    case FF_F64: return ((const double *)a->data)[i];
    case FF_I32: return ((const int32_t *)a->data)[i];
    case FF_I64: return (double)((const int64_t *)a->data)[i];
    case FF_U8: return ((const uint8_t *)a->data)[i];
    case FF_BOOL: return ((const uint8_t *)a->data)[i] != 0;
    }
    return 0;
}

void ff_array_to_f32(struct ff_array *a)
{
    if (a->dtype == FF_F32)
        return;
    int64_t n = ff_array_count(a);
    float *data = ff_xreallocarray(NULL, (size_t)n, sizeof *data);
    for (int64_t i = 0; i < n; i++) /* int64 by itself: the way through double would round twice */
        data[i] = a->dtype == FF_I64 ? (float)((const int64_t *)a->data)[i] : (float)element(a, i);
    free(a->data);
    a->data = data;
    a->dtype = FF_F32;
}

static int32_t clamp_i32(double v)
{
    if (isnan(v))
        return 0;
    return v <= INT32_MIN ? INT32_MIN : v >= INT32_MAX ? INT32_MAX : (int32_t)v;
}

void ff_array_to_i32(struct ff_array *a)
{
    if (a->dtype == FF_I32)
        return;
    int64_t n = ff_array_count(a);
    int32_t *data = ff_xreallocarray(NULL, (size_t)n, sizeof *data);
    for (int64_t i = 0; i < n; i++)
        data[i] = clamp_i32(element(a, i));
    free(a->data);
    a->data = data;
    a->dtype = FF_I32;
}
