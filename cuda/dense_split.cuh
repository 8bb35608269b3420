/* SPDX-License-Identifier: Apache-2.0
 * dense_split: products of float32 matrices that were split into float16 numbers (split.cuh) once, in memory, in the
 * order in which the products of warpgroups want them in shared memory, so that the engine for copies can bring them.
 *
 * An operand x [rows, k] lies as [rows / group][k / 32][part][group, 32]: parts are hi and lo, under tf32 hi alone; 32
 * numbers are a swizzled row of 64 bytes. Rows come in groups of 64 (left operand) or of a tile's columns (weights);
 * those that only fill up the last tile are undefined. k is a multiple of 64.
 */
#ifndef FF_CUDA_DENSE_SPLIT_CUH
#define FF_CUDA_DENSE_SPLIT_CUH

#include "dense_fp32.cuh"
#include "split.cuh"

/* The numbers of a left operand have a scale for every row and 128 of k, weights one for every column. */
constexpr int split_block = 32, split_group = 64, split_chunk = 128;

struct split_operand {
    char *data;
    float *inverse;              /* 1 / scale: [k / 128, rows]; of weights [rows] */
    unsigned rows;               /* with those that fill up */
    unsigned blocks;             /* of 32 k */
};

/* Where the block of 32 k lies that has row `row`. */
template <int PARTS>
__device__ __forceinline__ char *split_place(const split_operand &x, int group, unsigned row, unsigned block)
{
    return x.data + ((int64_t)(row / (unsigned)group) * x.blocks + block) * PARTS * group * (2 * split_block);
}

/* Takes an operand from the workspace; what a row of a left one needs there. */
struct split_operand ff_cuda_split_take(struct ff_backend *be, unsigned rows, unsigned k, bool weights);
size_t ff_cuda_split_row_bytes(struct ff_backend *be, unsigned k);

/* Rows first .. first + rows - 1 of the job's left operand, normed and the like. */
void ff_cuda_split_rows(struct ff_backend *be, const struct split_operand *to, const struct ff_cuda_dense_job *j,
                        unsigned first, unsigned rows);
/* w [k, n] turned, k up to 1024, in groups of so many columns. hidden: k are columns of a product that was split as it
 * was made. */
void ff_cuda_split_weights(struct ff_backend *be, const struct split_operand *to, int group, const float *w, int64_t ld,
                           unsigned k, unsigned n, bool hidden);

/* The same and the product at once, where this is not 0: the columns of a tile, for which w is split. The result goes
 * to memory, in narrow tiles where that is faster, or, if a tile has 128 columns, to an operand if given. */
int ff_cuda_linear_split_columns(struct ff_backend *be, unsigned k, unsigned n, bool narrow);
bool ff_cuda_linear_split_narrow(struct ff_backend *be, const struct ff_cuda_dense_job *j);
/* Where rows may be float16, which are then added, or the result, which then is not. */
bool ff_cuda_linear_split_halves(struct ff_backend *be, const struct ff_cuda_dense_job *j);
void ff_cuda_linear_split(struct ff_backend *be, const struct ff_cuda_dense_job *j, unsigned first, unsigned rows,
                          const struct split_operand *w, const struct split_operand *to);

/* What transition.cu and dense_fp32.cu call; false, having done nothing, where the GPU, sizes or alignment are not its
 * own. */
bool ff_cuda_dense_split(struct ff_backend *be, const struct ff_cuda_dense_job *j);
/* second's left operand is first's result, of which nothing is kept. */
bool ff_cuda_dense_split_two(struct ff_backend *be, const struct ff_cuda_dense_job *first,
                             const struct ff_cuda_dense_job *second);

#endif
