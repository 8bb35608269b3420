/* SPDX-License-Identifier: Apache-2.0
 * stockholm: columns, insertions, bad input, and the published parser's results (golden features/parsers/ *.sto.npz).
 */
#include "unit/testing.h"

#include "base/clock.h"
#include "bio/stockholm.h"
#include "unit/golden_msa.h"

static struct ff_msa msa;

static ff_status parse(const char *text)
{
    return ff_stockholm_parse("x.sto", text, strlen(text), 0, &msa);
}

static void check_row(int row, const char *letters, const int32_t *deletions)
{
    check_msa_row(&msa, row, letters, deletions);
}

static void test_blocks(void **state)
{
    (void)state;
    assert_ok(parse("# STOCKHOLM 1.0\n#=GF ID q\n\n#=GS a/1-4 DE x\nq     MK--V\na/1-4 M-ACV\n#=GR a/1-4 PP *.***\n"
                    "#=GC RF xx..x\n\nq     -L\na/1-4 DL\n//\n\n"));
    assert_int_equal(msa.n_row, 2);
    check_row(0, "MKVL", (const int32_t[]){0, 0, 0, 0});
    check_row(1, "M-VL", (const int32_t[]){0, 0, 2, 1});
    assert_string_equal(msa.descriptions[1], "a/1-4");
    ff_msa_free(&msa);
}

static void test_gap_signs_and_case(void **state)
{
    (void)state;
    assert_ok(parse("# STOCKHOLM 1.0\r\nq  MK..V\r\nr  mkA~_\r\n//"));
    check_row(0, "MKV", (const int32_t[]){0, 0, 0});
    check_row(1, "MK-", (const int32_t[]){0, 0, 1});
    ff_msa_free(&msa);
}

static void test_cap_counts_names(void **state)
{
    (void)state;
    static const char text[] = "# STOCKHOLM 1.0\nq MK\na MR\nb M*\n\nq V\na -\nb V\n//\n";
    assert_ok(ff_stockholm_parse("x.sto", text, sizeof text - 1, 2, &msa));
    assert_int_equal(msa.n_row, 2);
    check_row(1, "MR-", (const int32_t[]){0, 0, 0});
    ff_msa_free(&msa);
    assert_fails(ff_stockholm_parse("x.sto", text, sizeof text - 1, 3, &msa), FF_EINPUT,
                 "x.sto:4: row 3 'b': found '*'");
}

