/* SPDX-License-Identifier: Apache-2.0
 * The plan backend: every op adds its cost to a table and touches no memory. Tensors under it are imaginary.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "compute/arena.h"
#include "compute/cost.h"

struct plan {
    struct ff_cost cost[FF_OP_COUNT];
    double stored, fetched;
};

static void add_cost(struct ff_backend *be, enum ff_op op, struct ff_cost c)
{
    ff_cost_add(&((struct plan *)be->impl)->cost[op], &c);
}

#define X(op)                                                                     \
    static void plan_##op(struct ff_backend *be, const struct ff_##op##_args *a)  \
    {                                                                             \
        add_cost(be, FF_OP_##op, ff_cost_##op(a));                                \
    }
FF_OPS(X)
#undef X

static const struct ff_ops plan_ops = {
#define X(op) .op = plan_##op,
    FF_OPS(X)
#undef X
};

static ff_status plan_alloc(struct ff_backend *be, size_t bytes, void **ret)
{
    (void)be;
    (void)bytes;
    *ret = (void *)(uintptr_t)FF_ARENA_ALIGN;
    return FF_OK;
}

static void plan_release(struct ff_backend *be, void *p)
{
    (void)be;
    (void)p;
}

static size_t plan_free_memory(struct ff_backend *be)
{
    (void)be;
    return SIZE_MAX;
}

static void plan_upload(struct ff_backend *be, const struct ff_tensor *dst, const void *src)
{
    (void)be;
    (void)dst;
    (void)src;
}

static void plan_upload_rows(struct ff_backend *be, const struct ff_tensor *dst, const void *src, size_t pitch)
{
    (void)pitch;
    plan_upload(be, dst, src);
}

static void plan_download(struct ff_backend *be, void *dst, const struct ff_tensor *src)
{
    (void)be;
    (void)dst;
    (void)src;
}

static void plan_sync(struct ff_backend *be)
{
    (void)be;
}

static ff_status plan_alloc_host(struct ff_backend *be, size_t bytes, void **ret)
{
    return plan_alloc(be, bytes, ret);
}

static void plan_store(struct ff_backend *be, void *host, size_t pitch, const struct ff_tensor *src)
{
    (void)host;
    (void)pitch;
    ((struct plan *)be->impl)->stored += (double)ff_tensor_bytes(src);
}

static void plan_fetch(struct ff_backend *be, const struct ff_tensor *dst, const void *host, size_t pitch)
{
    (void)host;
    (void)pitch;
    ((struct plan *)be->impl)->fetched += (double)ff_tensor_bytes(dst);
}

static void plan_destroy(struct ff_backend *be)
{
    free(be->impl);
    free(be);
}

struct ff_backend *ff_backend_plan_create(enum ff_precision precision, enum ff_dtype activation, size_t workspace)
{
    struct ff_backend *be = FF_NEW(struct ff_backend);
    *be = (struct ff_backend){
        .ops = &plan_ops,
        .name = "plan",
        .precision = precision,
        .activation = activation,
        .workspace = workspace,
        .impl = FF_NEW(struct plan),
        .alloc = plan_alloc,
        .release = plan_release,
        .free_memory = plan_free_memory,
        .upload = plan_upload,
        .upload_rows = plan_upload_rows,
        .download = plan_download,
        .sync = plan_sync,
        .alloc_host = plan_alloc_host,
        .release_host = plan_release,
        .store = plan_store,
        .fetch = plan_fetch,
        .settle = plan_sync,
        .destroy = plan_destroy,
    };
    return be;
}

const struct ff_cost *ff_backend_plan_costs(const struct ff_backend *be)
{
    return ((const struct plan *)be->impl)->cost;
}

double ff_backend_plan_copied(const struct ff_backend *be)
{
    const struct plan *p = be->impl;
    return p->stored + p->fetched;
}

void ff_backend_plan_reset(struct ff_backend *be)
{
    memset(be->impl, 0, sizeof(struct plan));
}
