/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "feature/feature_file.h"
#include "feature/source.h"
#include "feature/source_ahead.h"

enum { SETS = 4, N = 5, S = 3, E = 2, T = 1 };

static void add(struct ff_arrays *a, const char *name, enum ff_dtype dtype, int ndim, const int64_t *inner)
{
    int64_t shape[FF_ARRAY_MAX_DIM] = {SETS};
    for (int d = 0; d < ndim; d++)
        shape[d + 1] = inner[d];
    struct ff_array *x = ff_arrays_add(a, name, dtype, ndim + 1, shape);
    for (int64_t i = 0; i < ff_array_count(x); i++) {       /* a value that tells the set */
        int64_t set = i / (ff_array_count(x) / SETS);
        if (dtype == FF_F32)
            ((float *)x->data)[i] = (float)set / SETS;
        else
            ((int32_t *)x->data)[i] = (int32_t)set;
    }
}

/* A valid file of processed features with SETS sets. */
static void make_processed(bool templates, struct ff_arrays *ret)
{
    *ret = (struct ff_arrays){0};
    const int64_t by_n[] = {N}, by14[] = {N, 14}, by37[] = {N, 37}, by_sn[] = {S, N, 49}, by_en[] = {E, N};
    const int64_t by_tn[] = {T, N, 37, 3}, by_tn3[] = {T, N, 3};
    add(ret, "aatype", FF_I32, 1, by_n);
    add(ret, "residue_index", FF_I32, 1, by_n);
    add(ret, "seq_mask", FF_F32, 1, by_n);
    add(ret, "target_feat", FF_F32, 2, (int64_t[]){N, 22});
    add(ret, "atom14_atom_exists", FF_F32, 2, by14);
    add(ret, "residx_atom14_to_atom37", FF_I32, 2, by14);
    add(ret, "residx_atom37_to_atom14", FF_I32, 2, by37);
    add(ret, "atom37_atom_exists", FF_F32, 2, by37);
    add(ret, "msa_feat", FF_F32, 3, by_sn);
    add(ret, "msa_mask", FF_F32, 2, by_sn);
    add(ret, "extra_msa", FF_I32, 2, by_en);
    add(ret, "extra_msa_mask", FF_F32, 2, by_en);
    add(ret, "extra_has_deletion", FF_F32, 2, by_en);
    add(ret, "extra_deletion_value", FF_F32, 2, by_en);
    if (!templates)
        return;
    add(ret, "template_aatype", FF_I32, 2, by_tn);
    add(ret, "template_all_atom_positions", FF_F32, 4, by_tn);
    add(ret, "template_all_atom_masks", FF_F32, 3, by_tn);
    add(ret, "template_mask", FF_F32, 1, by_tn);
    add(ret, "template_pseudo_beta", FF_F32, 3, by_tn3);
    add(ret, "template_pseudo_beta_mask", FF_F32, 2, by_tn);
}

static const struct ff_source_options one_member = {.resample = true, .num_ensemble = 1};

static void passes_and_members_are_slices(void **state)
{
    (void)state;
    struct ff_arrays file, got;
    struct ff_source *source;
    make_processed(true, &file);
    struct ff_source_options o = {.resample = true, .num_ensemble = 2};
    assert_ok(ff_source_from_processed("f.npz", &file, &o, &source));
    assert_int_equal(source->shape.n_res, N);
    assert_int_equal(source->shape.n_seq, S);
    assert_int_equal(source->shape.n_extra, E);
    assert_int_equal(source->shape.n_template, T);
    assert_int_equal(source->shape.n_pass, 2);
    assert_true(source->shape.has_masked_residues);
    assert_ok(source->next(source, 1, 0, &got));             /* set 2 */
    assert_int_equal(got.count, 20);
    const struct ff_array *a;
    assert_ok(ff_arrays_get(&got, "msa_feat", FF_F32, 3, (int64_t[]){S, N, 49}, &a));
    assert_true(((const float *)a->data)[S * N * 49 - 1] == 0.5f);
    assert_ok(ff_arrays_get(&got, "template_mask", FF_F32, 1, (int64_t[]){T}, &a));
    assert_ok(ff_arrays_get(&got, "aatype", FF_I32, 1, (int64_t[]){N}, &a));
    assert_int_equal(((const int32_t *)a->data)[0], 2);
    ff_arrays_free(&got);
    assert_fails(source->next(source, 2, 0, &got), FF_EUSAGE, "the features hold 4 sets");
    assert_fails(source->next(source, 0, 2, &got), FF_EUSAGE, "ensemble member 3");
    ff_source_destroy(source);
    make_processed(false, &file);
    o.num_ensemble = 3;
    assert_fails(ff_source_from_processed("f.npz", &file, &o, &source), FF_EINPUT, "not a multiple of the 3");
}

