/* SPDX-License-Identifier: Apache-2.0
 * run_key: what decides the results of a run.
 */
#include "app/run_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "feature/own_template.h"
#include "format/zip.h"

/* Raised when the same inputs give other results. */
enum { FEATURES_VERSION = 1, PREDICTION_VERSION = 1 };

static void finish(struct ff_strbuf *text, char ret[FF_KEY_SIZE])
{
    ff_hash_sha256_hex(ff_strbuf_cstr(text), text->len, ret);
    ff_strbuf_free(text);
}

void ff_run_key_features(const char *sequence, bool complex, const char *msa_sha256,
                         const struct ff_searches *searches, char ret[FF_KEY_SIZE])
{
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "features %d\n%s\n", FEATURES_VERSION, sequence);
    if (complex)
        ff_strbuf_puts(&text, "complex\n");
    if (msa_sha256 != NULL)
        ff_strbuf_printf(&text, "msa %s\n", msa_sha256);
    else if (searches != NULL)
        ff_searches_describe(searches, &text);
    finish(&text, ret);
}

void ff_run_key_prediction(const char *features_key, const struct ff_config *config, const char *params_sha256,
                           enum ff_precision precision, char ret[FF_KEY_SIZE])
{
    /* A configuration with nothing in it but what counts; its YAML text names every field. */
    struct ff_config counted = {
        .run = {.seed = config->run.seed, .precision = precision},
        .model = config->model,
        .msa = config->msa,
    };
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "prediction %d\n%s\n%s\n", PREDICTION_VERSION, features_key, params_sha256);
    ff_options_to_yaml(&counted, &text);
    finish(&text, ret);
}

ff_status ff_run_key_add_templates(const char *templates, char key[FF_KEY_SIZE])
{
    struct ff_strbuf text = {0};
    ff_strbuf_printf(&text, "%s\n", key);
    ff_status st = FF_OK;
    for (const char *p = templates; p != NULL && *p != '\0' && st == FF_OK;) {
        size_t len = strcspn(p, "\n");
        char *spec = ff_xstrndup(p, len), *path, *chain, sha256[FF_KEY_SIZE];
        ff_own_template_split(spec, &path, &chain);
        st = ff_hash_sha256_file(path, sha256);
        if (st == FF_OK)
            ff_strbuf_printf(&text, "template %s %s\n", sha256, chain != NULL ? chain : "");
        free(chain);
        free(path);
        free(spec);
        p += len + (p[len] == '\n');
    }
    if (templates != NULL && st == FF_OK)
        finish(&text, key);
    ff_strbuf_free(&text);
    return st;
}

void ff_run_key_all(int count, const char (*keys)[FF_KEY_SIZE], char ret[FF_KEY_SIZE])
{
    struct ff_strbuf text = {0};
    if (count == 1) {
        memcpy(ret, keys[0], FF_KEY_SIZE);
        return;
    }
    for (int i = 0; i < count; i++)
        ff_strbuf_printf(&text, "%s\n", keys[i]);
    finish(&text, ret);
}

ff_status ff_run_key_params(const char *path, char ret[FF_KEY_SIZE])
{
    struct ff_strbuf text = {0};
    struct ff_zip *zip = NULL;
    if (path != NULL)
        FF_TRY(ff_zip_open(path, &zip));
    else
        ff_strbuf_puts(&text, "synthetic");
    for (int i = 0; zip != NULL && i < ff_zip_count(zip); i++) {
        const struct ff_zip_member *m = ff_zip_member(zip, i);
        ff_strbuf_printf(&text, "%s %llu %08x\n", m->name, (unsigned long long)m->size, (unsigned)m->crc);
    }
    ff_zip_close(zip);
    finish(&text, ret);
    return FF_OK;
}
