/* SPDX-License-Identifier: Apache-2.0
 * golden: see golden.h.
 */
#include "golden/golden.h"

#include "model/model.h"

enum { ARENA_BYTES = 192 << 20, WEIGHT_BYTES = 64 << 20 };

enum ff_device golden_device(void)
{
    const char *device = getenv("FF_TEST_DEVICE");
    return device != NULL && strcmp(device, "cuda") == 0 ? FF_DEVICE_CUDA : FF_DEVICE_CPU;
}

static void read_config(const char *model, const char *const *settings, struct ff_config *ret)
{
    char *argv[32];
    int argc = 0;
    argv[argc++] = "--model";
    argv[argc++] = (char *)model;
    for (int i = 0; settings != NULL && settings[i] != NULL; i++) {
        argv[argc++] = "--set";
        argv[argc++] = (char *)settings[i];
    }
    struct ff_command_line line;
    assert_ok(ff_options_parse(argc, argv, "config", ret, &line));
    ff_command_line_free(&line);
}

struct golden *golden_open(const char *file, const char *model, const char *const *settings)
{
    char *relative = ff_path_join("model", file);
    char *path = ff_file_exists(file) ? ff_xstrdup(file) : test_data_path(relative);
    free(relative);
    if (path == NULL)
        return NULL;
    struct golden *g = FF_NEW(struct golden);
    assert_ok(ff_npz_load(path, &g->file));
    g->path = path;
    read_config(model, settings, &g->config);
    assert_ok(ff_backend_create(golden_device(), FF_PRECISION_FP32, 0, &g->be));
    assert_ok(g->be->alloc(g->be, ARENA_BYTES, &g->arena_memory));
    assert_ok(g->be->alloc(g->be, WEIGHT_BYTES, &g->weight_memory));
    ff_arena_init(&g->arena, g->arena_memory, ARENA_BYTES);
    g->weights = ff_xcalloc_aligned(FF_ARENA_ALIGN, WEIGHT_BYTES);
    g->ctx = (struct ff_context){.be = g->be, .arena = &g->arena, .config = &g->config.model, .chunk_bytes = 64 << 10};
    return g;
}

void golden_close(struct golden *g)
{
    g->be->release(g->be, g->arena_memory);
    g->be->release(g->be, g->weight_memory);
    ff_backend_destroy(g->be);
    ff_arrays_free(&g->file);
    ff_config_free(&g->config);
    free(g->weights);
    free(g->path);
    free(g);
}

static const struct ff_array *find(struct golden *g, const char *group, const char *name)
{
    char key[256];
    snprintf(key, sizeof key, "%s/%s", group, name);
    const struct ff_array *a = ff_arrays_find(&g->file, key);
    if (a == NULL)
        fail_msg("the golden file has no %s", key);
    return a;
}

struct ff_tensor golden_input(struct golden *g, const char *name)
{
    const struct ff_array *a = find(g, "in", name);
    struct ff_tensor t = ff_arena_push(&g->arena, a->dtype, a->ndim, a->shape);
    g->be->upload(g->be, &t, a->data);
    return t;
}

float *golden_values(struct golden *g, struct ff_tensor t)
{
    size_t mark = ff_arena_mark(&g->arena);
    struct ff_tensor flat = ff_arena_push(&g->arena, FF_F32, t.ndim, t.shape);
    float *host = ff_xcalloc((size_t)ff_tensor_count(&t), sizeof(float));
    FF_OP(g->be, copy, .out = flat, .x = t);
    g->be->download(g->be, host, &flat);
    ff_arena_release(&g->arena, mark);
    return host;
}

void golden_compare(struct golden *g, const char *name, struct ff_tensor got, const char *before)
{
    const struct ff_array *want = find(g, "out", name);
    size_t n = (size_t)ff_array_count(want);
    assert_int_equal(n, ff_tensor_count(&got));
    float *values = golden_values(g, got);
    if (before != NULL) {
        const float *start = find(g, "in", before)->data;
        for (size_t i = 0; i < n; i++)
            values[i] -= start[i];
    }
    print_message("    %-34s %.2e of %.0e\n", name, test_relative_error(values, want->data, n), GOLDEN_RELATIVE);
    test_assert_close(name, values, want->data, n, GOLDEN_RELATIVE);
    free(values);
}

/* The file's meta lists the parameters of the published module: the declared one is among them, with this shape. */
static void check_published(const struct golden *g, const struct ff_weight_decl *d)
{
    const struct ff_array *meta = ff_arrays_find(&g->file, "meta");
    struct ff_array shape = {.ndim = d->ndim};
    memcpy(shape.shape, d->shape, sizeof shape.shape);
    char text[96];
    char *wanted = ff_xasprintf("\"%s\": %s", d->name, ff_array_shape_text(&shape, text, sizeof text));
    if (memmem(meta->data, (size_t)ff_array_count(meta), wanted, strlen(wanted)) == NULL)
        fail_msg("not a parameter of the published module: %s", wanted);
    free(wanted);
}

static void store_synthetic(void *user, const struct ff_weight_decl *d)
{
    check_published(user, d);
    int64_t count = 1;
    for (int i = 0; i < d->ndim; i++)
        count *= d->shape[i];
    float *values = ff_xcalloc((size_t)count, sizeof(float));
    ff_params_synthesize(d->name, d->ndim, d->shape, values);
    ff_weights_store(d, values);
    free(values);
}

struct ff_weights_walker golden_walker(struct golden *g, int step)
{
    ff_arena_init(&g->weight_arena, step == 0 ? (void *)g->weights : g->weight_memory, WEIGHT_BYTES);
    return (struct ff_weights_walker){.config = &g->config.model, .arena = &g->weight_arena, .trunk_dtype = FF_F32,
                                      .visit = step == 0 ? store_synthetic : NULL, .user = g};
}

void golden_upload_weights(struct golden *g)
{
    int64_t bytes = (int64_t)g->weight_arena.used;
    struct ff_tensor all = ff_tensor_make(g->weight_memory, FF_U8, 1, &bytes);
    g->be->upload(g->be, &all, g->weights);
}
