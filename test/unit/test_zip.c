/* SPDX-License-Identifier: Apache-2.0
 * test_zip: archives in every form that is read or refused, and what the writer makes.
 */
#include <pthread.h>
#include <stdbool.h>
#include <zlib.h>

#include "base/strbuf.h"
#include "format/zip.h"
#include "unit/testing.h"

/* --- an archive of one member, built field by field --- */

struct recipe {
    const char *name;
    const char *data;
    size_t len;
    int method;
    unsigned flags;
    const char *front;           /* other bytes before the member */
    const char *comment;
    bool zip64;                  /* sizes, offset and end record in the zip64 form */
    uint64_t claim_size;         /* instead of the true size; 0: the truth */
    uint64_t claim_packed;
    uint64_t claim_offset;       /* of the local header, in the directory */
    uint64_t claim_count;
};

static void put(struct ff_strbuf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        ff_strbuf_putc(b, i < 8 ? (char)(v >> 8 * i) : 0);
}

static void deflate_into(struct ff_strbuf *b, const char *data, size_t len)
{
    z_stream s = {0};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&s, len);
    ff_strbuf_reserve(b, bound);
    s.next_in = (Bytef *)(uintptr_t)data;
    s.avail_in = (uInt)len;
    s.next_out = (Bytef *)b->s + b->len;
    s.avail_out = (uInt)bound;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    b->len += s.total_out;
    deflateEnd(&s);
}

static void put_zip64(struct ff_strbuf *b, const uint64_t *values, int n)
{
    put(b, 1, 2);
    put(b, 8 * (unsigned)n, 2);
    for (int i = 0; i < n; i++)
        put(b, values[i], 8);
}

static void build(struct ff_strbuf *b, const struct recipe *r)
{
    struct ff_strbuf packed = {0};
    if (r->method == 8)
        deflate_into(&packed, r->data, r->len);
    else
        ff_strbuf_append(&packed, r->data, r->len);
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)r->data, (uInt)r->len);
    uint64_t size = r->claim_size ? r->claim_size : r->len;
    uint64_t packed_size = r->claim_packed ? r->claim_packed : packed.len;
    const uint64_t mark = 0xffffffff;
    ff_strbuf_puts(b, r->front ? r->front : "");
    uint64_t local = b->len;

    put(b, 0x04034b50, 4);
    put(b, r->zip64 ? 45 : 20, 2);
    put(b, r->flags, 2);
    put(b, (unsigned)r->method, 2);
    put(b, 0, 4);
    put(b, crc, 4);
    put(b, r->zip64 ? mark : packed_size, 4);
    put(b, r->zip64 ? mark : size, 4);
    put(b, strlen(r->name), 2);
    put(b, r->zip64 ? 20 : 0, 2);
    ff_strbuf_puts(b, r->name);
    if (r->zip64)
        put_zip64(b, (const uint64_t[]){size, packed_size}, 2);
    ff_strbuf_append(b, packed.s, packed.len);
    ff_strbuf_free(&packed);

    uint64_t central = b->len, offset = r->claim_offset ? r->claim_offset : local;
    put(b, 0x02014b50, 4);
    put(b, 20, 2);
    put(b, r->zip64 ? 45 : 20, 2);
    put(b, r->flags, 2);
    put(b, (unsigned)r->method, 2);
    put(b, 0, 4);
    put(b, crc, 4);
    put(b, r->zip64 ? mark : packed_size, 4);
    put(b, r->zip64 ? mark : size, 4);
    put(b, strlen(r->name), 2);
    put(b, r->zip64 ? 8 + 28 : 8, 2);
    put(b, 0, 2 + 2 + 2 + 4);
    put(b, r->zip64 ? mark : offset, 4);
    ff_strbuf_puts(b, r->name);
    put(b, 0x7875, 2); /* a foreign extra field comes first */
    put(b, 4, 2);
    put(b, 0xdeadbeef, 4);
    if (r->zip64)
        put_zip64(b, (const uint64_t[]){size, packed_size, offset}, 3);
    uint64_t end = b->len, count = r->claim_count ? r->claim_count : 1;
    if (r->zip64) {
        put(b, 0x06064b50, 4);
        put(b, 44, 8);
        put(b, 45, 2);
        put(b, 45, 2);
        put(b, 0, 8);
        put(b, count, 8);
        put(b, count, 8);
        put(b, end - central, 8);
        put(b, central, 8);
        put(b, 0x07064b50, 4);
        put(b, 0, 4);
        put(b, end, 8);
        put(b, 1, 4);
    }
    put(b, 0x06054b50, 4);
    put(b, 0, 4);
    put(b, r->zip64 ? 0xffff : count, 2);
    put(b, r->zip64 ? 0xffff : count, 2);
    put(b, r->zip64 ? mark : end - central, 4);
    put(b, r->zip64 ? mark : central, 4);
    put(b, r->comment ? strlen(r->comment) : 0, 2);
    ff_strbuf_puts(b, r->comment ? r->comment : "");
}

