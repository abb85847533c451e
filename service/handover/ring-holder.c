/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/ring-holder.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/backoff.h"
#include "service/handover/ring-holder-protocol.h"
#include "service/handover/fdstore.h"
#include "service/log.h"
#include "service/start.h"
#include "state/clock.h"

/* The owner of the socket in the fdstore. */
#define FDSTORE_OWNER "holder"

#define ANSWER_SECONDS 5

struct ring_holder {
    struct event_base *base;
    struct fdstore *fdstore;
    int fd; /* -1: the ring holder is about to be restarted */
    struct event *readable;
    struct backoff restart;
    uint32_t tag;
};

/* ---- the process ---- */

static int start_ring_holder(void)
{
    int pidfd, fd = start_process(RING_HOLDER_NAME, &pidfd);

    if (fd >= 0)
        close(pidfd);
    return fd;
}

/* ---- its socket ---- */

static void forget_socket(struct ring_holder *holder)
{
    if (holder->fd < 0)
        return;
    event_free(holder->readable);
    holder->readable = NULL;
    fdstore_drop(holder->fdstore, FDSTORE_OWNER, FDSTORE_RING_HOLDER);
    close(holder->fd);
    holder->fd = -1;
}

static void forget_rings(void *arg, const char *owner, const struct endpoint_rings *rings)
{
    const struct ring_holder *holder = arg;

    (void)rings;
    fdstore_drop_rings(holder->fdstore, owner);
}

/* Only this process knows which rings are to be mapped again. */
static void handle_holder_death(struct ring_holder *holder)
{
    log_line(LOG_ERRORS, RING_HOLDER_NAME " died; restarting it");
    forget_socket(holder);
    fdstore_each_rings(holder->fdstore, false, forget_rings, holder);
    backoff_start(&holder->restart);
}

/* The ring holder only answers. So this is its end, or a late answer to an earlier process. */
static void on_holder_readable(evutil_socket_t fd, short what, void *arg)
{
    struct ring_holder_message message;
    ssize_t got = recv(fd, &message, sizeof(message), MSG_DONTWAIT);

    (void)what;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        handle_holder_death(arg);
}

