/* SPDX-License-Identifier: Apache-2.0
 * model: see model.h. This file owns memory and the recycle loop; the network itself is in forward.c.
 */
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bio/residue.h"
#include "model/confidence.h"
#include "model/forward.h"
#include "model/params.h"

struct ff_model {
    struct ff_model_config config;
    struct ff_backend *be;               /* the caller's */
    struct ff_weights weights;
    struct ff_residue_constants constants;
    void *weight_memory;                 /* of the backend: weights but for the Evoformer's blocks, and constants */
    size_t weight_bytes;                 /* of weight_memory */
    void *block_memory;                  /* of the backend: weights of the blocks; NULL when they are packed */
    size_t block_bytes;
    void *host;                          /* memory of the host for what does not fit; NULL: none */
    size_t host_bytes;
    char *packed;                        /* the blocks in host memory, one after the other; NULL: they are not there */
    void *arena_memory;                  /* kept from target to target, replaced by a larger one when needed */
    size_t arena_bytes;
};

/* --- opening ---------------------------------------------------------------------------------------------------- */

static void lay_out(struct ff_model *m, struct ff_arena *arena, struct ff_arena *blocks, struct ff_weights *ret)
{
    ff_weights_walk(&(struct ff_weights_walker){.config = &m->config, .arena = arena, .block_arena = blocks,
                                                .trunk_dtype = m->be->activation}, ret);
}

/* Bytes of the weights without the Evoformer's blocks, of these, and of the constants. */
static void measure(struct ff_model *m, size_t *ret_rest, size_t *ret_blocks, size_t *ret_constants)
{
    struct ff_backend *plan = ff_backend_plan_create(m->be->precision, m->be->activation, 0);
    struct ff_arena arena, blocks;
    struct ff_weights w;
    ff_arena_init_measuring(&arena);
    ff_arena_init_measuring(&blocks);
    lay_out(m, &arena, &blocks, &w);
    *ret_rest = arena.used;
    *ret_blocks = blocks.used;
    ff_structure_constants(plan, &arena, &m->constants);
    *ret_constants = arena.used - *ret_rest;
    ff_backend_destroy(plan);
}

static void upload(struct ff_model *m, void *to, const char *from, size_t bytes)
{
    int64_t count = (int64_t)bytes;
    struct ff_tensor all = ff_tensor_make(to, FF_U8, 1, &count);
    m->be->upload(m->be, &all, from);
}

/* At least bytes of memory of the backend; what is there is kept if it is large enough. */
static ff_status reserve(struct ff_model *m, size_t bytes, void **memory, size_t *size)
{
    if (*size >= bytes)
        return FF_OK;
    if (*memory != NULL)
        m->be->release(m->be, *memory);
    *memory = NULL;
    *size = 0;
    FF_TRY(m->be->alloc(m->be, bytes, memory));
    *size = bytes;
    return FF_OK;
}

static void release_blocks(struct ff_model *m)
{
    if (m->block_memory != NULL)
        m->be->release(m->be, m->block_memory);
    m->block_memory = NULL;
    m->block_bytes = 0;
    free(m->packed);
    m->packed = NULL;
}

/* The weights as laid out now: those of the blocks in block_memory, or nowhere but packed on the host. */
static void set_weights(struct ff_model *m)
{
    struct ff_arena arena, blocks;
    ff_arena_init(&arena, m->weight_memory, m->weight_bytes);
    if (m->packed == NULL)
        ff_arena_init(&blocks, m->block_memory, m->block_bytes);
    else
        ff_arena_init_measuring(&blocks);
    lay_out(m, &arena, &blocks, &m->weights);
    ff_structure_constants(m->be, &arena, &m->constants);
}

/* Blocks laid out in host memory. */
static struct ff_weights host_blocks(struct ff_model *m, char *memory, size_t bytes)
{
    struct ff_arena rest, blocks;
    struct ff_weights w;
    ff_arena_init_measuring(&rest);
    ff_arena_init(&blocks, memory, bytes);
    lay_out(m, &rest, &blocks, &w);
    return w;
}

static void pack_blocks(struct ff_model *m, char *memory, size_t bytes)
{
    struct ff_weights w = host_blocks(m, memory, bytes);
    int n_block = m->config.evoformer.num_block;
    free(m->packed);
    m->packed = ff_xmalloc(ff_weights_packed_bytes(&w.evoformer) * (size_t)n_block);
    ff_weights_pack(&w.evoformer, n_block, m->packed);
}

