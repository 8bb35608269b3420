/* SPDX-License-Identifier: Apache-2.0
 * plan: how much memory and work a pass takes, by running the model's own code on the plan backend.
 * Declared in model/model.h.
 */
#include <stdio.h>
#include <string.h>

#include "model/forward.h"
#include "model/model.h"
#include "model/pair.h"
#include "model/triangle.h"
#include "model/triangle_stream.h"
#include "model/weights.h"

/* Chunks that large are not worth a slower way. */
enum { GOOD_CHUNK = 96 << 20 };
/* Eight rows of triangle multiplication in float32, sixteen in bfloat16: with less, a run takes too long. */
enum { CHUNK_LEAST_PER_RESIDUE = 8 << 10 };
/* Rows of all pieces of triangle multiplication that are worked on, on few ranks and on many: more win nothing. */
enum { MOST_ROWS = 512, MOST_ROWS_OF_MANY = 1024 };
enum { FEWEST_ROWS = 256 };          /* of both operands, where neither is there whole */

/* A byte copied to or from the host takes as long as so many of the GPU's own traffic, half of them hidden, and one of
 * these as so many operations of the network. */
enum { COPY_COST = 20, BYTE_COST_BF16 = 150, BYTE_COST = 30 };

/* A GPU's table of the host's memory that it reaches takes that part of it: 8 bytes for a page of 4 KiB. */
enum { HOST_PER_TABLE = 512 };

struct totals {
    double flops, bytes, sent;
    int64_t n_op, n_collective;
};

/* Follows the stages of a pass: arena peak and cost of each. */
struct stage_recorder {
    struct ff_backend *be;
    struct ff_arena *arena;
    const struct ff_comm *comm;
    struct ff_plan *plan;
    struct totals before;            /* the open stage */
};

static struct totals totals(const struct stage_recorder *r)
{
    const struct ff_cost *c = ff_backend_plan_costs(r->be);
    struct totals t = {0};
    for (int i = 0; i < FF_OP_COUNT; i++) {
        t.flops += c[i].flops;
        t.bytes += c[i].bytes;
        t.n_op += c[i].calls;
    }
    for (int k = 0; k < FF_COLLECTIVE_COUNT; k++) {
        t.sent += r->comm->stats.bytes[k];
        t.n_collective += r->comm->stats.calls[k];
    }
    return t;
}

static void close_stage(struct stage_recorder *r)
{
    if (r->plan->n_stage == 0)
        return;
    struct ff_plan_stage *s = &r->plan->stages[r->plan->n_stage - 1];
    struct totals now = totals(r);
    s->peak_bytes = r->arena->peak;
    s->flops = now.flops - r->before.flops;
    s->bytes = now.bytes - r->before.bytes;
    s->n_op = now.n_op - r->before.n_op;
    s->sent_bytes = now.sent - r->before.sent;
    s->n_collective = now.n_collective - r->before.n_collective;
}

static void open_stage(void *user, const char *stage, int block, int n_block)
{
    (void)block;
    struct stage_recorder *r = user;
    struct ff_plan *p = r->plan;
    if (p->n_stage > 0 && strcmp(p->stages[p->n_stage - 1].name, stage) == 0)
        return;
    close_stage(r);
    FF_ASSERT(p->n_stage < FF_PLAN_MAX_STAGE);
    p->stages[p->n_stage++] = (struct ff_plan_stage){.name = stage, .n_block = n_block};
    r->before = totals(r);
    r->arena->peak = r->arena->used;
}

/* What all plans of one network share. */
struct sizes {
    const struct ff_model_config *config;
    const struct ff_model_config *brief; /* with few blocks, which take as much memory as many */
    struct ff_backend *be;
    struct ff_weights w;             /* imaginary */
    struct ff_residue_constants constants;
    size_t rest_bytes, block_bytes;  /* weights of the Evoformer's blocks, all others and constants */
    size_t overhead;                 /* of the backend */
};

static int n_rank(const struct ff_plan *p)
{
    return p->shape.n_rank > 1 ? p->shape.n_rank : 1;
}

