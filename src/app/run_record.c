/* SPDX-License-Identifier: Apache-2.0
 * run_record: run.json.
 */
#include "app/run_record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/output.h"
#include "base/alloc.h"
#include "base/file.h"
#include "format/json.h"
#include "format/yaml.h"

static const char *const stage_names[] = {
    [FF_STAGE_NONE] = "none", [FF_STAGE_SEARCH] = "search", [FF_STAGE_FEATURES] = "features",
    [FF_STAGE_PREDICT] = "predict"};
enum { N_STAGE = sizeof stage_names / sizeof *stage_names };

const char *ff_stage_name(enum ff_stage s)
{
    return stage_names[s];
}

/* --- in memory -------------------------------------------------------------------------------------------------- */

static void free_prediction(struct ff_run_prediction *p)
{
    free(p->name);
    free(p->key);
    free(p->model);
    free(p->passes);
}

void ff_run_record_free(struct ff_run_record *r)
{
    free(r->version);
    free(r->command);
    free(r->target);
    free(r->description);
    free(r->sequence_sha256);
    free(r->features_key);
    free(r->prediction_key);
    for (int i = 0; i < r->n_input; i++) {
        free(r->inputs[i].role);
        free(r->inputs[i].path);
        free(r->inputs[i].sha256);
    }
    free(r->inputs);
    for (int i = 0; i < r->n_search; i++)
        ff_search_record_free(&r->searches[i]);
    free(r->searches);
    for (int i = 0; i < r->n_file; i++)
        free(r->files[i].name);
    free(r->files);
    for (int i = 0; i < r->n_prediction; i++)
        free_prediction(&r->predictions[i]);
    free(r->predictions);
    free(r->backend);
    free(r->precision);
    for (int i = 0; i < r->n_timing; i++)
        free((char *)r->timings[i].name);
    free(r->timings);
    free(r->configuration);
    *r = (struct ff_run_record){0};
}

void ff_run_record_add_input(struct ff_run_record *r, const char *role, const char *path, const char *sha256)
{
    r->inputs = ff_xreallocarray(r->inputs, (size_t)r->n_input + 1, sizeof *r->inputs);
    r->inputs[r->n_input++] = (struct ff_run_input){ff_xstrdup(role), ff_xstrdup(path), ff_xstrdup(sha256)};
}

void ff_run_record_add_timing(struct ff_run_record *r, const char *name, double seconds)
{
    r->timings = ff_xreallocarray(r->timings, (size_t)r->n_timing + 1, sizeof *r->timings);
    r->timings[r->n_timing++] = (struct ff_named_value){ff_xstrdup(name), seconds};
}

static struct ff_run_file *add_file(struct ff_run_record *r, const char *name, int64_t bytes)
{
    r->files = ff_xreallocarray(r->files, (size_t)r->n_file + 1, sizeof *r->files);
    r->files[r->n_file] = (struct ff_run_file){ff_xstrdup(name), bytes};
    return &r->files[r->n_file++];
}

void ff_run_record_add_file(struct ff_run_record *r, const char *target_dir, const char *name)
{
    char *path = ff_path_join(target_dir, name);
    int64_t bytes = ff_file_size(path);
    free(path);
    for (int i = 0; i < r->n_file; i++) {
        if (strcmp(r->files[i].name, name) == 0) {
            r->files[i].bytes = bytes;
            return;
        }
    }
    add_file(r, name, bytes);
}

static bool file_present(const struct ff_run_file *f, const char *target_dir)
{
    char *path = ff_path_join(target_dir, f->name);
    int64_t bytes = ff_file_size(path);
    free(path);
    return bytes >= 0 && bytes == f->bytes;
}

bool ff_run_record_files_present(const struct ff_run_record *r, const char *target_dir)
{
    for (int i = 0; i < r->n_file; i++)
        if (!file_present(&r->files[i], target_dir))
            return false;
    return true;
}

struct ff_run_prediction *ff_run_record_add_prediction(struct ff_run_record *r)
{
    r->predictions = ff_xreallocarray(r->predictions, (size_t)r->n_prediction + 1, sizeof *r->predictions);
    struct ff_run_prediction *p = &r->predictions[r->n_prediction++];
    *p = (struct ff_run_prediction){.mean_plddt = (double)NAN, .ptm = (double)NAN, .iptm = (double)NAN,
                                    .ranking_confidence = (double)NAN};
    return p;
}

static struct ff_run_prediction *find_prediction(struct ff_run_record *r, const char *name, const char *key)
{
    for (int i = 0; i < r->n_prediction; i++) {
        struct ff_run_prediction *p = &r->predictions[i];
        if (p->name != NULL && p->key != NULL && strcmp(p->name, name) == 0 && strcmp(p->key, key) == 0)
            return p;
    }
    return NULL;
}

