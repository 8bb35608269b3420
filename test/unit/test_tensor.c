/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/testing.h"

#include "compute/tensor.h"

static float numbers[2 * 3 * 4];

static struct ff_tensor small(void)
{
    for (int i = 0; i < 24; i++)
        numbers[i] = (float)i;
    return ff_tensor_make(numbers, FF_F32, FF_SHAPE(2, 3, 4));
}

static void test_make(void **state)
{
    (void)state;
    struct ff_tensor t = small();
    assert_int_equal(t.ndim, 3);
    assert_int_equal(t.stride[0], 12);
    assert_int_equal(t.stride[1], 4);
    assert_int_equal(t.stride[2], 1);
    assert_int_equal(ff_tensor_count(&t), 24);
    assert_int_equal(ff_tensor_bytes(&t), 96);
    assert_true(ff_tensor_contiguous(&t));
    assert_true(ff_tensor_present(&t));
    assert_true(*FF_AT(float, &t, 1, 2, 3) == 23.0f);
    assert_true(*FF_AT(float, &t, 1, 2) == 20.0f);

    struct ff_tensor bf16 = ff_tensor_make(numbers, FF_BF16, FF_SHAPE(5));
    assert_int_equal(ff_tensor_bytes(&bf16), 10);
    struct ff_tensor none = ff_tensor_make(numbers, FF_F32, FF_SHAPE(3, 0));
    assert_int_equal(ff_tensor_count(&none), 0);
}

static void test_absent(void **state)
{
    (void)state;
    struct ff_tensor t = {0};
    assert_false(ff_tensor_present(&t));
    assert_int_equal(ff_tensor_count(&t), 0);
    assert_int_equal(ff_tensor_bytes(&t), 0);
}

static void test_slice(void **state)
{
    (void)state;
    struct ff_tensor t = ff_tensor_slice(small(), 1, 1, 2);
    assert_int_equal(t.shape[1], 2);
    assert_int_equal(ff_tensor_count(&t), 16);
    assert_false(ff_tensor_contiguous(&t));
    assert_true(*FF_AT(float, &t, 0, 0, 0) == 4.0f);
    assert_true(*FF_AT(float, &t, 1, 1, 3) == 23.0f);
    /* A slice of the outermost axis stays in one piece; so does one row of an inner axis. */
    t = ff_tensor_slice(small(), 0, 1, 1);
    assert_true(ff_tensor_contiguous(&t));
    t = ff_tensor_slice(ff_tensor_slice(small(), 0, 1, 1), 1, 2, 1);
    assert_true(ff_tensor_contiguous(&t));
    assert_true(*FF_AT(float, &t, 0, 0, 0) == 20.0f);
    t = ff_tensor_slice(small(), 2, 4, 0);
    assert_int_equal(ff_tensor_count(&t), 0);
}

static void test_index(void **state)
{
    (void)state;
    struct ff_tensor t = ff_tensor_index(small(), 1, 2);
    assert_int_equal(t.ndim, 2);
    assert_int_equal(t.shape[0], 2);
    assert_int_equal(t.shape[1], 4);
    assert_int_equal(t.stride[0], 12);
    assert_true(*FF_AT(float, &t, 1, 3) == 23.0f);
    t = ff_tensor_index(small(), 2, 1);
    assert_int_equal(t.stride[1], 4);
    assert_true(*FF_AT(float, &t, 1, 2) == 21.0f);
}

static void test_transpose(void **state)
{
    (void)state;
    struct ff_tensor t = ff_tensor_transpose(small(), 0, 1);
    assert_int_equal(t.shape[0], 3);
    assert_int_equal(t.shape[1], 2);
    assert_false(ff_tensor_contiguous(&t));
    assert_true(*FF_AT(float, &t, 2, 1, 3) == 23.0f);
    assert_true(*FF_AT(float, &t, 2, 0, 3) == 11.0f);
    struct ff_tensor back = ff_tensor_transpose(t, 1, 0);
    assert_true(ff_tensor_contiguous(&back));
    struct ff_tensor same = small();
    assert_true(ff_tensor_same_shape(&back, &same));
    assert_false(ff_tensor_same_shape(&t, &same));
}

static void test_reshape(void **state)
{
    (void)state;
    struct ff_tensor t = ff_tensor_reshape(small(), FF_SHAPE(6, 4));
    assert_int_equal(t.ndim, 2);
    assert_true(*FF_AT(float, &t, 5, 3) == 23.0f);
    assert_false(ff_tensor_same_shape(&t, &(struct ff_tensor){.ndim = 1, .shape = {24}}));
}

static void slice_past_the_end(void)
{
    ff_tensor_slice(small(), 0, 1, 2);
}

static void slice_no_axis(void)
{
    ff_tensor_slice(small(), 3, 0, 1);
}

static void index_past_the_end(void)
{
    ff_tensor_index(small(), 0, 2);
}

static void reshape_to_another_count(void)
{
    ff_tensor_reshape(small(), FF_SHAPE(5, 5));
}

static void reshape_a_view(void)
{
    ff_tensor_reshape(ff_tensor_transpose(small(), 0, 1), FF_SHAPE(24));
}

static void test_broken_use(void **state)
{
    (void)state;
    void (*const broken[])(void) = {slice_past_the_end, slice_no_axis, index_past_the_end, reshape_to_another_count,
                                    reshape_a_view};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char text[512];
        assert_int_equal(test_exit_code(broken[i], text, sizeof text), FF_EINTERNAL);
        assert_non_null(strstr(text, "assertion failed"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),      cmocka_unit_test(test_absent),  cmocka_unit_test(test_slice),
        cmocka_unit_test(test_index),     cmocka_unit_test(test_transpose), cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_broken_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
