/* SPDX-License-Identifier: Apache-2.0
 * cmd_bench: `fastfold bench` times every operation of the network at the sizes of one input, single blocks of the
 * Evoformer and whole passes, beside what this machine reaches: its vendor's matrix product, a copy of memory, and on
 * a processor functions such as exponentials, measured in the same run; on processors, which others use too, before
 * and after each few runs. The roof of an operation is the longer of the times of its least traffic and of its
 * arithmetic at these rates; products and functions are made by the same units, so their times add up.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/batch_ranks.h"
#include "app/bench_block.h"
#include "app/bench_cases.h"
#include "app/bench_pass.h"
#include "app/bench_scaling.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "format/json.h"
#include "parallel/agree.h"

enum { FEWEST_RUNS = 3 };

struct timing {
    struct ff_bench_times times;     /* no runs: the operands do not fit */
    struct ff_cost cost;
};

struct bench {
    const struct ff_config *config;
    struct ff_backend *be;
    struct ff_bench_timer timer;
    struct ff_input_shape shape;
    struct ff_bench_block blocks[FF_BENCH_MAX_BLOCK];
    int n_block;
    struct ff_json *json;            /* NULL: text */
};

/* --- measuring ---------------------------------------------------------------------------------------------------- */

static void run_call(void *user)
{
    ff_op_call_run(user);
}

static ff_status time_case(struct bench *b, const struct ff_op_case *what, struct timing *ret)
{
    *ret = (struct timing){0};
    struct ff_op_call *host = ff_op_call_create(what, 1, NULL), *call;
    ff_status st = ff_op_call_bind(host, b->be, &call);
    if (st == FF_OK) {
        ret->cost = ff_op_call_cost(call);
        ff_bench_time(&b->timer, FEWEST_RUNS, &ret->cost, run_call, call, &ret->times);
        ff_op_call_free(call);
    }
    ff_op_call_free(host);
    return st == FF_EMEMORY ? FF_OK : st;
}

/* Least seconds that an operation takes for each of its parts on this machine. */
struct least {
    double product, functions, memory;
};

static struct least least_times(const struct ff_rates *m, const struct ff_cost *c)
{
    return (struct least){m->flops > 0 ? c->flops / m->flops : 0, m->functions > 0 ? c->functions / m->functions : 0,
                          m->bytes > 0 ? c->bytes / m->bytes : 0};
}

/* Part of the roof that was reached, 0 to 1 (or more, where caches help). */
static double of_roof(const struct ff_rates *m, const struct ff_cost *c, double seconds)
{
    struct least t = least_times(m, c);
    return seconds > 0 ? fmax(t.product + t.functions, t.memory) / seconds : 0;
}

/* The median of the turns, each by what the machine reached beside it. */
static double share_of_roof(const struct ff_bench_times *t, const struct ff_cost *c)
{
    double shares[FF_BENCH_TURNS];
    for (int i = 0; i < t->n_turn; i++)
        shares[i] = of_roof(&t->turns[i].rates, c, t->turns[i].seconds);
    return ff_bench_median(shares, t->n_turn);
}

static struct ff_rates rates_beside(const struct ff_bench_times *t)
{
    struct ff_rates sum = {0};
    for (int i = 0; i < t->n_turn; i++) {
        sum.flops += t->turns[i].rates.flops / t->n_turn;
        sum.bytes += t->turns[i].rates.bytes / t->n_turn;
        sum.functions += t->turns[i].rates.functions / t->n_turn;
    }
    return sum;
}

