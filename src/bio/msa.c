/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/msa.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/lines.h"
#include "bio/residue.h"

void ff_msa_free(struct ff_msa *m)
{
    for (int i = 0; i < m->n_row; i++)
        free(m->descriptions[i]);
    free(m->descriptions);
    free(m->letters);
    free(m->deletions);
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
    ret->n_row = 1;
    ret->n_col = (int)n;
    ret->letters = ff_xstrdup(sequence);
    ret->deletions = FF_NEW_ARRAY(uint16_t, n ? n : 1);
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
