/* SPDX-License-Identifier: Apache-2.0
 * predictor: the network as the stages use it.
 *
 *  1. Backend and parameters
 *  2. Memory
 *  3. Progress, and a look at the features that pass by
 *  4. One prediction
 *  5. Profile and dump
 */
#include "app/predictor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/estimate.h"
#include "app/output.h"
#include "app/output_order.h"
#include "app/run_key.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "feature/source_ahead.h"
#include "parallel/agree.h"

struct network {
    const struct ff_config *config;
    char *params_path;               /* NULL: synthetic */
    char params_sha256[FF_KEY_SIZE];
};

struct ff_predictor {
    const struct ff_config *config;  /* of the first network: what all share */
    int n_model;
    struct network *networks;        /* [n_model] */
    struct ff_backend *device;       /* what computes */
    struct ff_backend *dump;         /* wrappers of it, NULL when not asked for */
    struct ff_backend *profile;
    struct ff_backend *be;           /* the outermost of the three */
    struct ff_comm *comm;            /* the ranks that share a prediction; NULL: this one alone */
    struct ff_model *model;          /* NULL until the first run */
    int loaded;                      /* whose parameters it has; -1: none */
    size_t held_bytes;               /* of the backend, kept by the model from target to target */
};

/* --- 1. backend and parameters ---------------------------------------------------------------------------------- */

static ff_status wrap_backend(struct ff_predictor *p)
{
    p->be = p->device;
    if (p->config->run.dump != NULL) {
        FF_TRY(ff_backend_dump_create(p->be, p->config->run.dump, &p->dump));
        p->be = p->dump;
    }
    if (p->config->run.profile) {
        p->profile = ff_backend_profile_create(p->be);
        p->be = p->profile;
    }
    return FF_OK;
}

static ff_status check_params(struct network *n)
{
    const struct ff_config *c = n->config;
    if (c->run.params == NULL)
        return ff_fail(FF_EUSAGE, "no parameters are configured; give --params FILE (scripts/download_params.sh "
                       "fetches the published ones), --params synthetic for a test, or --config configs/demo.yaml");
    FF_TRY(ff_params_resolve(c->run.params, &c->model, &n->params_path));
    FF_TRY(ff_params_check(c->run.params, &c->model));
    return ff_run_key_params(n->params_path, n->params_sha256);
}

/* One file cannot hold the parameters of several networks, even where it has the right arrays for all of them. */
static ff_status check_one_file(const struct ff_predictor *p)
{
    const char *first = p->networks[0].params_path;
    for (int i = 1; first != NULL && i < p->n_model; i++)
        if (p->networks[i].params_path != NULL && strcmp(p->networks[i].params_path, first) == 0)
            return ff_fail(FF_EUSAGE, "%s holds the parameters of one network, but %s and %s are to be run; give the "
                           "folder that has a file for each, or one network with --model NAME", first,
                           p->networks[0].config->model.name, p->networks[i].config->model.name);
    return FF_OK;
}

static ff_status check_all_params(struct ff_predictor *p)
{
    for (int i = 0; i < p->n_model; i++)
        FF_TRY(check_params(&p->networks[i]));
    return check_one_file(p);
}

ff_status ff_predictor_open(int n_model, const struct ff_config *configs, struct ff_predictor **ret)
{
    struct ff_predictor *p = FF_NEW(struct ff_predictor);
    p->config = configs;
    p->n_model = n_model;
    p->networks = FF_NEW_ARRAY(struct network, (size_t)n_model);
    p->loaded = -1;
    for (int i = 0; i < n_model; i++)
        p->networks[i].config = &configs[i];
    ff_status st = check_all_params(p);
    if (st == FF_OK)
        ff_backend_set_memory_limit(configs->run.memory_limit > 0 ? (size_t)configs->run.memory_limit : 0);
    if (st == FF_OK)
        st = ff_backend_create(configs->run.device, configs->run.precision, configs->run.threads, &p->device);
    if (st == FF_OK)
        st = wrap_backend(p);
    if (st != FF_OK) {
        ff_predictor_close(p);
        p = NULL;
    }
    *ret = p;
    return st;
}

void ff_predictor_close(struct ff_predictor *p)
{
    if (p == NULL)
        return;
    ff_model_close(p->model);
    ff_backend_destroy(p->profile);
    ff_backend_destroy(p->dump);
    ff_backend_destroy(p->device);
    for (int i = 0; i < p->n_model; i++)
        free(p->networks[i].params_path);
    free(p->networks);
    free(p);
}

