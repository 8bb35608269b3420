/* SPDX-License-Identifier: Apache-2.0
 * Input files as targets: single chains, complexes in all their forms, tables, names of chains, alignments of
 * complexes; and what is refused.
 */
#include "app/target.h"

#include "app/user_msa.h"
#include "base/file.h"
#include "unit/testing.h"

static char *write_file(const char *dir, const char *name, const char *text)
{
    char *path = ff_path_join(dir, name);
    assert_ok(ff_file_write(path, text, strlen(text)));
    return path;
}

static void load(const char *dir, const char *name, const char *text, bool complex, struct ff_targets *ret)
{
    char *path = write_file(dir, name, text);
    *ret = (struct ff_targets){0};
    assert_ok(ff_targets_load(ret, path, complex));
    free(path);
}

static void refuse(const char *dir, const char *name, const char *text, bool complex, ff_status code, const char *said)
{
    struct ff_targets t = {0};
    char *path = write_file(dir, name, text);
    assert_fails(ff_targets_load(&t, path, complex), code, said);
    ff_targets_free(&t);
    free(path);
}

static void test_fasta(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct ff_targets t;
    load(dir, "two.fasta", ">a first\nACDEF\n>b\nghikl\nMN\n", false, &t);
    assert_int_equal(t.count, 2);
    assert_string_equal(t.items[0].name, "a");
    assert_string_equal(t.items[0].description, "a first");
    assert_false(t.items[0].complex);
    assert_string_equal(t.items[1].sequence, "GHIKLMN");
    assert_int_equal(t.items[1].n_res, 7);
    ff_targets_free(&t);

    load(dir, "joined.fasta", ">ab x\nACDEF:GHIKL:\nGHIKL\n", false, &t);
    assert_int_equal(t.count, 1);
    const struct ff_target *c = &t.items[0];
    assert_true(c->complex);
    assert_int_equal(c->n_chain, 3);
    assert_int_equal(c->n_entity, 2);
    assert_int_equal(c->n_res, 15);
    assert_string_equal(c->sequence, "ACDEF:GHIKL:GHIKL");
    assert_string_equal(c->chains[2].id, "C");
    assert_int_equal(c->chains[2].entity, 1);
    assert_ptr_equal(ff_target_entity(c, 1), &c->chains[1]);
    ff_targets_free(&t);
    test_remove_dir(dir);
}

static void test_complex(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct ff_targets t;
    load(dir, "my complex.fasta", ">a first\nACDEF\n>b\nGHIKL\n>a\nACDEF\n", true, &t);
    assert_int_equal(t.count, 1);
    const struct ff_target *c = &t.items[0];
    assert_string_equal(c->name, "my_complex");
    assert_int_equal(c->n_chain, 3);
    assert_int_equal(c->chains[0].entity, 0);
    assert_int_equal(c->chains[1].entity, 1);
    assert_int_equal(c->chains[2].entity, 0);
    assert_string_equal(c->chains[0].description, "a first");
    assert_string_equal(c->sequence, "ACDEF:GHIKL:ACDEF");
    ff_targets_free(&t);

    load(dir, "one.fasta", ">a\nACDEF\n", true, &t); /* called a complex, so it is one */
    assert_true(t.items[0].complex);
    ff_targets_free(&t);
    refuse(dir, "x.fasta", ">a\nACDEF:\n", false, FF_EINPUT, "chain 2 is empty");
    refuse(dir, "x.fasta", ">a\nACDEF:G\n", false, FF_EINPUT, "chain 2 has 1 residue");
    refuse(dir, "x.fasta", ">a\nACDEF\n>b\nG\n", true, FF_EINPUT, "has 1 residue");
    refuse(dir, "x.fasta", ">a\nACDEF\n>a\nACDEF\n", false, FF_EINPUT, "same name");
    test_remove_dir(dir);
}

static void test_table(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    struct ff_targets t;
    load(dir, "t.csv", "id,sequence,note\n a , ACDEF:GHIKL ,x\r\n\n\"b c\",\"GHIKL\"\n", false, &t);
    assert_int_equal(t.count, 2);
    assert_string_equal(t.items[0].name, "a");
    assert_string_equal(t.items[0].sequence, "ACDEF:GHIKL");
    assert_string_equal(t.items[1].name, "b");
    assert_string_equal(t.items[1].description, "b c");
    ff_targets_free(&t);
    load(dir, "t.tsv", "a\tACDEF\n", false, &t);
    assert_string_equal(t.items[0].sequence, "ACDEF");
    ff_targets_free(&t);
    refuse(dir, "x.csv", "a,ACDEF\nb,AC1\n", false, FF_EINPUT, "row in line 2");
    refuse(dir, "x.csv", "a,ACDEF\nb\n", false, FF_EINPUT, "x.csv:2: expected a name and a sequence");
    refuse(dir, "x.csv", "id,sequence\n", false, FF_EINPUT, "no sequence in the table");
    refuse(dir, "x.csv", "a,ACDEF\n", true, FF_EUSAGE, "--complex");
    test_remove_dir(dir);
}

