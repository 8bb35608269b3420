/* SPDX-License-Identifier: Apache-2.0
 * ssv_filter: every version against a plain double loop, and what passes against HMMER's own first filter.
 */
#include "unit/testing.h"

#include "base/rng.h"
#include "base/strbuf.h"
#include "base/subprocess.h"
#include "bio/ssv_filter.h"

enum { N_AMINO = 20, MOST = 700 };
static const char amino[] = "ACDEFGHIKLMNPQRSTVWY";

/* A profile with random emissions, and its scores in thirds of bits. */
static void make_profile(struct ff_rng *r, int m, struct ff_strbuf *out, int scores[MOST][N_AMINO])
{
    double background[N_AMINO];
    for (int a = 0; a < N_AMINO; a++)
        background[a] = 2 + 0.1 * a;
    ff_strbuf_printf(out, "HMMER3/f [3.3.2 | Nov 2020]\nNAME  x\nLENG  %d\nALPH  amino\n"
                     "STATS LOCAL MSV      -9.5000  0.71000\nHMM   A\n      m->m\n  COMPO 1 2 3\n  1 1\n  1 1\n", m);
    for (int k = 0; k < m; k++) {
        ff_strbuf_printf(out, "      %d ", k + 1);
        for (int a = 0; a < N_AMINO; a++) {
            double match = floor((1 + 3 * ff_rng_uniform(r)) * 1e5) / 1e5;
            scores[k][a] = (int)round((background[a] - match) * 3 / log(2));
            ff_strbuf_printf(out, " %.5f", match);
        }
        ff_strbuf_puts(out, " 1 x - - -\n     ");
        for (int a = 0; a < N_AMINO; a++)
            ff_strbuf_printf(out, " %.5f", background[a]);
        ff_strbuf_puts(out, "\n      0.1 1\n");
    }
    ff_strbuf_puts(out, "//\n");
}

/* The best sum over a piece of a diagonal. */
static int best_piece(int scores[MOST][N_AMINO], int m, const char *text, int n)
{
    int best = 0;
    for (int d = -m + 1; d < n; d++) {
        int sum = 0;
        for (int i = d > 0 ? d : 0; i < n && i - d < m; i++) {
            sum += scores[i - d][strchr(amino, text[i]) - amino];
            sum = sum > 0 ? sum : 0;
            best = sum > best ? sum : best;
        }
    }
    return best < 255 ? best : 255;
}

static void test_versions(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 31, 32, 33, 63, 64, 65, 128, 200, 511, 513, 700};
    static int scores[MOST][N_AMINO];
    struct ff_rng r;
    ff_rng_init(&r, 7, "ssv", 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ff_strbuf hmm = {0};
        make_profile(&r, sizes[i], &hmm, scores);
        for (int isa = FF_SSV_PLAIN; isa <= (int)ff_ssv_best_isa(); isa++) {
            struct ff_ssv *f;
            assert_ok(ff_ssv_new("x", hmm.s, hmm.len, 0.0005, (enum ff_ssv_isa)isa, &f));
            void *scratch = ff_ssv_scratch(f);
            for (int t = 0; t < 20; t++) {
                char text[400];
                int n = (int)ff_rng_below(&r, 300) + 1, counted;
                for (int k = 0; k < n; k++)
                    text[k] = amino[ff_rng_below(&r, N_AMINO)];
                int expected = best_piece(scores, sizes[i], text, n);
                assert_int_equal(ff_ssv_score(f, scratch, text, (size_t)n, &counted), expected);
                assert_int_equal(counted, n);
                /* White space and small letters change nothing; what is no residue is for HMMER to judge. */
                memmove(text + n / 2 + 2, text + n / 2, (size_t)(n - n / 2));
                memcpy(text + n / 2, "\r\n", 2);
                text[0] = (char)(text[0] | (n > 1 ? 0x20 : 0));
                assert_int_equal(ff_ssv_score(f, scratch, text, (size_t)n + 2, &counted), expected);
                assert_int_equal(counted, n);
                text[0] = '*';
                assert_int_equal(ff_ssv_score(f, scratch, text, (size_t)n + 2, &counted), -1);
                assert_true(ff_ssv_may_pass(f, scratch, text, (size_t)n + 2));
            }
            free(scratch);
            ff_ssv_free(f);
        }
        ff_strbuf_free(&hmm);
    }
}