static int adopt_socket(struct ring_holder *holder, int fd)
{
    static const struct timeval patience = {.tv_sec = ANSWER_SECONDS};

    holder->readable =
        event_new(holder->base, fd, EV_READ | EV_PERSIST, on_holder_readable, holder);
    if (!holder->readable || event_add(holder->readable, NULL) < 0) {
        if (holder->readable)
            event_free(holder->readable);
        holder->readable = NULL;
        fdstore_drop(holder->fdstore, FDSTORE_OWNER, FDSTORE_RING_HOLDER);
        close(fd);
        return -ENOMEM;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    fdstore_add(holder->fdstore, FDSTORE_OWNER, FDSTORE_RING_HOLDER, fd, true);
    holder->fd = fd;
    return 0;
}

static ssize_t receive_answer(int fd, struct ring_holder_message *message)
{
    ssize_t got;

    do
        got = recv(fd, message, sizeof(*message), 0);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Receives the next answer with this tag, and skips others. Returns false if the process died. */
static bool await_answer_to(struct ring_holder *holder, uint32_t tag,
                            struct ring_holder_message *message)
{
    do
        if (receive_answer(holder->fd, message) != (ssize_t)sizeof(*message))
            return false;
    while (message->tag != tag);
    return true;
}

/* Returns whether the request was sent. */
static bool send_to_holder(struct ring_holder *holder, struct ring_holder_message *message)
{
    ssize_t sent;

    message->tag = ++holder->tag;
    do
        sent = send(holder->fd, message, sizeof(*message), MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof(*message);
}

/*
 * Returns the answer's result; also 0 if the ring holder is not running or dies now: once
 * restarted, it is sent everything again.
 */
static int exchange_messages(struct ring_holder *holder, enum ring_holder_request request,
                             const char *owner, const struct endpoint_rings *rings)
{
    struct ring_holder_message message = {.request = request, .rings = *rings};

    snprintf(message.owner, sizeof(message.owner), "%s", owner);
    if (holder->fd < 0)
        return 0;
    if (send_to_holder(holder, &message) && await_answer_to(holder, message.tag, &message))
        return message.result;
    handle_holder_death(holder);
    return 0;
}

/* ---- the rings ---- */

/* They are noted first: a note of rings that are not mapped does no harm, the reverse leaks. */
int ring_holder_add(struct ring_holder *holder, const char *owner,
                    const struct endpoint_rings *rings)
{
    int rc = holder ? fdstore_set_rings(holder->fdstore, owner, rings) : 0;

    if (!holder || rc < 0)
        return rc;
    rc = exchange_messages(holder, RING_HOLDER_ADD, owner, rings);
    if (rc < 0)
        fdstore_drop_rings(holder->fdstore, owner);
    return rc;
}

void ring_holder_drop(struct ring_holder *holder, const char *owner)
{
    static const struct endpoint_rings none;

    if (!holder || !fdstore_has_rings(holder->fdstore, owner))
        return;
    exchange_messages(holder, RING_HOLDER_DROP, owner, &none);
    fdstore_drop_rings(holder->fdstore, owner);
}

bool ring_holder_find(const struct ring_holder *holder, const char *owner,
                      struct endpoint_rings *rings)
{
    return holder && fdstore_find_rings(holder->fdstore, owner, rings);
}

static void drop_rings(void *arg, const char *owner, const struct endpoint_rings *rings)
{
    (void)rings;
    ring_holder_drop(arg, owner);
}

void ring_holder_drop_unclaimed(struct ring_holder *holder)
{
    if (holder)
        fdstore_each_rings(holder->fdstore, false, drop_rings, holder);
}

/* ---- starting and stopping ---- */

struct renewal {
    struct ring_holder *holder;
    unsigned int mapped;
};

static void add_rings(void *arg, const char *owner, const struct endpoint_rings *rings)
{
    struct renewal *renewal = arg;
    int rc = exchange_messages(renewal->holder, RING_HOLDER_ADD, owner, rings);

    renewal->mapped += rc == 0;
    if (rc < 0)
        fdstore_drop_rings(renewal->holder->fdstore, owner);
}

/* A new ring holder maps what this process uses. */
static void add_rings_again(struct ring_holder *holder)
{
    struct renewal renewal = {.holder = holder};

    fdstore_each_rings(holder->fdstore, true, add_rings, &renewal);
    if (renewal.mapped > 0 && holder->fd >= 0)
        log_line(LOG_CHANGES, RING_HOLDER_NAME " mapped the rings of %u channel%s again",
                 renewal.mapped, renewal.mapped == 1 ? "" : "s");
}

static void restart_ring_holder(void *arg)
{
    struct ring_holder *holder = arg;
    int fd = start_ring_holder(), rc = fd < 0 ? fd : adopt_socket(holder, fd);

    if (rc < 0) {
        log_line(LOG_ERRORS, "cannot start " RING_HOLDER_NAME ": %s", strerror(-rc));
        backoff_start(&holder->restart);
        return;
    }
    add_rings_again(holder);
}

/* Notes which rings a ring holder of version 1 maps. */
static int note_its_rings(struct ring_holder *holder)
{
    struct ring_holder_message message = {.request = RING_HOLDER_LIST};
    uint32_t tag;

    if (!send_to_holder(holder, &message))
        return -EIO;
    tag = message.tag;
    while (await_answer_to(holder, tag, &message)) {
        if (message.request == RING_HOLDER_LIST)
            return 0;
        message.owner[sizeof(message.owner) - 1] = '\0';
        fdstore_leave_rings(holder->fdstore, message.owner, &message.rings);
    }
    return -EIO;
}

/* Returns 0, -EPROTONOSUPPORT, or -EIO if the ring holder of an earlier process is gone. */
static int check_holder_version(struct ring_holder *holder, uint32_t *version)
{
    struct ring_holder_message message = {.request = RING_HOLDER_GET_VERSION};

    if (!send_to_holder(holder, &message) || !await_answer_to(holder, message.tag, &message))
        return -EIO;
    *version = message.result == -ENOSYS ? 1 : (uint32_t)message.result;
    if (*version == 1) {
        fdstore_each_rings(holder->fdstore, false, forget_rings, holder);
        return note_its_rings(holder);
    }
    return *version == RING_HOLDER_VERSION ? 0 : -EPROTONOSUPPORT;
}

/* Returns a tag that, very likely, no earlier process used. */
static uint32_t make_first_tag(void)
{
    return (uint32_t)clock_us();
}

/* Returns 0, also if the ring holder is being restarted, or -EPROTONOSUPPORT. */
static int find_or_start_holder(struct ring_holder *holder, uint32_t *version)
{
    int fd = fdstore_take(holder->fdstore, FDSTORE_OWNER, FDSTORE_RING_HOLDER);
    int rc = fd < 0 ? fd : adopt_socket(holder, fd);

    if (rc == 0)
        rc = check_holder_version(holder, version);
    if (rc == -EPROTONOSUPPORT || rc == 0)
        return rc;
    if (holder->fd >= 0) {
        handle_holder_death(holder);
        return 0;
    }
    fdstore_each_rings(holder->fdstore, false, forget_rings, holder);
    restart_ring_holder(holder);
    return 0;
}

int ring_holder_open(struct event_base *base, struct fdstore *fdstore, struct ring_holder **out,
                     uint32_t *version)
{
    struct ring_holder *holder;
    int rc;

    *out = NULL;
    if (!fdstore_is_left(fdstore, FDSTORE_OWNER, FDSTORE_RING_HOLDER) &&
        !fdstore_has_room(fdstore, 1))
        return 0;
    holder = calloc(1, sizeof(*holder));
    if (!holder)
        return -ENOMEM;
    holder->base = base;
    holder->fdstore = fdstore;
    holder->fd = -1;
    holder->tag = make_first_tag();
    if (backoff_open(&holder->restart, base, restart_ring_holder, holder) < 0) {
        free(holder);
        return -ENOMEM;
    }
    rc = find_or_start_holder(holder, version);
    if (rc < 0)
        ring_holder_close(holder);
    else
        *out = holder;
    return rc;
}

void ring_holder_close(struct ring_holder *holder)
{
    if (!holder)
        return;
    backoff_close(&holder->restart);
    if (holder->readable)
        event_free(holder->readable);
    if (holder->fd >= 0)
        close(holder->fd);
    free(holder);
}

/* shutdown() ends the ring holder even if another process still has a copy of the socket. */
void ring_holder_stop(struct ring_holder *holder)
{
    struct ring_holder_message message;

    if (!holder)
        return;
    backoff_close(&holder->restart);
    if (holder->fd < 0)
        return;
    shutdown(holder->fd, SHUT_WR);
    while (receive_answer(holder->fd, &message) > 0)
        ;
    forget_socket(holder);
}
