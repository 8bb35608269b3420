/* SPDX-License-Identifier: Apache-2.0 */
#include "feature/template_features.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/mmcif.h"

enum { N_CACHE = 8 };            /* structures held: hits of one entry follow each other closely */

struct entry {
    char id[5];                  /* "" when the place is free */
    ff_status st;
    char *problem;               /* why it cannot be used, when st is not FF_OK */
    struct ff_mmcif mmcif;
    long last_use;
};

struct maker {
    const char *query;
    const struct ff_template_options *opt;
    struct ff_template_set *set;
    struct ff_template_report *report;
    struct ff_strset seen;       /* template sequences, for hmmsearch */
    struct entry cache[N_CACHE];
    long clock;
};

/* --- report --- */

void ff_template_report_free(struct ff_template_report *r)
{
    for (int i = 0; i < r->count; i++) {
        free(r->items[i].name);
        free(r->items[i].message);
    }
    free(r->items);
    *r = (struct ff_template_report){0};
}

int ff_template_report_count(const struct ff_template_report *r, enum ff_template_fate fate)
{
    int n = 0;
    for (int i = 0; i < r->count; i++)
        n += r->items[i].fate == fate;
    return n;
}

void ff_template_report_log(const struct ff_template_report *r)
{
    for (int i = 0; i < r->count; i++) {
        const struct ff_template_fate_of_hit *f = &r->items[i];
        const char *message = f->message ? f->message : "";
        switch (f->fate) {
        case FF_TEMPLATE_USED:
            if (f->message)
                ff_info("template %s (hit %d): %s", f->name, f->index, message);
            break;
        case FF_TEMPLATE_FILTERED:
            ff_debug("template hit %d (%s) left out: %s", f->index, f->name, message);
            break;
        case FF_TEMPLATE_WARNING:
        case FF_TEMPLATE_ERROR:
            ff_warn("template hit %d (%s) skipped: %s", f->index, f->name, message);
            break;
        }
    }
}

/* Takes over message. */
static void report(struct maker *m, const struct ff_template_hit *hit, const char *name, enum ff_template_fate fate,
                   char *message)
{
    struct ff_template_report *r = m->report;

    if (!r) {
        free(message);
        return;
    }
    FF_GROW(r->items, r->count, r->capacity);
    r->items[r->count++] = (struct ff_template_fate_of_hit){hit->index, ff_xstrdup(name), fate, message};
}

static void report_text(struct maker *m, const struct ff_template_hit *hit, const char *name,
                        enum ff_template_fate fate, const char *fmt, ...) FF_PRINTF(5, 6);

static void report_text(struct maker *m, const struct ff_template_hit *hit, const char *name,
                        enum ff_template_fate fate, const char *fmt, ...)
{
    struct ff_strbuf b = {0};
    va_list ap;

    va_start(ap, fmt);
    ff_strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    report(m, hit, name, fate, ff_strbuf_detach(&b));
}

/* --- structures --- */

static ff_status load_structure(const char *dir, const char *id, struct ff_mmcif *ret)
{
    char *names[4] = {
        ff_xasprintf("%s/%s.cif", dir, id),
        ff_xasprintf("%s/%s.cif.gz", dir, id),
        ff_xasprintf("%s/%.2s/%s.cif", dir, id + 1, id),
        ff_xasprintf("%s/%.2s/%s.cif.gz", dir, id + 1, id),
    };
    ff_status st = FF_EMISSING;
    bool found = false;

    for (int i = 0; i < 4 && !found; i++) {
        found = ff_file_exists(names[i]);
        if (found)
            st = ff_mmcif_load(names[i], ret);
    }
    if (!found)
        st = ff_fail(FF_EMISSING, "%s: no such file (nor compressed, nor in folder %.2s)", names[0], id + 1);
    for (int i = 0; i < 4; i++)
        free(names[i]);
    return st;
}

static const struct entry *get_structure(struct maker *m, const char *id)
{
    struct entry *place = &m->cache[0];

    m->clock++;
    for (int i = 0; i < N_CACHE; i++) {
        if (m->cache[i].last_use > 0 && strcmp(m->cache[i].id, id) == 0) {
            m->cache[i].last_use = m->clock;
            return &m->cache[i];
        }
        if (m->cache[i].last_use < place->last_use)
            place = &m->cache[i];
    }
    ff_mmcif_free(&place->mmcif);
    free(place->problem);
    *place = (struct entry){.last_use = m->clock};
    memcpy(place->id, id, strlen(id) + 1);
    place->st = load_structure(m->opt->mmcif_dir, id, &place->mmcif);
    if (place->st != FF_OK)
        place->problem = ff_xstrdup(ff_status_message());
    return place;
}

