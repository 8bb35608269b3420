/* SPDX-License-Identifier: Apache-2.0
 * blas: the CBLAS library that is linked: its threads, and its kernels for this processor.
 *
 * OpenBLAS chooses its kernels when it is loaded, by a list of processors. One that is newer than the library is not in
 * it and gets those of twenty years ago, which take seven times as long.
 */
#ifndef FF_COMPUTE_BLAS_H
#define FF_COMPUTE_BLAS_H

#include "compute/tile.h"

/* Has OpenBLAS take the kernels for what this processor can do, where it took older ones and OPENBLAS_CORETYPE is not
 * set. The first call does it, before threads are started. */
void ff_blas_start(void);

/* What OPENBLAS_CORETYPE should be for a processor that has `isa`, where the library took the kernels for `core`; NULL
 * where it took the right ones. */
const char *ff_blas_better_core(const char *core, enum ff_isa isa, bool amd);

/* BLAS runs on the calling thread where the callers are threads already. */
void ff_blas_set_threads(int n);

/* One line for people, for the caller to free. */
char *ff_blas_describe(void);

#endif
