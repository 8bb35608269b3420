/* SPDX-License-Identifier: Apache-2.0
 * Times whole passes on the ranks of mpirun: random features, synthetic parameters; on the GPU where there is one.
 * usage: mpirun -np N build/test/bench/ranks LENGTH [fp32|tf32|bf16] [model] [passes] [device] [chunk MiB] [share]
 *
 * share: without mpirun, the part of rank 0 of that many ranks, with zeros for what others would send, and so without
 * a meaning: what is left of the time on one rank when communication takes none. The time that zeros take is told.
 *
 * The first pass warms up: libraries load, products are chosen. Of those after it rank 0 prints the time of every pass
 * and memory, with $FF_TEST_PROFILE the time of every operation too; every rank prints for each collective the bytes
 * sent, the time, the rate and what of the time was not hidden behind computation (a faster GPU waits for a slower
 * one).
 * $FF_TEST_TRANSPORT: peer or nccl. Every rank's features are the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/options.h"
#include "base/clock.h"
#include "base/rng.h"
#include "compute/moment.h"
#include "model/model.h"
#include "parallel/dap.h"

enum { MOST_ZEROS = 4096 };
struct bench {
    struct ff_config config;
    struct ff_backend *be;
    struct ff_backend *profile;      /* around be, or NULL */
    struct ff_comm *comm;
    struct ff_model *model;
    struct ff_plan plan;
    double start;                    /* of the network in this pass; 0: features are being made */
    double seconds;                  /* of all passes */
    struct ff_moment zeros[MOST_ZEROS][2];  /* from, to: not yet added up */
    int n_zeros;
    double zero_seconds;
    struct ff_profile warm;          /* the profile after the pass to warm up */
};

/* --- features --------------------------------------------------------------------------------------------------- */

static float *add(struct ff_arrays *a, const char *name, int ndim, const int64_t *shape)
{
    return ff_arrays_add(a, name, FF_F32, ndim, shape)->data;
}

static int32_t *add_int(struct ff_arrays *a, const char *name, int ndim, const int64_t *shape)
{
    return ff_arrays_add(a, name, FF_I32, ndim, shape)->data;
}

static void ones(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = 1.0f;
}

static ff_status next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    (void)pass;
    (void)member;
    const struct ff_model_config *c = self->impl;
    int64_t n = self->shape.n_res, s = self->shape.n_seq, e = self->shape.n_extra;
    struct ff_rng r;
    ff_rng_init(&r, 1, "ranks", 0);
    int32_t *aatype = add_int(ret, "aatype", FF_SHAPE(n)), *index = add_int(ret, "residue_index", FF_SHAPE(n));
    for (int64_t i = 0; i < n; i++) {
        aatype[i] = (int32_t)ff_rng_below(&r, 20);
        index[i] = (int32_t)i;
    }
    ones(add(ret, "seq_mask", FF_SHAPE(n)), n);
    float *target = add(ret, "target_feat", FF_SHAPE(n, c->target_feat_dim));
    for (int64_t i = 0; i < n; i++)
        target[i * c->target_feat_dim + aatype[i]] = 1.0f;
    float *msa = add(ret, "msa_feat", FF_SHAPE(s, n, c->msa_feat_dim));
    for (int64_t i = 0; i < s * n; i++)
        msa[i * c->msa_feat_dim + (int64_t)ff_rng_below(&r, 20)] = 1.0f;
    ones(add(ret, "msa_mask", FF_SHAPE(s, n)), s * n);
    int32_t *extra = add_int(ret, "extra_msa", FF_SHAPE(e, n));
    for (int64_t i = 0; i < e * n; i++)
        extra[i] = (int32_t)ff_rng_below(&r, 20);
    add(ret, "extra_has_deletion", FF_SHAPE(e, n));
    add(ret, "extra_deletion_value", FF_SHAPE(e, n));
    ones(add(ret, "extra_msa_mask", FF_SHAPE(e, n)), e * n);
    if (!c->multimer)
        return FF_OK;
    int32_t *asym = add_int(ret, "asym_id", FF_SHAPE(n)), *sym = add_int(ret, "sym_id", FF_SHAPE(n));
    int32_t *entity = add_int(ret, "entity_id", FF_SHAPE(n));
    for (int64_t i = 0; i < n; i++) {    /* two copies of a chain */
        asym[i] = sym[i] = i < n / 2 ? 1 : 2;
        entity[i] = 1;
    }
    return FF_OK;
}

