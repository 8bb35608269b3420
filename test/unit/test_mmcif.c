/* SPDX-License-Identifier: Apache-2.0
 * mmcif: the golden entries, the syntax of CIF, and files built here for each rule about atoms and chains.
 */
#include "unit/golden_features.h"

#include "base/strbuf.h"
#include "bio/ccd.h"
#include "bio/cif_table.h"
#include "bio/mmcif.h"
#include "bio/residue.h"
#include "format/yaml.h"

/* --- golden entries --- */

static char *structure_path(const char *id)
{
    const char *const forms[] = {"features/inputs/mmcifs/%s.cif.gz", "features/inputs/mmcifs/%s.cif",
                                 "features/inputs/mmcifs_synthetic/%s.cif"};
    for (int i = 0; i < 3; i++) {
        const char *form = forms[i];
        struct ff_strbuf b = {0};
        const char *mark = strstr(form, "%s");
        ff_strbuf_append(&b, form, (size_t)(mark - form));
        ff_strbuf_puts(&b, id);
        ff_strbuf_puts(&b, mark + 2);
        char *path = test_data_path(b.s);
        ff_strbuf_free(&b);
        if (path)
            return path;
    }
    return NULL;
}

static void check_array(const char *id, const char *chain, const char *what, const struct ff_arrays *golden,
                        struct ff_array got, double tolerance)
{
    char *key = ff_xasprintf("%s.%s", chain, what), *name = ff_xasprintf("%s %s", id, key);
    test_assert_array(name, &got, ff_arrays_find(golden, key), tolerance);
    free(name);
    free(key);
}

static void check_text(const char *id, const char *chain, const char *what, const struct ff_arrays *golden,
                       struct ff_strbuf *text)
{
    check_array(id, chain, what, golden, (struct ff_array){.dtype = FF_U8, .ndim = 1, .shape = {(int64_t)text->len},
                                                           .data = text->s}, 0);
    ff_strbuf_free(text);
}

static void check_chain(const char *id, const struct ff_mmcif_chain *c, const struct ff_arrays *golden)
{
    int64_t n = c->n_res;
    float *positions = FF_NEW_ARRAY(float, (size_t)n * 37 * 3), *mask = FF_NEW_ARRAY(float, (size_t)n * 37);
    int32_t *int_mask = FF_NEW_ARRAY(int32_t, (size_t)n * 37);
    int32_t *number = FF_NEW_ARRAY(int32_t, (size_t)n), *missing = FF_NEW_ARRAY(int32_t, (size_t)n);
    struct ff_strbuf sequence = {0}, icode = {0}, het = {0}, name = {0};

    assert_int_equal(c->state, FF_MMCIF_CHAIN_OK);
    ff_mmcif_chain_atom37(c, positions, mask);
    for (int64_t i = 0; i < n * 37; i++)
        int_mask[i] = (int32_t)mask[i];
    ff_strbuf_puts(&sequence, c->sequence);
    for (int i = 0; i < n; i++) {
        const struct ff_mmcif_residue *r = &c->residues[i];
        number[i] = r->is_missing ? -99999 : r->auth_seq_num;
        missing[i] = r->is_missing;
        ff_strbuf_putc(&icode, r->insertion_code);
        ff_strbuf_printf(&name, "%s%s", i ? "\n" : "", r->name);
        if (i > 0)
            ff_strbuf_putc(&het, '\n');
        if (r->het == 'H')
            ff_strbuf_printf(&het, "H_%s", r->name);
        else
            ff_strbuf_putc(&het, r->het);
    }
    struct ff_array a = {.dtype = FF_F32, .ndim = 3, .shape = {n, 37, 3}, .data = positions};
    check_array(id, c->id, "all_atom_positions", golden, a, 1e-6);
    a = (struct ff_array){.dtype = FF_I32, .ndim = 2, .shape = {n, 37}, .data = int_mask};
    check_array(id, c->id, "all_atom_mask", golden, a, 0);
    a = (struct ff_array){.dtype = FF_I32, .ndim = 1, .shape = {n}, .data = number};
    check_array(id, c->id, "auth_seq_num", golden, a, 0);
    a.data = missing;
    check_array(id, c->id, "is_missing", golden, a, 0);
    check_text(id, c->id, "seqres", golden, &sequence);
    check_text(id, c->id, "insertion_code", golden, &icode);
    check_text(id, c->id, "hetflag", golden, &het);
    check_text(id, c->id, "residue_name", golden, &name);
    free(positions);
    free(mask);
    free(int_mask);
    free(number);
    free(missing);
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const ids[] = {"1psm", "2crb", "2q2k", "3u8v", "3zee", "4zey", "9syn"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct ff_arrays arrays;
        char *relative = ff_xasprintf("features/mmcif/%s.json", ids[i]);
        char *json = test_data_path(relative), *path = structure_path(ids[i]);
        free(relative);
        if (!json || !path || !golden_load("mmcif", ids[i], &arrays)) {
            golden_n_skipped += !json || !path;
            free(json);
            free(path);
            continue;
        }
        struct ff_yaml *y;
        struct ff_mmcif m;
        double resolution;
        assert_ok(ff_yaml_load(json, &y));
        assert_ok(ff_mmcif_load(path, &m));
        assert_string_equal(m.release_date, ff_yaml_get(y, "release_date")->text);
        assert_string_equal(m.method, ff_yaml_get(y, "structure_method")->text);
        assert_true(ff_yaml_to_double(ff_yaml_get(y, "resolution"), &resolution));
        assert_true(m.resolution == resolution);
        const struct ff_yaml *order = ff_yaml_get(y, "chain_order");
        assert_int_equal(m.n_chain, order->count);
        for (int k = 0; k < m.n_chain; k++) {
            assert_string_equal(m.chains[k].id, order->items[k].text);
            check_chain(ids[i], &m.chains[k], &arrays);
        }
        golden_n_done++;
        ff_mmcif_free(&m);
        ff_yaml_free(y);
        ff_arrays_free(&arrays);
        free(json);
        free(path);
    }
    golden_report();
}

