/* SPDX-License-Identifier: Apache-2.0
 * test_json: structure, escapes, and numbers as Python prints them.
 */
#include <float.h>
#include <inttypes.h>
#include <stdbool.h>

#include "base/rng.h"
#include "format/json.h"
#include "unit/testing.h"

static void write_sample(struct ff_json *j)
{
    ff_json_begin_object(j);
    ff_json_key(j, "a");
    ff_json_int(j, -5);
    ff_json_key(j, "list");
    ff_json_begin_array(j);
    ff_json_double(j, 1);
    ff_json_bool(j, true);
    ff_json_begin_object(j);
    ff_json_end_object(j);
    ff_json_begin_array(j);
    ff_json_end_array(j);
    ff_json_end_array(j);
    ff_json_key(j, "s");
    ff_json_string(j, NULL);
    ff_json_end_object(j);
}

static void test_structure(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    struct ff_json j;
    ff_json_init(&j, &b, 0);
    write_sample(&j);
    assert_string_equal(b.s, "{\"a\":-5,\"list\":[1.0,true,{},[]],\"s\":null}");
    ff_strbuf_clear(&b);
    ff_json_init(&j, &b, 4);
    write_sample(&j);
    assert_string_equal(b.s, "{\n    \"a\": -5,\n    \"list\": [\n        1.0,\n        true,\n        {},\n"
                             "        []\n    ],\n    \"s\": null\n}");
    ff_strbuf_free(&b);
}

static void assert_string(const char *text, const char *expected)
{
    struct ff_strbuf b = {0};
    struct ff_json j;
    ff_json_init(&j, &b, 0);
    ff_json_string(&j, text);
    assert_string_equal(b.s, expected);
    ff_strbuf_free(&b);
}

static void test_strings(void **state)
{
    (void)state;
    assert_string("", "\"\"");
    assert_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    assert_string("\n\t\r\x01\x1f\x7f", "\"\\n\\t\\r\\u0001\\u001f\\u007f\"");
    assert_string("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    assert_string("caf\xe9", "\"caf\\ufffd\"");                        /* Latin-1 */
    assert_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");                   /* overlong */
    assert_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");        /* a surrogate */
    assert_string("\xf4\x90\x80\x80x", "\"\\ufffd\\ufffd\\ufffd\\ufffdx\""); /* above U+10FFFF */
    assert_string("\xe2\x82", "\"\\ufffd\\ufffd\"");                   /* cut short by the end */
}

static const char *print_double(double v, int decimals)
{
    static struct ff_strbuf b;
    struct ff_json j;
    ff_strbuf_clear(&b);
    ff_json_init(&j, &b, 0);
    if (decimals < 0)
        ff_json_double(&j, v);
    else
        ff_json_fixed(&j, v, decimals);
    static char text[512];
    snprintf(text, sizeof text, "%s", b.s);
    ff_strbuf_free(&b);
    return text;
}

/* Expected texts are Python's repr(). */
static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0.0"}, {-0.0, "-0.0"}, {1, "1.0"}, {-2.5, "-2.5"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"}, {100, "100.0"}, {1e15, "1000000000000000.0"}, {1e16, "1e+16"},
        {123456789012345680, "1.2345678901234568e+17"}, {9007199254740993, "9007199254740992.0"}, {1e22, "1e+22"},
        {1e-4, "0.0001"}, {1e-5, "1e-05"}, {1.5e-7, "1.5e-07"}, {0.00012345, "0.00012345"}, {5e-324, "5e-324"},
        {DBL_MIN, "2.2250738585072014e-308"}, {DBL_MAX, "1.7976931348623157e+308"}, {1e100, "1e+100"},
        {0.1 + 0.2, "0.30000000000000004"}, {4.35, "4.35"}, {3.14159265358979, "3.14159265358979"},
        {1.7976931348623155e+308, "1.7976931348623155e+308"}, {-123.456, "-123.456"}, {12345678.9, "12345678.9"},
        {2.2250738585072011e-308, "2.225073858507201e-308"}, {(double)0.1f, "0.10000000149011612"},
        {0x1p-24, "5.960464477539063e-08"}, {0x1p89, "6.189700196426902e+26"}, {-0x1p-44, "-5.684341886080802e-14"},
        {NAN, "null"}, {INFINITY, "null"}, {-INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(print_double(cases[i].v, -1), cases[i].text);
}

