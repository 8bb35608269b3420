/* SPDX-License-Identifier: Apache-2.0
 * host_rows: rows of an array of the host, some bytes of each, brought together.
 */
#ifndef FF_COMPUTE_HOST_ROWS_H
#define FF_COMPUTE_HOST_ROWS_H

#include <stddef.h>

/* to = n bytes, from byte at on, of rows of `row` bytes each that lie pitch bytes apart: of what they are together. A
 * few threads share much of it, as one alone copies slower than a GPU fetches. */
void ff_host_rows_gather(void *to, const void *rows, size_t row, size_t pitch, size_t at, size_t n);

#endif
