/* SPDX-License-Identifier: Apache-2.0
 * cmd_plan: `fastfold plan FILE.fasta` tells what a prediction would need: memory and work of every stage, and the
 * chunks that make it fit. It needs no parameters, and no GPU for --device cuda. Of several networks it shows the one
 * that needs the most memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/estimate.h"
#include "app/feature_input.h"
#include "app/model_list.h"
#include "app/options.h"
#include "app/plan_ranks.h"
#include "app/predictor.h"
#include "app/target.h"
#include "app/user_msa.h"
#include "base/clock.h"
#include "base/log.h"
#include "format/json.h"

/* What the plan is made for. */
struct machine {
    const char *name;            /* backend */
    enum ff_precision precision;
    enum ff_dtype activation;
    size_t workspace;            /* ff_backend_overhead */
    size_t budget;               /* SIZE_MAX: not known */
    size_t host;                 /* for what does not fit there */
};

/* The machine at hand, or a GPU of which only the precision is known. */
static ff_status choose_machine(const struct ff_run_config *run, struct machine *ret)
{
    struct ff_backend *be;
    size_t limit = run->memory_limit > 0 ? (size_t)run->memory_limit : 0;
    ff_backend_set_memory_limit(limit);
    ff_status st = ff_backend_create(run->device, run->precision, run->threads, &be);
    if (st == FF_OK) {
        *ret = (struct machine){.name = be->name, .precision = be->precision, .activation = be->activation,
                                .workspace = ff_backend_overhead(be), .budget = ff_backend_budget(be, 0, 0),
                                .host = ff_backend_host_budget(be)};
        ff_backend_destroy(be);
    } else if (run->device == FF_DEVICE_CUDA) {
        ff_note("planned for a GPU that is not here (%s), with the driver's memory of an H100", ff_status_message());
        ff_status_clear();
        bool bf16 = run->precision == FF_PRECISION_BF16;
        *ret = (struct machine){.name = "cuda", .precision = bf16 ? FF_PRECISION_BF16 : FF_PRECISION_FP32,
                                .activation = bf16 ? FF_BF16 : FF_F32, .budget = SIZE_MAX,
                                .workspace = FF_BACKEND_GPU_CONTEXT + ff_backend_gpu_workspace(limit) +
                                             FF_BACKEND_GPU_PRODUCTS,
                                .host = SIZE_MAX};
        st = FF_OK;
    }
    if (limit > 0)
        ret->budget = limit;
    return st;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_text(const char *target, const struct ff_config *c, int n_run, const struct machine *m,
                       const struct ff_plan *p, const struct ff_plan_loss *loss)
{
    int passes = c->model.num_recycle + 1;
    printf("%s\n", target);
    const struct ff_input_shape *s = &p->shape;
    printf("  network      %s on %s\n", c->model.name, m->name);
    if (n_run > 1)
        printf("  predictions  %d; this is the largest of the networks\n", n_run);
    printf("  features     %d residues, %d clusters, %d extra sequences, %d templates\n", s->n_res, s->n_seq,
           s->n_extra, s->n_template);
    printf("  memory       %.1f MiB: parameters %.1f, representations and scratch %.1f, workspace%s %.1f\n",
           mib(p->total_bytes), mib(p->weight_bytes), mib(p->arena_bytes),
           strcmp(m->name, "cuda") == 0 ? " and driver" : "", mib(p->workspace_bytes));
    if (m->budget != SIZE_MAX)
        printf("  available    %.1f MiB\n", mib(m->budget));
    printf("  chunks       %.1f MiB of scratch for one layer\n", mib((size_t)p->chunk_bytes));
    if (p->host_bytes > 0)
        printf("  on the host  %.1f MiB: weights of the Evoformer%s%s\n", mib(p->host_bytes),
               p->msa_in_pieces ? ", templates or extra MSA, which comes in pieces" :
               p->spilled_bytes > 0 ? ", templates or extra MSA" : "",
               p->waiting_bytes > 0 ? ", new rows of the pair" : "");
    if (loss->lost > 0.001)
        printf("  lost         %.1f %% of speed to small chunks and copies: about %.1f s a pass, with enough memory "
               "%.1f\n", 100 * loss->lost, loss->seconds, loss->whole);
    if (p->copied_bytes_per_pass > 0)
        printf("  copied       %.1f GB in a pass between the host and the GPU\n", p->copied_bytes_per_pass * 1e-9);
    printf("  work         %.2f TFLOP: %d passes of %.2f\n", p->flops_per_pass * passes * 1e-12, passes,
           p->flops_per_pass * 1e-12);
    printf("  %-28s %12s %12s %12s\n", "stage", "peak MiB", "GFLOP", "GB moved");
    for (int i = 0; i < p->n_stage; i++) {
        const struct ff_plan_stage *g = &p->stages[i];
        printf("  %-28s %12.1f %12.2f %12.2f\n", g->name, mib(g->peak_bytes), g->flops * 1e-9, g->bytes * 1e-9);
    }
}

static void put_bytes(struct ff_json *j, const char *key, size_t bytes)
{
    ff_json_key(j, key);
    ff_json_int(j, (int64_t)bytes);
}

static void print_json(struct ff_json *j, const char *target, const struct ff_config *c, int n_run,
                       const struct machine *m, const struct ff_plan *p, const struct ff_plan_loss *loss,
                       const struct ff_plan_ranks *ranks, const struct ff_machine_rates *rates)
{
    ff_json_begin_object(j);
    ff_json_key(j, "target");
    ff_json_string(j, target);
    ff_json_key(j, "model");
    ff_json_string(j, c->model.name);
    ff_json_key(j, "backend");
    ff_json_string(j, m->name);
    put_bytes(j, "n_res", (size_t)p->shape.n_res);
    put_bytes(j, "n_seq", (size_t)p->shape.n_seq);
    put_bytes(j, "n_extra", (size_t)p->shape.n_extra);
    put_bytes(j, "n_template", (size_t)p->shape.n_template);
    put_bytes(j, "total_bytes", p->total_bytes);
    put_bytes(j, "weight_bytes", p->weight_bytes);
    put_bytes(j, "arena_bytes", p->arena_bytes);
    put_bytes(j, "workspace_bytes", p->workspace_bytes);
    put_bytes(j, "chunk_bytes", (size_t)p->chunk_bytes);
    put_bytes(j, "host_bytes", p->host_bytes);
    put_bytes(j, "waiting_bytes", p->waiting_bytes);
    ff_json_key(j, "msa_in_pieces");
    ff_json_bool(j, p->msa_in_pieces);
    ff_json_key(j, "moved_bytes_per_pass");
    ff_json_double(j, p->moved_bytes_per_pass);
    ff_json_key(j, "whole_bytes_per_pass");
    ff_json_double(j, p->whole_bytes_per_pass);
    ff_json_key(j, "copied_bytes_per_pass");
    ff_json_double(j, p->copied_bytes_per_pass);
    ff_json_put_double(j, "seconds_per_pass", loss->seconds);
    ff_json_put_double(j, "lost", loss->lost);
    ff_json_key(j, "budget_bytes");
    if (m->budget == SIZE_MAX)
        ff_json_null(j);
    else
        ff_json_int(j, (int64_t)m->budget);
    ff_json_key(j, "predictions");
    ff_json_int(j, n_run);
    ff_json_key(j, "passes");
    ff_json_int(j, c->model.num_recycle + 1);
    ff_json_key(j, "flops_per_pass");
    ff_json_double(j, p->flops_per_pass);
    ff_json_key(j, "stages");
    ff_json_begin_array(j);
    for (int i = 0; i < p->n_stage; i++) {
        ff_json_begin_object(j);
        ff_json_key(j, "name");
        ff_json_string(j, p->stages[i].name);
        put_bytes(j, "peak_bytes", p->stages[i].peak_bytes);
        ff_json_key(j, "flops");
        ff_json_double(j, p->stages[i].flops);
        ff_json_key(j, "bytes");
        ff_json_double(j, p->stages[i].bytes);
        ff_json_end_object(j);
    }
    ff_json_end_array(j);
    if (ranks != NULL)
        ff_plan_ranks_json(ranks, rates, j);
    ff_json_end_object(j);
}

/* --- targets ---------------------------------------------------------------------------------------------------- */

struct planner {
    const struct ff_model_list *models;
    const char *msa;             /* the user's alignment; NULL: none */
    struct machine machine;
    struct ff_json *json;        /* NULL: text */
    int n_rank;                  /* of --ranks; 0: not asked for */
    struct ff_machine_rates rates;
};

/* What one network gets: of a file of features, or of a target with n_row rows of alignment (-1: a search tells). */
static ff_status find_shape(const struct ff_config *c, const char *features, int n_res, int n_row,
                            struct ff_input_shape *ret)
{
    if (features == NULL) {
        ff_predictor_shape(c, n_res, n_row, ret);
        return FF_OK;
    }
    struct ff_feature_input input;
    FF_TRY(ff_feature_input_open(features, c, 0, &input));
    *ret = input.source->shape;
    ff_feature_input_close(&input);
    return FF_OK;
}

/* On as many of the ranks as parallel.dap auto would take. */
static ff_status plan_ranks(const struct planner *p, const struct ff_config *c, const struct ff_input_shape *shape,
                            const struct ff_plan_memory *memory, struct ff_plan_ranks *ret, struct ff_plan *ret_plan)
{
    const struct machine *m = &p->machine;
    struct ff_plan_ranks_options o = {
        .config = &c->model, .shape = *shape, .precision = m->precision, .activation = m->activation,
        .memory = *memory, .shared = strcmp(m->name, "cpu") == 0 && c->run.memory_limit == 0, .rates = p->rates,
    };
    FF_TRY(ff_plan_ranks_make(&o, p->n_rank, ret));
    *ret_plan = ret->rows[ret->chosen].plan;
    return FF_OK;
}

static ff_status plan_target(const struct planner *p, const char *name, const char *features, int n_res, int n_row)
{
    const struct ff_config *largest = NULL;
    const struct machine *m = &p->machine;
    struct ff_plan plan = {0};
    struct ff_plan_ranks ranks = {0};
    for (int i = 0; i < p->models->count; i++) {
        const struct ff_config *c = &p->models->configs[i];
        struct ff_input_shape shape;
        struct ff_plan one;
        struct ff_plan_ranks on_ranks = {0};
        FF_TRY(find_shape(c, features, n_res, n_row, &shape));
        struct ff_plan_memory memory = {m->workspace, m->budget, c->run.offload ? m->host : 0};
        ff_status st = p->n_rank > 0 ? plan_ranks(p, c, &shape, &memory, &on_ranks, &one)
                                     : ff_model_plan(&c->model, &shape, m->precision, m->activation, &memory, &one);
        if (st != FF_OK)
            return ff_context(st, "%s", name);
        if (largest != NULL && one.total_bytes <= plan.total_bytes)
            continue;
        largest = c;
        plan = one;
        ranks = on_ranks;
    }
    struct ff_plan_loss loss;
    FF_TRY(ff_estimate_loss(&largest->model, &plan, m->precision, m->activation, &p->rates, &loss));
    int n_run = p->models->count * largest->run.num_seeds;
    if (p->json != NULL)
        print_json(p->json, name, largest, n_run, m, &plan, &loss, p->n_rank > 0 ? &ranks : NULL, &p->rates);
    else
        print_text(name, largest, n_run, m, &plan, &loss);
    if (p->json == NULL && p->n_rank > 0)
        ff_plan_ranks_print(&ranks, &p->rates);
    return FF_OK;
}

static ff_status plan_sequence(const struct planner *p, const struct ff_target *t)
{
    const struct ff_config *c = p->models->configs;
    int n_row = c->search.enabled ? -1 : 1;
    if (t->complex && !c->model.multimer)
        return ff_fail(FF_EUSAGE, "%s: '%s' is a complex, but model %s predicts single chains", t->file, t->name,
                       c->model.name);
    if (p->msa != NULL) {
        struct ff_user_msa m;
        FF_TRY(ff_user_msa_load(p->msa, t, &m));
        n_row = m.n_entity == 1 ? m.own[0].n_row : -1;
        ff_user_msa_free(&m);
    }
    return plan_target(p, t->name, NULL, t->n_res, n_row);
}

static ff_status plan_all(struct planner *p, const struct ff_targets *targets, const char *features, bool as_json)
{
    struct ff_strbuf text = {0};
    struct ff_json json;
    ff_json_init(&json, &text, 4);
    if (as_json) {
        p->json = &json;
        ff_json_begin_array(&json);
    }
    ff_status st = features != NULL ? plan_target(p, features, features, 0, 0) : FF_OK;
    for (int i = 0; i < targets->count && st == FF_OK; i++)
        st = plan_sequence(p, &targets->items[i]);
    if (as_json) {
        ff_json_end_array(&json);
        if (st == FF_OK)
            puts(ff_strbuf_cstr(&text));
    }
    ff_strbuf_free(&text);
    return st;
}

static ff_status parse_number(const char *flag, const char *text, double least, double most, double *ret)
{
    char *end;
    double v = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(v >= least && v <= most))
        return ff_fail(FF_EUSAGE, "%s %s: expected a number from %g to %g", flag, text, least, most);
    *ret = v;
    return FF_OK;
}

