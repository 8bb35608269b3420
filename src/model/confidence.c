/* SPDX-License-Identifier: Apache-2.0
 * confidence: see confidence.h.
 */
#include "model/confidence.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"

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

/* Chains of asym_id, ascending; returns the chain of every residue. Caller frees. */
static int *find_chains(int n_res, const int32_t *asym_id, struct ff_chain_scores *ret)
{
    int capacity = 0;
    for (int i = 0; i < n_res; i++) {
        int at = ret->n_chain;
        while (at > 0 && ret->asym_id[at - 1] > asym_id[i]) /* chains follow each other as a rule: ends at once */
            at--;
        if (at > 0 && ret->asym_id[at - 1] == asym_id[i])
            continue;
        FF_GROW(ret->asym_id, ret->n_chain, capacity);
        for (int c = ret->n_chain; c > at; c--)
            ret->asym_id[c] = ret->asym_id[c - 1];
        ret->asym_id[at] = asym_id[i];
        ret->n_chain++;
    }
    int *chain = FF_NEW_ARRAY(int, (size_t)n_res);
    for (int i = 0; i < n_res; i++)
        while (ret->asym_id[chain[i]] != asym_id[i])
            chain[i]++;
    return chain;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Residue i's part in the scores: sums of its row of tm over each chain. */
static void add_residue(const double *sum /* [n_chain] */, int c, struct ff_chain_scores *s)
{
    int n = s->n_chain;
    s->ptm[c] = larger(s->ptm[c], sum[c] / s->n_res[c]);
    for (int d = 0; d < n; d++) {
        if (d == c)
            continue;
        double both = (sum[c] + sum[d]) / (s->n_res[c] + s->n_res[d]), between = sum[d] / s->n_res[d];
        s->pair_ptm[d * n + c] = s->pair_ptm[c * n + d] = larger(s->pair_ptm[c * n + d], both);
        s->pair_iptm[d * n + c] = s->pair_iptm[c * n + d] = larger(s->pair_iptm[c * n + d], between);
    }
}

void ff_confidence_chains(int n_res, const int32_t *asym_id, const float *plddt, const float *tm,
                          struct ff_chain_scores *ret)
{
    *ret = (struct ff_chain_scores){0};
    int *chain = find_chains(n_res, asym_id, ret);
    size_t n = (size_t)ret->n_chain;
    ret->n_res = FF_NEW_ARRAY(int32_t, n);
    ret->plddt = FF_NEW_ARRAY(double, n);
    for (int i = 0; i < n_res; i++) {
        ret->n_res[chain[i]]++;
        ret->plddt[chain[i]] += (double)plddt[i];
    }
    for (size_t c = 0; c < n; c++)
        ret->plddt[c] /= ret->n_res[c];
    if (tm != NULL) {
        ret->ptm = FF_NEW_ARRAY(double, n);
        ret->pair_ptm = FF_NEW_ARRAY(double, n * n);
        ret->pair_iptm = FF_NEW_ARRAY(double, n * n);
        double *sum = FF_NEW_ARRAY(double, n);
        for (int i = 0; i < n_res; i++) {
            for (size_t c = 0; c < n; c++)
                sum[c] = 0;
            for (int j = 0; j < n_res; j++)
                sum[chain[j]] += (double)tm[(size_t)i * (size_t)n_res + (size_t)j];
            add_residue(sum, chain[i], ret);
        }
        for (size_t c = 0; c < n; c++)
            ret->pair_ptm[c * n + c] = ret->ptm[c];
        free(sum);
    }
    free(chain);
}

void ff_chain_scores_free(struct ff_chain_scores *s)
{
    free(s->asym_id);
    free(s->n_res);
    free(s->plddt);
    free(s->ptm);
    free(s->pair_ptm);
    free(s->pair_iptm);
    *s = (struct ff_chain_scores){0};
}

void ff_confidence_pae_eighths(int64_t n, const float *pae, uint8_t *ret)
{
    for (int64_t i = 0; i < n; i++)
        ret[i] = (uint8_t)fminf(rintf(pae[i] * 8.0f), 255.0f);
}

float ff_confidence_pae_from_eighths(uint8_t eighths)
{
    return (float)eighths / 8.0f;
}

float ff_confidence_max_pae(float max_bin, int n_bin)
{
    double step = max_bin / (n_bin - 2);
    return (float)(max_bin + step + step / 2);
}
