/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_triangle: the three parts of triangle multiplication on the cpu.
 *
 * The projections are wanted channel first, because the contraction is one product of matrices per channel. The product
 * W^T LN(z)^T of a tile gives that layout without a transposition; bias, gate and mask are applied on the way out.
 * The output part reads the same layout and transposes its tiles first.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 11 and 12; AlphaFold model/modules.py TriangleMultiplication.
 */
#include "base/status.h"
#include "compute/ops_cpu.h"

/* The pairs of one tile are numbered i * K + k; run() gives the longest piece of them that is contiguous in a tensor
 * [c, I, K]: all of it where the planes are contiguous, otherwise the rest of row i. */
static int64_t run(const struct ff_tensor *t, int64_t pair, int64_t left, int64_t *offset)
{
    int64_t n_k = t->shape[2], i = pair / n_k, k = pair % n_k;
    *offset = i * t->stride[1] + k;
    if (t->stride[1] == n_k)
        return left;
    return n_k - k < left ? n_k - k : left;
}

/* --- projection --- */

struct project {
    const struct ff_triangle_project_args *a;
    float *w;                                /* [2 * c_i, c_z]: weights and gate weights transposed */
    struct ff_planes planes[FF_PLANES_MOST]; /* of out */
    int n_planes;
};

static void project_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct project *t = user;
    const struct ff_triangle_project_args *a = t->a;
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    float *x = ff_scratch_floats(s, count * c_z);                /* [count, c_z] */
    float *p = ff_scratch_floats(s, 2 * count * c_i);            /* [2 * c_i, count] */
    float *mask = ff_scratch_floats(s, count);

    ff_tile_load_norm(x, c_z, &a->z, from, count, &a->norm);
    ff_tile_gemm(false, true, 2 * c_i, count, c_z, 1.0f, t->w, c_z, x, c_z, 0.0f, p, count);

    struct ff_walk w;
    ff_walk_begin(&w, &a->mask, 2, from);
    for (int64_t r = 0; r < count; r++, ff_walk_next(&w))
        mask[r] = ((const float *)a->mask.data)[w.at];

    for (int i = 0; i < t->n_planes; i++) {
        const struct ff_tensor *out = &t->planes[i].t;
        int64_t c = t->planes[i].from;
        for (int64_t r = 0, n; r < count; r += n) {
            int64_t offset;
            n = run(out, from + r, count - r, &offset);
            ff_tile_gate_channels((float *)out->data + offset, out->stride[0], p + c * count + r,
                                  p + (c_i + c) * count + r, count, out->shape[0], n, mask + r,
                                  (const float *)a->b.data + c, (const float *)a->gate_b.data + c);
        }
    }
}

void ff_cpu_triangle_project(struct ff_backend *be, const struct ff_triangle_project_args *a)
{
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->z.ndim == 3 && a->mask.ndim == 2);
    FF_ASSERT(ff_planes_count(&a->out, a->apart, FF_PLANES_APART) == c_i);
    FF_ASSERT(a->out.shape[1] == a->z.shape[0] && a->out.shape[2] == a->z.shape[1]);
    FF_ASSERT(a->mask.shape[0] == a->z.shape[0] && a->mask.shape[1] == a->z.shape[1]);
    FF_ASSERT(a->z.shape[2] == c_z && a->gate_w.shape[0] == c_z && a->gate_w.shape[1] == c_i);
    FF_ASSERT(a->b.shape[0] == c_i && a->gate_b.shape[0] == c_i);
    /* One product for both, with the weights in the order in which BLAS packs them fastest. */
    struct project t = {.a = a, .w = ff_cpu_shared(be, 2 * c_i * c_z)};
    t.n_planes = ff_planes_of(&a->out, a->apart, FF_PLANES_APART, t.planes);
    ff_tile_transpose(t.w, c_z, a->w.data, c_i, c_z, c_i);
    ff_tile_transpose(t.w + c_i * c_z, c_z, a->gate_w.data, c_i, c_z, c_i);
    ff_cpu_rows(be, a->z.shape[0] * a->z.shape[1], c_z + 2 * c_i + 1, 64, project_piece, &t);
}

/* --- contraction --- */

struct contract {
    const struct ff_triangle_contract_args *a;
    int64_t block;                           /* rows of out that one task computes */
    int64_t n_block;                         /* tasks per channel */
};

/* Asks for rows [row, row + rows) of channel c ahead of a product that reads them in many short strides, which the
 * processor's own prefetching does not follow. Only where they fit in the second-level cache together. */
static void prefetch(const struct ff_tensor *t, int64_t c, int64_t row, int64_t rows)
{
    enum { LINE = 16, FLOATS = 128 << 10 };
    int64_t n = t->shape[2];
    for (int64_t r = row; r < row + rows && rows * n <= FLOATS; r++)
        for (int64_t k = 0; k < n; k += LINE)
            __builtin_prefetch(FF_AT(float, t, c, r) + k, 0, 2);
}

