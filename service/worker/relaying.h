/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay (vchan/relay.h) driven by libevent.
 *
 * While the relay is on, its descriptors are watched edge-triggered. An edge calls for a step, as
 * the peer's signal does, and a step continues until it would block. So waiting needs no system
 * call to add or remove an event.
 */
#ifndef SERVICE_WORKER_RELAYING_H
#define SERVICE_WORKER_RELAYING_H

#include <stdbool.h>

#include "vchan/relay.h"

struct event;
struct event_base;

struct relaying {
    struct relay relay;
    struct event *source; /* NULL while it is off */
    struct event *sink;   /* NULL: none, or the same descriptor as the source */
    struct event *again;  /* pending: relaying_step_later() */
    void (*stepped)(void *arg);
    void *arg;
};

/*
 * Turns the relay on; it must be zeroed or off. The descriptors stay the caller's, are
 * non-blocking, and must stay open until relaying_stop(). sink may be -1. way: as in struct relay,
 * or NULL. Makes the first step from the event loop, and calls stepped(arg) after each step.
 * Returns 0, or -ENOMEM with the relay off.
 */
int relaying_start(struct relaying *relaying, struct event_base *base, struct channel *channel,
                   int source, int sink, const struct relay_way *way, void (*stepped)(void *arg),
                   void *arg);

bool relaying_is_on(const struct relaying *relaying);

/* Moves what can be moved now. Does nothing if the relay is off. */
void relaying_step(struct relaying *relaying);

/* Makes a step after all events that are ready now. Does nothing if the relay is off. */
void relaying_step_later(struct relaying *relaying);

/*
 * Replaces the sink, after which the caller may close the old one. The new one must always be
 * writable (/dev/null), since it is not watched; -1: the rest stays in the ring.
 */
void relaying_divert(struct relaying *relaying, int sink);

/* Turns the relay off; relaying->relay keeps its last values. Allowed in stepped(), and if off. */
void relaying_stop(struct relaying *relaying);

#endif
