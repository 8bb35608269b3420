/* SPDX-License-Identifier: Apache-2.0
 * fuzz_fasta: any bytes as FASTA, with and without complexes; what is accepted has the form that fasta.h promises.
 */
#include <string.h>

#include "base/status.h"
#include "bio/fasta.h"
#include "bio/residue.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/fasta"
#include "fuzz/fuzz.h"

static void check_record(const struct ff_fasta_record *r, bool allow_complex)
{
    int n_residue = 0, n_chain = 1, n_unknown = 0;
    for (const char *c = r->sequence; *c; c++) {
        FF_ASSERT((*c >= 'A' && *c <= 'Z') || (allow_complex && *c == ':'));
        n_residue += *c != ':';
        n_chain += *c == ':';
        n_unknown += *c != ':' && ff_residue_from_letter(*c) == FF_RESTYPE_X;
    }
    FF_ASSERT(n_residue == r->n_residue && n_chain == r->n_chain && n_unknown == r->n_unknown);
    FF_ASSERT(n_residue >= n_chain * FF_FASTA_MIN_LENGTH);
    FF_ASSERT((r->unknown != NULL) == (n_unknown > 0));
    size_t len = strlen(r->name);
    FF_ASSERT(len >= 1 && len <= FF_FASTA_NAME_MAX && r->name[0] != '.' && r->name[0] != '-');
    FF_ASSERT(strspn(r->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int allow_complex = 0; allow_complex < 2; allow_complex++) {
        struct ff_fasta f;
        if (ff_fasta_parse("fuzz", (const char *)data, size, allow_complex, &f) != FF_OK) {
            FF_ASSERT(f.records == NULL && ff_status_message()[0]);
            continue;
        }
        FF_ASSERT(f.count > 0);
        for (int i = 0; i < f.count; i++)
            check_record(&f.records[i], allow_complex);
        ff_fasta_free(&f);
    }
    return 0;
}
