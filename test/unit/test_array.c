/* SPDX-License-Identifier: Apache-2.0
 * test_array: sets of arrays, conversions, and the small float types over all their values.
 */
#include "unit/testing.h"

static void test_dtypes(void **state)
{
    (void)state;
    assert_int_equal(ff_dtype_size(FF_F32), 4);
    assert_int_equal(ff_dtype_size(FF_BF16), 2);
    assert_int_equal(ff_dtype_size(FF_F64), 8);
    assert_int_equal(ff_dtype_size(FF_BOOL), 1);
    assert_string_equal(ff_dtype_name(FF_I64), "int64");
    assert_string_equal(ff_dtype_name(FF_BF16), "bfloat16");
}

static void test_shape(void **state)
{
    (void)state;
    char buf[64];
    struct ff_array scalar = {.dtype = FF_F32}, a = {.dtype = FF_F64, .ndim = 3, .shape = {4, 43, 22}};
    assert_int_equal(ff_array_count(&scalar), 1);
    assert_string_equal(ff_array_shape_text(&scalar, buf, sizeof buf), "[]");
    assert_int_equal(ff_array_count(&a), 4 * 43 * 22);
    assert_int_equal(ff_array_bytes(&a), 8 * 4 * 43 * 22);
    assert_string_equal(ff_array_shape_text(&a, buf, sizeof buf), "[4, 43, 22]");
    assert_string_equal(ff_array_shape_text(&a, buf, 6), "[4, 4"); /* cut, never overrun */
    a.shape[1] = 0;
    assert_int_equal(ff_array_count(&a), 0);
}

static void test_set(void **state)
{
    (void)state;
    struct ff_arrays s = {0};
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "a%d", i);
        struct ff_array *a = ff_arrays_add(&s, name, FF_I32, 1, (const int64_t[]){i});
        for (int k = 0; k < i; k++) {
            assert_int_equal(((int32_t *)a->data)[k], 0);
            ((int32_t *)a->data)[k] = i;
        }
    }
    assert_int_equal(s.count, 20);
    assert_int_equal(((int32_t *)ff_arrays_find(&s, "a7")->data)[6], 7);
    assert_null(ff_arrays_find(&s, "a20"));

    /* Replacing keeps the place; the name may come from the replaced array itself. */
    struct ff_array *a = ff_arrays_find(&s, "a3");
    a = ff_arrays_add(&s, a->name, FF_F32, 2, (const int64_t[]){2, 2});
    assert_int_equal(s.count, 20);
    assert_ptr_equal(a, &s.items[3]);
    assert_string_equal(a->name, "a3");
    assert_int_equal(a->ndim, 2);

    assert_true(ff_arrays_remove(&s, "a0"));
    assert_false(ff_arrays_remove(&s, "a0"));
    assert_true(ff_arrays_remove(&s, "a19"));
    assert_int_equal(s.count, 18);
    assert_string_equal(s.items[0].name, "a1");
    assert_string_equal(s.items[17].name, "a18");
    ff_arrays_free(&s);
    assert_int_equal(s.count, 0);
    ff_arrays_free(&s);
}

static void test_text(void **state)
{
    (void)state;
    struct ff_arrays s = {0};
    struct ff_array *a = ff_arrays_add_text(&s, "meta", "{}x", 2);
    assert_int_equal(a->dtype, FF_U8);
    assert_int_equal(ff_array_bytes(a), 2);
    assert_memory_equal(a->data, "{}", 2);
    a = ff_arrays_add_text(&s, "empty", "", 0);
    assert_int_equal(ff_array_count(a), 0);
    ff_arrays_free(&s);
}

static void test_get(void **state)
{
    (void)state;
    struct ff_arrays s = {0};
    const struct ff_array *a;
    ff_arrays_add(&s, "x", FF_F32, 2, (const int64_t[]){3, 5});
    assert_ok(ff_arrays_get(&s, "x", FF_F32, 2, (const int64_t[]){3, 5}, &a));
    assert_string_equal(a->name, "x");
    assert_ok(ff_arrays_get(&s, "x", FF_F32, 2, (const int64_t[]){-1, 5}, &a));
    assert_fails(ff_arrays_get(&s, "x", FF_F32, 2, (const int64_t[]){-1, 4}, &a), FF_EINPUT,
                 "'x' is float32 [3, 5]; expected float32 [*, 4]");
    assert_null(a);
    assert_fails(ff_arrays_get(&s, "x", FF_I32, 2, (const int64_t[]){3, 5}, &a), FF_EINPUT, "expected int32 [3, 5]");
    assert_fails(ff_arrays_get(&s, "x", FF_F32, 1, (const int64_t[]){3}, &a), FF_EINPUT, "expected float32 [3]");
    assert_fails(ff_arrays_get(&s, "y", FF_F32, 0, NULL, &a), FF_EINPUT, "'y' is missing; expected float32 []");
    ff_arrays_free(&s);
}

/* An array of n elements of data, which it copies. */
static struct ff_array make(enum ff_dtype t, int64_t n, const void *data)
{
    struct ff_array a = {.dtype = t, .ndim = 1, .shape = {n}};
    a.data = ff_xmalloc(ff_array_bytes(&a));
    memcpy(a.data, data, ff_array_bytes(&a));
    return a;
}

