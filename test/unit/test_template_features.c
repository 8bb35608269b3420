/* SPDX-License-Identifier: Apache-2.0
 * template_features, template_match, template_set and own_template: the golden cases with real kalign, what becomes of
 * each hit, and what the published program does not survive.
 */
#include "unit/golden_templates.h"

#include "feature/own_template.h"

static char *structures;         /* folder of the structures that are here */
static struct kalign kalign;

static int set_up(void **state)
{
    (void)state;
    structures = test_make_dir();
    link_structures(structures);
    kalign.dir = structures;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(kalign.row_a);
    free(kalign.row_b);
    test_remove_dir(structures);
    return 0;
}

/* --- golden --- */

static const struct {
    const char *name;
    const char *structures[9];
} cases[] = {
    {"short", {"1psm", "2crb", "2q2k", "3u8v", "3zee", "4i6p", "4zey", "5kc1"}},
    {"short_date2012", {"1psm", "2crb", "2q2k", "3u8v", "3zee", "4i6p", "4zey", "5kc1"}},
    {"fam_A", {"3u8v"}},
    {"fam_A_fuzzy", {"3u8v"}},
    {"fam_B", {"2q2k", "3u8v", "3zee", "4i6p", "5kc1"}},
    {"fam_C", {"2crb", "3zee", "4zey", "5kc1"}},
    {"fam_C_max3", {"2crb", "3zee", "4zey", "5kc1"}},
    {"fam_C_hmmsearch", {"2crb", "3zee", "4i6p", "4zey", "5kc1"}},
    {"fam_G", {"9syn"}},
    {"fam_G_hmmsearch", {"2q2k", "9syn"}},
    {"fam_H", {"4i6p"}},
    {"2q2k_A_hmmsearch", {"2q2k", "3zee", "4i6p"}},
    {"6KWC_1_hmmsearch_empty", {NULL}},
};

/* Each hit alone: its fate, name and new alignment. */
static void check_hits(struct golden_templates *g)
{
    const struct ff_yaml *expected = golden_get(g->json, "per_hit");
    assert_int_equal(g->hits.count, expected->count);
    for (int i = 0; i < g->hits.count; i++) {
        const struct ff_yaml *e = &expected->items[i], *rows = golden_get(e, "kalign_alignment");
        struct ff_template_hits one = {.items = &g->hits.items[i], .count = 1};
        struct ff_template_set set = {.n_res = (int)strlen(g->query)};
        struct ff_template_report report = {0};
        bool used, error = !ff_yaml_is_null(golden_get(e, "error"));
        bool warning = !ff_yaml_is_null(golden_get(e, "warning"));
        assert_true(ff_yaml_to_bool(golden_get(e, "featurised"), &used));
        int n_call = kalign.n_call;
        assert_ok(ff_template_features_make(g->query, &one, &g->opt, &set, &report));
        assert_int_equal(report.count, 1);
        const struct ff_template_fate_of_hit *f = &report.items[0];
        enum ff_template_fate fate = used ? FF_TEMPLATE_USED : error ? FF_TEMPLATE_ERROR
                                          : warning ? FF_TEMPLATE_WARNING : FF_TEMPLATE_FILTERED;
        if (f->fate != fate || f->index != golden_int(e, "index") || (used && (f->message != NULL) != warning)
            || (!used && f->message == NULL))
            fail_msg("%s hit %d %s: fate %d instead of %d (%s)", g->name, f->index, f->name, f->fate, fate,
                     f->message ? f->message : "no message");
        assert_int_equal(set.count, used);
        if (used)
            assert_string_equal(set.items[0].domain_name, golden_get(e, "domain")->text);
        assert_int_equal(kalign.n_call - n_call, rows->count / 2);
        if (rows->count == 2) {
            assert_string_equal(kalign.row_a, rows->items[0].text);
            assert_string_equal(kalign.row_b, rows->items[1].text);
        }
        ff_template_set_free(&set);
        ff_template_report_free(&report);
    }
}

