/* SPDX-License-Identifier: Apache-2.0
 * fuzz_npz: any bytes as an .npz archive, and as the header of an .npy file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"
#include "format/npy.h"
#include "format/npz.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/npz"
#include "fuzz/fuzz.h"

/* Reads every byte, so that an array that is shorter than it says trips the address sanitizer. */
static unsigned sum_bytes(const struct ff_array *a)
{
    const uint8_t *p = a->data;
    size_t n = ff_array_bytes(a);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + p[i];
    return sum;
}

static void try_archive(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FF_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct ff_arrays s, again;
    ff_status st = ff_npz_load(path, &s);
    if (st == FF_OK) {
        /* What was read can be written and is read back equal. */
        char out[64];
        unsigned sum = 0, sum_again = 0;
        for (int i = 0; i < s.count; i++)
            sum = sum * 37 + sum_bytes(&s.items[i]);
        snprintf(out, sizeof out, "/tmp/fuzz-npz-%ld", (long)getpid());
        FF_ASSERT(ff_npz_save(out, &s) == FF_OK);
        FF_ASSERT(ff_npz_load(out, &again) == FF_OK && again.count == s.count);
        for (int i = 0; i < again.count; i++)
            sum_again = sum_again * 37 + sum_bytes(&again.items[i]);
        FF_ASSERT(sum == sum_again);
        unlink(out);
        ff_arrays_free(&again);
        ff_arrays_free(&s);
    } else {
        FF_ASSERT(st == FF_EINPUT && ff_status_message()[0] && s.count == 0);
    }
    close(fd);
}

static void try_header(const uint8_t *data, size_t size)
{
    struct ff_npy_header h;
    size_t bytes = 0;
    if (ff_npy_header_size(data, size < FF_NPY_PREAMBLE ? size : FF_NPY_PREAMBLE, &bytes) != FF_OK || bytes > size)
        return;
    if (ff_npy_parse_header(data, bytes, &h) != FF_OK)
        return;
    /* A header that is accepted comes back from its written form, but for the order of the axes. */
    struct ff_strbuf b = {0};
    struct ff_npy_header again;
    ff_npy_format_header(&h.array, &b);
    FF_ASSERT(ff_npy_parse_header(b.s, b.len, &again) == FF_OK);
    FF_ASSERT(again.data_bytes == h.data_bytes && again.array.dtype == h.array.dtype);
    ff_strbuf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_archive(data, size);
    try_header(data, size);
    return 0;
}
