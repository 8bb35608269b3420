/* SPDX-License-Identifier: Apache-2.0
 * stockholm_text: every text the published code makes of the golden alignments, byte for byte, and bad input.
 */
#include "unit/testing.h"

#include "bio/stockholm_text.h"
#include "format/gzip.h"
#include "unit/golden_msa.h"

static const char *const cases[] = {
    "edge/edge1.sto",          "2q2k_A/mgnify_hits.sto",   "2q2k_A/uniprot_hits.sto", "2q2k_A/uniref90_hits.sto",
    "6KWC_1/mgnify_hits.sto",  "6KWC_1/uniref90_hits.sto", "fam_A/mgnify_hits.sto",   "fam_A/uniprot_hits.sto",
    "fam_A/uniref90_hits.sto", "fam_B/mgnify_hits.sto",    "fam_B/uniprot_hits.sto",  "fam_B/uniref90_hits.sto",
    "fam_C/mgnify_hits.sto",   "fam_C/uniprot_hits.sto",   "fam_C/uniref90_hits.sto", "fam_G/uniref90_hits.sto",
    "fam_H/uniref90_hits.sto", "fam_P/mgnify_hits.sto",    "fam_P/uniprot_hits.sto",  "fam_P/uniref90_hits.sto",
    "short/mgnify_hits.sto",   "short/uniref90_hits.sto",
};

/* Text operations of which one follows from another share what is done to get there. */
enum { TRUNCATE = 1, DEDUPLICATE = 2, NO_EMPTY = 4, A3M = 8, KEEP_QUERY_GAPS = 16 };

static const struct {
    const char *array;
    int steps;
    int max_rows;        /* of TRUNCATE or of A3M */
} texts[] = {
    {"trunc3_text", TRUNCATE, 3},
    {"trunc10_text", TRUNCATE, 10},
    {"trunc501_text", TRUNCATE, 501},
    {"dedup_text", DEDUPLICATE, 0},
    {"noempty_text", NO_EMPTY, 0},
    {"dedup_noempty_text", DEDUPLICATE | NO_EMPTY, 0},
    {"dedup_noempty_a3m_text", DEDUPLICATE | NO_EMPTY | A3M, 0},
    {"trunc10_dedup_noempty_text", TRUNCATE | DEDUPLICATE | NO_EMPTY, 10},
    {"trunc10_dedup_noempty_a3m_text", TRUNCATE | DEDUPLICATE | NO_EMPTY | A3M, 10},
    {"a3m_text", A3M, 0},
    {"a3m_max3_text", A3M, 3},
    {"a3m_max7_text", A3M, 7},
    {"a3m_keep_query_gaps_text", A3M | KEEP_QUERY_GAPS, 0},
};
enum { N_TEXT = sizeof texts / sizeof texts[0] };

static void run_steps(const char *text, size_t len, int steps, int max_rows, struct ff_strbuf *ret)
{
    struct ff_strbuf now = {0}, next = {0};
    ff_strbuf_append(&now, text, len);
    for (int step = TRUNCATE; step <= A3M; step *= 2) {
        if (!(steps & step))
            continue;
        if (step == TRUNCATE)
            ff_stockholm_text_truncate(now.s, now.len, max_rows, &next);
        if (step == DEDUPLICATE)
            assert_ok(ff_stockholm_text_deduplicate("x.sto", now.s, now.len, &next));
        if (step == NO_EMPTY)
            assert_ok(ff_stockholm_text_remove_empty_columns("x.sto", now.s, now.len, &next));
        if (step == A3M)
            assert_ok(ff_stockholm_text_to_a3m("x.sto", now.s, now.len, steps & TRUNCATE ? 0 : max_rows,
                                               !(steps & KEEP_QUERY_GAPS), &next));
        ff_strbuf_free(&now);
        now = next;
        next = (struct ff_strbuf){0};
    }
    *ret = now;
}

static void test_golden(void **state)
{
    (void)state;
    int n_text[N_TEXT] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_case g;
        if (!golden_case_open(cases[i], &g))
            continue;
        char *text;
        size_t len;
        assert_ok(ff_gzip_read_file(g.input, &text, &len));
        for (int t = 0; t < N_TEXT; t++) {
            if (!golden_array(&g, "", texts[t].array))
                continue;
            struct ff_strbuf got;
            run_steps(text, len, texts[t].steps, texts[t].max_rows, &got);
            golden_check_text(&g, texts[t].array, &got);
            ff_strbuf_free(&got);
            n_text[t]++;
        }
        free(text);
        golden_case_close(&g);
    }
    for (int t = 0; t < N_TEXT; t++)
        if (n_text[t] == 0 && strcmp(texts[t].array, "trunc501_text") != 0) /* that one has large files only */
            fail_msg("%s was compared with no file", texts[t].array);
    golden_report();
}

/* Every array *_text of the golden files is one of those above. */
static void test_all_golden_texts_are_compared(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_case g;
        if (!golden_case_open(cases[i], &g))
            continue;
        for (int k = 0; k < g.arrays.count; k++) {
            const char *name = g.arrays.items[k].name, *end = strstr(name, "_text");
            bool known = !end || end[5] != '\0';
            for (int t = 0; t < N_TEXT; t++)
                known = known || strcmp(name, texts[t].array) == 0;
            if (!known)
                fail_msg("%s: %s", cases[i], name);
        }
        golden_case_close(&g);
    }
}

