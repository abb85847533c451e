/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=tcp-listen: listens at a TCP address as long as the device exists, and opens a stream
 * for each client while the guest has the channel open.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/connection.h"
#include "service/kinds/dial.h"
#include "service/kinds/listener.h"
#include "service/kinds/streams.h"

#define BACKLOG 1024

struct tcp_server {
    struct connection *connection;
    int fd; /* it listens */
    struct listener listener;
    struct kind_streams streams;
};

/* ---- clients ---- */

static void tcp_accepted(void *arg, int fd)
{
    struct tcp_server *server = arg;
    char who[STATISTICS_PEER_MAX];

    dial_set_options(fd);
    dial_peer(fd, who, sizeof(who));
    connection_log(server->connection, LOG_DETAILS, "client connected: %s", who);
    carrier_connect(&server->streams.carrier, fd);
}

static bool tcp_may_accept(void *arg)
{
    const struct tcp_server *server = arg;

    return carrier_can_connect(&server->streams.carrier);
}

static const struct listener_ops tcp_listener_ops = {.may_accept = tcp_may_accept,
                                                     .accepted = tcp_accepted};

static void tcp_has_room(void *arg)
{
    struct tcp_server *server = arg;

    listener_start(&server->listener);
}

static const struct kind_streams_ops tcp_streams_ops = {.has_room = tcp_has_room};

/* ---- the listening socket ---- */

/* Returns a socket that listens there, or a negative errno. */
static int listen_at(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int rc = 0;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        rc = -errno;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static bool listens_at(int fd, const struct addrinfo *address)
{
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof(bound);

    return getsockname(fd, (struct sockaddr *)&bound, &length) == 0 &&
           length == address->ai_addrlen && memcmp(&bound, address->ai_addr, length) == 0;
}

/* Takes an earlier process's socket, if it listens there. */
static int take_tcp_listener(struct connection *connection, const struct addrinfo *address)
{
    int fd = fdstore_take(connection->fdstore, connection->id, FDSTORE_LISTENER);

    if (fd >= 0 && !listens_at(fd, address))
        connection_close_fd(connection, FDSTORE_LISTENER, &fd);
    return fd;
}

static int open_tcp_listener(struct connection *connection, const struct addrinfo *address)
{
    int fd = take_tcp_listener(connection, address);

    if (fd >= 0)
        return fd;
    fd = listen_at(address);
    if (fd >= 0)
        fdstore_add(connection->fdstore, connection->id, FDSTORE_LISTENER, fd,
                    fdstore_has_room(connection->fdstore, 1));
    return fd;
}

/* Does not ask name servers, which could take long. */
static int listen_at_address(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    char host[DIAL_HOST_MAX], port[DIAL_PORT_MAX];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address;
    int fd;

    if (!dial_split(connection->spec.address, host, port) ||
        getaddrinfo(host, port, &hints, &address) != 0) {
        snprintf(why, CONNECTION_WHY_MAX,
                 "address= is not an IP address and a port (such as 127.0.0.1:8080 or [::]:8080)");
        return -EINVAL;
    }
    fd = open_tcp_listener(connection, address);
    freeaddrinfo(address);
    if (fd < 0)
        snprintf(why, CONNECTION_WHY_MAX, "cannot listen at its address: %s",
                 fd == -EADDRINUSE ? "another program listens there" : strerror(-fd));
    return fd;
}

/* ---- the kind ---- */

static int tcp_server_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct tcp_server *server = calloc(1, sizeof(*server));
    int rc;

    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    if (!server)
        return -ENOMEM;
    server->connection = connection;
    kind_streams_init(&server->streams, connection, &tcp_streams_ops, server);
    server->fd = rc = listen_at_address(connection, why);
    if (rc >= 0) {
        rc = listener_open(&server->listener, connection, server->fd, &tcp_listener_ops, server);
        if (rc < 0)
            connection_close_fd(connection, FDSTORE_LISTENER, &server->fd);
    }
    if (rc < 0)
        free(server);
    else
        connection->state = server;
    return rc < 0 ? rc : 0;
}

static void tcp_server_unplug(struct connection *connection)
{
    struct tcp_server *server = connection->state;

    listener_close(&server->listener);
    connection_close_fd(connection, FDSTORE_LISTENER, &server->fd);
    free(server);
}

static void tcp_server_open(struct connection *connection)
{
    if (endpoint_streams(connection->endpoint) > 0)
        endpoint_set_ready(connection->endpoint);
    else
        endpoint_fail(connection->endpoint, -EOPNOTSUPP,
                      "connection=tcp-listen needs a channel that is declared with streams=");
}

static void tcp_server_start(struct connection *connection)
{
    struct tcp_server *server = connection->state;

    kind_streams_start(&server->streams);
    listener_start(&server->listener);
}

static void tcp_server_stir(struct connection *connection)
{
    (void)connection;
}

static void tcp_server_close(struct connection *connection)
{
    struct tcp_server *server = connection->state;

    listener_stop(&server->listener);
    kind_streams_stop(&server->streams);
}

const struct connection_kind connection_tcp_listen = {
    .name = "tcp-listen",
    .plug = tcp_server_plug,
    .unplug = tcp_server_unplug,
    .open = tcp_server_open,
    .start = tcp_server_start,
    .stir = tcp_server_stir,
    .close = tcp_server_close,
};
