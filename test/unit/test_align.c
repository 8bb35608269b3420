/* SPDX-License-Identifier: Apache-2.0
 * align: scores against a plain three-matrix program, alignments against the scores they claim, and rows as text.
 */
#include "unit/testing.h"

#include "base/rng.h"
#include "bio/align.h"

enum { MAX = 48 };

static const char *const mode_names[] = {"global", "overlap", "local"};

static int max2(int a, int b)
{
    return a > b ? a : b;
}

/* Best score by the textbook: m ends with a pair, x with a gap in b, y with a gap in a. */
static int reference_score(const char *a, const char *b, enum ff_align_mode mode)
{
    static int m[MAX + 1][MAX + 1], x[MAX + 1][MAX + 1], y[MAX + 1][MAX + 1];
    const int lowest = -1000000, n_a = (int)strlen(a), n_b = (int)strlen(b);
    int best = mode == FF_ALIGN_LOCAL ? 0 : lowest;
    bool free_ends = mode == FF_ALIGN_OVERLAP;
    for (int i = 0; i <= n_a; i++) {
        for (int j = 0; j <= n_b; j++) {
            m[i][j] = x[i][j] = y[i][j] = lowest;
            if (i == 0 && j == 0)
                m[0][0] = 0;
            if (mode == FF_ALIGN_LOCAL)
                m[i][j] = 0;
            if (i > 0 && j > 0) {
                int before = max2(m[i - 1][j - 1], max2(x[i - 1][j - 1], y[i - 1][j - 1]));
                m[i][j] = max2(m[i][j], before + ff_align_score(a[i - 1], b[j - 1]));
            }
            int open_x = free_ends && (j == 0 || j == n_b) ? 0 : FF_ALIGN_OPEN;
            int open_y = free_ends && (i == 0 || i == n_a) ? 0 : FF_ALIGN_OPEN;
            int more_x = open_x ? FF_ALIGN_EXTEND : 0, more_y = open_y ? FF_ALIGN_EXTEND : 0;
            if (i > 0)
                x[i][j] = max2(max2(m[i - 1][j], y[i - 1][j]) - open_x, x[i - 1][j] - more_x);
            if (j > 0)
                y[i][j] = max2(max2(m[i][j - 1], x[i][j - 1]) - open_y, y[i][j - 1] - more_y);
            if (mode == FF_ALIGN_LOCAL)
                best = max2(best, m[i][j]);
        }
    }
    return mode == FF_ALIGN_LOCAL ? best : max2(m[n_a][n_b], max2(x[n_a][n_b], y[n_a][n_b]));
}

static int gap_cost(int n, bool is_free)
{
    return n == 0 || is_free ? 0 : FF_ALIGN_OPEN + (n - 1) * FF_ALIGN_EXTEND;
}

/* Score of the pairs in map, with the gaps between and around them. */
static int alignment_score(const char *a, const char *b, enum ff_align_mode mode, const int32_t *map)
{
    int score = 0, i = -1, j = -1, n_a = (int)strlen(a), n_b = (int)strlen(b);
    for (int k = 0; k <= n_a; k++) {
        if (k < n_a && map[k] < 0)
            continue;
        int partner = k < n_a ? map[k] : n_b;
        assert_true(partner > j || (k == n_a && partner >= j));
        bool end = i < 0 || k == n_a;
        score -= gap_cost(k - i - 1, end && mode != FF_ALIGN_GLOBAL);
        score -= gap_cost(partner - j - 1, end && mode != FF_ALIGN_GLOBAL);
        if (k < n_a)
            score += ff_align_score(a[k], b[partner]);
        i = k;
        j = partner;
    }
    return score;
}

static void random_sequence(struct ff_rng *r, int n, char *ret)
{
    for (int i = 0; i < n; i++)
        ret[i] = "ACDEFGHIKLMNPQRSTVWYXBZU"[ff_rng_below(r, 24)];
    ret[n] = '\0';
}

/* A copy with exchanges, deletions and insertions. */
static void mutate(struct ff_rng *r, const char *from, char *ret)
{
    int n = 0;
    for (; *from && n < MAX - 3; from++) {
        int64_t what = ff_rng_below(r, 12);
        if (what == 0)
            continue;
        if (what == 1)
            for (int64_t k = ff_rng_below(r, 3); k >= 0; k--)
                ret[n++] = "ACDEFGHIKL"[ff_rng_below(r, 10)];
        if (n < MAX)
            ret[n++] = what == 2 ? 'W' : *from;
    }
    ret[n] = '\0';
}

