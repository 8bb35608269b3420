/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu_geometry: frames, torsion angles and atoms of the structure module on the cpu. Invariant point attention has
 * its own file, ops_cpu_point.c.
 *
 * A frame is 12 floats: rotation row by row, translation.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 23 to 25; AlphaFold model/quat_affine.py, all_atom.py, modules.py
 * (pseudo_beta_fn), modules_multimer.py (early stop).
 */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "compute/ops_cpu.h"

enum {
    RESIDUES = 64,                           /* per piece */
    N_GROUP = 8,                             /* rigid groups: backbone, pre-omega, phi, psi, chi1 to chi4 */
    N_ANGLE = 7,
    N_ATOM14 = 14,
    N_ATOM37 = 37,
    CA = 1,
    CB = 3,
    GLYCINE = 7,
};

/* --- backbone update --- */

static void rotation_of(float r[9], const float q[4])
{
    float w = q[0], x = q[1], y = q[2], z = q[3];
    r[0] = w * w + x * x - y * y - z * z;
    r[1] = 2.0f * (x * y - w * z);
    r[2] = 2.0f * (x * z + w * y);
    r[3] = 2.0f * (x * y + w * z);
    r[4] = w * w - x * x + y * y - z * z;
    r[5] = 2.0f * (y * z - w * x);
    r[6] = 2.0f * (x * z - w * y);
    r[7] = 2.0f * (y * z + w * x);
    r[8] = w * w - x * x - y * y + z * z;
}

static void rigid_update_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_rigid_update_args *a = user;
    (void)s;
    for (int64_t i = from; i < from + count; i++) {
        float *frame = FF_AT(float, &a->out, i), *q = FF_AT(float, &a->quat, i);
        const float *b = FF_AT(float, &a->update, i), *u = b + 3;
        for (int d = 0; d < 3; d++)
            frame[9 + d] += frame[3 * d] * u[0] + frame[3 * d + 1] * u[1] + frame[3 * d + 2] * u[2];
        float n[4] = {
            q[0] - q[1] * b[0] - q[2] * b[1] - q[3] * b[2],
            q[1] + q[0] * b[0] + q[2] * b[2] - q[3] * b[1],
            q[2] + q[0] * b[1] - q[1] * b[2] + q[3] * b[0],
            q[3] + q[0] * b[2] + q[1] * b[1] - q[2] * b[0],
        };
        float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + n[3] * n[3]);
        for (int d = 0; d < 4; d++)
            q[d] = n[d] / length;
        rotation_of(frame, q);
    }
}

void ff_cpu_rigid_update(struct ff_backend *be, const struct ff_rigid_update_args *a)
{
    int64_t n = a->out.shape[0];
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == 12);
    FF_ASSERT(a->quat.ndim == 2 && a->quat.shape[0] == n && a->quat.shape[1] == 4);
    FF_ASSERT(a->update.ndim == 2 && a->update.shape[0] == n && a->update.shape[1] == 6);
    ff_cpu_for(be, n, RESIDUES, rigid_update_piece, (void *)a);
}

/* --- torsion angles to atoms --- */

/* z = x o y: first y, then x; z may be neither. */
static void compose(float *z, const float *x, const float *y)
{
    for (int r = 0; r < 3; r++) {
        for (int c = 0; c < 3; c++)
            z[3 * r + c] = x[3 * r] * y[c] + x[3 * r + 1] * y[3 + c] + x[3 * r + 2] * y[6 + c];
        z[9 + r] = x[3 * r] * y[9] + x[3 * r + 1] * y[10] + x[3 * r + 2] * y[11] + x[9 + r];
    }
}

/* f = f o (rotation around x by the angle with that sine and cosine) */
static void turn_x(float *f, float sine, float cosine)
{
    for (int r = 0; r < 3; r++) {
        float y = f[3 * r + 1], z = f[3 * r + 2];
        f[3 * r + 1] = y * cosine + z * sine;
        f[3 * r + 2] = z * cosine - y * sine;
    }
}

