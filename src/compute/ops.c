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
