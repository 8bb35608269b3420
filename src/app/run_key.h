/* SPDX-License-Identifier: Apache-2.0
 * run_key: what decides the results of a run, as SHA-256 keys (64 hex digits) to compare runs by.
 *
 * Keys leave out what cannot change a result: where files lie, threads, memory, the device. Databases count by file
 * name and size, parameters by the checksums that their file holds for every array.
 */
#ifndef FF_APP_RUN_KEY_H
#define FF_APP_RUN_KEY_H

#include "app/search.h"

enum { FF_KEY_SIZE = 65 };

/* Of raw features: the query (chains of a complex joined by ':') and where its alignment comes from: msa_sha256 of the
 * user's file, or searches, or neither (the query alone). A complex of one chain has other features than the chain. */
void ff_run_key_features(const char *sequence, bool complex, const char *msa_sha256, const struct ff_searches *searches,
                         char ret[FF_KEY_SIZE]);

/* Adds the user's templates ("FILE[:CHAIN]" on lines; NULL: none) to a key of features: names of chains and what is in
 * the files. FF_EMISSING, FF_EIO. */
ff_status ff_run_key_add_templates(const char *templates, char key[FF_KEY_SIZE]) FF_MUST_USE;

/* Of several predictions together: of their keys, in this order; of one, its own. */
void ff_run_key_all(int count, const char (*keys)[FF_KEY_SIZE], char ret[FF_KEY_SIZE]);

/* Of a prediction: its features (features_key above, or the SHA-256 of a file of features), the network, how features
 * are sampled, seed, parameters and arithmetic (precision is the backend's, never auto). */
void ff_run_key_prediction(const char *features_key, const struct ff_config *config, const char *params_sha256,
                           enum ff_precision precision, char ret[FF_KEY_SIZE]);

/* Identity of the parameters: of names, sizes and CRCs of the arrays in the .npz; path NULL: synthetic ones.
 * FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_run_key_params(const char *path, char ret[FF_KEY_SIZE]) FF_MUST_USE;

#endif
