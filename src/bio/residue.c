/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/residue.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/status.h"

const char ff_residue_letters[FF_RESTYPE_GAP + 2] = "ARNDCQEGHILKMFPSTWYVX-";

const char ff_residue_names[FF_N_RESTYPE_X][4] = {
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU",
    "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "UNK",
};

const char ff_residue_atom37_names[FF_N_ATOM37][4] = {
    "N",   "CA",  "C",   "CB",  "O",   "CG",  "CG1", "CG2", "OG",  "OG1", "SG",  "CD",  "CD1",
    "CD2", "ND1", "ND2", "OD1", "OD2", "SD",  "CE",  "CE1", "CE2", "CE3", "NE",  "NE1", "NE2",
    "OE1", "OE2", "CH2", "NH1", "NH2", "OH",  "CZ",  "CZ2", "CZ3", "NZ",  "OXT",
};

const int32_t ff_residue_from_hhblits[FF_RESTYPE_GAP + 1] = {
    0, 4, 3, 6, 13, 7, 8, 9, 11, 10, 12, 2, 14, 5, 1, 15, 16, 19, 17, 18, 20, 21,
};

/* A heavy atom: name, the rigid group that moves it (0 backbone, 3 psi, 4..7 chi1..4) and its place in that group's
 * frame, angstrom. The x axis of a group runs along the rotation axis, whose end atom is the origin; the atom that
 * defines the torsion lies in the xy plane with y > 0. */
struct atom {
    char name[4];
    int group;
    double position[3];
};

