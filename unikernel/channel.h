/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vchan that we serve: its memory, grants and port, and the echo of what comes. vchan/ring.h has
 * all that concerns the wire.
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
 * Grants a page and rings of these orders (seen from here) to a domain and offers it a port. 0,
 * -ENOMEM, or -ENOSPC (grants or ports). On success the caller owns *channel; on failure it is
 * NULL.
 */
int channel_serve(domid_t peer, const struct ring_orders *orders, struct channel **channel);

grant_ref_t channel_ring_ref(const struct channel *channel);
evtchn_port_t channel_port(const struct channel *channel);

/* Leaves: the peer learns it at once. What it has mapped stays for it. NULL is allowed. */
void channel_close(struct channel *channel);

/* Whether the peer has come, and whether it has left. */
bool channel_peer_here(const struct channel *channel);
bool channel_peer_left(const struct channel *channel);

/* The peer sends no more: an empty ring is the end. Or it has let go, as xenstore says. */
void channel_set_ended(struct channel *channel);
void channel_set_gone(struct channel *channel);

enum echo {
    ECHO_WAIT,    /* for bytes or room: the peer will signal */
    ECHO_MORE,    /* there is more to do at once, but others may have a turn */
    ECHO_END,     /* the peer sends no more, and all was echoed */
    ECHO_LEFT,    /* the peer left before all was echoed */
    ECHO_CORRUPT, /* the peer's indices make no sense */
};

/* Sends back what has come, at most a ring full of it. */
enum echo channel_echo(struct channel *channel);

/* Bytes echoed so far. */
uint64_t channel_bytes(const struct channel *channel);

/*
 * Gives back the memory of closed channels whose peers have let go of it by now. Returns whether
 * some is left: nothing tells when that changes.
 */
bool channels_reap(void);

#endif
