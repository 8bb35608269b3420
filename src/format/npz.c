/* SPDX-License-Identifier: Apache-2.0
 * npz: NumPy's zip of .npy files, on top of format/zip (archive) and format/npy (headers).
 */
#include "format/npz.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "format/npy.h"
#include "format/zip.h"

static const char suffix[] = ".npy";
enum { SUFFIX_LEN = sizeof suffix - 1, DATA_ALIGN = 64 };

/* ---- reading ---- */

struct entry {
    struct ff_npy_header header; /* header.array.name is owned */
    int member;                  /* in the archive */
};

struct ff_npz {
    struct ff_zip *zip;
    struct entry *entries;
    int count;
};

static ff_status read_header(const struct ff_zip *zip, int i, struct ff_npy_header *ret)
{
    const struct ff_zip_member *m = ff_zip_member(zip, i);
    uint8_t preamble[FF_NPY_PREAMBLE];
    size_t have = m->size < sizeof preamble ? (size_t)m->size : sizeof preamble, size = 0;
    FF_TRY(ff_zip_peek(zip, i, preamble, have));
    ff_status st = ff_npy_header_size(preamble, have, &size);
    if (st == FF_OK && size > m->size)
        st = ff_fail(FF_EINPUT, "the npy header is cut short");
    if (st == FF_OK) {
        uint8_t *header = ff_xmalloc(size);
        st = ff_zip_peek(zip, i, header, size);
        if (st == FF_OK)
            st = ff_npy_parse_header(header, size, ret);
        free(header);
    }
    if (st == FF_OK && ret->data_bytes != m->size - size) {
        char shape[256];
        ff_array_shape_text(&ret->array, shape, sizeof shape);
        st = ff_fail(FF_EINPUT, "%s %s needs %zu bytes of data, the file holds %" PRIu64,
                     ff_dtype_name(ret->array.dtype), shape, ret->data_bytes, m->size - size);
    }
    return ff_context(st, "%s: array '%s'", ff_zip_path(zip), m->name);
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Two arrays of one name would make the result depend on the order. */
static ff_status check_unique(const struct ff_npz *z)
{
    const char **names = FF_NEW_ARRAY(const char *, (size_t)z->count);
    for (int i = 0; i < z->count; i++)
        names[i] = z->entries[i].header.array.name;
    qsort(names, (size_t)z->count, sizeof *names, compare_names);
    ff_status st = FF_OK;
    for (int i = 1; i < z->count && st == FF_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            st = ff_fail(FF_EINPUT, "%s: two arrays have the name '%s'", ff_zip_path(z->zip), names[i]);
    free(names);
    return st;
}

ff_status ff_npz_open(const char *path, struct ff_npz **ret)
{
    *ret = NULL;
    struct ff_zip *zip;
    FF_TRY(ff_zip_open(path, &zip));
    struct ff_npz *z = FF_NEW(struct ff_npz);
    z->zip = zip;
    z->entries = FF_NEW_ARRAY(struct entry, (size_t)ff_zip_count(zip));
    ff_status st;
    for (int i = 0; i < ff_zip_count(zip); i++) {
        const char *name = ff_zip_member(zip, i)->name;
        size_t len = strlen(name);
        if (len < SUFFIX_LEN || strcmp(name + len - SUFFIX_LEN, suffix) != 0)
            continue; /* a note or the like that somebody put beside the arrays */
        struct entry *e = &z->entries[z->count];
        FF_TRY_GOTO(st, read_header(zip, i, &e->header), fail);
        e->header.array.name = ff_xstrndup(name, len - SUFFIX_LEN);
        e->member = i;
        z->count++;
    }
    FF_TRY_GOTO(st, check_unique(z), fail);
    *ret = z;
    return FF_OK;
fail:
    ff_npz_close(z);
    return st;
}

void ff_npz_close(struct ff_npz *z)
{
    if (!z)
        return;
    for (int i = 0; i < z->count; i++)
        free(z->entries[i].header.array.name);
    free(z->entries);
    ff_zip_close(z->zip);
    free(z);
}

int ff_npz_count(const struct ff_npz *z)
{
    return z->count;
}

const struct ff_array *ff_npz_header(const struct ff_npz *z, int i)
{
    FF_ASSERT(i >= 0 && i < z->count);
    return &z->entries[i].header.array;
}

int ff_npz_find(const struct ff_npz *z, const char *name)
{
    for (int i = 0; i < z->count; i++)
        if (strcmp(z->entries[i].header.array.name, name) == 0)
            return i;
    return -1;
}

/* Column-major src to row-major dst. Walks dst in order and keeps the matching index into src. */
static void fortran_to_c(const struct ff_array *a, const void *src, void *dst)
{
    size_t item = ff_dtype_size(a->dtype), count = (size_t)ff_array_count(a);
    int64_t index[FF_ARRAY_MAX_DIM] = {0};
    size_t stride[FF_ARRAY_MAX_DIM], from = 0;
    for (int d = 0; d < a->ndim; d++)
        stride[d] = d == 0 ? 1 : stride[d - 1] * (size_t)a->shape[d - 1];
    for (size_t to = 0; to < count; to++) {
        memcpy((char *)dst + to * item, (const char *)src + from * item, item);
        for (int d = a->ndim - 1; d >= 0; d--) {
            from += stride[d];
            if (++index[d] < a->shape[d])
                break;
            from -= stride[d] * (size_t)a->shape[d];
            index[d] = 0;
        }
    }
}

ff_status ff_npz_read_into(struct ff_npz *z, int i, void *dst, size_t bytes)
{
    FF_ASSERT(i >= 0 && i < z->count);
    const struct entry *e = &z->entries[i];
    const struct ff_npy_header *h = &e->header;
    FF_ASSERT(bytes == h->data_bytes);
    void *raw = h->fortran_order ? ff_xmalloc(bytes) : dst;
    ff_status st = ff_zip_read(z->zip, e->member, NULL, h->header_bytes, raw, bytes);
    if (h->fortran_order) {
        if (st == FF_OK)
            fortran_to_c(&h->array, raw, dst);
        free(raw);
    }
    if (st == FF_OK && h->array.dtype == FF_BOOL)
        for (size_t k = 0; k < bytes; k++) /* any other value of a C bool would be undefined */
            ((uint8_t *)dst)[k] = ((const uint8_t *)dst)[k] != 0;
    return st;
}

ff_status ff_npz_read(struct ff_npz *z, int i, struct ff_array *ret)
{
    *ret = *ff_npz_header(z, i);
    size_t bytes = ff_array_bytes(ret);
    ret->data = ff_xmalloc(bytes);
    ret->name = ff_xstrdup(ret->name);
    ff_status st = ff_npz_read_into(z, i, ret->data, bytes);
    if (st != FF_OK)
        ff_array_free(ret);
    return st;
}

ff_status ff_npz_load(const char *path, struct ff_arrays *ret)
{
    *ret = (struct ff_arrays){0};
    struct ff_npz *z;
    FF_TRY(ff_npz_open(path, &z));
    ff_status st = FF_OK;
    ret->items = FF_NEW_ARRAY(struct ff_array, (size_t)z->count);
    ret->capacity = z->count;
    for (int i = 0; i < z->count && st == FF_OK; i++) {
        st = ff_npz_read(z, i, &ret->items[i]);
        if (st == FF_OK)
            ret->count++;
    }
    ff_npz_close(z);
    if (st != FF_OK)
        ff_arrays_free(ret);
    return st;
}

/* ---- writing ---- */

struct ff_npz_writer {
    struct ff_zip_writer *zip;
    size_t header;               /* bytes before the data of the present member */
};

ff_status ff_npz_writer_open(const char *path, struct ff_npz_writer **ret)
{
    *ret = NULL;
    struct ff_zip_writer *zip;
    FF_TRY(ff_zip_writer_open(path, &zip));
    *ret = FF_NEW(struct ff_npz_writer);
    (*ret)->zip = zip;
    return FF_OK;
}

ff_status ff_npz_writer_begin(struct ff_npz_writer *w, const struct ff_array *header)
{
    struct ff_strbuf text = {0};
    ff_npy_format_header(header, &text);
    char *name = ff_xasprintf("%s%s", header->name, suffix);
    /* The header fills a multiple of 64 bytes, so the data behind it are aligned like the member. */
    ff_status st = ff_zip_writer_begin(w->zip, name, text.len + ff_array_bytes(header), DATA_ALIGN);
    if (st == FF_OK)
        st = ff_zip_writer_append(w->zip, text.s, text.len);
    w->header = text.len;
    free(name);
    ff_strbuf_free(&text);
    return st;
}

ff_status ff_npz_writer_put(struct ff_npz_writer *w, uint64_t at, const void *data, size_t bytes)
{
    return ff_zip_writer_put(w->zip, w->header + at, data, bytes);
}

ff_status ff_npz_writer_append(struct ff_npz_writer *w, const void *data, size_t bytes)
{
    return ff_zip_writer_append(w->zip, data, bytes);
}

ff_status ff_npz_writer_end(struct ff_npz_writer *w)
{
    return ff_zip_writer_end(w->zip);
}

ff_status ff_npz_writer_add(struct ff_npz_writer *w, const struct ff_array *a)
{
    FF_TRY(ff_npz_writer_begin(w, a));
    FF_TRY(ff_npz_writer_append(w, a->data, ff_array_bytes(a)));
    return ff_npz_writer_end(w);
}

ff_status ff_npz_writer_commit(struct ff_npz_writer *w)
{
    ff_status st = ff_zip_writer_commit(w->zip);
    free(w);
    return st;
}

void ff_npz_writer_abort(struct ff_npz_writer *w)
{
    if (!w)
        return;
    ff_zip_writer_abort(w->zip);
    free(w);
}

ff_status ff_npz_save(const char *path, const struct ff_arrays *s)
{
    struct ff_npz_writer *w;
    FF_TRY(ff_npz_writer_open(path, &w));
    for (int i = 0; i < s->count; i++) {
        ff_status st = ff_npz_writer_add(w, &s->items[i]);
        if (st != FF_OK) {
            ff_npz_writer_abort(w);
            return st;
        }
    }
    return ff_npz_writer_commit(w);
}