/* In atom14 order; unused entries have an empty name. */
static const struct atom atoms[FF_N_RESTYPE][FF_N_ATOM14] = {
    { /* ALA */
        {"N", 0, {-0.525, 1.363, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.627, 1.062, 0.000}}, {"CB", 0, {-0.529, -0.774, -1.205}},
    },
    { /* ARG */
        {"N", 0, {-0.524, 1.362, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.524, -0.778, -1.209}}, {"CG", 4, {0.616, 1.390, 0.000}},
        {"CD", 5, {0.564, 1.414, 0.000}}, {"NE", 6, {0.539, 1.357, 0.000}}, {"CZ", 7, {0.758, 1.093, 0.000}},
        {"NH1", 7, {0.206, 2.301, 0.000}}, {"NH2", 7, {2.078, 0.978, 0.000}},
    },
    { /* ASN */
        {"N", 0, {-0.536, 1.357, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.625, 1.062, 0.000}}, {"CB", 0, {-0.531, -0.787, -1.200}}, {"CG", 4, {0.584, 1.399, 0.000}},
        {"OD1", 5, {0.633, 1.059, 0.000}}, {"ND2", 5, {0.593, -1.188, 0.001}},
    },
    { /* ASP */
        {"N", 0, {-0.525, 1.362, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.527, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.526, -0.778, -1.208}}, {"CG", 4, {0.593, 1.398, 0.000}},
        {"OD1", 5, {0.610, 1.091, 0.000}}, {"OD2", 5, {0.592, -1.101, -0.003}},
    },
    { /* CYS */
        {"N", 0, {-0.522, 1.362, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.524, 0.000, 0.000}},
        {"O", 3, {0.625, 1.062, 0.000}}, {"CB", 0, {-0.519, -0.773, -1.212}}, {"SG", 4, {0.728, 1.653, 0.000}},
    },
    { /* GLN */
        {"N", 0, {-0.526, 1.361, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.525, -0.779, -1.207}}, {"CG", 4, {0.615, 1.393, 0.000}},
        {"CD", 5, {0.587, 1.399, 0.000}}, {"OE1", 6, {0.634, 1.060, 0.000}},
        {"NE2", 6, {0.593, -1.189, -0.001}},
    },
    { /* GLU */
        {"N", 0, {-0.528, 1.361, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.526, -0.781, -1.207}}, {"CG", 4, {0.615, 1.392, 0.000}},
        {"CD", 5, {0.600, 1.397, 0.000}}, {"OE1", 6, {0.607, 1.095, 0.000}},
        {"OE2", 6, {0.589, -1.104, -0.001}},
    },
    { /* GLY */
        {"N", 0, {-0.572, 1.337, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.517, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}},
    },
    { /* HIS */
        {"N", 0, {-0.527, 1.360, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.625, 1.063, 0.000}}, {"CB", 0, {-0.525, -0.778, -1.208}}, {"CG", 4, {0.600, 1.370, 0.000}},
        {"ND1", 5, {0.744, 1.160, 0.000}}, {"CD2", 5, {0.889, -1.021, 0.003}},
        {"CE1", 5, {2.030, 0.851, 0.002}}, {"NE2", 5, {2.145, -0.466, 0.004}},
    },
    { /* ILE */
        {"N", 0, {-0.493, 1.373, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.527, 0.000, 0.000}},
        {"O", 3, {0.627, 1.062, 0.000}}, {"CB", 0, {-0.536, -0.793, -1.213}},
        {"CG1", 4, {0.534, 1.437, 0.000}}, {"CG2", 4, {0.540, -0.785, -1.199}},
        {"CD1", 5, {0.619, 1.391, 0.000}},
    },
    { /* LEU */
        {"N", 0, {-0.520, 1.363, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.625, 1.063, 0.000}}, {"CB", 0, {-0.522, -0.773, -1.214}}, {"CG", 4, {0.678, 1.371, 0.000}},
        {"CD1", 5, {0.530, 1.430, 0.000}}, {"CD2", 5, {0.535, -0.774, 1.200}},
    },
    { /* LYS */
        {"N", 0, {-0.526, 1.362, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.524, -0.778, -1.208}}, {"CG", 4, {0.619, 1.390, 0.000}},
        {"CD", 5, {0.559, 1.417, 0.000}}, {"CE", 6, {0.560, 1.416, 0.000}}, {"NZ", 7, {0.554, 1.387, 0.000}},
    },
    { /* MET */
        {"N", 0, {-0.521, 1.364, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.625, 1.062, 0.000}}, {"CB", 0, {-0.523, -0.776, -1.210}}, {"CG", 4, {0.613, 1.391, 0.000}},
        {"SD", 5, {0.703, 1.695, 0.000}}, {"CE", 6, {0.320, 1.786, 0.000}},
    },
    { /* PHE */
        {"N", 0, {-0.518, 1.363, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.524, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.525, -0.776, -1.212}}, {"CG", 4, {0.607, 1.377, 0.000}},
        {"CD1", 5, {0.709, 1.195, 0.000}}, {"CD2", 5, {0.706, -1.196, 0.000}},
        {"CE1", 5, {2.102, 1.198, 0.000}}, {"CE2", 5, {2.098, -1.201, 0.000}},
        {"CZ", 5, {2.794, -0.003, -0.001}},
    },
    { /* PRO */
        {"N", 0, {-0.566, 1.351, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.527, 0.000, 0.000}},
        {"O", 3, {0.621, 1.066, 0.000}}, {"CB", 0, {-0.546, -0.611, -1.293}}, {"CG", 4, {0.382, 1.445, 0.000}},
        {"CD", 5, {0.477, 1.424, 0.000}},
    },
    { /* SER */
        {"N", 0, {-0.529, 1.360, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.518, -0.777, -1.211}}, {"OG", 4, {0.503, 1.325, 0.000}},
    },
    { /* THR */
        {"N", 0, {-0.517, 1.364, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.526, 0.000, 0.000}},
        {"O", 3, {0.626, 1.062, 0.000}}, {"CB", 0, {-0.516, -0.793, -1.215}},
        {"OG1", 4, {0.472, 1.353, 0.000}}, {"CG2", 4, {0.550, -0.718, -1.228}},
    },
    { /* TRP */
        {"N", 0, {-0.521, 1.363, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.525, 0.000, 0.000}},
        {"O", 3, {0.627, 1.062, 0.000}}, {"CB", 0, {-0.523, -0.776, -1.212}}, {"CG", 4, {0.609, 1.370, 0.000}},
        {"CD1", 5, {0.824, 1.091, 0.000}}, {"CD2", 5, {0.854, -1.148, -0.005}},
        {"NE1", 5, {2.140, 0.690, -0.004}}, {"CE2", 5, {2.186, -0.678, -0.007}},
        {"CE3", 5, {0.622, -2.530, -0.007}}, {"CZ2", 5, {3.283, -1.543, -0.011}},
        {"CZ3", 5, {1.715, -3.389, -0.011}}, {"CH2", 5, {3.028, -2.890, -0.013}},
    },
    { /* TYR */
        {"N", 0, {-0.522, 1.362, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.524, 0.000, 0.000}},
        {"O", 3, {0.627, 1.062, 0.000}}, {"CB", 0, {-0.522, -0.776, -1.213}}, {"CG", 4, {0.607, 1.382, 0.000}},
        {"CD1", 5, {0.716, 1.195, 0.000}}, {"CD2", 5, {0.713, -1.194, -0.001}},
        {"CE1", 5, {2.107, 1.200, -0.002}}, {"CE2", 5, {2.104, -1.201, -0.003}},
        {"CZ", 5, {2.791, -0.001, -0.003}}, {"OH", 5, {4.168, -0.002, -0.005}},
    },
    { /* VAL */
        {"N", 0, {-0.494, 1.373, 0.000}}, {"CA", 0, {0.000, 0.000, 0.000}}, {"C", 0, {1.527, 0.000, 0.000}},
        {"O", 3, {0.627, 1.062, 0.000}}, {"CB", 0, {-0.533, -0.795, -1.213}},
        {"CG1", 4, {0.540, 1.429, 0.000}}, {"CG2", 4, {0.533, -0.776, 1.203}},
    },
};

