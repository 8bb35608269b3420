/* SPDX-License-Identifier: Apache-2.0
 * params: see params.h.
 *
 * Synthetic parameters are a function of the array's full name and flat index alone, so that the whole network can be
 * run, tested and timed without the published files: u = mix(fnv1a(name) + i + 0x9E3779B97F4A7C15), r in [-1, 1) from
 * its upper 24 bits, scaled like a usual initialisation.
 */
#include "model/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "format/npz.h"

static const char SYNTHETIC[] = "synthetic";

/* --- the list of arrays ----------------------------------------------------------------------------------------- */

struct decl_list {
    struct ff_weight_decl *items;
    int count, capacity;
};

static void collect(void *user, const struct ff_weight_decl *decl)
{
    struct decl_list *l = user;
    FF_GROW(l->items, l->count, l->capacity);
    l->items[l->count] = *decl;
    l->items[l->count].name = ff_xstrdup(decl->name);
    l->count++;
}

/* Walks with the weights at base, or nowhere when base is NULL. */
static void decl_list_make(const struct ff_model_config *c, enum ff_dtype trunk_dtype, void *base, size_t bytes,
                           struct decl_list *ret)
{
    struct ff_arena arena;
    if (base != NULL)
        ff_arena_init(&arena, base, bytes);
    else
        ff_arena_init_measuring(&arena);
    *ret = (struct decl_list){0};
    struct ff_weights w;
    ff_weights_walk(&(struct ff_weights_walker){.config = c, .arena = &arena, .trunk_dtype = trunk_dtype,
                                                .visit = collect, .user = ret}, &w);
}

static void decl_list_free(struct decl_list *l)
{
    for (int i = 0; i < l->count; i++)
        free((char *)l->items[i].name);
    free(l->items);
}

void ff_model_list_params(const struct ff_model_config *c,
                          void (*visit)(void *user, const char *name, int ndim, const int64_t *shape), void *user)
{
    struct decl_list l;
    decl_list_make(c, FF_F32, NULL, 0, &l);
    for (int i = 0; i < l.count; i++)
        visit(user, l.items[i].name, l.items[i].ndim, l.items[i].shape);
    decl_list_free(&l);
}

/* --- synthetic values ------------------------------------------------------------------------------------------- */

