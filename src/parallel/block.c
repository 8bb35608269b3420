/* SPDX-License-Identifier: Apache-2.0
 * block: see block.h.
 */
#include "parallel/block.h"

#include <string.h>

#include "base/status.h"

static void swap_axes(struct ff_block *k, int i, int j)
{
    size_t n = k->n[i], a = k->a[i], b = k->b[i];
    k->n[i] = k->n[j];
    k->a[i] = k->a[j];
    k->b[i] = k->b[j];
    k->n[j] = n;
    k->a[j] = a;
    k->b[j] = b;
}

static void drop_axis(struct ff_block *k, int *n_axis, int i)
{
    for (*n_axis -= 1; i < *n_axis; i++)
        swap_axes(k, i, i + 1);
    k->n[*n_axis] = 1;
}

struct ff_block ff_block_make(size_t element, int ndim, const int64_t *shape, const int64_t *a, const int64_t *b)
{
    struct ff_block k = {.width = element * (size_t)shape[ndim - 1], .n = {1, 1, 1}};
    int n_axis = 0;
    for (int d = ndim - 2; d >= 0; d--) {
        if (shape[d] == 1)
            continue;
        FF_ASSERT(n_axis < FF_BLOCK_AXES);
        k.n[n_axis] = (size_t)shape[d];
        k.a[n_axis] = element * (size_t)a[d];
        k.b[n_axis++] = element * (size_t)b[d];
    }
    /* The steps of side a rise from axis to axis, so that what can be joined is next to each other. */
    for (int i = 1; i < n_axis; i++)
        for (int j = i; j > 0 && k.a[j] < k.a[j - 1]; j--)
            swap_axes(&k, j, j - 1);
    while (n_axis > 0 && k.a[0] == k.width && k.b[0] == k.width) {
        k.width *= k.n[0];
        drop_axis(&k, &n_axis, 0);
    }
    for (int i = 1; i < n_axis; i++)
        if (k.a[i] == k.n[i - 1] * k.a[i - 1] && k.b[i] == k.n[i - 1] * k.b[i - 1]) {
            k.n[i - 1] *= k.n[i];
            drop_axis(&k, &n_axis, i--);
        }
    return k;
}

void ff_block_copy(const struct ff_block *k, void *b, const void *a)
{
    for (size_t z = 0; z < k->n[2]; z++)
        for (size_t y = 0; y < k->n[1]; y++)
            for (size_t x = 0; x < k->n[0]; x++)
                memcpy((char *)b + z * k->b[2] + y * k->b[1] + x * k->b[0],
                       (const char *)a + z * k->a[2] + y * k->a[1] + x * k->a[0], k->width);
}
