/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=connect: to a Unix socket, each time the guest opens the channel.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/stream.h"
#include "connection/unix.h"

/* A listener with a full queue is tried again, 5 s long: nothing tells when there is room. */
#define RETRY_MS  50
#define RETRY_MAX 100

struct connect {
    struct connection *connection;
    struct event *retry;
    unsigned int retries;
    int fd; /* -1: none */
    struct stream stream;
};

static void connect_stepped(void *arg)
{
    struct connect *connect = arg;

    stream_pass_ends(&connect->stream, connect->connection->endpoint, "the server");
}

static void connect_start(struct connection *connection)
{
    struct connect *connect = connection->state;
    int rc =
        stream_start(&connect->stream, connection->base, endpoint_channel(connection->endpoint),
                     connect->fd, connect->fd, connect_stepped, connect);

    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "no memory");
}

static void connect_done(struct connect *connect)
{
    struct connection *connection = connect->connection;
    char peer[ACCOUNT_PEER_MAX];

    unix_peer(connect->fd, peer, sizeof(peer));
    account_set_peer(&connection->account, "%s", peer);
    endpoint_set_ready(connection->endpoint);
}

static void connect_try(struct connect *connect)
{
    static const struct timeval pause = {.tv_usec = RETRY_MS * 1000};
    struct connection *connection = connect->connection;

    connect->fd = unix_connect(connection->spec.path);
    if (connect->fd >= 0)
        connect_done(connect);
    else if (connect->fd == -EAGAIN && connect->retries++ < RETRY_MAX)
        event_add(connect->retry, &pause);
    else
        endpoint_fail(connection->endpoint, connect->fd, "cannot connect to its path: %s",
                      connect->fd == -EAGAIN ? "too many clients wait there"
                                             : strerror(-connect->fd));
}

static void connect_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    connect_try(arg);
}

static int connect_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct connect *connect = calloc(1, sizeof(*connect));

    if (connect)
        connect->retry = evtimer_new(connection->base, connect_again, connect);
    if (!connect || !connect->retry) {
        free(connect);
        snprintf(why, CONNECTION_WHY_MAX, "no memory");
        return -ENOMEM;
    }
    connect->connection = connection;
    connect->fd = -1;
    connection->state = connect;
    return 0;
}

static void connect_unplug(struct connection *connection)
{
    struct connect *connect = connection->state;

    event_free(connect->retry);
    free(connect);
}

static void connect_open(struct connection *connection)
{
    struct connect *connect = connection->state;

    connect->retries = 0;
    connect_try(connect);
}

static void connect_stir(struct connection *connection)
{
    struct connect *connect = connection->state;

    stream_step(&connect->stream);
}

static void connect_close(struct connection *connection)
{
    struct connect *connect = connection->state;

    event_del(connect->retry);
    stream_stop(&connect->stream);
    if (connect->fd >= 0)
        close(connect->fd);
    connect->fd = -1;
}

const struct connection_kind connection_connect = {
    .name = "connect",
    .needs = "path",
    .plug = connect_plug,
    .unplug = connect_unplug,
    .open = connect_open,
    .start = connect_start,
    .stir = connect_stir,
    .close = connect_close,
};
