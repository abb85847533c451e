/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Xen says of an event channel of any domain. The kernel gives a dead program's ports back, so
 * this tells whether somebody is at the other end, whatever the nodes say.
 */
#ifndef TOOLSTACK_PORT_H
#define TOOLSTACK_PORT_H

#include "toolstack/tool.h"

enum port_use {
    PORT_UNKNOWN, /* Xen does not tell */
    PORT_CLOSED,
    PORT_UNBOUND, /* offered to a domain */
    PORT_BOUND,
};

struct port {
    enum port_use use;
    int error;       /* PORT_UNKNOWN: why, a positive errno */
    domid_t peer;    /* PORT_UNBOUND, PORT_BOUND: the domain at the other end */
    uint32_t number; /* PORT_BOUND: the port there */
};

/* Asks about a port of a domain. Never blocks. */
void port_look(struct tool *tool, domid_t domid, uint32_t number, struct port *port);

#endif
