/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/op_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "compute/op_fill.h"

struct ff_op_call *ff_op_call_create(const struct ff_op_case *c, uint64_t seed, const struct ff_backend *exact_in)
{
    struct ff_op_call *call = FF_NEW(struct ff_op_call);
    call->what = *c;
    ff_op_case_build(call, seed, exact_in);
    return call;
}

static enum ff_dtype bound_type(const struct ff_op_operand *o, const struct ff_backend *be)
{
    return o->attended ? ff_backend_attended(be) : o->activation ? be->activation : o->stored;
}

ff_status ff_op_call_bind(const struct ff_op_call *host, struct ff_backend *be, struct ff_op_call **ret)
{
    *ret = NULL;
    size_t total = 0, most = 0;
    for (int i = 0; i < host->n_operand; i++) {
        const struct ff_op_operand *o = &host->operand[i];
        total += (o->elements * ff_dtype_size(bound_type(o, be)) + 255) / 256 * 256;
        most = o->elements > most ? o->elements : most;
    }
    void *memory;
    FF_TRY(be->alloc(be, total, &memory));
    struct ff_op_call *call = FF_NEW(struct ff_op_call);
    *call = *host;
    call->backend = be;
    call->memory = memory;
    uint16_t *half = ff_xmalloc_large(most * sizeof *half);
    uintptr_t at = (uintptr_t)memory;
    for (int i = 0; i < host->n_operand; i++) {
        const struct ff_op_operand *o = &host->operand[i];
        enum ff_dtype type = bound_type(o, be);
        struct ff_tensor storage = ff_tensor_make((void *)at, type, FF_SHAPE((int64_t)o->elements));
        const void *from = o->host;
        if (type == FF_BF16 || type == FF_F16) {
            ff_fill_narrow(half, type, o->host, o->elements);
            from = half;
        }
        be->upload(be, &storage, from);
        struct ff_tensor *t = ff_op_call_tensor(call, i);
        t->dtype = type;
        t->data = (void *)(at + o->first * ff_dtype_size(type));
        at += (o->elements * ff_dtype_size(type) + 255) / 256 * 256;
    }
    free(half);
    ff_op_case_make_views(call);
    *ret = call;
    return FF_OK;
}

void ff_op_call_fetch(const struct ff_op_call *bound, struct ff_op_call *host)
{
    struct ff_backend *be = bound->backend;
    be->sync(be);
    for (int i = 0; i < bound->n_operand; i++) {
        const struct ff_op_operand *o = &bound->operand[i];
        if (!o->written)
            continue;
        struct ff_op_operand *to = &host->operand[i];
        FF_ASSERT(to->elements == o->elements);
        const struct ff_tensor *t = ff_op_call_tensor((struct ff_op_call *)bound, i);
        size_t size = ff_dtype_size(t->dtype);
        struct ff_tensor storage = ff_tensor_make((void *)((uintptr_t)t->data - o->first * size), t->dtype,
                                                  FF_SHAPE((int64_t)o->elements));
        if (t->dtype != FF_BF16 && t->dtype != FF_F16) {
            be->download(be, to->host, &storage);
            continue;
        }
        uint16_t *half = ff_xmalloc(o->elements * sizeof *half);
        be->download(be, half, &storage);
        for (size_t k = 0; k < o->elements; k++)
            ((float *)to->host)[k] = t->dtype == FF_F16 ? ff_f16_to_f32(half[k]) : ff_bf16_to_f32(half[k]);
        free(half);
    }
}

void ff_op_call_free(struct ff_op_call *call)
{
    if (!call)
        return;
    if (call->backend)
        call->backend->release(call->backend, call->memory);
    else
        for (int i = 0; i < call->n_operand; i++)
            free(call->operand[i].host);
    free(call);
}

int64_t ff_op_call_damage(const struct ff_op_call *host, int operand_index)
{
    const struct ff_op_operand *o = &host->operand[operand_index];
    const struct ff_tensor *t = ff_op_call_tensor((struct ff_op_call *)host, operand_index);
    unsigned char *inside = ff_xcalloc(o->elements, 1);
    for (int64_t e = 0; e < ff_tensor_count(t); e++) {
        int64_t at = (int64_t)o->first, rest = e;
        for (int d = t->ndim - 1; d >= 0; d--) {
            at += rest % t->shape[d] * t->stride[d];
            rest /= t->shape[d];
        }
        inside[at] = 1;
    }
    int64_t damage = 0;
    for (size_t i = 0; i < o->elements; i++)
        damage += !inside[i] && ((const uint32_t *)o->host)[i] != FF_OP_CALL_UNUSED;
    free(inside);
    return damage;
}

void ff_op_call_run(const struct ff_op_call *bound)
{
    struct ff_backend *be = bound->backend;
    switch (bound->what.op) {
#define X(name)                                       \
    case FF_OP_##name:                                \
        be->ops->name(be, &bound->args.name);         \
        break;
        FF_OPS(X)
#undef X
    case FF_OP_COUNT:
        break;
    }
}

struct ff_cost ff_op_call_cost(const struct ff_op_call *call)
{
    switch (call->what.op) {
#define X(name)           \
    case FF_OP_##name:    \
        return ff_cost_##name(&call->args.name);
        FF_OPS(X)
#undef X
    case FF_OP_COUNT:
        break;
    }
    return (struct ff_cost){0};
}
