/* SPDX-License-Identifier: Apache-2.0
 * Costs: traffic of every case against the sizes of its operands, floating-point operations against counts made by
 * hand.
 */
#include "unit/testing.h"

#include "op/cases.h"

/* Ops that read a part of an operand only: CA or CB of all atoms. */
static bool reads_a_part(enum ff_op op)
{
    return op == FF_OP_pseudo_beta || op == FF_OP_distance_change;
}

/* Every operand once, and those that are updated in place once more. */
static void test_bytes(void **state)
{
    (void)state;
    for (int i = 0; i < op_case_count; i++) {
        struct ff_op_call *call = ff_op_call_create(&op_cases[i], 1, NULL);
        struct ff_cost c = ff_op_call_cost(call);
        double once = 0, written = 0;
        for (int k = 0; k < call->n_operand; k++) {
            double bytes = (double)ff_tensor_bytes(ff_op_call_tensor(call, k));
            once += bytes;
            written += call->operand[k].written ? bytes : 0;
        }
        char name[160];
        bool fits = c.bytes >= once && c.bytes <= once + written;
        if (reads_a_part(op_cases[i].op))
            fits = c.bytes > 0 && c.bytes < once + written;
        if (!fits)
            fail_msg("%s: %g bytes, operands %g, of which %g written", op_case_text(&op_cases[i], name, sizeof name),
                     c.bytes, once, written);
        assert_int_equal(c.calls, 1);
        assert_true(c.flops >= 0);
        ff_op_call_free(call);
    }
}

static struct ff_cost cost_of(struct ff_op_case what)
{
    struct ff_op_call *call = ff_op_call_create(&what, 1, NULL);
    struct ff_cost cost = ff_op_call_cost(call);
    ff_op_call_free(call);
    return cost;
}
#define FLOPS(name, ...) cost_of((struct ff_op_case){.op = FF_OP_##name, __VA_ARGS__}).flops
#define FUNCTIONS(name, ...) cost_of((struct ff_op_case){.op = FF_OP_##name, __VA_ARGS__}).functions

static void test_flops(void **state)
{
    (void)state;
    assert_true(FLOPS(linear, .t = 2, .i = 3, .j = 5, .c = 7, .n = 11) == 2.0 * 2 * 3 * 5 * 7 * 11);
    assert_true(FLOPS(pair_bias, .i = 3, .j = 5, .c = 7, .h = 2) == 2.0 * 3 * 5 * 7 * 2);
    /* q.k and weights times v */
    assert_true(FLOPS(attention, .i = 3, .j = 5, .h = 2, .d = 8) == 2 * 2.0 * 3 * 2 * 5 * 5 * 8);
    /* k, v, gate and output of every element, its logits and weighted values; the queries once per column */
    assert_true(FLOPS(global_attention, .s = 3, .i = 5, .c = 7, .h = 2, .d = 4) ==
                2.0 * 15 * (7 * 8 + 7 * 8 + 8 * 7 + 2 * 8) + 2.0 * 5 * 7 * 8);
    assert_true(FLOPS(transition, .i = 3, .j = 5, .c = 7, .n = 11) == 2 * 2.0 * 3 * 5 * 7 * 11);
    assert_true(FLOPS(triangle_project, .i = 3, .k = 5, .c = 7, .n = 11) == 2 * 2.0 * 3 * 5 * 7 * 11);
    assert_true(FLOPS(triangle_contract, .n = 2, .i = 3, .j = 5, .k = 7) == 2.0 * 2 * 3 * 5 * 7);
    assert_true(FLOPS(triangle_output, .i = 3, .j = 5, .c = 7, .n = 11) == 2.0 * 15 * (11 * 7 + 7 * 7));
    /* outer products and their mask, then the projection */
    assert_true(FLOPS(outer_product_mean, .s = 4, .i = 3, .j = 5, .n = 2, .c = 7) ==
                2.0 * 15 * 4 * (2 * 2 + 1) + 2.0 * 15 * 2 * 2 * 7);
    assert_true(FLOPS(template_attention, .t = 2, .i = 3, .j = 5, .c = 7, .n = 6, .h = 2, .d = 4) ==
                2.0 * 15 * (7 * 8 + 8 * 7 + 2 * (6 * 8 + 6 * 8 + 2 * 8)));
    assert_true(FLOPS(point_attention, .i = 3, .j = 5, .c = 7, .h = 2, .d = 4, .v = 6, .p = 3) ==
                2.0 * 15 * 2 * (4 + 3 * 3 + 6 + 3 * 6 + 7 + 7));
    assert_true(FLOPS(symmetric_linear, .i = 3, .j = 3, .c = 7, .n = 4) == 2.0 * 9 * 7 * 4);
    assert_true(FLOPS(aligned_error, .i = 3, .j = 5, .c = 7, .n = 4) == 2.0 * 15 * 7 * 4);
    /* memory only */
    assert_true(FLOPS(copy, .i = 3, .c = 7) == 0);
    assert_true(FLOPS(layer_norm, .i = 3, .c = 7) == 0);
}

