/* SPDX-License-Identifier: Apache-2.0
 * search_mmseqs: rows of an A3M from the table of alignments, and tables that are broken.
 */
#include "app/search_mmseqs.h"

#include "unit/testing.h"

static const char query[] = "MKTAYIAK";

static void check(const char *table, int max_rows, const char *expected)
{
    struct ff_strbuf b = {0};
    assert_ok(ff_search_mmseqs_a3m("q", query, table, strlen(table), max_rows, &b));
    assert_string_equal(ff_strbuf_cstr(&b), expected);
    ff_strbuf_free(&b);
}

static void test_rows(void **state)
{
    (void)state;
    check("", 0, ">q\nMKTAYIAK\n");
    /* A whole row, a piece of one, an insertion, a deletion, what is no letter, a header with tabs. */
    check("1\t8\t3\t10\tMKTAYIAK\tMKSAYIAR\ttr|A1|A1_HUMAN x OX=9606\n", 0,
          ">q\nMKTAYIAK\n>tr|A1|A1_HUMAN/3-10\nMKSAYIAR\n");
    check("3\t5\t1\t3\tTAY\tTAF\ta\n", 0, ">q\nMKTAYIAK\n>a/1-3\n--TAF---\n");
    check("2\t5\t7\t11\tKT-AY\tKTWA*\ta\tb\tc\n", 0, ">q\nMKTAYIAK\n>a/7-11\n-KTwAX---\n");
    check("1\t4\t7\t9\tMKTA\tM-TA\ta\n", 0, ">q\nMKTAYIAK\n>a/7-9\nM-TA----\n");
    check("1\t1\t1\t1\tM\tM\ta\n1\t1\t1\t1\tM\tM\tb\n", 2, ">q\nMKTAYIAK\n>a/1-1\nM-------\n");
}

static void test_broken(void **state)
{
    (void)state;
    static const char *const tables[] = {
        "garbage\n",
        "1\t8\t3\t10\tMKTAYIAK\tMKSAYIAR\n",                 /* a field is missing */
        "1\t8\t3\t10\tMKTAYIAK\tMKS\ta\n",                   /* rows of different lengths */
        "1\t9\t3\t11\tMKTAYIAKK\tMKSAYIARR\ta\n",            /* beyond the query */
        "1\t7\t3\t10\tMKTAYIAK\tMKSAYIAR\ta\n",              /* an end that is not there */
        "0\t7\t3\t10\tMKTAYIAK\tMKSAYIAR\ta\n",
        "x\t8\t3\t10\tMKTAYIAK\tMKSAYIAR\ta\n",
        "1\t8\t3\t10\tMKTAYIAK\tMKSAYIAR\ta",                /* cut */
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct ff_strbuf b = {0};
        assert_fails(ff_search_mmseqs_a3m("q", query, tables[i], strlen(tables[i]), 0, &b), FF_ETOOL, "table");
        ff_strbuf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
