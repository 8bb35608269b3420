/* SPDX-License-Identifier: Apache-2.0
 * template_hits: residue pairs of the golden hits, filters at their limits, dates and obsolete entries.
 */
#include "unit/golden_hits.h"

#include "feature/template_hits.h"

static const char *const cases[] = {
    "6KWC_1/hhsearch_output.hhr", "fam_A/fuzzy_hits.hhr", "fam_A/pdb_hits.hhr",  "fam_B/pdb_hits.hhr",
    "fam_C/pdb_hits.hhr",         "fam_G/pdb_hits.hhr",   "fam_H/pdb_hits.hhr",  "short/pdb70_hits.hhr",
    "2q2k_A/pdb_hits.sto",        "6KWC_1/pdb_hits.sto",  "fam_A/pdb_hits.sto",  "fam_B/pdb_hits.sto",
    "fam_C/pdb_hits.sto",         "fam_G/pdb_hits.sto",   "fam_P/pdb_hits.sto",  "short/pdb_hits.sto",
};

static void check_case(const struct golden_hits *g)
{
    struct golden_lists query = {0}, hit = {0};
    struct ff_strbuf ids = {0}, chains = {0};
    for (int i = 0; i < g->hits.count; i++) {
        struct ff_template_mapping m;
        assert_true(ff_template_mapping_build(&g->hits.items[i], g->query, &m));
        golden_list_add(&query, m.query, m.n);
        golden_list_add(&hit, m.hit, m.n);
        ff_template_mapping_free(&m);
        char id[5], *chain;
        assert_true(ff_template_hit_id(&g->hits.items[i], id, &chain));
        ff_strbuf_printf(&ids, "%s%s", i ? "\n" : "", id);
        ff_strbuf_printf(&chains, "%s%s", i ? "\n" : "", chain);
        free(chain);
    }
    golden_list_check(g, "mapping_query_index", "mapping_offset", &query);
    golden_list_check(g, "mapping_hit_index", "mapping_offset", &hit);
    golden_check_text(g, "pdb_id", ff_strbuf_cstr(&ids), ids.len);
    golden_check_text(g, "chain_id", ff_strbuf_cstr(&chains), chains.len);
    ff_strbuf_free(&ids);
    ff_strbuf_free(&chains);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_hits g;
        if (!golden_hits_open(cases[i], &g))
            continue;
        check_case(&g);
        golden_hits_close(&g);
    }
    golden_report();
}

/* A hit of aligned rows as hhsearch gives them; numbers from 0. */
static void make_hit(const char *query, const char *hit, int first_query, int first_hit, struct ff_template_hit *ret)
{
    *ret = (struct ff_template_hit){.index = 1, .name = ff_xstrdup("1abc_A"), .query = ff_xstrdup(query),
                                    .hit_sequence = ff_xstrdup(hit)};
    ret->n_query = (int)strlen(query);
    ret->n_hit = (int)strlen(hit);
    ret->indices_query = FF_NEW_ARRAY(int32_t, (size_t)ret->n_query);
    ret->indices_hit = FF_NEW_ARRAY(int32_t, (size_t)ret->n_hit);
    for (int i = 0; i < ret->n_query; i++)
        ret->indices_query[i] = query[i] == '-' ? -1 : first_query++;
    for (int i = 0; i < ret->n_hit; i++)
        ret->indices_hit[i] = hit[i] == '-' ? -1 : first_hit++;
}

static void check_mapping(const char *whole, const char *query, const char *hit, int first_query, int n,
                          const int32_t *expected_query, const int32_t *expected_hit)
{
    struct ff_template_hit h;
    struct ff_template_mapping m;
    make_hit(query, hit, first_query, 50, &h);
    assert_true(ff_template_mapping_build(&h, whole, &m));
    assert_int_equal(m.n, n);
    assert_memory_equal(m.query, expected_query, (size_t)n * sizeof *m.query);
    assert_memory_equal(m.hit, expected_hit, (size_t)n * sizeof *m.hit);
    ff_template_mapping_free(&m);
    ff_template_hit_free(&h);
}

