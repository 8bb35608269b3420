/* SPDX-License-Identifier: Apache-2.0
 * test_npz: files that NumPy wrote (test/data/format), damaged files, and round trips.
 */
#include <pthread.h>
#include <stdbool.h>

#include "format/npz.h"
#include "unit/testing.h"

/* --- what test/data/format/README.md says the arrays hold --- */

enum { N = 24 };

static double expected_value(const char *name, int i)
{
    double n = i;
    if (strcmp(name, "float32") == 0)
        return (float)((n - 5) * 0.37);
    if (strcmp(name, "float16") == 0)
        return (n - 5) * 0.25;
    if (strcmp(name, "float64") == 0)
        return sqrt(n);
    if (strcmp(name, "bfloat16") == 0)
        return (n - 5) * 0.5;
    if (strcmp(name, "int32") == 0)
        return n * 1000003 - 7;
    if (strcmp(name, "int64") == 0)
        return n * 1e15 - 1;
    if (strcmp(name, "uint8") == 0)
        return n * 10;
    if (strcmp(name, "bool") == 0)
        return i % 3 == 0;
    if (strcmp(name, "scalar") == 0)
        return 2.5;
    return n; /* fortran2, fortran3, scope//name/with.dots, version2 */
}

static const struct {
    const char *name;
    enum ff_dtype dtype;
    int ndim;
    int64_t shape[3];
} expected[] = {
    {"float32", FF_F32, 3, {2, 3, 4}}, {"float16", FF_F16, 2, {4, 6}},     {"float64", FF_F64, 1, {24}},
    {"bfloat16", FF_BF16, 2, {6, 4}},  {"int32", FF_I32, 1, {24}},         {"int64", FF_I64, 1, {24}},
    {"uint8", FF_U8, 2, {3, 8}},       {"bool", FF_BOOL, 1, {24}},         {"scalar", FF_F32, 0, {0}},
    {"empty", FF_F32, 3, {3, 0, 2}},   {"fortran2", FF_I32, 2, {4, 6}},    {"fortran3", FF_F32, 3, {2, 3, 4}},
    {"scope//name/with.dots", FF_F32, 1, {24}}, {"version2", FF_F32, 1, {24}},
};
enum { EXPECTED = sizeof expected / sizeof *expected };

static void assert_expected(const struct ff_array *a, int e)
{
    assert_int_equal(a->dtype, expected[e].dtype);
    assert_int_equal(a->ndim, expected[e].ndim);
    for (int d = 0; d < a->ndim; d++)
        assert_int_equal(a->shape[d], expected[e].shape[d]);
    for (int i = 0; i < ff_array_count(a); i++)
        if (test_element(a, i) != expected_value(expected[e].name, i))
            fail_msg("%s: element %d is %.17g instead of %.17g", a->name, i, test_element(a, i),
                     expected_value(expected[e].name, i));
}

static void check_numpy_file(const char *path)
{
    struct ff_arrays s;
    assert_ok(ff_npz_load(path, &s));
    assert_int_equal(s.count, EXPECTED);
    for (int e = 0; e < EXPECTED; e++) {
        assert_string_equal(s.items[e].name, expected[e].name);
        assert_expected(&s.items[e], e);
    }
    ff_arrays_free(&s);
}

static void test_numpy_stored(void **state)
{
    (void)state;
    check_numpy_file("test/data/format/numpy_dtypes.npz");
}

static void test_numpy_deflated(void **state)
{
    (void)state;
    check_numpy_file("test/data/format/numpy_deflated.npz");
}

static void test_zip64(void **state)
{
    (void)state;
    struct ff_arrays s;
    assert_ok(ff_npz_load("test/data/format/zip64.npz", &s));
    assert_int_equal(s.count, 3);
    for (int i = 0; i < s.count; i++)
        for (int e = 0; e < EXPECTED; e++)
            if (strcmp(s.items[i].name, expected[e].name) == 0)
                assert_expected(&s.items[i], e);
    assert_non_null(ff_arrays_find(&s, "int64"));
    ff_arrays_free(&s);
}