/* --- one rank's share ------------------------------------------------------------------------------------------- */

static void read_zeros(struct bench *b)
{
    for (int i = 0; i < b->n_zeros; i++)
        b->zero_seconds += ff_moment_finish(b->be, b->zeros[i][0], b->zeros[i][1]);
    b->n_zeros = 0;
}

/* What would come from others is 0, not what is in memory: kernels take their time over NaN. */
static int64_t no_exchange(struct ff_comm *c, const struct ff_exchange *how, const struct ff_tensor *to,
                           const struct ff_tensor *from)
{
    struct bench *b = c->impl;
    c->stats.calls[how->kind]++;
    c->stats.bytes[how->kind] += ff_comm_sent(c, to);
    if (b->n_zeros == MOST_ZEROS)
        read_zeros(b);
    b->zeros[b->n_zeros][0] = ff_moment_take(b->be);
    for (int r = 0; r < c->size; r++)
        if (ff_tensor_count(&from[r]) > 0 && from[r].data != to[r].data) {
            if (r == c->rank)
                FF_OP(b->be, copy, .out = from[r], .x = to[r]);
            else
                FF_OP(b->be, fill, .out = from[r], .value = 0.0f);
        }
    b->zeros[b->n_zeros++][1] = ff_moment_take(b->be);
    return 0;
}

/* --- report ----------------------------------------------------------------------------------------------------- */

/* The network's time, which begins on all ranks together: the random features above are slower than the ones of a real
 * target, and not the same on every rank. */
static void note_stage(void *user, int pass, const char *stage, double fraction)
{
    (void)pass;
    (void)stage;
    (void)fraction;
    struct bench *b = user;
    if (b->start != 0)
        return;
    b->comm->barrier(b->comm);
    b->start = ff_clock_now();
}

static void note_pass(void *user, const struct ff_pass_report *p)
{
    struct bench *b = user;
    double seconds = ff_clock_now() - b->start;
    b->start = 0;
    b->seconds += seconds;
    if (b->comm->rank == 0)
        printf("pass %d: %.3f s, mean pLDDT %.6f\n", p->pass, seconds, p->mean_plddt);
    fflush(stdout);
}

static void print_collectives(const struct bench *b, int passes)
{
    static const char *const names[FF_COLLECTIVE_COUNT] = {"all_gather", "all_to_all"};
    const struct ff_comm_stats *s = &b->comm->stats;
    for (int k = 0; k < FF_COLLECTIVE_COUNT; k++)
        if (s->calls[k] > 0)
            printf("  rank %d %-10s %7lld calls %9.3f GB sent, %7.3f s, %6.1f GB/s, not hidden %7.3f s; per pass\n",
                   b->comm->rank, names[k], (long long)(s->calls[k] / passes), s->bytes[k] * 1e-9 / passes,
                   s->seconds[k] / passes, s->seconds[k] > 0 ? s->bytes[k] * 1e-9 / s->seconds[k] : 0.0,
                   s->wait[k] / passes);
}

static void print_profile(const struct bench *b, int passes)
{
    const struct ff_profile *p = ff_backend_profile_read(b->profile), *warm = &b->warm;
    for (int i = 0; i < FF_OP_COUNT; i++)
        if (p->cost[i].calls > warm->cost[i].calls)
            printf("  %-24s %8lld calls %10.3f ms a pass\n", ff_op_name[i],
                   (long long)((p->cost[i].calls - warm->cost[i].calls) / passes),
                   1e3 * (p->seconds[i] - warm->seconds[i]) / passes);
}