static void test_mapping(void **state)
{
    (void)state;
    /* The piece is looked up in the query; its own numbers count from their smallest. */
    check_mapping("MMACDEFMM", "AC-DEF", "GGW-GG", 7, 4, (const int32_t[]){2, 3, 5, 6}, (const int32_t[]){0, 1, 3, 4});
    /* A piece that is not in the query begins at -1. */
    check_mapping("MMACDEFMM", "ACXEF", "GGGGG", 2, 5, (const int32_t[]){-1, 0, 1, 2, 3},
                  (const int32_t[]){0, 1, 2, 3, 4});
    /* ... and a repeated one at its first place. */
    check_mapping("ACAC", "AC", "GG", 2, 2, (const int32_t[]){0, 1}, (const int32_t[]){0, 1});

    /* Numbers beyond the hit's letters or the query's end are left out, and of repeated numbers the last counts. */
    struct ff_template_hit h;
    struct ff_template_mapping m;
    make_hit("ACDE", "GGGG", 0, 0, &h);
    h.indices_hit[1] = 9;
    h.indices_query[3] = 2;
    assert_true(ff_template_mapping_build(&h, "ACDE", &m));
    assert_int_equal(m.n, 2);
    assert_int_equal(m.query[1], 2);
    assert_int_equal(m.hit[1], 3);
    ff_template_mapping_free(&m);
    ff_template_hit_free(&h);

    make_hit("", "", 0, 0, &h);
    assert_true(ff_template_mapping_build(&h, "ACDE", &m));
    assert_int_equal(m.n, 0);
    ff_template_mapping_free(&m);
    ff_template_hit_free(&h);
    make_hit("ACDE", "----", 0, 0, &h);
    assert_false(ff_template_mapping_build(&h, "ACDE", &m));
    ff_template_hit_free(&h);
}

static void check_filter(const char *query, const char *hit, int aligned_cols, enum ff_template_filter expected)
{
    struct ff_template_hit h;
    make_hit(hit, hit, 0, 0, &h);
    h.aligned_cols = aligned_cols;
    assert_int_equal(ff_template_prefilter(&h, "1abc", query, NULL, 20200101), expected);
    ff_template_hit_free(&h);
}

