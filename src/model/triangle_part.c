/* SPDX-License-Identifier: Apache-2.0
 * triangle_part: see triangle_part.h.
 */
#include "model/triangle_part.h"

#include <stdlib.h>

#include "base/alloc.h"

struct ff_triangle ff_triangle_make(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                    const struct ff_pair *p, bool by_columns)
{
    return (struct ff_triangle){.ctx = ctx, .w = w, .z = p->z, .mask = ff_pair_mask_rows(ctx, p),
                                .c_i = w->left_projection.w.shape[1], .n_res = p->n_res, .by_columns = by_columns,
                                .by_channel = FF_NEW_ARRAY(struct ff_tensor, (size_t)ff_dap_size(ctx->dap))};
}

int64_t ff_triangle_rows(const struct ff_triangle *k, const struct ff_triangle_part *u, int64_t at, int r)
{
    return ff_dap_piece(k->ctx->dap, k->n_res, r, at, u->rows);
}

int64_t ff_triangle_most(const struct ff_triangle *k)
{
    return ff_dap_count(k->ctx->dap, k->n_res, 0);
}

struct ff_tensor ff_triangle_channels(const struct ff_triangle *k, struct ff_tensor t, int r)
{
    return ff_tensor_slice(t, 0, ff_dap_from(k->ctx->dap, k->c_i, r), ff_dap_count(k->ctx->dap, k->c_i, r));
}

struct ff_tensor ff_triangle_in(const struct ff_triangle *k, void *memory, int64_t c, int64_t rows, int64_t n)
{
    return ff_pair_in(memory, k->z.dtype, c, rows, n);
}

void ff_triangle_copy(const struct ff_triangle *k, struct ff_tensor out, struct ff_tensor x)
{
    if (ff_tensor_count(&x) > 0)
        FF_OP(k->ctx->be, copy, .out = out, .x = x);
}

/* Own channels as those of an op's tensor that lie apart, or as all of it where there are no others. */
static struct ff_planes own_planes(const struct ff_triangle *k, const struct ff_tensor *own, struct ff_tensor *others)
{
    const struct ff_planes none = {0};
    if (own != NULL && others->shape[0] > 0)
        return (struct ff_planes){*own, ff_dap_from(k->ctx->dap, k->c_i, ff_dap_rank(k->ctx->dap))};
    if (own != NULL)
        *others = *own;
    return none;
}

/* The operation on as many rows of z as its out has, from at on. */
static void make_rows(const struct ff_triangle *k, struct ff_triangle_project_args *a,
                      const struct ff_linear_weights *value, const struct ff_linear_weights *gate, struct ff_tensor z,
                      struct ff_tensor mask, int64_t at)
{
    int64_t n = a->out.shape[1];
    if (n * a->out.shape[2] == 0)
        return;
    a->z = ff_tensor_slice(z, 0, at, n);
    a->mask = ff_tensor_slice(mask, 0, at, n);
    a->norm = k->w->layer_norm_input;
    a->w = value->w;
    a->b = value->b;
    a->gate_w = gate->w;
    a->gate_b = gate->b;
    k->ctx->be->ops->triangle_project(k->ctx->be, a);
}

void ff_triangle_project(const struct ff_triangle *k, struct ff_tensor out, const struct ff_tensor *own,
                         const struct ff_linear_weights *value, const struct ff_linear_weights *gate,
                         struct ff_tensor z, struct ff_tensor mask, int64_t at)
{
    struct ff_planes apart = own_planes(k, own, &out);
    struct ff_triangle_project_args a = {.out = out, .apart = {apart}};
    make_rows(k, &a, value, gate, z, mask, at);
}

void ff_triangle_project_to(const struct ff_triangle *k, const struct ff_tensor *places,
                            const struct ff_linear_weights *value, const struct ff_linear_weights *gate, int64_t at)
{
    struct ff_triangle_project_args a = {.out = places[0]};
    for (int r = 1; r < ff_triangle_ranks(k); r++)
        a.apart[r - 1] = (struct ff_planes){places[r], ff_dap_from(k->ctx->dap, k->c_i, r)};
    make_rows(k, &a, value, gate, k->z, k->mask, at);
}

void ff_triangle_project_columns(const struct ff_triangle *k, struct ff_tensor out,
                                 const struct ff_linear_weights *value, const struct ff_linear_weights *gate,
                                 int64_t at)
{
    ff_triangle_project(k, out, NULL, value, gate, ff_tensor_transpose(k->z, 0, 1),
                        ff_tensor_transpose(k->mask, 0, 1), at);
}

