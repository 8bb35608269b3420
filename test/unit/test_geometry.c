/* SPDX-License-Identifier: Apache-2.0
 * geometry: motions that are known, points without a single best motion, and lDDT counted by hand.
 */
#include "unit/testing.h"

#include "base/rng.h"
#include "bio/geometry.h"

enum { N = 40 };

static void random_points(struct ff_rng *rng, int n, double scale, float *ret)
{
    for (int i = 0; i < 3 * n; i++)
        ret[i] = (float)(scale * ff_rng_normal(rng));
}

/* A rotation by any angle about any axis, and a translation. */
static struct ff_motion random_motion(struct ff_rng *rng)
{
    struct ff_motion m;
    double axis[3], norm = 0.0, angle = 2.0 * M_PI * ff_rng_uniform(rng);
    for (int i = 0; i < 3; i++) {
        axis[i] = ff_rng_normal(rng);
        norm += axis[i] * axis[i];
        m.trans[i] = 100.0 * ff_rng_normal(rng);
    }
    for (int i = 0; i < 3; i++)
        axis[i] /= sqrt(norm);
    const double c = cos(angle), s = sin(angle);
    const double cross[3][3] = {{0, -axis[2], axis[1]}, {axis[2], 0, -axis[0]}, {-axis[1], axis[0], 0}};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            m.rot[i][j] = c * (i == j) + s * cross[i][j] + (1.0 - c) * axis[i] * axis[j];
    return m;
}

static void assert_proper(const struct ff_motion *m)
{
    const double(*r)[3] = m->rot;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double d = r[i][0] * r[j][0] + r[i][1] * r[j][1] + r[i][2] * r[j][2];
            assert_true(fabs(d - (i == j)) < 1e-12);
        }
    double det = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
                 r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    assert_true(fabs(det - 1.0) < 1e-12);
}

static void test_recovers_motions(void **state)
{
    (void)state;
    struct ff_rng rng;
    ff_rng_init(&rng, 1, "geometry", 0);
    for (int round = 0; round < 200; round++) {
        float mobile[3 * N], target[3 * N];
        struct ff_motion known = random_motion(&rng), found;
        random_points(&rng, N, 20.0, mobile);
        memcpy(target, mobile, sizeof target);
        ff_geometry_move(&known, N, target);
        assert_true(ff_geometry_superpose(N, mobile, target, &found) < 1e-4);
        assert_proper(&found);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                assert_true(fabs(found.rot[i][j] - known.rot[i][j]) < 1e-5);
        ff_geometry_move(&found, N, mobile);
        assert_true(ff_geometry_rmsd(N, mobile, target) < 1e-4);
    }
}

/* No other motion is better: neither one far away nor one close by. Mirror images are not turned inside out. */
static void test_is_the_best(void **state)
{
    (void)state;
    struct ff_rng rng;
    ff_rng_init(&rng, 2, "geometry", 0);
    for (int round = 0; round < 50; round++) {
        float mobile[3 * N], target[3 * N], moved[3 * N];
        struct ff_motion best;
        random_points(&rng, N, 10.0, mobile);
        if (round % 2)
            random_points(&rng, N, 10.0, target);
        else
            for (int i = 0; i < 3 * N; i++)
                target[i] = i % 3 ? mobile[i] : -mobile[i];
        double rmsd = ff_geometry_superpose(N, mobile, target, &best);
        assert_proper(&best);
        assert_true(rmsd > 1.0);
        for (int other = 0; other < 100; other++) {
            struct ff_motion turn = random_motion(&rng);
            memcpy(moved, mobile, sizeof moved);
            ff_geometry_move(&best, N, moved);
            if (other % 2) { /* a small turn about the centre */
                double angle = 0.02;
                const double about_z[3][3] = {
                    {cos(angle), -sin(angle), 0}, {sin(angle), cos(angle), 0}, {0, 0, 1}};
                int k = other / 2 % 3; /* about another axis each time */
                turn = (struct ff_motion){.trans = {0}};
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++)
                        turn.rot[(i + k) % 3][(j + k) % 3] = about_z[i][j];
            }
            ff_geometry_move(&turn, N, moved);
            assert_true(ff_geometry_rmsd(N, moved, target) >= rmsd - 1e-5);
        }
    }
}

