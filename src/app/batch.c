/* SPDX-License-Identifier: Apache-2.0
 * batch: the targets of one command line, one after the other.
 */
#include "app/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/batch_input.h"
#include "app/batch_ranks.h"
#include "app/feature_input.h"
#include "app/interrupt.h"
#include "app/model_list.h"
#include "app/pipeline.h"
#include "app/search_ahead.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strset.h"
#include "format/json.h"
#include "parallel/agree.h"

struct batch {
    struct ff_batch_entry *entries;      /* [count] */
    int count, capacity;
};

static void batch_free(struct batch *b)
{
    for (int i = 0; i < b->count; i++) {
        ff_target_free(&b->entries[i].target);
        ff_outcome_free(&b->entries[i].outcome);
        free(b->entries[i].message);
    }
    free(b->entries);
}

static struct ff_batch_entry *add_entry(struct batch *b)
{
    FF_GROW(b->entries, b->count, b->capacity);
    struct ff_batch_entry *e = &b->entries[b->count++];
    *e = (struct ff_batch_entry){.status = FF_OK};
    return e;
}

/* --- targets ---------------------------------------------------------------------------------------------------- */

static ff_status add_file(struct batch *b, const char *file, bool complex)
{
    struct ff_targets targets = {0};
    ff_status st = ff_targets_load(&targets, file, complex);
    for (int i = 0; i < targets.count && st == FF_OK; i++) {
        add_entry(b)->target = targets.items[i];
        targets.items[i] = (struct ff_target){0};
    }
    ff_targets_free(&targets);
    return st;
}

static ff_status check_names(const struct batch *b)
{
    struct ff_strset names = {0};
    ff_status st = FF_OK;
    for (int i = 0; i < b->count && st == FF_OK; i++) {
        const struct ff_target *t = &b->entries[i].target;
        bool added;
        int first = ff_strset_add(&names, t->name, strlen(t->name), &added);
        if (!added)
            st = ff_fail(FF_EINPUT, "%s: the record '%s' would write its results to the folder %s, as one of %s does; "
                         "give each record a name of its own", t->file, t->description, t->name,
                         b->entries[first].target.file);
    }
    ff_strset_free(&names);
    return st;
}