void ff_predictor_set_comm(struct ff_predictor *p, struct ff_comm *comm)
{
    p->comm = comm;
}

ff_status ff_predictor_agree(const struct ff_predictor *p, ff_status own)
{
    return ff_agree(p->comm, own);
}

struct ff_backend *ff_predictor_device(const struct ff_predictor *p)
{
    return p->device;
}

const char *ff_predictor_params_path(const struct ff_predictor *p, int model)
{
    const char *path = p->networks[model].params_path;
    return path != NULL ? path : "synthetic";
}

const char *ff_predictor_params_sha256(const struct ff_predictor *p, int model)
{
    return p->networks[model].params_sha256;
}

enum ff_precision ff_predictor_precision(const struct ff_predictor *p)
{
    return p->device->precision;
}

const char *ff_predictor_backend(const struct ff_predictor *p)
{
    return p->device->name;
}

static ff_status load_params(struct ff_predictor *p, int model)
{
    if (p->loaded == model)
        return FF_OK;
    const struct ff_config *c = p->networks[model].config;
    struct ff_progress *progress = ff_progress_start("parameters", 0);
    p->loaded = -1;
    ff_status st = p->model != NULL ? ff_model_reload(p->model, &c->model, c->run.params)
                                    : ff_model_open(&c->model, c->run.params, p->be, &p->model);
    ff_progress_end(progress, st == FF_OK ? p->n_model > 1 ? c->model.name : NULL : "failed");
    if (st == FF_OK)
        p->loaded = model;
    return st;
}

/* --- 2. memory -------------------------------------------------------------------------------------------------- */

void ff_predictor_shape(const struct ff_config *config, int n_res, int n_row, struct ff_input_shape *ret)
{
    const struct ff_feature_config *m = &config->msa;
    int n_centre = m->max_clusters - (m->reduce_clusters_by_max_templates ? m->max_templates : 0);
    int n_template = config->model.templates.enabled ? m->max_templates : 0;
    if (n_template > config->model.templates.max_templates)
        n_template = config->model.templates.max_templates;
    *ret = (struct ff_input_shape){
        .n_res = n_res, .n_seq = n_centre, .n_extra = m->max_extra, .n_template = n_template};
    if (n_row < 0)
        return;
    if (ret->n_seq > n_row)
        ret->n_seq = n_row;
    if (ret->n_extra > n_row - ret->n_seq)
        ret->n_extra = n_row - ret->n_seq;
}

static struct ff_plan_memory memory_of(const struct ff_predictor *p)
{
    int64_t limit = p->config->run.memory_limit;
    struct ff_backend *be = p->device;
    /* Host memory is shared by all ranks of this machine. */
    size_t sharers = be->context == 0 && limit == 0 ? (size_t)ff_comm_local_size() : 1;
    return (struct ff_plan_memory){
        .overhead = ff_backend_overhead(be),
        .budget = ff_backend_budget(be, limit > 0 ? (size_t)limit : 0, p->held_bytes) / sharers,
        .host = p->config->run.offload ? ff_backend_host_budget(be) / (size_t)ff_comm_local_size() : 0,
    };
}

static ff_status fit(const struct ff_predictor *p, int model, const struct ff_input_shape *shape,
                     const struct ff_plan_memory *memory, struct ff_plan *ret)
{
    const struct ff_backend *be = p->device;
    return ff_model_plan(&p->networks[model].config->model, shape, be->precision, be->activation, memory, ret);
}

ff_status ff_predictor_plan(struct ff_predictor *p, int model, const struct ff_input_shape *shape, struct ff_plan *ret)
{
    struct ff_plan_memory memory = memory_of(p);
    return fit(p, model, shape, &memory, ret);
}

/* --- 3. features and progress ----------------------------------------------------------------------------------- */

/* A source that forwards another one, keeps what names the residues, and measures the time that is waited for it. */
struct tap {
    struct ff_source base;
    struct ff_source *inner;
    double seconds;
    int32_t *aatype;             /* [n_res] of the first set */
    int32_t *residue_index;      /* [n_res] */
    int32_t *asym_id;            /* [n_res] NULL for single chains */
    int n_chain;
    const int32_t *input_chain;  /* NULL: results stay in the order of the network */
    int *order;                  /* [n_res] of ff_output_order_find */
};

