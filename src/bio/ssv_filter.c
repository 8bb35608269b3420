/* SPDX-License-Identifier: Apache-2.0
 * ssv_filter: which sequences HMMER's first filter may let pass.
 *
 *  1. Versions for the processor
 *  2. The profile
 *  3. The decision
 */
#include "bio/ssv_filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HAVE_X86_VERSIONS
#include <immintrin.h>
#endif

enum { N_AMINO = 20, SLACK = 3, KNOWN_LENGTHS = 4096, ALIGN = 64 };

struct ff_ssv {
    enum ff_ssv_isa isa;
    int m;                               /* columns of the profile */
    int width, n_vector;                 /* width * n_vector >= m */
    int8_t *scores;                      /* rows of all letters, [width * n_vector] each */
    const int8_t *row[256];              /* of a character; NULL: no residue */
    double mu, lambda, p;
    int least[KNOWN_LENGTHS];            /* score from which a sequence of that length passes */
};

/* --- 1. versions for the processor ------------------------------------------------------------------------------ */

static inline bool is_space(unsigned char c)
{
    return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

struct one {
    int8_t v;
};

static inline struct one add_one(struct one a, struct one b)
{
    int sum = a.v + b.v;
    return (struct one){(int8_t)(sum > 127 ? 127 : sum < -128 ? -128 : sum)};
}

#define NAME(x) x##_plain
#define VEC struct one
#define ALL(x) ((struct one){x})
#define ADDS(a, b) add_one(a, b)
#define MAX(a, b) ((a).v > (b).v ? (a) : (b))
#define SHIFT(a, low) ((void)(a), (low))
#include "bio/ssv_kernel.inc"

#ifdef HAVE_X86_VERSIONS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define NAME(x) x##_v3
#define VEC __m256i
#define ALL(x) _mm256_set1_epi8(x)
#define ADDS(a, b) _mm256_adds_epi8(a, b)
#define MAX(a, b) _mm256_max_epi8(a, b)
#define SHIFT(a, low) _mm256_alignr_epi8(a, _mm256_permute2x128_si256(a, low, 0x02), 15)
#include "bio/ssv_kernel.inc"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define NAME(x) x##_v4
#define VEC __m512i
#define ALL(x) _mm512_set1_epi8(x)
#define ADDS(a, b) _mm512_adds_epi8(a, b)
#define MAX(a, b) _mm512_max_epi8(a, b)
#define SHIFT(a, low) _mm512_alignr_epi8(a, _mm512_alignr_epi64(a, low, 6), 15)
#include "bio/ssv_kernel.inc"
#pragma GCC pop_options
#endif

enum ff_ssv_isa ff_ssv_best_isa(void)
{
#ifdef HAVE_X86_VERSIONS
    if (__builtin_cpu_supports("x86-64-v4"))
        return FF_SSV_V4;
    if (__builtin_cpu_supports("x86-64-v3"))
        return FF_SSV_V3;
#endif
    return FF_SSV_PLAIN;
}

int ff_ssv_score(const struct ff_ssv *f, void *scratch, const char *text, size_t len, int *ret_n)
{
    const unsigned char *s = (const unsigned char *)text;
#ifdef HAVE_X86_VERSIONS
    if (f->isa == FF_SSV_V4)
        return score_v4(f, scratch, s, len, ret_n);
    if (f->isa == FF_SSV_V3)
        return score_v3(f, scratch, s, len, ret_n);
#endif
    return score_plain(f, scratch, s, len, ret_n);
}

/* --- 2. the profile --------------------------------------------------------------------------------------------- */

/* HMMER's order; what stands for several residues has their mean score, by background frequency. */
static const char amino[] = "ACDEFGHIKLMNPQRSTVWY";
static const struct {
    char letter;
    const char *of;
} degenerate[] = {
    {'B', "DN"}, {'J', "IL"}, {'Z', "EQ"}, {'O', "K"}, {'U', "C"}, {'X', amino},
};
enum { N_DEGENERATE = sizeof degenerate / sizeof *degenerate, N_ROW = N_AMINO + N_DEGENERATE };

/* n numbers, negative logarithms, from a line at *at; moves *at behind them. */
static bool read_numbers(const char **at, double *ret, int n)
{
    for (int i = 0; i < n; i++) {
        char *end;
        ret[i] = strtod(*at, &end);
        if (end == *at)
            return false;
        *at = end;
    }
    return true;
}

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end != NULL ? end + 1 : at + strlen(at);
}

static int8_t *row_of(struct ff_ssv *f, int row)
{
    return f->scores + (size_t)row * (size_t)(f->width * f->n_vector);
}

static int8_t thirds_of_bits(double nats)
{
    double units = round(nats * 3 / log(2));
    return (int8_t)(units < -128 ? -128 : units > 127 ? 127 : units);
}