static void test_unsupported(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"unsupported_big_endian", "big-endian"}, {"unsupported_object", "pickled Python objects"},
        {"unsupported_text", "data type '<U2'"},  {"unsupported_structured", "structured arrays"},
        {"unsupported_axes", "more than 8 axes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ff_npz *z;
        char *path = ff_xasprintf("test/data/format/%s.npz", cases[i][0]);
        assert_fails(ff_npz_open(path, &z), FF_EINPUT, cases[i][1]);
        assert_non_null(strstr(ff_status_message(), path));
        assert_non_null(strstr(ff_status_message(), "array 'x"));
        assert_null(z);
        free(path);
    }
}

static void test_headers(void **state)
{
    (void)state;
    struct ff_npz *z;
    assert_ok(ff_npz_open("test/data/format/numpy_dtypes.npz", &z));
    assert_int_equal(ff_npz_count(z), EXPECTED);
    int i = ff_npz_find(z, "scope//name/with.dots");
    assert_true(i >= 0);
    const struct ff_array *h = ff_npz_header(z, i);
    assert_string_equal(h->name, "scope//name/with.dots");
    assert_null(h->data);
    assert_int_equal(h->shape[0], 24);
    assert_int_equal(ff_npz_find(z, "none"), -1);
    float buf[24];
    assert_ok(ff_npz_read_into(z, i, buf, sizeof buf));
    for (int k = 0; k < 24; k++)
        assert_true(buf[k] == (float)k);
    struct ff_array a;
    assert_ok(ff_npz_read(z, ff_npz_find(z, "fortran3"), &a));
    assert_expected(&a, 11);
    ff_array_free(&a);
    ff_npz_close(z);
    ff_npz_close(NULL);
}

static void test_missing(void **state)
{
    (void)state;
    struct ff_arrays s;
    assert_fails(ff_npz_load("test/data/format/none.npz", &s), FF_EMISSING, "none.npz");
    assert_fails(ff_npz_load("test/data/format/README.md", &s), FF_EINPUT, "not a zip");
    assert_int_equal(s.count, 0);
}

/* --- damage --- */

/* Every file that is shorter than the whole must be refused, wherever it ends. */
static void test_truncated(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "cut.npz"), *data;
    size_t len;
    assert_ok(ff_file_read("test/data/format/numpy_dtypes.npz", &data, &len));
    for (size_t cut = 0; cut < len; cut++) {
        FILE *f = fopen(path, "wb"); /* not ff_file_write: thousands of fsyncs would take a minute */
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, cut, f), cut);
        fclose(f);
        struct ff_arrays s;
        assert_fails(ff_npz_load(path, &s), FF_EINPUT, "cut.npz");
        assert_int_equal(s.count, 0);
    }
    free(data);
    free(path);
    test_remove_dir(dir);
}

/* Any flipped bit is either found, or lies where nothing depends on it; never more than that. */
static void flip_every_byte(const char *source, int least_found_percent)
{
    char *dir = test_make_dir(), *path = ff_path_join(dir, "flip.npz"), *data;
    size_t len, found = 0;
    assert_ok(ff_file_read(source, &data, &len));
    for (size_t at = 0; at < len; at++) {
        char old = data[at];
        data[at] = (char)(old ^ (1 << at % 8));
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, len, f), len);
        fclose(f);
        data[at] = old;
        struct ff_arrays s;
        ff_status st = ff_npz_load(path, &s);
        if (st == FF_OK) {
            for (int i = 0; i < s.count; i++)
                for (int e = 0; e < EXPECTED; e++)
                    if (strcmp(s.items[i].name, expected[e].name) == 0)
                        assert_expected(&s.items[i], e); /* what is accepted is right */
            ff_arrays_free(&s);
        } else {
            assert_int_equal(st, FF_EINPUT);
            found++;
        }
    }
    assert_true(found * 100 >= len * (size_t)least_found_percent);
    free(data);
    free(path);
    test_remove_dir(dir);
}

