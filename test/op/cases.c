/* SPDX-License-Identifier: Apache-2.0
 * For every op: a plain case of ordinary sizes, sizes of 1, sizes that are no multiple of anything (tiles of 192 rows,
 * vectors of 16, blocks of 128 keys), every switch, strided and transposed operands, masks with holes, with empty rows
 * and with nothing at all.
 */
#include "op/cases.h"

#include <stdio.h>

#include "base/strbuf.h"

#define CASE(name, ...) {.op = FF_OP_##name, __VA_ARGS__}
#define TR FF_CASE_TRANSPOSED
#define GAPS FF_CASE_GAPS
#define EMPTY FF_CASE_EMPTY
#define FULL FF_CASE_UNMASKED
#define NORM FF_CASE_NORM
#define BIAS FF_CASE_BIAS
#define MASK FF_CASE_MASK
#define ACC FF_CASE_ACCUMULATE
#define RELU FF_CASE_RELU

const struct ff_op_case op_cases[] = {
    CASE(copy, .i = 7, .j = 5, .c = 33),
    CASE(copy, .i = 1, .c = 1),
    CASE(copy, .i = 64, .j = 3, .c = 128),
    CASE(copy, .t = 3, .i = 7, .j = 5, .c = 17, .flags = TR | GAPS),
    CASE(copy, .i = 9, .j = 11, .c = 8, .flags = FF_CASE_INT),
    CASE(copy, .i = 9, .j = 11, .c = 8, .flags = FF_CASE_INT | GAPS),
    CASE(copy, .i = 9, .j = 11, .c = 24, .flags = FF_CASE_BF16_IN),
    CASE(copy, .i = 9, .j = 11, .c = 24, .flags = FF_CASE_BF16_OUT | TR),
    CASE(copy, .i = 9, .j = 11, .c = 23, .flags = FF_CASE_BF16_IN | FF_CASE_BF16_OUT | GAPS),

    CASE(fill, .i = 7, .j = 5, .c = 33),
    CASE(fill, .i = 1, .c = 1),
    CASE(fill, .i = 40, .j = 50, .c = 64, .flags = GAPS | TR),
    CASE(fill, .i = 9, .j = 11, .c = 8, .flags = FF_CASE_INT | GAPS),

    CASE(scale_add, .i = 7, .j = 5, .c = 33, .flags = FF_CASE_X | ACC),
    CASE(scale_add, .i = 7, .j = 5, .c = 33, .flags = FF_CASE_X),
    CASE(scale_add, .i = 7, .j = 5, .c = 33, .flags = ACC),
    CASE(scale_add, .i = 7, .j = 5, .c = 33),
    CASE(scale_add, .i = 1, .c = 1, .flags = FF_CASE_X | ACC),
    CASE(scale_add, .i = 70, .j = 31, .c = 64, .flags = FF_CASE_X | ACC | TR | GAPS),

    CASE(layer_norm, .i = 7, .j = 5, .c = 33),
    CASE(layer_norm, .i = 1, .c = 1),
    CASE(layer_norm, .i = 3, .c = 2, .flags = ACC),
    CASE(layer_norm, .i = 20, .j = 21, .c = 256, .flags = FF_CASE_IN_PLACE),
    CASE(layer_norm, .i = 20, .j = 21, .c = 128, .flags = ACC | TR),
    CASE(layer_norm, .t = 2, .i = 9, .j = 8, .c = 384, .flags = GAPS | TR),
    CASE(layer_norm, .i = 401, .c = 64, .flags = FF_CASE_IN_PLACE | GAPS),

    CASE(linear, .i = 20, .j = 30, .c = 128, .n = 64),
    CASE(linear, .i = 1, .c = 1, .n = 1),
    CASE(linear, .i = 1, .j = 1, .c = 7, .n = 3, .flags = BIAS | MASK | NORM),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | FF_CASE_RELU_INPUT),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | NORM | RELU),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = RELU),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = ACC),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | ACC | MASK),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | ACC | RELU),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = ACC | RELU),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = MASK | RELU),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = MASK | ACC | EMPTY),
    CASE(linear, .i = 25, .j = 17, .c = 64, .n = 40, .flags = BIAS | NORM | MASK | TR | GAPS),
    CASE(linear, .i = 25, .j = 17, .c = 64, .n = 40, .flags = BIAS | ACC | TR),
    CASE(linear, .t = 3, .i = 25, .j = 17, .c = 22, .n = 40, .flags = BIAS | NORM | GAPS),
    CASE(linear, .i = 21, .j = 22, .c = 128, .n = 512, .flags = NORM),
    CASE(linear, .i = 70, .c = 2112, .n = 384, .flags = BIAS | ACC),
    CASE(linear, .i = 300, .c = 49, .n = 256, .flags = BIAS),
    /* the fused kernels of the GPU: more tiles of W than fit at once, a ragged last tile of rows or columns */
    CASE(linear, .i = 230, .j = 2, .c = 256, .n = 448, .flags = BIAS | NORM | TR),
    CASE(linear, .i = 25, .j = 9, .c = 256, .n = 256, .flags = BIAS | ACC | TR | GAPS),
    CASE(linear, .i = 31, .j = 14, .c = 256, .n = 64, .flags = BIAS | NORM | MASK),
    CASE(linear, .i = 13, .j = 15, .c = 256, .n = 32, .flags = BIAS | NORM | MASK | RELU | TR),
    CASE(linear, .i = 25, .j = 9, .c = 256, .n = 32, .k = 32, .flags = BIAS | NORM | MASK | TR | FF_CASE_MORE),
    CASE(linear, .i = 25, .j = 9, .c = 256, .n = 448, .flags = BIAS | NORM | TR | FF_CASE_PLACES),
    CASE(linear, .i = 16, .j = 20, .c = 128, .n = 128, .flags = BIAS | ACC | GAPS | FF_CASE_PLACES),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | ACC | FF_CASE_PLACES),
    CASE(linear, .i = 43, .j = 9, .c = 64, .n = 72, .k = 72, .flags = BIAS | ACC | GAPS | FF_CASE_MORE),
    CASE(linear, .i = 25, .j = 9, .c = 128, .n = 32, .k = 48, .flags = BIAS | NORM | FF_CASE_MORE),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .k = 5, .flags = MASK | RELU | ACC | FF_CASE_MORE),
    CASE(linear, .i = 1200, .c = 64, .n = 8, .flags = NORM | ACC),
    CASE(linear, .t = 3, .i = 9, .j = 11, .c = 128, .n = 128, .flags = BIAS | ACC | MASK | GAPS),
    CASE(linear, .i = 17, .j = 16, .c = 128, .n = 712, .flags = BIAS | RELU | GAPS),
    CASE(linear, .i = 33, .j = 5, .c = 64, .n = 192, .flags = FF_CASE_RELU_INPUT | ACC),
    CASE(linear, .i = 3, .c = 64, .n = 256, .flags = BIAS | NORM),
    /* before and after attention */
    CASE(linear, .i = 15, .j = 14, .c = 256, .n = 448, .flags = BIAS | NORM | TR | FF_CASE_TO_ATTENTION),
    CASE(linear, .i = 21, .j = 22, .c = 128, .n = 132, .flags = NORM | GAPS | FF_CASE_TO_ATTENTION),
    CASE(linear, .i = 33, .j = 13, .c = 64, .n = 32, .flags = BIAS | MASK | FF_CASE_TO_ATTENTION),
    CASE(linear, .i = 9, .j = 11, .c = 192, .n = 76, .flags = BIAS | RELU | FF_CASE_TO_ATTENTION),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | NORM | FF_CASE_TO_ATTENTION),
    CASE(linear, .i = 25, .j = 9, .c = 256, .n = 256, .flags = BIAS | ACC | TR | GAPS | FF_CASE_OF_ATTENTION),
    CASE(linear, .i = 21, .j = 10, .c = 128, .n = 128, .flags = BIAS | ACC | FF_CASE_OF_ATTENTION),
    CASE(linear, .i = 400, .c = 64, .n = 64, .flags = BIAS | ACC | FF_CASE_OF_ATTENTION),
    CASE(linear, .i = 5, .j = 7, .c = 33, .n = 9, .flags = BIAS | ACC | GAPS | FF_CASE_OF_ATTENTION),
    /* outputs that the cpu writes past its caches: whole lines, and rows with an end */
    CASE(linear, .i = 4200, .c = 8, .n = 1024, .flags = BIAS | RELU),
    CASE(linear, .i = 4200, .c = 8, .n = 1016, .flags = BIAS | GAPS),

    CASE(pair_bias, .i = 20, .j = 20, .c = 128, .h = 8),
    CASE(pair_bias, .i = 1, .j = 1, .c = 1, .h = 1),
    CASE(pair_bias, .i = 13, .j = 29, .c = 64, .h = 4, .flags = TR),
    CASE(pair_bias, .i = 29, .j = 13, .c = 37, .h = 3, .flags = TR | GAPS),
    CASE(pair_bias, .i = 5, .j = 301, .c = 128, .h = 4),
    CASE(pair_bias, .i = 37, .j = 23, .c = 128, .h = 8, .flags = TR | GAPS),
    CASE(pair_bias, .i = 3, .j = 50, .c = 64, .h = 5),

    CASE(attention, .i = 5, .j = 64, .h = 4, .d = 32, .flags = BIAS),
    CASE(attention, .i = 1, .j = 1, .h = 1, .d = 1, .flags = BIAS),
    CASE(attention, .i = 1, .j = 1, .h = 1, .d = 8, .flags = EMPTY),
    CASE(attention, .i = 9, .j = 37, .h = 8, .d = 8, .flags = BIAS),
    CASE(attention, .i = 9, .j = 37, .h = 4, .d = 16, .flags = BIAS | EMPTY),
    CASE(attention, .i = 9, .j = 37, .h = 8, .d = 32, .flags = EMPTY),
    CASE(attention, .i = 10, .j = 131, .h = 2, .d = 32, .flags = BIAS | TR | GAPS | EMPTY),
    CASE(attention, .i = 10, .j = 131, .h = 8, .d = 32, .flags = TR | GAPS),
    CASE(attention, .i = 3, .j = 200, .h = 3, .d = 13, .flags = BIAS),
    CASE(attention, .i = 2, .j = 700, .h = 2, .d = 8, .flags = BIAS | EMPTY),
    CASE(attention, .i = 2, .j = 1100, .h = 1, .d = 32, .flags = FULL),
    CASE(attention, .i = 3, .j = 200, .h = 1, .d = 32, .flags = BIAS | FF_CASE_LATE),
    CASE(attention, .i = 3, .j = 200, .h = 2, .d = 16, .flags = FF_CASE_LATE | EMPTY),
    CASE(attention, .i = 5, .j = 33, .h = 1, .d = 130, .flags = BIAS),
    CASE(attention, .i = 2, .j = 2900, .h = 1, .d = 32, .flags = BIAS | EMPTY),

    CASE(global_attention, .s = 40, .i = 20, .c = 64, .h = 8, .d = 8),
    CASE(global_attention, .s = 1, .i = 1, .c = 1, .h = 1, .d = 1),
    CASE(global_attention, .s = 37, .i = 9, .c = 64, .h = 8, .d = 8, .flags = EMPTY),
    CASE(global_attention, .s = 301, .i = 11, .c = 64, .h = 8, .d = 8, .flags = EMPTY | GAPS),
    CASE(global_attention, .s = 129, .i = 3, .c = 40, .h = 3, .d = 5, .flags = TR | GAPS | EMPTY),
    CASE(global_attention, .s = 301, .i = 27, .c = 64, .h = 8, .d = 8, .flags = TR | EMPTY),
    CASE(global_attention, .s = 2000, .i = 2, .c = 64, .h = 8, .d = 8, .flags = TR),
    CASE(global_attention, .s = 33000, .i = 2, .c = 8, .h = 1, .d = 8),

    CASE(transition, .i = 15, .j = 17, .c = 128, .n = 512),
    CASE(transition, .i = 1, .c = 1, .n = 1),
    CASE(transition, .i = 13, .j = 7, .c = 33, .n = 41, .flags = TR | GAPS),
    CASE(transition, .i = 70, .j = 5, .c = 256, .n = 1024),
    CASE(transition, .i = 9, .j = 31, .c = 64, .n = 256, .flags = TR),
    CASE(transition, .i = 40, .j = 17, .c = 64, .n = 128),
    CASE(transition, .i = 300, .c = 128, .n = 512),
    CASE(transition, .i = 30, .j = 11, .c = 128, .n = 512, .flags = TR | GAPS),
    CASE(transition, .i = 401, .j = 2, .c = 128, .n = 192),
    CASE(transition, .i = 3, .j = 201, .c = 256, .n = 128, .flags = TR | GAPS),
    CASE(transition, .i = 33, .j = 13, .c = 64, .n = 704),

    CASE(triangle_project, .i = 20, .k = 20, .c = 128, .n = 128),
    CASE(triangle_project, .i = 1, .k = 1, .c = 1, .n = 1),
    CASE(triangle_project, .i = 13, .k = 29, .c = 128, .n = 64, .flags = TR),
    CASE(triangle_project, .i = 29, .k = 13, .c = 33, .n = 21, .flags = TR | GAPS | EMPTY),
    CASE(triangle_project, .i = 3, .k = 301, .c = 64, .n = 128, .flags = EMPTY),
    CASE(triangle_project, .i = 5, .k = 264, .c = 128, .n = 128, .flags = EMPTY),
    CASE(triangle_project, .i = 300, .k = 9, .c = 64, .n = 128, .flags = TR | GAPS),
    CASE(triangle_project, .i = 33, .k = 72, .c = 64, .n = 64, .flags = TR),
    CASE(triangle_project, .i = 21, .k = 40, .c = 128, .n = 128, .flags = FF_CASE_APART),
    CASE(triangle_project, .i = 11, .k = 37, .c = 128, .n = 128, .flags = FF_CASE_APART | GAPS),
    CASE(triangle_project, .i = 9, .k = 72, .c = 64, .n = 64, .flags = FF_CASE_APART | TR | GAPS),
    CASE(triangle_project, .i = 7, .k = 13, .c = 33, .n = 21, .flags = FF_CASE_APART | TR),
    CASE(triangle_project, .i = 3, .k = 5, .c = 9, .n = 1, .flags = FF_CASE_APART),
    CASE(triangle_project, .i = 11, .k = 37, .c = 128, .n = 128, .flags = FF_CASE_APART | FF_CASE_PLACES | GAPS),
    CASE(triangle_project, .i = 9, .k = 72, .c = 64, .n = 64, .flags = FF_CASE_APART | FF_CASE_PLACES | TR),
    CASE(triangle_project, .i = 7, .k = 13, .c = 33, .n = 21, .flags = FF_CASE_APART | FF_CASE_PLACES),

    CASE(triangle_contract, .n = 16, .i = 20, .j = 20, .k = 20),
    CASE(triangle_contract, .n = 1, .i = 1, .j = 1, .k = 1),
    CASE(triangle_contract, .n = 3, .i = 13, .j = 29, .k = 37, .flags = GAPS),
    CASE(triangle_contract, .n = 5, .i = 33, .j = 17, .k = 301),
    CASE(triangle_contract, .n = 2, .i = 270, .j = 140, .k = 65, .flags = GAPS),
    CASE(triangle_contract, .n = 4, .i = 40, .j = 24, .k = 64),

    CASE(triangle_output, .i = 20, .j = 20, .c = 128, .n = 128),
    CASE(triangle_output, .i = 1, .j = 1, .c = 1, .n = 1),
    CASE(triangle_output, .i = 13, .j = 29, .c = 128, .n = 64, .flags = TR),
    CASE(triangle_output, .i = 29, .j = 13, .c = 33, .n = 21, .flags = TR | GAPS),
    CASE(triangle_output, .i = 3, .j = 301, .c = 64, .n = 128),
    CASE(triangle_output, .i = 5, .j = 264, .c = 128, .n = 128),
    CASE(triangle_output, .i = 300, .j = 9, .c = 64, .n = 128, .flags = TR | GAPS),
    CASE(triangle_output, .i = 33, .j = 72, .c = 64, .n = 64, .flags = TR),
    CASE(triangle_output, .i = 21, .j = 40, .c = 128, .n = 128, .flags = FF_CASE_APART),
    CASE(triangle_output, .i = 11, .j = 37, .c = 128, .n = 128, .flags = FF_CASE_APART | GAPS),
    CASE(triangle_output, .i = 9, .j = 72, .c = 64, .n = 64, .flags = FF_CASE_APART | TR | GAPS),
    CASE(triangle_output, .i = 7, .j = 13, .c = 33, .n = 21, .flags = FF_CASE_APART | TR),
    CASE(triangle_output, .i = 3, .j = 5, .c = 9, .n = 1, .flags = FF_CASE_APART),

    CASE(outer_product_mean, .s = 30, .i = 20, .j = 20, .c = 128, .n = 32),
    CASE(outer_product_mean, .s = 1, .i = 1, .j = 1, .c = 1, .n = 1),
    CASE(outer_product_mean, .s = 9, .i = 13, .j = 21, .c = 64, .n = 32, .flags = EMPTY),
    CASE(outer_product_mean, .s = 70, .i = 21, .j = 11, .c = 128, .n = 32, .flags = TR | GAPS | EMPTY),
    CASE(outer_product_mean, .s = 5, .i = 7, .j = 9, .c = 19, .n = 5, .flags = TR),
    CASE(outer_product_mean, .s = 300, .i = 5, .j = 37, .c = 33, .n = 8),
    CASE(outer_product_mean, .s = 33, .i = 3, .j = 530, .c = 128, .n = 32, .flags = EMPTY),

    CASE(outer_sum, .i = 20, .j = 30, .c = 128, .flags = FF_CASE_LEFT),
    CASE(outer_sum, .i = 20, .j = 30, .c = 256),
    CASE(outer_sum, .i = 1, .j = 1, .c = 1, .flags = FF_CASE_LEFT),
    CASE(outer_sum, .i = 7, .j = 13, .c = 33, .flags = FF_CASE_LEFT | TR | GAPS),

    CASE(relative_position, .i = 80, .j = 80, .c = 128),
    CASE(relative_position, .i = 80, .j = 80, .c = 128, .flags = FF_CASE_CHAINS),
    CASE(relative_position, .i = 1, .j = 1, .c = 1),
    CASE(relative_position, .i = 7, .j = 90, .c = 33, .flags = FF_CASE_CHAINS | TR | GAPS),

    CASE(distance_embed, .i = 40, .j = 40, .c = 128, .n = 15),
    CASE(distance_embed, .i = 1, .j = 1, .c = 1, .n = 15),
    CASE(distance_embed, .i = 17, .j = 39, .c = 33, .n = 15, .flags = TR | GAPS),

    CASE(extra_msa_embed, .s = 30, .i = 21, .c = 64),
    CASE(extra_msa_embed, .s = 1, .i = 1, .c = 1),
    CASE(extra_msa_embed, .s = 13, .i = 37, .c = 33, .flags = GAPS),

    CASE(template_pair_embed, .i = 20, .j = 20, .c = 64, .n = 39, .flags = FF_CASE_UNIT | FF_CASE_MASK_ALL),
    CASE(template_pair_embed, .i = 20, .j = 20, .c = 64, .n = 39, .flags = FF_CASE_MASK_ALL),
    CASE(template_pair_embed, .i = 20, .j = 20, .c = 64, .n = 39,
         .flags = FF_CASE_UNIT | FF_CASE_CHAINS | FF_CASE_CLAMP),
    CASE(template_pair_embed, .i = 1, .j = 1, .c = 1, .n = 39, .flags = FF_CASE_UNIT | FULL),
    CASE(template_pair_embed, .i = 13, .j = 31, .c = 33, .n = 39,
         .flags = FF_CASE_UNIT | FF_CASE_CHAINS | TR | GAPS | EMPTY),

    CASE(template_attention, .t = 4, .i = 20, .j = 20, .c = 128, .n = 64, .h = 4, .d = 16),
    CASE(template_attention, .t = 1, .i = 1, .j = 1, .c = 1, .n = 1, .h = 1, .d = 1),
    CASE(template_attention, .t = 4, .i = 13, .j = 31, .c = 128, .n = 64, .h = 4, .d = 16, .flags = EMPTY | TR),
    CASE(template_attention, .t = 1, .i = 9, .j = 5, .c = 33, .n = 21, .h = 3, .d = 5, .flags = EMPTY | TR | GAPS),
    CASE(template_attention, .t = 20, .i = 3, .j = 70, .c = 128, .n = 64, .h = 4, .d = 16),

    CASE(point_attention, .i = 20, .j = 20, .c = 128, .h = 12, .d = 16, .v = 16, .p = 4),
    CASE(point_attention, .i = 1, .j = 1, .c = 1, .h = 1, .d = 1, .v = 1, .p = 1, .flags = FULL),
    CASE(point_attention, .i = 7, .j = 33, .c = 33, .h = 3, .d = 5, .v = 7, .p = 2, .flags = EMPTY | TR | GAPS),
    CASE(point_attention, .i = 3, .j = 140, .c = 128, .h = 12, .d = 16, .v = 16, .p = 4, .flags = TR),
    CASE(point_attention, .i = 21, .j = 140, .c = 128, .h = 12, .d = 16, .v = 16, .p = 4, .flags = EMPTY | GAPS),
    CASE(point_attention, .i = 5, .j = 131, .c = 48, .h = 7, .d = 3, .v = 5, .p = 2),
    CASE(point_attention, .i = 801, .j = 65, .c = 128, .h = 12, .d = 16, .v = 16, .p = 4),
    CASE(point_attention, .i = 14, .j = 1000, .c = 16, .h = 12, .d = 16, .v = 16, .p = 4),

    CASE(rigid_update, .i = 37),
    CASE(rigid_update, .i = 1),

    CASE(atoms_from_angles, .i = 37),
    CASE(atoms_from_angles, .i = 37, .flags = FF_CASE_MORE),
    CASE(atoms_from_angles, .i = 1),

    CASE(pseudo_beta, .i = 37),
    CASE(pseudo_beta, .i = 1),

    CASE(symmetric_linear, .i = 20, .j = 20, .c = 128, .n = 64),
    CASE(symmetric_linear, .i = 1, .j = 1, .c = 1, .n = 1),
    CASE(symmetric_linear, .i = 13, .j = 31, .c = 33, .n = 21, .flags = TR | GAPS),
    CASE(symmetric_linear, .i = 70, .j = 70, .c = 128, .n = 64, .flags = TR),

    CASE(aligned_error, .i = 20, .j = 20, .c = 128, .n = 64, .flags = FF_CASE_MORE),
    CASE(aligned_error, .i = 13, .j = 31, .c = 128, .n = 64, .flags = TR | GAPS),
    CASE(aligned_error, .i = 1, .j = 1, .c = 1, .n = 3, .flags = FF_CASE_MORE),
    CASE(aligned_error, .i = 3, .j = 301, .c = 33, .n = 21, .flags = FF_CASE_MORE),

    CASE(distance_change, .i = 43),
    CASE(distance_change, .i = 1, .flags = FULL),
    CASE(distance_change, .i = 300),
};
const int op_case_count = (int)(sizeof op_cases / sizeof op_cases[0]);

