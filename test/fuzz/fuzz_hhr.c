/* SPDX-License-Identifier: Apache-2.0
 * fuzz_hhr: any bytes as a result of hhsearch, and what is accepted laid on a query.
 */
#include <string.h>

#include "base/status.h"
#include "bio/hhr.h"
#include "feature/template_hits.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/hhr"
#include "fuzz/fuzz.h"

static const char query[] = "SEFKVTVCFGRTRVVVPCGDGRMKVFSLIQQAVTRYRKAVAKDPNYWIQVHRLEHGDGGILDLDDILCDVADDKDRLVAVFDEQ";

static void check_hit(const struct ff_template_hit *h)
{
    FF_ASSERT(h->name != NULL && h->sum_probs == h->sum_probs);
    FF_ASSERT((size_t)h->n_query == strlen(h->query) && (size_t)h->n_hit == strlen(h->hit_sequence));
    for (int i = 0; i < h->n_query; i++)
        FF_ASSERT((h->indices_query[i] < 0) == (h->query[i] == '-'));

    struct ff_template_mapping m;
    int n_query = (int)strlen(query);
    (void)ff_template_mapping_build(h, query, &m);
    for (int i = 0; i < m.n; i++)
        FF_ASSERT(m.query[i] >= -1 && m.query[i] < n_query && m.hit[i] >= 0 && m.hit[i] < h->n_hit);
    ff_template_mapping_free(&m);
    (void)ff_template_prefilter(h, "1abc", query, NULL, 20200101);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ff_template_hits hits;
    if (ff_hhr_parse("fuzz", (const char *)data, size, &hits) != FF_OK) {
        FF_ASSERT(hits.items == NULL && strncmp(ff_status_message(), "fuzz:", 5) == 0);
        return 0;
    }
    for (int i = 0; i < hits.count; i++)
        check_hit(&hits.items[i]);
    ff_template_hits_free(&hits);
    return 0;
}