static void test_flipped_bits(void **state)
{
    (void)state;
    flip_every_byte("test/data/format/numpy_dtypes.npz", 50);
    flip_every_byte("test/data/format/numpy_deflated.npz", 50);
    flip_every_byte("test/data/format/zip64.npz", 50);
}

static void test_wrong_crc(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "crc.npz"), *data;
    size_t len;
    struct ff_arrays s = {0};
    float *x = ff_arrays_add(&s, "x", FF_F32, 1, (const int64_t[]){1000})->data;
    x[500] = 12345.0f;
    assert_ok(ff_npz_save(path, &s));
    ff_arrays_free(&s);
    assert_ok(ff_file_read(path, &data, &len));
    char *at = memmem(data, len, &(float){12345.0f}, sizeof(float));
    assert_non_null(at);
    at[1] ^= 1;
    assert_ok(ff_file_write(path, data, len));
    assert_fails(ff_npz_load(path, &s), FF_EINPUT, "member 'x.npy': the data are damaged (CRC ");
    assert_int_equal(s.count, 0);
    free(data);
    free(path);
    test_remove_dir(dir);
}

static void test_size_mismatch(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x.npz"), *data;
    size_t len;
    struct ff_arrays s = {0};
    struct ff_npz *z;
    ff_arrays_add(&s, "x", FF_F32, 2, (const int64_t[]){3, 4});
    assert_ok(ff_npz_save(path, &s));
    ff_arrays_free(&s);
    assert_ok(ff_file_read(path, &data, &len));
    char *at = memmem(data, len, "(3, 4)", 6);
    assert_non_null(at);
    at[1] = '4';
    assert_ok(ff_file_write(path, data, len));
    assert_fails(ff_npz_open(path, &z), FF_EINPUT, "float32 [4, 4] needs 64 bytes of data, the file holds 48");
    free(data);
    free(path);
    test_remove_dir(dir);
}

/* --- writing --- */

static void test_round_trip(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.npz");
    struct ff_arrays s, back;
    assert_ok(ff_npz_load("test/data/format/numpy_dtypes.npz", &s));
    ff_arrays_add_text(&s, "meta", "{\"a\": 1}", 8);
    assert_ok(ff_npz_save(path, &s));
    assert_ok(ff_npz_load(path, &back));
    assert_int_equal(back.count, s.count);
    for (int i = 0; i < s.count; i++) {
        assert_string_equal(back.items[i].name, s.items[i].name);
        assert_int_equal(back.items[i].dtype, s.items[i].dtype);
        assert_int_equal(ff_array_bytes(&back.items[i]), ff_array_bytes(&s.items[i]));
        assert_memory_equal(back.items[i].data, s.items[i].data, ff_array_bytes(&s.items[i]));
    }
    ff_arrays_free(&back);
    ff_arrays_free(&s);
    assert_ok(ff_npz_save(path, &s)); /* an empty set is a file too */
    assert_ok(ff_npz_load(path, &back));
    assert_int_equal(back.count, 0);
    ff_arrays_free(&back);
    free(path);
    test_remove_dir(dir);
}

static void test_data_are_aligned(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.npz"), *data;
    size_t len;
    struct ff_arrays s = {0};
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", i + 1, "abcdefghijklmnopqrstuvwxyz");
        float *v = ff_arrays_add(&s, name, FF_F32, 1, (const int64_t[]){i + 1})->data;
        v[0] = 1000.25f + (float)i;
    }
    assert_ok(ff_npz_save(path, &s));
    ff_arrays_free(&s);
    assert_ok(ff_file_read(path, &data, &len));
    for (int i = 0; i < 20; i++) {
        float first = 1000.25f + (float)i;
        char *at = memmem(data, len, &first, sizeof first);
        assert_non_null(at);
        assert_int_equal((at - data) % 64, 0);
    }
    free(data);
    free(path);
    test_remove_dir(dir);
}