/* Brings the weights of the Evoformer's blocks to the host, or back to the backend. */
static ff_status place_blocks(struct ff_model *m, bool on_host)
{
    if (on_host == (m->packed != NULL))
        return FF_OK;
    size_t rest, bytes, constants;
    measure(m, &rest, &bytes, &constants);
    char *memory = ff_xcalloc_aligned(FF_ARENA_ALIGN, bytes);
    ff_status st = FF_OK;
    if (on_host) {
        int64_t count = (int64_t)bytes;
        struct ff_tensor all = ff_tensor_make(m->block_memory, FF_U8, 1, &count);
        m->be->download(m->be, memory, &all);
        release_blocks(m);
        pack_blocks(m, memory, bytes);
    } else {
        struct ff_weights w = host_blocks(m, memory, bytes);
        ff_weights_unpack(&w.evoformer, m->config.evoformer.num_block, m->packed);
        st = reserve(m, bytes, &m->block_memory, &m->block_bytes);
        if (st == FF_OK) {
            upload(m, m->block_memory, memory, bytes);
            free(m->packed);
            m->packed = NULL;
        }
    }
    free(memory);
    if (st == FF_OK)
        set_weights(m);
    return st;
}

/* Parameters are read and packed in host memory and go to the backend from there. */
static ff_status upload_weights(struct ff_model *m, const char *params, size_t rest, size_t blocks)
{
    char *staging = ff_xcalloc_aligned(FF_ARENA_ALIGN, rest + blocks);
    ff_status st = ff_params_load(params, &m->config, m->be->activation, staging, rest + blocks);
    if (st == FF_OK) {
        upload(m, m->weight_memory, staging, rest);
        if (m->packed != NULL)
            pack_blocks(m, staging + rest, blocks);
        else
            upload(m, m->block_memory, staging + rest, blocks);
    }
    free(staging);
    return st;
}

ff_status ff_model_open(const struct ff_model_config *c, const char *params, struct ff_backend *be,
                        struct ff_model **ret)
{
    struct ff_model *m = FF_NEW(struct ff_model);
    m->be = be;
    ff_status st = ff_model_reload(m, c, params);
    if (st != FF_OK) {
        ff_model_close(m);
        m = NULL;
    }
    *ret = m;
    return st;
}

ff_status ff_model_reload(struct ff_model *m, const struct ff_model_config *c, const char *params)
{
    FF_TRY(ff_model_config_check(c));
    m->config = *c;
    m->weights = (struct ff_weights){0};
    size_t rest, blocks, constants;
    measure(m, &rest, &blocks, &constants);
    FF_TRY(reserve(m, rest + constants, &m->weight_memory, &m->weight_bytes));
    /* Where the last network's blocks are on the host, there may be no room for these either. */
    if (m->packed == NULL)
        FF_TRY(reserve(m, blocks, &m->block_memory, &m->block_bytes));
    FF_TRY(upload_weights(m, params, rest, blocks));
    set_weights(m);
    return FF_OK;
}

void ff_model_close(struct ff_model *m)
{
    if (m == NULL)
        return;
    if (m->arena_memory != NULL)
        m->be->release(m->be, m->arena_memory);
    if (m->weight_memory != NULL)
        m->be->release(m->be, m->weight_memory);
    release_blocks(m);
    if (m->host != NULL)
        m->be->release_host(m->be, m->host);
    free(m);
}

static ff_status reserve_arena(struct ff_model *m, size_t bytes)
{
    return reserve(m, bytes, &m->arena_memory, &m->arena_bytes);
}

/* Host memory for what a plan has there besides weights; none where it needs none. */
static ff_status reserve_host(struct ff_model *m, size_t bytes)
{
    if (m->host_bytes == bytes)
        return FF_OK;
    if (m->host != NULL)
        m->be->release_host(m->be, m->host);
    m->host = NULL;
    m->host_bytes = 0;
    if (bytes > 0)
        FF_TRY(m->be->alloc_host(m->be, bytes, &m->host));
    m->host_bytes = bytes;
    return FF_OK;
}

size_t ff_model_held(const struct ff_model *m)
{
    return m->weight_bytes + m->block_bytes + m->arena_bytes;
}

ff_status ff_model_reserve(struct ff_model *m, const struct ff_plan *plan)
{
    FF_TRY(place_blocks(m, plan->stream_blocks));
    FF_TRY(reserve_host(m, plan->waiting_bytes + plan->spilled_bytes));
    return reserve_arena(m, plan->arena_bytes);
}

