/* SPDX-License-Identifier: Apache-2.0
 * wrap: what the backends that stand in front of another one (dump, profile) have in common: memory and copies are
 * passed on, only the table of ops is their own.
 */
#ifndef FF_COMPUTE_WRAP_H
#define FF_COMPUTE_WRAP_H

#include "compute/backend.h"

/* impl is the wrapper's own data, on the heap; its first member is the struct ff_backend *inner. destroy(be) must free
 * impl and be, not inner. */
struct ff_backend *ff_wrap_create(struct ff_backend *inner, const struct ff_ops *ops, void *impl,
                                  void (*destroy)(struct ff_backend *be));
struct ff_backend *ff_wrap_inner(const struct ff_backend *be);

#endif
