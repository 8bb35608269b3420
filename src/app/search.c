/* SPDX-License-Identifier: Apache-2.0
 * search: homologues and templates of a query from databases.
 *
 *  1. Searches: which tool reads which database into which file
 *  2. Checks before anything runs
 *  3. Results
 *
 * A new database is a row in section 1. search_chain.c runs the searches.
 */
#include "app/search.h"

#include <stdlib.h>
#include <string.h>

#include "app/search_database.h"
#include "app/search_set.h"
#include "app/search_shard.h"
#include "base/alloc.h"
#include "base/file.h"

/* --- 1. searches -------------------------------------------------------------------------------------------------- */

enum { IN_FULL = 1, IN_REDUCED = 2, IN_BOTH = 3 };
enum { FOR_MONOMER = 1, FOR_MULTIMER = 2, FOR_ALL = 3 };

#define DATABASE(field) offsetof(struct ff_database_config, field)

const struct ff_search_spec ff_search_specs[] = {
    {"uniref90", "uniref90_hits.sto", "uniref90_hits.a3m", FF_SEARCH_MSA, FF_TOOL_JACKHMMER, IN_BOTH, FOR_ALL, 1,
     {DATABASE(uniref90)}, {"databases.uniref90"}, DATABASE(uniref90_max_hits)},
    {"bfd", "bfd_uniref_hits.a3m", NULL, FF_SEARCH_MSA, FF_TOOL_HHBLITS, IN_FULL, FOR_ALL, 2,
     {DATABASE(bfd), DATABASE(uniref30)}, {"databases.bfd", "databases.uniref30"}, 0},
    {"small_bfd", "small_bfd_hits.sto", "small_bfd_hits.a3m", FF_SEARCH_MSA, FF_TOOL_JACKHMMER, IN_REDUCED, FOR_ALL, 1,
     {DATABASE(small_bfd)}, {"databases.small_bfd"}, DATABASE(small_bfd_max_hits)},
    {"mgnify", "mgnify_hits.sto", "mgnify_hits.a3m", FF_SEARCH_MSA, FF_TOOL_JACKHMMER, IN_BOTH, FOR_ALL, 1,
     {DATABASE(mgnify)}, {"databases.mgnify"}, DATABASE(mgnify_max_hits)},
    {"uniprot", "uniprot_hits.sto", "uniprot_hits.a3m", FF_SEARCH_PAIRING, FF_TOOL_JACKHMMER, IN_BOTH, FOR_MULTIMER, 1,
     {DATABASE(uniprot)}, {"databases.uniprot"}, DATABASE(uniprot_max_hits)},
    {"pdb70", "pdb_hits.hhr", NULL, FF_SEARCH_TEMPLATES, FF_TOOL_HHSEARCH, IN_BOTH, FOR_MONOMER, 1,
     {DATABASE(pdb70)}, {"databases.pdb70"}, 0},
    {"pdb_seqres", "pdb_hits.sto", NULL, FF_SEARCH_TEMPLATES, FF_TOOL_HMMSEARCH, IN_BOTH, FOR_MULTIMER, 1,
     {DATABASE(pdb_seqres)}, {"databases.pdb_seqres"}, 0},
};
_Static_assert(sizeof ff_search_specs / sizeof *ff_search_specs == FF_SEARCH_SPECS, "FF_SEARCH_SPECS");

static bool wanted(const struct ff_config *c, const struct ff_search_spec *spec)
{
    int preset = c->databases.preset == FF_DB_FULL ? IN_FULL : IN_REDUCED;
    int network = c->model.multimer ? FOR_MULTIMER : FOR_MONOMER;
    if (spec->use == FF_SEARCH_TEMPLATES && !(c->search.templates && c->model.templates.enabled))
        return false;
    return (spec->presets & preset) != 0 && (spec->networks & network) != 0;
}

void ff_searches_open(const struct ff_config *config, struct ff_searches **ret)
{
    struct ff_searches *s = FF_NEW(struct ff_searches);
    s->config = config;
    pthread_mutex_init(&s->lock, NULL);
    const char *base = (const char *)&config->databases;
    for (int i = 0; i < FF_SEARCH_SPECS; i++) {
        const struct ff_search_spec *spec = &ff_search_specs[i];
        if (!wanted(config, spec))
            continue;
        struct ff_search *item = &s->items[s->count++];
        bool mmseqs = config->search.tool == FF_SEARCH_BY_MMSEQS && spec->mmseqs_file != NULL;
        item->spec = spec;
        item->tool = mmseqs ? FF_TOOL_MMSEQS : spec->tool;
        item->file = mmseqs ? spec->mmseqs_file : spec->file;
        if (spec->max_rows != 0)
            memcpy(&item->max_rows, base + spec->max_rows, sizeof item->max_rows);
        for (int k = 0; k < spec->n_database; k++) {
            const char *path;
            memcpy(&path, base + spec->database[k], sizeof path);
            if (path == NULL)
                continue;
            item->key[item->n_database] = spec->key[k];
            item->database[item->n_database++] = path;
        }
    }
    *ret = s;
}

