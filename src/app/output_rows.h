/* SPDX-License-Identifier: Apache-2.0
 * output_rows: the PAE of a long target on its way from the network into the file of arrays, which is begun before the
 * prediction: each row goes to its place in the file as it comes, and no more than one of them is held here. The other
 * arrays follow when the prediction is finished (app/output).
 */
#ifndef FF_APP_OUTPUT_ROWS_H
#define FF_APP_OUTPUT_ROWS_H

#include "format/npz.h"

/* [n_res, n_res] uint8, in eighths of an angstrom. */
#define FF_OUTPUT_ROWS "predicted_aligned_error/eighths"

struct ff_output_rows;
ff_status ff_output_rows_open(const char *path, int n_res, struct ff_output_rows **ret) FF_MUST_USE;
/* n rows of the network in angstrom, from number `first` on. order[i], always the same, is the network's number of
 * residue i of the file (app/output_order); NULL: they are the same. What fails is told by the end. */
void ff_output_rows_take(struct ff_output_rows *r, const int *order /* [n_res] */, int64_t first, int64_t n,
                         const float *rows /* [n, n_res] */);
/* After all rows: the file, for the other arrays. The caller commits or aborts it. */
ff_status ff_output_rows_end(struct ff_output_rows *r, struct ff_npz_writer **ret) FF_MUST_USE;
/* Nothing is left of a file that did not come to its end. NULL is allowed. */
void ff_output_rows_close(struct ff_output_rows *r);

#endif
