/* SPDX-License-Identifier: Apache-2.0
 * mmcif_atoms: the _atom_site table of an mmCIF file as residues of the first model, one position per atom name.
 *
 * Residues are known by author chain, het flag, author number and insertion code. What happens to files that describe
 * an atom or a residue more than once follows Biopython 1.80 (Bio.PDB StructureBuilder), on which the published
 * templates rest:
 *  - alternative locations: the highest occupancy counts, the first in the file on a tie; a location without label
 *    that comes before labelled ones counts after the first of these;
 *  - several monomers at one place (microheterogeneity): the last one in the file counts, whatever its occupancy;
 *  - an atom given twice without labels, a het residue given in two pieces, and monomers of one place given by turns
 *    make the file invalid, in whichever model they are.
 */
#ifndef FF_BIO_MMCIF_ATOMS_H
#define FF_BIO_MMCIF_ATOMS_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strset.h"
#include "bio/cif_table.h"

/* Columns of _atom_site, each [n]. */
struct ff_mmcif_rows {
    int n;
    const struct ff_cif_value *group;        /* ATOM or HETATM */
    const struct ff_cif_value *atom;
    const struct ff_cif_value *comp;
    const struct ff_cif_value *label_asym;
    const struct ff_cif_value *label_seq;
    const struct ff_cif_value *auth_asym;
    const struct ff_cif_value *auth_seq;     /* label_seq where the file has none */
    const struct ff_cif_value *ins_code;
    const struct ff_cif_value *alt;
    const struct ff_cif_value *model;
    const struct ff_cif_value *xyz[3];
    const struct ff_cif_value *occupancy;
    const struct ff_cif_value *b_factor;
};

/* FF_EINPUT when a column is missing or columns differ in length. */
ff_status ff_mmcif_rows_open(const struct ff_cif *c, struct ff_mmcif_rows *ret) FF_MUST_USE;

struct ff_mmcif_atom {
    struct ff_cif_value name;
    float xyz[3];                /* of the location that counts */
    double occupancy;
    bool alternatives;           /* at least one location has a label */
    bool unlabelled;             /* at least one has none */
    int next;                    /* next atom of the monomer, -1 at the end */
};

struct ff_mmcif_monomer {
    struct ff_cif_value name;
    int first_atom, last_atom;   /* in the order of the file, -1 when there is none */
};

struct ff_mmcif_site {
    int chain;                   /* number in chains */
    char het;                    /* ' ', 'W' (water) or 'H' */
    int n_monomer;
    int monomer;                 /* the one that counts; those before it are n_monomer - 1 of the same place */
};

struct ff_mmcif_atoms {
    const struct ff_cif *cif;    /* not owned */
    struct ff_strset chains;     /* author chain ids in the order of the file */
    struct ff_strset keys;       /* of the sites, same numbers */
    struct ff_mmcif_site *sites; /* [n_site] */
    int n_site, site_capacity;
    struct ff_mmcif_monomer *monomers;
    int n_monomer, monomer_capacity;
    struct ff_mmcif_atom *atoms;
    int n_atom, atom_capacity;
};

/* Reads the first model, and checks the others. FF_EINPUT. cif must outlive ret. */
ff_status ff_mmcif_atoms_build(const struct ff_cif *c, const struct ff_mmcif_rows *rows,
                               struct ff_mmcif_atoms *ret) FF_MUST_USE;
void ff_mmcif_atoms_free(struct ff_mmcif_atoms *a);  /* frees what is inside and resets to {0} */

/* ' ', 'W' or 'H' of a row. */
char ff_mmcif_het_flag(const struct ff_cif *c, const struct ff_mmcif_rows *rows, int row);

/* The monomer of the residue that the row belongs to; NULL when the first model has no such residue. */
const struct ff_mmcif_monomer *ff_mmcif_atoms_find(const struct ff_mmcif_atoms *a, const struct ff_mmcif_rows *rows,
                                                   int row);

/* Positions and mask of a monomer in atom37 order (zeros where there is no atom), with two corrections: the selenium
 * of selenomethionine goes to SD, and NH1 and NH2 of arginine change places when NH2 is the nearer to CD. Source:
 * AlphaFold data/templates.py (_get_atom_positions). */
void ff_mmcif_monomer_atom37(const struct ff_mmcif_atoms *a, const struct ff_mmcif_monomer *m,
                             float *positions /* [37, 3] */, float *mask /* [37] */);

#endif
