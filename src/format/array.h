/* SPDX-License-Identifier: Apache-2.0
 * array: named n-dimensional host arrays and ordered sets of them: what .npz files hold and what feature sets are.
 *
 * Data are C-ordered, contiguous, little-endian and owned by the array (ff_array_free).
 */
#ifndef FF_FORMAT_ARRAY_H
#define FF_FORMAT_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { FF_ARRAY_MAX_DIM = 8 };

enum ff_dtype { FF_F32, FF_BF16, FF_F16, FF_F64, FF_I32, FF_I64, FF_U8, FF_BOOL };

size_t ff_dtype_size(enum ff_dtype t);
const char *ff_dtype_name(enum ff_dtype t);      /* "float32", ... */

struct ff_array {
    char *name;                                  /* may be NULL outside a set */
    enum ff_dtype dtype;
    int ndim;
    int64_t shape[FF_ARRAY_MAX_DIM];
    void *data;
};

int64_t ff_array_count(const struct ff_array *a); /* number of elements; 1 for a scalar */
size_t ff_array_bytes(const struct ff_array *a);
void ff_array_free(struct ff_array *a);           /* frees name and data, resets */
/* "[4, 43, 22]" into buf; returns buf. */
const char *ff_array_shape_text(const struct ff_array *a, char *buf, size_t size);

struct ff_arrays {
    struct ff_array *items;
    int count;
    int capacity;
};

void ff_arrays_free(struct ff_arrays *s);
struct ff_array *ff_arrays_find(const struct ff_arrays *s, const char *name);          /* NULL when absent */
/* Adds a zeroed array (replacing one of that name) and returns it; shape has ndim entries. The pointer is valid until
 * the next add. */
struct ff_array *ff_arrays_add(struct ff_arrays *s, const char *name, enum ff_dtype dtype, int ndim,
                               const int64_t *shape);
bool ff_arrays_remove(struct ff_arrays *s, const char *name);
/* The array named name with this dtype and shape; a -1 in shape accepts any size and, if the shape pointer's entry is
 * to be known, read a->shape. Fails with FF_EINPUT and a message that names what was found and expected. */
ff_status ff_arrays_get(const struct ff_arrays *s, const char *name, enum ff_dtype dtype, int ndim,
                        const int64_t *shape, const struct ff_array **ret) FF_MUST_USE;
/* Text as uint8 array of its bytes (no NUL). */
struct ff_array *ff_arrays_add_text(struct ff_arrays *s, const char *name, const char *text, size_t len);

/* Converts in place to float32 / int32 from any dtype. bfloat16 and float16 widen exactly; floats are cut towards zero
 * for int32, values outside its range become the nearest end, NaN 0. */
void ff_array_to_f32(struct ff_array *a);
void ff_array_to_i32(struct ff_array *a);

float ff_bf16_to_f32(uint16_t v);
uint16_t ff_f32_to_bf16(float v);                /* round to nearest even */
float ff_f16_to_f32(uint16_t v);
uint16_t ff_f32_to_f16(float v);                 /* round to nearest even; infinite from 65520 on */

#endif
