/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "op/ref.h"

void ref_symmetric_linear(const struct ff_symmetric_linear_args *a)
{
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            for (int64_t o = 0; o < a->w.shape[1]; o++) {
                double half = REF(a->b, o), other = REF(a->b, o);
                for (int64_t c = 0; c < a->w.shape[0]; c++) {
                    half += (double)REF(a->z, i, j, c) * REF(a->w, c, o);
                    other += (double)REF(a->zt, i, j, c) * REF(a->w, c, o);
                }
                REF(a->out, i, j, o) = (float)(half + other);
            }
        }
    }
}

void ref_aligned_error(const struct ff_aligned_error_args *a)
{
    int64_t n = a->w.shape[1];
    double *p = ff_xcalloc((size_t)n, sizeof(double));
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            double sum = 0, error = 0, tm = 0;
            for (int64_t k = 0; k < n; k++) {
                p[k] = REF(a->b, k);
                for (int64_t c = 0; c < a->w.shape[0]; c++)
                    p[k] += (double)REF(a->z, i, j, c) * REF(a->w, c, k);
                if (ff_tensor_present(&a->logits))
                    REF(a->logits, i, j, k) = (float)p[k];
                p[k] = exp(p[k]);
                sum += p[k];
            }
            for (int64_t k = 0; k < n; k++) {
                double centre = a->max_bin / (double)(n - 2) * ((double)k + 0.5);
                error += p[k] / sum * centre;
                tm += p[k] / sum / (1.0 + centre * centre / ((double)a->d0 * a->d0));
            }
            REF(a->out, i, j) = (float)error;
            if (ff_tensor_present(&a->tm))
                REF(a->tm, i, j) = (float)tm;
        }
    }
    free(p);
}
