/* SPDX-License-Identifier: Apache-2.0
 * user_msa: the alignment that the user gives (--msa), for every chain of a target that has a sequence of its own.
 *
 * Of one sequence (also several copies of it): an A3M or Stockholm file. Of different sequences: a ColabFold A3M. Its
 * first line tells lengths and copies of the sequences ("#59,60<TAB>2,1"), rows run over all of them, and those that
 * have residues of several sequences are rows of one organism, which stay together.
 */
#ifndef FF_APP_USER_MSA_H
#define FF_APP_USER_MSA_H

#include "app/target.h"
#include "bio/msa.h"

struct ff_user_msa {
    int n_entity;
    struct ff_msa *own;          /* [n_entity] rows of one sequence; the first is the query */
    struct ff_msa *paired;       /* [n_entity] rows that belong together, as many for all; without rows when there is
                                  * one sequence alone */
};

/* Compared with the target's sequences. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_user_msa_load(const char *path, const struct ff_target *t, struct ff_user_msa *ret) FF_MUST_USE;
void ff_user_msa_free(struct ff_user_msa *m);            /* frees what is inside and resets to {0} */

#endif
