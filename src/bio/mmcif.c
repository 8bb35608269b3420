/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/mmcif.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/ccd.h"
#include "bio/cif_table.h"
#include "bio/mmcif_atoms.h"
#include "bio/residue.h"
#include "format/gzip.h"

/* Items that are read. Of the atoms, by far the most of a file, only the columns that count. */
static const char *const wanted[] = {
    "_exptl.", "_pdbx_audit_revision_history.", "_refine.", "_em_3d_reconstruction.", "_reflns.",
    "_entity_poly_seq.", "_chem_comp.", "_struct_asym.",
    "_atom_site.group_PDB", "_atom_site.label_", "_atom_site.auth_asym_id", "_atom_site.auth_seq_id",
    "_atom_site.Cartn_", "_atom_site.occupancy", "_atom_site.B_iso_or_equiv", "_atom_site.pdbx_PDB_", NULL,
};

/* --- header --- */

static ff_status read_method(const struct ff_cif *c, struct ff_mmcif *ret)
{
    struct ff_strbuf b = {0};
    const struct ff_cif_column *method;
    int n;

    FF_TRY(ff_cif_check_category(c, "_exptl.", &n));
    if (n > 0) {
        FF_TRY(ff_cif_need(c, "_exptl.method", &method));
        for (int i = 0; i < n; i++) {
            if (i > 0)
                ff_strbuf_putc(&b, ',');
            ff_strbuf_append(&b, ff_cif_text(c, method->values[i]), method->values[i].len);
        }
    }
    ff_strbuf_puts(&b, "");
    ret->method = ff_strbuf_detach(&b);
    for (char *p = ret->method; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return FF_OK;
}

static ff_status read_release_date(const struct ff_cif *c, struct ff_mmcif *ret)
{
    const struct ff_cif_column *date = ff_cif_find(c, "_pdbx_audit_revision_history.revision_date");

    if (!date)
        return FF_OK;
    if (date->count == 0)
        return ff_fail(FF_EINPUT, "%s: the mmCIF file has an empty revision history", c->name);
    for (int i = 0; i < date->count; i++) {
        char *text = ff_cif_strdup(c, date->values[i]);
        if (!ret->release_date || strcmp(text, ret->release_date) < 0) {
            free(ret->release_date);
            ret->release_date = text;
        } else {
            free(text);
        }
    }
    return FF_OK;
}

/* The first of these items that holds a number counts, whatever the method. */
static void read_resolution(const struct ff_cif *c, struct ff_mmcif *ret)
{
    static const char *const keys[] = {
        "_refine.ls_d_res_high", "_em_3d_reconstruction.resolution", "_reflns.d_resolution_high",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct ff_cif_column *column = ff_cif_find(c, keys[i]);
        if (column && column->count > 0 && ff_cif_to_double(c, column->values[0], &ret->resolution))
            return;
    }
}

/* --- polymers --- */

/* A polymer entity: its monomers in the order of the file. */
struct entity {
    int *monomers;               /* [n] rows of _entity_poly_seq */
    int n, capacity;
    int start;                   /* smallest number, which has index 0 */
    bool is_protein;
};

/* A protein chain by its label id. */
struct label_chain {
    const struct entity *entity;
    int author;                  /* number of the author id of its last atom, -1: none seen */
};

/* What an author chain's place in the sequence was last seen to be. */
struct author_chain {
    int32_t *row;                /* [longest] last row of _atom_site at this index, -1: none */
};

struct reader {
    const struct ff_cif *c;
    const struct ff_cif_column *mon_id;
    struct ff_strset entity_ids;
    struct entity *entities;
    int n_entity, entity_capacity;
    struct ff_strset label_ids;
    struct label_chain *labels;
    int n_label, label_capacity;
    int longest;                 /* sequence of a protein chain */
    struct ff_strset author_ids;
    struct author_chain *authors;
    int n_author, author_capacity;
    struct ff_mmcif_rows rows;
    struct ff_mmcif_atoms atoms;
};

static ff_status read_entities(struct reader *r)
{
    const struct ff_cif *c = r->c;
    const struct ff_cif_column *id, *num;
    int n;

    FF_TRY(ff_cif_check_category(c, "_entity_poly_seq.", &n));
    if (n == 0)
        return FF_OK;
    FF_TRY(ff_cif_need(c, "_entity_poly_seq.entity_id", &id));
    FF_TRY(ff_cif_need(c, "_entity_poly_seq.num", &num));
    FF_TRY(ff_cif_need(c, "_entity_poly_seq.mon_id", &r->mon_id));
    for (int i = 0; i < n; i++) {
        bool added;
        int k = ff_strset_add(&r->entity_ids, ff_cif_text(c, id->values[i]), id->values[i].len, &added);
        int number;
        if (!ff_cif_to_int(c, num->values[i], &number))
            return ff_cif_fail_value(c, num, i, "is not an integer");
        if (added) {
            FF_GROW(r->entities, r->n_entity, r->entity_capacity);
            r->entities[r->n_entity++] = (struct entity){.start = number};
        }
        struct entity *e = &r->entities[k];
        FF_GROW(e->monomers, e->n, e->capacity);
        e->monomers[e->n++] = i;
        if (number < e->start)
            e->start = number;
    }
    return FF_OK;
}

static bool contains_word(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++)
        if (strncasecmp(text + i, word, n) == 0)
            return true;
    return false;
}

