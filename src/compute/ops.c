/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/ops.h"

#include "base/status.h"

const char *const ff_op_name[FF_OP_COUNT] = {
#define X(op) [FF_OP_##op] = #op,
    FF_OPS(X)
#undef X
};

int ff_planes_of(const struct ff_tensor *whole, const struct ff_planes *apart, struct ff_planes *ret)
{
    if (!ff_tensor_present(&apart->t)) {
        ret[0] = (struct ff_planes){.t = *whole};
        return 1;
    }
    int64_t from = apart->from, to = from + apart->t.shape[0], n_channel = whole->shape[0];
    FF_ASSERT(whole->ndim == 3 && apart->t.ndim == 3 && from >= 0 && to <= n_channel);
    FF_ASSERT(apart->t.shape[1] == whole->shape[1] && apart->t.shape[2] == whole->shape[2]);
    FF_ASSERT(apart->t.dtype == whole->dtype);
    int n = 0;
    if (from > 0)
        ret[n++] = (struct ff_planes){ff_tensor_slice(*whole, 0, 0, from), 0};
    if (to > from)
        ret[n++] = (struct ff_planes){apart->t, from};
    if (to < n_channel)
        ret[n++] = (struct ff_planes){ff_tensor_slice(*whole, 0, to, n_channel - to), to};
    return n;
}

void ff_linear_apart(const struct ff_linear_args *a, struct ff_linear_args ret[2])
{
    ret[0] = ret[1] = *a;
    ret[1].out = a->out2;
    ret[1].w = a->w2;
    ret[1].b = a->b2;
    for (int i = 0; i < 2; i++)
        ret[i].out2 = ret[i].w2 = ret[i].b2 = (struct ff_tensor){0};
}

int ff_linear_places(const struct ff_linear_args *a, struct ff_linear_args ret[FF_LINEAR_PLACES])
{
    int n = 1;
    while (n < FF_LINEAR_PLACES && ff_tensor_present(&a->more[n - 1].x))
        n++;
    FF_ASSERT(n == 1 || (!ff_tensor_present(&a->mask) && !ff_tensor_present(&a->out2)));
    for (int i = 0; i < n; i++) {
        ret[i] = *a;
        if (i > 0) {
            ret[i].out = a->more[i - 1].out;
            ret[i].x = a->more[i - 1].x;
        }
        for (int j = 0; j < FF_LINEAR_PLACES - 1; j++)
            ret[i].more[j] = (struct ff_linear_rows){0};
    }
    return n;
}
