/* SPDX-License-Identifier: Apache-2.0
 * attention: see attention.h.
 */
#include "model/attention.h"

/* x += gated self-attention along axis 1, for every row of axis 0. Rows are independent once the bias is made, so any
 * number of them is worked on at a time, in place. */
static void gated_attention(const struct ff_context *ctx, const struct ff_attention_weights *w,
                            struct ff_tensor x /* [B, L, c] */, struct ff_tensor mask /* [B, L] */,
                            struct ff_tensor bias /* [H, L, L] or absent */)
{
    int64_t n_row = x.shape[0], len = x.shape[1], hd = w->output.w.shape[0];
    int64_t rows = ff_context_rows(ctx, n_row, len * 5 * hd * (int64_t)ff_dtype_size(x.dtype));
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor qkvg_all = FF_PUSH(ctx, x.dtype, rows, len, 4 * hd);
    struct ff_tensor out_all = FF_PUSH(ctx, x.dtype, rows, len, hd);

    for (int64_t from = 0; from < n_row; from += rows) {
        int64_t n = from + rows <= n_row ? rows : n_row - from;
        struct ff_tensor part = ff_tensor_slice(x, 0, from, n);
        struct ff_tensor qkvg = ff_tensor_slice(qkvg_all, 0, 0, n), out = ff_tensor_slice(out_all, 0, 0, n);
        FF_OP(ctx->be, linear, .out = qkvg, .x = part, .norm = w->query_norm, .w = w->qkvg.w, .b = w->qkvg.b);
        FF_OP(ctx->be, attention, .out = out, .qkvg = qkvg, .mask = ff_tensor_slice(mask, 0, from, n), .bias = bias,
              .n_head = w->num_head);
        FF_OP(ctx->be, linear, .out = part, .x = out, .w = w->output.w, .b = w->output.b, .accumulate = true);
    }
    ff_arena_release(ctx->arena, mark);
}

/* The bias of all ranks' rows: every query needs the bias of all pairs. */
static struct ff_tensor pair_bias(const struct ff_context *ctx, const struct ff_attention_weights *w,
                                  const struct ff_pair *p)
{
    struct ff_tensor rows = FF_PUSH(ctx, p->z.dtype, w->num_head, p->z.shape[0], p->n_res);
    FF_OP(ctx->be, pair_bias, .out = rows, .x = p->z, .norm = w->pair_norm, .w = w->pair_bias);
    return ff_dap_gather(ctx->dap, rows, 1, p->n_res); /* [H, N, N] */
}

void ff_attention_msa_row(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor m,
                          struct ff_tensor msa_mask, const struct ff_pair *pair)
{
    size_t mark = ff_arena_mark(ctx->arena);
    gated_attention(ctx, w, m, msa_mask, pair_bias(ctx, w, pair));
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_msa_column(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor m,
                             struct ff_tensor msa_mask)
{
    gated_attention(ctx, w, ff_tensor_transpose(m, 0, 1), ff_tensor_transpose(msa_mask, 0, 1), (struct ff_tensor){0});
}

void ff_attention_msa_column_global(const struct ff_context *ctx, const struct ff_global_attention_weights *w,
                                    struct ff_tensor m, struct ff_tensor msa_mask)
{
    FF_OP(ctx->be, global_attention, .out = m, .mask = msa_mask, .norm = w->query_norm, .q_w = w->query,
          .kv_w = w->key_value, .gate_w = w->gate.w, .gate_b = w->gate.b, .o_w = w->output.w, .o_b = w->output.b,
          .n_head = w->num_head);
}

void ff_attention_triangle(const struct ff_context *ctx, const struct ff_attention_weights *w,
                           enum ff_triangle_node node, struct ff_pair *p)
{
    if (node == FF_ENDING_NODE)
        ff_pair_transpose(ctx, p);
    size_t mark = ff_arena_mark(ctx->arena);
    gated_attention(ctx, w, p->z, ff_pair_mask_rows(ctx, p), pair_bias(ctx, w, p));
    ff_arena_release(ctx->arena, mark);
    if (node == FF_ENDING_NODE)
        ff_pair_transpose(ctx, p);
}
