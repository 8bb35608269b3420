/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/moment.h"

#include "base/clock.h"

struct ff_moment ff_moment_take(struct ff_backend *be)
{
    if (be->mark != NULL)
        return (struct ff_moment){.mark = be->mark(be)};
    be->sync(be);
    return (struct ff_moment){.host = ff_clock_now()};
}

double ff_moment_finish(struct ff_backend *be, struct ff_moment from, struct ff_moment to)
{
    if (be->mark == NULL)
        return to.host - from.host;
    double seconds = be->between(be, from.mark, to.mark);
    be->unmark(be, from.mark);
    be->unmark(be, to.mark);
    return seconds;
}
