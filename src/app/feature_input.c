/* SPDX-License-Identifier: Apache-2.0
 * feature_input: files of features, for one network.
 */
#include "app/feature_input.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "bio/fasta.h"
#include "feature/feature_file.h"
#include "format/npz.h"

void ff_feature_input_close(struct ff_feature_input *f)
{
    ff_source_destroy(f->source);
    free(f->input_chain);
    *f = (struct ff_feature_input){0};
}

/* Order of the chains in the input, if the file has it. */
static void keep_order(const struct ff_arrays *arrays, struct ff_feature_input *ret)
{
    const struct ff_array *a = ff_arrays_find(arrays, "input_chain");
    if (a == NULL || a->dtype != FF_I32 || a->ndim != 1)
        return;
    ret->n_chain = (int)a->shape[0];
    ret->input_chain = ff_xmalloc(ff_array_bytes(a));
    memcpy(ret->input_chain, a->data, ff_array_bytes(a));
}

ff_status ff_feature_input_open(const char *path, const struct ff_config *config, int64_t seed,
                                struct ff_feature_input *ret)
{
    const struct ff_model_config *model = &config->model;
    struct ff_source_options options = {
        .features = config->msa,
        .seed = (uint64_t)seed,
        .resample = model->resample_msa_in_recycling,
        .num_ensemble = model->num_ensemble,
    };
    *ret = (struct ff_feature_input){0};
    struct ff_arrays arrays = {0};
    enum ff_feature_kind kind;
    FF_TRY(ff_feature_file_load(path, &kind, &arrays));
    bool complex = kind == FF_FEATURES_COMPLEX;
    if (complex != model->multimer) {
        ff_arrays_free(&arrays);
        return ff_fail(FF_EINPUT, "%s holds the features of a %s; model %s predicts %s", path,
                       complex ? "complex" : "single chain", model->name,
                       model->multimer ? "complexes" : "single chains");
    }
    if (complex)
        keep_order(&arrays, ret);
    ff_status st = complex                   ? ff_source_from_complex(path, &arrays, &options, &ret->source)
                   : kind == FF_FEATURES_RAW ? ff_source_from_raw(path, &arrays, &options, &ret->source)
                                             : ff_source_from_processed(path, &arrays, &options, &ret->source);
    if (st != FF_OK)
        ff_feature_input_close(ret);
    return st;
}

static bool is_named(const char *found, const char *name)
{
    return strcmp(found, name) == 0 || (strncmp(found, "in/", 3) == 0 && strcmp(found + 3, name) == 0);
}

bool ff_feature_input_is_complex(const char *path)
{
    struct ff_npz *z;
    if (ff_npz_open(path, &z) != FF_OK) {
        ff_status_clear();
        return false;
    }
    bool asym_id = false, processed = false;
    for (int i = 0; i < ff_npz_count(z); i++) {
        asym_id = asym_id || is_named(ff_npz_header(z, i)->name, "asym_id");
        processed = processed || is_named(ff_npz_header(z, i)->name, "msa_feat");
    }
    ff_npz_close(z);
    return asym_id && !processed;
}

static char *safe_word(const char *text, size_t n)
{
    size_t len = 0;
    while (len < n && text[len] != ' ' && text[len] != '\t' && text[len] != '\0')
        len++;
    return ff_fasta_safe_name(text, len);
}

/* Name of the record that raw features were made of; NULL when they do not tell. */
static ff_status record_name(struct ff_npz *z, char **ret)
{
    for (int i = 0; i < ff_npz_count(z); i++) {
        const struct ff_array *header = ff_npz_header(z, i);
        if (strcmp(header->name, "domain_name") != 0 || header->dtype != FF_U8)
            continue;
        struct ff_array a;
        FF_TRY(ff_npz_read(z, i, &a));
        char *name = safe_word(a.data, (size_t)ff_array_count(&a));
        ff_array_free(&a);
        if (*name != '\0')
            *ret = name;
        else
            free(name);
        return FF_OK;
    }
    return FF_OK;
}

ff_status ff_feature_input_name(const char *path, char **ret)
{
    struct ff_npz *z;
    *ret = NULL;
    FF_TRY(ff_npz_open(path, &z));
    ff_status st = record_name(z, ret);
    ff_npz_close(z);
    FF_TRY(st);
    if (*ret == NULL) {
        char *stem = ff_path_stem(path);
        *ret = ff_fasta_safe_name(stem, strlen(stem));
        free(stem);
    }
    return FF_OK;
}