static int32_t *copy_integers(const struct ff_arrays *set, const char *name, int n)
{
    const struct ff_array *a = ff_arrays_find(set, name);
    if (a == NULL || a->dtype != FF_I32 || ff_array_count(a) != n)
        return NULL;
    int32_t *copy = ff_xmalloc((size_t)n * sizeof *copy);
    memcpy(copy, a->data, (size_t)n * sizeof *copy);
    return copy;
}

static ff_status tap_next(struct ff_source *self, int pass, int member, struct ff_arrays *ret)
{
    struct tap *t = self->impl;
    double start = ff_clock_now();
    t->inner->last_pass = self->last_pass;
    ff_status st = t->inner->next(t->inner, pass, member, ret);
    t->seconds += ff_clock_now() - start;
    if (st == FF_OK && t->aatype == NULL) {
        t->aatype = copy_integers(ret, "aatype", self->shape.n_res);
        t->residue_index = copy_integers(ret, "residue_index", self->shape.n_res);
        t->asym_id = copy_integers(ret, "asym_id", self->shape.n_res);
        if (t->asym_id != NULL && t->input_chain != NULL)
            t->order = ff_output_order_find(self->shape.n_res, t->asym_id, t->n_chain, t->input_chain);
    }
    return st;
}

static void tap_init(struct tap *t, const struct ff_predictor *p, const struct ff_predictor_job *job,
                     struct ff_source *inner)
{
    *t = (struct tap){.inner = inner, .n_chain = job->n_chain,
                      .input_chain = p->config->output.published_chain_ids ? NULL : job->input_chain};
    t->base = (struct ff_source){.shape = inner->shape, .next = tap_next, .impl = t};
}

static void tap_free(struct tap *t)
{
    free(t->aatype);
    free(t->residue_index);
    free(t->asym_id);
    free(t->order);
}

enum { PROGRESS_STEPS = 1000 };

/* What the model tells while it runs. */
struct watch {
    struct ff_progress *bar;     /* of the pass that runs; NULL between passes */
    int n_pass;
    const struct tap *tap;
    struct ff_output_rows *rows;
};

static void show_stage(void *user, int pass, const char *stage, double fraction)
{
    struct watch *s = user;
    if (s->bar == NULL) {
        char *name = ff_xasprintf("pass %d of %d", pass + 1, s->n_pass);
        s->bar = ff_progress_start(name, PROGRESS_STEPS);
        free(name);
    }
    ff_progress_update(s->bar, (long)(fraction * PROGRESS_STEPS), stage);
}

static void show_pass(void *user, const struct ff_pass_report *r)
{
    struct watch *s = user;
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "pLDDT %.2f", (double)r->mean_plddt);
    if (!isnan(r->ptm))
        ff_strbuf_printf(&text, ", pTM %.3f", (double)r->ptm);
    if (!isnan(r->iptm))
        ff_strbuf_printf(&text, ", ipTM %.3f", (double)r->iptm);
    if (!isnan(r->distance_change))
        ff_strbuf_printf(&text, ", change %.2f A", (double)r->distance_change);
    ff_progress_end(s->bar, ff_strbuf_cstr(&text));
    s->bar = NULL;
    ff_strbuf_free(&text);
}

static void take_pae(void *user, int64_t from, int64_t n, const float *rows)
{
    struct watch *s = user;
    ff_output_rows_take(s->rows, s->tap->order, from, n, rows);
}

/* --- 4. one prediction ------------------------------------------------------------------------------------------ */

const char *ff_predictor_precision_name(const struct ff_predictor *p)
{
    return ff_precision_name(p->device->precision);
}

