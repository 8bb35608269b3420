/* SPDX-License-Identifier: Apache-2.0
 * hhr: the golden hhsearch files, and files that are not as they should be.
 */
#include "unit/golden_hits.h"

static const char *const cases[] = {
    "6KWC_1/hhsearch_output.hhr", "fam_A/fuzzy_hits.hhr", "fam_A/pdb_hits.hhr", "fam_B/pdb_hits.hhr",
    "fam_C/pdb_hits.hhr",         "fam_G/pdb_hits.hhr",   "fam_H/pdb_hits.hhr", "short/pdb70_hits.hhr",
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_hits g;
        if (!golden_hits_open(cases[i], &g))
            continue;
        golden_hits_check(&g);
        golden_hits_close(&g);
    }
    golden_report();
}

#define HEAD "Query         q\n\n No Hit   Prob\n  1 1ABC_A x 1.0\n\nNo 1\n>1ABC_A first\n"
#define SUMMARY                                                                                         \
    "Probab=99.1  E-value=1e-9  Score=10.5  Aligned_cols=5  Identities=80%  Similarity=1.2  Sum_probs=4.5  " \
    "Template_Neff=1.0\n\n"
#define BLOCK                                                \
    "Q ss_pred             HHHHHH\n"                         \
    "Q q                 3 ACD-EF    7 (9)\n"                \
    "Q Consensus         3 acd~ef    7 (9)\n"                \
    "                      ||.\n"                            \
    "T Consensus        12 acdgef   16 (20)\n"               \
    "T 1ABC_A           12 AC-GEF   16 (20)\n"               \
    "Confidence            345\n\n"

static ff_status parse(const char *text, struct ff_template_hits *ret)
{
    return ff_hhr_parse("x.hhr", text, strlen(text), ret);
}

static void test_small(void **state)
{
    (void)state;
    struct ff_template_hits hits;
    /* Two blocks, then a second hit without an alignment; CR LF line ends and no final newline. */
    assert_ok(parse(HEAD SUMMARY BLOCK "Q q                 8 GH    9 (9)\r\nT 1ABC_A           17 GH   18 (20)\r\n"
                    "No 12 \n>2XYZ_.\n" SUMMARY "Done!", &hits));
    assert_int_equal(hits.count, 2);
    const struct ff_template_hit *h = &hits.items[0];
    assert_int_equal(h->index, 1);
    assert_string_equal(h->name, "1ABC_A first");
    assert_int_equal(h->aligned_cols, 5);
    assert_true(h->sum_probs == 4.5);
    assert_string_equal(h->query, "ACD-EFGH");
    assert_string_equal(h->hit_sequence, "AC-GEFGH");
    const int32_t query[] = {2, 3, 4, -1, 5, 6, 7, 8}, hit[] = {11, 12, -1, 13, 14, 15, 16, 17};
    assert_int_equal(h->n_query, 8);
    assert_int_equal(h->n_hit, 8);
    assert_memory_equal(h->indices_query, query, sizeof query);
    assert_memory_equal(h->indices_hit, hit, sizeof hit);
    assert_int_equal(hits.items[1].index, 12);
    assert_string_equal(hits.items[1].query, "");
    assert_int_equal(hits.items[1].n_hit, 0);
    ff_template_hits_free(&hits);

    assert_ok(parse("", &hits));
    assert_int_equal(hits.count, 0);
    assert_ok(parse("Query q\n\n No Hit\n", &hits));
    assert_int_equal(hits.count, 0);
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"No one\n", "x.hhr:1: expected 'No' and the number of a hit"},
        {"No 1\n", "x.hhr:2: expected the hit's name"},
        {"No 1\n>1ABC_A\n", "x.hhr:3: expected the hit's summary"},
        {"No 1\n>1ABC_A\nProbab=1 Aligned_cols=5 Identities=1%\n", "x.hhr:3: expected the hit's summary"},
        {"No 1\n>1ABC_A\nProbab=1 Aligned_cols=five Sum_probs=1\n", "x.hhr:3: expected the hit's summary"},
        {"No 1\n>1ABC_A\nProbab=1 Aligned_cols=5 Sum_probs=nan\n", "x.hhr:3: expected the hit's summary"},
        {HEAD SUMMARY "Q q\n", "x.hhr:10: expected 'first LETTERS last (length)'"},
        {HEAD SUMMARY "Q q                 3 ACd    5 (9)\n", "x.hhr:10: expected 'first LETTERS last (length)'"},
        {HEAD SUMMARY "Q q                 3  ACD   5 (9)\n", "x.hhr:10: expected 'first LETTERS last (length)'"},
        {HEAD SUMMARY "Q q                 3 ACD    5\n", "x.hhr:10: expected 'first LETTERS last (length)'"},
        {HEAD SUMMARY "Q q                 3 ACD    9 (9)\n", "x.hhr:10: expected as many residues"},
        {HEAD SUMMARY "Q q                99999999999 ACD 5 (9)\n", "x.hhr:10: expected 'first LETTERS last"},
        {HEAD SUMMARY "T t                 3 ACD    5 (9)\n", "x.hhr:10: expected the query's line before"},
        {HEAD SUMMARY "Q q                 3 ACD    5 (9)\nT t                 3 AC    4 (9)\n",
         "x.hhr:11: expected as many columns"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ff_template_hits hits;
        assert_fails(parse(bad[i].text, &hits), FF_EINPUT, bad[i].message);
        assert_int_equal(hits.count, 0);
    }
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        char *name;
        const char *id, *chain;      /* NULL: not a name of an entry and its chain */
    } names[] = {
        {"2CRB_A nuclear receptor", "2crb", "A"}, {"2CRB_.", "2crb", "."},      {"9syn_B1", "9syn", "B1"},
        {"1abc_A_2 x", "1abc", "A"},              {"1ABC_a.1-x", "1abc", "a.1"}, {"d1abca_ x", NULL, NULL},
        {"1abc", NULL, NULL},                     {"1ab_A", NULL, NULL},        {"1abc_ x", NULL, NULL},
        {"", NULL, NULL},                         {"1abcd_A", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct ff_template_hit h = {.name = names[i].name};
        char id[5], *chain = NULL;
        assert_int_equal(ff_template_hit_id(&h, id, &chain), names[i].id != NULL);
        if (!names[i].id)
            continue;
        assert_string_equal(id, names[i].id);
        assert_string_equal(chain, names[i].chain);
        free(chain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
