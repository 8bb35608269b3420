/* SPDX-License-Identifier: Apache-2.0
 * target_features: searches and raw features of a chain or a complex.
 */
#include "app/target_features.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/chain_features.h"
#include "app/output.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "feature/assembly.h"
#include "feature/raw_features.h"
#include "format/json.h"

void ff_target_hits_free(struct ff_target_hits *h)
{
    for (int e = 0; e < h->n_entity; e++)
        ff_search_results_free(&h->items[e]);
    free(h->items);
    *h = (struct ff_target_hits){0};
}

/* --- searches ---------------------------------------------------------------------------------------------------- */

/* Folder of an entity's alignments. Caller frees. */
static char *entity_dir(const struct ff_target_inputs *in, int entity)
{
    return in->complex ? ff_output_chain_dir(in->msa_dir, ff_target_entity(in->target, entity)->id)
                       : ff_xstrdup(in->msa_dir);
}

static struct ff_search_request request(const struct ff_target_inputs *in, int entity, const char *dir)
{
    return (struct ff_search_request){
        .name = in->target->name,
        .sequence = ff_target_entity(in->target, entity)->sequence,
        .msa_dir = dir,
        .tmp_parent = in->tmp_parent,
        .pairing = in->complex && in->target->n_entity > 1,
        .stop = in->stop,
    };
}

/* What went wrong, with the chain where there are several. */
static ff_status name_chain(const struct ff_target_inputs *in, int entity, ff_status st)
{
    return in->target->n_chain > 1 ? ff_context(st, "chain %s", ff_target_entity(in->target, entity)->id) : st;
}

ff_status ff_target_features_check(const struct ff_target_inputs *in, int *ret_n_run)
{
    *ret_n_run = 0;
    for (int e = 0; in->searches != NULL && e < in->target->n_entity; e++) {
        char *dir = entity_dir(in, e);
        struct ff_search_request q = request(in, e, dir);
        int n_run = 0;
        ff_status st = ff_searches_check(in->searches, &q, &n_run);
        free(dir);
        FF_TRY(st);
        *ret_n_run += n_run;
    }
    return FF_OK;
}

/* As published: {"A": {"description": .., "sequence": ..}, ...} with keys in the order of their bytes. */
static ff_status write_chain_map(const struct ff_target_inputs *in)
{
    const struct ff_target *t = in->target;
    bool *written = FF_NEW_ARRAY(bool, (size_t)t->n_chain);
    struct ff_strbuf text = {0};
    struct ff_json j;
    ff_json_init(&j, &text, 4);
    ff_json_begin_object(&j);
    for (int n = 0; n < t->n_chain; n++) {
        int next = -1;
        for (int i = 0; i < t->n_chain; i++)
            if (!written[i] && (next < 0 || strcmp(t->chains[i].id, t->chains[next].id) < 0))
                next = i;
        written[next] = true;
        ff_json_key(&j, t->chains[next].id);
        ff_json_begin_object(&j);
        ff_json_key(&j, "description");
        ff_json_string(&j, t->chains[next].description);
        ff_json_key(&j, "sequence");
        ff_json_string(&j, t->chains[next].sequence);
        ff_json_end_object(&j);
    }
    ff_json_end_object(&j);
    char *path = ff_output_chain_map(in->msa_dir);
    ff_status st = ff_mkdirs(in->msa_dir);
    if (st == FF_OK)
        st = ff_file_write(path, text.s, text.len);
    free(path);
    ff_strbuf_free(&text);
    free(written);
    return st;
}

/* The searches of one entity, in a thread of their own. */
struct entity_search {
    const struct ff_target_inputs *in;
    int entity;
    struct ff_search_results *hits;
    ff_status status;
    char *message;               /* of a failure */
};

static void *search_entity(void *user)
{
    struct entity_search *s = user;
    char *dir = entity_dir(s->in, s->entity);
    struct ff_search_request q = request(s->in, s->entity, dir);
    s->status = name_chain(s->in, s->entity, ff_searches_run(s->in->searches, &q, s->hits));
    if (s->status != FF_OK)
        s->message = ff_xstrdup(ff_status_message());
    free(dir);
    return NULL;
}

/* All entities side by side; the searches themselves share processors and memory (app/search_budget). After a failure
 * the others end what they do, and it is kept. */