/* The eight rigid groups of one residue in the global frame; chi2 to chi4 hang on the group before them. */
static void groups_of(float groups[N_GROUP][12], const float *backbone, const float *angles, const float *defaults)
{
    float local[N_GROUP][12], chain[12];
    memcpy(local, defaults, sizeof local);
    for (int g = 1; g <= N_ANGLE; g++) {
        const float *sc = angles + 2 * (g - 1);
        float length2 = sc[0] * sc[0] + sc[1] * sc[1];
        float length = sqrtf(length2 > 1e-12f ? length2 : 1e-12f);
        turn_x(local[g], sc[0] / length, sc[1] / length);
    }
    for (int g = 5; g < N_GROUP; g++) {
        compose(chain, local[g - 1], local[g]);
        memcpy(local[g], chain, sizeof chain);
    }
    for (int g = 0; g < N_GROUP; g++)
        compose(groups[g], backbone, local[g]);
}

static void atoms_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_atoms_from_angles_args *a = user;
    (void)s;
    for (int64_t i = from; i < from + count; i++) {
        int64_t type = *FF_AT(int32_t, &a->aatype, i);
        FF_ASSERT(type >= 0 && type < a->table_frame.shape[0]);
        const int32_t *group = FF_AT(int32_t, &a->table_group, type), *atom14 = FF_AT(int32_t, &a->table_atom14, type);
        const float *position = FF_AT(float, &a->table_position, type), *exists = FF_AT(float, &a->table_exists, type);
        float backbone[12], groups[N_GROUP][12];
        float atoms[N_ATOM14 + 1][3] = {{0}};                    /* the last: of atoms that do not exist */

        memcpy(backbone, FF_AT(float, &a->frame, i), sizeof backbone);
        for (int d = 9; d < 12; d++)
            backbone[d] *= a->scale;
        groups_of(groups, backbone, FF_AT(float, &a->angles, i), FF_AT(float, &a->table_frame, type));
        for (int k = 0; k < N_ATOM14; k++) {
            const float *f = groups[group[k]], *p = position + 3 * k;
            for (int r = 0; r < 3; r++)
                atoms[k][r] = f[3 * r] * p[0] + f[3 * r + 1] * p[1] + f[3 * r + 2] * p[2] + f[9 + r];
        }

        /* An atom of the dense order exists if an existing atom37 atom is stored there. */
        float *dense = ff_tensor_present(&a->atom14) ? FF_AT(float, &a->atom14, i) : NULL;
        if (dense)
            memset(dense, 0, N_ATOM14 * 3 * sizeof(float));
        float *out = FF_AT(float, &a->out, i);
        for (int k = 0; k < N_ATOM37; k++, out += 3) {
            /* Chosen by address, for which atoms exist is not to be guessed. */
            bool there = exists[k] != 0.0f;
            memcpy(out, atoms[there ? atom14[k] : N_ATOM14], 3 * sizeof(float));
            if (there && dense)
                memcpy(dense + 3 * atom14[k], out, 3 * sizeof(float));
        }
    }
}

void ff_cpu_atoms_from_angles(struct ff_backend *be, const struct ff_atoms_from_angles_args *a)
{
    int64_t n = a->out.shape[0], types = a->table_frame.shape[0];
    FF_ASSERT(a->out.ndim == 3 && a->out.shape[1] == N_ATOM37 && a->out.shape[2] == 3 && a->out.stride[1] == 3);
    FF_ASSERT(a->atom14.ndim == 0 || (a->atom14.shape[0] == n && a->atom14.shape[1] == N_ATOM14 &&
                                      a->atom14.stride[1] == 3));
    FF_ASSERT(a->frame.shape[0] == n && a->frame.shape[1] == 12 && a->angles.shape[0] == n);
    FF_ASSERT(a->angles.shape[1] == 2 * N_ANGLE && a->aatype.shape[0] == n && a->aatype.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_frame) == types * N_GROUP * 12);
    FF_ASSERT(ff_tensor_count(&a->table_group) == types * N_ATOM14 && a->table_group.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_position) == types * N_ATOM14 * 3);
    FF_ASSERT(ff_tensor_count(&a->table_atom14) == types * N_ATOM37 && a->table_atom14.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_exists) == types * N_ATOM37);
    ff_cpu_for(be, n, RESIDUES, atoms_piece, (void *)a);
}