static void add_to_record(const struct ff_predictor_job *job, const char *model, const struct ff_plan *plan,
                          const struct ff_plan_loss *loss, const struct tap *tap,
                          const struct ff_prediction *prediction, struct ff_run_record *record)
{
    struct ff_run_prediction *r = ff_run_record_add_prediction(record);
    r->name = ff_xstrdup(job->name);
    r->model = ff_xstrdup(model);
    r->seed = job->seed;
    r->n_pass = prediction->n_pass;
    r->passes = FF_NEW_ARRAY(struct ff_pass_report, (size_t)prediction->n_pass);
    memcpy(r->passes, prediction->passes, (size_t)prediction->n_pass * sizeof *r->passes);
    r->mean_plddt = (double)prediction->mean_plddt;
    r->ptm = (double)prediction->ptm;
    r->iptm = (double)prediction->iptm;
    r->ranking_confidence = (double)prediction->ranking_confidence;
    r->features_seconds = tap->seconds;
    r->predict_seconds = prediction->seconds - tap->seconds;
    r->weight_bytes = plan->weight_bytes;
    r->arena_bytes = plan->arena_bytes;
    r->workspace_bytes = plan->workspace_bytes;
    r->chunk_bytes = plan->chunk_bytes;
    r->peak_backend_bytes = prediction->peak_bytes;
    r->device_bytes = prediction->device_bytes;
    r->host_bytes = plan->host_bytes;
    r->copied_bytes = plan->copied_bytes_per_pass;
    r->lost = loss->lost;
}

static ff_status open_rows(const struct ff_predictor_job *job, struct ff_output_rows **ret)
{
    char *path = ff_output_path(job->target_dir, FF_RESULT_ARRAYS, job->name);
    ff_status st = ff_output_rows_open(path, job->source->shape.n_res, ret);
    free(path);
    return st;
}

/* Chains in the order of the input, unless the published order is asked for. */
static void order_chains(struct tap *tap, struct ff_prediction *prediction)
{
    struct ff_output_residues residues = {.n_res = prediction->n_res, .aatype = tap->aatype,
                                          .residue_index = tap->residue_index, .asym_id = tap->asym_id};
    ff_output_order(prediction, &residues, tap->n_chain, tap->input_chain, tap->order);
}

static ff_status write_results(const struct ff_predictor *p, const struct ff_predictor_job *job, const struct tap *tap,
                               struct ff_output_rows *rows, const struct ff_prediction *prediction,
                               struct ff_run_record *record)
{
    FF_ASSERT(tap->aatype != NULL && tap->residue_index != NULL);
    struct ff_output_prediction output = {
        .target_dir = job->target_dir,
        .name = job->name,
        .config = &p->config->output,
        .multimer = p->networks[job->model].config->model.multimer,
        .params_note = p->config->params_note,
        .prediction = prediction,
        .rows = rows,
        .aatype = tap->aatype,
        .residue_index = tap->residue_index,
        .asym_id = tap->asym_id,
    };
    struct ff_output_files files = {0};
    struct ff_progress *progress = ff_progress_start("output", 0);
    ff_status st = ff_output_write_prediction(&output, &files);
    ff_progress_end(progress, st == FF_OK ? NULL : "failed");
    for (int i = 0; i < files.count; i++)
        ff_run_record_add_file(record, job->target_dir, files.names[i]);
    ff_output_files_free(&files);
    return st;
}

/* A plan that fits all the ranks, and on each of them the parameters and the memory for it. */
static ff_status prepare(struct ff_predictor *p, int model, struct ff_source *source, struct ff_plan *ret)
{
    source->shape.n_rank = p->comm != NULL ? p->comm->size : 1;
    struct ff_plan_memory memory = memory_of(p);
    memory.budget = ff_agree_least(p->comm, memory.budget);
    memory.host = ff_agree_least(p->comm, memory.host);
    FF_TRY(ff_agree(p->comm, fit(p, model, &source->shape, &memory, ret)));
    ret->chunk_bytes = (int64_t)ff_agree_least(p->comm, (size_t)ret->chunk_bytes);
    ff_status st = load_params(p, model);
    if (st == FF_OK)
        st = ff_model_reserve(p->model, ret);
    return ff_agree(p->comm, st);
}

/* What little memory costs; from a hundredth on it is told. */
static ff_status tell_loss(const struct ff_predictor *p, int model, const struct ff_plan *plan,
                           struct ff_plan_loss *ret)
{
    const struct ff_backend *be = p->device;
    int threads = p->config->run.threads > 0 ? p->config->run.threads : ff_clock_cpu_count();
    struct ff_machine_rates rates = ff_estimate_rates(be->name, be->precision, threads);
    FF_TRY(ff_estimate_loss(&p->networks[model].config->model, plan, be->precision, be->activation, &rates, ret));
    if (ret->lost >= 0.01 && (p->comm == NULL || p->comm->rank == 0))
        ff_note("memory is short: chunks of %.1f MiB, %.1f MiB on the host; about %.0f %% of speed is lost",
                (double)plan->chunk_bytes / (1 << 20), (double)plan->host_bytes / (1 << 20), 100 * ret->lost);
    return FF_OK;
}