bool ff_run_record_take_prediction(struct ff_run_record *r, struct ff_run_record *from, const char *name,
                                   const char *key, const char *target_dir)
{
    struct ff_run_prediction *p = find_prediction(from, name, key);
    if (p == NULL)
        return false;
    int n = 0;
    for (int i = 0; i < from->n_file; i++) {
        if (!ff_output_is_of(from->files[i].name, name))
            continue;
        if (!file_present(&from->files[i], target_dir))
            return false;
        n++;
    }
    if (n == 0)
        return false;
    for (int i = 0; i < from->n_file; i++)
        if (ff_output_is_of(from->files[i].name, name))
            add_file(r, from->files[i].name, from->files[i].bytes);
    *ff_run_record_add_prediction(r) = *p;
    *p = (struct ff_run_prediction){0};
    return true;
}

const struct ff_run_prediction *ff_run_record_best(const struct ff_run_record *r)
{
    const struct ff_run_prediction *best = NULL;
    for (int i = 0; i < r->n_prediction; i++)
        if (best == NULL || r->predictions[i].ranking_confidence > best->ranking_confidence)
            best = &r->predictions[i];
    return best;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static void put_text(struct ff_json *j, const char *key, const char *value)
{
    if (value == NULL)
        return;
    ff_json_key(j, key);
    ff_json_string(j, value);
}

static void put_int(struct ff_json *j, const char *key, int64_t value)
{
    ff_json_key(j, key);
    ff_json_int(j, value);
}

/* Nothing where there is no number. */
static void put_double(struct ff_json *j, const char *key, double value)
{
    if (isnan(value))
        return;
    ff_json_key(j, key);
    ff_json_double(j, value);
}

static void put_pass(struct ff_json *j, const struct ff_pass_report *p)
{
    ff_json_begin_object(j);
    put_int(j, "pass", p->pass);
    put_double(j, "seconds", p->seconds);
    put_double(j, "mean_plddt", (double)p->mean_plddt);
    put_double(j, "ptm", (double)p->ptm);
    put_double(j, "iptm", (double)p->iptm);
    put_double(j, "distance_change", (double)p->distance_change);
    ff_json_end_object(j);
}

static void put_scores(struct ff_json *j, const struct ff_run_prediction *p)
{
    put_text(j, "model", p->model);
    put_int(j, "seed", p->seed);
    put_double(j, "mean_plddt", p->mean_plddt);
    put_double(j, "ptm", p->ptm);
    put_double(j, "iptm", p->iptm);
    put_double(j, "ranking_confidence", p->ranking_confidence);
}

static void put_prediction(struct ff_json *j, const struct ff_run_prediction *p)
{
    ff_json_begin_object(j);
    put_text(j, "name", p->name);
    put_text(j, "key", p->key);
    put_scores(j, p);
    put_double(j, "features_seconds", p->features_seconds);
    put_double(j, "predict_seconds", p->predict_seconds);
    ff_json_key(j, "passes");
    ff_json_begin_array(j);
    for (int i = 0; i < p->n_pass; i++)
        put_pass(j, &p->passes[i]);
    ff_json_end_array(j);
    ff_json_key(j, "memory");
    ff_json_begin_object(j);
    put_int(j, "weight_bytes", (int64_t)p->weight_bytes);
    put_int(j, "arena_bytes", (int64_t)p->arena_bytes);
    put_int(j, "workspace_bytes", (int64_t)p->workspace_bytes);
    put_int(j, "chunk_bytes", p->chunk_bytes);
    put_int(j, "peak_backend_bytes", (int64_t)p->peak_backend_bytes);
    put_int(j, "device_bytes", (int64_t)p->device_bytes);
    put_int(j, "host_bytes", (int64_t)p->host_bytes);
    put_double(j, "copied_bytes", p->copied_bytes);
    put_double(j, "lost", p->lost);
    ff_json_end_object(j);
    ff_json_end_object(j);
}

/* YAML text as JSON values of the same types. */
static void put_yaml(struct ff_json *j, const struct ff_yaml *n)
{
    bool b;
    int64_t i;
    double d;
    switch (n->kind) {
    case FF_YAML_MAP:
        ff_json_begin_object(j);
        for (int k = 0; k < n->count; k++) {
            ff_json_key(j, n->items[k].key);
            put_yaml(j, &n->items[k]);
        }
        ff_json_end_object(j);
        break;
    case FF_YAML_LIST:
        ff_json_begin_array(j);
        for (int k = 0; k < n->count; k++)
            put_yaml(j, &n->items[k]);
        ff_json_end_array(j);
        break;
    case FF_YAML_SCALAR:
        if (ff_yaml_is_null(n))
            ff_json_null(j);
        else if (ff_yaml_to_bool(n, &b))
            ff_json_bool(j, b);
        else if (ff_yaml_to_int(n, &i))
            ff_json_int(j, i);
        else if (ff_yaml_to_double(n, &d))
            ff_json_double(j, d);
        else
            ff_json_string(j, n->text);
        break;
    }
}

static ff_status put_configuration(struct ff_json *j, const char *yaml)
{
    struct ff_yaml *root;
    FF_TRY(ff_yaml_parse("effective configuration", yaml, strlen(yaml), &root));
    ff_json_key(j, "configuration");
    put_yaml(j, root);
    ff_yaml_free(root);
    return FF_OK;
}

/* The best one's scores once all are there, and every one that is finished. */
static void put_predictions(struct ff_json *j, const struct ff_run_record *r)
{
    put_text(j, "backend", r->backend);
    put_text(j, "precision", r->precision);
    put_int(j, "threads", r->threads);
    if (r->stage == FF_STAGE_PREDICT)
        put_scores(j, ff_run_record_best(r));
    put_int(j, "peak_host_bytes", (int64_t)r->peak_host_bytes);
    ff_json_key(j, "predictions");
    ff_json_begin_array(j);
    for (int i = 0; i < r->n_prediction; i++)
        put_prediction(j, &r->predictions[i]);
    ff_json_end_array(j);
}

static void put_head(struct ff_json *j, const struct ff_run_record *r)
{
    put_text(j, "program", "fastfold");
    put_text(j, "version", r->version);
    put_text(j, "command", r->command);
    put_text(j, "stage", stage_names[r->stage]);
    put_text(j, "target", r->target);
    put_text(j, "description", r->description);
    put_text(j, "sequence_sha256", r->sequence_sha256);
    put_int(j, "n_res", r->n_res);
    put_text(j, "features_key", r->features_key);
    if (r->n_prediction > 0) /* before the first one, other settings may still take its place */
        put_text(j, "prediction_key", r->prediction_key);

    ff_json_key(j, "inputs");
    ff_json_begin_array(j);
    for (int i = 0; i < r->n_input; i++) {
        ff_json_begin_object(j);
        put_text(j, "role", r->inputs[i].role);
        put_text(j, "path", r->inputs[i].path);
        put_text(j, "sha256", r->inputs[i].sha256);
        ff_json_end_object(j);
    }
    ff_json_end_array(j);

    ff_json_key(j, "searches");
    ff_json_begin_array(j);
    for (int i = 0; i < r->n_search; i++)
        ff_search_record_put(j, &r->searches[i]);
    ff_json_end_array(j);

    ff_json_key(j, "files");
    ff_json_begin_object(j);
    for (int i = 0; i < r->n_file; i++)
        put_int(j, r->files[i].name, r->files[i].bytes);
    ff_json_end_object(j);
}

ff_status ff_run_record_write(const struct ff_run_record *r, const char *path)
{
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_json_init(&j, &text, 4);
    ff_json_begin_object(&j);
    put_head(&j, r);
    if (r->n_prediction > 0)
        put_predictions(&j, r);
    ff_json_key(&j, "timings");
    ff_json_begin_object(&j);
    for (int i = 0; i < r->n_timing; i++)
        put_double(&j, r->timings[i].name, r->timings[i].value);
    ff_json_end_object(&j);
    ff_status st = r->configuration != NULL ? put_configuration(&j, r->configuration) : FF_OK;
    ff_json_end_object(&j);
    ff_strbuf_putc(&text, '\n');
    if (st == FF_OK)
        st = ff_file_write(path, text.s, text.len);
    ff_strbuf_free(&text);
    return st;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static char *get_text(const struct ff_yaml *map, const char *key)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    return n != NULL && n->kind == FF_YAML_SCALAR && !ff_yaml_is_null(n) ? ff_xstrdup(n->text) : NULL;
}

static int64_t get_int(const struct ff_yaml *map, const char *key, int64_t missing)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    int64_t v;
    return n != NULL && ff_yaml_to_int(n, &v) ? v : missing;
}

