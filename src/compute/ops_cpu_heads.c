/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_heads: the output heads that read pairs, on the cpu. The logits of the aligned error live in a tile only,
 * unless they are asked for.
 *
 * Source: Jumper et al. 2021, Suppl. 1.9.7 and 1.9.8; AlphaFold model/modules.py DistogramHead and
 * PredictedAlignedErrorHead, common/confidence.py.
 */
#include <string.h>

#include "base/status.h"
#include "compute/error_tile.h"
#include "compute/ops_cpu.h"

/* --- symmetric linear --- */

static void symmetric_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_symmetric_linear_args *a = user;
    int64_t c = a->w.shape[0], n = a->w.shape[1];
    const float *b = a->b.data;
    float *x = ff_scratch_floats(s, count * c);          /* [count, c] */
    float *b2 = ff_scratch_floats(s, n);
    int64_t ld;
    float *out = (float *)ff_tile_rows_at(&a->out, from, count, &ld);

    for (int64_t k = 0; k < n; k++)
        b2[k] = 2.0f * b[k];
    ff_tile_load_sum(x, c, &a->z, &a->zt, from, count);
    if (out) {
        ff_tile_affine(out, ld, x, c, count, &a->w,
                       &(struct ff_tile_affine){.b = b2, .stream = true,
                                                .ahead = ff_tile_ahead(&a->z, from + count, count)});
        return;
    }
    float *y = ff_scratch_floats(s, count * n);          /* [count, n] */
    ff_tile_linear(y, x, c, count, &a->w);
    ff_tile_put(&a->out, from, count, y, n, &(struct ff_tile_store){.b = b2});
}

/* Of z and its transpose the result is symmetric too: rows [from, from + count) of out from the diagonal on, and what
 * they are on the other side of it. */
static void symmetric_rows(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_symmetric_linear_args *a = user;
    int64_t c = a->w.shape[0], n = a->w.shape[1], n_j = a->z.shape[1];
    float *x = ff_scratch_floats(s, FF_TILE_ROWS * c);   /* [FF_TILE_ROWS, c] */
    float *b2 = ff_scratch_floats(s, n);
    for (int64_t k = 0; k < n; k++)
        b2[k] = 2.0f * ((const float *)a->b.data)[k];
    for (int64_t i = from; i < from + count; i++)
        for (int64_t j = i; j < n_j; j += FF_TILE_ROWS) {
            int64_t rows = n_j - j < FF_TILE_ROWS ? n_j - j : FF_TILE_ROWS;
            float *out = FF_AT(float, &a->out, i, j);
            ff_tile_load_sum(x, c, &a->z, &a->zt, i * n_j + j, rows);
            ff_tile_affine(out, a->out.stride[1], x, c, rows, &a->w, &(struct ff_tile_affine){.b = b2});
            for (int64_t r = 0; r < rows; r++)
                memcpy(FF_AT(float, &a->out, j + r, i), out + r * a->out.stride[1], (size_t)n * sizeof *out);
        }
}

static bool is_transpose(const struct ff_tensor *a, const struct ff_tensor *b)
{
    return a->data == b->data && a->shape[0] == a->shape[1] && a->stride[0] == b->stride[1] &&
           a->stride[1] == b->stride[0];
}

void ff_cpu_symmetric_linear(struct ff_backend *be, const struct ff_symmetric_linear_args *a)
{
    int64_t c = a->w.shape[0], n = a->w.shape[1];
    FF_ASSERT(a->out.ndim == 3 && a->out.shape[2] == n && a->b.shape[0] == n);
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[2] == c && ff_tensor_same_shape(&a->z, &a->zt));
    FF_ASSERT(a->out.shape[0] == a->z.shape[0] && a->out.shape[1] == a->z.shape[1]);
    if (is_transpose(&a->z, &a->zt))
        ff_cpu_for(be, a->z.shape[0], 1, symmetric_rows, (void *)a);
    else
        ff_cpu_rows(be, ff_tile_row_count(&a->z), c + n, n + 64, symmetric_piece, (void *)a);
}

