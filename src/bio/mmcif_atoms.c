/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/mmcif_atoms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "bio/cif_tokens.h"
#include "bio/residue.h"

/* --- columns --- */

struct wanted {
    const char *key;
    const struct ff_cif_value **place;
};

ff_status ff_mmcif_rows_open(const struct ff_cif *c, struct ff_mmcif_rows *ret)
{
    *ret = (struct ff_mmcif_rows){0};
    const struct wanted wanted[] = {
        {"_atom_site.group_PDB", &ret->group},
        {"_atom_site.label_atom_id", &ret->atom},
        {"_atom_site.label_comp_id", &ret->comp},
        {"_atom_site.label_asym_id", &ret->label_asym},
        {"_atom_site.label_seq_id", &ret->label_seq},
        {"_atom_site.auth_asym_id", &ret->auth_asym},
        {"_atom_site.pdbx_PDB_ins_code", &ret->ins_code},
        {"_atom_site.label_alt_id", &ret->alt},
        {"_atom_site.pdbx_PDB_model_num", &ret->model},
        {"_atom_site.Cartn_x", &ret->xyz[0]},
        {"_atom_site.Cartn_y", &ret->xyz[1]},
        {"_atom_site.Cartn_z", &ret->xyz[2]},
        {"_atom_site.occupancy", &ret->occupancy},
        {"_atom_site.B_iso_or_equiv", &ret->b_factor},
    };
    const struct ff_cif_column *column;

    FF_TRY(ff_cif_check_category(c, "_atom_site.", &ret->n));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        FF_TRY(ff_cif_need(c, wanted[i].key, &column));
        *wanted[i].place = column->values;
    }
    column = ff_cif_find(c, "_atom_site.auth_seq_id");
    ret->auth_seq = column ? column->values : ret->label_seq;
    if (ret->n == 0)
        return ff_fail(FF_EINPUT, "%s: the mmCIF file has no atoms", c->name);
    return FF_OK;
}

/* --- building --- */

/* A model while it is read. */
struct builder {
    const struct ff_cif *c;
    const struct ff_mmcif_rows *rows;
    struct ff_mmcif_atoms *a;
    int chain;                   /* current ones; -1: none yet */
    int site;
};

char ff_mmcif_het_flag(const struct ff_cif *c, const struct ff_mmcif_rows *rows, int row)
{
    if (!ff_cif_equals(c, rows->group[row], "HETATM"))
        return ' ';
    return ff_cif_equals(c, rows->comp[row], "HOH") || ff_cif_equals(c, rows->comp[row], "WAT") ? 'W' : 'H';
}

static ff_status fail_row(const struct builder *b, int row, const char *what)
{
    const struct ff_mmcif_rows *r = b->rows;
    const char *text = b->c->text;

    return ff_fail(FF_EINPUT, "%s:%d: atom %.*s of %.*s %.*s in chain %.*s: %s", b->c->name,
                   ff_cif_tokens_line(text, text + r->atom[row].offset), (int)r->atom[row].len,
                   text + r->atom[row].offset, (int)r->comp[row].len, text + r->comp[row].offset,
                   (int)r->auth_seq[row].len, text + r->auth_seq[row].offset, (int)r->auth_asym[row].len,
                   text + r->auth_asym[row].offset, what);
}

static ff_status read_double(const struct builder *b, const struct ff_cif_value *column, int row, const char *what,
                             double *ret)
{
    return ff_cif_to_double(b->c, column[row], ret) ? FF_OK : fail_row(b, row, what);
}

/* A residue's name in the table of sites. Numbers are compared as numbers: "007" is 7. */
static void format_key(const struct ff_cif *c, const struct ff_mmcif_rows *rows, int row, int number,
                       struct ff_strbuf *key)
{
    char het = ff_mmcif_het_flag(c, rows, row);

    ff_strbuf_clear(key);
    ff_strbuf_append(key, ff_cif_text(c, rows->auth_asym[row]), rows->auth_asym[row].len);
    ff_strbuf_printf(key, "\n%c%d\n", het, number);
    if (het == 'H')
        ff_strbuf_append(key, ff_cif_text(c, rows->comp[row]), rows->comp[row].len);
    ff_strbuf_putc(key, '\n');
    if (!ff_cif_is_unset(c, rows->ins_code[row]))
        ff_strbuf_append(key, ff_cif_text(c, rows->ins_code[row]), rows->ins_code[row].len);
}

static int add_monomer(struct ff_mmcif_atoms *a, struct ff_cif_value name)
{
    FF_GROW(a->monomers, a->n_monomer, a->monomer_capacity);
    a->monomers[a->n_monomer] = (struct ff_mmcif_monomer){name, -1, -1};
    return a->n_monomer++;
}

/* Whether every atom of the monomer has only labelled locations: only then another monomer may share its place. */
static bool is_all_labelled(const struct ff_mmcif_atoms *a, const struct ff_mmcif_monomer *m)
{
    for (int i = m->first_atom; i >= 0; i = a->atoms[i].next)
        if (a->atoms[i].unlabelled)
            return false;
    return true;
}

