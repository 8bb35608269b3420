/* SPDX-License-Identifier: Apache-2.0
 * attention: see attention.h.
 */
#include "model/attention.h"

struct bias {
    struct ff_tensor t;              /* [H, L, L] or absent */
    bool made;
    int64_t ticket;                  /* when it is there */
};

/* x += gated self-attention along axis 1, for every row of axis 0. Rows are independent once the bias is made, so any
 * number of them is worked on at a time, in place. */
static void gated_attention(const struct ff_context *ctx, const struct ff_attention_weights *w,
                            struct ff_tensor x /* [B, L, c] */, struct ff_tensor mask /* [B, L] */,
                            const struct bias *bias)
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
        if (from == 0)
            ff_dap_wait(ctx->dap, bias->ticket);
        FF_OP(ctx->be, attention, .out = out, .qkvg = qkvg, .mask = ff_tensor_slice(mask, 0, from, n),
              .bias = bias->t, .n_head = w->num_head);
        FF_OP(ctx->be, linear, .out = part, .x = out, .w = w->output.w, .b = w->output.b, .accumulate = true);
    }
    ff_arena_release(ctx->arena, mark);
}

/* Room for the bias of all pairs [H, N, N]; rows padded, as fast kernels want. */
static struct bias push_bias(const struct ff_context *ctx, const struct ff_attention_weights *w, enum ff_dtype dtype,
                             int64_t n)
{
    return (struct bias){.t = ff_pair_push(ctx, dtype, w->num_head, n, n), .ticket = -1};
}

/* Makes this rank's part of the bias, which lies along the axis, and sends it to the others, unless that is done. */
static void make_bias(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor pair,
                      int axis, struct bias *bias)
{
    if (bias->made)
        return;
    bias->made = true;
    FF_OP(ctx->be, pair_bias, .out = ff_dap_part(ctx->dap, bias->t, axis), .x = pair, .norm = w->pair_norm,
          .w = w->pair_bias);
    bias->ticket = ff_dap_share(ctx->dap, bias->t, axis);
}

/* x += gated self-attention along axis 0, which is split over the ranks, for every index of axis 1, of which each rank
 * takes its part: its rows come here a piece at a time, while attention works on the piece before. The bias is made
 * from the pair in the layout that it has (x of pair_bias), and gathered along the axis that this splits. */
static void visiting_attention(const struct ff_context *ctx, const struct ff_attention_weights *w,
                               struct ff_tensor x /* [I, B, c] */, struct ff_tensor mask /* [B, L] */,
                               struct ff_tensor pair, int axis, struct bias *bias)
{
    int64_t n_row = x.shape[1], len = mask.shape[1], most = ff_dap_count(ctx->dap, n_row, 0);
    struct ff_context pieces = *ctx, part = *ctx;
    pieces.chunk_bytes = ctx->chunk_bytes / 2; /* one piece that is here, two under way */
    if (ff_dap_size(ctx->dap) > 1 && ctx->chunk_bytes < ctx->chunk_most)
        part.chunk_bytes -= pieces.chunk_bytes; /* memory is short */
    int64_t row_bytes = FF_DAP_BUFFERS * len * x.shape[2] * (int64_t)ff_dtype_size(x.dtype);
    int64_t rows = ff_context_rows(&pieces, most, row_bytes);
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_dap_visit v;
    ff_dap_visit_open(ctx->dap, x, len, rows, &v);
    ff_dap_visit_fetch(&v, 0);
    make_bias(ctx, w, pair, axis, bias);
    struct ff_tensor own_mask = ff_dap_part(ctx->dap, mask, 0);
    for (int64_t k = 0; k < v.n_piece; k++) {
        ff_dap_visit_fetch(&v, k + 1);
        struct ff_tensor part_rows = ff_dap_visit_rows(&v, k);
        if (part_rows.shape[0] > 0)
            gated_attention(&part, w, part_rows, ff_tensor_slice(own_mask, 0, k * rows, part_rows.shape[0]), bias);
        ff_dap_visit_return(&v, k);
        ff_dap_visit_end(&v, k - 1);
    }
    ff_dap_visit_end(&v, v.n_piece - 1);
    ff_dap_visit_close(&v);
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_msa_row(const struct ff_context *ctx, const struct ff_attention_weights *w,
                          const struct ff_offload *m, struct ff_tensor msa_mask, const struct ff_pair *pair)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct bias bias = push_bias(ctx, w, pair->z.dtype, pair->n_res);
    struct ff_offload_visit v;
    struct ff_tensor part;
    ff_offload_visit_open(ctx, m, 0, 0, m->x.shape[0], ff_offload_size(m, 0, ctx->piece_bytes), FF_OFFLOAD_CHANGE, &v);
    while (ff_offload_visit_next(&v, &part))
        visiting_attention(ctx, w, ff_tensor_transpose(part, 0, 1), ff_tensor_slice(msa_mask, 0, v.at, v.count),
                           pair->z, 1, &bias);
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_msa_column(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor m,
                             struct ff_tensor msa_mask)
{
    const struct bias none = {.ticket = -1};
    gated_attention(ctx, w, ff_tensor_transpose(m, 0, 1), ff_tensor_transpose(msa_mask, 0, 1), &none);
}

void ff_attention_msa_column_global(const struct ff_context *ctx, const struct ff_global_attention_weights *w,
                                    struct ff_tensor m, struct ff_tensor msa_mask)
{
    FF_OP(ctx->be, global_attention, .out = m, .mask = msa_mask, .norm = w->query_norm, .q_w = w->query,
          .kv_w = w->key_value, .gate_w = w->gate.w, .gate_b = w->gate.b, .o_w = w->output.w, .o_b = w->output.b,
          .n_head = w->num_head);
}

static void starting_node(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_pair *p)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct bias bias = push_bias(ctx, w, p->z.dtype, p->n_res);
    make_bias(ctx, w, p->z, 1, &bias);
    gated_attention(ctx, w, p->z, ff_pair_mask_rows(ctx, p), &bias);
    ff_arena_release(ctx->arena, mark);
}

static void ending_node(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_pair *p)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct bias bias = push_bias(ctx, w, p->z.dtype, p->n_res);
    visiting_attention(ctx, w, p->z, ff_tensor_transpose(p->mask, 0, 1), ff_tensor_transpose(p->z, 0, 1), 2, &bias);
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_triangle(const struct ff_context *ctx, const struct ff_attention_weights *w,
                           enum ff_triangle_node node, struct ff_pair *p)
{
    if (node == FF_STARTING_NODE)
        starting_node(ctx, w, p);
    else
        ending_node(ctx, w, p);
}
