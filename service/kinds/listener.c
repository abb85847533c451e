/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <config.h>

#include "service/kinds/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "service/connection.h"
#include "service/timer.h"

/* Clients a minute, and at once: more than programs need, but too few to use up a CPU. */
#define CLIENTS_PER_MINUTE 12000
#define CLIENTS_AT_ONCE    64

static void go_on(void *arg)
{
    struct listener *listener = arg;

    if (listener->wanted)
        event_add(listener->incoming, NULL);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    go_on(arg);
}

/* Whether one more client may be accepted now. Otherwise it waits in the queue. */
static bool is_within_rate(struct listener *listener)
{
    int64_t wait = rate_try(&listener->clients);

    if (wait == 0)
        return true;
    event_del(listener->incoming);
    timer_start(listener->pause, wait);
    return false;
}

/* The client stays in the queue, and the socket readable: without a pause this would loop. */
static void accept_later(struct listener *listener, int error)
{
    event_del(listener->incoming);
    backoff_start(&listener->backoff);
    endpoint_set_error(listener->connection->endpoint, -error,
                       "cannot accept a client: %s (retrying)", strerror(error));
}

static void on_client(evutil_socket_t from, short what, void *arg)
{
    struct listener *listener = arg;
    int fd;

    (void)what;
    if (listener->ops->may_accept && !listener->ops->may_accept(listener->arg)) {
        listener_stop(listener);
        return;
    }
    if (!is_within_rate(listener))
        return;
    /* cppcheck-suppress nullPointer ; the address is not needed */
    fd = accept4(from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        endpoint_clear_error(listener->connection->endpoint);
        listener->ops->accepted(listener->arg, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        accept_later(listener, errno);
    } /* otherwise the client has left already */
}

int listener_open(struct listener *listener, struct connection *connection, int fd,
                  const struct listener_ops *ops, void *arg)
{
    struct event_base *base = connection->base;

    *listener = (struct listener){.connection = connection, .ops = ops, .arg = arg};
    listener->incoming = event_new(base, fd, EV_READ | EV_PERSIST, on_client, listener);
    listener->pause = evtimer_new(base, on_pause_over, listener);
    rate_init(&listener->clients, CLIENTS_PER_MINUTE, CLIENTS_AT_ONCE);
    if (listener->incoming && listener->pause &&
        backoff_open(&listener->backoff, base, go_on, listener) == 0)
        return 0;
    listener_close(listener);
    return -ENOMEM;
}

void listener_start(struct listener *listener)
{
    listener->wanted = true;
    if (!event_pending(listener->pause, EV_TIMEOUT, NULL) && !backoff_is_on(&listener->backoff))
        event_add(listener->incoming, NULL);
}

void listener_stop(struct listener *listener)
{
    listener->wanted = false;
    event_del(listener->incoming);
    event_del(listener->pause);
    backoff_reset(&listener->backoff);
}

void listener_close(struct listener *listener)
{
    if (listener->incoming)
        event_free(listener->incoming);
    if (listener->pause)
        event_free(listener->pause);
    backoff_close(&listener->backoff);
}
