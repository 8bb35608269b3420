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
    RESIDUES = 128,                          /* per piece */
    N_GROUP = 8,                             /* rigid groups: backbone, pre-omega, phi, psi, chi1 to chi4 */
    N_ANGLE = 7,
    N_ATOM14 = 14,
    N_ATOM37 = 37,
    CA = 1,
    CB = 3,
    GLYCINE = 7,
};

/* Four floats: a column of a frame (x, y, z and 0), or one number of four residues. */
typedef float four __attribute__((vector_size(16)));
typedef int32_t index4 __attribute__((vector_size(16)));

/* --- backbone update --- */

/* Rows and columns of four vectors change places. */
FF_INLINE void transpose4(four x[4])
{
    const index4 low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, left = {0, 1, 4, 5}, right = {2, 3, 6, 7};
    four a = __builtin_shuffle(x[0], x[1], low), b = __builtin_shuffle(x[2], x[3], low);
    four c = __builtin_shuffle(x[0], x[1], high), d = __builtin_shuffle(x[2], x[3], high);
    x[0] = __builtin_shuffle(a, b, left);
    x[1] = __builtin_shuffle(a, b, right);
    x[2] = __builtin_shuffle(c, d, left);
    x[3] = __builtin_shuffle(c, d, right);
}

/* Numbers k to k + 3 of four rows, number by number. */
FF_INLINE void take4(four x[4], float *const row[4], int k)
{
    for (int r = 0; r < 4; r++)
        memcpy(&x[r], row[r] + k, sizeof x[r]);
    transpose4(x);
}

FF_INLINE void give4(float *const row[4], int k, four x[4])
{
    transpose4(x);
    for (int r = 0; r < 4; r++)
        memcpy(row[r] + k, &x[r], sizeof x[r]);
}

FF_INLINE void rotation_of(four r[9], const four q[4])
{
    four w = q[0], x = q[1], y = q[2], z = q[3];
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

/* Four residues side by side: rows of 12, 4 and 6 numbers. */
FF_CLONES
static void update_four(float *const frame[4], float *const quat[4], float *const update[4])
{
    four f[12], q[4], b[4], more[4];
    for (int k = 0; k < 12; k += 4)
        take4(f + k, frame, k);
    take4(q, quat, 0);
    take4(b, update, 0);
    take4(more, update, 2);
    const four u[3] = {b[3], more[2], more[3]};
    for (int d = 0; d < 3; d++)
        f[9 + d] += f[3 * d] * u[0] + f[3 * d + 1] * u[1] + f[3 * d + 2] * u[2];
    four n[4] = {
        q[0] - q[1] * b[0] - q[2] * b[1] - q[3] * b[2],
        q[1] + q[0] * b[0] + q[2] * b[2] - q[3] * b[1],
        q[2] + q[0] * b[1] - q[1] * b[2] + q[3] * b[0],
        q[3] + q[0] * b[2] + q[1] * b[1] - q[2] * b[0],
    };
    four length2 = n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + n[3] * n[3], inverse;
    for (int r = 0; r < 4; r++)
        inverse[r] = 1.0f / sqrtf(length2[r]);
    for (int d = 0; d < 4; d++)
        q[d] = n[d] * inverse;
    rotation_of(f, q);
    for (int k = 0; k < 12; k += 4)
        give4(frame, k, f + k);
    give4(quat, 0, q);
}

static void rigid_update_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct ff_rigid_update_args *a = user;
    float spare[4][12 + 4 + 6] = {{0}};      /* rows behind the last residue */
    (void)s;
    for (int64_t i = 0; i < count; i += 4) {
        float *frame[4], *quat[4], *update[4];
        for (int64_t r = 0; r < 4; r++) {
            bool there = i + r < count;
            frame[r] = there ? FF_AT(float, &a->out, from + i + r) : spare[r];
            quat[r] = there ? FF_AT(float, &a->quat, from + i + r) : spare[r] + 12;
            update[r] = there ? FF_AT(float, &a->update, from + i + r) : spare[r] + 16;
        }
        update_four(frame, quat, update);
    }
}

void ff_cpu_rigid_update(struct ff_backend *be, const struct ff_rigid_update_args *a)
{
    int64_t n = a->out.shape[0];
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == 12);
    FF_ASSERT(a->quat.ndim == 2 && a->quat.shape[0] == n && a->quat.shape[1] == 4);
    FF_ASSERT(a->update.ndim == 2 && a->update.shape[0] == n && a->update.shape[1] == 6);
    ff_cpu_for(be, n, 8 * RESIDUES, rigid_update_piece, (void *)a);
}

/* --- torsion angles to atoms --- */