/* A polymer is a protein when any of its components is of a peptide type. All must be described. */
static ff_status find_proteins(struct reader *r)
{
    const struct ff_cif *c = r->c;
    const struct ff_cif_column *id, *type;
    struct ff_strset known = {0};
    ff_status st = FF_OK;
    bool *peptide = NULL;
    int n;

    FF_TRY(ff_cif_check_category(c, "_chem_comp.", &n));
    FF_TRY(ff_cif_need(c, "_chem_comp.id", &id));
    FF_TRY(ff_cif_need(c, "_chem_comp.type", &type));
    peptide = FF_NEW_ARRAY(bool, (size_t)n);
    for (int i = 0; i < n; i++) {
        int k = ff_strset_add(&known, ff_cif_text(c, id->values[i]), id->values[i].len, NULL);
        peptide[k] = contains_word(ff_cif_text(c, type->values[i]), type->values[i].len, "peptide");
    }
    for (int e = 0; e < r->n_entity; e++) {
        struct entity *entity = &r->entities[e];
        for (int i = 0; i < entity->n; i++) {
            struct ff_cif_value name = r->mon_id->values[entity->monomers[i]];
            int k = ff_strset_find(&known, ff_cif_text(c, name), name.len);
            if (k < 0) {
                st = ff_cif_fail_value(c, r->mon_id, entity->monomers[i], "is not described in _chem_comp");
                goto done;
            }
            entity->is_protein = entity->is_protein || peptide[k];
        }
    }
done:
    ff_strset_free(&known);
    free(peptide);
    return st;
}

/* Protein chains: by entity in the order of the sequences, then in the order of _struct_asym. */
static ff_status list_label_chains(struct reader *r)
{
    const struct ff_cif *c = r->c;
    const struct ff_cif_column *id = NULL, *entity_id = NULL;
    int n;

    FF_TRY(ff_cif_check_category(c, "_struct_asym.", &n));
    if (n > 0) {
        FF_TRY(ff_cif_need(c, "_struct_asym.id", &id));
        FF_TRY(ff_cif_need(c, "_struct_asym.entity_id", &entity_id));
    }
    int *of_row = FF_NEW_ARRAY(int, (size_t)n);
    for (int i = 0; i < n; i++)
        of_row[i] = ff_strset_find(&r->entity_ids, ff_cif_text(c, entity_id->values[i]), entity_id->values[i].len);
    for (int e = 0; e < r->n_entity; e++) {
        if (!r->entities[e].is_protein)
            continue;
        for (int i = 0; i < n; i++) {
            if (of_row[i] != e)
                continue;
            bool added;
            int k = ff_strset_add(&r->label_ids, ff_cif_text(c, id->values[i]), id->values[i].len, &added);
            if (added) {
                FF_GROW(r->labels, r->n_label, r->label_capacity);
                r->n_label++;
            }
            r->labels[k] = (struct label_chain){&r->entities[e], -1};
            if (r->entities[e].n > r->longest)
                r->longest = r->entities[e].n;
        }
    }
    free(of_row);
    if (r->n_label == 0)
        return ff_fail(FF_EINPUT, "%s: the mmCIF file has no protein chain", c->name);
    return FF_OK;
}

/* --- atoms onto sequences --- */

static int author_number(struct reader *r, struct ff_cif_value id)
{
    bool added;
    int k = ff_strset_add(&r->author_ids, ff_cif_text(r->c, id), id.len, &added);

    if (added) {
        FF_GROW(r->authors, r->n_author, r->author_capacity);
        struct author_chain *a = &r->authors[r->n_author++];
        a->row = ff_xmalloc((size_t)r->longest * sizeof *a->row);
        for (int i = 0; i < r->longest; i++)
            a->row[i] = -1;
    }
    return k;
}