static int by_length(const void *a, const void *b)
{
    const struct ff_batch_entry *x = a, *y = b;
    if (x->target.n_res != y->target.n_res)
        return x->target.n_res < y->target.n_res ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int by_length_down(const void *a, const void *b)
{
    const struct ff_batch_entry *x = a, *y = b;
    return x->target.n_res != y->target.n_res ? by_length(b, a) : by_length(a, b);
}

/* The shortest first: equal lengths share their plan, and what can be had soon comes soon. Searches alone begin with
 * the longest, so that none of these is left to end by itself. */
static void sort_targets(struct batch *b, enum ff_stage last)
{
    for (int i = 0; i < b->count; i++)
        b->entries[i].place = i;
    if (b->count > 1)
        qsort(b->entries, (size_t)b->count, sizeof *b->entries,
              last == FF_STAGE_SEARCH ? by_length_down : by_length);
}

static ff_status read_targets(const struct ff_command_line *line, enum ff_stage last, struct batch *b)
{
    if (line->features != NULL && line->n_operand > 0)
        return ff_fail(FF_EUSAGE, "--features FILE takes the place of the sequence file; %s is one too many",
                       line->operands[0]);
    if (line->features != NULL)
        return FF_OK; /* the pipeline reads the file and names the target */
    if (line->n_operand == 0)
        return ff_fail(FF_EUSAGE, "no sequence file was given; expected FILE.fasta");
    char **files;
    int n;
    ff_status st = ff_batch_input_files(line->n_operand, line->operands, &n, &files);
    for (int i = 0; i < n; i++) {
        if (st == FF_OK)
            st = add_file(b, files[i], line->complex);
        free(files[i]);
    }
    free(files);
    FF_TRY(st);
    if (line->msa != NULL && b->count > 1)
        return ff_fail(FF_EUSAGE, "--msa %s is the alignment of one target, but there are %d; run them one by one",
                       line->msa, b->count);
    sort_targets(b, last);
    return check_names(b);
}

/* --- running ---------------------------------------------------------------------------------------------------- */

void ff_batch_fail(struct ff_batch_entry *e, ff_status st)
{
    e->status = st;
    e->message = ff_xstrdup(ff_status_message());
}

/* Failures that concern one target of several are kept for later; others end the run before it begins. */
static ff_status check_targets(struct ff_pipeline *p, struct batch *b)
{
    for (int i = 0; i < b->count; i++) {
        ff_status st = ff_pipeline_check(p, &b->entries[i].target);
        if (st == FF_OK)
            continue;
        if (st != FF_EMEMORY || b->count == 1)
            return st;
        ff_batch_fail(&b->entries[i], st);
        ff_error("%s: %s", b->entries[i].target.name, b->entries[i].message);
    }
    return FF_OK;
}

/* Starts the searches of targets that are not done, *ret NULL where there is nothing to do ahead. */
static ff_status start_ahead(const struct ff_pipeline_options *o, const struct ff_pipeline *p, const struct batch *b,
                             struct ff_ahead **ret)
{
    const struct ff_config *c = o->configs;
    *ret = NULL;
    if (b->count < 2 || c->search.ahead < 1 || !c->search.enabled || o->msa != NULL || o->features != NULL)
        return FF_OK;
    const struct ff_target **targets = FF_NEW_ARRAY(const struct ff_target *, (size_t)b->count);
    for (int i = 0; i < b->count; i++) {
        const struct ff_batch_entry *e = &b->entries[i];
        if (e->status == FF_OK && !ff_pipeline_is_done(p, &e->target))
            targets[i] = &e->target;
    }
    ff_status st = ff_ahead_start(o, b->count, targets, c->search.ahead, ret);
    free(targets);
    return st;
}

/* One target from end to end; ahead, where there is one, has done or does its searches. */
static ff_status run_target(struct ff_pipeline *p, struct ff_ahead *ahead, int i, enum ff_stage last,
                            struct ff_batch_entry *e)
{
    struct ff_outcome searched = {0};
    if (ahead != NULL) {
        FF_TRY(ff_ahead_wait(ahead, i, &searched));
        if (last == FF_STAGE_SEARCH && searched.result != NULL) {
            e->outcome = searched;
            return FF_OK;
        }
    }
    double seconds = searched.search_seconds;
    ff_outcome_free(&searched);
    FF_TRY(ff_pipeline_run(p, &e->target, &e->outcome));
    e->outcome.search_seconds += seconds;
    return FF_OK;
}

static ff_status run_targets(struct ff_pipeline *p, struct ff_ahead *ahead, enum ff_stage last, struct batch *b)
{
    for (int i = 0; i < b->count; i++) {
        struct ff_batch_entry *e = &b->entries[i];
        if (e->status != FF_OK)
            continue;
        if (b->count > 1)
            ff_info("target %d of %d: %s", i + 1, b->count, e->target.name);
        ff_status st = run_target(p, ahead, i, last, e);
        if (*ff_interrupt_flag())
            return ff_fail(FF_EINTERRUPT, "%s: interrupted; the same command goes on where it stopped", e->target.name);
        if (st == FF_OK)
            continue;
        if (b->count == 1)
            return st;
        ff_batch_fail(e, st);
        ff_error("%s: %s", e->target.name, e->message);
    }
    return FF_OK;
}

/* --- summary ---------------------------------------------------------------------------------------------------- */

static void print_outcome(const struct ff_target *t, const struct ff_outcome *o)
{
    printf("%s\n", t->name);
    if (!isnan(o->mean_plddt))
        printf("  mean pLDDT   %.2f\n", o->mean_plddt);
    if (!isnan(o->ptm))
        printf("  pTM          %.3f\n", o->ptm);
    if (!isnan(o->iptm))
        printf("  ipTM         %.3f\n", o->iptm);
    if (!o->skipped) {
        printf("  time         %.1f s (search %.1f, features %.1f, network %.1f)\n", o->seconds, o->search_seconds,
               o->features_seconds, o->predict_seconds);
        printf("  peak memory  %.0f MiB\n", (double)o->peak_bytes / (1 << 20));
        if (o->device_bytes > 0)
            printf("  GPU memory   %.0f MiB planned, %.0f MiB as the driver tells\n",
                   (double)o->planned_bytes / (1 << 20), (double)o->device_bytes / (1 << 20));
    }
    printf("  result       %s\n", o->result);
}

/* summary.json: what print_summary tells, for programs. */
static ff_status write_summary(const struct batch *b, const char *command, const char *output_dir)
{
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_json_init(&j, &text, 4);
    ff_json_begin_object(&j);
    ff_json_key(&j, "command");
    ff_json_string(&j, command);
    ff_json_key(&j, "targets");
    ff_json_begin_array(&j);
    for (int i = 0; i < b->count; i++) {
        const struct ff_batch_entry *e = &b->entries[i];
        const struct ff_outcome *o = &e->outcome;
        const struct {
            const char *key;
            double value;
        } numbers[] = {
            {"mean_plddt", o->mean_plddt}, {"ptm", o->ptm}, {"iptm", o->iptm}, {"seconds", o->seconds},
            {"search_seconds", o->search_seconds}, {"features_seconds", o->features_seconds},
            {"predict_seconds", o->predict_seconds},
        };
        ff_json_begin_object(&j);
        ff_json_key(&j, "name");
        ff_json_string(&j, e->target.name);
        ff_json_key(&j, "description");
        ff_json_string(&j, e->target.description);
        ff_json_key(&j, "file");
        ff_json_string(&j, e->target.file);
        ff_json_key(&j, "n_res");
        ff_json_int(&j, e->target.n_res);
        ff_json_key(&j, "status");
        ff_json_string(&j, e->status != FF_OK ? ff_status_name(e->status) : o->skipped ? "done before" : "done");
        ff_json_key(&j, "exit_code");
        ff_json_int(&j, (int64_t)e->status);
        ff_json_key(&j, "message");
        ff_json_string(&j, e->message);
        ff_json_key(&j, "result");
        ff_json_string(&j, o->result);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (e->status != FF_OK || isnan(numbers[k].value))
                continue;
            ff_json_key(&j, numbers[k].key);
            ff_json_double(&j, numbers[k].value);
        }
        ff_json_end_object(&j);
    }
    ff_json_end_array(&j);
    ff_json_end_object(&j);
    ff_strbuf_putc(&text, '\n');
    char *path = ff_path_join(output_dir, "summary.json");
    ff_status st = ff_file_write(path, text.s, text.len);
    free(path);
    ff_strbuf_free(&text);
    return st;
}

