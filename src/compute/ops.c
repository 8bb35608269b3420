/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/ops.h"

#include "base/status.h"

const char *const ff_op_name[FF_OP_COUNT] = {
#define X(op) [FF_OP_##op] = #op,
    FF_OPS(X)
#undef X
};

int64_t ff_planes_count(const struct ff_tensor *others, const struct ff_planes *apart)
{
    return others->shape[0] + (ff_tensor_present(&apart->t) ? apart->t.shape[0] : 0);
}

int ff_planes_of(const struct ff_tensor *others, const struct ff_planes *apart, struct ff_planes *ret)
{
    if (!ff_tensor_present(&apart->t)) {
        ret[0] = (struct ff_planes){.t = *others};
        return 1;
    }
    int64_t from = apart->from, count = apart->t.shape[0], after = others->shape[0] - from;
    FF_ASSERT(others->ndim == 3 && apart->t.ndim == 3 && from >= 0 && after >= 0);
    FF_ASSERT(apart->t.shape[1] == others->shape[1] && apart->t.shape[2] == others->shape[2]);
    FF_ASSERT(apart->t.dtype == others->dtype);
    int n = 0;
    if (from > 0)
        ret[n++] = (struct ff_planes){ff_tensor_slice(*others, 0, 0, from), 0};
    if (count > 0)
        ret[n++] = (struct ff_planes){apart->t, from};
    if (after > 0)
        ret[n++] = (struct ff_planes){ff_tensor_slice(*others, 0, from, after), from + count};
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
