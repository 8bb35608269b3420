/* SPDX-License-Identifier: Apache-2.0
 * feature_file: .npz files of features.
 */
#include "feature/feature_file.h"

#include <string.h>

#include "base/alloc.h"
#include "format/npz.h"

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Name without the prefix; NULL for arrays that are no input. */
static const char *input_name(const char *name)
{
    if (starts_with(name, "in/"))
        return name + 3;
    return starts_with(name, "out/") || strcmp(name, "meta") == 0 ? NULL : name;
}

static ff_status read_member(struct ff_npz *z, int i, const char *path, struct ff_arrays *ret)
{
    const char *name = input_name(ff_npz_header(z, i)->name);
    if (name == NULL)
        return FF_OK;
    if (ff_arrays_find(ret, name) != NULL)
        return ff_fail(FF_EINPUT, "%s: array %s is there twice, with and without the prefix in/", path, name);
    FF_GROW(ret->items, ret->count, ret->capacity);
    struct ff_array *a = &ret->items[ret->count];
    FF_TRY(ff_npz_read(z, i, a));
    ret->count++;
    if (name != ff_npz_header(z, i)->name)
        memmove(a->name, a->name + 3, strlen(a->name + 3) + 1);
    return FF_OK;
}

ff_status ff_feature_file_load(const char *path, enum ff_feature_kind *ret_kind, struct ff_arrays *ret)
{
    *ret = (struct ff_arrays){0};
    struct ff_npz *z;
    FF_TRY(ff_npz_open(path, &z));
    ff_status st = FF_OK;
    for (int i = 0; i < ff_npz_count(z) && st == FF_OK; i++)
        st = read_member(z, i, path, ret);
    ff_npz_close(z);
    if (st == FF_OK) {
        if (ff_arrays_find(ret, "msa_feat"))
            *ret_kind = FF_FEATURES_PROCESSED;
        else if (ff_arrays_find(ret, "asym_id") && ff_arrays_find(ret, "msa"))
            *ret_kind = FF_FEATURES_COMPLEX;
        else if (ff_arrays_find(ret, "deletion_matrix_int") && ff_arrays_find(ret, "msa"))
            *ret_kind = FF_FEATURES_RAW;
        else
            st = ff_fail(FF_EINPUT,
                         "%s: no features; expected the arrays of features.npz (msa, deletion_matrix_int, ...), of a "
                         "complex (msa, asym_id, ...) or processed ones (msa_feat, ...)", path);
    }
    if (st != FF_OK)
        ff_arrays_free(ret);
    return st;
}