static void test_bad_profiles(void **state)
{
    (void)state;
    static int scores[MOST][N_AMINO];
    struct ff_rng r;
    struct ff_strbuf hmm = {0};
    struct ff_ssv *f;
    ff_rng_init(&r, 8, "ssv", 0);
    make_profile(&r, 40, &hmm, scores);
    for (size_t len = 0; len + 3 < hmm.len; len += 97)
        assert_fails(ff_ssv_new("cut", hmm.s, len, 0.0005, FF_SSV_PLAIN, &f), FF_EINPUT, "cut");
    ff_strbuf_free(&hmm);
}

static bool keep(void *user, const char *data, size_t len)
{
    ff_strbuf_append(user, data, len);
    return true;
}

/* Random sequences of all lengths, some of them with a piece of the query, one in a hundred with odd letters. */
static void make_sequences(struct ff_rng *r, const char *query, int n, struct ff_strbuf *out)
{
    static const char odd[] = "XBZUOJ";
    int m = (int)strlen(query);
    for (int i = 0; i < n; i++) {
        int len = (int)ff_rng_below(r, i % 50 == 0 ? 3000 : 400) + 20, piece = (int)ff_rng_below(r, 30);
        ff_strbuf_printf(out, ">s%d\n", i);
        for (int k = 0; k < len; k++)
            ff_strbuf_putc(out, i % 100 == 0 && k % 9 == 0 ? odd[ff_rng_below(r, 6)] : amino[ff_rng_below(r, N_AMINO)]);
        int from = (int)ff_rng_below(r, m - 30);
        ff_strbuf_printf(out, "%.*s\n", i % 10 == 0 ? piece : 0, query + from);
    }
}

/* All that HMMER lets pass its first filter, passes; and not many more do. */
static void check_against_hmmer(const char *dir, const char *fasta)
{
    struct ff_rng r;
    struct ff_strbuf db = {0}, table = {0};
    char *query, *hmm_text, *db_path = ff_path_join(dir, "db.fasta"), *hmm = ff_path_join(dir, "q.hmm");
    size_t len;
    ff_rng_init(&r, 9, fasta, 0);
    assert_ok(ff_file_read(fasta, &query, &len));
    char *sequence = strchr(query, '\n') + 1;
    sequence[strcspn(sequence, "\n")] = '\0';
    make_sequences(&r, sequence, 6000, &db);
    assert_ok(ff_file_write(db_path, db.s, db.len));
    const char *build[] = {"hmmbuild", "--singlemx", "--informat", "afa", "--amino", "-o", "/dev/null", hmm, fasta,
                           NULL};
    assert_ok(ff_subprocess_check(build, NULL, NULL, NULL, NULL));
    const char *search[] = {"hmmsearch", "-o", "/dev/null", "--tblout", "/dev/stdout", "--noali", "--F1", "0.0005",
                            "--F2", "1", "--F3", "1", "--nobias", "-E", "1e30", hmm, db_path, NULL};
    assert_ok(ff_subprocess_check(search, NULL, keep, &table, NULL));
    assert_ok(ff_file_read(hmm, &hmm_text, &len));
    struct ff_ssv *f;
    assert_ok(ff_ssv_new(hmm, hmm_text, len, 0.0005, ff_ssv_best_isa(), &f));
    void *scratch = ff_ssv_scratch(f);
    int n_hmmer = 0, n_ours = 0;
    for (const char *at = db.s, *next; *at != '\0'; at = next) {
        const char *text = strchr(at, '\n') + 1;
        next = strchr(text, '>');
        next = next != NULL ? next : db.s + db.len;
        bool ours = ff_ssv_may_pass(f, scratch, text, (size_t)(next - text));
        char *line = ff_xasprintf("\n%.*s ", (int)(text - at - 2), at + 1);
        bool hmmer = strstr(table.s, line) != NULL;
        if (hmmer && !ours)
            fail_msg("HMMER lets %s pass", line + 1);
        n_hmmer += hmmer;
        n_ours += ours;
        free(line);
    }
    assert_true(n_hmmer > 20);
    assert_true(n_ours < n_hmmer + 6000 / 20);
    free(scratch);
    ff_ssv_free(f);
    free(hmm_text);
    free(query);
    free(hmm);
    free(db_path);
    ff_strbuf_free(&db);
    ff_strbuf_free(&table);
}

static void test_hmmer(void **state)
{
    (void)state;
    char *program = ff_path_which("hmmsearch"), *dir = test_make_dir();
    if (program == NULL)
        skip();
    free(program);
    check_against_hmmer(dir, "data/demo/4ot.fasta");
    check_against_hmmer(dir, "data/demo/6kwc.fasta");
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_bad_profiles),
        cmocka_unit_test(test_hmmer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
