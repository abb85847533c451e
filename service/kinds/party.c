/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/party.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/log.h"

static struct endpoint *party_endpoint(const struct party *party)
{
    return party->connection->endpoint;
}

static void drop(struct party *party, void (*end)(struct stream *stream))
{
    if (!party->ops->terminal)
        fdstore_drop(party->connection->fdstore, party->connection->id, PARTY_KEPT);
    end(&party->stream);
    if (!party->ops->terminal)
        connection_let_go(party->connection, PARTY_KEPT, &party->fd);
    if (party->nowhere >= 0)
        close(party->nowhere);
    party->fd = party->nowhere = -1;
    statistics_set_peer(&party->connection->statistics, "%s", "");
}

/*
 * What the guest sent waits for the next one, and so does its end; but not once the guest has gone.
 */
static void wait_alone(struct party *party)
{
    struct endpoint *endpoint = party_endpoint(party);
    struct channel *channel = connection_channel(party->connection);
    int bytes = party->guest_ended ? 0 : channel_readable(channel, 1);

    if (bytes >= 0)
        bytes += (int)stream_holds(&party->stream);
    if (bytes == 0) {
        endpoint_set_finished(endpoint);
        endpoint_set_drained(endpoint);
    } else if (bytes == -EPROTO) {
        endpoint_fail_corrupt(endpoint);
    } else if (bytes > 0 && channel_peer_left(channel) && !party->ops->sure) {
        endpoint_fail(endpoint, -EPIPE, "no %s took the %d bytes that are left",
                      party->ops->noun, bytes);
    } else {
        party->ops->wanted(party->arg);
    }
}

static bool hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLHUP | POLLERR);
}

/* One that only ended its sending is there until it takes no more, or hangs up. */
static bool has_left(const struct party *party)
{
    const struct relay *relay = &party->stream.relay;

    if (!relay->source_done)
        return false;
    return party->ops->ends_once || relay->source_error || relay->sink_error || hung_up(party->fd);
}

static void pass_guest_end(struct party *party)
{
    party->guest_ended = true;
    if (party->ops->terminal)
        endpoint_set_finished(party_endpoint(party));
    else
        shutdown(party->fd, SHUT_WR);
    endpoint_set_drained(party_endpoint(party));
}

static void leave(struct party *party)
{
    connection_log(party->connection, LOG_DETAILS, "%s left", party->ops->noun);
    drop(party, stream_pause);
    wait_alone(party);
}

/* The party and the channel end together. */
static void end_together(struct party *party)
{
    char noun[32];

    snprintf(noun, sizeof(noun), "the %s", party->ops->noun);
    stream_pass_ends(&party->stream, party_endpoint(party), noun);
}

/*
 * A terminal that was hung up is an end like any other; what the guest goes on to send is not
 * wanted.
 */
static void end_terminal(struct party *party)
{
    struct endpoint *endpoint = party_endpoint(party);

    party->nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (party->nowhere < 0) {
        endpoint_fail(endpoint, -errno, "cannot open /dev/null: %m");
        return;
    }
    stream_divert(&party->stream, party->nowhere);
    endpoint_set_finished(endpoint);
}

static void stepped(void *arg)
{
    struct party *party = arg;
    const struct relay *relay = &party->stream.relay;
    bool reconnect = party->connection->spec.reconnect;

    if (relay->ring_error == -EPROTO || (!reconnect && !party->ops->terminal)) {
        end_together(party);
        return;
    }
    if (relay->sink_done && !relay->sink_error && !party->guest_ended)
        pass_guest_end(party);
    if (!stream_is_on(&party->stream) || party->nowhere >= 0 || !has_left(party))
        return;
    if (reconnect)
        leave(party);
    else
        end_terminal(party);
}

void party_init(struct party *party, struct connection *connection, const struct party_ops *ops,
                void *arg)
{
    *party =
        (struct party){.connection = connection, .ops = ops, .arg = arg, .fd = -1, .nowhere = -1};
}

void party_open(struct party *party)
{
    party->guest_ended = false;
    stream_adopt(&party->stream, party->connection);
}

static int keep(struct party *party)
{
    const struct stream_end end = {
        .what = party->ops->terminal ? TERMINAL_KEPT : PARTY_KEPT, .fd = party->fd};

    return stream_keep(&party->stream, party->connection, &end, 1);
}

void party_come(struct party *party, int fd, const char *who)
{
    struct connection *connection = party->connection;
    int rc;

    party->fd = fd;
    statistics_set_peer(&connection->statistics, "%s", who);
    connection_log(connection, LOG_DETAILS, "%s came: %s", party->ops->noun, who);
    rc = stream_start(&party->stream, connection->base, connection_channel(connection), fd,
                      fd, stepped, party);
    if (rc == 0)
        rc = keep(party);
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot move bytes: %s", strerror(-rc));
}

void party_stir(struct party *party)
{
    if (stream_is_on(&party->stream))
        stream_step(&party->stream);
    else
        wait_alone(party);
}

void party_close(struct party *party)
{
    drop(party, stream_stop);
}
