/* SPDX-License-Identifier: Apache-2.0
 * test_alloc: allocation, its overflow checks and its end of the program.
 */
#include "unit/testing.h"

static void test_basic(void **state)
{
    (void)state;
    void *a = ff_xmalloc(0), *b = ff_xmalloc(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    free(a);
    free(b);
    int *zeros = FF_NEW_ARRAY(int, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    zeros = ff_xreallocarray(zeros, 1000, sizeof *zeros);
    zeros[999] = 7;
    assert_int_equal(zeros[99], 0);
    free(zeros);
}

static void test_strings(void **state)
{
    (void)state;
    char *a = ff_xstrdup("abc"), *b = ff_xstrndup("abcdef", 4), *c = ff_xstrndup("ab", 9);
    char *d = ff_xasprintf("%s-%05d", a, 42), *e = ff_xasprintf("%s", "");
    assert_string_equal(a, "abc");
    assert_string_equal(b, "abcd");
    assert_string_equal(c, "ab");
    assert_string_equal(d, "abc-00042");
    assert_string_equal(e, "");
    free(a);
    free(b);
    free(c);
    free(d);
    free(e);
    const char unterminated[3] = {'x', 'y', 'z'}; /* strndup may not look behind n */
    char *f = ff_xstrndup(unterminated, 3);
    assert_string_equal(f, "xyz");
    free(f);
}

static void test_grow(void **state)
{
    (void)state;
    int *items = NULL, count = 0, capacity = 0;
    for (int i = 0; i < 1000; i++) {
        FF_GROW(items, count, capacity);
        items[count++] = i * i;
    }
    assert_true(capacity >= 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i * i);
    free(items);
}

static void multiply_overflow(void)
{
    volatile size_t many = SIZE_MAX / 2;
    free(ff_xcalloc(many, 3));
}

static void realloc_overflow(void)
{
    volatile size_t many = SIZE_MAX / 4 + 1;
    free(ff_xreallocarray(NULL, many, 4));
}

static void test_overflow_ends_the_program(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(test_exit_code(multiply_overflow, text, sizeof text), FF_EMEMORY);
    assert_non_null(strstr(text, "out of memory"));
    assert_int_equal(test_exit_code(realloc_overflow, text, sizeof text), FF_EMEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_overflow_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