static void one_set_serves_all_passes_without_resampling(void **state)
{
    (void)state;
    struct ff_arrays file, got;
    struct ff_source *source;
    make_processed(false, &file);
    struct ff_source_options o = {.resample = false, .num_ensemble = 4};
    assert_ok(ff_source_from_processed("f.npz", &file, &o, &source));
    assert_int_equal(source->shape.n_pass, 0);
    assert_int_equal(source->shape.n_template, 0);
    assert_ok(source->next(source, 7, 3, &got));
    assert_int_equal(((const int32_t *)ff_arrays_find(&got, "aatype")->data)[0], 3);
    ff_arrays_free(&got);
    ff_source_destroy(source);
}

static void the_leading_axis_may_be_absent(void **state)
{
    (void)state;
    struct ff_arrays file, single = {0}, got;
    struct ff_source *source;
    make_processed(true, &file);
    for (int i = 0; i < file.count; i++) {
        const struct ff_array *a = &file.items[i];
        struct ff_array *x = ff_arrays_add(&single, a->name, a->dtype, a->ndim - 1, a->shape + 1);
        memcpy(x->data, a->data, ff_array_bytes(x));
    }
    ff_arrays_free(&file);
    assert_ok(ff_source_from_processed("f.npz", &single, &one_member, &source));
    assert_int_equal(source->shape.n_pass, 1);
    assert_ok(source->next(source, 0, 0, &got));
    assert_int_equal(ff_arrays_find(&got, "msa_feat")->ndim, 3);
    ff_arrays_free(&got);
    ff_source_destroy(source);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct ff_arrays file;
    struct ff_source *source;
    make_processed(true, &file);
    int count = file.count;
    ff_arrays_free(&file);
    for (int i = 0; i < count; i++) {                        /* every array is needed */
        make_processed(true, &file);
        char *name = ff_xstrdup(file.items[i].name), *message = ff_xasprintf("f.npz: array %s is missing", name);
        ff_arrays_remove(&file, name);
        assert_fails(ff_source_from_processed("f.npz", &file, &one_member, &source), FF_EINPUT, message);
        free(name);
        free(message);
    }
    static const struct {
        const char *array;
        double value;
    } changes[] = {
        {"aatype", 21}, {"aatype", -1}, {"extra_msa", 23}, {"extra_msa", -1}, {"template_aatype", 22},
        {"residx_atom14_to_atom37", 37}, {"residx_atom37_to_atom14", 14}, {"msa_feat", NAN}, {"msa_mask", 1.5},
        {"template_all_atom_positions", INFINITY}, {"template_mask", -0.5}, {"target_feat", NAN},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        make_processed(true, &file);
        struct ff_array *a = ff_arrays_find(&file, changes[i].array);
        int64_t at = ff_array_count(a) - 1;
        if (a->dtype == FF_F32)
            ((float *)a->data)[at] = (float)changes[i].value;
        else
            ((int32_t *)a->data)[at] = (int32_t)changes[i].value;
        char *message = ff_xasprintf("array %s has the value", changes[i].array);
        assert_fails(ff_source_from_processed("f.npz", &file, &one_member, &source), FF_EINPUT, message);
        free(message);
    }
    make_processed(true, &file);
    ff_arrays_add(&file, "extra_msa_mask", FF_F32, 3, (int64_t[]){SETS, E + 1, N});
    assert_fails(ff_source_from_processed("f.npz", &file, &one_member, &source), FF_EINPUT,
                 "array extra_msa_mask has the shape [4, 3, 5]; expected [4, 2, 5]");
    make_processed(true, &file);
    ff_arrays_add(&file, "msa_feat", FF_F32, 4, (int64_t[]){SETS, S, N, 48});
    assert_fails(ff_source_from_processed("f.npz", &file, &one_member, &source), FF_EINPUT, "expected [4, S, 5, 49]");
    make_processed(true, &file);
    ff_arrays_add_text(&file, "aatype", "ACDEF", 5);
    assert_fails(ff_source_from_processed("f.npz", &file, &one_member, &source), FF_EINPUT, "f.npz: array");
}

