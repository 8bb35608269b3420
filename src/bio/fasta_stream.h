/* SPDX-License-Identifier: Apache-2.0
 * fasta_stream: the records of a FASTA file that is too large to be held, plain or compressed with gzip, in order.
 */
#ifndef FF_BIO_FASTA_STREAM_H
#define FF_BIO_FASTA_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Gets each record, from its '>' to the next one's, and the byte at which it begins in the inflated text. false: no
 * more, please. */
typedef bool (*ff_fasta_take)(void *user, int64_t place, const char *record, size_t len);

/* FF_EMISSING, FF_EIO; FF_EINPUT: damaged or truncated gzip, or text before the first '>'. */
ff_status ff_fasta_stream(const char *path, ff_fasta_take take, void *user) FF_MUST_USE;

/* Where the record at text ends, which is where the next one begins; NULL when that is not before end. */
const char *ff_fasta_record_end(const char *text, const char *end);

#endif