/* One row of the largest operand of triangle multiplication. */
static int64_t operand_row_bytes(const struct sizes *z, const struct ff_plan *p)
{
    int64_t most = 0;
    const struct ff_stack_config *const stacks[] = {&z->config->evoformer, &z->config->extra_msa_stack,
                                                    &z->config->templates.stack};
    for (int i = 0; i < 3; i++)
        if (stacks[i]->triangle_multiplication_channel > most)
            most = stacks[i]->triangle_multiplication_channel;
    return most * ff_pair_padded(p->shape.n_res) * (int64_t)ff_dtype_size(z->be->activation);
}

/* New rows of the pair, or while templates are embedded all of it, that wait on the host. */
static size_t waiting_bytes(const struct sizes *z, const struct ff_plan *p)
{
    return (size_t)ff_triangle_stream_bytes(z->be->activation, p->shape.n_res, n_rank(p), z->config->pair_channel);
}

/* Finished templates or the extra MSA, whichever is more: they are there one after the other. */
static size_t spilled_bytes(const struct sizes *z, const struct ff_plan *p)
{
    const struct ff_input_shape *s = &p->shape;
    size_t item = ff_dtype_size(z->be->activation), n = (size_t)s->n_res;
    size_t own = (n + (size_t)n_rank(p) - 1) / (size_t)n_rank(p);
    size_t extra = (size_t)(s->n_extra > 0 ? s->n_extra : 1) * own * (size_t)z->config->extra_msa_channel * item;
    size_t templates = !z->config->templates.enabled ? 0
                       : (size_t)s->n_template * own * n * (size_t)z->config->templates.num_channel * item;
    return extra > templates ? extra : templates;
}

/* One pass with scratch limited to chunk_bytes: fills arena_bytes, stages and flops of ret. An ensemble's later members
 * cost the same as its first; they are counted, but not listed as stages of their own. */
static void measure(const struct sizes *z, int64_t chunk_bytes, struct ff_plan *ret)
{
    const struct ff_model_config *c = z->config;
    struct ff_backend *be = z->be;
    struct ff_arena arena;
    ff_arena_init_measuring(&arena);
    ff_backend_plan_reset(be);
    ret->n_stage = 0;
    ret->chunk_bytes = chunk_bytes;
    struct ff_comm *comm = ff_comm_planned(n_rank(ret), 0);
    struct stage_recorder r = {.be = be, .arena = &arena, .comm = comm, .plan = ret};
    int64_t layer = chunk_bytes < FF_CHUNK_MOST ? chunk_bytes : FF_CHUNK_MOST;
    const struct ff_dap dap = {.comm = comm, .be = be, .arena = &arena};
    struct ff_context ctx = {.be = be, .arena = &arena, .config = c, .dap = &dap, .planning = true,
                             .chunk_bytes = layer, .triangle_bytes = chunk_bytes, .chunk_most = FF_CHUNK_MOST,
                             .on_stage = open_stage, .user = &r, .stream_blocks = ret->stream_blocks,
                             .stream_bytes = ret->stream_bytes, .spill = ret->spilled_bytes > 0,
                             .msa_in_pieces = ret->msa_in_pieces};
    struct ff_batch batch;
    ff_batch_from_shape(&ret->shape, c->multimer, &batch);
    struct ff_forward_state s;
    const struct ff_forward_out out = {.logits = true};
    ff_forward_begin(&ctx, &batch, &s);
    size_t state = arena.used;
    ff_forward_trunk(&ctx, &z->w, &batch, 0, c->num_ensemble, &s, &out);
    close_stage(&r);
    struct totals trunk = totals(&r);
    ff_forward_structure(&ctx, &z->w, &z->constants, &s, &out);
    close_stage(&r);
    struct totals all = totals(&r);
    int again = c->num_ensemble - 1;
    ret->flops_per_pass = all.flops + trunk.flops * again;
    ret->moved_bytes_per_pass = all.bytes;
    ret->sent_bytes_per_pass = all.sent + trunk.sent * again;
    ret->collectives_per_pass = all.n_collective + trunk.n_collective * again;
    ret->arena_bytes = state;
    for (int i = 0; i < ret->n_stage; i++)
        if (ret->stages[i].peak_bytes > ret->arena_bytes)
            ret->arena_bytes = ret->stages[i].peak_bytes;
    ff_comm_destroy(comm);
    ret->weight_bytes = z->rest_bytes + (ret->stream_blocks ? 0 : z->block_bytes);
    ret->waiting_bytes = ret->stream_bytes > 0 ? waiting_bytes(z, ret) : 0;
    ret->host_bytes = (ret->stream_blocks ? z->block_bytes : 0) + ret->waiting_bytes + ret->spilled_bytes;
    ret->workspace_bytes = z->overhead + (ret->waiting_bytes + ret->spilled_bytes) / HOST_PER_TABLE;
    ret->copied_bytes_per_pass = ff_backend_plan_copied(be);
    ret->total_bytes = ret->weight_bytes + ret->arena_bytes + ret->workspace_bytes;
}