static void contract_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct contract *t = user;
    const struct ff_tensor *out = &t->a->out, *a = &t->a->a, *b = &t->a->b;
    (void)s;
    for (int64_t task = from; task < from + count; task++) {
        int64_t c = task / t->n_block, i = task % t->n_block * t->block;
        int64_t rows = out->shape[1] - i < t->block ? out->shape[1] - i : t->block;
        prefetch(a, c, i, rows);
        prefetch(b, c, 0, b->shape[1]);
        ff_tile_gemm(false, true, rows, out->shape[2], a->shape[2], 1.0f, FF_AT(float, a, c, i), a->stride[1],
                     FF_AT(float, b, c), b->stride[1], 0.0f, FF_AT(float, out, c, i), out->stride[1]);
    }
}

void ff_cpu_triangle_contract(struct ff_backend *be, const struct ff_triangle_contract_args *a)
{
    int64_t n_c = a->out.shape[0], n_i = a->out.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->a.ndim == 3 && a->b.ndim == 3);
    FF_ASSERT(a->a.shape[0] == n_c && a->b.shape[0] == n_c && a->a.shape[2] == a->b.shape[2]);
    FF_ASSERT(a->a.shape[1] == n_i && a->b.shape[1] == a->out.shape[2]);
    /* As many rows as let a panel of a stay in the second-level cache; fewer where threads would be idle. */
    struct contract t = {.a = a, .block = n_i};
    for (;;) {
        t.n_block = (n_i + t.block - 1) / t.block;
        if (t.block <= 128 || (t.block <= 384 && n_c * t.n_block >= 8 * ff_cpu_threads(be)))
            break;
        t.block = (t.block + 1) / 2;
    }
    ff_cpu_for(be, n_c * t.n_block, 1, contract_piece, &t);
}

/* --- output --- */

struct output {
    const struct ff_triangle_output_args *a;
    struct ff_planes planes[FF_PLANES_MOST]; /* of x */
    int n_planes;
};

static void output_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct output *job = user;
    const struct ff_triangle_output_args *a = job->a;
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    float *x = ff_scratch_floats(s, count * c_i);                /* [count, c_i] */
    float *z = ff_scratch_floats(s, count * c_z);                /* [count, c_z] */
    float *o = ff_scratch_floats(s, count * c_z);                /* [count, c_z] */
    float *g = ff_scratch_floats(s, count * c_z);                /* [count, c_z] */

    for (int i = 0; i < job->n_planes; i++) {
        const struct ff_tensor *in = &job->planes[i].t;
        for (int64_t t = 0, n; t < count; t += n) {
            int64_t offset;
            n = run(in, from + t, count - t, &offset);
            ff_tile_transpose(x + t * c_i + job->planes[i].from, c_i, (const float *)in->data + offset,
                              in->stride[0], in->shape[0], n);
        }
    }
    ff_tile_norm(x, c_i, x, c_i, count, c_i,
                 &(struct ff_tile_norming){.scale = a->center_norm.scale.data, .offset = a->center_norm.offset.data});
    ff_tile_linear(o, x, c_i, count, &a->o_w);
    ff_tile_load_norm(z, c_z, &a->out, from, count, &a->norm);
    ff_tile_affine(g, c_z, z, c_z, count, &a->gate_w,
                   &(struct ff_tile_affine){.ahead = ff_tile_ahead(&a->out, from + count, count)});
    ff_tile_gate(o, c_z, o, c_z, g, c_z, count, c_z, a->o_b.data, a->gate_b.data);
    ff_tile_put(&a->out, from, count, o, c_z, &(struct ff_tile_store){.accumulate = true});
}

void ff_cpu_triangle_output(struct ff_backend *be, const struct ff_triangle_output_args *a)
{
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->x.ndim == 3 && a->out.shape[2] == c_z);
    FF_ASSERT(ff_planes_count(&a->x, &a->apart, 1) == c_i);
    FF_ASSERT(a->x.shape[1] == a->out.shape[0] && a->x.shape[2] == a->out.shape[1]);
    FF_ASSERT(a->gate_w.shape[0] == c_z && a->gate_w.shape[1] == c_z);
    FF_ASSERT(a->o_b.shape[0] == c_z && a->gate_b.shape[0] == c_z);
    FF_ASSERT(ff_tensor_present(&a->center_norm.scale) && a->center_norm.scale.shape[0] == c_i);
    struct output t = {.a = a};
    t.n_planes = ff_planes_of(&a->x, &a->apart, 1, t.planes);
    ff_cpu_rows(be, a->out.shape[0] * a->out.shape[1], c_i + 3 * c_z, 64, output_piece, &t);
}
