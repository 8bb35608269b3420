/* SPDX-License-Identifier: Apache-2.0
 * pipeline: one target on its way from sequence to result files.
 *
 *  1. What all targets share
 *  2. One target's question
 *  3. Checks
 *  4. The stages
 *  5. A target from end to end
 */
#include "app/pipeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/alignment.h"
#include "app/chain_features.h"
#include "app/output.h"
#include "app/predictor.h"
#include "app/run_key.h"
#include "app/target_folder.h"
#include "app/version.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bio/fasta.h"
#include "feature/feature_file.h"
#include "feature/source.h"
#include "format/npz.h"

struct ff_pipeline {
    struct ff_pipeline_options o;
    const struct ff_config *config;
    struct ff_searches *searches;        /* NULL: no search */
    struct ff_predictor *predictor;      /* NULL: stops before the network */
    struct ff_source *source;            /* of o.features */
    char features_sha256[FF_KEY_SIZE];
    char *features_name;                 /* record name that the file tells, or its stem */
    struct ff_msa msa;                   /* of o.msa, once it was checked against its query */
    char msa_sha256[FF_KEY_SIZE];
};

void ff_target_free(struct ff_target *t)
{
    free(t->name);
    free(t->description);
    free(t->sequence);
    free(t->file);
    *t = (struct ff_target){0};
}

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

static struct ff_source_options source_options(const struct ff_config *c)
{
    return (struct ff_source_options){
        .features = c->msa,
        .seed = (uint64_t)c->run.seed,
        .resample = c->model.resample_msa_in_recycling,
        .num_ensemble = c->model.num_ensemble,
    };
}

/* The name of the record that raw features were made of; NULL when they do not tell. */
static char *record_name(const struct ff_arrays *raw)
{
    const struct ff_array *a = ff_arrays_find(raw, "domain_name");
    if (a == NULL || a->dtype != FF_U8)
        return NULL;
    const char *text = a->data;
    size_t len = 0, n = (size_t)ff_array_count(a);
    while (len < n && text[len] != ' ' && text[len] != '\t' && text[len] != '\0')
        len++;
    char *name = ff_fasta_safe_name(text, len);
    if (*name != '\0')
        return name;
    free(name);
    return NULL;
}

static ff_status load_features(struct ff_pipeline *p)
{
    struct ff_arrays arrays = {0};
    enum ff_feature_kind kind;
    FF_TRY(ff_hash_sha256_file(p->o.features, p->features_sha256));
    FF_TRY(ff_feature_file_load(p->o.features, &kind, &arrays));
    struct ff_source_options options = source_options(p->config);
    if (kind == FF_FEATURES_RAW)
        p->features_name = record_name(&arrays);
    if (p->features_name == NULL) {
        char *stem = ff_path_stem(p->o.features);
        p->features_name = ff_fasta_safe_name(stem, strlen(stem));
        free(stem);
    }
    switch (kind) {
    case FF_FEATURES_RAW:
        return ff_source_from_raw(p->o.features, &arrays, &options, &p->source);
    case FF_FEATURES_PROCESSED:
        return ff_source_from_processed(p->o.features, &arrays, &options, &p->source);
    case FF_FEATURES_COMPLEX:
        break;
    }
    ff_arrays_free(&arrays);
    return ff_fail(FF_EINPUT, "%s holds the features of a complex; model %s predicts single chains", p->o.features,
                   p->config->model.name);
}

