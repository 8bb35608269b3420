/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "base/clock.h"
#include "bio/a3m.h"
#include "bio/stockholm.h"
#include "feature/assembly.h"
#include "feature/feature_file.h"
#include "feature/raw_features.h"

/* Header (without '>') and sequence of the first record. */
static void read_query(const char *path, char *header, char *sequence, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fgetc(f), '>');
    assert_non_null(fgets(header, (int)size, f));
    assert_non_null(fgets(sequence, (int)size, f));
    header[strcspn(header, "\n")] = '\0';
    sequence[strcspn(sequence, "\n")] = '\0';
    fclose(f);
}

static char *input_path(const char *dir, const char *file)
{
    char *relative = ff_xasprintf("features/inputs/%s/%s", dir, file);
    char *path = test_data_path(relative);
    free(relative);
    return path;
}

static void check_golden_case(const char *dir, const char *bfd_file)
{
    char *paths[] = {input_path(dir, "query.fasta"), input_path(dir, "uniref90_hits.sto"), input_path(dir, bfd_file),
                     input_path(dir, "mgnify_hits.sto")};
    struct ff_arrays expected = {0}, got;
    if (paths[0] && paths[1] && paths[2] && paths[3] && golden_load("monomer_raw", dir, &expected)) {
        char header[1024], sequence[1024];
        read_query(paths[0], header, sequence, sizeof header);
        struct ff_msa msas[3];
        assert_ok(ff_stockholm_load(paths[1], 10000, &msas[0]));
        assert_ok(ff_a3m_load(paths[2], 0, &msas[1]));
        assert_ok(ff_stockholm_load(paths[3], 501, &msas[2]));
        const struct ff_msa *list[] = {&msas[0], &msas[1], &msas[2]};
        assert_ok(ff_raw_features_make(sequence, header, 3, list, NULL, &got));
        assert_int_equal(got.count, expected.count);
        assert_int_equal(golden_compare(dir, &got, &expected, NULL), expected.count);
        ff_arrays_free(&got);
        for (int i = 0; i < 3; i++)
            ff_msa_free(&msas[i]);
        golden_n_done++;
    }
    ff_arrays_free(&expected);
    for (int i = 0; i < 4; i++)
        free(paths[i]);
}

static void golden_cases(void **state)
{
    (void)state;
    check_golden_case("short", "bfd_uniclust_hits.a3m");
    check_golden_case("fam_C", "bfd_uniref_hits.a3m");
    check_golden_case("6KWC_1", "bfd_uniref_hits.a3m");
    golden_report();
}

/* rows joined by '/', lower case: an insertion to the left of the next letter. */
static void make_msa(const char *text, struct ff_msa *ret)
{
    struct ff_strbuf a3m = {0};
    int n = 0;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "/");
        ff_strbuf_printf(&a3m, ">tr|A0A146SKV%d|A0A146SKV%d_SPEC%d\n%.*s\n", n % 10, n % 10, n % 10, (int)len, p);
        n++;
        p += len + (p[len] == '/');
    }
    assert_ok(ff_a3m_parse("test", a3m.s, a3m.len, 0, ret));
    ff_strbuf_free(&a3m);
}

static void make_raw(const char *sequence, const char *rows, struct ff_arrays *ret)
{
    struct ff_msa msa;
    make_msa(rows, &msa);
    const struct ff_msa *list[] = {&msa};
    assert_ok(ff_raw_features_make(sequence, "test", 1, list, NULL, ret));
    ff_msa_free(&msa);
}