/* Makes the residue of the row the current one. */
static ff_status begin_residue(struct builder *b, int row, bool new_chain, struct ff_strbuf *key)
{
    struct ff_mmcif_atoms *a = b->a;
    struct ff_cif_value comp = b->rows->comp[row];
    int number, last = b->site;
    bool added;

    if (!ff_cif_to_int(b->c, b->rows->auth_seq[row], &number))
        return fail_row(b, row, "the residue number is not an integer");
    format_key(b->c, b->rows, row, number, key);
    b->site = ff_strset_add(&a->keys, key->s, key->len, &added);
    if (added) {
        FF_GROW(a->sites, a->n_site, a->site_capacity);
        a->sites[a->n_site++] = (struct ff_mmcif_site){b->chain, ff_mmcif_het_flag(b->c, b->rows, row), 1,
                                                       add_monomer(a, comp)};
        return FF_OK;
    }
    struct ff_mmcif_site *site = &a->sites[b->site];
    if (!new_chain && b->site == last && ff_cif_same(b->c, comp, b->rows->comp[row - 1]))
        return FF_OK;                                    /* the same residue in other words */
    if (site->het != ' ')
        return fail_row(b, row, "the het residue is given in two pieces");
    if (site->n_monomer == 1) {
        if (ff_cif_same(b->c, a->monomers[site->monomer].name, comp))
            return FF_OK;
        if (!is_all_labelled(a, &a->monomers[site->monomer]))
            return fail_row(b, row, "two monomers at one place, but the first has atoms without alternative label");
    }
    for (int i = 0; i < site->n_monomer; i++)
        if (ff_cif_same(b->c, a->monomers[site->monomer - i].name, comp))
            return fail_row(b, row, "the monomers of one place are given by turns");
    /* The monomers of a place lie one after the other unless residues of other places came between. */
    if (site->monomer != a->n_monomer - 1) {
        for (int i = site->n_monomer - 1; i >= 0; i--) {
            struct ff_mmcif_monomer copy = a->monomers[site->monomer - i];
            int k = add_monomer(a, copy.name);
            a->monomers[k] = copy;
        }
    }
    site->monomer = add_monomer(a, comp);
    site->n_monomer++;
    return FF_OK;
}

static int find_atom(const struct ff_mmcif_atoms *a, const struct ff_mmcif_monomer *m, struct ff_cif_value name)
{
    int i = m->first_atom;
    while (i >= 0 && !ff_cif_same(a->cif, a->atoms[i].name, name))
        i = a->atoms[i].next;
    return i;
}

static void append_atom(struct ff_mmcif_atoms *a, struct ff_mmcif_monomer *m, const struct ff_mmcif_atom *atom)
{
    FF_GROW(a->atoms, a->n_atom, a->atom_capacity);
    a->atoms[a->n_atom] = *atom;
    if (m->last_atom >= 0)
        a->atoms[m->last_atom].next = a->n_atom;
    else
        m->first_atom = a->n_atom;
    m->last_atom = a->n_atom++;
}

static ff_status add_atom(struct builder *b, int row)
{
    struct ff_mmcif_atoms *a = b->a;
    const struct ff_mmcif_site *site = &a->sites[b->site];
    struct ff_mmcif_monomer *m = &a->monomers[site->monomer];
    bool labelled = !ff_cif_is_unset(b->c, b->rows->alt[row]);
    struct ff_mmcif_atom atom = {.name = b->rows->atom[row], .alternatives = labelled, .unlabelled = !labelled,
                                 .next = -1};
    double b_factor;

    for (int k = 0; k < 3; k++) {
        double v;
        FF_TRY(read_double(b, b->rows->xyz[k], row, "a coordinate is not a number", &v));
        atom.xyz[k] = (float)v;
    }
    FF_TRY(read_double(b, b->rows->occupancy, row, "the occupancy is not a number", &atom.occupancy));
    FF_TRY(read_double(b, b->rows->b_factor, row, "the B factor is not a number", &b_factor));

    if (!labelled && site->n_monomer > 1)
        return fail_row(b, row, "two monomers at one place, but the atom has no alternative label");
    int i = find_atom(a, m, atom.name);
    if (i < 0) {
        append_atom(a, m, &atom);
        return FF_OK;
    }
    if (!labelled)
        return fail_row(b, row, "the atom is given twice");
    struct ff_mmcif_atom *old = &a->atoms[i];
    bool better;
    if (old->alternatives)
        better = atom.occupancy > old->occupancy;
    else
        better = !(old->occupancy > atom.occupancy);     /* the unlabelled location counts as if it came after */
    old->alternatives = true;
    if (better) {
        memcpy(old->xyz, atom.xyz, sizeof old->xyz);
        old->occupancy = atom.occupancy;
    }
    return FF_OK;
}

