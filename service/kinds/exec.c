/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection=exec: runs a command each time the guest opens the channel; with reconnect=1 again
 * whenever the command has ended, while the guest has the channel open. With streams, a command for
 * each stream.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/backoff.h"
#include "service/kinds/child.h"
#include "service/connection.h"
#include "service/log.h"
#include "service/kinds/rights.h"
#include "service/kinds/streams.h"
#include "service/carrier.h"

/*
 * Usually a command's output ends because the command ends, a moment later. If it does not end, the
 * end of its output is passed on after this time.
 */
#define END_WAIT_MS 500

struct exec {
    struct connection *connection;
    struct child *child;
    int input; /* we write to it; -1: closed */
    int output;
    bool output_done; /* the command's output has ended */
    bool ended;       /* the command has ended, with this status */
    int status;
    bool end_passed;         /* the command's end was passed on to the guest */
    bool guest_ended;        /* the guest's end was passed on to the command */
    struct user user;        /* the command runs as this user */
    struct backoff backoff;  /* reconnect=1: pending until a restart */
    struct event *end_timer; /* pending: the output has ended, and the command may be about to */
    struct carrier carrier;
    struct kind_streams streams;
    LIST_HEAD(, stream_command) commands;
};

/* The command of a stream. It may outlive the stream, whose end it sees as the end of its input. */
struct stream_command {
    LIST_ENTRY(stream_command) next;
    struct exec *exec;
    struct child *child;
};

static void close_input(struct exec *exec)
{
    connection_close_fd(exec->connection, FDSTORE_INPUT, &exec->input);
}

static void end_input(struct exec *exec)
{
    carrier_divert(&exec->carrier, -1);
    close_input(exec);
    exec->guest_ended = true;
    endpoint_set_drained(exec->connection->endpoint);
}

/* A command may stop reading before it ends. What the guest sends then goes to /dev/null. */
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

/* ---- the command's end ---- */

static void report_status(struct exec *exec)
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

static void stop_command(struct exec *exec, void (*end)(struct carrier *carrier))
{
    if (exec->child)
        child_terminate(exec->child, exec->output_done || exec->guest_ended);
    exec->child = NULL;
    end(&exec->carrier);
    event_del(exec->end_timer);
    close_input(exec);
    connection_close_fd(exec->connection, FDSTORE_OUTPUT, &exec->output);
    statistics_set_peer(&exec->connection->statistics, "%s", "");
}

/* What the guest sends from now on waits in the ring for the next command. */
static void restart_later(struct exec *exec)
{
    if (exec->status == CHILD_STATUS_UNKNOWN)
        connection_log(exec->connection, LOG_CHANGES, "command ended; restarting it");
    else if (WIFSIGNALED(exec->status))
        connection_log(exec->connection, LOG_CHANGES,
                       "command was killed by signal %d; restarting it", WTERMSIG(exec->status));
    else
        connection_log(exec->connection, LOG_CHANGES,
                       "command exited with status %d; restarting it", WEXITSTATUS(exec->status));
    stop_command(exec, carrier_pause);
    backoff_start(&exec->backoff);
}

/* Sets the error first: otherwise the guest could take the end for a clean one. */
static void pass_command_end(struct exec *exec)
{
    exec->end_passed = true;
    event_del(exec->end_timer);
    if (exec->ended)
        report_status(exec);
    endpoint_set_finished(exec->connection->endpoint);
}

/* Restarts once the guest has all of the command's output, unless the guest has ended. */
static bool will_restart(const struct exec *exec)
{
    return exec->connection->spec.reconnect && exec->output_done && exec->ended &&
           !exec->guest_ended;
}

static void output_ended(struct exec *exec)
{
    static const struct timeval end_timer = {.tv_usec = END_WAIT_MS * 1000L};

    exec->output_done = true;
    if (will_restart(exec))
        restart_later(exec);
    else if (exec->ended)
        pass_command_end(exec);
    else
        event_add(exec->end_timer, &end_timer);
}

