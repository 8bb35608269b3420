/* SPDX-License-Identifier: Apache-2.0
 * offload: see offload.h.
 */
#include "model/offload.h"

enum { FEWEST_PIECES = 8 };

/* --- whole tensors ------------------------------------------------------------------------------------------------ */

void ff_offload_drop(const struct ff_context *ctx, struct ff_offload *o)
{
    size_t bytes = (ff_tensor_bytes(&o->x) + FF_ARENA_ALIGN - 1) / FF_ARENA_ALIGN * FF_ARENA_ALIGN;
    ff_arena_release(ctx->arena, ff_arena_mark(ctx->arena) - bytes);
    o->away = true;
}

void ff_offload_leave(const struct ff_context *ctx, struct ff_offload *o)
{
    ctx->be->store(ctx->be, o->host, 0, &o->x);
    ctx->be->settle(ctx->be);
    ff_offload_drop(ctx, o);
}

void ff_offload_return(const struct ff_context *ctx, struct ff_offload *o)
{
    void *same = ff_arena_push(ctx->arena, o->x.dtype, o->x.ndim, o->x.shape).data;
    FF_ASSERT(same == o->x.data);
    ctx->be->fetch(ctx->be, &o->x, o->host, 0);
    ctx->be->settle(ctx->be);
    o->away = false;
}

/* --- pieces ------------------------------------------------------------------------------------------------------- */

/* Bytes of one index of the axis within one index of the axis before it. */
static int64_t line_bytes(const struct ff_offload *o, int axis)
{
    int64_t bytes = (int64_t)ff_dtype_size(o->x.dtype);
    for (int d = axis + 1; d < o->x.ndim; d++)
        bytes *= o->x.shape[d];
    return bytes;
}

/* Bytes of one index of the axis. */
static int64_t index_bytes(const struct ff_offload *o, int axis)
{
    return line_bytes(o, axis) * (axis > 0 ? o->x.shape[0] : 1);
}

int64_t ff_offload_size(const struct ff_offload *o, int axis, int64_t bytes)
{
    int64_t n = o->x.shape[axis], most = (n + FEWEST_PIECES - 1) / FEWEST_PIECES;
    if (!o->away)
        return n;
    int64_t size = bytes / (2 * index_bytes(o, axis));
    return size > most ? most : size > 1 ? size : 1;
}

static int64_t piece_count(const struct ff_offload_visit *v, int64_t at)
{
    int64_t left = v->from + v->n - at;
    return left < v->size ? left : v->size;
}

static struct ff_tensor piece(const struct ff_offload_visit *v, int64_t at)
{
    struct ff_tensor t = v->o->x;
    t.shape[v->axis] = piece_count(v, at);
    return ff_tensor_make(v->memory[(at - v->from) / v->size % 2], t.dtype, t.ndim, t.shape);
}

/* Where it lies on the host, and how far apart its indices of axis 0 are there. */
static char *place(const struct ff_offload_visit *v, int64_t at)
{
    return v->o->host != NULL ? v->o->host + at * line_bytes(v->o, v->axis) : NULL;
}

static size_t pitch(const struct ff_offload_visit *v)
{
    return v->axis > 0 ? (size_t)line_bytes(v->o, 0) : 0;
}

static void fetch(const struct ff_offload_visit *v, int64_t at)
{
    if (v->use == FF_OFFLOAD_MAKE || at >= v->from + v->n)
        return;
    struct ff_tensor t = piece(v, at);
    v->ctx->be->fetch(v->ctx->be, &t, place(v, at), pitch(v));
}

static void store(const struct ff_offload_visit *v, int64_t at)
{
    if (v->use == FF_OFFLOAD_READ || at < v->from)
        return;
    struct ff_tensor t = piece(v, at);
    v->ctx->be->store(v->ctx->be, place(v, at), pitch(v), &t);
}

void ff_offload_visit_open(const struct ff_context *ctx, const struct ff_offload *o, int axis, int64_t from, int64_t n,
                           int64_t size, enum ff_offload_use use, struct ff_offload_visit *v)
{
    FF_ASSERT(axis < 2 && size > 0);
    *v = (struct ff_offload_visit){.ctx = ctx, .o = o, .use = use, .axis = axis, .from = from, .n = n, .size = size,
                                   .at = from - size, .mark = ff_arena_mark(ctx->arena)};
    if (!o->away || n == 0)
        return;
    for (int k = 0; k < (n > size ? 2 : 1); k++)
        v->memory[k] = FF_PUSH(ctx, FF_U8, (n < size ? n : size) * index_bytes(o, axis)).data;
    fetch(v, from);
}

bool ff_offload_visit_next(struct ff_offload_visit *v, struct ff_tensor *ret)
{
    int64_t last = v->at;
    bool more = last + v->size < v->from + v->n;
    v->at = last + v->size;
    v->count = more ? piece_count(v, v->at) : 0;
    if (!v->o->away) {
        if (more)
            *ret = ff_tensor_slice(v->o->x, v->axis, v->at, v->count);
        return more;
    }
    /* What the work waits for are this piece and the store before the last: what is issued now runs beside it. */
    v->ctx->be->settle(v->ctx->be);
    store(v, last);
    if (more) {
        fetch(v, v->at + v->size);
        *ret = piece(v, v->at);
        return true;
    }
    v->ctx->be->settle(v->ctx->be);
    ff_arena_release(v->ctx->arena, v->mark);
    return false;
}
