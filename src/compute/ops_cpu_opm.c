/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_opm: outer product mean on the cpu, in tiles of rows times columns of the pair representation.
 *
 * For a tile, one product over the sequences gives all outer products p[i, c, j, e] = sum_s a[s, i, c] b[s, j, e]; they
 * are put into the order q[(i, j), (c, e)] that the weights want, and a second product gives the update. Both stay in
 * the second-level cache. The first operand is packed, a block of sequences at a time: its rows lie a power of two
 * apart and would push each other out of the caches (hence also PAD), and so the scratch does not grow with the
 * alignment.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 10; AlphaFold model/modules.py OuterProductMean.
 */
#include <string.h>

#include "base/status.h"
#include "compute/ops_cpu.h"

enum { TILE_ROWS = 256, TILE_COLUMNS = 512 };        /* of p */
enum { BLOCK = 128, PAD = 16 };                      /* sequences per packed block; floats between packed rows */

struct opm {
    const struct ff_outer_product_mean_args *a;
    int64_t ti, tj;                          /* residues per tile */
    int64_t n_tj;                            /* tiles along j */
};

/* y[s, r, :] = x[s0 + s, r0 + r, :], sequences ld apart. */
static void pack(float *y, int64_t ld, const struct ff_tensor *x, int64_t s0, int64_t n_s, int64_t r0, int64_t n_r)
{
    int64_t n = x->shape[2];
    if (x->stride[1] == n) {                 /* residues one after the other: copy them together */
        n *= n_r;
        n_r = 1;
    }
    for (int64_t s = 0; s < n_s; s++, y += ld)
        for (int64_t r = 0; r < n_r; r++)
            memcpy(y + r * n, FF_AT(float, x, s0 + s, r0 + r), (size_t)n * sizeof(float));
}

/* y[s, r] = mask[s0 + s, r0 + r] */
static void pack_mask(float *y, const struct ff_tensor *mask, int64_t s0, int64_t n_s, int64_t r0, int64_t n_r)
{
    for (int64_t s = 0; s < n_s; s++) {
        const float *m = FF_AT(float, mask, s0 + s, r0);
        for (int64_t r = 0; r < n_r; r++)
            *y++ = m[r * mask->stride[1]];
    }
}

/* q[i, j, c, e] = p[i, c, j, e] */
FF_CLONES
static void reorder(float *q, int64_t ld, const float *p, int64_t n_i, int64_t n_j, int64_t n_c)
{
    for (int64_t i = 0; i < n_i; i++)
        for (int64_t c = 0; c < n_c; c++)
            for (int64_t j = 0; j < n_j; j++) {
                float *to = q + (i * n_j + j) * ld + c * n_c;
                const float *from = p + ((i * n_c + c) * n_j + j) * n_c;
#pragma omp simd
                for (int64_t e = 0; e < n_c; e++)
                    to[e] = from[e];
            }
}

/* out[j, :] += (y[j, :] + bias) / (1e-3 + norm[j]) */
FF_CLONES
static void put_mean(float *out, int64_t ld_out, const float *y, const float *bias, const float *norm, int64_t n_j,
                     int64_t n)
{
    for (int64_t j = 0; j < n_j; j++) {
        float factor = 1.0f / (1e-3f + norm[j]);
#pragma omp simd
        for (int64_t k = 0; k < n; k++)
            out[j * ld_out + k] += (y[j * n + k] + bias[k]) * factor;
    }
}

