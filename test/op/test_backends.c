/* SPDX-License-Identifier: Apache-2.0
 * Creation of backends, the plan backend, and the dump and profile wrappers around the cpu.
 */
#include "unit/testing.h"

#include "base/strbuf.h"
#include "compute/arena.h"
#include "format/npz.h"
#include "op/cases.h"

static struct ff_backend *make_cpu(void)
{
    struct ff_backend *be;
    assert_ok(ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_AUTO, 2, &be));
    return be;
}

/* --- creation ---------------------------------------------------------------------------------------------------- */

static void test_create(void **state)
{
    (void)state;
    struct ff_backend *be = make_cpu();
    assert_string_equal(be->name, "cpu");
    assert_int_equal(be->precision, FF_PRECISION_FP32);
    assert_int_equal(be->activation, FF_F32);
    assert_true(be->workspace > 0);
    assert_true(be->free_memory(be) > 0);
    ff_backend_destroy(be);
    ff_backend_destroy(NULL);

    assert_fails(ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_BF16, 0, &be), FF_EUSAGE, "fp32 only");
    assert_null(be);
    assert_fails(ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_TF32, 0, &be), FF_EUSAGE, "fp32 only");
    assert_fails(ff_backend_create(FF_DEVICE_CPU, FF_PRECISION_FP32, -1, &be), FF_EUSAGE, "-1 threads");
#ifndef HAVE_CUDA
    assert_fails(ff_backend_create(FF_DEVICE_CUDA, FF_PRECISION_AUTO, 0, &be), FF_EUSAGE, "without CUDA");
    assert_null(be);
#endif
}

static void test_memory(void **state)
{
    (void)state;
    struct ff_backend *be = make_cpu();
    void *p;
    assert_fails(be->alloc(be, SIZE_MAX / 2, &p), FF_EMEMORY, "GiB");
    const size_t sizes[] = {0, 1, 1000, 10 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_ok(be->alloc(be, sizes[i], &p));
        assert_int_equal((uintptr_t)p % FF_ARENA_ALIGN, 0);
        memset(p, 1, sizes[i]);
        be->release(be, p);
    }
    assert_ok(be->alloc(be, 6 * sizeof(float), &p));
    struct ff_tensor t = ff_tensor_make(p, FF_F32, FF_SHAPE(2, 3));
    const float up[6] = {1, 2, 3, 4, 5, 6};
    float down[6] = {0};
    be->upload(be, &t, up);
    be->sync(be);
    be->download(be, down, &t);
    assert_memory_equal(up, down, sizeof up);
    be->release(be, p);
    ff_backend_destroy(be);
}

static void keep_line(void *user, const char *text)
{
    struct ff_strbuf *b = user;
    ff_strbuf_printf(b, "%s\n", text);
}

static void test_describe(void **state)
{
    (void)state;
    struct ff_strbuf b = {0};
    ff_backend_describe(keep_line, &b);
    assert_non_null(strstr(ff_strbuf_cstr(&b), "cpu: "));
    assert_non_null(strstr(ff_strbuf_cstr(&b), "cuda: "));
    ff_strbuf_free(&b);
}

/* --- plan -------------------------------------------------------------------------------------------------------- */

static void test_plan(void **state)
{
    (void)state;
    struct ff_backend *be = ff_backend_plan_create(FF_PRECISION_BF16, FF_BF16, 12345);
    assert_int_equal(be->precision, FF_PRECISION_BF16);
    assert_int_equal(be->activation, FF_BF16);
    assert_int_equal(be->workspace, 12345);
    struct ff_arena a;
    ff_arena_init_measuring(&a);
    struct ff_tensor x = ff_arena_push(&a, FF_BF16, FF_SHAPE(100000, 100000, 128));
    struct ff_tensor w = ff_arena_push(&a, FF_F32, FF_SHAPE(128, 64));
    struct ff_tensor out = ff_arena_push(&a, FF_BF16, FF_SHAPE(100000, 100000, 64));
    for (int i = 0; i < 3; i++)
        FF_OP(be, linear, .out = out, .x = x, .w = w);
    FF_OP(be, fill, .out = out);
    const struct ff_cost *c = ff_backend_plan_costs(be);
    assert_int_equal(c[FF_OP_linear].calls, 3);
    assert_true(c[FF_OP_linear].flops == 3 * 2e10 * 128 * 64);
    assert_true(c[FF_OP_linear].bytes == 3 * (2e10 * (128 + 64) + 4.0 * 128 * 64));
    assert_int_equal(c[FF_OP_fill].calls, 1);
    assert_true(c[FF_OP_fill].flops == 0 && c[FF_OP_fill].bytes == 2e10 * 64);
    assert_int_equal(c[FF_OP_attention].calls, 0);

    be->upload(be, &x, NULL);
    be->download(be, NULL, &x);
    be->sync(be);
    void *p;
    assert_ok(be->alloc(be, (size_t)1 << 50, &p));
    assert_non_null(p);
    be->release(be, p);

    ff_backend_plan_reset(be);
    assert_int_equal(ff_backend_plan_costs(be)[FF_OP_linear].calls, 0);
    ff_backend_destroy(be);
}