/* What ranks reach, and what the user says of them. */
static ff_status choose_ranks(const struct ff_command_line *line, const struct ff_run_config *run, struct planner *p)
{
    double n = 0, gb = 0;
    if (line->ranks != NULL)
        FF_TRY(parse_number("--ranks", line->ranks, 1, 65536, &n));
    if (line->bandwidth != NULL)
        FF_TRY(parse_number("--bandwidth", line->bandwidth, 1e-3, 1e6, &gb));
    p->n_rank = (int)n;
    int processors = p->n_rank > 0 ? ff_clock_cpu_count() / p->n_rank : 1;
    int threads = run->threads > 0 ? run->threads : processors > 1 ? processors : 1;
    p->rates = ff_estimate_rates(p->machine.name, p->machine.precision, threads);
    if (gb > 0)
        p->rates.link = gb * 1e9;
    return FF_OK;
}

static ff_status run(int argc, char **argv, const struct ff_command_line *line)
{
    if ((line->features != NULL) == (line->n_operand > 0))
        return ff_fail(FF_EUSAGE, "plan: expected FILE.fasta or --features FILE.npz");
    struct ff_targets targets = {0};
    struct ff_model_list models = {0};
    struct planner p = {.models = &models, .msa = line->msa};
    bool complex = line->features != NULL && ff_feature_input_is_complex(line->features);
    ff_status st = FF_OK;
    for (int i = 0; i < line->n_operand && st == FF_OK; i++)
        st = ff_targets_load(&targets, line->operands[i], line->complex);
    for (int i = 0; i < targets.count; i++)
        complex = complex || targets.items[i].complex;
    if (st == FF_OK)
        st = ff_model_list_make(argc, argv, "plan", line, complex, &models);
    if (st == FF_OK)
        st = choose_machine(&models.configs->run, &p.machine);
    if (st == FF_OK)
        st = choose_ranks(line, &models.configs->run, &p);
    if (st == FF_OK)
        st = plan_all(&p, &targets, line->features, line->json);
    ff_model_list_free(&models);
    ff_targets_free(&targets);
    return st;
}

int ff_cmd_plan(int argc, char **argv)
{
    struct ff_command_line line;
    FF_TRY(ff_options_parse_line(argc, argv, "plan", &line));
    ff_status st = run(argc, argv, &line);
    ff_command_line_free(&line);
    return (int)st;
}