static void test_chain_ids(void **state)
{
    (void)state;
    char id[FF_CHAIN_ID_SIZE];
    assert_string_equal(ff_chain_id(0, true, id), "A");
    assert_string_equal(ff_chain_id(26, true, id), "a");
    assert_string_equal(ff_chain_id(61, true, id), "9");
    assert_string_equal(ff_chain_id(25, false, id), "Z");
    assert_string_equal(ff_chain_id(26, false, id), "AA");
    assert_string_equal(ff_chain_id(27, false, id), "BA");
    assert_string_equal(ff_chain_id(62, true, id), "KB");
}

/* --- alignments ------------------------------------------------------------------------------------------------- */

static void expect_row(const struct ff_msa *m, int row, const char *letters)
{
    assert_true(row < m->n_row);
    assert_int_equal(m->n_col, strlen(letters));
    assert_memory_equal(ff_msa_row(m, row), letters, strlen(letters));
}

static void test_complex_alignment(void **state)
{
    (void)state;
    static const char text[] = "#5,4\t2,1\n>101\t102\nACDEFGHIK\n>x\tyy\nACDaaE-GhH-K\n>101\nACDEF----\n"
                               ">r1\nA-DEF----\n>102\n-----GHIK\n>r2\n-----G-IK\n>gaps\n---------\n>p2\n----F---K\n";
    char *dir = test_make_dir();
    struct ff_target t;
    struct ff_user_msa m;
    char *path = write_file(dir, "c.a3m", text);
    ff_target_make(&t, "t", "t", "ACDEF:GHIK:ACDEF", "x.fasta");
    assert_ok(ff_user_msa_load(path, &t, &m));
    assert_int_equal(m.n_entity, 2);
    assert_int_equal(m.own[0].n_row, 3); /* the query, 101, r1 */
    expect_row(&m.own[0], 0, "ACDEF");
    expect_row(&m.own[0], 2, "A-DEF");
    assert_int_equal(m.own[1].n_row, 3);
    expect_row(&m.own[1], 2, "G-IK");
    assert_int_equal(m.paired[0].n_row, 3); /* the query, x, p2 */
    assert_int_equal(m.paired[1].n_row, 3);
    expect_row(&m.paired[0], 1, "ACDE-");
    expect_row(&m.paired[1], 1, "GH-K");
    expect_row(&m.paired[0], 2, "----F");
    expect_row(&m.paired[1], 2, "---K");
    int32_t deletions[5];
    ff_msa_deletions(&m.paired[0], 1, deletions);
    assert_memory_equal(deletions, ((const int32_t[]){0, 0, 0, 2, 0}), sizeof deletions);
    ff_msa_deletions(&m.paired[1], 1, deletions);
    assert_memory_equal(deletions, ((const int32_t[]){0, 1, 0, 0}), 4 * sizeof *deletions);
    ff_user_msa_free(&m);

    static const struct {
        const char *sequence, *text, *said;
    } bad[] = {
        {"ACDEF:GHIK", text, "number of copies 1"},
        {"ACDEF:ACDEF:GHIKL", text, "length 5, but the first line of the alignment says 4"},
        {"ACDEF:ACDEF:GHIK:LL", text, "expected '#', the lengths of the 3"},
        {"ACDEF:ACDEF:GHIK", "#5,4,3\t2,1,1\n>a\nACDEFGHIKACD\n", "more sequences"},
        {"ACDEF:ACDEF:GHIK", ">a\nACDEFGHIK\n", "ColabFold"},
        {"ACDEF:ACDEF:GHIK", "# a comment\n>a\nACDEFGHIK\n", "ColabFold"},
        {"ACDEF:ACDEF:GHIK", "#5,4\t2,1\n>a\nACDEFGHIL\n", "c.a3m"},
        {"ACDEF:ACDEF:GHIK", "", "ColabFold"},
    };
    ff_target_free(&t);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(ff_file_write(path, bad[i].text, strlen(bad[i].text)));
        ff_target_make(&t, "t", "t", bad[i].sequence, "x.fasta");
        assert_fails(ff_user_msa_load(path, &t, &m), FF_EINPUT, bad[i].said);
        ff_target_free(&t);
    }
    free(path);
    test_remove_dir(dir);
}

/* Of equal chains a plain alignment will do. */
static void test_copies_alignment(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = write_file(dir, "c.a3m", ">q\nACDEF\n>r\nACD-F\n");
    struct ff_target t;
    struct ff_user_msa m;
    ff_target_make(&t, "t", "t", "ACDEF:ACDEF", "x.fasta");
    assert_ok(ff_user_msa_load(path, &t, &m));
    assert_int_equal(m.own[0].n_row, 2);
    assert_int_equal(m.paired[0].n_row, 0);
    ff_user_msa_free(&m);
    ff_target_free(&t);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fasta),
        cmocka_unit_test(test_complex),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_chain_ids),
        cmocka_unit_test(test_complex_alignment),
        cmocka_unit_test(test_copies_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
