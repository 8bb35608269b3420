/* SPDX-License-Identifier: Apache-2.0
 * Frames are 3 x 4 matrices here: [R | t].
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "op/ref.h"

struct frame {
    double r[3][3], t[3];
};

static struct frame frame_at(const float *p)
{
    struct frame f;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            f.r[i][k] = p[3 * i + k];
        f.t[i] = p[9 + i];
    }
    return f;
}

static void apply(double y[3], const struct frame *f, const double x[3])
{
    for (int i = 0; i < 3; i++)
        y[i] = f->r[i][0] * x[0] + f->r[i][1] * x[1] + f->r[i][2] * x[2] + f->t[i];
}

static void apply_inverse(double y[3], const struct frame *f, const double x[3])
{
    for (int i = 0; i < 3; i++)
        y[i] = f->r[0][i] * (x[0] - f->t[0]) + f->r[1][i] * (x[1] - f->t[1]) + f->r[2][i] * (x[2] - f->t[2]);
}

static struct frame compose(const struct frame *a, const struct frame *b)
{
    struct frame f;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            f.r[i][k] = a->r[i][0] * b->r[0][k] + a->r[i][1] * b->r[1][k] + a->r[i][2] * b->r[2][k];
    apply(f.t, a, b->t);
    return f;
}

/* Point number `at` of a row [3, count] in the global frame of that row. */
static void global_point(double y[3], const struct ff_tensor *points, const struct ff_tensor *frames, int64_t row,
                         int64_t at)
{
    int64_t count = points->shape[1] / 3;
    struct frame f = frame_at(&REF(*frames, row, 0));
    double x[3];
    for (int d = 0; d < 3; d++)
        x[d] = REF(*points, row, d * count + at);
    apply(y, &f, x);
}

static double point_logit(const struct ff_point_attention_args *a, int64_t h, int64_t i, int64_t j, const double *z)
{
    double dot = 0, distance2 = 0, pair = REF(a->b2d, h);
    for (int c = 0; c < a->n_qk; c++)
        dot += (double)REF(a->q, i, h * a->n_qk + c) * REF(a->kv, j, h * (a->n_qk + a->n_v) + c);
    for (int p = 0; p < a->n_point_qk; p++) {
        double q[3], k[3];
        global_point(q, &a->q_point, &a->frame_i, i, h * a->n_point_qk + p);
        global_point(k, &a->kv_point, &a->frame_j, j, h * (a->n_point_qk + a->n_point_v) + p);
        for (int d = 0; d < 3; d++)
            distance2 += (q[d] - k[d]) * (q[d] - k[d]);
    }
    for (int64_t c = 0; c < a->z.shape[2]; c++)
        pair += z[c] * REF(a->w2d, c, h);
    double weight = sqrt(2.0 / (27.0 * a->n_point_qk)) * log(1.0 + exp((double)REF(a->point_weight, h)));
    return sqrt(1.0 / (3.0 * a->n_qk)) * dot - 0.5 * weight * distance2 + sqrt(1.0 / 3.0) * pair -
           1e5 * (1.0 - (double)REF(a->mask_i, i) * REF(a->mask_j, j));
}

void ref_point_attention(const struct ff_point_attention_args *a)
{
    int64_t n_i = a->z.shape[0], n_j = a->z.shape[1], c_z = a->z.shape[2], H = a->n_head, points = H * a->n_point_v;
    double *z = ff_xcalloc((size_t)(n_j * c_z), sizeof(double)), *w = ff_xcalloc((size_t)n_j, sizeof(double));
    for (int64_t i = 0; i < n_i; i++) {
        struct frame frame = frame_at(&REF(a->frame_i, i, 0));
        for (int64_t j = 0; j < n_j; j++)
            ref_norm(z + j * c_z, &REF(a->z, i, j, 0), c_z, &a->norm);
        for (int64_t h = 0; h < H; h++) {
            double top = -INFINITY, sum = 0;
            for (int64_t j = 0; j < n_j; j++) {
                w[j] = point_logit(a, h, i, j, z + j * c_z);
                top = fmax(top, w[j]);
            }
            for (int64_t j = 0; j < n_j; j++) {
                w[j] = exp(w[j] - top);
                sum += w[j];
            }
            for (int64_t j = 0; j < n_j; j++)
                w[j] /= sum;
            for (int c = 0; c < a->n_v; c++) {
                double v = 0;
                for (int64_t j = 0; j < n_j; j++)
                    v += w[j] * REF(a->kv, j, h * (a->n_qk + a->n_v) + a->n_qk + c);
                REF(a->out, i, h * a->n_v + c) = (float)v;
            }
            for (int p = 0; p < a->n_point_v; p++) {
                double mean[3] = {0}, local[3];
                for (int64_t j = 0; j < n_j; j++) {
                    double x[3];
                    global_point(x, &a->kv_point, &a->frame_j, j,
                                 h * (a->n_point_qk + a->n_point_v) + a->n_point_qk + p);
                    for (int d = 0; d < 3; d++)
                        mean[d] += w[j] * x[d];
                }
                apply_inverse(local, &frame, mean);
                int64_t at = H * a->n_v + h * a->n_point_v + p;
                for (int d = 0; d < 3; d++)
                    REF(a->out, i, at + d * points) = (float)local[d];
                REF(a->out, i, at + 3 * points) =
                    (float)sqrt(1e-8 + local[0] * local[0] + local[1] * local[1] + local[2] * local[2]);
            }
            for (int64_t c = 0; c < c_z; c++) {
                double mean = 0;
                for (int64_t j = 0; j < n_j; j++)
                    mean += w[j] * z[j * c_z + c];
                REF(a->out, i, H * a->n_v + 4 * points + h * c_z + c) = (float)mean;
            }
        }
    }
    free(z);
    free(w);
}