static void check_case(struct golden_templates *g)
{
    struct ff_template_set set = {.n_res = (int)strlen(g->query)};
    struct ff_template_report report = {0};
    struct ff_arrays got = {0};
    g->opt.align = run_kalign;
    g->opt.align_user = &kalign;
    assert_ok(ff_template_features_make(g->query, &g->hits, &g->opt, &set, &report));
    ff_template_set_to_arrays(&set, g->opt.search == FF_TEMPLATES_HMMSEARCH, &got);
    assert_int_equal(golden_compare(g->name, &got, &g->arrays, NULL), 6);
    assert_int_equal(got.count, 6);

    int n_message = ff_template_report_count(&report, FF_TEMPLATE_WARNING);
    for (int i = 0; i < report.count; i++)
        n_message += report.items[i].fate == FF_TEMPLATE_USED && report.items[i].message;
    assert_int_equal(n_message, golden_get(g->json, "warnings")->count);
    assert_int_equal(ff_template_report_count(&report, FF_TEMPLATE_ERROR), golden_get(g->json, "errors")->count);
    ff_template_set_free(&set);
    ff_template_report_free(&report);
    ff_arrays_free(&got);
    check_hits(g);
}

static void test_golden(void **state)
{
    (void)state;
    if (!have_kalign())
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct golden_templates g;
        if (!golden_templates_open(cases[i].name, structures, cases[i].structures, &g))
            continue;
        check_case(&g);
        golden_templates_close(&g);
    }
    golden_report();
}

/* --- hits made here --- */

/* Query and hits are pieces of 3u8v, whose chains A and B are alike. */
static const char chain_3u8v[] = "SGHTAHVDEAVKHAEEAVAHGKEGHTDQLLEHAKESLTHAKAASEAGGNTHVGHGIKHLEDAIKHGEEGHVGVATKH"
                                 "AQEAIEHLRASEHKSH";

/* A hit that aligns the query's residues from first on to letters; no gaps. */
static void add_hit(struct ff_template_hits *hits, const char *query, const char *name, int first, const char *letters,
                    double sum_probs)
{
    struct ff_template_hit *h = ff_template_hits_add(hits);
    h->index = hits->count;
    h->name = ff_xstrdup(name);
    h->sum_probs = sum_probs;
    h->aligned_cols = h->n_query = h->n_hit = (int)strlen(letters);
    h->query = ff_xstrndup(query + first, strlen(letters));
    h->hit_sequence = ff_xstrdup(letters);
    h->indices_query = FF_NEW_ARRAY(int32_t, (size_t)h->n_query);
    h->indices_hit = FF_NEW_ARRAY(int32_t, (size_t)h->n_hit);
    for (int i = 0; i < h->n_query; i++) {
        h->indices_query[i] = first + i;
        h->indices_hit[i] = i;
    }
}

struct run {
    struct ff_template_hits hits;
    struct ff_template_options opt;
    struct ff_template_set set;
    struct ff_template_report report;
};

static void run_make(struct run *r, const char *query)
{
    r->set.n_res = (int)strlen(query);
    assert_ok(ff_template_features_make(query, &r->hits, &r->opt, &r->set, &r->report));
    ff_template_report_log(&r->report);
}

static void run_free(struct run *r)
{
    ff_template_hits_free(&r->hits);
    ff_template_set_free(&r->set);
    ff_template_report_free(&r->report);
}

static void assert_fate(const struct run *r, int i, enum ff_template_fate fate, const char *message)
{
    assert_true(i < r->report.count);
    const struct ff_template_fate_of_hit *f = &r->report.items[i];
    if (f->fate != fate || (message ? !f->message || !strstr(f->message, message) : f->message != NULL))
        fail_msg("hit %d: fate %d, %s; expected %d, %s", i, f->fate, f->message ? f->message : "no message", fate,
                 message ? message : "no message");
}

