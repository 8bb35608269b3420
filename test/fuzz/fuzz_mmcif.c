/* SPDX-License-Identifier: Apache-2.0
 * fuzz_mmcif: any bytes as mmCIF, with and without the tables of sequences.
 */
#include <string.h>

#include "base/status.h"
#include "bio/mmcif.h"
#include "bio/residue.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/mmcif"
#include "fuzz/fuzz.h"

static void check(ff_status st, struct ff_mmcif *m)
{
    if (st != FF_OK) {
        FF_ASSERT(m->n_chain == 0 && m->chains == NULL && strncmp(ff_status_message(), "fuzz:", 5) == 0);
        return;
    }
    FF_ASSERT(m->n_chain > 0 && m->method != NULL);
    for (int k = 0; k < m->n_chain; k++) {
        const struct ff_mmcif_chain *c = &m->chains[k];
        FF_ASSERT(c->n_res > 0 && strlen(c->sequence) == (size_t)c->n_res);
        FF_ASSERT(ff_mmcif_find_chain(m, c->id) != NULL);
        for (int i = 0; i < c->n_res; i++) {
            const struct ff_mmcif_residue *r = &c->residues[i];
            FF_ASSERT(r->name != NULL && !(r->is_missing && r->positions != NULL));
            FF_ASSERT(c->state != FF_MMCIF_CHAIN_OK || (r->positions != NULL) == !r->is_missing);
            for (int a = 0; r->mask != NULL && a < FF_N_ATOM37; a++)
                FF_ASSERT(r->mask[a] == 1 || (r->mask[a] == 0 && r->positions[a * 3] == 0));
        }
    }
    ff_mmcif_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ff_mmcif m;
    check(ff_mmcif_parse("fuzz", (const char *)data, size, &m), &m);
    check(ff_mmcif_parse_coordinates("fuzz", (const char *)data, size, &m), &m);
    return 0;
}
