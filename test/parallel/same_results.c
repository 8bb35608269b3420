/* SPDX-License-Identifier: Apache-2.0
 * same_results A.npz B.npz: whether two result files hold the same arrays, as close as one rank and several must be.
 * Prints the largest relative difference. For test/parallel/command.bats.
 */
#include "unit/testing.h"

#include "format/npz.h"

#define LIMIT 1e-5

static const char *files[2];

static void test_same(void **state)
{
    (void)state;
    struct ff_arrays a = {0}, b = {0};
    assert_ok(ff_npz_load(files[0], &a));
    assert_ok(ff_npz_load(files[1], &b));
    assert_true(a.count > 5);
    assert_int_equal(a.count, b.count);
    double worst = 0;
    for (int i = 0; i < a.count; i++) {
        const struct ff_array *want = &a.items[i], *got = ff_arrays_find(&b, want->name);
        if (got == NULL)
            fail_msg("%s has no %s", files[1], want->name);
        size_t n = (size_t)ff_array_count(want);
        assert_int_equal(n, ff_array_count(got));
        assert_int_equal(want->dtype, got->dtype);
        if (want->dtype == FF_U8) { /* what was nearly the same may have been rounded to neighbours */
            for (size_t k = 0; k < n; k++)
                assert_true(abs(((const uint8_t *)want->data)[k] - ((const uint8_t *)got->data)[k]) <= 1);
            continue;
        }
        if (want->dtype != FF_F32) {
            assert_memory_equal(want->data, got->data, ff_array_bytes(want));
            continue;
        }
        test_assert_close(want->name, got->data, want->data, n, LIMIT);
        double e = test_relative_error(got->data, want->data, n);
        worst = e > worst ? e : worst;
    }
    print_message("%d arrays, largest relative difference %.2e\n", a.count, worst);
    ff_arrays_free(&a);
    ff_arrays_free(&b);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    files[0] = argv[1];
    files[1] = argv[2];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