/* A frame as four columns: the rotation's three and the translation. */
struct columns {
    four c[4];
};

/* x o y: first y, then x */
FF_INLINE struct columns compose(const struct columns *x, const float *y)
{
    struct columns z;
    for (int c = 0; c < 3; c++)
        z.c[c] = x->c[0] * y[c] + x->c[1] * y[3 + c] + x->c[2] * y[6 + c];
    z.c[3] = x->c[0] * y[9] + x->c[1] * y[10] + x->c[2] * y[11] + x->c[3];
    return z;
}

/* f o (rotation around x by the angle with that sine and cosine) */
FF_INLINE void turn_x(struct columns *f, float sine, float cosine)
{
    four y = f->c[1], z = f->c[2];
    f->c[1] = y * cosine + z * sine;
    f->c[2] = z * cosine - y * sine;
}

/* The eight rigid groups of one residue in the global frame; chi2 to chi4 hang on the group before them. */
FF_INLINE void groups_of(struct columns groups[N_GROUP], const float *f, float scale, const float *angles,
                         const float *defaults)
{
    float sine[N_ANGLE], cosine[N_ANGLE];
#pragma omp simd
    for (int g = 0; g < N_ANGLE; g++) {
        float s = angles[2 * g], c = angles[2 * g + 1], length2 = s * s + c * c;
        float inverse = 1.0f / sqrtf(length2 > 1e-12f ? length2 : 1e-12f);
        sine[g] = s * inverse;
        cosine[g] = c * inverse;
    }
    const struct columns backbone = {{{f[0], f[3], f[6]}, {f[1], f[4], f[7]}, {f[2], f[5], f[8]},
                                      {f[9] * scale, f[10] * scale, f[11] * scale}}};
    for (int g = 0; g < N_GROUP; g++) {
        groups[g] = compose(g < 5 ? &backbone : &groups[g - 1], defaults + 12 * g);
        if (g > 0)
            turn_x(&groups[g], sine[g - 1], cosine[g - 1]);
    }
}

enum { MOST_TYPES = 32, ZERO = N_ATOM14 };

struct atoms {
    const struct ff_atoms_from_angles_args *a;
    /* Which of a residue's 14 atoms, or the ZERO behind them, stands in each place: of 37, then of 14. */
    uint8_t source[MOST_TYPES][N_ATOM37 + N_ATOM14];
};

/* An atom of the dense order exists if an existing atom37 atom is stored there. */
static void find_sources(struct atoms *t)
{
    const struct ff_atoms_from_angles_args *a = t->a;
    for (int64_t type = 0; type < a->table_frame.shape[0]; type++) {
        const int32_t *atom14 = FF_AT(int32_t, &a->table_atom14, type);
        const float *exists = FF_AT(float, &a->table_exists, type);
        uint8_t *sparse = t->source[type], *dense = sparse + N_ATOM37;
        memset(dense, ZERO, N_ATOM14);
        for (int k = 0; k < N_ATOM37; k++) {
            sparse[k] = exists[k] != 0.0f ? (uint8_t)atom14[k] : ZERO;
            if (sparse[k] != ZERO)
                dense[sparse[k]] = sparse[k];
        }
    }
}

/* to[n, 3] = atoms[source[n]]: whole columns, of which the next one covers the last number. */
FF_INLINE void put_columns(float *to, const four *atoms, const uint8_t *source, int n)
{
    for (int k = 0; k < n - 1; k++)
        memcpy(to + 3 * k, &atoms[source[k]], sizeof(four));
    memcpy(to + 3 * (n - 1), &atoms[source[n - 1]], 3 * sizeof(float));
}

FF_CLONES
static void atoms_of(float *out, float *dense, const float *frame, float scale, const float *angles,
                     const float *defaults, const int32_t *group, const float *position, const uint8_t *source)
{
    struct columns groups[N_GROUP];
    four atoms[N_ATOM14 + 1];
    groups_of(groups, frame, scale, angles, defaults);
    for (int k = 0; k < N_ATOM14; k++) {
        const struct columns *f = &groups[group[k]];
        const float *p = position + 3 * k;
        atoms[k] = f->c[0] * p[0] + f->c[1] * p[1] + f->c[2] * p[2] + f->c[3];
    }
    atoms[ZERO] = (four){0.0f};
    put_columns(out, atoms, source, N_ATOM37);
    if (dense)
        put_columns(dense, atoms, source + N_ATOM37, N_ATOM14);
}

