/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/testing.h"

#include "base/strset.h"

static void test_numbers_keys_in_order(void **state)
{
    (void)state;
    struct ff_strset s = {0};
    bool added;
    assert_int_equal(ff_strset_find(&s, "a", 1), -1);
    assert_int_equal(ff_strset_add(&s, "a", 1, &added), 0);
    assert_true(added);
    assert_int_equal(ff_strset_add(&s, "ab", 2, &added), 1);
    assert_int_equal(ff_strset_add(&s, "", 0, &added), 2);
    assert_true(added);
    assert_int_equal(ff_strset_add(&s, "a", 1, &added), 0);
    assert_false(added);
    assert_int_equal(ff_strset_add(&s, "", 0, NULL), 2);
    assert_int_equal(s.count, 3);
    assert_string_equal(ff_strset_key(&s, 1), "ab");
    assert_string_equal(ff_strset_key(&s, 2), "");
    ff_strset_free(&s);
    assert_int_equal(s.count, 0);
    ff_strset_free(&s);
}

static void test_keys_are_bytes(void **state)
{
    (void)state;
    struct ff_strset s = {0};
    assert_int_equal(ff_strset_add(&s, "a\0b", 3, NULL), 0);
    assert_int_equal(ff_strset_add(&s, "a\0c", 3, NULL), 1);
    assert_int_equal(ff_strset_add(&s, "a", 1, NULL), 2);
    assert_int_equal(ff_strset_find(&s, "a\0c", 3), 1);
    assert_memory_equal(ff_strset_key(&s, 1), "a\0c", 4);
    ff_strset_free(&s);
}

static void test_many_keys(void **state)
{
    (void)state;
    enum { N = 50000 };
    struct ff_strset s = {0};
    char key[64];
    for (int i = 0; i < N; i++) {
        int len = snprintf(key, sizeof key, "UniRef90_A0A%08d/1-%d", i, i % 97);
        bool added;
        assert_int_equal(ff_strset_add(&s, key, (size_t)len, &added), i);
        assert_true(added);
    }
    for (int i = N - 1; i >= 0; i--) {
        int len = snprintf(key, sizeof key, "UniRef90_A0A%08d/1-%d", i, i % 97);
        assert_int_equal(ff_strset_find(&s, key, (size_t)len), i);
        assert_string_equal(ff_strset_key(&s, i), key);
        key[0] = 'x';
        assert_int_equal(ff_strset_find(&s, key, (size_t)len), -1);
    }
    ff_strset_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_keys_in_order),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
