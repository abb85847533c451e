/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=socket: listens on a Unix socket as long as the device exists, and serves one client
 * at a time while the guest has the channel open.
 */
#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "service/backoff.h"
#include "service/connection.h"
#include "service/kinds/path.h"
#include "service/kinds/program.h"
#include "service/kinds/rights.h"
#include "service/kinds/streams.h"
#include "service/kinds/unix.h"
#include "service/timer.h"

/* Clients a minute, and at once: more than programs need, but too few to use up a CPU. */
#define CLIENTS_PER_MINUTE 12000
#define CLIENTS_AT_ONCE    64

struct server {
    struct connection *connection;
    int listener;
    struct rights rights; /* the socket file's owner, group and mode */
    struct stat file;
    struct event *incoming;    /* pending while a client may connect */
    struct event *next_client; /* pending while a client is served and no other is waiting */
    bool waiting_logged;       /* since the guest opened the channel */
    struct backoff backoff;    /* after accept() failed */
    struct rate clients;
    struct event *accept_pause; /* pending: too many clients came, so none is accepted until then */
    struct program client;
    struct kind_streams streams; /* each client has one of its own */
};

static void server_await_client(void *arg)
{
    struct server *server = arg;

    event_del(server->next_client);
    statistics_set_waiting(&server->connection->statistics, false);
    event_add(server->incoming, NULL);
}

/* The client stays in the listener's queue. It cannot know that, so the log does. */
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
    if (!carrier_can_connect(&server->streams.carrier))
        event_del(server->incoming);
}

static void server_has_room(void *arg)
{
    struct server *server = arg;

    if (!event_pending(server->accept_pause, EV_TIMEOUT, NULL))
        event_add(server->incoming, NULL);
}

static const struct kind_streams_ops server_streams_ops = {.has_room = server_has_room};

/* The client stays in the queue, and the listener readable: without a pause this would loop. */
static void accept_later(struct server *server, int error)
{
    event_del(server->incoming);
    backoff_start(&server->backoff);
    endpoint_set_error(server->connection->endpoint, -error,
                       "cannot accept a client: %s (retrying)", strerror(error));
}

static void on_accept_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd, (void)what;
    event_add(server->incoming, NULL);
}

/* Whether one more client may be accepted now. Otherwise it waits in the queue. */
static bool may_accept(struct server *server)
{
    int64_t wait = rate_try(&server->clients);

    if (wait == 0)
        return true;
    event_del(server->incoming);
    timer_start(server->accept_pause, wait);
    return false;
}

static void server_accept(evutil_socket_t listener, short what, void *arg)
{
    struct server *server = arg;
    int fd;

    (void)what;
    if (!may_accept(server))
        return;
    /* cppcheck-suppress nullPointer ; the address is not needed */
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            accept_later(server, errno);
        return; /* otherwise the client has left already */
    }
    endpoint_clear_error(server->connection->endpoint);
    if (kind_streams_is_on(&server->streams)) {
        connect_client(server, fd);
        return;
    }
    event_del(server->incoming);
    attach_client(server, fd);
}

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
    int fd = fdstore_take(connection->fdstore, connection->id, "listener");

    if (fd < 0 || (unix_listens(fd, &connection->place, &server->file) &&
                   rights_are(&server->rights, &server->file)))
        return fd;
    connection_close_fd(connection, "listener", &fd);
    return -ENOENT;
}

static int server_bind(struct server *server)
{
    struct connection *connection = server->connection;

    server->listener = take_listener(server);
    if (server->listener >= 0)
        return 0;
    server->listener = unix_listen(&connection->place, &server->rights, &server->file);
    if (server->listener < 0)
        return server->listener;
    fdstore_add(connection->fdstore, connection->id, "listener", server->listener,
                fdstore_has_room(connection->fdstore, 1));
    return 0;
}

static void server_unbind(struct server *server)
{
    struct connection *connection = server->connection;

    fdstore_drop(connection->fdstore, connection->id, "listener");
    unix_unlisten(server->listener, &connection->place, &server->file);
}

static void server_free_events(struct server *server)
{
    struct event *const events[] = {server->incoming, server->next_client, server->accept_pause};

    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i])
            event_free(events[i]);
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
    server->incoming =
        event_new(connection->base, server->listener, EV_READ | EV_PERSIST, server_accept, server);
    server->next_client =
        event_new(connection->base, server->listener, EV_READ, on_client_waiting, server);
    server->accept_pause = evtimer_new(connection->base, on_accept_pause_over, server);
    rate_init(&server->clients, CLIENTS_PER_MINUTE, CLIENTS_AT_ONCE);
    if (server->incoming && server->next_client && server->accept_pause &&
        backoff_open(&server->backoff, connection->base, server_await_client, server) == 0)
        return 0;
    server_free_events(server);
    server_unbind(server);
    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    return -ENOMEM;
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

    server_free_events(server);
    backoff_close(&server->backoff);
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
    fd = connection_take(connection, PROGRAM_FDNAME);
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

    event_del(server->incoming);
    event_del(server->accept_pause);
    event_del(server->next_client);
    statistics_set_waiting(&server->connection->statistics, false);
    backoff_reset(&server->backoff);
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
