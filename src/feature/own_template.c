/* SPDX-License-Identifier: Apache-2.0 */
#include "feature/own_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "bio/align.h"
#include "bio/lines.h"
#include "bio/mmcif.h"
#include "bio/pdb.h"
#include "bio/residue.h"
#include "format/gzip.h"

enum { MIN_ATOMS = 5 };          /* as for templates that were searched for */

/* Alignments below this are reported as doubtful: unrelated sequences reach some 20 %. */
static const double doubtful_identity = 0.25;

/* A chain from either kind of file. */
struct own_chain {
    char *id;
    int n_res;
    char *sequence;              /* [n_res] */
    float *positions;            /* [n_res, 37, 3] */
    float *mask;                 /* [n_res, 37] */
};

struct own_chains {
    struct own_chain *items;     /* [count] */
    int count;
};

static void chains_free(struct own_chains *c)
{
    for (int i = 0; i < c->count; i++) {
        free(c->items[i].id);
        free(c->items[i].sequence);
        free(c->items[i].positions);
        free(c->items[i].mask);
    }
    free(c->items);
    *c = (struct own_chains){0};
}

static void chain_alloc(struct own_chain *c, const char *id, int n_res)
{
    *c = (struct own_chain){.id = ff_xstrdup(id), .n_res = n_res};
    c->sequence = ff_xcalloc((size_t)n_res + 1, 1);
    c->positions = FF_NEW_ARRAY(float, (size_t)n_res * FF_N_ATOM37 * 3);
    c->mask = FF_NEW_ARRAY(float, (size_t)n_res * FF_N_ATOM37);
}

/* --- reading --- */

static ff_status read_mmcif(const char *path, const char *text, size_t len, struct own_chains *ret)
{
    struct ff_mmcif m;

    if (ff_mmcif_parse(path, text, len, &m) != FF_OK)
        FF_TRY(ff_mmcif_parse_coordinates(path, text, len, &m));
    ret->items = FF_NEW_ARRAY(struct own_chain, (size_t)m.n_chain);
    for (int i = 0; i < m.n_chain; i++) {
        const struct ff_mmcif_chain *chain = &m.chains[i];
        if (chain->state != FF_MMCIF_CHAIN_OK)
            continue;
        struct own_chain *c = &ret->items[ret->count++];
        chain_alloc(c, chain->id, chain->n_res);
        memcpy(c->sequence, chain->sequence, (size_t)chain->n_res);
        ff_mmcif_chain_atom37(chain, c->positions, c->mask);
    }
    ff_mmcif_free(&m);
    return FF_OK;
}

static ff_status read_pdb(const char *path, const char *text, size_t len, struct own_chains *ret)
{
    struct ff_structure s;

    FF_TRY(ff_pdb_parse(path, text, len, &s));
    int *n_res = FF_NEW_ARRAY(int, (size_t)s.n_chain);
    for (int i = 0; i < s.n_res; i++)
        n_res[s.chain_index[i]]++;
    ret->count = s.n_chain;
    ret->items = FF_NEW_ARRAY(struct own_chain, (size_t)s.n_chain);
    for (int k = 0; k < s.n_chain; k++) {
        chain_alloc(&ret->items[k], (const char[]){s.chain_id[k], '\0'}, n_res[k]);
        n_res[k] = 0;
    }
    for (size_t i = 0; i < (size_t)s.n_res; i++) {
        struct own_chain *c = &ret->items[s.chain_index[i]];
        size_t at = (size_t)n_res[s.chain_index[i]]++;
        c->sequence[at] = ff_residue_letters[s.aatype[i]];
        memcpy(c->positions + at * FF_N_ATOM37 * 3, s.positions + i * FF_N_ATOM37 * 3,
               FF_N_ATOM37 * 3 * sizeof *c->positions);
        memcpy(c->mask + at * FF_N_ATOM37, s.mask + i * FF_N_ATOM37, FF_N_ATOM37 * sizeof *c->mask);
    }
    free(n_res);
    ff_structure_free(&s);
    return FF_OK;
}

/* mmCIF text starts with "data_", after comments and blank lines. */
static bool is_mmcif(const char *text, size_t len)
{
    struct ff_lines it;

    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it))
        if (!ff_lines_is_blank(it.line, it.len) && it.line[0] != '#')
            return it.len >= 5 && strncasecmp(it.line, "data_", 5) == 0;
    return false;
}

static bool is_named_mmcif(const char *path)
{
    const char *dot = strstr(ff_path_base(path), ".cif");
    return dot != NULL && (dot[4] == '\0' || strcmp(dot + 4, ".gz") == 0);
}

