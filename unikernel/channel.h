/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vchan that this domain serves: its memory, grants and port, and the echo of what comes. The
 * wire format is in vchan/ring.h.
 */
#ifndef UNIKERNEL_CHANNEL_H
#define UNIKERNEL_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>

#include "vchan/ring.h"

struct channel;

/*
 * Grants a page and rings of these orders (as this side sees them) to a domain and offers it a
 * port. Returns 0, -ENOMEM, or -ENOSPC (no grant or port left). On success the caller owns
 * *channel; on failure it is NULL.
 */
int channel_serve(domid_t peer, const struct ring_orders *orders, struct channel **channel);

grant_ref_t channel_ring_ref(const struct channel *channel);
evtchn_port_t channel_port(const struct channel *channel);

/* Leaves: the peer learns at once, and keeps what it has mapped. NULL is allowed. */
void channel_close(struct channel *channel);

/* Whether the peer has come, and whether it has left. */
bool channel_peer_here(const struct channel *channel);
bool channel_peer_left(const struct channel *channel);

/*
 * Declares that the peer sends no more, so that an empty ring is the end; or that it has released
 * the rings, as xenstore shows.
 */
void channel_set_ended(struct channel *channel);
void channel_set_gone(struct channel *channel);

enum echo {
    ECHO_WAIT,    /* waiting for bytes or room: the peer will signal */
    ECHO_MORE,    /* there is more to do, after other channels have been served */
    ECHO_END,     /* the peer has ended, and everything was echoed */
    ECHO_LEFT,    /* the peer left before everything was echoed */
    ECHO_CORRUPT, /* the peer's indices are invalid */
};

/* Sends back what has come, at most one ring full. */
enum echo channel_echo(struct channel *channel);

/* Bytes echoed so far. */
uint64_t channel_bytes(const struct channel *channel);

/*
 * Frees closed channels that their peers have unmapped by now. Returns whether any are left; no
 * event shows when that changes.
 */
bool channels_reap(void);

#endif
