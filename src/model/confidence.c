/* SPDX-License-Identifier: Apache-2.0
 * confidence: see confidence.h.
 */
#include "model/confidence.h"

#include <math.h>
#include <stddef.h>

float ff_confidence_plddt(int n_res, int n_bin, const float *logits, float *plddt)
{
    double total = 0.0;
    for (int i = 0; i < n_res; i++) {
        const float *row = logits + (size_t)i * (size_t)n_bin;
        float top = row[0];
        for (int k = 1; k < n_bin; k++)
            top = fmaxf(top, row[k]);
        double sum = 0.0, expected = 0.0;
        for (int k = 0; k < n_bin; k++) {
            double p = exp((double)row[k] - top);
            sum += p;
            expected += p * (k + 0.5) / n_bin;
        }
        plddt[i] = (float)(100.0 * expected / sum);
        total += plddt[i];
    }
    return n_res > 0 ? (float)(total / n_res) : 0.0f;
}

double ff_confidence_tm_d0(int n_res)
{
    int n = n_res > 19 ? n_res : 19;
    return 1.24 * cbrt(n - 15) - 1.8;
}

double ff_confidence_ptm(int n_res, const float *tm, const int32_t *asym_id)
{
    double best = 0.0;
    for (int i = 0; i < n_res; i++) {
        double sum = 0.0;
        int64_t count = 0;
        for (int j = 0; j < n_res; j++) {
            if (asym_id != NULL && asym_id[i] == asym_id[j])
                continue;
            sum += tm[(size_t)i * (size_t)n_res + (size_t)j];
            count++;
        }
        double mean = sum / (1e-8 + (double)count);
        if (i == 0 || mean > best)
            best = mean;
    }
    return best;
}

float ff_confidence_max_pae(float max_bin, int n_bin)
{
    double step = max_bin / (n_bin - 2);
    return (float)(max_bin + step + step / 2);
}
