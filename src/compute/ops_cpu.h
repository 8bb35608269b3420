/* SPDX-License-Identifier: Apache-2.0
 * ops_cpu: the cpu backend, and what its ops share.
 *
 * All parallelism is here and nowhere else: ff_cpu_for() hands pieces of work to threads; inside a piece everything,
 * BLAS too, runs on one thread, and scratch comes from that thread's part of the backend's fixed workspace. So an op is
 *     static void piece(void *user, struct ff_scratch *s, int64_t from, int64_t count) { load tile; gemm; store }
 *     void ff_cpu_<op>(be, a) { check shapes; ff_cpu_rows(be, rows, floats_per_row, fixed_floats, piece, &args); }
 * compute/tile.h has the loads, products and stores, compute/vmath.h the vectorised functions. Tensors are float32
 * (int32 where ops.h says so); only copy knows bfloat16.
 */
#ifndef FF_COMPUTE_OPS_CPU_H
#define FF_COMPUTE_OPS_CPU_H

#include "compute/backend.h"
#include "compute/tile.h"
#include "compute/vmath.h"

/* threads 0: all processors this process may run on. */
ff_status ff_cpu_create(enum ff_precision precision, int threads, struct ff_backend **ret) FF_MUST_USE;
void ff_cpu_describe(void (*line)(void *user, const char *text), void *user);

#define X(op) void ff_cpu_##op(struct ff_backend *be, const struct ff_##op##_args *a);
FF_OPS(X)
#undef X

/* --- scratch: the calling thread's part of the workspace, empty again for every piece --- */
enum { FF_CPU_SCRATCH = 4 << 20 };               /* bytes per thread */

struct ff_scratch {
    char *at;
    char *end;
};

/* n floats, 64-byte aligned, contents undefined. Running out is a bug in the op: ends the program. */
float *ff_scratch_floats(struct ff_scratch *s, int64_t n);

/* --- work --- */
typedef void (*ff_cpu_piece)(void *user, struct ff_scratch *s, int64_t from, int64_t count);

int ff_cpu_threads(const struct ff_backend *be);

/* Runs fn on the pieces [from, from + count) of [0, n), count <= step, in parallel, in any order. */
void ff_cpu_for(struct ff_backend *be, int64_t n, int64_t step, ff_cpu_piece fn, void *user);

/* The same for n rows with the step chosen here: at most FF_TILE_ROWS, at most what leaves room for row_floats per row
 * and fixed_floats per piece in the scratch, and small enough that every thread gets work. */
void ff_cpu_rows(struct ff_backend *be, int64_t n, int64_t row_floats, int64_t fixed_floats, ff_cpu_piece fn,
                 void *user);

/* Memory shared by all threads of one op, on top of the per-thread scratch: for reductions over pieces. Valid until the
 * op returns; one call per op; at most FF_CPU_SHARED bytes. */
enum { FF_CPU_SHARED = 4 << 20 };
float *ff_cpu_shared(struct ff_backend *be, int64_t n);

#endif
