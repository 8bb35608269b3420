/* SPDX-License-Identifier: Apache-2.0
 * alignment: alignment files of whichever format, checked against their query.
 */
#include "app/alignment.h"

#include <stdlib.h>

#include "bio/a3m.h"
#include "bio/lines.h"
#include "bio/stockholm.h"
#include "format/gzip.h"

static bool is_stockholm(const char *text, size_t len)
{
    struct ff_lines it;
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it))
        if (!ff_lines_is_blank(it.line, it.len))
            return ff_lines_starts_with(it.line, it.len, "# STOCKHOLM");
    return false;
}

ff_status ff_alignment_parse(const char *name, const char *text, size_t len, const char *sequence, int max_rows,
                             struct ff_msa *ret)
{
    *ret = (struct ff_msa){0};
    ff_status st;
    if (is_stockholm(text, len))
        st = ff_stockholm_parse(name, text, len, max_rows, ret);
    else
        st = ff_a3m_parse(name, text, len, max_rows, ret);
    if (st == FF_OK)
        st = ff_msa_check_query(ret, sequence, name);
    if (st != FF_OK)
        ff_msa_free(ret);
    return st;
}

ff_status ff_alignment_load(const char *path, const char *sequence, int max_rows, struct ff_msa *ret)
{
    *ret = (struct ff_msa){0};
    char *text;
    size_t len;
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_alignment_parse(path, text, len, sequence, max_rows, ret);
    free(text);
    return st;
}
