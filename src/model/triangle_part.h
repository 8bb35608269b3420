/* SPDX-License-Identifier: Apache-2.0
 * triangle_part: rows of an operand of triangle multiplication, as ranks make and share them. The contraction treats
 * every channel by itself, so each rank contracts its own channels of all ranks' rows: a part begins as some rows of
 * this rank with all channels, or some columns of it, and ends as the same rows of every rank with own channels.
 */
#ifndef FF_MODEL_TRIANGLE_PART_H
#define FF_MODEL_TRIANGLE_PART_H

#include "model/pair.h"
#include "model/weights.h"

struct ff_triangle {
    const struct ff_context *ctx;
    const struct ff_triangle_weights *w;
    struct ff_tensor z;              /* [I, N, c_z]: rows of this rank */
    struct ff_tensor mask;           /* [I, N] */
    int64_t c_i, n_res;
    bool by_columns;                 /* an operand's rows are columns of the pair (incoming edges): every rank makes its
                                      * part of each of them */
    struct ff_tensor *by_channel;    /* [rank]: parts of what is sent or comes */
};

/* Rows [at, at + rows) of every rank's part of the pair. */
struct ff_triangle_part {
    int64_t at, rows, n;             /* n: this rank's rows */
    void *whole;                     /* [c_i, n, N]; by columns [c_i, rows of all ranks, I] */
    void **rooms;                    /* [rank]: of own channels, c_i / ranks of a whole */
    struct ff_tensor *theirs;        /* [rank]: what comes of its rows, of own channels; own: a part of whole */
    struct ff_tensor *for_them;      /* [rank]: products of its rows, of own channels */
    int64_t ticket;
};

struct ff_triangle ff_triangle_make(const struct ff_context *ctx, const struct ff_triangle_weights *w,
                                    const struct ff_pair *p, bool by_columns); /* the caller frees by_channel */

static inline int ff_triangle_ranks(const struct ff_triangle *k)
{
    return ff_dap_size(k->ctx->dap);
}

/* Rows of rank r in the part that begins at `at`, and the rows of the rank that has most. */
int64_t ff_triangle_rows(const struct ff_triangle *k, const struct ff_triangle_part *u, int64_t at, int r);
int64_t ff_triangle_most(const struct ff_triangle *k);

/* Channels of rank r of [c_i, .., ..]. */
struct ff_tensor ff_triangle_channels(const struct ff_triangle *k, struct ff_tensor t, int r);
struct ff_tensor ff_triangle_in(const struct ff_triangle *k, void *memory, int64_t c, int64_t rows, int64_t n);
void ff_triangle_copy(const struct ff_triangle *k, struct ff_tensor out, struct ff_tensor x);

/* out [c_i, .., ..] = rows from at on of an operand, of z [.., .., c_z] or a view of it. own: where this rank's
 * channels go, which out then has not; may be NULL. */
void ff_triangle_project(const struct ff_triangle *k, struct ff_tensor out, const struct ff_tensor *own,
                         const struct ff_linear_weights *value, const struct ff_linear_weights *gate,
                         struct ff_tensor z, struct ff_tensor mask, int64_t at);

/* The same of k->z to places of each rank's channels, [rank], of at most FF_TRIANGLE_PLACES ranks. */
enum { FF_TRIANGLE_PLACES = FF_PLANES_APART + 1 };
void ff_triangle_project_to(const struct ff_triangle *k, const struct ff_tensor *places,
                            const struct ff_linear_weights *value, const struct ff_linear_weights *gate, int64_t at);

/* The same of columns: rows of the transposed pair. */
void ff_triangle_project_columns(const struct ff_triangle *k, struct ff_tensor out,
                                 const struct ff_linear_weights *value, const struct ff_linear_weights *gate,
                                 int64_t at);
/* out [.., .., c_z], of the pair, += the gated projection of x [c_i, .., ..]. own: where this rank's channels are,
 * which x then has not; may be NULL. */
void ff_triangle_output(const struct ff_triangle *k, struct ff_tensor out, struct ff_tensor x,
                        const struct ff_tensor *own);

/* Sends the channels of x, made in u->whole, away; what comes is u->theirs when the ticket is waited for. */
void ff_triangle_send(const struct ff_triangle *k, struct ff_triangle_part *u, struct ff_tensor x);
/* Makes rows [at, ..) of this rank, and sends. */
void ff_triangle_send_rows(const struct ff_triangle *k, struct ff_triangle_part *u, int64_t at,
                           const struct ff_linear_weights *value, const struct ff_linear_weights *gate);
/* Blocks of columns to their place in rows [own channels, .., N]. */
void ff_triangle_place_columns(const struct ff_triangle *k, const struct ff_tensor *blocks, struct ff_tensor rows);
/* Columns that came together to rows, in place of what was sent: theirs[r] are then as after ff_triangle_send_rows. */
void ff_triangle_assemble(const struct ff_triangle *k, struct ff_triangle_part *u);

/* Bytes of a room for one row of every rank; a part has as much as a room per rank for the whole, and the rooms, if
 * they are wanted. */
int64_t ff_triangle_room_bytes(const struct ff_triangle *k);
void ff_triangle_push(const struct ff_triangle *k, struct ff_triangle_part *u, int64_t rows, bool with_rooms);
void ff_triangle_free(struct ff_triangle_part *u);

#endif
