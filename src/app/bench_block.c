/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_block.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "model/evoformer.h"
#include "model/model.h"

enum { FEWEST_RUNS = 3 };

/* --- sizes -------------------------------------------------------------------------------------------------------- */

static ff_status parse_size(const char *flag, const char *text, char **end, int *ret)
{
    long n = strtol(text, end, 10);
    if (*end == text || n < 1 || n > 100000)
        return ff_fail(FF_EUSAGE, "%s: '%s': expected SEQUENCESxRESIDUES,... such as 128x256,512x384, numbers from 1 "
                       "to 100000", flag, text);
    *ret = (int)n;
    return FF_OK;
}

ff_status ff_bench_block_parse(const char *flag, const char *text, struct ff_bench_block ret[FF_BENCH_MAX_BLOCK],
                               int *ret_n)
{
    *ret_n = 0;
    char *end;
    for (const char *at = text;; at = end + 1) {
        struct ff_bench_block b = {0};
        FF_TRY(parse_size(flag, at, &end, &b.n_seq));
        if (*end != 'x')
            return ff_fail(FF_EUSAGE, "%s: '%s': expected an 'x' between sequences and residues, as in 128x256", flag,
                           at);
        FF_TRY(parse_size(flag, end + 1, &end, &b.n_res));
        if (*end != '\0' && *end != ',')
            return ff_fail(FF_EUSAGE, "%s: '%s': expected a comma between sizes", flag, at);
        if (*ret_n == FF_BENCH_MAX_BLOCK)
            return ff_fail(FF_EUSAGE, "%s: at most %d sizes", flag, FF_BENCH_MAX_BLOCK);
        ret[(*ret_n)++] = b;
        if (*end == '\0')
            return FF_OK;
    }
}

/* --- one block ---------------------------------------------------------------------------------------------------- */

struct block {
    const struct ff_model_config *config;
    struct ff_arena arena;
    struct ff_context ctx;
    struct ff_block_weights weights;
    struct ff_tensor m, msa_mask;    /* [S, N, c_m], [S, N] */
    struct ff_pair pair;
};

static void store(void *user, const struct ff_weight_decl *d)
{
    (void)user;
    int64_t count = 1;
    for (int i = 0; i < d->ndim; i++)
        count *= d->shape[i];
    float *values = ff_xmalloc((size_t)count * sizeof *values);
    ff_params_synthesize(d->name, d->ndim, d->shape, values);
    ff_weights_store(d, values);
    free(values);
}

static size_t lay_out_weights(const struct ff_model_config *c, struct ff_arena *arena, enum ff_dtype type,
                              void (*visit)(void *user, const struct ff_weight_decl *decl),
                              struct ff_block_weights *ret)
{
    struct ff_weights_walker walker = {.config = c, .arena = arena, .trunk_dtype = type, .visit = visit};
    ff_weights_walk_stack(&walker, "block", FF_STACK_EVOFORMER, 0, c->msa_channel, c->pair_channel, &c->evoformer, ret);
    return arena->used;
}

static size_t weight_bytes(const struct ff_model_config *c, enum ff_dtype type)
{
    struct ff_arena arena;
    struct ff_block_weights w;
    ff_arena_init_measuring(&arena);
    return lay_out_weights(c, &arena, type, NULL, &w);
}

/* Weights are made on the host and copied to the start of the arena. */
static void push_weights(struct block *x, struct ff_backend *be)
{
    struct ff_arena host;
    struct ff_block_weights w;
    size_t bytes = weight_bytes(x->config, be->activation);
    char *staging = ff_xcalloc_aligned(FF_ARENA_ALIGN, bytes);
    ff_arena_init(&host, staging, bytes);
    lay_out_weights(x->config, &host, be->activation, store, &w);
    struct ff_tensor all = ff_tensor_make(x->arena.base, FF_U8, FF_SHAPE((int64_t)bytes));
    be->upload(be, &all, staging);
    be->sync(be);
    free(staging);
    lay_out_weights(x->config, &x->arena, be->activation, NULL, &x->weights);
}