void ff_searches_close(struct ff_searches *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < FF_TOOL_COUNT; i++) {
        free(s->programs[i].path);
        free(s->programs[i].version);
    }
    ff_search_budget_free(s->budget);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

char *ff_search_database_text(const struct ff_search *item)
{
    struct ff_strbuf b = {0};
    for (int k = 0; k < item->n_database; k++)
        ff_strbuf_printf(&b, "%s%s", k > 0 ? " " : "", item->database[k]);
    return ff_strbuf_detach(&b);
}

/* Size of the databases as they are now, -1 when that cannot be told. */
static int64_t database_bytes(const struct ff_search *item)
{
    struct ff_tool_database state = {0};
    for (int k = 0; k < item->n_database; k++) {
        if (ff_tool_check_database(item->tool, item->key[k], item->database[k], &state) != FF_OK) {
            ff_status_clear();
            return -1;
        }
    }
    return item->n_database > 0 ? state.bytes : -1;
}

void ff_searches_describe(const struct ff_searches *s, struct ff_strbuf *out)
{
    bool templates = false;
    for (int i = 0; i < s->count; i++) {
        const struct ff_search *item = &s->items[i];
        if (item->n_database == 0)
            continue;
        templates = templates || item->spec->use == FF_SEARCH_TEMPLATES;
        ff_strbuf_printf(out, "%s %s max_rows=%d bytes=%lld", item->spec->name, ff_tool_name(item->tool),
                         item->max_rows, (long long)database_bytes(item));
        for (int k = 0; k < item->n_database; k++)
            ff_strbuf_printf(out, " %s", ff_path_base(item->database[k]));
        ff_strbuf_putc(out, '\n');
    }
    if (templates)
        ff_strbuf_printf(out, "templates max_hits=%d max_date=%s\n", s->config->search.max_template_hits,
                         s->config->databases.max_template_date != NULL ? s->config->databases.max_template_date : "");
}

/* --- 2. checks ---------------------------------------------------------------------------------------------------- */

int ff_search_parts(const struct ff_searches *s, const struct ff_search *item, int cpus)
{
    enum { SMALL = 16 << 20 };   /* bytes that one program has searched before several have begun */
    enum { CPUS = 8 };           /* that one program keeps busy, when what it need not see is left out */
    int shards = s->config->search.shards;
    if (item->tool == FF_TOOL_JACKHMMER && ff_search_database_compressed(item->database[0]))
        return 1;
    if (shards == 1 || (shards == 0 && item->state.bytes < SMALL) || item->tool != FF_TOOL_JACKHMMER)
        return 0;
    int each = ff_search_shard_filters() ? CPUS : 1;
    return shards > 0 ? shards : (cpus + each - 1) / each;
}

static ff_status find_program(struct ff_searches *s, enum ff_tool tool)
{
    struct ff_search_program *p = &s->programs[tool];
    return p->path != NULL ? FF_OK : ff_tool_find(&s->config->tools, tool, &p->path, &p->version);
}

/* Whether MMseqs2 searches on a GPU: where it can and there is one, unless the configuration says otherwise. */
static ff_status look_for_gpu(struct ff_searches *s, const struct ff_search *item)
{
    enum ff_search_gpu wish = s->config->search.gpu;
    const char *path = item->database[0];
    if (wish == FF_SEARCH_GPU_NO || (wish == FF_SEARCH_GPU_AUTO && !ff_file_exists("/dev/nvidiactl")))
        return FF_OK;
    s->mmseqs_gpu = ff_tool_mmseqs_has_gpu(s->programs[FF_TOOL_MMSEQS].path);
    if (wish == FF_SEARCH_GPU_AUTO)
        return FF_OK;
    if (!s->mmseqs_gpu)
        return ff_fail(FF_EMISSING, "search.gpu is yes, but tools.mmseqs (%s) cannot search on a GPU; expected MMseqs2 "
                       "of version 16 or later, built for it", s->programs[FF_TOOL_MMSEQS].version);
    if (ff_tool_is_mmseqs_database(path) && !(ff_tool_mmseqs_type(path) & FF_MMSEQS_PADDED))
        return ff_fail(FF_EINPUT, "%s: %s is not made for a search on a GPU; make one of it by mmseqs makepaddedseqdb, "
                       "or set search.gpu to auto", item->key[0], path);
    return FF_OK;
}

