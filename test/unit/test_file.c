/* SPDX-License-Identifier: Apache-2.0
 * test_file: paths, folders, reading, and output files that appear whole or not at all.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/testing.h"

static void assert_text(char *got, const char *expected)
{
    assert_non_null(got);
    assert_string_equal(got, expected);
    free(got);
}

static void test_paths(void **state)
{
    (void)state;
    assert_text(ff_path_join("a", "b"), "a/b");
    assert_text(ff_path_join("a/", "b"), "a/b");
    assert_text(ff_path_join("a", "/b"), "/b");
    assert_text(ff_path_join("", "b"), "b");
    assert_string_equal(ff_path_base("/x/y.z"), "y.z");
    assert_string_equal(ff_path_base("y"), "y");
    assert_text(ff_path_dir("/x/y"), "/x");
    assert_text(ff_path_dir("/x"), "/");
    assert_text(ff_path_dir("x"), ".");
    assert_text(ff_path_stem("d/a.fasta.gz"), "a");
    assert_text(ff_path_stem("a.b.fasta"), "a.b");
    assert_text(ff_path_stem("a"), "a");
    assert_text(ff_path_stem(".hidden"), ".hidden");
    assert_text(ff_path_stem("x.gz"), "x");
}

static void test_programs(void **state)
{
    (void)state;
    char *sh = ff_path_which("sh"), *dir = ff_path_exe_dir();
    assert_non_null(sh);
    assert_int_equal(sh[0], '/');
    assert_text(ff_path_which(sh), sh);
    assert_null(ff_path_which("no-such-program-anywhere"));
    assert_null(ff_path_which("/etc/passwd")); /* there, but not a program */
    assert_null(ff_path_which("/"));
    assert_null(ff_path_which(""));
    assert_true(ff_file_is_dir(dir));
    free(sh);
    free(dir);
}

static void test_folders(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *deep = ff_path_join(dir, "a//b/c/"), *file = ff_path_join(dir, "a/b/file");
    assert_ok(ff_mkdirs(deep));
    assert_ok(ff_mkdirs(deep));
    assert_true(ff_file_is_dir(deep));
    assert_ok(ff_file_write(file, "x", 1));
    assert_fails(ff_mkdirs(file), FF_EIO, "is a file");
    char *below = ff_path_join(file, "d");
    assert_fails(ff_mkdirs(below), FF_EIO, "file");
    assert_fails(ff_mkdirs(""), FF_EIO, "empty");
    assert_ok(ff_check_writable_dir(deep));
    assert_fails(ff_check_writable_dir(file), FF_EIO, "file");
    assert_fails(ff_check_writable_dir("/proc/fastfold-test"), FF_EIO, "/proc/fastfold-test");
    assert_true(ff_free_space(dir) > 0);
    assert_int_equal(ff_free_space("/no/such/place"), -1);
    char *outside = ff_path_join(dir, "outside"), *link = ff_path_join(deep, "link");
    assert_ok(ff_mkdirs(outside));
    assert_int_equal(symlink(outside, link), 0);
    char *a = ff_path_join(dir, "a");
    assert_ok(ff_remove_tree(a));
    assert_false(ff_file_exists(a));
    assert_true(ff_file_is_dir(outside)); /* links are removed, not followed */
    assert_ok(ff_remove_tree(a));
    free(below);
    free(outside);
    free(link);
    free(a);
    free(deep);
    free(file);
    test_remove_dir(dir);
}

