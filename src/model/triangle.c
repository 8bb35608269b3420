/* SPDX-License-Identifier: Apache-2.0
 * triangle: see triangle.h.
 */
#include "model/triangle.h"

/* Scratch [c, rows, n], its rows at multiples of 8 elements: 16 bytes in bf16, as fast kernels want them. */
static struct ff_tensor push_rows(const struct ff_context *ctx, enum ff_dtype type, int64_t c, int64_t rows, int64_t n)
{
    return ff_tensor_slice(FF_PUSH(ctx, type, c, rows, (n + 7) / 8 * 8), 2, 0, n);
}

/* Incoming edges are outgoing edges of the transposed pair: with left and right named as in the parameters,
 * z[i, j] += sum_k left[k, j] right[k, i] reads, for t = z transposed, t[j, i] += sum_k left'[j, k] right'[i, k].
 *
 * In place: the right operand is made from the whole pair first (the one pair-sized temporary), then rows of the left
 * operand, which depend on those rows only, are made, contracted and added piece by piece. */
void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_tensor z, struct ff_tensor pair_mask)
{
    if (edges == FF_INCOMING) {
        z = ff_tensor_transpose(z, 0, 1);
        pair_mask = ff_tensor_transpose(pair_mask, 0, 1);
    }
    int64_t n_res = z.shape[0], c_i = w->left_projection.w.shape[1];
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor right = push_rows(ctx, z.dtype, c_i, n_res, n_res);
    FF_OP(ctx->be, triangle_project, .out = right, .z = z, .mask = pair_mask, .norm = w->layer_norm_input,
          .w = w->right_projection.w, .b = w->right_projection.b, .gate_w = w->right_gate.w, .gate_b = w->right_gate.b);

    int64_t rows = ff_context_rows(ctx, n_res, 2 * c_i * ((n_res + 7) / 8 * 8) * (int64_t)ff_dtype_size(z.dtype));
    size_t loop = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n_res; from += rows) {
        int64_t n = from + rows <= n_res ? rows : n_res - from;
        struct ff_tensor part = ff_tensor_slice(z, 0, from, n);
        struct ff_tensor left = push_rows(ctx, z.dtype, c_i, n, n_res);
        struct ff_tensor product = push_rows(ctx, z.dtype, c_i, n, n_res);
        FF_OP(ctx->be, triangle_project, .out = left, .z = part, .mask = ff_tensor_slice(pair_mask, 0, from, n),
              .norm = w->layer_norm_input, .w = w->left_projection.w, .b = w->left_projection.b,
              .gate_w = w->left_gate.w, .gate_b = w->left_gate.b);
        FF_OP(ctx->be, triangle_contract, .out = product, .a = left, .b = right);
        FF_OP(ctx->be, triangle_output, .out = part, .x = product, .center_norm = w->center_layer_norm,
              .o_w = w->output_projection.w, .o_b = w->output_projection.b, .norm = w->layer_norm_input,
              .gate_w = w->gating_linear.w, .gate_b = w->gating_linear.b);
        ff_arena_release(ctx->arena, loop);
    }
    ff_arena_release(ctx->arena, mark);
}
