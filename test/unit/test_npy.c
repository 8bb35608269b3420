/* SPDX-License-Identifier: Apache-2.0
 * test_npy: headers of all versions and spellings, headers that must be refused, and the header that is written.
 */
#include <stdbool.h>

#include "format/npy.h"
#include "unit/testing.h"

/* A header of the given version around dict. */
static void make_header(struct ff_strbuf *b, int major, const char *dict, size_t len)
{
    ff_strbuf_clear(b);
    ff_strbuf_puts(b, "\x93NUMPY");
    ff_strbuf_putc(b, (char)major);
    ff_strbuf_putc(b, 0);
    for (int i = 0; i < (major == 1 ? 2 : 4); i++)
        ff_strbuf_putc(b, (char)(len >> 8 * i));
    ff_strbuf_append(b, dict, len);
}

static ff_status parse_text(const char *dict, struct ff_npy_header *h)
{
    struct ff_strbuf b = {0};
    make_header(&b, 1, dict, strlen(dict));
    ff_status st = ff_npy_parse_header(b.s, b.len, h);
    ff_strbuf_free(&b);
    return st;
}

static void test_versions(void **state)
{
    (void)state;
    static const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n";
    for (int major = 1; major <= 3; major++) {
        struct ff_strbuf b = {0};
        struct ff_npy_header h;
        size_t size;
        make_header(&b, major, dict, sizeof dict - 1);
        assert_ok(ff_npy_header_size(b.s, FF_NPY_PREAMBLE, &size));
        assert_int_equal(size, b.len);
        assert_ok(ff_npy_parse_header(b.s, size, &h));
        assert_int_equal(h.array.dtype, FF_F32);
        assert_int_equal(h.array.ndim, 2);
        assert_int_equal(h.array.shape[0], 3);
        assert_int_equal(h.array.shape[1], 4);
        assert_int_equal(h.data_bytes, 48);
        assert_int_equal(h.header_bytes, b.len);
        assert_false(h.fortran_order);
        ff_strbuf_free(&b);
    }
}

static void test_spellings(void **state)
{
    (void)state;
    struct ff_npy_header h;
    assert_ok(parse_text("{\"shape\":(),\"descr\":\"|b1\",\"fortran_order\":False}", &h));
    assert_int_equal(h.array.ndim, 0);
    assert_int_equal(h.array.dtype, FF_BOOL);
    assert_int_equal(h.data_bytes, 1);
    assert_ok(parse_text("{'descr': '<i8', 'fortran_order': True, 'shape': (3L, 4L)}", &h));
    assert_true(h.fortran_order);
    assert_int_equal(h.data_bytes, 96);
    assert_ok(parse_text(" { 'descr' : '=f8' ,\n 'fortran_order' : True , 'shape' : ( 5 , ) , } ", &h));
    assert_false(h.fortran_order); /* means nothing for one axis */
    assert_int_equal(h.array.ndim, 1);
    assert_ok(parse_text("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0, 9223372036854775807)}", &h));
    assert_int_equal(h.data_bytes, 0);
    static const struct {
        const char *descr;
        enum ff_dtype dtype;
    } names[] = {
        {"<f4", FF_F32}, {"<f2", FF_F16}, {"<f8", FF_F64}, {"<i4", FF_I32}, {"<i8", FF_I64}, {"|u1", FF_U8},
        {"|b1", FF_BOOL}, {"|V2", FF_BF16}, {"<V2", FF_BF16}, {"bfloat16", FF_BF16}, {"f4", FF_F32},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *dict = ff_xasprintf("{'descr': '%s', 'fortran_order': False, 'shape': (1,), }", names[i].descr);
        assert_ok(parse_text(dict, &h));
        assert_int_equal(h.array.dtype, names[i].dtype);
        free(dict);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *dict, *message;
    } cases[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "big-endian"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "pickled Python objects"},
        {"{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}", "data type '<U3'; expected float32"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "data type '<c8'"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (1,)}", "data type '<u2'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8 axes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "2^63 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}", "2^63 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "larger than 2^63"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "expected a size"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "',' or ')'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "',' or '}'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 3}", "tuple"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "True or False"},
        {"{'descr': '<f4', 'shape': (1,)}", "'fortran_order' is missing"},
        {"{'fortran_order': False, 'shape': (1,)}", "'descr' is missing"},
        {"{'descr': '<f4', 'fortran_order': False}", "'shape' is missing"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "unknown key 'x'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "the end of the header"},
        {"{'descr", "a key in quotes"}, {"{'descr': '<f4", "data type in quotes"}, {"{'descr' '<f4'", "':'"},
        {"{", "a key"}, {"", "'{'"}, {"\x01\xff", "found \"??\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ff_npy_header h;
        assert_fails(parse_text(cases[i].dict, &h), FF_EINPUT, cases[i].message);
    }
}

