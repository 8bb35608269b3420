/* SPDX-License-Identifier: Apache-2.0
 * heads: see heads.h.
 */
#include "model/heads.h"

#include <stdlib.h>

#include "base/alloc.h"

/* Of a piece of the PAE, which is all that the host holds of it. */
enum { HOST_BYTES = 16 << 20 };

static void download(const struct ff_context *ctx, float *dst, const struct ff_tensor *src)
{
    if (dst != NULL)
        ctx->be->download(ctx->be, dst, src);
}

static float *row_at(float *host, int64_t row, int64_t row_size)
{
    return host != NULL ? host + row * row_size : NULL;
}

void ff_heads_predicted_lddt(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor act,
                             float *logits)
{
    int64_t n = act.shape[0], c = w->plddt_act_0.w.shape[1];
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor a = FF_PUSH(ctx, FF_F32, n, c), b = FF_PUSH(ctx, FF_F32, n, c);
    struct ff_tensor out = FF_PUSH(ctx, FF_F32, n, w->plddt_logits.w.shape[1]);
    FF_OP(ctx->be, linear, .out = a, .x = act, .norm = w->plddt_norm, .w = w->plddt_act_0.w, .b = w->plddt_act_0.b,
          .relu = true);
    FF_OP(ctx->be, linear, .out = b, .x = a, .w = w->plddt_act_1.w, .b = w->plddt_act_1.b, .relu = true);
    FF_OP(ctx->be, linear, .out = out, .x = b, .w = w->plddt_logits.w, .b = w->plddt_logits.b);
    download(ctx, logits, &out);
    ff_arena_release(ctx->arena, mark);
}

void ff_heads_experimentally_resolved(const struct ff_context *ctx, const struct ff_heads_weights *w,
                                      struct ff_tensor single, float *logits)
{
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_tensor out = FF_PUSH(ctx, FF_F32, single.shape[0], w->experimentally_resolved.w.shape[1]);
    FF_OP(ctx->be, linear, .out = out, .x = single, .w = w->experimentally_resolved.w,
          .b = w->experimentally_resolved.b);
    download(ctx, logits, &out);
    ff_arena_release(ctx->arena, mark);
}

void ff_heads_masked_msa(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor m,
                         int64_t n_res, float *logits)
{
    int64_t n_seq = m.shape[0], n_out = w->masked_msa.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n_seq, n_res * n_out * (int64_t)sizeof(float));
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n_seq; from += rows) {
        int64_t count = from + rows <= n_seq ? rows : n_seq - from;
        struct ff_tensor own = FF_PUSH(ctx, FF_F32, count, m.shape[1], n_out);
        FF_OP(ctx->be, linear, .out = own, .x = ff_tensor_slice(m, 0, from, count), .w = w->masked_msa.w,
              .b = w->masked_msa.b);
        struct ff_tensor all = ff_dap_gather(ctx->dap, own, 1, n_res);
        download(ctx, row_at(logits, from, n_res * n_out), &all);
        ff_arena_release(ctx->arena, mark);
    }
}

/* A piece of rows of a result, t [n, ..], `most` of every rank from its row at on, to rank 0. */
static void deliver(const struct ff_context *ctx, const struct ff_tensor *t, int64_t n_res, int64_t at, int64_t most,
                    const struct ff_head_rows *to)
{
    const struct ff_dap *d = ctx->dap;
    int64_t row = t->shape[1] * (t->ndim > 2 ? t->shape[2] : 1), all = 0;
    int size = ff_dap_size(d);
    bool packed = to->take != NULL, root = ff_dap_rank(d) == 0;
    if (ctx->planning || (size == 1 && !packed)) {
        download(ctx, row_at(to->whole, at, row), t);
        return;
    }
    for (int r = 0; r < size; r++)
        all += ff_dap_piece(d, n_res, r, at, most);
    float *own = ff_xmalloc((size_t)(t->shape[0] * row) * sizeof(float)), *piece = own;
    if (t->shape[0] > 0)
        ctx->be->download(ctx->be, own, t);
    if (to->own) {
        if (t->shape[0] > 0)
            to->take(to->user, ff_dap_from(d, n_res, ff_dap_rank(d)) + at, t->shape[0], own);
        free(own);
        return;
    }
    if (size > 1)
        piece = root && packed ? ff_xmalloc((size_t)(all * row) * sizeof(float)) : NULL;
    ff_dap_collect_rows(d, own, packed ? piece : to->whole, n_res, at, most, packed, (size_t)row * sizeof(float));
    for (int64_t r = 0, from = 0; r < size && root && packed; r++) {
        int64_t n = ff_dap_piece(d, n_res, (int)r, at, most);
        if (n > 0)
            to->take(to->user, ff_dap_from(d, n_res, (int)r) + at, n, piece + from * row);
        from += n;
    }
    if (piece != own)
        free(piece);
    free(own);
}

