/* SPDX-License-Identifier: Apache-2.0
 * chain_features: from what is known about one chain to its raw features.
 */
#include "app/chain_features.h"

#include <stdlib.h>
#include <string.h>

#include "app/search_aligner.h"
#include "base/alloc.h"
#include "base/log.h"
#include "feature/own_template.h"
#include "feature/raw_features.h"
#include "feature/template_features.h"

/* --- templates -------------------------------------------------------------------------------------------------- */

static ff_status add_own_templates(const struct ff_chain_inputs *in, struct ff_template_set *set)
{
    for (const char *p = in->templates; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, "\n");
        char *spec = ff_xstrndup(p, len), *path, *chain;
        ff_own_template_split(spec, &path, &chain);
        ff_status st = ff_own_template_add(path, chain, in->sequence, set);
        free(path);
        free(chain);
        free(spec);
        FF_TRY(st);
        p += len + (p[len] == '\n');
    }
    return FF_OK;
}

static int max_date(const struct ff_config *c)
{
    const char *text = c->databases.max_template_date;
    int date = 0;
    return text != NULL && ff_template_date_parse(text, strlen(text), &date) ? date : 99991231;
}

static ff_status add_found_templates(const struct ff_chain_inputs *in, const struct ff_search_hits *hits, int n_wanted,
                                     struct ff_template_set *set)
{
    const struct ff_database_config *d = &in->config->databases;
    if (d->template_mmcif_dir == NULL) {
        ff_warn("databases.template_mmcif_dir is not set, so the %d template hits cannot be used",
                hits->templates.count);
        return FF_OK;
    }
    struct ff_obsolete obsolete = {0};
    if (d->obsolete_pdbs != NULL)
        FF_TRY(ff_obsolete_load(d->obsolete_pdbs, &obsolete));
    struct ff_search_aligner aligner = {
        .program = in->config->tools.kalign, .tmp_parent = in->tmp_parent, .stop = in->stop};
    struct ff_template_options options = {
        .search = hits->template_search,
        .mmcif_dir = d->template_mmcif_dir,
        .max_date = max_date(in->config),
        .max_hits = n_wanted,
        .obsolete = d->obsolete_pdbs != NULL ? &obsolete : NULL,
        .align = ff_search_align,
        .align_user = &aligner,
    };
    struct ff_template_report report = {0};
    ff_status st = ff_template_features_make(in->sequence, &hits->templates, &options, set, &report);
    if (st == FF_OK) {
        ff_template_report_log(&report);
        ff_info("templates: %d of %d hits used", ff_template_report_count(&report, FF_TEMPLATE_USED),
                hits->templates.count);
    }
    ff_template_report_free(&report);
    ff_obsolete_free(&obsolete);
    return st;
}

/* *ret_any: templates were looked for, so that the features have their arrays even where none was found. */
static ff_status make_templates(const struct ff_chain_inputs *in, struct ff_arrays *ret, bool *ret_any)
{
    struct ff_template_set set = {.n_res = (int)strlen(in->sequence)};
    bool hmmsearch = false;
    *ret_any = in->templates != NULL;
    ff_status st = add_own_templates(in, &set);
    for (int i = 0; in->hits != NULL && i < in->hits->count && st == FF_OK; i++) {
        const struct ff_search_hits *hits = &in->hits->items[i];
        int n_wanted = in->config->search.max_template_hits - set.count;
        if (hits->use != FF_SEARCH_TEMPLATES)
            continue;
        *ret_any = true;
        hmmsearch = hits->template_search == FF_TEMPLATES_HMMSEARCH;
        if (n_wanted > 0)
            st = add_found_templates(in, hits, n_wanted, &set);
    }
    if (st == FF_OK && *ret_any)
        ff_template_set_to_arrays(&set, hmmsearch, ret);
    ff_template_set_free(&set);
    return st;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

ff_status ff_chain_features_make(const struct ff_chain_inputs *in, struct ff_arrays *ret)
{
    int n_hits = in->hits != NULL ? in->hits->count : 0, n_msa = 0;
    const struct ff_msa **msas = FF_NEW_ARRAY(const struct ff_msa *, (size_t)n_hits + 1);
    const struct ff_msa *pairing = NULL;
    struct ff_msa query = {0};
    struct ff_arrays templates = {0};
    bool has_templates = false;
    *ret = (struct ff_arrays){0};
    for (int i = 0; i < n_hits; i++) {
        if (in->hits->items[i].use == FF_SEARCH_MSA)
            msas[n_msa++] = &in->hits->items[i].msa;
        else if (in->hits->items[i].use == FF_SEARCH_PAIRING)
            pairing = &in->hits->items[i].msa;
    }
    if (in->msa != NULL)
        msas[n_msa++] = in->msa;
    if (n_msa == 0) {
        ff_msa_from_query(in->sequence, in->description, &query);
        msas[n_msa++] = &query;
    }
    ff_status st;
    FF_TRY_GOTO(st, make_templates(in, &templates, &has_templates), cleanup);
    FF_TRY_GOTO(st, ff_raw_features_make(in->sequence, in->description, n_msa, msas,
                                         has_templates ? &templates : NULL, ret), cleanup);
    if (pairing != NULL)
        st = ff_raw_features_add_pairing(ret, pairing);

cleanup:
    if (st != FF_OK)
        ff_arrays_free(ret);
    ff_arrays_free(&templates);
    ff_msa_free(&query);
    free(msas);
    return st;
}
