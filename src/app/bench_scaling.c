/* SPDX-License-Identifier: Apache-2.0
 * bench_scaling: see bench_scaling.h.
 */
#include "app/bench_scaling.h"

#include <math.h>
#include <stdio.h>

#include "app/bench_pass.h"
#include "base/clock.h"
#include "model/model.h"
#include "parallel/agree.h"

static const char *const collective_names[FF_COLLECTIVE_COUNT] = {"all_gather", "all_to_all"};

enum { TIMED = 1 };                      /* the pass before warms up; the last gives its logits to the host */

struct run {
    const struct ff_config *config;
    struct ff_backend *be;
    struct ff_comm *comm;
    struct ff_plan plan;
    double start, seconds;           /* of the timed pass, from the end of its features */
    struct ff_comm_stats stats;      /* the same */
    struct ff_prediction prediction;
};

/* The first stage of the timed pass. */
static void note_stage(void *user, int pass, const char *stage, double fraction)
{
    struct run *r = user;
    (void)stage;
    (void)fraction;
    if (pass != TIMED || r->start > 0)
        return;
    r->be->sync(r->be);
    r->comm->barrier(r->comm); /* features, which are not timed, do not take all ranks the same time */
    r->comm->update_stats(r->comm);
    r->stats = r->comm->stats;
    r->start = ff_clock_now();
}

static void note_pass(void *user, const struct ff_pass_report *report)
{
    struct run *r = user;
    if (report->pass != TIMED)
        return;
    r->seconds = ff_clock_now() - r->start;
    r->comm->update_stats(r->comm);
    const struct ff_comm_stats *now = &r->comm->stats;
    for (int k = 0; k < FF_COLLECTIVE_COUNT; k++) {
        r->stats.calls[k] = now->calls[k] - r->stats.calls[k];
        r->stats.bytes[k] = now->bytes[k] - r->stats.bytes[k];
        r->stats.seconds[k] = now->seconds[k] - r->stats.seconds[k];
        r->stats.wait[k] = now->wait[k] - r->stats.wait[k];
    }
}

static double least(struct ff_comm *c, size_t value)
{
    return (double)ff_agree_least(c, value);
}

static ff_status make_plan(struct run *r, const struct ff_input_shape *shape)
{
    struct ff_backend *be = r->be;
    size_t limit = r->config->run.memory_limit > 0 ? (size_t)r->config->run.memory_limit : 0;
    size_t sharers = be->context == 0 && limit == 0 ? (size_t)ff_comm_local_size() : 1;
    struct ff_plan_memory memory = {
        .overhead = ff_backend_overhead(be),
        .budget = (size_t)least(r->comm, ff_backend_budget(be, limit, 0) / sharers),
        .host = 0, /* what does not fit is not compared */
    };
    return ff_model_plan(&r->config->model, shape, be->precision, be->activation, &memory, &r->plan);
}

static ff_status predict(struct run *r, struct ff_source *source)
{
    struct ff_model *model = NULL;
    ff_status st = make_plan(r, &source->shape);
    if (st == FF_OK)
        st = ff_model_open(&r->config->model, "synthetic", r->be, &model);
    if (st == FF_OK)
        st = ff_model_reserve(model, &r->plan);
    st = ff_agree(r->comm, st);
    if (st == FF_OK) {
        bool logits = source->shape.n_res <= r->config->output.arrays_max_residues;
        struct ff_model_run_options options = {.num_recycle = logits ? TIMED + 1 : TIMED, .want_logits = logits,
                                               .take_pae = logits ? NULL : ff_bench_drop_rows, .on_stage = note_stage,
                                               .on_pass = note_pass, .user = r, .comm = r->comm};
        st = ff_model_run(model, source, &r->plan, &options, &r->prediction);
    }
    ff_model_close(model);
    return st;
}

/* --- what came out ------------------------------------------------------------------------------------------------ */

/* Root mean square of an array: what runs on different numbers of ranks are compared by. */
static double rms(const struct run *r, const char *name)
{
    const struct ff_array *a = ff_arrays_find(&r->prediction.arrays, name);
    double sum = 0;
    int64_t n = a != NULL && a->dtype == FF_F32 ? ff_array_count(a) : 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)((const float *)a->data)[i] * (double)((const float *)a->data)[i];
    return n > 0 ? sqrt(sum / (double)n) : 0;
}

/* Data through one rank's link per second. */
static double bus_bandwidth(const struct run *r, int k)
{
    return r->stats.seconds[k] > 0 ? r->stats.bytes[k] / r->stats.seconds[k] : 0;
}

static double waited(const struct run *r)
{
    double sum = 0;
    for (int k = 0; k < FF_COLLECTIVE_COUNT; k++)
        sum += r->stats.wait[k];
    return sum;
}

static const char *precision_name(const struct run *r)
{
    return r->be->precision == FF_PRECISION_BF16 ? "bf16" : r->be->precision == FF_PRECISION_TF32 ? "tf32" : "fp32";
}

