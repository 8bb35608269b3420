/* SPDX-License-Identifier: Apache-2.0
 * search_cache: results of searches that folders of results share.
 */
#include "app/search_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/strbuf.h"

/* CACHE/ab/abcdef...: one folder for the first two digits, as ten thousand targets make many files. */
static char *place_of(const char *cache_dir, const char *key, const char *suffix)
{
    return ff_xasprintf("%s/%.2s/%s%s", cache_dir, key, key, suffix);
}

static bool read_record(const char *path, struct ff_search_record *ret)
{
    struct ff_yaml *root = NULL;
    if (!ff_file_exists(path))
        return false;
    bool ok = ff_yaml_load(path, &root) == FF_OK;
    if (ok)
        ff_search_record_get(root, ret);
    else
        ff_status_clear();
    ff_yaml_free(root);
    return ok;
}

bool ff_search_cache_get(const char *cache_dir, const char *key, struct ff_search_record *ret, char **ret_text,
                         size_t *ret_len)
{
    char *record = place_of(cache_dir, key, ".json"), *file = place_of(cache_dir, key, "");
    char sha256[65];
    *ret = (struct ff_search_record){0};
    *ret_text = NULL;
    bool ok = read_record(record, ret);
    if (ok) {
        ok = ret->key != NULL && strcmp(ret->key, key) == 0 && ret->sha256 != NULL &&
             ff_file_read(file, ret_text, ret_len) == FF_OK;
        if (ok) {
            ff_hash_sha256_hex(*ret_text, *ret_len, sha256);
            ok = strcmp(sha256, ret->sha256) == 0;
        }
        if (!ok)
            ff_warn("%s is not used: it is not the file that its record tells of", file);
        ff_status_clear();
    }
    if (!ok) {
        ff_search_record_free(ret);
        free(*ret_text);
        *ret_text = NULL;
    }
    free(file);
    free(record);
    return ok;
}

static ff_status put_file(const char *path, const void *data, size_t len)
{
    char *dir = ff_path_dir(path);
    ff_status st = ff_mkdirs(dir);
    if (st == FF_OK)
        st = ff_file_write(path, data, len);
    free(dir);
    return st;
}

static void warn_put(ff_status st, const char *path)
{
    if (st == FF_OK)
        return;
    ff_warn("%s is not kept in the cache: %s", path, ff_status_message());
    ff_status_clear();
}

void ff_search_cache_put(const char *cache_dir, const struct ff_search_record *r, const char *text, size_t len)
{
    char *record = place_of(cache_dir, r->key, ".json"), *file = place_of(cache_dir, r->key, "");
    struct ff_strbuf b = {0};
    struct ff_json j;
    ff_json_init(&j, &b, 4);
    ff_search_record_put(&j, r);
    ff_strbuf_putc(&b, '\n');
    ff_status st = put_file(file, text, len);
    if (st == FF_OK)
        st = put_file(record, b.s, b.len);
    warn_put(st, file);
    ff_strbuf_free(&b);
    free(file);
    free(record);
}

bool ff_search_cache_get_number(const char *cache_dir, const char *key, int64_t *ret)
{
    char *path = place_of(cache_dir, key, ".json");
    struct ff_yaml *root = NULL;
    bool ok = ff_file_exists(path) && ff_yaml_load(path, &root) == FF_OK;
    const struct ff_yaml *value = ok ? ff_yaml_get(root, "value") : NULL;
    ok = value != NULL && ff_yaml_to_int(value, ret);
    ff_status_clear();
    ff_yaml_free(root);
    free(path);
    return ok;
}

void ff_search_cache_put_number(const char *cache_dir, const char *key, int64_t value)
{
    char *path = place_of(cache_dir, key, ".json"), *text = ff_xasprintf("{\"value\": %lld}\n", (long long)value);
    warn_put(put_file(path, text, strlen(text)), path);
    free(text);
    free(path);
}
