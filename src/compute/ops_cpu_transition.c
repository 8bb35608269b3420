/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_transition: the two-layer transition on the cpu. The hidden layer of a tile stays in the second-level cache;
 * it is never written as a whole.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 9 and 15; AlphaFold model/modules.py Transition.
 */
#include "base/status.h"
#include "compute/ops_cpu.h"

static void piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_transition_args *a = user;
    int64_t c = a->w1.shape[0], n = a->w1.shape[1];
    float *x = ff_scratch_floats(s, count * c);                  /* [count, c] */
    float *hidden = ff_scratch_floats(s, count * n);             /* [count, n] */

    ff_tile_load_norm(x, c, &a->out, from, count, &a->norm);
    ff_tile_affine(hidden, n, x, c, count, &a->w1, &(struct ff_tile_affine){.b = ff_weights(&a->b1), .relu = true});
    ff_tile_add_linear(&a->out, from, count, hidden, n, &a->w2, ff_weights(&a->b2), x);
}

void ff_cpu_transition(struct ff_backend *be, const struct ff_transition_args *a)
{
    int64_t c = a->w1.shape[0], n = a->w1.shape[1];
    FF_ASSERT(a->out.ndim >= 1 && a->out.shape[a->out.ndim - 1] == c && a->out.dtype == FF_F32);
    FF_ASSERT(a->w2.shape[0] == n && a->w2.shape[1] == c && a->b1.shape[0] == n && a->b2.shape[0] == c);
    ff_cpu_rows(be, ff_tile_row_count(&a->out), c + n, 32, piece, (void *)a);
}
