/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection=echo: sends back what the guest sends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/carrier.h"
#include "service/connection.h"
#include "service/kinds/streams.h"

static int echo_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct carrier *carrier = calloc(1, sizeof(*carrier));

    if (!carrier) {
        snprintf(why, CONNECTION_WHY_MAX, "out of memory");
        return -ENOMEM;
    }
    carrier_init(carrier, connection);
    connection->state = carrier;
    return 0;
}

static void echo_unplug(struct connection *connection)
{
    free(connection->state);
}

static void echo_open(struct connection *connection)
{
    endpoint_set_ready(connection->endpoint);
}

/* The guest has ended, or left without taking its bytes back: both ends are done. */
static void echo_ends_changed(void *arg)
{
    struct connection *connection = arg;
    const struct carrier *carrier = connection->state;

    if (carrier->ends.ring_error == -EPROTO) {
        endpoint_fail_corrupt(connection->endpoint);
        return;
    }
    endpoint_set_finished(connection->endpoint);
    endpoint_set_drained(connection->endpoint);
}

static void echo_streams_ended(void *arg)
{
    struct connection *connection = arg;
    const struct carrier *carrier = connection->state;

    kind_streams_end(connection, &carrier->ends);
}

static void echo_start(struct connection *connection)
{
    uint32_t streams = endpoint_streams(connection->endpoint);

    if (streams > 0)
        carrier_start_streams(connection->state, streams, CARRIER_ECHOES, echo_streams_ended, NULL,
                              connection);
    else
        carrier_start_echo(connection->state, echo_ends_changed, connection);
}

static void echo_stir(struct connection *connection)
{
    (void)connection;
}

static void echo_close(struct connection *connection)
{
    carrier_stop(connection->state);
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
