/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=echo: from ring to ring, through no descriptor and no buffer.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>

#include "service/connection.h"

/* What one turn moves at most, so that many channels share the process fairly. */
#define TURN_BYTES (1u << 20)

/* Moves some bytes. Returns how many, 0 at the end, or what the channel said. */
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

static void echo_later(struct connection *connection)
{
    static const struct timeval at_once = {0};

    event_add(connection->state, &at_once);
}

/* The end, or a peer that left without taking its bytes back: there is nothing more to do. */
static void echo_end(struct connection *connection, int rc)
{
    if (rc == -EPROTO) {
        endpoint_fail_corrupt(connection->endpoint);
        return;
    }
    endpoint_set_finished(connection->endpoint);
    endpoint_set_drained(connection->endpoint);
}

static void echo_stir(struct connection *connection)
{
    struct channel *channel = connection_channel(connection);
    size_t moved = 0;
    ssize_t rc = -EAGAIN;

    while (channel && moved < TURN_BYTES && (rc = echo_once(channel)) > 0)
        moved += (size_t)rc;
    if (rc > 0)
        echo_later(connection);
    else if (rc != -EAGAIN)
        echo_end(connection, (int)rc);
}

static void echo_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    echo_stir(arg);
}

static int echo_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    connection->state = evtimer_new(connection->base, echo_again, connection);
    if (connection->state)
        return 0;
    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    return -ENOMEM;
}

static void echo_unplug(struct connection *connection)
{
    event_free(connection->state);
}

/*
 * What an earlier process wrote back and did not come to consume: with an echo, both indices go the
 * same way.
 */
static void echo_mend(struct channel *channel)
{
    uint32_t more = channel_write_index(channel) - channel_read_index(channel);

    if (more == 0 || more > channel_read_size(channel) ||
        channel_readable(channel, more) < (int)more)
        return;
    channel_consume(channel, more);
    channel_record(channel);
}

static void echo_start(struct connection *connection)
{
    if (endpoint_resumed(connection->endpoint))
        echo_mend(connection_channel(connection));
    echo_later(connection);
}

static void echo_open(struct connection *connection)
{
    endpoint_set_ready(connection->endpoint);
}

static void echo_close(struct connection *connection)
{
    event_del(connection->state);
}

const struct connection_kind connection_echo = {
    .name = "echo",
    .plug = echo_plug,
    .unplug = echo_unplug,
    .open = echo_open,
    .start = echo_start,
    .stir = echo_stir,
    .close = echo_close,
};
