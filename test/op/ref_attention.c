/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "op/ref.h"

static double *doubles(int64_t n)
{
    return ff_xcalloc((size_t)n, sizeof(double));
}

static void softmax(double *x, int64_t n)
{
    double top = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (int64_t i = 0; i < n; i++) {
        x[i] = exp(x[i] - top);
        sum += x[i];
    }
    for (int64_t i = 0; i < n; i++)
        x[i] /= sum;
}

void ref_pair_bias(const struct ff_pair_bias_args *a)
{
    int64_t c = a->w.shape[0];
    double *x = doubles(c);
    for (int64_t i = 0; i < a->x.shape[0]; i++) {
        for (int64_t j = 0; j < a->x.shape[1]; j++) {
            ref_norm(x, &REF(a->x, i, j, 0), c, &a->norm);
            for (int64_t h = 0; h < a->w.shape[1]; h++) {
                double sum = 0;
                for (int64_t k = 0; k < c; k++)
                    sum += x[k] * REF(a->w, k, h);
                REF(a->out, h, i, j) = (float)sum;
            }
        }
    }
    free(x);
}

void ref_attention(const struct ff_attention_args *a)
{
    int64_t length = a->qkvg.shape[1], hd = a->qkvg.shape[2] / 4, d = hd / a->n_head;
    double *weight = doubles(length);
    for (int64_t b = 0; b < a->qkvg.shape[0]; b++) {
        for (int64_t h = 0; h < a->n_head; h++) {
            for (int64_t i = 0; i < length; i++) {
                const float *q = &REF(a->qkvg, b, i, h * d), *gate = &REF(a->qkvg, b, i, 3 * hd + h * d);
                for (int64_t j = 0; j < length; j++) {
                    double dot = 0;
                    for (int64_t c = 0; c < d; c++)
                        dot += (double)q[c] * REF(a->qkvg, b, j, hd + h * d + c);
                    weight[j] = dot / sqrt((double)d);
                    if (ff_tensor_present(&a->bias))
                        weight[j] += REF(a->bias, h, i, j);
                    if (REF(a->mask, b, j) == 0.0f)
                        weight[j] = -1e9;
                }
                softmax(weight, length);
                for (int64_t c = 0; c < d; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j < length; j++)
                        sum += weight[j] * REF(a->qkvg, b, j, 2 * hd + h * d + c);
                    REF(a->out, b, i, h * d + c) = (float)(sum * ref_sigmoid(gate[c]));
                }
            }
        }
    }
    free(weight);
}

/* y = x W for one row. */
static void project(double *y, const double *x, const struct ff_tensor *w)
{
    for (int64_t o = 0; o < w->shape[1]; o++) {
        y[o] = 0;
        for (int64_t i = 0; i < w->shape[0]; i++)
            y[o] += x[i] * REF(*w, i, o);
    }
}

void ref_global_attention(const struct ff_global_attention_args *a)
{
    int64_t n_row = a->out.shape[0], c = a->out.shape[2], hd = a->q_w.shape[1], d = hd / a->n_head;
    double *x = doubles(n_row * c), *mean = doubles(c), *q = doubles(hd), *kv = doubles(n_row * 2 * d);
    double *weight = doubles(n_row), *value = doubles(hd), *gate = doubles(hd), *y = doubles(c);
    for (int64_t r = 0; r < a->out.shape[1]; r++) {
        double count = 0;
        memset(mean, 0, (size_t)c * sizeof *mean);
        for (int64_t s = 0; s < n_row; s++) {
            ref_norm(x + s * c, &REF(a->out, s, r, 0), c, &a->norm);
            project(kv + s * 2 * d, x + s * c, &a->kv_w);
            count += REF(a->mask, s, r);
            for (int64_t i = 0; i < c; i++)
                mean[i] += REF(a->mask, s, r) * x[s * c + i];
        }
        for (int64_t i = 0; i < c; i++)
            mean[i] /= count + 1e-10;
        project(q, mean, &a->q_w);
        for (int64_t h = 0; h < a->n_head; h++) {
            for (int64_t s = 0; s < n_row; s++) {
                weight[s] = 0;
                for (int64_t e = 0; e < d; e++)
                    weight[s] += q[h * d + e] / sqrt((double)d) * kv[s * 2 * d + e];
                if (REF(a->mask, s, r) == 0.0f)
                    weight[s] = -1e9;
            }
            softmax(weight, n_row);
            for (int64_t e = 0; e < d; e++) {
                value[h * d + e] = 0;
                for (int64_t s = 0; s < n_row; s++)
                    value[h * d + e] += weight[s] * kv[s * 2 * d + d + e];
            }
        }
        for (int64_t s = 0; s < n_row; s++) {
            project(gate, x + s * c, &a->gate_w);
            for (int64_t e = 0; e < hd; e++)
                gate[e] = ref_sigmoid(gate[e] + REF(a->gate_b, e)) * value[e];
            project(y, gate, &a->o_w);
            for (int64_t i = 0; i < c; i++)
                REF(a->out, s, r, i) = (float)(REF(a->out, s, r, i) + y[i] + REF(a->o_b, i));
        }
    }
    free(x);
    free(mean);
    free(q);
    free(kv);
    free(weight);
    free(value);
    free(gate);
    free(y);
}

void ref_template_attention(const struct ff_template_attention_args *a)
{
    int64_t n_template = a->t.shape[0], c = a->out.shape[2], ct = a->t.shape[3], hd = a->q_w.shape[1];
    int64_t d = hd / a->n_head;
    double *z = doubles(c), *t = doubles(ct), *q = doubles(hd), *k = doubles(n_template * hd);
    double *v = doubles(n_template * hd), *weight = doubles(n_template), *value = doubles(hd);
    for (int64_t i = 0; i < a->out.shape[0]; i++) {
        for (int64_t j = 0; j < a->out.shape[1]; j++) {
            for (int64_t e = 0; e < c; e++)
                z[e] = REF(a->out, i, j, e);
            project(q, z, &a->q_w);
            for (int64_t n = 0; n < n_template; n++) {
                for (int64_t e = 0; e < ct; e++)
                    t[e] = REF(a->t, n, i, j, e);
                project(k + n * hd, t, &a->k_w);
                project(v + n * hd, t, &a->v_w);
            }
            for (int64_t h = 0; h < a->n_head; h++) {
                for (int64_t n = 0; n < n_template; n++) {
                    weight[n] = 0;
                    for (int64_t e = h * d; e < (h + 1) * d; e++)
                        weight[n] += q[e] * k[n * hd + e] / sqrt((double)d);
                    if (REF(a->mask, n) == 0.0f)
                        weight[n] = -1e9;
                }
                softmax(weight, n_template);
                for (int64_t e = h * d; e < (h + 1) * d; e++) {
                    value[e] = 0;
                    for (int64_t n = 0; n < n_template; n++)
                        value[e] += weight[n] * v[n * hd + e];
                }
            }
            project(z, value, &a->o_w);
            for (int64_t e = 0; e < c; e++)
                REF(a->out, i, j, e) = (float)(REF(a->out, i, j, e) + z[e] + REF(a->o_b, e));
        }
    }
    free(z);
    free(t);
    free(q);
    free(k);
    free(v);
    free(weight);
    free(value);
}
