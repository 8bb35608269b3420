/* SPDX-License-Identifier: Apache-2.0
 * file: paths, whole-file reading and atomic writing. Plain bytes only; format/gzip reads compressed files.
 */
#ifndef FF_BASE_FILE_H
#define FF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

bool ff_file_exists(const char *path);
bool ff_file_is_dir(const char *path);
int64_t ff_file_size(const char *path);                           /* -1 when it cannot be had */
char *ff_path_join(const char *dir, const char *name);            /* caller frees; an absolute name stands alone */
const char *ff_path_base(const char *path);                       /* after the last '/' */
char *ff_path_dir(const char *path);                              /* caller frees; "." when there is no '/' */
char *ff_path_stem(const char *path);                        /* base without .gz, then one extension; caller frees */
char *ff_path_exe_dir(void);                                      /* folder of the running program; caller frees */
char *ff_path_which(const char *program);                         /* as execvp would find it, or NULL; caller frees */

ff_status ff_mkdirs(const char *path) FF_MUST_USE;                /* like mkdir -p; FF_EIO */
ff_status ff_remove_tree(const char *path) FF_MUST_USE;           /* like rm -rf; missing is fine */
ff_status ff_make_temp_dir(const char *parent, const char *prefix, char **ret_path) FF_MUST_USE;
/* Removes the temporary files and folders in dir of processes of this machine that were killed. */
void ff_remove_stale(const char *dir);
ff_status ff_check_writable_dir(const char *path) FF_MUST_USE;    /* creates it if needed and probes with a real file */
int64_t ff_free_space(const char *path);                          /* bytes, -1 when unknown */

/* Whole file into memory with a NUL behind it. FF_EMISSING when not there, FF_EIO otherwise. Caller frees *ret. */
ff_status ff_file_read(const char *path, char **ret, size_t *ret_len) FF_MUST_USE;

/* Files appear whole or not at all: written under a temporary name in the same folder, fsynced and renamed by commit.
 * Open temporaries are removed by ff_files_discard_open() (exit and signal path). */
struct ff_outfile;
ff_status ff_outfile_open(const char *path, struct ff_outfile **ret) FF_MUST_USE;
FILE *ff_outfile_stream(struct ff_outfile *o);
ff_status ff_outfile_commit(struct ff_outfile *o) FF_MUST_USE;    /* frees o whatever happens; checks stream errors */
void ff_outfile_abort(struct ff_outfile *o);                      /* frees o; NULL is allowed */
ff_status ff_file_write(const char *path, const void *data, size_t len) FF_MUST_USE; /* open, write, commit */
void ff_files_discard_open(void);                                 /* async-signal-safe */

#endif
