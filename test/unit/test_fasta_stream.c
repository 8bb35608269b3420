/* SPDX-License-Identifier: Apache-2.0
 * fasta_stream: each record once, whole, with its place, whatever the pieces that it is read in.
 */
#include "bio/fasta_stream.h"

#include <zlib.h>

#include "base/strbuf.h"
#include "unit/testing.h"

struct seen {
    const char *text;            /* of the whole file */
    int64_t at;
    int n, most;
};

static bool look(void *user, int64_t place, const char *record, size_t len)
{
    struct seen *s = user;
    assert_int_equal(place, s->at);
    assert_true(record[0] == '>');
    assert_memory_equal(record, s->text + place, len);
    s->at += (int64_t)len;
    return ++s->n < s->most;
}

static void write_gzip(const char *path, const char *text, size_t len)
{
    gzFile f = gzopen(path, "wb1");
    assert_int_equal(gzwrite(f, text, (unsigned)len), (int)len);
    assert_int_equal(gzclose(f), Z_OK);
}

/* Records of all lengths, one longer than a piece, '>' inside of headers; plain and compressed. */
static void test_records(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct ff_strbuf text = {0};
    for (int i = 0; i < N; i++) {
        ff_strbuf_printf(&text, ">s%d a > b\n", i);
        int len = i == 1000 ? 2500000 : i % 700;
        for (int k = 0; k < len; k++)
            ff_strbuf_putc(&text, k % 60 == 59 ? '\n' : "ACDEFGHIKL"[k % 10]);
        ff_strbuf_putc(&text, '\n');
    }
    text.len -= 1; /* no newline at the end */
    char *dir = test_make_dir(), *plain = ff_path_join(dir, "a.fasta"), *packed = ff_path_join(dir, "a.fasta.gz");
    assert_ok(ff_file_write(plain, text.s, text.len));
    write_gzip(packed, text.s, text.len);
    for (int i = 0; i < 2; i++) {
        struct seen all = {.text = text.s, .most = N + 1}, some = {.text = text.s, .most = 10};
        assert_ok(ff_fasta_stream(i == 0 ? plain : packed, look, &all));
        assert_int_equal(all.n, N);
        assert_int_equal(all.at, text.len);
        assert_ok(ff_fasta_stream(i == 0 ? plain : packed, look, &some));
        assert_int_equal(some.n, 10);
    }
    ff_strbuf_free(&text);
    free(plain);
    free(packed);
    test_remove_dir(dir);
}

static void test_broken(void **state)
{
    (void)state;
    struct seen s = {.most = 1000000};
    struct ff_strbuf text = {0};
    for (int i = 0; i < 5000; i++)
        ff_strbuf_printf(&text, ">s%d\nACD%dEF\n", i, i * 7919);
    s.text = text.s;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "a.fasta.gz"), *packed;
    size_t len;
    write_gzip(path, text.s, text.len);
    assert_ok(ff_file_read(path, &packed, &len));
    assert_ok(ff_file_write(path, packed, len / 2));
    assert_fails(ff_fasta_stream(path, look, &s), FF_EINPUT, "truncated");
    packed[len - 6] = (char)(packed[len - 6] ^ 0x55); /* of the checksum */
    assert_ok(ff_file_write(path, packed, len));
    s.at = 0;
    assert_fails(ff_fasta_stream(path, look, &s), FF_EINPUT, "damaged");
    assert_ok(ff_file_write(path, "sequences\n", 10));
    assert_fails(ff_fasta_stream(path, look, &s), FF_EINPUT, "does not begin with '>'");
    assert_ok(ff_file_write(path, "", 0));
    assert_ok(ff_fasta_stream(path, look, &s));
    char *missing = ff_path_join(dir, "none");
    assert_fails(ff_fasta_stream(missing, look, &s), FF_EMISSING, "cannot be opened");
    free(missing);
    free(packed);
    free(path);
    ff_strbuf_free(&text);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
