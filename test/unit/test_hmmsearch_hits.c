/* SPDX-License-Identifier: Apache-2.0
 * hmmsearch_hits: the golden alignments of hmmsearch, odd rows and broken files.
 */
#include "unit/golden_hits.h"

#include "bio/stockholm_text.h"
#include "format/gzip.h"
#include "format/yaml.h"

static const char *const cases[] = {
    "2q2k_A/pdb_hits.sto", "6KWC_1/pdb_hits.sto", "fam_A/pdb_hits.sto", "fam_B/pdb_hits.sto",
    "fam_C/pdb_hits.sto",  "fam_G/pdb_hits.sto",  "fam_P/pdb_hits.sto", "short/pdb_hits.sto",
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_hits g;
        if (!golden_hits_open(cases[i], &g))
            continue;
        golden_hits_check(&g);
        char *relative = ff_xasprintf("features/inputs/%s", cases[i]);
        char *path = test_data_path(relative), *text;
        size_t len;
        struct ff_strbuf a3m = {0};
        assert_ok(ff_gzip_read_file(path, &text, &len));
        if (len > 0)
            assert_ok(ff_stockholm_text_to_a3m(path, text, len, 0, false, &a3m));
        else
            ff_strbuf_putc(&a3m, '\n');     /* what the published code makes of nothing */
        golden_check_text(&g, "a3m_text", ff_strbuf_cstr(&a3m), a3m.len);
        ff_strbuf_free(&a3m);
        free(text);
        free(path);
        free(relative);
        golden_hits_close(&g);
    }
    golden_report();
}

static const struct ff_yaml *get(const struct ff_yaml *map, const char *key)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    if (!n)
        fail_msg("no %s", key);
    return n;
}

static int get_int(const struct ff_yaml *n)
{
    int64_t v;
    assert_true(ff_yaml_to_int(n, &v));
    return (int)v;
}

static void check_list(const struct ff_yaml *expected, const int32_t *got, int n)
{
    assert_int_equal(expected->count, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(get_int(&expected->items[i]), got[i]);
}

/* Insertions, a nucleic acid, chain ids of several letters, a row shorter than the query. */
static void test_edge(void **state)
{
    (void)state;
    struct ff_yaml *golden;
    struct ff_template_hits hits;
    assert_ok(ff_yaml_load("test/data/features/hits/edge__edge1_hmmsearch.sto.json", &golden));
    const char *query = get(golden, "query")->text;
    assert_ok(ff_hmmsearch_hits_load("test/data/features/inputs/edge/edge1_hmmsearch.sto", query, &hits));
    const struct ff_yaml *expected = get(golden, "hits");
    assert_int_equal(hits.count, expected->count);
    for (int i = 0; i < hits.count; i++) {
        const struct ff_yaml *e = &expected->items[i];
        const struct ff_template_hit *h = &hits.items[i];
        assert_int_equal(h->index, get_int(get(e, "index")));
        assert_string_equal(h->name, get(e, "name")->text);
        assert_int_equal(h->aligned_cols, get_int(get(e, "aligned_cols")));
        assert_true(isnan(h->sum_probs));
        assert_string_equal(h->query, query);
        assert_string_equal(h->hit_sequence, get(e, "hit_sequence")->text);
        check_list(get(e, "indices_query"), h->indices_query, h->n_query);
        check_list(get(e, "indices_hit"), h->indices_hit, h->n_hit);
    }
    ff_template_hits_free(&hits);
    ff_yaml_free(golden);
}

static ff_status parse(const char *text, struct ff_template_hits *ret)
{
    return ff_hmmsearch_hits_parse("x.sto", text, strlen(text), "ACDEF", ret);
}

static void test_odd(void **state)
{
    (void)state;
    struct ff_template_hits hits;
    assert_ok(parse("", &hits));
    assert_int_equal(hits.count, 0);

    /* Descriptions of other forms are left out with a warning; their rows count all the same. */
    assert_ok(parse("# STOCKHOLM 1.0\n"
                    "#=GS sp|P1|X/1-5 DE mol:protein length:5\n"
                    "#=GS 1abc_A_1/4-8 DE [subseq from] mol:protein length:9\n"
                    "#=GS 2abc/1-5 DE mol:protein length:5\n"
                    "#=GS 3abc_A/1 DE mol:protein length:5\n"
                    "#=GS 4abc_A/1-5 DE mol:protein length:\n"
                    "#=GS 5ABC_A/1-5 DE mol:protein length:5\n"
                    "#=GS 6abc_A/1-5 DE mol:protein length: x protein length:7\n"
                    "sp|P1|X/1-5 ACDEF\n1abc_A_1/4-8 ACDEF\n2abc/1-5 ACDEF\n3abc_A/1 ACDEF\n4abc_A/1-5 ACDEF\n"
                    "5ABC_A/1-5 ACDEF\n6abc_A/1-5 -CDE-\n7abc_A/1-5 ACDEF\n//\n", &hits));
    assert_int_equal(hits.count, 2);
    assert_string_equal(hits.items[0].name, "1abc_A_1");
    assert_int_equal(hits.items[0].index, 2);
    assert_int_equal(hits.items[0].indices_hit[0], 3);
    assert_string_equal(hits.items[1].name, "6abc_A");
    assert_int_equal(hits.items[1].index, 7);
    assert_int_equal(hits.items[1].aligned_cols, 3);
    assert_int_equal(hits.items[1].indices_hit[0], -1);
    assert_int_equal(hits.items[1].indices_hit[1], 0);
    ff_template_hits_free(&hits);

    assert_int_equal(ff_hmmsearch_hits_load("no/such/file.sto", "ACDEF", &hits), FF_EMISSING);
    assert_int_equal(hits.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
