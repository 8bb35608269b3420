/* SPDX-License-Identifier: Apache-2.0
 * test_clock: times and resources are there and have the right order of magnitude.
 */
#include <unistd.h>

#include "base/clock.h"
#include "unit/testing.h"

static void test_wall_time(void **state)
{
    (void)state;
    double start = ff_clock_now();
    usleep(20000);
    double passed = ff_clock_now() - start;
    assert_true(passed >= 0.02 && passed < 5);
}

static void test_cpu_time(void **state)
{
    (void)state;
    double start = ff_clock_cpu(), wall = ff_clock_now();
    volatile double x = 1;
    while (ff_clock_cpu() - start < 0.02 && ff_clock_now() - wall < 20)
        for (int i = 0; i < 100000; i++)
            x = x * 1.0000001;
    assert_true(ff_clock_cpu() - start >= 0.02);
}

static void test_peak_memory(void **state)
{
    (void)state;
    size_t before = ff_clock_peak_rss(), size = (size_t)64 << 20;
    char *p = ff_xmalloc(size);
    memset(p, 1, size);
    assert_true(((volatile char *)p)[size / 2] == 1);
    size_t after = ff_clock_peak_rss();
    free(p);
    assert_true(before > 0 && before < (size_t)1 << 34);
    assert_true(after >= size && after >= before);
}

static void test_machine(void **state)
{
    (void)state;
    size_t available = ff_clock_available_memory();
    assert_true(available > (size_t)16 << 20 && available < (size_t)1 << 46);
    int cpus = ff_clock_cpu_count();
    assert_true(cpus >= 1 && cpus <= sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wall_time),
        cmocka_unit_test(test_cpu_time),
        cmocka_unit_test(test_peak_memory),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