/* Whether a plan with these chunks fits: p then has the memory, but not yet the work, of all blocks. What the pair and
 * an operand alone are too large for is not measured. */
static bool fits(const struct sizes *z, int64_t chunk_bytes, struct ff_plan *p)
{
    struct sizes brief = *z;
    brief.config = z->brief;
    size_t own = (size_t)(p->shape.n_res / n_rank(p)), n = (size_t)p->shape.n_res;
    size_t pair = own * n * (size_t)z->config->pair_channel * ff_dtype_size(z->be->activation);
    size_t operand = p->stream_bytes > 0 ? (size_t)p->stream_bytes : own * (size_t)operand_row_bytes(z, p);
    p->chunk_bytes = chunk_bytes;
    if (z->overhead + pair + operand > p->budget_bytes)
        return false;
    measure(&brief, chunk_bytes, p);
    return p->total_bytes <= p->budget_bytes;
}

static int64_t least_chunk(const struct ff_plan *p)
{
    return (int64_t)p->shape.n_res * CHUNK_LEAST_PER_RESIDUE;
}

/* Longest chain whose smallest plan fits: for the message when nothing else can be said. */
static int longest_that_fits(const struct sizes *z, const struct ff_plan *plan)
{
    int low = 0, high = plan->shape.n_res;
    while (high - low > 1) {
        struct ff_plan p = *plan;
        p.shape.n_res = low + (high - low) / 2;
        if (fits(z, least_chunk(&p), &p))
            low = p.shape.n_res;
        else
            high = p.shape.n_res;
    }
    return low;
}

/* Chunks of triangle multiplication large enough that products, and not reading their operands, take the time. Several
 * ranks work on two in turn; each has rows of an operand and what the others have of as many. A few want four chunks or
 * more, so that sending is hidden. Many have fewer channels each, so that products are over sooner: they want two, of
 * twice as many rows. */
static int64_t most_chunk(const struct sizes *z, const struct ff_plan *p)
{
    int64_t n = n_rank(p), chunks = n >= FF_TRIANGLE_MANY_RANKS ? 2 : n > 1 ? 4 : 1;
    int64_t most = n >= FF_TRIANGLE_MANY_RANKS ? MOST_ROWS_OF_MANY : MOST_ROWS;
    int64_t rows = (p->shape.n_res + chunks - 1) / chunks;
    rows = (rows + FF_TRIANGLE_ROWS - 1) / FF_TRIANGLE_ROWS * FF_TRIANGLE_ROWS;
    int64_t parts = n > 1 ? 2 * (2 * n - 1) : 2; /* nths of what the rows have */
    int64_t bytes = parts * (rows < most ? rows : most) / n * operand_row_bytes(z, p) / n;
    return bytes > FF_CHUNK_MOST ? bytes : FF_CHUNK_MOST;
}

