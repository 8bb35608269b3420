/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/host_rows.h"

#include <omp.h>
#include <string.h>

enum { STEP = 256 << 10, THREADS = 4 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void gather(char *to, const char *rows, size_t row, size_t pitch, size_t at, size_t n)
{
    for (size_t done = 0, part; done < n; done += part) {
        size_t i = (at + done) / row, from = (at + done) % row;
        part = least(row - from, n - done);
        memcpy(to + done, rows + i * pitch + from, part);
    }
}

void ff_host_rows_gather(void *to, const void *rows, size_t row, size_t pitch, size_t at, size_t n)
{
    int threads = omp_get_max_threads() < THREADS ? omp_get_max_threads() : THREADS;
#pragma omp parallel for schedule(static) num_threads(threads) if (n >= THREADS * STEP)
    for (size_t k = 0; k < n; k += STEP)
        gather((char *)to + k, rows, row, pitch, at + k, least(STEP, n - k));
}