static ff_status open_shared(struct ff_pipeline *p)
{
    const struct ff_config *c = p->config;
    if (c->model.multimer && p->o.last > FF_STAGE_SEARCH)
        return ff_fail(FF_EUSAGE, "model %s predicts complexes, which this version does not; give a monomer model such "
                       "as model_1_ptm", c->model.name);
    FF_TRY(ff_check_writable_dir(c->output.dir));
    if (c->search.tmp_dir != NULL)
        FF_TRY(ff_check_writable_dir(c->search.tmp_dir));
    if (p->o.last == FF_STAGE_PREDICT)
        FF_TRY(ff_predictor_open(c, &p->predictor));
    if (p->o.features != NULL)
        return load_features(p);
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
    p->config = options->config;
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
    ff_source_destroy(p->source);
    ff_predictor_close(p->predictor);
    ff_msa_free(&p->msa);
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

ff_status ff_pipeline_finish(struct ff_pipeline *p)
{
    return p->predictor != NULL ? ff_predictor_finish(p->predictor) : FF_OK;
}

/* --- 2. one target's question ----------------------------------------------------------------------------------- */

/* A target with its folder, and what there is to do. */
struct work {
    const struct ff_target *target;
    struct ff_target_folder folder;
    char features_key[FF_KEY_SIZE];
    char prediction_key[FF_KEY_SIZE];    /* "" when the network does not run */
    bool done;                           /* what is asked for is there already */
};

static void work_free(struct work *w)
{
    ff_target_folder_close(&w->folder);
}

/* Features given as a file: those that an earlier run made in this very folder count as made here. */
static void make_keys(const struct ff_pipeline *p, struct work *w)
{
    if (p->o.features == NULL)
        ff_run_key_features(w->target->sequence, p->o.msa != NULL ? p->msa_sha256 : NULL, p->searches,
                            w->features_key);
    else if (ff_target_folder_made_features(&w->folder, p->features_sha256))
        snprintf(w->features_key, sizeof w->features_key, "%s", w->folder.record.features_key);
    else
        memcpy(w->features_key, p->features_sha256, FF_KEY_SIZE);
    if (p->predictor != NULL)
        ff_run_key_prediction(w->features_key, p->config, ff_predictor_params_sha256(p->predictor),
                              ff_predictor_precision(p->predictor), w->prediction_key);
}

static ff_status work_init(const struct ff_pipeline *p, const struct ff_target *t, struct work *w)
{
    *w = (struct work){.target = t};
    FF_TRY(ff_target_folder_open(p->config->output.dir, t->name, &w->folder));
    make_keys(p, w);
    struct ff_run_goal goal = {
        .last = p->o.last,
        .features_key = w->features_key,
        .prediction_key = w->prediction_key,
        .overwrite = p->config->output.overwrite,
    };
    return ff_target_folder_judge(&w->folder, &goal, &w->done);
}

/* --- 3. checks -------------------------------------------------------------------------------------------------- */

static ff_status check_alignment(struct ff_pipeline *p, const struct ff_target *t)
{
    if (p->msa.n_row > 0)
        return ff_msa_check_query(&p->msa, t->sequence, p->o.msa);
    return ff_alignment_load(p->o.msa, t->sequence, 0, &p->msa);
}

static const char *tmp_parent(const struct ff_pipeline *p, const struct work *w)
{
    return p->config->search.tmp_dir != NULL ? p->config->search.tmp_dir : w->folder.dir;
}

static struct ff_search_request search_request(const struct ff_pipeline *p, const struct work *w)
{
    return (struct ff_search_request){
        .name = w->target->name,
        .sequence = w->target->sequence,
        .msa_dir = w->folder.msa_dir,
        .tmp_parent = tmp_parent(p, w),
        .stop = p->o.stop,
    };
}

static ff_status check_work(struct ff_pipeline *p, const struct work *w)
{
    const struct ff_run_record *old = &w->folder.record;
    if (w->done)
        return FF_OK;
    if (ff_file_is_dir(w->folder.dir))
        FF_TRY(ff_check_writable_dir(w->folder.dir));
    if (p->o.msa != NULL)
        FF_TRY(check_alignment(p, w->target));
    int n_search = 0;
    struct ff_search_request request = search_request(p, w);
    if (p->searches != NULL)
        FF_TRY(ff_searches_check(p->searches, &request, &n_search));
    if (p->o.last == FF_STAGE_SEARCH && old->stage > FF_STAGE_SEARCH && n_search > 0 && !p->config->output.overwrite)
        return ff_target_folder_refuse(&w->folder, "results that were made from other alignments");
    if (p->predictor == NULL)
        return FF_OK;
    struct ff_input_shape shape;
    struct ff_plan plan;
    if (p->source != NULL)
        shape = p->source->shape;
    else
        ff_predictor_shape(p->config, (int)strlen(w->target->sequence),
                           p->o.msa != NULL ? p->msa.n_row : p->searches != NULL ? -1 : 1, &shape);
    return ff_predictor_plan(p->predictor, &shape, &plan);
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

/* --- 4. the stages ---------------------------------------------------------------------------------------------- */

static ff_status write_record(const struct work *w, struct ff_run_record *r, enum ff_stage stage)
{
    r->stage = stage;
    r->peak_host_bytes = ff_clock_peak_rss();
    char *path = ff_output_path(w->folder.dir, FF_RESULT_RUN, NULL);
    ff_status st = ff_run_record_write(r, path);
    free(path);
    return st;
}

static void begin_record(const struct ff_pipeline *p, const struct work *w, struct ff_run_record *r)
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
        .n_res = p->source != NULL ? p->source->shape.n_res : (int)strlen(t->sequence),
        .mean_plddt = (double)NAN,
        .ptm = (double)NAN,
        .iptm = (double)NAN,
        .ranking_confidence = (double)NAN,
    };
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
    if (p->predictor != NULL)
        ff_run_record_add_input(r, "parameters", ff_predictor_params_path(p->predictor),
                                ff_predictor_params_sha256(p->predictor));
}

