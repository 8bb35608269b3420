/* SPDX-License-Identifier: Apache-2.0
 * Complexes through the program itself: `fastfold features --complex` with the published pipeline's search results in
 * msas/A/, msas/B/, ... must write the features that the published pipeline made of them. $FASTFOLD is the program.
 */
#include "base/strbuf.h"
#include "base/subprocess.h"
#include "bio/fasta.h"
#include "format/npz.h"
#include "unit/testing.h"

enum { MAX_CHAIN = 4 };

struct complex_case {
    const char *name;            /* golden file */
    const char *chains[MAX_CHAIN];       /* folders of inputs, in the order of the input */
};

static const struct {
    const char *from, *to;       /* names in the inputs, and of the published layout */
} files[] = {
    {"uniref90_hits.sto", "uniref90_hits.sto"},
    {"bfd_uniref_hits.a3m", "bfd_uniref_hits.a3m"},
    {"bfd_uniclust_hits.a3m", "bfd_uniref_hits.a3m"},
    {"mgnify_hits.sto", "mgnify_hits.sto"},
    {"uniprot_hits.sto", "uniprot_hits.sto"},
    {"pdb_hits.sto", "pdb_hits.sto"},
};

static void run(const char *const *argv)
{
    struct ff_subprocess_result result = {0};
    assert_ok(ff_subprocess_check(argv, NULL, NULL, NULL, &result));
    ff_subprocess_result_free(&result);
}

static char *input_path(const char *chain, const char *file)
{
    char *relative = ff_xasprintf("features/inputs/%s/%s", chain, file);
    char *path = test_data_path(relative);
    free(relative);
    return path;
}

/* Search results of a chain into dir/c/msas/<id>; skips where the inputs are not here. */
static void copy_inputs(const char *chain, const char *dir, char id)
{
    char *to_dir = ff_xasprintf("%s/c/msas/%c", dir, id);
    assert_ok(ff_mkdirs(to_dir));
    int copied = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *from = input_path(chain, files[i].from), *to = ff_path_join(to_dir, files[i].to);
        if (from != NULL) {
            run((const char *const[]){"cp", from, to, NULL});
            copied++;
        }
        free(from);
        free(to);
    }
    free(to_dir);
    if (copied < 5)
        skip();
}

/* Structures from wherever they are. */
static void copy_structures(const char *dir)
{
    char *to = ff_path_join(dir, "mmcif"), *golden = test_golden_path("features/inputs/mmcifs");
    char *synthetic = test_golden_path("features/inputs/mmcifs_synthetic");
    assert_ok(ff_mkdirs(to));
    char *here = ff_path_join("test/data/features/inputs/mmcifs", ".");
    run((const char *const[]){"cp", "-r", here, to, NULL});
    if (golden != NULL && synthetic != NULL)
        run((const char *const[]){"sh", "-c", "cp -r \"$0\"/* \"$1\"/* \"$2\"", golden, synthetic, to, NULL});
    free(here);
    free(golden);
    free(synthetic);
    free(to);
}

static void write_fasta(const struct complex_case *c, const char *path)
{
    struct ff_strbuf text = {0};
    for (int i = 0; i < MAX_CHAIN && c->chains[i] != NULL; i++) {
        char *query = input_path(c->chains[i], "query.fasta");
        struct ff_fasta fasta;
        if (query == NULL)
            skip();
        assert_ok(ff_fasta_load(query, false, &fasta));
        ff_strbuf_printf(&text, ">%s\n%s\n", fasta.records[0].name, fasta.records[0].sequence);
        ff_fasta_free(&fasta);
        free(query);
    }
    assert_ok(ff_file_write(path, text.s, text.len));
    ff_strbuf_free(&text);
}

static void compare(const struct ff_arrays *got, const struct ff_arrays *expected)
{
    int compared = 0;
    for (int i = 0; i < expected->count; i++) {
        const struct ff_array *e = &expected->items[i];
        const struct ff_array *g = ff_arrays_find(got, e->name);
        if (g == NULL)
            fail_msg("features.npz has no %s", e->name);
        test_assert_array(e->name, g, e, strcmp(e->name, "template_all_atom_positions") == 0 ? 1e-5 : 1e-6);
        compared++;
    }
    assert_true(compared >= 20);
}

static void check(const struct complex_case *c)
{
    const char *program = getenv("FASTFOLD");
    char *relative = ff_xasprintf("features/multimer_raw/%s.npz", c->name), *golden = test_data_path(relative);
    free(relative);
    if (program == NULL || *program == '\0' || golden == NULL) {
        print_message("%s skipped: %s\n", c->name,
                      golden == NULL ? "its golden file is not here" : "$FASTFOLD does not name the program");
        skip();
    }
    char *dir = test_make_dir();
    char *fasta = ff_path_join(dir, "c.fasta");
    char *structures = ff_xasprintf("databases.template_mmcif_dir=%s/mmcif", dir);
    write_fasta(c, fasta);
    for (int i = 0; i < MAX_CHAIN && c->chains[i] != NULL; i++) {
        int first = 0;
        while (strcmp(c->chains[first], c->chains[i]) != 0)
            first++;
        if (first == i)
            copy_inputs(c->chains[i], dir, (char)('A' + i));
    }
    copy_structures(dir);
    run((const char *const[]){program, "features", fasta, "--complex", "--quiet", "--model", "model_1_multimer_v3",
                              "--output-dir", dir, "--max-template-date", "2021-09-30", "--set", structures, "--set",
                              "tools.jackhmmer=none", NULL});
    char *path = ff_xasprintf("%s/c/features.npz", dir);
    struct ff_arrays got = {0}, expected = {0};
    assert_ok(ff_npz_load(path, &got));
    assert_ok(ff_npz_load(golden, &expected));
    compare(&got, &expected);
    ff_arrays_free(&got);
    ff_arrays_free(&expected);
    free(path);
    free(structures);
    free(fasta);
    free(golden);
    test_remove_dir(dir);
}

static void test_heterodimer(void **state)
{
    (void)state;
    check(&(struct complex_case){"heterodimer_AB", {"fam_A", "fam_B"}});
}

/* The third chain is the first again: the published order of residues differs from the input's. */
static void test_heterotrimer(void **state)
{
    (void)state;
    check(&(struct complex_case){"heterotrimer_ABA", {"fam_A", "fam_B", "fam_A"}});
}

static void test_homodimer(void **state)
{
    (void)state;
    check(&(struct complex_case){"homodimer_2q2k", {"2q2k_A", "2q2k_A"}});
}

static void test_single_chain(void **state)
{
    (void)state;
    check(&(struct complex_case){"monomer_A", {"fam_A"}});
}

static void test_three_sequences(void **state)
{
    (void)state;
    check(&(struct complex_case){"hetero3_ABC", {"fam_A", "fam_B", "fam_C"}});
}

/* More rows than the published pipeline keeps. */
static void test_crop(void **state)
{
    (void)state;
    check(&(struct complex_case){"crop_PR", {"fam_P", "fam_R"}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heterodimer),   cmocka_unit_test(test_heterotrimer),
        cmocka_unit_test(test_homodimer),     cmocka_unit_test(test_single_chain),
        cmocka_unit_test(test_three_sequences), cmocka_unit_test(test_crop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