/* Expected texts are Python's repr(round(v, decimals)). */
static void test_fixed(void **state)
{
    (void)state;
    static const struct {
        double v;
        int decimals;
        const char *text;
    } cases[] = {
        {1, 2, "1.0"}, {0.25, 1, "0.2"}, {0.35, 1, "0.3"}, {0.75, 1, "0.8"}, {2.675, 2, "2.67"}, {2.665, 2, "2.67"},
        {0.125, 2, "0.12"}, {0.375, 2, "0.38"}, {31.75, 1, "31.8"}, {31.75, 2, "31.75"}, {0.05, 1, "0.1"},
        {0.15, 1, "0.1"}, {0.45, 1, "0.5"}, {99.995, 2, "100.0"}, {99.985, 2, "99.98"}, {1.005, 2, "1.0"},
        {-0.25, 1, "-0.2"}, {-0.001, 2, "-0.0"}, {0, 3, "0.0"}, {-0.0, 1, "-0.0"}, {2.5, 0, "2.0"}, {3.5, 0, "4.0"},
        {0.5, 0, "0.0"}, {12.3, 4, "12.3"}, {12.30004, 4, "12.3"}, {12.00105, 4, "12.001"}, {0.0001, 4, "0.0001"},
        {0.00005, 4, "0.0001"}, {0.00001234, 6, "1.2e-05"}, {123456.789, 1, "123456.8"}, {99999.99, 1, "100000.0"},
        {1e22, 2, "1e+22"}, {1234567890123456.7, 1, "1234567890123456.8"}, {0.1 + 0.2, 17, "0.30000000000000004"},
        {5e-324, 3, "0.0"}, {NAN, 1, "null"}, {INFINITY, 1, "null"}, {90.42, 2, "90.42"}, {20.05, 1, "20.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(print_double(cases[i].v, cases[i].decimals), cases[i].text);
}

/* The fast way of fixed numbers must agree with the definition, above all around ties. */
static void test_fixed_agrees_with_printf(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 1, "json", 0);
    for (int i = 0; i < 100000; i++) {
        int decimals = (int)ff_rng_below(&r, 5);
        double v = (ff_rng_uniform(&r) - 0.5) * pow(10, (double)ff_rng_below(&r, 8));
        if (i % 2) { /* a tie in decimal, which as a double lies on it or on either side */
            double unit = pow(10, -decimals);
            v = (floor(v / unit) + 0.5) * unit;
        }
        char expected[64];
        snprintf(expected, sizeof expected, "%.*f", decimals, v);
        double rounded = strtod(expected, NULL), got = strtod(print_double(v, decimals), NULL);
        assert_true(got == rounded && !signbit(got) == !signbit(rounded));
    }
}

static void test_doubles_read_back(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 2, "json", 0);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = ff_rng_u64(&r);
        if (i % 4 == 0)
            bits &= 0x800fffffffffffff; /* subnormal */
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        double got = strtod(print_double(v, -1), NULL);
        assert_memory_equal(&got, &v, sizeof v);
    }
}

static void test_ints(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    struct ff_json j;
    ff_json_init(&j, &b, 0);
    ff_json_begin_array(&j);
    ff_json_int(&j, INT64_MIN);
    ff_json_int(&j, INT64_MAX);
    ff_json_null(&j);
    ff_json_bool(&j, false);
    ff_json_end_array(&j);
    assert_string_equal(b.s, "[-9223372036854775808,9223372036854775807,null,false]");
    ff_strbuf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure), cmocka_unit_test(test_strings), cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_fixed),     cmocka_unit_test(test_ints),    cmocka_unit_test(test_doubles_read_back),
        cmocka_unit_test(test_fixed_agrees_with_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