/* Every op has a cost function that takes its own arguments. */
static void test_plan_all(void **state)
{
    (void)state;
    struct ff_backend *be = ff_backend_plan_create(FF_PRECISION_FP32, FF_F32, 0);
    for (int i = 0; i < op_case_count; i++) {
        struct ff_op_call *call = ff_op_call_create(&op_cases[i], 1, NULL);
        struct ff_cost want = ff_op_call_cost(call);
        ff_backend_plan_reset(be);
        call->backend = be;
        ff_op_call_run(call);
        call->backend = NULL;
        const struct ff_cost *c = ff_backend_plan_costs(be);
        for (int op = 0; op < FF_OP_COUNT; op++) {
            bool this = op == (int)op_cases[i].op;
            assert_int_equal(c[op].calls, this);
            assert_true(c[op].flops == (this ? want.flops : 0) && c[op].bytes == (this ? want.bytes : 0));
        }
        ff_op_call_free(call);
    }
    ff_backend_destroy(be);
}

/* --- profile ----------------------------------------------------------------------------------------------------- */

static void test_profile(void **state)
{
    (void)state;
    struct ff_backend *cpu = make_cpu(), *be = ff_backend_profile_create(cpu);
    struct ff_op_case what = {.op = FF_OP_linear, .i = 200, .c = 64, .n = 32};
    struct ff_op_call *host = ff_op_call_create(&what, 1, NULL), *call;
    assert_ok(ff_op_call_bind(host, be, &call));
    struct ff_cost cost = ff_op_call_cost(call);
    ff_op_call_run(call);
    be->stage(be, "first", 0, 2);
    be->stage(be, "first", 1, 2);
    ff_op_call_run(call);
    ff_op_call_fetch(call, host);
    const struct ff_profile *p = ff_backend_profile_read(be);
    const struct ff_cost *c = p->cost;
    const double *seconds = p->seconds;
    assert_int_equal(p->n_stage, 2);
    assert_string_equal(p->stages[0].name, "other");
    assert_string_equal(p->stages[1].name, "first");
    assert_int_equal(p->stages[1].cost.calls, 1);
    assert_true(fabs(p->stages[0].seconds + p->stages[1].seconds - seconds[FF_OP_linear]) < 1e-9);
    assert_int_equal(c[FF_OP_linear].calls, 2);
    assert_true(c[FF_OP_linear].flops == 2 * cost.flops);
    assert_true(c[FF_OP_linear].bytes == 2 * cost.bytes);
    assert_true(seconds[FF_OP_linear] > 0 && seconds[FF_OP_linear] < 60);
    assert_true(seconds[FF_OP_copy] == 0);
    assert_int_equal(ff_op_call_damage(host, 0), 0);
    assert_true(isfinite(*FF_AT(float, &host->args.linear.out, 0, 0)));
    ff_op_call_free(call);
    ff_op_call_free(host);
    ff_backend_destroy(be);
    ff_backend_destroy(cpu);
}

/* --- dump -------------------------------------------------------------------------------------------------------- */

static void run_case(struct ff_backend *be, const struct ff_op_case *what, struct ff_op_call **ret)
{
    struct ff_op_call *bound;
    *ret = ff_op_call_create(what, 3, NULL);
    assert_ok(ff_op_call_bind(*ret, be, &bound));
    ff_op_call_run(bound);
    ff_op_call_fetch(bound, *ret);
    ff_op_call_free(bound);
}

static void check_array(const struct ff_arrays *file, const char *name, const struct ff_tensor *want)
{
    const struct ff_array *a = ff_arrays_find(file, name);
    if (a == NULL)
        fail_msg("no array %s", name);
    assert_int_equal(a->dtype, FF_F32);
    assert_int_equal(a->ndim, want->ndim);
    for (int64_t e = 0; e < ff_tensor_count(want); e++) {
        int64_t at = 0, rest = e;
        for (int d = want->ndim - 1; d >= 0; d--) {
            assert_int_equal(a->shape[d], want->shape[d]);
            at += rest % want->shape[d] * want->stride[d];
            rest /= want->shape[d];
        }
        bool ints = want->dtype == FF_I32;
        float v = ints ? (float)((const int32_t *)want->data)[at] : ((const float *)want->data)[at];
        float got = ((const float *)a->data)[e];
        if (got != v)
            fail_msg("%s: element %lld is %g, not %g", name, (long long)e, (double)got, (double)v);
    }
}

