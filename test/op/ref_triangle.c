/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "op/ref.h"

static double *doubles(int64_t n)
{
    return ff_xcalloc((size_t)n, sizeof(double));
}

/* (x W + b)[o] of one row. */
static double project(const double *x, const struct ff_tensor *w, const struct ff_tensor *b, int64_t o)
{
    double sum = REF(*b, o);
    for (int64_t k = 0; k < w->shape[0]; k++)
        sum += x[k] * REF(*w, k, o);
    return sum;
}

void ref_transition(const struct ff_transition_args *a)
{
    int lead = a->out.ndim - 1;
    int64_t c = a->w1.shape[0], n = a->w1.shape[1];
    double *x = doubles(c), *hidden = doubles(n);
    for (int64_t row = 0; row < ref_count(&a->out, lead); row++) {
        float *out = (float *)a->out.data + ref_row(&a->out, row, lead);
        ref_norm(x, out, c, &a->norm);
        for (int64_t k = 0; k < n; k++)
            hidden[k] = fmax(project(x, &a->w1, &a->b1, k), 0.0);
        for (int64_t k = 0; k < c; k++)
            out[k] = (float)(out[k] + project(hidden, &a->w2, &a->b2, k));
    }
    free(x);
    free(hidden);
}

/* Number [i, j] of channel c, which may lie apart; t has the channels that do not. */
static float *of_channel(const struct ff_tensor *t, const struct ff_planes *apart, int n_apart, int64_t c, int64_t i,
                         int64_t j)
{
    int64_t before = 0;
    for (int p = 0; p < n_apart && apart[p].t.ndim > 0; p++) {
        int64_t n = apart[p].t.shape[0], at = c - apart[p].from;
        if (at >= 0 && at < n)
            return &REF(apart[p].t, at, i, j);
        before += at >= n ? n : 0;
    }
    return &REF(*t, c - before, i, j);
}

void ref_triangle_project(const struct ff_triangle_project_args *a)
{
    int64_t c_z = a->w.shape[0], c_i = a->w.shape[1];
    double *x = doubles(c_z);
    for (int64_t i = 0; i < a->z.shape[0]; i++) {
        for (int64_t k = 0; k < a->z.shape[1]; k++) {
            ref_norm(x, &REF(a->z, i, k, 0), c_z, &a->norm);
            for (int64_t c = 0; c < c_i; c++)
                *of_channel(&a->out, a->apart, FF_PLANES_APART, c, i, k) =
                    (float)(REF(a->mask, i, k) * project(x, &a->w, &a->b, c) *
                            ref_sigmoid(project(x, &a->gate_w, &a->gate_b, c)));
        }
    }
    free(x);
}

void ref_triangle_contract(const struct ff_triangle_contract_args *a)
{
    for (int64_t c = 0; c < a->out.shape[0]; c++) {
        for (int64_t i = 0; i < a->out.shape[1]; i++) {
            for (int64_t j = 0; j < a->out.shape[2]; j++) {
                double sum = 0;
                for (int64_t k = 0; k < a->a.shape[2]; k++)
                    sum += (double)REF(a->a, c, i, k) * REF(a->b, c, j, k);
                REF(a->out, c, i, j) = (float)sum;
            }
        }
    }
}

void ref_triangle_output(const struct ff_triangle_output_args *a)
{
    int64_t c_i = a->o_w.shape[0], c_z = a->o_w.shape[1];
    float *column = ff_xcalloc((size_t)c_i, sizeof(float));
    double *x = doubles(c_i), *z = doubles(c_z);
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            for (int64_t c = 0; c < c_i; c++)
                column[c] = *of_channel(&a->x, &a->apart, 1, c, i, j);
            ref_norm(x, column, c_i, &a->center_norm);
            ref_norm(z, &REF(a->out, i, j, 0), c_z, &a->norm);
            for (int64_t c = 0; c < c_z; c++)
                REF(a->out, i, j, c) = (float)(REF(a->out, i, j, c) + project(x, &a->o_w, &a->o_b, c) *
                                               ref_sigmoid(project(z, &a->gate_w, &a->gate_b, c)));
        }
    }
    free(column);
    free(x);
    free(z);
}

void ref_outer_product_mean(const struct ff_outer_product_mean_args *a)
{
    int64_t n_s = a->a.shape[0], n_c = a->a.shape[2];
    double *outer = doubles(n_c * n_c);
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            double norm = 1e-3;
            for (int64_t s = 0; s < n_s; s++)
                norm += (double)REF(a->mask_a, s, i) * REF(a->mask_b, s, j);
            for (int64_t c = 0; c < n_c; c++) {
                for (int64_t e = 0; e < n_c; e++) {
                    double sum = 0;
                    for (int64_t s = 0; s < n_s; s++)
                        sum += (double)REF(a->a, s, i, c) * REF(a->b, s, j, e);
                    outer[c * n_c + e] = sum;
                }
            }
            for (int64_t o = 0; o < a->out.shape[2]; o++)
                REF(a->out, i, j, o) = (float)(REF(a->out, i, j, o) + project(outer, &a->w, &a->bias, o) / norm);
        }
    }
    free(outer);
}