/* Missing and broken structures, unknown names, structures without a date: skipped, and the next hit is used. */
static void test_bad_structures(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "1cut.cif"), *source;
    const char *const query = chain_3u8v;
    struct run r = {.opt = {.mmcif_dir = dir, .max_date = 20300101, .max_hits = 20}};
    size_t len;
    assert_ok(ff_file_write(path, "data_1CUT\nloop_\n_atom_site.id\n_atom_site.x\n1\n", 44));
    free(path);
    path = ff_path_join(dir, "2txt.cif");
    assert_ok(ff_file_write(path, "HEADER\n", 7));
    free(path);
    path = ff_path_join(dir, "3gzp.cif.gz");
    assert_ok(ff_file_write(path, "\x1f\x8b\x08 broken", 10));
    free(path);
    /* A whole structure with another name of the revision dates, so without any; in the PDB's folder for it. */
    char *gz = test_data_path("features/inputs/mmcifs/3u8v.cif.gz");
    assert_non_null(gz);
    struct ff_mmcif whole;
    assert_ok(ff_mmcif_load(gz, &whole));
    ff_mmcif_free(&whole);
    assert_ok(ff_file_read(gz, &source, &len));
    path = ff_path_join(dir, "u8");
    assert_ok(ff_mkdirs(path));
    free(path);
    path = ff_path_join(dir, "u8/3u8v.cif.gz");
    assert_ok(ff_file_write(path, source, len));
    free(path);
    free(source);
    free(gz);
    const char undated[] =
        "data_4NOD\nloop_ _chem_comp.id _chem_comp.type ALA peptide\n"
        "loop_ _entity_poly_seq.entity_id _entity_poly_seq.num _entity_poly_seq.mon_id 1 1 ALA\n"
        "_struct_asym.id A _struct_asym.entity_id 1\n"
        "_atom_site.group_PDB ATOM _atom_site.label_atom_id CA _atom_site.label_alt_id . _atom_site.label_comp_id ALA\n"
        "_atom_site.label_asym_id A _atom_site.label_seq_id 1 _atom_site.auth_asym_id A _atom_site.auth_seq_id 1\n"
        "_atom_site.pdbx_PDB_ins_code ? _atom_site.Cartn_x 0 _atom_site.Cartn_y 0 _atom_site.Cartn_z 0\n"
        "_atom_site.occupancy 1 _atom_site.B_iso_or_equiv 1 _atom_site.pdbx_PDB_model_num 1\n";
    path = ff_path_join(dir, "4nod.cif");
    assert_ok(ff_file_write(path, undated, sizeof undated - 1));
    free(path);

    add_hit(&r.hits, query, "1CUT_A", 0, "SGHTAHVDEAVKHAEEAV", 9);
    add_hit(&r.hits, query, "2TXT_A", 0, "SGHTAHVDEAVKHAEEAV", 8);
    add_hit(&r.hits, query, "3GZP_A", 0, "SGHTAHVDEAVKHAEEAV", 7);
    add_hit(&r.hits, query, "4NOD_A", 0, "SGHTAHVDEAVKHAEEAV", 6);
    add_hit(&r.hits, query, "5NOT_A", 0, "SGHTAHVDEAVKHAEEAV", 5);
    add_hit(&r.hits, query, "UniRef_x", 0, "SGHTAHVDEAVKHAEEAV", 4);
    add_hit(&r.hits, query, "3U8V_A", 0, "SGHTAHVDEAVKHAEEAV", 3);
    run_make(&r, query);
    assert_int_equal(r.report.count, 7);
    assert_fate(&r, 0, FF_TEMPLATE_WARNING, "1cut.cif");
    assert_fate(&r, 1, FF_TEMPLATE_WARNING, "not an mmCIF file");
    assert_fate(&r, 2, FF_TEMPLATE_WARNING, "3gzp.cif.gz");
    assert_fate(&r, 3, FF_TEMPLATE_WARNING, "no release date");
    assert_fate(&r, 4, FF_TEMPLATE_WARNING, "5not.cif: no such file");
    assert_fate(&r, 5, FF_TEMPLATE_WARNING, "does not start with a PDB id");
    assert_fate(&r, 6, FF_TEMPLATE_USED, NULL);
    assert_int_equal(r.set.count, 1);
    assert_string_equal(r.set.items[0].domain_name, "3u8v_A");
    run_free(&r);
    test_remove_dir(dir);
}