static ff_status read_row(struct builder *b, int row, struct ff_strbuf *key)
{
    const struct ff_mmcif_rows *r = b->rows;
    const struct ff_cif *c = b->c;
    bool new_chain = b->chain < 0 || !ff_cif_same(c, r->auth_asym[row], r->auth_asym[row - 1]);

    if (new_chain)
        b->chain = ff_strset_add(&b->a->chains, ff_cif_text(c, r->auth_asym[row]), r->auth_asym[row].len, NULL);
    /* The same text means the same residue; other text may, which begin_residue finds out. */
    if (new_chain || !ff_cif_same(c, r->comp[row], r->comp[row - 1])
        || !ff_cif_same(c, r->auth_seq[row], r->auth_seq[row - 1])
        || !ff_cif_same(c, r->ins_code[row], r->ins_code[row - 1])
        || !ff_cif_same(c, r->group[row], r->group[row - 1]))
        FF_TRY(begin_residue(b, row, new_chain, key));
    return add_atom(b, row);
}

static void reset(struct ff_mmcif_atoms *a)
{
    ff_strset_free(&a->chains);
    ff_strset_free(&a->keys);
    a->n_site = a->n_monomer = a->n_atom = 0;
}

ff_status ff_mmcif_atoms_build(const struct ff_cif *c, const struct ff_mmcif_rows *rows, struct ff_mmcif_atoms *ret)
{
    ff_status st = FF_OK;
    struct ff_strbuf key = {0};
    struct ff_mmcif_atoms later = {.cif = c};            /* of the models after the first */
    struct builder b = {.c = c, .rows = rows, .a = ret, .chain = -1, .site = -1};
    int model = 0, n_model = 0;

    *ret = (struct ff_mmcif_atoms){.cif = c};
    for (int row = 0; row < rows->n; row++) {
        if (row == 0 || !ff_cif_same(c, rows->model[row], rows->model[row - 1])) {
            int number;
            if (!ff_cif_to_int(c, rows->model[row], &number)) {
                st = fail_row(&b, row, "the model number is not an integer");
                goto done;
            }
            if (row == 0 || number != model) {
                model = number;
                if (++n_model > 1) {
                    reset(&later);
                    b.a = &later;
                }
                b.chain = -1;
            }
        }
        FF_TRY_GOTO(st, read_row(&b, row, &key), done);
    }
done:
    ff_strbuf_free(&key);
    ff_mmcif_atoms_free(&later);
    if (st != FF_OK)
        ff_mmcif_atoms_free(ret);
    return st;
}

void ff_mmcif_atoms_free(struct ff_mmcif_atoms *a)
{
    ff_strset_free(&a->chains);
    ff_strset_free(&a->keys);
    free(a->sites);
    free(a->monomers);
    free(a->atoms);
    *a = (struct ff_mmcif_atoms){0};
}

/* --- use --- */

const struct ff_mmcif_monomer *ff_mmcif_atoms_find(const struct ff_mmcif_atoms *a, const struct ff_mmcif_rows *rows,
                                                   int row)
{
    struct ff_strbuf key = {0};
    int number;

    if (!ff_cif_to_int(a->cif, rows->auth_seq[row], &number))
        return NULL;
    format_key(a->cif, rows, row, number, &key);
    int site = ff_strset_find(&a->keys, key.s, key.len);
    ff_strbuf_free(&key);
    return site < 0 ? NULL : &a->monomers[a->sites[site].monomer];
}

static float distance(const float *p, const float *q)
{
    float dx = p[0] - q[0], dy = p[1] - q[1], dz = p[2] - q[2];
    return sqrtf(dx * dx + dy * dy + dz * dz);
}

void ff_mmcif_monomer_atom37(const struct ff_mmcif_atoms *a, const struct ff_mmcif_monomer *m, float *positions,
                             float *mask)
{
    memset(positions, 0, FF_N_ATOM37 * 3 * sizeof *positions);
    memset(mask, 0, FF_N_ATOM37 * sizeof *mask);
    for (int i = m->first_atom; i >= 0; i = a->atoms[i].next) {
        const struct ff_mmcif_atom *atom = &a->atoms[i];
        const char *name = ff_cif_text(a->cif, atom->name);
        int slot = ff_residue_atom37_index(name, atom->name.len);
        if (slot < 0 && atom->name.len == 2 && strncasecmp(name, "SE", 2) == 0 && ff_cif_equals(a->cif, m->name, "MSE"))
            slot = ff_residue_atom37_index("SD", 2);
        if (slot < 0)
            continue;
        memcpy(positions + slot * 3, atom->xyz, sizeof atom->xyz);
        mask[slot] = 1;
    }
    if (!ff_cif_equals(a->cif, m->name, "ARG"))
        return;
    int cd = ff_residue_atom37_index("CD", 2);
    int nh1 = ff_residue_atom37_index("NH1", 3), nh2 = ff_residue_atom37_index("NH2", 3);
    if (mask[cd] == 0 || mask[nh1] == 0 || mask[nh2] == 0
        || distance(positions + nh1 * 3, positions + cd * 3) <= distance(positions + nh2 * 3, positions + cd * 3))
        return;
    for (int k = 0; k < 3; k++) {
        float t = positions[nh1 * 3 + k];
        positions[nh1 * 3 + k] = positions[nh2 * 3 + k];
        positions[nh2 * 3 + k] = t;
    }
}
