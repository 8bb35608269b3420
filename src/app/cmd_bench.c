/* SPDX-License-Identifier: Apache-2.0
 * cmd_bench: `fastfold bench` times every operation of the network at the sizes of one input, beside what this machine
 * reaches: its vendor's matrix product and a copy of memory, measured in the same run. The roof of an operation is the
 * longer of the times that these two would take for its floating-point operations and for its least traffic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench_cases.h"
#include "app/bench_pass.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "base/clock.h"
#include "base/log.h"
#include "format/json.h"

enum { FEWEST_RUNS = 3, MOST_RUNS = 50 };
static const double enough_seconds = 0.1;        /* of one operation */

struct machine {
    double flops, bytes;             /* per second; 0: not measured */
};

struct timing {
    double seconds;                  /* the best run; 0: the operands do not fit */
    struct ff_cost cost;
};

struct bench {
    const struct ff_config *config;
    struct ff_backend *be;
    struct machine machine;
    struct ff_input_shape shape;
    struct ff_json *json;            /* NULL: text */
};

/* --- measuring ---------------------------------------------------------------------------------------------------- */

static ff_status time_case(const struct bench *b, const struct ff_op_case *what, struct timing *ret)
{
    *ret = (struct timing){0};
    struct ff_op_call *host = ff_op_call_create(what, 1, false), *call;
    ff_status st = ff_op_call_bind(host, b->be, &call);
    if (st == FF_OK) {
        ret->cost = ff_op_call_cost(call);
        ff_op_call_run(call);
        b->be->sync(b->be);
        double total = 0;
        for (int i = 0; i < MOST_RUNS && (i < FEWEST_RUNS || total < enough_seconds); i++) {
            double start = ff_clock_now();
            ff_op_call_run(call);
            b->be->sync(b->be);
            double seconds = ff_clock_now() - start;
            total += seconds;
            if (i == 0 || seconds < ret->seconds)
                ret->seconds = seconds;
        }
        ff_op_call_free(call);
    }
    ff_op_call_free(host);
    return st == FF_EMEMORY ? FF_OK : st;
}

/* Part of the roof that was reached, 0 to 1 (or more, where caches help). */
static double of_roof(const struct machine *m, const struct ff_cost *c, double seconds)
{
    if (m->flops <= 0 || m->bytes <= 0 || seconds <= 0)
        return 0;
    double by_flops = c->flops / m->flops, by_bytes = c->bytes / m->bytes;
    return (by_flops > by_bytes ? by_flops : by_bytes) / seconds;
}

static const char *bound_by(const struct machine *m, const struct ff_cost *c)
{
    return m->flops <= 0 || m->bytes <= 0 ? "" : c->flops / m->flops > c->bytes / m->bytes ? "product" : "memory";
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

static const char *shape_text(const struct ff_op_case *c, char *buf, size_t size)
{
    const struct { char letter; int64_t size; } sizes[] = {{'s', c->s}, {'t', c->t}, {'i', c->i}, {'j', c->j},
        {'k', c->k}, {'c', c->c}, {'n', c->n}, {'h', c->h}, {'d', c->d}};
    int used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].size > 0 && (size_t)used < size)
            used += snprintf(buf + used, size - (size_t)used, "%s%c=%lld", used ? " " : "", sizes[i].letter,
                             (long long)sizes[i].size);
    return buf;
}