/* Atoms along the side chain: chi k turns about the bond between entries k + 1 and k + 2 and is defined by the four
 * atoms from entry k on. Arginine's fifth angle is always near 0 and is left out. */
static const char chi_path[FF_N_RESTYPE][FF_N_CHI + 3][4] = {
    /* ALA */ {""},
    /* ARG */ {"N", "CA", "CB", "CG", "CD", "NE", "CZ"},
    /* ASN */ {"N", "CA", "CB", "CG", "OD1"},
    /* ASP */ {"N", "CA", "CB", "CG", "OD1"},
    /* CYS */ {"N", "CA", "CB", "SG"},
    /* GLN */ {"N", "CA", "CB", "CG", "CD", "OE1"},
    /* GLU */ {"N", "CA", "CB", "CG", "CD", "OE1"},
    /* GLY */ {""},
    /* HIS */ {"N", "CA", "CB", "CG", "ND1"},
    /* ILE */ {"N", "CA", "CB", "CG1", "CD1"},
    /* LEU */ {"N", "CA", "CB", "CG", "CD1"},
    /* LYS */ {"N", "CA", "CB", "CG", "CD", "CE", "NZ"},
    /* MET */ {"N", "CA", "CB", "CG", "SD", "CE"},
    /* PHE */ {"N", "CA", "CB", "CG", "CD1"},
    /* PRO */ {"N", "CA", "CB", "CG", "CD"},
    /* SER */ {"N", "CA", "CB", "OG"},
    /* THR */ {"N", "CA", "CB", "OG1"},
    /* TRP */ {"N", "CA", "CB", "CG", "CD1"},
    /* TYR */ {"N", "CA", "CB", "CG", "CD1"},
    /* VAL */ {"N", "CA", "CB", "CG1"},
};

/* Carboxyl groups and rings look the same after half a turn: residue type and chi, 0-based (ASP, GLU, PHE, TYR). */
static const int pi_periodic[][2] = {{3, 1}, {6, 2}, {13, 1}, {18, 1}};

int ff_residue_from_letter(char letter)
{
    static const signed char type[26] = {
        0, 20, 4, 3, 6, 13, 7, 8, 9, 20, 11, 10, 12,       /* A to M */
        2, 20, 14, 5, 1, 15, 16, 20, 19, 17, 20, 18, 20    /* N to Z */
    };
    if (letter >= 'A' && letter <= 'Z')
        return type[letter - 'A'];
    return letter == '-' ? FF_RESTYPE_GAP : FF_RESTYPE_X;
}

int ff_residue_from_name(const char *name)
{
    int i = 0;
    while (i < FF_N_RESTYPE && strcmp(name, ff_residue_names[i]) != 0)
        i++;
    return i;
}

int ff_residue_atom37_index(const char *name, size_t len)
{
    for (int i = 0; i < FF_N_ATOM37; i++)
        if (strlen(ff_residue_atom37_names[i]) == len && memcmp(name, ff_residue_atom37_names[i], len) == 0)
            return i;
    return -1;
}

