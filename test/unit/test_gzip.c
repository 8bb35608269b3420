/* SPDX-License-Identifier: Apache-2.0
 * test_gzip: plain and compressed files, several members, and damage.
 */
#include <zlib.h>

#include "format/gzip.h"
#include "unit/testing.h"

/* gzip of data by zlib's own file writer. */
static void write_gzip(const char *path, const char *mode, const void *data, size_t len)
{
    gzFile f = gzopen(path, mode);
    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, (unsigned)len), (int)len);
    assert_int_equal(gzclose(f), Z_OK);
}

static void assert_reads(const char *path, const void *expected, size_t len)
{
    char *data;
    size_t got;
    assert_ok(ff_gzip_read_file(path, &data, &got));
    assert_int_equal(got, len);
    assert_memory_equal(data, expected, len);
    assert_int_equal(data[len], '\0');
    free(data);
}

static void test_plain(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x.gz"), *data;
    size_t len;
    assert_ok(ff_file_write(path, ">a\nMK\n", 6)); /* the name does not decide */
    assert_reads(path, ">a\nMK\n", 6);
    assert_ok(ff_file_write(path, "\x1f", 1));
    assert_reads(path, "\x1f", 1);
    assert_ok(ff_file_write(path, "", 0));
    assert_reads(path, "", 0);
    free(path);
    path = ff_path_join(dir, "none");
    assert_fails(ff_gzip_read_file(path, &data, &len), FF_EMISSING, "none");
    free(path);
    test_remove_dir(dir);
}

static char *make_data(size_t len)
{
    char *data = ff_xmalloc(len);
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = "ACDEFGHIKLMNPQRSTVWY\n"[x >> 24 & 15];
    }
    return data;
}

static void test_compressed(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x");
    for (size_t len = 0; len < 4000000; len = len * 3 + 1) {
        char *data = make_data(len);
        write_gzip(path, "wb", data, len);
        assert_reads(path, data, len);
        free(data);
    }
    free(path);
    test_remove_dir(dir);
}

static void test_several_members(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x"), *raw;
    size_t len;
    write_gzip(path, "wb", "one\n", 4);
    write_gzip(path, "ab", "", 0);
    write_gzip(path, "ab", "two\n", 4);
    assert_reads(path, "one\ntwo\n", 8);
    /* Zeros behind the end are padding, anything else is not. */
    assert_ok(ff_file_read(path, &raw, &len));
    raw = ff_xrealloc(raw, len + 10);
    memset(raw + len, 0, 10);
    assert_ok(ff_file_write(path, raw, len + 10));
    assert_reads(path, "one\ntwo\n", 8);
    raw[len + 5] = 'x';
    assert_ok(ff_file_write(path, raw, len + 10));
    char *data;
    size_t got;
    assert_fails(ff_gzip_read_file(path, &data, &got), FF_EINPUT, "other bytes follow");
    assert_null(data);
    free(raw);
    free(path);
    test_remove_dir(dir);
}

static void test_damage(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x"), *data = make_data(3000), *raw, *got;
    size_t len, got_len;
    write_gzip(path, "wb", data, 3000);
    assert_ok(ff_file_read(path, &raw, &len));
    for (size_t cut = 2; cut < len; cut += cut < 20 || cut + 20 > len ? 1 : 37) {
        assert_ok(ff_file_write(path, raw, cut));
        assert_fails(ff_gzip_read_file(path, &got, &got_len), FF_EINPUT, "truncated");
        assert_null(got);
    }
    raw[len - 6] ^= 1; /* the CRC */
    assert_ok(ff_file_write(path, raw, len));
    assert_fails(ff_gzip_read_file(path, &got, &got_len), FF_EINPUT, "incorrect data check");
    raw[len - 6] ^= 1;
    raw[len / 2] ^= 0x55;
    assert_ok(ff_file_write(path, raw, len));
    assert_fails(ff_gzip_read_file(path, &got, &got_len), FF_EINPUT, "gzip data are");
    free(raw);
    free(data);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_several_members),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
