/* SPDX-License-Identifier: Apache-2.0
 * gzip: text files that may be compressed. A gzip magic number decides, not the name.
 */
#ifndef FF_FORMAT_GZIP_H
#define FF_FORMAT_GZIP_H

#include <stddef.h>

#include "base/status.h"

/* Whole file, inflated when it is gzip, NUL-terminated. FF_EMISSING, FF_EIO, FF_EINPUT (damaged or truncated gzip). */
ff_status ff_gzip_read_file(const char *path, char **ret, size_t *ret_len) FF_MUST_USE;

#endif