static ff_status print_summary(const struct batch *b)
{
    int n_failed = 0;
    for (int i = 0; i < b->count; i++) {
        const struct ff_batch_entry *e = &b->entries[i];
        if (e->status == FF_OK)
            print_outcome(&e->target, &e->outcome);
        else
            printf("%s\n  failed       %s\n", e->target.name, ff_status_name(e->status));
        n_failed += e->status != FF_OK;
    }
    if (n_failed > 0)
        return ff_fail(FF_EPARTIAL, "%d of %d targets failed", n_failed, b->count);
    return FF_OK;
}

/* --- the command ------------------------------------------------------------------------------------------------ */

/* Whether the default network is that of complexes. Where nothing else names a network, one kind of target only. */
static ff_status find_kind(const struct batch *b, const struct ff_command_line *line, bool *ret_complex)
{
    const struct ff_target *single = NULL, *complex = NULL;
    for (int i = 0; i < b->count; i++) {
        const struct ff_target *t = &b->entries[i].target;
        if (t->complex)
            complex = complex != NULL ? complex : t;
        else
            single = single != NULL ? single : t;
    }
    *ret_complex = complex != NULL || (line->features != NULL && ff_feature_input_is_complex(line->features));
    if (complex != NULL && single != NULL && line->models == NULL && !line->model_given)
        return ff_fail(FF_EUSAGE, "%s is a complex and %s a single chain, which have networks of their own; run them "
                       "apart, or give --model or --models for both", complex->name, single->name);
    return FF_OK;
}