void ref_rigid_update(const struct ff_rigid_update_args *a)
{
    for (int64_t n = 0; n < a->out.shape[0]; n++) {
        struct frame f = frame_at(&REF(a->out, n, 0));
        double u[3], q[4], p[4], b[4] = {1.0}, length = 0;
        for (int d = 0; d < 3; d++) {
            b[1 + d] = REF(a->update, n, d);
            u[d] = REF(a->update, n, 3 + d);
        }
        for (int d = 0; d < 4; d++)
            q[d] = REF(a->quat, n, d);
        /* Hamilton product q (1, b) = q + q (0, b) */
        p[0] = q[0] * b[0] - q[1] * b[1] - q[2] * b[2] - q[3] * b[3];
        p[1] = q[0] * b[1] + q[1] * b[0] + q[2] * b[3] - q[3] * b[2];
        p[2] = q[0] * b[2] - q[1] * b[3] + q[2] * b[0] + q[3] * b[1];
        p[3] = q[0] * b[3] + q[1] * b[2] - q[2] * b[1] + q[3] * b[0];
        for (int d = 0; d < 4; d++)
            length += p[d] * p[d];
        for (int d = 0; d < 4; d++) {
            p[d] /= sqrt(length);
            REF(a->quat, n, d) = (float)p[d];
        }
        apply(f.t, &f, u);
        /* Columns of the rotation matrix: the axes turned by p, as p e p* with 1 - 2 (y^2 + z^2) and so on. */
        double w = p[0], x = p[1], y = p[2], z = p[3];
        const double r[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                                {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                                {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 3; k++)
                REF(a->out, n, 3 * i + k) = (float)r[i][k];
            REF(a->out, n, 9 + i) = (float)f.t[i];
        }
    }
}

/* The frame of group g of one residue in its backbone frame. */
static struct frame group_frame(const struct ff_atoms_from_angles_args *a, int64_t n, int type, int g)
{
    struct frame f = frame_at(&REF(a->table_frame, type, g, 0));
    if (g == 0)
        return f;
    double s = REF(a->angles, n, 2 * (g - 1)), c = REF(a->angles, n, 2 * (g - 1) + 1);
    double length = sqrt(fmax(s * s + c * c, 1e-12));
    struct frame turn = {.r = {{1, 0, 0}, {0, c / length, -s / length}, {0, s / length, c / length}}};
    f = compose(&f, &turn);
    if (g >= 5) {
        struct frame before = group_frame(a, n, type, g - 1);
        f = compose(&before, &f);
    }
    return f;
}

void ref_atoms_from_angles(const struct ff_atoms_from_angles_args *a)
{
    for (int64_t n = 0; n < a->out.shape[0]; n++) {
        int type = REF_INT(a->aatype, n);
        struct frame backbone = frame_at(&REF(a->frame, n, 0));
        for (int d = 0; d < 3; d++)
            backbone.t[d] *= a->scale;
        for (int k = 0; k < 14 && ff_tensor_present(&a->atom14); k++)
            for (int d = 0; d < 3; d++)
                REF(a->atom14, n, k, d) = 0.0f;
        for (int atom = 0; atom < 37; atom++) {
            int k = REF_INT(a->table_atom14, type, atom);
            struct frame f = group_frame(a, n, type, REF_INT(a->table_group, type, k));
            double x[3], y[3] = {0};
            for (int d = 0; d < 3; d++)
                x[d] = REF(a->table_position, type, k, d);
            f = compose(&backbone, &f);
            bool exists = REF(a->table_exists, type, atom) != 0.0f;
            if (exists)
                apply(y, &f, x);
            for (int d = 0; d < 3; d++) {
                REF(a->out, n, atom, d) = (float)y[d];
                if (exists && ff_tensor_present(&a->atom14))
                    REF(a->atom14, n, k, d) = (float)y[d];
            }
        }
    }
}

void ref_pseudo_beta(const struct ff_pseudo_beta_args *a)
{
    for (int64_t n = 0; n < a->out.shape[0]; n++)
        for (int d = 0; d < 3; d++)
            REF(a->out, n, d) = REF(a->atoms, n, REF_INT(a->aatype, n) == 7 ? 1 : 3, d);
}

static double ca_distance(const struct ff_tensor *atoms, int64_t i, int64_t j)
{
    double sum = 0;
    for (int d = 0; d < 3; d++) {
        double x = (double)REF(*atoms, i, 1, d) - REF(*atoms, j, 1, d);
        sum += x * x;
    }
    return sqrt(sum);
}

void ref_distance_change(const struct ff_distance_change_args *a)
{
    double square = 0, count = 0;
    for (int64_t i = 0; i < a->mask.shape[0]; i++) {
        for (int64_t j = 0; j < a->mask.shape[0]; j++) {
            double mask = (double)REF(a->mask, i) * REF(a->mask, j);
            square += mask * pow(ca_distance(&a->a, i, j) - ca_distance(&a->b, i, j), 2.0);
            count += mask;
        }
    }
    REF(a->out, 0) = (float)sqrt(1e-8 + square / (1e-10 + count));
}
