/* SPDX-License-Identifier: Apache-2.0
 * a3m: accepted forms, bad input, and the published parser's results (golden features/parsers/ *.a3m.npz).
 */
#include "unit/testing.h"

#include "bio/a3m.h"
#include "unit/golden_msa.h"

static struct ff_msa msa;

static ff_status parse(const char *text)
{
    return ff_a3m_parse("x.a3m", text, strlen(text), 0, &msa);
}

static void check_row(int row, const char *letters, const int32_t *deletions)
{
    check_msa_row(&msa, row, letters, deletions);
}

static void test_insertions(void **state)
{
    (void)state;
    assert_ok(parse(">q the query\nMKVL\n>a\naaMK-cLdd\n>b\n----\n"));
    assert_int_equal(msa.n_row, 3);
    check_row(0, "MKVL", (const int32_t[]){0, 0, 0, 0});
    check_row(1, "MK-L", (const int32_t[]){2, 0, 0, 1});
    check_row(2, "----", (const int32_t[]){0, 0, 0, 0});
    assert_string_equal(msa.descriptions[0], "q the query");
    assert_string_equal(msa.descriptions[1], "a");
    ff_msa_free(&msa);
}

static void test_accepted_forms(void **state)
{
    (void)state;
    assert_ok(parse("\xEF\xBB\xBF#4\t1\r\n>q\r\nMK\r\nVL\r\n>ss_pred\r\nHHCC\r\n>ss_conf\r\n9911\r\n\r\n"
                    "> a\r\nM..Ka\r\n V L\r\n"));
    assert_int_equal(msa.n_row, 2);
    check_row(0, "MKVL", NULL);
    check_row(1, "MKVL", (const int32_t[]){0, 0, 1, 0});
    assert_string_equal(msa.descriptions[1], " a");
    ff_msa_free(&msa);
    assert_ok(parse(">ss_dssp\nCCC\n>q\nMKV"));
    assert_int_equal(msa.n_row, 1);
    ff_msa_free(&msa);
}

static void test_cap(void **state)
{
    (void)state;
    static const char text[] = ">q\nMK\n>a\nMR\n>b\nM*\n"; /* the bad row is behind the cap */
    assert_ok(ff_a3m_parse("x.a3m", text, sizeof text - 1, 2, &msa));
    assert_int_equal(msa.n_row, 2);
    check_row(1, "MR", NULL);
    ff_msa_free(&msa);
}

static void test_bad_input(void **state)
{
    (void)state;
    assert_fails(parse(""), FF_EINPUT, "x.a3m: no sequence");
    assert_fails(parse(">ss_pred\nHHH\n"), FF_EINPUT, "no sequence");
    assert_fails(parse("MKV\n"), FF_EINPUT, "x.a3m:1: the text starts with 'M'");
    assert_fails(parse(">q\n>a\nMK\n"), FF_EINPUT, "x.a3m:1: row 1 'q' has no sequence");
    assert_fails(parse(">q\nMK\n>a\n"), FF_EINPUT, "x.a3m:3: row 2 'a' has no sequence");
    assert_fails(parse(">q\nMKV\n>a\nMKVL\n"), FF_EINPUT, "x.a3m:3: row 2 'a' has 4 match columns");
    assert_fails(parse(">q\nMKV\n>a\nMKv\n>b\nMKV\n"), FF_EINPUT, "row 2 'a' has 2 match columns");
    assert_fails(parse(">q\nMKV\n>a b\nM*V\n"), FF_EINPUT, "x.a3m:4: row 2 'a b', column 2: found '*'");
    assert_fails(parse(">q\nMK1\n"), FF_EINPUT, "found '1'");
    assert_fails(parse(">q\nMK-\n"), FF_EINPUT, "has a gap at column 3");
    assert_fails(ff_a3m_parse("x", ">q\nM\0\n", 6, 0, &msa), FF_EINPUT, "found 0x00");
    assert_null(msa.letters);
    assert_fails(ff_a3m_load("test/data/none.a3m", 0, &msa), FF_EMISSING, "none.a3m");
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const cases[] = {"edge/edge1.a3m",
                                        "2q2k_A/bfd_uniclust_hits.a3m",
                                        "6KWC_1/bfd_uniref_hits.a3m",
                                        "fam_A/bfd_uniref_hits.a3m",
                                        "fam_B/bfd_uniref_hits.a3m",
                                        "fam_C/bfd_uniref_hits.a3m",
                                        "fam_P/bfd_uniref_hits.a3m",
                                        "short/bfd_uniclust_hits.a3m"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_case g;
        if (!golden_case_open(cases[i], &g))
            continue;
        assert_ok(ff_a3m_load(g.input, 0, &msa));
        golden_check_msa(&g, "", &msa);
        ff_msa_free(&msa);
        golden_case_close(&g);
    }
    golden_report();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insertions), cmocka_unit_test(test_accepted_forms), cmocka_unit_test(test_cap),
        cmocka_unit_test(test_bad_input),  cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
