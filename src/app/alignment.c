/* SPDX-License-Identifier: Apache-2.0
 * alignment: alignment files of whichever format, checked against their query.
 */
#include "app/alignment.h"

#include "bio/a3m.h"
#include "bio/lines.h"
#include "bio/stockholm.h"

static bool is_stockholm(const char *text, size_t len)
{
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it))
        if (!ff_lines_is_blank(it.line, it.len))
            return ff_lines_starts_with(it.line, it.len, "# STOCKHOLM");
    return false;
}

/* st: of parsing, which left ret free if it failed. */
static ff_status check(ff_status st, const char *name, const char *sequence, struct ff_msa *ret)
{
    if (st == FF_OK)
        st = ff_msa_check_query(ret, sequence, name);
    if (st != FF_OK)
        ff_msa_free(ret);
    return st;
}

ff_status ff_alignment_parse(const char *name, const char *text, size_t len, const char *sequence, int max_rows,
                             struct ff_msa *ret)
{
    ff_status st = is_stockholm(text, len) ? ff_stockholm_parse(name, text, len, max_rows, ret)
                                           : ff_a3m_parse(name, text, len, max_rows, ret);
    return check(st, name, sequence, ret);
}

ff_status ff_alignment_spend(const char *name, char *text, size_t len, const char *sequence, struct ff_msa *ret)
{
    ff_status st = is_stockholm(text, len) ? ff_stockholm_spend(name, text, len, 0, ret)
                                           : ff_a3m_parse(name, text, len, 0, ret);
    return check(st, name, sequence, ret);
}