/* Reference files of whole passes: "in/..." beside "out/..." and "meta". */
static void golden_files_open(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int n_res, n_seq, n_extra, n_template, n_pass;
    } files[] = {
        {"model/monomer_ptm_small.npz", 29, 10, 14, 3, 3},
        {"model/monomer_notemplate_small.npz", 19, 6, 9, 0, 1},
        {"model/monomer_ptm_full.npz", 43, 20, 40, 4, 4},
        {"../demo/golden_4ot.npz", 59, 128, 256, 0, 4},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = test_data_path(files[i].path);
        if (path == NULL) {
            golden_n_skipped++;
            continue;
        }
        enum ff_feature_kind kind;
        struct ff_arrays arrays, original, got;
        struct ff_source *source;
        assert_ok(ff_npz_load(path, &original));
        assert_ok(ff_feature_file_load(path, &kind, &arrays));
        assert_int_equal(kind, FF_FEATURES_PROCESSED);
        assert_ok(ff_source_from_processed(path, &arrays, &one_member, &source));
        assert_int_equal(source->shape.n_res, files[i].n_res);
        assert_int_equal(source->shape.n_seq, files[i].n_seq);
        assert_int_equal(source->shape.n_extra, files[i].n_extra);
        assert_int_equal(source->shape.n_template, files[i].n_template);
        assert_int_equal(source->shape.n_pass, files[i].n_pass);
        int pass = files[i].n_pass - 1, n_in = 0;
        assert_ok(source->next(source, pass, 0, &got));
        for (int k = 0; k < original.count; k++) {
            const struct ff_array *a = &original.items[k];
            if (strncmp(a->name, "in/", 3) != 0)
                continue;
            const struct ff_array *b = ff_arrays_find(&got, a->name + 3);
            assert_non_null(b);
            size_t bytes = ff_array_bytes(b);
            assert_int_equal(bytes * (size_t)files[i].n_pass, ff_array_bytes(a));
            assert_memory_equal(b->data, (const char *)a->data + (size_t)pass * bytes, bytes);
            n_in++;
        }
        assert_int_equal(n_in, got.count);
        ff_arrays_free(&got);
        ff_source_destroy(source);
        ff_arrays_free(&original);
        free(path);
        golden_n_done++;
    }
    print_message("%d golden files opened, %d are not on this machine\n", golden_n_done, golden_n_skipped);
}

