/* SPDX-License-Identifier: Apache-2.0
 * What holds for the cpu backend alone: results do not depend on the number of threads, and the versions of the inner
 * loops for older processors compute the same as the one of this processor (which test_ops compares with the truth).
 */
#include "unit/testing.h"

#include "compute/blas.h"
#include "compute/ops_cpu.h"
#include "op/cases.h"

static struct ff_backend *one, *many;

static struct ff_op_call *run_on(struct ff_backend *be, const struct ff_op_case *c)
{
    struct ff_op_call *host = ff_op_call_create(c, 7, NULL), *bound;
    assert_ok(ff_op_call_bind(host, be, &bound));
    ff_op_call_run(bound);
    ff_op_call_fetch(bound, host);
    ff_op_call_free(bound);
    return host;
}

static void test_threads(void **state)
{
    (void)state;
    for (int i = 0; i < op_case_count; i++) {
        struct ff_op_call *a = run_on(one, &op_cases[i]), *b = run_on(many, &op_cases[i]);
        for (int k = 0; k < a->n_operand; k++) {
            char name[160];
            if (memcmp(a->operand[k].host, b->operand[k].host, a->operand[k].elements * sizeof(float)) != 0)
                fail_msg("%s: operand %d depends on the number of threads",
                         op_case_text(&op_cases[i], name, sizeof name), k);
        }
        ff_op_call_free(a);
        ff_op_call_free(b);
    }
}

/* max |a - b| / max |b| over everything that the case wrote, the unused elements between included (they are equal). */
static double difference(const struct ff_op_call *a, const struct ff_op_call *b)
{
    double worst = 0;
    for (int k = 0; k < a->n_operand; k++) {
        if (!a->operand[k].written || a->operand[k].dtype != FF_F32)
            continue;
        const float *x = a->operand[k].host, *y = b->operand[k].host;
        double most = 0, scale = 0;
        for (size_t i = 0; i < a->operand[k].elements; i++) {
            if (isnan(x[i]) && isnan(y[i]))
                continue;
            double d = fabs((double)x[i] - (double)y[i]);
            if (!(d <= most))
                most = isnan(d) ? INFINITY : d;
            scale = fmax(scale, fabs((double)y[i]));
        }
        worst = fmax(worst, scale > 0 ? most / scale : most);
    }
    return worst;
}

static void compare_versions(enum ff_isa isa)
{
    for (int i = 0; i < op_case_count; i++) {
        char name[160];
        struct ff_op_call *b = run_on(many, &op_cases[i]);
        ff_isa_limit(isa);
        struct ff_op_call *a = run_on(many, &op_cases[i]);
        ff_isa_limit(FF_ISA_V4);
        double d = difference(a, b);
        if (!(d <= 3e-6))
            fail_msg("%s: differs by %.3g", op_case_text(&op_cases[i], name, sizeof name), d);
        ff_op_call_free(a);
        ff_op_call_free(b);
    }
}

static void test_base(void **state)
{
    (void)state;
    if (ff_isa() == FF_ISA_BASE)
        skip();
    compare_versions(FF_ISA_BASE);
}

static void test_v3(void **state)
{
    (void)state;
    if (ff_isa() <= FF_ISA_V3)
        skip();
    compare_versions(FF_ISA_V3);
}

static void test_isa_limit(void **state)
{
    (void)state;
    enum ff_isa best = ff_isa();
    ff_isa_limit(FF_ISA_BASE);
    assert_int_equal(ff_isa(), FF_ISA_BASE);
    ff_isa_limit(FF_ISA_V4);
    assert_int_equal(ff_isa(), best);
}

/* --- kernels of OpenBLAS --- */

static void test_better_core(void **state)
{
    (void)state;
    assert_string_equal(ff_blas_better_core("Prescott", FF_ISA_V4, false), "SkylakeX");
    assert_string_equal(ff_blas_better_core("Sandybridge", FF_ISA_V4, true), "SkylakeX");
    assert_string_equal(ff_blas_better_core("Haswell", FF_ISA_V4, false), "SkylakeX");
    assert_string_equal(ff_blas_better_core("Prescott", FF_ISA_V3, false), "Haswell");
    assert_string_equal(ff_blas_better_core("Barcelona", FF_ISA_V3, true), "Zen");
    assert_null(ff_blas_better_core("Nehalem", FF_ISA_BASE, false));
    assert_null(ff_blas_better_core("Haswell", FF_ISA_V3, false));
    assert_null(ff_blas_better_core("Zen", FF_ISA_V3, true));
    assert_null(ff_blas_better_core("SkylakeX", FF_ISA_V4, false));
    assert_null(ff_blas_better_core("SapphireRapids", FF_ISA_V4, false));
    assert_null(ff_blas_better_core("A name of years to come", FF_ISA_V4, true));
}

/* --- ff_cpu_for -------------------------------------------------------------------------------------------------- */

struct visits {
    int count[1000];
    int64_t largest;
    bool bad_scratch;
};

static void visit(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    struct visits *v = user;
    float *p = ff_scratch_floats(s, 5), *q = ff_scratch_floats(s, 7);
    if ((uintptr_t)p % 64 != 0 || (uintptr_t)q % 64 != 0 || q < p + 5)
        v->bad_scratch = true;
    for (int64_t i = from; i < from + count; i++)
#pragma omp atomic
        v->count[i]++;
#pragma omp critical
    v->largest = count > v->largest ? count : v->largest;
}

static void check_visits(const struct visits *v, int64_t n, int64_t step)
{
    assert_false(v->bad_scratch);
    assert_true(v->largest <= step);
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(v->count[i], i < n);
}

static void test_pieces(void **state)
{
    (void)state;
    const int64_t n[] = {0, 1, 5, 64, 999, 1000}, step[] = {1, 3, 64, 2000};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) {
        for (size_t k = 0; k < sizeof step / sizeof step[0]; k++) {
            struct visits v = {0};
            ff_cpu_for(many, n[i], step[k], visit, &v);
            check_visits(&v, n[i], step[k]);
        }
        struct visits v = {0};
        ff_cpu_rows(many, n[i], 100, 50, visit, &v);
        check_visits(&v, n[i], FF_TILE_ROWS);
        /* Rows so long that only three fit into the scratch. */
        v = (struct visits){0};
        ff_cpu_rows(many, n[i], FF_CPU_SCRATCH / (int)sizeof(float) / 4, 0, visit, &v);
        check_visits(&v, n[i], 3);
    }
}

static void take_too_much(void)
{
    struct ff_scratch s = {NULL, NULL};
    ff_scratch_floats(&s, 1);
}

static void test_scratch_end(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(test_exit_code(take_too_much, text, sizeof text), FF_EINTERNAL);
}

static int make_backends(void **state)
{
    (void)state;
    if (ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_FP32, 1, &one) == FF_OK &&
        ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_AUTO, 5, &many) == FF_OK)
        return 0;
    print_error("%s\n", ff_status_message());
    return 1;
}

static int drop_backends(void **state)
{
    (void)state;
    ff_backend_destroy(one);
    ff_backend_destroy(many);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), cmocka_unit_test(test_isa_limit), cmocka_unit_test(test_base),
        cmocka_unit_test(test_v3),      cmocka_unit_test(test_pieces),    cmocka_unit_test(test_scratch_end),
        cmocka_unit_test(test_better_core),
    };
    return cmocka_run_group_tests(tests, make_backends, drop_backends);
}
