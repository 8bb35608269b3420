/* SPDX-License-Identifier: Apache-2.0
 * mmcif_write: text byte for byte as the published code writes it, quoting of values, and what cannot be written.
 */
#include "unit/testing.h"

#include "bio/cif_writer.h"
#include "bio/mmcif_write.h"
#include "unit/golden_structure.h"

static struct ff_structure s;
static struct ff_strbuf text;

static void test_golden_text(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_N_STRUCTURE; i++) {
        const char *name = golden_structures[i];
        bool prediction = strncmp(name, "from_prediction", 15) == 0;
        const struct ff_mmcif_options opt = {.id = prediction ? "from_prediction" : name,
                                             .multimer = strstr(name, "monomer") == NULL};
        golden_structure_load(name, &s);
        assert_ok(ff_mmcif_write(&s, &opt, &text));
        golden_structure_check(name, "cif", &text);
        ff_strbuf_free(&text);
        ff_structure_free(&s);
    }
}

static void test_own_origin(void **state)
{
    (void)state;
    const struct ff_mmcif_origin origin = {"fastfold", "v1.2", "demo parameters", "Free for any use."};
    const struct ff_mmcif_options opt = {.id = "my model", .chains_from_a = true, .origin = &origin};
    golden_structure_load("from_prediction_multimer", &s);
    assert_ok(ff_mmcif_write(&s, &opt, &text));
    assert_int_equal(strncmp(text.s, "data_MY_MODEL\n", 14), 0);
    assert_null(strstr(text.s, "DEEPMIND"));
    assert_null(strstr(text.s, "_audit_author"));
    assert_non_null(strstr(text.s, "'Free for any use.'"));
    assert_non_null(strstr(text.s, "'demo parameters'"));
    assert_non_null(strstr(text.s, "_software.name             fastfold\n"));
    assert_non_null(strstr(text.s, "\nA 0 \nB 1 \n"));
    ff_strbuf_free(&text);
    ff_structure_free(&s);
}

static void test_quoting(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"two words", "'two words'"},
        {"5'", "'5''"},
        {"a' b", "\"a' b\""},
        {"a\"b", "'a\"b'"},
        {"_x", "'_x'"},
        {"#1", "'#1'"},
        {"$a", "'$a'"},
        {";", "';'"},
        {"data_x", "'data_x'"},
        {"loop_", "'loop_'"},
        {"loop_x", "loop_x"},
        {"", "''"},
        {"?", "?"},
        {"a\nb", "\n;a\nb\n;\n"},
        {"a' b\" c", "\n;a' b\" c\n;\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ff_cif_writer w = {.out = &text};
        ff_cif_writer_single(&w, "_x", "y", cases[i][0]);
        char *expected = ff_xasprintf("_x.y   %s\n#\n", cases[i][1]);
        assert_string_equal(text.s, expected);
        free(expected);
        ff_cif_writer_free(&w);
        ff_strbuf_free(&text);
    }
}

static void test_loops(void **state)
{
    (void)state;
    struct ff_cif_writer w = {.out = &text};
    ff_cif_writer_begin(&w, "_c", "a long_one");
    ff_cif_writer_end(&w); /* without rows */
    ff_cif_writer_begin(&w, "_c", "a long_one");
    ff_cif_writer_add(&w, "%d", 1);
    ff_cif_writer_add(&w, "x y");
    ff_cif_writer_end(&w);
    ff_cif_writer_begin(&w, "_c", "a b");
    for (int i = 9; i < 11; i++) {
        ff_cif_writer_add(&w, "%d", i);
        ff_cif_writer_add(&w, i == 9 ? "x y" : "z");
    }
    ff_cif_writer_end(&w);
    assert_string_equal(text.s, "_c.a          1\n_c.long_one   'x y'\n#\n"
                                "loop_\n_c.a\n_c.b\n9  'x y' \n10 z     \n#\n");
    ff_cif_writer_free(&w);
    ff_strbuf_free(&text);
}

static void test_refused(void **state)
{
    (void)state;
    const struct ff_mmcif_options opt = {.id = "x"};
    ff_structure_alloc(&s, 2);
    assert_fails(ff_mmcif_write(&s, &opt, &text), FF_EINPUT, "no atoms");
    s.mask[1] = 1.0f;
    s.positions[3] = INFINITY;
    assert_fails(ff_mmcif_write(&s, &opt, &text), FF_EINPUT, "atom CA of residue 1");
    s.positions[3] = 1.0f;
    s.residue_index[1] = 5;
    assert_ok(ff_mmcif_write(&s, &opt, &text));
    assert_non_null(strstr(text.s, "\n0 4 UNK \n0 5 ALA \n"));
    ff_strbuf_free(&text);
    s.residue_index[1] = INT32_MAX;
    assert_fails(ff_mmcif_write(&s, &opt, &text), FF_EINPUT, "residue 2 has the number");
    s.residue_index[1] = 1;
    s.chain_index[1] = -1;
    assert_fails(ff_mmcif_write(&s, &opt, &text), FF_EINPUT, "negative chain");
    s.chain_index[1] = 0;
    s.aatype[1] = 21;
    assert_fails(ff_mmcif_write(&s, &opt, &text), FF_EINPUT, "type 21");
    assert_int_equal(text.len, 0);
    ff_structure_free(&s);
}

/* Chain ids go on after Z as AA, BA, ... */
static void test_many_chains(void **state)
{
    (void)state;
    const struct ff_mmcif_options opt = {.id = "x"};
    ff_structure_alloc(&s, 30);
    for (int r = 0; r < 30; r++) {
        s.chain_index[r] = r;
        s.residue_index[r] = 1;
        s.mask[r * FF_N_ATOM37] = 1.0f;
    }
    assert_ok(ff_mmcif_write(&s, &opt, &text));
    assert_non_null(strstr(text.s, "\nZ  25 \nAA 26 \nBA 27 \nCA 28 \nDA 29 \n#"));
    ff_strbuf_free(&text);
    ff_structure_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_text), cmocka_unit_test(test_own_origin), cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_loops),       cmocka_unit_test(test_refused),    cmocka_unit_test(test_many_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