static ff_status search_entities(struct entity_search *searches, int n)
{
    pthread_t *threads = FF_NEW_ARRAY(pthread_t, (size_t)n);
    bool *started = FF_NEW_ARRAY(bool, (size_t)n);
    for (int e = 1; e < n; e++)
        started[e] = pthread_create(&threads[e], NULL, search_entity, &searches[e]) == 0;
    for (int e = 0; e < n; e++)
        if (!started[e])
            search_entity(&searches[e]);
    for (int e = 1; e < n; e++)
        if (started[e])
            pthread_join(threads[e], NULL);
    ff_status st = FF_OK;
    for (int e = 0; e < n; e++) {
        if (st == FF_OK && searches[e].status != FF_OK)
            st = ff_fail(searches[e].status, "%s", searches[e].message);
        free(searches[e].message);
    }
    free(started);
    free(threads);
    return st;
}

ff_status ff_target_features_search(const struct ff_target_inputs *in, struct ff_target_hits *ret)
{
    int n = in->target->n_entity;
    *ret = (struct ff_target_hits){0};
    if (in->complex)
        FF_TRY(write_chain_map(in));
    ret->n_entity = n;
    ret->items = FF_NEW_ARRAY(struct ff_search_results, (size_t)n);
    struct entity_search *searches = FF_NEW_ARRAY(struct entity_search, (size_t)n);
    for (int e = 0; e < n; e++)
        searches[e] = (struct entity_search){.in = in, .entity = e, .hits = &ret->items[e]};
    ff_status st = search_entities(searches, n);
    free(searches);
    if (st != FF_OK)
        ff_target_hits_free(ret);
    return st;
}

int ff_target_features_records(const struct ff_target_inputs *in, const struct ff_target_hits *hits,
                               struct ff_search_record **ret)
{
    int count = 0;
    for (int e = 0; e < hits->n_entity; e++)
        count += hits->items[e].count;
    *ret = FF_NEW_ARRAY(struct ff_search_record, (size_t)count);
    struct ff_search_record *r = *ret;
    for (int e = 0; e < hits->n_entity; e++) {
        for (int i = 0; i < hits->items[e].count; i++, r++) {
            ff_search_record_copy(&hits->items[e].items[i].record, r);
            if (!in->complex || r->file == NULL)
                continue;
            char *file = ff_path_join(ff_target_entity(in->target, e)->id, r->file);
            free(r->file);
            r->file = file;
        }
    }
    return count;
}

/* --- features ---------------------------------------------------------------------------------------------------- */

static ff_status make_chain(const struct ff_target_inputs *in, const struct ff_target_hits *hits, int entity,
                            struct ff_arrays *ret)
{
    const struct ff_chain *chain = ff_target_entity(in->target, entity);
    struct ff_chain_inputs inputs = {
        .config = in->config,
        .sequence = chain->sequence,
        .description = chain->description,
        .hits = entity < hits->n_entity ? &hits->items[entity] : NULL,
        .msa = in->msa != NULL ? &in->msa->own[entity] : NULL,
        .templates = in->templates,
        .tmp_parent = in->tmp_parent,
        .stop = in->stop,
    };
    ff_status st = ff_chain_features_make(&inputs, ret);
    if (st == FF_OK && in->msa != NULL && in->msa->paired[entity].n_row > 0)
        st = ff_raw_features_add_paired(ret, &in->msa->paired[entity]);
    return name_chain(in, entity, st);
}

ff_status ff_target_features_make(const struct ff_target_inputs *in, const struct ff_target_hits *hits,
                                  struct ff_arrays *ret)
{
    const struct ff_target *t = in->target;
    *ret = (struct ff_arrays){0};
    if (!in->complex)
        return make_chain(in, hits, 0, ret);
    struct ff_arrays *raw = FF_NEW_ARRAY(struct ff_arrays, (size_t)t->n_entity);
    const struct ff_arrays **chains = FF_NEW_ARRAY(const struct ff_arrays *, (size_t)t->n_chain);
    ff_status st = FF_OK;
    for (int e = 0; e < t->n_entity && st == FF_OK; e++)
        st = make_chain(in, hits, e, &raw[e]);
    for (int c = 0; c < t->n_chain; c++)
        chains[c] = &raw[t->chains[c].entity];
    if (st == FF_OK)
        st = ff_assembly_make(t->n_chain, chains, ret);
    if (st == FF_OK)
        ff_arrays_add_text(ret, "domain_name", t->name, strlen(t->name));
    for (int e = 0; e < t->n_entity; e++)
        ff_arrays_free(&raw[e]);
    free(chains);
    free(raw);
    return st;
}
