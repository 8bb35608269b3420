/* SPDX-License-Identifier: Apache-2.0
 * fuzz_a3m: any bytes as A3M; accepted alignments are complete and hold letters and gaps only, and a cap only leaves
 * rows out.
 */
#include <string.h>

#include "base/status.h"
#include "bio/a3m.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/a3m"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ff_msa all, some;
    ff_status st = ff_a3m_parse("fuzz", (const char *)data, size, 0, &all);
    ff_status st_some = ff_a3m_parse("fuzz", (const char *)data, size, 2, &some);
    if (st == FF_OK) {
        FF_ASSERT(all.n_row > 0 && all.n_col > 0 && st_some == FF_OK);
        for (size_t i = 0; i < (size_t)all.n_row * (size_t)all.n_col; i++)
            FF_ASSERT(ff_msa_hhblits_id(all.letters[i]) >= 0);
        FF_ASSERT(some.n_col == all.n_col && some.n_row == (all.n_row < 2 ? all.n_row : 2));
        FF_ASSERT(memcmp(some.letters, all.letters, (size_t)some.n_row * (size_t)some.n_col) == 0);
    }
    ff_msa_free(&all);
    ff_msa_free(&some);
    return 0;
}
