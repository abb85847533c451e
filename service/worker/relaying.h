/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay (vchan/relay.h) that libevent drives.
 *
 * The descriptors are watched edge-triggered, for as long as it is on: an edge, like the peer's
 * signal, means "step", and a step goes on until it would block. So waiting costs no system call.
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
    struct event *sink;   /* NULL: the same descriptor as the source's */
    struct event *again;
    void (*stepped)(void *arg);
    void *arg;
};

/*
 * Turns it on (zeroed, or off); sink may be -1 (relaying_divert()). The descriptors stay the
 * caller's, are non-blocking, and open until relaying_stop(). way: NULL, or how bytes move.
 * stepped() is called after each step from then on. 0 or -ENOMEM; on failure it is off. The first
 * step comes by itself.
 */
int relaying_start(struct relaying *relaying, struct event_base *base, struct channel *channel,
                   int source, int sink, const struct relay_way *way, void (*stepped)(void *arg),
                   void *arg);

bool relaying_is_on(const struct relaying *relaying);

/* Moves what can be moved. Does nothing if it is off. */
void relaying_step(struct relaying *relaying);

/* Steps after others that are ready had their turn. */
void relaying_step_later(struct relaying *relaying);

/*
 * Gives the sink up, which may be closed then: the rest goes to another descriptor, one that is
 * always writable, or nowhere (-1).
 */
void relaying_divert(struct relaying *relaying, int sink);

/* Turns it off. Allowed in stepped(), and if it is off. relay keeps what it counted. */
void relaying_stop(struct relaying *relaying);

#endif