/* Chunks of the most, 3/4, 1/2, 3/8, ... of it down to least. */
static bool try_chunks(const struct sizes *z, int64_t least, struct ff_plan *p)
{
    for (int64_t chunk = most_chunk(z, p); chunk > least; chunk /= 2)
        for (int quarters = 4; quarters > 2; quarters--)
            if (fits(z, chunk / 4 * quarters, p))
                return true;
    return fits(z, least, p);
}

/* Everything but the pair for parts of the operands: the more scratch, the less often the right one is made. */
static bool try_stream(const struct sizes *z, struct ff_plan *p)
{
    int64_t n = p->shape.n_res, own = (n + n_rank(p) - 1) / n_rank(p), row = n_rank(p) * operand_row_bytes(z, p);
    int64_t least = row * (own / 4 < FEWEST_ROWS ? own / 4 : FEWEST_ROWS);
    for (p->stream_bytes = 2 * own * row; p->stream_bytes >= least; p->stream_bytes = p->stream_bytes / 8 * 7)
        if (fits(z, p->stream_bytes < FF_CHUNK_MOST ? p->stream_bytes : FF_CHUNK_MOST, p))
            return true;
    return false;
}

/* What the host holds at most. */
static size_t most_on_host(const struct sizes *z, const struct ff_plan *p)
{
    return z->block_bytes + spilled_bytes(z, p) + waiting_bytes(z, p);
}

static ff_status refuse(const struct sizes *z, size_t host, const struct ff_plan *p)
{
    const double mib = 1024.0 * 1024.0, gib = 1024.0 * mib;
    int most = longest_that_fits(z, p);
    if (most == 0)
        return ff_fail(FF_EMEMORY,
                       "%s: %.1f MiB for parameters and workspace alone, %.1f MiB are there; give more memory",
                       z->config->name, (double)(p->weight_bytes + p->workspace_bytes) / mib,
                       (double)p->budget_bytes / mib);
    char more[160] = "";
    if (host > 0 && host < most_on_host(z, p))
        snprintf(more, sizeof more, "; with %.2f GiB of the host they would need less, and it can spare %.2f",
                 (double)most_on_host(z, p) / gib, (double)host / gib);
    return ff_fail(
        FF_EMEMORY,
        "%d residues with %d + %d sequences need %.2f GiB (parameters %.2f, representations and "
        "scratch %.2f) and %.2f GiB are there; with this MSA up to %d residues fit; lower msa.max_clusters or "
        "msa.max_extra, or give more memory%s",
        p->shape.n_res, p->shape.n_seq, p->shape.n_extra, (double)p->total_bytes / gib, (double)p->weight_bytes / gib,
        (double)p->arena_bytes / gib, (double)p->budget_bytes / gib, most, more);
}

/* Weights that come block by block cost less time than small chunks, and so do the extra MSA and finished templates. */
static bool fit_chunks(const struct sizes *z, size_t host, struct ff_plan *p)
{
    int64_t least = least_chunk(p);
    bool may_stream = host >= z->block_bytes && z->config->evoformer.num_block > 1;
    if (try_chunks(z, may_stream && least < GOOD_CHUNK ? GOOD_CHUNK : least, p))
        return true;
    p->stream_blocks = may_stream;
    if (may_stream && try_chunks(z, least, p))
        return true;
    host -= may_stream ? z->block_bytes : 0;
    p->spilled_bytes = host >= spilled_bytes(z, p) ? spilled_bytes(z, p) : 0;
    return p->spilled_bytes > 0 && try_chunks(z, least, p);
}

/* The extra MSA is never whole on the GPU. */
static bool fit_pieces(const struct sizes *z, size_t host, struct ff_plan *p)
{
    if (host < z->block_bytes + spilled_bytes(z, p))
        return false;
    p->stream_blocks = z->config->evoformer.num_block > 1;
    p->spilled_bytes = spilled_bytes(z, p);
    p->msa_in_pieces = true;
    return try_chunks(z, least_chunk(p), p);
}

