/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/align.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "bio/lines.h"

static const char alphabet[] = "ARNDCQEGHILKMFPSTWYVBZX";

enum { N_LETTER = sizeof alphabet - 1, LETTER_X = N_LETTER - 1 };

/* Lower triangle, in the order of the alphabet. */
static const signed char blosum62[N_LETTER * (N_LETTER + 1) / 2] = {
    4,
    -1, 5,
    -2, 0, 6,
    -2, -2, 1, 6,
    0, -3, -3, -3, 9,
    -1, 1, 0, 0, -3, 5,
    -1, 0, 0, 2, -4, 2, 5,
    0, -2, 0, -1, -3, -2, -2, 6,
    -2, 0, 1, -1, -3, 0, 0, -2, 8,
    -1, -3, -3, -3, -1, -3, -3, -4, -3, 4,
    -1, -2, -3, -4, -1, -2, -3, -4, -3, 2, 4,
    -1, 2, 0, -1, -3, 1, 1, -2, -1, -3, -2, 5,
    -1, -1, -2, -3, -1, 0, -2, -3, -2, 1, 2, -1, 5,
    -2, -3, -3, -3, -2, -3, -3, -3, -1, 0, 0, -3, 0, 6,
    -1, -2, -2, -1, -3, -1, -1, -2, -2, -3, -3, -1, -2, -4, 7,
    1, -1, 1, 0, -1, 0, 0, 0, -1, -2, -2, 0, -1, -2, -1, 4,
    0, -1, 0, -1, -1, -1, -1, -2, -2, -1, -1, -1, -1, -2, -1, 1, 5,
    -3, -3, -4, -4, -2, -2, -3, -2, -2, -3, -2, -3, -1, 1, -4, -3, -2, 11,
    -2, -2, -2, -3, -2, -1, -2, -3, 2, -1, -1, -2, -1, 3, -3, -2, -2, 2, 7,
    0, -3, -3, -3, -1, -2, -2, -3, -3, 3, 1, -2, 1, -1, -2, -2, 0, -3, -1, 4,
    -2, -1, 3, 4, -3, 0, 1, -1, 0, -3, -4, 0, -3, -3, -2, 0, -1, -4, -3, -3, 4,
    -1, 0, 0, 1, -3, 3, 4, -2, 0, -3, -3, 1, -1, -3, -1, 0, -1, -3, -2, -2, 1, 4,
    0, -1, -1, -1, -2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -2, 0, 0, -2, -1, -1, -1, -1, -1,
};

static int letter_index(char c)
{
    const char *p = c ? strchr(alphabet, c) : NULL;
    return p ? (int)(p - alphabet) : LETTER_X;
}

static int pair_score(int i, int j)
{
    return i >= j ? blosum62[i * (i + 1) / 2 + j] : blosum62[j * (j + 1) / 2 + i];
}

int ff_align_score(char a, char b)
{
    return pair_score(letter_index(a), letter_index(b));
}

/* How the best alignment up to a cell ends. */
enum {
    FROM_START = 0,              /* it is empty */
    FROM_PAIR = 1,
    FROM_GAP_A = 2,              /* a gap in a: b's residue has no partner */
    FROM_GAP_B = 3,
    SOURCE_MASK = 3,
    OPEN_A = 4,                  /* the gap in a that ends here begins here */
    OPEN_B = 8,
};

/* Far below every score, with room to subtract from. */
static const int32_t minus_infinity = INT32_MIN / 2;

/* Cost of a gap of n residues at an end. */
static int32_t end_gap(enum ff_align_mode mode, size_t n)
{
    return mode != FF_ALIGN_GLOBAL || n == 0 ? 0 : -(FF_ALIGN_OPEN + (int32_t)(n - 1) * FF_ALIGN_EXTEND);
}

struct matrix {
    size_t n_a, n_b;
    uint8_t *from;               /* [n_a + 1, n_b + 1] */
    int32_t score;
    size_t end_a, end_b;         /* cell in which the alignment ends */
};

