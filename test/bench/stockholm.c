/* SPDX-License-Identifier: Apache-2.0
 * Rate (of processor time) and memory of reading Stockholm files: with few and many insertions, in blocks of 200
 * columns and in one, with and without markup of every row. They are generated, so read from the page cache.
 * usage: build/test/bench/stockholm [rows] [residues]
 *
 * Each file is read by processes of their own; memory is what the largest resident size exceeds that at their start by.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "bio/stockholm.h"

struct kind {
    const char *name;
    double columns;              /* of the alignment for each residue of the query */
    double filled;               /* of the inserted columns of a row */
};

/* Columns of the query are spread evenly over those of the alignment. */
static void make_row(const struct kind *k, int n_column, bool query, struct ff_rng *r, char *ret /* [n_column] */)
{
    for (int i = 0; i < n_column; i++) {
        bool kept = (int)((i + 1) / k->columns) > (int)(i / k->columns);
        bool letter = kept ? query || ff_rng_below(r, 10) > 0 : !query && (int)ff_rng_below(r, 1000) < k->filled * 1000;
        ret[i] = letter ? "ACDEFGHIKLMNPQRSTVWY"[ff_rng_below(r, 20)] : kept ? '-' : '.';
    }
}

static size_t write_file(const char *path, const struct kind *k, int n_row, int n_res, int width, bool markup)
{
    int n_column = (int)(n_res * k->columns);
    struct ff_rng rng;
    ff_rng_init(&rng, 1, k->name, 0);
    char *rows = malloc((size_t)n_row * (size_t)n_column);
    for (int i = 0; i < n_row; i++)
        make_row(k, n_column, i == 0, &rng, rows + (size_t)i * (size_t)n_column);
    FILE *f = fopen(path, "w");
    if (rows == NULL || f == NULL) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
    fprintf(f, "# STOCKHOLM 1.0\n");
    for (int i = 1; markup && i < n_row; i++)
        fprintf(f, "#=GS UniRef90_A0A%07d/12-%d DE [subseq from] Uncharacterized protein\n", i, 11 + n_res);
    for (int from = 0; from < n_column; from += width) {
        int n = n_column - from < width ? n_column - from : width;
        for (int i = 0; i < n_row; i++) {
            const char *row = rows + (size_t)i * (size_t)n_column + from;
            fprintf(f, "UniRef90_A0A%07d/12-%d           %.*s\n", i, 11 + n_res, n, row);
            if (markup && i > 0) {
                fprintf(f, "#=GR UniRef90_A0A%07d/12-%d PP   ", i, 11 + n_res);
                for (int c = 0; c < n; c++)
                    fputc(row[c] == '-' || row[c] == '.' ? '.' : '*', f);
                fputc('\n', f);
            }
        }
        fputc('\n', f);
    }
    fprintf(f, "//\n");
    size_t size = (size_t)ftell(f);
    fclose(f);
    free(rows);
    return size;
}

struct measured {
    double seconds, bytes;
};

static void read_file(const char *path, int n_row, int out)
{
    struct ff_msa msa;
    double before = (double)ff_clock_peak_rss(), start = ff_clock_cpu();
    if (ff_stockholm_load(path, 0, &msa) != FF_OK || msa.n_row != n_row) {
        fprintf(stderr, "%s\n", ff_status_message());
        _exit(1);
    }
    struct measured m = {ff_clock_cpu() - start, (double)ff_clock_peak_rss() - before};
    _exit(write(out, &m, sizeof m) == sizeof m ? 0 : 1);
}

/* The best time and the largest memory of several processes. */
static struct measured measure(const char *path, int n_row)
{
    struct measured best = {1e30, 0};
    for (int run = 0; run < 7; run++) {
        struct measured m;
        int ends[2];
        if (pipe(ends) != 0)
            exit(1);
        pid_t pid = fork();
        if (pid == 0)
            read_file(path, n_row, ends[1]);
        close(ends[1]);
        if (pid < 0 || read(ends[0], &m, sizeof m) != sizeof m)
            exit(1);
        close(ends[0]);
        waitpid(pid, NULL, 0);
        best.seconds = m.seconds < best.seconds ? m.seconds : best.seconds;
        best.bytes = m.bytes > best.bytes ? m.bytes : best.bytes;
    }
    return best;
}

int main(int argc, char **argv)
{
    static const struct kind kinds[] = {
        {"none", 1, 0}, {"half, 1 %", 1.5, 0.01}, {"twice, 10 %", 3, 0.1}, {"as many, 90 %", 2, 0.9}};
    int n_row = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 50000;
    int n_res = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 300;
    if (n_row < 1 || n_res < 1) {
        fprintf(stderr, "usage: stockholm [rows] [residues]\n");
        return 1;
    }
    char path[] = "/tmp/fastfold-stockholm-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        fprintf(stderr, "cannot write in /tmp\n");
        return 1;
    }
    close(fd);
    printf("%-14s %8s %8s %10s %8s %10s\n", "insertions", "blocks", "markup", "file, MB", "MB/s", "mem/file");
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int shape = 0; shape < 4; shape++) {
            bool wrapped = shape % 2 == 0, markup = shape >= 2;
            size_t size = write_file(path, &kinds[k], n_row, n_res, wrapped ? 200 : 1 << 30, markup);
            struct measured m = measure(path, n_row);
            printf("%-14s %8s %8s %10.1f %8.0f %10.2f\n", kinds[k].name, wrapped ? "200" : "one", markup ? "yes" : "no",
                   (double)size / 1e6, (double)size / 1e6 / m.seconds, m.bytes / (double)size);
            fflush(stdout);
        }
    unlink(path);
    return 0;
}