static void free_cache(struct maker *m)
{
    for (int i = 0; i < N_CACHE; i++) {
        ff_mmcif_free(&m->cache[i].mmcif);
        free(m->cache[i].problem);
    }
}

/* --- one hit --- */

/* A hit on its way. */
struct attempt {
    const struct ff_template_hit *hit;
    char id[5];                  /* entry that is read */
    char *chain_id;              /* as the hit says */
    char *name;                  /* id_chain */
    char *letters;               /* template sequence that the mapping's numbers belong to */
    struct ff_template_mapping mapping;
    const struct ff_mmcif_chain *chain;
    int offset;                  /* of letters in the chain */
    char *note;                  /* what happened on the way, for used hits */
};

static void attempt_free(struct attempt *a)
{
    free(a->chain_id);
    free(a->name);
    free(a->letters);
    free(a->note);
    ff_template_mapping_free(&a->mapping);
}

/* Name, obsolete entries and the filters that need no structure. false: the hit has had its fate. */
static bool pass_prefilter(struct maker *m, struct attempt *a)
{
    const struct ff_template_options *opt = m->opt;
    const struct ff_template_hit *hit = a->hit;

    if (!ff_template_hit_id(hit, a->id, &a->chain_id)) {
        a->chain_id = NULL;
        report_text(m, hit, hit->name, FF_TEMPLATE_WARNING, "the name does not start with a PDB id, '_' and a chain");
        return false;
    }
    const char *successor = opt->obsolete ? ff_obsolete_find(opt->obsolete, a->id) : NULL;
    if (successor && successor[0] == '\0') {
        a->name = ff_xasprintf("%s_%s", a->id, a->chain_id);
        report_text(m, hit, a->name, FF_TEMPLATE_WARNING, "the PDB removed entry %s", a->id);
        return false;
    }
    if (successor && (!opt->dates || ff_release_dates_find(opt->dates, a->id) == 0))
        memcpy(a->id, successor, sizeof a->id);
    a->name = ff_xasprintf("%s_%s", a->id, a->chain_id);

    const char *reason = NULL;
    switch (ff_template_prefilter(hit, a->id, m->query, opt->dates, opt->max_date)) {
    case FF_TEMPLATE_PASSES:
        break;
    case FF_TEMPLATE_TOO_NEW:
        reason = "released after the latest date wanted";
        break;
    case FF_TEMPLATE_TOO_FEW:
        reason = "covers a tenth of the query or less";
        break;
    case FF_TEMPLATE_DUPLICATE:
        reason = "is the query itself";
        break;
    case FF_TEMPLATE_TOO_SHORT:
        reason = "has less than 10 residues";
        break;
    }
    if (reason)
        report_text(m, hit, a->name, FF_TEMPLATE_FILTERED, "%s", reason);
    return !reason;
}

/* The structure's own date. */
static bool pass_date(struct maker *m, struct attempt *a, const struct ff_mmcif *mmcif)
{
    int date;

    if (!mmcif->release_date
        || !ff_template_date_parse(mmcif->release_date, strlen(mmcif->release_date), &date)) {
        report_text(m, a->hit, a->name, FF_TEMPLATE_WARNING, "its mmCIF file has no release date");
        return false;
    }
    if (date > m->opt->max_date) {
        report_text(m, a->hit, a->name, FF_TEMPLATE_FILTERED, "released on %s, after the latest date wanted",
                    mmcif->release_date);
        return false;
    }
    return true;
}

/* The published program cannot report errors of hits without sum_probs; it stops. Here they are warnings. */
static enum ff_template_fate error_fate(const struct ff_template_hit *hit)
{
    return isnan(hit->sum_probs) ? FF_TEMPLATE_WARNING : FF_TEMPLATE_ERROR;
}

/* Aligns the hit to the sequence in the structure. *go_on false: the hit has had its fate. */
static ff_status realign(struct maker *m, struct attempt *a, const struct ff_mmcif *mmcif, bool *go_on)
{
    const struct ff_mmcif_chain *chain = ff_template_match_fallback(mmcif, a->chain_id);

    *go_on = false;
    if (!chain) {
        report_text(m, a->hit, a->name, error_fate(a->hit), "the structure has no protein chain %s", a->chain_id);
        return FF_OK;
    }
    ff_status st = ff_template_match_realign(a->letters, chain, m->opt->align, m->opt->align_user, &a->mapping);
    if (st == FF_EINTERRUPT || st == FF_ETERMINATE)
        return st;
    if (st != FF_OK) {
        report_text(m, a->hit, a->name, error_fate(a->hit), "%s", ff_status_message());
        return FF_OK;
    }
    if (strcmp(chain->id, a->chain_id) != 0) {
        report_text(m, a->hit, a->name, FF_TEMPLATE_WARNING, "the structure has no chain %s to take atoms from",
                    a->chain_id);
        return FF_OK;
    }
    free(a->letters);
    a->letters = ff_xstrdup(chain->sequence);
    a->chain = chain;
    a->offset = 0;
    a->note = ff_xasprintf("the hit's sequence is not in the structure as it is; it was aligned anew to chain %s",
                           chain->id);
    *go_on = true;
    return FF_OK;
}