static void test_temp_dir(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *a, *b;
    assert_ok(ff_make_temp_dir(dir, "job-", &a));
    assert_ok(ff_make_temp_dir(dir, "job-", &b));
    assert_string_not_equal(a, b);
    assert_memory_equal(ff_path_base(a), "job-", 4);
    struct stat st;
    assert_int_equal(stat(a, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    free(a);
    free(b);
    assert_fails(ff_make_temp_dir("/no/such/place", "x", &a), FF_EIO, "/no/such/place");
    assert_null(a);
    test_remove_dir(dir);
}

static void test_read(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "f"), *data;
    size_t len;
    assert_ok(ff_file_write(path, "a\0b\n", 4));
    assert_int_equal(ff_file_size(path), 4);
    assert_ok(ff_file_read(path, &data, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(data, "a\0b\n", 5);
    free(data);
    assert_ok(ff_file_write(path, NULL, 0));
    assert_ok(ff_file_read(path, &data, &len));
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    free(data);
    assert_fails(ff_file_read(dir, &data, &len), FF_EIO, "is a folder");
    assert_null(data);
    assert_ok(ff_remove_tree(path));
    assert_fails(ff_file_read(path, &data, &len), FF_EMISSING, "No such file");
    assert_int_equal(ff_file_size(path), -1);
    free(path);
    test_remove_dir(dir);
}

static void test_read_what_has_no_size(void **state)
{
    (void)state;
    char *data;
    size_t len;
    assert_ok(ff_file_read("/proc/self/status", &data, &len)); /* st_size 0, but there is text */
    assert_true(len > 100);
    assert_non_null(strstr(data, "VmPeak"));
    free(data);
}

static void *fill_pipe(void *arg)
{
    FILE *f = fopen(arg, "w");
    for (int i = 0; i < 100000; i++)
        fprintf(f, "%06d\n", i);
    fclose(f);
    return NULL;
}

static void test_read_pipe(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "fifo"), *data;
    size_t len;
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, fill_pipe, path), 0);
    assert_ok(ff_file_read(path, &data, &len));
    pthread_join(writer, NULL);
    assert_int_equal(len, 700000);
    assert_string_equal(data + len - 7, "099999\n");
    free(data);
    free(path);
    test_remove_dir(dir);
}

static int count_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2; /* . and .. */
}

static void assert_content(const char *path, const char *expected)
{
    char *data;
    size_t len;
    assert_ok(ff_file_read(path, &data, &len));
    assert_string_equal(data, expected);
    free(data);
}

static void test_output_is_atomic(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "out.txt");
    struct ff_outfile *o;
    assert_ok(ff_file_write(path, "old", 3));
    assert_ok(ff_outfile_open(path, &o));
    fputs("new text", ff_outfile_stream(o));
    fflush(ff_outfile_stream(o));
    assert_content(path, "old");
    assert_int_equal(count_entries(dir), 2);
    assert_ok(ff_outfile_commit(o));
    assert_content(path, "new text");
    assert_int_equal(count_entries(dir), 1);

    assert_ok(ff_outfile_open(path, &o));
    fputs("never seen", ff_outfile_stream(o));
    ff_outfile_abort(o);
    ff_outfile_abort(NULL);
    assert_content(path, "new text");
    assert_int_equal(count_entries(dir), 1);
    free(path);
    test_remove_dir(dir);
}

static void test_output_keeps_umask_and_links(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "target"), *link = ff_path_join(dir, "link");
    struct stat st;
    mode_t old = umask(027);
    assert_ok(ff_file_write(path, "x", 1));
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(symlink(path, link), 0);
    assert_ok(ff_file_write(link, "through", 7));
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_content(path, "through");
    free(path);
    free(link);
    test_remove_dir(dir);
}

static void test_output_failures(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *below = ff_path_join(dir, "none/f");
    struct ff_outfile *o;
    assert_fails(ff_outfile_open(below, &o), FF_EIO, "none/f");
    assert_fails(ff_outfile_open(dir, &o), FF_EIO, "folder");
    assert_fails(ff_outfile_open("", &o), FF_EIO, "folder");
    assert_null(o);
    assert_ok(ff_outfile_open("/dev/full", &o)); /* accepts and then refuses, as a full disk does */
    fputs("text", ff_outfile_stream(o));
    assert_fails(ff_outfile_commit(o), FF_EIO, "No space left");
    static char big[100000];
    memset(big, 'x', sizeof big);
    assert_ok(ff_outfile_open("/dev/full", &o));
    fwrite(big, 1, sizeof big, ff_outfile_stream(o)); /* fails before the commit does */
    assert_fails(ff_outfile_commit(o), FF_EIO, "/dev/full");
    assert_ok(ff_file_write("/dev/null", "x", 1));
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode)); /* a device is written to, not replaced */
    free(below);
    test_remove_dir(dir);
}

