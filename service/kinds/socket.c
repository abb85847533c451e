/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=socket: listens on a Unix socket for as long as the device is there, and serves one
 * client at a time while the guest has the channel open.
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
#include "service/kinds/unix.h"

/* Clients in a minute, and at once: more than programs need, and less than costs a CPU. */
#define CLIENTS_PER_MINUTE 12000
#define CLIENTS_AT_ONCE    64

struct server {
    struct connection *connection;
    int listener;
    struct rights rights; /* whose the place is */
    struct stat file;
    struct event *incoming; /* pending while a client may come */
    struct event *knock;    /* pending while one is served, and no other is known to wait */
    bool knock_logged;      /* since the guest has opened the channel */
    struct backoff backoff; /* until then, when one could not */
    struct rate clients;
    struct event *rested; /* pending: too many came, and none is taken until then */
    struct program client;
};

static void server_want(void *arg)
{
    struct server *server = arg;

    event_del(server->knock);
    statistics_set_waiting(&server->connection->statistics, false);
    event_add(server->incoming, NULL);
}

/* It stays in the listener's queue, and cannot tell that from a server that is slow. */
static void server_knocked(evutil_socket_t listener, short what, void *arg)
{
    struct server *server = arg;

    (void)listener, (void)what;
    statistics_set_waiting(&server->connection->statistics, true);
    if (!server->knock_logged)
        connection_log(server->connection, LOG_CHANGES,
                       "another client is waiting (one client at a time)");
    server->knock_logged = true;
}

static const struct program_ops client_ops = {.noun = "client", .wanted = server_want};

static void server_meet(struct server *server, int fd)
{
    char who[STATISTICS_PEER_MAX];

    unix_peer(fd, who, sizeof(who));
    program_come(&server->client, fd, who);
    statistics_set_waiting(&server->connection->statistics, false);
    event_add(server->knock, NULL);
}

/* It waits in the queue, and would be told of without end. */
static void accept_later(struct server *server, int error)
{
    event_del(server->incoming);
    backoff_start(&server->backoff);
    endpoint_set_error(server->connection->endpoint, -error,
                       "cannot accept a client: %s (retrying)", strerror(error));
}

static void server_rested(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd, (void)what;
    event_add(server->incoming, NULL);
}

/* Whether one more may be taken now. Otherwise it waits in the queue. */
static bool server_admits(struct server *server)
{
    int64_t wait = rate_try(&server->clients);
    const struct timeval time = {.tv_usec = wait % 1000000, .tv_sec = wait / 1000000};

    if (wait == 0)
        return true;
    event_del(server->incoming);
    event_add(server->rested, &time);
    return false;
}

static void server_accept(evutil_socket_t listener, short what, void *arg)
{
    struct server *server = arg;
    int fd;

    (void)what;
    if (!server_admits(server))
        return;
    /* cppcheck-suppress nullPointer ; nobody wants to know the address */
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            accept_later(server, errno);
        return; /* otherwise it has left already */
    }
    event_del(server->incoming);
    endpoint_clear_error(server->connection->endpoint);
    server_meet(server, fd);
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

/*
 * The one that an earlier process had, if it still listens where it is wanted, for those who have
 * the rights.
 */
static int listen_again(struct server *server)
{
    struct connection *connection = server->connection;
    int fd = fdstore_take(connection->fdstore, connection->id, "listener");

    if (fd < 0 || (unix_listens(fd, &connection->place, &server->file) &&
                   rights_are(&server->rights, &server->file)))
        return fd;
    connection_let_go(connection, "listener", &fd);
    return -ENOENT;
}

static int server_bind(struct server *server)
{
    struct connection *connection = server->connection;

    server->listener = listen_again(server);
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
    struct event *const events[] = {server->incoming, server->knock, server->rested};

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
    server->knock =
        event_new(connection->base, server->listener, EV_READ, server_knocked, server);
    server->rested = evtimer_new(connection->base, server_rested, server);
    rate_init(&server->clients, CLIENTS_PER_MINUTE, CLIENTS_AT_ONCE);
    if (server->incoming && server->knock && server->rested &&
        backoff_open(&server->backoff, connection->base, server_want, server) == 0)
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

    server->knock_logged = false;
    path_follow_name(connection);
    program_open(&server->client);
    endpoint_set_ready(connection->endpoint);
}

static void server_start(struct connection *connection)
{
    struct server *server = connection->state;
    int fd = connection_take(connection, PROGRAM_KEPT);

    if (fd >= 0)
        server_meet(server, fd);
    else
        server_want(server);
}

static void server_stir(struct connection *connection)
{
    struct server *server = connection->state;

    program_stir(&server->client);
}

static void server_close(struct connection *connection)
{
    struct server *server = connection->state;

    event_del(server->incoming);
    event_del(server->rested);
    event_del(server->knock);
    statistics_set_waiting(&server->connection->statistics, false);
    backoff_reset(&server->backoff);
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