static double get_double(const struct ff_yaml *map, const char *key, double missing)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    double v;
    return n != NULL && ff_yaml_to_double(n, &v) ? v : missing;
}

static void read_pass(const struct ff_yaml *n, struct ff_pass_report *ret)
{
    *ret = (struct ff_pass_report){
        .pass = (int)get_int(n, "pass", 0),
        .seconds = get_double(n, "seconds", 0),
        .mean_plddt = (float)get_double(n, "mean_plddt", (double)NAN),
        .ptm = (float)get_double(n, "ptm", (double)NAN),
        .iptm = (float)get_double(n, "iptm", (double)NAN),
        .distance_change = (float)get_double(n, "distance_change", (double)NAN),
    };
}

static void read_prediction(const struct ff_yaml *n, struct ff_run_prediction *p)
{
    p->name = get_text(n, "name");
    p->key = get_text(n, "key");
    p->model = get_text(n, "model");
    p->seed = get_int(n, "seed", 0);
    p->mean_plddt = get_double(n, "mean_plddt", (double)NAN);
    p->ptm = get_double(n, "ptm", (double)NAN);
    p->iptm = get_double(n, "iptm", (double)NAN);
    p->ranking_confidence = get_double(n, "ranking_confidence", (double)NAN);
    p->features_seconds = get_double(n, "features_seconds", 0);
    p->predict_seconds = get_double(n, "predict_seconds", 0);
    const struct ff_yaml *passes = ff_yaml_get(n, "passes");
    if (passes != NULL && passes->count > 0) {
        p->passes = FF_NEW_ARRAY(struct ff_pass_report, (size_t)passes->count);
        p->n_pass = passes->count;
        for (int i = 0; i < passes->count; i++)
            read_pass(&passes->items[i], &p->passes[i]);
    }
    const struct ff_yaml *memory = ff_yaml_get(n, "memory");
    if (memory == NULL)
        return;
    p->weight_bytes = (size_t)get_int(memory, "weight_bytes", 0);
    p->arena_bytes = (size_t)get_int(memory, "arena_bytes", 0);
    p->workspace_bytes = (size_t)get_int(memory, "workspace_bytes", 0);
    p->chunk_bytes = get_int(memory, "chunk_bytes", 0);
    p->peak_backend_bytes = (size_t)get_int(memory, "peak_backend_bytes", 0);
    p->device_bytes = (size_t)get_int(memory, "device_bytes", 0);
    p->host_bytes = (size_t)get_int(memory, "host_bytes", 0);
    p->copied_bytes = get_double(memory, "copied_bytes", 0);
    p->lost = get_double(memory, "lost", 0);
}