static void kinds_are_told_by_names(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "f.npz");
    struct ff_arrays file, back;
    enum ff_feature_kind kind;
    make_processed(true, &file);
    assert_ok(ff_npz_save(path, &file));
    assert_ok(ff_feature_file_load(path, &kind, &back));
    assert_int_equal(kind, FF_FEATURES_PROCESSED);
    assert_int_equal(back.count, file.count);
    ff_arrays_free(&back);
    ff_arrays_free(&file);
    ff_arrays_add(&file, "in/msa", FF_I32, 2, (int64_t[]){1, 1});
    ff_arrays_add(&file, "in/asym_id", FF_I32, 1, (int64_t[]){1});
    ff_arrays_add(&file, "out/msa_feat", FF_I32, 1, (int64_t[]){1});
    assert_ok(ff_npz_save(path, &file));
    assert_ok(ff_feature_file_load(path, &kind, &back));
    assert_int_equal(kind, FF_FEATURES_COMPLEX);
    assert_int_equal(back.count, 2);
    assert_non_null(ff_arrays_find(&back, "asym_id"));
    ff_arrays_free(&back);
    ff_arrays_add(&file, "msa", FF_I32, 2, (int64_t[]){1, 1});
    assert_ok(ff_npz_save(path, &file));
    assert_fails(ff_feature_file_load(path, &kind, &back), FF_EINPUT, "array msa is there twice");
    ff_arrays_free(&file);
    ff_arrays_add(&file, "hello", FF_I32, 1, (int64_t[]){1});
    assert_ok(ff_npz_save(path, &file));
    assert_fails(ff_feature_file_load(path, &kind, &back), FF_EINPUT, "no features");
    ff_arrays_free(&file);
    assert_ok(ff_file_write(path, "not a zip", 9));
    assert_fails(ff_feature_file_load(path, &kind, &back), FF_EINPUT, "f.npz");
    test_remove_dir(dir);
    assert_fails(ff_feature_file_load(path, &kind, &back), FF_EMISSING, "f.npz");
    free(path);
}

/* A source whose sets tell what they were asked for, and which counts. */
struct told {
    struct ff_source base;
    int calls, fails_at;
};

static ff_status tell(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct told *t = self->impl;
    t->calls++;
    if (pass == t->fails_at)
        return ff_fail(FF_EINPUT, "pass %d cannot be had", pass);
    *ret = (struct ff_arrays){0};
    int32_t *x = ff_arrays_add(ret, "what", FF_I32, 1, (int64_t[]){3})->data;
    x[0] = pass;
    x[1] = member;
    x[2] = self->last_pass;
    return FF_OK;
}

static void expect_told(struct ff_source *s, int pass, int member, bool last)
{
    struct ff_arrays got;
    s->last_pass = last;
    assert_ok(s->next(s, pass, member, &got));
    const int32_t *x = ff_arrays_find(&got, "what")->data;
    assert_true(x[0] == pass && x[1] == member && x[2] == last);
    ff_arrays_free(&got);
}

static void sets_made_ahead_are_those_asked_for(void **state)
{
    (void)state;
    struct told t = {.fails_at = -1};
    t.base = (struct ff_source){.shape = {.n_res = N}, .next = tell, .impl = &t};
    struct ff_source *s = ff_source_ahead(&t.base, 3, 2);
    assert_int_equal(s->shape.n_res, N);
    for (int pass = 0; pass < 3; pass++)
        for (int member = 0; member < 2; member++)
            expect_told(s, pass, member, pass == 2);
    ff_source_destroy(s);
    assert_int_equal(t.calls, 6);                            /* none in vain */

    /* The second pass turns out to be the last: its first set is made anew. */
    t.calls = 0;
    s = ff_source_ahead(&t.base, 4, 2);
    expect_told(s, 0, 0, false);
    expect_told(s, 0, 1, false);
    expect_told(s, 1, 0, true);
    expect_told(s, 1, 1, true);
    ff_source_destroy(s);
    assert_int_equal(t.calls, 5);

    /* Failures are told by whoever asks; what is not asked for any more goes. */
    struct ff_arrays got;
    t.fails_at = 1;
    s = ff_source_ahead(&t.base, 3, 1);
    expect_told(s, 0, 0, false);
    s->last_pass = false;
    assert_fails(s->next(s, 1, 0, &got), FF_EINPUT, "pass 1 cannot be had");
    expect_told(s, 2, 0, true);
    ff_source_destroy(s);
    s = ff_source_ahead(&t.base, 3, 1);
    expect_told(s, 0, 0, false);
    ff_source_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_and_members_are_slices),
        cmocka_unit_test(one_set_serves_all_passes_without_resampling),
        cmocka_unit_test(the_leading_axis_may_be_absent),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(golden_files_open),
        cmocka_unit_test(kinds_are_told_by_names),
        cmocka_unit_test(sets_made_ahead_are_those_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