static ff_status run(struct bench *b, int n_res, enum ff_precision precision, int passes, enum ff_device device,
                     int64_t chunk, int share)
{
    FF_TRY(ff_backend_create(device, precision, 0, &b->be));
    FF_TRY(ff_comm_split(b->be, 0, &b->comm));
    if (share > 1 && b->comm->size == 1) {
        ff_comm_destroy(b->comm);
        b->comm = ff_comm_planned(share, 0);
        b->comm->exchange = no_exchange;
        b->comm->impl = b;
    }
    struct ff_source source = {.shape = {.n_res = n_res, .n_seq = 512, .n_extra = 1024, .n_rank = b->comm->size},
                               .next = next, .impl = &b->config.model};
    const struct ff_plan_memory memory = {.overhead = b->be->workspace, .budget = SIZE_MAX};
    FF_TRY(ff_model_plan(&b->config.model, &source.shape, b->be->precision, b->be->activation, &memory, &b->plan));
    if (chunk > 0 && chunk < b->plan.chunk_bytes)
        b->plan.chunk_bytes = chunk;
    b->profile = getenv("FF_TEST_PROFILE") != NULL ? ff_backend_profile_create(b->be) : NULL;
    FF_TRY(ff_model_open(&b->config.model, "synthetic", b->profile != NULL ? b->profile : b->be, &b->model));
    if (b->comm->rank == 0)
        printf("%d ranks on %s (%s), %d residues, %s: %.0f MiB of representations and scratch, chunks of %.0f MiB, "
               "%.2f GB to send per pass\n", b->comm->size, b->be->name, b->comm->name, n_res,
               b->config.model.name, (double)b->plan.arena_bytes / 1048576, (double)b->plan.chunk_bytes / 1048576,
               b->plan.sent_bytes_per_pass * 1e-9);
    struct ff_model_run_options o = {.on_stage = note_stage, .on_pass = note_pass, .user = b, .comm = b->comm};
    for (int i = 0; i < 2; i++) { /* the first warms up */
        struct ff_prediction p;
        b->comm->update_stats(b->comm);
        b->comm->stats = (struct ff_comm_stats){0};
        o.num_recycle = i == 0 ? 0 : passes - 1;
        b->start = b->seconds = 0;
        read_zeros(b);
        b->zero_seconds = 0;
        if (b->profile != NULL)
            b->warm = *ff_backend_profile_read(b->profile);
        b->comm->barrier(b->comm);
        FF_TRY(ff_model_run(b->model, &source, &b->plan, &o, &p));
        read_zeros(b);
        if (b->comm->rank == 0 && i > 0)
            printf("%.3f s per pass of %d\n", b->seconds / passes, passes);
        if (b->zero_seconds > 0 && i > 0)
            printf("%.3f s of them zeros\n", b->zero_seconds / passes);
        ff_prediction_free(&p);
    }
    b->comm->update_stats(b->comm);
    print_collectives(b, passes);
    if (b->comm->rank == 0 && b->profile != NULL)
        print_profile(b, passes);
    return FF_OK;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct ff_command_line line;
    bool cpu = argc > 5 && strcmp(argv[5], "cpu") == 0, known = argc <= 2;
    enum ff_precision precision = FF_PRECISION_BF16;
    for (int p = FF_PRECISION_FP32; p <= FF_PRECISION_BF16 && !known; p++) {
        precision = (enum ff_precision)p;
        known = strcmp(argv[2], ff_precision_name(precision)) == 0;
    }
    if (argc < 2 || !known) {
        fprintf(stderr, "usage: ranks LENGTH [fp32|tf32|bf16] [model] [passes] [device] [chunk MiB] [share]\n");
        return 2;
    }
    int n_res = (int)strtol(argv[1], NULL, 10), passes = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1;
    char *options[] = {"--model", argc > 3 ? argv[3] : "model_5_ptm"};
    const char *transport = getenv("FF_TEST_TRANSPORT");
    if (transport != NULL && strcmp(transport, "auto") != 0)
        ff_comm_set_transport(strcmp(transport, "nccl") == 0 ? FF_TRANSPORT_NCCL : FF_TRANSPORT_PEER);
    ff_status st = ff_comm_start(&argc, &argv);
    if (st == FF_OK)
        st = ff_options_parse(2, options, "config", &b.config, &line);
    if (st == FF_OK) {
        st = run(&b, n_res, cpu ? FF_PRECISION_FP32 : precision, passes,
                 cpu ? FF_DEVICE_CPU : FF_DEVICE_CUDA, argc > 6 ? (int64_t)strtol(argv[6], NULL, 10) << 20 : 0,
                 argc > 7 ? (int)strtol(argv[7], NULL, 10) : 0);
        ff_command_line_free(&line);
    }
    if (st != FF_OK)
        fprintf(stderr, "rank %d: %s\n", ff_comm_world_rank(), ff_status_message());
    ff_model_close(b.model);
    ff_comm_destroy(b.comm);
    ff_backend_destroy(b.profile);
    ff_backend_destroy(b.be);
    ff_config_free(&b.config);
    ff_comm_stop();
    return (int)st;
}
