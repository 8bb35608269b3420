/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/arena.h"

void ff_arena_init(struct ff_arena *a, void *base, size_t size)
{
    FF_ASSERT(base != NULL && (uintptr_t)base % FF_ARENA_ALIGN == 0);
    *a = (struct ff_arena){.base = base, .size = size};
}

void ff_arena_init_measuring(struct ff_arena *a)
{
    *a = (struct ff_arena){.size = SIZE_MAX};
}

struct ff_tensor ff_arena_push(struct ff_arena *a, enum ff_dtype dtype, int ndim, const int64_t *shape)
{
    /* Imaginary addresses start above 0, so that no tensor looks absent. */
    void *data = (void *)((a->base ? (uintptr_t)a->base : (uintptr_t)FF_ARENA_ALIGN) + a->used);
    struct ff_tensor t = ff_tensor_make(data, dtype, ndim, shape);
    size_t bytes = (ff_tensor_bytes(&t) + FF_ARENA_ALIGN - 1) / FF_ARENA_ALIGN * FF_ARENA_ALIGN;
    if (bytes > a->size - a->used) {
        struct ff_array text = {.ndim = ndim};
        for (int d = 0; d < ndim; d++)
            text.shape[d] = shape[d];
        char buf[128];
        ff_die(FF_EINTERNAL, __FILE__, __LINE__,
               "the plan reserved %zu bytes, %zu are in use and %s of %s needs %zu more", a->size, a->used,
               ff_array_shape_text(&text, buf, sizeof buf), ff_dtype_name(dtype), bytes);
    }
    a->used += bytes;
    if (a->used > a->peak)
        a->peak = a->used;
    return t;
}

void ff_arena_release(struct ff_arena *a, size_t mark)
{
    FF_ASSERT(mark <= a->used && mark % FF_ARENA_ALIGN == 0);
    a->used = mark;
}