static void rows_are_deduplicated_across_alignments(void **state)
{
    (void)state;
    struct ff_msa a, b;
    make_msa("MKV/MkkK-/MKV/M-V", &a); /* "MkkK-" is MK- with two insertions before K */
    make_msa("MKV/MK-/MKB/MKD", &b);   /* B and D are the same number, but different rows */
    const struct ff_msa *list[] = {&a, &b};
    struct ff_arrays raw;
    assert_ok(ff_raw_features_make("MKV", "x y", 2, list, NULL, &raw));
    const int32_t msa[5][3] = {{10, 8, 17}, {10, 8, 21}, {10, 21, 17}, {10, 8, 2}, {10, 8, 2}};
    const int32_t deletions[5][3] = {{0, 0, 0}, {0, 2, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    const struct ff_array *m;
    assert_ok(ff_arrays_get(&raw, "msa", FF_I32, 2, (int64_t[]){5, 3}, &m));
    assert_memory_equal(m->data, msa, sizeof msa);
    assert_ok(ff_arrays_get(&raw, "deletion_matrix_int", FF_I32, 2, (int64_t[]){5, 3}, &m));
    assert_memory_equal(m->data, deletions, sizeof deletions);
    assert_ok(ff_arrays_get(&raw, "num_alignments", FF_I32, 1, (int64_t[]){3}, &m));
    assert_int_equal(((const int32_t *)m->data)[2], 5);
    const char species[] = "SPEC0\nSPEC1\nSPEC3\nSPEC2\nSPEC3";
    m = ff_arrays_find(&raw, "msa_species_identifiers");
    assert_int_equal(m->shape[0], sizeof species - 1);
    assert_memory_equal(m->data, species, sizeof species - 1);
    ff_arrays_free(&raw);
    ff_msa_free(&a);
    ff_msa_free(&b);
}

static void letters_outside_the_twenty_are_x(void **state)
{
    (void)state;
    struct ff_arrays raw;
    make_raw("ABX", "ABX", &raw);
    const int32_t *aatype = ff_arrays_find(&raw, "aatype")->data;
    assert_int_equal(aatype[0], 1);
    assert_int_equal(aatype[21 + 20], 1);
    assert_int_equal(aatype[42 + 20], 1);
    const int32_t *msa = ff_arrays_find(&raw, "msa")->data;
    assert_int_equal(msa[1], 2);   /* B in an alignment is D */
    assert_int_equal(msa[2], 20);
    ff_arrays_free(&raw);
}

static void bad_alignments_are_refused(void **state)
{
    (void)state;
    struct ff_arrays raw;
    struct ff_msa msa, empty = {.n_col = 3};
    make_msa("MKV", &msa);
    const struct ff_msa *list[] = {&msa}, *none[] = {&empty};
    assert_fails(ff_raw_features_make("MKVA", "x", 1, list, NULL, &raw), FF_EINPUT, "3 columns");
    assert_fails(ff_raw_features_make("MKV", "x", 0, list, NULL, &raw), FF_EINPUT, "no alignment");
    assert_fails(ff_raw_features_make("MKV", "x", 1, none, NULL, &raw), FF_EINPUT, "no rows");
    assert_fails(ff_raw_features_make("MKA", "x", 1, list, NULL, &raw), FF_EINPUT, "the first row");
    msa.letters[1] = '*';
    assert_fails(ff_raw_features_make("MKV", "x", 1, list, NULL, &raw), FF_EINPUT, "0x2a at column 2");
    ff_msa_free(&msa);
}

static void a_saved_set_loads_again(void **state)
{
    (void)state;
    struct ff_arrays raw, templates = {0}, back;
    ff_arrays_add(&templates, "template_aatype", FF_F32, 3, (int64_t[]){0, 3, 22});
    ff_arrays_add(&templates, "template_all_atom_positions", FF_F32, 4, (int64_t[]){0, 3, 37, 3});
    ff_arrays_add(&templates, "template_all_atom_masks", FF_F32, 3, (int64_t[]){0, 3, 37});
    ff_arrays_add_text(&templates, "template_domain_names", "", 0);
    struct ff_msa msa;
    make_msa("MKV/M-V", &msa);
    const struct ff_msa *list[] = {&msa};
    assert_ok(ff_raw_features_make("MKV", "test", 1, list, &templates, &raw));
    char *dir = test_make_dir(), *path = ff_path_join(dir, "features.npz");
    assert_ok(ff_npz_save(path, &raw));
    enum ff_feature_kind kind;
    assert_ok(ff_feature_file_load(path, &kind, &back));
    assert_int_equal(kind, FF_FEATURES_RAW);
    assert_ok(ff_raw_features_check(path, &back));
    assert_int_equal(back.count, raw.count);
    golden_compare("saved", &back, &raw, NULL);
    ff_arrays_free(&back);
    assert_true(ff_arrays_remove(&raw, "deletion_matrix_int"));
    assert_ok(ff_npz_save(path, &raw));
    assert_fails(ff_feature_file_load(path, &kind, &back), FF_EINPUT, "no features");
    test_remove_dir(dir);
    free(path);
    ff_arrays_free(&raw);
    ff_arrays_free(&templates);
    ff_msa_free(&msa);
}

/* Every change below must be found, with the array's name in the message. */
static void damaged_sets_are_refused(void **state)
{
    (void)state;
    struct ff_arrays raw;
    const char *const needed[] = {"aatype", "residue_index", "seq_length", "msa", "deletion_matrix_int",
                                  "num_alignments"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        make_raw("MKV", "MKV/M-V", &raw);
        ff_arrays_remove(&raw, needed[i]);
        assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, needed[i]);
        ff_arrays_free(&raw);
    }
    static const struct {
        const char *array;
        int index, value;
        const char *message;
    } changes[] = {
        {"msa", 4, 22, "array msa has the value 22 at [1, 1]"},
        {"msa", 4, -1, "an integer from 0 to 21"},
        {"msa", 1, 0, "the first row"},
        {"aatype", 0, 2, "array aatype"},
        {"aatype", 0, 1, "not one-hot at residue 1"},
        {"deletion_matrix_int", 5, -3, "deletion_matrix_int"},
        {"seq_length", 1, 4, "seq_length says 4"},
        {"num_alignments", 0, 3, "num_alignments says 3"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        make_raw("MKV", "MKV/M-V", &raw);
        ((int32_t *)ff_arrays_find(&raw, changes[i].array)->data)[changes[i].index] = changes[i].value;
        assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, changes[i].message);
        ff_arrays_free(&raw);
    }
    make_raw("MKV", "MKV/M-V", &raw);
    ff_arrays_add(&raw, "msa", FF_I32, 2, (int64_t[]){2, 4});
    assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, "array msa has the shape [2, 4]; expected [M, 3]");
    ff_arrays_free(&raw);
    make_raw("MKV", "MKV/M-V", &raw);
    ff_arrays_add_text(&raw, "msa_species_identifiers", "A\nB\nC", 5);
    assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, "3 lines; expected 2");
    ff_arrays_free(&raw);
    make_raw("MKV", "MKV/M-V", &raw);
    ff_arrays_add(&raw, "template_aatype", FF_F32, 3, (int64_t[]){1, 3, 22});
    assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, "template_all_atom_positions is missing");
    ff_arrays_add(&raw, "template_all_atom_masks", FF_F32, 3, (int64_t[]){1, 3, 37});
    float *x = ff_arrays_add(&raw, "template_all_atom_positions", FF_F32, 4, (int64_t[]){1, 3, 37, 3})->data;
    x[7] = NAN;
    assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, "at [0, 0, 2, 1]; expected a finite number");
    ff_arrays_free(&raw);
}

