/* SPDX-License-Identifier: Apache-2.0
 * fuzz: what is around a fuzz target.
 *
 * A target is one file with LLVMFuzzerTestOneInput(data, size); it includes this header after FF_FUZZ_SEEDS has named
 * its folder of seeds. It has no result: it must not crash, trip a sanitizer, or break one of its own assertions.
 *   clang -fsanitize=fuzzer,address,undefined    libFuzzer brings the main function
 *   any compiler, -DFF_FUZZ_REPLAY               main below: fuzz_x [-m N] [FILE or FOLDER ...]
 * The replay runs files, by default the seeds, and with -m each of them N times more with random changes, the same in
 * every run. It prints TAP, one line per file.
 */
#ifndef FF_TEST_FUZZ_FUZZ_H
#define FF_TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FF_FUZZ_REPLAY

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"

static int fuzz_count;
static long fuzz_n_change;

/* Changes, doubles, removes or cuts off some bytes. data has room for size + 64 bytes. */
static size_t fuzz_change(struct ff_rng *rng, uint8_t *data, size_t size)
{
    static const char telling[] = "\n\r\t >#=/:;*-._~'\"AZaz09+e\0\xEF\xFF";
    for (int64_t n = 1 + ff_rng_below(rng, 8); n > 0; n--) {
        size_t at = (size_t)ff_rng_below(rng, (int64_t)size + 1);
        size_t len = (size_t)ff_rng_below(rng, 8);
        len = len < size - at ? len : size - at;
        switch (ff_rng_below(rng, 5)) {
        case 0:
            if (at < size)
                data[at] = (uint8_t)ff_rng_below(rng, 256);
            break;
        case 1:
            if (at < size)
                data[at] = (uint8_t)telling[ff_rng_below(rng, sizeof telling - 1)];
            break;
        case 2:
            memmove(data + at, data + at + len, size - at - len);
            size -= len;
            break;
        case 3:
            memmove(data + at + len, data + at, size - at);
            size += len;
            break;
        default:
            if (ff_rng_below(rng, 16) == 0)
                size = at;
        }
    }
    return size;
}

static void fuzz_run(const uint8_t *data, size_t size)
{
    uint8_t *exact = ff_xmalloc(size); /* no byte behind it, so that reading past the end is seen */
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int fuzz_replay_file(const char *path)
{
    char *text;
    size_t size;
    if (ff_file_read(path, &text, &size) != FF_OK) {
        printf("not ok %d - %s\n", ++fuzz_count, ff_status_message());
        return 1;
    }
    fuzz_run((const uint8_t *)text, size);
    uint8_t *data = ff_xmalloc(size + 64);
    for (long k = 0; k < fuzz_n_change; k++) {
        struct ff_rng rng;
        ff_rng_init(&rng, (uint64_t)k, "fuzz", size);
        memcpy(data, text, size);
        fuzz_run(data, fuzz_change(&rng, data, size));
    }
    free(data);
    free(text);
    printf("ok %d - %s\n", ++fuzz_count, path);
    return 0;
}

static int fuzz_replay(const char *path)
{
    if (!ff_file_is_dir(path))
        return fuzz_replay_file(path);
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), failed = 0;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            char *file = ff_path_join(path, names[i]->d_name);
            failed |= fuzz_replay(file);
            free(file);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0, first = 1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* the last line before a crash names the file before the guilty one */
    if (argc > 2 && strcmp(argv[1], "-m") == 0) {
        fuzz_n_change = strtol(argv[2], NULL, 10);
        first = 3;
    }
    if (first >= argc)
        failed = fuzz_replay(FF_FUZZ_SEEDS);
    for (int i = first; i < argc; i++)
        failed |= fuzz_replay(argv[i]);
    printf("1..%d\n", fuzz_count);
    return failed || fuzz_count == 0;
}

#endif
#endif
