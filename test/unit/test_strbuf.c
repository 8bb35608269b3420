/* SPDX-License-Identifier: Apache-2.0
 * test_strbuf: appending, formatting, detaching.
 */
#include "base/strbuf.h"
#include "unit/testing.h"

static void test_empty(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    assert_string_equal(ff_strbuf_cstr(&b), "");
    ff_strbuf_clear(&b);
    char *s = ff_strbuf_detach(&b);
    assert_string_equal(s, "");
    free(s);
    ff_strbuf_free(&b);
    ff_strbuf_append(&b, NULL, 0);
    assert_string_equal(b.s, "");
    ff_strbuf_free(&b);
    assert_null(b.s);
}

static void test_append(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    ff_strbuf_puts(&b, "ab");
    ff_strbuf_putc(&b, 'c');
    ff_strbuf_append(&b, "d\0e", 3);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.s, "abcd\0e", 7);
    ff_strbuf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.s, "");
    ff_strbuf_puts(&b, "z");
    assert_string_equal(b.s, "z");
    char *s = ff_strbuf_detach(&b);
    assert_string_equal(s, "z");
    assert_null(b.s);
    assert_int_equal(b.cap, 0);
    free(s);
}

static void test_printf_of_any_length(void **state)
{
    (void)state;
    for (int n = 0; n < 300; n++) { /* across every growth step */
        struct ff_strbuf b = {0};
        ff_strbuf_puts(&b, "start:");
        ff_strbuf_printf(&b, "%*d", n, 7);
        size_t expected = (size_t)(n < 1 ? 1 : n);
        assert_int_equal(b.len, 6 + expected);
        assert_int_equal(strlen(b.s), b.len);
        assert_int_equal(b.s[b.len - 1], '7');
        ff_strbuf_free(&b);
    }
}

static void test_many(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    for (int i = 0; i < 100000; i++)
        ff_strbuf_putc(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.s[i], 'a' + i % 26);
    assert_int_equal(b.s[b.len], '\0');
    ff_strbuf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_printf_of_any_length),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
