/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_pass.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "feature/raw_features.h"
#include "feature/source.h"

/* --- features ----------------------------------------------------------------------------------------------------- */

static const char letters[] = "ARNDCQEGHILKMFPSTWYV";

/* An alignment in which every row differs from the query in half of its residues. */
static void make_msa(const struct ff_input_shape *shape, struct ff_rng *r, struct ff_msa *ret)
{
    int n = shape->n_res, rows = shape->n_seq + shape->n_extra;
    size_t size = (size_t)rows * (size_t)n;
    *ret = (struct ff_msa){.n_row = rows, .n_col = n, .letters = ff_xmalloc(size),
                           .deletions = FF_NEW_ARRAY(int32_t, size),
                           .descriptions = FF_NEW_ARRAY(char *, (size_t)rows)};
    for (size_t i = 0; i < size; i++) {
        bool query = i < (size_t)n;
        ret->letters[i] = query || ff_rng_below(r, 2) == 0 ? letters[ff_rng_below(r, 20)] : ret->letters[i % (size_t)n];
        ret->deletions[i] = !query && ff_rng_below(r, 50) == 0 ? 3 : 0;
    }
    for (int i = 0; i < rows; i++)
        ret->descriptions[i] = ff_xasprintf("row%d", i);
}

static void make_templates(const struct ff_input_shape *shape, struct ff_rng *r, struct ff_arrays *ret)
{
    int64_t t = shape->n_template, n = shape->n_res;
    float *aatype = ff_arrays_add(ret, "template_aatype", FF_F32, 3, (const int64_t[]){t, n, 22})->data;
    for (int64_t i = 0; i < t * n; i++)
        aatype[i * 22 + ff_rng_below(r, 20)] = 1.0f;
    float *x = ff_arrays_add(ret, "template_all_atom_positions", FF_F32, 4, (const int64_t[]){t, n, 37, 3})->data;
    for (int64_t i = 0; i < t * n * 37 * 3; i++)
        x[i] = (float)(40.0 * ff_rng_uniform(r));
    float *mask = ff_arrays_add(ret, "template_all_atom_masks", FF_F32, 3, (const int64_t[]){t, n, 37})->data;
    for (int64_t i = 0; i < t * n * 37; i++)
        mask[i] = 1.0f;
}

static ff_status make_source(const struct ff_config *config, const struct ff_input_shape *shape,
                             struct ff_source **ret)
{
    struct ff_rng r;
    ff_rng_init(&r, 1, "bench", 0);
    struct ff_msa msa;
    struct ff_arrays templates = {0}, raw;
    make_msa(shape, &r, &msa);
    if (shape->n_template > 0)
        make_templates(shape, &r, &templates);
    char *query = ff_xstrndup(msa.letters, (size_t)msa.n_col);
    ff_status st = ff_raw_features_make(query, "bench", 1, (const struct ff_msa *const[]){&msa},
                                        shape->n_template > 0 ? &templates : NULL, &raw);
    free(query);
    ff_msa_free(&msa);
    ff_arrays_free(&templates);
    FF_TRY(st);
    struct ff_source_options options = {.features = config->msa, .seed = 1, .num_ensemble = 1};
    options.features.max_clusters = shape->n_seq;
    options.features.reduce_clusters_by_max_templates = false;
    options.features.max_extra = shape->n_extra;
    options.features.max_templates = shape->n_template;
    return ff_source_from_raw("bench", &raw, &options, ret);
}

/* --- the pass ----------------------------------------------------------------------------------------------------- */

struct clock {
    double first_stage;          /* when the features were there and the network began */
    double end;
};

static void note_stage(void *user, int pass, const char *stage, double fraction)
{
    (void)pass;
    (void)stage;
    (void)fraction;
    struct clock *c = user;
    if (c->first_stage == 0)
        c->first_stage = ff_clock_now();
}

static void note_pass(void *user, const struct ff_pass_report *report)
{
    (void)report;
    ((struct clock *)user)->end = ff_clock_now();
}

static ff_status run(const struct ff_config *config, struct ff_source *source, struct ff_backend *be, const bool *stop,
                     struct ff_bench_pass *ret)
{
    struct ff_plan plan;
    size_t limit = config->run.memory_limit > 0 ? (size_t)config->run.memory_limit : 0;
    struct ff_plan_memory memory = {.overhead = ff_backend_overhead(be), .budget = ff_backend_budget(be, limit, 0),
                                    .host = config->run.offload ? ff_backend_host_budget(be) : 0};
    FF_TRY(ff_model_plan(&config->model, &source->shape, be->precision, be->activation, &memory, &plan));
    struct ff_model *model;
    struct ff_backend *profile = ff_backend_profile_create(be);
    ff_status st = ff_model_open(&config->model, "synthetic", profile, &model);
    if (st == FF_OK) {
        struct clock clock = {0};
        bool logits = source->shape.n_res <= config->output.arrays_max_residues;
        struct ff_model_run_options options = {.want_logits = logits, .compact_pae = !logits, .on_stage = note_stage,
                                               .on_pass = note_pass, .user = &clock, .stop = stop};
        struct ff_prediction prediction;
        st = ff_model_run(model, source, &plan, &options, &prediction);
        if (st == FF_OK) {
            ret->seconds = clock.end - clock.first_stage;
            ret->peak_bytes = prediction.peak_bytes;
            memcpy(ret->op_seconds, ff_backend_profile_seconds(profile), sizeof ret->op_seconds);
            memcpy(ret->op_cost, ff_backend_profile_costs(profile), sizeof ret->op_cost);
            ff_prediction_free(&prediction);
        }
        ff_model_close(model);
    }
    ff_backend_destroy(profile);
    return st;
}

ff_status ff_bench_pass(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                        const bool *stop, struct ff_bench_pass *ret)
{
    FF_ASSERT(!config->model.multimer);
    struct ff_source *source;
    FF_TRY(make_source(config, shape, &source));
    ff_status st = run(config, source, be, stop, ret);
    ff_source_destroy(source);
    return st;
}
