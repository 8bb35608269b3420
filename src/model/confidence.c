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

/* Chains of asym_id, ascending, and their sizes; returns the chain of every residue. Caller frees. */
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
    ret->n_res = FF_NEW_ARRAY(int32_t, (size_t)ret->n_chain);
    for (int i = 0; i < n_res; i++)
        ret->n_res[chain[i]]++;
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

void ff_tm_scores_begin(int n_res, const int32_t *asym_id, struct ff_tm_scores *ret)
{
    *ret = (struct ff_tm_scores){.n_res = n_res, .asym_id = asym_id};
    if (asym_id == NULL)
        return;
    struct ff_chain_scores *c = &ret->chains;
    ret->chain = find_chains(n_res, asym_id, c);
    size_t n = (size_t)c->n_chain;
    c->ptm = FF_NEW_ARRAY(double, n);
    c->pair_ptm = FF_NEW_ARRAY(double, n * n);
    c->pair_iptm = FF_NEW_ARRAY(double, n * n);
    ret->sum = FF_NEW_ARRAY(double, n);
}

/* The sum of a row. One number after the other would wait for the sum before. */
static double row_sum(int n, const float *row)
{
    double sum[4] = {0};
    int j = 0;
    for (; j + 4 <= n; j += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += (double)row[j + k];
    for (; j < n; j++)
        sum[0] += (double)row[j];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

static double mean(double sum, int64_t count)
{
    return sum / (1e-8 + (double)count);
}

/* A number that is none stays. */
static double best_of(const struct ff_tm_scores *s, double best, double next)
{
    return s->n_row > 0 && (isnan(best) || next <= best) ? best : next;
}

void ff_tm_scores_add(struct ff_tm_scores *s, int64_t from, int64_t n, const float *rows)
{
    struct ff_chain_scores *c = &s->chains;
    for (int64_t i = from; i < from + n; i++, rows += s->n_res) {
        s->ptm = best_of(s, s->ptm, mean(row_sum(s->n_res, rows), s->n_res));
        if (s->asym_id != NULL) {
            int own = s->chain[i];
            double others = 0;
            for (int k = 0; k < c->n_chain; k++)
                s->sum[k] = 0;
            for (int j = 0; j < s->n_res; j++)
                s->sum[s->chain[j]] += (double)rows[j];
            for (int k = 0; k < c->n_chain; k++)
                others += k != own ? s->sum[k] : 0;
            s->iptm = best_of(s, s->iptm, mean(others, s->n_res - c->n_res[own]));
            add_residue(s->sum, own, c);
        }
        s->n_row++;
    }
    for (int k = 0; k < c->n_chain; k++)
        c->pair_ptm[k * c->n_chain + k] = c->ptm[k];
}

/* n_row, ptm, iptm; then of chains and pairs. */
enum { N_WHOLE = 3 };

size_t ff_tm_scores_count(const struct ff_tm_scores *s)
{
    size_t n = (size_t)s->chains.n_chain;
    return N_WHOLE + n + 2 * n * n;
}

void ff_tm_scores_pack(const struct ff_tm_scores *s, double *ret)
{
    const struct ff_chain_scores *c = &s->chains;
    size_t n = (size_t)c->n_chain;
    ret[0] = (double)s->n_row;
    ret[1] = s->ptm;
    ret[2] = s->iptm;
    ret += N_WHOLE;
    for (size_t k = 0; k < n; k++)
        *ret++ = c->ptm[k];
    for (size_t k = 0; k < n * n; k++) {
        *ret++ = c->pair_ptm[k];
        *ret++ = c->pair_iptm[k];
    }
}

void ff_tm_scores_merge(struct ff_tm_scores *s, const double *packed)
{
    struct ff_chain_scores *c = &s->chains;
    size_t n = (size_t)c->n_chain;
    if (packed[0] <= 0)
        return;
    s->ptm = best_of(s, s->ptm, packed[1]);
    s->iptm = best_of(s, s->iptm, packed[2]);
    s->n_row += (int64_t)packed[0];
    packed += N_WHOLE;
    for (size_t k = 0; k < n; k++)
        c->ptm[k] = larger(c->ptm[k], *packed++);
    for (size_t k = 0; k < n * n; k++) {
        c->pair_ptm[k] = larger(c->pair_ptm[k], *packed++);
        c->pair_iptm[k] = larger(c->pair_iptm[k], *packed++);
    }
}

void ff_tm_scores_free(struct ff_tm_scores *s)
{
    ff_chain_scores_free(&s->chains);
    free(s->chain);
    free(s->sum);
    *s = (struct ff_tm_scores){0};
}

void ff_confidence_chains(int n_res, const int32_t *asym_id, const float *plddt, struct ff_tm_scores *scores,
                          struct ff_chain_scores *ret)
{
    *ret = scores != NULL ? scores->chains : (struct ff_chain_scores){0};
    if (scores != NULL)
        scores->chains = (struct ff_chain_scores){0};
    int *found = scores == NULL ? find_chains(n_res, asym_id, ret) : NULL;
    const int *chain = found != NULL ? found : scores->chain;
    ret->plddt = FF_NEW_ARRAY(double, (size_t)ret->n_chain);
    for (int i = 0; i < n_res; i++)
        ret->plddt[chain[i]] += (double)plddt[i];
    for (int c = 0; c < ret->n_chain; c++)
        ret->plddt[c] /= ret->n_res[c];
    free(found);
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
