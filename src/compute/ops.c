/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/ops.h"

#include "base/status.h"

const char *const ff_op_name[FF_OP_COUNT] = {
#define X(op) [FF_OP_##op] = #op,
    FF_OPS(X)
#undef X
};

int64_t ff_planes_count(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart)
{
    int64_t n = others->shape[0];
    for (int i = 0; i < n_apart && ff_tensor_present(&apart[i].t); i++)
        n += apart[i].t.shape[0];
    return n;
}

int ff_planes_of(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart, struct ff_planes *ret)
{
    FF_ASSERT(others->ndim == 3 && n_apart <= FF_PLANES_APART);
    int n = 0;
    int64_t channel = 0, used = 0;       /* of all; of the others */
    for (int i = 0; i < n_apart && ff_tensor_present(&apart[i].t); i++) {
        const struct ff_planes *p = &apart[i];
        int64_t before = p->from - channel;
        FF_ASSERT(p->t.ndim == 3 && before >= 0 && used + before <= others->shape[0]);
        FF_ASSERT(p->t.shape[1] == others->shape[1] && p->t.shape[2] == others->shape[2]);
        FF_ASSERT(p->t.dtype == others->dtype);
        if (before > 0)
            ret[n++] = (struct ff_planes){ff_tensor_slice(*others, 0, used, before), channel};
        if (p->t.shape[0] > 0)
            ret[n++] = *p;
        used += before;
        channel = p->from + p->t.shape[0];
    }
    if (used < others->shape[0])
        ret[n++] = (struct ff_planes){ff_tensor_slice(*others, 0, used, others->shape[0] - used), channel};
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