static void test_damaged_preamble(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    size_t size;
    struct ff_npy_header h;
    static const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n";
    make_header(&b, 1, dict, sizeof dict - 1);
    for (size_t len = 0; len < 10; len++)
        assert_fails(ff_npy_header_size(b.s, len, &size), FF_EINPUT, "not a NumPy array");
    for (size_t len = 10; len < b.len; len++)
        assert_fails(ff_npy_parse_header(b.s, len, &h), FF_EINPUT, "cut short");
    b.s[6] = 4;
    assert_fails(ff_npy_header_size(b.s, b.len, &size), FF_EINPUT, "version 4.0");
    b.s[6] = 2; /* the first bytes of the dict become part of the length */
    assert_fails(ff_npy_header_size(b.s, b.len, &size), FF_EINPUT, "are sensible");
    assert_fails(ff_npy_header_size(b.s, 11, &size), FF_EINPUT, "cut short");
    b.s[0] = 'x';
    assert_fails(ff_npy_header_size(b.s, b.len, &size), FF_EINPUT, "not a NumPy array");
    ff_strbuf_free(&b);
}

static void test_write(void **state)
{
    (void)state;
    struct ff_array a = {.dtype = FF_F32, .ndim = 2, .shape = {3, 4}};
    struct ff_strbuf b = {0};
    ff_npy_format_header(&a, &b);
    assert_int_equal(b.len, 128);
    static const char front[] = "\x93NUMPY\x01\x00\x76\x00"
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  ";
    assert_memory_equal(b.s, front, sizeof front - 1);
    assert_int_equal(b.s[127], '\n');
    ff_strbuf_free(&b);

    /* Every type, and shapes of every length, come back. */
    static const enum ff_dtype types[] = {FF_F32, FF_BF16, FF_F16, FF_F64, FF_I32, FF_I64, FF_U8, FF_BOOL};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (int ndim = 0; ndim <= FF_ARRAY_MAX_DIM; ndim++) {
            struct ff_npy_header h;
            size_t size;
            a = (struct ff_array){.dtype = types[t], .ndim = ndim};
            for (int d = 0; d < ndim; d++)
                a.shape[d] = d == 3 ? 12345678 : d + 1;
            ff_strbuf_puts(&b, "front");
            ff_npy_format_header(&a, &b);
            assert_int_equal((b.len - 5) % 64, 0);
            assert_ok(ff_npy_header_size(b.s + 5, b.len - 5, &size));
            assert_int_equal(size, b.len - 5);
            assert_ok(ff_npy_parse_header(b.s + 5, size, &h));
            assert_int_equal(h.array.dtype, a.dtype);
            assert_int_equal(h.array.ndim, ndim);
            assert_memory_equal(h.array.shape, a.shape, sizeof a.shape);
            assert_int_equal(h.data_bytes, ff_array_bytes(&a));
            ff_strbuf_free(&b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),         cmocka_unit_test(test_spellings), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged_preamble), cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