static void print_text(const struct run *r)
{
    const struct ff_input_shape *s = &r->plan.shape;
    printf("one pass of %s on %d rank%s (%s, %s, %s)\n", r->config->model.name, r->comm->size,
           r->comm->size > 1 ? "s" : "", r->be->name, precision_name(r), r->comm->name);
    printf("  features     %d residues, %d clusters, %d extra sequences, %d templates\n", s->n_res, s->n_seq,
           s->n_extra, s->n_template);
    printf("  time         %.3f s, of it %.3f s (%.1f%%) waiting for other ranks\n", r->seconds, waited(r),
           100 * waited(r) / r->seconds);
    printf("  memory       %.1f MiB a rank, %.1f of representations and scratch\n",
           (double)r->prediction.peak_bytes / (1 << 20), (double)r->plan.arena_bytes / (1 << 20));
    printf("  check        mean pLDDT %.5f, positions %.6g, distogram %.6g\n", (double)r->prediction.mean_plddt,
           rms(r, "structure_module/final_atom_positions"), rms(r, "distogram/logits"));
    if (r->comm->size == 1)
        return;
    printf("  %-12s %8s %12s %12s %12s %10s\n", "collective", "calls", "MB sent", "seconds", "not hidden", "bus GB/s");
    for (int k = 0; k < FF_COLLECTIVE_COUNT; k++)
        printf("  %-12s %8lld %12.3f %12.4f %12.4f %10.2f\n", collective_names[k], (long long)r->stats.calls[k],
               r->stats.bytes[k] * 1e-6, r->stats.seconds[k], r->stats.wait[k], bus_bandwidth(r, k) * 1e-9);
}

static void print_json(const struct run *r, struct ff_json *j)
{
    const struct ff_input_shape *s = &r->plan.shape;
    ff_json_begin_object(j);
    ff_json_put_int(j, "ranks", r->comm->size);
    ff_json_put_string(j, "backend", r->be->name);
    ff_json_put_string(j, "precision", precision_name(r));
    ff_json_put_string(j, "communicator", r->comm->name);
    ff_json_put_string(j, "model", r->config->model.name);
    ff_json_put_int(j, "n_res", s->n_res);
    ff_json_put_int(j, "n_seq", s->n_seq);
    ff_json_put_int(j, "n_extra", s->n_extra);
    ff_json_put_int(j, "n_template", s->n_template);
    ff_json_put_double(j, "seconds", r->seconds);
    ff_json_put_double(j, "not_hidden_seconds", waited(r));
    ff_json_put_int(j, "peak_bytes", (int64_t)r->prediction.peak_bytes);
    ff_json_put_int(j, "arena_bytes", (int64_t)r->plan.arena_bytes);
    ff_json_put_int(j, "chunk_bytes", r->plan.chunk_bytes);
    ff_json_put_double(j, "planned_sent_bytes", r->plan.sent_bytes_per_pass);
    ff_json_put_double(j, "mean_plddt", (double)r->prediction.mean_plddt);
    ff_json_put_double(j, "positions_rms", rms(r, "structure_module/final_atom_positions"));
    ff_json_put_double(j, "distogram_rms", rms(r, "distogram/logits"));
    ff_json_key(j, "collectives");
    ff_json_begin_array(j);
    for (int k = 0; k < FF_COLLECTIVE_COUNT && r->comm->size > 1; k++) {
        ff_json_begin_object(j);
        ff_json_put_string(j, "name", collective_names[k]);
        ff_json_put_int(j, "calls", r->stats.calls[k]);
        ff_json_put_double(j, "sent_bytes", r->stats.bytes[k]);
        ff_json_put_double(j, "total_seconds", r->stats.seconds[k]);
        ff_json_put_double(j, "waited_seconds", r->stats.wait[k]);
        ff_json_put_double(j, "bus_bytes_per_second", bus_bandwidth(r, k));
        ff_json_end_object(j);
    }
    ff_json_end_array(j);
    ff_json_end_object(j);
}

ff_status ff_bench_scaling(const struct ff_config *config, const struct ff_input_shape *shape, struct ff_backend *be,
                           struct ff_json *json)
{
    struct run r = {.config = config, .be = be};
    struct ff_input_shape shared = *shape;
    struct ff_source *source = NULL;
    FF_TRY(ff_comm_split(be, 0, &r.comm));
    shared.n_rank = r.comm->size;
    ff_status st = ff_agree(r.comm, ff_bench_source(config, &shared, &source));
    if (st == FF_OK) {
        source->shape.n_rank = r.comm->size;
        st = predict(&r, source);
    }
    if (st == FF_OK && r.comm->rank == 0 && json != NULL)
        print_json(&r, json);
    else if (st == FF_OK && r.comm->rank == 0)
        print_text(&r);
    ff_prediction_free(&r.prediction);
    ff_source_destroy(source);
    ff_comm_destroy(r.comm);
    return st;
}