static void test_to_f32(void **state)
{
    (void)state;
    const double d[] = {0.1, -1e300, 3};
    const int64_t l[] = {16777217 /* not a float: rounds to even */, -5, (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1};
    const uint8_t u[] = {0, 255, 7};
    const uint16_t h[] = {0x3c00, 0xc000, 0x7c00}, b[] = {0x3f80, 0xc000, 0x7f80};
    struct ff_array a = make(FF_F64, 3, d);
    ff_array_to_f32(&a);
    const float *f = a.data;
    assert_int_equal(a.dtype, FF_F32);
    assert_true(f[0] == 0.1f && isinf(f[1]) && f[1] < 0 && f[2] == 3);
    ff_array_to_f32(&a); /* nothing to do */
    ff_array_free(&a);
    a = make(FF_I64, 3, l);
    ff_array_to_f32(&a);
    f = a.data;
    assert_true(f[0] == 16777216.0f && f[1] == -5);
    assert_true(f[2] == 0x1.000002p60f); /* just above a tie; a double in between would lose the 1 and round down */
    ff_array_free(&a);
    a = make(FF_U8, 3, u);
    ff_array_to_f32(&a);
    f = a.data;
    assert_true(f[0] == 0 && f[1] == 255 && f[2] == 7);
    ff_array_free(&a);
    a = make(FF_BOOL, 3, u);
    ff_array_to_f32(&a);
    f = a.data;
    assert_true(f[0] == 0 && f[1] == 1 && f[2] == 1);
    ff_array_free(&a);
    for (int k = 0; k < 2; k++) {
        a = k ? make(FF_BF16, 3, b) : make(FF_F16, 3, h);
        ff_array_to_f32(&a);
        f = a.data;
        assert_true(f[0] == 1 && f[1] == -2 && isinf(f[2]));
        ff_array_free(&a);
    }
}

static void test_to_i32(void **state)
{
    (void)state;
    const double d[] = {2.9, -2.9, 1e20, -1e20, NAN};
    struct ff_array a = make(FF_F64, 5, d);
    ff_array_to_i32(&a);
    const int32_t *v = a.data;
    assert_int_equal(a.dtype, FF_I32);
    assert_true(v[0] == 2 && v[1] == -2 && v[2] == INT32_MAX && v[3] == INT32_MIN && v[4] == 0);
    ff_array_free(&a);
    const int64_t l[] = {5, INT64_MAX, INT64_MIN, -7, INT32_MAX};
    a = make(FF_I64, 5, l);
    ff_array_to_i32(&a);
    v = a.data;
    assert_true(v[0] == 5 && v[1] == INT32_MAX && v[2] == INT32_MIN && v[3] == -7 && v[4] == INT32_MAX);
    ff_array_free(&a);
}

/* Every float16, against the definition. */
static void test_f16(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 65536; v++) {
        unsigned exponent = v >> 10 & 31, mantissa = v & 1023;
        double sign = v & 0x8000 ? -1 : 1, expected;
        float got = ff_f16_to_f32((uint16_t)v);
        if (exponent == 31 && mantissa) {
            assert_true(isnan(got));
            continue;
        }
        if (exponent == 31)
            expected = sign * INFINITY;
        else if (exponent)
            expected = sign * ldexp(1024 + mantissa, (int)exponent - 25);
        else
            expected = sign * ldexp(mantissa, -24);
        assert_true(got == (float)expected && !signbit(got) == !signbit(expected));
    }
}

/* Every float16 comes back, NaNs too but for quiet ones; between two neighbours the nearer, ties to the even one. */
static void test_to_f16(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 65536; v++) {
        float f = ff_f16_to_f32((uint16_t)v);
        if (isnan(f)) {
            assert_int_equal(ff_f32_to_f16(f), v | 0x200);
            continue;
        }
        assert_int_equal(ff_f32_to_f16(f), v);
        if (isinf(f))
            continue;
        /* The value above the largest would be 65536. */
        bool last = (v & 0x7fff) == 0x7bff;
        double size = fabs((double)f), next = last ? 65536.0 : fabs((double)ff_f16_to_f32((uint16_t)(v + 1)));
        for (int part = 1; part < 8; part++) {
            float between = copysignf((float)(size + (next - size) * part / 8), f);
            assert_int_equal(ff_f32_to_f16(between), part > 4 ? v + 1 : part == 4 ? v + (v & 1) : v);
        }
    }
    assert_int_equal(ff_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(ff_f32_to_f16(-1e-30f), 0x8000);
}

/* Every bfloat16 comes back; values between two neighbours go to the nearer, ties to the even one. */
static void test_bf16(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 65536; v++) {
        float f = ff_bf16_to_f32((uint16_t)v);
        if (isnan(f)) {
            assert_true(isnan(ff_bf16_to_f32(ff_f32_to_bf16(f))));
            continue;
        }
        assert_int_equal(ff_f32_to_bf16(f), v);
        if (isinf(f))
            continue;
        uint32_t bits = v << 16;
        for (unsigned low = 1; low < 65536; low += 4093) {
            uint32_t between = bits | low;
            memcpy(&f, &between, sizeof f);
            assert_int_equal(ff_f32_to_bf16(f), low > 0x8000 ? v + 1 : v);
        }
        uint32_t tie = bits | 0x8000;
        memcpy(&f, &tie, sizeof f);
        assert_int_equal(ff_f32_to_bf16(f), v + (v & 1));
    }
    uint32_t bits = 0x7f800001; /* a NaN whose set bits all lie in the part that is cut off */
    float f;
    memcpy(&f, &bits, sizeof f);
    assert_true(isnan(ff_bf16_to_f32(ff_f32_to_bf16(f))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtypes), cmocka_unit_test(test_shape),  cmocka_unit_test(test_set),
        cmocka_unit_test(test_text),   cmocka_unit_test(test_get),    cmocka_unit_test(test_to_f32),
        cmocka_unit_test(test_to_i32), cmocka_unit_test(test_f16),    cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_to_f16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
