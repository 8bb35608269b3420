/* SPDX-License-Identifier: Apache-2.0
 * pipeline: one target on its way from sequence to result files.
 *
 *  1. What all targets share
 *  2. One target's question
 *  3. Checks
 *  4. Search and features
 *  5. A target from end to end
 */
#include "app/pipeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/feature_input.h"
#include "app/output.h"
#include "app/predictions.h"
#include "app/predictor.h"
#include "app/run_key.h"
#include "app/target_features.h"
#include "app/target_folder.h"
#include "app/user_msa.h"
#include "app/version.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "format/npz.h"

struct ff_pipeline {
    struct ff_pipeline_options o;
    const struct ff_config *config;      /* what all networks share, and how features are made */
    struct ff_searches *searches;        /* NULL: no search */
    struct ff_predictor *predictor;      /* NULL: stops before the network */
    char *features_name;                 /* of o.features: the target's name */
    char features_sha256[FF_KEY_SIZE];
    char msa_sha256[FF_KEY_SIZE];        /* of o.msa */
    bool shares;                         /* predictions with other ranks */
    const struct ff_shared_prediction *shared;
};

void ff_outcome_free(struct ff_outcome *o)
{
    free(o->result);
    *o = (struct ff_outcome){0};
}

static bool stopped(const struct ff_pipeline *p)
{
    return p->o.stop != NULL && *p->o.stop;
}

/* --- 1. what all targets share ---------------------------------------------------------------------------------- */

/* The network that templates are looked for: the first that takes them. */
static const struct ff_config *choose_config(const struct ff_pipeline_options *o)
{
    for (int i = 0; i < o->n_model; i++)
        if (o->configs[i].model.templates.enabled)
            return &o->configs[i];
    return &o->configs[0];
}

static ff_status open_shared(struct ff_pipeline *p)
{
    const struct ff_config *c = p->config;
    FF_TRY(ff_check_writable_dir(c->output.dir));
    if (c->search.tmp_dir != NULL)
        FF_TRY(ff_check_writable_dir(c->search.tmp_dir));
    if (p->o.last == FF_STAGE_PREDICT)
        FF_TRY(ff_predictor_open(p->o.n_model, p->o.configs, &p->predictor));
    if (p->o.features != NULL) {
        FF_TRY(ff_hash_sha256_file(p->o.features, p->features_sha256));
        return ff_feature_input_name(p->o.features, &p->features_name);
    }
    if (p->o.msa != NULL)
        return ff_hash_sha256_file(p->o.msa, p->msa_sha256);
    if (c->search.enabled)
        ff_searches_open(c, &p->searches);
    return FF_OK;
}

ff_status ff_pipeline_open(const struct ff_pipeline_options *options, struct ff_pipeline **ret)
{
    struct ff_pipeline *p = FF_NEW(struct ff_pipeline);
    p->o = *options;
    p->config = choose_config(options);
    ff_status st = open_shared(p);
    if (st != FF_OK) {
        ff_pipeline_close(p);
        p = NULL;
    }
    *ret = p;
    return st;
}

void ff_pipeline_close(struct ff_pipeline *p)
{
    if (p == NULL)
        return;
    ff_searches_close(p->searches);
    ff_predictor_close(p->predictor);
    free(p->features_name);
    free(p);
}

void ff_pipeline_features_target(const struct ff_pipeline *p, struct ff_target *ret)
{
    *ret = (struct ff_target){
        .name = ff_xstrdup(p->features_name),
        .description = ff_xstrdup(p->features_name),
        .file = ff_xstrdup(p->o.features),
    };
}

void ff_pipeline_set_comm(struct ff_pipeline *p, struct ff_comm *comm)
{
    p->shares = comm != NULL && comm->size > 1;
    if (p->predictor != NULL)
        ff_predictor_set_comm(p->predictor, p->shares ? comm : NULL);
}

void ff_pipeline_set_shared(struct ff_pipeline *p, const struct ff_shared_prediction *shared)
{
    p->shared = shared;
}

ff_status ff_pipeline_join(struct ff_pipeline *p, const char *features, int model, int64_t seed)
{
    return ff_predictions_join(p->predictor, &p->o.configs[model], features, model, seed);
}

struct ff_backend *ff_pipeline_device(const struct ff_pipeline *p)
{
    return p->predictor != NULL ? ff_predictor_device(p->predictor) : NULL;
}

