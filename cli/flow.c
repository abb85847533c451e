/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/flow.h"

#include <errno.h>

static bool is_for_later(ssize_t rc)
{
    return rc == -EAGAIN || rc == -EINTR;
}

bool flow_take(struct flow *flow)
{
    ssize_t bytes;

    if (flow->ended || flow->give_error || flow_is_loaded(flow))
        return false;
    bytes = flow->take(flow->arg, flow->data, sizeof(flow->data));
    if (is_for_later(bytes))
        return false;
    flow->start = 0;
    flow->end = bytes > 0 ? (size_t)bytes : 0;
    flow->ended = bytes <= 0;
    flow->take_error = bytes < 0 ? (int)bytes : 0;
    return true;
}

bool flow_give(struct flow *flow)
{
    ssize_t bytes;

    if (flow->give_error || !flow_is_loaded(flow))
        return false;
    bytes = flow->give(flow->arg, flow->data + flow->start, flow->end - flow->start);
    if (is_for_later(bytes))
        return false;
    if (bytes > 0)
        flow->start += (size_t)bytes;
    else
        flow->give_error = (int)bytes;
    return true;
}
