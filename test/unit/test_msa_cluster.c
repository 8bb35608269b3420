/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/testing.h"

#include "base/clock.h"
#include "base/rng.h"
#include "feature/msa_cluster.h"

/* Few letters in blocks, so that ties and large agreements both happen. */
static void fill_random(struct ff_msa_pool *p, uint64_t seed)
{
    struct ff_rng rng;
    ff_rng_init(&rng, seed, "test", 0);
    for (int64_t i = 0; i < (int64_t)p->n_row * p->n_res; i++) {
        p->ids[i] = (uint8_t)(ff_rng_below(&rng, 4) ? 19 + ff_rng_below(&rng, 3) : ff_rng_below(&rng, 22));
        p->deletions[i] = (float)(ff_rng_below(&rng, 5) == 0 ? ff_rng_below(&rng, 30) : 0);
        if (p->mask)
            p->mask[i] = ff_rng_below(&rng, 7) != 0;
    }
}

static int agreement(const struct ff_msa_pool *p, const uint8_t *centre, int64_t centre_row, int64_t row)
{
    int sum = 0;
    for (int i = 0; i < p->n_res; i++) {
        int64_t a = centre_row * p->n_res + i, b = row * p->n_res + i;
        bool masked = p->mask && (!p->mask[a] || !p->mask[b]);
        sum += !masked && centre[i] == p->ids[b] && centre[i] < 21;
    }
    return sum;
}

/* Every size around whole vectors, and one where byte counters must be emptied on the way. */
static void assignment_equals_counting_one_by_one(void **state)
{
    (void)state;
    const int sizes[] = {1, 2, 63, 64, 65, 127, 129, 255 * 64, 255 * 64 + 70};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int n = sizes[k], centres = n > 1000 ? 3 : 17, rows = n > 1000 ? 9 : 60;
        struct ff_msa_pool p;
        ff_msa_pool_alloc(&p, rows, n, k % 2);
        fill_random(&p, k);
        if (n > 1000)                              /* every lane of the counters matches every time */
            memcpy(p.ids + (size_t)n * 7, p.ids + (size_t)n, (size_t)n);
        int64_t *order = FF_NEW_ARRAY(int64_t, (size_t)rows);
        for (int r = 0; r < rows; r++)
            order[r] = r;
        uint8_t *ids = FF_NEW_ARRAY(uint8_t, (size_t)centres * (size_t)n);
        memcpy(ids, p.ids, (size_t)centres * (size_t)n);
        for (int i = 0; i < centres * n; i += 5)
            ids[i] = FF_MSA_MASK;
        int32_t *got = FF_NEW_ARRAY(int32_t, (size_t)rows);
        ff_msa_cluster_assign(&p, order, centres, ids, got);
        for (int r = centres; r < rows; r++) {
            int best = 0, most = -1;
            for (int s = 0; s < centres; s++) {
                int sum = agreement(&p, ids + (size_t)s * (size_t)n, order[s], order[r]);
                if (sum > most) {
                    most = sum;
                    best = s;
                }
            }
            assert_int_equal(got[r - centres], best);
        }
        free(order);
        free(ids);
        free(got);
        ff_msa_pool_free(&p);
    }
}

