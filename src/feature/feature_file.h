/* SPDX-License-Identifier: Apache-2.0
 * feature_file: .npz files of features: which kind they hold, and a source of processed features from any of them.
 *
 * Names may carry the prefix "in/"; arrays under "out/" and "meta" (what reference files hold besides the input) are
 * not read.
 */
#ifndef FF_FEATURE_FEATURE_FILE_H
#define FF_FEATURE_FEATURE_FILE_H

#include "feature/source.h"

enum ff_feature_kind {
    FF_FEATURES_RAW,         /* one chain, feature/raw_features.h */
    FF_FEATURES_PROCESSED,   /* what the monomer network reads, feature/source.h */
    FF_FEATURES_COMPLEX,     /* several chains, paired and merged */
};

/* The arrays of a file and their kind, told by their names. Values are not checked. FF_EMISSING, FF_EIO, FF_EINPUT (not
 * an .npz file, damaged, or none of these kinds). */
ff_status ff_feature_file_load(const char *path, enum ff_feature_kind *ret_kind, struct ff_arrays *ret) FF_MUST_USE;

#endif
