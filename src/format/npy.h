/* SPDX-License-Identifier: Apache-2.0
 * npy: the header of NumPy's .npy format, versions 1.0, 2.0 and 3.0 (numpy.lib.format).
 *
 * A file is: magic "\x93NUMPY", version (2 bytes), header length (2 bytes little-endian in 1.0, 4 after), a Python dict
 * literal with descr, fortran_order and shape, and the data.
 */
#ifndef FF_FORMAT_NPY_H
#define FF_FORMAT_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "format/array.h"

/* Bytes that ff_npy_header_size must see (or the whole file, if that is shorter). */
enum { FF_NPY_PREAMBLE = 12 };

struct ff_npy_header {
    struct ff_array array;       /* dtype, ndim, shape; name and data NULL */
    bool fortran_order;          /* data are in column-major order (always false for less than two axes) */
    size_t header_bytes;         /* the data begin here */
    size_t data_bytes;           /* what dtype and shape need */
};

/* Size of magic, version, length and dict together, from the first len bytes of the file. FF_EINPUT. */
ff_status ff_npy_header_size(const void *data, size_t len, size_t *ret) FF_MUST_USE;

/* Parses a whole header (header_bytes of it, as ff_npy_header_size says). FF_EINPUT with what was found. */
ff_status ff_npy_parse_header(const void *data, size_t header_bytes, struct ff_npy_header *ret) FF_MUST_USE;

/* Appends the header of a, padded so that it fills a multiple of 64 bytes. bfloat16 is written as '|V2'. */
void ff_npy_format_header(const struct ff_array *a, struct ff_strbuf *out);

#endif