/* Gotoh's recursion row by row; only the way back is kept of earlier rows. */
static void fill(const char *a, const char *b, enum ff_align_mode mode, struct matrix *m)
{
    size_t width = m->n_b + 1;
    int32_t *best = ff_xmalloc(width * sizeof *best);            /* [n_b + 1] best score up to (i, j) */
    int32_t *gap_b = ff_xmalloc(width * sizeof *gap_b);          /* [n_b + 1] ... that ends with a gap in b */
    int *letters = ff_xmalloc(width * sizeof *letters);          /* [n_b + 1] of b */
    bool local = mode == FF_ALIGN_LOCAL;

    for (size_t j = 0; j <= m->n_b; j++) {
        letters[j] = j > 0 ? letter_index(b[j - 1]) : 0;
        best[j] = end_gap(mode, j);
        gap_b[j] = minus_infinity;
        m->from[j] = (uint8_t)(local || j == 0 ? FROM_START : FROM_GAP_A | (j == 1 ? OPEN_A : 0));
    }
    m->score = 0;
    m->end_a = m->n_a;
    m->end_b = m->n_b;
    for (size_t i = 1; i <= m->n_a; i++) {
        uint8_t *from = m->from + i * width;
        int letter = letter_index(a[i - 1]);
        int32_t diagonal = best[0];
        int32_t gap_a = minus_infinity;
        best[0] = end_gap(mode, i);
        from[0] = (uint8_t)(local ? FROM_START : FROM_GAP_B | (i == 1 ? OPEN_B : 0));
        for (size_t j = 1; j <= m->n_b; j++) {
            uint8_t way = 0;
            /* best[j] is still the row above, best[j - 1] already this row. At the last row and column of an overlap
             * gaps are free. */
            int32_t open_a = mode == FF_ALIGN_OVERLAP && i == m->n_a ? 0 : FF_ALIGN_OPEN;
            int32_t more_a = mode == FF_ALIGN_OVERLAP && i == m->n_a ? 0 : FF_ALIGN_EXTEND;
            int32_t open_b = mode == FF_ALIGN_OVERLAP && j == m->n_b ? 0 : FF_ALIGN_OPEN;
            int32_t more_b = mode == FF_ALIGN_OVERLAP && j == m->n_b ? 0 : FF_ALIGN_EXTEND;
            if (best[j - 1] - open_a >= gap_a - more_a) {
                gap_a = best[j - 1] - open_a;
                way |= OPEN_A;
            } else {
                gap_a -= more_a;
            }
            if (best[j] - open_b >= gap_b[j] - more_b) {
                gap_b[j] = best[j] - open_b;
                way |= OPEN_B;
            } else {
                gap_b[j] -= more_b;
            }
            int32_t score = diagonal + pair_score(letter, letters[j]);
            uint8_t source = FROM_PAIR;
            if (gap_a > score) {
                score = gap_a;
                source = FROM_GAP_A;
            }
            if (gap_b[j] > score) {
                score = gap_b[j];
                source = FROM_GAP_B;
            }
            if (local && score <= 0) {
                score = 0;
                source = FROM_START;
            }
            diagonal = best[j];
            best[j] = score;
            from[j] = way | source;
            if (local && score > m->score) {
                m->score = score;
                m->end_a = i;
                m->end_b = j;
            }
        }
    }
    if (!local)
        m->score = best[m->n_b];
    free(best);
    free(gap_b);
    free(letters);
}

