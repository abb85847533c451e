/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=exec: a program, started each time the guest opens the channel; with reconnect=1 again
 * and again, for as long as it has it open.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/backoff.h"
#include "service/kinds/child.h"
#include "service/connection.h"
#include "service/log.h"
#include "service/kinds/rights.h"
#include "service/carrier.h"

/*
 * As a rule a program's output ends because it ends, in a moment. One that only closed its output
 * has the end passed on after this.
 */
#define PATIENCE_MS 500

struct exec {
    struct connection *connection;
    struct child *child;
    int input; /* we write it; -1: closed */
    int output;
    bool silent; /* the program's output has ended */
    bool ended;  /* the program has, with this status */
    int status;
    bool finished;          /* its end is passed on */
    bool drained;           /* the guest's end is */
    struct user user;       /* runs it */
    struct backoff backoff; /* reconnect=1: it is started again */
    struct event *patience; /* pending: it is silent, and may be about to end */
    struct carrier carrier;
};

static void close_input(struct exec *exec)
{
    connection_let_go(exec->connection, CHILD_INPUT_KEPT, &exec->input);
}

static void end_input(struct exec *exec)
{
    carrier_divert(&exec->carrier, -1);
    close_input(exec);
    exec->drained = true;
    endpoint_set_drained(exec->connection->endpoint);
}

/* A program may well stop reading before it ends: what the guest goes on to send is not wanted. */
static void drop_input(struct exec *exec)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        end_input(exec);
        return;
    }
    carrier_divert(&exec->carrier, fd);
    close_input(exec);
    exec->input = fd;
}

/* ---- the program's end ---- */

static void complain_status(struct exec *exec)
{
    struct endpoint *endpoint = exec->connection->endpoint;

    if (exec->status == CHILD_STATUS_UNKNOWN)
        connection_log(exec->connection, LOG_CHANGES,
                       "command ended; exit status unknown (started by a previous process)");
    else if (WIFSIGNALED(exec->status))
        endpoint_set_error(endpoint, -EPIPE, "command was killed by signal %d",
                           WTERMSIG(exec->status));
    else if (exec->status)
        endpoint_set_error(endpoint, -EPIPE, "command exited with status %d",
                           WEXITSTATUS(exec->status));
}

static void stop_program(struct exec *exec, void (*end)(struct carrier *carrier))
{
    if (exec->child)
        child_leave(exec->child, exec->silent || exec->drained);
    exec->child = NULL;
    end(&exec->carrier);
    event_del(exec->patience);
    close_input(exec);
    connection_let_go(exec->connection, CHILD_OUTPUT_KEPT, &exec->output);
    statistics_set_peer(&exec->connection->statistics, "%s", "");
}

/* What the guest sends from now on waits in the ring for the next one. */
static void start_again_later(struct exec *exec)
{
    if (exec->status == CHILD_STATUS_UNKNOWN)
        connection_log(exec->connection, LOG_CHANGES, "command ended; restarting it");
    else if (WIFSIGNALED(exec->status))
        connection_log(exec->connection, LOG_CHANGES,
                       "command was killed by signal %d; restarting it", WTERMSIG(exec->status));
    else
        connection_log(exec->connection, LOG_CHANGES,
                       "command exited with status %d; restarting it", WEXITSTATUS(exec->status));
    stop_program(exec, carrier_pause);
    backoff_start(&exec->backoff);
}

/* The error first: the guest may not take the end for one in order. */
static void pass_program_end(struct exec *exec)
{
    exec->finished = true;
    event_del(exec->patience);
    if (exec->ended)
        complain_status(exec);
    endpoint_set_finished(exec->connection->endpoint);
}

/* The program is to be started again: all of its output is with the guest, which has not ended. */
static bool starts_again(const struct exec *exec)
{
    return exec->connection->spec.reconnect && exec->silent && exec->ended && !exec->drained;
}

static void output_ended(struct exec *exec)
{
    static const struct timeval patience = {.tv_usec = PATIENCE_MS * 1000L};

    exec->silent = true;
    if (starts_again(exec))
        start_again_later(exec);
    else if (exec->ended)
        pass_program_end(exec);
    else
        event_add(exec->patience, &patience);
}

static void program_goes_on(evutil_socket_t fd, short what, void *arg)
{
    struct exec *exec = arg;

    (void)fd, (void)what;
    if (!exec->connection->spec.reconnect || exec->drained)
        pass_program_end(exec);
}

static void program_ended(void *arg, int status)
{
    struct exec *exec = arg;

    exec->ended = true;
    exec->status = status;
    if (starts_again(exec))
        start_again_later(exec);
    else if (exec->finished)
        complain_status(exec); /* too late for the guest's program, but not for a person */
    else if (exec->silent)
        pass_program_end(exec);
}

/* ---- bytes ---- */

static void exec_stepped(void *arg)
{
    struct exec *exec = arg;
    const struct carrier_ends *ends = &exec->carrier.ends;

    if (ends->ring_error == -EPROTO) {
        endpoint_fail_corrupt(exec->connection->endpoint);
        return;
    }
    if (ends->sink_done && ends->sink_error && !exec->connection->spec.reconnect)
        drop_input(exec); /* otherwise it is for the next */
    else if (ends->sink_done && !ends->sink_error && !exec->drained)
        end_input(exec);
    if (carrier_is_on(&exec->carrier) && ends->source_done && !exec->silent)
        output_ended(exec);
}

