/* SPDX-License-Identifier: Apache-2.0
 * zip: the archive format below .npz (PKWARE APPNOTE 6.3: stored and deflated members, zip64, CRC-32).
 *
 * Reading looks at the central directory and checks every local header at opening; data are read with pread, so any
 * number of threads may read members of one archive at once. Encrypted, split and otherwise compressed archives are
 * refused. Writing makes stored members with a fixed time stamp (1980-01-01), so that equal content gives equal bytes.
 */
#ifndef FF_FORMAT_ZIP_H
#define FF_FORMAT_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* --- reading --- */
struct ff_zip;

struct ff_zip_member {
    char *name;                  /* as stored, NUL-terminated, no NUL inside */
    int method;                  /* 0 stored, 8 deflated */
    uint32_t crc;
    uint64_t size;               /* bytes of the content */
    uint64_t packed_size;        /* bytes in the archive */
    uint64_t offset;             /* of the packed data in the file */
};

/* FF_EMISSING, FF_EIO, FF_EINPUT (not a zip, truncated, damaged, unsupported). */
ff_status ff_zip_open(const char *path, struct ff_zip **ret) FF_MUST_USE;
void ff_zip_close(struct ff_zip *z);                              /* NULL is allowed */
const char *ff_zip_path(const struct ff_zip *z);
int ff_zip_count(const struct ff_zip *z);
const struct ff_zip_member *ff_zip_member(const struct ff_zip *z, int i);
int ff_zip_find(const struct ff_zip *z, const char *name);        /* index or -1 */

/* The first len bytes of the content (len <= size), without a look at the CRC. Thread safe. */
ff_status ff_zip_peek(const struct ff_zip *z, int i, void *dst, size_t len) FF_MUST_USE;

/* The whole content, split in two so that a header need not lie next to its data: the first head_len bytes go to head
 * (dropped when head is NULL), the other len bytes to dst; head_len + len must be the member's size. Checks the CRC.
 * Thread safe. */
ff_status ff_zip_read(const struct ff_zip *z, int i, void *head, size_t head_len, void *dst, size_t len) FF_MUST_USE;

/* --- writing --- (atomic: nothing is at path before ff_zip_writer_commit) */
struct ff_zip_writer;
ff_status ff_zip_writer_open(const char *path, struct ff_zip_writer **ret) FF_MUST_USE;
/* Starts a member of exactly size bytes whose data begin at a multiple of align (1, or a power of two up to 4096). */
ff_status ff_zip_writer_begin(struct ff_zip_writer *w, const char *name, uint64_t size, int align) FF_MUST_USE;
/* All bytes of the member come once, in any order, each piece to its place `at` in the content; append: in theirs. */
ff_status ff_zip_writer_put(struct ff_zip_writer *w, uint64_t at, const void *data, size_t len) FF_MUST_USE;
ff_status ff_zip_writer_append(struct ff_zip_writer *w, const void *data, size_t len) FF_MUST_USE;
ff_status ff_zip_writer_end(struct ff_zip_writer *w) FF_MUST_USE;
ff_status ff_zip_writer_commit(struct ff_zip_writer *w) FF_MUST_USE; /* frees w whatever happens */
void ff_zip_writer_abort(struct ff_zip_writer *w);                   /* frees w; NULL is allowed */

#endif