static ff_status place_atoms(struct reader *r)
{
    const struct ff_cif *c = r->c;
    const struct ff_mmcif_rows *rows = &r->rows;
    int label = -1, author = -1;
    int last = -1;               /* row whose chain ids the two numbers belong to */

    for (int row = 0; row < rows->n; row++) {
        if (!ff_cif_equals(c, rows->model[row], "1"))
            continue;
        if (last < 0 || !ff_cif_same(c, rows->label_asym[row], rows->label_asym[last])
            || !ff_cif_same(c, rows->auth_asym[row], rows->auth_asym[last])) {
            struct ff_cif_value id = rows->label_asym[row];
            label = ff_strset_find(&r->label_ids, ff_cif_text(c, id), id.len);
            author = label < 0 ? -1 : author_number(r, rows->auth_asym[row]);
            if (label >= 0)
                r->labels[label].author = author;
        }
        last = row;
        if (label < 0)
            continue;
        int number;
        if (!ff_cif_to_int(c, rows->label_seq[row], &number))
            return ff_fail(FF_EINPUT, "%s: atom %d belongs to a protein chain, but its label_seq_id '%.*s' is not an "
                           "integer", c->name, row + 1, (int)rows->label_seq[row].len,
                           ff_cif_text(c, rows->label_seq[row]));
        int64_t index = (int64_t)number - r->labels[label].entity->start;
        if (index >= 0 && index < r->longest)
            r->authors[author].row[index] = row;
    }
    for (int i = 0; i < r->n_label; i++)
        if (r->labels[i].author < 0)
            return ff_fail(FF_EINPUT, "%s: protein chain %s has no atoms in model 1", c->name,
                           ff_strset_key(&r->label_ids, i));
    return FF_OK;
}

static void fill_present(const struct reader *r, int row, float **storage, struct ff_mmcif_chain *chain,
                         struct ff_mmcif_residue *ret)
{
    const struct ff_cif *c = r->c;
    struct ff_cif_value icode = r->rows.ins_code[row];
    const struct ff_mmcif_monomer *m = ff_mmcif_atoms_find(&r->atoms, &r->rows, row);

    ret->name = ff_cif_strdup(c, r->rows.comp[row]);
    ret->is_missing = false;
    (void)ff_cif_to_int(c, r->rows.auth_seq[row], &ret->auth_seq_num);   /* the atoms were built from it */
    ret->insertion_code = ff_cif_is_unset(c, icode) || icode.len == 0 ? ' ' : *ff_cif_text(c, icode);
    ret->het = ff_mmcif_het_flag(c, &r->rows, row);
    if (!m) {
        chain->state = FF_MMCIF_CHAIN_BROKEN;
        return;
    }
    ret->positions = *storage;
    ret->mask = *storage + FF_N_ATOM37 * 3;
    *storage += FF_N_ATOM37 * 4;
    ff_mmcif_monomer_atom37(&r->atoms, m, ret->positions, ret->mask);
}

static void fill_chain(const struct reader *r, int author, const struct entity *entity, struct ff_mmcif_chain *ret)
{
    const struct ff_cif *c = r->c;
    const char *id = ff_strset_key(&r->author_ids, author);
    const int32_t *rows = r->authors[author].row;
    int n_present = 0;

    *ret = (struct ff_mmcif_chain){.id = ff_xstrdup(id), .n_res = entity->n};
    ret->sequence = ff_xcalloc((size_t)entity->n + 1, 1);
    ret->residues = FF_NEW_ARRAY(struct ff_mmcif_residue, (size_t)entity->n);
    for (int i = 0; i < entity->n; i++)
        n_present += rows[i] >= 0;
    ret->storage = FF_NEW_ARRAY(float, (size_t)n_present * FF_N_ATOM37 * 4);
    float *storage = ret->storage;

    for (int i = 0; i < entity->n; i++) {
        struct ff_cif_value name = r->mon_id->values[entity->monomers[i]];
        ret->sequence[i] = ff_ccd_letter(ff_cif_text(c, name), name.len);
        if (rows[i] >= 0) {
            fill_present(r, rows[i], &storage, ret, &ret->residues[i]);
            continue;
        }
        /* Where several polymers share the author id, the first that reaches this far names the missing residue. */
        for (int k = 0; k < r->n_label; k++) {
            if (r->labels[k].author == author && r->labels[k].entity->n > i) {
                name = r->mon_id->values[r->labels[k].entity->monomers[i]];
                break;
            }
        }
        ret->residues[i] = (struct ff_mmcif_residue){.name = ff_cif_strdup(c, name), .is_missing = true,
                                                     .insertion_code = ' ', .het = ' '};
    }
    if (ff_strset_find(&r->atoms.chains, id, strlen(id)) < 0)
        ret->state = FF_MMCIF_CHAIN_ABSENT;
}