static ff_status run_search(struct ff_pipeline *p, const struct work *w, struct ff_run_record *r,
                            struct ff_search_results *hits)
{
    const struct ff_run_record *old = &w->folder.record;
    struct ff_search_request request = search_request(p, w);
    FF_TRY(ff_searches_run(p->searches, &request, hits));
    r->searches = FF_NEW_ARRAY(struct ff_search_record, (size_t)hits->count);
    bool all_reused = true;
    for (int i = 0; i < hits->count; i++) {
        ff_search_record_copy(&hits->items[i].record, &r->searches[r->n_search++]);
        all_reused = all_reused && hits->items[i].record.reused;
    }
    /* `fastfold search` beside finished results: they stay valid as long as nothing was searched again. */
    if (p->o.last == FF_STAGE_SEARCH && old->stage > FF_STAGE_SEARCH && all_reused)
        return FF_OK;
    return write_record(w, r, FF_STAGE_SEARCH);
}

/* Raw features from the alignments at hand, kept as a file; the source draws from them. */
static ff_status make_features(struct ff_pipeline *p, const struct work *w, const struct ff_search_results *hits,
                               struct ff_run_record *r, struct ff_source **ret, int *ret_rows)
{
    const struct ff_target *t = w->target;
    struct ff_chain_inputs inputs = {
        .config = p->config,
        .sequence = t->sequence,
        .description = t->description,
        .hits = hits,
        .msa = p->o.msa != NULL ? &p->msa : NULL,
        .templates = p->o.templates,
        .tmp_parent = tmp_parent(p, w),
        .stop = p->o.stop,
    };
    struct ff_arrays raw = {0};
    char *path = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
    ff_status st;
    FF_TRY_GOTO(st, ff_chain_features_make(&inputs, &raw), cleanup);
    *ret_rows = (int)ff_arrays_find(&raw, "msa")->shape[0];
    FF_TRY_GOTO(st, ff_npz_save(path, &raw), cleanup);
    ff_run_record_add_file(r, w->folder.dir, ff_path_base(path));
    if (p->o.last == FF_STAGE_PREDICT) {
        struct ff_source_options options = source_options(p->config);
        st = ff_source_from_raw(path, &raw, &options, ret);
    }
cleanup:
    ff_arrays_free(&raw);
    free(path);
    return st;
}

static ff_status run_features(struct ff_pipeline *p, const struct work *w, const struct ff_search_results *hits,
                              struct ff_run_record *r, struct ff_source **ret)
{
    struct ff_progress *progress = ff_progress_start("features", 0);
    int rows = 0;
    ff_status st = make_features(p, w, hits, r, ret, &rows);
    char *summary = st == FF_OK ? ff_xasprintf("%d residues, %d different sequences", r->n_res, rows)
                                : ff_xstrdup("failed");
    ff_progress_end(progress, summary);
    free(summary);
    FF_TRY(st);
    r->features_key = ff_xstrdup(w->features_key);
    return write_record(w, r, FF_STAGE_FEATURES);
}

