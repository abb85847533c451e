/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event channels. There are no handlers: an event ends a sleep, and then each part checks whether
 * its port fired.
 */
#ifndef UNIKERNEL_EVENT_H
#define UNIKERNEL_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include <xen/xen.h>

/* Offers a port to a domain. Returns 0 or a negative errno. */
int port_offer(domid_t peer, evtchn_port_t *port);

/* Makes a port that Xen created at boot end a sleep. (port_offer() does this, too.) */
void port_listen(evtchn_port_t port);

void port_signal(evtchn_port_t port);
void port_close(evtchn_port_t port);

/* Whether the port has fired since the last call. */
bool port_fired(evtchn_port_t port);

/*
 * Sleeps until a port fires, or not at all if one has since the last look_begin(). Code that waits
 * for one port (for an answer of xenstored) may call it, too, without losing events for others.
 */
void event_wait(void);

/* Call before looking at all ports: events from here on end the next event_wait() at once. */
void look_begin(void);

/* Whether a port may have fired since look_begin(). */
bool look_again(void);

/* A tick ends a sleep TICK_MS after tick_want(). Each tick must be requested. */
#define TICK_MS 100
void tick_want(bool wanted);

/* Whether there was a tick since the last call. */
bool tick_came(void);

#endif
