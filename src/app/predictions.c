/* SPDX-License-Identifier: Apache-2.0
 * predictions: all predictions of one target.
 */
#include "app/predictions.h"

#include <stdlib.h>
#include <string.h>

#include "app/feature_input.h"
#include "app/output.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

/* --- the list ----------------------------------------------------------------------------------------------------- */

void ff_predictions_list(int n_model, const struct ff_config *configs, const struct ff_predictor *p,
                         const char *features_key, struct ff_predictions *ret)
{
    int n_seed = configs->run.num_seeds;
    *ret = (struct ff_predictions){.count = n_model * n_seed};
    ret->items = FF_NEW_ARRAY(struct ff_prediction_item, (size_t)ret->count);
    char (*keys)[FF_KEY_SIZE] = ff_xcalloc((size_t)ret->count, sizeof *keys);
    for (int i = 0; i < ret->count; i++) {
        struct ff_prediction_item *item = &ret->items[i];
        item->model = i / n_seed;
        item->seed = i + configs->run.seed * ret->count;
        struct ff_config config = configs[item->model];
        config.run.seed = item->seed;
        item->name = ff_output_prediction_name(config.model.name, i % n_seed);
        ff_run_key_prediction(features_key, &config, ff_predictor_params_sha256(p, item->model),
                              ff_predictor_precision(p), item->key);
        memcpy(keys[i], item->key, FF_KEY_SIZE);
    }
    ff_run_key_all(ret->count, (const char (*)[FF_KEY_SIZE])keys, ret->key);
    free(keys);
}

void ff_predictions_free(struct ff_predictions *l)
{
    for (int i = 0; i < l->count; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct ff_predictions){0};
}

void ff_predictions_take(const struct ff_predictions *l, struct ff_run_record *from, const char *target_dir,
                         struct ff_run_record *record)
{
    for (int i = 0; i < l->count; i++)
        ff_run_record_take_prediction(record, from, l->items[i].name, l->items[i].key, target_dir);
}

/* --- making them ------------------------------------------------------------------------------------------------ */

static const struct ff_run_prediction *find(const struct ff_run_record *r, const char *name)
{
    for (int i = 0; i < r->n_prediction; i++)
        if (strcmp(r->predictions[i].name, name) == 0)
            return &r->predictions[i];
    return NULL;
}

/* Ranks that share the prediction begin it only when all of them have the features. */
static ff_status open_features(struct ff_predictor *p, const char *features, const struct ff_config *config,
                               int64_t seed, struct ff_feature_input *ret)
{
    ff_status own = ff_feature_input_open(features, config, seed, ret);
    ff_status st = ff_predictor_agree(p, own);
    if (st != FF_OK && own == FF_OK)
        ff_feature_input_close(ret);
    return st;
}

static ff_status predict(const struct ff_prediction_item *item, const struct ff_predictions_options *o,
                         struct ff_run_record *r)
{
    struct ff_feature_input input;
    FF_TRY(open_features(o->predictor, o->features, &o->configs[item->model], item->seed, &input));
    r->n_res = input.source->shape.n_res;
    struct ff_predictor_job job = {
        .model = item->model,
        .name = item->name,
        .seed = item->seed,
        .source = input.source,
        .n_chain = input.n_chain,
        .input_chain = input.input_chain,
        .target_dir = o->target_dir,
        .stop = o->stop,
    };
    ff_status st = ff_predictor_run(o->predictor, &job, r);
    ff_feature_input_close(&input);
    return st;
}

static ff_status make_one(const struct ff_prediction_item *item, const struct ff_predictions_options *o,
                          struct ff_run_record *r)
{
    if (o->stop != NULL && *o->stop)
        return ff_fail(FF_EINTERRUPT, "%s: interrupted", r->target);
    if (o->shared != NULL)
        o->shared->begin(o->shared->user, o->features, item->model, item->seed);
    ff_status st = predict(item, o, r);
    if (o->shared != NULL)
        o->shared->end(o->shared->user);
    if (st == FF_OK)
        r->predictions[r->n_prediction - 1].key = ff_xstrdup(item->key);
    return st;
}

ff_status ff_predictions_join(struct ff_predictor *p, const struct ff_config *config, const char *features, int model,
                              int64_t seed)
{
    struct ff_feature_input input;
    FF_TRY(open_features(p, features, config, seed, &input));
    struct ff_predictor_job job = {.model = model, .name = config->model.name, .seed = seed, .source = input.source};
    ff_status st = ff_predictor_run(p, &job, NULL);
    ff_feature_input_close(&input);
    return st;
}

/* What is finished is known to the next run, should this one end here. */
static ff_status keep(const struct ff_predictions_options *o, struct ff_run_record *r)
{
    r->stage = FF_STAGE_FEATURES;
    r->peak_host_bytes = ff_clock_peak_rss();
    char *path = ff_output_path(o->target_dir, FF_RESULT_RUN, NULL);
    ff_status st = ff_run_record_write(r, path);
    free(path);
    return st;
}

static void add_timings(struct ff_run_record *r, const struct ff_run_prediction *p)
{
    char *process = ff_xasprintf("process_features_%s", p->name);
    char *predict = ff_xasprintf("predict_and_compile_%s", p->name);
    ff_run_record_add_timing(r, process, p->features_seconds);
    ff_run_record_add_timing(r, predict, p->predict_seconds);
    free(predict);
    free(process);
}

/* Scores and timings in the order of the list. */
static ff_status rank(const struct ff_predictions *l, const struct ff_predictions_options *o, struct ff_run_record *r)
{
    struct ff_named_value *scores = FF_NEW_ARRAY(struct ff_named_value, (size_t)l->count);
    for (int i = 0; i < l->count; i++) {
        const struct ff_run_prediction *p = find(r, l->items[i].name);
        FF_ASSERT(p != NULL);
        scores[i] = (struct ff_named_value){p->name, p->ranking_confidence};
        add_timings(r, p);
    }
    struct ff_output_ranking ranking = {
        .target_dir = o->target_dir,
        .multimer = o->configs->model.multimer,
        .count = l->count,
        .scores = scores,
        .n_timing = r->n_timing,
        .timings = r->timings,
    };
    struct ff_output_files files = {0};
    ff_status st = ff_output_write_ranking(&ranking, &files);
    for (int i = 0; i < files.count; i++)
        ff_run_record_add_file(r, o->target_dir, files.names[i]);
    ff_output_files_free(&files);
    free(scores);
    return st;
}

ff_status ff_predictions_make(const struct ff_predictions *l, const struct ff_predictions_options *o,
                              struct ff_run_record *r)
{
    for (int i = 0; i < l->count; i++) {
        const struct ff_prediction_item *item = &l->items[i];
        if (find(r, item->name) != NULL) {
            ff_note("%s: finished before, kept", item->name);
            continue;
        }
        if (l->count > 1)
            ff_info("prediction %d of %d: %s, seed %lld", i + 1, l->count, item->name, (long long)item->seed);
        FF_TRY(make_one(item, o, r));
        if (l->count > 1)
            FF_TRY(keep(o, r));
    }
    return rank(l, o, r);
}
