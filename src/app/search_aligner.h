/* SPDX-License-Identifier: Apache-2.0
 * search_aligner: aligns two sequences with the program kalign, as the published pipeline aligns template hits anew.
 */
#ifndef FF_APP_SEARCH_ALIGNER_H
#define FF_APP_SEARCH_ALIGNER_H

#include <stdbool.h>

#include "base/status.h"

struct ff_search_aligner {
    const char *program;         /* name or path of kalign */
    const char *tmp_parent;      /* its files lie in a folder below, which is gone afterwards */
    const bool *stop;            /* may be NULL */
};

/* A ff_template_aligner whose user is a struct ff_search_aligner. FF_EMISSING, FF_ETOOL, FF_EIO, FF_EINPUT (a sequence
 * of less than 6 residues, which kalign does not take), FF_EINTERRUPT. */
ff_status ff_search_align(void *user, const char *seq_a, const char *seq_b, char **ret_row_a,
                          char **ret_row_b) FF_MUST_USE;

#endif
