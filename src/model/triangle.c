/* SPDX-License-Identifier: Apache-2.0
 * triangle: see triangle.h.
 */
#include "model/triangle.h"

/* Right rows of which every rank gets a piece at a time: bounds of piece k of rank root. */
struct piece {
    int root;
    int64_t at, count;               /* within the root's rows */
    int64_t column;                  /* of the pair: where the rows stand as second index */
};

/* One rank has one piece: all of its rows. Several ranks send pieces of at most `rows`. */
static int64_t piece_rows(const struct ff_context *ctx, int64_t n_res, int64_t row_bytes)
{
    return ff_dap_size(ctx->dap) == 1 ? n_res : ff_context_rows(ctx, ff_dap_count(ctx->dap, n_res, 0), row_bytes);
}

static bool next_piece(const struct ff_context *ctx, int64_t n_res, int64_t rows, struct piece *p)
{
    if (p->count == 0)
        *p = (struct piece){.root = 0, .at = 0};
    else
        p->at += p->count;
    while (p->root < ff_dap_size(ctx->dap) && p->at >= ff_dap_count(ctx->dap, n_res, p->root)) {
        p->root++;
        p->at = 0;
    }
    if (p->root == ff_dap_size(ctx->dap))
        return false;
    int64_t left = ff_dap_count(ctx->dap, n_res, p->root) - p->at;
    p->count = left < rows ? left : rows;
    p->column = ff_dap_from(ctx->dap, n_res, p->root) + p->at;
    return true;
}

/* part[i, j] for all j += the gated projection of sum_k left[i, k] right[j, k]; j comes in pieces of right rows. */
static void add_products(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_tensor part,
                         struct ff_tensor left, struct ff_tensor right, int64_t n_res)
{
    int64_t c_i = left.shape[0], n = part.shape[0];
    int64_t rows = piece_rows(ctx, n_res, 2 * c_i * n_res * (int64_t)ff_dtype_size(part.dtype));
    size_t mark = ff_arena_mark(ctx->arena);
    for (struct piece k = {0}; next_piece(ctx, n_res, rows, &k);) {
        bool own = k.root == ff_dap_rank(ctx->dap);
        struct ff_tensor piece = ff_tensor_slice(right, 1, own ? k.at : 0, own ? k.count : 0), buffer = {0};
        if (ff_dap_size(ctx->dap) > 1)
            buffer = ff_pair_push(ctx, part.dtype, c_i, k.count, n_res);
        piece = ff_dap_borrow(ctx->dap, k.root, piece, buffer);
        if (n > 0) {
            struct ff_tensor product = ff_pair_push(ctx, part.dtype, c_i, n, k.count);
            FF_OP(ctx->be, triangle_contract, .out = product, .a = left, .b = piece);
            FF_OP(ctx->be, triangle_output, .out = ff_tensor_slice(part, 1, k.column, k.count), .x = product,
                  .center_norm = w->center_layer_norm, .o_w = w->output_projection.w, .o_b = w->output_projection.b,
                  .norm = w->layer_norm_input, .gate_w = w->gating_linear.w, .gate_b = w->gating_linear.b);
        }
        ff_arena_release(ctx->arena, mark);
    }
}

/* Incoming edges are outgoing edges of the transposed pair: with left and right named as in the parameters,
 * z[i, j] += sum_k left[k, j] right[k, i] reads, for t = z transposed, t[j, i] += sum_k left'[j, k] right'[i, k].
 *
 * In place: the right operand is made from all rows first (in the spare buffer), then rows of the left operand, which
 * depend on those rows only, are made, contracted and added piece by piece. */
void ff_triangle_multiplication(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                enum ff_triangle_edges edges, struct ff_pair *p)
{
    if (edges == FF_INCOMING)
        ff_pair_transpose(ctx, p);
    struct ff_tensor z = p->z, mask = ff_pair_mask_rows(ctx, p);
    int64_t n_row = z.shape[0], n_res = p->n_res, c_i = w->left_projection.w.shape[1];
    size_t start = ff_arena_mark(ctx->arena);
    struct ff_tensor right = ff_pair_scratch(ctx, p, c_i, n_row);
    FF_OP(ctx->be, triangle_project, .out = right, .z = z, .mask = mask, .norm = w->layer_norm_input,
          .w = w->right_projection.w, .b = w->right_projection.b, .gate_w = w->right_gate.w, .gate_b = w->right_gate.b);

    /* Every rank goes through the same number of chunks, because they exchange pieces within each. */
    int64_t most = ff_dap_count(ctx->dap, n_res, 0);
    int64_t rows = ff_context_rows(ctx, most, 2 * c_i * (n_res + 7) * (int64_t)ff_dtype_size(z.dtype));
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < most; from += rows) {
        int64_t left_over = n_row - from, n = left_over < 0 ? 0 : left_over < rows ? left_over : rows;
        struct ff_tensor part = ff_tensor_slice(z, 0, n > 0 ? from : 0, n);
        struct ff_tensor left = ff_pair_push(ctx, z.dtype, c_i, n, n_res);
        if (n > 0)
            FF_OP(ctx->be, triangle_project, .out = left, .z = part,
                  .mask = ff_tensor_slice(mask, 0, from, n), .norm = w->layer_norm_input,
                  .w = w->left_projection.w, .b = w->left_projection.b, .gate_w = w->left_gate.w,
                  .gate_b = w->left_gate.b);
        add_products(ctx, w, part, left, right, n_res);
        ff_arena_release(ctx->arena, mark);
    }
    ff_arena_release(ctx->arena, start);
    if (edges == FF_INCOMING)
        ff_pair_transpose(ctx, p);
}
