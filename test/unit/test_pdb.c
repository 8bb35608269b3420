/* SPDX-License-Identifier: Apache-2.0
 * pdb: text byte for byte as the published code writes it, what cannot be written, and reading.
 */
#include "unit/testing.h"

#include "bio/pdb.h"
#include "unit/golden_structure.h"

static struct ff_structure s;
static struct ff_strbuf text;

static void test_golden_text(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_N_STRUCTURE; i++) {
        golden_structure_load(golden_structures[i], &s);
        assert_ok(ff_pdb_write(&s, NULL, &text));
        golden_structure_check(golden_structures[i], "pdb", &text);
        ff_strbuf_free(&text);
        ff_structure_free(&s);
    }
}

static void test_chains_from_a(void **state)
{
    (void)state;
    golden_structure_load("from_prediction_multimer", &s);
    const struct ff_pdb_options opt = {.chains_from_a = true};
    assert_ok(ff_pdb_write(&s, NULL, &text));
    assert_int_equal(strchr(text.s, '\n')[22], 'B'); /* column 22 of the second line */
    ff_strbuf_clear(&text);
    assert_ok(ff_pdb_write(&s, &opt, &text));
    assert_int_equal(strchr(text.s, '\n')[22], 'A');
    ff_strbuf_free(&text);
    ff_structure_free(&s);
}

static void test_remarks(void **state)
{
    (void)state;
    golden_structure_load("two_chains", &s);
    char words[200];
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    words[30] = words[60] = words[100] = ' ';
    const char *const remarks[] = {"made by a test", words, "line\nend", "", NULL};
    const struct ff_pdb_options opt = {.remarks = remarks};
    assert_ok(ff_pdb_write(&s, &opt, &text));
    size_t n_remark = 0;
    for (const char *line = text.s; *line; line = strchr(line, '\n') + 1) {
        assert_int_equal(strchr(line, '\n') - line, 80);
        n_remark += strncmp(line, "REMARK   6 ", 11) == 0;
    }
    assert_int_equal(n_remark, 1 + 4 + 1 + 1);
    assert_int_equal(strncmp(text.s, "REMARK   6 made by a test    ", 29), 0);
    assert_non_null(strstr(text.s, "REMARK   6 line end "));
    assert_non_null(strstr(text.s, "\nMODEL     1"));
    ff_strbuf_free(&text);
    ff_structure_free(&s);
}

static void check_misfit(const char *reason)
{
    const char *found = ff_pdb_misfit(&s, NULL);
    assert_non_null(found);
    assert_non_null(strstr(found, reason));
    assert_fails(ff_pdb_write(&s, NULL, &text), FF_EINPUT, reason);
    assert_int_equal(text.len, 0);
}

static void test_misfits(void **state)
{
    (void)state;
    golden_structure_load("two_chains", &s);
    assert_null(ff_pdb_misfit(&s, NULL));
    size_t atom = FF_ATOM_CA;
    while (s.mask[atom] < 0.5f)
        atom += FF_N_ATOM37;
    float x = s.positions[3 * atom];
    s.positions[3 * atom] = 10000.0f;
    check_misfit("coordinate");
    s.positions[3 * atom] = NAN;
    check_misfit("coordinate");
    s.positions[3 * atom] = -999.999f;
    assert_null(ff_pdb_misfit(&s, NULL));
    s.positions[3 * atom] = x;
    s.b_factors[atom] = 1000.0f;
    check_misfit("B factor");
    s.b_factors[atom] = 0.0f;
    s.residue_index[3] = 10000;
    check_misfit("residue number");
    s.residue_index[3] = 4;
    s.aatype[0] = 21;
    check_misfit("residue type");
    s.aatype[0] = 20;
    s.chain_index[s.n_res - 1] = 62;
    check_misfit("62 chains");
    const struct ff_pdb_options opt = {.chains_from_a = true};
    assert_null(ff_pdb_misfit(&s, &opt));
    ff_structure_free(&s);
    ff_structure_alloc(&s, 0);
    check_misfit("no residues");
    ff_structure_free(&s);

    ff_structure_alloc(&s, 9999);
    for (int i = 0; i < 9999 * FF_N_ATOM37; i++)
        s.mask[i] = i % FF_N_ATOM37 < 10;
    for (int i = 0; i < 9999; i++)
        s.residue_index[i] = i + 1;
    assert_null(ff_pdb_misfit(&s, NULL)); /* 99,990 atoms and a TER */
    for (int i = 0; i < 9; i++)
        s.mask[i * FF_N_ATOM37 + 36] = 1.0f;
    check_misfit("more atoms");
    ff_structure_free(&s);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ff_structure got;
    golden_structure_load("two_chains", &s);
    assert_ok(ff_pdb_write(&s, NULL, &text));
    assert_ok(ff_pdb_parse("x.pdb", text.s, text.len, &got));
    int r = 0;
    for (int i = 0; i < s.n_res; i++) {
        bool any = false;
        for (int a = 0; a < FF_N_ATOM37; a++)
            any = any || s.mask[i * FF_N_ATOM37 + a] >= 0.5f;
        if (!any)
            continue;
        assert_true(r < got.n_res);
        assert_int_equal(got.aatype[r], s.aatype[i]);
        assert_int_equal(got.residue_index[r], s.residue_index[i]);
        for (int a = 0; a < FF_N_ATOM37; a++) {
            size_t from = (size_t)(i * FF_N_ATOM37 + a), to = (size_t)(r * FF_N_ATOM37 + a);
            assert_int_equal(got.mask[to] >= 0.5f, s.mask[from] >= 0.5f);
            if (s.mask[from] < 0.5f)
                continue;
            assert_true(fabsf(got.b_factors[to] - s.b_factors[from]) < 0.00501f);
            for (size_t k = 0; k < 3; k++)
                assert_true(fabsf(got.positions[3 * to + k] - s.positions[3 * from + k]) < 0.00051f);
        }
        r++;
    }
    assert_int_equal(r, got.n_res);
    assert_int_equal(got.n_chain, 2);
    ff_structure_free(&got);
    ff_structure_free(&s);
    ff_strbuf_free(&text);
}