static void test_bad_input(void **state)
{
    (void)state;
    assert_fails(parse(""), FF_EINPUT, "x.sto: the file is empty");
    assert_fails(parse(">q\nMKV\n"), FF_EINPUT, "x.sto:1: the text starts with '>'");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\na MR\n"), FF_EINPUT, "x.sto:3: the file does not end with '//'");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\n//\nq MK\n"), FF_EINPUT, "x.sto:4: text behind the end line");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\n//\n# STOCKHOLM 1.0\n//\n"), FF_EINPUT, "single alignment");
    assert_fails(parse("# STOCKHOLM 1.0\n\n//\n"), FF_EINPUT, "no rows");
    assert_fails(parse("# STOCKHOLM 1.0\nq --\na MK\n//\n"), FF_EINPUT, "only gaps");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\na\n//\n"), FF_EINPUT, "x.sto:3: row 'a' has a name but no letters");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK V\n//\n"), FF_EINPUT, "row 'q' has text behind its letters");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\na M\n//\n"), FF_EINPUT, "row 2 'a' has 1 columns, the first row has 2");
    assert_fails(parse("# STOCKHOLM 1.0\nq MK\na MKV\n//\n"), FF_EINPUT, "row 2 'a' is longer than the first row");
    assert_fails(parse("# STOCKHOLM 1.0\nq M1\na MK\n//\n"), FF_EINPUT, "x.sto:2: row 1 'q': found '1'");
    assert_fails(ff_stockholm_parse("x.sto", "# STOCKHOLM 1.0\nq\0 MK\n//\n", 26, 0, &msa), FF_EINPUT, "0x00");
    assert_null(msa.letters);
    assert_fails(ff_stockholm_load("test/data/none.sto", 0, &msa), FF_EMISSING, "none.sto");
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "edge/edge1.sto",
        "2q2k_A/mgnify_hits.sto",
        "2q2k_A/uniprot_hits.sto",
        "2q2k_A/uniref90_hits.sto",
        "6KWC_1/mgnify_hits.sto",
        "6KWC_1/uniref90_hits.sto",
        "fam_A/mgnify_hits.sto",
        "fam_A/uniprot_hits.sto",
        "fam_A/uniref90_hits.sto",
        "fam_B/mgnify_hits.sto",
        "fam_B/uniprot_hits.sto",
        "fam_B/uniref90_hits.sto",
        "fam_C/mgnify_hits.sto",
        "fam_C/uniprot_hits.sto",
        "fam_C/uniref90_hits.sto",
        "fam_G/uniref90_hits.sto",
        "fam_H/uniref90_hits.sto",
        "fam_P/mgnify_hits.sto",
        "fam_P/uniprot_hits.sto",
        "fam_P/uniref90_hits.sto",
        "short/mgnify_hits.sto",
        "short/uniref90_hits.sto",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_case g;
        if (!golden_case_open(cases[i], &g))
            continue;
        if (golden_array(&g, "", "msa_ids")) {
            assert_ok(ff_stockholm_load(g.input, 0, &msa));
            golden_check_msa(&g, "", &msa);
            ff_msa_free(&msa);
        }
        if (golden_array(&g, "trunc501_", "msa_ids")) {
            assert_ok(ff_stockholm_load(g.input, 501, &msa));
            golden_check_msa(&g, "trunc501_", &msa);
            ff_msa_free(&msa);
        }
        golden_case_close(&g);
    }
    golden_report();
}

/* Parsing has to keep up with what the searches write: 40,000 rows of 250 columns in two blocks. The bound is 20 times
 * what an unloaded machine takes, so that it fails for a change of order and not for a busy machine. */
static void test_large_file(void **state)
{
    (void)state;
    enum { N_ROW = 40000 };
    struct ff_strbuf text = {0};
    char row[201];
    ff_strbuf_puts(&text, "# STOCKHOLM 1.0\n");
    for (int block = 0; block < 2; block++) {
        int width = block ? 50 : 200;
        for (int i = 0; i < N_ROW; i++) {
            for (int j = 0; j < width; j++)
                row[j] = "ACDEFGHIKLMNPQRSTVWY-"[(unsigned)(i * 7 + j * 13 + (i >> 5) * j) % (i ? 21 : 20)];
            row[width] = '\0';
            ff_strbuf_printf(&text, "UniRef90_%08d/1-200   %s\n", i, row);
        }
        ff_strbuf_puts(&text, "\n");
    }
    ff_strbuf_puts(&text, "//\n");
    struct ff_msa kept;
    assert_ok(ff_stockholm_parse("large.sto", text.s, text.len, 0, &kept));
    double start = ff_clock_cpu();
    assert_ok(ff_stockholm_spend("large.sto", text.s, text.len, 0, &msa));
    double seconds = ff_clock_cpu() - start;
    print_message("%d rows x %d columns in %.3f s\n", msa.n_row, msa.n_col, seconds);
    assert_int_equal(msa.n_row, N_ROW);
    assert_int_equal(msa.n_col, 250);
    assert_string_equal(msa.descriptions[N_ROW - 1], "UniRef90_00039999/1-200");
    assert_true(seconds < 3.0);
    assert_memory_equal(msa.letters, kept.letters, (size_t)N_ROW * 250);
    assert_int_equal(text.s[text.len / 2], 0); /* the text went back to the system */
    ff_msa_free(&kept);
    ff_msa_free(&msa);
    ff_strbuf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),    cmocka_unit_test(test_gap_signs_and_case),
        cmocka_unit_test(test_cap_counts_names), cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_large_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