static void test_prefilter(void **state)
{
    (void)state;
    const char query[] = "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY";                 /* 40 */
    check_filter(query, "ACDEFGHIKL", 5, FF_TEMPLATE_PASSES);
    check_filter(query, "ACDEFGHIKL", 4, FF_TEMPLATE_TOO_FEW);
    check_filter(query, "ACDEFGHIK", 9, FF_TEMPLATE_TOO_SHORT);
    check_filter(query, "ACDE-FG-HIK-", 9, FF_TEMPLATE_TOO_SHORT);
    check_filter(query, query, 40, FF_TEMPLATE_DUPLICATE);
    check_filter(query, query + 1, 39, FF_TEMPLATE_DUPLICATE);
    check_filter(query, query + 2, 38, FF_TEMPLATE_PASSES);                          /* 95 % exactly */
    check_filter(query, "WCDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY", 40, FF_TEMPLATE_PASSES);
    check_filter("ACDEFGHI", "ACDEFGHI", 8, FF_TEMPLATE_DUPLICATE);                  /* before being too short */

    struct ff_release_dates dates;
    const char text[] = "1abc: 2020-01-01\n 2DEF :2020-01-02\n\n1abc:2020-1-2\r\n";
    assert_ok(ff_release_dates_parse("d.txt", text, sizeof text - 1, &dates));
    assert_int_equal(ff_release_dates_find(&dates, "1abc"), 20200102);
    assert_int_equal(ff_release_dates_find(&dates, "2DEF"), 20200102);
    assert_int_equal(ff_release_dates_find(&dates, "2def"), 0);
    struct ff_template_hit h;
    make_hit("AC", "AC", 0, 0, &h);
    assert_int_equal(ff_template_prefilter(&h, "1abc", query, &dates, 20200101), FF_TEMPLATE_TOO_NEW);
    assert_int_equal(ff_template_prefilter(&h, "1abc", query, &dates, 20200102), FF_TEMPLATE_TOO_FEW);
    assert_int_equal(ff_template_prefilter(&h, "9xyz", query, &dates, 19000101), FF_TEMPLATE_TOO_FEW);
    ff_template_hit_free(&h);
    ff_release_dates_free(&dates);
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int date;                /* 0: no date */
    } texts[] = {
        {"2021-09-30", 20210930}, {"2020-02-29", 20200229}, {"2000-2-9", 20000209}, {"0001-01-01", 10101},
        {"2021-02-29", 0},        {"1900-02-29", 0},        {"2021-13-01", 0},      {"2021-00-01", 0},
        {"2021-01-32", 0},        {"2021-01-00", 0},        {"21-01-01", 0},        {"2021-001-01", 0},
        {"2021-01-01 ", 0},       {"2021/01/01", 0},        {"2021-01", 0},         {"", 0},
        {"?", 0},                 {"0000-01-01", 0},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int date = 0;
        bool ok = ff_template_date_parse(texts[i].text, strlen(texts[i].text), &date);
        if (ok != (texts[i].date != 0) || (ok && date != texts[i].date))
            fail_msg("'%s': %d, %d", texts[i].text, ok, date);
    }
    static const char *const bad[] = {"1abc 2020-01-01\n", "\n1abc: 2020-01-41", ": 2020-01-01", "1abc:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ff_release_dates dates;
        assert_fails(ff_release_dates_parse("d.txt", bad[i], strlen(bad[i]), &dates), FF_EINPUT,
                     i == 1 ? "d.txt:2: expected 'PDBID: YYYY-MM-DD'" : "d.txt:1: expected 'PDBID: YYYY-MM-DD'");
    }
    struct ff_release_dates dates;
    assert_ok(ff_release_dates_load("test/data/features/inputs/aux_release_dates.txt", &dates));
    assert_int_equal(dates.ids.count, 3);
    assert_int_equal(ff_release_dates_find(&dates, "1psm"), 19950207);
    ff_release_dates_free(&dates);
    assert_int_equal(ff_release_dates_load("no/such/file", &dates), FF_EMISSING);
}

static void test_obsolete(void **state)
{
    (void)state;
    struct ff_obsolete o;
    assert_ok(ff_obsolete_load("test/data/features/inputs/aux_obsolete.dat", &o));
    assert_string_equal(ff_obsolete_find(&o, "9old"), "4zey");
    assert_string_equal(ff_obsolete_find(&o, "9gon"), "");
    assert_string_equal(ff_obsolete_find(&o, "2h33"), "2jm5");
    assert_null(ff_obsolete_find(&o, "4zey"));
    ff_obsolete_free(&o);
    const char text[] = " LIST OF OBSOLETE\nOBSLTE    31-JUL-94 116L     216L\r\nOBSLTE    31-JUL-94 116L     316L\n"
                        "OBSLTE    31-JUL-94 117L   x\nOBSLTE    06-NOV-19 6G9Y   \nOBSLTE\n";
    ff_obsolete_parse(text, sizeof text - 1, &o);
    assert_int_equal(o.ids.count, 2);
    assert_string_equal(ff_obsolete_find(&o, "116l"), "316l");
    assert_string_equal(ff_obsolete_find(&o, "6g9y"), "");
    ff_obsolete_free(&o);
    assert_int_equal(ff_obsolete_load("no/such/file", &o), FF_EMISSING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_mapping),
        cmocka_unit_test(test_prefilter),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_obsolete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
