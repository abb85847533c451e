/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=socket: listens on a Unix socket as long as the device exists, and serves one client
 * at a time while the guest has the channel open.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "service/connection.h"
#include "service/kinds/listener.h"
#include "service/kinds/path.h"
#include "service/kinds/program.h"
#include "service/kinds/rights.h"
#include "service/kinds/streams.h"
#include "service/kinds/unix.h"

struct server {
    struct connection *connection;
    int fd; /* it listens */
    struct listener listener;
    struct rights rights; /* the socket file's owner, group and mode */
    struct stat file;
    struct event *next_client; /* pending while a client is served and no other is waiting */
    bool waiting_logged;       /* since the guest opened the channel */
    struct program client;
    struct kind_streams streams; /* each client has one of its own */
};

static void server_await_client(void *arg)
{
    struct server *server = arg;

    event_del(server->next_client);
    statistics_set_waiting(&server->connection->statistics, false);
    listener_start(&server->listener);
}

/* The client stays in the socket's queue. It cannot know that, so the log does. */
static void on_client_waiting(evutil_socket_t listener, short what, void *arg)
{
    struct server *server = arg;

    (void)listener, (void)what;
    statistics_set_waiting(&server->connection->statistics, true);
    if (!server->waiting_logged)
        connection_log(server->connection, LOG_CHANGES,
                       "another client is waiting (one client at a time)");
    server->waiting_logged = true;
}

static const struct program_ops client_ops = {.noun = "client", .want_next = server_await_client};

static void attach_client(struct server *server, int fd)
{
    char who[STATISTICS_PEER_MAX];

    unix_peer(fd, who, sizeof(who));
    program_attach(&server->client, fd, who);
    statistics_set_waiting(&server->connection->statistics, false);
    event_add(server->next_client, NULL);
}

/* Each client gets a stream. If the worker has no room, the next one waits in the queue. */
static void connect_client(struct server *server, int fd)
{
    char who[STATISTICS_PEER_MAX];

    unix_peer(fd, who, sizeof(who));
    connection_log(server->connection, LOG_DETAILS, "client connected: %s", who);
    carrier_connect(&server->streams.carrier, fd);
}

static bool server_may_accept(void *arg)
{
    const struct server *server = arg;

    return !kind_streams_is_on(&server->streams) || carrier_can_connect(&server->streams.carrier);
}

static void server_has_room(void *arg)
{
    struct server *server = arg;

    listener_start(&server->listener);
}

static const struct kind_streams_ops server_streams_ops = {.has_room = server_has_room};

static void server_accepted(void *arg, int fd)
{
    struct server *server = arg;

    if (kind_streams_is_on(&server->streams)) {
        connect_client(server, fd);
        return;
    }
    listener_stop(&server->listener);
    attach_client(server, fd);
}

static const struct listener_ops server_listener_ops = {.may_accept = server_may_accept,
                                                        .accepted = server_accepted};

static const char *listen_error(int rc)
{
    switch (rc) {
    case -EADDRINUSE:
        return "another program listens there";
    case -EEXIST:
        return "a file that is not a socket is there";
    case -EBUSY:
        return "another user's socket is there";
    default:
        return place_error(rc);
    }
}

/* Takes an earlier process's listener, if it is the one at the path and has the right access. */
static int take_listener(struct server *server)
{
    struct connection *connection = server->connection;
    int fd = fdstore_take(connection->fdstore, connection->id, FDSTORE_LISTENER);

    if (fd < 0 || (unix_listens(fd, &connection->place, &server->file) &&
                   rights_are(&server->rights, &server->file)))
        return fd;
    connection_close_fd(connection, FDSTORE_LISTENER, &fd);
    return -ENOENT;
}

static int server_bind(struct server *server)
{
    struct connection *connection = server->connection;

    server->fd = take_listener(server);
    if (server->fd >= 0)
        return 0;
    server->fd = unix_listen(&connection->place, &server->rights, &server->file);
    if (server->fd < 0)
        return server->fd;
    fdstore_add(connection->fdstore, connection->id, FDSTORE_LISTENER, server->fd,
                fdstore_has_room(connection->fdstore, 1));
    return 0;
}

static void server_unbind(struct server *server)
{
    struct connection *connection = server->connection;

    fdstore_drop(connection->fdstore, connection->id, FDSTORE_LISTENER);
    unix_unlisten(server->fd, &connection->place, &server->file);
}

static int server_listen(struct server *server, char why[CONNECTION_WHY_MAX])
{
    struct connection *connection = server->connection;
    int rc = rights_read(&connection->spec, &server->rights, why);

    if (rc < 0)
        return rc;
    connection->place = rights_place(&server->rights, connection->path);
    rc = server_bind(server);
    if (rc < 0) {
        snprintf(why, CONNECTION_WHY_MAX, "cannot listen on its path: %s", listen_error(rc));
        return rc;
    }
    server->next_client =
        event_new(connection->base, server->fd, EV_READ, on_client_waiting, server);
    rc = server->next_client ? listener_open(&server->listener, connection, server->fd,
                                             &server_listener_ops, server)
                             : -ENOMEM;
    if (rc == 0)
        return 0;
    if (server->next_client)
        event_free(server->next_client);
    server_unbind(server);
    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    return rc;
}

static int server_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct server *server = calloc(1, sizeof(*server));
    int rc;

    if (!server) {
        snprintf(why, CONNECTION_WHY_MAX, "out of memory");
        return -ENOMEM;
    }
    server->connection = connection;
    program_init(&server->client, connection, &client_ops, server);
    kind_streams_init(&server->streams, connection, &server_streams_ops, server);
    rc = path_choose(connection, why);
    if (rc == 0)
        rc = server_listen(server, why);
    if (rc < 0) {
        path_leave(connection);
        free(server);
    } else {
        connection->state = server;
    }
    return rc < 0 ? rc : 0;
}

static void server_unplug(struct connection *connection)
{
    struct server *server = connection->state;

    listener_close(&server->listener);
    event_free(server->next_client);
    server_unbind(server);
    path_leave(connection);
    free(server);
}

static void server_open(struct connection *connection)
{
    struct server *server = connection->state;

    server->waiting_logged = false;
    path_follow_name(connection);
    if (endpoint_streams(connection->endpoint) == 0)
        program_open(&server->client);
    endpoint_set_ready(connection->endpoint);
}

static void server_start(struct connection *connection)
{
    struct server *server = connection->state;
    int fd;

    if (endpoint_streams(connection->endpoint) > 0) {
        kind_streams_start(&server->streams);
        server_await_client(server);
        return;
    }
    fd = connection_take(connection, FDSTORE_PROGRAM);
    if (fd >= 0)
        attach_client(server, fd);
    else
        server_await_client(server);
}

static void server_stir(struct connection *connection)
{
    struct server *server = connection->state;

    if (!kind_streams_is_on(&server->streams))
        program_stir(&server->client);
}

static void server_close(struct connection *connection)
{
    struct server *server = connection->state;

    listener_stop(&server->listener);
    event_del(server->next_client);
    statistics_set_waiting(&server->connection->statistics, false);
    kind_streams_stop(&server->streams);
    program_close(&server->client);
}

const struct connection_kind connection_socket = {
    .name = "socket",
    .plug = server_plug,
    .unplug = server_unplug,
    .open = server_open,
    .start = server_start,
    .stir = server_stir,
    .close = server_close,
};
