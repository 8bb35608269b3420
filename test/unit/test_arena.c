/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/testing.h"

#include "compute/arena.h"

static _Alignas(FF_ARENA_ALIGN) char memory[4 * FF_ARENA_ALIGN];

static void test_stack(void **state)
{
    (void)state;
    struct ff_arena a;
    ff_arena_init(&a, memory, sizeof memory);
    struct ff_tensor first = ff_arena_push(&a, FF_F32, FF_SHAPE(3, 5));
    assert_ptr_equal(first.data, memory);
    assert_int_equal(first.shape[1], 5);
    assert_true(ff_tensor_contiguous(&first));
    assert_int_equal(a.used, FF_ARENA_ALIGN);

    size_t mark = ff_arena_mark(&a);
    struct ff_tensor second = ff_arena_push(&a, FF_BF16, FF_SHAPE(FF_ARENA_ALIGN / 2 + 1));
    assert_ptr_equal(second.data, memory + FF_ARENA_ALIGN);
    assert_int_equal(a.used, 3 * FF_ARENA_ALIGN);
    ff_arena_release(&a, mark);
    assert_int_equal(a.used, FF_ARENA_ALIGN);
    assert_int_equal(a.peak, 3 * FF_ARENA_ALIGN);

    struct ff_tensor third = ff_arena_push(&a, FF_I32, FF_SHAPE(1));
    assert_ptr_equal(third.data, second.data);
    assert_int_equal(a.peak, 3 * FF_ARENA_ALIGN);
}

static void test_exact_fit(void **state)
{
    (void)state;
    struct ff_arena a;
    ff_arena_init(&a, memory, sizeof memory);
    ff_arena_push(&a, FF_F32, FF_SHAPE((int64_t)sizeof memory / 4));
    assert_int_equal(a.used, sizeof memory);
    ff_arena_push(&a, FF_F32, FF_SHAPE(0));
    assert_int_equal(a.used, sizeof memory);
}

/* The measuring arena hands out the same distances, so that a plan made with it is exact. */
static void test_measuring(void **state)
{
    (void)state;
    struct ff_arena a, m;
    ff_arena_init(&a, memory, sizeof memory);
    ff_arena_init_measuring(&m);
    struct ff_tensor a0 = ff_arena_push(&a, FF_F32, FF_SHAPE(70)), m0 = ff_arena_push(&m, FF_F32, FF_SHAPE(70));
    struct ff_tensor a1 = ff_arena_push(&a, FF_F32, FF_SHAPE(7)), m1 = ff_arena_push(&m, FF_F32, FF_SHAPE(7));
    assert_non_null(m0.data);
    assert_true(ff_tensor_present(&m0));
    assert_int_equal((char *)a1.data - (char *)a0.data, (intptr_t)m1.data - (intptr_t)m0.data);
    assert_int_equal(a.peak, m.peak);

    /* Far more than any machine has. */
    ff_arena_push(&m, FF_F32, FF_SHAPE(1 << 30, 1 << 20));
    assert_int_equal(m.peak, a.peak + ((size_t)1 << 52));
}

static struct ff_arena full;

static void push_too_much(void)
{
    ff_arena_init(&full, memory, sizeof memory);
    ff_arena_push(&full, FF_F32, FF_SHAPE(10));
    ff_arena_push(&full, FF_F32, FF_SHAPE((int64_t)sizeof memory / 4));
}

static void release_upwards(void)
{
    ff_arena_init(&full, memory, sizeof memory);
    ff_arena_release(&full, FF_ARENA_ALIGN);
}

static void misaligned_base(void)
{
    ff_arena_init(&full, memory + 4, sizeof memory - 4);
}

static void test_broken_use(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(test_exit_code(push_too_much, text, sizeof text), FF_EINTERNAL);
    assert_non_null(strstr(text, "1024 bytes"));
    assert_non_null(strstr(text, "256 are in use"));
    assert_non_null(strstr(text, "[256] of float32 needs 1024 more"));
    assert_int_equal(test_exit_code(release_upwards, text, sizeof text), FF_EINTERNAL);
    assert_int_equal(test_exit_code(misaligned_base, text, sizeof text), FF_EINTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_exact_fit),
        cmocka_unit_test(test_measuring),
        cmocka_unit_test(test_broken_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
