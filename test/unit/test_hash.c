/* SPDX-License-Identifier: Apache-2.0
 * test_hash: published test vectors.
 */
#include "base/hash.h"
#include "unit/testing.h"

static void test_fnv1a(void **state)
{
    (void)state;
    assert_true(ff_hash_fnv1a("", 0) == 0xcbf29ce484222325u);
    assert_true(ff_hash_fnv1a("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(ff_hash_fnv1a("foobar", 6) == 0x85944171f73967e8u);
}

static void test_mix(void **state)
{
    (void)state;
    /* splitmix64 from state 0: its first outputs are the mixed multiples of the golden gamma. */
    const uint64_t gamma = 0x9E3779B97F4A7C15u;
    assert_true(ff_hash_mix(gamma) == 0xe220a8397b1dcdafu);
    assert_true(ff_hash_mix(2 * gamma) == 0x6e789e6aa1b965f4u);
    assert_true(ff_hash_mix(3 * gamma) == 0x06c45d188009454fu);
}

static void assert_sha256(const char *text, size_t len, const char *expected)
{
    char hex[65];
    ff_hash_sha256_hex(text, len, hex);
    assert_string_equal(hex, expected);
}

static void test_sha256(void **state)
{
    (void)state;
    assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = ff_xmalloc(1000000);
    memset(million, 'a', 1000000);
    assert_sha256(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* Lengths around a block: n letters 'x', against Python's hashlib. */
static void test_sha256_padding(void **state)
{
    (void)state;
    char text[66];
    memset(text, 'x', sizeof text);
    assert_sha256(text, 55, "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
    assert_sha256(text, 56, "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
    assert_sha256(text, 63, "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2");
    assert_sha256(text, 64, "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c");
    assert_sha256(text, 65, "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9");
}

static void test_sha256_file(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "f"), a[65], b[65];
    size_t len = 1000003; /* several pieces and a rest */
    char *data = ff_xmalloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 >> 3);
    assert_ok(ff_file_write(path, data, len));
    assert_ok(ff_hash_sha256_file(path, a));
    ff_hash_sha256_hex(data, len, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 64);
    free(path);
    path = ff_path_join(dir, "none");
    assert_fails(ff_hash_sha256_file(path, a), FF_EMISSING, "none: cannot open");
    assert_fails(ff_hash_sha256_file(dir, a), FF_EIO, "cannot read");
    free(data);
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fnv1a),          cmocka_unit_test(test_mix),         cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_padding), cmocka_unit_test(test_sha256_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
