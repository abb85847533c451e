/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=socket: listens on a Unix socket for as long as the device is there, and serves one
 * client at a time while the guest has the channel open.
 */
#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/log.h"
#include "connection/stream.h"
#include "connection/unix.h"

struct server {
    struct connection *connection;
    int listener;
    struct stat file;
    struct event *incoming; /* pending while a client may come */
    int client;             /* -1: none */
    struct stream stream;
    bool guest_ended; /* and all that it sent is with clients */
};

static struct endpoint *server_endpoint(const struct server *server)
{
    return server->connection->endpoint;
}

static void drop_client(struct server *server)
{
    stream_stop(&server->stream);
    if (server->client >= 0)
        close(server->client);
    server->client = -1;
    account_set_peer(&server->connection->account, "%s", "");
}

/* What the guest sent waits for a client, and so does its end; but not once the guest has gone. */
static void wait_alone(struct server *server)
{
    struct endpoint *endpoint = server_endpoint(server);
    struct channel *channel = endpoint_channel(endpoint);
    int bytes = server->guest_ended ? 0 : channel_readable(channel, 1);

    if (bytes == 0) {
        endpoint_set_finished(endpoint);
        endpoint_set_drained(endpoint);
    } else if (bytes == -EPROTO) {
        endpoint_fail_corrupt(endpoint);
    } else if (bytes > 0 && channel_peer_left(channel)) {
        endpoint_fail(endpoint, -EPIPE, "no client took the %d bytes that are left", bytes);
    } else {
        event_add(server->incoming, NULL);
    }
}

static bool hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLHUP | POLLERR);
}

/* A client that only ended its sending is there until it takes no more, or hangs up. */
static bool client_left(const struct server *server)
{
    const struct relay *relay = &server->stream.relay;

    if (!relay->source_done)
        return false;
    return relay->source_error || relay->sink_error || hung_up(server->client);
}

static void pass_guest_end(struct server *server)
{
    server->guest_ended = true;
    shutdown(server->client, SHUT_WR);
    endpoint_set_drained(server_endpoint(server));
}

static void server_stepped(void *arg)
{
    struct server *server = arg;
    const struct relay *relay = &server->stream.relay;

    if (!server->connection->spec.reconnect || relay->ring_error == -EPROTO) {
        stream_pass_ends(&server->stream, server_endpoint(server), "the client");
        return;
    }
    if (relay->sink_done && !relay->sink_error && !server->guest_ended)
        pass_guest_end(server);
    if (stream_is_on(&server->stream) && client_left(server)) {
        log_line(LOG_DETAILS, "%s: client left", server->connection->label);
        drop_client(server);
        wait_alone(server);
    }
}

static void greet_client(struct server *server)
{
    struct connection *connection = server->connection;
    char peer[ACCOUNT_PEER_MAX];

    unix_peer(server->client, peer, sizeof(peer));
    account_set_peer(&connection->account, "%s", peer);
    log_line(LOG_DETAILS, "%s: client came: %s", connection->label, peer);
}

static void server_accept(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    struct connection *connection = server->connection;

    (void)what;
    server->client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (server->client < 0) {
        if (errno == EMFILE || errno == ENFILE)
            endpoint_fail(connection->endpoint, -errno, "cannot accept a client: %m");
        return; /* otherwise it has left already */
    }
    event_del(server->incoming);
    greet_client(server);
    if (stream_start(&server->stream, connection->base, endpoint_channel(connection->endpoint),
                     server->client, server->client, server_stepped, server) < 0)
        endpoint_fail(connection->endpoint, -ENOMEM, "no memory");
}

static const char *listen_error(int rc)
{
    switch (rc) {
    case -EADDRINUSE:
        return "another program listens there";
    case -EEXIST:
        return "there is a file that is no socket";
    default:
        return strerror(-rc);
    }
}

static int server_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct server *server = calloc(1, sizeof(*server));
    int rc = -ENOMEM;

    if (!server)
        goto fail;
    server->connection = connection;
    server->client = -1;
    rc = server->listener = unix_listen(connection->spec.path, &server->file);
    if (rc < 0)
        goto fail;
    server->incoming =
        event_new(connection->base, server->listener, EV_READ | EV_PERSIST, server_accept, server);
    if (!server->incoming) {
        unix_unlisten(server->listener, connection->spec.path, &server->file);
        rc = -ENOMEM;
        goto fail;
    }
    connection->state = server;
    return 0;

fail:
    free(server);
    snprintf(why, CONNECTION_WHY_MAX, "cannot listen on its path: %s",
             listen_error(rc));
    return rc;
}

static void server_unplug(struct connection *connection)
{
    struct server *server = connection->state;

    event_free(server->incoming);
    unix_unlisten(server->listener, connection->spec.path, &server->file);
    free(server);
}

static void server_open(struct connection *connection)
{
    struct server *server = connection->state;

    server->guest_ended = false;
    endpoint_set_ready(connection->endpoint);
}

static void server_start(struct connection *connection)
{
    struct server *server = connection->state;

    event_add(server->incoming, NULL);
}

static void server_stir(struct connection *connection)
{
    struct server *server = connection->state;

    if (stream_is_on(&server->stream))
        stream_step(&server->stream);
    else
        wait_alone(server);
}

static void server_close(struct connection *connection)
{
    struct server *server = connection->state;

    event_del(server->incoming);
    drop_client(server);
}

const struct connection_kind connection_socket = {
    .name = "socket",
    .needs = "path",
    .plug = server_plug,
    .unplug = server_unplug,
    .open = server_open,
    .start = server_start,
    .stir = server_stir,
    .close = server_close,
};
