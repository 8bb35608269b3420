/* SPDX-License-Identifier: Apache-2.0
 * pair: see pair.h.
 */
#include "model/pair.h"

enum { ROW_UNIT = 8 };               /* elements that rows of channel-first scratch are padded to */

int64_t ff_pair_padded(int64_t n)
{
    return (n + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
}

struct ff_tensor ff_pair_push_rows(const struct ff_context *ctx, int64_t n_res, int64_t c)
{
    return FF_PUSH(ctx, ctx->be->activation, ff_context_part(ctx, n_res), n_res, c);
}

struct ff_pair ff_pair_make(const struct ff_context *ctx, struct ff_tensor z, struct ff_tensor mask, int64_t c_extra)
{
    struct ff_pair p = {.z = z, .mask = mask, .n_res = z.shape[1]};
    /* All ranks come to the same pieces: the last one has the smallest part. */
    int64_t rows = ff_dap_count(ctx->dap, c_extra, ff_dap_size(ctx->dap) - 1) * p.n_res;
    int64_t operand = rows * ff_pair_padded(p.n_res) * (int64_t)ff_dtype_size(z.dtype);
    p.free_bytes = ctx->stream_bytes > 0 ? ctx->stream_bytes : operand;
    return p;
}

void ff_pair_transpose(struct ff_pair *p)
{
    p->z = ff_tensor_transpose(p->z, 0, 1);
    p->mask = ff_tensor_transpose(p->mask, 0, 1);
    p->transposed = !p->transposed;
}

struct ff_tensor ff_pair_mask_rows(const struct ff_context *ctx, const struct ff_pair *p)
{
    return ff_dap_part(ctx->dap, p->mask, p->transposed ? 1 : 0);
}

static struct ff_tensor row_view(struct ff_tensor wide, int64_t n)
{
    return ff_tensor_slice(wide, 2, 0, n);
}

struct ff_context ff_pair_context(const struct ff_context *ctx, const struct ff_pair *p, int64_t held)
{
    struct ff_context r = *ctx;
    int64_t room = ctx->chunk_bytes + p->free_bytes - held, all = room > r.chunk_bytes ? room : r.chunk_bytes;
    if (room > ctx->chunk_most)
        room = ctx->chunk_most;
    if (room > r.chunk_bytes)
        r.chunk_bytes = room;
    r.piece_bytes = all - r.chunk_bytes;
    return r;
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
