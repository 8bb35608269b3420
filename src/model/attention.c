/* SPDX-License-Identifier: Apache-2.0
 * attention: see attention.h.
 */
#include "model/attention.h"

struct bias {
    struct ff_tensor pairs;          /* what it is made of: a part of all pairs */
    int axis;                        /* of t, along which that part lies */
    struct ff_tensor t;              /* [H, L, L] or absent */
    bool made;
    int64_t ticket;                  /* when it is there */
};

/* Room for the bias of all pairs [H, N, N]; rows padded, as fast kernels want. */
static struct bias push_bias(const struct ff_context *ctx, const struct ff_attention_weights *w,
                             struct ff_tensor pairs, int axis, int64_t n)
{
    enum ff_dtype type = ff_backend_attended(ctx->be);
    return (struct bias){.pairs = pairs, .axis = axis, .t = ff_pair_push(ctx, type, w->num_head, n, n), .ticket = -1};
}

/* Makes this rank's part of the bias and sends it to the others, unless that is done. */
static void make_bias(const struct ff_context *ctx, const struct ff_attention_weights *w, struct bias *bias)
{
    if (bias->made || !ff_tensor_present(&bias->t))
        return;
    bias->made = true;
    FF_OP(ctx->be, pair_bias, .out = ff_dap_part(ctx->dap, bias->t, bias->axis), .x = bias->pairs,
          .norm = w->pair_norm, .w = w->pair_bias);
    bias->ticket = ff_dap_share(ctx->dap, bias->t, bias->axis);
}

/* On a GPU attention has items of 4 rows, 128 queries and a head, of which 132 are worked on at a time
 * (cuda/attention_wgmma.cu on an H100): of at most `rows` rows about as many as leave the least of it idle at the
 * end. */
static int64_t rows_that_fill(int64_t rows, int64_t len, int64_t n_head)
{
    enum { ROWS = 4, QUERIES = 128, AT_ONCE = 132 };
    int64_t best = rows;
    double most = 0.0;
    for (int64_t r = rows / ROWS * ROWS; r > rows / 2; r -= ROWS) {
        int64_t items = r / ROWS * n_head * ((len + QUERIES - 1) / QUERIES), turns = (items + AT_ONCE - 1) / AT_ONCE;
        double full = (double)items / (double)(turns * AT_ONCE);
        if (full > most + 0.02) {        /* less is not worth smaller pieces */
            most = full;
            best = r;
        }
    }
    return best;
}

/* Rows that are worked on at a time: those of one piece that is here, with what is made of them, and the others' parts
 * of three pieces. Every rank must come to the same. */
static int64_t rows_of_piece(const struct ff_context *ctx, const struct ff_dap *d, struct ff_tensor x, int64_t len,
                             int64_t hd, int64_t n_head)
{
    enum { MANY = 32 };                  /* of fewer rows pieces of the same size need less memory */
    struct ff_context room = *ctx;
    /* Where memory is not short. With a quarter more, pieces of rows of 2^n are 2^m of them, as there are five numbers
     * for each of their own, which fills the GPU better. */
    if (ctx->chunk_bytes >= ctx->chunk_most)
        room.chunk_bytes += ctx->chunk_bytes / (ff_dap_size(d) > 1 ? 2 : 4);
    int64_t made = len * 5 * hd * (int64_t)ff_dtype_size(ff_backend_attended(ctx->be));
    int64_t buffers = FF_DAP_BUFFERS * ff_dap_visit_away(d, len) * x.shape[2] * (int64_t)ff_dtype_size(x.dtype);
    int64_t most = ff_dap_count(d, x.shape[1], 0), rows = room.chunk_bytes / (made + buffers);
    return rows >= MANY && rows < most ? rows_that_fill(rows, len, n_head)
                                       : ff_context_rows(&room, most, made + buffers);
}

/* Rows of a piece in one or more places, by one layer: what is made of them and what is made into them lie together. */
enum { PLACES = 1 + FF_DAP_OTHERS };
_Static_assert((int)PLACES == (int)FF_LINEAR_PLACES, "a piece goes through one linear layer");

static struct ff_tensor of_rows(struct ff_tensor all, const struct ff_dap_rows *r)
{
    return ff_tensor_slice(all, 1, r->from, r->t.shape[1]);
}

static void project(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor qkvg,
                    const struct ff_dap_rows *r, int n)
{
    if (n == 0 || qkvg.shape[0] == 0)
        return;
    struct ff_linear_args a = {.out = of_rows(qkvg, r), .x = r->t, .norm = w->query_norm, .w = w->qkvg.w,
                               .b = w->qkvg.b};
    for (int i = 1; i < n; i++)
        a.more[i - 1] = (struct ff_linear_rows){.out = of_rows(qkvg, &r[i]), .x = r[i].t};
    ctx->be->ops->linear(ctx->be, &a);
}