ff_status ff_pipeline_finish(struct ff_pipeline *p)
{
    return p->predictor != NULL ? ff_predictor_finish(p->predictor) : FF_OK;
}

/* --- 2. one target's question ----------------------------------------------------------------------------------- */

/* A target with its folder, and what there is to do. */
struct work {
    const struct ff_target *target;
    struct ff_target_folder folder;
    bool complex;                        /* features of a complex are needed */
    char features_key[FF_KEY_SIZE];
    struct ff_predictions predictions;   /* none when the network does not run */
    bool done;                           /* what is asked for is there already */
    struct ff_user_msa msa;              /* of o.msa, once it was read */
};

static void work_free(struct work *w)
{
    ff_predictions_free(&w->predictions);
    ff_user_msa_free(&w->msa);
    ff_target_folder_close(&w->folder);
}

/* Features given as a file: those that an earlier run made in this very folder count as made here. */
static ff_status make_keys(const struct ff_pipeline *p, struct work *w)
{
    if (p->o.features == NULL)
        ff_run_key_features(w->target->sequence, w->complex, p->o.msa != NULL ? p->msa_sha256 : NULL, p->searches,
                            w->features_key);
    else if (ff_target_folder_made_features(&w->folder, p->features_sha256))
        snprintf(w->features_key, sizeof w->features_key, "%s", w->folder.record.features_key);
    else
        memcpy(w->features_key, p->features_sha256, FF_KEY_SIZE);
    FF_TRY(ff_run_key_add_templates(p->o.templates, w->features_key));
    if (p->predictor != NULL)
        ff_predictions_list(p->o.n_model, p->o.configs, p->predictor, w->features_key, &w->predictions);
    return FF_OK;
}

static ff_status work_init(const struct ff_pipeline *p, const struct ff_target *t, struct work *w)
{
    *w = (struct work){.target = t, .complex = t->complex || p->config->model.multimer};
    FF_TRY(ff_target_folder_open(p->config->output.dir, t->name, &w->folder));
    FF_TRY(make_keys(p, w));
    struct ff_run_goal goal = {
        .last = p->o.last,
        .features_key = w->features_key,
        .prediction_key = w->predictions.key,
        .overwrite = p->config->output.overwrite,
    };
    return ff_target_folder_judge(&w->folder, &goal, &w->done);
}

static struct ff_target_inputs inputs_of(const struct ff_pipeline *p, const struct work *w)
{
    return (struct ff_target_inputs){
        .config = p->config,
        .target = w->target,
        .complex = w->complex,
        .searches = p->searches,
        .msa = w->msa.n_entity > 0 ? &w->msa : NULL,
        .templates = p->o.templates,
        .msa_dir = w->folder.msa_dir,
        .tmp_parent = p->config->search.tmp_dir != NULL ? p->config->search.tmp_dir : w->folder.dir,
        .stop = p->o.stop,
    };
}

/* --- 3. checks -------------------------------------------------------------------------------------------------- */

static ff_status check_target(const struct ff_pipeline *p, const struct ff_target *t)
{
    const char *model = p->config->model.name;
    if (p->o.last == FF_STAGE_SEARCH || p->o.features != NULL)
        return FF_OK;
    if (t->complex && !p->config->model.multimer)
        return ff_fail(FF_EUSAGE, "%s: '%s' is a complex (%d chain%s, joined by ':' or --complex), but model %s "
                       "predicts single chains; leave the model out, or give a multimer one such as --models multimer",
                       t->file, t->name, t->n_chain, t->n_chain > 1 ? "s" : "", model);
    if (p->o.templates != NULL && t->n_entity > 1)
        return ff_fail(FF_EUSAGE, "%s: --template is for one sequence, but '%s' has %d different ones", t->file,
                       t->name, t->n_entity);
    if (p->config->model.multimer && t->n_chain == 1)
        ff_note("%s is a single chain, predicted by a network for complexes: it has no interface, so ipTM is 0; a "
                "monomer model such as model_1_ptm is made for it", t->name);
    return FF_OK;
}

