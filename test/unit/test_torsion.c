/* SPDX-License-Identifier: Apache-2.0
 * torsion: the published model's angles, and angles that are known.
 */
#include "unit/testing.h"

#include "bio/residue.h"
#include "bio/torsion.h"
#include "format/npz.h"

static void test_golden(void **state)
{
    (void)state;
    struct ff_arrays g = {0}, got = {0};
    assert_ok(ff_npz_load("test/data/model/atom37_to_torsion_angles.npz", &g));
    const struct ff_array *aatype = ff_arrays_find(&g, "in/template_aatype");
    const struct ff_array *positions = ff_arrays_find(&g, "in/template_all_atom_positions");
    const struct ff_array *masks = ff_arrays_find(&g, "in/template_all_atom_masks");
    const int64_t n = aatype->shape[0], n_res = aatype->shape[1];
    const int64_t shape[4] = {n, n_res, FF_N_TORSION, 2};
    float *sin_cos = ff_arrays_add(&got, "torsion_angles_sin_cos", FF_F32, 4, shape)->data;
    float *alt = ff_arrays_add(&got, "alt_torsion_angles_sin_cos", FF_F32, 4, shape)->data;
    float *mask = ff_arrays_add(&got, "torsion_angles_mask", FF_F32, 3, shape)->data;
    for (int64_t k = 0; k < n; k++)
        ff_torsion_from_atom37(FF_TORSION_PLAIN, (int)n_res, (const int32_t *)aatype->data + k * n_res,
                               (const float *)positions->data + k * n_res * FF_N_ATOM37 * 3,
                               (const float *)masks->data + k * n_res * FF_N_ATOM37,
                               sin_cos + k * n_res * FF_N_TORSION * 2, alt + k * n_res * FF_N_TORSION * 2,
                               mask + k * n_res * FF_N_TORSION);
    for (int i = 0; i < got.count; i++) {
        char *name = ff_xasprintf("out/%s", got.items[i].name);
        test_assert_array(name, &got.items[i], ff_arrays_find(&g, name), 1e-5);
        free(name);
    }
    ff_arrays_free(&got);
    ff_arrays_free(&g);
}

/* Templates of the published pipeline: noise of coinciding points included, as the sums have the same order. */
static void test_golden_templates(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "6KWC_1__model_1__c16_e32",   "fam_C__model_1__c16_e32",     "fam_C__model_1__c512_e1024",
        "short__model_1__c16_e32",    "short__model_1__c512_e1024",
    };
    int n_done = 0;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char *relative = ff_xasprintf("features/processed/%s.npz", cases[c]), *path = test_data_path(relative);
        free(relative);
        if (!path)
            continue;
        struct ff_arrays g = {0};
        assert_ok(ff_npz_load(path, &g));
        const struct ff_array *aatype = ff_arrays_find(&g, "template_aatype");
        const int n = (int)aatype->shape[0], n_res = (int)aatype->shape[1];
        struct ff_array sin_cos = *ff_arrays_find(&g, "template_torsion_angles_sin_cos");
        struct ff_array alt = sin_cos, mask = *ff_arrays_find(&g, "template_torsion_angles_mask");
        const struct ff_array *expected[3] = {ff_arrays_find(&g, "template_torsion_angles_sin_cos"),
                                              ff_arrays_find(&g, "template_alt_torsion_angles_sin_cos"),
                                              ff_arrays_find(&g, "template_torsion_angles_mask")};
        sin_cos.data = ff_xmalloc(ff_array_bytes(&sin_cos));
        alt.data = ff_xmalloc(ff_array_bytes(&alt));
        mask.data = ff_xmalloc(ff_array_bytes(&mask));
        const float *positions = ff_arrays_find(&g, "template_all_atom_positions")->data;
        const float *masks = ff_arrays_find(&g, "template_all_atom_masks")->data;
        for (int t = 0; t < n; t++)
            ff_torsion_from_atom37(FF_TORSION_PLAIN, n_res, (const int32_t *)aatype->data + t * n_res,
                                   positions + t * n_res * FF_N_ATOM37 * 3, masks + t * n_res * FF_N_ATOM37,
                                   (float *)sin_cos.data + t * n_res * FF_N_TORSION * 2,
                                   (float *)alt.data + t * n_res * FF_N_TORSION * 2,
                                   (float *)mask.data + t * n_res * FF_N_TORSION);
        test_assert_array("sin_cos", &sin_cos, expected[0], 1e-6);
        test_assert_array("alt", &alt, expected[1], 1e-6);
        test_assert_array("mask", &mask, expected[2], 0.0);
        free(sin_cos.data);
        free(alt.data);
        free(mask.data);
        ff_arrays_free(&g);
        free(path);
        n_done++;
    }
    print_message("%d golden cases compared\n", n_done);
    if (n_done == 0)
        skip();
}