static const char *bound_by(const struct ff_bench_times *times, const struct ff_cost *c)
{
    struct ff_rates m = rates_beside(times);
    struct least t = least_times(&m, c);
    if (t.memory > t.product + t.functions)
        return "memory";
    return t.product > t.functions ? "product" : t.functions > 0 ? "functions" : "";
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

/* Rates and part of the roof, as columns of text. */
static void print_rates(const struct ff_cost *c, double seconds, double share)
{
    printf(" %9.3f %8.1f %6.1f%%", c->flops / seconds * 1e-12, c->bytes / seconds * 1e-9, 100 * share);
}

static const char rate_head[] = "  TFLOP/s     GB/s    roof";

static void add_rates(struct ff_json *j, const struct ff_rates *r)
{
    ff_json_put_double(j, "product_flops_per_second", r->flops);
    ff_json_put_double(j, "copy_bytes_per_second", r->bytes);
    ff_json_put_double(j, "functions_per_second", r->functions);
}

/* seconds is the median. */
static void add_times(struct ff_json *j, const struct ff_cost *c, const struct ff_bench_times *t)
{
    ff_json_put_double(j, "flops", c->flops);
    ff_json_put_double(j, "bytes", c->bytes);
    ff_json_put_double(j, "functions", c->functions);
    ff_json_key(j, "seconds");
    if (t->runs == 0)
        ff_json_null(j);
    else
        ff_json_double(j, t->median);
    ff_json_put_double(j, "best_seconds", t->best);
    ff_json_put_double(j, "issue_seconds", t->issue);
    ff_json_put_int(j, "runs", t->runs);
    ff_json_key(j, "of_roof");
    ff_json_fixed(j, share_of_roof(t, c), 4);
    struct ff_rates beside = rates_beside(t);
    add_rates(j, &beside);
}

static void print_case(const struct bench *b, const struct ff_bench_case *c, const struct timing *t)
{
    char shape[128];
    const char *name = ff_op_name[c->call.op];
    shape_text(&c->call, shape, sizeof shape);
    if (b->json != NULL) {
        ff_json_begin_object(b->json);
        ff_json_put_string(b->json, "layer", c->where);
        ff_json_put_string(b->json, "operation", name);
        ff_json_put_string(b->json, "sizes", shape);
        add_times(b->json, &t->cost, &t->times);
        ff_json_end_object(b->json);
        return;
    }
    printf("%-22s %-20s %-38s", c->where, name, shape);
    if (t->times.runs == 0) {
        printf(" does not fit into memory\n");
    } else {
        printf(" %10.3f %10.3f", t->times.median * 1e3, t->times.best * 1e3);
        print_rates(&t->cost, t->times.median, share_of_roof(&t->times, &t->cost));
        printf("  %s\n", bound_by(&t->times, &t->cost));
    }
    fflush(stdout);
}

static void print_rate(const char *before, const char *unit, double median, double least, double most)
{
    printf("%s %.1f", before, median * 1e-9);
    if (least < most)
        printf(" (%.1f to %.1f)", least * 1e-9, most * 1e-9);
    printf(" %s", unit);
}

/* What this machine reached; the median, least and most, where it was measured more than once. */
static void print_machine(const struct bench *b)
{
    struct ff_bench_rates r = ff_bench_rates(&b->timer, 0);
    if (b->json != NULL) {
        add_rates(b->json, &r.median);
        return;
    }
    print_rate("this machine: matrix product", "GFLOP/s", r.median.flops, r.least.flops, r.most.flops);
    print_rate(", copy", "GB/s", r.median.bytes, r.least.bytes, r.most.bytes);
    if (r.median.functions > 0)
        print_rate(", functions", "G/s", r.median.functions, r.least.functions, r.most.functions);
    printf("\n");
}

static void print_head(const struct bench *b)
{
    const struct ff_input_shape *s = &b->shape;
    struct ff_json *j = b->json;
    bool flooded = ff_tensor_present(&b->timer.flood);
    if (j == NULL) {
        printf("%s, %d residues, %d sequences, %d extra, %d templates, on %s, %s\n", b->config->model.name, s->n_res,
               s->n_seq, s->n_extra, s->n_template, b->be->name, ff_precision_name(b->be->precision));
        if (flooded)
            print_machine(b);
        printf("times by the clock of the %s\n",
               flooded ? "GPU, caches overwritten before every run; rates and roof of the median" :
                         "host, caches left as they are; roof by what this machine reached before and after");
        return;
    }
    ff_json_begin_object(j);
    ff_json_put_string(j, "model", b->config->model.name);
    ff_json_put_string(j, "backend", b->be->name);
    ff_json_put_string(j, "precision", ff_precision_name(b->be->precision));
    ff_json_put_int(j, "n_res", s->n_res);
    ff_json_put_int(j, "n_seq", s->n_seq);
    ff_json_put_int(j, "n_extra", s->n_extra);
    ff_json_put_int(j, "n_template", s->n_template);
    ff_json_put_string(j, "caches", flooded ? "overwritten before every run" : "left as they are");
}

static void print_block(const struct bench *b, const struct ff_bench_block *x)
{
    if (b->json != NULL) {
        ff_json_begin_object(b->json);
        ff_json_put_int(b->json, "n_seq", x->n_seq);
        ff_json_put_int(b->json, "n_res", x->n_res);
        ff_json_put_int(b->json, "memory_bytes", (int64_t)x->bytes);
        add_times(b->json, &x->cost, &x->times);
        ff_json_end_object(b->json);
        return;
    }
    printf("%9d %9d", x->n_seq, x->n_res);
    if (x->times.runs == 0) {
        printf(" does not fit into memory\n");
    } else {
        printf(" %10.3f %10.3f", x->times.median * 1e3, x->times.best * 1e3);
        print_rates(&x->cost, x->times.median, share_of_roof(&x->times, &x->cost));
        printf(" %10.1f %9.3f\n", (double)x->bytes / (1 << 20), x->times.issue * 1e3);
    }
    fflush(stdout);
}

/* Rows of a profile: kinds of operations, stages. m: what the machine reached. */
static void print_part(const struct bench *b, const char *name, const struct ff_cost *c, double s, double total,
                       const struct ff_rates *m)
{
    struct ff_json *j = b->json;
    if (c->calls == 0 || s <= 0)
        return;
    if (j == NULL) {
        printf("%-22s %8lld %10.3f %6.1f%%", name, (long long)c->calls, s * 1e3, 100 * s / total);
        print_rates(c, s, of_roof(m, c, s));
        printf("\n");
        return;
    }
    ff_json_key(j, name);
    ff_json_begin_object(j);
    ff_json_put_int(j, "calls", c->calls);
    ff_json_put_double(j, "seconds", s);
    ff_json_put_double(j, "flops", c->flops);
    ff_json_put_double(j, "bytes", c->bytes);
    ff_json_end_object(j);
}

static void print_pass_head(const struct bench *b, const struct ff_bench_pass *p)
{
    struct ff_json *j = b->json;
    if (j == NULL) {
        printf("\none pass: %.4f s", p->times.best);
        if (p->times.runs > 1)
            printf(" (best of %d, median %.4f; %.4f with all logits to the host)", p->times.runs, p->times.median,
                   p->with_logits);
        printf(", %.1f MiB; before it features %.2f s, parameters %.2f s\n", (double)p->peak_bytes / (1 << 20),
               p->features, p->parameters);
        return;
    }
    ff_json_key(j, "pass");
    ff_json_begin_object(j);
    ff_json_put_double(j, "seconds", p->times.median);
    ff_json_put_double(j, "best_seconds", p->times.best);
    ff_json_put_int(j, "runs", p->times.runs);
    ff_json_put_double(j, "seconds_with_logits", p->with_logits);
    ff_json_put_double(j, "profiled_seconds", p->profiled);
    ff_json_put_double(j, "features_seconds", p->features);
    ff_json_put_double(j, "parameters_seconds", p->parameters);
    ff_json_put_int(j, "peak_bytes", (int64_t)p->peak_bytes);
}

static void print_pass(const struct bench *b, const struct ff_bench_pass *p, const struct ff_rates *m)
{
    struct ff_json *j = b->json;
    double total = 0;
    for (int op = 0; op < FF_OP_COUNT; op++)
        total += p->profile.seconds[op];
    total = total > 0 ? total : 1;
    print_pass_head(b, p);
    if (j == NULL) {
        printf("under the profile %.4f s, of which operations took %.4f\n", p->profiled, total);
        printf("%-22s %8s %10s %7s%s\n", "operation", "calls", "ms", "share", rate_head);
    } else {
        ff_json_key(j, "operations");
        ff_json_begin_object(j);
    }
    for (int op = 0; op < FF_OP_COUNT; op++)
        print_part(b, ff_op_name[op], &p->profile.cost[op], p->profile.seconds[op], total, m);
    if (j == NULL) {
        printf("%-22s %8s %10s %7s%s\n", "stage", "calls", "ms", "share", rate_head);
    } else {
        ff_json_end_object(j);
        ff_json_key(j, "stages");
        ff_json_begin_object(j);
    }
    for (int i = 0; i < p->profile.n_stage; i++)
        print_part(b, p->profile.stages[i].name, &p->profile.stages[i].cost, p->profile.stages[i].seconds, total, m);
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

static ff_status time_all(struct bench *b)
{
    struct ff_bench_case cases[FF_BENCH_MAX];
    const struct ff_input_shape *s = &b->shape;
    int n = ff_bench_cases(&b->config->model, s->n_res, s->n_seq, s->n_extra, s->n_template, cases);
    if (b->json != NULL) {
        ff_json_key(b->json, "operations");
        ff_json_begin_array(b->json);
    } else {
        printf("\n%-22s %-20s %-38s %10s %10s%s  %s\n", "layer", "operation", "sizes", "ms", "best", rate_head,
               "bound by");
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

static ff_status time_blocks(struct bench *b)
{
    if (b->json != NULL) {
        ff_json_key(b->json, "evoformer_block");
        ff_json_begin_array(b->json);
    } else {
        printf("\none Evoformer block\n%9s %9s %10s %10s%s %10s %9s\n", "sequences", "residues", "ms", "best",
               rate_head, "MiB", "issue ms");
    }
    for (int i = 0; i < b->n_block; i++) {
        ff_status st = ff_bench_block(&b->config->model, &b->timer, &b->blocks[i]);
        if (st != FF_OK && st != FF_EMEMORY)
            return st;
        ff_status_clear();
        print_block(b, &b->blocks[i]);
        if (*ff_interrupt_flag())
            return ff_fail(FF_EINTERRUPT, "bench: interrupted");
    }
    if (b->json != NULL)
        ff_json_end_array(b->json);
    return FF_OK;
}

static void measure(struct bench *b, int times)
{
    for (int i = 0; i < times; i++)
        ff_bench_measure(&b->timer, NULL);
}

/* The roof is that of measurements before and after. */
static ff_status time_pass(struct bench *b)
{
    struct ff_bench_pass pass;
    int first = b->be->mark != NULL ? 0 : b->timer.n_round;
    measure(b, FF_BENCH_TURNS / 2);
    ff_bench_timer_close(&b->timer);
    FF_TRY(ff_bench_pass(b->config, &b->shape, b->be, ff_interrupt_flag(), &pass));
    measure(b, FF_BENCH_TURNS / 2);
    struct ff_bench_rates rates = ff_bench_rates(&b->timer, first);
    print_pass(b, &pass, &rates.median);
    return FF_OK;
}

static ff_status run(struct bench *b, const struct ff_command_line *line)
{
    FF_TRY(ff_bench_timer_open(b->be, &b->timer));
    if (b->be->mark != NULL)
        ff_bench_measure(&b->timer, NULL);
    print_head(b);
    if (!line->no_ops)
        FF_TRY(time_all(b));
    if (b->n_block > 0)
        FF_TRY(time_blocks(b));
    if (line->pass)
        FF_TRY(time_pass(b));
    if (b->json != NULL || b->be->mark == NULL)
        print_machine(b);
    if (b->json != NULL)
        ff_json_end_object(b->json);
    return FF_OK;
}

static ff_status parse_sizes(struct bench *b, const struct ff_command_line *line)
{
    const struct ff_config *config = b->config;
    bool templates = config->model.templates.enabled;
    b->shape = (struct ff_input_shape){.n_res = 256, .n_seq = config->msa.max_clusters,
                                       .n_extra = config->msa.max_extra,
                                       .n_template = templates ? config->msa.max_templates : 0};
    FF_TRY(parse_count("--length", line->length, 4, &b->shape.n_res));
    FF_TRY(parse_count("--msa", line->rows, 1, &b->shape.n_seq));
    FF_TRY(parse_count("--extra", line->extra, 0, &b->shape.n_extra));
    return line->block != NULL ? ff_bench_block_parse("--block", line->block, b->blocks, &b->n_block) : FF_OK;
}

/* On all ranks, or on none. */
static ff_status create_backend(const struct ff_run_config *run, struct ff_backend **ret)
{
    struct ff_comm *world;
    FF_TRY(ff_comm_split(NULL, 0, &world));
    ff_status st = ff_agree(world, ff_backend_create(run->device, run->precision, ff_batch_ranks_threads(run), ret));
    ff_comm_destroy(world);
    return st;
}

static ff_status bench(const struct ff_config *config, const struct ff_command_line *line)
{
    if (line->n_operand > 0)
        return ff_fail(FF_EUSAGE, "bench: '%s' was not expected; it takes options only", line->operands[0]);
    bool scaling = line->scaling || ff_comm_world_size() > 1;
    if ((line->pass || scaling) && config->model.multimer)
        return ff_fail(FF_EUSAGE, "bench of a pass: model %s is for complexes; a pass is timed for single chains",
                       config->model.name);
    if (line->no_ops && line->block == NULL && !line->pass && !scaling)
        return ff_fail(FF_EUSAGE, "bench --no-ops leaves nothing to do; add --block or --pass");
    struct bench b = {.config = config};
    FF_TRY(parse_sizes(&b, line));
    ff_comm_set_time_limit(config->parallel.timeout);
    ff_comm_set_transport(config->parallel.transport);
    ff_backend_set_memory_limit(config->run.memory_limit > 0 ? (size_t)config->run.memory_limit : 0);
    FF_TRY(create_backend(&config->run, &b.be));
    struct ff_strbuf text = {0};
    struct ff_json json;
    ff_json_init(&json, &text, 2);
    b.json = line->json ? &json : NULL;
    ff_status st = scaling ? ff_bench_scaling(config, &b.shape, b.be, b.json) : run(&b, line);
    if (st == FF_OK && line->json && ff_comm_world_rank() == 0)
        puts(ff_strbuf_cstr(&text));
    ff_strbuf_free(&text);
    ff_bench_timer_close(&b.timer);
    ff_bench_timer_free(&b.timer);
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