static ff_status align_inside(void *user, const char *a, const char *b, char **row_a, char **row_b)
{
    int32_t *map = FF_NEW_ARRAY(int32_t, strlen(a));
    *(int *)user += 1;
    ff_align(a, b, FF_ALIGN_OVERLAP, map);
    ff_align_rows(a, b, map, row_a, row_b);
    free(map);
    return FF_OK;
}

static ff_status align_fails(void *user, const char *a, const char *b, char **row_a, char **row_b)
{
    (void)a;
    (void)b;
    (void)row_a;
    (void)row_b;
    return ff_fail(*(ff_status *)user, "kalign: out of order");
}

static ff_status align_lies(void *user, const char *a, const char *b, char **row_a, char **row_b)
{
    (void)user;
    (void)b;
    *row_a = ff_xstrdup(a);
    *row_b = ff_xstrdup(a);
    return FF_OK;
}

/* The hit's sequence is not in the structure: four ways for the new alignment to end. */
static void test_realignment(void **state)
{
    (void)state;
    char query[] = "WWSGHTAHVDEAVKHAEEAVAHGKEGHTDWW";
    struct run r = {.opt = {.mmcif_dir = structures, .max_date = 20300101, .max_hits = 20, .align = align_inside}};
    int n_call = 0;
    ff_status failure = FF_ETOOL;
    r.opt.align_user = &n_call;
    add_hit(&r.hits, query, "3U8V_B", 2, "SGHTAHVDEAVKHAEEAVWHGKEGHT", 9);     /* one letter differs */
    add_hit(&r.hits, query, "3U8V_B", 2, "SGWTAWVDWAVKHAEEWVWHGKEGHT", 8);     /* too many */
    add_hit(&r.hits, query, "3U8V_Q", 2, "SGHTAHVDEAVKHAEEAVWHGKEGHT", 7);     /* no such chain, two to choose from */
    add_hit(&r.hits, query, "3ZEE_Q", 2, "SEFKVTVCFGRTRVVVPCWDGRMKVF", 6);     /* no such chain: aligned, no atoms */
    run_make(&r, query);
    assert_int_equal(r.report.count, 4);
    assert_fate(&r, 0, FF_TEMPLATE_USED, "aligned anew");
    assert_fate(&r, 1, FF_TEMPLATE_ERROR, "21 of 26 residues are identical");
    assert_fate(&r, 2, FF_TEMPLATE_ERROR, "no protein chain Q");
    assert_fate(&r, 3, FF_TEMPLATE_WARNING, "no chain Q to take atoms from");
    assert_int_equal(n_call, 3);
    assert_int_equal(r.set.count, 1);
    assert_string_equal(r.set.items[0].sequence, "--SGHTAHVDEAVKHAEEAVAHGKEGHT---");
    run_free(&r);

    /* The same from hmmsearch, where the published program stops at errors. */
    for (int i = 0; i < 5; i++) {
        struct run h = {.opt = {.search = FF_TEMPLATES_HMMSEARCH, .mmcif_dir = structures, .max_date = 20300101,
                                .max_hits = 20, .align = align_inside, .align_user = &n_call}};
        add_hit(&h.hits, query, i == 1 ? "3u8v_Q" : "3u8v_B", 2,
                i == 0 ? "SGWTAWVDWAVKHAEEWVWHGKEGHT" : "SGHTAHVDEAVKHAEEAVWHGKEGHT", NAN);
        add_hit(&h.hits, query, "3u8v_A", 2, "SGHTAHVDEAVKHAEEAV", NAN);
        if (i == 2)
            h.opt.align = NULL;
        if (i == 3) {
            h.opt.align = align_fails;
            h.opt.align_user = &failure;
        }
        if (i == 4)
            h.opt.align = align_lies;
        run_make(&h, query);
        static const char *const messages[] = {"are identical", "no protein chain Q", "no alignment program",
                                               "out of order", "other sequences"};
        assert_fate(&h, 0, FF_TEMPLATE_WARNING, messages[i]);
        assert_fate(&h, 1, FF_TEMPLATE_USED, NULL);
        assert_true(h.set.items[0].sum_probs == 0);
        run_free(&h);
    }

    /* Ctrl-C while kalign runs stops the whole. */
    struct run c = {.opt = {.mmcif_dir = structures, .max_date = 20300101, .max_hits = 20, .align = align_fails,
                            .align_user = &failure}};
    failure = FF_EINTERRUPT;
    add_hit(&c.hits, query, "3U8V_B", 2, "SGHTAHVDEAVKHAEEAVWHGKEGHT", 9);
    add_hit(&c.hits, query, "3U8V_A", 2, "SGHTAHVDEAVKHAEEAV", 8);
    c.set.n_res = (int)strlen(query);
    assert_int_equal(ff_template_features_make(query, &c.hits, &c.opt, &c.set, &c.report), FF_EINTERRUPT);
    assert_int_equal(c.set.count, 0);
    run_free(&c);
}

