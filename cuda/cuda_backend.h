/* SPDX-License-Identifier: Apache-2.0
 * cuda_backend: what the rest of the program sees of the CUDA code. C only; included where HAVE_CUDA is defined.
 */
#ifndef FF_CUDA_CUDA_BACKEND_H
#define FF_CUDA_CUDA_BACKEND_H

#ifdef __cplusplus
extern "C" {
#endif

#include "compute/backend.h"

/* Whether there is a GPU to use. FF_EGPU: none, and why; absent: there is no driver or no GPU at all. */
ff_status ff_backend_cuda_look(bool *ret_absent) FF_MUST_USE;

/* A backend on device `index` of those visible, `count` of which this machine's processes share out (one process takes
 * the first that is new enough), that may take memory_limit bytes of it (0: all). FF_EGPU when there is none or it is
 * too old, FF_EUSAGE when there are fewer than count, FF_EMEMORY for its workspace. */
ff_status ff_backend_cuda_create(enum ff_precision precision, int index, int count, size_t memory_limit,
                                 struct ff_backend **ret) FF_MUST_USE;

/* One line per device and per library, for `doctor` and `version`. */
void ff_backend_cuda_describe(void (*line)(void *user, const char *text), void *user);

#ifdef __cplusplus
}
#endif

#endif
