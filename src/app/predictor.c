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

#include "app/output.h"
#include "app/run_key.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

struct ff_predictor {
    const struct ff_config *config;
    struct ff_backend *device;       /* what computes */
    struct ff_backend *dump;         /* wrappers of it, NULL when not asked for */
    struct ff_backend *profile;
    struct ff_backend *be;           /* the outermost of the three */
    char *params_path;               /* NULL: synthetic */
    char params_sha256[FF_KEY_SIZE];
    struct ff_model *model;          /* NULL until the first run */
    size_t held_bytes;               /* of the backend, kept by the model from target to target */
    size_t arena_bytes;              /* part of them */
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

static ff_status check_params(struct ff_predictor *p)
{
    const struct ff_config *c = p->config;
    if (c->run.params == NULL)
        return ff_fail(FF_EUSAGE, "no parameters are configured; give --params FILE (scripts/download_params.sh "
                       "fetches the published ones), --params synthetic for a test, or --config configs/demo.yaml");
    FF_TRY(ff_params_resolve(c->run.params, &c->model, &p->params_path));
    FF_TRY(ff_params_check(c->run.params, &c->model));
    return ff_run_key_params(p->params_path, p->params_sha256);
}

ff_status ff_predictor_open(const struct ff_config *config, struct ff_predictor **ret)
{
    struct ff_predictor *p = FF_NEW(struct ff_predictor);
    p->config = config;
    ff_status st = check_params(p);
    if (st == FF_OK)
        st = ff_backend_create(config->run.device, config->run.precision, config->run.threads, &p->device);
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
    free(p->params_path);
    free(p);
}

const char *ff_predictor_params_path(const struct ff_predictor *p)
{
    return p->params_path != NULL ? p->params_path : "synthetic";
}

const char *ff_predictor_params_sha256(const struct ff_predictor *p)
{
    return p->params_sha256;
}

enum ff_precision ff_predictor_precision(const struct ff_predictor *p)
{
    return p->device->precision;
}

static ff_status open_model(struct ff_predictor *p)
{
    if (p->model != NULL)
        return FF_OK;
    struct ff_progress *progress = ff_progress_start("parameters", 0);
    ff_status st = ff_model_open(&p->config->model, p->config->run.params, p->be, &p->model);
    ff_progress_end(progress, st == FF_OK ? NULL : "failed");
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

ff_status ff_predictor_plan(struct ff_predictor *p, const struct ff_input_shape *shape, struct ff_plan *ret)
{
    int64_t limit = p->config->run.memory_limit;
    size_t budget = limit > 0 ? (size_t)limit : p->device->free_memory(p->device) + p->held_bytes;
    return ff_model_plan(&p->config->model, shape, p->device->precision, p->device->activation, p->device->workspace,
                         budget, ret);
}

/* --- 3. progress and features ----------------------------------------------------------------------------------- */

enum { PROGRESS_STEPS = 1000 };

struct progress {
    struct ff_progress *bar;     /* of the pass that runs; NULL between passes */
    int n_pass;
};

static void show_stage(void *user, int pass, const char *stage, double fraction)
{
    struct progress *s = user;
    if (s->bar == NULL) {
        char *name = ff_xasprintf("pass %d of %d", pass + 1, s->n_pass);
        s->bar = ff_progress_start(name, PROGRESS_STEPS);
        free(name);
    }
    ff_progress_update(s->bar, (long)(fraction * PROGRESS_STEPS), stage);
}

static void show_pass(void *user, const struct ff_pass_report *r)
{
    struct progress *s = user;
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

/* A source that forwards another one, keeps what names the residues, and measures the time that features take. */
struct tap {
    struct ff_source base;
    struct ff_source *inner;
    double seconds;
    int32_t *aatype;             /* [n_res] of the first set */
    int32_t *residue_index;      /* [n_res] */
    int32_t *asym_id;            /* [n_res] NULL for single chains */
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
    }
    return st;
}

static void tap_init(struct tap *t, struct ff_source *inner)
{
    *t = (struct tap){.inner = inner};
    t->base = (struct ff_source){.shape = inner->shape, .next = tap_next, .impl = t};
}

static void tap_free(struct tap *t)
{
    free(t->aatype);
    free(t->residue_index);
    free(t->asym_id);
}

/* --- 4. one prediction ------------------------------------------------------------------------------------------ */

static const char *precision_name(enum ff_precision p)
{
    return p == FF_PRECISION_BF16 ? "bf16" : p == FF_PRECISION_TF32 ? "tf32" : "fp32";
}

static void fill_record(const struct ff_predictor *p, const struct ff_prediction *prediction, struct ff_run_record *r)
{
    const struct ff_config *c = p->config;
    r->model = ff_xstrdup(c->model.name);
    r->seed = c->run.seed;
    r->backend = ff_xstrdup(p->device->name);
    r->precision = ff_xstrdup(precision_name(p->device->precision));
    r->threads = c->run.threads > 0 ? c->run.threads : ff_clock_cpu_count();
    r->n_pass = prediction->n_pass;
    r->passes = FF_NEW_ARRAY(struct ff_pass_report, (size_t)prediction->n_pass);
    memcpy(r->passes, prediction->passes, (size_t)prediction->n_pass * sizeof *r->passes);
    r->mean_plddt = (double)prediction->mean_plddt;
    r->ptm = (double)prediction->ptm;
    r->iptm = (double)prediction->iptm;
    r->ranking_confidence = (double)prediction->ranking_confidence;
    r->peak_backend_bytes = prediction->peak_bytes;
}

static void add_timings(struct ff_run_record *r, const char *model, const struct tap *tap,
                        const struct ff_prediction *prediction)
{
    char *name = ff_output_prediction_name(model);
    char *process = ff_xasprintf("process_features_%s", name);
    char *predict = ff_xasprintf("predict_and_compile_%s", name);
    ff_run_record_add_timing(r, process, tap->seconds);
    ff_run_record_add_timing(r, predict, prediction->seconds - tap->seconds);
    free(predict);
    free(process);
    free(name);
}

static ff_status write_results(const struct ff_predictor *p, const struct tap *tap, const char *target_dir,
                               const struct ff_prediction *prediction, struct ff_run_record *record,
                               char **ret_structure)
{
    FF_ASSERT(tap->aatype != NULL && tap->residue_index != NULL);
    struct ff_output_prediction output = {
        .target_dir = target_dir,
        .model = p->config->model.name,
        .config = &p->config->output,
        .multimer = p->config->model.multimer,
        .params_note = p->config->params_note,
        .prediction = prediction,
        .aatype = tap->aatype,
        .residue_index = tap->residue_index,
        .asym_id = tap->asym_id,
        .n_timing = record->n_timing,
        .timings = record->timings,
    };
    struct ff_output_files files = {0};
    struct ff_progress *progress = ff_progress_start("output", 0);
    ff_status st = ff_output_write_prediction(&output, &files, ret_structure);
    ff_progress_end(progress, st == FF_OK ? NULL : "failed");
    for (int i = 0; i < files.count; i++)
        ff_run_record_add_file(record, target_dir, files.names[i]);
    ff_output_files_free(&files);
    return st;
}

ff_status ff_predictor_run(struct ff_predictor *p, struct ff_source *source, const char *target_dir, const bool *stop,
                           struct ff_run_record *record, char **ret_structure)
{
    *ret_structure = NULL;
    int n_recycle = p->config->model.num_recycle;
    if (source->shape.n_pass > 0 && source->shape.n_pass < n_recycle + 1)
        return ff_fail(FF_EUSAGE, "the features hold sets for %d passes, so %d recycles are possible; give "
                       "--recycles %d", source->shape.n_pass, source->shape.n_pass - 1, source->shape.n_pass - 1);
    FF_TRY(ff_predictor_plan(p, &source->shape, &record->plan));
    FF_TRY(open_model(p));

    struct tap tap;
    tap_init(&tap, source);
    struct progress progress = {.n_pass = n_recycle + 1};
    struct ff_model_run_options options = {
        .num_recycle = n_recycle,
        .want_representations = p->config->output.save_representations,
        .want_logits = true,
        .on_stage = show_stage,
        .on_pass = show_pass,
        .user = &progress,
        .stop = stop,
    };
    struct ff_prediction prediction = {0};
    ff_status st = ff_model_run(p->model, &tap.base, &record->plan, &options, &prediction);
    ff_progress_end(progress.bar, "stopped");
    p->arena_bytes = p->arena_bytes > record->plan.arena_bytes ? p->arena_bytes : record->plan.arena_bytes;
    p->held_bytes = record->plan.weight_bytes + p->arena_bytes;
    if (st == FF_OK) {
        fill_record(p, &prediction, record);
        add_timings(record, p->config->model.name, &tap, &prediction);
        st = write_results(p, &tap, target_dir, &prediction, record, ret_structure);
    }
    ff_prediction_free(&prediction);
    tap_free(&tap);
    return st;
}

/* --- 5. profile and dump ---------------------------------------------------------------------------------------- */

static void print_profile(const struct ff_backend *be)
{
    const double *seconds = ff_backend_profile_seconds(be);
    const struct ff_cost *costs = ff_backend_profile_costs(be);
    double total = 0;
    for (int i = 0; i < FF_OP_COUNT; i++)
        total += seconds[i];
    printf("%-24s %10s %10s %7s %10s %10s\n", "operation", "calls", "seconds", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < FF_OP_COUNT; i++) {
        if (costs[i].calls == 0)
            continue;
        double s = seconds[i] > 0 ? seconds[i] : 1e-12;
        printf("%-24s %10lld %10.3f %6.1f%% %10.1f %10.1f\n", ff_op_name[i], (long long)costs[i].calls, seconds[i],
               100 * seconds[i] / (total > 0 ? total : 1), costs[i].flops / s * 1e-9, costs[i].bytes / s * 1e-9);
    }
}

ff_status ff_predictor_finish(struct ff_predictor *p)
{
    if (p->profile != NULL)
        print_profile(p->profile);
    return p->dump != NULL ? ff_backend_dump_finish(p->dump) : FF_OK;
}
