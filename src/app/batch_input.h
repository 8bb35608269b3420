/* SPDX-License-Identifier: Apache-2.0
 * batch_input: the files that operands of a command line stand for: a file is itself, a folder the sequence files in
 * it.
 */
#ifndef FF_APP_BATCH_INPUT_H
#define FF_APP_BATCH_INPUT_H

#include "base/status.h"

/* Paths in order, a folder's by name: .fasta, .fa, .faa, .fas, .csv, .tsv, also with .gz. Caller frees the array and
 * each path. FF_EMISSING: a folder without any; FF_EIO. */
ff_status ff_batch_input_files(int n, char *const *operands, int *ret_n, char ***ret) FF_MUST_USE;

#endif
