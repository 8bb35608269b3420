/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/testing.h"

#include "bio/a3m.h"
#include "bio/msa.h"

static void test_from_query(void **state)
{
    (void)state;
    struct ff_msa m;
    ff_msa_from_query("MKV", "my protein", &m);
    assert_int_equal(m.n_row, 1);
    assert_int_equal(m.n_col, 3);
    assert_memory_equal(ff_msa_row(&m, 0), "MKV", 3);
    int32_t deletions[3];
    ff_msa_deletions(&m, 0, deletions);
    assert_memory_equal(deletions, ((const int32_t[]){0, 0, 0}), sizeof deletions);
    assert_string_equal(m.descriptions[0], "my protein");
    ff_msa_free(&m);
    assert_null(m.letters);
    ff_msa_free(&m);
}

static void test_truncate(void **state)
{
    (void)state;
    static const char text[] = ">a\nMK\n>b\nMR\n>c\nMH\n";
    struct ff_msa m;
    assert_ok(ff_a3m_parse("t", text, sizeof text - 1, 0, &m));
    ff_msa_truncate(&m, 5);
    assert_int_equal(m.n_row, 3);
    ff_msa_truncate(&m, 2);
    assert_int_equal(m.n_row, 2);
    assert_memory_equal(ff_msa_row(&m, 1), "MR", 2);
    ff_msa_free(&m);
}

/* Rows that grow in turns, with numbers and distances of one byte and of several. */
static void test_deletions(void **state)
{
    (void)state;
    enum { ROWS = 7, COLS = 5000 };
    struct ff_msa m = {.n_row = ROWS + 1, .n_col = COLS};
    int32_t *expected = FF_NEW_ARRAY(int32_t, (size_t)m.n_row * COLS), *got = FF_NEW_ARRAY(int32_t, COLS);
    for (int i = 0; i < COLS; i++)
        for (int r = 0; r < ROWS; r++) {
            int kind = (i * 31 + r * 17) % 97, n = kind == 0 ? INT32_MAX - i : kind == 1 ? 127 + r : 1 + i % 128;
            if (r == 2 || kind >= 10 || (r == 3 && i % 1000 > 2)) /* row 2 and the last have none */
                continue;
            ff_msa_add_deletions(&m, r, i, n);
            expected[r * COLS + i] = n;
        }
    for (int r = 0; r < m.n_row; r++) {
        ff_msa_deletions(&m, r, got);
        assert_memory_equal(got, expected + r * COLS, COLS * sizeof *got);
    }
    free(expected);
    free(got);
    m.n_row = 0; /* it has no descriptions */
    ff_msa_free(&m);
}

static void test_check_query(void **state)
{
    (void)state;
    struct ff_msa m;
    ff_msa_from_query("MKXVU", "q", &m);
    assert_ok(ff_msa_check_query(&m, "MKXVU", "f.a3m"));
    assert_ok(ff_msa_check_query(&m, "MKBVX", "f.a3m")); /* all of them are unknown to the network */
    assert_fails(ff_msa_check_query(&m, "MKAVU", "f.a3m"), FF_EINPUT, "residue 3: 'X', the query has 'A'");
    assert_fails(ff_msa_check_query(&m, "MRXVU", "f.a3m"), FF_EINPUT, "residue 2: 'K', the query has 'R'");
    assert_fails(ff_msa_check_query(&m, "MKXV", "f.a3m"), FF_EINPUT, "has 5 residues, the query has 4");
    assert_fails(ff_msa_check_query(&m, "MKXVUA", "f.a3m"), FF_EINPUT, "f.a3m");
    ff_msa_free(&m);
    assert_fails(ff_msa_check_query(&m, "M", "f.a3m"), FF_EINPUT, "no rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_query),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_deletions),
        cmocka_unit_test(test_check_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
