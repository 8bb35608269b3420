/* SPDX-License-Identifier: Apache-2.0
 * search_cache: results of searches that folders of results share (search.cache_dir). A result lies under the SHA-256
 * of all that decides it: query, program with version and flags, databases (file name, size, time), cap of rows, and
 * for template searches the alignment that they start from. Files appear whole, the record of a file after it; a file
 * that does not have the checksum of its record is not used.
 */
#ifndef FF_APP_SEARCH_CACHE_H
#define FF_APP_SEARCH_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/search_record.h"

/* The result of that key, and its record. false: there is none. Caller frees *text and the record. */
bool ff_search_cache_get(const char *cache_dir, const char *key, struct ff_search_record *ret, char **ret_text,
                         size_t *ret_len);

/* Stores a result with its record, whose key and sha256 are set. What goes wrong is a warning: the search is done. */
void ff_search_cache_put(const char *cache_dir, const struct ff_search_record *r, const char *text, size_t len);

/* The same for a number, such as the sequences of a database. */
bool ff_search_cache_get_number(const char *cache_dir, const char *key, int64_t *ret);
void ff_search_cache_put_number(const char *cache_dir, const char *key, int64_t value);

#endif