/* A residue that the new alignment leaves without partner takes the chain's last one. */
static void test_residue_without_partner(void **state)
{
    (void)state;
    char query[] = "SGHTAHVDEAVKHAEEAVAHGKEGHTDQLLEHAKESLTHAKAAS";
    char letters[] = "SGHTAHVDEAVKHAEEAVAHGKWEGHTDQLLEHAKESLTHAKAA";
    struct run r = {.opt = {.mmcif_dir = structures, .max_date = 20300101, .max_hits = 20, .align = align_inside}};
    int n_call = 0;
    r.opt.align_user = &n_call;
    add_hit(&r.hits, query, "3U8V_A", 0, letters, 9);
    run_make(&r, query);
    assert_int_equal(n_call, 1);
    assert_string_equal(r.set.items[0].sequence, "SGHTAHVDEAVKHAEEAVAHGKHEGHTDQLLEHAKESLTHAKAA");
    run_free(&r);
}

static void test_order_and_limits(void **state)
{
    (void)state;
    char query[] = "SGHTAHVDEAVKHAEEAVAHGKEGHTDQLLEHAKESLTHAKAAS";
    struct run r = {.opt = {.mmcif_dir = structures, .max_date = 20111109, .max_hits = 2}};
    add_hit(&r.hits, query, "3U8V_A", 0, "HVDEAVKHAEEAV", 1);
    add_hit(&r.hits, query, "3U8V_B", 0, "HVDEAVKHAEEAV", 5);
    add_hit(&r.hits, query, "3U8V_A", 0, "HVDEAVKHAEEAV", 5);
    run_make(&r, query);
    assert_int_equal(r.report.count, 2);
    assert_string_equal(r.set.items[0].domain_name, "3u8v_B");
    assert_string_equal(r.set.items[1].domain_name, "3u8v_A");
    assert_true(r.set.items[1].sum_probs == 5);
    run_free(&r);

    /* One day earlier the structure does not exist. */
    struct run d = {.opt = {.mmcif_dir = structures, .max_date = 20111108, .max_hits = 2}};
    add_hit(&d.hits, query, "3U8V_A", 0, "HVDEAVKHAEEAV", 1);
    run_make(&d, query);
    assert_fate(&d, 0, FF_TEMPLATE_FILTERED, "released on 2011-11-09");
    struct ff_arrays arrays = {0};
    ff_template_set_to_arrays(&d.set, false, &arrays);
    assert_int_equal(ff_arrays_find(&arrays, "template_aatype")->shape[0], 0);
    assert_int_equal(ff_arrays_find(&arrays, "template_aatype")->shape[1], strlen(query));
    ff_arrays_free(&arrays);
    run_free(&d);

    /* hmmsearch: repeats of a template sequence are dropped and do not count. */
    struct run h = {.opt = {.search = FF_TEMPLATES_HMMSEARCH, .mmcif_dir = structures, .max_date = 20300101,
                            .max_hits = 2}};
    add_hit(&h.hits, query, "3u8v_A", 0, "HVDEAVKHAEEAV", NAN);
    add_hit(&h.hits, query, "3u8v_B", 0, "HVDEAVKHAEEAV", NAN);
    add_hit(&h.hits, query, "3u8v_B", 1, "HVDEAVKHAEEAV", NAN);
    add_hit(&h.hits, query, "3u8v_B", 2, "HVDEAVKHAEEAV", NAN);
    run_make(&h, query);
    assert_int_equal(h.report.count, 3);
    assert_fate(&h, 1, FF_TEMPLATE_FILTERED, "repeats the sequence");
    assert_int_equal(h.set.count, 2);
    assert_string_equal(h.set.items[1].domain_name, "3u8v_B");
    run_free(&h);
}

