/* SPDX-License-Identifier: Apache-2.0
 * pair: see pair.h.
 */
#include "model/pair.h"

enum { ROW_UNIT = 8 };               /* elements that rows of channel-first scratch are padded to */

int64_t ff_pair_padded(int64_t n)
{
    return (n + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Bytes of a buffer that holds this rank's rows of the pair, or this rank's channels of one operand of triangle
 * multiplication for all rows, whichever is larger. */
static int64_t buffer_bytes(const struct ff_context *ctx, enum ff_dtype dtype, int64_t n_res, int64_t c,
                            int64_t c_extra)
{
    int64_t wide = larger(c * ff_context_part(ctx, n_res), ff_context_part(ctx, c_extra) * n_res);
    return wide * ff_pair_padded(n_res) * (int64_t)ff_dtype_size(dtype);
}

/* Only where the pair changes over to it must the spare buffer outlive the layers. */
static bool keeps_spare(const struct ff_context *ctx)
{
    return ff_dap_size(ctx->dap) > 1 && ctx->stream_bytes == 0;
}

struct ff_tensor ff_pair_push_rows(const struct ff_context *ctx, int64_t n_res, int64_t c, int64_t c_extra)
{
    enum ff_dtype dtype = ctx->be->activation;
    int64_t shape[3] = {ff_context_part(ctx, n_res), n_res, c};
    if (!keeps_spare(ctx))
        return ff_arena_push(ctx->arena, dtype, 3, shape);
    struct ff_tensor t = FF_PUSH(ctx, FF_U8, buffer_bytes(ctx, dtype, n_res, c, c_extra));
    return ff_tensor_make(t.data, dtype, 3, shape);
}

struct ff_pair ff_pair_make(const struct ff_context *ctx, struct ff_tensor z, struct ff_tensor mask, int64_t c_extra)
{
    struct ff_pair p = {.z = z, .mask = mask, .n_res = z.shape[1]};
    /* Transposed, a rank has as many rows as now: both axes are split alike. */
    if (keeps_spare(ctx))
        p.spare = FF_PUSH(ctx, FF_U8, buffer_bytes(ctx, z.dtype, p.n_res, z.shape[2], c_extra));
    int64_t rows = c_extra * ff_context_part(ctx, p.n_res), wide = ff_pair_padded(p.n_res);
    int64_t operand = rows * wide * (int64_t)ff_dtype_size(z.dtype);
    p.free_bytes = keeps_spare(ctx) ? 0 : ctx->stream_bytes > 0 ? ctx->stream_bytes : operand;
    return p;
}

void ff_pair_transpose(const struct ff_context *ctx, struct ff_pair *p)
{
    p->mask = ff_tensor_transpose(p->mask, 0, 1);
    if (ff_dap_size(ctx->dap) == 1) {
        p->z = ff_tensor_transpose(p->z, 0, 1);
        return;
    }
    struct ff_tensor z = ff_tensor_make(p->spare.data, p->z.dtype, 3, p->z.shape);
    ff_dap_turn(ctx->dap, p->z, p->n_res, z);
    p->spare.data = p->z.data;
    p->z = z;
}

struct ff_tensor ff_pair_mask_rows(const struct ff_context *ctx, const struct ff_pair *p)
{
    return ff_dap_part(ctx->dap, p->mask, 0);
}

static struct ff_tensor row_view(struct ff_tensor wide, int64_t n)
{
    return ff_tensor_slice(wide, 2, 0, n);
}

struct ff_context ff_pair_context(const struct ff_context *ctx, const struct ff_pair *p, int64_t held)
{
    struct ff_context r = *ctx;
    int64_t room = ctx->chunk_bytes + p->free_bytes - held;
    if (room > ctx->chunk_most)
        room = ctx->chunk_most;
    if (room > r.chunk_bytes)
        r.chunk_bytes = room;
    return r;
}

struct ff_tensor ff_pair_scratch(const struct ff_context *ctx, const struct ff_pair *p, int64_t c, int64_t rows)
{
    if (!keeps_spare(ctx))
        return ff_pair_push(ctx, p->z.dtype, c, rows, p->n_res);
    int64_t shape[3] = {c, rows, ff_pair_padded(p->n_res)};
    struct ff_tensor t = ff_tensor_make(p->spare.data, p->z.dtype, 3, shape);
    FF_ASSERT(ff_tensor_bytes(&t) <= ff_tensor_bytes(&p->spare));
    return row_view(t, p->n_res);
}

struct ff_tensor ff_pair_in(void *memory, enum ff_dtype type, int64_t c, int64_t rows, int64_t n)
{
    int64_t shape[3] = {c, rows, ff_pair_padded(n)};
    return row_view(ff_tensor_make(memory, type, 3, shape), n);
}

struct ff_tensor ff_pair_push(const struct ff_context *ctx, enum ff_dtype type, int64_t c, int64_t rows, int64_t n)
{
    return row_view(FF_PUSH(ctx, type, c, rows, ff_pair_padded(n)), n);
}