/* Opens what recipe makes. */
static ff_status open_recipe(const char *dir, const struct recipe *r, struct ff_zip **ret)
{
    struct ff_strbuf b = {0};
    build(&b, r);
    char *path = ff_path_join(dir, "x.zip");
    assert_ok(ff_file_write(path, b.s, b.len));
    ff_strbuf_free(&b);
    ff_status st = ff_zip_open(path, ret);
    free(path);
    return st;
}

static void assert_content(const struct ff_zip *z, int i, const char *expected, size_t len)
{
    assert_int_equal(ff_zip_member(z, i)->size, len);
    for (size_t head = 0; head <= len; head += len / 3 + 1) { /* split in several ways */
        char *front = ff_xmalloc(head), *rest = ff_xmalloc(len - head);
        assert_ok(ff_zip_read(z, i, front, head, rest, len - head));
        assert_memory_equal(front, expected, head);
        assert_memory_equal(rest, expected + head, len - head);
        memset(rest, 0, len - head);
        assert_ok(ff_zip_read(z, i, NULL, head, rest, len - head));
        assert_memory_equal(rest, expected + head, len - head);
        assert_ok(ff_zip_peek(z, i, front, head));
        assert_memory_equal(front, expected, head);
        free(front);
        free(rest);
    }
}

static void test_forms(void **state)
{
    (void)state;
    static const char text[] = "some text, some text, some text that repeats and repeats and repeats";
    char *dir = test_make_dir();
    for (int form = 0; form < 32; form++) {
        struct recipe r = {.name = "a/b.txt", .data = text, .len = form & 1 ? sizeof text : 0};
        r.method = form & 2 ? 8 : 0;
        r.front = form & 4 ? "#! other bytes\n" : NULL;
        r.comment = form & 8 ? "a comment with PK\5\6 in it, as long as it likes" : NULL;
        r.zip64 = form & 16;
        struct ff_zip *z;
        assert_ok(open_recipe(dir, &r, &z));
        assert_int_equal(ff_zip_count(z), 1);
        assert_string_equal(ff_zip_member(z, 0)->name, "a/b.txt");
        assert_int_equal(ff_zip_find(z, "a/b.txt"), 0);
        assert_int_equal(ff_zip_find(z, "b.txt"), -1);
        assert_content(z, 0, text, r.len);
        ff_zip_close(z);
    }
    ff_zip_close(NULL);
    test_remove_dir(dir);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct recipe r;
        const char *message;
    } cases[] = {
        {{.flags = 1}, "encrypted"},
        {{.method = 12}, "compression method 12"},
        {{.claim_size = 9}, "stored, but 9 bytes take 3"},
        {{.claim_size = 1000000, .claim_packed = 1000000}, "truncated"},
        {{.claim_size = 0xfffffffff, .claim_packed = 0xfffffffff, .zip64 = true}, "truncated"},
        {{.method = 8, .claim_size = UINT64_MAX, .zip64 = true}, "cannot come from"},
        {{.method = 8, .claim_size = 1u << 20}, "cannot come from"},
        {{.method = 8, .claim_packed = 1u << 20}, "truncated"},
        {{.claim_offset = 2}, "no header where the directory points"},
        {{.claim_offset = 1u << 30}, "outside the file"},
        {{.claim_offset = UINT64_MAX, .zip64 = true}, "outside the file"},
        {{.claim_count = 2}, "2 members in a directory of"},
        {{.claim_count = UINT64_MAX, .zip64 = true}, "members in a directory of"},
    };
    char *dir = test_make_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe r = cases[i].r;
        struct ff_zip *z;
        r.name = "member";
        r.data = "abc";
        r.len = 3;
        assert_fails(open_recipe(dir, &r, &z), FF_EINPUT, cases[i].message);
        assert_non_null(strstr(ff_status_message(), "x.zip: "));
        assert_null(z);
    }
    test_remove_dir(dir);
}

