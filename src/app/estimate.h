/* SPDX-License-Identifier: Apache-2.0
 * estimate: seconds of a prediction from its plan: the work of every stage by what the device reaches, and what the
 * ranks send each other by the bandwidth between them.
 */
#ifndef FF_APP_ESTIMATE_H
#define FF_APP_ESTIMATE_H

#include "compute/backend.h"
#include "model/model.h"

struct ff_machine_rates {
    double flops;                /* per second, in the run's precision */
    double bytes;                /* of memory, per second */
    double link;                 /* bytes per second that a rank can send to others */
    double op;                   /* seconds that an operation takes at least */
    double latency;              /* seconds of one collective */
};

/* Round figures for a device of that name ("cpu", "cuda"): good enough to weigh schedules against each other. */
struct ff_machine_rates ff_estimate_rates(const char *backend, enum ff_precision precision, int threads);

struct ff_estimate {
    double compute, communication;       /* seconds of one pass; none of it hidden */
};
struct ff_estimate ff_estimate_pass(const struct ff_plan *plan, const struct ff_machine_rates *rates);

#endif
