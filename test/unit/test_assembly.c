/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/golden_features.h"

#include "bio/a3m.h"
#include "bio/residue.h"
#include "bio/stockholm.h"
#include "feature/assembly.h"
#include "feature/multimer_features.h"
#include "feature/raw_features.h"

enum { MAX_CHAINS = 4 };

static const struct golden_complex {
    const char *name;
    int n_chain;
    const char *chains[MAX_CHAINS];
} complexes[] = {
    {"homodimer_2q2k", 2, {"2q2k_A", "2q2k_B"}},
    {"monomer_A", 1, {"fam_A"}},
    {"heterodimer_AB", 2, {"fam_A", "fam_B"}},
    {"heterotrimer_ABA", 3, {"fam_A", "fam_B", "fam_A"}},
    {"hetero3_ABC", 3, {"fam_A", "fam_B", "fam_C"}},
    {"crop_PR", 2, {"fam_P", "fam_R"}},
};
enum { N_COMPLEX = sizeof complexes / sizeof *complexes };

/* ---- raw features of the chains ---------------------------------------------------------------------------------- */

static char *input_path(const char *dir, const char *file)
{
    char *relative = ff_xasprintf("features/inputs/%s/%s", dir, file);
    char *path = test_data_path(relative);
    free(relative);
    return path;
}

/* One of the files, in the order of its rank; false when none is here. */
static bool load_alignment(const char *dir, const char *const *files, int max_rows, struct ff_msa *ret)
{
    for (; *files != NULL; files++) {
        char *path = input_path(dir, *files);
        if (path == NULL)
            continue;
        assert_ok(strstr(*files, ".sto") ? ff_stockholm_load(path, max_rows, ret) : ff_a3m_load(path, max_rows, ret));
        free(path);
        return true;
    }
    return false;
}

static bool load_chain(const char *dir, bool pairing, struct ff_arrays *ret)
{
    static const char *const files[][3] = {{"uniref90_hits.sto"}, {"bfd_uniref_hits.a3m", "bfd_uniclust_hits.a3m"},
                                           {"mgnify_hits.sto"}, {"uniprot_hits.sto"}};
    static const int max_rows[] = {10000, 0, 501, 50000};
    struct ff_msa msas[4] = {{0}};
    bool complete = true;
    for (int i = 0; i < 4; i++)
        complete = load_alignment(dir, files[i], max_rows[i], &msas[i]) && complete;
    if (complete) {
        /* These queries hold the twenty letters only. */
        char *sequence = ff_xstrndup(ff_msa_row(&msas[0], 0), (size_t)msas[0].n_col);
        const struct ff_msa *list[] = {&msas[0], &msas[1], &msas[2]};
        assert_ok(ff_raw_features_make(sequence, dir, 3, list, NULL, ret));
        if (pairing)
            assert_ok(ff_raw_features_add_pairing(ret, &msas[3]));
        free(sequence);
    }
    for (int i = 0; i < 4; i++)
        ff_msa_free(&msas[i]);
    return complete;
}

static const struct ff_array *get(const struct ff_arrays *s, const char *format, int chain)
{
    char name[80];
    snprintf(name, sizeof name, "chain%d_%s", chain, format);
    return ff_arrays_find(s, name);
}

/* The searches for templates are another module's: here a chain gets back the templates of the golden result, in the
 * form in which they were before the merge. at: first residue of the chain in the complex. */
static void add_templates(const struct ff_arrays *golden, const struct ff_array *aatype, int64_t at,
                          struct ff_arrays *raw)
{
    const struct ff_array *mask = ff_arrays_find(golden, "template_all_atom_mask");
    const struct ff_array *positions = ff_arrays_find(golden, "template_all_atom_positions");
    int64_t t = aatype->shape[0], l = aatype->shape[1], n = mask->shape[1];
    float *one_hot = ff_arrays_add(raw, "template_aatype", FF_F32, 3, (int64_t[]){t, l, 22})->data;
    float *m = ff_arrays_add(raw, "template_all_atom_masks", FF_F32, 3, (int64_t[]){t, l, 37})->data;
    float *x = ff_arrays_add(raw, "template_all_atom_positions", FF_F32, 4, (int64_t[]){t, l, 37, 3})->data;
    for (int64_t i = 0; i < t * l; i++) {
        int hhblits = 0;
        while (ff_residue_from_hhblits[hhblits] != ((const int32_t *)aatype->data)[i])
            hhblits++;
        one_hot[i * 22 + hhblits] = 1;
        int64_t from = i / l * n + at + i % l;
        memcpy(m + i * 37, (const float *)mask->data + from * 37, 37 * sizeof *m);
        memcpy(x + i * 111, (const float *)positions->data + from * 111, 111 * sizeof *x);
    }
}

struct loaded {
    struct ff_arrays golden, intermediate;
    struct ff_arrays raw[MAX_CHAINS];
    const struct ff_arrays *list[MAX_CHAINS];
};

static void unload(struct loaded *l)
{
    ff_arrays_free(&l->golden);
    ff_arrays_free(&l->intermediate);
    for (int c = 0; c < MAX_CHAINS; c++)
        ff_arrays_free(&l->raw[c]);
}