/* All targets, one after the other. */
static ff_status run_alone(const struct ff_pipeline_options *options, struct ff_pipeline *p, struct batch *b)
{
    struct ff_ahead *ahead = NULL;
    ff_status st = start_ahead(options, p, b, &ahead);
    if (st == FF_OK)
        st = run_targets(p, ahead, options->last, b);
    ff_ahead_stop(ahead);
    return st;
}

/* Rank 0 tells of all targets. */
static ff_status finish(struct ff_pipeline *p, const struct ff_pipeline_options *options, const struct batch *b)
{
    FF_TRY(ff_pipeline_finish(p));
    if (b->count > 1)
        FF_TRY(write_summary(b, options->command, options->configs->output.dir));
    return print_summary(b);
}

static ff_status run_pipeline(struct batch *b, struct ff_comm *world, const struct ff_command_line *line,
                              struct ff_pipeline_options *options)
{
    const struct ff_config *config = options->configs;
    struct ff_pipeline *p = NULL;
    ff_status st;
    FF_TRY_GOTO(st, ff_agree(world, ff_pipeline_open(options, &p)), cleanup);
    if (line->features != NULL)
        ff_pipeline_features_target(p, &add_entry(b)->target);
    if (config->params_note != NULL && options->last == FF_STAGE_PREDICT)
        ff_note("%s", config->params_note);
    FF_TRY_GOTO(st, ff_agree(world, world->rank == 0 ? check_targets(p, b) : FF_OK), cleanup);
    st = world->size > 1 ? ff_batch_ranks_run(world, options, p, b->count, b->entries) : run_alone(options, p, b);
    if (st == FF_EINTERRUPT)
        return st; /* the other ranks may be anywhere */
    if (st == FF_OK)
        st = ff_agree(world, world->rank == 0 ? finish(p, options, b) : FF_OK);
cleanup:
    ff_pipeline_close(p);
    return st;
}

static char *command_text(const char *name, int argc, char **argv)
{
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "fastfold %s", name);
    for (int i = 0; i < argc; i++)
        ff_strbuf_printf(&text, " %s", argv[i]);
    return ff_strbuf_detach(&text);
}

/* What the command line asks for, without a look at what it needs. */
static ff_status prepare(int argc, char **argv, const char *name, const struct ff_command_line *line,
                         const struct ff_comm *world, enum ff_stage last, struct batch *b,
                         struct ff_model_list *models, int *ret_n_rank)
{
    bool complex = false;
    FF_TRY(read_targets(line, last, b));
    FF_TRY(find_kind(b, line, &complex));
    FF_TRY(ff_model_list_make(argc, argv, name, line, complex, models));
    return ff_batch_ranks_configure(world, models->count, models->configs, last, ret_n_rank);
}

static ff_status run(int argc, char **argv, const char *name, struct ff_comm *world,
                     const struct ff_command_line *line, enum ff_stage last)
{
    struct batch b = {0};
    struct ff_model_list models = {0};
    char *command = command_text(name, argc, argv);
    struct ff_pipeline_options options = {
        .last = last,
        .command = command,
        .msa = line->msa,
        .templates = line->templates,
        .features = line->features,
        .stop = ff_interrupt_flag(),
    };
    ff_status st = ff_agree(world, prepare(argc, argv, name, line, world, last, &b, &models, &options.n_rank));
    options.n_model = models.count;
    options.configs = models.configs;
    if (st == FF_OK)
        st = run_pipeline(&b, world, line, &options);
    ff_model_list_free(&models);
    batch_free(&b);
    free(command);
    return st;
}

int ff_batch_main(int argc, char **argv, const char *name, enum ff_stage last)
{
    struct ff_command_line line = {0};
    struct ff_comm *world;
    ff_comm_set_time_limit(0); /* the first rank may plan for long */
    FF_TRY(ff_comm_split(NULL, 0, &world));
    ff_status st = ff_agree(world, ff_options_parse_line(argc, argv, name, &line));
    if (st == FF_OK)
        st = run(argc, argv, name, world, &line, last);
    ff_command_line_free(&line);
    if (st != FF_EINTERRUPT)
        ff_comm_destroy(world);
    return (int)st;
}