/* Coordinates that no chain can have, and a chain that hardly has any. */
static void test_atoms(void **state)
{
    (void)state;
    float storage[3][37 * 4] = {{0}};
    struct ff_mmcif_residue residues[4] = {{0}, {0}, {0}, {.is_missing = true}};
    struct ff_mmcif_chain chain = {.id = "A", .n_res = 4, .sequence = "ACDE", .residues = residues};
    struct ff_template_mapping mapping = {.n = 4, .query = (int32_t[]){0, 1, 2, 3}, .hit = (int32_t[]){0, 1, 2, 3}};
    struct ff_template_set set = {.n_res = 4};
    char *why;
    for (int i = 0; i < 3; i++) {
        residues[i].positions = storage[i];
        residues[i].mask = storage[i] + 37 * 3;
        residues[i].mask[1] = residues[i].mask[4] = 1;
        residues[i].positions[3] = 150.0f * (float)i;
    }
    struct ff_template *t = ff_template_set_add(&set, "1abc_A");
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_LAID);
    assert_null(why);
    assert_string_equal(t->sequence, "ACDE");
    assert_true(t->positions[(2 * 37 + 1) * 3] == 300);

    residues[2].positions[3] = 300.1f;
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_NO_ATOMS);
    assert_non_null(strstr(why, "residues 2 and 3 of chain A are 150.1 A apart"));
    free(why);
    residues[1].mask[1] = 0;         /* a gap between: nothing to measure */
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_LAID);

    ff_template_set_drop_last(&set);
    t = ff_template_set_add(&set, "1abc_A");
    mapping.n = 2;                   /* three atoms */
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_NO_ATOMS);
    assert_non_null(strstr(why, "no coordinates"));
    free(why);
    mapping.hit[1] = 4;
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_NO_ATOMS);
    free(why);
    chain.state = FF_MMCIF_CHAIN_BROKEN;
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_NO_ATOMS);
    free(why);
    chain.state = FF_MMCIF_CHAIN_ABSENT;
    assert_int_equal(ff_template_match_lay(&chain, "ACDE", 0, &mapping, 4, t, &why), FF_TEMPLATE_NO_CHAIN);
    free(why);
    ff_template_set_free(&set);
}

/* --- own templates --- */

static void test_own_mmcif(void **state)
{
    (void)state;
    struct ff_template_set set = {.n_res = 41};
    char query[] = "MMMMMMSGHTAHVDEAVKHAEEAVAHGKEGHTDQLLEHAKE";
    char *path = ff_path_join(structures, "3u8v.cif.gz");
    assert_ok(ff_own_template_add(path, "B", query, &set));
    assert_ok(ff_own_template_add(path, NULL, query, &set));
    assert_string_equal(set.items[0].domain_name, "3u8v_B");
    assert_string_equal(set.items[1].domain_name, "3u8v_A");
    assert_string_equal(set.items[0].sequence, "------SGHTAHVDEAVKHAEEAVAHGKEGHTDQLLEHAKE");
    struct ff_mmcif m;
    assert_ok(ff_mmcif_load(path, &m));
    const struct ff_mmcif_residue *r = &ff_mmcif_find_chain(&m, "B")->residues[20];
    assert_false(r->is_missing);
    assert_memory_equal(set.items[0].positions + (size_t)26 * 37 * 3, r->positions, 37 * 3 * sizeof(float));
    assert_memory_equal(set.items[0].mask + (size_t)26 * 37, r->mask, 37 * sizeof(float));
    ff_mmcif_free(&m);

    assert_fails(ff_own_template_add(path, "Z", query, &set), FF_EINPUT, "no protein chain 'Z'; the file has A, B");
    assert_fails(ff_own_template_add("no/such.pdb", NULL, query, &set), FF_EMISSING, "no/such.pdb");
    assert_int_equal(set.count, 2);
    ff_template_set_free(&set);
    free(path);
}

