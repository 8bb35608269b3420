/* SPDX-License-Identifier: Apache-2.0
 * residue: the twenty amino acids as the network sees them: letters, names, atoms, torsion angles and ideal geometry.
 *
 * A residue type (aatype) is a number: 0..19 in the order ARNDCQEGHILKMFPSTWYV, 20 unknown (X), and 21 the gap where
 * alignments are meant. Atoms are numbered in two ways: atom37 has one slot per atom name, the same for all residues;
 * atom14 has the heavy atoms of one residue type without holes. Figures: AlphaFold common/residue_constants.py and
 * model/tf/data_transforms.py (make_atom14_masks); frames: Jumper et al. 2021, Suppl. Table 2 and Alg. 24.
 */
#ifndef FF_BIO_RESIDUE_H
#define FF_BIO_RESIDUE_H

#include <stddef.h>
#include <stdint.h>

enum {
    FF_N_RESTYPE = 20,            /* the standard amino acids */
    FF_RESTYPE_X = 20,
    FF_RESTYPE_GAP = 21,
    FF_N_RESTYPE_X = 21,          /* with X: first axis of the tables below */
    FF_N_ATOM37 = 37,
    FF_N_ATOM14 = 14,
    FF_N_RIGID = 8,               /* backbone, pre-omega, phi, psi, chi1..4 */
    FF_N_CHI = 4,
    FF_N_TORSION = 7,             /* pre-omega, phi, psi, chi1..4 */
};

/* Slots of atom37 that code asks for by name. */
enum { FF_ATOM_N = 0, FF_ATOM_CA = 1, FF_ATOM_C = 2, FF_ATOM_CB = 3, FF_ATOM_O = 4, FF_ATOM_OXT = 36 };

struct ff_residue_tables {
    char atom14_names[FF_N_RESTYPE_X][FF_N_ATOM14][4];          /* "" where there is no atom */
    int32_t atom14_to_atom37[FF_N_RESTYPE_X][FF_N_ATOM14];      /* 0 where there is no atom (see atom14_mask) */
    int32_t atom37_to_atom14[FF_N_RESTYPE_X][FF_N_ATOM37];      /* 0 where there is no atom (see atom37_mask) */
    float atom14_mask[FF_N_RESTYPE_X][FF_N_ATOM14];             /* 1: this residue type has this atom; X has none */
    float atom37_mask[FF_N_RESTYPE_X][FF_N_ATOM37];
    int32_t chi_atoms[FF_N_RESTYPE_X][FF_N_CHI][4];             /* atom37 slots; 0 0 0 0 where there is no such chi */
    float chi_mask[FF_N_RESTYPE_X][FF_N_CHI];
    float chi_pi_periodic[FF_N_RESTYPE_X][FF_N_CHI];            /* 1: the angle plus pi is the same structure */
    int32_t atom14_rigid_group[FF_N_RESTYPE_X][FF_N_ATOM14];    /* rigid group that moves the atom */
    float atom14_positions[FF_N_RESTYPE_X][FF_N_ATOM14][3];     /* in the frame of that group, angstrom */
    float default_frames[FF_N_RESTYPE_X][FF_N_RIGID][4][4];     /* group to its parent at torsion 0; zeros if absent */
};

/* The tables, made once on the first call (thread safe), the same on every machine. Plain contiguous memory, so that
 * a member can be copied to a device as it is. */
const struct ff_residue_tables *ff_residue_tables(void);

extern const char ff_residue_letters[FF_RESTYPE_GAP + 2];       /* "ARNDCQEGHILKMFPSTWYVX-" */
extern const char ff_residue_names[FF_N_RESTYPE_X][4];          /* "ALA" ... "UNK" */
extern const char ff_residue_atom37_names[FF_N_ATOM37][4];      /* "N", "CA", ... "OXT" */

/* Residue type of a number in HHblits order (ff_msa_hhblits_id): MAP_HHBLITS_AATYPE_TO_OUR_AATYPE. */
extern const int32_t ff_residue_from_hhblits[FF_RESTYPE_GAP + 1];

/* 0..19 of an upper-case letter; 20 for every other letter and byte; '-' gives 21. */
int ff_residue_from_letter(char letter);
/* 0..19 of a three-letter name ("ALA"), 20 for any other name. */
int ff_residue_from_name(const char *name);
/* atom37 slot of an atom name of len bytes, -1 when there is none. */
int ff_residue_atom37_index(const char *name, size_t len);

#endif
