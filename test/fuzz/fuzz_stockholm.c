/* SPDX-License-Identifier: Apache-2.0
 * fuzz_stockholm: any bytes as Stockholm; parsing, and every change of the text, of which the results must parse again.
 */
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bio/a3m.h"
#include "bio/stockholm.h"
#include "bio/stockholm_text.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/stockholm"
#include "fuzz/fuzz.h"

static bool equal(const struct ff_msa *a, const struct ff_msa *b)
{
    size_t n = (size_t)a->n_row * (size_t)a->n_col, n_col = (size_t)a->n_col;
    bool same = a->n_row == b->n_row && a->n_col == b->n_col && memcmp(a->letters, b->letters, n) == 0;
    int32_t *deletions = ff_xreallocarray(NULL, 2 * n_col, sizeof *deletions);
    for (int i = 0; same && i < a->n_row; i++) {
        ff_msa_deletions(a, i, deletions);
        ff_msa_deletions(b, i, deletions + n_col);
        same = memcmp(deletions, deletions + n_col, n_col * sizeof *deletions) == 0;
    }
    free(deletions);
    return same;
}

/* Cutting the text and cutting while parsing agree, and so do one piece and many. */
static void check_cut(const char *text, size_t size)
{
    struct ff_strbuf whole = {0}, pieces = {0};
    struct ff_msa cut, capped;
    ff_stockholm_text_truncate(text, size, 3, &whole);
    ff_status st_cut = ff_stockholm_parse("cut", ff_strbuf_cstr(&whole), whole.len, 0, &cut);
    if (ff_stockholm_parse("fuzz", text, size, 3, &capped) == FF_OK && st_cut == FF_OK)
        FF_ASSERT(equal(&cut, &capped));
    ff_msa_free(&cut);
    ff_msa_free(&capped);

    struct ff_stockholm_cut *c = ff_stockholm_cut_new(3, &pieces);
    for (size_t at = 0; at < size; at += 5)
        ff_stockholm_cut_feed(c, text + at, size - at < 5 ? size - at : 5);
    (void)ff_stockholm_cut_end(c);
    if (!memchr(text, '\r', size) && !(size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)) {
        FF_ASSERT(whole.len == pieces.len);
        FF_ASSERT(whole.len == 0 || memcmp(whole.s, pieces.s, whole.len) == 0);
    }
    ff_strbuf_free(&whole);
    ff_strbuf_free(&pieces);
}

/* An alignment that was accepted: A3M of it is the same alignment, and duplicates go away once. */
static void check_changes(const char *text, size_t size, const struct ff_msa *msa)
{
    struct ff_strbuf a3m = {0}, once = {0}, twice = {0};
    struct ff_msa again;
    FF_ASSERT(ff_stockholm_text_to_a3m("fuzz", text, size, 0, true, &a3m) == FF_OK);
    if (strstr(a3m.s, ">ss_") == NULL && strstr(a3m.s, ">sa_") == NULL) { /* names that A3M has another use for */
        FF_ASSERT(ff_a3m_parse("a3m", a3m.s, a3m.len, 0, &again) == FF_OK);
        FF_ASSERT(equal(msa, &again));
        ff_msa_free(&again);
    }
    FF_ASSERT(ff_stockholm_text_deduplicate("fuzz", text, size, &once) == FF_OK);
    FF_ASSERT(ff_stockholm_text_deduplicate("fuzz", once.s, once.len, &twice) == FF_OK);
    FF_ASSERT(once.len == twice.len && memcmp(once.s, twice.s, once.len) == 0);
    ff_strbuf_free(&a3m);
    ff_strbuf_free(&once);
    ff_strbuf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct ff_msa msa;
    struct ff_strbuf out = {0};
    check_cut(text, size);
    if (ff_stockholm_parse("fuzz", text, size, 0, &msa) == FF_OK) {
        FF_ASSERT(msa.n_row > 0 && msa.n_col > 0);
        for (size_t i = 0; i < (size_t)msa.n_row * (size_t)msa.n_col; i++)
            FF_ASSERT(ff_msa_hhblits_id(msa.letters[i]) >= 0);
        check_changes(text, size, &msa);
        ff_msa_free(&msa);
    }
    (void)!ff_stockholm_text_remove_empty_columns("fuzz", text, size, &out);
    ff_strbuf_clear(&out);
    (void)!ff_stockholm_text_to_a3m("fuzz", text, size, 2, false, &out);
    ff_strbuf_free(&out);
    return 0;
}
