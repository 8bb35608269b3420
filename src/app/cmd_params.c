/* SPDX-License-Identifier: Apache-2.0
 * cmd_params: `fastfold params`: what a parameter file holds, whether it fits a model, and synthetic ones.
 *
 *   params info FILE.npz             every array; the models whose set of names and shapes it has
 *   params check [PATH] --model M    names, shapes and the checksum of every array
 *   params synth --model M --out FILE.npz
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/option_file.h"
#include "app/options.h"
#include "base/alloc.h"
#include "base/file.h"
#include "format/npz.h"
#include "model/model.h"

/* --- info --------------------------------------------------------------------------------------------------------- */

static void print_array(const struct ff_array *a)
{
    char shape[128];
    printf("%-8s %-20s %s\n", ff_dtype_name(a->dtype), ff_array_shape_text(a, shape, sizeof shape), a->name);
}

/* Names the presets that the file fits. */
static void print_models(const char *path)
{
    int n = 0;
    const char *name;
    for (int i = 0; (name = ff_option_file_model_name(i)) != NULL; i++) {
        char *argv[] = {(char *)"--model", (char *)name};
        struct ff_config config;
        struct ff_command_line line;
        if (ff_options_parse(2, argv, "params", &config, &line) != FF_OK)
            continue;
        if (ff_params_check(path, &config.model) == FF_OK)
            printf("%s%s", n++ ? ", " : "fits: ", name);
        ff_config_free(&config);
        ff_command_line_free(&line);
    }
    printf(n ? "\n" : "fits no built-in model (fastfold params check FILE --model M says why)\n");
    ff_status_clear();
}

static ff_status info(const char *path)
{
    struct ff_npz *z;
    FF_TRY(ff_npz_open(path, &z));
    int64_t values = 0;
    size_t bytes = 0;
    for (int i = 0; i < ff_npz_count(z); i++) {
        const struct ff_array *a = ff_npz_header(z, i);
        print_array(a);
        values += ff_array_count(a);
        bytes += ff_array_bytes(a);
    }
    printf("%d arrays, %" PRId64 " values, %.1f MiB\n", ff_npz_count(z), values, (double)bytes / (1 << 20));
    ff_npz_close(z);
    print_models(path);
    return FF_OK;
}

/* --- check -------------------------------------------------------------------------------------------------------- */

/* Reads everything, which compares every checksum. */
static ff_status read_all(const char *path, int *ret_count)
{
    struct ff_npz *z;
    FF_TRY(ff_npz_open(path, &z));
    ff_status st = FF_OK;
    *ret_count = ff_npz_count(z);
    for (int i = 0; i < *ret_count && st == FF_OK; i++) {
        struct ff_array a;
        st = ff_npz_read(z, i, &a);
        if (st == FF_OK)
            ff_array_free(&a);
    }
    ff_npz_close(z);
    return st;
}

static ff_status check(const char *params, const struct ff_model_config *model)
{
    char *path = NULL;
    int count;
    if (params == NULL)
        return ff_fail(FF_EUSAGE, "params check: expected a file or folder, or --params");
    FF_TRY(ff_params_resolve(params, model, &path));
    ff_status st = ff_params_check(params, model);
    if (st == FF_OK && path == NULL) {
        printf("synthetic parameters need no file\n");
    } else if (st == FF_OK) {
        st = read_all(path, &count);
        if (st == FF_OK)
            printf("%s: %d arrays, as %s needs them; every checksum is right\n", path, count, model->name);
    }
    free(path);
    return st;
}

/* --- synth -------------------------------------------------------------------------------------------------------- */

struct synth {
    struct ff_npz_writer *writer;
    ff_status st;
    int count;
};

static void write_synthetic(void *user, const char *name, int ndim, const int64_t *shape)
{
    struct synth *s = user;
    if (s->st != FF_OK)
        return;
    struct ff_array a = {.name = ff_xstrdup(name), .dtype = FF_F32, .ndim = ndim};
    memcpy(a.shape, shape, (size_t)ndim * sizeof *shape);
    a.data = ff_xmalloc(ff_array_bytes(&a));
    ff_params_synthesize(name, ndim, shape, a.data);
    s->st = ff_npz_writer_add(s->writer, &a);
    s->count++;
    ff_array_free(&a);
}

static ff_status synth(const char *out, const struct ff_model_config *model)
{
    struct synth s = {.st = FF_OK};
    if (out == NULL)
        return ff_fail(FF_EUSAGE, "params synth: expected --out FILE.npz");
    FF_TRY(ff_npz_writer_open(out, &s.writer));
    ff_model_list_params(model, write_synthetic, &s);
    if (s.st != FF_OK) {
        ff_npz_writer_abort(s.writer);
        return s.st;
    }
    FF_TRY(ff_npz_writer_commit(s.writer));
    printf("%s: %d arrays for %s, made up by a formula: for tests, they predict nothing\n", out, s.count, model->name);
    return FF_OK;
}

static ff_status params(const struct ff_config *config, const struct ff_command_line *line)
{
    const char *verb = line->n_operand > 0 ? line->operands[0] : "";
    const char *file = line->n_operand > 1 ? line->operands[1] : NULL;
    if (line->n_operand > 2)
        return ff_fail(FF_EUSAGE, "params: found '%s'; expected one file", line->operands[2]);
    if (strcmp(verb, "info") == 0 && file != NULL)
        return info(file);
    if (strcmp(verb, "check") == 0)
        return check(file != NULL ? file : config->run.params, &config->model);
    if (strcmp(verb, "synth") == 0 && file == NULL)
        return synth(line->out, &config->model);
    return ff_fail(FF_EUSAGE, "params: expected `info FILE`, `check [FILE|DIR] --model NAME` or `synth --model NAME "
                              "--out FILE`");
}

int ff_cmd_params(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "params", &config, &line));
    ff_status st = params(&config, &line);
    ff_config_free(&config);
    ff_command_line_free(&line);
    return (int)st;
}
