/* SPDX-License-Identifier: Apache-2.0
 * cmd_plan: `fastfold plan FILE.fasta` tells what a prediction would need: memory and work of every stage, and the
 * chunks that make it fit. It needs no parameters, and no GPU for --device cuda.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/alignment.h"
#include "app/commands.h"
#include "app/options.h"
#include "app/predictor.h"
#include "base/log.h"
#include "bio/fasta.h"
#include "feature/feature_file.h"
#include "feature/source.h"
#include "format/json.h"

/* What the plan is made for. */
struct machine {
    const char *name;            /* backend */
    enum ff_precision precision;
    enum ff_dtype activation;
    size_t workspace;
    size_t budget;               /* SIZE_MAX: not known */
};

/* The machine at hand, or a GPU of which only the precision is known. */
static ff_status choose_machine(const struct ff_run_config *run, struct machine *ret)
{
    struct ff_backend *be;
    ff_status st = ff_backend_create(run->device, run->precision, run->threads, &be);
    if (st == FF_OK) {
        *ret = (struct machine){.name = be->name, .precision = be->precision, .activation = be->activation,
                                .workspace = be->workspace, .budget = be->free_memory(be)};
        ff_backend_destroy(be);
    } else if (run->device == FF_DEVICE_CUDA) {
        ff_note("planned for a GPU that is not here (%s); its workspace is not counted", ff_status_message());
        ff_status_clear();
        bool bf16 = run->precision == FF_PRECISION_BF16;
        *ret = (struct machine){.name = "cuda", .precision = bf16 ? FF_PRECISION_BF16 : FF_PRECISION_FP32,
                                .activation = bf16 ? FF_BF16 : FF_F32, .budget = SIZE_MAX};
        st = FF_OK;
    }
    if (run->memory_limit > 0)
        ret->budget = (size_t)run->memory_limit;
    return st;
}

/* --- printing --------------------------------------------------------------------------------------------------- */

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_text(const char *target, const struct ff_config *c, const struct machine *m, const struct ff_plan *p)
{
    int passes = c->model.num_recycle + 1;
    printf("%s\n", target);
    const struct ff_input_shape *s = &p->shape;
    printf("  network      %s on %s\n", c->model.name, m->name);
    printf("  features     %d residues, %d clusters, %d extra sequences, %d templates\n", s->n_res, s->n_seq,
           s->n_extra, s->n_template);
    printf("  memory       %.1f MiB: parameters %.1f, representations and scratch %.1f, workspace %.1f\n",
           mib(p->total_bytes), mib(p->weight_bytes), mib(p->arena_bytes), mib(p->workspace_bytes));
    if (m->budget != SIZE_MAX)
        printf("  available    %.1f MiB\n", mib(m->budget));
    printf("  chunks       %.1f MiB of scratch for one layer\n", mib((size_t)p->chunk_bytes));
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

static void print_json(struct ff_json *j, const char *target, const struct ff_config *c, const struct machine *m,
                       const struct ff_plan *p)
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
    ff_json_key(j, "budget_bytes");
    if (m->budget == SIZE_MAX)
        ff_json_null(j);
    else
        ff_json_int(j, (int64_t)m->budget);
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
    ff_json_end_object(j);
}

/* --- targets ---------------------------------------------------------------------------------------------------- */

struct planner {
    const struct ff_config *config;
    struct machine machine;
    struct ff_json *json;        /* NULL: text */
};

static ff_status plan_shape(const struct planner *p, const char *target, const struct ff_input_shape *shape)
{
    struct ff_plan plan;
    const struct machine *m = &p->machine;
    ff_status st = ff_model_plan(&p->config->model, shape, m->precision, m->activation, m->workspace, m->budget, &plan);
    if (st != FF_OK)
        return ff_context(st, "%s", target);
    if (p->json != NULL)
        print_json(p->json, target, p->config, m, &plan);
    else
        print_text(target, p->config, m, &plan);
    return FF_OK;
}

static ff_status plan_features(const struct planner *p, const char *path)
{
    struct ff_arrays arrays = {0};
    enum ff_feature_kind kind;
    struct ff_source *source = NULL;
    struct ff_source_options options = {.features = p->config->msa, .num_ensemble = p->config->model.num_ensemble,
                                        .resample = p->config->model.resample_msa_in_recycling};
    FF_TRY(ff_feature_file_load(path, &kind, &arrays));
    ff_status st;
    if (kind == FF_FEATURES_RAW)
        st = ff_source_from_raw(path, &arrays, &options, &source);
    else if (kind == FF_FEATURES_PROCESSED)
        st = ff_source_from_processed(path, &arrays, &options, &source);
    else
        st = ff_fail(FF_EINPUT, "%s holds the features of a complex; plans are made for single chains", path);
    if (st == FF_OK)
        st = plan_shape(p, path, &source->shape);
    if (kind == FF_FEATURES_COMPLEX)
        ff_arrays_free(&arrays);
    ff_source_destroy(source);
    return st;
}

static ff_status plan_record(const struct planner *p, const struct ff_fasta_record *r, const char *msa)
{
    int n_row = p->config->search.enabled ? -1 : 1;
    if (msa != NULL) {
        struct ff_msa m;
        FF_TRY(ff_alignment_load(msa, r->sequence, 0, &m));
        n_row = m.n_row;
        ff_msa_free(&m);
    }
    struct ff_input_shape shape;
    ff_predictor_shape(p->config, r->n_residue, n_row, &shape);
    return plan_shape(p, r->name, &shape);
}

static ff_status plan_file(const struct planner *p, const char *path, const char *msa)
{
    struct ff_fasta fasta;
    FF_TRY(ff_fasta_load(path, false, &fasta));
    ff_status st = FF_OK;
    for (int i = 0; i < fasta.count && st == FF_OK; i++)
        st = plan_record(p, &fasta.records[i], msa);
    ff_fasta_free(&fasta);
    return st;
}

static ff_status run(const struct ff_config *config, const struct ff_command_line *line)
{
    if (config->model.multimer)
        return ff_fail(FF_EUSAGE, "model %s predicts complexes; plans are made for single chains", config->model.name);
    if ((line->features != NULL) == (line->n_operand > 0))
        return ff_fail(FF_EUSAGE, "plan: expected FILE.fasta or --features FILE.npz");
    struct planner p = {.config = config};
    FF_TRY(choose_machine(&config->run, &p.machine));
    struct ff_strbuf text = {0};
    struct ff_json json;
    ff_json_init(&json, &text, 4);
    if (line->json) {
        p.json = &json;
        ff_json_begin_array(&json);
    }
    ff_status st = line->features != NULL ? plan_features(&p, line->features) : FF_OK;
    for (int i = 0; i < line->n_operand && st == FF_OK; i++)
        st = plan_file(&p, line->operands[i], line->msa);
    if (line->json) {
        ff_json_end_array(&json);
        if (st == FF_OK)
            puts(ff_strbuf_cstr(&text));
    }
    ff_strbuf_free(&text);
    return st;
}

int ff_cmd_plan(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "plan", &config, &line));
    ff_status st = run(&config, &line);
    ff_command_line_free(&line);
    ff_config_free(&config);
    return (int)st;
}