static void test_dump(void **state)
{
    char *dir = *state, *path = ff_path_join(dir, "dump.npz");
    struct ff_backend *cpu = make_cpu(), *be;
    assert_ok(ff_backend_dump_create(cpu, path, &be));
    /* A plain output, a strided one, integers, and ops with several outputs. */
    const struct ff_op_case cases[] = {
        {.op = FF_OP_linear, .i = 4, .j = 5, .c = 6, .n = 7},
        {.op = FF_OP_outer_sum, .i = 3, .j = 5, .c = 8, .flags = FF_CASE_TRANSPOSED | FF_CASE_GAPS},
        {.op = FF_OP_copy, .i = 3, .j = 5, .c = 8, .flags = FF_CASE_INT},
        {.op = FF_OP_aligned_error, .i = 3, .j = 5, .c = 8, .n = 16, .flags = FF_CASE_MORE},
        {.op = FF_OP_atoms_from_angles, .i = 6, .flags = FF_CASE_MORE},
        {.op = FF_OP_rigid_update, .i = 6},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    struct ff_op_call *calls[N];
    for (int i = 0; i < N; i++)
        run_case(be, &cases[i], &calls[i]);
    assert_false(ff_file_exists(path));
    assert_ok(ff_backend_dump_finish(be));
    ff_backend_destroy(be);

    struct ff_arrays file = {0};
    assert_ok(ff_npz_load(path, &file));
    assert_int_equal(file.count, 10);
    check_array(&file, "00000_linear", &calls[0]->args.linear.out);
    check_array(&file, "00001_outer_sum", &calls[1]->args.outer_sum.out);
    check_array(&file, "00002_copy", &calls[2]->args.copy.out);
    check_array(&file, "00003_aligned_error", &calls[3]->args.aligned_error.out);
    check_array(&file, "00003_aligned_error_tm", &calls[3]->args.aligned_error.tm);
    check_array(&file, "00003_aligned_error_logits", &calls[3]->args.aligned_error.logits);
    check_array(&file, "00004_atoms_from_angles", &calls[4]->args.atoms_from_angles.out);
    check_array(&file, "00004_atoms_from_angles_atom14", &calls[4]->args.atoms_from_angles.atom14);
    check_array(&file, "00005_rigid_update", &calls[5]->args.rigid_update.out);
    check_array(&file, "00005_rigid_update_quat", &calls[5]->args.rigid_update.quat);
    ff_arrays_free(&file);
    for (int i = 0; i < N; i++)
        ff_op_call_free(calls[i]);
    ff_backend_destroy(cpu);
    free(path);
}

static void test_dump_fails(void **state)
{
    char *dir = *state, *path = ff_path_join(dir, "no/such/folder/dump.npz");
    struct ff_backend *cpu = make_cpu(), *be = cpu;
    ff_status st = ff_backend_dump_create(cpu, path, &be);
    assert_true(st != FF_OK);
    assert_null(be);

    /* Destroyed without being finished: no file. */
    char *unfinished = ff_path_join(dir, "unfinished.npz");
    struct ff_op_call *call;
    assert_ok(ff_backend_dump_create(cpu, unfinished, &be));
    run_case(be, &(struct ff_op_case){.op = FF_OP_fill, .i = 3, .c = 4}, &call);
    ff_op_call_free(call);
    ff_backend_destroy(be);
    assert_false(ff_file_exists(unfinished));
    ff_backend_destroy(cpu);
    free(unfinished);
    free(path);
}

static int make_dir(void **state)
{
    char *dir = NULL;
    if (ff_make_temp_dir("/tmp", "fastfold-test", &dir) != FF_OK)
        return 1;
    *state = dir;
    return 0;
}

static int drop_dir(void **state)
{
    char *dir = *state;
    int failed = ff_remove_tree(dir) != FF_OK;
    free(dir);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_describe), cmocka_unit_test(test_plan),
        cmocka_unit_test(test_plan_all), cmocka_unit_test(test_profile),
        cmocka_unit_test_setup_teardown(test_dump, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(test_dump_fails, make_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
