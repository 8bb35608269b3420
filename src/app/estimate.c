/* SPDX-License-Identifier: Apache-2.0
 * estimate: see estimate.h.
 */
#include "app/estimate.h"

#include <string.h>

struct ff_machine_rates ff_estimate_rates(const char *backend, enum ff_precision precision, int threads)
{
    /* A data-centre GPU at the share of its peak that the network's operations reach, copy engines over NVLink; a
     * processor core, ranks that copy through shared memory. */
    if (strcmp(backend, "cuda") == 0)
        return (struct ff_machine_rates){.flops = precision == FF_PRECISION_BF16 ? 300e12 : 60e12, .bytes = 2e12,
                                         .link = 380e9, .host = 50e9, .op = 10e-6,
                                         .latency = 15e-6};
    return (struct ff_machine_rates){.flops = 20e9 * threads, .bytes = 5e9 * threads, .link = 2e9, .host = 5e9,
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
    e.copying = plan->copied_bytes_per_pass / 2 / rates->host; /* one of the two ways is beside computation */
    return e;
}

double ff_estimate_seconds(const struct ff_estimate *e)
{
    return e->compute + e->communication + e->copying;
}

ff_status ff_estimate_loss(const struct ff_model_config *c, const struct ff_plan *plan, enum ff_precision precision,
                           enum ff_dtype activation, const struct ff_machine_rates *rates, struct ff_plan_loss *ret)
{
    struct ff_plan whole;
    const struct ff_plan_memory all = {.budget = SIZE_MAX};
    FF_TRY(ff_model_plan(c, &plan->shape, precision, activation, &all, &whole));
    struct ff_estimate is = ff_estimate_pass(plan, rates), best = ff_estimate_pass(&whole, rates);
    *ret = (struct ff_plan_loss){.seconds = ff_estimate_seconds(&is), .whole = ff_estimate_seconds(&best)};
    ret->lost = ret->seconds > ret->whole ? ret->seconds / ret->whole - 1 : 0;
    return FF_OK;
}