/* --- aligned error --- */

/* out[row + r] = x[r] for elements of a tensor [i, j]. */
static void put_elements(const struct ff_tensor *out, int64_t row, int64_t rows, const float *x)
{
    const int64_t n_j = out->shape[1];
    for (int64_t at = row, run; at < row + rows; at += run, x += run) {
        run = n_j - at % n_j < row + rows - at ? n_j - at % n_j : row + rows - at;
        float *to = FF_AT(float, out, at / n_j, at % n_j);
        if (out->stride[1] == 1)
            memcpy(to, x, (size_t)run * sizeof *x);
        else
            for (int64_t r = 0; r < run; r++)
                to[r * out->stride[1]] = x[r];
    }
}

static void error_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_aligned_error_args *a = user;
    int64_t c = a->w.shape[0], n = a->w.shape[1];
    /* Room for a last block of rows that is not full. */
    float *error = ff_scratch_floats(s, count + FF_ERROR_ROWS), *tm = ff_scratch_floats(s, count + FF_ERROR_ROWS);
    float *block = ff_scratch_floats(s, n * FF_ERROR_ROWS);      /* [n, FF_ERROR_ROWS] */
    float *centre = ff_scratch_floats(s, n), *weight = ff_scratch_floats(s, n);

    for (int64_t k = 0; k < n; k++) {
        centre[k] = a->max_bin / (float)(n - 2) * ((float)k + 0.5f);
        weight[k] = 1.0f / (1.0f + centre[k] * centre[k] / (a->d0 * a->d0));
    }
    int64_t ldz, ld = n;
    const float *z = ff_tile_rows_at(&a->z, from, count, &ldz);
    if (!z) {
        float *tile = ff_scratch_floats(s, count * c);
        ff_tile_load(tile, c, &a->z, from, count);
        z = tile;
        ldz = c;
    }
    /* Logits that are asked for are made where they are to lie. */
    bool wanted = ff_tensor_present(&a->logits);
    float *there = wanted ? (float *)ff_tile_rows_at(&a->logits, from, count, &ld) : NULL;
    float *y = there ? there : ff_scratch_floats(s, count * n);
    ff_tile_affine(y, ld, z, ldz, count, &a->w,
                   &(struct ff_tile_affine){.b = a->b.data, .ahead = ff_tile_ahead(&a->z, from + count, count)});
    memset(block, 0, (size_t)(n * FF_ERROR_ROWS) * sizeof *block);
    for (int64_t r = 0; r < count; r += FF_ERROR_ROWS) {
        int64_t rows = count - r < FF_ERROR_ROWS ? count - r : FF_ERROR_ROWS;
        ff_tile_transpose(block, FF_ERROR_ROWS, y + r * ld, ld, rows, n);
        ff_error_tile(error + r, tm + r, block, n, centre, weight);
    }
    if (wanted && !there)
        ff_tile_put(&a->logits, from, count, y, ld, NULL);
    put_elements(&a->out, from, count, error);
    if (ff_tensor_present(&a->tm))
        put_elements(&a->tm, from, count, tm);
}

void ff_cpu_aligned_error(struct ff_backend *be, const struct ff_aligned_error_args *a)
{
    int64_t c = a->w.shape[0], n = a->w.shape[1];
    FF_ASSERT(a->z.ndim == 3 && a->z.shape[2] == c && n > 2 && a->b.shape[0] == n);
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[0] == a->z.shape[0] && a->out.shape[1] == a->z.shape[1]);
    FF_ASSERT(a->tm.ndim == 0 || (ff_tensor_same_shape(&a->tm, &a->out) && a->d0 > 0.0f));
    FF_ASSERT(a->logits.ndim == 0 || (a->logits.ndim == 3 && a->logits.shape[2] == n));
    ff_cpu_rows(be, ff_tile_row_count(&a->z), c + n + 2, (2 + FF_ERROR_ROWS) * n + 2 * FF_ERROR_ROWS + 96, error_piece,
                (void *)a);
}
