/* SPDX-License-Identifier: Apache-2.0
 * fuzz_pdb: any bytes as PDB; what is accepted can be written, and reading that gives the same residues and atoms.
 */
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bio/pdb.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/pdb"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ff_structure s, again;
    if (ff_pdb_parse("fuzz", (const char *)data, size, &s) != FF_OK) {
        FF_ASSERT(s.positions == NULL && ff_status_message()[0]);
        return 0;
    }
    FF_ASSERT(s.n_res > 0 && s.n_chain > 0);
    const struct ff_pdb_options opt = {.chains_from_a = true};
    struct ff_strbuf out = {0};
    if (ff_pdb_misfit(&s, &opt) == NULL) {
        FF_ASSERT(ff_pdb_write(&s, &opt, &out) == FF_OK);
        FF_ASSERT(ff_pdb_parse("again", out.s, out.len, &again) == FF_OK);
        FF_ASSERT(again.n_res <= s.n_res); /* residues with equal numbers, one behind the other, become one */
        if (again.n_res == s.n_res) {
            FF_ASSERT(memcmp(again.aatype, s.aatype, (size_t)s.n_res * sizeof *s.aatype) == 0);
            FF_ASSERT(memcmp(again.mask, s.mask, (size_t)s.n_res * FF_N_ATOM37 * sizeof *s.mask) == 0);
        }
        ff_structure_free(&again);
    }
    ff_strbuf_free(&out);
    ff_structure_free(&s);
    return 0;
}