/* Scores of column k from the logarithms of its emissions and of the background's. */
static void set_column(struct ff_ssv *f, int k, const double *emission, const double *background)
{
    size_t place = (size_t)(k % f->n_vector * f->width + k / f->n_vector);
    double score[N_AMINO];
    for (int a = 0; a < N_AMINO; a++) {
        score[a] = background[a] - emission[a];
        row_of(f, a)[place] = thirds_of_bits(score[a]);
    }
    for (int d = 0; d < N_DEGENERATE; d++) {
        double sum = 0, weight = 0;
        for (const char *of = degenerate[d].of; *of; of++) {
            int a = (int)(strchr(amino, *of) - amino);
            sum += exp(-background[a]) * score[a];
            weight += exp(-background[a]);
        }
        row_of(f, N_AMINO + d)[place] = thirds_of_bits(sum / weight);
    }
}

/* The node lines: of each column its number and match emissions, then insert emissions, which are the background, then
 * transitions. */
static bool read_columns(struct ff_ssv *f, const char *at)
{
    double match[N_AMINO], background[N_AMINO];
    at = next_line(next_line(at)); /* of letters and of transitions */
    if (strncmp(at + strspn(at, " "), "COMPO", 5) == 0)
        at = next_line(at);
    at = next_line(next_line(at));
    for (int k = 0; k < f->m; k++) {
        char *end;
        if (strtol(at, &end, 10) != k + 1)
            return false;
        at = end;
        if (!read_numbers(&at, match, N_AMINO))
            return false;
        at = next_line(at);
        if (!read_numbers(&at, background, N_AMINO))
            return false;
        set_column(f, k, match, background);
        at = next_line(next_line(at));
    }
    return strncmp(at, "//", 2) == 0;
}

static void map_letters(struct ff_ssv *f)
{
    for (int i = 0; i < N_ROW; i++) {
        char letter = i < N_AMINO ? amino[i] : degenerate[i - N_AMINO].letter;
        f->row[(unsigned char)letter] = f->row[letter - 'A' + 'a'] = row_of(f, i);
    }
}

/* --- 3. the decision -------------------------------------------------------------------------------------------- */

/* What a transition with that probability costs in the filter, thirds of bits. */
static int transition_cost(double p)
{
    return (int)round(-3 * log2(p));
}

/* The least score with which a sequence of n residues passes: enough for the P-value of the filter's Gumbel
 * distribution, or for a second alignment. */
static int least_score(const struct ff_ssv *f, int n)
{
    int move = transition_cost(3.0 / (n + 3.0)), begin = transition_cost(2.0 / ((double)f->m * (f->m + 1.0)));
    int end = transition_cost(0.5);
    double loop = n / (n + 1.0), null = n * log(loop) + log(1 - loop);
    double bits = f->mu - log(-log1p(-f->p)) / f->lambda;
    double by_p = (bits * log(2) + null + 3.0) * 3 / log(2) + 2 * move + begin + end;
    double second = move + begin + end;
    double least = floor(by_p < second ? by_p : second) - SLACK;
    return least < 0 ? 0 : least > 255 - 2 * SLACK ? 255 - 2 * SLACK : (int)least;
}

ff_status ff_ssv_new(const char *name, const char *hmm, size_t len, double p, enum ff_ssv_isa isa,
                     struct ff_ssv **ret)
{
    static const int widths[] = {[FF_SSV_PLAIN] = 1, [FF_SSV_V3] = 32, [FF_SSV_V4] = 64};
    struct ff_ssv *f = FF_NEW(struct ff_ssv);
    char *text = ff_xstrndup(hmm, len);
    const char *length = strstr(text, "\nLENG "), *msv = strstr(text, "\nSTATS LOCAL MSV ");
    const char *table = strstr(text, "\nHMM ");
    *f = (struct ff_ssv){.isa = isa, .width = widths[isa], .p = p};
    bool ok = length != NULL && msv != NULL && table != NULL && sscanf(length + 6, "%d", &f->m) == 1 && f->m > 0 &&
              f->m < 10000000 && sscanf(msv + 17, "%lf %lf", &f->mu, &f->lambda) == 2 && f->lambda > 0;
    if (ok) {
        f->n_vector = (f->m + f->width - 1) / f->width;
        size_t bytes = (size_t)(f->width * f->n_vector) * N_ROW;
        f->scores = ff_xcalloc_aligned(ALIGN, bytes);
        memset(f->scores, -128, bytes); /* columns behind the profile's end never score */
        ok = read_columns(f, table + 1);
        map_letters(f);
        for (int n = 0; n < KNOWN_LENGTHS; n++)
            f->least[n] = least_score(f, n > 0 ? n : 1);
    }
    free(text);
    *ret = ok ? f : NULL;
    if (ok)
        return FF_OK;
    ff_ssv_free(f);
    return ff_fail(FF_EINPUT, "%s: this is no profile of amino acids in HMMER's text format", name);
}

void ff_ssv_free(struct ff_ssv *f)
{
    if (f == NULL)
        return;
    free(f->scores);
    free(f);
}

void *ff_ssv_scratch(const struct ff_ssv *f)
{
    return ff_xcalloc_aligned(ALIGN, (size_t)(f->width * f->n_vector));
}

bool ff_ssv_may_pass(const struct ff_ssv *f, void *scratch, const char *text, size_t len)
{
    int n, score = ff_ssv_score(f, scratch, text, len, &n);
    return score < 0 || score >= (n < KNOWN_LENGTHS ? f->least[n] : least_score(f, n));
}
