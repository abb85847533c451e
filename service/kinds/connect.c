/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=connect and connection=tcp: connect to a server each time the guest opens the channel;
 * with reconnect=1 again whenever the server has ended, while the guest has the channel open.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/backoff.h"
#include "service/connection.h"
#include "service/kinds/dial.h"
#include "service/kinds/program.h"
#include "service/kinds/rights.h"
#include "service/kinds/streams.h"
#include "service/kinds/unix.h"

/* A server with a full queue is tried again for 5 s: no event reports that there is room. */
#define RETRY_MS  50 /* doubled up to the fifth try, since each try forks a process */
#define RETRY_MAX 9

/* The server does not run as server-user=. connect() never returns this errno. */
#define WRONG_SERVER (-EUSERS)

#define NO_USER ((uid_t)-1)

struct client {
    struct connection *connection;
    struct event *retry;
    unsigned int retries;
    struct backoff backoff; /* reconnect=1 */
    struct dial *dial;      /* tcp, while it connects */
    int fd;                 /* connected before the channel was; else -1 */
    bool started;           /* the channel is Connected */
    struct program server;
    struct kind_streams streams; /* each stream has a server connection of its own */
    struct user user;  /* the user that connects, if user= names one */
    uid_t server_user; /* the user that the server must run as; NO_USER: any */
    uid_t refused;     /* the last server's user that was refused, and logged; or NO_USER */
};

static void client_try(struct client *client);

static void client_retry_later(void *arg)
{
    struct client *client = arg;

    if (!client->dial && !event_pending(client->retry, EV_TIMEOUT, NULL))
        backoff_start(&client->backoff);
}

static const struct program_ops unix_ops = {
    .noun = "server", .want_next = client_retry_later, .next_is_sure = true};
static const struct program_ops tcp_ops = {.noun = "server",
                                           .want_next = client_retry_later,
                                           .next_is_sure = true,
                                           .eof_is_leaving = true};

static bool is_tcp(const struct client *client)
{
    return client->server.ops == &tcp_ops;
}

/* ---- after connecting ---- */

static void describe_server(int fd, bool tcp, char who[STATISTICS_PEER_MAX])
{
    if (tcp)
        dial_peer(fd, who, STATISTICS_PEER_MAX);
    else
        unix_peer(fd, who, STATISTICS_PEER_MAX);
}

static void attach_server(struct client *client)
{
    char who[STATISTICS_PEER_MAX];
    int fd = client->fd;

    client->fd = -1;
    describe_server(fd, is_tcp(client), who);
    program_attach(&client->server, fd, who);
}

static void client_connected(struct client *client, int fd)
{
    client->fd = fd;
    endpoint_clear_error(client->connection->endpoint);
    if (client->started)
        attach_server(client);
    else
        endpoint_set_ready(client->connection->endpoint);
}

/* With reconnect=1 the guest waits, and the error node says why. */
static void client_failed(struct client *client, int rc, const char *why)
{
    struct connection *connection = client->connection;

    if (!connection->spec.reconnect) {
        endpoint_fail(connection->endpoint, rc, "%s", why);
        return;
    }
    endpoint_set_error(connection->endpoint, rc, "%s (retrying)", why);
    client_retry_later(client);
}

/* ---- a Unix socket ---- */

static const char *why_not_connected(int rc)
{
    switch (rc) {
    case -EAGAIN:
        return "the server's listen queue is full";
    case -ENOTSOCK:
        return "it is not a socket";
    case WRONG_SERVER:
        return "the server runs as another user than server-user= (see the service's log)";
    default:
        return place_error(rc);
    }
}

/* Logs each wrong user once: with reconnect=1 there are many tries. */
static void log_refused(struct client *client, int fd, uid_t uid)
{
    const struct connection *connection = client->connection;
    char who[STATISTICS_PEER_MAX];

    if (client->refused == uid)
        return;
    client->refused = uid;
    unix_peer(fd, who, sizeof(who));
    connection_log(connection, LOG_ERRORS, "refused the server: it is %s, not user %s (uid %u)",
                   who, connection->spec.server_user, client->server_user);
}

