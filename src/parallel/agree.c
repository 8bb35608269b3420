/* SPDX-License-Identifier: Apache-2.0
 * agree: see agree.h.
 */
#include "parallel/agree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

static bool alone(const struct ff_comm *c)
{
    return c == NULL || c->size == 1;
}

const char *ff_agree_name(void)
{
    static _Thread_local char name[300];
    char host[256] = "?";
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "rank %d on %s", ff_comm_world_rank(), host);
    return name;
}

/* One value of every rank to all; ret [size]. */
static void gather(struct ff_comm *c, const void *own, size_t size, void *ret)
{
    size_t *bytes = FF_NEW_ARRAY(size_t, (size_t)c->size), *offset = FF_NEW_ARRAY(size_t, (size_t)c->size);
    for (int i = 0; i < c->size; i++) {
        bytes[i] = size;
        offset[i] = (size_t)i * size;
    }
    c->gather_host(c, own, ret, bytes, offset);
    c->broadcast_host(c, ret, (size_t)c->size * size, 0);
    free(bytes);
    free(offset);
}

ff_status ff_agree(struct ff_comm *c, ff_status own)
{
    if (alone(c))
        return own;
    int32_t code = (int32_t)own, *codes = FF_NEW_ARRAY(int32_t, (size_t)c->size);
    gather(c, &code, sizeof code, codes);
    int first = 0;
    while (first < c->size && codes[first] == FF_OK)
        first++;
    code = first < c->size ? codes[first] : FF_OK;
    free(codes);
    if (code == FF_OK)
        return FF_OK;

    char text[2048] = "";
    if (c->rank == first)
        snprintf(text, sizeof text, "%s%s%s", first > 0 ? ff_agree_name() : "", first > 0 ? ": " : "",
                 ff_status_message());
    c->broadcast_host(c, text, sizeof text, first);
    return ff_fail((ff_status)code, "%s", text);
}

size_t ff_agree_least(struct ff_comm *c, size_t own)
{
    if (alone(c))
        return own;
    size_t *all = FF_NEW_ARRAY(size_t, (size_t)c->size), least = own;
    gather(c, &own, sizeof own, all);
    for (int i = 0; i < c->size; i++)
        least = all[i] < least ? all[i] : least;
    free(all);
    return least;
}