static void lay(struct maker *m, struct attempt *a)
{
    char *what_failed;
    char *domain = ff_xasprintf("%s_%s", a->id, a->chain->id);
    struct ff_template *t = ff_template_set_add(m->set, domain);

    free(domain);
    switch (ff_template_match_lay(a->chain, a->letters, a->offset, &a->mapping, m->set->n_res, t, &what_failed)) {
    case FF_TEMPLATE_LAID:
        break;
    case FF_TEMPLATE_NO_ATOMS:
        ff_template_set_drop_last(m->set);
        report(m, a->hit, a->name, FF_TEMPLATE_WARNING, what_failed);
        return;
    case FF_TEMPLATE_NO_CHAIN:
        ff_template_set_drop_last(m->set);
        report(m, a->hit, a->name, error_fate(a->hit), what_failed);
        return;
    }
    t->sum_probs = isnan(a->hit->sum_probs) ? 0 : a->hit->sum_probs;
    if (m->opt->search == FF_TEMPLATES_HMMSEARCH) {
        bool added;
        ff_strset_add(&m->seen, t->sequence, (size_t)m->set->n_res, &added);
        if (!added) {
            ff_template_set_drop_last(m->set);
            report_text(m, a->hit, a->name, FF_TEMPLATE_FILTERED, "repeats the sequence of a template before it");
            return;
        }
    }
    report(m, a->hit, a->name, FF_TEMPLATE_USED, a->note);
    a->note = NULL;
}

static ff_status try_hit(struct maker *m, struct attempt *a)
{
    if (!pass_prefilter(m, a))
        return FF_OK;
    a->letters = ff_template_hit_letters(a->hit);
    if (!ff_template_mapping_build(a->hit, m->query, &a->mapping)) {
        report_text(m, a->hit, a->name, FF_TEMPLATE_WARNING, "its alignment has no residue pair");
        return FF_OK;
    }
    const struct entry *e = get_structure(m, a->id);
    if (e->st != FF_OK) {
        report_text(m, a->hit, a->name, FF_TEMPLATE_WARNING, "%s", e->problem);
        return FF_OK;
    }
    if (!pass_date(m, a, &e->mmcif))
        return FF_OK;
    a->chain = ff_template_match_find(&e->mmcif, a->chain_id, a->letters, &a->offset);
    if (!a->chain) {
        bool go_on;
        FF_TRY(realign(m, a, &e->mmcif, &go_on));
        if (!go_on)
            return FF_OK;
    }
    lay(m, a);
    return FF_OK;
}

/* --- all hits --- */

struct rank {
    double sum_probs;
    int place;                   /* in the file */
};

static int compare_ranks(const void *x, const void *y)
{
    const struct rank *a = x, *b = y;
    if (a->sum_probs != b->sum_probs)
        return a->sum_probs > b->sum_probs ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

ff_status ff_template_features_make(const char *query, const struct ff_template_hits *hits,
                                    const struct ff_template_options *opt, struct ff_template_set *set,
                                    struct ff_template_report *ret_report)
{
    struct maker m = {.query = query, .opt = opt, .set = set, .report = ret_report};
    struct rank *order = ff_xmalloc((size_t)hits->count * sizeof *order);
    int n_before = set->count;
    ff_status st = FF_OK;

    FF_ASSERT((size_t)set->n_res == strlen(query));
    for (int i = 0; i < hits->count; i++)
        order[i] = (struct rank){isnan(hits->items[i].sum_probs) ? 0 : hits->items[i].sum_probs, i};
    qsort(order, (size_t)hits->count, sizeof *order, compare_ranks);
    for (int i = 0; i < hits->count && set->count - n_before < opt->max_hits && st == FF_OK; i++) {
        struct attempt a = {.hit = &hits->items[order[i].place]};
        st = try_hit(&m, &a);
        attempt_free(&a);
    }
    free(order);
    free_cache(&m);
    ff_strset_free(&m.seen);
    return st;
}