static double dot(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The frame with origin at, x axis along ex and y axis in the plane of ex and ey, as a 4 x 4 matrix. In double and
 * rounded once, as the published tables are. */
static void make_frame(const double ex[3], const double ey[3], const double at[3], float ret[4][4])
{
    double x[3], y[3], norm = sqrt(dot(ex, ex));
    for (int i = 0; i < 3; i++)
        x[i] = ex[i] / norm;
    double along = dot(ey, x);
    for (int i = 0; i < 3; i++)
        y[i] = ey[i] - along * x[i];
    norm = sqrt(dot(y, y));
    for (int i = 0; i < 3; i++)
        y[i] /= norm;
    const double z[3] = {x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
    for (int i = 0; i < 3; i++) {
        ret[i][0] = (float)x[i];
        ret[i][1] = (float)y[i];
        ret[i][2] = (float)z[i];
        ret[i][3] = (float)at[i];
    }
    ret[3][3] = 1.0f;
}

static const double *atom_position(int restype, const char *name)
{
    for (int a = 0; a < FF_N_ATOM14; a++)
        if (strcmp(atoms[restype][a].name, name) == 0)
            return atoms[restype][a].position;
    FF_ASSERT(!"an atom of a chi path is not in the residue");
    return NULL;
}

/* Frames relative to the parent group: phi, psi and chi1 hang on the backbone, chi2..4 on the chi before. */
static void fill_frames(struct ff_residue_tables *t, int r)
{
    const double *n = atom_position(r, "N"), *ca = atom_position(r, "CA"), *c = atom_position(r, "C");
    double ex[3], ey[3];
    for (int i = 0; i < 4; i++) {
        t->default_frames[r][0][i][i] = 1.0f;
        t->default_frames[r][1][i][i] = 1.0f;
    }
    for (int i = 0; i < 3; i++)
        ex[i] = n[i] - ca[i];
    make_frame(ex, (const double[3]){1.0, 0.0, 0.0}, n, t->default_frames[r][2]);
    for (int i = 0; i < 3; i++) {
        ex[i] = c[i] - ca[i];
        ey[i] = ca[i] - n[i];
    }
    make_frame(ex, ey, c, t->default_frames[r][3]);

    for (int k = 0; k < FF_N_CHI && chi_path[r][k + 3][0]; k++) {
        const double *end = atom_position(r, chi_path[r][k + 2]);
        if (k > 0) { /* the axis starts at the origin of the group before */
            make_frame(end, (const double[3]){-1.0, 0.0, 0.0}, end, t->default_frames[r][4 + k]);
            continue;
        }
        const double *before = atom_position(r, chi_path[r][0]), *start = atom_position(r, chi_path[r][1]);
        for (int i = 0; i < 3; i++) {
            ex[i] = end[i] - start[i];
            ey[i] = before[i] - start[i];
        }
        make_frame(ex, ey, end, t->default_frames[r][4]);
    }
}

static struct ff_residue_tables tables;

static void fill_tables(void)
{
    struct ff_residue_tables *t = &tables;
    for (int r = 0; r < FF_N_RESTYPE; r++) {
        for (int a = 0; a < FF_N_ATOM14 && atoms[r][a].name[0]; a++) {
            const struct atom *atom = &atoms[r][a];
            int slot = ff_residue_atom37_index(atom->name, strlen(atom->name));
            FF_ASSERT(slot >= 0);
            memcpy(t->atom14_names[r][a], atom->name, sizeof atom->name);
            t->atom14_to_atom37[r][a] = slot;
            t->atom37_to_atom14[r][slot] = a;
            t->atom14_mask[r][a] = 1.0f;
            t->atom37_mask[r][slot] = 1.0f;
            t->atom14_rigid_group[r][a] = atom->group;
            for (int i = 0; i < 3; i++)
                t->atom14_positions[r][a][i] = (float)atom->position[i];
        }
        for (int k = 0; k < FF_N_CHI && chi_path[r][k + 3][0]; k++) {
            t->chi_mask[r][k] = 1.0f;
            for (int i = 0; i < 4; i++)
                t->chi_atoms[r][k][i] = ff_residue_atom37_index(chi_path[r][k + i], strlen(chi_path[r][k + i]));
        }
        fill_frames(t, r);
    }
    for (size_t i = 0; i < sizeof pi_periodic / sizeof pi_periodic[0]; i++)
        t->chi_pi_periodic[pi_periodic[i][0]][pi_periodic[i][1]] = 1.0f;
}

const struct ff_residue_tables *ff_residue_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_tables);
    return &tables;
}