static ff_status find_shape(const struct ff_pipeline *p, const struct work *w, int model, struct ff_input_shape *ret)
{
    if (p->o.features != NULL) {
        struct ff_feature_input input;
        FF_TRY(ff_feature_input_open(p->o.features, &p->o.configs[model], 0, &input));
        *ret = input.source->shape;
        ff_feature_input_close(&input);
        return FF_OK;
    }
    int rows = w->msa.n_entity == 1 ? w->msa.own[0].n_row : 1;
    bool known = p->searches == NULL && w->msa.n_entity <= 1;
    ff_predictor_shape(&p->o.configs[model], w->target->n_res, known ? rows : -1, ret);
    return FF_OK;
}

/* A prediction by every network must fit on n_rank ranks, or on one for each residue. The largest plan. */
static ff_status plan_work(struct ff_pipeline *p, const struct work *w, int n_rank, struct ff_plan *ret)
{
    *ret = (struct ff_plan){0};
    for (int m = 0; m < p->o.n_model; m++) {
        struct ff_input_shape shape;
        struct ff_plan plan;
        FF_TRY(find_shape(p, w, m, &shape));
        shape.n_rank = n_rank < shape.n_res ? n_rank : shape.n_res;
        FF_TRY(ff_predictor_plan(p->predictor, m, &shape, &plan));
        if (plan.total_bytes > ret->total_bytes)
            *ret = plan;
    }
    return FF_OK;
}

static ff_status check_memory(struct ff_pipeline *p, const struct work *w)
{
    struct ff_plan plan;
    return plan_work(p, w, p->o.n_rank > 1 ? p->o.n_rank : 1, &plan);
}

static ff_status check_work(struct ff_pipeline *p, struct work *w)
{
    const struct ff_run_record *old = &w->folder.record;
    FF_TRY(check_target(p, w->target));
    if (w->done)
        return FF_OK;
    if (ff_file_is_dir(w->folder.dir))
        FF_TRY(ff_check_writable_dir(w->folder.dir));
    if (p->o.msa != NULL)
        FF_TRY(ff_user_msa_load(p->o.msa, w->target, &w->msa));
    int n_search = 0;
    struct ff_target_inputs in = inputs_of(p, w);
    if (p->searches != NULL)
        FF_TRY(ff_target_features_check(&in, &n_search));
    if (p->o.last == FF_STAGE_SEARCH && old->stage > FF_STAGE_SEARCH && n_search > 0 && !p->config->output.overwrite)
        return ff_target_folder_refuse(&w->folder, "results that were made from other alignments");
    return p->predictor != NULL ? check_memory(p, w) : FF_OK;
}

ff_status ff_pipeline_check(struct ff_pipeline *p, const struct ff_target *t)
{
    struct work w;
    ff_status st = work_init(p, t, &w);
    if (st == FF_OK)
        st = check_work(p, &w);
    work_free(&w);
    return st;
}

bool ff_pipeline_is_done(const struct ff_pipeline *p, const struct ff_target *t)
{
    struct work w;
    bool done = work_init(p, t, &w) == FF_OK && w.done;
    work_free(&w);
    return done;
}

ff_status ff_pipeline_plan(struct ff_pipeline *p, const struct ff_target *t, int n_rank, struct ff_plan *ret)
{
    struct work w = {.target = t};
    ff_status st = p->o.msa != NULL ? ff_user_msa_load(p->o.msa, t, &w.msa) : FF_OK;
    if (st == FF_OK)
        st = plan_work(p, &w, n_rank, ret);
    ff_user_msa_free(&w.msa);
    return st;
}

/* --- 4. search and features --------------------------------------------------------------------------------------- */

static ff_status write_record(const struct work *w, struct ff_run_record *r, enum ff_stage stage)
{
    r->stage = stage;
    r->peak_host_bytes = ff_clock_peak_rss();
    char *path = ff_output_path(w->folder.dir, FF_RESULT_RUN, NULL);
    ff_status st = ff_run_record_write(r, path);
    free(path);
    return st;
}

static void add_inputs(const struct ff_pipeline *p, const struct ff_target *t, struct ff_run_record *r)
{
    if (t->sequence != NULL) {
        char sha256[FF_KEY_SIZE];
        ff_hash_sha256_hex(t->sequence, strlen(t->sequence), sha256);
        r->sequence_sha256 = ff_xstrdup(sha256);
        ff_run_record_add_input(r, "sequence", t->file, sha256);
    }
    if (p->o.msa != NULL)
        ff_run_record_add_input(r, "msa", p->o.msa, p->msa_sha256);
    if (p->o.features != NULL)
        ff_run_record_add_input(r, "features", p->o.features, p->features_sha256);
    for (int m = 0; p->predictor != NULL && m < p->o.n_model; m++)
        ff_run_record_add_input(r, "parameters", ff_predictor_params_path(p->predictor, m),
                                ff_predictor_params_sha256(p->predictor, m));
}