static bool load_complex(const struct golden_complex *g, struct loaded *l)
{
    *l = (struct loaded){0};
    char *name = ff_xasprintf("%s__intermediate", g->name);
    bool complete =
        golden_load("multimer_raw", g->name, &l->golden) && golden_load("multimer_raw", name, &l->intermediate);
    free(name);
    bool hetero = strncmp(g->name, "het", 3) == 0 || strncmp(g->name, "crop", 4) == 0;
    for (int c = 0; c < g->n_chain && complete; c++) {
        complete = load_chain(g->chains[c], hetero, &l->raw[c]);
        l->list[c] = &l->raw[c];
    }
    if (!complete)
        unload(l);
    return complete;
}

/* ---- golden files ------------------------------------------------------------------------------------------------ */

static void check_rows(const char *name, const struct ff_paired_rows *p, const struct ff_array *expected, int n_partner)
{
    struct ff_arrays got = {0};
    int count = 0;
    for (int r = 0; r < p->n_row; r++)
        count += n_partner < 0 || p->n_partner[r] == n_partner;
    int32_t *rows = ff_arrays_add(&got, "rows", FF_I32, 2, (int64_t[]){count, p->n_chain})->data;
    for (int r = 0; r < p->n_row; r++)
        if (n_partner < 0 || p->n_partner[r] == n_partner) {
            memcpy(rows, p->rows + r * p->n_chain, (size_t)p->n_chain * sizeof *rows);
            rows += p->n_chain;
        }
    test_assert_array(name, &got.items[0], expected, 0);
    ff_arrays_free(&got);
}

static void check_pairing(const char *name, const struct ff_assembly *a, const struct ff_arrays *expected)
{
    struct ff_pairing_chain chains[MAX_CHAINS];
    for (int c = 0; c < a->n_chain; c++) {
        const struct ff_arrays *raw = a->entities[a->chains[c].entity].raw;
        const struct ff_array *msa = ff_arrays_find(raw, "msa_all_seq");
        const struct ff_array *species = ff_arrays_find(raw, "msa_species_identifiers_all_seq");
        test_assert_array(name, msa, get(expected, "all_seq_msa", c), 0);
        test_assert_array(name, species, get(expected, "all_seq_species", c), 0);
        chains[c] = (struct ff_pairing_chain){(int)msa->shape[0], (int)msa->shape[1], msa->data, species->data,
                                              species->shape[0]};
    }
    struct ff_paired_rows found;
    ff_pairing_match(a->n_chain, chains, &found);
    for (int k = 0; k <= a->n_chain; k++) {
        char key[40];
        snprintf(key, sizeof key, "paired_rows_%d_chains", k);
        check_rows(name, &found, ff_arrays_find(expected, key), k);
    }
    ff_paired_rows_free(&found);
    check_rows(name, &a->paired, ff_arrays_find(expected, "paired_rows"), -1);
}

static int scalar(const struct ff_array *a)
{
    assert_non_null(a);
    return *(const int32_t *)a->data;
}

static void check_plan(const char *name, const struct ff_assembly *a, const struct ff_arrays *expected)
{
    if (a->n_entity > 1)
        check_pairing(name, a, expected);
    for (int c = 0; c < a->n_chain && a->n_entity > 1; c++) {
        const struct ff_assembly_entity *e = &a->entities[a->chains[c].entity];
        struct ff_arrays got = {0};
        int64_t n = e->n_unpaired;
        int32_t *keep = ff_arrays_add(&got, "keep", FF_I32, 1, &n)->data;
        for (int i = 0; i < n; i++)
            keep[i] = (int32_t)e->unpaired[i];
        test_assert_array(name, &got.items[0], get(expected, "unpaired_keep_rows", c), 0);
        ff_arrays_free(&got);
        assert_int_equal(e->n_used, scalar(get(expected, "num_alignments", c)));
        assert_int_equal(a->n_paired, scalar(get(expected, "num_alignments_all_seq", c)));
    }
}

static void golden_complexes(void **state)
{
    (void)state;
    for (int k = 0; k < N_COMPLEX; k++) {
        const struct golden_complex *g = &complexes[k];
        struct loaded l;
        if (!load_complex(g, &l))
            continue;
        struct ff_assembly a;
        assert_ok(ff_assembly_plan(g->n_chain, l.list, &a));
        check_plan(g->name, &a, &l.intermediate);
        int64_t at = 0;
        for (int c = 0; c < a.n_chain; c++) {
            const struct ff_assembly_entity *e = &a.entities[a.chains[c].entity];
            struct ff_arrays *raw = &l.raw[a.chains[c].input];
            assert_true(e->raw == &l.raw[a.chains[e->first_chain].input]);
            add_templates(&l.golden, get(&l.intermediate, "template_aatype", c), at, raw);
            assert_ok(ff_raw_features_check(g->name, raw));
            at += e->n_res;
        }
        ff_assembly_free(&a);

        struct ff_arrays got;
        assert_ok(ff_assembly_make(g->n_chain, l.list, &got));
        assert_int_equal(golden_compare(g->name, &got, &l.golden, NULL), got.count - 1);
        assert_non_null(ff_arrays_find(&got, "input_chain"));
        ff_arrays_free(&got);
        unload(&l);
        golden_n_done++;
    }
    golden_report();
}