static void test_wrong_data(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x.zip"), out[64];
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    struct ff_zip *z;
    for (int method = 0; method <= 8; method += 8) {
        struct recipe r = {.name = "m", .data = text, .len = 26, .method = method};
        struct ff_strbuf b = {0};
        build(&b, &r);
        b.s[30 + 1 + 5] ^= 4; /* a bit of the data */
        assert_ok(ff_file_write(path, b.s, b.len));
        assert_ok(ff_zip_open(path, &z));
        assert_fails(ff_zip_read(z, 0, NULL, 0, out, 26), FF_EINPUT, "member 'm': ");
        ff_zip_close(z);
        ff_strbuf_free(&b);
    }
    /* Deflated data that end before the size that the directory claims. */
    struct recipe r = {.name = "m", .data = text, .len = 26, .method = 8, .claim_size = 40};
    assert_ok(open_recipe(dir, &r, &z));
    assert_fails(ff_zip_read(z, 0, NULL, 0, out, 40), FF_EINPUT, "less data");
    ff_zip_close(z);
    /* ... and that go on: the CRC of the part is not that of the whole. */
    r.claim_size = 20;
    assert_ok(open_recipe(dir, &r, &z));
    assert_fails(ff_zip_read(z, 0, NULL, 0, out, 20), FF_EINPUT, "CRC");
    ff_zip_close(z);
    /* The file shrinks after it was opened. */
    r = (struct recipe){.name = "m", .data = text, .len = 26};
    assert_ok(open_recipe(dir, &r, &z));
    assert_int_equal(truncate(path, 40), 0);
    assert_fails(ff_zip_read(z, 0, NULL, 0, out, 26), FF_EIO, "became shorter");
    ff_zip_close(z);
    free(path);
    test_remove_dir(dir);
}

static void test_not_an_archive(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "x");
    struct ff_zip *z;
    assert_fails(ff_zip_open(path, &z), FF_EMISSING, "No such file");
    assert_fails(ff_zip_open(dir, &z), FF_EIO, "not a regular file");
    assert_fails(ff_zip_open("/dev/null", &z), FF_EIO, "not a regular file");
    assert_ok(ff_file_write(path, "", 0));
    assert_fails(ff_zip_open(path, &z), FF_EINPUT, "not a zip");
    assert_ok(ff_file_write(path, "PK\3\4 and no more", 16));
    assert_fails(ff_zip_open(path, &z), FF_EINPUT, "truncated (16 bytes");
    char *zeros = ff_xcalloc(1, 200000);
    assert_ok(ff_file_write(path, zeros, 200000));
    assert_fails(ff_zip_open(path, &z), FF_EINPUT, "not a zip");
    memcpy(zeros, "PK\3\4", 4);
    assert_ok(ff_file_write(path, zeros, 200000));
    assert_fails(ff_zip_open(path, &z), FF_EINPUT, "truncated");
    free(zeros);
    free(path);
    test_remove_dir(dir);
}

/* --- the writer --- */

static void test_write_and_read(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "w.zip"), name[64];
    struct ff_zip_writer *w;
    enum { N = 40 };
    char *data = ff_xmalloc(N * 100);
    for (int i = 0; i < N * 100; i++)
        data[i] = (char)(i * i >> 3);
    assert_ok(ff_zip_writer_open(path, &w));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%.*s%d", i, "a-name-of-growing-length-and-so-on-and-so-on", i);
        assert_ok(ff_zip_writer_begin(w, name, (uint64_t)i * 97, 1 << i % 13));
        for (int k = 0; k < i; k++)
            assert_ok(ff_zip_writer_append(w, data + k * 97, 97));
        assert_ok(ff_zip_writer_end(w));
    }
    assert_false(ff_file_exists(path));
    assert_ok(ff_zip_writer_commit(w));
    struct ff_zip *z;
    assert_ok(ff_zip_open(path, &z));
    assert_int_equal(ff_zip_count(z), N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(ff_zip_member(z, i)->offset % (1u << i % 13), 0);
        assert_content(z, i, data, (size_t)i * 97);
    }
    ff_zip_close(z);

    /* The same content gives the same bytes. */
    char *first, *second;
    size_t first_len, second_len;
    for (int run = 0; run < 2; run++) {
        assert_ok(ff_zip_writer_open(path, &w));
        assert_ok(ff_zip_writer_begin(w, "x", 4, 64));
        assert_ok(ff_zip_writer_append(w, "data", 4));
        assert_ok(ff_zip_writer_end(w));
        assert_ok(ff_zip_writer_commit(w));
        assert_ok(ff_file_read(path, run ? &second : &first, run ? &second_len : &first_len));
    }
    assert_int_equal(first_len, second_len);
    assert_memory_equal(first, second, first_len);
    free(first);
    free(second);

    assert_ok(ff_zip_writer_open(path, &w));
    assert_ok(ff_zip_writer_begin(w, "x", 4, 64));
    ff_zip_writer_abort(w); /* in the middle of a member */
    assert_ok(ff_zip_open(path, &z));
    assert_int_equal(ff_zip_count(z), 1);
    ff_zip_close(z);
    free(data);
    free(path);
    test_remove_dir(dir);
}