static ff_status read_record(const struct ff_yaml *root, struct ff_run_record *r)
{
    char *program = get_text(root, "program");
    bool ours = program != NULL && strcmp(program, "fastfold") == 0;
    free(program);
    char *stage = get_text(root, "stage");
    for (int s = 0; s < N_STAGE && stage != NULL; s++)
        if (strcmp(stage, stage_names[s]) == 0)
            r->stage = (enum ff_stage)s;
    free(stage);
    if (!ours || r->stage == FF_STAGE_NONE)
        return ff_fail(FF_EINPUT, "not a record of a fastfold run");
    r->version = get_text(root, "version");
    r->command = get_text(root, "command");
    r->target = get_text(root, "target");
    r->description = get_text(root, "description");
    r->sequence_sha256 = get_text(root, "sequence_sha256");
    r->n_res = (int)get_int(root, "n_res", 0);
    r->features_key = get_text(root, "features_key");
    r->prediction_key = get_text(root, "prediction_key");

    const struct ff_yaml *inputs = ff_yaml_get(root, "inputs");
    for (int i = 0; inputs != NULL && i < inputs->count; i++) {
        char *role = get_text(&inputs->items[i], "role"), *path = get_text(&inputs->items[i], "path");
        char *sha256 = get_text(&inputs->items[i], "sha256");
        if (role != NULL && path != NULL && sha256 != NULL)
            ff_run_record_add_input(r, role, path, sha256);
        free(role);
        free(path);
        free(sha256);
    }
    const struct ff_yaml *searches = ff_yaml_get(root, "searches");
    if (searches != NULL && searches->count > 0) {
        r->searches = FF_NEW_ARRAY(struct ff_search_record, (size_t)searches->count);
        r->n_search = searches->count;
        for (int i = 0; i < searches->count; i++)
            ff_search_record_get(&searches->items[i], &r->searches[i]);
    }
    const struct ff_yaml *predictions = ff_yaml_get(root, "predictions");
    for (int i = 0; predictions != NULL && i < predictions->count; i++)
        read_prediction(&predictions->items[i], ff_run_record_add_prediction(r));
    const struct ff_yaml *files = ff_yaml_get(root, "files");
    for (int i = 0; files != NULL && files->kind == FF_YAML_MAP && i < files->count; i++)
        add_file(r, files->items[i].key, get_int(files, files->items[i].key, -1));
    return FF_OK;
}

ff_status ff_run_record_read(const char *path, struct ff_run_record *ret)
{
    *ret = (struct ff_run_record){0};
    char *text;
    size_t len;
    FF_TRY(ff_file_read(path, &text, &len));
    struct ff_yaml *root = NULL;
    ff_status st = ff_yaml_parse(path, text, len, &root);
    free(text);
    if (st == FF_OK)
        st = read_record(root, ret);
    ff_yaml_free(root);
    if (st == FF_OK)
        return FF_OK;
    ff_run_record_free(ret);
    return ff_fail(FF_EINPUT, "%s is not a record of a fastfold run, or is damaged", path);
}