static void test_degenerate_points(void **state)
{
    (void)state;
    struct ff_motion m;
    const float a[9] = {1, 2, 3, 1, 2, 3, 1, 2, 3}, b[9] = {-4, 5, 6, -4, 5, 6, -4, 5, 6};
    assert_true(ff_geometry_superpose(0, a, b, &m) == 0.0);
    assert_proper(&m);
    for (int n = 1; n <= 3; n++) { /* on one spot */
        assert_true(ff_geometry_superpose(n, a, b, &m) < 1e-6);
        assert_proper(&m);
    }
    const float line[9] = {0, 0, 0, 1, 0, 0, 3, 0, 0};
    const float up[9] = {5, 5, 5, 5, 5, 6, 5, 5, 8}, down[9] = {0, 0, 3, 0, 0, 2, 0, 0, 0};
    assert_true(ff_geometry_superpose(3, line, up, &m) < 1e-6);
    assert_proper(&m);
    assert_true(ff_geometry_superpose(3, line, down, &m) < 1e-6);
    assert_proper(&m);
    const float back[9] = {0, 0, 0, -1, 0, 0, -3, 0, 0}; /* half a turn */
    assert_true(ff_geometry_superpose(3, line, back, &m) < 1e-6);
    assert_proper(&m);
}

static void test_lddt_by_hand(void **state)
{
    (void)state;
    /* on a line: pairs (0, 1), (1, 2) are within 15 A, and 3 is alone */
    const float reference[12] = {0, 0, 0, 10, 0, 0, 20, 0, 0, 100, 0, 0};
    const float model[12] = {0, 0, 0, 10.75f, 0, 0, 22.25f, 0, 0, 0, 0, 0};
    float per[4];
    assert_true(ff_geometry_lddt(4, reference, reference, NULL, per) == 1.0);
    assert_true(per[0] == 1.0f && per[1] == 1.0f && per[2] == 1.0f && isnan(per[3]));
    /* changes: 0.75 (kept by 1, 2, 4) and 1.5 (kept by 2, 4) */
    double mean = ff_geometry_lddt(4, model, reference, NULL, per);
    assert_true(per[0] == 0.75f && per[1] == 0.625f && per[2] == 0.5f && isnan(per[3]));
    assert_true(fabs(mean - (0.75 + 0.625 + 0.5) / 3.0) < 1e-12);
    const float mask[4] = {1, 1, 0, 1};
    assert_true(ff_geometry_lddt(4, model, reference, mask, per) == 0.75);
    assert_true(per[1] == 0.75f && isnan(per[2]));
    assert_true(isnan(ff_geometry_lddt(1, model, reference, NULL, NULL)));
    assert_true(isnan(ff_geometry_lddt(0, model, reference, NULL, NULL)));
}

static void test_lddt_needs_no_superposition(void **state)
{
    (void)state;
    struct ff_rng rng;
    ff_rng_init(&rng, 3, "geometry", 0);
    float reference[3 * N], model[3 * N];
    random_points(&rng, N, 8.0, reference);
    random_points(&rng, N, 0.8, model);
    for (int i = 0; i < 3 * N; i++)
        model[i] += reference[i];
    double before = ff_geometry_lddt(N, model, reference, NULL, NULL);
    struct ff_motion m = random_motion(&rng);
    m.trans[0] = m.trans[1] = m.trans[2] = 1.0;
    ff_geometry_move(&m, N, model);
    double after = ff_geometry_lddt(N, model, reference, NULL, NULL);
    assert_true(before > 0.3 && before < 0.95);
    assert_true(fabs(before - after) < 1e-3); /* a change near a threshold may go either way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovers_motions),  cmocka_unit_test(test_is_the_best),
        cmocka_unit_test(test_degenerate_points), cmocka_unit_test(test_lddt_by_hand),
        cmocka_unit_test(test_lddt_needs_no_superposition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