int ff_align(const char *a, const char *b, enum ff_align_mode mode, int32_t *ret_b_of_a)
{
    struct matrix m = {.n_a = strlen(a), .n_b = strlen(b)};
    size_t width = m.n_b + 1;

    FF_ASSERT(m.n_a < INT_MAX / 32 && m.n_b < INT_MAX / 32);
    m.from = ff_xmalloc((m.n_a + 1) * width);
    fill(a, b, mode, &m);

    for (size_t i = 0; i < m.n_a; i++)
        ret_b_of_a[i] = -1;
    size_t i = mode == FF_ALIGN_LOCAL ? m.end_a : m.n_a;
    size_t j = mode == FF_ALIGN_LOCAL ? m.end_b : m.n_b;
    bool local_empty = mode == FF_ALIGN_LOCAL && m.score == 0;
    uint8_t state = local_empty ? FROM_START : m.from[i * width + j] & SOURCE_MASK;
    while ((i > 0 || j > 0) && state != FROM_START) {
        uint8_t here = m.from[i * width + j];
        if (state == FROM_PAIR) {
            ret_b_of_a[--i] = (int32_t)--j;
            state = m.from[i * width + j] & SOURCE_MASK;
        } else if (state == FROM_GAP_A) {
            j--;
            state = here & OPEN_A ? m.from[i * width + j] & SOURCE_MASK : FROM_GAP_A;
        } else {
            i--;
            state = here & OPEN_B ? m.from[i * width + j] & SOURCE_MASK : FROM_GAP_B;
        }
    }
    free(m.from);
    return m.score;
}

void ff_align_rows(const char *a, const char *b, const int32_t *b_of_a, char **ret_row_a, char **ret_row_b)
{
    struct ff_strbuf row_a = {0}, row_b = {0};
    int32_t next = 0;            /* residue of b not yet written */

    for (size_t i = 0; a[i]; i++) {
        for (; b_of_a[i] >= 0 && next < b_of_a[i]; next++) {
            ff_strbuf_putc(&row_a, '-');
            ff_strbuf_putc(&row_b, b[next]);
        }
        ff_strbuf_putc(&row_a, a[i]);
        ff_strbuf_putc(&row_b, b_of_a[i] >= 0 ? b[next++] : '-');
    }
    for (; b[next]; next++) {
        ff_strbuf_putc(&row_a, '-');
        ff_strbuf_putc(&row_b, b[next]);
    }
    ff_strbuf_puts(&row_a, "");
    ff_strbuf_puts(&row_b, "");
    *ret_row_a = ff_strbuf_detach(&row_a);
    *ret_row_b = ff_strbuf_detach(&row_b);
}

ff_status ff_align_parse_rows(const char *name, const char *text, size_t len, char **ret_row_a, char **ret_row_b)
{
    struct ff_strbuf rows[2] = {{0}, {0}};
    struct ff_lines it;
    int n = 0;
    ff_status st = FF_OK;

    ff_lines_init(&it, text, len);
    while (st == FF_OK && ff_lines_next(&it)) {
        if (it.len > 0 && it.line[0] == '>') {
            n++;
            continue;
        }
        for (size_t i = 0; i < it.len; i++) {
            char c = it.line[i];
            if (ff_lines_is_space(c) || (c >= 'a' && c <= 'z'))
                continue;
            if (n < 1 || n > 2 || (c != '-' && (c < 'A' || c > 'Z'))) {
                char shown[8];
                st = ff_fail(FF_EINPUT, "%s:%d: expected an alignment of two sequences in FASTA, found %s in record %d",
                             name, it.number, ff_lines_show_byte(c, shown), n);
                break;
            }
            ff_strbuf_putc(&rows[n - 1], c);
        }
    }
    if (st == FF_OK && (n != 2 || rows[0].len != rows[1].len))
        st = ff_fail(FF_EINPUT, "%s: expected an alignment of two sequences in FASTA, found %d records with %zu and "
                     "%zu columns", name, n, rows[0].len, rows[1].len);
    if (st != FF_OK) {
        ff_strbuf_free(&rows[0]);
        ff_strbuf_free(&rows[1]);
        return st;
    }
    for (int i = 0; i < 2; i++)
        ff_strbuf_puts(&rows[i], "");
    *ret_row_a = ff_strbuf_detach(&rows[0]);
    *ret_row_b = ff_strbuf_detach(&rows[1]);
    return FF_OK;
}