/* The published formulas, written out with whole matrices. */
static void shared_clusters_follow_the_published_formulas(void **state)
{
    (void)state;
    enum { ROWS = 30, CENTRES = 6, N = 11 };
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, ROWS, N, true);
    fill_random(&p, 77);
    memcpy(p.ids + 9 * N, p.ids + 8 * N, N);
    memset(p.mask + 12 * N, 0, N);                 /* a row without any residue */
    int64_t order[ROWS];
    uint8_t ids[CENTRES * N];
    for (int r = 0; r < ROWS; r++)
        order[r] = (r * 11 + 3) % ROWS;
    for (int s = 0; s < CENTRES; s++)
        memcpy(ids + s * N, p.ids + order[s] * N, N);
    memcpy(ids + N, ids, N);                       /* two equal centres share their rows */
    memcpy(p.mask + order[1] * N, p.mask + order[0] * N, N);
    ids[3] = FF_MSA_MASK;

    double weight[CENTRES][ROWS] = {{0}};
    for (int r = CENTRES; r < ROWS; r++) {
        int sum[CENTRES], most = 0, ties = 0;
        for (int s = 0; s < CENTRES; s++) {
            sum[s] = agreement(&p, ids + s * N, order[s], order[r]);
            most = sum[s] > most ? sum[s] : most;
        }
        for (int s = 0; s < CENTRES; s++)
            ties += sum[s] == most;
        for (int s = 0; s < CENTRES; s++)
            for (int i = 0; i < N && sum[s] == most; i++)
                weight[s][r] += (double)(p.mask[order[s] * N + i] * p.mask[order[r] * N + i]) / ties;
    }

    struct ff_msa_clusters c;
    ff_msa_cluster_shared(&p, order, CENTRES, ids, &c);
    float profile[CENTRES * N * FF_MSA_N_ID], mean[CENTRES * N];
    ff_msa_cluster_summarize(&p, order, ids, &c, profile, FF_MSA_N_ID, mean);
    for (int s = 0; s < CENTRES; s++) {
        double size = 1;
        for (int r = CENTRES; r < ROWS; r++)
            size += weight[s][r];
        assert_true(fabs(c.size[s] - size) < 1e-5 * size);
        for (int i = 0; i < N; i++) {
            double sum[FF_MSA_N_ID] = {0}, deletions = p.deletions[order[s] * N + i];
            sum[ids[s * N + i]] += p.mask[order[s] * N + i];
            for (int r = CENTRES; r < ROWS; r++) {
                double w = weight[s][r] * p.mask[order[r] * N + i];
                sum[p.ids[order[r] * N + i]] += w;
                deletions += w * (double)p.deletions[order[r] * N + i];
            }
            for (int k = 0; k < FF_MSA_N_ID; k++)
                assert_true(fabs(profile[(s * N + i) * FF_MSA_N_ID + k] - sum[k] / size) < 1e-6);
            assert_true(fabs(mean[s * N + i] - deletions / size) < 1e-5);
        }
    }
    ff_msa_clusters_free(&c);
    ff_msa_pool_free(&p);
}

/* What the largest published setting needs for a chain of 2,000 residues. */
static void large_alignments_are_fast(void **state)
{
    (void)state;
    enum { ROWS = 5512, CENTRES = 512, N = 2000 };
    struct ff_msa_pool p;
    ff_msa_pool_alloc(&p, ROWS, N, false);
    for (int64_t i = 0; i < (int64_t)ROWS * N; i++)
        p.ids[i] = (uint8_t)(i * 2654435761u >> 24) % 22;
    int64_t *order = FF_NEW_ARRAY(int64_t, ROWS);
    for (int r = 0; r < ROWS; r++)
        order[r] = r;
    double start = ff_clock_now();
    struct ff_msa_clusters c;
    ff_msa_cluster_nearest(&p, order, CENTRES, p.ids, &c);
    float *profile = FF_NEW_ARRAY(float, (size_t)CENTRES * N * FF_MSA_N_ID), *mean = FF_NEW_ARRAY(float, CENTRES * N);
    double middle = ff_clock_now();
    ff_msa_cluster_summarize(&p, order, p.ids, &c, profile, FF_MSA_N_ID, mean);
    double end = ff_clock_now();
    print_message("assignment %.2f s, profiles %.2f s\n", middle - start, end - middle);
    assert_true(end - start < 20);
    free(profile);
    free(mean);
    free(order);
    ff_msa_clusters_free(&c);
    ff_msa_pool_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_equals_counting_one_by_one),
        cmocka_unit_test(shared_clusters_follow_the_published_formulas),
        cmocka_unit_test(large_alignments_are_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
