/* SPDX-License-Identifier: Apache-2.0
 * triangle_stream: see triangle_stream.h.
 *
 * For incoming edges z[i, j] += sum_k left[k, j] right[k, i]: rows i of this rank are made of columns of `right`, and
 * multiplied by columns of `left`. So there left and right change their names, and the pair is not turned round.
 */
#include "model/triangle_stream.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/triangle_part.h"

enum { MOST_COLUMNS = 1024 };        /* rows of the right operand in a part: more do not make products faster */
enum { COLUMN_UNIT = 8 };

/* Products of the left part and the rows of one rank in the right part. */
struct product {
    struct ff_tensor x;              /* [c_i, n, columns]: of this rank's rows */
    struct ff_tensor *made;          /* [rank]: of its rows, of own channels */
    void *whole, **rooms;            /* whole: several ranks only */
    int64_t column, n_column;        /* of the pair */
    int64_t ticket;
};

struct stream {
    struct ff_triangle t;
    struct ff_triangle_part left, right[2];
    struct product products[2];
    int n_slot;                      /* of right and products: 2 on several ranks, so that one travels meanwhile */
    struct ff_tensor out;            /* [left.rows, right.rows, c_z]: on its way to the host */
    char *host;                      /* NULL while planning */
    int64_t at;                      /* of the next piece there */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t ff_triangle_stream_bytes(enum ff_dtype dtype, int64_t n_res, int n_rank, int64_t c_z)
{
    return (n_res + n_rank - 1) / n_rank * n_res * c_z * (int64_t)ff_dtype_size(dtype);
}

static const struct ff_dap *dap(const struct stream *s)
{
    return s->t.ctx->dap;
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

/* All ranks' rows from at on, this rank's columns of them. */
static void send_columns(const struct stream *s, struct ff_triangle_part *u, int64_t at,
                         const struct ff_linear_weights *value, const struct ff_linear_weights *gate)
{
    const struct ff_triangle *t = &s->t;
    int64_t rows = 0, to = 0;
    u->at = at;
    u->n = ff_triangle_rows(t, u, at, ff_dap_rank(dap(s)));
    for (int r = 0; r < ff_triangle_ranks(t); r++)
        rows += ff_triangle_rows(t, u, at, r);
    struct ff_tensor x = ff_triangle_in(t, u->whole, t->c_i, rows, t->z.shape[0]);
    for (int r = 0; r < ff_triangle_ranks(t); r++) {
        int64_t n = ff_triangle_rows(t, u, at, r), from = n > 0 ? ff_dap_from(dap(s), t->n_res, r) + at : 0;
        ff_triangle_project_columns(t, ff_tensor_slice(x, 1, to, n), value, gate, from);
        to += n;
    }
    ff_triangle_send(t, u, x);
}

static void begin_part(const struct stream *s, struct ff_triangle_part *u, int64_t at)
{
    const struct ff_triangle_weights *w = s->t.w;
    bool first = (u == &s->left) != s->t.by_columns;
    const struct ff_linear_weights *value = first ? &w->left_projection : &w->right_projection;
    const struct ff_linear_weights *gate = first ? &w->left_gate : &w->right_gate;
    if (s->t.by_columns)
        send_columns(s, u, at, value, gate);
    else
        ff_triangle_send_rows(&s->t, u, at, value, gate);
}

static void end_part(const struct stream *s, struct ff_triangle_part *u)
{
    ff_dap_wait(dap(s), u->ticket);
    if (s->t.by_columns && ff_triangle_ranks(&s->t) > 1)
        ff_triangle_assemble(&s->t, u);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

static void contract(const struct stream *s, const struct ff_triangle_part *right, int root, struct product *p)
{
    const struct ff_triangle *t = &s->t;
    int size = ff_triangle_ranks(t);
    struct ff_tensor b = right->theirs[root];
    p->column = ff_dap_from(dap(s), t->n_res, root) + right->at;
    p->n_column = b.shape[1];
    for (int r = 0; r < size; r++) {
        struct ff_tensor a = s->left.theirs[r];
        p->made[r] = ff_triangle_in(t, p->rooms[r], a.shape[0], a.shape[1], p->n_column);
        if (ff_tensor_count(&p->made[r]) > 0)
            FF_OP(t->ctx->be, triangle_contract, .out = p->made[r], .a = a, .b = b);
    }
    p->x = size > 1 ? ff_triangle_in(t, p->whole, t->c_i, s->left.n, p->n_column) : p->made[0];
    if (size == 1)
        return;
    for (int r = 0; r < size; r++)
        t->by_channel[r] = ff_triangle_channels(t, p->x, r);
    p->ticket = ff_dap_swap(dap(s), p->made, t->by_channel);
}

/* The piece of the pair that products belong to. */
static struct ff_tensor piece(const struct stream *s, int64_t row, int64_t n, int64_t column, int64_t n_column)
{
    return ff_tensor_slice(ff_tensor_slice(s->t.z, 0, n > 0 ? row : 0, n), 1, column, n_column);
}

static struct ff_tensor in(struct ff_tensor buffer, struct ff_tensor like)
{
    return ff_tensor_make(buffer.data, like.dtype, like.ndim, like.shape);
}

static char *next_place(struct stream *s, struct ff_tensor x)
{
    char *place = s->host != NULL ? s->host + s->at : NULL;
    s->at += (int64_t)ff_tensor_bytes(&x);
    return place;
}

/* The new piece, to the host. */
static void finish(struct stream *s, struct product *p)
{
    struct ff_backend *be = s->t.ctx->be;
    struct ff_tensor old = piece(s, s->left.at, s->left.n, p->column, p->n_column), out = in(s->out, old);
    ff_dap_wait(dap(s), p->ticket);
    if (ff_tensor_count(&out) == 0)
        return;
    be->settle(be); /* the piece before has left `out` */
    ff_triangle_copy(&s->t, out, old);
    ff_triangle_output(&s->t, out, p->x, NULL);
    be->store(be, next_place(s, out), 0, &out);
}

/* All columns of the rows of the left part. */
static void all_columns(struct stream *s)
{
    struct product *waiting = NULL;
    int64_t most = ff_triangle_most(&s->t), rows = s->right[0].rows;
    int i = 0, made = 0;
    for (int64_t at = 0; at < most; at += rows, i++) {
        struct ff_triangle_part *u = &s->right[i % s->n_slot];
        if (s->n_slot == 1 || i == 0)
            begin_part(s, u, at);
        if (s->n_slot > 1 && at + rows < most)
            begin_part(s, &s->right[(i + 1) % s->n_slot], at + rows);
        end_part(s, u);
        for (int r = 0; r < ff_triangle_ranks(&s->t); r++) {
            if (ff_triangle_rows(&s->t, u, at, r) == 0)
                continue;
            struct product *p = &s->products[made++ % s->n_slot];
            if (waiting == p)
                finish(s, waiting);
            contract(s, u, r, p);
            if (waiting != NULL && waiting != p)
                finish(s, waiting);
            waiting = p;
        }
    }
    finish(s, waiting);
}

/* --- the way back ------------------------------------------------------------------------------------------------- */

struct fetched {
    struct ff_tensor piece, buffer;
};

/* A piece begins to come; the one before, if any, goes to its place. */
static void fetch(struct stream *s, struct fetched *f, struct ff_tensor piece, int *n)
{
    struct ff_backend *be = s->t.ctx->be;
    struct fetched *this = &f[*n % 2], *last = &f[(*n + 1) % 2];
    be->settle(be);
    if (ff_tensor_count(&piece) > 0) {
        this->piece = piece;
        struct ff_tensor x = in(this->buffer, piece);
        be->fetch(be, &x, next_place(s, x), 0);
    }
    if (*n > 0)
        ff_triangle_copy(&s->t, last->piece, in(last->buffer, last->piece));
    (*n)++;
}

static void bring_back(struct stream *s)
{
    const struct ff_triangle *t = &s->t;
    int64_t most = ff_triangle_most(t), rows = s->left.rows, columns = s->right[0].rows;
    int n = 0;
    struct fetched f[2];
    for (int k = 0; k < 2; k++)
        f[k].buffer = FF_PUSH(t->ctx, t->z.dtype, rows, columns, t->z.shape[2]);
    s->at = 0;
    for (int64_t row = 0; row < t->z.shape[0]; row += rows)
        for (int64_t at = 0; at < most; at += columns)
            for (int r = 0; r < ff_triangle_ranks(t); r++) {
                int64_t n_column = ff_triangle_rows(t, &s->right[0], at, r);
                if (n_column > 0)
                    fetch(s, f, piece(s, row, least(rows, t->z.shape[0] - row),
                                      ff_dap_from(dap(s), t->n_res, r) + at, n_column), &n);
            }
    if (n > 0)
        fetch(s, f, (struct ff_tensor){0}, &n);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void push_product(const struct stream *s, struct product *p)
{
    const struct ff_triangle *t = &s->t;
    int size = ff_triangle_ranks(t);
    int64_t rows = s->left.rows, columns = s->right[0].rows;
    p->rooms = FF_NEW_ARRAY(void *, (size_t)size);
    p->made = FF_NEW_ARRAY(struct ff_tensor, (size_t)size);
    for (int r = 0; r < size; r++)
        p->rooms[r] = ff_pair_push(t->ctx, t->z.dtype, ff_dap_count(dap(s), t->c_i, 0), rows, columns).data;
    if (size > 1)
        p->whole = ff_pair_push(t->ctx, t->z.dtype, t->c_i, rows, columns).data;
}

/* Three eighths for the right part, as it costs more to have it few rows of the left one than few of its own. */
static void push_memory(struct stream *s)
{
    const struct ff_triangle *t = &s->t;
    int64_t size = ff_triangle_ranks(t), copies = size > 1 ? 2 : 1, item = (int64_t)ff_dtype_size(t->z.dtype);
    int64_t row = copies * size * ff_triangle_room_bytes(t), most = ff_triangle_most(t), all = t->ctx->stream_bytes;
    int64_t columns = least(least(all / 8 * 3 / (row * s->n_slot), MOST_COLUMNS), most);
    columns = columns >= COLUMN_UNIT ? columns / COLUMN_UNIT * COLUMN_UNIT : columns < 1 ? 1 : columns;
    int64_t channels = size * ff_dap_count(t->ctx->dap, t->c_i, 0) * copies * s->n_slot + t->z.shape[2];
    struct ff_context left = *t->ctx;
    left.chunk_bytes = all - columns * row * s->n_slot;
    ff_triangle_push(t, &s->left, ff_context_rows(&left, most, row + channels * ff_pair_padded(columns) * item),
                     size > 1);
    for (int k = 0; k < s->n_slot; k++)
        ff_triangle_push(t, &s->right[k], columns, size > 1);
    for (int k = 0; k < s->n_slot; k++)
        push_product(s, &s->products[k]);
    s->out = FF_PUSH(t->ctx, t->z.dtype, s->left.rows, columns, t->z.shape[2]);
}

static void free_memory(struct stream *s)
{
    ff_triangle_free(&s->left);
    for (int k = 0; k < s->n_slot; k++) {
        ff_triangle_free(&s->right[k]);
        free(s->products[k].rooms);
        free(s->products[k].made);
    }
    free(s->t.by_channel);
}

void ff_triangle_stream(const struct ff_context *ctx, const struct ff_triangle_weights *w, bool incoming,
                        struct ff_pair *p)
{
    struct stream s = {.t = ff_triangle_make(ctx, w, p, incoming), .n_slot = ff_dap_size(ctx->dap) > 1 ? 2 : 1,
                       .host = ctx->waiting};
    size_t mark = ff_arena_mark(ctx->arena);
    push_memory(&s);
    for (int64_t at = 0; at < ff_triangle_most(&s.t); at += s.left.rows) {
        begin_part(&s, &s.left, at);
        end_part(&s, &s.left);
        all_columns(&s);
    }
    ff_arena_release(ctx->arena, mark);
    bring_back(&s);
    free_memory(&s);
    ff_arena_release(ctx->arena, mark);
}
