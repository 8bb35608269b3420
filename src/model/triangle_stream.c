/* SPDX-License-Identifier: Apache-2.0
 * triangle_stream: see triangle_stream.h.
 */
#include "model/triangle_stream.h"

enum { MOST_ROWS = 128 };            /* of a piece of the right operand */

struct stream {
    const struct ff_context *ctx;
    const struct ff_triangle_weights *w;
    struct ff_tensor z;              /* [N, N, c_z] */
    struct ff_tensor mask;           /* [N, N] */
    int64_t n_res, c_i;
    int64_t right_rows, left_rows;   /* of a piece */
    struct ff_tensor buffer[2];      /* [c_i, right_rows, N]: the pieces that come and go */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Bytes of one row of an operand. */
static int64_t row_bytes(enum ff_dtype dtype, int64_t n_res, int64_t c_i)
{
    return c_i * ((n_res + 7) / 8 * 8) * (int64_t)ff_dtype_size(dtype);
}

int64_t ff_triangle_stream_bytes(enum ff_dtype dtype, int64_t n_res, int64_t c_i)
{
    return n_res * row_bytes(dtype, n_res, c_i);
}

/* rows of a buffer [c_i, .., N] as [c_i, rows, N]; whole: with what its rows are padded with, so that it is
 * contiguous. */
static struct ff_tensor rows_of(struct ff_tensor buffer, int64_t rows, bool whole)
{
    int64_t n = buffer.shape[2];
    buffer.shape[1] = rows;
    buffer.stride[0] = rows * buffer.stride[1];
    buffer.shape[2] = whole ? buffer.stride[1] : n;
    return buffer;
}

static char *place(const struct stream *s, int64_t row)
{
    return s->ctx->operand == NULL ? NULL : s->ctx->operand + row * row_bytes(s->z.dtype, s->n_res, s->c_i);
}

static void project(const struct stream *s, struct ff_tensor out, int64_t from, int64_t n,
                    const struct ff_linear_weights *value, const struct ff_linear_weights *gate)
{
    FF_OP(s->ctx->be, triangle_project, .out = out, .z = ff_tensor_slice(s->z, 0, from, n),
          .mask = ff_tensor_slice(s->mask, 0, from, n), .norm = s->w->layer_norm_input, .w = value->w, .b = value->b,
          .gate_w = gate->w, .gate_b = gate->b);
}

static void store_right(const struct stream *s)
{
    struct ff_backend *be = s->ctx->be;
    for (int64_t row = 0, k = 0; row < s->n_res; row += s->right_rows, k++) {
        int64_t n = least(s->right_rows, s->n_res - row);
        be->settle(be);
        project(s, rows_of(s->buffer[k % 2], n, false), row, n, &s->w->right_projection, &s->w->right_gate);
        struct ff_tensor all = rows_of(s->buffer[k % 2], n, true);
        be->store(be, place(s, row), &all);
    }
}

static void fetch(const struct stream *s, int64_t row)
{
    if (row >= s->n_res)
        return;
    struct ff_tensor all = rows_of(s->buffer[row / s->right_rows % 2], least(s->right_rows, s->n_res - row), true);
    s->ctx->be->fetch(s->ctx->be, &all, place(s, row));
}

/* part[i, j] for all j += the gated projection of sum_k left[i, k] right[j, k]. */
static void add_products(const struct stream *s, struct ff_tensor part, struct ff_tensor left)
{
    const struct ff_triangle_weights *w = s->w;
    struct ff_backend *be = s->ctx->be;
    size_t mark = ff_arena_mark(s->ctx->arena);
    fetch(s, 0);
    for (int64_t row = 0; row < s->n_res; row += s->right_rows) {
        int64_t n = least(s->right_rows, s->n_res - row);
        struct ff_tensor right = rows_of(s->buffer[row / s->right_rows % 2], n, false);
        struct ff_tensor product = ff_pair_push(s->ctx, part.dtype, s->c_i, part.shape[0], n);
        be->settle(be);
        fetch(s, row + s->right_rows);
        FF_OP(be, triangle_contract, .out = product, .a = left, .b = right);
        FF_OP(be, triangle_output, .out = ff_tensor_slice(part, 1, row, n), .x = product,
              .center_norm = w->center_layer_norm, .o_w = w->output_projection.w, .o_b = w->output_projection.b,
              .norm = w->layer_norm_input, .gate_w = w->gating_linear.w, .gate_b = w->gating_linear.b);
        ff_arena_release(s->ctx->arena, mark);
    }
}

void ff_triangle_stream(const struct ff_context *ctx, const struct ff_triangle_weights *w, struct ff_pair *p)
{
    struct stream s = {.ctx = ctx, .w = w, .z = p->z, .mask = p->mask, .n_res = p->n_res,
                       .c_i = w->left_projection.w.shape[1]};
    int64_t row = row_bytes(s.z.dtype, s.n_res, s.c_i), size = (int64_t)ff_dtype_size(s.z.dtype);
    /* A quarter for the two pieces of the right operand, the rest for the left one and its products. */
    s.right_rows = least(ctx->left_bytes / 4 / (2 * row), least(MOST_ROWS, s.n_res));
    s.right_rows = s.right_rows < 1 ? 1 : s.right_rows;
    s.left_rows = (ctx->left_bytes - 2 * row * s.right_rows) / (row + s.c_i * (s.right_rows + 7) * size);
    s.left_rows = least(s.left_rows < 1 ? 1 : s.left_rows, s.n_res);
    size_t mark = ff_arena_mark(ctx->arena);
    for (int k = 0; k < 2; k++)
        s.buffer[k] = ff_pair_push(ctx, s.z.dtype, s.c_i, s.right_rows, s.n_res);
    store_right(&s);
    size_t loop = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < s.n_res; from += s.left_rows) {
        int64_t n = least(s.left_rows, s.n_res - from);
        struct ff_tensor left = ff_pair_push(ctx, s.z.dtype, s.c_i, n, s.n_res);
        project(&s, left, from, n, &w->left_projection, &w->left_gate);
        add_products(&s, ff_tensor_slice(s.z, 0, from, n), left);
        ff_arena_release(ctx->arena, loop);
    }
    ff_arena_release(ctx->arena, mark);
}