static void tile(const struct opm *t, struct ff_scratch *s, int64_t i0, int64_t j0)
{
    const struct ff_outer_product_mean_args *a = t->a;
    int64_t n_s = a->a.shape[0], n_c = a->a.shape[2], c_z = a->w.shape[1];
    int64_t ni = a->out.shape[0] - i0 < t->ti ? a->out.shape[0] - i0 : t->ti;
    int64_t nj = a->out.shape[1] - j0 < t->tj ? a->out.shape[1] - j0 : t->tj;
    int64_t block = n_s < BLOCK ? n_s : BLOCK;
    int64_t ld_a = ni * n_c + PAD, ld_q = n_c * n_c + PAD;
    float *p = ff_scratch_floats(s, ni * nj * n_c * n_c);        /* [ni, C, nj, C], later y [ni, nj, c_z] */
    float *q = ff_scratch_floats(s, ni * nj * ld_q);             /* [ni, nj, C, C], ld_q apart */
    float *y = ff_scratch_floats(s, ni * nj * c_z);
    float *norm = ff_scratch_floats(s, ni * nj);                 /* [ni, nj] */
    float *mask_a = ff_scratch_floats(s, block * ni);            /* [block, ni] */
    float *mask_b = ff_scratch_floats(s, block * nj);
    float *pa = ff_scratch_floats(s, block * ld_a);          /* [block, ni, C], ld_a apart */
    float *pb = ff_scratch_floats(s, block * nj * n_c);          /* [block, nj, C] */

    for (int64_t s0 = 0; s0 < n_s; s0 += block) {
        int64_t ns = n_s - s0 < block ? n_s - s0 : block;
        float beta = s0 > 0 ? 1.0f : 0.0f;
        pack(pa, ld_a, &a->a, s0, ns, i0, ni);
        /* The product packs its second operand by itself. */
        const float *b = FF_AT(float, &a->b, s0, j0);
        int64_t ld_b = a->b.stride[0];
        if (a->b.stride[1] != n_c) {
            b = pb;
            ld_b = nj * n_c;
            pack(pb, ld_b, &a->b, s0, ns, j0, nj);
        }
        ff_tile_gemm(true, false, ni * n_c, nj * n_c, ns, 1.0f, pa, ld_a, b, ld_b, beta, p, nj * n_c);
        pack_mask(mask_a, &a->mask_a, s0, ns, i0, ni);
        pack_mask(mask_b, &a->mask_b, s0, ns, j0, nj);
        ff_tile_gemm(true, false, ni, nj, ns, 1.0f, mask_a, ni, mask_b, nj, beta, norm, nj);
    }
    reorder(q, ld_q, p, ni, nj, n_c);
    ff_tile_linear(y, q, ld_q, ni * nj, &a->w);
    for (int64_t i = 0; i < ni; i++)
        put_mean(FF_AT(float, &a->out, i0 + i, j0), a->out.stride[1], y + i * nj * c_z, a->bias.data, norm + i * nj,
                 nj, c_z);
}

static void piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct opm *t = user;
    struct ff_scratch whole = *s;
    for (int64_t task = from; task < from + count; task++) {
        *s = whole;
        tile(t, s, task / t->n_tj * t->ti, task % t->n_tj * t->tj);
    }
}

void ff_cpu_outer_product_mean(struct ff_backend *be, const struct ff_outer_product_mean_args *a)
{
    int64_t n_s = a->a.shape[0], n_c = a->a.shape[2], n_i = a->out.shape[0], n_j = a->out.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->a.ndim == 3 && a->b.ndim == 3 && a->mask_a.ndim == 2 && a->mask_b.ndim == 2);
    FF_ASSERT(a->a.shape[1] == n_i && a->b.shape[1] == n_j && a->b.shape[0] == n_s && a->b.shape[2] == n_c);
    FF_ASSERT(a->mask_a.shape[0] == n_s && a->mask_a.shape[1] == n_i);
    FF_ASSERT(a->mask_b.shape[0] == n_s && a->mask_b.shape[1] == n_j);
    FF_ASSERT(a->w.shape[0] == n_c * n_c && a->w.shape[1] == a->out.shape[2] && a->bias.shape[0] == a->out.shape[2]);

    struct opm t = {.a = a, .ti = TILE_ROWS / n_c, .tj = TILE_COLUMNS / n_c};
    t.ti = t.ti < 1 ? 1 : t.ti > n_i ? n_i : t.ti;
    t.tj = t.tj < 1 ? 1 : t.tj > n_j ? n_j : t.tj;
    int64_t n_ti = (n_i + t.ti - 1) / t.ti;
    for (;;) {
        t.n_tj = (n_j + t.tj - 1) / t.tj;
        if (n_ti * t.n_tj >= 3 * ff_cpu_threads(be) || t.tj <= 4)
            break;
        t.tj = (t.tj + 1) / 2;
    }
    ff_cpu_for(be, n_ti * t.n_tj, 1, piece, &t);
}