void ff_heads_distogram(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                        struct ff_head_rows logits)
{
    const struct ff_dap *d = ctx->dap;
    int64_t n = z.shape[1], n_out = w->distogram.w.shape[1], most = ff_dap_count(d, n, 0);
    /* Rows of the transposed pair are a view, or come from the other ranks. */
    int64_t visiting = FF_DAP_BUFFERS * ff_dap_visit_away(d, n) * z.shape[2] * (int64_t)ff_dtype_size(z.dtype);
    int64_t rows = ff_context_rows(ctx, most, n * n_out * (int64_t)sizeof(float) + visiting);
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_dap_visit v;
    ff_dap_visit_open(d, z, n, rows, &v);
    ff_dap_visit_fetch(&v, 0);
    size_t loop = ff_arena_mark(ctx->arena);
    for (int64_t at = 0, k = 0; at < most; at += rows, k++) {
        ff_dap_visit_fetch(&v, k + 1);
        int64_t count = ff_dap_piece(d, n, ff_dap_rank(d), at, rows);
        struct ff_tensor out = FF_PUSH(ctx, FF_F32, count, n, n_out);
        struct ff_tensor own = ff_tensor_slice(z, 0, count > 0 ? at : 0, count);
        struct ff_dap_rows part[1 + FF_DAP_OTHERS] = {ff_dap_visit_own(&v, k)};
        int n_part = 1 + ff_dap_visit_others(&v, k, part + 1);
        for (int i = 0; i < n_part && count > 0; i++) {
            int64_t n_column = part[i].t.shape[1];
            FF_OP(ctx->be, symmetric_linear, .out = ff_tensor_slice(out, 1, part[i].from, n_column),
                  .z = ff_tensor_slice(own, 1, part[i].from, n_column), .zt = part[i].t, .w = w->distogram.w,
                  .b = w->distogram.b);
        }
        deliver(ctx, &out, n, at, rows, &logits);
        ff_arena_release(ctx->arena, loop);
    }
    ff_dap_visit_close(&v);
    ff_arena_release(ctx->arena, mark);
}

void ff_heads_aligned_error(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                            bool want_logits, struct ff_head_rows pae, struct ff_head_rows tm,
                            struct ff_head_rows logits)
{
    const struct ff_dap *d = ctx->dap;
    int64_t n = z.shape[1], bins = w->predicted_aligned_error.w.shape[1], most = ff_dap_count(d, n, 0);
    int64_t rows = ff_context_rows(ctx, most, n * (2 + (want_logits ? bins : 0)) * (int64_t)sizeof(float));
    int64_t on_host = HOST_BYTES / (n * (int64_t)sizeof(float));
    rows = rows <= on_host ? rows : on_host > 0 ? on_host : 1;
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t at = 0; at < most; at += rows) {
        int64_t count = ff_dap_piece(d, n, ff_dap_rank(d), at, rows);
        struct ff_tensor error = FF_PUSH(ctx, FF_F32, count, n), term = FF_PUSH(ctx, FF_F32, count, n), all = {0};
        if (want_logits)
            all = FF_PUSH(ctx, FF_F32, count, n, bins);
        if (count > 0)
            FF_OP(ctx->be, aligned_error, .out = error, .tm = term, .logits = all,
                  .z = ff_tensor_slice(z, 0, at, count), .w = w->predicted_aligned_error.w,
                  .b = w->predicted_aligned_error.b, .max_bin = ctx->config->heads.pae_max_error_bin,
                  .d0 = (float)ff_confidence_tm_d0((int)n));
        if (pae.take != NULL)
            deliver(ctx, &error, n, at, rows, &pae);
        deliver(ctx, &term, n, at, rows, &tm);
        if (want_logits)
            deliver(ctx, &all, n, at, rows, &logits);
        ff_arena_release(ctx->arena, mark);
    }
}

void ff_heads_merge_tm(const struct ff_dap *d, struct ff_tm_scores *s)
{
    size_t size = (size_t)ff_dap_size(d), n = ff_tm_scores_count(s);
    if (size == 1)
        return;
    size_t *bytes = FF_NEW_ARRAY(size_t, size), *offset = FF_NEW_ARRAY(size_t, size);
    for (size_t k = 0; k < size; k++) {
        bytes[k] = n * sizeof(double);
        offset[k] = k * bytes[k];
    }
    double *own = FF_NEW_ARRAY(double, n), *all = ff_dap_rank(d) == 0 ? FF_NEW_ARRAY(double, size * n) : NULL;
    ff_tm_scores_pack(s, own);
    d->comm->gather_host(d->comm, own, all, bytes, offset);
    for (size_t k = 1; k < size && all != NULL; k++)
        ff_tm_scores_merge(s, all + k * n);
    free(own);
    free(all);
    free(bytes);
    free(offset);
}
