/* SPDX-License-Identifier: Apache-2.0
 * mmcif: PDB entries in mmCIF as templates need them: date, and each protein chain's full sequence with the atoms of
 * the first model laid on it.
 *
 * Chains have author ids, as the hits of the search tools do. A chain's sequence is that of its entity (residues
 * without coordinates included); of several polymers under one author id the last counts. Monomers at one place
 * (microheterogeneity) all stay in the sequence, which shifts it against the atoms from there on: so the published
 * templates are. One polymer chain without any atom makes the whole file unusable. Sources: AlphaFold
 * data/mmcif_parsing.py, data/templates.py (_get_atom_positions); Biopython 1.80 (bio/mmcif_atoms).
 */
#ifndef FF_BIO_MMCIF_H
#define FF_BIO_MMCIF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct ff_mmcif_residue {
    char *name;                  /* component, "MSE" */
    bool is_missing;             /* no coordinates; the next three are then 0, ' ' and ' ' */
    int auth_seq_num;
    char insertion_code;         /* ' ' when none; the first byte of longer ones */
    char het;                    /* ' ', 'W' or 'H'; the published het flag of 'H' is "H_" and the name */
    float *positions;            /* [37, 3] angstrom, atom37 order, float32 as read; NULL when there are none */
    float *mask;                 /* [37] 0 or 1; NULL with positions */
};

enum ff_mmcif_chain_state {
    FF_MMCIF_CHAIN_OK,
    FF_MMCIF_CHAIN_ABSENT,       /* the first model does not have the chain */
    FF_MMCIF_CHAIN_BROKEN,       /* the first model lacks a residue that model "1" has */
};

struct ff_mmcif_chain {
    char *id;                    /* author id */
    int n_res;
    char *sequence;              /* [n_res] letters and a NUL: X where a component has no letter */
    struct ff_mmcif_residue *residues;   /* [n_res] */
    enum ff_mmcif_chain_state state;
    float *storage;              /* of positions and masks */
};

struct ff_mmcif {
    char *release_date;          /* earliest revision, "YYYY-MM-DD" as a rule; NULL when the file has none */
    double resolution;           /* angstrom; 0 when there is none */
    char *method;                /* lower case, several joined by ',' */
    struct ff_mmcif_chain *chains;       /* [n_chain] protein chains */
    int n_chain;
};

/* name is the file's in messages. FF_EINPUT when the file cannot be used. */
ff_status ff_mmcif_parse(const char *name, const char *text, size_t len, struct ff_mmcif *ret) FF_MUST_USE;

/* For files that have coordinates alone (models written by other programs): sequences are the residues seen, date and
 * method are not read. Residues count that have a CA atom, and N and C as well if they are HETATM. FF_EINPUT. */
ff_status ff_mmcif_parse_coordinates(const char *name, const char *text, size_t len,
                                     struct ff_mmcif *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_mmcif_load(const char *path, struct ff_mmcif *ret) FF_MUST_USE;

void ff_mmcif_free(struct ff_mmcif *m);              /* frees what is inside and resets to {0} */

const struct ff_mmcif_chain *ff_mmcif_find_chain(const struct ff_mmcif *m, const char *id);   /* NULL when absent */

/* Positions and masks of a chain, zeros where there are no coordinates; the chain's state must be OK. */
void ff_mmcif_chain_atom37(const struct ff_mmcif_chain *chain, float *positions /* [n_res, 37, 3] */,
                           float *mask /* [n_res, 37] */);

#endif
