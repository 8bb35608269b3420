/* SPDX-License-Identifier: Apache-2.0
 * heads: see heads.h.
 */
#include "model/heads.h"

#include "model/confidence.h"

static void download(const struct ff_context *ctx, float *dst, const struct ff_tensor *src)
{
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
                         float *logits)
{
    int64_t n_seq = m.shape[0], n = m.shape[1], n_out = w->masked_msa.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n_seq, n * n_out * (int64_t)sizeof(float));
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n_seq; from += rows) {
        int64_t count = from + rows <= n_seq ? rows : n_seq - from;
        struct ff_tensor out = FF_PUSH(ctx, FF_F32, count, n, n_out);
        FF_OP(ctx->be, linear, .out = out, .x = ff_tensor_slice(m, 0, from, count), .w = w->masked_msa.w,
              .b = w->masked_msa.b);
        download(ctx, row_at(logits, from, n * n_out), &out);
        ff_arena_release(ctx->arena, mark);
    }
}

void ff_heads_distogram(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                        float *logits)
{
    int64_t n = z.shape[0], n_out = w->distogram.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n, n * n_out * (int64_t)sizeof(float));
    struct ff_tensor zt = ff_tensor_transpose(z, 0, 1);
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n; from += rows) {
        int64_t count = from + rows <= n ? rows : n - from;
        struct ff_tensor out = FF_PUSH(ctx, FF_F32, count, n, n_out);
        FF_OP(ctx->be, symmetric_linear, .out = out, .z = ff_tensor_slice(z, 0, from, count),
              .zt = ff_tensor_slice(zt, 0, from, count), .w = w->distogram.w, .b = w->distogram.b);
        download(ctx, row_at(logits, from, n * n_out), &out);
        ff_arena_release(ctx->arena, mark);
    }
}

void ff_heads_aligned_error(const struct ff_context *ctx, const struct ff_heads_weights *w, struct ff_tensor z,
                            bool want_logits, float *pae, float *tm, float *logits)
{
    int64_t n = z.shape[0], bins = w->predicted_aligned_error.w.shape[1];
    int64_t rows = ff_context_rows(ctx, n, n * (2 + (want_logits ? bins : 0)) * (int64_t)sizeof(float));
    size_t mark = ff_arena_mark(ctx->arena);
    for (int64_t from = 0; from < n; from += rows) {
        int64_t count = from + rows <= n ? rows : n - from;
        struct ff_tensor error = FF_PUSH(ctx, FF_F32, count, n), term = FF_PUSH(ctx, FF_F32, count, n), all = {0};
        if (want_logits)
            all = FF_PUSH(ctx, FF_F32, count, n, bins);
        FF_OP(ctx->be, aligned_error, .out = error, .tm = term, .logits = all,
              .z = ff_tensor_slice(z, 0, from, count), .w = w->predicted_aligned_error.w,
              .b = w->predicted_aligned_error.b, .max_bin = ctx->config->heads.pae_max_error_bin,
              .d0 = (float)ff_confidence_tm_d0((int)n));
        download(ctx, row_at(pae, from, n), &error);
        download(ctx, row_at(tm, from, n), &term);
        if (want_logits)
            download(ctx, row_at(logits, from, n * bins), &all);
        ff_arena_release(ctx->arena, mark);
    }
}
