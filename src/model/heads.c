/* SPDX-License-Identifier: Apache-2.0
 * heads: see heads.h.
 */
#include "model/heads.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/confidence.h"
#include "model/pair.h"

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

/* Host memory for this rank's rows of a result that rank 0 collects; on one rank the result itself. */
static float *own_rows(const struct ff_context *ctx, float *whole, int64_t count)
{
    if (ff_dap_size(ctx->dap) == 1 || ctx->planning)
        return whole;
    return ff_xmalloc((size_t)count * sizeof(float));
}

static void collect_rows(const struct ff_context *ctx, float *own, float *whole, int64_t n, int64_t row)
{
    if (ff_dap_size(ctx->dap) == 1)
        return;
    ff_dap_collect_rows(ctx->dap, own, whole, n, (size_t)row * sizeof(float));
    free(own);
}

void ff_heads_distogram(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                        float *logits)
{
    int64_t n_row = z.shape[0], n = z.shape[1], n_out = w->distogram.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n_row, n * n_out * (int64_t)sizeof(float));
    size_t mark = ff_arena_mark(ctx->arena);
    struct ff_pair pair = {.z = z, .n_res = n, .mask = FF_PUSH(ctx, FF_F32, 1, 1)};
    if (ff_dap_size(ctx->dap) > 1)
        pair.spare = FF_PUSH(ctx, FF_U8, (int64_t)ff_tensor_bytes(&z));
    ff_pair_transpose(ctx, &pair);
    float *own = own_rows(ctx, logits, n_row * n * n_out);
    size_t loop = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n_row; from += rows) {
        int64_t count = from + rows <= n_row ? rows : n_row - from;
        struct ff_tensor out = FF_PUSH(ctx, FF_F32, count, n, n_out);
        FF_OP(ctx->be, symmetric_linear, .out = out, .z = ff_tensor_slice(z, 0, from, count),
              .zt = ff_tensor_slice(pair.z, 0, from, count), .w = w->distogram.w, .b = w->distogram.b);
        download(ctx, row_at(own, from, n * n_out), &out);
        ff_arena_release(ctx->arena, loop);
    }
    collect_rows(ctx, own, logits, n, n * n_out);
    ff_arena_release(ctx->arena, mark);
}

void ff_heads_aligned_error(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                            bool want_logits, float *pae, float *tm, float *logits)
{
    int64_t n_row = z.shape[0], n = z.shape[1], bins = w->predicted_aligned_error.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n_row, n * (2 + (want_logits ? bins : 0)) * (int64_t)sizeof(float));
    float *own_pae = own_rows(ctx, pae, n_row * n), *own_tm = own_rows(ctx, tm, n_row * n);
    float *own_logits = want_logits ? own_rows(ctx, logits, n_row * n * bins) : NULL;
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n_row; from += rows) {
        int64_t count = from + rows <= n_row ? rows : n_row - from;
        struct ff_tensor error = FF_PUSH(ctx, FF_F32, count, n), term = FF_PUSH(ctx, FF_F32, count, n), all = {0};
        if (want_logits)
            all = FF_PUSH(ctx, FF_F32, count, n, bins);
        FF_OP(ctx->be, aligned_error, .out = error, .tm = term, .logits = all,
              .z = ff_tensor_slice(z, 0, from, count), .w = w->predicted_aligned_error.w,
              .b = w->predicted_aligned_error.b, .max_bin = ctx->config->heads.pae_max_error_bin,
              .d0 = (float)ff_confidence_tm_d0((int)n));
        download(ctx, row_at(own_pae, from, n), &error);
        download(ctx, row_at(own_tm, from, n), &term);
        if (want_logits)
            download(ctx, row_at(own_logits, from, n * bins), &all);
        ff_arena_release(ctx->arena, mark);
    }
    collect_rows(ctx, own_pae, pae, n, n);
    collect_rows(ctx, own_tm, tm, n, n);
    if (want_logits)
        collect_rows(ctx, own_logits, logits, n, n * bins);
}