/* --- one run ---------------------------------------------------------------------------------------------------- */

struct run {
    struct ff_model *m;
    struct ff_source *source;
    const struct ff_plan *plan;
    const struct ff_model_run_options *options;
    struct ff_prediction *p;
    struct ff_arena arena;
    struct ff_context ctx;
    struct ff_comm *self;                /* when the caller gives no communicator */
    struct ff_dap dap;
    struct ff_forward_state state;
    int pass, n_pass;
    int32_t *aatype, *asym_id;           /* copies of the first batch; asym_id NULL for single chains */
    float *plddt_logits, *plddt;         /* host, one pass */
    bool has_pae;                        /* rank 0, with the head; TM scores are made by all ranks */
    float *pae;                          /* [N, N] of the last pass; NULL: its rows are taken */
    struct ff_tm_scores tm;              /* of the last pass */
};

/* Progress: the share of the planned flops that comes before the stage, plus the blocks done of it. */
static void on_stage(void *user, const char *stage, int block, int n_block)
{
    struct run *r = user;
    if (r->options->on_stage == NULL)
        return;
    double done = 0.0, total = 1e-30;
    for (int i = 0; i < r->plan->n_stage; i++)
        total += r->plan->stages[i].flops;
    for (int i = 0; i < r->plan->n_stage; i++) {
        const struct ff_plan_stage *s = &r->plan->stages[i];
        if (strcmp(s->name, stage) == 0) {
            done += s->flops * block / n_block;
            break;
        }
        done += s->flops;
    }
    r->options->on_stage(r->options->user, r->pass, stage, done / total);
}

static bool is_root(const struct run *r)
{
    return ff_dap_rank(&r->dap) == 0;
}

static float *add_f32(struct run *r, const char *name, int ndim, const int64_t *shape)
{
    return ff_arrays_add(&r->p->arrays, name, FF_F32, ndim, shape)->data;
}

static void take_pae(void *user, int64_t from, int64_t n, const float *rows)
{
    struct run *r = user;
    int64_t n_res = r->p->n_res;
    if (r->pae == NULL)
        r->options->take_pae(r->options->user, from, n, rows);
    else
        memcpy(r->pae + from * n_res, rows, (size_t)(n * n_res) * sizeof *rows);
}

static void take_tm(void *user, int64_t from, int64_t n, const float *rows)
{
    struct run *r = user;
    ff_tm_scores_add(&r->tm, from, n, rows);
}

/* Host memory for the outputs of one pass. PAE and logits, if wanted, are those of the last pass. */
static struct ff_forward_out outputs(struct run *r, bool last, float *distance_change)
{
    const struct ff_heads_config *h = &r->m->config.heads;
    int64_t n = r->plan->shape.n_res;
    struct ff_forward_out out = {.logits = last && r->options->want_logits, .plddt_logits = r->plddt_logits,
                                 .pae = {.take = last ? take_pae : NULL, .user = r},
                                 .tm = {.take = take_tm, .user = r, .own = true},
                                 .distance_change = distance_change};
    if (!out.logits || !is_root(r))
        return out;
    out.distogram_logits = add_f32(r, "distogram/logits", FF_SHAPE(n, n, h->distogram_num_bins));
    out.resolved_logits = add_f32(r, "experimentally_resolved/logits",
                                  FF_SHAPE(n, h->experimentally_resolved_num_output));
    out.masked_msa_logits = add_f32(r, "masked_msa/logits",
                                    FF_SHAPE(r->plan->shape.n_seq, n, h->masked_msa_num_output));
    if (h->predicted_aligned_error)
        out.pae_logits = add_f32(r, "predicted_aligned_error/logits", FF_SHAPE(n, n, h->pae_num_bins));
    return out;
}

static void keep_first(struct run *r, const struct ff_batch *b)
{
    size_t bytes = (size_t)b->n_res * sizeof(int32_t);
    r->aatype = memcpy(ff_xmalloc(bytes), b->aatype, bytes);
    if (b->asym_id != NULL)
        r->asym_id = memcpy(ff_xmalloc(bytes), b->asym_id, bytes);
}