static void fill_chains(const struct reader *r, struct ff_mmcif *ret)
{
    int *place = FF_NEW_ARRAY(int, (size_t)r->n_author);         /* of an author chain in ret, 1-based; 0: none yet */

    ret->chains = FF_NEW_ARRAY(struct ff_mmcif_chain, (size_t)r->n_author);
    for (int i = 0; i < r->n_label; i++)
        if (place[r->labels[i].author] == 0)
            place[r->labels[i].author] = ++ret->n_chain;
    for (int i = r->n_label - 1; i >= 0; i--) {                  /* the last polymer of an author id counts */
        struct ff_mmcif_chain *chain = &ret->chains[place[r->labels[i].author] - 1];
        if (!chain->id)
            fill_chain(r, r->labels[i].author, r->labels[i].entity, chain);
    }
    free(place);
}

static void reader_free(struct reader *r)
{
    for (int i = 0; i < r->n_entity; i++)
        free(r->entities[i].monomers);
    for (int i = 0; i < r->n_author; i++)
        free(r->authors[i].row);
    free(r->entities);
    free(r->labels);
    free(r->authors);
    ff_strset_free(&r->entity_ids);
    ff_strset_free(&r->label_ids);
    ff_strset_free(&r->author_ids);
    ff_mmcif_atoms_free(&r->atoms);
}

static ff_status read_structure(struct reader *r, struct ff_mmcif *ret)
{
    FF_TRY(ff_mmcif_rows_open(r->c, &r->rows));
    FF_TRY(ff_mmcif_atoms_build(r->c, &r->rows, &r->atoms));
    FF_TRY(read_method(r->c, ret));
    FF_TRY(read_release_date(r->c, ret));
    read_resolution(r->c, ret);
    FF_TRY(read_entities(r));
    if (r->n_entity > 0)
        FF_TRY(find_proteins(r));
    FF_TRY(list_label_chains(r));
    FF_TRY(place_atoms(r));
    fill_chains(r, ret);
    return FF_OK;
}

/* --- whole files --- */

ff_status ff_mmcif_parse(const char *name, const char *text, size_t len, struct ff_mmcif *ret)
{
    struct ff_cif c;

    *ret = (struct ff_mmcif){0};
    FF_TRY(ff_cif_parse(name, text, len, wanted, &c));
    struct reader r = {.c = &c};
    ff_status st = read_structure(&r, ret);
    reader_free(&r);
    ff_cif_free(&c);
    if (st != FF_OK)
        ff_mmcif_free(ret);
    return st;
}

static bool is_amino_acid(const float *mask, char het)
{
    return mask[FF_ATOM_CA] > 0 && (het == ' ' || (mask[FF_ATOM_N] > 0 && mask[FF_ATOM_C] > 0));
}

/* Appends the residue of a row to its chain if it is an amino acid; there is room for it. */
static void add_seen(const struct reader *r, int row, const struct ff_mmcif_monomer *m, struct ff_mmcif_chain *chain)
{
    const int n_value = FF_N_ATOM37 * 4;
    float *storage = chain->storage + (size_t)chain->n_res * n_value;

    ff_mmcif_monomer_atom37(&r->atoms, m, storage, storage + FF_N_ATOM37 * 3);
    if (!is_amino_acid(storage + FF_N_ATOM37 * 3, ff_mmcif_het_flag(r->c, &r->rows, row)))
        return;
    chain->sequence[chain->n_res] = ff_ccd_letter(ff_cif_text(r->c, m->name), m->name.len);
    fill_present(r, row, &storage, chain, &chain->residues[chain->n_res++]);
}

