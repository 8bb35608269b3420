/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/torsion.h"

#include <math.h>
#include <string.h>

#include "bio/residue.h"

/* Where atoms are missing, points coincide and the frame below is made of rounding noise that EPSILON does not always
 * hide: what comes out depends on how every sum is rounded. So nothing may be contracted here but by mul_add. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

static const float EPSILON = 1e-8f;

static float mul_add(enum ff_torsion_rounding r, float a, float b, float c)
{
    return r == FF_TORSION_FUSED ? fmaf(a, b, c) : a * b + c;
}

/* a . b; the product that is rounded first, by itself, is the one of this axis (0 or 1). */
static float dot(enum ff_torsion_rounding r, int axis, const float *a, const float *b)
{
    return mul_add(r, a[2], b[2], mul_add(r, a[1 - axis], b[1 - axis], a[axis] * b[axis]));
}

static void normalize(enum ff_torsion_rounding r, float v[3])
{
    float norm = sqrtf(dot(r, 1, v, v) + EPSILON);
    for (int i = 0; i < 3; i++)
        v[i] /= norm;
}

/* Sine and cosine of the torsion angle of four points: place of d in the frame with origin c, x axis from b to c and a
 * in the xy plane (Alg. 21). */
static void torsion(enum ff_torsion_rounding r, const float *a, const float *b, const float *c, const float *d,
                    float ret[2])
{
    float x[3], y[3];
    for (int i = 0; i < 3; i++)
        x[i] = c[i] - b[i];
    normalize(r, x);
    const float ca[3] = {a[0] - c[0], a[1] - c[1], a[2] - c[2]};
    for (int i = 0; i < 3; i++)
        y[i] = mul_add(r, -dot(r, i > 0, ca, x), x[i], ca[i]);
    normalize(r, y);
    const float z[3] = {mul_add(r, -x[2], y[1], x[1] * y[2]), mul_add(r, -x[0], y[2], x[2] * y[0]),
                        mul_add(r, -x[1], y[0], x[0] * y[1])};

    float sine = dot(r, 0, z, d) + -dot(r, 0, z, c);
    float cosine = dot(r, 0, y, d) + -dot(r, 0, y, c);
    float norm = sqrtf(mul_add(r, cosine, cosine, sine * sine) + EPSILON);
    ret[0] = sine / norm;
    ret[1] = cosine / norm;
}

void ff_torsion_from_atom37(enum ff_torsion_rounding rounding, int n_res, const int32_t *aatype,
                            const float *positions, const float *mask, float *ret_sin_cos, float *ret_alt_sin_cos,
                            float *ret_mask)
{
    static const float zero_positions[FF_N_ATOM37][3], zero_mask[FF_N_ATOM37];
    const struct ff_residue_tables *t = ff_residue_tables();

    for (int r = 0; r < n_res; r++) {
        const float(*pos)[3] = (const float(*)[3])(positions + (size_t)r * FF_N_ATOM37 * 3);
        const float *m = mask + (size_t)r * FF_N_ATOM37;
        const float(*prev)[3] = r > 0 ? pos - FF_N_ATOM37 : zero_positions;
        const float *prev_m = r > 0 ? m - FF_N_ATOM37 : zero_mask;
        int type = aatype[r] < FF_RESTYPE_X ? aatype[r] : FF_RESTYPE_X;
        float sin_cos[FF_N_TORSION][2], exists[FF_N_TORSION];

        torsion(rounding, prev[FF_ATOM_CA], prev[FF_ATOM_C], pos[FF_ATOM_N], pos[FF_ATOM_CA], sin_cos[0]);
        torsion(rounding, prev[FF_ATOM_C], pos[FF_ATOM_N], pos[FF_ATOM_CA], pos[FF_ATOM_C], sin_cos[1]);
        torsion(rounding, pos[FF_ATOM_N], pos[FF_ATOM_CA], pos[FF_ATOM_C], pos[FF_ATOM_O], sin_cos[2]);
        sin_cos[2][0] *= -1.0f; /* measured to O, which lies opposite to the next N */
        sin_cos[2][1] *= -1.0f;
        exists[0] = prev_m[FF_ATOM_CA] * prev_m[FF_ATOM_C] * (m[FF_ATOM_N] * m[FF_ATOM_CA]);
        exists[1] = prev_m[FF_ATOM_C] * (m[FF_ATOM_N] * m[FF_ATOM_CA] * m[FF_ATOM_C]);
        exists[2] = m[FF_ATOM_N] * m[FF_ATOM_CA] * m[FF_ATOM_C] * m[FF_ATOM_O];
        for (int k = 0; k < FF_N_CHI; k++) {
            const int32_t *a = t->chi_atoms[type][k];
            torsion(rounding, pos[a[0]], pos[a[1]], pos[a[2]], pos[a[3]], sin_cos[3 + k]);
            exists[3 + k] = t->chi_mask[type][k] * (m[a[0]] * m[a[1]] * m[a[2]] * m[a[3]]);
        }

        if (ret_sin_cos)
            memcpy(ret_sin_cos + (size_t)r * FF_N_TORSION * 2, sin_cos, sizeof sin_cos);
        if (ret_mask)
            memcpy(ret_mask + (size_t)r * FF_N_TORSION, exists, sizeof exists);
        if (ret_alt_sin_cos) {
            for (int k = 0; k < FF_N_CHI; k++) {
                float sign = 1.0f - 2.0f * t->chi_pi_periodic[type][k];
                sin_cos[3 + k][0] *= sign;
                sin_cos[3 + k][1] *= sign;
            }
            memcpy(ret_alt_sin_cos + (size_t)r * FF_N_TORSION * 2, sin_cos, sizeof sin_cos);
        }
    }
}