static void print_case(const struct bench *b, const struct ff_bench_case *c, const struct timing *t)
{
    char shape[128];
    const char *name = ff_op_name[c->call.op];
    shape_text(&c->call, shape, sizeof shape);
    double s = t->seconds;
    if (b->json == NULL) {
        if (s <= 0)
            printf("%-22s %-20s %-38s does not fit into memory\n", c->where, name, shape);
        else
            printf("%-22s %-20s %-38s %10.3f %9.1f %8.1f %6.1f%%  %s\n", c->where, name, shape, s * 1e3,
                   t->cost.flops / s * 1e-9, t->cost.bytes / s * 1e-9, 100 * of_roof(&b->machine, &t->cost, s),
                   bound_by(&b->machine, &t->cost));
        fflush(stdout);
        return;
    }
    struct ff_json *j = b->json;
    ff_json_begin_object(j);
    ff_json_key(j, "layer");
    ff_json_string(j, c->where);
    ff_json_key(j, "operation");
    ff_json_string(j, name);
    ff_json_key(j, "sizes");
    ff_json_string(j, shape);
    ff_json_key(j, "flops");
    ff_json_double(j, t->cost.flops);
    ff_json_key(j, "bytes");
    ff_json_double(j, t->cost.bytes);
    ff_json_key(j, "seconds");
    if (s > 0)
        ff_json_double(j, s);
    else
        ff_json_null(j);
    ff_json_key(j, "of_roof");
    ff_json_fixed(j, of_roof(&b->machine, &t->cost, s), 4);
    ff_json_end_object(j);
}

static void print_head(const struct bench *b)
{
    const struct ff_input_shape *s = &b->shape;
    struct ff_json *j = b->json;
    if (j == NULL) {
        printf("%s, %d residues, %d sequences, %d extra, %d templates, on %s\n", b->config->model.name, s->n_res,
               s->n_seq, s->n_extra, s->n_template, b->be->name);
        printf("this machine: matrix product %.1f GFLOP/s, copy %.1f GB/s\n\n", b->machine.flops * 1e-9,
               b->machine.bytes * 1e-9);
        printf("%-22s %-20s %-38s %10s %9s %8s %7s  %s\n", "layer", "operation", "sizes", "ms", "GFLOP/s", "GB/s",
               "roof", "bound by");
        return;
    }
    const struct { const char *key; int64_t value; } sizes[] = {{"n_res", s->n_res}, {"n_seq", s->n_seq},
        {"n_extra", s->n_extra}, {"n_template", s->n_template}};
    ff_json_begin_object(j);
    ff_json_key(j, "model");
    ff_json_string(j, b->config->model.name);
    ff_json_key(j, "backend");
    ff_json_string(j, b->be->name);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ff_json_key(j, sizes[i].key);
        ff_json_int(j, sizes[i].value);
    }
    ff_json_key(j, "product_flops_per_second");
    ff_json_double(j, b->machine.flops);
    ff_json_key(j, "copy_bytes_per_second");
    ff_json_double(j, b->machine.bytes);
}

static void print_pass(const struct bench *b, const struct ff_bench_pass *p)
{
    struct ff_json *j = b->json;
    if (j == NULL) {
        printf("\none pass: %.2f s, %.1f MiB\n", p->seconds, (double)p->peak_bytes / (1 << 20));
        printf("%-22s %8s %10s %7s %9s %8s %7s\n", "operation", "calls", "s", "share", "GFLOP/s", "GB/s", "roof");
    } else {
        ff_json_key(j, "pass");
        ff_json_begin_object(j);
        ff_json_key(j, "seconds");
        ff_json_double(j, p->seconds);
        ff_json_key(j, "peak_bytes");
        ff_json_int(j, (int64_t)p->peak_bytes);
        ff_json_key(j, "operations");
        ff_json_begin_object(j);
    }
    for (int op = 0; op < FF_OP_COUNT; op++) {
        const struct ff_cost *c = &p->op_cost[op];
        double s = p->op_seconds[op];
        if (c->calls == 0 || s <= 0)
            continue;
        if (j == NULL) {
            printf("%-22s %8lld %10.3f %6.1f%% %9.1f %8.1f %6.1f%%\n", ff_op_name[op], (long long)c->calls, s,
                   100 * s / p->seconds, c->flops / s * 1e-9, c->bytes / s * 1e-9, 100 * of_roof(&b->machine, c, s));
            continue;
        }
        ff_json_key(j, ff_op_name[op]);
        ff_json_begin_object(j);
        ff_json_key(j, "calls");
        ff_json_int(j, c->calls);
        ff_json_key(j, "seconds");
        ff_json_double(j, s);
        ff_json_key(j, "flops");
        ff_json_double(j, c->flops);
        ff_json_key(j, "bytes");
        ff_json_double(j, c->bytes);
        ff_json_end_object(j);
    }
    if (j != NULL) {
        ff_json_end_object(j);
        ff_json_end_object(j);
    }
}

