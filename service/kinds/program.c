/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/log.h"

static struct endpoint *program_endpoint(const struct program *program)
{
    return program->connection->endpoint;
}

static void program_drop(struct program *program, void (*end)(struct stream *stream))
{
    if (!program->ops->terminal)
        fdstore_drop(program->connection->fdstore, program->connection->id, PROGRAM_KEPT);
    end(&program->stream);
    if (!program->ops->terminal)
        connection_let_go(program->connection, PROGRAM_KEPT, &program->fd);
    if (program->nowhere >= 0)
        close(program->nowhere);
    program->fd = program->nowhere = -1;
    statistics_set_peer(&program->connection->statistics, "%s", "");
}

/*
 * What the guest sent waits for the next one, and so does its end; but not once the guest has gone.
 */
static void wait_alone(struct program *program)
{
    struct endpoint *endpoint = program_endpoint(program);
    struct channel *channel = connection_channel(program->connection);
    int bytes = program->guest_ended ? 0 : channel_readable(channel, 1);

    if (bytes >= 0)
        bytes += (int)stream_holds(&program->stream);
    if (bytes == 0) {
        endpoint_set_finished(endpoint);
        endpoint_set_drained(endpoint);
    } else if (bytes == -EPROTO) {
        endpoint_fail_corrupt(endpoint);
    } else if (bytes > 0 && channel_peer_left(channel) && !program->ops->sure) {
        endpoint_fail(endpoint, -EPIPE, "cannot deliver the last %d bytes: no %s took them", bytes,
                      program->ops->noun);
    } else {
        program->ops->wanted(program->arg);
    }
}

static bool hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLHUP | POLLERR);
}

/* One that only ended its sending is there until it takes no more, or hangs up. */
static bool has_left(const struct program *program)
{
    const struct relay *relay = &program->stream.relay;

    if (!relay->source_done)
        return false;
    return program->ops->ends_once || relay->source_error || relay->sink_error || hung_up(program->fd);
}

static void pass_guest_end(struct program *program)
{
    program->guest_ended = true;
    if (program->ops->terminal)
        endpoint_set_finished(program_endpoint(program));
    else
        shutdown(program->fd, SHUT_WR);
    endpoint_set_drained(program_endpoint(program));
}

static void leave(struct program *program)
{
    connection_log(program->connection, LOG_DETAILS, "%s disconnected", program->ops->noun);
    program_drop(program, stream_pause);
    wait_alone(program);
}

/* The program and the channel end together. */
static void end_together(struct program *program)
{
    char noun[32];

    snprintf(noun, sizeof(noun), "the %s", program->ops->noun);
    stream_pass_ends(&program->stream, program_endpoint(program), noun);
}

/*
 * A terminal that was hung up is an end like any other; what the guest goes on to send is not
 * wanted.
 */
static void end_terminal(struct program *program)
{
    struct endpoint *endpoint = program_endpoint(program);

    program->nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (program->nowhere < 0) {
        endpoint_fail(endpoint, -errno, "cannot open /dev/null: %m");
        return;
    }
    stream_divert(&program->stream, program->nowhere);
    endpoint_set_finished(endpoint);
}

static void stepped(void *arg)
{
    struct program *program = arg;
    const struct relay *relay = &program->stream.relay;
    bool reconnect = program->connection->spec.reconnect;

    if (relay->ring_error == -EPROTO || (!reconnect && !program->ops->terminal)) {
        end_together(program);
        return;
    }
    if (relay->sink_done && !relay->sink_error && !program->guest_ended)
        pass_guest_end(program);
    if (!stream_is_on(&program->stream) || program->nowhere >= 0 || !has_left(program))
        return;
    if (reconnect)
        leave(program);
    else
        end_terminal(program);
}

void program_init(struct program *program, struct connection *connection, const struct program_ops *ops,
                void *arg)
{
    *program =
        (struct program){.connection = connection, .ops = ops, .arg = arg, .fd = -1, .nowhere = -1};
}

void program_open(struct program *program)
{
    program->guest_ended = false;
    stream_adopt(&program->stream, program->connection);
}

static int program_keep(struct program *program)
{
    const struct stream_end end = {
        .what = program->ops->terminal ? TERMINAL_KEPT : PROGRAM_KEPT, .fd = program->fd};

    return stream_keep(&program->stream, program->connection, &end, 1);
}

void program_come(struct program *program, int fd, const char *who)
{
    struct connection *connection = program->connection;
    int rc;

    program->fd = fd;
    statistics_set_peer(&connection->statistics, "%s", who);
    connection_log(connection, LOG_DETAILS, "%s connected: %s", program->ops->noun, who);
    rc = stream_start(&program->stream, connection->base, connection_channel(connection), fd,
                      fd, stepped, program);
    if (rc == 0)
        rc = program_keep(program);
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot move bytes: %s", strerror(-rc));
}

void program_stir(struct program *program)
{
    if (stream_is_on(&program->stream))
        stream_step(&program->stream);
    else
        wait_alone(program);
}

void program_close(struct program *program)
{
    program_drop(program, stream_stop);
}
