/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/echo.h"

#include <errno.h>

/* Moves some bytes. Returns how many, 0 at the end, or the channel's negative errno. */
static ssize_t echo_once(struct channel *channel)
{
    struct ring_span spans[2];
    int bytes = channel_readable(channel, 1);
    ssize_t written;

    if (bytes <= 0)
        return bytes;
    channel_peek(channel, (uint32_t)bytes, spans);
    written = channel_write(channel, spans[0].base, spans[0].length, 1);
    if (written > 0) {
        channel_consume(channel, (uint32_t)written);
        channel_record(channel);
    }
    return written;
}

int echo_step(struct channel *channel)
{
    size_t moved = 0;
    ssize_t rc = -EAGAIN;

    while (moved < ECHO_TURN_BYTES && (rc = echo_once(channel)) > 0)
        moved += (size_t)rc;
    return rc > 0 ? 1 : (int)rc;
}

void echo_recover(struct channel *channel)
{
    uint32_t more = channel_write_index(channel) - channel_read_index(channel);

    if (more == 0 || more > channel_read_size(channel) ||
        channel_readable(channel, more) < (int)more)
        return;
    channel_consume(channel, more);
    channel_record(channel);
}
