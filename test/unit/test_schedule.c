/* SPDX-License-Identifier: Apache-2.0
 * How ranks are grouped for a batch.
 */
#include "unit/testing.h"

#include "parallel/schedule.h"

enum { MOST = 64 };

/* Targets that take `work` [n] seconds on one rank, and on more a share of it, `loss` of it lost; they need least [n]
 * ranks. */
static void make(int n_rank, int n, const double *work, const int *least, double loss, struct ff_schedule *s,
                 int *phase)
{
    int size[FF_SCHEDULE_SIZES], n_size = ff_schedule_sizes(n_rank, size);
    double *seconds = ff_xcalloc((size_t)(n * n_size), sizeof *seconds);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n_size; k++)
            seconds[i * n_size + k] = least != NULL && size[k] < least[i] ? (double)INFINITY
                                      : work[i] / size[k] + (size[k] > 1 ? loss * work[i] : 0);
    ff_schedule_make(n_rank, n_size, size, n, seconds, s, phase);
    free(seconds);
}

static void test_sizes(void **state)
{
    (void)state;
    int size[FF_SCHEDULE_SIZES];
    assert_int_equal(ff_schedule_sizes(1, size), 1);
    assert_int_equal(size[0], 1);
    assert_int_equal(ff_schedule_sizes(3, size), 3);
    assert_int_equal(size[2], 3);
    assert_int_equal(ff_schedule_sizes(24, size), 6); /* 1 2 4 8 16 24 */
    assert_int_equal(size[4], 16);
    assert_int_equal(size[5], 24);
}

static void test_one_target_gets_all_ranks(void **state)
{
    (void)state;
    struct ff_schedule s;
    int phase[1];
    const double work = 100;
    for (int n_rank = 1; n_rank <= 9; n_rank++) {
        make(n_rank, 1, &work, NULL, 0.01, &s, phase);
        assert_int_equal(s.n_phase, 1);
        assert_int_equal(s.size[0], n_rank);
        assert_int_equal(phase[0], 0);
    }
}

static void test_many_targets_get_one_rank_each(void **state)
{
    (void)state;
    struct ff_schedule s;
    double work[MOST];
    int phase[MOST];
    for (int i = 0; i < MOST; i++)
        work[i] = 10;
    make(8, MOST, work, NULL, 0.01, &s, phase);
    assert_int_equal(s.n_phase, 1);
    assert_int_equal(s.size[0], 1);
    assert_true(fabs(s.seconds - 80) < 1e-9);
}

/* One target more than ranks: two rounds of one rank each, or a round and a shared target. */
static void test_the_odd_one_is_shared(void **state)
{
    (void)state;
    struct ff_schedule s;
    const double work[5] = {10, 10, 10, 10, 10};
    int phase[5];
    make(4, 5, work, NULL, 0.01, &s, phase);
    assert_int_equal(s.n_phase, 2);
    assert_int_equal(s.size[0], 4);
    assert_int_equal(s.size[1], 1);
    assert_int_equal(phase[4], 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(phase[i], 1);
}

static void test_long_targets_get_the_ranks_that_they_need(void **state)
{
    (void)state;
    struct ff_schedule s;
    double work[12];
    int phase[12], least[12];
    for (int i = 0; i < 12; i++) {
        work[i] = i < 10 ? 10 : 100;
        least[i] = i < 10 ? 1 : 2;
    }
    make(4, 12, work, least, 0.05, &s, phase);
    assert_true(s.n_phase >= 2);
    assert_true(s.size[phase[11]] >= 2 && s.size[phase[10]] >= 2);
    assert_int_equal(s.size[phase[0]], 1);
    assert_true(phase[11] < phase[0]); /* long ones first */
}

/* Where sharing costs more than it gives, nobody shares. */
static void test_no_sharing_at_a_loss(void **state)
{
    (void)state;
    struct ff_schedule s;
    const double work = 100;
    int phase;
    make(4, 1, &work, NULL, 1.0, &s, &phase);
    assert_int_equal(s.size[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_one_target_gets_all_ranks),
        cmocka_unit_test(test_many_targets_get_one_rank_each),
        cmocka_unit_test(test_the_odd_one_is_shared),
        cmocka_unit_test(test_long_targets_get_the_ranks_that_they_need),
        cmocka_unit_test(test_no_sharing_at_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
