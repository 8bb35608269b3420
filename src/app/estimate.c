/* SPDX-License-Identifier: Apache-2.0
 * estimate: see estimate.h.
 */
#include "app/estimate.h"

#include <string.h>

struct ff_machine_rates ff_estimate_rates(const char *backend, enum ff_precision precision, int threads)
{
    /* A data-centre GPU at the share of its peak that the network's operations reach, NVLink; a processor core, ranks
     * that copy through shared memory. */
    if (strcmp(backend, "cuda") == 0)
        return (struct ff_machine_rates){.flops = precision == FF_PRECISION_BF16 ? 300e12 : 60e12, .bytes = 2e12,
                                         .link = 150e9, .op = 10e-6, .latency = 30e-6};
    return (struct ff_machine_rates){.flops = 20e9 * threads, .bytes = 5e9 * threads, .link = 2e9,
                                     .op = 10e-6, .latency = 20e-6};
}

struct ff_estimate ff_estimate_pass(const struct ff_plan *plan, const struct ff_machine_rates *rates)
{
    struct ff_estimate e = {0};
    for (int i = 0; i < plan->n_stage; i++) {
        double flops = plan->stages[i].flops / rates->flops, bytes = plan->stages[i].bytes / rates->bytes;
        e.compute += (flops > bytes ? flops : bytes) + (double)plan->stages[i].n_op * rates->op;
    }
    e.communication = plan->sent_bytes_per_pass / rates->link + (double)plan->collectives_per_pass * rates->latency;
    return e;
}