/* All that may lie on the host, the new rows of the pair too. */
static bool fit_stream(const struct sizes *z, size_t host, bool pieces, struct ff_plan *p)
{
    if (host < most_on_host(z, p))
        return false;
    p->stream_blocks = z->config->evoformer.num_block > 1;
    p->spilled_bytes = spilled_bytes(z, p);
    p->msa_in_pieces = pieces;
    return try_stream(z, p);
}

/* Operations that would take as long as the pass. */
static double cost(const struct sizes *z, const struct ff_plan *p)
{
    double byte = z->be->activation == FF_BF16 ? BYTE_COST_BF16 : BYTE_COST;
    double sum = byte * COPY_COST * p->copied_bytes_per_pass;
    for (int i = 0; i < p->n_stage; i++) {
        const struct ff_plan_stage *s = &p->stages[i];
        sum += s->flops > byte * s->bytes ? s->flops : byte * s->bytes;
    }
    return sum;
}

/* next in place of p, where p does not fit, or takes longer and next fits. Of two that do not, next needs less. */
static void choose(const struct sizes *z, struct ff_plan *p, bool *fitted, const struct ff_plan *next,
                   bool next_fits)
{
    if (*fitted && (!next_fits || cost(z, next) >= cost(z, p)))
        return;
    *p = *next;
    *fitted = next_fits;
}

/* From fast to slow, as long as more than a twentieth is lost. p is what it would be with enough memory. The work of
 * all blocks is compared: of the few that the search for chunks is made with, stacks have other shares. */
static ff_status fit(const struct sizes *z, size_t host, struct ff_plan *p)
{
    const struct ff_plan whole = *p;
    bool fitted = fit_chunks(z, host, p);
    measure(z, p->chunk_bytes, p);
    for (int way = 0; way < 3 && !(fitted && cost(z, p) < 1.05 * cost(z, &whole)); way++) {
        struct ff_plan next = whole;
        next.chunk_bytes = 0;
        bool next_fits = way == 0 ? fit_pieces(z, host, &next) : fit_stream(z, host, way == 2, &next);
        if (next.chunk_bytes > 0) { /* tried */
            measure(z, next.chunk_bytes, &next);
            choose(z, p, &fitted, &next, next_fits);
        }
    }
    return fitted ? FF_OK : refuse(z, host, p);
}

ff_status ff_model_plan(const struct ff_model_config *c, const struct ff_input_shape *shape,
                        enum ff_precision precision, enum ff_dtype activation, const struct ff_plan_memory *memory,
                        struct ff_plan *ret)
{
    FF_TRY(ff_model_config_check(c));
    if (shape->n_rank > shape->n_res)
        return ff_fail(FF_EUSAGE, "%d ranks for a target of %d residues; use at most one rank per residue",
                       shape->n_rank, shape->n_res);
    struct ff_model_config brief = *c;
    struct ff_stack_config *const stacks[] = {&brief.evoformer, &brief.extra_msa_stack, &brief.templates.stack};
    for (int i = 0; i < 3; i++)
        stacks[i]->num_block = stacks[i]->num_block > 2 ? 2 : stacks[i]->num_block;
    struct sizes z = {.config = c, .brief = &brief, .overhead = memory->overhead,
                      .be = ff_backend_plan_create(precision, activation, memory->overhead)};
    struct ff_arena rest, blocks;
    ff_arena_init_measuring(&rest);
    ff_arena_init_measuring(&blocks);
    ff_weights_walk(&(struct ff_weights_walker){.config = c, .arena = &rest, .block_arena = &blocks,
                                                .trunk_dtype = activation}, &z.w);
    ff_structure_constants(z.be, &rest, &z.constants);
    z.rest_bytes = rest.used;
    z.block_bytes = blocks.used;
    *ret = (struct ff_plan){.shape = *shape, .workspace_bytes = memory->overhead, .budget_bytes = memory->budget};
    measure(&z, most_chunk(&z, ret), ret);
    ret->whole_bytes_per_pass = ret->moved_bytes_per_pass;
    ff_status st = fit(&z, memory->host, ret);
    ff_backend_destroy(z.be);
    return st;
}
