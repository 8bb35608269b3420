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
    double host;                 /* bytes per second between a GPU and its host */
    double op;                   /* seconds that an operation takes at least */
    double latency;              /* seconds of one collective */
};

/* Round figures for a device of that name ("cpu", "cuda"): good enough to weigh schedules against each other. */
struct ff_machine_rates ff_estimate_rates(const char *backend, enum ff_precision precision, int threads);

struct ff_estimate {
    double compute, communication;       /* seconds of one pass; none of it hidden */
    double copying;                      /* to the host and back, what is not hidden */
};
struct ff_estimate ff_estimate_pass(const struct ff_plan *plan, const struct ff_machine_rates *rates);
double ff_estimate_seconds(const struct ff_estimate *e);     /* all together */

/* How much longer a pass takes than with all the memory that it wants: what small chunks and the way to the host
 * cost. */
struct ff_plan_loss {
    double seconds, whole;       /* of a pass */
    double lost;                 /* seconds / whole - 1, at least 0 */
};
ff_status ff_estimate_loss(const struct ff_model_config *c, const struct ff_plan *plan, enum ff_precision precision,
                           enum ff_dtype activation, const struct ff_machine_rates *rates,
                           struct ff_plan_loss *ret) FF_MUST_USE;

#endif