ff_status ff_predictor_run(struct ff_predictor *p, const struct ff_predictor_job *job, struct ff_run_record *record)
{
    const struct ff_config *config = p->networks[job->model].config;
    struct ff_source *source = job->source;
    int n_recycle = config->model.num_recycle;
    if (source->shape.n_pass > 0 && source->shape.n_pass < n_recycle + 1)
        return ff_fail(FF_EUSAGE, "the features hold sets for %d passes, so %d recycles are possible; give "
                       "--recycles %d", source->shape.n_pass, source->shape.n_pass - 1, source->shape.n_pass - 1);
    struct ff_plan plan;
    struct ff_plan_loss loss;
    FF_TRY(prepare(p, job->model, source, &plan));
    FF_TRY(tell_loss(p, job->model, &plan, &loss));

    int most = p->config->output.arrays_max_residues;
    bool large = source->shape.n_res > most, writes = p->comm == NULL || p->comm->rank == 0;
    if (large)
        ff_note("the result file of %d residues has no logits, and its PAE in eighths of an angstrom "
                "(output.arrays_max_residues is %d)", source->shape.n_res, most);
    struct ff_output_rows *rows = NULL;
    FF_TRY(ff_agree(p->comm, large && writes && config->model.heads.predicted_aligned_error ? open_rows(job, &rows)
                                                                                            : FF_OK));
    /* A GPU leaves the processors to the features of the next pass. */
    struct ff_source *ahead = NULL;
    if (p->device->context > 0)
        ahead = ff_source_ahead(source, n_recycle + 1, config->model.num_ensemble);
    struct tap tap;
    tap_init(&tap, p, job, ahead != NULL ? ahead : source);
    struct watch watch = {.n_pass = n_recycle + 1, .tap = &tap, .rows = rows};
    struct ff_model_run_options options = {
        .num_recycle = n_recycle,
        .want_representations = p->config->output.save_representations,
        .want_logits = !large,
        .take_pae = large ? take_pae : NULL,
        .on_stage = show_stage,
        .on_pass = show_pass,
        .user = &watch,
        .comm = p->comm,
        .stop = job->stop,
    };
    struct ff_prediction prediction = {0};
    ff_status st = ff_model_run(p->model, &tap.base, &plan, &options, &prediction);
    ff_progress_end(watch.bar, "stopped");
    p->held_bytes = ff_model_held(p->model);
    if (st == FF_OK && writes) {
        order_chains(&tap, &prediction);
        st = write_results(p, job, &tap, rows, &prediction, record);
    }
    if (st == FF_OK && writes)
        add_to_record(job, config->model.name, &plan, &loss, &tap, &prediction, record);
    ff_prediction_free(&prediction);
    ff_output_rows_close(rows);
    ff_source_destroy(ahead);
    tap_free(&tap);
    return st;
}

/* --- 5. profile and dump ---------------------------------------------------------------------------------------- */

static void print_row(const char *name, const struct ff_cost *c, double seconds, double total)
{
    double s = seconds > 0 ? seconds : 1e-12;
    if (c->calls > 0)
        printf("%-24s %10lld %10.4f %6.1f%% %10.1f %10.1f\n", name, (long long)c->calls, seconds, 100 * seconds / total,
               c->flops / s * 1e-9, c->bytes / s * 1e-9);
}

static void print_profile(struct ff_backend *be)
{
    const struct ff_profile *p = ff_backend_profile_read(be);
    const char *const head = "%-24s %10s %10s %7s %10s %10s\n";
    double total = 1e-12;
    for (int i = 0; i < FF_OP_COUNT; i++)
        total += p->seconds[i];
    printf(head, "operation", "calls", "seconds", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < FF_OP_COUNT; i++)
        print_row(ff_op_name[i], &p->cost[i], p->seconds[i], total);
    printf(head, "stage", "calls", "seconds", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < p->n_stage; i++)
        print_row(p->stages[i].name, &p->stages[i].cost, p->stages[i].seconds, total);
    printf("%-24s %10s %10.4f\n", "all operations", "", total);
}

ff_status ff_predictor_finish(struct ff_predictor *p)
{
    if (p->profile != NULL)
        print_profile(p->profile);
    return p->dump != NULL ? ff_backend_dump_finish(p->dump) : FF_OK;
}
