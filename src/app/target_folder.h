/* SPDX-License-Identifier: Apache-2.0
 * target_folder: the folder of one target's results, and what an earlier run left in it.
 */
#ifndef FF_APP_TARGET_FOLDER_H
#define FF_APP_TARGET_FOLDER_H

#include <stdbool.h>

#include "app/run_record.h"

struct ff_target_folder {
    char *dir, *msa_dir;
    bool has_record;
    struct ff_run_record record;     /* of the earlier run; {0} without one */
};

/* Reads the record if there is one; a damaged one counts as none. The folder need not exist. FF_EIO. */
ff_status ff_target_folder_open(const char *output_dir, const char *target, struct ff_target_folder *ret) FF_MUST_USE;
void ff_target_folder_close(struct ff_target_folder *f);     /* frees what is inside */

/* Whether the record's features.npz is here and has this SHA-256. */
bool ff_target_folder_made_features(const struct ff_target_folder *f, const char *sha256);

/* What a run is about, to be compared with what is here. */
struct ff_run_goal {
    enum ff_stage last;
    const char *features_key;
    const char *prediction_key;      /* looked at where last is FF_STAGE_PREDICT */
    bool overwrite;
};

/* Whether the results here answer the question (*ret_done true), may stay beside new ones, or stand in the way
 * (FF_EUSAGE). Kept alignments never do: each is judged when it is needed. */
ff_status ff_target_folder_judge(const struct ff_target_folder *f, const struct ff_run_goal *goal,
                                 bool *ret_done) FF_MUST_USE;

/* The refusal, naming what the folder holds: FF_EUSAGE. */
ff_status ff_target_folder_refuse(const struct ff_target_folder *f, const char *what);

/* Removes the files of the earlier run, so that no mixture of old and new remains; alignments stay. keep: a file that
 * stays in any case; may be NULL. FF_EIO. */
ff_status ff_target_folder_clear(const struct ff_target_folder *f, const char *keep) FF_MUST_USE;

#endif