static ff_status read_chains(const char *path, struct own_chains *ret)
{
    char *text;
    size_t len;

    *ret = (struct own_chains){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st;
    if (is_mmcif(text, len))
        st = read_mmcif(path, text, len, ret);
    else if (is_named_mmcif(path))
        st = ff_fail(FF_EINPUT, "%s: not mmCIF, which starts with 'data_'; fetch the file again, or give a PDB file "
                     "another ending", path);
    else
        st = read_pdb(path, text, len, ret);
    free(text);
    if (st != FF_OK) {
        chains_free(ret);
        return ff_context(st, "template");
    }
    if (ret->count == 0)
        return ff_fail(FF_EINPUT, "template %s: no protein chain in the file", path);
    return FF_OK;
}

/* --- choosing and laying --- */

/* Number in items of the chain to use, and its alignment (allocated, [query length]). */
static ff_status choose_chain(const char *path, const struct own_chains *chains, const char *wanted, const char *query,
                              int *ret_chain, int32_t **ret_partner)
{
    size_t n_query = strlen(query);
    int32_t *partner = ff_xmalloc(n_query * sizeof *partner);
    int best_score = 0;

    *ret_chain = -1;
    *ret_partner = ff_xmalloc(n_query * sizeof **ret_partner);
    for (int i = 0; i < chains->count; i++) {
        if (wanted && strcmp(chains->items[i].id, wanted) != 0)
            continue;
        int score = ff_align(query, chains->items[i].sequence, FF_ALIGN_OVERLAP, partner);
        if (*ret_chain >= 0 && score <= best_score)
            continue;
        int32_t *t = *ret_partner;
        *ret_partner = partner;
        partner = t;
        *ret_chain = i;
        best_score = score;
    }
    free(partner);
    if (*ret_chain >= 0)
        return FF_OK;

    struct ff_strbuf ids = {0};
    for (int i = 0; i < chains->count; i++)
        ff_strbuf_printf(&ids, "%s%s", i > 0 ? ", " : "", chains->items[i].id);
    ff_status st = ff_fail(FF_EINPUT, "template %s: no protein chain '%s'; the file has %s", path, wanted,
                           ff_strbuf_cstr(&ids));
    ff_strbuf_free(&ids);
    free(*ret_partner);
    *ret_partner = NULL;
    return st;
}

struct counts {
    int aligned, identical, present;     /* residues; present: with a CA atom */
    double atoms;
};

static struct counts lay(const struct own_chain *chain, const int32_t *partner, const char *query,
                         struct ff_template *ret)
{
    struct counts n = {0};

    for (size_t q = 0; query[q]; q++) {
        if (partner[q] < 0)
            continue;
        size_t from = (size_t)partner[q];
        const float *mask = chain->mask + from * FF_N_ATOM37;
        memcpy(ret->positions + q * FF_N_ATOM37 * 3, chain->positions + from * FF_N_ATOM37 * 3,
               FF_N_ATOM37 * 3 * sizeof *ret->positions);
        memcpy(ret->mask + q * FF_N_ATOM37, mask, FF_N_ATOM37 * sizeof *mask);
        ret->sequence[q] = chain->sequence[from];
        n.aligned++;
        n.identical += chain->sequence[from] == query[q];
        n.present += mask[FF_ATOM_CA] > 0;
        for (int k = 0; k < FF_N_ATOM37; k++)
            n.atoms += mask[k];
    }
    return n;
}

ff_status ff_own_template_add(const char *path, const char *chain, const char *query, struct ff_template_set *set)
{
    struct own_chains chains;
    int32_t *partner = NULL;
    int k;

    FF_ASSERT((size_t)set->n_res == strlen(query));
    FF_TRY(read_chains(path, &chains));
    ff_status st = choose_chain(path, &chains, chain, query, &k, &partner);
    if (st == FF_OK) {
        char *stem = ff_path_stem(path);
        char *domain = ff_xasprintf("%s_%s", stem, chains.items[k].id);
        struct counts n = lay(&chains.items[k], partner, query, ff_template_set_add(set, domain));
        double identity = n.aligned > 0 ? (double)n.identical / n.aligned : 0;
        if (n.atoms < MIN_ATOMS) {
            ff_template_set_drop_last(set);
            st = ff_fail(FF_EINPUT, "template %s: chain %s has no atoms at residues that align to the query", path,
                         chains.items[k].id);
        } else {
            ff_note("template %s chain %s: %d of %d residues of the query aligned, %d with coordinates, %.0f %% "
                    "identical", path, chains.items[k].id, n.aligned, set->n_res, n.present, 100 * identity);
            if (identity < doubtful_identity)
                ff_warn("template %s chain %s: only %.0f %% of the aligned residues are identical, the alignment may "
                        "be wrong", path, chains.items[k].id, 100 * identity);
        }
        free(domain);
        free(stem);
    }
    free(partner);
    chains_free(&chains);
    return st;
}

void ff_own_template_split(const char *spec, char **ret_path, char **ret_chain)
{
    const char *colon = strrchr(spec, ':');

    *ret_chain = NULL;
    if (!colon || colon == spec || ff_file_exists(spec)) {
        *ret_path = ff_xstrdup(spec);
        return;
    }
    *ret_path = ff_xstrndup(spec, (size_t)(colon - spec));
    if (colon[1])
        *ret_chain = ff_xstrdup(colon + 1);
}