/* As the network's embeddings are: a sum of one row for each of the two indices. */
static void push_random_rows(struct block *x, struct ff_tensor t, struct ff_rng *r)
{
    struct ff_backend *be = x->ctx.be;
    FF_OP(be, fill, .out = t, .value = 0.0f);
    struct ff_tensor rows[2];
    for (int side = 0; side < 2; side++) {
        rows[side] = FF_PUSH(&x->ctx, FF_F32, t.shape[side], t.shape[2]);
        int64_t n = t.shape[side] * t.shape[2];
        float *values = ff_xmalloc((size_t)n * sizeof *values);
        for (int64_t i = 0; i < n; i++)
            values[i] = (float)(2.0 * ff_rng_uniform(r) - 1.0);
        be->upload(be, &rows[side], values);
        be->sync(be);
        free(values);
    }
    FF_OP(be, outer_sum, .out = t, .left = rows[0], .right = rows[1]);
}

static void push_representations(struct block *x, const struct ff_bench_block *b, struct ff_rng *r)
{
    const struct ff_model_config *c = x->config;
    struct ff_context *ctx = &x->ctx;
    int64_t s = b->n_seq, n = b->n_res, c_i = c->evoformer.triangle_multiplication_channel;
    struct ff_tensor z = ff_pair_push_rows(ctx, n, c->pair_channel);
    x->m = FF_PUSH(ctx, ctx->be->activation, s, n, c->msa_channel);
    x->msa_mask = FF_PUSH(ctx, FF_F32, s, n);
    struct ff_tensor pair_mask = FF_PUSH(ctx, FF_F32, n, n);
    FF_OP(ctx->be, fill, .out = x->msa_mask, .value = 1.0f);
    FF_OP(ctx->be, fill, .out = pair_mask, .value = 1.0f);
    push_random_rows(x, x->m, r);
    push_random_rows(x, z, r);
    x->pair = ff_pair_make(ctx, z, pair_mask, c_i);
}

static void run_block(void *user)
{
    struct block *x = user;
    ff_evoformer_block(&x->ctx, &x->weights, &x->config->evoformer, FF_STACK_EVOFORMER,
                       &(struct ff_offload){.x = x->m}, x->msa_mask, &x->pair);
}

static struct block block_make(const struct ff_model_config *c, struct ff_backend *be)
{
    return (struct block){.config = c, .ctx = {.be = be, .config = c, .chunk_bytes = FF_CHUNK_MOST,
                                                 .chunk_most = FF_CHUNK_MOST}};
}

/* Memory and work, by the same code on the plan backend. */
static void plan(const struct ff_model_config *c, const struct ff_backend *be, struct ff_bench_block *b)
{
    struct ff_backend *planner = ff_backend_plan_create(be->precision, be->activation, be->workspace);
    struct block x = block_make(c, planner);
    struct ff_rng r;
    ff_rng_init(&r, 1, "bench", 1);
    ff_arena_init_measuring(&x.arena);
    x.ctx.arena = &x.arena;
    x.ctx.planning = true;
    lay_out_weights(c, &x.arena, be->activation, NULL, &x.weights);
    push_representations(&x, b, &r);
    ff_backend_plan_reset(planner);
    run_block(&x);
    b->bytes = x.arena.peak;
    b->cost = (struct ff_cost){0};
    const struct ff_cost *costs = ff_backend_plan_costs(planner);
    for (int op = 0; op < FF_OP_COUNT; op++)
        ff_cost_add(&b->cost, &costs[op]);
    ff_backend_destroy(planner);
}

ff_status ff_bench_block(const struct ff_model_config *c, struct ff_bench_timer *timer, struct ff_bench_block *b)
{
    struct ff_backend *be = timer->be;
    struct block x = block_make(c, be);
    struct ff_rng r;
    void *memory;
    plan(c, be, b);
    FF_TRY(be->alloc(be, b->bytes, &memory));
    ff_rng_init(&r, 1, "bench", 1);
    ff_arena_init(&x.arena, memory, b->bytes);
    x.ctx.arena = &x.arena;
    push_weights(&x, be);
    push_representations(&x, b, &r);
    ff_bench_time(timer, FEWEST_RUNS, &b->cost, run_block, &x, &b->times);
    be->release(be, memory);
    return FF_OK;
}
