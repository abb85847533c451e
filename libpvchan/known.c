/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a handle, what can be read and written now, and which events follow from that.
 */
#include <errno.h>

#include "libpvchan/handle.h"
#include "state/error.h"
#include "vchan/channel.h"

EXPORT enum pvchan_state pvchan_state(const struct pvchan *handle)
{
    const struct channel *channel = handle_channel(handle);

    if (handle->opened == -EINPROGRESS)
        return PVCHAN_STATE_OPENING;
    if (handle->opened < 0)
        return PVCHAN_STATE_FAILED;
    if (!channel || channel_peer_left(channel) || handle->end == -EPROTO)
        return PVCHAN_STATE_ENDED;
    if (channel_peer_died(channel))
        return PVCHAN_STATE_AWAITED;
    return channel_peer_here(channel) ? PVCHAN_STATE_CONNECTED : PVCHAN_STATE_LISTENING;
}

EXPORT int pvchan_error(const struct pvchan *handle)
{
    if (handle->opened < 0)
        return handle->opened == -EINPROGRESS ? 0 : handle->opened;
    return (int)handle->end;
}

EXPORT const char *pvchan_reason(const struct pvchan *handle)
{
    int error = pvchan_error(handle);

    if (error == 0)
        return "";
    return handle->reason ? handle->reason : error_text(error);
}

EXPORT size_t pvchan_readable_bytes(const struct pvchan *handle)
{
    const struct channel *channel = handle->over ? NULL : handle_channel(handle);

    return channel ? channel_count_readable(channel) : 0;
}

EXPORT size_t pvchan_writable_bytes(const struct pvchan *handle)
{
    const struct channel *channel = handle->shut ? NULL : handle_channel(handle);

    return channel ? channel_count_writable(channel) : 0;
}

EXPORT unsigned int pvchan_peer_domid(const struct pvchan *handle)
{
    return handle->peer;
}

EXPORT size_t pvchan_read_ring_size(const struct pvchan *handle)
{
    return handle->read_size;
}

EXPORT size_t pvchan_write_ring_size(const struct pvchan *handle)
{
    return handle->write_size;
}

EXPORT unsigned int pvchan_flags(const struct pvchan *handle)
{
    return handle->flags;
}

EXPORT void *pvchan_user_data(const struct pvchan *handle)
{
    return handle->data;
}

EXPORT void pvchan_set_user_data(struct pvchan *handle, void *data)
{
    handle->data = data;
}

/* ---- what can be read and written now ---- */

int handle_lacks_channel(const struct pvchan *handle, int end)
{
    if (handle->opened == -EINPROGRESS)
        return -EAGAIN;
    return handle->opened < 0 ? handle->opened : end;
}

/* Reads the reason first: the endpoint may start over and forget it. */
static int end_named(struct pvchan *handle, struct endpoint *endpoint)
{
    bool well;

    endpoint_look(endpoint);
    well = endpoint_ended_well(endpoint);
    if (!well && endpoint_reason(endpoint)[0])
        handle_explain(handle, "%s", endpoint_reason(endpoint));
    endpoint_set_drained(endpoint);
    return well ? 0 : -ECONNRESET;
}

/* A named handle may now release its rings, too. */
ssize_t handle_reach_end(struct pvchan *handle, ssize_t end)
{
    struct endpoint *endpoint = handle->endpoint;

    handle->over = true;
    handle->end = end;
    if (end == -EPROTO)
        handle_explain(handle, "the peer, domain %u, corrupted the ring", handle->peer);
    if (endpoint && end == -EPROTO)
        endpoint_fail(endpoint, -EPROTO, "the peer corrupted the ring");
    else if (endpoint)
        handle->end = end_named(handle, endpoint);
    return handle->end;
}

ssize_t handle_readable(struct pvchan *handle, size_t enough)
{
    struct channel *channel = handle_channel(handle);
    int bytes;

    if (handle->over)
        return handle->end;
    bytes = channel ? channel_readable(channel, (uint32_t)enough) : handle_lacks_channel(handle, 0);
    return bytes == 0 || bytes == -EPROTO ? handle_reach_end(handle, bytes) : bytes;
}

ssize_t handle_writable(struct pvchan *handle, size_t enough)
{
    struct channel *channel = handle_channel(handle);
    ssize_t room;

    if (handle->end == -EPROTO)
        return -EPROTO;
    if (!channel || handle->shut)
        return handle_lacks_channel(handle, -EPIPE);
    room = channel_writable(channel, (uint32_t)enough);
    return room == -EPROTO ? handle_reach_end(handle, room) : room;
}

void handle_spin(struct pvchan *handle, enum channel_wait wait, size_t enough)
{
    struct channel *channel = handle_channel(handle);

    if (!(handle->flags & PVCHAN_NOSPIN) && channel)
        channel_spin(channel, wait, (uint32_t)enough);
}

/* ---- events ---- */

static unsigned int events_to_read(struct pvchan *handle)
{
    ssize_t rc = handle_readable(handle, 1);

    if (rc == -EAGAIN)
        return 0;
    return rc > 0 ? PVCHAN_READABLE : PVCHAN_READABLE | PVCHAN_ENDED;
}

static unsigned int events_to_write(struct pvchan *handle)
{
    return handle_writable(handle, 1) == -EAGAIN ? 0 : PVCHAN_WRITABLE;
}

/* In this order: reading may reach the end, which changes the state. */
unsigned int handle_events(struct pvchan *handle)
{
    unsigned int events = 0;

    if (handle->opened == -EINPROGRESS)
        return 0;
    events |= events_to_read(handle);
    events |= events_to_write(handle);
    if (handle->opened == 0 && !handle->reported_open)
        events |= PVCHAN_OPENED;
    if (pvchan_state(handle) != handle->reported_state)
        events |= PVCHAN_STATE_CHANGED;
    return events;
}

void handle_set_reported(struct pvchan *handle, unsigned int events)
{
    if (events & PVCHAN_OPENED)
        handle->reported_open = true;
    if (events & PVCHAN_STATE_CHANGED)
        handle->reported_state = pvchan_state(handle);
    if (events & PVCHAN_WRITABLE)
        handle->lacks_room = false;
}