/* With the predictions that an interrupted run left. */
static void begin_record(const struct ff_pipeline *p, struct work *w, struct ff_run_record *r)
{
    const struct ff_target *t = w->target;
    struct ff_strbuf yaml = {0};
    ff_options_to_yaml(p->config, &yaml);
    *r = (struct ff_run_record){
        .version = ff_xstrdup(ff_version_text()),
        .command = ff_xstrdup(p->o.command),
        .target = ff_xstrdup(t->name),
        .description = ff_xstrdup(t->description),
        .configuration = ff_strbuf_detach(&yaml),
        .n_res = t->n_res,
    };
    add_inputs(p, t, r);
    if (p->predictor == NULL)
        return;
    r->prediction_key = ff_xstrdup(w->predictions.key);
    r->backend = ff_xstrdup(ff_predictor_backend(p->predictor));
    r->precision = ff_xstrdup(ff_predictor_precision_name(p->predictor));
    r->threads = p->config->run.threads > 0 ? p->config->run.threads : ff_clock_cpu_count();
    if (!p->config->output.overwrite)
        ff_predictions_take(&w->predictions, &w->folder.record, w->folder.dir, r);
}

static ff_status run_search(struct ff_pipeline *p, const struct work *w, struct ff_run_record *r,
                            struct ff_target_hits *hits)
{
    const struct ff_run_record *old = &w->folder.record;
    struct ff_target_inputs in = inputs_of(p, w);
    FF_TRY(ff_target_features_search(&in, hits));
    r->n_search = ff_target_features_records(&in, hits, &r->searches);
    bool all_reused = true;
    for (int i = 0; i < r->n_search; i++)
        all_reused = all_reused && r->searches[i].reused;
    /* `fastfold search` beside finished results: they stay valid as long as nothing was searched again. */
    if (p->o.last == FF_STAGE_SEARCH && old->stage > FF_STAGE_SEARCH && all_reused)
        return FF_OK;
    return write_record(w, r, FF_STAGE_SEARCH);
}

/* Raw features from the alignments at hand, kept as a file. */
static ff_status make_features(struct ff_pipeline *p, struct work *w, const struct ff_target_hits *hits,
                               struct ff_run_record *r, int *ret_rows)
{
    if (p->o.msa != NULL && w->msa.n_entity == 0)
        FF_TRY(ff_user_msa_load(p->o.msa, w->target, &w->msa));
    struct ff_target_inputs in = inputs_of(p, w);
    struct ff_arrays raw = {0};
    char *path = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
    ff_status st = ff_target_features_make(&in, hits, &raw);
    if (st == FF_OK) {
        const struct ff_array *real = ff_arrays_find(&raw, "num_alignments");
        *ret_rows = *(const int32_t *)real->data;
        st = ff_npz_save(path, &raw);
    }
    if (st == FF_OK)
        ff_run_record_add_file(r, w->folder.dir, ff_path_base(path));
    ff_user_msa_free(&w->msa);
    ff_arrays_free(&raw);
    free(path);
    return st;
}

static ff_status run_features(struct ff_pipeline *p, struct work *w, const struct ff_target_hits *hits,
                              struct ff_run_record *r)
{
    struct ff_progress *progress = ff_progress_start("features", 0);
    int rows = 0;
    ff_status st = make_features(p, w, hits, r, &rows);
    char *summary = st == FF_OK ? ff_xasprintf("%d residues, %d different sequences", r->n_res, rows)
                                : ff_xstrdup("failed");
    ff_progress_end(progress, summary);
    free(summary);
    FF_TRY(st);
    r->features_key = ff_xstrdup(w->features_key);
    return write_record(w, r, FF_STAGE_FEATURES);
}

/* --- 5. a target from end to end ------------------------------------------------------------------------------ */

static ff_status interrupted(const struct work *w)
{
    return ff_fail(FF_EINTERRUPT, "%s: interrupted", w->target->name);
}