static void test_random(void **state)
{
    (void)state;
    struct ff_rng r;
    ff_rng_init(&r, 7, "test_align", 0);
    for (int round = 0; round < 400; round++) {
        char a[MAX + 1], b[MAX + 1];
        int32_t map[MAX];
        random_sequence(&r, (int)ff_rng_below(&r, MAX - 8), a);
        if (round % 2)
            random_sequence(&r, (int)ff_rng_below(&r, MAX - 8), b);
        else
            mutate(&r, a, b);
        for (int mode = FF_ALIGN_GLOBAL; mode <= FF_ALIGN_LOCAL; mode++) {
            int score = ff_align(a, b, (enum ff_align_mode)mode, map);
            int expected = reference_score(a, b, (enum ff_align_mode)mode);
            if (score != expected || score != alignment_score(a, b, (enum ff_align_mode)mode, map))
                fail_msg("%s %s %s: score %d, expected %d, alignment's own %d", mode_names[mode], a, b, score, expected,
                         alignment_score(a, b, (enum ff_align_mode)mode, map));
        }
    }
}

static void check_rows(const char *a, const char *b, enum ff_align_mode mode, const char *row_a, const char *row_b)
{
    int32_t map[64];
    char *got_a, *got_b;
    ff_align(a, b, mode, map);
    ff_align_rows(a, b, map, &got_a, &got_b);
    assert_string_equal(got_a, row_a);
    assert_string_equal(got_b, row_b);
    free(got_a);
    free(got_b);
}

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(ff_align_score('W', 'W'), 11);
    assert_int_equal(ff_align_score('A', 'R'), -1);
    assert_int_equal(ff_align_score('R', 'A'), -1);
    assert_int_equal(ff_align_score('Y', 'F'), 3);
    assert_int_equal(ff_align_score('B', 'D'), 4);
    assert_int_equal(ff_align_score('?', 'A'), ff_align_score('X', 'A'));
    check_rows("WKTAYIAKQRW", "WKTAYIAKQRW", FF_ALIGN_GLOBAL, "WKTAYIAKQRW", "WKTAYIAKQRW");
    check_rows("MGSSHHHHHHWKTAYIAKQRQISFVK", "WKTAYIAKQRQISFVKSHFSRQLE", FF_ALIGN_OVERLAP,
               "MGSSHHHHHHWKTAYIAKQRQISFVK--------", "----------WKTAYIAKQRQISFVKSHFSRQLE");
    check_rows("WKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "WKTAYIAKQRQISFEERLGLIEVQ", FF_ALIGN_GLOBAL,
               "WKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "WKTAYIAKQRQISF---------EERLGLIEVQ");
    check_rows("PPPPWWWWPPPP", "GGGGGWWWW", FF_ALIGN_LOCAL, "PPPP-----WWWWPPPP", "----GGGGGWWWW----");
    check_rows("", "AC", FF_ALIGN_GLOBAL, "--", "AC");
    check_rows("AC", "", FF_ALIGN_LOCAL, "AC", "--");
    check_rows("", "", FF_ALIGN_OVERLAP, "", "");
    check_rows("GGGG", "WWWW", FF_ALIGN_LOCAL, "GGGG----", "----WWWW");
}

static void test_parse_rows(void **state)
{
    (void)state;
    char *a, *b;
    const char text[] = ">first x\nAC-D\nEF\n\n>second\r\nACYDqE-";
    assert_ok(ff_align_parse_rows("k.fasta", text, strlen(text), &a, &b));
    assert_string_equal(a, "AC-DEF");
    assert_string_equal(b, "ACYDE-");
    free(a);
    free(b);
    static const char *const bad[][2] = {
        {"", "found 0 records"},
        {">a\nAC\n", "found 1 records"},
        {">a\nAC\n>b\nA\n", "2 and 1 columns"},
        {">a\nAC\n>b\nAC\n>c\nAC\n", "k.fasta:6:"},
        {"AC\n>a\nAC\n>b\nAC\n", "k.fasta:1:"},
        {">a\nA*\n>b\nAC\n", "found '*'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(ff_align_parse_rows("k.fasta", bad[i][0], strlen(bad[i][0]), &a, &b), FF_EINPUT, bad[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_parse_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
