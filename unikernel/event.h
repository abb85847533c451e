/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event channels. There are no handlers: an event ends a sleep, and then everybody looks whether
 * their port fired.
 */
#ifndef UNIKERNEL_EVENT_H
#define UNIKERNEL_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include <xen/xen.h>

/* Offers a port to a domain. Returns 0 or a negative errno. */
int port_offer(domid_t peer, evtchn_port_t *port);

/* Lets a port that Xen made at boot end a sleep; port_offer() has done so. */
void port_listen(evtchn_port_t port);

void port_signal(evtchn_port_t port);
void port_close(evtchn_port_t port);

/* Whether the port fired since the last time that this was asked. */
bool port_fired(evtchn_port_t port);

/*
 * Sleeps until a port fires; not at all if one did since the last look_begin(). Whoever looks at a
 * port in between (to wait for an answer of xenstored) calls it too, and loses no event for the
 * others.
 */
void event_wait(void);

/* All that fired before this is looked at now. */
void look_begin(void);

/* Whether something may have fired since look_begin(). */
bool look_again(void);

/* A tick ends a sleep, too, TICK_MS after it was wanted. For another one it is wanted again. */
#define TICK_MS 100
void tick_want(bool wanted);

/* Whether there was a tick since the last time that this was asked. */
bool tick_came(void);

#endif
