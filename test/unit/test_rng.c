/* SPDX-License-Identifier: Apache-2.0
 * test_rng: the generator is xoshiro256**, its streams are apart, its distributions are right.
 */
#include <stdbool.h>

#include "base/rng.h"
#include "unit/testing.h"

static void test_is_xoshiro(void **state)
{
    (void)state;
    /* From the state 1, 2, 3, 4: the reference implementation's first outputs. */
    struct ff_rng r = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(ff_rng_u64(&r) == expected[i]);
}

/* Fixed for ever: a change would change every sampled alignment of every user. */
static void test_streams_are_fixed(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 0, "msa", 0);
    uint64_t first = ff_rng_u64(&r);
    ff_rng_init(&r, 42, "mask", 3);
    uint64_t second = ff_rng_u64(&r);
    assert_true(first == 0x85e644ccc78a968eu);
    assert_true(second == 0xdabe56c5e439f057u);
}

static void test_streams_differ(void **state)
{
    (void)state;
    enum { N = 5 };
    uint64_t seen[N * N * 2];
    int n = 0;
    for (uint64_t seed = 0; seed < N; seed++) {
        for (uint64_t index = 0; index < N; index++) {
            for (int s = 0; s < 2; s++) {
                struct ff_rng r;
                ff_rng_init(&r, seed, s ? "b" : "a", index);
                seen[n] = ff_rng_u64(&r);
                for (int i = 0; i < n; i++)
                    assert_true(seen[i] != seen[n]);
                n++;
            }
        }
    }
}

static void test_uniform(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 1, "uniform", 0);
    enum { N = 200000, BINS = 16 };
    int count[BINS] = {0};
    double sum = 0, sum2 = 0;
    for (int i = 0; i < N; i++) {
        double u = ff_rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum += u;
        sum2 += u * u;
        count[(int)(u * BINS)]++;
    }
    assert_true(fabs(sum / N - 0.5) < 0.004);
    assert_true(fabs(sum2 / N - 1.0 / 3) < 0.004);
    for (int b = 0; b < BINS; b++)
        assert_true(abs(count[b] - N / BINS) < 600); /* 5.5 standard deviations */
}

static void test_below(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 2, "below", 0);
    int count[7] = {0};
    for (int i = 0; i < 70000; i++) {
        int64_t v = ff_rng_below(&r, 7);
        assert_true(v >= 0 && v < 7);
        count[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(abs(count[i] - 10000) < 500);
    assert_int_equal(ff_rng_below(&r, 1), 0);
    /* 3/4 of the range of u64: without rejection the lower half of the results would come twice as often. */
    int64_t n = INT64_MAX / 4 * 3;
    int low = 0;
    for (int i = 0; i < 10000; i++)
        low += ff_rng_below(&r, n) < n / 2;
    assert_true(abs(low - 5000) < 300);
}

static void below_zero(void)
{
    struct ff_rng r;
    ff_rng_init(&r, 0, "", 0);
    ff_rng_below(&r, 0);
}

static void test_below_zero_is_refused(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(test_exit_code(below_zero, text, sizeof text), FF_EINTERNAL);
}

static void test_shuffle(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 3, "shuffle", 0);
    enum { N = 4, RUNS = 24000 };
    int count[N * N * N * N] = {0}, kinds = 0;
    for (int run = 0; run < RUNS; run++) {
        int64_t index[N] = {0, 1, 2, 3};
        ff_rng_shuffle(&r, index, N);
        count[((index[0] * N + index[1]) * N + index[2]) * N + index[3]]++;
    }
    for (int i = 0; i < N * N * N * N; i++) {
        if (count[i] > 0) {
            kinds++;
            assert_true(abs(count[i] - RUNS / 24) < 180);
        }
    }
    assert_int_equal(kinds, 24); /* all permutations and nothing else */
    ff_rng_shuffle(&r, NULL, 0);
}

static void test_normal(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 4, "normal", 0);
    enum { N = 200000 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    for (int i = 0; i < N; i++) {
        double x = ff_rng_normal(&r);
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
    }
    assert_true(fabs(m1 / N) < 0.012);
    assert_true(fabs(m2 / N - 1) < 0.017);
    assert_true(fabs(m3 / N) < 0.045);
    assert_true(fabs(m4 / N - 3) < 0.12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_xoshiro), cmocka_unit_test(test_streams_are_fixed),
        cmocka_unit_test(test_streams_differ), cmocka_unit_test(test_uniform), cmocka_unit_test(test_below),
        cmocka_unit_test(test_below_zero_is_refused), cmocka_unit_test(test_shuffle), cmocka_unit_test(test_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