/* --- pseudo beta --- */

static void pseudo_beta_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_pseudo_beta_args *a = user;
    (void)s;
    for (int64_t i = from; i < from + count; i++) {
        bool glycine = *FF_AT(int32_t, &a->aatype, i) == GLYCINE;
        memcpy(FF_AT(float, &a->out, i), FF_AT(float, &a->atoms, i, glycine ? CA : CB), 3 * sizeof(float));
    }
}

void ff_cpu_pseudo_beta(struct ff_backend *be, const struct ff_pseudo_beta_args *a)
{
    int64_t n = a->out.shape[0];
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == 3 && a->aatype.shape[0] == n && a->aatype.dtype == FF_I32);
    FF_ASSERT(a->atoms.ndim == 3 && a->atoms.shape[0] == n && a->atoms.shape[1] > CB && a->atoms.shape[2] == 3);
    ff_cpu_for(be, n, 8 * RESIDUES, pseudo_beta_piece, (void *)a);
}

/* --- change of distances --- */

struct change {
    float *ca;                               /* [7, N]: x, y, z of a, x, y, z of b, mask */
    double *sums;                            /* [n_block] */
    int64_t n, step;
};

/* sum_j mask_j (|a_i - a_j| - |b_i - b_j|)^2. The pairs are symmetric, but a whole row is a plain loop. */
FF_CLONES
static double change_row(const float *ca, int64_t n, int64_t i)
{
    enum { LANES = 8 };
    const float *x = ca, *y = x + n, *z = y + n, *u = z + n, *v = u + n, *w = v + n, *mask = w + n;
    double lane[LANES] = {0.0}, sum = 0.0;
    for (int64_t j0 = 0; j0 < n; j0 += LANES) {
        int64_t count = n - j0 < LANES ? n - j0 : LANES;
#pragma omp simd
        for (int64_t e = 0; e < count; e++) {
            int64_t j = j0 + e;
            float dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
            float du = u[i] - u[j], dv = v[i] - v[j], dw = w[i] - w[j];
            float d = sqrtf(dx * dx + dy * dy + dz * dz) - sqrtf(du * du + dv * dv + dw * dw);
            lane[e] += (double)(mask[j] * d * d);
        }
    }
    for (int e = 0; e < LANES; e++)
        sum += lane[e];
    return sum;
}

static void change_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct change *c = user;
    double sum = 0.0;
    (void)s;
    for (int64_t i = from; i < from + count; i++)
        sum += (double)c->ca[6 * c->n + i] * change_row(c->ca, c->n, i);
    c->sums[from / c->step] = sum;
}

void ff_cpu_distance_change(struct ff_backend *be, const struct ff_distance_change_args *a)
{
    int64_t n = a->mask.shape[0];
    FF_ASSERT(ff_tensor_count(&a->out) == 1 && ff_tensor_same_shape(&a->a, &a->b));
    FF_ASSERT(a->a.ndim == 3 && a->a.shape[0] == n && a->a.shape[1] > CA && a->a.shape[2] == 3);

    /* Blocks that do not depend on the number of threads, so that the sum does not either. */
    enum { BLOCKS = 64 };
    double sums[BLOCKS];
    struct change c = {.ca = ff_cpu_shared(be, 7 * n), .sums = sums, .n = n, .step = (n + BLOCKS - 1) / BLOCKS};
    double square = 0.0, residues = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const float *x = FF_AT(float, &a->a, i, CA), *y = FF_AT(float, &a->b, i, CA);
        for (int d = 0; d < 3; d++) {
            c.ca[d * n + i] = x[d];
            c.ca[(3 + d) * n + i] = y[d];
        }
        c.ca[6 * n + i] = *FF_AT(float, &a->mask, i);
        residues += (double)c.ca[6 * n + i];
    }
    ff_cpu_for(be, n, c.step, change_piece, &c);
    for (int64_t k = 0; k * c.step < n; k++)
        square += sums[k];
    *(float *)a->out.data = (float)sqrt(1e-8 + square / (1e-10 + residues * residues));
}
