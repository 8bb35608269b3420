/* SPDX-License-Identifier: Apache-2.0
 * moment: points in the order of a backend's ops, and the time between them. A GPU notes them as it passes, so that
 * taking one neither waits nor holds it up; elsewhere they are readings of the host's clock.
 */
#ifndef FF_COMPUTE_MOMENT_H
#define FF_COMPUTE_MOMENT_H

#include "compute/backend.h"

struct ff_moment {
    void *mark;                  /* the backend's */
    double host;                 /* ff_clock_now(), without one */
};

struct ff_moment ff_moment_take(struct ff_backend *be);
/* Seconds from one to the other; waits until both have passed, and gives them back. */
double ff_moment_finish(struct ff_backend *be, struct ff_moment from, struct ff_moment to);

#endif
