/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/worker/relaying.h"

#include <errno.h>
#include <event2/event.h>

static void on_relay_event(evutil_socket_t fd, short what, void *arg)
{
    struct relaying *relaying = arg;

    (void)fd;
    if (what & EV_READ)
        relaying->relay.source_dry = false;
    relaying_step(relaying);
}

static struct event *make_event(struct event_base *base, int fd, short what,
                                struct relaying *relaying)
{
    struct event *event =
        event_new(base, fd, (short)(what | EV_PERSIST | EV_ET), on_relay_event, relaying);

    if (event && event_add(event, NULL) < 0) {
        event_free(event);
        event = NULL;
    }
    return event;
}

/* A zero timeout fires after all events that are ready now. */
void relaying_step_later(struct relaying *relaying)
{
    static const struct timeval at_once = {0};

    if (relaying_is_on(relaying))
        event_add(relaying->again, &at_once);
}

int relaying_start(struct relaying *relaying, struct event_base *base, struct channel *channel,
                   int source, int sink, const struct relay_way *way, void (*stepped)(void *arg),
                   void *arg)
{
    bool two = sink >= 0 && source != sink;
    short what = source == sink ? EV_READ | EV_WRITE : EV_READ;

    relay_init(&relaying->relay, channel, source, sink);
    relaying->relay.way = way;
    relaying->stepped = stepped;
    relaying->arg = arg;
    relaying->again = evtimer_new(base, on_relay_event, relaying);
    relaying->source = make_event(base, source, what, relaying);
    relaying->sink = two ? make_event(base, sink, EV_WRITE, relaying) : NULL;
    if (!relaying->again || !relaying->source || (two && !relaying->sink)) {
        relaying_stop(relaying);
        return -ENOMEM;
    }
    relaying_step_later(relaying);
    return 0;
}

bool relaying_is_on(const struct relaying *relaying)
{
    return relaying->source != NULL;
}

void relaying_step(struct relaying *relaying)
{
    unsigned int wait;

    if (!relaying_is_on(relaying))
        return;
    wait = relay_step(&relaying->relay);
    relaying->relay.source_dry = wait & RELAY_SOURCE;
    if (wait & RELAY_AGAIN)
        relaying_step_later(relaying);
    relaying->stepped(relaying->arg);
}

static void drop_event(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

void relaying_divert(struct relaying *relaying, int sink)
{
    drop_event(&relaying->sink);
    relaying->relay.sink = sink;
    relaying->relay.sink_done = false;
    relaying->relay.sink_error = 0;
    relaying_step_later(relaying);
}

void relaying_stop(struct relaying *relaying)
{
    drop_event(&relaying->source);
    drop_event(&relaying->sink);
    drop_event(&relaying->again);
}