/* Embedding to Evoformer for every ensemble member of this pass. */
static ff_status run_trunk(struct run *r, const struct ff_forward_out *out)
{
    const struct ff_model_config *c = &r->m->config;
    for (int member = 0; member < c->num_ensemble; member++) {
        struct ff_arrays arrays = {0};
        struct ff_batch batch = {0};
        r->source->last_pass = r->pass == r->n_pass - 1;
        ff_status st = r->source->next(r->source, r->pass, member, &arrays);
        if (st == FF_OK)
            st = ff_batch_bind(&arrays, c, &r->plan->shape, &batch);
        if (st == FF_OK) {
            if (r->aatype == NULL) {
                keep_first(r, &batch);
                ff_forward_begin(&r->ctx, &batch, &r->state);
            }
            ff_forward_trunk(&r->ctx, &r->m->weights, &batch, member, c->num_ensemble, &r->state, out);
        }
        ff_batch_free(&batch); /* what was uploaded may go; a GPU works on meanwhile */
        ff_arrays_free(&arrays);
        FF_TRY(st);
    }
    return FF_OK;
}

/* Rank 0 sees everything; the others learn from it whether to go on. */
static ff_status check_finite(struct run *r, const struct ff_pass_report *report)
{
    int32_t good = isfinite(report->mean_plddt) && (!r->has_pae || isfinite(report->ptm));
    r->dap.comm->broadcast_host(r->dap.comm, &good, sizeof good, 0);
    if (good)
        return FF_OK;
    return ff_fail(FF_EINTERNAL, "pass %d gave numbers that are not finite (mean pLDDT %g, pTM %g); --dump FILE.npz "
                   "shows the first operation that does", r->pass, report->mean_plddt, report->ptm);
}

static ff_status run_pass(struct run *r, struct ff_pass_report *report)
{
    int n = r->plan->shape.n_res;
    double start = ff_clock_now();
    float change = NAN;
    struct ff_forward_out out = outputs(r, r->pass == r->n_pass - 1, &change);
    FF_TRY(run_trunk(r, &out));
    ff_tm_scores_free(&r->tm);
    ff_tm_scores_begin(n, r->asym_id, &r->tm);
    ff_forward_structure(&r->ctx, &r->m->weights, &r->m->constants, &r->state, &out);
    if (r->m->config.heads.predicted_aligned_error)
        ff_heads_merge_tm(&r->dap, &r->tm);
    r->m->be->sync(r->m->be);
    if (ff_context_stopped(&r->ctx))
        return ff_fail(FF_EINTERRUPT, "stopped in pass %d", r->pass);

    *report = (struct ff_pass_report){.pass = r->pass, .ptm = NAN, .iptm = NAN};
    report->mean_plddt = ff_confidence_plddt(n, r->m->config.heads.plddt_num_bins, r->plddt_logits, r->plddt);
    if (r->has_pae) {
        report->ptm = (float)r->tm.ptm;
        if (r->asym_id != NULL)
            report->iptm = (float)r->tm.iptm;
    }
    report->distance_change = r->pass > 0 ? change : NAN;
    report->seconds = ff_clock_now() - start;
    FF_TRY(check_finite(r, report));
    if (r->options->on_pass != NULL)
        r->options->on_pass(r->options->user, report);
    return FF_OK;
}

/* Early stop of complexes: the structure no longer changes (as in AF2Complex; off when the tolerance is negative). */
static bool has_converged(const struct run *r, const struct ff_pass_report *report)
{
    float tolerance = r->m->config.recycle_early_stop_tolerance;
    return r->pass > 0 && tolerance >= 0.0f && report->distance_change <= tolerance;
}

/* --- results ---------------------------------------------------------------------------------------------------- */

static void download(struct run *r, const char *name, struct ff_tensor t)
{
    float *dst = add_f32(r, name, t.ndim, t.shape);
    size_t mark = ff_arena_mark(&r->arena);
    if (t.dtype != FF_F32) {
        struct ff_tensor wide = ff_arena_push(&r->arena, FF_F32, t.ndim, t.shape);
        FF_OP(r->m->be, copy, .out = wide, .x = t);
        t = wide;
    }
    r->m->be->download(r->m->be, dst, &t);
    ff_arena_release(&r->arena, mark);
}

