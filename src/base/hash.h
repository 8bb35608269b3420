/* SPDX-License-Identifier: Apache-2.0
 * hash: FNV-1a for names, splitmix64's finaliser for counters, SHA-256 for the identity of files.
 */
#ifndef FF_BASE_HASH_H
#define FF_BASE_HASH_H

#include <stdint.h>

#include "base/status.h"

uint64_t ff_hash_fnv1a(const void *data, uint64_t len);       /* 64 bit; offset basis 0xCBF29CE484222325 */

/* splitmix64's finaliser; inline, so that loops over counters are vectorised. */
static inline uint64_t ff_hash_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* SHA-256 of data as 64 lower-case hex digits and a NUL. */
void ff_hash_sha256_hex(const void *data, uint64_t len, char out[65]);
/* The same of a whole file, read in pieces. FF_EMISSING, FF_EIO. */
ff_status ff_hash_sha256_file(const char *path, char out[65]) FF_MUST_USE;

#endif