const char *op_case_text(const struct ff_op_case *c, char *buf, size_t size)
{
    const struct { char letter; int64_t size; } sizes[] = {
        {'s', c->s}, {'t', c->t}, {'i', c->i}, {'j', c->j}, {'k', c->k}, {'c', c->c},
        {'n', c->n}, {'h', c->h}, {'d', c->d}, {'p', c->p}, {'v', c->v},
    };
    static const char *const flag[] = {
        "transposed", "gaps", "unmasked", "empty", "norm", "bias", "mask", "relu_input", "relu", "accumulate",
        "in_place", "left", "chains", "unit", "mask_all", "clamp", "more", "x", "bf16_in", "bf16_out", "int",
        "late", "apart", "to_attention", "of_attention", "places",
    };
    struct ff_strbuf s = {0};
    ff_strbuf_puts(&s, ff_op_name[c->op]);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].size > 0)
            ff_strbuf_printf(&s, " %c %lld", sizes[i].letter, (long long)sizes[i].size);
    for (size_t i = 0; i < sizeof flag / sizeof flag[0]; i++)
        if (c->flags & 1 << i)
            ff_strbuf_printf(&s, " +%s", flag[i]);
    snprintf(buf, size, "%s", ff_strbuf_cstr(&s));
    ff_strbuf_free(&s);
    return buf;
}