/* PDB and mmCIF files as this program writes them, one with the sequence tables taken out. */
static void test_own_models(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *cif, *pdb;
    size_t len;
    assert_ok(ff_file_read("test/data/features/pdb_text/from_prediction_monomer.cif", &cif, &len));
    char *table = strstr(cif, "_entity_poly_seq.");
    assert_non_null(table);
    for (char *p = table; (p = strstr(p, "_entity_poly_seq.")); p++)
        memcpy(p, "_no", 3);
    char *bare = ff_path_join(dir, "bare.cif");
    assert_ok(ff_file_write(bare, cif, strlen(cif)));
    free(cif);
    pdb = ff_xstrdup("test/data/features/pdb_text/from_prediction_monomer.pdb");

    struct ff_mmcif m;
    assert_ok(ff_mmcif_load("test/data/features/pdb_text/from_prediction_monomer.cif", &m));
    char *query = ff_xstrdup(m.chains[0].sequence);
    ff_mmcif_free(&m);
    struct ff_template_set set = {.n_res = (int)strlen(query)};
    assert_ok(ff_own_template_add("test/data/features/pdb_text/from_prediction_monomer.cif", NULL, query, &set));
    assert_ok(ff_own_template_add(bare, "A", query, &set));
    assert_ok(ff_own_template_add(pdb, "A", query, &set));
    size_t n = (size_t)set.n_res * 37;
    for (int i = 0; i < 3; i++) {
        assert_string_equal(set.items[i].sequence, set.items[0].sequence);
        assert_memory_equal(set.items[i].mask, set.items[0].mask, n * sizeof(float));
        for (size_t k = 0; k < n * 3; k++)
            assert_true(fabsf(set.items[i].positions[k] - set.items[0].positions[k]) < 1e-3f);
    }
    assert_string_equal(set.items[1].domain_name, "bare_A");
    ff_template_set_free(&set);
    free(query);
    free(bare);
    free(pdb);
    test_remove_dir(dir);
}

static void test_own_split(void **state)
{
    (void)state;
    static const char *const specs[][3] = {
        {"x/1abc.cif", "x/1abc.cif", NULL}, {"x.pdb.gz:A", "x.pdb.gz", "A"}, {"x.cif:AA1", "x.cif", "AA1"},
        {"x.cif:", "x.cif", NULL},          {"a:b.cif:C", "a:b.cif", "C"},   {":A", ":A", NULL},
    };
    char *path, *chain;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        ff_own_template_split(specs[i][0], &path, &chain);
        assert_string_equal(path, specs[i][1]);
        assert_int_equal(chain != NULL, specs[i][2] != NULL);
        if (chain)
            assert_string_equal(chain, specs[i][2]);
        free(path);
        free(chain);
    }
    char *dir = test_make_dir(), *odd = ff_path_join(dir, "odd:name");
    assert_ok(ff_file_write(odd, "x", 1));
    ff_own_template_split(odd, &path, &chain);
    assert_string_equal(path, odd);
    assert_null(chain);
    free(path);
    free(odd);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_bad_structures),
        cmocka_unit_test(test_realignment),
        cmocka_unit_test(test_residue_without_partner),
        cmocka_unit_test(test_order_and_limits),
        cmocka_unit_test(test_atoms),
        cmocka_unit_test(test_own_mmcif),
        cmocka_unit_test(test_own_models),
        cmocka_unit_test(test_own_split),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