static const char small_pdb[] =
    "HEADER    TEST\n"
    "MODEL        1\n"
    "HETATM    1  O   HOH A  90       1.000   1.000   1.000  1.00 20.00           O\n"
    "ATOM      2  N   GLY A  10A      1.000   2.000   3.000  1.00 20.00           N\n"
    "ATOM      3  CA AGLY A  10A      4.000   5.000   6.000  0.40 21.00           C\n"
    "ATOM      4  CA BGLY A  10A      7.000   8.000   9.000  0.60 22.00           C\n"
    "ATOM      5  CA CGLY A  10A      0.000   0.000   0.000  0.60 23.00           C\n"
    "ATOM      6  HA  GLY A  10A      0.000   0.000   0.000  1.00 23.00           H\n"
    "ATOM      7  CA BALA A  10A      0.000   0.000   0.000  0.90 23.00           C\n"
    "HETATM    8  SE  MSE A  10      -1.500   2.250   0.001  1.00  5.00          SE\n"
    "HETATM    9  CA  MSE A  10      -1.500   2.250   0.002\n"
    "TER\n"
    "ATOM     10  P    DA X   1       1.000   2.000   3.000  1.00 20.00           P\n"
    "ATOM     11  CA  SEP B  -3    -100.000-200.000-300.000  1.00  1.00           C\n"
    "ENDMDL\n"
    "MODEL        2\n"
    "ATOM     12  CA  GLY A  11       1.000   2.000   3.000  1.00 20.00           C\n";

static void test_reading(void **state)
{
    (void)state;
    assert_ok(ff_pdb_parse("x.pdb", small_pdb, sizeof small_pdb - 1, &s));
    assert_int_equal(s.n_res, 3);
    assert_int_equal(s.n_chain, 2);
    assert_memory_equal(s.chain_id, "AB", 2);
    assert_int_equal(s.aatype[0], ff_residue_from_letter('G'));
    assert_int_equal(s.aatype[1], ff_residue_from_letter('M'));
    assert_int_equal(s.aatype[2], FF_RESTYPE_X);
    assert_int_equal(s.insertion_code[0], 'A');
    assert_int_equal(s.insertion_code[1], ' ');
    assert_int_equal(s.residue_index[2], -3);
    assert_int_equal(s.chain_index[1], 0);
    assert_int_equal(s.chain_index[2], 1);
    const float *ca = s.positions + 3 * FF_ATOM_CA;
    assert_true(ca[0] == 7.0f && ca[1] == 8.0f && ca[2] == 9.0f); /* highest occupancy, first on the tie */
    assert_true(s.b_factors[FF_ATOM_CA] == 22.0f);
    int sd = ff_residue_atom37_index("SD", 2);
    assert_true(s.mask[FF_N_ATOM37 + sd] == 1.0f && s.positions[3 * (FF_N_ATOM37 + sd) + 2] == 0.001f);
    float n_atom = 0.0f;
    for (int i = 0; i < s.n_res * FF_N_ATOM37; i++)
        n_atom += s.mask[i];
    assert_true(n_atom == 5.0f);
    ff_structure_free(&s);
}

static void test_bad_input(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "x.pdb: no protein atoms"},
        {"HETATM    1  O   HOH A  90       1.000   1.000   1.000  1.00 20.00           O\n", "no protein atoms"},
        {"ATOM      2  N   GLY A  10       1.000   2.0x0   3.000\n", "x.pdb:1: columns 39 to 46: expected a coord"},
        {"ATOM      2  N   GLY A  10       1.000\n", "columns 39 to 46"},
        {"ATOM      2  N   GLY A           1.000   2.000   3.000\n", "columns 23 to 26: expected a residue number"},
        {"ATOM      2  N   GLY A 1.5       1.000   2.000   3.000\n", "found '1.5'"},
        {"ATOM      2  N   GLY A1e99       1.000   2.000   3.000\n", "found '1e99'"},
        {"ATOM      2  N   GLY A  10         nan   2.000   3.000\n", "found 'nan'"},
        {"ATOM  \n", "columns 31 to 38"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(ff_pdb_parse("x.pdb", cases[i][0], strlen(cases[i][0]), &s), FF_EINPUT, cases[i][1]);
    assert_null(s.positions);
    assert_fails(ff_pdb_load("test/data/none.pdb", &s), FF_EMISSING, "none.pdb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_text), cmocka_unit_test(test_chains_from_a), cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_misfits),     cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_reading),
        cmocka_unit_test(test_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