/* Fed in pieces of any size, the cut gives the same as in one piece. */
static void test_cut_in_pieces(void **state)
{
    (void)state;
    char *path = test_data_path("features/inputs/fam_A/uniref90_hits.sto"), *text;
    size_t len;
    assert_non_null(path);
    assert_ok(ff_gzip_read_file(path, &text, &len));
    for (int max_rows = 1; max_rows < 2000; max_rows = max_rows * 3 + 1) {
        struct ff_strbuf whole = {0};
        ff_stockholm_text_truncate(text, len, max_rows, &whole);
        for (size_t piece = 1; piece <= len; piece = piece * 7 + 1) {
            struct ff_strbuf got = {0};
            struct ff_stockholm_cut *cut = ff_stockholm_cut_new(max_rows, &got);
            for (size_t at = 0; at < len; at += piece)
                ff_stockholm_cut_feed(cut, text + at, len - at < piece ? len - at : piece);
            assert_true(ff_stockholm_cut_end(cut));
            assert_int_equal(got.len, whole.len);
            assert_memory_equal(got.s, whole.s, whole.len);
            ff_strbuf_free(&got);
        }
        ff_strbuf_free(&whole);
    }
    struct ff_strbuf got = {0};
    struct ff_stockholm_cut *cut = ff_stockholm_cut_new(10, &got);
    ff_stockholm_cut_feed(cut, text, len / 2);
    assert_false(ff_stockholm_cut_end(cut));
    ff_strbuf_free(&got);
    cut = ff_stockholm_cut_new(10, &got);
    assert_false(ff_stockholm_cut_end(cut));
    assert_int_equal(got.len, 0);
    free(text);
    free(path);
}

static void check_steps(const char *text, int steps, const char *expected)
{
    struct ff_strbuf got;
    run_steps(text, strlen(text), steps, 0, &got);
    assert_string_equal(ff_strbuf_cstr(&got), expected);
    ff_strbuf_free(&got);
}

static void test_small_texts(void **state)
{
    (void)state;
    /* equal in the query's columns: the second goes; '#=GS' of dropped rows go with them */
    check_steps("# STOCKHOLM 1.0\n#=GS a DE x\n#=GS b DE y\nq M-K\na MAK\nb MVR\n#=GC RF xxx\n//\n", DEDUPLICATE,
                "# STOCKHOLM 1.0\n#=GS b DE y\nq M-K\nb MVR\n#=GC RF xxx\n//\n");
    check_steps("# STOCKHOLM 1.0\nq   -M-K\nbbb -MA-\n#=GC RF .x.x\n\nq --\nb --\n#=GC RF ..\n//\n", NO_EMPTY,
                "# STOCKHOLM 1.0\nq   M-K\nbbb MA-\n#=GC RF x.x\n\n\n\n\n//");
    check_steps("# STOCKHOLM 1.0\r\n#=GS b DE  two  words \r\nq M-K\r\nb MaK\r\n//\r\n", A3M,
                ">q \nMK\n>b two  words \nMaK\n");
    check_steps("\n\n# STOCKHOLM 1.0\nq M\n#=GC RF x\n//", NO_EMPTY, "\n\n# STOCKHOLM 1.0\nq M\n#=GC RF x\n//");
}

static void test_bad_input(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } no_rf[] = {
        {"# STOCKHOLM 1.0\nq MK\n//\n", "x.sto:3: the last block has no '#=GC RF' line"},
        {"# STOCKHOLM 1.0\nq MK\na MKV\n#=GC RF xx\n//\n", "x.sto:3: this row of the block has 3 columns"},
        {"# STOCKHOLM 1.0\nq MK\n#=GC RF xxx\n//\n", "x.sto:3: this row of the block has 3 columns"},
        {"# STOCKHOLM 1.0\nMK\n#=GC RF xx\n//\n", "x.sto:2: expected a name"},
    };
    struct ff_strbuf out = {0};
    for (size_t i = 0; i < sizeof no_rf / sizeof no_rf[0]; i++)
        assert_fails(ff_stockholm_text_remove_empty_columns("x.sto", no_rf[i].text, strlen(no_rf[i].text), &out),
                     FF_EINPUT, no_rf[i].message);
    static const char cut_off[] = "# STOCKHOLM 1.0\nq MK\n";
    static const char uneven[] = "# STOCKHOLM 1.0\nq MK\na M\n//\n";
    assert_fails(ff_stockholm_text_deduplicate("x.sto", cut_off, sizeof cut_off - 1, &out), FF_EINPUT, "cut off");
    assert_fails(ff_stockholm_text_to_a3m("x.sto", cut_off, sizeof cut_off - 1, 0, true, &out), FF_EINPUT, "cut off");
    assert_fails(ff_stockholm_text_to_a3m("x.sto", uneven, sizeof uneven - 1, 0, true, &out), FF_EINPUT,
                 "row 2 'a' has 1 columns");
    assert_fails(ff_stockholm_text_to_a3m("x.sto", "", 0, 0, true, &out), FF_EINPUT, "empty");
    ff_strbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_all_golden_texts_are_compared),
        cmocka_unit_test(test_cut_in_pieces), cmocka_unit_test(test_small_texts),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
