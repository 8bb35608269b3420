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

void ff_output_pae_json(int n_res, const float *pae, double max_pae, struct ff_strbuf *out)
{
    struct ff_json j;
    ff_json_init(&j, out, 0);
    ff_json_begin_array(&j);
    ff_json_begin_object(&j);
    ff_json_key(&j, "predicted_aligned_error");
    ff_json_begin_array(&j);
    for (int i = 0; i < n_res; i++) {
        const float *row = pae + (size_t)i * (size_t)n_res;
        ff_json_begin_array(&j);
        for (int k = 0; k < n_res; k++)
            ff_json_fixed(&j, rint((double)row[k] * 10.0) / 10.0, 1);
        ff_json_end_array(&j);
    }
    ff_json_end_array(&j);
    ff_json_key(&j, "max_predicted_aligned_error");
    ff_json_double(&j, max_pae);
    ff_json_end_object(&j);
    ff_json_end_array(&j);
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

    int *order = FF_NEW_ARRAY(int, count);
    for (int i = 0; i < count; i++) { /* insertion: stable, and there are a few dozen predictions at most */
        int k = i;
        for (; k > 0 && items[order[k - 1]].value < items[i].value; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
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
