/* SPDX-License-Identifier: Apache-2.0
 * context: what every layer gets besides its weights and tensors.
 *
 * Layers change their tensors in place, own no memory and return nothing. Scratch comes from the arena between a mark
 * and its release; one layer's scratch stays below chunk_bytes wherever rows can be worked on in pieces, and a piece
 * that covers everything is the normal case of the same loop.
 */
#ifndef FF_MODEL_CONTEXT_H
#define FF_MODEL_CONTEXT_H

#include "compute/arena.h"
#include "compute/backend.h"
#include "model/config.h"
#include "parallel/dap.h"

enum { FF_CHUNK_MOST = 256 << 20 };  /* bytes; larger pieces do not make a layer faster */

struct ff_context {
    struct ff_backend *be;
    struct ff_arena *arena;
    const struct ff_model_config *config;
    const struct ff_dap *dap;        /* the ranks that share the representations; NULL: one rank */
    bool planning;                   /* be is the plan backend: there are no values and no host memory */
    int64_t chunk_bytes;             /* scratch of one layer's loop over rows */
    int64_t stream_bytes;            /* not 0: triangle multiplication has this much scratch in place of an operand,
                                      * and new rows of the pair wait on the host (model/triangle_stream.h) */
    char *waiting;                   /* there; NULL while planning */
    bool spill;                      /* finished templates, and the extra MSA during pair layers, lie on the host */
    char *spilled;                   /* there; NULL while planning */
    bool msa_in_pieces;              /* the extra MSA is nowhere but there, and layers have pieces of it here */
    int64_t piece_bytes;             /* which take this much, besides chunk_bytes */
    bool stream_blocks;              /* the Evoformer's weights come from the host, block by block */
    const char *blocks;              /* there, packed; NULL while planning */
    int64_t triangle_bytes;          /* the same for triangle multiplication, if more: all of one operand is read for
                                      * every piece of the other */
    int64_t chunk_most;              /* more than that is never of use; 0: as chunk_bytes */
    /* Told at the start of every block or stage; the planner and the progress line listen. May be NULL. */
    void (*on_stage)(void *user, const char *stage, int block, int n_block);
    void *user;
    const bool *stop;                /* see ff_context_stopped */
};

/* Rows per piece so that rows * bytes_per_row stays within chunk_bytes, evened out over the pieces; at least 1. */
static inline int64_t ff_context_rows(const struct ff_context *ctx, int64_t n_row, int64_t bytes_per_row)
{
    int64_t rows = bytes_per_row > 0 ? ctx->chunk_bytes / bytes_per_row : n_row;
    if (rows < 1)
        rows = 1;
    if (rows >= n_row)
        return n_row > 0 ? n_row : 1;
    int64_t pieces = (n_row + rows - 1) / rows;
    return (n_row + pieces - 1) / pieces;
}

/* This rank's number of indices of an axis of n. */
static inline int64_t ff_context_part(const struct ff_context *ctx, int64_t n)
{
    return ff_dap_count(ctx->dap, n, ff_dap_rank(ctx->dap));
}

/* Scratch: shape as a list of sizes. */
#define FF_PUSH(ctx, dtype, ...) ff_arena_push((ctx)->arena, (dtype), FF_SHAPE(__VA_ARGS__))

static inline void ff_context_stage(const struct ff_context *ctx, const char *stage, int block, int n_block)
{
    if (ctx->be->stage != NULL)
        ctx->be->stage(ctx->be, stage, block, n_block);
    if (ctx->on_stage != NULL)
        ctx->on_stage(ctx->user, stage, block, n_block);
}

/* The user asked to stop: stacks return early, ff_model_run turns it into FF_EINTERRUPT. */
static inline bool ff_context_stopped(const struct ff_context *ctx)
{
    return ctx->stop != NULL && *ctx->stop;
}

#endif