/* ---- the network's side ------------------------------------------------------------------------------------------ */

/* Published names that the features hold in another form. */
static void add_published_forms(const struct ff_arrays *got, const struct ff_msa_pool *pool, int n_centre,
                                struct ff_arrays *ret)
{
    int64_t n = pool->n_res, s = n_centre, e = ff_arrays_find(got, "extra_msa")->shape[0];
    const float *feat = ff_arrays_find(got, "msa_feat")->data;
    memcpy(ff_arrays_add(ret, "msa_profile", FF_F32, 2, (int64_t[]){n, 22})->data, pool->profile,
           (size_t)n * 22 * sizeof(float));
    int32_t *msa = ff_arrays_add(ret, "msa", FF_I32, 2, (int64_t[]){s, n})->data;
    float *profile = ff_arrays_add(ret, "cluster_profile", FF_F32, 3, (int64_t[]){s, n, 23})->data;
    for (int64_t i = 0; i < s * n; i++) {
        while (feat[i * 49 + msa[i]] != 1.0f)
            msa[i]++;
        memcpy(profile + i * 23, feat + i * 49 + 25, 23 * sizeof *profile);
    }
    const int32_t *extra = ff_arrays_find(got, "extra_msa")->data;
    const float *has = ff_arrays_find(got, "extra_has_deletion")->data;
    const float *value = ff_arrays_find(got, "extra_deletion_value")->data;
    float *extra_feat = ff_arrays_add(ret, "extra_msa_feat", FF_F32, 3, (int64_t[]){e, n, 25})->data;
    for (int64_t i = 0; i < e * n; i++) {
        extra_feat[i * 25 + extra[i]] = 1;
        extra_feat[i * 25 + 23] = has[i];
        extra_feat[i * 25 + 24] = value[i];
    }
    const char *const same[] = {"msa_feat", "extra_msa", "extra_msa_mask", "msa_mask", "target_feat"};
    for (int i = 0; i < 5; i++) {
        const struct ff_array *a = ff_arrays_find(got, same[i]);
        memcpy(ff_arrays_add(ret, a->name, a->dtype, a->ndim, a->shape)->data, a->data, ff_array_bytes(a));
    }
}

static void check_processed(const char *name, int max_clusters, int max_extra)
{
    char *file = ff_xasprintf("%s__m%d_e%d", name, max_clusters, max_extra);
    struct ff_arrays raw = {0}, expected = {0};
    if (golden_load("multimer_raw", name, &raw) && golden_load("multimer_processed", file, &expected)) {
        struct ff_feature_config c = {.max_clusters = max_clusters, .max_extra = max_extra, .max_templates = 4,
                                      .mask_fraction = 0.15f, .sampling = FF_SAMPLING_ORDERED};
        struct ff_multimer_features f;
        assert_ok(ff_multimer_features_init(name, &raw, &c, true, &f));
        struct ff_arrays got = {0}, forms = {0};
        ff_multimer_features_make(&f, &(struct ff_msa_draw){0}, &got);
        add_published_forms(&got, &f.pool, f.n_centre, &forms);
        static const char *const except[] = {"deletion_matrix", "cluster_deletion_mean", NULL};
        assert_int_equal(golden_compare(file, &forms, &expected, except), 9);
        /* The squashed forms of these two are in msa_feat; the plain ones follow from them up to rounding. */
        const float *feat = ff_arrays_find(&got, "msa_feat")->data;
        const float *deletions = ff_arrays_find(&expected, "deletion_matrix")->data;
        const float *mean = ff_arrays_find(&expected, "cluster_deletion_mean")->data;
        for (int64_t i = 0; i < (int64_t)f.n_centre * f.pool.n_res; i++) {
            assert_true(fabs(3 * tan((double)feat[i * 49 + 24] * M_PI / 2) - deletions[i]) < 1e-5 * (1 + deletions[i]));
            assert_true(fabs(3 * tan((double)feat[i * 49 + 48] * M_PI / 2) - mean[i]) < 1e-5 * (1 + mean[i]));
        }
        ff_arrays_free(&got);
        ff_arrays_free(&forms);
        ff_multimer_features_free(&f);
        golden_n_done++;
    }
    ff_arrays_free(&raw);
    ff_arrays_free(&expected);
    free(file);
}

static void golden_processed(void **state)
{
    (void)state;
    golden_n_done = golden_n_skipped = 0;
    check_processed("homodimer_2q2k", 8, 16);
    check_processed("heterodimer_AB", 16, 32);
    check_processed("heterodimer_AB", 508, 2048);
    check_processed("heterotrimer_ABA", 16, 32);
    check_processed("hetero3_ABC", 32, 64);
    golden_report();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_complexes),
        cmocka_unit_test(golden_processed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