static void tell_best(const struct work *w, const struct ff_run_record *r, struct ff_outcome *ret)
{
    const struct ff_run_prediction *best = ff_run_record_best(r);
    if (best != NULL) {
        ret->mean_plddt = best->mean_plddt;
        ret->ptm = best->ptm;
        ret->iptm = best->iptm;
        ret->peak_bytes = ret->planned_bytes = best->peak_backend_bytes;
        ret->device_bytes = best->device_bytes;
    }
    ret->result = ff_output_ranked_path(w->folder.dir, 0);
}

static ff_status run_predict(struct ff_pipeline *p, const struct work *w, struct ff_run_record *r,
                             struct ff_outcome *ret)
{
    char *made = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
    struct ff_predictions_options options = {
        .predictor = p->predictor,
        .configs = p->o.configs,
        .features = p->o.features != NULL ? p->o.features : made,
        .target_dir = w->folder.dir,
        .stop = p->o.stop,
        .shared = p->shares ? p->shared : NULL,
    };
    if (r->features_key == NULL)
        r->features_key = ff_xstrdup(w->features_key);
    ff_status st = ff_predictions_make(&w->predictions, &options, r);
    free(made);
    FF_TRY(st);
    tell_best(w, r, ret);
    return write_record(w, r, FF_STAGE_PREDICT);
}

static ff_status skip(const struct ff_pipeline *p, const struct work *w, struct ff_outcome *ret)
{
    ff_note("%s: finished before with the same inputs and settings, nothing to do (--overwrite makes it again)",
            w->folder.dir);
    ret->skipped = true;
    if (p->o.last < FF_STAGE_PREDICT)
        ret->result = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
    else
        tell_best(w, &w->folder.record, ret);
    return FF_OK;
}

static ff_status run_stages(struct ff_pipeline *p, struct work *w, struct ff_run_record *r,
                            struct ff_target_hits *hits, struct ff_outcome *ret)
{
    double start = ff_clock_now();
    if (p->searches != NULL)
        FF_TRY(run_search(p, w, r, hits));
    double searched = ff_clock_now();
    ret->search_seconds = searched - start;
    if (p->o.last == FF_STAGE_SEARCH) {
        ret->result = ff_xstrdup(w->folder.msa_dir);
        return FF_OK;
    }
    if (stopped(p))
        return interrupted(w);
    if (p->o.features == NULL) {
        FF_TRY(run_features(p, w, hits, r));
        ff_target_hits_free(hits); /* the network needs the memory */
        ret->features_seconds = ff_clock_now() - searched;
        ff_run_record_add_timing(r, "features", ff_clock_now() - start);
    }
    if (p->o.last == FF_STAGE_FEATURES) {
        ret->result = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
        return FF_OK;
    }
    if (stopped(p))
        return interrupted(w);
    double featured = ff_clock_now();
    FF_TRY(run_predict(p, w, r, ret));
    ret->predict_seconds = ff_clock_now() - featured;
    return FF_OK;
}

ff_status ff_pipeline_run(struct ff_pipeline *p, const struct ff_target *t, struct ff_outcome *ret)
{
    *ret = (struct ff_outcome){.mean_plddt = (double)NAN, .ptm = (double)NAN, .iptm = (double)NAN};
    double start = ff_clock_now();
    struct work w;
    struct ff_run_record record = {0};
    struct ff_target_hits hits = {0};
    ff_status st;
    FF_TRY_GOTO(st, work_init(p, t, &w), cleanup);
    if (w.done) {
        st = skip(p, &w, ret);
        goto cleanup;
    }
    FF_TRY_GOTO(st, ff_mkdirs(w.folder.dir), cleanup);
    ff_remove_stale(w.folder.dir);
    if (p->config->output.overwrite)
        FF_TRY_GOTO(st, ff_target_folder_clear(&w.folder, p->o.features), cleanup);
    begin_record(p, &w, &record);
    st = run_stages(p, &w, &record, &hits, ret);
    size_t host = ff_clock_peak_rss();
    ret->peak_bytes = ret->peak_bytes > host ? ret->peak_bytes : host;
    ret->seconds = ff_clock_now() - start;

cleanup:
    if (st != FF_OK)
        ff_outcome_free(ret);
    ff_target_hits_free(&hits);
    ff_run_record_free(&record);
    work_free(&w);
    return st;
}