static void on_command_outlives_output(evutil_socket_t fd, short what, void *arg)
{
    struct exec *exec = arg;

    (void)fd, (void)what;
    if (!exec->connection->spec.reconnect || exec->guest_ended)
        pass_command_end(exec);
}

static void on_command_end(void *arg, int status)
{
    struct exec *exec = arg;

    exec->ended = true;
    exec->status = status;
    if (will_restart(exec))
        restart_later(exec);
    else if (exec->end_passed)
        report_status(exec); /* too late for the guest's program, but people can read it */
    else if (exec->output_done)
        pass_command_end(exec);
}

static const char *why_not_started(int rc)
{
    return rc == -EDQUOT ? "too many of this guest's earlier commands are still running"
                         : strerror(-rc);
}

/* ---- streams ---- */

static void end_command(struct stream_command *command)
{
    LIST_REMOVE(command, next);
    child_terminate(command->child, true);
    free(command);
}

/* The stream has ended with the command's output, so only the log can say how it ended. */
static void on_stream_command_end(void *arg, int status)
{
    struct stream_command *command = arg;
    const struct connection *connection = command->exec->connection;

    if (status == CHILD_STATUS_UNKNOWN)
        connection_log(connection, LOG_DETAILS, "command of a stream ended; exit status unknown");
    else if (WIFSIGNALED(status))
        connection_log(connection, LOG_CHANGES, "command of a stream was killed by signal %d",
                       WTERMSIG(status));
    else if (status)
        connection_log(connection, LOG_CHANGES, "command of a stream exited with status %d",
                       WEXITSTATUS(status));
    end_command(command);
}

static struct stream_command *add_command(struct exec *exec, struct child *child)
{
    struct stream_command *command = calloc(1, sizeof(*command));

    if (!command)
        return NULL;
    command->exec = exec;
    command->child = child;
    LIST_INSERT_HEAD(&exec->commands, command, next);
    child_on_end(child, on_stream_command_end, command);
    return command;
}

static void found_stream_command(void *arg, struct child *child)
{
    if (!add_command(arg, child))
        child_terminate(child, true);
}

/* A guest may end streams whose commands go on, but not have more of those than streams. */
static bool has_room_for_command(const struct exec *exec)
{
    const struct stream_command *command;
    uint32_t running = 0;

    LIST_FOREACH (command, &exec->commands, next)
        running++;
    return running < endpoint_streams(exec->connection->endpoint);
}

static int run_stream_command(struct exec *exec, int *fd)
{
    struct child *child;
    int rc = has_room_for_command(exec) ? 0 : -EDQUOT;

    if (rc == 0)
        rc = child_start_on_socket(exec->connection, &exec->user, fd, &child);
    if (rc < 0)
        return rc;
    connection_log(exec->connection, LOG_DETAILS, "command of a stream started");
    if (add_command(exec, child))
        return 0;
    child_terminate(child, false);
    close(*fd);
    return -ENOMEM;
}

static void run_for_stream(void *arg, struct stream_answer *answer)
{
    int fd, rc = run_stream_command(arg, &fd);
    char why[CONNECTION_WHY_MAX];

    if (rc == 0) {
        stream_answer_done(answer, fd, NULL);
        return;
    }
    snprintf(why, sizeof(why), "cannot run its command: %s", why_not_started(rc));
    stream_answer_done(answer, rc, why);
}

static const struct kind_streams_ops exec_streams_ops = {.connect = run_for_stream};

static void stop_streams(struct exec *exec)
{
    kind_streams_stop(&exec->streams);
    while (!LIST_EMPTY(&exec->commands))
        end_command(LIST_FIRST(&exec->commands));
}

/* ---- bytes ---- */

static void exec_ends_changed(void *arg)
{
    struct exec *exec = arg;
    const struct carrier_ends *ends = &exec->carrier.ends;

    if (ends->ring_error == -EPROTO) {
        endpoint_fail_corrupt(exec->connection->endpoint);
        return;
    }
    if (ends->sink_done && ends->sink_error && !exec->connection->spec.reconnect)
        drop_input(exec); /* with reconnect=1 the bytes are for the next command */
    else if (ends->sink_done && !ends->sink_error && !exec->guest_ended)
        end_input(exec);
    if (carrier_is_on(&exec->carrier) && ends->source_done && !exec->output_done)
        output_ended(exec);
}

