/* SPDX-License-Identifier: Apache-2.0
 * output_json: AlphaFold's JSON texts.
 */
#include "app/output_json.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "format/json.h"

static const char *confidence_category(double score)
{
    return score < 50 ? "D" : score < 70 ? "L" : score < 90 ? "M" : "H";
}

void ff_output_confidence_json(int n_res, const float *plddt, struct ff_strbuf *out)
{
    struct ff_json j;
    ff_json_init(&j, out, 0);
    ff_json_begin_object(&j);
    ff_json_key(&j, "residueNumber");
    ff_json_begin_array(&j);
    for (int i = 1; i <= n_res; i++)
        ff_json_int(&j, i);
    ff_json_end_array(&j);
    ff_json_key(&j, "confidenceScore");
    ff_json_begin_array(&j);
    for (int i = 0; i < n_res; i++)
        ff_json_fixed(&j, plddt[i], 2);
    ff_json_end_array(&j);
    ff_json_key(&j, "confidenceCategory");
    ff_json_begin_array(&j);
    for (int i = 0; i < n_res; i++)
        ff_json_string(&j, confidence_category(plddt[i]));
    ff_json_end_array(&j);
    ff_json_end_object(&j);
}

void ff_output_pae_begin(struct ff_json *j, struct ff_strbuf *out)
{
    ff_json_init(j, out, 0);
    ff_json_begin_array(j);
    ff_json_begin_object(j);
    ff_json_key(j, "predicted_aligned_error");
    ff_json_begin_array(j);
}

void ff_output_pae_row(struct ff_json *j, int n_res, const float *row)
{
    ff_json_begin_array(j);
    for (int k = 0; k < n_res; k++)
        ff_json_fixed(j, rint((double)row[k] * 10.0) / 10.0, 1);
    ff_json_end_array(j);
}

void ff_output_pae_end(struct ff_json *j, double max_pae)
{
    ff_json_end_array(j);
    ff_json_key(j, "max_predicted_aligned_error");
    ff_json_double(j, max_pae);
    ff_json_end_object(j);
    ff_json_end_array(j);
}

void ff_output_rank(int count, const struct ff_named_value *items, int *ret_order)
{
    for (int i = 0; i < count; i++) { /* insertion: stable, and there are a few dozen predictions at most */
        int k = i;
        for (; k > 0 && items[ret_order[k - 1]].value < items[i].value; k--)
            ret_order[k] = ret_order[k - 1];
        ret_order[k] = i;
    }
}

void ff_output_ranking_json(const char *label, int count, const struct ff_named_value *items, struct ff_strbuf *out)
{
    struct ff_json j;
    ff_json_init(&j, out, 4);
    ff_json_begin_object(&j);
    ff_json_key(&j, label);
    ff_json_begin_object(&j);
    for (int i = 0; i < count; i++) {
        ff_json_key(&j, items[i].name);
        ff_json_double(&j, items[i].value);
    }
    ff_json_end_object(&j);

    int *order = FF_NEW_ARRAY(int, (size_t)count);
    ff_output_rank(count, items, order);
    ff_json_key(&j, "order");
    ff_json_begin_array(&j);
    for (int i = 0; i < count; i++)
        ff_json_string(&j, items[order[i]].name);
    ff_json_end_array(&j);
    free(order);
    ff_json_end_object(&j);
}

void ff_output_timings_json(int count, const struct ff_named_value *items, struct ff_strbuf *out)
{
    struct ff_json j;
    ff_json_init(&j, out, 4);
    ff_json_begin_object(&j);
    for (int i = 0; i < count; i++) {
        ff_json_key(&j, items[i].name);
        ff_json_double(&j, items[i].value);
    }
    ff_json_end_object(&j);
}

/* --- chains ------------------------------------------------------------------------------------------------------- */

static void put_score(struct ff_json *j, const char *key, double value)
{
    if (isnan(value))
        return;
    ff_json_key(j, key);
    ff_json_fixed(j, value, 4);
}

static void put_scores(struct ff_json *j, const char *key, int n, const double *values)
{
    if (key != NULL)
        ff_json_key(j, key);
    ff_json_begin_array(j);
    for (int i = 0; i < n; i++)
        ff_json_fixed(j, values[i], 4);
    ff_json_end_array(j);
}

static void put_table(struct ff_json *j, const char *key, int n, const double *values)
{
    ff_json_key(j, key);
    ff_json_begin_array(j);
    for (int i = 0; i < n; i++)
        put_scores(j, NULL, n, values + (size_t)i * (size_t)n);
    ff_json_end_array(j);
}

static void put_borders(struct ff_json *j, const struct ff_chain_scores *s, const char *const *chain_ids)
{
    ff_json_key(j, "chain_ids");
    ff_json_begin_array(j);
    for (int i = 0; i < s->n_chain; i++)
        ff_json_string(j, chain_ids[i]);
    ff_json_end_array(j);
    ff_json_key(j, "chain_lengths");
    ff_json_begin_array(j);
    for (int i = 0; i < s->n_chain; i++)
        ff_json_int(j, s->n_res[i]);
    ff_json_end_array(j);
    ff_json_key(j, "chain_starts");
    ff_json_begin_array(j);
    for (int i = 0, start = 1; i < s->n_chain; start += s->n_res[i++])
        ff_json_int(j, start);
    ff_json_end_array(j);
}

static void put_interfaces(struct ff_json *j, const struct ff_chain_scores *s)
{
    int n = s->n_chain;
    double *mean = FF_NEW_ARRAY(double, (size_t)n);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n && n > 1; k++)
            mean[i] += s->pair_iptm[i * n + k] / (n - 1);
    put_scores(j, "chain_ptm", n, s->ptm);
    put_scores(j, "chain_iptm", n, mean);
    put_table(j, "chain_pair_ptm", n, s->pair_ptm);
    put_table(j, "chain_pair_iptm", n, s->pair_iptm);
    free(mean);
}

void ff_output_summary_json(const struct ff_prediction *p, const char *const *chain_ids, struct ff_strbuf *out)
{
    struct ff_json j;
    ff_json_init(&j, out, 0);
    ff_json_begin_object(&j);
    put_borders(&j, &p->chains, chain_ids);
    put_score(&j, "ptm", (double)p->ptm);
    put_score(&j, "iptm", (double)p->iptm);
    put_score(&j, "ranking_confidence", (double)p->ranking_confidence);
    put_scores(&j, "chain_plddt", p->chains.n_chain, p->chains.plddt);
    if (p->chains.ptm != NULL)
        put_interfaces(&j, &p->chains);
    ff_json_end_object(&j);
}
