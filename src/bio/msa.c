/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/msa.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/lines.h"
#include "bio/residue.h"

/* --- deletions --- */

struct ff_deletion_piece {
    int next;                    /* piece of the same row; 0: the last */
    uint8_t bytes[12];           /* a distance is never 0, so a 0 in its place is the end */
};

struct ff_deletion_row {
    int first, last;             /* pieces; 0: none */
    int used;                    /* bytes of the last piece */
    int end;                     /* behind the column that was set last */
};

static void add_piece(struct ff_deletions *d, struct ff_deletion_row *row)
{
    d->n_piece += d->n_piece == 0;
    FF_GROW(d->pieces, d->n_piece, d->piece_capacity);
    d->pieces[d->n_piece] = (struct ff_deletion_piece){0};
    *(row->last == 0 ? &row->first : &d->pieces[row->last].next) = d->n_piece;
    row->last = d->n_piece++;
    row->used = 0;
}

static inline void put_byte(struct ff_deletions *d, struct ff_deletion_row *row, uint8_t byte)
{
    if (row->last == 0 || row->used == (int)sizeof d->pieces->bytes)
        add_piece(d, row);
    d->pieces[row->last].bytes[row->used++] = byte;
}

static inline void put_number(struct ff_deletions *d, struct ff_deletion_row *row, uint32_t n)
{
    for (; n >= 128; n >>= 7)
        put_byte(d, row, (uint8_t)(n | 128));
    put_byte(d, row, (uint8_t)n);
}

void ff_msa_add_deletions(struct ff_msa *m, int row, int column, int32_t n)
{
    struct ff_deletions *d = &m->deletions;
    while (d->n_row <= row) {
        FF_GROW(d->rows, d->n_row, d->row_capacity);
        d->rows[d->n_row++] = (struct ff_deletion_row){0};
    }
    struct ff_deletion_row *r = &d->rows[row];
    FF_ASSERT(column >= r->end && n > 0);
    uint32_t step = (uint32_t)(column + 1 - r->end);
    if (r->last != 0 && r->used + 2 <= (int)sizeof d->pieces->bytes && step < 128 && n < 128) {
        d->pieces[r->last].bytes[r->used++] = (uint8_t)step;
        d->pieces[r->last].bytes[r->used++] = (uint8_t)n;
    } else {
        put_number(d, r, step);
        put_number(d, r, (uint32_t)n);
    }
    r->end = column + 1;
}

/* Where a row is read. */
struct place {
    const struct ff_deletions *d;
    int piece, at;
};

static uint8_t get_byte(struct place *p)
{
    if (p->at == (int)sizeof p->d->pieces->bytes) {
        p->piece = p->d->pieces[p->piece].next;
        p->at = 0;
    }
    return p->piece == 0 ? 0 : p->d->pieces[p->piece].bytes[p->at++];
}

static uint32_t get_number(struct place *p)
{
    uint32_t n = 0;
    for (int shift = 0;; shift += 7) {
        uint32_t byte = get_byte(p);
        n |= (byte & 127) << shift;
        if (byte < 128)
            return n;
    }
}

void ff_msa_deletions(const struct ff_msa *m, int row, int32_t *ret)
{
    FF_ASSERT(row >= 0 && row < m->n_row);
    memset(ret, 0, (size_t)m->n_col * sizeof *ret);
    if (row >= m->deletions.n_row)
        return;
    struct place p = {&m->deletions, m->deletions.rows[row].first, 0};
    uint32_t step;
    for (size_t end = 0; (step = get_number(&p)) > 0;) {
        end += step;
        ret[end - 1] = (int32_t)get_number(&p);
    }
}

/* --- alignments --- */

void ff_msa_free(struct ff_msa *m)
{
    for (int i = 0; i < m->n_row; i++)
        free(m->descriptions[i]);
    free(m->descriptions);
    free(m->letters);
    free(m->deletions.rows);
    free(m->deletions.pieces);
    *m = (struct ff_msa){0};
}

void ff_msa_truncate(struct ff_msa *m, int max_rows)
{
    FF_ASSERT(max_rows >= 0);
    for (int i = max_rows; i < m->n_row; i++)
        free(m->descriptions[i]);
    if (m->n_row > max_rows)
        m->n_row = max_rows;
}

const char *ff_msa_row(const struct ff_msa *m, int row)
{
    FF_ASSERT(row >= 0 && row < m->n_row);
    return m->letters + (size_t)row * (size_t)m->n_col;
}

void ff_msa_from_query(const char *sequence, const char *description, struct ff_msa *ret)
{
    size_t n = strlen(sequence);
    FF_ASSERT(n <= INT32_MAX);
    *ret = (struct ff_msa){.n_row = 1, .n_col = (int)n, .letters = ff_xstrdup(sequence)};
    ret->descriptions = FF_NEW_ARRAY(char *, 1);
    ret->descriptions[0] = ff_xstrdup(description ? description : "");
}

int ff_msa_hhblits_id(char letter)
{
    static const signed char id[26] = {
        0, 2, 1, 2, 3, 4, 5, 6, 7, 20, 8, 9, 10,          /* A to M: B as D, J as X */
        11, 20, 12, 13, 14, 15, 16, 1, 17, 18, 20, 19, 3  /* N to Z: O as X, U as C, Z as E */
    };
    if (letter >= 'A' && letter <= 'Z')
        return id[letter - 'A'];
    return letter == '-' ? 21 : -1;
}

ff_status ff_msa_check_query(const struct ff_msa *m, const char *sequence, const char *name)
{
    size_t n = strlen(sequence);
    if (m->n_row < 1)
        return ff_fail(FF_EINPUT, "%s: the alignment has no rows; its first row must be the query", name);
    const char *row = ff_msa_row(m, 0);
    size_t n_col = (size_t)m->n_col;
    for (size_t i = 0; i < n && i < n_col; i++) {
        if (ff_residue_from_letter(row[i]) == ff_residue_from_letter(sequence[i]))
            continue;
        char a[8], b[8];
        return ff_fail(FF_EINPUT,
                       "%s: the first row differs from the query at residue %zu: %s, the query has %s; "
                       "give the alignment of this query",
                       name, i + 1, ff_lines_show_byte(row[i], a), ff_lines_show_byte(sequence[i], b));
    }
    if (n != n_col)
        return ff_fail(FF_EINPUT,
                       "%s: the first row has %zu residues, the query has %zu; give the alignment of this query", name,
                       n_col, n);
    return FF_OK;
}