/* Whether any part of the scope after the first is one whose arrays have a leading block axis. */
static bool is_stacked(const char *name)
{
    static const char *const stacks[] = {"evoformer_iteration", "extra_msa_stack", "template_embedding_iteration",
                                         "__layer_stack_no_state"};
    const char *end = strstr(name, "//");
    size_t len = end != NULL ? (size_t)(end - name) : strlen(name);
    for (size_t at = 0; at < len;) {
        const char *slash = memchr(name + at, '/', len - at);
        size_t part = slash != NULL ? (size_t)(slash - name) - at : len - at;
        for (size_t s = 0; at > 0 && s < sizeof stacks / sizeof stacks[0]; s++)
            if (strlen(stacks[s]) == part && memcmp(name + at, stacks[s], part) == 0)
                return true;
        at += part + 1;
    }
    return false;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Value = offset + factor * r. */
static void synthetic_rule(const char *name, int ndim, const int64_t *shape, double *offset, double *factor)
{
    const char *sep = strstr(name, "//"), *leaf = sep != NULL ? sep + 2 : name;
    *offset = 0.0;
    *factor = 0.1;
    if (strcmp(leaf, "scale") == 0) {
        *offset = 1.0;
        return;
    }
    if (strcmp(leaf, "trainable_point_weights") == 0) {
        *offset = 0.54;
        return;
    }
    if (strcmp(leaf, "offset") == 0 || strcmp(leaf, "bias") == 0 || ends_with(leaf, "_b"))
        return;
    int first = is_stacked(name) ? 1 : 0, axes = ndim - first;
    int64_t fan_in = 1;
    if (strcmp(leaf, "output_w") == 0)
        for (int d = first; d < ndim - 1; d++)
            fan_in *= shape[d];
    else if (axes > 1)
        fan_in = shape[first];
    *factor = sqrt(3.0 / (double)fan_in);
}

void ff_params_synthesize(const char *name, int ndim, const int64_t *shape, float *ret)
{
    double offset, factor;
    synthetic_rule(name, ndim, shape, &offset, &factor);
    uint64_t h = ff_hash_fnv1a(name, strlen(name)) + UINT64_C(0x9E3779B97F4A7C15);
    int64_t count = 1;
    for (int d = 0; d < ndim; d++)
        count *= shape[d];
    for (int64_t i = 0; i < count; i++) {
        double r = 2.0 * (double)(ff_hash_mix(h + (uint64_t)i) >> 40) * 0x1p-24 - 1.0;
        ret[i] = (float)(offset + factor * r);
    }
}

/* --- finding and checking the file ------------------------------------------------------------------------------ */

ff_status ff_params_resolve(const char *params, const struct ff_model_config *c, char **ret_path)
{
    *ret_path = NULL;
    if (params == NULL || params[0] == '\0')
        return ff_fail(FF_EMISSING,
                       "no parameters given; name a file or folder with --params (scripts/download_params.sh "
                       "fetches the published ones), or use --params synthetic for random ones");
    if (strcmp(params, SYNTHETIC) == 0)
        return FF_OK;
    if (!ff_file_is_dir(params)) {
        if (!ff_file_exists(params))
            return ff_fail(FF_EMISSING,
                           "%s: no such parameter file; scripts/download_params.sh fetches the published ones",
                           params);
        *ret_path = ff_xstrdup(params);
        return FF_OK;
    }
    const char *const sub[] = {"", "params/"};
    for (int i = 0; i < 2; i++) {
        char *name = ff_xasprintf("%sparams_%s.npz", sub[i], c->name), *path = ff_path_join(params, name);
        free(name);
        if (ff_file_exists(path)) {
            *ret_path = path;
            return FF_OK;
        }
        free(path);
    }
    return ff_fail(FF_EMISSING, "%s: no params_%s.npz here or in %s/params; scripts/download_params.sh fetches the "
                   "published files", params, c->name, params);
}

static bool same_shape(const struct ff_array *a, const struct ff_weight_decl *d)
{
    if (a->ndim != d->ndim)
        return false;
    for (int i = 0; i < d->ndim; i++)
        if (a->shape[i] != d->shape[i])
            return false;
    return true;
}

/* What differs between a file and the network, first few of each kind in full. */
struct difference {
    struct ff_strbuf text;
    int missing, unexpected, wrong;
};

enum { MOST_LISTED = 5 };

static void report(struct difference *d, int *count, const char *kind, const char *name, const char *detail)
{
    if ((*count)++ < MOST_LISTED)
        ff_strbuf_printf(&d->text, "\n  %s: %s%s", kind, name, detail);
}

static void compare(const struct ff_npz *z, const struct decl_list *l, struct difference *ret)
{
    bool *used = FF_NEW_ARRAY(bool, (size_t)ff_npz_count(z) + 1);
    for (int i = 0; i < l->count; i++) {
        const struct ff_weight_decl *d = &l->items[i];
        int at = ff_npz_find(z, d->name);
        char found[96], wanted[96], detail[256];
        struct ff_array want = {.ndim = d->ndim};
        memcpy(want.shape, d->shape, sizeof want.shape);
        ff_array_shape_text(&want, wanted, sizeof wanted);
        if (at < 0) {
            snprintf(detail, sizeof detail, " %s", wanted);
            report(ret, &ret->missing, "missing", d->name, detail);
            continue;
        }
        used[at] = true;
        const struct ff_array *a = ff_npz_header(z, at);
        if (!same_shape(a, d)) {
            snprintf(detail, sizeof detail, " is %s, expected %s", ff_array_shape_text(a, found, sizeof found), wanted);
            report(ret, &ret->wrong, "wrong shape", d->name, detail);
        }
    }
    for (int i = 0; i < ff_npz_count(z); i++)
        if (!used[i])
            report(ret, &ret->unexpected, "unexpected", ff_npz_header(z, i)->name, "");
    free(used);
}

static ff_status check_file(const char *path, const struct ff_npz *z, const struct ff_model_config *c,
                            const struct decl_list *l)
{
    struct difference d = {0};
    compare(z, l, &d);
    ff_status st = FF_OK;
    if (d.missing + d.unexpected + d.wrong > 0)
        st = ff_fail(
            FF_EINPUT,
            "%s: not the parameters of %s: %d arrays missing, %d unexpected, %d of wrong shape%s\n"
            "  choose the preset of these parameters with --model (`fastfold params info %s` shows what is inside)",
            path, c->name, d.missing, d.unexpected, d.wrong, ff_strbuf_cstr(&d.text), path);
    ff_strbuf_free(&d.text);
    return st;
}

ff_status ff_params_check(const char *params, const struct ff_model_config *c)
{
    char *path = NULL;
    FF_TRY(ff_params_resolve(params, c, &path));
    if (path == NULL)
        return FF_OK;
    struct decl_list l = {0};
    struct ff_npz *z = NULL;
    ff_status st;
    FF_TRY_GOTO(st, ff_npz_open(path, &z), cleanup);
    decl_list_make(c, FF_F32, NULL, 0, &l);
    st = check_file(path, z, c, &l);
cleanup:
    ff_npz_close(z);
    decl_list_free(&l);
    free(path);
    return st;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

/* One array into its place: read or made as float32, then stored. */
static ff_status load_one(struct ff_npz *z, const struct ff_weight_decl *d)
{
    struct ff_array a = {.dtype = FF_F32, .ndim = d->ndim};
    memcpy(a.shape, d->shape, sizeof a.shape);
    if (z != NULL) {
        int at = ff_npz_find(z, d->name);
        FF_ASSERT(at >= 0);
        FF_TRY(ff_npz_read(z, at, &a));
        ff_array_to_f32(&a);
    } else {
        a.data = ff_xmalloc(ff_array_bytes(&a));
        ff_params_synthesize(d->name, d->ndim, d->shape, a.data);
    }
    ff_weights_store(d, a.data);
    ff_array_free(&a);
    return FF_OK;
}

/* Arrays go to places of their own, so they are loaded side by side; those that are summed into one place follow one
 * by one. The first failure is reported. */
static ff_status load_all(struct ff_npz *z, const struct decl_list *l)
{
    ff_status st = FF_OK;
    char *message = NULL;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < l->count; i++) {
        if (l->items[i].add)
            continue;
        ff_status one = load_one(z, &l->items[i]);
        if (one != FF_OK) {
#pragma omp critical
            if (st == FF_OK) {
                st = one;
                message = ff_xstrdup(ff_status_message()); /* the stack is the thread's own */
            }
        }
    }
    if (st != FF_OK) {
        st = ff_fail(st, "%s", message);
        free(message);
        return st;
    }
    for (int i = 0; i < l->count; i++)
        if (l->items[i].add)
            FF_TRY(load_one(z, &l->items[i]));
    return FF_OK;
}

ff_status ff_params_load(const char *params, const struct ff_model_config *c, enum ff_dtype trunk_dtype, void *base,
                         size_t bytes)
{
    char *path = NULL;
    FF_TRY(ff_params_resolve(params, c, &path));
    struct decl_list l = {0};
    struct ff_npz *z = NULL;
    ff_status st = FF_OK;
    decl_list_make(c, trunk_dtype, base, bytes, &l);
    if (path != NULL) {
        FF_TRY_GOTO(st, ff_npz_open(path, &z), cleanup);
        FF_TRY_GOTO(st, check_file(path, z, c, &l), cleanup);
    }
    st = load_all(z, &l);
cleanup:
    ff_npz_close(z);
    decl_list_free(&l);
    free(path);
    return st;
}