static void wider_numbers_are_converted(void **state)
{
    (void)state;
    struct ff_arrays raw;
    make_raw("MKV", "MKV/M-V", &raw);
    int32_t old[6];
    memcpy(old, ff_arrays_find(&raw, "msa")->data, sizeof old);
    double *wide = ff_arrays_add(&raw, "msa", FF_F64, 2, (int64_t[]){2, 3})->data;
    for (int i = 0; i < 6; i++)
        wide[i] = old[i];
    wide[5] = 2.5;
    assert_fails(ff_raw_features_check("f.npz", &raw), FF_EINPUT, "array msa has the value 2.5");
    wide[5] = old[5];
    int64_t *index = ff_arrays_add(&raw, "residue_index", FF_I64, 1, (int64_t[]){3})->data;
    index[2] = 7;
    assert_ok(ff_raw_features_check("f.npz", &raw));
    const struct ff_array *a = ff_arrays_find(&raw, "msa");
    assert_int_equal(a->dtype, FF_I32);
    assert_memory_equal(a->data, old, sizeof old);
    a = ff_arrays_find(&raw, "residue_index");
    assert_int_equal(a->dtype, FF_I32);
    assert_int_equal(((const int32_t *)a->data)[2], 7);
    ff_arrays_free(&raw);
}

