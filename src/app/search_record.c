/* SPDX-License-Identifier: Apache-2.0
 * search_record: how one alignment came to be, and the manifest of a msas/ folder.
 */
#include "app/search_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strbuf.h"

static const char manifest_file[] = "searches.json";

/* --- records ---------------------------------------------------------------------------------------------------- */

/* The strings of a record with their keys: what free, copy, put and get all go through. */
static const struct {
    const char *key;
    size_t offset;
} texts[] = {
    {"name", offsetof(struct ff_search_record, name)},
    {"file", offsetof(struct ff_search_record, file)},
    {"key", offsetof(struct ff_search_record, key)},
    {"sha256", offsetof(struct ff_search_record, sha256)},
    {"input", offsetof(struct ff_search_record, input)},
    {"database", offsetof(struct ff_search_record, database)},
    {"program", offsetof(struct ff_search_record, program)},
    {"version", offsetof(struct ff_search_record, version)},
    {"command", offsetof(struct ff_search_record, command)},
};
enum { N_TEXT = sizeof texts / sizeof texts[0] };

static char **text_of(struct ff_search_record *r, int i)
{
    return (char **)(void *)((char *)r + texts[i].offset);
}

static const char *const_text_of(const struct ff_search_record *r, int i)
{
    const char *s;
    memcpy(&s, (const char *)r + texts[i].offset, sizeof s);
    return s;
}

void ff_search_record_free(struct ff_search_record *r)
{
    for (int i = 0; i < N_TEXT; i++)
        free(*text_of(r, i));
    *r = (struct ff_search_record){0};
}

void ff_search_record_copy(const struct ff_search_record *r, struct ff_search_record *ret)
{
    *ret = *r;
    for (int i = 0; i < N_TEXT; i++) {
        const char *s = const_text_of(r, i);
        *text_of(ret, i) = s != NULL ? ff_xstrdup(s) : NULL;
    }
}

void ff_search_record_put(struct ff_json *j, const struct ff_search_record *r)
{
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"database_bytes", r->database_bytes},
        {"max_rows", r->max_rows},
        {"rows", r->rows},
        {"peak_bytes", (int64_t)r->peak_bytes},
    };
    ff_json_begin_object(j);
    for (int i = 0; i < N_TEXT; i++) {
        const char *s = const_text_of(r, i);
        if (s == NULL)
            continue;
        ff_json_key(j, texts[i].key);
        ff_json_string(j, s);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        ff_json_key(j, numbers[i].key);
        ff_json_int(j, numbers[i].value);
    }
    ff_json_key(j, "seconds");
    ff_json_double(j, r->seconds);
    ff_json_key(j, "reused");
    ff_json_bool(j, r->reused);
    ff_json_end_object(j);
}

static int64_t get_int(const struct ff_yaml *map, const char *key, int64_t missing)
{
    const struct ff_yaml *n = ff_yaml_get(map, key);
    int64_t v;
    return n != NULL && ff_yaml_to_int(n, &v) ? v : missing;
}

void ff_search_record_get(const struct ff_yaml *n, struct ff_search_record *ret)
{
    const struct ff_yaml *seconds = ff_yaml_get(n, "seconds");
    double s = 0;
    *ret = (struct ff_search_record){
        .database_bytes = get_int(n, "database_bytes", -1),
        .max_rows = (int)get_int(n, "max_rows", 0),
        .rows = (int)get_int(n, "rows", 0),
        .seconds = seconds != NULL && ff_yaml_to_double(seconds, &s) ? s : 0,
        .peak_bytes = (size_t)get_int(n, "peak_bytes", 0),
    };
    for (int i = 0; i < N_TEXT; i++) {
        const struct ff_yaml *t = ff_yaml_get(n, texts[i].key);
        if (t != NULL && t->kind == FF_YAML_SCALAR && !ff_yaml_is_null(t))
            *text_of(ret, i) = ff_xstrdup(t->text);
    }
}

/* --- the manifest ----------------------------------------------------------------------------------------------- */

void ff_search_manifest_read(const char *msa_dir, struct ff_search_manifest *ret)
{
    *ret = (struct ff_search_manifest){0};
    char *path = ff_path_join(msa_dir, manifest_file);
    struct ff_yaml *root = NULL;
    if (ff_file_exists(path) && ff_yaml_load(path, &root) == FF_OK) {
        const struct ff_yaml *list = ff_yaml_get(root, "searches");
        if (list != NULL && list->kind == FF_YAML_LIST && list->count > 0) {
            ret->items = FF_NEW_ARRAY(struct ff_search_record, (size_t)list->count);
            for (int i = 0; i < list->count; i++)
                ff_search_record_get(&list->items[i], &ret->items[ret->count++]);
        }
    }
    ff_status_clear();
    ff_yaml_free(root);
    free(path);
}

ff_status ff_search_manifest_write(const char *msa_dir, const struct ff_search_manifest *m)
{
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_json_init(&j, &text, 4);
    ff_json_begin_object(&j);
    ff_json_key(&j, "searches");
    ff_json_begin_array(&j);
    for (int i = 0; i < m->count; i++)
        ff_search_record_put(&j, &m->items[i]);
    ff_json_end_array(&j);
    ff_json_end_object(&j);
    ff_strbuf_putc(&text, '\n');
    char *path = ff_path_join(msa_dir, manifest_file);
    ff_status st = ff_file_write(path, text.s, text.len);
    free(path);
    ff_strbuf_free(&text);
    return st;
}

static int find(const struct ff_search_manifest *m, const char *file)
{
    for (int i = 0; i < m->count; i++)
        if (m->items[i].file != NULL && strcmp(m->items[i].file, file) == 0)
            return i;
    return -1;
}

const struct ff_search_record *ff_search_manifest_find(const struct ff_search_manifest *m, const char *file)
{
    int i = find(m, file);
    return i >= 0 ? &m->items[i] : NULL;
}

void ff_search_manifest_set(struct ff_search_manifest *m, const struct ff_search_record *r)
{
    int i = find(m, r->file);
    if (i < 0) {
        m->items = ff_xreallocarray(m->items, (size_t)m->count + 1, sizeof *m->items);
        i = m->count++;
    } else {
        ff_search_record_free(&m->items[i]);
    }
    ff_search_record_copy(r, &m->items[i]);
}

void ff_search_manifest_free(struct ff_search_manifest *m)
{
    for (int i = 0; i < m->count; i++)
        ff_search_record_free(&m->items[i]);
    free(m->items);
    *m = (struct ff_search_manifest){0};
}
