/* SPDX-License-Identifier: Apache-2.0
 * target: what one prediction is about: a chain, or the chains of a complex, as input files tell it.
 *
 * A FASTA file holds one target per record; ':' inside a sequence joins the chains of a complex, and with `complex` all
 * records of a file are the chains of one. A table (.csv, .tsv) holds a target per row: a name and a sequence, which
 * may have ':' too.
 */
#ifndef FF_APP_TARGET_H
#define FF_APP_TARGET_H

#include <stdbool.h>

#include "app/chain_id.h"
#include "base/status.h"

struct ff_chain {
    char *sequence;              /* upper case */
    char *description;           /* FASTA header */
    int entity;                  /* chains of equal sequence have the same; numbered from 0 by first appearance */
    char id[FF_CHAIN_ID_SIZE];   /* A, B, ... in the order of the input (app/chain_id) */
};

struct ff_target {
    char *name;                  /* folder of the results */
    char *description;           /* FASTA header */
    char *sequence;              /* upper case, chains joined by ':'; NULL where features are given */
    char *file;                  /* that it was read from */
    bool complex;                /* more chains than one, or one chain that was called a complex */
    int n_chain, n_entity;       /* 0 where features are given */
    struct ff_chain *chains;     /* [n_chain] */
    int n_res;
};

struct ff_targets {
    struct ff_target *items;     /* [count] */
    int count, capacity;
};

void ff_target_free(struct ff_target *t);                /* frees what is inside and resets to {0} */
void ff_targets_free(struct ff_targets *t);

/* Fills a target from a sequence, with ':' between chains. Takes copies. */
void ff_target_make(struct ff_target *t, const char *name, const char *description, const char *sequence,
                    const char *file);

/* Appends the targets of a file and logs what was changed in their sequences. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_targets_load(struct ff_targets *t, const char *path, bool complex) FF_MUST_USE;

/* The first chain of an entity. */
const struct ff_chain *ff_target_entity(const struct ff_target *t, int entity);

#endif