static void test_discard_open(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *a = ff_path_join(dir, "a"), *b = ff_path_join(dir, "b");
    struct ff_outfile *x, *y;
    assert_ok(ff_file_write(a, "kept", 4));
    assert_ok(ff_outfile_open(a, &x));
    assert_ok(ff_outfile_open(b, &y));
    assert_int_equal(count_entries(dir), 3);
    ff_files_discard_open();
    assert_int_equal(count_entries(dir), 1);
    assert_content(a, "kept");
    ff_outfile_abort(x);
    ff_outfile_abort(y);
    free(a);
    free(b);
    test_remove_dir(dir);
}

static void test_many_open(void **state)
{
    (void)state;
    char *dir = test_make_dir(), name[32];
    struct ff_outfile *files[200];
    int n = 0;
    for (; n < 200; n++) {
        snprintf(name, sizeof name, "f%d", n);
        char *path = ff_path_join(dir, name);
        ff_status st = ff_outfile_open(path, &files[n]);
        free(path);
        if (st != FF_OK)
            break;
    }
    assert_int_equal(n, 64);
    assert_non_null(strstr(ff_status_message(), "64 output files"));
    ff_outfile_abort(files[0]);
    char *again = ff_path_join(dir, "again"); /* a place is free again */
    assert_ok(ff_outfile_open(again, &files[0]));
    for (int i = 0; i < n; i++)
        assert_ok(ff_outfile_commit(files[i]));
    assert_int_equal(count_entries(dir), 64);
    free(again);
    test_remove_dir(dir);
}

static void test_long_name(void **state)
{
    (void)state;
    char *dir = test_make_dir(), name[256];
    memset(name, 'n', 255); /* the longest that file systems allow: the temporary's must not be longer */
    name[255] = '\0';
    char *path = ff_path_join(dir, name);
    assert_ok(ff_file_write(path, "x", 1));
    assert_content(path, "x");
    free(path);
    test_remove_dir(dir);
}

/* What a killed process left goes; what this one and other machines write stays. */
static void test_stale(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "a.txt"), *temp;
    struct ff_outfile *mine;
    pid_t child = fork();
    if (child == 0) {
        struct ff_outfile *f;
        char *d;
        bool ok = ff_outfile_open(path, &f) == FF_OK && ff_make_temp_dir(dir, ".work-", &d) == FF_OK;
        char *inner = ok ? ff_path_join(d, "x") : NULL;
        ok = ok && ff_file_write(inner, "x", 1) == FF_OK;
        _exit(ok ? 0 : 1);       /* without what cleans up at the end of a program */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_entries(dir), 2);
    assert_ok(ff_outfile_open(path, &mine));
    assert_ok(ff_make_temp_dir(dir, ".work-", &temp));
    char *other = ff_path_join(dir, ".a.txt.ff00000000-999999999.0.tmp"), *plain = ff_path_join(dir, ".hidden");
    assert_ok(ff_file_write(other, "x", 1));
    assert_ok(ff_file_write(plain, "x", 1));
    assert_int_equal(count_entries(dir), 6);
    ff_remove_stale(dir);
    assert_int_equal(count_entries(dir), 4);
    assert_true(ff_file_exists(other) && ff_file_exists(plain) && ff_file_is_dir(temp));
    assert_ok(ff_outfile_commit(mine));
    ff_remove_stale("/nonexistent");
    free(plain);
    free(other);
    free(temp);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_temp_dir),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_what_has_no_size),
        cmocka_unit_test(test_read_pipe),
        cmocka_unit_test(test_output_is_atomic),
        cmocka_unit_test(test_output_keeps_umask_and_links),
        cmocka_unit_test(test_output_failures),
        cmocka_unit_test(test_discard_open),
        cmocka_unit_test(test_many_open),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