/* A search of large databases gives this many rows. */
static void a_hundred_thousand_rows_are_fast(void **state)
{
    (void)state;
    enum { ROWS = 100000, COLS = 100 };
    struct ff_msa msa = {.n_row = ROWS, .n_col = COLS};
    msa.letters = ff_xmalloc((size_t)ROWS * COLS);
    msa.descriptions = FF_NEW_ARRAY(char *, ROWS);
    for (int r = 0; r < ROWS; r++) {
        char *row = msa.letters + (size_t)r * COLS;
        memset(row, 'A', COLS);
        for (int v = r / 2, i = 0; v > 0; v /= 20, i++)   /* two of each */
            row[COLS - 1 - i] = "ACDEFGHIKLMNPQRSTVWY"[v % 20];
        msa.descriptions[r] = ff_xstrdup("x");
    }
    char sequence[COLS + 1];
    memset(sequence, 'A', COLS);
    sequence[COLS] = '\0';
    const struct ff_msa *list[] = {&msa};
    struct ff_arrays raw;
    double start = ff_clock_now();
    assert_ok(ff_raw_features_make(sequence, "x", 1, list, NULL, &raw));
    assert_true(ff_clock_now() - start < 10);
    assert_int_equal(ff_arrays_find(&raw, "msa")->shape[0], ROWS / 2);
    ff_arrays_free(&raw);
    ff_msa_free(&msa);
}

/* Rows that a user paired: kept as they are, repeats and rows of gaps too, and joined with the same rows of others. */
static void paired_rows_stay_paired(void **state)
{
    (void)state;
    static const char *const texts[] = {"ACDEF/A-DEF/-----/A-DEF", "GHIK/G-IK/GHI-/G-IK"};
    static const char *const sequences[] = {"ACDEF", "GHIK"};
    struct ff_arrays raw[2];
    const struct ff_arrays *chains[] = {&raw[0], &raw[1]};
    for (int c = 0; c < 2; c++) {
        struct ff_msa msa, query;
        const struct ff_msa *list[] = {&query};
        make_msa(texts[c], &msa);
        ff_msa_from_query(sequences[c], "q", &query);
        assert_ok(ff_raw_features_make(sequences[c], "q", 1, list, NULL, &raw[c]));
        assert_ok(ff_raw_features_add_paired(&raw[c], &msa));
        assert_int_equal(ff_arrays_find(&raw[c], "msa_all_seq")->shape[0], 4);
        ff_msa_free(&msa);
        ff_msa_free(&query);
    }
    const struct ff_array *species = ff_arrays_find(&raw[0], "msa_species_identifiers_all_seq");
    static const char expected[] = "\n000000001\n\n000000003";
    assert_int_equal(species->shape[0], sizeof expected - 1);
    assert_memory_equal(species->data, expected, sizeof expected - 1);
    struct ff_assembly a;
    assert_ok(ff_assembly_plan(2, chains, &a));
    static const int32_t pairs[] = {0, 0, 1, 1, 3, 3}; /* row 2 has one chain alone */
    assert_int_equal(a.paired.n_row, 3);
    assert_memory_equal(a.paired.rows, pairs, sizeof pairs);
    ff_assembly_free(&a);
    ff_arrays_free(&raw[0]);
    ff_arrays_free(&raw[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases),
        cmocka_unit_test(rows_are_deduplicated_across_alignments),
        cmocka_unit_test(letters_outside_the_twenty_are_x),
        cmocka_unit_test(bad_alignments_are_refused),
        cmocka_unit_test(a_saved_set_loads_again),
        cmocka_unit_test(damaged_sets_are_refused),
        cmocka_unit_test(wider_numbers_are_converted),
        cmocka_unit_test(a_hundred_thousand_rows_are_fast),
        cmocka_unit_test(paired_rows_stay_paired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
