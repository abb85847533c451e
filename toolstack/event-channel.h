/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks Xen about an event channel of any domain. The kernel closes a dead program's ports, so this
 * shows whether a program is at the other end, whatever the nodes say.
 */
#ifndef TOOLSTACK_EVENT_CHANNEL_H
#define TOOLSTACK_EVENT_CHANNEL_H

#include "toolstack/tool.h"

enum event_channel_use {
    EVENT_CHANNEL_UNKNOWN, /* Xen did not answer */
    EVENT_CHANNEL_CLOSED,
    EVENT_CHANNEL_UNBOUND, /* offered to a domain */
    EVENT_CHANNEL_BOUND,
};

struct event_channel {
    enum event_channel_use use;
    int error;       /* EVENT_CHANNEL_UNKNOWN: the reason, a positive errno */
    domid_t peer;    /* EVENT_CHANNEL_UNBOUND, EVENT_CHANNEL_BOUND: the domain at the other end */
    uint32_t number; /* EVENT_CHANNEL_BOUND: the port there */
};

/* Asks about one port of a domain. Never blocks. */
void event_channel_query(struct tool *tool, domid_t domid, uint32_t number,
                         struct event_channel *port);

#endif
