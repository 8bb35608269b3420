/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_pass.h"

#include <stdlib.h>

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
                           .descriptions = FF_NEW_ARRAY(char *, (size_t)rows)};
    for (size_t i = 0; i < size; i++) {
        bool query = i < (size_t)n;
        ret->letters[i] = query || ff_rng_below(r, 2) == 0 ? letters[ff_rng_below(r, 20)] : ret->letters[i % (size_t)n];
        if (!query && ff_rng_below(r, 50) == 0)
            ff_msa_add_deletions(ret, (int)(i / (size_t)n), (int)(i % (size_t)n), 3);
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

void ff_bench_drop_rows(void *user, int64_t from, int64_t n, const float *rows)
{
    (void)user;
    (void)from;
    (void)n;
    (void)rows;
}

ff_status ff_bench_source(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_source **ret)
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

enum { PASSES = 5 };                 /* the first warms up, the last gives its logits to the host */

struct clock {
    double first_stage[PASSES];      /* when the features were there and the network began */
    double end[PASSES];
};

static void note_stage(void *user, int pass, const char *stage, double fraction)
{
    (void)stage;
    (void)fraction;
    struct clock *c = user;
    if (c->first_stage[pass] == 0)
        c->first_stage[pass] = ff_clock_now();
}

static void note_pass(void *user, const struct ff_pass_report *report)
{
    ((struct clock *)user)->end[report->pass] = ff_clock_now();
}

static double seconds_of(const struct clock *c, int pass)
{
    return c->end[pass] - c->first_stage[pass];
}

struct run {
    const struct ff_config *config;
    struct ff_source *source;
    struct ff_plan plan;
    const bool *stop;
};

/* The model on be with n_pass passes. */
static ff_status run_passes(const struct run *r, struct ff_backend *be, int n_pass, struct clock *clock,
                            struct ff_bench_pass *ret)
{
    struct ff_model *model;
    double start = ff_clock_now();
    FF_TRY(ff_model_open(&r->config->model, "synthetic", be, &model));
    be->sync(be);
    ret->parameters = ff_clock_now() - start;
    *clock = (struct clock){0};
    bool logits = r->source->shape.n_res <= r->config->output.arrays_max_residues;
    struct ff_model_run_options options = {.num_recycle = n_pass - 1, .want_logits = logits,
                                           .take_pae = logits ? NULL : ff_bench_drop_rows, .on_stage = note_stage,
                                           .on_pass = note_pass, .user = clock, .stop = r->stop};
    struct ff_prediction prediction;
    start = ff_clock_now();
    ff_status st = ff_model_run(model, r->source, &r->plan, &options, &prediction);
    if (st == FF_OK) {
        ret->features = clock->first_stage[0] - start;
        ret->peak_bytes = prediction.peak_bytes;
        ff_prediction_free(&prediction);
    }
    ff_model_close(model);
    return st;
}

static ff_status profile(const struct run *r, struct ff_backend *be, struct ff_bench_pass *ret)
{
    struct ff_backend *profiler = ff_backend_profile_create(be);
    struct clock clock;
    ff_status st = run_passes(r, profiler, 1, &clock, ret);
    if (st == FF_OK) {
        ret->profiled = seconds_of(&clock, 0);
        ret->profile = *ff_backend_profile_read(profiler);
    }
    ff_backend_destroy(profiler);
    return st;
}

static ff_status run(struct run *r, struct ff_backend *be, struct ff_bench_pass *ret)
{
    *ret = (struct ff_bench_pass){0};
    const struct ff_run_config *c = &r->config->run;
    size_t limit = c->memory_limit > 0 ? (size_t)c->memory_limit : 0;
    struct ff_plan_memory memory = {.overhead = ff_backend_overhead(be), .budget = ff_backend_budget(be, limit, 0),
                                    .host = c->offload ? ff_backend_host_budget(be) : 0};
    FF_TRY(ff_model_plan(&r->config->model, &r->source->shape, be->precision, be->activation, &memory, &r->plan));
    if (be->mark == NULL) {
        FF_TRY(profile(r, be, ret));
        ret->times = ff_bench_times_of(&(double){ret->profiled}, 1);
        return FF_OK;
    }
    struct clock clock;
    double seconds[PASSES];
    FF_TRY(run_passes(r, be, PASSES, &clock, ret));
    for (int i = 1; i < PASSES - 1; i++)
        seconds[i - 1] = seconds_of(&clock, i);
    ret->times = ff_bench_times_of(seconds, PASSES - 2);
    ret->with_logits = seconds_of(&clock, PASSES - 1);
    return profile(r, be, ret);
}

ff_status ff_bench_pass(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                        const bool *stop, struct ff_bench_pass *ret)
{
    FF_ASSERT(!config->model.multimer);
    struct run r = {.config = config, .stop = stop};
    FF_TRY(ff_bench_source(config, shape, &r.source));
    ff_status st = run(&r, be, ret);
    ff_source_destroy(r.source);
    return st;
}