static void test_functions(void **state)
{
    (void)state;
    assert_true(FUNCTIONS(copy, .i = 3, .c = 7) == 0);
    assert_true(FUNCTIONS(layer_norm, .i = 3, .c = 7) == 3 * 7);
    assert_true(FUNCTIONS(linear, .i = 3, .c = 7, .n = 2) == 0);
    assert_true(FUNCTIONS(linear, .i = 3, .c = 7, .n = 2, .flags = FF_CASE_NORM) == 3 * 7);
    /* the softmax; the gates */
    assert_true(FUNCTIONS(attention, .i = 3, .j = 5, .h = 2, .d = 8) == 3 * 2 * 5 * 5 + 2 * 3 * 5 * 16);
    assert_true(FUNCTIONS(triangle_project, .i = 3, .k = 5, .c = 7, .n = 11) == 15 * 7 + 2 * 15 * 11);
    assert_true(FUNCTIONS(point_attention, .i = 3, .j = 5, .c = 7, .h = 2, .d = 4, .v = 6, .p = 3) == 15 * (7 + 2));
    /* two distances of each pair */
    assert_true(FUNCTIONS(distance_change, .i = 4) == 2 * 6);
}

static void test_updates(void **state)
{
    (void)state;
    const struct { struct ff_op_case what; double bytes; } expected[] = {
        {{.op = FF_OP_layer_norm, .i = 3, .c = 8}, 4.0 * (24 + 24 + 16)},
        {{.op = FF_OP_layer_norm, .i = 3, .c = 8, .flags = FF_CASE_ACCUMULATE}, 4.0 * (24 + 24 + 24 + 16)},
        {{.op = FF_OP_linear, .i = 3, .c = 8, .n = 2}, 4.0 * (6 + 24 + 16)},
        {{.op = FF_OP_linear, .i = 3, .c = 8, .n = 2, .flags = FF_CASE_ACCUMULATE}, 4.0 * (6 + 6 + 24 + 16)},
        {{.op = FF_OP_scale_add, .i = 3, .c = 8, .flags = FF_CASE_X}, 4.0 * (24 + 24)},
        {{.op = FF_OP_scale_add, .i = 3, .c = 8, .flags = FF_CASE_X | FF_CASE_ACCUMULATE}, 4.0 * (24 + 24 + 24)},
        /* z is read once although the op sees it twice */
        {{.op = FF_OP_symmetric_linear, .i = 3, .j = 3, .c = 8, .n = 2}, 4.0 * (9 * 2 + 9 * 8 + 16 + 2)},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct ff_op_call *call = ff_op_call_create(&expected[i].what, 1, NULL);
        assert_true(ff_op_call_cost(call).bytes == expected[i].bytes);
        ff_op_call_free(call);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_flops),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