static void open_seen_chains(const struct reader *r, struct ff_mmcif *ret)
{
    size_t *room = FF_NEW_ARRAY(size_t, (size_t)r->atoms.chains.count);      /* residues of any kind */

    for (int i = 0; i < r->atoms.n_site; i++)
        room[r->atoms.sites[i].chain]++;
    ret->n_chain = r->atoms.chains.count;
    ret->chains = FF_NEW_ARRAY(struct ff_mmcif_chain, (size_t)ret->n_chain);
    for (int k = 0; k < ret->n_chain; k++) {
        struct ff_mmcif_chain *chain = &ret->chains[k];
        chain->id = ff_xstrdup(ff_strset_key(&r->atoms.chains, k));
        chain->sequence = ff_xcalloc(room[k] + 1, 1);
        chain->residues = FF_NEW_ARRAY(struct ff_mmcif_residue, room[k]);
        chain->storage = FF_NEW_ARRAY(float, room[k] * FF_N_ATOM37 * 4);
    }
    free(room);
}

static void chain_free(struct ff_mmcif_chain *chain)
{
    for (int k = 0; k < chain->n_res; k++)
        free(chain->residues[k].name);
    free(chain->residues);
    free(chain->storage);
    free(chain->sequence);
    free(chain->id);
}

static ff_status read_coordinates(struct reader *r, struct ff_mmcif *ret)
{
    FF_TRY(ff_mmcif_rows_open(r->c, &r->rows));
    FF_TRY(ff_mmcif_atoms_build(r->c, &r->rows, &r->atoms));
    ret->method = ff_xstrdup("");
    open_seen_chains(r, ret);
    bool *seen = FF_NEW_ARRAY(bool, (size_t)r->atoms.n_monomer);
    for (int row = 0; row < r->rows.n; row++) {
        const struct ff_mmcif_monomer *m = ff_mmcif_atoms_find(&r->atoms, &r->rows, row);
        if (!m || seen[m - r->atoms.monomers])
            continue;
        seen[m - r->atoms.monomers] = true;
        struct ff_cif_value id = r->rows.auth_asym[row];
        int k = ff_strset_find(&r->atoms.chains, ff_cif_text(r->c, id), id.len);
        add_seen(r, row, m, &ret->chains[k]);
    }
    free(seen);
    int n = 0;
    for (int k = 0; k < ret->n_chain; k++) {
        if (ret->chains[k].n_res > 0)
            ret->chains[n++] = ret->chains[k];
        else
            chain_free(&ret->chains[k]);
    }
    ret->n_chain = n;
    return n > 0 ? FF_OK : ff_fail(FF_EINPUT, "%s: the mmCIF file has no amino acids", r->c->name);
}

ff_status ff_mmcif_parse_coordinates(const char *name, const char *text, size_t len, struct ff_mmcif *ret)
{
    struct ff_cif c;

    *ret = (struct ff_mmcif){0};
    FF_TRY(ff_cif_parse(name, text, len, wanted, &c));
    struct reader r = {.c = &c};
    ff_status st = read_coordinates(&r, ret);
    reader_free(&r);
    ff_cif_free(&c);
    if (st != FF_OK)
        ff_mmcif_free(ret);
    return st;
}

ff_status ff_mmcif_load(const char *path, struct ff_mmcif *ret)
{
    char *text;
    size_t len;

    *ret = (struct ff_mmcif){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_mmcif_parse(path, text, len, ret);
    free(text);
    return st;
}

void ff_mmcif_free(struct ff_mmcif *m)
{
    for (int i = 0; i < m->n_chain; i++)
        chain_free(&m->chains[i]);
    free(m->chains);
    free(m->release_date);
    free(m->method);
    *m = (struct ff_mmcif){0};
}

const struct ff_mmcif_chain *ff_mmcif_find_chain(const struct ff_mmcif *m, const char *id)
{
    for (int i = 0; i < m->n_chain; i++)
        if (strcmp(m->chains[i].id, id) == 0)
            return &m->chains[i];
    return NULL;
}

void ff_mmcif_chain_atom37(const struct ff_mmcif_chain *chain, float *positions, float *mask)
{
    FF_ASSERT(chain->state == FF_MMCIF_CHAIN_OK);
    memset(positions, 0, (size_t)chain->n_res * FF_N_ATOM37 * 3 * sizeof *positions);
    memset(mask, 0, (size_t)chain->n_res * FF_N_ATOM37 * sizeof *mask);
    for (int i = 0; i < chain->n_res; i++) {
        if (!chain->residues[i].positions)
            continue;
        memcpy(positions + (size_t)i * FF_N_ATOM37 * 3, chain->residues[i].positions,
               FF_N_ATOM37 * 3 * sizeof *positions);
        memcpy(mask + (size_t)i * FF_N_ATOM37, chain->residues[i].mask, FF_N_ATOM37 * sizeof *mask);
    }
}
