/* SPDX-License-Identifier: Apache-2.0
 * Every op of one backend against plain loops in double, for every case of op/cases.c. The backend is the cpu, or what
 * $FF_TEST_DEVICE (cpu, cuda) and $FF_TEST_PRECISION (fp32, tf32, bf16) say.
 *
 * The error of an output is max |a - b| / max |b|; on top, nothing outside the outputs may change, and no input at all.
 */
#include "unit/testing.h"

#include "base/alloc.h"
#include "compute/moment.h"
#include "op/cases.h"
#include "op/ref.h"

static struct ff_backend *backend;
static double worst[FF_OP_COUNT];

static void run_reference(struct ff_op_call *call)
{
    switch (call->what.op) {
#define X(op)                            \
    case FF_OP_##op:                     \
        ref_##op(&call->args.op);        \
        break;
        FF_OPS(X)
#undef X
    case FF_OP_COUNT:
        break;
    }
}

/* What an output may differ by. Sums of float32 products are right to some 1e-7 of their largest result; ops that add
 * several rounded steps, or divide small numbers, have more. */
static double tolerance(enum ff_op op)
{
    bool exact = op == FF_OP_copy || op == FF_OP_fill || op == FF_OP_pseudo_beta;
    if (exact)
        return 0.0;
    switch (backend->precision) {
    case FF_PRECISION_BF16:
        return 2e-2;
    case FF_PRECISION_TF32:
        return 4e-3;
    default:
        return 1.5e-6;
    }
}

static double error_of(const struct ff_tensor *got, const struct ff_tensor *want)
{
    double most = 0, scale = 0;
    for (int64_t e = 0; e < ff_tensor_count(got); e++) {
        int64_t at = 0, at_want = 0, rest = e;
        for (int d = got->ndim - 1; d >= 0; d--) {
            at += rest % got->shape[d] * got->stride[d];
            at_want += rest % got->shape[d] * want->stride[d];
            rest /= got->shape[d];
        }
        if (got->dtype == FF_I32) {
            if (((const int32_t *)got->data)[at] != ((const int32_t *)want->data)[at_want])
                return INFINITY;
            continue;
        }
        double a = ((const float *)got->data)[at], b = ((const float *)want->data)[at_want];
        if (!isfinite(a) || !isfinite(b))
            return INFINITY;
        most = fmax(most, fabs(a - b));
        scale = fmax(scale, fabs(b));
    }
    return scale > 0 ? most / scale : most;
}

static void test_case(void **state)
{
    const struct ff_op_case *c = *state;
    uint64_t seed = 1 + (uint64_t)(c - op_cases);
    struct ff_op_call *want = ff_op_call_create(c, seed, backend), *got = ff_op_call_create(c, seed, backend), *bound;
    assert_ok(ff_op_call_bind(got, backend, &bound));
    run_reference(want);
    struct ff_moment from = ff_moment_take(backend);
    ff_op_call_run(bound);
    double seconds = ff_moment_finish(backend, from, ff_moment_take(backend));
    assert_true(seconds > 0 && seconds < 60);
    /* All operands come back, so that writing to an input is seen. */
    for (int i = 0; i < bound->n_operand; i++)
        bound->operand[i].written = true;
    ff_op_call_fetch(bound, got);

    for (int i = 0; i < got->n_operand; i++) {
        const struct ff_op_operand *o = &got->operand[i];
        if (ff_op_call_damage(got, i) != 0)
            fail_msg("operand %d: %lld elements written outside of it", i, (long long)ff_op_call_damage(got, i));
        const struct ff_tensor *a = ff_op_call_tensor(got, i), *b = ff_op_call_tensor(want, i);
        double error = error_of(a, b), allowed = o->written ? tolerance(c->op) : 0.0;
        if (!(error <= allowed))
            fail_msg("operand %d (%s): relative error %.3g, allowed %.3g", i, o->written ? "output" : "input", error,
                     allowed);
        if (o->written)
            worst[c->op] = fmax(worst[c->op], error);
    }
    ff_op_call_free(bound);
    ff_op_call_free(got);
    ff_op_call_free(want);
}

static int make_backend(void **state)
{
    (void)state;
    const char *device = getenv("FF_TEST_DEVICE"), *precision = getenv("FF_TEST_PRECISION");
    enum ff_precision p = FF_PRECISION_FP32;
    if (precision && strcmp(precision, "tf32") == 0)
        p = FF_PRECISION_TF32;
    if (precision && strcmp(precision, "bf16") == 0)
        p = FF_PRECISION_BF16;
    bool cuda = device && strcmp(device, "cuda") == 0;
    /* Three threads: no size of the cases is shared out evenly. */
    if (ff_backend_create(cuda ? FF_DEVICE_CUDA : FF_DEVICE_CPU, p, 3, &backend) == FF_OK)
        return 0;
    print_error("%s\n", ff_status_message());
    return 1;
}

static int drop_backend(void **state)
{
    (void)state;
    for (int op = 0; op < FF_OP_COUNT; op++)
        print_message("%-20s largest relative error %.2e\n", ff_op_name[op], worst[op]);
    ff_backend_destroy(backend);
    return 0;
}

int main(int argc, char **argv)
{
    /* One cmocka test per case; with arguments only the cases of these ops. */
    struct CMUnitTest *tests = FF_NEW_ARRAY(struct CMUnitTest, (size_t)op_case_count);
    size_t n = 0;
    for (int i = 0; i < op_case_count; i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++)
            wanted |= strcmp(argv[k], ff_op_name[op_cases[i].op]) == 0;
        if (!wanted)
            continue;
        char name[160];
        tests[n++] = (struct CMUnitTest){
            .name = ff_xstrdup(op_case_text(&op_cases[i], name, sizeof name)),
            .test_func = test_case,
            .initial_state = (void *)&op_cases[i],
        };
    }
    int failed = _cmocka_run_group_tests("ops", tests, n, make_backend, drop_backend);
    for (size_t i = 0; i < n; i++)
        free((char *)tests[i].name);
    free(tests);
    return failed;
}