/* A polymer chain without a single atom: the published parser gives up the whole file. */
static void test_chain_without_atoms(void **state)
{
    (void)state;
    struct ff_mmcif m;
    assert_fails(ff_mmcif_load("test/data/features/inputs/mmcifs/9bad.cif.gz", &m), FF_EINPUT,
                 "protein chain B has no atoms");
    assert_int_equal(m.n_chain, 0);
    assert_fails(ff_mmcif_load("no/such.cif", &m), FF_EMISSING, "no/such.cif");
}

/* --- CIF --- */

static void check_value(const struct ff_cif *c, const char *key, int row, const char *expected)
{
    const struct ff_cif_column *column = ff_cif_find(c, key);
    if (!column || column->count <= row)
        fail_msg("%s has no value %d", key, row);
    char *got = ff_cif_strdup(c, column->values[row]);
    assert_string_equal(got, expected);
    free(got);
}

static void test_cif(void **state)
{
    (void)state;
    static const char *const wanted[] = {"_a.", "_b.", "_c.", NULL};
    const char text[] =
        "\xEF\xBB\xBF# comment\r\n"
        "DATA_x_y # another\r\n"
        "_a.one 'a dog's life' _a.two \"it's\"   _a.three 5'-end#1\r\n"
        "_a.four ''\n"
        "_a.one again\n"
        "_a.text\n"
        ";first line \n"
        " 'second' # _a.no loop_\n"
        "\n"
        "; \n"
        "_aa.other 1\n"
        "loop_\n_b.x\n_b.y # comment\n_b.z\n"
        "1 _under 'q # r' # comment\n"
        "2\n"
        ";text\n"
        ";\n"
        "data_2 3 . ?\n"
        "Loop_ _c.x _c.y 1 2\n"
        "_a.last \"_quoted\"\n"
        "data_second\n_a.one no\n";
    struct ff_cif c;
    int rows;
    assert_ok(ff_cif_parse("x.cif", text, sizeof text - 1, wanted, &c));
    check_value(&c, "_a.one", 0, "again");
    assert_int_equal(ff_cif_find(&c, "_a.one")->count, 1);
    check_value(&c, "_a.two", 0, "it's");
    check_value(&c, "_a.three", 0, "5'-end#1");
    check_value(&c, "_a.four", 0, "");
    check_value(&c, "_a.text", 0, "first line \n 'second' # _a.no loop_");
    assert_null(ff_cif_find(&c, "_a.no"));
    assert_null(ff_cif_find(&c, "_aa.other"));
    check_value(&c, "_b.y", 0, "_under");
    check_value(&c, "_b.z", 0, "q # r");
    check_value(&c, "_b.y", 1, "text");
    check_value(&c, "_b.z", 1, "data_2");
    check_value(&c, "_b.y", 2, ".");
    check_value(&c, "_b.z", 2, "?");
    assert_ok(ff_cif_check_category(&c, "_b.", &rows));
    assert_int_equal(rows, 3);
    check_value(&c, "_a.last", 0, "_quoted");
    check_value(&c, "_c.y", 0, "2");
    assert_ok(ff_cif_check_category(&c, "_d.", &rows));
    assert_int_equal(rows, 0);
    ff_cif_free(&c);

    /* In a loop that was cut off, the rest of the text falls into the wrong columns. */
    const char cut[] = "data_x loop_ _c.x _c.y 1 2 3 _a.b 4";
    assert_ok(ff_cif_parse("x.cif", cut, sizeof cut - 1, wanted, &c));
    assert_fails(ff_cif_check_category(&c, "_c.", &rows), FF_EINPUT, "_c.x has 3, _c.y has 2");
    ff_cif_free(&c);

    static const char *const bad[][2] = {
        {"", "does not start with 'data_'"},
        {"# data_x\n", "does not start with 'data_'"},
        {"HEADER    x\nATOM\n", "does not start with 'data_'"},
        {"data_x\n_a.b 'open\n_a.c 1\n", "x.cif:2: the value that starts with '"},
        {"data_x\n_a.b\n;text\n_a.c 1\n", "x.cif:3: the text field that starts here has no end"},
        {"data_x\n_a.b\n;text\n;_a.c 1\n", "x.cif:4: expected white space"},
        {"data_x\n\nvalue\n", "x.cif:3: expected a data name or 'loop_', found 'value'"},
        {"data_x\n_a.b", "x.cif:2: '_a.b' has no value"},
        {"data_x\n_a.b loop_ _a.c 1\n", "x.cif:2: '_a.b' has no value"},
        {"data_x\nloop_\nvalue\n", "x.cif:3: 'loop_' without data names"},
        {"data_x\nloop_", "'loop_' without data names"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(ff_cif_parse("x.cif", bad[i][0], strlen(bad[i][0]), wanted, &c), FF_EINPUT, bad[i][1]);
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const wanted[] = {"_a.", NULL};
    static const struct {
        const char *text;
        bool is_int, is_double;
        double value;
    } cases[] = {
        {"12", true, true, 12},           {"-7", true, true, -7},
        {"+3", true, true, 3},            {"007", true, true, 7},
        {"-30.993", false, true, -30.993}, {".5", false, true, 0.5},
        {"5.", false, true, 5},           {"1e2", false, true, 100},
        {"-1.25E-3", false, true, -1.25e-3}, {"123456789012345678.5", false, true, 123456789012345678.5},
        {"0.1234567890123456789", false, true, 0.1234567890123456789},
        {"999999999", true, true, 999999999}, {"9999999999", false, true, 9999999999.0},
        {".", false, false, 0},           {"?", false, false, 0},
        {"-", false, false, 0},           {"1.2.3", false, false, 0},
        {"1e", false, false, 0},          {"7A", false, false, 0},
        {"nan", false, false, 0},         {"inf", false, false, 0},
        {"0x10", false, false, 0},        {"1e999", false, false, 0},
        {"e5", false, false, 0},          {"1.5(2)", false, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = ff_xasprintf("data_x _a.v %s", cases[i].text);
        struct ff_cif c;
        int n;
        double d;
        assert_ok(ff_cif_parse("x", text, strlen(text), wanted, &c));
        struct ff_cif_value v = ff_cif_find(&c, "_a.v")->values[0];
        if (ff_cif_to_int(&c, v, &n) != cases[i].is_int || (cases[i].is_int && n != cases[i].value))
            fail_msg("'%s' as integer", cases[i].text);
        if (ff_cif_to_double(&c, v, &d) != cases[i].is_double || (cases[i].is_double && d != cases[i].value))
            fail_msg("'%s' as number: %.17g", cases[i].text, d);
        ff_cif_free(&c);
        free(text);
    }
}

static void test_ccd(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char letter;
    } cases[] = {{"ALA", 'A'}, {"VAL", 'V'}, {"MSE", 'M'}, {"SEC", 'A'}, {"TPO", 'T'}, {"00C", 'C'}, {"YYG", 'G'},
                 {"DA", 'A'},  {"A", 'A'},   {"UNK", 'X'}, {"", 'X'},    {"ALAA", 'X'}, {"ala", 'X'}, {"CSO", 'C'},
                 {"ASX", 'B'}, {"GLX", 'Z'}, {"HYP", 'P'}, {"ZZZ", 'X'}, {"   ", 'X'}, {"!!!", 'X'}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ff_ccd_letter(cases[i].name, strlen(cases[i].name)) != cases[i].letter)
            fail_msg("%s: %c", cases[i].name, ff_ccd_letter(cases[i].name, strlen(cases[i].name)));
}

/* --- entries built here --- */

#define HEAD                                                                                                         \
    "data_T\n_entry.id T\n_pdbx_audit_revision_history.revision_date 2020-02-02\n"                                   \
    "loop_\n_chem_comp.id\n_chem_comp.type\nALA 'L-peptide linking'\nSER 'L-Peptide linking'\n"                     \
    "MSE 'L-peptide linking'\nARG 'L-peptide linking'\nDA 'DNA linking'\nHOH non-polymer\n"
#define SEQUENCE "loop_\n_entity_poly_seq.entity_id\n_entity_poly_seq.num\n_entity_poly_seq.mon_id\n"
#define CHAINS "loop_\n_struct_asym.id\n_struct_asym.entity_id\n"
#define ATOMS                                                                                                       \
    "loop_\n_atom_site.group_PDB\n_atom_site.label_atom_id\n_atom_site.label_alt_id\n_atom_site.label_comp_id\n"    \
    "_atom_site.label_asym_id\n_atom_site.label_seq_id\n_atom_site.auth_asym_id\n_atom_site.auth_seq_id\n"           \
    "_atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"                     \
    "_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n_atom_site.pdbx_PDB_model_num\n"
#define ONE_CHAIN HEAD SEQUENCE "1 1 ALA\n1 2 SER\n1 3 MSE\n" CHAINS "A 1\n" ATOMS

static ff_status parse(const char *text, struct ff_mmcif *ret)
{
    return ff_mmcif_parse("t.cif", text, strlen(text), ret);
}

static float x_of(const struct ff_mmcif_chain *c, int residue, const char *atom)
{
    int slot = ff_residue_atom37_index(atom, strlen(atom));
    const struct ff_mmcif_residue *r = &c->residues[residue];
    return r->positions && r->mask[slot] > 0 ? r->positions[slot * 3] : NAN;
}

static void test_alternatives(void **state)
{
    (void)state;
    struct ff_mmcif m;
    assert_ok(parse(ONE_CHAIN
                    "ATOM N  A ALA A 1 X 1 ? 1.0 0 0 0.50 0 1\n"     /* tie: the first counts */
                    "ATOM N  B ALA A 1 X 1 ? 2.0 0 0 0.50 0 1\n"
                    "ATOM CA A ALA A 1 X 1 ? 3.0 0 0 0.40 0 1\n"     /* higher occupancy */
                    "ATOM CA B ALA A 1 X 1 ? 4.0 0 0 0.60 0 1\n"
                    "ATOM CA C ALA A 1 X 1 ? 5.0 0 0 0.50 0 1\n"
                    "ATOM C  . ALA A 1 X 1 ? 6.0 0 0 0.50 0 1\n"     /* no label, then a label: tie */
                    "ATOM C  B ALA A 1 X 1 ? 7.0 0 0 0.50 0 1\n"
                    "ATOM O  . ALA A 1 X 1 ? 8.0 0 0 0.60 0 1\n"     /* no label, higher */
                    "ATOM O  B ALA A 1 X 1 ? 9.0 0 0 0.50 0 1\n"
                    "HETATM SE A MSE A 3 X 3 ? 10.5 0 0 0.5 0 1\n"
                    "HETATM FE . MSE A 3 X 3 ? 11.5 0 0 0.5 0 1\n", &m));
    const struct ff_mmcif_chain *c = &m.chains[0];
    assert_string_equal(c->id, "X");
    assert_string_equal(c->sequence, "ASM");
    assert_true(x_of(c, 0, "N") == 1);
    assert_true(x_of(c, 0, "CA") == 4);
    assert_true(x_of(c, 0, "C") == 7);
    assert_true(x_of(c, 0, "O") == 8);
    assert_true(c->residues[1].is_missing);
    assert_string_equal(c->residues[1].name, "SER");
    assert_true(x_of(c, 2, "SD") == 10.5f);
    assert_int_equal(c->residues[2].het, 'H');
    assert_null(ff_mmcif_find_chain(&m, "A"));
    assert_true(ff_mmcif_find_chain(&m, "X") == c);
    ff_mmcif_free(&m);
}

static void test_microheterogeneity(void **state)
{
    (void)state;
    struct ff_mmcif m;
    /* Both monomers stay in the sequence; the last one's atoms count, though the file holds more of the first. */
    assert_ok(parse(HEAD SEQUENCE "1 1 ALA\n1 2 SER\n1 2 ALA\n1 3 SER\n" CHAINS "A 1\n" ATOMS
                    "ATOM CA . ALA A 1 X 1 ? 1 0 0 1.0 0 1\n"
                    "ATOM CA A SER A 2 X 2 ? 2 0 0 0.9 0 1\n"
                    "ATOM OG A SER A 2 X 2 ? 3 0 0 0.9 0 1\n"
                    "ATOM CA B ALA A 2 X 2 ? 4 0 0 0.1 0 1\n"
                    "ATOM CA . SER A 3 X 3 ? 5 0 0 1.0 0 1\n", &m));
    const struct ff_mmcif_chain *c = &m.chains[0];
    assert_string_equal(c->sequence, "ASAS");
    assert_true(x_of(c, 1, "CA") == 4);
    assert_true(isnan(x_of(c, 1, "OG")));
    assert_string_equal(c->residues[1].name, "ALA");
    assert_true(x_of(c, 2, "CA") == 5);
    assert_true(c->residues[3].is_missing);
    ff_mmcif_free(&m);

    /* Three monomers, with another residue between the second and the third. */
    assert_ok(parse(HEAD SEQUENCE "1 1 ALA\n1 2 SER\n" CHAINS "A 1\n" ATOMS
                    "ATOM CA A ALA A 1 X 1 ? 1 0 0 .3 0 1\nATOM CA B SER A 1 X 1 ? 2 0 0 .3 0 1\n"
                    "ATOM CA . SER A 2 X 2 ? 3 0 0 1 0 1\nATOM CA C ARG A 1 X 1 ? 4 0 0 .3 0 1\n"
                    "ATOM CB D ARG A 1 X 1 ? 5 0 0 .3 0 1\n", &m));
    assert_true(x_of(&m.chains[0], 0, "CA") == 4);
    assert_true(x_of(&m.chains[0], 0, "CB") == 5);
    assert_true(x_of(&m.chains[0], 1, "CA") == 3);
    ff_mmcif_free(&m);

    assert_fails(parse(ONE_CHAIN "ATOM N A ALA A 1 X 1 ? 1 0 0 .5 0 1\nATOM N B SER A 1 X 1 ? 1 0 0 .5 0 1\n"
                       "ATOM CA A ALA A 1 X 1 ? 1 0 0 .5 0 1\n", &m), FF_EINPUT, "by turns");
    assert_fails(parse(ONE_CHAIN "ATOM N . ALA A 1 X 1 ? 1 0 0 .5 0 1\nATOM N B SER A 1 X 1 ? 1 0 0 .5 0 1\n", &m),
                 FF_EINPUT, "two monomers at one place");
    assert_fails(parse(ONE_CHAIN "ATOM N A ALA A 1 X 1 ? 1 0 0 .5 0 1\nATOM N . SER A 1 X 1 ? 1 0 0 .5 0 1\n", &m),
                 FF_EINPUT, "two monomers at one place");
}

static void test_residues_in_pieces(void **state)
{
    (void)state;
    struct ff_mmcif m;
    /* A residue may go on later; insertion codes, negative numbers; a ligand and water in the author chain. */
    assert_ok(parse(ONE_CHAIN
                    "ATOM N  . ALA A 1 X -2 ? 1 0 0 1 0 1\n"
                    "ATOM N  . SER A 2 X -2 A 2 0 0 1 0 1\n"
                    "ATOM CA . ALA A 1 X -2 . 3 0 0 1 0 1\n"
                    "HETATM CA . GOL B . X 9 ? 4 0 0 1 0 1\n"
                    "HETATM O . HOH C . X -2 ? 5 0 0 1 0 1\n", &m));
    const struct ff_mmcif_chain *c = &m.chains[0];
    assert_int_equal(m.n_chain, 1);
    assert_int_equal(c->residues[0].auth_seq_num, -2);
    assert_int_equal(c->residues[0].insertion_code, ' ');
    assert_int_equal(c->residues[1].insertion_code, 'A');
    assert_true(x_of(c, 0, "N") == 1 && x_of(c, 0, "CA") == 3 && x_of(c, 1, "N") == 2);
    ff_mmcif_free(&m);

    assert_fails(parse(ONE_CHAIN "ATOM N . ALA A 1 X 1 ? 1 0 0 1 0 1\nATOM N . ALA A 1 X 1 ? 1 0 0 1 0 1\n", &m),
                 FF_EINPUT, "the atom is given twice");
    assert_fails(parse(ONE_CHAIN "HETATM N . MSE A 3 X 3 ? 1 0 0 1 0 1\nATOM N . ALA A 1 X 1 ? 1 0 0 1 0 1\n"
                       "HETATM CA . MSE A 3 X 3 ? 1 0 0 1 0 1\n", &m), FF_EINPUT,
                 "t.cif:42: atom CA of MSE 3 in chain X");
}

static void test_models_and_chains(void **state)
{
    (void)state;
    struct ff_mmcif m;
    /* The first model counts; a wrong atom in a later one spoils the file all the same. */
    assert_ok(parse(ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\nATOM CA . ALA A 1 X 1 ? 2 0 0 1 0 2\n"
                    "ATOM CB . ALA A 1 X 1 ? 3 0 0 1 0 2\n", &m));
    assert_true(x_of(&m.chains[0], 0, "CA") == 1);
    assert_true(isnan(x_of(&m.chains[0], 0, "CB")));
    ff_mmcif_free(&m);
    assert_fails(parse(ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\nATOM CA . ALA A 1 X 1 ? 2 0 0 1 0 2\n"
                       "ATOM CA . ALA A 1 X 1 ? 3 0 0 1 0 2\n", &m), FF_EINPUT, "the atom is given twice");
    /* Models out of order: residues are those of model 1, coordinates those of the first model in the file. */
    assert_ok(parse(ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 2\nATOM CA . ALA A 1 X 1 ? 2 0 0 1 0 1\n", &m));
    assert_true(x_of(&m.chains[0], 0, "CA") == 1);
    ff_mmcif_free(&m);
    assert_ok(parse(ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 2\nATOM CA . ALA A 1 X 2 ? 2 0 0 1 0 1\n", &m));
    assert_int_equal(m.chains[0].state, FF_MMCIF_CHAIN_BROKEN);
    ff_mmcif_free(&m);
    assert_ok(parse(ONE_CHAIN "ATOM CA . ALA A 1 Y 1 ? 1 0 0 1 0 2\nATOM CA . ALA A 1 X 1 ? 2 0 0 1 0 1\n", &m));
    assert_int_equal(m.chains[0].state, FF_MMCIF_CHAIN_ABSENT);
    ff_mmcif_free(&m);

    /* Two polymers under one author id: the last one's sequence, the atoms of both. DNA is no protein. */
    assert_ok(parse(HEAD SEQUENCE "2 1 DA\n1 5 ALA\n1 6 SER\n3 1 MSE\n" CHAINS "D 2\nB 1\nC 3\nA 1\n" ATOMS
                    "ATOM CA . ALA A 5 X 5 ? 1 0 0 1 0 1\n"
                    "ATOM P . DA D 1 Q 5 ? 1 0 0 1 0 1\n"
                    "ATOM CA . SER B 6 Y 6 ? 2 0 0 1 0 1\n"
                    "HETATM CA . MSE C 1 Y 1 ? 3 0 0 1 0 1\n", &m));
    assert_int_equal(m.n_chain, 2);
    assert_string_equal(m.chains[0].id, "Y");
    assert_string_equal(m.chains[0].sequence, "M");
    assert_true(x_of(&m.chains[0], 0, "CA") == 3);
    assert_string_equal(m.chains[1].id, "X");
    assert_string_equal(m.chains[1].sequence, "AS");
    ff_mmcif_free(&m);
}

static void test_arginine(void **state)
{
    (void)state;
    struct ff_mmcif m;
    assert_ok(parse(HEAD SEQUENCE "1 1 ARG\n1 2 ARG\n1 3 ARG\n" CHAINS "A 1\n" ATOMS
                    "ATOM CD . ARG A 1 X 1 ? 0 0 0 1 0 1\nATOM NH1 . ARG A 1 X 1 ? 3 0 0 1 0 1\n"
                    "ATOM NH2 . ARG A 1 X 1 ? 2 0 0 1 0 1\n"
                    "ATOM CD . ARG A 2 X 2 ? 0 0 0 1 0 1\nATOM NH1 . ARG A 2 X 2 ? 2 0 0 1 0 1\n"
                    "ATOM NH2 . ARG A 2 X 2 ? 2 0 0 1 0 1\n"
                    "ATOM NH1 . ARG A 3 X 3 ? 3 0 0 1 0 1\nATOM NH2 . ARG A 3 X 3 ? 2 0 0 1 0 1\n", &m));
    const struct ff_mmcif_chain *c = &m.chains[0];
    assert_true(x_of(c, 0, "NH1") == 2 && x_of(c, 0, "NH2") == 3);
    assert_true(x_of(c, 1, "NH1") == 2 && x_of(c, 1, "NH2") == 2);
    assert_true(x_of(c, 2, "NH1") == 3 && x_of(c, 2, "NH2") == 2);
    ff_mmcif_free(&m);
}

static void test_header(void **state)
{
    (void)state;
    struct ff_mmcif m;
    const char *atom = "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n";
    static const struct {
        const char *items, *method;
        double resolution;
    } cases[] = {
        {"", "", 0},
        {"_refine.ls_d_res_high 2.5\n_reflns.d_resolution_high 1.5\n", "", 2.5},
        {"_refine.ls_d_res_high .\n_em_3d_reconstruction.resolution 3.5\n_reflns.d_resolution_high 1.5\n", "", 3.5},
        {"loop_ _reflns.d_resolution_high _reflns.x 1.5 1 1.6 2\n_refine.ls_d_res_high ?\n", "", 1.5},
        {"loop_ _exptl.entry_id _exptl.method T 'X-RAY DIFFRACTION' T 'Neutron Diffraction'\n",
         "x-ray diffraction,neutron diffraction", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = ff_xasprintf("%s%s%s%s%s", HEAD, cases[i].items, SEQUENCE "1 1 ALA\n" CHAINS "A 1\n", ATOMS, atom);
        assert_ok(parse(text, &m));
        assert_string_equal(m.release_date, "2020-02-02");
        assert_string_equal(m.method, cases[i].method);
        assert_true(m.resolution == cases[i].resolution);
        ff_mmcif_free(&m);
        free(text);
    }
    /* No revision history: the file can be used, the date is not known. */
    assert_ok(parse("data_x _chem_comp.id ALA _chem_comp.type 'peptide' loop_ _entity_poly_seq.entity_id "
                    "_entity_poly_seq.num _entity_poly_seq.mon_id 1 1 ALA\n" CHAINS "A 1\n" ATOMS
                    "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n", &m));
    assert_null(m.release_date);
    ff_mmcif_free(&m);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {HEAD, "no item _atom_site.group_PDB"},
        {HEAD SEQUENCE "1 1 ALA\n" CHAINS "A 1\n" ATOMS, "has no atoms"},
        {HEAD SEQUENCE "1 1 DA\n" CHAINS "A 1\n" ATOMS "ATOM P . DA A 1 X 1 ? 1 0 0 1 0 1\n", "no protein chain"},
        {HEAD ATOMS "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n", "no protein chain"},
        {HEAD SEQUENCE "1 1 ALA\n" CHAINS "B 1\n" ATOMS "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n",
         "chain B has no atoms"},
        {HEAD SEQUENCE "1 1 ZZZ\n" CHAINS "A 1\n" ATOMS "ATOM CA . ZZZ A 1 X 1 ? 1 0 0 1 0 1\n",
         "'ZZZ' in _entity_poly_seq.mon_id is not described"},
        {HEAD SEQUENCE "1 one ALA\n" CHAINS "A 1\n" ATOMS "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n",
         "'one' in _entity_poly_seq.num is not an integer"},
        {HEAD SEQUENCE "1 1 ALA 1\n" CHAINS "A 1\n" ATOMS "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n",
         "different numbers of values"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\nATOM CA . ALA A 1 X\n", "may be cut off"},
        {ONE_CHAIN "ATOM CA . ALA A . X 1 ? 1 0 0 1 0 1\n", "label_seq_id '.'"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X ? ? 1 0 0 1 0 1\n", "the residue number is not an integer"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? ? 0 0 1 0 1\n", "a coordinate is not a number"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 ? 0 1\n", "the occupancy is not a number"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 ? 1\n", "the B factor is not a number"},
        {ONE_CHAIN "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 one\n", "the model number is not an integer"},
    };
    struct ff_mmcif m;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_fails(parse(bad[i][0], &m), FF_EINPUT, bad[i][1]);
        assert_int_equal(strncmp(ff_status_message(), "t.cif:", 6), 0);
    }
}

static void test_coordinates_only(void **state)
{
    (void)state;
    struct ff_mmcif m;
    assert_fails(parse("data_x\n" ATOMS "ATOM CA . ALA A 1 X 1 ? 1 0 0 1 0 1\n", &m), FF_EINPUT, "no protein chain");
    const char text[] = "data_x\n" ATOMS
                        "HETATM CA . CA D . D 1 ? 1 0 0 1 0 1\n"         /* a calcium ion */
                        "ATOM CA . ALA A 1 X 4 ? 1 0 0 1 0 1\n"
                        "HETATM N . MSE A 2 X 7 B 1 0 0 1 0 1\nHETATM CA . MSE A 2 X 7 B 2 0 0 1 0 1\n"
                        "HETATM C . MSE A 2 X 7 B 3 0 0 1 0 1\n"
                        "ATOM CB . SER A 3 X 8 ? 1 0 0 1 0 1\n"          /* no CA */
                        "HETATM O . HOH W . X 9 ? 1 0 0 1 0 1\n"
                        "ATOM CA . SER B 1 Y 1 ? 5 0 0 1 0 1\n"
                        "ATOM CA . SER B 1 Y 1 ? 6 0 0 1 0 2\n";
    assert_ok(ff_mmcif_parse_coordinates("t.cif", text, sizeof text - 1, &m));
    assert_int_equal(m.n_chain, 2);
    assert_string_equal(m.chains[0].id, "X");
    assert_string_equal(m.chains[0].sequence, "AM");
    assert_int_equal(m.chains[0].residues[1].auth_seq_num, 7);
    assert_int_equal(m.chains[0].residues[1].insertion_code, 'B');
    assert_true(x_of(&m.chains[0], 1, "C") == 3);
    assert_string_equal(m.chains[1].sequence, "S");
    assert_true(x_of(&m.chains[1], 0, "CA") == 5);
    ff_mmcif_free(&m);
    const char water[] = "data_x\n" ATOMS "HETATM O . HOH W . X 9 ? 1 0 0 1 0 1\n";
    assert_fails(ff_mmcif_parse_coordinates("t.cif", water, sizeof water - 1, &m), FF_EINPUT, "no amino acids");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_chain_without_atoms),
        cmocka_unit_test(test_cif),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_ccd),
        cmocka_unit_test(test_alternatives),
        cmocka_unit_test(test_microheterogeneity),
        cmocka_unit_test(test_residues_in_pieces),
        cmocka_unit_test(test_models_and_chains),
        cmocka_unit_test(test_arginine),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_coordinates_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
