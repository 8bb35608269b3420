/* SPDX-License-Identifier: Apache-2.0
 * npz: NumPy's zip of .npy files. Reads stored and deflated members, zip64, npy 1.0 to 3.0, little-endian float32,
 * float16, float64, bfloat16 (as written by JAX: dtype '|V2' or 'bfloat16'), int32, int64, uint8, bool, C and Fortran
 * order; every CRC is checked. Writes stored members (zip64 when needed), aligned to 64 bytes.
 */
#ifndef FF_FORMAT_NPZ_H
#define FF_FORMAT_NPZ_H

#include "format/array.h"

/* --- reading --- */
struct ff_npz;
/* Reads the directory and every npy header, not the data. FF_EMISSING, FF_EINPUT (not a zip, truncated, ...). */
ff_status ff_npz_open(const char *path, struct ff_npz **ret) FF_MUST_USE;
void ff_npz_close(struct ff_npz *z);
int ff_npz_count(const struct ff_npz *z);
/* Header of member i: name (without .npy), dtype, shape; data is NULL. */
const struct ff_array *ff_npz_header(const struct ff_npz *z, int i);
int ff_npz_find(const struct ff_npz *z, const char *name);      /* index or -1 */
/* Reads member i. The result is the caller's (ff_array_free). Checks size and CRC: FF_EINPUT with path and name. */
ff_status ff_npz_read(struct ff_npz *z, int i, struct ff_array *ret) FF_MUST_USE;
/* The raw data of member i into memory of the caller (bytes must equal the header's size); thread safe. */
ff_status ff_npz_read_into(struct ff_npz *z, int i, void *dst, size_t bytes) FF_MUST_USE;
/* All members. */
ff_status ff_npz_load(const char *path, struct ff_arrays *ret) FF_MUST_USE;

/* --- writing --- (atomic: nothing is at path before ff_npz_writer_commit) */
struct ff_npz_writer;
ff_status ff_npz_writer_open(const char *path, struct ff_npz_writer **ret) FF_MUST_USE;
ff_status ff_npz_writer_add(struct ff_npz_writer *w, const struct ff_array *a) FF_MUST_USE;
/* For arrays that do not exist in one piece: begin with the header (data unused), append the bytes in order, or put all
 * of them in any order, each piece once to its place in the data, end. */
ff_status ff_npz_writer_begin(struct ff_npz_writer *w, const struct ff_array *header) FF_MUST_USE;
ff_status ff_npz_writer_put(struct ff_npz_writer *w, uint64_t at, const void *data, size_t bytes) FF_MUST_USE;
ff_status ff_npz_writer_append(struct ff_npz_writer *w, const void *data, size_t bytes) FF_MUST_USE;
ff_status ff_npz_writer_end(struct ff_npz_writer *w) FF_MUST_USE;
ff_status ff_npz_writer_commit(struct ff_npz_writer *w) FF_MUST_USE;  /* frees w whatever happens */
void ff_npz_writer_abort(struct ff_npz_writer *w);
ff_status ff_npz_save(const char *path, const struct ff_arrays *s) FF_MUST_USE;

#endif
