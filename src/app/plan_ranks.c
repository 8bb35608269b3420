/* SPDX-License-Identifier: Apache-2.0
 * plan_ranks: see plan_ranks.h.
 */
#include "app/plan_ranks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static ff_status plan_on(const struct ff_plan_ranks_options *o, int n_rank, size_t budget, struct ff_plan *ret)
{
    struct ff_input_shape shape = o->shape;
    struct ff_plan_memory memory = o->memory;
    shape.n_rank = n_rank;
    memory.budget = budget;
    return ff_model_plan(o->config, &shape, o->precision, o->activation, &memory, ret);
}

ff_status ff_plan_ranks_make(const struct ff_plan_ranks_options *o, int n_rank, struct ff_plan_ranks *ret)
{
    int sizes[FF_SCHEDULE_SIZES], phase, n_size = ff_schedule_sizes(n_rank, sizes);
    double seconds[FF_SCHEDULE_SIZES];
    struct ff_plan alone;
    ff_status st = FF_EMEMORY;
    *ret = (struct ff_plan_ranks){.n_row = n_size, .chosen = -1};
    FF_TRY(plan_on(o, 1, SIZE_MAX, &alone));
    struct ff_estimate one = ff_estimate_pass(&alone, &o->rates);
    bool any = false;
    for (int k = 0; k < n_size; k++) {
        struct ff_plan_rank_row *row = &ret->rows[k];
        row->n_rank = sizes[k];
        size_t budget = o->memory.budget;
        st = plan_on(o, sizes[k], o->shared && budget != SIZE_MAX ? budget / (size_t)sizes[k] : budget, &row->plan);
        if (st != FF_OK && st != FF_EMEMORY && !any)
            return st;
        row->fits = st == FF_OK;
        any = any || row->fits;
        row->pass = row->fits ? ff_estimate_pass(&row->plan, &o->rates) : (struct ff_estimate){0};
        seconds[k] = row->fits ? ff_estimate_seconds(&row->pass) : (double)INFINITY;
        row->efficiency = row->fits ? ff_estimate_seconds(&one) / (sizes[k] * seconds[k]) : 0;
    }
    if (!any)
        return st;
    ff_status_clear();
    struct ff_schedule schedule;
    ff_schedule_make(n_rank, n_size, sizes, 1, seconds, &schedule, &phase);
    for (int k = 0; k < n_size; k++)
        if (sizes[k] == schedule.size[phase])
            ret->chosen = k;
    return FF_OK;
}

/* Of one block of the Evoformer. */
static double block_bytes(const struct ff_plan *p)
{
    for (int i = 0; i < p->n_stage; i++)
        if (strcmp(p->stages[i].name, "Evoformer") == 0 && p->stages[i].n_block > 0)
            return p->stages[i].sent_bytes / p->stages[i].n_block;
    return 0;
}

void ff_plan_ranks_print(const struct ff_plan_ranks *r, const struct ff_machine_rates *rates)
{
    printf("  on ranks, predicted with %.0f GB/s between them, none of it hidden (computation %.0f GFLOP/s, memory "
           "%.0f GB/s):\n", rates->link * 1e-9, rates->flops * 1e-9, rates->bytes * 1e-9);
    printf("  %5s %12s %14s %14s %10s %10s %11s\n", "ranks", "MiB a rank", "MB sent, block",
           "GB sent, pass", "s a pass", "s sending", "efficiency");
    for (int k = 0; k < r->n_row; k++) {
        const struct ff_plan_rank_row *row = &r->rows[k];
        if (row->fits)
            printf("  %5d %12.1f %14.3f %14.3f %10.3f %10.3f %10.0f%%%s\n", row->n_rank,
                   (double)row->plan.total_bytes / (1 << 20), block_bytes(&row->plan) * 1e-6,
                   row->plan.sent_bytes_per_pass * 1e-9, ff_estimate_seconds(&row->pass), row->pass.communication,
                   100 * row->efficiency, k == r->chosen ? "  auto" : "");
        else
            printf("  %5d does not fit\n", row->n_rank);
    }
}

void ff_plan_ranks_json(const struct ff_plan_ranks *r, const struct ff_machine_rates *rates, struct ff_json *j)
{
    ff_json_put_double(j, "link_bytes_per_second", rates->link);
    ff_json_key(j, "ranks_of_auto");
    ff_json_int(j, r->rows[r->chosen].n_rank);
    ff_json_key(j, "ranks");
    ff_json_begin_array(j);
    for (int k = 0; k < r->n_row; k++) {
        const struct ff_plan_rank_row *row = &r->rows[k];
        ff_json_begin_object(j);
        ff_json_key(j, "n_rank");
        ff_json_int(j, row->n_rank);
        ff_json_key(j, "fits");
        ff_json_bool(j, row->fits);
        if (row->fits) {
            ff_json_key(j, "rank_bytes");
            ff_json_int(j, (int64_t)row->plan.total_bytes);
            ff_json_put_double(j, "sent_bytes_per_block", block_bytes(&row->plan));
            ff_json_put_double(j, "sent_bytes_per_pass", row->plan.sent_bytes_per_pass);
            ff_json_put_double(j, "compute_seconds", row->pass.compute);
            ff_json_put_double(j, "communication_seconds", row->pass.communication);
            ff_json_put_double(j, "efficiency", row->efficiency);
        }
        ff_json_end_object(j);
    }
    ff_json_end_array(j);
}