void ff_triangle_output(const struct ff_triangle *k, struct ff_tensor out, struct ff_tensor x,
                        const struct ff_tensor *own)
{
    const struct ff_triangle_weights *w = k->w;
    struct ff_planes apart = own_planes(k, own, &x);
    if (ff_tensor_count(&out) > 0)
        FF_OP(k->ctx->be, triangle_output, .out = out, .x = x, .apart = apart,
              .center_norm = w->center_layer_norm, .o_w = w->output_projection.w, .o_b = w->output_projection.b,
              .norm = w->layer_norm_input, .gate_w = w->gating_linear.w, .gate_b = w->gating_linear.b);
}

/* Of rank r comes a block [own channels, .., ..]: its rows, or its columns. */
void ff_triangle_send(const struct ff_triangle *k, struct ff_triangle_part *u, struct ff_tensor x)
{
    int rank = ff_dap_rank(k->ctx->dap);
    int64_t c = ff_context_part(k->ctx, k->c_i);
    for (int r = 0; r < ff_triangle_ranks(k); r++) {
        k->by_channel[r] = ff_triangle_channels(k, x, r);
        if (r == rank)
            u->theirs[r] = k->by_channel[r];
        else if (k->by_columns)
            u->theirs[r] = ff_triangle_in(k, u->rooms[r], c, x.shape[1], ff_dap_count(k->ctx->dap, k->n_res, r));
        else
            u->theirs[r] = ff_triangle_in(k, u->rooms[r], c, ff_triangle_rows(k, u, u->at, r), k->n_res);
    }
    u->ticket = ff_dap_swap(k->ctx->dap, k->by_channel, u->theirs);
}

void ff_triangle_send_rows(const struct ff_triangle *k, struct ff_triangle_part *u, int64_t at,
                           const struct ff_linear_weights *value, const struct ff_linear_weights *gate)
{
    u->at = at;
    u->n = ff_triangle_rows(k, u, at, ff_dap_rank(k->ctx->dap));
    struct ff_tensor own = ff_triangle_in(k, u->whole, k->c_i, u->n, k->n_res);
    ff_triangle_project(k, own, NULL, value, gate, k->z, k->mask, at);
    ff_triangle_send(k, u, own);
}

void ff_triangle_place_columns(const struct ff_triangle *k, const struct ff_tensor *blocks, struct ff_tensor rows)
{
    for (int r = 0; r < ff_triangle_ranks(k); r++)
        ff_triangle_copy(k, ff_tensor_slice(rows, 2, ff_dap_from(k->ctx->dap, k->n_res, r), blocks[r].shape[2]),
                         blocks[r]);
}

void ff_triangle_assemble(const struct ff_triangle *k, struct ff_triangle_part *u)
{
    int rank = ff_dap_rank(k->ctx->dap);
    struct ff_tensor own = u->theirs[rank];
    u->theirs[rank] = ff_triangle_in(k, u->rooms[rank], own.shape[0], own.shape[1], own.shape[2]);
    ff_triangle_copy(k, u->theirs[rank], own);
    struct ff_tensor all = ff_triangle_in(k, u->whole, own.shape[0], own.shape[1], k->n_res);
    ff_triangle_place_columns(k, u->theirs, all);
    for (int64_t r = 0, at = 0; r < ff_triangle_ranks(k); at += ff_triangle_rows(k, u, u->at, (int)r), r++)
        u->theirs[r] = ff_tensor_slice(all, 1, at, ff_triangle_rows(k, u, u->at, (int)r));
}

int64_t ff_triangle_room_bytes(const struct ff_triangle *k)
{
    int64_t wide = ff_pair_padded(k->n_res), columns = ff_triangle_ranks(k) * ff_pair_padded(ff_triangle_most(k));
    return ff_dap_count(k->ctx->dap, k->c_i, 0) * (k->by_columns && columns > wide ? columns : wide) *
           (int64_t)ff_dtype_size(k->z.dtype);
}

void ff_triangle_push(const struct ff_triangle *k, struct ff_triangle_part *u, int64_t rows, bool with_rooms)
{
    int size = ff_triangle_ranks(k);
    u->rows = rows;
    u->whole = FF_PUSH(k->ctx, FF_U8, rows * size * ff_triangle_room_bytes(k)).data;
    u->rooms = FF_NEW_ARRAY(void *, (size_t)size);
    u->theirs = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    u->for_them = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    for (int r = 0; r < size && with_rooms; r++)
        u->rooms[r] = FF_PUSH(k->ctx, FF_U8, rows * ff_triangle_room_bytes(k)).data;
}

void ff_triangle_free(struct ff_triangle_part *u)
{
    free(u->rooms);
    free(u->theirs);
    free(u->for_them);
}