/* --- 5. a target from end to end ------------------------------------------------------------------------------ */

static ff_status skip(const struct ff_pipeline *p, const struct work *w, struct ff_outcome *ret)
{
    ff_note("%s: finished before with the same inputs and settings, nothing to do (--overwrite makes it again)",
            w->folder.dir);
    ret->skipped = true;
    if (p->o.last < FF_STAGE_PREDICT) {
        ret->result = ff_output_path(w->folder.dir, FF_RESULT_FEATURES, NULL);
        return FF_OK;
    }
    const struct ff_run_record *old = &w->folder.record;
    ret->mean_plddt = old->mean_plddt;
    ret->ptm = old->ptm;
    ret->iptm = old->iptm;
    ret->result = ff_output_path(w->folder.dir, FF_RESULT_RANKED_PDB, NULL);
    if (!ff_file_exists(ret->result)) {
        free(ret->result);
        ret->result = ff_output_path(w->folder.dir, FF_RESULT_RANKED_CIF, NULL);
    }
    return FF_OK;
}

static ff_status interrupted(const struct work *w)
{
    return ff_fail(FF_EINTERRUPT, "%s: interrupted", w->target->name);
}

static ff_status run_predict(struct ff_pipeline *p, const struct work *w, struct ff_source *source,
                             struct ff_run_record *r, struct ff_outcome *ret)
{
    r->features_key = r->features_key != NULL ? r->features_key : ff_xstrdup(w->features_key);
    FF_TRY(ff_predictor_run(p->predictor, source, w->folder.dir, p->o.stop, r, &ret->result));
    ret->mean_plddt = r->mean_plddt;
    ret->ptm = r->ptm;
    ret->iptm = r->iptm;
    ret->peak_bytes = r->peak_backend_bytes;
    r->prediction_key = ff_xstrdup(w->prediction_key);
    return write_record(w, r, FF_STAGE_PREDICT);
}

static ff_status run_stages(struct ff_pipeline *p, const struct work *w, struct ff_run_record *r,
                            struct ff_search_results *hits, struct ff_source **made, struct ff_outcome *ret)
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
    if (p->source == NULL) {
        FF_TRY(run_features(p, w, hits, r, made));
        ff_search_results_free(hits); /* the network needs the memory */
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
    FF_TRY(run_predict(p, w, p->source != NULL ? p->source : *made, r, ret));
    ret->predict_seconds = ff_clock_now() - featured;
    return FF_OK;
}

ff_status ff_pipeline_run(struct ff_pipeline *p, const struct ff_target *t, struct ff_outcome *ret)
{
    *ret = (struct ff_outcome){.mean_plddt = (double)NAN, .ptm = (double)NAN, .iptm = (double)NAN};
    double start = ff_clock_now();
    struct work w;
    struct ff_run_record record = {0};
    struct ff_search_results hits = {0};
    struct ff_source *source = NULL;
    ff_status st;
    FF_TRY_GOTO(st, work_init(p, t, &w), cleanup);
    if (w.done) {
        st = skip(p, &w, ret);
        goto cleanup;
    }
    FF_TRY_GOTO(st, ff_mkdirs(w.folder.dir), cleanup);
    if (p->config->output.overwrite)
        FF_TRY_GOTO(st, ff_target_folder_clear(&w.folder, p->o.features), cleanup);
    begin_record(p, &w, &record);
    st = run_stages(p, &w, &record, &hits, &source, ret);
    size_t host = ff_clock_peak_rss();
    ret->peak_bytes = ret->peak_bytes > host ? ret->peak_bytes : host;
    ret->seconds = ff_clock_now() - start;

cleanup:
    if (st != FF_OK)
        ff_outcome_free(ret);
    ff_source_destroy(source);
    ff_search_results_free(&hits);
    ff_run_record_free(&record);
    work_free(&w);
    return st;
}