static void atoms_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct atoms *t = user;
    const struct ff_atoms_from_angles_args *a = t->a;
    (void)s;
    for (int64_t i = from; i < from + count; i++) {
        int64_t type = *FF_AT(int32_t, &a->aatype, i);
        FF_ASSERT(type >= 0 && type < a->table_frame.shape[0]);
        atoms_of(FF_AT(float, &a->out, i), ff_tensor_present(&a->atom14) ? FF_AT(float, &a->atom14, i) : NULL,
                 FF_AT(float, &a->frame, i), a->scale, FF_AT(float, &a->angles, i),
                 FF_AT(float, &a->table_frame, type), FF_AT(int32_t, &a->table_group, type),
                 FF_AT(float, &a->table_position, type), t->source[type]);
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
    FF_ASSERT(types <= MOST_TYPES && ff_tensor_count(&a->table_frame) == types * N_GROUP * 12);
    FF_ASSERT(ff_tensor_count(&a->table_group) == types * N_ATOM14 && a->table_group.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_position) == types * N_ATOM14 * 3);
    FF_ASSERT(ff_tensor_count(&a->table_atom14) == types * N_ATOM37 && a->table_atom14.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_exists) == types * N_ATOM37);
    struct atoms t = {.a = a};
    find_sources(&t);
    ff_cpu_for(be, n, RESIDUES, atoms_piece, &t);
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

enum { CHANGE_LANES = 16, CHANGE_BLOCKS = 64 };

struct change {
    float *ca;                               /* [7, N]: x, y, z of a, x, y, z of b, mask; zeros behind the residues */
    double *sums;                            /* [n_block] */
    int64_t n, step;                         /* N, a multiple of CHANGE_LANES; residues per block */
};

/* What the rows [from, from + count) add to sum_ij mask_i mask_j (|a_i - a_j| - |b_i - b_j|)^2. Of the symmetric pairs
 * only those from the diagonal on are computed: the 16 columns around it hold each pair twice, those behind, once. */
FF_CLONES
static double change_rows(const float *ca, int64_t n, int64_t from, int64_t count)
{
    enum { LANES = CHANGE_LANES };
    const float *x = ca, *y = x + n, *z = y + n, *u = z + n, *v = u + n, *w = v + n, *mask = w + n;
    double sum = 0.0;
    for (int64_t i = from; i < from + count; i++) {
        double lane[LANES] = {0.0}, row = 0.0;
        float weight = 0.5f;
        for (int64_t j0 = i / LANES * LANES; j0 < n; j0 += LANES) {
#pragma omp simd
            for (int e = 0; e < LANES; e++) {
                int64_t j = j0 + e;
                float dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
                float du = u[i] - u[j], dv = v[i] - v[j], dw = w[i] - w[j];
                float d = sqrtf(dx * dx + dy * dy + dz * dz) - sqrtf(du * du + dv * dv + dw * dw);
                lane[e] += (double)(weight * mask[j] * d * d);
            }
            weight = 1.0f;
        }
        for (int e = 0; e < LANES; e++)
            row += lane[e];
        sum += (double)mask[i] * row;
    }
    return 2.0 * sum;
}

static void change_piece(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct change *c = user;
    (void)s;
    c->sums[from / c->step] = change_rows(c->ca, c->n, from, count);
}

void ff_cpu_distance_change(struct ff_backend *be, const struct ff_distance_change_args *a)
{
    int64_t n = a->mask.shape[0];
    FF_ASSERT(ff_tensor_count(&a->out) == 1 && ff_tensor_same_shape(&a->a, &a->b));
    FF_ASSERT(a->a.ndim == 3 && a->a.shape[0] == n && a->a.shape[1] > CA && a->a.shape[2] == 3);

    /* Blocks that do not depend on the number of threads, so that the sum does not either. */
    double sums[CHANGE_BLOCKS], square = 0.0, residues = 0.0;
    int64_t padded = (n + CHANGE_LANES - 1) / CHANGE_LANES * CHANGE_LANES;
    struct change c = {.ca = ff_cpu_shared(be, 7 * padded), .sums = sums, .n = padded,
                       .step = (n + CHANGE_BLOCKS - 1) / CHANGE_BLOCKS};
    memset(c.ca, 0, (size_t)(7 * padded) * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        const float *x = FF_AT(float, &a->a, i, CA), *y = FF_AT(float, &a->b, i, CA);
        for (int d = 0; d < 3; d++) {
            c.ca[d * padded + i] = x[d];
            c.ca[(3 + d) * padded + i] = y[d];
        }
        c.ca[6 * padded + i] = *FF_AT(float, &a->mask, i);
        residues += (double)c.ca[6 * padded + i];
    }
    ff_cpu_for(be, n, c.step, change_piece, &c);
    for (int64_t k = 0; k * c.step < n; k++)
        square += sums[k];
    *(float *)a->out.data = (float)sqrt(1e-8 + square / (1e-10 + residues * residues));
}