/* Pieces that come in any order give the file that they give in theirs. */
static void test_pieces(void **state)
{
    (void)state;
    enum { PIECE = 1000, N = 37 };
    char *dir = test_make_dir(), *path = ff_path_join(dir, "w.zip"), *bytes[2];
    static char data[PIECE * N];
    size_t len[2];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i >> 5);
    for (int run = 0; run < 2; run++) {
        struct ff_zip_writer *w;
        assert_ok(ff_zip_writer_open(path, &w));
        assert_ok(ff_zip_writer_begin(w, "rows", sizeof data, 64));
        assert_ok(ff_zip_writer_append(w, data, PIECE));
        for (uint64_t i = 1; i < N; i++) {
            uint64_t at = (run == 0 ? i : i * 10 % N) * PIECE;
            assert_ok(ff_zip_writer_put(w, at, data + at, PIECE));
        }
        assert_ok(ff_zip_writer_end(w));
        assert_ok(ff_zip_writer_begin(w, "behind", 4, 1));
        assert_ok(ff_zip_writer_put(w, 2, "ta", 2));
        assert_ok(ff_zip_writer_put(w, 0, "da", 2));
        assert_ok(ff_zip_writer_end(w));
        assert_ok(ff_zip_writer_commit(w));
        assert_ok(ff_file_read(path, &bytes[run], &len[run]));
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(bytes[0], bytes[1], len[0]);
    struct ff_zip *z;
    assert_ok(ff_zip_open(path, &z));
    assert_content(z, 0, data, sizeof data); /* with its CRC */
    assert_content(z, 1, "data", 4);
    ff_zip_close(z);
    free(bytes[0]);
    free(bytes[1]);
    free(path);
    test_remove_dir(dir);
}

/* More members than 16 bits count: the end record is in the zip64 form. */
static void test_many_members(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "w.zip"), name[32], text[32];
    struct ff_zip_writer *w;
    enum { N = 66000 };
    assert_ok(ff_zip_writer_open(path, &w));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "n%d", i);
        size_t len = (size_t)snprintf(text, sizeof text, "%d", i * 3);
        assert_ok(ff_zip_writer_begin(w, name, len, 1));
        assert_ok(ff_zip_writer_append(w, text, len));
        assert_ok(ff_zip_writer_end(w));
    }
    assert_ok(ff_zip_writer_commit(w));
    struct ff_zip *z;
    assert_ok(ff_zip_open(path, &z));
    assert_int_equal(ff_zip_count(z), N);
    assert_string_equal(ff_zip_member(z, 65999)->name, "n65999");
    assert_content(z, 65999, "197997", 6);
    ff_zip_close(z);
    free(path);
    test_remove_dir(dir);
}

static void test_write_to_full_disk(void **state)
{
    (void)state;
    struct ff_zip_writer *w;
    assert_ok(ff_zip_writer_open("/dev/full", &w));
    assert_ok(ff_zip_writer_begin(w, "x", 0, 1));
    assert_ok(ff_zip_writer_end(w));
    assert_fails(ff_zip_writer_commit(w), FF_EIO, "/dev/full");
}

/* --- threads --- */

struct reader {
    const struct ff_zip *z;
    int errors;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < ff_zip_count(r->z); i++) {
            size_t len = (size_t)ff_zip_member(r->z, i)->size;
            unsigned char *buf = ff_xmalloc(len);
            if (ff_zip_read(r->z, i, NULL, 0, buf, len) != FF_OK)
                r->errors++;
            for (size_t k = 0; k < len; k++)
                r->errors += buf[k] != (unsigned char)(k + (size_t)i);
            free(buf);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "w.zip"), name[16];
    static unsigned char data[300000];
    struct ff_zip_writer *w;
    assert_ok(ff_zip_writer_open(path, &w));
    for (int i = 0; i < 5; i++) {
        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (unsigned char)(k + (size_t)i);
        snprintf(name, sizeof name, "m%d", i);
        assert_ok(ff_zip_writer_begin(w, name, sizeof data, 64));
        assert_ok(ff_zip_writer_append(w, data, sizeof data));
        assert_ok(ff_zip_writer_end(w));
    }
    assert_ok(ff_zip_writer_commit(w));
    struct ff_zip *z;
    assert_ok(ff_zip_open(path, &z));
    pthread_t threads[4];
    struct reader readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct reader){.z = z};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].errors, 0);
    }
    ff_zip_close(z);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong_data),     cmocka_unit_test(test_not_an_archive),
        cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_write_to_full_disk), cmocka_unit_test(test_threads), cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