static int check_server(struct client *client, int fd)
{
    uid_t uid;
    int rc;

    if (client->server_user == NO_USER)
        return 0;
    rc = unix_peer_user(fd, &uid);
    if (rc < 0)
        return rc;
    if (uid == client->server_user) {
        client->refused = NO_USER;
        return 0;
    }
    log_refused(client, fd, uid);
    return WRONG_SERVER;
}

static int connect_path(struct client *client)
{
    int fd = unix_connect(&client->connection->place), rc;

    if (fd < 0)
        return fd;
    rc = check_server(client, fd);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static struct timeval retry_pause(unsigned int retries)
{
    unsigned int doubled = retries < 4 ? retries : 4;

    return (struct timeval){.tv_usec = (RETRY_MS << doubled) * 1000L};
}

static void try_path(struct client *client)
{
    const struct timeval pause = retry_pause(client->retries);
    int fd = connect_path(client);
    char why[CONNECTION_WHY_MAX];

    if (fd >= 0) {
        client_connected(client, fd);
    } else if (fd == -EAGAIN && client->retries++ < RETRY_MAX) {
        event_add(client->retry, &pause);
    } else {
        snprintf(why, sizeof(why), "cannot connect to its path: %s", why_not_connected(fd));
        client_failed(client, fd, why);
    }
}

static void retry_path(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    try_path(arg);
}

/* ---- TCP ---- */

static void dial_done(void *arg, int fd, const char *why)
{
    struct client *client = arg;

    client->dial = NULL;
    if (fd >= 0)
        client_connected(client, fd);
    else
        client_failed(client, fd, why);
}

static void try_address(struct client *client)
{
    struct connection *connection = client->connection;

    client->dial = dial_start(connection->base, connection->spec.address, dial_done, client);
    if (!client->dial)
        client_failed(client, -EINVAL, "address= is not HOST:PORT");
}

static void client_try(struct client *client)
{
    client->retries = 0;
    if (is_tcp(client))
        try_address(client);
    else
        try_path(client);
}

static void client_retry(void *arg)
{
    client_try(arg);
}

/* ---- streams ---- */

/* What a stream's connection is waiting for: a name server or a TCP server, or room in a queue. */
struct attempt {
    struct client *client;
    struct stream_answer *answer;
    struct dial *dial;
    struct event *retry;
    unsigned int retries;
};

static void free_attempt(struct attempt *attempt)
{
    dial_cancel(attempt->dial);
    if (attempt->retry)
        event_free(attempt->retry);
    free(attempt);
}

static void end_attempt(struct attempt *attempt, int fd, const char *why)
{
    struct stream_answer *answer = attempt->answer;

    free_attempt(attempt);
    stream_answer_done(answer, fd, why);
}

static void on_attempt_dialled(void *arg, int fd, const char *why)
{
    struct attempt *attempt = arg;

    attempt->dial = NULL;
    end_attempt(attempt, fd, why);
}

static void attempt_address(struct attempt *attempt)
{
    const struct connection *connection = attempt->client->connection;

    attempt->dial = dial_start(connection->base, connection->spec.address, on_attempt_dialled,
                               attempt);
    if (!attempt->dial)
        end_attempt(attempt, -EINVAL, "address= is not HOST:PORT");
}

static void attempt_path(struct attempt *attempt)
{
    const struct timeval pause = retry_pause(attempt->retries);
    int fd = connect_path(attempt->client);
    char why[CONNECTION_WHY_MAX];

    if (fd == -EAGAIN && attempt->retries++ < RETRY_MAX) {
        event_add(attempt->retry, &pause);
        return;
    }
    snprintf(why, sizeof(why), "cannot connect to its path: %s",
             fd < 0 ? why_not_connected(fd) : "");
    end_attempt(attempt, fd, why);
}

/* Each try costs a process, as the first one did. */
static void on_attempt_retry(evutil_socket_t fd, short what, void *arg)
{
    struct attempt *attempt = arg;

    (void)fd, (void)what;
    if (quota_try_stream(attempt->client->connection->quota) == 0)
        attempt_path(attempt);
    else
        end_attempt(attempt, -EAGAIN, why_not_connected(-EAGAIN));
}

static void connect_for_stream(void *arg, struct stream_answer *answer)
{
    struct client *client = arg;
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    if (attempt)
        attempt->retry = evtimer_new(client->connection->base, on_attempt_retry, attempt);
    if (!attempt || !attempt->retry) {
        free(attempt);
        stream_answer_done(answer, -ENOMEM, "out of memory");
        return;
    }
    attempt->client = client;
    attempt->answer = answer;
    answer->attempt = attempt;
    if (is_tcp(client))
        attempt_address(attempt);
    else
        attempt_path(attempt);
}

static void cancel_for_stream(void *arg, struct stream_answer *answer)
{
    (void)arg;
    free_attempt(answer->attempt);
}

static const struct kind_streams_ops client_streams_ops = {.connect = connect_for_stream,
                                                           .cancel = cancel_for_stream};

/* ---- the kinds ---- */

static void client_free(struct client *client)
{
    if (client->retry)
        event_free(client->retry);
    backoff_close(&client->backoff);
    free(client);
}

static int client_plug(struct connection *connection, const struct program_ops *ops,
                       char why[CONNECTION_WHY_MAX])
{
    struct client *client = calloc(1, sizeof(*client));

    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    if (!client)
        return -ENOMEM;
    client->connection = connection;
    client->fd = -1;
    client->server_user = client->refused = NO_USER;
    program_init(&client->server, connection, ops, client);
    kind_streams_init(&client->streams, connection, &client_streams_ops, client);
    client->retry = evtimer_new(connection->base, retry_path, client);
    if (!client->retry ||
        backoff_open(&client->backoff, connection->base, client_retry, client) < 0) {
        client_free(client);
        return -ENOMEM;
    }
    connection->state = client;
    return 0;
}

/* If user= names a user, that user connects, even where all of the path is root's. */
static int find_place(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    const struct spec *spec = &connection->spec;
    struct client *client = connection->state;

    connection->place = (struct place){.path = spec->path, .key = "user", .as_user = true};
    if (!spec->user[0])
        return 0;
    connection->place.user = &client->user;
    return user_read(spec->user, &client->user, why);
}

static int find_server(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct client *client = connection->state;

    return user_number("server-user", connection->spec.server_user, &client->server_user, why);
}

static int plug_unix(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    int rc = client_plug(connection, &unix_ops, why);

    if (rc < 0)
        return rc;
    rc = find_place(connection, why);
    if (rc == 0)
        rc = find_server(connection, why);
    if (rc < 0)
        client_free(connection->state);
    return rc;
}

static int plug_tcp(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    return client_plug(connection, &tcp_ops, why);
}

static void client_unplug(struct connection *connection)
{
    client_free(connection->state);
}

static void client_open(struct connection *connection)
{
    struct client *client = connection->state;
    int fd;

    client->started = false;
    if (endpoint_streams(connection->endpoint) > 0) {
        endpoint_set_ready(connection->endpoint);
        return;
    }
    program_open(&client->server);
    fd = connection_take(connection, FDSTORE_PROGRAM);
    if (fd >= 0) {
        client_connected(client, fd);
        return;
    }
    connection_log_lost(connection);
    client_try(client);
}

static void client_start(struct connection *connection)
{
    struct client *client = connection->state;

    client->started = true;
    if (endpoint_streams(connection->endpoint) > 0)
        kind_streams_start(&client->streams);
    else
        attach_server(client);
}

static void client_stir(struct connection *connection)
{
    struct client *client = connection->state;

    if (!kind_streams_is_on(&client->streams))
        program_stir(&client->server);
}

static void client_close(struct connection *connection)
{
    struct client *client = connection->state;

    event_del(client->retry);
    backoff_reset(&client->backoff);
    dial_cancel(client->dial);
    client->dial = NULL;
    kind_streams_stop(&client->streams);
    program_close(&client->server);
    connection_close_fd(connection, FDSTORE_PROGRAM, &client->fd);
}

const struct connection_kind connection_connect = {
    .name = "connect",
    .plug = plug_unix,
    .unplug = client_unplug,
    .open = client_open,
    .start = client_start,
    .stir = client_stir,
    .close = client_close,
};

const struct connection_kind connection_tcp = {
    .name = "tcp",
    .plug = plug_tcp,
    .unplug = client_unplug,
    .open = client_open,
    .start = client_start,
    .stir = client_stir,
    .close = client_close,
};