/* Takes the command that an earlier process of the service started, or starts one. */
static int get_command(struct exec *exec, bool resumed)
{
    struct connection *connection = exec->connection;

    if (resumed)
        return child_resume(connection, &exec->input, &exec->output, &exec->child);
    return child_start(connection, &exec->user, &exec->input, &exec->output, &exec->child);
}

static int start_command(struct exec *exec, bool resumed)
{
    struct connection *connection = exec->connection;
    int rc = get_command(exec, resumed);

    exec->output_done = exec->ended = exec->end_passed = exec->guest_ended = false;
    if (rc < 0)
        return rc;
    child_on_end(exec->child, on_command_end, exec);
    statistics_set_peer(&connection->statistics, "pid %d", child_pid(exec->child));
    connection_log(connection, LOG_DETAILS,
                   resumed ? "command is still running" : "command started");
    return 0;
}

static void exec_open(struct connection *connection)
{
    struct exec *exec = connection->state;
    int rc;

    if (endpoint_streams(connection->endpoint) > 0) {
        child_resume_all(connection, found_stream_command, exec);
        endpoint_set_ready(connection->endpoint);
        return;
    }
    carrier_open(&exec->carrier);
    rc = start_command(exec, true);
    if (rc == -ENOENT) {
        connection_log_lost(connection);
        rc = start_command(exec, false);
    }
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot run its command: %s", why_not_started(rc));
    else
        endpoint_set_ready(connection->endpoint);
}

static int start_carrier(struct exec *exec)
{
    const struct carrier_end ends[] = {
        {FDSTORE_INPUT, exec->input},
        {FDSTORE_OUTPUT, exec->output},
        {FDSTORE_STDERR, child_stderr(exec->child)},
        {FDSTORE_COMMAND, child_pidfd(exec->child)},
    };

    return carrier_start(&exec->carrier, exec->output, exec->input, ends,
                         sizeof(ends) / sizeof(ends[0]), exec_ends_changed, exec);
}

static void exec_start(struct connection *connection)
{
    struct exec *exec = connection->state;
    int rc;

    if (endpoint_streams(connection->endpoint) > 0) {
        kind_streams_start(&exec->streams);
        return;
    }
    rc = start_carrier(exec);
    if (rc < 0)
        endpoint_fail(connection->endpoint, rc, "cannot move bytes: %s", strerror(-rc));
    else if (exec->input < 0)
        drop_input(exec); /* an earlier process of the service had closed it */
}

static void exec_restart(void *arg)
{
    struct exec *exec = arg;
    int rc = start_command(exec, false);

    if (rc < 0) {
        connection_log(exec->connection, LOG_CHANGES, "cannot run its command: %s (retrying)",
                       why_not_started(rc));
        backoff_start(&exec->backoff);
    } else {
        exec_start(exec->connection);
    }
}

/* The toolstack always writes a user. Older ones left it out for root; that is an error now. */
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
    if (exec->end_timer)
        event_free(exec->end_timer);
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
    kind_streams_init(&exec->streams, connection, &exec_streams_ops, exec);
    LIST_INIT(&exec->commands);
    exec->end_timer = evtimer_new(connection->base, on_command_outlives_output, exec);
    if (exec->end_timer)
        rc = backoff_open(&exec->backoff, connection->base, exec_restart, exec);
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

/* No command runs, but the guest may have ended. */
static void check_guest_end(struct exec *exec)
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

    if (!carrier_is_on(&exec->carrier) && !kind_streams_is_on(&exec->streams))
        check_guest_end(exec);
}

static void exec_close(struct connection *connection)
{
    struct exec *exec = connection->state;

    backoff_reset(&exec->backoff);
    stop_streams(exec);
    stop_command(exec, carrier_stop);
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