static void test_streamed(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.npz"), name[] = "big";
    struct ff_npz_writer *w;
    struct ff_array header = {.name = name, .dtype = FF_I32, .ndim = 2, .shape = {1000, 100}};
    int32_t row[100];
    assert_ok(ff_npz_writer_open(path, &w));
    assert_ok(ff_npz_writer_begin(w, &header));
    for (int i = 0; i < 1000; i++) {
        for (int j = 0; j < 100; j++)
            row[j] = i * 100 + j;
        assert_ok(ff_npz_writer_append(w, row, sizeof row));
    }
    assert_ok(ff_npz_writer_end(w));
    assert_false(ff_file_exists(path));
    assert_ok(ff_npz_writer_commit(w));
    struct ff_arrays s;
    assert_ok(ff_npz_load(path, &s));
    for (int i = 0; i < 100000; i++)
        assert_int_equal(((const int32_t *)s.items[0].data)[i], i);
    ff_arrays_free(&s);

    assert_ok(ff_npz_writer_open(path, &w));
    assert_ok(ff_npz_writer_begin(w, &header));
    ff_npz_writer_abort(w);
    ff_npz_writer_abort(NULL);
    assert_ok(ff_npz_load(path, &s)); /* the old file is still whole */
    ff_arrays_free(&s);
    free(path);
    test_remove_dir(dir);
}

static void test_duplicate_names(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.npz"), name[] = "x";
    struct ff_npz_writer *w;
    float v = 1;
    struct ff_array a = {.name = name, .dtype = FF_F32, .data = &v};
    assert_ok(ff_npz_writer_open(path, &w));
    assert_ok(ff_npz_writer_add(w, &a));
    assert_ok(ff_npz_writer_add(w, &a));
    assert_ok(ff_npz_writer_commit(w));
    struct ff_arrays s;
    assert_fails(ff_npz_load(path, &s), FF_EINPUT, "two arrays have the name 'x'");
    free(path);
    test_remove_dir(dir);
}

static void test_unwritable(void **state)
{
    (void)state;
    struct ff_arrays s = {0};
    assert_fails(ff_npz_save("/no/such/dir/x.npz", &s), FF_EIO, "/no/such/dir/x.npz");
}

/* --- threads --- */

static struct ff_npz *shared;

static void *read_members(void *errors)
{
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < ff_npz_count(shared); i++) {
            float *buf = ff_xmalloc(ff_array_bytes(ff_npz_header(shared, i)));
            if (ff_npz_read_into(shared, i, buf, ff_array_bytes(ff_npz_header(shared, i))) != FF_OK)
                ++*(int *)errors;
            for (int64_t k = 0; k < ff_array_count(ff_npz_header(shared, i)); k++)
                *(int *)errors += buf[k] != (float)(k * (i + 1));
            free(buf);
        }
    }
    return NULL;
}

static void test_read_into_from_threads(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.npz"), name[16];
    struct ff_arrays s = {0};
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "a%d", i);
        float *v = ff_arrays_add(&s, name, FF_F32, 2, (const int64_t[]){50, 100 + i})->data;
        for (int64_t k = 0; k < 50 * (100 + i); k++)
            v[k] = (float)(k * (i + 1));
    }
    assert_ok(ff_npz_save(path, &s));
    ff_arrays_free(&s);
    assert_ok(ff_npz_open(path, &shared));
    pthread_t threads[4];
    int errors[4] = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_members, &errors[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(errors[i], 0);
    }
    ff_npz_close(shared);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_stored),    cmocka_unit_test(test_numpy_deflated), cmocka_unit_test(test_zip64),
        cmocka_unit_test(test_unsupported),     cmocka_unit_test(test_headers),        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_truncated),       cmocka_unit_test(test_flipped_bits),   cmocka_unit_test(test_wrong_crc),
        cmocka_unit_test(test_size_mismatch),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_data_are_aligned), cmocka_unit_test(test_streamed),
        cmocka_unit_test(test_duplicate_names), cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_read_into_from_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
