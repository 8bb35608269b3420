/* SPDX-License-Identifier: Apache-2.0
 * The dump backend: forwards every op to another backend and writes what the op wrote into an npz, in the order of the
 * calls. For looking for the first op that differs from a reference; it waits after every op and needs extra memory of
 * the inner backend while it writes.
 *
 * Ops return nothing, so a failure to write is kept and told by ff_backend_dump_finish().
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "compute/wrap.h"
#include "format/npz.h"

struct dump {
    struct ff_backend *inner;        /* first: see wrap.h */
    struct ff_npz_writer *writer;
    int64_t calls;
    ff_status status;                /* the first failure, and its message */
    char *message;
};

static struct dump *dump_of(const struct ff_backend *be)
{
    return be->impl;
}

/* --- writing one tensor --- */

static ff_status write_array(struct dump *d, const char *op, const char *label, const struct ff_tensor *t,
                             const float *data)
{
    char *name = label ? ff_xasprintf("%05lld_%s_%s", (long long)d->calls, op, label)
                       : ff_xasprintf("%05lld_%s", (long long)d->calls, op);
    struct ff_array a = {.name = name, .dtype = FF_F32, .ndim = t->ndim, .data = (void *)data};
    memcpy(a.shape, t->shape, sizeof(int64_t) * (size_t)t->ndim);
    ff_status st = ff_npz_writer_add(d->writer, &a);
    free(name);
    return st;
}

/* Brings any tensor of the inner backend to the host as contiguous float32. */
static ff_status fetch(struct dump *d, const struct ff_tensor *t, float *host)
{
    struct ff_backend *inner = d->inner;
    if (t->dtype == FF_I32) {
        FF_ASSERT(ff_tensor_contiguous(t));
        inner->download(inner, host, t);
        for (int64_t i = 0; i < ff_tensor_count(t); i++) {
            int32_t v;
            memcpy(&v, host + i, sizeof v);
            host[i] = (float)v;
        }
        return FF_OK;
    }
    if (t->dtype == FF_F32 && ff_tensor_contiguous(t)) {
        inner->download(inner, host, t);
        return FF_OK;
    }
    void *p;
    FF_TRY(inner->alloc(inner, (size_t)ff_tensor_count(t) * sizeof(float), &p));
    struct ff_tensor flat = ff_tensor_make(p, FF_F32, t->ndim, t->shape);
    FF_OP(inner, copy, .out = flat, .x = *t);
    inner->download(inner, host, &flat);
    inner->release(inner, p);
    return FF_OK;
}

static void dump_tensor(struct dump *d, const char *op, const char *label, const struct ff_tensor *t)
{
    if (d->status != FF_OK || !ff_tensor_present(t))
        return;
    float *host = ff_xmalloc((size_t)ff_tensor_count(t) * sizeof(float));
    ff_status st = fetch(d, t, host);
    if (st == FF_OK)
        st = write_array(d, op, label, t, host);
    free(host);
    if (st != FF_OK) {
        d->status = st;
        d->message = ff_xstrdup(ff_status_message());
    }
}

/* --- outputs besides out --- */

static void dump_more(struct dump *d, enum ff_op op, const void *args)
{
    if (op == FF_OP_aligned_error) {
        const struct ff_aligned_error_args *a = args;
        dump_tensor(d, ff_op_name[op], "tm", &a->tm);
        dump_tensor(d, ff_op_name[op], "logits", &a->logits);
    } else if (op == FF_OP_atoms_from_angles) {
        const struct ff_atoms_from_angles_args *a = args;
        dump_tensor(d, ff_op_name[op], "atom14", &a->atom14);
    } else if (op == FF_OP_rigid_update) {
        const struct ff_rigid_update_args *a = args;
        dump_tensor(d, ff_op_name[op], "quat", &a->quat);
    } else if (op == FF_OP_linear) {
        const struct ff_linear_args *a = args;
        dump_tensor(d, ff_op_name[op], "out2", &a->out2);
        for (int i = 0; i < FF_LINEAR_PLACES - 1; i++)
            dump_tensor(d, ff_op_name[op], "more", &a->more[i].out);
    }
}

#define X(op)                                                                     \
    static void dump_##op(struct ff_backend *be, const struct ff_##op##_args *a)  \
    {                                                                             \
        struct dump *d = dump_of(be);                                             \
        d->inner->ops->op(d->inner, a);                                           \
        dump_tensor(d, #op, NULL, &a->out);                                       \
        dump_more(d, FF_OP_##op, a);                                              \
        d->calls++;                                                               \
    }
FF_OPS(X)
#undef X

static const struct ff_ops dump_ops = {
#define X(op) .op = dump_##op,
    FF_OPS(X)
#undef X
};

/* --- the backend --- */

static void dump_destroy(struct ff_backend *be)
{
    struct dump *d = dump_of(be);
    if (d->writer)
        ff_npz_writer_abort(d->writer);
    free(d->message);
    free(d);
    free(be);
}

ff_status ff_backend_dump_create(struct ff_backend *inner, const char *path, struct ff_backend **ret)
{
    *ret = NULL;
    struct ff_npz_writer *writer;
    FF_TRY(ff_npz_writer_open(path, &writer));
    struct dump *d = FF_NEW(struct dump);
    d->inner = inner;
    d->writer = writer;
    *ret = ff_wrap_create(inner, &dump_ops, d, dump_destroy);
    return FF_OK;
}

ff_status ff_backend_dump_finish(struct ff_backend *be)
{
    struct dump *d = dump_of(be);
    struct ff_npz_writer *writer = d->writer;
    d->writer = NULL;
    FF_ASSERT(writer != NULL);
    if (d->status != FF_OK) {
        ff_npz_writer_abort(writer);
        return ff_fail(d->status, "%s", d->message);
    }
    return ff_npz_writer_commit(writer);
}
