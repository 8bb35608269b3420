/* SPDX-License-Identifier: Apache-2.0
 * batch_input: the files that operands of a command line stand for.
 */
#include "app/batch_input.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

struct list {
    char **paths;
    int count, capacity;
};

static void add(struct list *l, char *path)
{
    FF_GROW(l->paths, l->count, l->capacity);
    l->paths[l->count++] = path;
}

static bool is_sequence_file(const char *name)
{
    static const char *const ends[] = {".fasta", ".fa", ".faa", ".fas", ".csv", ".tsv"};
    size_t len = strlen(name);
    if (len > 3 && strcmp(name + len - 3, ".gz") == 0)
        len -= 3;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (name[0] != '.' && len > n && memcmp(name + len - n, ends[i], n) == 0)
            return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ff_status add_folder(struct list *l, const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return ff_fail_errno(FF_EIO, "%s cannot be read", dir);
    int first = l->count;
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL)
        if (is_sequence_file(entry->d_name))
            add(l, ff_path_join(dir, entry->d_name));
    closedir(d);
    if (l->count == first)
        return ff_fail(FF_EMISSING, "%s holds no sequence file; expected names that end in .fasta, .fa, .faa, .fas, "
                       ".csv or .tsv", dir);
    qsort(l->paths + first, (size_t)(l->count - first), sizeof *l->paths, by_name);
    return FF_OK;
}

ff_status ff_batch_input_files(int n, char *const *operands, int *ret_n, char ***ret)
{
    struct list l = {0};
    ff_status st = FF_OK;
    for (int i = 0; i < n && st == FF_OK; i++) {
        if (ff_file_is_dir(operands[i]))
            st = add_folder(&l, operands[i]);
        else
            add(&l, ff_xstrdup(operands[i]));
    }
    for (int i = 0; i < l.count && st != FF_OK; i++)
        free(l.paths[i]);
    if (st != FF_OK) {
        free(l.paths);
        l = (struct list){0};
    }
    *ret_n = l.count;
    *ret = l.paths;
    return st;
}
