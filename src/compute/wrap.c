/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/wrap.h"

#include "base/alloc.h"

struct ff_backend *ff_wrap_inner(const struct ff_backend *be)
{
    return *(struct ff_backend *const *)be->impl;
}

static ff_status wrap_alloc(struct ff_backend *be, size_t bytes, void **ret)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->alloc(inner, bytes, ret);
}

static void wrap_release(struct ff_backend *be, void *p)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->release(inner, p);
}

static size_t wrap_free_memory(struct ff_backend *be)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->free_memory(inner);
}

static size_t wrap_used_memory(struct ff_backend *be)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->used_memory(inner);
}

static void wrap_upload(struct ff_backend *be, const struct ff_tensor *dst, const void *src)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->upload(inner, dst, src);
}

static void wrap_upload_rows(struct ff_backend *be, const struct ff_tensor *dst, const void *src, size_t pitch)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->upload_rows(inner, dst, src, pitch);
}

static void wrap_download(struct ff_backend *be, void *dst, const struct ff_tensor *src)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->download(inner, dst, src);
}

static void wrap_sync(struct ff_backend *be)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->sync(inner);
}

static ff_status wrap_alloc_host(struct ff_backend *be, size_t bytes, void **ret)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->alloc_host(inner, bytes, ret);
}

static void wrap_release_host(struct ff_backend *be, void *p)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->release_host(inner, p);
}

static void wrap_store(struct ff_backend *be, void *host, size_t pitch, const struct ff_tensor *src)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->store(inner, host, pitch, src);
}

static void wrap_fetch(struct ff_backend *be, const struct ff_tensor *dst, const void *host, size_t pitch)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->fetch(inner, dst, host, pitch);
}

static void wrap_settle(struct ff_backend *be)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->settle(inner);
}

static void wrap_measure(struct ff_backend *be, const struct ff_cost *of, struct ff_rates *ret)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->measure(inner, of, ret);
}

static void *wrap_mark(struct ff_backend *be)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->mark(inner);
}

static double wrap_between(struct ff_backend *be, void *from, void *to)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    return inner->between(inner, from, to);
}

static void wrap_unmark(struct ff_backend *be, void *moment)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    inner->unmark(inner, moment);
}

static void wrap_stage(struct ff_backend *be, const char *name, int block, int n_block)
{
    struct ff_backend *inner = ff_wrap_inner(be);
    if (inner->stage != NULL)
        inner->stage(inner, name, block, n_block);
}

struct ff_backend *ff_wrap_create(struct ff_backend *inner, const struct ff_ops *ops, void *impl,
                                  void (*destroy)(struct ff_backend *be))
{
    struct ff_backend *be = FF_NEW(struct ff_backend);
    *be = *inner;
    be->ops = ops;
    be->impl = impl;
    be->alloc = wrap_alloc;
    be->release = wrap_release;
    be->free_memory = wrap_free_memory;
    be->used_memory = inner->used_memory != NULL ? wrap_used_memory : NULL;
    be->upload = wrap_upload;
    be->upload_rows = wrap_upload_rows;
    be->download = wrap_download;
    be->sync = wrap_sync;
    be->alloc_host = wrap_alloc_host;
    be->release_host = wrap_release_host;
    be->store = wrap_store;
    be->fetch = wrap_fetch;
    be->settle = wrap_settle;
    be->measure = wrap_measure;
    if (inner->mark != NULL) {
        be->mark = wrap_mark;
        be->between = wrap_between;
        be->unmark = wrap_unmark;
    }
    be->stage = wrap_stage;
    be->destroy = destroy;
    return be;
}
