/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/geometry.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

static void centroid(int n, const float *points, double ret[3])
{
    ret[0] = ret[1] = ret[2] = 0.0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            ret[k] += points[3 * (size_t)i + (size_t)k];
    for (int k = 0; k < 3; k++)
        ret[k] /= n;
}

/* Eigenvector of the largest eigenvalue of a symmetric 4 x 4 matrix, by Jacobi rotations (a is destroyed). They
 * converge for every symmetric matrix, whatever eigenvalues coincide; a few sweeps reach the last bit. */
static void largest_eigenvector(double a[4][4], double ret[4])
{
    double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    for (int sweep = 0; sweep < 50; sweep++) {
        double off = 0.0, diagonal = 0.0;
        for (int p = 0; p < 4; p++) {
            diagonal += a[p][p] * a[p][p];
            for (int q = p + 1; q < 4; q++)
                off += a[p][q] * a[p][q];
        }
        if (off <= 1e-40 * diagonal || off == 0.0)
            break;
        for (int p = 0; p < 4; p++)
            for (int q = p + 1; q < 4; q++) {
                if (a[p][q] == 0.0)
                    continue;
                double theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + hypot(theta, 1.0));
                double c = 1.0 / hypot(t, 1.0), s = t * c;
                for (int k = 0; k < 4; k++) { /* columns p and q, of the eigenvectors too */
                    double akp = a[k][p], akq = a[k][q], vkp = v[k][p], vkq = v[k][q];
                    a[k][p] = c * akp - s * akq;
                    a[k][q] = s * akp + c * akq;
                    v[k][p] = c * vkp - s * vkq;
                    v[k][q] = s * vkp + c * vkq;
                }
                for (int k = 0; k < 4; k++) { /* rows p and q */
                    double apk = a[p][k], aqk = a[q][k];
                    a[p][k] = c * apk - s * aqk;
                    a[q][k] = s * apk + c * aqk;
                }
            }
    }
    int best = 0;
    for (int k = 1; k < 4; k++)
        if (a[k][k] > a[best][best])
            best = k;
    for (int k = 0; k < 4; k++)
        ret[k] = v[k][best];
}

static void rotation_of(const double q[4], double ret[3][3])
{
    double w = q[0], x = q[1], y = q[2], z = q[3];
    double norm = w * w + x * x + y * y + z * z;
    const double r[3][3] = {
        {w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)},
        {2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)},
        {2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z},
    };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            ret[i][j] = r[i][j] / norm;
}

static void move_point(const struct ff_motion *m, const float *x, double ret[3])
{
    for (int i = 0; i < 3; i++)
        ret[i] = m->rot[i][0] * x[0] + m->rot[i][1] * x[1] + m->rot[i][2] * x[2] + m->trans[i];
}

double ff_geometry_superpose(int n, const float *mobile, const float *target, struct ff_motion *ret)
{
    *ret = (struct ff_motion){.rot = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    if (n == 0)
        return 0.0;
    double from[3], to[3], s[3][3] = {{0}};
    centroid(n, mobile, from);
    centroid(n, target, to);
    for (size_t p = 0; p < (size_t)n; p++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 3; j++)
                s[i][j] += (mobile[3 * p + i] - from[i]) * (target[3 * p + j] - to[j]);
    double key[4][4] = {
        {s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]},
        {s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]},
        {s[2][0] - s[0][2], s[0][1] + s[1][0], s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]},
        {s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], s[2][2] - s[0][0] - s[1][1]},
    };
    double q[4];
    largest_eigenvector(key, q);
    rotation_of(q, ret->rot);
    for (int i = 0; i < 3; i++)
        ret->trans[i] = to[i] - (ret->rot[i][0] * from[0] + ret->rot[i][1] * from[1] + ret->rot[i][2] * from[2]);

    double sum = 0.0; /* from the moved points: the eigenvalue would lose half the digits near 0 */
    for (size_t p = 0; p < (size_t)n; p++) {
        double x[3];
        move_point(ret, mobile + 3 * p, x);
        for (size_t i = 0; i < 3; i++)
            sum += (x[i] - target[3 * p + i]) * (x[i] - target[3 * p + i]);
    }
    return sqrt(sum / n);
}

void ff_geometry_move(const struct ff_motion *m, int n, float *points)
{
    for (size_t p = 0; p < (size_t)n; p++) {
        double x[3];
        move_point(m, points + 3 * p, x);
        for (size_t i = 0; i < 3; i++)
            points[3 * p + i] = (float)x[i];
    }
}

double ff_geometry_rmsd(int n, const float *a, const float *b)
{
    double sum = 0.0;
    for (size_t i = 0; i < 3 * (size_t)n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return n ? sqrt(sum / n) : 0.0;
}

static double distance(const float *a, const float *b)
{
    double x = (double)a[0] - b[0], y = (double)a[1] - b[1], z = (double)a[2] - b[2];
    return sqrt(x * x + y * y + z * z);
}

double ff_geometry_lddt(int n, const float *model, const float *reference, const float *mask, float *ret_per_residue)
{
    static const double radius = 15.0, thresholds[4] = {0.5, 1.0, 2.0, 4.0};
    double sum = 0.0;
    int n_value = 0;
    for (int i = 0; i < n; i++) {
        long n_pair = 0, n_kept = 0;
        bool ignored = mask && mask[i] < 0.5f;
        for (int j = 0; j < n && !ignored; j++) {
            if (j == i || (mask && mask[j] < 0.5f))
                continue;
            double d = distance(reference + 3 * (size_t)i, reference + 3 * (size_t)j);
            if (!(d < radius))
                continue;
            double change = fabs(distance(model + 3 * (size_t)i, model + 3 * (size_t)j) - d);
            n_pair++;
            for (int t = 0; t < 4; t++)
                n_kept += change < thresholds[t];
        }
        double value = n_pair ? (double)n_kept / (4.0 * (double)n_pair) : NAN;
        if (n_pair) {
            sum += value;
            n_value++;
        }
        if (ret_per_residue)
            ret_per_residue[i] = (float)value;
    }
    return n_value ? sum / n_value : NAN;
}