/* The program that an earlier process had, or a new one. */
static int find_program(struct exec *exec, bool resumed)
{
    struct connection *connection = exec->connection;

    if (resumed)
        return child_resume(connection, &exec->input, &exec->output, &exec->child);
    return child_start(connection, &exec->user, &exec->input, &exec->output, &exec->child);
}

static int start_program(struct exec *exec, bool resumed)
{
    struct connection *connection = exec->connection;
    int rc = find_program(exec, resumed);

    exec->silent = exec->ended = exec->finished = exec->drained = false;
    if (rc < 0)
        return rc;
    child_on_end(exec->child, program_ended, exec);
    statistics_set_peer(&connection->statistics, "pid %d", child_pid(exec->child));
    connection_log(connection, LOG_DETAILS,
                   resumed ? "command is still running" : "command started");
    return 0;
}

static const char *why_not_started(int rc)
{
    return rc == -EDQUOT ? "too many of this guest's earlier commands are still running"
                         : strerror(-rc);
}

static void exec_open(struct connection *connection)
{
    struct exec *exec = connection->state;
    int rc;

    carrier_open(&exec->carrier);
    rc = start_program(exec, true);
    if (rc == -ENOENT) {
        connection_mourn(connection);
        rc = start_program(exec, false);
    }
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot run its command: %s", why_not_started(rc));
    else
        endpoint_set_ready(connection->endpoint);
}

static int carry(struct exec *exec)
{
    const struct carrier_end ends[] = {
        {CHILD_INPUT_KEPT, exec->input},
        {CHILD_OUTPUT_KEPT, exec->output},
        {CHILD_STDERR_KEPT, child_stderr(exec->child)},
        {CHILD_KEPT, child_pidfd(exec->child)},
    };

    return carrier_start(&exec->carrier, exec->output, exec->input, ends,
                         sizeof(ends) / sizeof(ends[0]), exec_stepped, exec);
}

static void exec_start(struct connection *connection)
{
    struct exec *exec = connection->state;
    int rc = carry(exec);

    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot move bytes: %s", strerror(-rc));
    else if (exec->input < 0)
        drop_input(exec); /* an earlier process had closed it */
}

static void exec_again(void *arg)
{
    struct exec *exec = arg;
    int rc = start_program(exec, false);

    if (rc < 0) {
        connection_log(exec->connection, LOG_CHANGES, "cannot run its command: %s (retrying)",
                       why_not_started(rc));
        backoff_start(&exec->backoff);
    } else {
        exec_start(exec->connection);
    }
}

/* The toolstack says one; an older one left it out where the command was to be root's. */
static int read_user(struct exec *exec, char why[CONNECTION_WHY_MAX])
{
    const char *name = exec->connection->spec.user;

    if (name[0])
        return user_read(name, &exec->user, why);
    snprintf(why, CONNECTION_WHY_MAX,
             "connection=exec needs user= (node private/user; for root, write user=root)");
    return -EINVAL;
}

static void exec_free(struct exec *exec)
{
    if (exec->patience)
        event_free(exec->patience);
    backoff_close(&exec->backoff);
    free(exec);
}

static int exec_plug(struct connection *connection, char why[CONNECTION_WHY_MAX])
{
    struct exec *exec = calloc(1, sizeof(*exec));
    int rc = -ENOMEM;

    snprintf(why, CONNECTION_WHY_MAX, "out of memory");
    if (!exec)
        return rc;
    exec->connection = connection;
    exec->input = exec->output = -1;
    carrier_init(&exec->carrier, connection);
    exec->patience = evtimer_new(connection->base, program_goes_on, exec);
    if (exec->patience)
        rc = backoff_open(&exec->backoff, connection->base, exec_again, exec);
    if (rc == 0)
        rc = read_user(exec, why);
    if (rc < 0)
        exec_free(exec);
    else
        connection->state = exec;
    return rc;
}

static void exec_unplug(struct connection *connection)
{
    exec_free(connection->state);
}

/* No program, but the guest may have ended. */
static void look_alone(struct exec *exec)
{
    struct endpoint *endpoint = exec->connection->endpoint;
    int bytes = carrier_undelivered(&exec->carrier);

    if (bytes == -EPROTO) {
        endpoint_fail_corrupt(endpoint);
    } else if (bytes == 0) {
        endpoint_set_finished(endpoint);
        endpoint_set_drained(endpoint);
    }
}

static void exec_stir(struct connection *connection)
{
    struct exec *exec = connection->state;

    if (!carrier_is_on(&exec->carrier))
        look_alone(exec);
}

static void exec_close(struct connection *connection)
{
    struct exec *exec = connection->state;

    backoff_reset(&exec->backoff);
    stop_program(exec, carrier_stop);
}

const struct connection_kind connection_exec = {
    .name = "exec",
    .plug = exec_plug,
    .unplug = exec_unplug,
    .open = exec_open,
    .start = exec_start,
    .stir = exec_stir,
    .close = exec_close,
};