static void add(const struct ff_context *ctx, const struct ff_attention_weights *w, const struct ff_dap_rows *r, int n,
                struct ff_tensor out)
{
    if (n == 0 || out.shape[0] == 0)
        return;
    struct ff_linear_args a = {.out = r->t, .x = of_rows(out, r), .w = w->output.w, .b = w->output.b,
                               .accumulate = true};
    for (int i = 1; i < n; i++)
        a.more[i - 1] = (struct ff_linear_rows){.out = r[i].t, .x = of_rows(out, &r[i])};
    ctx->be->ops->linear(ctx->be, &a);
}

/* x += gated self-attention along axis 0, for every index of axis 1. Rows are independent once the bias is made, so any
 * number of them is worked on at a time, in place. d: axis 0 is split over the ranks; each takes its part of axis 1,
 * whose rows come here a piece at a time, while attention works on the piece before. */
static void gated_attention(const struct ff_context *ctx, const struct ff_attention_weights *w, const struct ff_dap *d,
                            struct ff_tensor x /* [L, B, c] */, struct ff_tensor mask /* [B, L] */, struct bias *bias)
{
    int64_t len = mask.shape[1], hd = w->output.w.shape[0], rows = rows_of_piece(ctx, d, x, len, hd, w->num_head);
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_dap_visit v;
    ff_dap_visit_open(d, x, len, rows, &v);
    enum ff_dtype type = ff_backend_attended(ctx->be);
    struct ff_tensor qkvg_all = FF_PUSH(ctx, type, rows, len, 4 * hd);
    struct ff_tensor out_all = FF_PUSH(ctx, type, rows, len, hd), own_mask = ff_dap_part(d, mask, 0);
    ff_dap_visit_fetch(&v, 0);
    make_bias(ctx, w, bias);
    for (int64_t k = 0; k < v.n_piece; k++) {
        struct ff_dap_rows part[PLACES] = {ff_dap_visit_own(&v, k)};     /* then the others' */
        int64_t n = part[0].t.shape[0];
        struct ff_tensor qkvg = ff_tensor_slice(qkvg_all, 0, 0, n), out = ff_tensor_slice(out_all, 0, 0, n);
        int done = k == 0 ? 1 : 0;       /* what lies here, beside the first fetch */
        project(ctx, w, qkvg, part, done);
        int n_part = 1 + ff_dap_visit_others(&v, k, part + 1);
        project(ctx, w, qkvg, part + done, n_part - done);
        if (k == 0)
            ff_dap_wait(ctx->dap, bias->ticket);
        /* Beside attention, which leaves memory's bandwidth to them. */
        ff_dap_visit_return(&v, k - 1);
        ff_dap_visit_fetch(&v, k + 1);
        if (n > 0)
            FF_OP(ctx->be, attention, .out = out, .qkvg = qkvg, .mask = ff_tensor_slice(own_mask, 0, k * rows, n),
                  .bias = bias->t, .n_head = w->num_head);
        ff_dap_visit_come(&v, k + 1); /* here: linear layers before and behind that follow each other run better */
        int last = k == v.n_piece - 1 ? 1 : 0;   /* what lies here, beside the last return */
        add(ctx, w, part + last, n_part - last, out);
        if (last)
            ff_dap_visit_return(&v, k);
        add(ctx, w, part, last, out);
    }
    ff_dap_visit_end(&v, v.n_piece - 1);
    ff_dap_visit_close(&v);
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_msa_row(const struct ff_context *ctx, const struct ff_attention_weights *w,
                          const struct ff_offload *m, struct ff_tensor msa_mask, const struct ff_pair *pair)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct bias bias = push_bias(ctx, w, pair->z, 1, pair->n_res);
    struct ff_offload_visit v;
    struct ff_tensor part;
    ff_offload_visit_open(ctx, m, 0, 0, m->x.shape[0], ff_offload_size(m, 0, ctx->piece_bytes), FF_OFFLOAD_CHANGE, &v);
    while (ff_offload_visit_next(&v, &part))
        gated_attention(ctx, w, ctx->dap, ff_tensor_transpose(part, 0, 1),
                        ff_tensor_slice(msa_mask, 0, v.at, v.count), &bias);
    ff_arena_release(ctx->arena, mark);
}

void ff_attention_msa_column(const struct ff_context *ctx, const struct ff_attention_weights *w, struct ff_tensor m,
                             struct ff_tensor msa_mask)
{
    gated_attention(ctx, w, NULL, m, ff_tensor_transpose(msa_mask, 0, 1), &(struct bias){.ticket = -1});
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
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor turned = ff_tensor_transpose(p->z, 0, 1);
    bool start = node == FF_STARTING_NODE;
    struct bias bias = push_bias(ctx, w, start ? p->z : turned, start ? 1 : 2, p->n_res);
    if (start)
        gated_attention(ctx, w, NULL, turned, ff_pair_mask_rows(ctx, p), &bias);
    else
        gated_attention(ctx, w, ctx->dap, p->z, ff_tensor_transpose(p->mask, 0, 1), &bias);
    ff_arena_release(ctx->arena, mark);
}