/* The pair is downloaded by pieces of rows: in bfloat16 it is widened on the way and must not need room for all. */
static void download_pair(struct run *r)
{
    struct ff_tensor z = r->state.z;
    int64_t n = z.shape[0], row = z.shape[1] * z.shape[2], n_res = z.shape[1];
    float *whole = is_root(r) ? add_f32(r, "representations/pair", FF_SHAPE(n_res, n_res, z.shape[2])) : NULL;
    float *dst = ff_dap_size(&r->dap) == 1 ? whole : ff_xmalloc((size_t)(n * row) * sizeof(float));
    int64_t rows = ff_context_rows(&r->ctx, n, row * (int64_t)sizeof(float));
    size_t mark = ff_arena_mark(&r->arena);
    for (int64_t from = 0; from < n; from += rows) {
        struct ff_tensor part = ff_tensor_slice(z, 0, from, from + rows <= n ? rows : n - from);
        struct ff_tensor wide = ff_arena_push(&r->arena, FF_F32, part.ndim, part.shape);
        FF_OP(r->m->be, copy, .out = wide, .x = part);
        r->m->be->download(r->m->be, dst + from * row, &wide);
        ff_arena_release(&r->arena, mark);
    }
    if (dst == whole)
        return;
    ff_dap_collect_rows(&r->dap, dst, whole, n_res, 0, n_res, false, (size_t)row * sizeof(float));
    free(dst);
}

static void add_bins(struct run *r, const char *name, float first, float last, int n_bin)
{
    float *edges = add_f32(r, name, FF_SHAPE(n_bin - 1));
    for (int i = 0; i < n_bin - 1; i++)
        edges[i] = (float)(first + (double)i * ((double)last - first) / (n_bin - 2));
}

static void collect_confidence(struct run *r)
{
    const struct ff_heads_config *h = &r->m->config.heads;
    struct ff_prediction *p = r->p;
    int64_t n = p->n_res;
    memcpy(add_f32(r, "predicted_lddt/logits", FF_SHAPE(n, h->plddt_num_bins)), r->plddt_logits,
           (size_t)(n * h->plddt_num_bins) * sizeof(float));
    memcpy(add_f32(r, "plddt", FF_SHAPE(n)), r->plddt, (size_t)n * sizeof(float));
    if (!r->has_pae)
        return;
    *add_f32(r, "max_predicted_aligned_error", 0, NULL) = ff_confidence_max_pae(h->pae_max_error_bin, h->pae_num_bins);
    *add_f32(r, "ptm", 0, NULL) = p->ptm;
    if (r->asym_id != NULL) {
        *add_f32(r, "iptm", 0, NULL) = p->iptm;
        memcpy(ff_arrays_add(&p->arrays, "predicted_aligned_error/asym_id", FF_I32, 1, &n)->data, r->asym_id,
               (size_t)n * sizeof(int32_t));
    }
    add_bins(r, "predicted_aligned_error/breaks", 0.0f, h->pae_max_error_bin, h->pae_num_bins);
}

static void collect(struct run *r)
{
    struct ff_prediction *p = r->p;
    const struct ff_pass_report *last = &p->passes[p->n_pass - 1];
    const struct ff_heads_config *h = &r->m->config.heads;
    int64_t n = p->n_res;
    p->mean_plddt = last->mean_plddt;
    p->ptm = last->ptm;
    p->iptm = last->iptm;
    p->ranking_confidence = r->asym_id != NULL ? 0.8f * p->iptm + 0.2f * p->ptm : p->mean_plddt;
    if (r->options->want_representations)
        download_pair(r);
    if (!is_root(r))
        return;
    download(r, "structure_module/final_atom_positions", r->state.structure.atoms);
    const struct ff_residue_tables *t = ff_residue_tables();
    float *mask = add_f32(r, "structure_module/final_atom_mask", FF_SHAPE(n, FF_N_ATOM37));
    for (int64_t i = 0; i < n; i++)
        memcpy(mask + i * FF_N_ATOM37, t->atom37_mask[r->aatype[i]], sizeof t->atom37_mask[0]);
    collect_confidence(r);
    if (r->asym_id != NULL)
        ff_confidence_chains(p->n_res, r->asym_id, r->plddt, r->has_pae ? &r->tm : NULL, &p->chains);
    if (r->options->want_logits)
        add_bins(r, "distogram/bin_edges", h->distogram_first_break, h->distogram_last_break, h->distogram_num_bins);
    if (!r->options->want_representations)
        return;
    download(r, "representations/single", r->state.single);
    download(r, "representations/structure_module", r->state.structure.act);
    download(r, "representations/msa_first_row", r->state.msa_first_row);
}

/* --- the recycle loop ------------------------------------------------------------------------------------------- */

/* Of layers other than triangle multiplication. */
static int64_t layer_chunk(const struct ff_plan *p)
{
    return p->chunk_bytes < FF_CHUNK_MOST ? p->chunk_bytes : FF_CHUNK_MOST;
}

