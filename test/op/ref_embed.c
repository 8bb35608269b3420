/* SPDX-License-Identifier: Apache-2.0
 * One-hot features are written out and multiplied, bin by bin and letter by letter.
 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "op/ref.h"

void ref_outer_sum(const struct ff_outer_sum_args *a)
{
    for (int64_t i = 0; i < a->out.shape[0]; i++)
        for (int64_t j = 0; j < a->out.shape[1]; j++)
            for (int64_t c = 0; c < a->out.shape[2]; c++) {
                double left = ff_tensor_present(&a->left) ? REF(a->left, i, c) : 0.0;
                REF(a->out, i, j, c) = (float)(REF(a->out, i, j, c) + left + REF(a->right, j, c));
            }
}

static int64_t clip(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

void ref_relative_position(const struct ff_relative_position_args *a)
{
    int64_t k = a->max_relative_idx, m = a->max_relative_chain, n = a->w.shape[0];
    bool chains = ff_tensor_present(&a->asym_i);
    double *feature = ff_xcalloc((size_t)n, sizeof(double));
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            for (int64_t f = 0; f < n; f++)
                feature[f] = 0;
            int64_t index = clip(REF_INT(a->index_i, i) - REF_INT(a->index_j, j), -k, k) + k;
            if (chains) {
                bool same_chain = REF_INT(a->asym_i, i) == REF_INT(a->asym_j, j);
                bool same_entity = REF_INT(a->entity_i, i) == REF_INT(a->entity_j, j);
                int64_t copy = clip(REF_INT(a->sym_i, i) - REF_INT(a->sym_j, j), -m, m) + m;
                feature[same_chain ? index : 2 * k + 1] = 1;
                feature[2 * k + 2] = same_entity;
                feature[2 * k + 3 + (same_entity ? copy : 2 * m + 1)] = 1;
            } else {
                feature[index] = 1;
            }
            for (int64_t c = 0; c < a->out.shape[2]; c++) {
                double sum = REF(a->out, i, j, c) + (double)REF(a->b, c);
                for (int64_t f = 0; f < n; f++)
                    sum += feature[f] * REF(a->w, f, c);
                REF(a->out, i, j, c) = (float)sum;
            }
        }
    }
    free(feature);
}

/* dgram[n] = 1 where lower[n]^2 < |x - y|^2 < upper[n]^2, 0 elsewhere. */
static void distogram(double *dgram, int64_t n, double min_bin, double max_bin, const float *x, const float *y)
{
    double d2 = 0;
    for (int d = 0; d < 3; d++)
        d2 += ((double)x[d] - y[d]) * ((double)x[d] - y[d]);
    double step = n > 1 ? (max_bin - min_bin) / (double)(n - 1) : 0.0;
    for (int64_t k = 0; k < n; k++) {
        double lower = min_bin + step * (double)k, upper = lower + step;
        dgram[k] = d2 > lower * lower && d2 < (k == n - 1 ? 1e8 : upper * upper);
    }
}

void ref_distance_embed(const struct ff_distance_embed_args *a)
{
    int64_t n = a->w.shape[0];
    double *dgram = ff_xcalloc((size_t)n, sizeof(double));
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            distogram(dgram, n, a->min_bin, a->max_bin, &REF(a->x_i, i, 0), &REF(a->x_j, j, 0));
            for (int64_t c = 0; c < a->out.shape[2]; c++) {
                double sum = REF(a->out, i, j, c) + (double)REF(a->b, c);
                for (int64_t k = 0; k < n; k++)
                    sum += dgram[k] * REF(a->w, k, c);
                REF(a->out, i, j, c) = (float)sum;
            }
        }
    }
    free(dgram);
}

void ref_extra_msa_embed(const struct ff_extra_msa_embed_args *a)
{
    for (int64_t s = 0; s < a->out.shape[0]; s++) {
        for (int64_t i = 0; i < a->out.shape[1]; i++) {
            double feature[25] = {0};
            for (int letter = 0; letter < 23; letter++)
                feature[letter] = REF_INT(a->msa, s, i) == letter;
            feature[23] = REF(a->has_deletion, s, i);
            feature[24] = REF(a->deletion_value, s, i);
            for (int64_t c = 0; c < a->out.shape[2]; c++) {
                double sum = REF(a->b, c);
                for (int f = 0; f < 25; f++)
                    sum += feature[f] * REF(a->w, f, c);
                REF(a->out, s, i, c) = (float)sum;
            }
        }
    }
}

/* One pair: all features in a row, as they are concatenated in the published program. */
static void template_pair(const struct ff_template_pair_embed_args *a, int64_t i, int64_t j, double *feature)
{
    int64_t n = a->w_dgram.shape[0];
    double same = !ff_tensor_present(&a->asym_i) || REF_INT(a->asym_i, i) == REF_INT(a->asym_j, j);
    double pb_mask = (double)REF(a->pseudo_beta_mask_i, i) * REF(a->pseudo_beta_mask_j, j) * same;
    double bb_mask = (double)REF(a->backbone_mask_i, i) * REF(a->backbone_mask_j, j) * same;
    double *pb = feature + n, *type_j = pb + 1, *type_i = type_j + 22, *unit = type_i + 22, *bb = unit + 3;
    distogram(feature, n, a->min_bin, a->max_bin, &REF(a->pseudo_beta_i, i, 0), &REF(a->pseudo_beta_j, j, 0));
    for (int64_t k = 0; k < n && !a->mask_all; k++)
        feature[k] *= pb_mask;
    *pb = pb_mask;
    for (int t = 0; t < 22; t++) {
        type_j[t] = REF_INT(a->aatype_j, j) == t;
        type_i[t] = REF_INT(a->aatype_i, i) == t;
    }
    double length2 = 0;
    for (int d = 0; d < 3; d++) {
        unit[d] = 0;
        for (int e = 0; e < 3; e++)
            unit[d] += REF(a->frame_i, i, 3 * e + d) * ((double)REF(a->frame_j, j, 9 + e) - REF(a->frame_i, i, 9 + e));
        length2 += unit[d] * unit[d];
    }
    double length = sqrt(a->clamp_norm ? fmax(length2, 1e-12) : length2 + 1e-6);
    for (int d = 0; d < 3; d++)
        unit[d] *= bb_mask / length;
    *bb = bb_mask;
    for (int64_t f = 0; f < n + 49 && a->mask_all; f++)
        feature[f] *= bb_mask;
}

void ref_template_pair_embed(const struct ff_template_pair_embed_args *a)
{
    int64_t n = a->w_dgram.shape[0];
    double *feature = ff_xcalloc((size_t)(n + 49), sizeof(double));
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            template_pair(a, i, j, feature);
            for (int64_t c = 0; c < a->out.shape[2]; c++) {
                const double *f = feature;
                double sum = REF(a->b, c);
                for (int64_t k = 0; k < n; k++)
                    sum += *f++ * REF(a->w_dgram, k, c);
                sum += *f++ * REF(a->w_pb_mask, c);
                for (int t = 0; t < 22; t++)
                    sum += *f++ * REF(a->w_aatype_j, t, c);
                for (int t = 0; t < 22; t++)
                    sum += *f++ * REF(a->w_aatype_i, t, c);
                for (int d = 0; d < 3; d++, f++)
                    sum += ff_tensor_present(&a->w_unit) ? *f * REF(a->w_unit, d, c) : 0.0;
                sum += *f * REF(a->w_bb_mask, c);
                REF(a->out, i, j, c) = (float)sum;
            }
        }
    }
    free(feature);
}
