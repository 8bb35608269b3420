/* SPDX-License-Identifier: Apache-2.0
 * feature_check: compares named arrays of a file with what is expected of them, from a table.
 */
#include "feature/feature_check.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ff_feature_sizes_init(struct ff_feature_sizes *s)
{
    for (int i = 0; i < 26; i++)
        s->of[i] = -1;
}

int64_t ff_feature_size(const struct ff_feature_sizes *s, char letter)
{
    FF_ASSERT(letter >= 'A' && letter <= 'Z');
    return s->of[letter - 'A'];
}

static double element(const struct ff_array *a, int64_t i)
{
    switch (a->dtype) {
    case FF_F32: return ((const float *)a->data)[i];
    case FF_F64: return ((const double *)a->data)[i];
    case FF_I32: return ((const int32_t *)a->data)[i];
    case FF_I64: return (double)((const int64_t *)a->data)[i];
    case FF_U8:
    case FF_BOOL: return ((const uint8_t *)a->data)[i];
    case FF_BF16: return ff_bf16_to_f32(((const uint16_t *)a->data)[i]);
    case FF_F16: return ff_f16_to_f32(((const uint16_t *)a->data)[i]);
    }
    return NAN;
}

/* "[3, 10, 5]" to the place of element i. */
static void place_text(const struct ff_array *a, int64_t i, char *buf, size_t size)
{
    struct ff_array at = {.ndim = a->ndim};
    for (int d = a->ndim - 1; d >= 0; d--) {
        at.shape[d] = i % a->shape[d];
        i /= a->shape[d];
    }
    ff_array_shape_text(&at, buf, size);
}

static ff_status check_values(const char *file, struct ff_array *a, const struct ff_feature_spec *spec)
{
    bool any = spec->min > spec->max, integer = spec->dtype == FF_I32;
    int64_t count = ff_array_count(a);
    for (int64_t i = 0; i < count; i++) {
        double v = element(a, i);
        if (isfinite(v) && (any || (v >= spec->min && v <= spec->max)) &&
            (!integer || (v == floor(v) && v >= INT32_MIN && v <= INT32_MAX)))
            continue;
        char place[160], range[80] = "a finite number";
        place_text(a, i, place, sizeof place);
        if (!any)
            snprintf(range, sizeof range, "%s from %g to %g", integer ? "an integer" : "a number", spec->min,
                     spec->max);
        else if (integer)
            snprintf(range, sizeof range, "a 32-bit integer");
        return ff_fail(FF_EINPUT, "%s: array %s has the value %g at %s; expected %s", file, a->name, v, place, range);
    }
    if (spec->dtype == FF_I32)
        ff_array_to_i32(a);
    else if (spec->dtype == FF_F32)
        ff_array_to_f32(a);
    return FF_OK;
}

/* What dims asks for, with sizes that are known: "[4, N, 49]". */
static void expected_text(const char *dims, const struct ff_feature_sizes *sizes, char *buf, size_t size)
{
    size_t len = 0;
    const char *p = dims;
    len += (size_t)snprintf(buf, size, "[");
    while (*p != '\0' && len < size) {
        size_t word = strcspn(p, " ");
        const char *comma = len > 1 ? ", " : "";
        int64_t known = *p >= 'A' && *p <= 'Z' ? ff_feature_size(sizes, *p) : -1;
        if (known >= 0)
            len += (size_t)snprintf(buf + len, size - len, "%s%" PRId64, comma, known);
        else
            len += (size_t)snprintf(buf + len, size - len, "%s%.*s", comma, (int)word, p);
        p += word + (p[word] == ' ');
    }
    if (len < size)
        snprintf(buf + len, size - len, "]");
}

static ff_status check_shape(const char *file, const struct ff_array *a, const char *dims,
                             struct ff_feature_sizes *sizes)
{
    int d = 0;
    bool same = true;
    struct ff_feature_sizes found = *sizes;
    for (const char *p = dims; *p != '\0' && same; d++) {
        size_t word = strcspn(p, " ");
        if (d >= a->ndim) {
            same = false;
        } else if (*p >= 'A' && *p <= 'Z') {
            int64_t *size = &found.of[*p - 'A'];
            if (*size < 0)
                *size = a->shape[d];
            same = *size == a->shape[d];
        } else {
            same = strtoll(p, NULL, 10) == a->shape[d];
        }
        p += word + (p[word] == ' ');
    }
    if (same && d == a->ndim) {
        *sizes = found;
        return FF_OK;
    }
    char got[160], expected[160];
    ff_array_shape_text(a, got, sizeof got);
    expected_text(dims, sizes, expected, sizeof expected);
    return ff_fail(FF_EINPUT, "%s: array %s has the shape %s; expected %s", file, a->name, got, expected);
}

ff_status ff_feature_check(const char *file, struct ff_arrays *arrays, const struct ff_feature_spec *table, int n,
                           struct ff_feature_sizes *sizes)
{
    for (int i = 0; i < n; i++) {
        const struct ff_feature_spec *spec = &table[i];
        struct ff_array *a = ff_arrays_find(arrays, spec->name);
        if (a == NULL && spec->presence == FF_FEATURE_OPTIONAL)
            continue;
        if (a == NULL)
            return ff_fail(FF_EINPUT, "%s: array %s is missing; it is needed beside the others in this file", file,
                           spec->name);
        FF_TRY(check_shape(file, a, spec->dims, sizes));
        if (spec->dtype == FF_U8) {
            if (a->dtype != FF_U8)
                return ff_fail(FF_EINPUT, "%s: array %s has the type %s; expected text as uint8", file, a->name,
                               ff_dtype_name(a->dtype));
            continue;
        }
        FF_TRY(check_values(file, a, spec));
    }
    return FF_OK;
}

int64_t ff_feature_text_count(const struct ff_array *text)
{
    int64_t n = 1;
    const char *p = text->data;
    for (int64_t i = 0; i < ff_array_count(text); i++)
        n += p[i] == '\n';
    return n;
}