/* --- the command -------------------------------------------------------------------------------------------------- */

static ff_status parse_count(const char *flag, const char *text, int least, int *value)
{
    if (text == NULL)
        return FF_OK;
    char *end;
    long n = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n < least || n > 100000)
        return ff_fail(FF_EUSAGE, "%s %s: expected a whole number from %d to 100000", flag, text, least);
    *value = (int)n;
    return FF_OK;
}

static ff_status time_all(const struct bench *b)
{
    struct ff_bench_case cases[FF_BENCH_MAX];
    const struct ff_input_shape *s = &b->shape;
    int n = ff_bench_cases(&b->config->model, s->n_res, s->n_seq, s->n_extra, s->n_template, cases);
    if (b->json != NULL) {
        ff_json_key(b->json, "operations");
        ff_json_begin_array(b->json);
    }
    for (int i = 0; i < n; i++) {
        struct timing t;
        FF_TRY(time_case(b, &cases[i].call, &t));
        print_case(b, &cases[i], &t);
        if (*ff_interrupt_flag())
            return ff_fail(FF_EINTERRUPT, "bench: interrupted");
    }
    if (b->json != NULL)
        ff_json_end_array(b->json);
    return FF_OK;
}

static ff_status run(struct bench *b, bool whole_pass)
{
    if (b->be->measure != NULL)
        b->be->measure(b->be, &b->machine.flops, &b->machine.bytes);
    print_head(b);
    FF_TRY(time_all(b));
    if (whole_pass) {
        struct ff_bench_pass pass;
        FF_TRY(ff_bench_pass(b->config, &b->shape, b->be, ff_interrupt_flag(), &pass));
        print_pass(b, &pass);
    }
    if (b->json != NULL)
        ff_json_end_object(b->json);
    return FF_OK;
}

static ff_status bench(const struct ff_config *config, const struct ff_command_line *line)
{
    if (line->n_operand > 0)
        return ff_fail(FF_EUSAGE, "bench: '%s' was not expected; it takes options only", line->operands[0]);
    if (line->pass && config->model.multimer)
        return ff_fail(FF_EUSAGE, "bench --pass: model %s is for complexes; a pass is timed for single chains",
                       config->model.name);
    bool templates = config->model.templates.enabled;
    struct bench b = {.config = config};
    b.shape = (struct ff_input_shape){.n_res = 256, .n_seq = config->msa.max_clusters, .n_extra = config->msa.max_extra,
                                      .n_template = templates ? config->msa.max_templates : 0};
    FF_TRY(parse_count("--length", line->length, 4, &b.shape.n_res));
    FF_TRY(parse_count("--msa", line->rows, 1, &b.shape.n_seq));
    FF_TRY(parse_count("--extra", line->extra, 0, &b.shape.n_extra));
    ff_backend_set_memory_limit(config->run.memory_limit > 0 ? (size_t)config->run.memory_limit : 0);
    FF_TRY(ff_backend_create(config->run.device, config->run.precision, config->run.threads, &b.be));
    struct ff_strbuf text = {0};
    struct ff_json json;
    ff_json_init(&json, &text, 2);
    b.json = line->json ? &json : NULL;
    ff_status st = run(&b, line->pass);
    if (st == FF_OK && line->json)
        puts(ff_strbuf_cstr(&text));
    ff_strbuf_free(&text);
    ff_backend_destroy(b.be);
    return st;
}

int ff_cmd_bench(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "bench", &config, &line));
    ff_status st = bench(&config, &line);
    ff_command_line_free(&line);
    ff_config_free(&config);
    return (int)st;
}