static ff_status look_at_search(struct ff_searches *s, struct ff_search *item)
{
    struct ff_tool_database state = {0};
    enum ff_tool tool = item->tool;
    if (item->checked)
        return FF_OK;
    FF_TRY(find_program(s, tool));
    if (tool == FF_TOOL_HMMSEARCH)
        FF_TRY(find_program(s, FF_TOOL_HMMBUILD));
    if (tool == FF_TOOL_MMSEQS)
        FF_TRY(look_for_gpu(s, item));
    for (int k = 0; k < item->n_database; k++)
        FF_TRY(ff_tool_check_database(tool, item->key[k], item->database[k], &state));
    item->state = state;
    if (ff_search_parts(s, item, 1) > 0) {
        FF_TRY(find_program(s, FF_TOOL_PHMMER));
        FF_TRY(find_program(s, FF_TOOL_HMMBUILD));
    }
    item->checked = true;
    return FF_OK;
}

/* Tools and databases of one search; looks once. */
ff_status ff_search_look(struct ff_searches *s, struct ff_search *item)
{
    pthread_mutex_lock(&s->lock);
    ff_status st = look_at_search(s, item);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* What templates need beside the search itself. */
static ff_status check_templates(const struct ff_config *c)
{
    const struct ff_database_config *d = &c->databases;
    if (d->template_mmcif_dir == NULL)
        return ff_fail(FF_EUSAGE, "databases.template_mmcif_dir is not set, but templates are searched for; name the "
                       "folder of the PDB's mmCIF files, or give --no-templates");
    if (!ff_file_is_dir(d->template_mmcif_dir))
        return ff_fail(FF_EMISSING, "databases.template_mmcif_dir: %s is not a folder; correct the path, or give "
                       "--no-templates", d->template_mmcif_dir);
    if (d->obsolete_pdbs != NULL && !ff_file_exists(d->obsolete_pdbs))
        return ff_fail(FF_EMISSING, "databases.obsolete_pdbs: %s cannot be found", d->obsolete_pdbs);
    return FF_OK;
}

char *ff_search_mismatch(const struct ff_search *item, const struct ff_search_record *r)
{
    if (r == NULL)
        return NULL;
    bool cut = r->max_rows > 0 && r->rows >= r->max_rows;
    if (cut && (item->max_rows == 0 || item->max_rows > r->max_rows))
        return ff_xasprintf("it was cut at %d rows", r->max_rows);
    if (r->database == NULL || item->n_database == 0)
        return NULL;
    char *text = ff_search_database_text(item);
    int64_t bytes = database_bytes(item);
    bool same = strcmp(ff_path_base(r->database), ff_path_base(text)) == 0 &&
                (bytes < 0 || r->database_bytes < 0 || bytes == r->database_bytes);
    free(text);
    return same ? NULL : ff_xasprintf("it was made from another database (%s)", r->database);
}

bool ff_search_is_for(const struct ff_search *item, const struct ff_search_request *q)
{
    return item->spec->use != FF_SEARCH_PAIRING || q->pairing;
}

static ff_status check_all(struct ff_searches *s, const struct ff_search_request *q,
                           const struct ff_search_manifest *old, int *ret_n_run)
{
    int n_used = 0, n_run = 0;
    for (int i = 0; i < s->count; i++) {
        struct ff_search *item = &s->items[i];
        if (!ff_search_is_for(item, q))
            continue;
        char *path = ff_path_join(q->msa_dir, item->file);
        bool kept = ff_file_size(path) > 0;
        free(path);
        if (kept) {
            char *reason = ff_search_mismatch(item, ff_search_manifest_find(old, item->file));
            kept = reason == NULL;
            free(reason);
        }
        if (!kept && item->n_database > 0) {
            FF_TRY(ff_search_look(s, item));
            n_run++;
        }
        if (item->spec->use == FF_SEARCH_TEMPLATES && (kept || item->n_database > 0))
            FF_TRY(check_templates(s->config));
        else
            n_used += kept || item->n_database > 0;
    }
    if (n_used == 0)
        return ff_fail(FF_EUSAGE, "no sequence database is configured, so there is nothing to search; give --data-dir "
                       "or databases.* in a configuration file, an alignment of your own with --msa FILE, or --no-msa");
    if (ret_n_run != NULL)
        *ret_n_run = n_run;
    return FF_OK;
}

ff_status ff_searches_check(struct ff_searches *s, const struct ff_search_request *q, int *ret_n_run)
{
    struct ff_search_manifest old;
    ff_search_manifest_read(q->msa_dir, &old);
    ff_status st = check_all(s, q, &old, ret_n_run);
    ff_search_manifest_free(&old);
    return st;
}

/* --- 3. results ------------------------------------------------------------------------------------------------- */

void ff_search_results_free(struct ff_search_results *r)
{
    for (int i = 0; i < r->count; i++) {
        ff_search_record_free(&r->items[i].record);
        ff_msa_free(&r->items[i].msa);
        ff_template_hits_free(&r->items[i].templates);
    }
    free(r->items);
    *r = (struct ff_search_results){0};
}
