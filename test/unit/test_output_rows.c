/* SPDX-License-Identifier: Apache-2.0
 * Tests of app/output_rows: a PAE that goes to its file row by row.
 */
#include <signal.h>
#include <sys/resource.h>

#include "unit/testing.h"

#include "app/output_rows.h"
#include "base/clock.h"

enum { N = 11 };

static float value(int i, int k)
{
    return (float)(i * N + k) / 4.0f + 0.06f; /* a little less than half an eighth too much */
}

/* The network's rows from first on. */
static void take(struct ff_output_rows *r, const int *order, int first, int n)
{
    float rows[N * N];
    for (int i = 0; i < n * N; i++)
        rows[i] = value(first + i / N, i % N);
    ff_output_rows_take(r, order, first, n, rows);
}

static void check_file(const char *path, const int *order)
{
    struct ff_arrays s;
    assert_ok(ff_npz_load(path, &s));
    assert_int_equal(s.count, 2);
    const struct ff_array *a = ff_arrays_find(&s, FF_OUTPUT_ROWS);
    assert_non_null(a);
    assert_int_equal(a->dtype, FF_U8);
    assert_true(a->ndim == 2 && a->shape[0] == N && a->shape[1] == N);
    for (int i = 0; i < N * N; i++) {
        int row = i / N, column = i % N, network = order != NULL ? order[row] * N + order[column] : i;
        assert_int_equal(((const uint8_t *)a->data)[i], network * 2 < 255 ? network * 2 : 255);
    }
    assert_true(*(const float *)ff_arrays_find(&s, "ptm")->data == 0.5f);
    ff_arrays_free(&s);
}

/* Rows as several ranks send them, with and without another order of chains; another array follows. */
static void test_rows(void **state)
{
    (void)state;
    static const int moved[N] = {0, 1, 2, 7, 8, 9, 10, 3, 4, 5, 6};
    char *dir = test_make_dir(), *path = ff_path_join(dir, "result_x.npz");
    for (int run = 0; run < 2; run++) {
        const int *order = run == 0 ? NULL : moved;
        struct ff_output_rows *r;
        struct ff_npz_writer *w;
        struct ff_arrays more = {0};
        *(float *)ff_arrays_add(&more, "ptm", FF_F32, 0, NULL)->data = 0.5f;
        assert_ok(ff_output_rows_open(path, N, &r));
        take(r, order, 6, 3);
        take(r, order, 0, 4);
        take(r, order, 9, 2);
        take(r, order, 4, 2);
        assert_ok(ff_output_rows_end(r, &w));
        ff_output_rows_close(r);
        assert_ok(ff_npz_writer_add(w, &more.items[0]));
        assert_int_equal(ff_file_exists(path), run); /* the first run's */
        assert_ok(ff_npz_writer_commit(w));
        check_file(path, order);
        ff_arrays_free(&more);
    }
    free(path);
    test_remove_dir(dir);
}

static int count_files(const char *dir)
{
    char *command = ff_xasprintf("ls -A %s | wc -l", dir);
    FILE *f = popen(command, "r");
    int n = -1;
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    free(command);
    return n;
}

static void test_stopped(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "result_x.npz");
    struct ff_output_rows *r;
    assert_ok(ff_output_rows_open(path, N, &r));
    take(r, NULL, 0, 5);
    assert_int_equal(count_files(dir), 1);
    ff_output_rows_close(r);
    assert_int_equal(count_files(dir), 0);
    ff_output_rows_close(NULL);
    free(path);
    test_remove_dir(dir);
    assert_fails(ff_output_rows_open("/nowhere/result_x.npz", N, &r), FF_EIO, "/nowhere/result_x.npz");
    assert_null(r);
}

/* A full disk is told once, at the end, whatever was tried in between. */
static void test_full_disk(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "result_x.npz");
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum { LONG = 1000 };
    struct ff_output_rows *r;
    struct ff_npz_writer *w;
    assert_ok(ff_output_rows_open(path, LONG, &r));
    float *row = FF_NEW_ARRAY(float, LONG);
    for (int i = 0; i < LONG; i++)
        ff_output_rows_take(r, NULL, LONG - 1 - i, 1, row);
    (void)ff_fail(FF_EINPUT, "something else");
    assert_fails(ff_output_rows_end(r, &w), FF_EIO, "result_x.npz: writing failed");
    assert_null(w);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    ff_output_rows_close(r);
    assert_int_equal(count_files(dir), 0);
    free(row);
    free(path);
    test_remove_dir(dir);
}

/* Of 36 MiB no more than a few rows are in memory. */
static void test_memory(void **state)
{
    (void)state;
    enum { LONG = 6144 };
    char *dir = test_make_dir(), *path = ff_path_join(dir, "result_x.npz");
    struct ff_output_rows *r;
    struct ff_npz_writer *w;
    float *row = FF_NEW_ARRAY(float, LONG);
    int64_t before = (int64_t)ff_clock_peak_rss();
    assert_ok(ff_output_rows_open(path, LONG, &r));
    for (int i = 0; i < LONG; i++) {
        row[i] = (float)i / 256.0f;
        ff_output_rows_take(r, NULL, i, 1, row);
    }
    assert_ok(ff_output_rows_end(r, &w));
    assert_ok(ff_npz_writer_commit(w));
    assert_true((int64_t)ff_clock_peak_rss() - before < 4 << 20);
    assert_true(ff_file_size(path) > (int64_t)LONG * LONG);
    ff_output_rows_close(r);
    free(row);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory), /* first: the others' memory would hide its own */
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
