/* SPDX-License-Identifier: Apache-2.0
 * search_database: a FASTA database as a file: whether it is compressed, where its records begin, how many it has.
 */
#ifndef FF_APP_SEARCH_DATABASE_H
#define FF_APP_SEARCH_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Whether a database is compressed with gzip. jackhmmer, which reads it more than once, does not take it then;
 * search_shard does, in one part: it is inflated on the way to phmmer, and once more for the records that were hit. */
bool ff_search_database_compressed(const char *path);

/* For reading, with its size. FF_EMISSING. */
ff_status ff_search_database_open(const char *path, int *ret_fd, int64_t *ret_bytes) FF_MUST_USE;

/* Where the first record at or behind from begins; bytes when there is none. -1: reading failed. */
int64_t ff_search_database_next(int fd, int64_t from, int64_t bytes);

/* Number of sequences, counted by some threads. FF_EIO, FF_EMISSING; FF_EINTERRUPT when *stop became true. */
ff_status ff_search_database_count(const char *path, int threads, const bool *stop, int64_t *ret) FF_MUST_USE;

#endif