static void run_begin(struct run *r)
{
    const struct ff_heads_config *h = &r->m->config.heads;
    int64_t n_res = r->plan->shape.n_res;
    size_t n = (size_t)n_res;
    r->plddt_logits = FF_NEW_ARRAY(float, n * (size_t)h->plddt_num_bins);
    r->plddt = FF_NEW_ARRAY(float, n);
    r->has_pae = h->predicted_aligned_error && is_root(r);
    if (r->has_pae && r->options->take_pae == NULL)
        r->pae = add_f32(r, "predicted_aligned_error", FF_SHAPE(n_res, n_res));
    ff_arena_init(&r->arena, r->m->arena_memory, r->plan->arena_bytes);
    char *spilled = r->m->host != NULL ? (char *)r->m->host + r->plan->waiting_bytes : NULL;
    r->ctx = (struct ff_context){.be = r->m->be, .arena = &r->arena, .config = &r->m->config, .dap = &r->dap,
                                 .chunk_bytes = layer_chunk(r->plan), .triangle_bytes = r->plan->chunk_bytes,
                                 .chunk_most = FF_CHUNK_MOST,
                                 .stream_blocks = r->plan->stream_blocks, .blocks = r->m->packed,
                                 .stream_bytes = r->plan->stream_bytes, .waiting = r->m->host,
                                 .spill = r->plan->spilled_bytes > 0, .spilled = spilled,
                                 .msa_in_pieces = r->plan->msa_in_pieces,
                                 .on_stage = on_stage, .user = r,
                                 /* ranks can only stop together */
                                 .stop = ff_dap_size(&r->dap) == 1 ? r->options->stop : NULL};
}

static void run_end(struct run *r)
{
    ff_comm_destroy(r->self);
    free(r->aatype);
    free(r->asym_id);
    free(r->plddt_logits);
    free(r->plddt);
    ff_tm_scores_free(&r->tm);
}

ff_status ff_model_run(struct ff_model *m, struct ff_source *source, const struct ff_plan *plan,
                       const struct ff_model_run_options *options, struct ff_prediction *ret)
{
    *ret = (struct ff_prediction){.n_res = plan->shape.n_res, .ptm = NAN, .iptm = NAN};
    int n_pass = options->num_recycle + 1;
    if (source->shape.n_pass > 0 && source->shape.n_pass < n_pass)
        return ff_fail(FF_EINPUT, "%d recycles need %d sets of features; the input holds %d; lower --recycles",
                       options->num_recycle, n_pass, source->shape.n_pass);
    FF_TRY(ff_model_reserve(m, plan));
    double start = ff_clock_now();
    struct run r = {.m = m, .source = source, .plan = plan, .options = options, .p = ret, .n_pass = n_pass};
    ret->passes = FF_NEW_ARRAY(struct ff_pass_report, (size_t)n_pass);
    r.self = options->comm == NULL ? ff_comm_self() : NULL;
    r.dap = (struct ff_dap){.comm = options->comm != NULL ? options->comm : r.self, .be = m->be, .arena = &r.arena};
    FF_ASSERT(ff_dap_size(&r.dap) == (plan->shape.n_rank > 1 ? plan->shape.n_rank : 1));
    run_begin(&r);
    ff_comm_attach(r.dap.comm, r.arena.base, r.arena.size);
    ff_status st = FF_OK;
    for (r.pass = 0; r.pass < r.n_pass; r.pass++) {
        struct ff_pass_report *report = &ret->passes[r.pass];
        FF_TRY_GOTO(st, run_pass(&r, report), cleanup);
        ret->n_pass = r.pass + 1;
        /* The published loop runs one more full pass after the structure has settled. */
        if (has_converged(&r, report) && r.n_pass > r.pass + 2)
            r.n_pass = r.pass + 2;
    }
    collect(&r);
    ret->seconds = ff_clock_now() - start;
    ret->peak_bytes = m->weight_bytes + m->block_bytes + plan->arena_bytes + plan->workspace_bytes;
    ret->device_bytes = m->be->used_memory != NULL ? m->be->used_memory(m->be) : 0;
cleanup:
    ff_comm_detach(r.dap.comm);
    run_end(&r);
    if (st != FF_OK)
        ff_prediction_free(ret);
    return st;
}

void ff_prediction_free(struct ff_prediction *p)
{
    ff_arrays_free(&p->arrays);
    ff_chain_scores_free(&p->chains);
    free(p->passes);
    *p = (struct ff_prediction){0};
}
