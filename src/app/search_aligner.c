/* SPDX-License-Identifier: Apache-2.0
 * search_aligner: aligns two sequences with kalign. Source: AlphaFold data/tools/kalign.py.
 */
#include "app/search_aligner.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/subprocess.h"
#include "bio/align.h"

enum { MIN_LENGTH = 6 };

static ff_status align_in(const struct ff_search_aligner *a, const char *dir, const char *seq_a, const char *seq_b,
                          char **ret_row_a, char **ret_row_b)
{
    char *input = ff_path_join(dir, "input.fasta"), *output = ff_path_join(dir, "output.a3m");
    char *text = ff_xasprintf(">sequence 1\n%s\n>sequence 2\n%s\n", seq_a, seq_b), *rows = NULL;
    const char *const argv[] = {a->program, "-i", input, "-o", output, "-format", "fasta", NULL};
    size_t len;
    ff_status st;
    FF_TRY_GOTO(st, ff_file_write(input, text, strlen(text)), cleanup);
    st = ff_subprocess_check(argv, NULL, NULL, NULL, NULL);
    if (a->stop != NULL && *a->stop)
        st = ff_fail(FF_EINTERRUPT, "interrupted while aligning a template");
    if (st != FF_OK)
        goto cleanup;
    FF_TRY_GOTO(st, ff_file_read(output, &rows, &len), cleanup);
    st = ff_align_parse_rows("kalign's alignment", rows, len, ret_row_a, ret_row_b);

cleanup:
    free(rows);
    free(text);
    free(output);
    free(input);
    return st;
}

ff_status ff_search_align(void *user, const char *seq_a, const char *seq_b, char **ret_row_a, char **ret_row_b)
{
    const struct ff_search_aligner *a = user;
    char *dir;
    if (strlen(seq_a) < MIN_LENGTH || strlen(seq_b) < MIN_LENGTH)
        return ff_fail(FF_EINPUT, "kalign aligns sequences of %d residues or more; these have %zu and %zu", MIN_LENGTH,
                       strlen(seq_a), strlen(seq_b));
    char *program = ff_path_which(a->program);
    if (program == NULL)
        return ff_fail(FF_EMISSING, "tools.kalign: program '%s' was not found; install it (Debian: apt-get install "
                       "kalign) or set tools.kalign to its path", a->program);
    free(program);
    FF_TRY(ff_mkdirs(a->tmp_parent));
    FF_TRY(ff_make_temp_dir(a->tmp_parent, ".align-", &dir));
    ff_status st = align_in(a, dir, seq_a, seq_b, ret_row_a, ret_row_b);
    char *message = ff_xstrdup(ff_status_message());
    ff_status removed = ff_remove_tree(dir);
    if (st != FF_OK)
        st = ff_fail(st, "%s", message);
    else if (removed != FF_OK) {
        free(*ret_row_a);
        free(*ret_row_b);
        *ret_row_a = *ret_row_b = NULL;
        st = removed;
    }
    free(message);
    free(dir);
    return st;
}
