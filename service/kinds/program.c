/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/kinds/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/log.h"

static struct endpoint *program_endpoint(const struct program *program)
{
    return program->connection->endpoint;
}

static void program_drop(struct program *program, void (*end)(struct carrier *carrier))
{
    if (!program->ops->terminal)
        fdstore_drop(program->connection->fdstore, program->connection->id, FDSTORE_PROGRAM);
    end(&program->carrier);
    if (!program->ops->terminal)
        connection_close_fd(program->connection, FDSTORE_PROGRAM, &program->fd);
    if (program->null_sink >= 0)
        close(program->null_sink);
    program->fd = program->null_sink = -1;
    statistics_set_peer(&program->connection->statistics, "%s", "");
}

/* What the guest sends waits for the next program, but not for ever once the guest has left. */
static void wait_for_next_program(struct program *program)
{
    struct endpoint *endpoint = program_endpoint(program);
    int bytes = carrier_undelivered(&program->carrier);

    if (bytes == -EINPROGRESS)
        return;
    if (bytes == 0) {
        endpoint_set_finished(endpoint);
        endpoint_set_drained(endpoint);
    } else if (bytes == -EPROTO) {
        endpoint_fail_corrupt(endpoint);
    } else if (bytes > 0 && connection_peer_left(program->connection) &&
               !program->ops->next_is_sure) {
        endpoint_fail(endpoint, -EPIPE, "cannot deliver the last %d bytes: no %s took them", bytes,
                      program->ops->noun);
    } else {
        program->ops->want_next(program->arg);
    }
}

/* A program that only half-closed is there until it takes no more bytes, or hangs up. */
static bool has_program_left(const struct program *program)
{
    const struct carrier_ends *ends = &program->carrier.ends;

    if (!ends->source_done)
        return false;
    return program->ops->eof_is_leaving || ends->source_error || ends->sink_error || ends->hung_up;
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

static void program_left(struct program *program)
{
    connection_log(program->connection, LOG_DETAILS, "%s disconnected", program->ops->noun);
    program_drop(program, carrier_pause);
    wait_for_next_program(program);
}

/* The program and the channel end together. */
static void end_together(struct program *program)
{
    char noun[32];

    snprintf(noun, sizeof(noun), "the %s", program->ops->noun);
    carrier_pass_ends(&program->carrier, noun);
}

/* Closing the terminal is a clean end. What the guest sends afterwards goes to /dev/null. */
static void end_terminal(struct program *program)
{
    struct endpoint *endpoint = program_endpoint(program);

    program->null_sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (program->null_sink < 0) {
        endpoint_fail(endpoint, -errno, "cannot open /dev/null: %m");
        return;
    }
    carrier_divert(&program->carrier, program->null_sink);
    endpoint_set_finished(endpoint);
}

static void program_ends_changed(void *arg)
{
    struct program *program = arg;
    const struct carrier_ends *ends = &program->carrier.ends;
    bool reconnect = program->connection->spec.reconnect;

    if (ends->ring_error == -EPROTO || (!reconnect && !program->ops->terminal)) {
        end_together(program);
        return;
    }
    if (ends->sink_done && !ends->sink_error && !program->guest_ended)
        pass_guest_end(program);
    if (!carrier_is_on(&program->carrier) || program->null_sink >= 0 || !has_program_left(program))
        return;
    if (reconnect)
        program_left(program);
    else
        end_terminal(program);
}

void program_init(struct program *program, struct connection *connection,
                  const struct program_ops *ops, void *arg)
{
    *program = (struct program){
        .connection = connection, .ops = ops, .arg = arg, .fd = -1, .null_sink = -1};
    carrier_init(&program->carrier, connection);
}

void program_open(struct program *program)
{
    program->guest_ended = false;
    carrier_open(&program->carrier);
}

void program_attach(struct program *program, int fd, const char *who)
{
    struct connection *connection = program->connection;
    const struct carrier_end end = {
        .item = program->ops->terminal ? FDSTORE_TERMINAL : FDSTORE_PROGRAM, .fd = fd};
    int rc;

    program->fd = fd;
    statistics_set_peer(&connection->statistics, "%s", who);
    connection_log(connection, LOG_DETAILS, "%s connected: %s", program->ops->noun, who);
    rc = carrier_start(&program->carrier, fd, fd, &end, 1, program_ends_changed, program);
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot move bytes: %s", strerror(-rc));
}

void program_stir(struct program *program)
{
    if (!carrier_is_on(&program->carrier))
        wait_for_next_program(program);
}

void program_close(struct program *program)
{
    program_drop(program, carrier_stop);
}
