/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "op/ref.h"

void ref_norm(double *y, const float *x, int64_t c, const struct ff_norm *norm)
{
    double mean = 0, variance = 0;
    if (!ff_tensor_present(&norm->scale)) {
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i];
        return;
    }
    for (int64_t i = 0; i < c; i++)
        mean += x[i];
    mean /= (double)c;
    for (int64_t i = 0; i < c; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    variance /= (double)c;
    for (int64_t i = 0; i < c; i++)
        y[i] = (x[i] - mean) / sqrt(variance + 1e-5) * REF(norm->scale, i) + REF(norm->offset, i);
}

/* On the host everything but integers is float32: only the numbers are copied, not the types. */
void ref_copy(const struct ff_copy_args *a)
{
    int lead = a->x.ndim - 1;
    for (int64_t row = 0; row < ref_count(&a->x, lead); row++)
        for (int64_t i = 0; i < a->x.shape[lead]; i++)
            ((int32_t *)a->out.data)[ref_row(&a->out, row, lead) + i] =
                ((const int32_t *)a->x.data)[ref_row(&a->x, row, lead) + i];
}

void ref_fill(const struct ff_fill_args *a)
{
    int lead = a->out.ndim - 1;
    for (int64_t row = 0; row < ref_count(&a->out, lead); row++) {
        for (int64_t i = 0; i < a->out.shape[lead]; i++) {
            int64_t at = ref_row(&a->out, row, lead) + i;
            if (a->out.dtype == FF_I32)
                ((int32_t *)a->out.data)[at] = (int32_t)a->value;
            else
                ((float *)a->out.data)[at] = a->value;
        }
    }
}

void ref_scale_add(const struct ff_scale_add_args *a)
{
    int lead = a->out.ndim - 1;
    for (int64_t row = 0; row < ref_count(&a->out, lead); row++) {
        for (int64_t i = 0; i < a->out.shape[lead]; i++) {
            float *out = (float *)a->out.data + ref_row(&a->out, row, lead) + i;
            double old = a->alpha != 0.0f ? (double)a->alpha * *out : 0.0;
            double x = ff_tensor_present(&a->x) ? ((const float *)a->x.data)[ref_row(&a->x, row, lead) + i] : 0.0;
            *out = (float)(old + a->beta * x);
        }
    }
}

void ref_layer_norm(const struct ff_layer_norm_args *a)
{
    int lead = a->x.ndim - 1;
    int64_t c = a->x.shape[lead];
    double *y = ff_xcalloc((size_t)c, sizeof *y);
    for (int64_t row = 0; row < ref_count(&a->x, lead); row++) {
        float *out = (float *)a->out.data + ref_row(&a->out, row, lead);
        ref_norm(y, (const float *)a->x.data + ref_row(&a->x, row, lead), c, &a->norm);
        for (int64_t i = 0; i < c; i++)
            out[i] = (float)(y[i] + (a->accumulate ? out[i] : 0.0));
    }
    free(y);
}

void ref_linear(const struct ff_linear_args *a)
{
    if (ff_tensor_present(&a->out2)) {
        struct ff_linear_args second = *a;
        second.out = a->out2;
        second.w = a->w2;
        second.b = a->b2;
        second.out2 = (struct ff_tensor){0};
        ref_linear(&second);
    }
    for (int i = 0; i < FF_LINEAR_PLACES - 1 && ff_tensor_present(&a->more[i].x); i++) {
        struct ff_linear_args place = *a;
        place.out = a->more[i].out;
        place.x = a->more[i].x;
        memset(place.more, 0, sizeof place.more);
        ref_linear(&place);
    }
    int lead = a->x.ndim - 1;
    int64_t k = a->w.shape[0], n = a->w.shape[1];
    double *x = ff_xcalloc((size_t)k, sizeof *x);
    for (int64_t row = 0; row < ref_count(&a->x, lead); row++) {
        float *out = (float *)a->out.data + ref_row(&a->out, row, lead);
        ref_norm(x, (const float *)a->x.data + ref_row(&a->x, row, lead), k, &a->norm);
        for (int64_t i = 0; i < k; i++)
            x[i] = a->relu_input && x[i] < 0.0 ? 0.0 : x[i];
        double mask = 1.0;
        if (ff_tensor_present(&a->mask))
            mask = ((const float *)a->mask.data)[ref_row(&a->mask, row, lead)];
        for (int64_t o = 0; o < n; o++) {
            double sum = ff_tensor_present(&a->b) ? REF(a->b, o) : 0.0;
            for (int64_t i = 0; i < k; i++)
                sum += x[i] * REF(a->w, i, o);
            if (a->relu && sum < 0.0)
                sum = 0.0;
            out[o] = (float)(mask * sum + (a->accumulate ? out[o] : 0.0));
        }
    }
    free(x);
}