/* d at this torsion angle, in degrees, behind a, b, c. */
static void place(const double *a, const double *b, const double *c, double angle, double *d)
{
    double x[3], y[3], z[3], nx = 0.0, along = 0.0, ny = 0.0;
    for (int i = 0; i < 3; i++)
        x[i] = c[i] - b[i];
    for (int i = 0; i < 3; i++)
        nx += x[i] * x[i];
    for (int i = 0; i < 3; i++)
        x[i] /= sqrt(nx);
    for (int i = 0; i < 3; i++)
        along += (a[i] - c[i]) * x[i];
    for (int i = 0; i < 3; i++)
        y[i] = a[i] - c[i] - along * x[i];
    for (int i = 0; i < 3; i++)
        ny += y[i] * y[i];
    for (int i = 0; i < 3; i++)
        y[i] /= sqrt(ny);
    z[0] = x[1] * y[2] - x[2] * y[1];
    z[1] = x[2] * y[0] - x[0] * y[2];
    z[2] = x[0] * y[1] - x[1] * y[0];
    for (int i = 0; i < 3; i++)
        d[i] = c[i] + 0.5 * x[i] + 1.4 * (cos(angle * M_PI / 180.0) * y[i] + sin(angle * M_PI / 180.0) * z[i]);
}

static void test_known_angles(void **state)
{
    (void)state;
    /* pre-omega, phi, psi, chi1 and chi2 of the second of two residues */
    const double angle[5] = {175.0, -63.0, 131.0, -71.0, 100.0};
    double p[2][FF_N_ATOM37][3] = {{{0}}};
    memcpy(p[0][FF_ATOM_N], (double[3]){9.0, 1.0, 2.0}, sizeof p[0][0]);
    memcpy(p[0][FF_ATOM_CA], (double[3]){10.0, 2.0, 2.5}, sizeof p[0][0]);
    memcpy(p[0][FF_ATOM_C], (double[3]){11.3, 1.4, 3.0}, sizeof p[0][0]);
    const int od1 = ff_residue_atom37_index("OD1", 3), cg = ff_residue_atom37_index("CG", 2);
    place(p[0][FF_ATOM_N], p[0][FF_ATOM_CA], p[0][FF_ATOM_C], 40.0, p[1][FF_ATOM_N]);
    place(p[0][FF_ATOM_CA], p[0][FF_ATOM_C], p[1][FF_ATOM_N], angle[0], p[1][FF_ATOM_CA]);
    place(p[0][FF_ATOM_C], p[1][FF_ATOM_N], p[1][FF_ATOM_CA], angle[1], p[1][FF_ATOM_C]);
    place(p[1][FF_ATOM_N], p[1][FF_ATOM_CA], p[1][FF_ATOM_C], angle[2] + 180.0, p[1][FF_ATOM_O]);
    place(p[1][FF_ATOM_O], p[1][FF_ATOM_C], p[1][FF_ATOM_CA], 20.0, p[1][FF_ATOM_CB]);
    place(p[1][FF_ATOM_N], p[1][FF_ATOM_CA], p[1][FF_ATOM_CB], angle[3], p[1][cg]);
    place(p[1][FF_ATOM_CA], p[1][FF_ATOM_CB], p[1][cg], angle[4], p[1][od1]);
    float positions[2][FF_N_ATOM37][3], mask[2][FF_N_ATOM37] = {{1, 1, 1}, {1, 1, 1, 1, 1}};
    mask[1][cg] = mask[1][od1] = 1.0f;
    for (int i = 0; i < 2 * FF_N_ATOM37 * 3; i++)
        (&positions[0][0][0])[i] = (float)(&p[0][0][0])[i];

    const int32_t aatype[2] = {25, ff_residue_from_letter('D')}; /* 25 counts as unknown */
    float sin_cos[2][FF_N_TORSION][2], alt[2][FF_N_TORSION][2], exists[2][FF_N_TORSION];
    ff_torsion_from_atom37(FF_TORSION_PLAIN, 2, aatype, &positions[0][0][0], &mask[0][0], &sin_cos[0][0][0],
                           &alt[0][0][0], &exists[0][0]);
    for (int k = 0; k < 5; k++) {
        assert_true(exists[1][k] == 1.0f);
        assert_true(fabs(sin_cos[1][k][0] - sin(angle[k] * M_PI / 180.0)) < 1e-5);
        assert_true(fabs(sin_cos[1][k][1] - cos(angle[k] * M_PI / 180.0)) < 1e-5);
        float sign = k == 4 ? -1.0f : 1.0f; /* both oxygens of aspartate are alike */
        assert_true(alt[1][k][0] == sign * sin_cos[1][k][0] && alt[1][k][1] == sign * sin_cos[1][k][1]);
    }
    assert_true(exists[1][5] == 0.0f && exists[1][6] == 0.0f);
    for (int k = 0; k < FF_N_TORSION; k++)
        assert_true(exists[0][k] == 0.0f);
    ff_torsion_from_atom37(FF_TORSION_PLAIN, 2, aatype, &positions[0][0][0], &mask[0][0], NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_templates),
        cmocka_unit_test(test_known_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
