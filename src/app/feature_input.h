/* SPDX-License-Identifier: Apache-2.0
 * feature_input: a file of features as the input of one prediction: features.npz that the stages before made, or the
 * user's (--features).
 */
#ifndef FF_APP_FEATURE_INPUT_H
#define FF_APP_FEATURE_INPUT_H

#include "app/options.h"
#include "feature/source.h"

struct ff_feature_input {
    struct ff_source *source;
    int n_chain;                 /* of a complex whose file tells the order of its input; 0: none */
    int32_t *input_chain;        /* [n_chain] (feature/assembly.h) */
};

/* For the network of config, whose features must be of the kind that the file holds, drawing with seed. FF_EMISSING,
 * FF_EIO, FF_EINPUT, FF_EUSAGE. */
ff_status ff_feature_input_open(const char *path, const struct ff_config *config, int64_t seed,
                                struct ff_feature_input *ret) FF_MUST_USE;
void ff_feature_input_close(struct ff_feature_input *f);         /* frees what is inside and resets to {0} */

/* Whether it holds the features of a complex, told by names alone. Unreadable files are none. */
bool ff_feature_input_is_complex(const char *path);

/* Name for the results: the record's that raw features tell, else the file's. Caller frees. */
ff_status ff_feature_input_name(const char *path, char **ret) FF_MUST_USE;

#endif
