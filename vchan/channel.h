/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One vchan: the shared page and its rings, its grants and its port, and the bytes that pass
 * through. It never blocks and knows nothing of xenstore. It belongs to the thread of its struct
 * xen.
 */
#ifndef VCHAN_CHANNEL_H
#define VCHAN_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "state/device.h"
#include "vchan/ring.h"
#include "vchan/xen.h"

struct channel;

/* Called from xen_dispatch() when the peer has signalled. It may close the channel. */
struct channel_owner {
    void (*fired)(struct channel *channel, void *arg);
    void *arg;
};

/*
 * Server: grants a page and rings of these orders (as the server sees them) to domain peer, and
 * offers it a port. On success the caller owns *channel; on failure *channel is NULL and nothing
 * stays allocated. -ENOSPC: the kernel grants no more pages (gntalloc's limit, 1024 by default, or
 * the grant table is full); -EUSERS: this domain has no event channel left; -ENODEV: the driver is
 * not loaded (xen-gntalloc here, xen-gntdev for channel_join()).
 */
int channel_serve(struct xen *xen, domid_t peer, const struct ring_orders *orders,
                  struct channel_owner owner, struct channel **channel);

/* Server: what the client needs to connect. */
uint32_t channel_ring_ref(const struct channel *channel);
evtchn_port_t channel_port(const struct channel *channel);

/*
 * Client: binds to the server's port, maps the page and its rings, marks itself present and
 * signals. -EBUSY: the port is not offered to us or is taken (by another client, or the server is
 * gone); -ESRCH: no such domain; -EINVAL: no such grant for us (the server is gone or wrote a wrong
 * reference); -EPROTO: the page is invalid; -E2BIG: a ring's order exceeds most (as the server sees
 * it; NULL: no limit); -ENODEV as for channel_serve(). On failure nothing stays allocated, and a
 * server whose port was bound sees its client leave, because the kernel signals when it unmaps the
 * page.
 */
int channel_join(struct xen *xen, domid_t peer, uint32_t ring_ref, evtchn_port_t port,
                 const struct ring_orders *most, struct channel_owner owner,
                 struct channel **channel);

/*
 * Client: joins without a port, after the server has gone, while another process keeps its pages
 * mapped. It signals nobody, and channel_peer_died() is true.
 */
int channel_adopt(struct xen *xen, domid_t peer, uint32_t ring_ref, const struct ring_orders *most,
                  struct channel_owner owner, struct channel **channel);

/*
 * Leaves: the peer can still read what was written, and learns at once that we are gone. NULL is
 * allowed.
 */
void channel_close(struct channel *channel);

/* Declares that the peer will send no more: an empty ring is then the end. */
void channel_set_ended(struct channel *channel);

/*
 * Declares that the peer has released the rings, whatever its live byte says: a destroyed domain
 * cannot clear it. What it wrote can still be read.
 */
void channel_set_gone(struct channel *channel);

/*
 * Our indices (doc/protocol.md, "The shared page"), for a process that takes over when we die:
 * bytes read and written since the beginning, modulo 2^32.
 */
uint32_t channel_read_index(const struct channel *channel);
uint32_t channel_write_index(const struct channel *channel);

/*
 * Sets whether another process takes over when the peer's dies. If so, its live byte alone does not
 * mean that it has left, and a wait for it continues.
 */
void channel_set_resumable(struct channel *channel, bool resumable);

/*
 * Whether the peer has left, cleanly or not. What it wrote is still in the ring. After
 * channel_set_resumable(true), only channel_set_gone() makes this true.
 */
bool channel_peer_left(const struct channel *channel);

/* Whether the peer's process is gone, by its live byte alone. False if it has not come yet. */
bool channel_peer_died(const struct channel *channel);

/*
 * Whether the peer has come and not left. After channel_set_resumable(true), the peer counts as
 * present even when its process is not.
 */
bool channel_peer_here(const struct channel *channel);

/*
 * Returns the number of bytes that can be read now; 0 at the end (the peer left or ended, and the
 * ring is empty); -EAGAIN if there are fewer than enough and more may come (the peer has then been
 * asked to signal); -EPROTO if the ring is corrupt, which is permanent. At the end it may return
 * fewer than enough.
 */
int channel_readable(struct channel *channel, uint32_t enough);

/*
 * Whether enough bytes are there by the last snapshot. Reads nothing from the page and asks for no
 * signal.
 */
bool channel_has(const struct channel *channel, uint32_t enough);

/*
 * Returns the number of bytes that can be written now; -EAGAIN if there is room for fewer than
 * enough (the peer has then been asked to signal); -EPIPE if the peer left; -EPROTO.
 */
int channel_writable(struct channel *channel, uint32_t enough);

/*
 * Bytes that can be read, and room that can be written, by the peer's indices now. Changes no state
 * and asks for no signal. 0 after -EPROTO, or if the index is invalid.
 */
uint32_t channel_count_readable(const struct channel *channel);
uint32_t channel_count_writable(const struct channel *channel);

/* What a side waits for: bytes to read, or room to write. */
enum channel_wait { CHANNEL_READ, CHANNEL_WRITE };

/*
 * Polls for at most about 50 us until enough bytes or enough room appear; less and less often if
 * that finds nothing, and never with only one CPU. Returns false if they did not appear: then
 * sleep. It asks for no signal; channel_readable() and channel_writable() do.
 */
bool channel_spin(struct channel *channel, enum channel_wait wait, uint32_t enough);

/*
 * The next bytes to read or to fill, without a copy. bytes is at most what channel_readable() or
 * channel_writable() last returned. Returns the number of spans, 0 to 2.
 */
unsigned int channel_peek(const struct channel *channel, uint32_t bytes, struct ring_span spans[2]);
unsigned int channel_reserve(const struct channel *channel, uint32_t bytes,
                             struct ring_span spans[2]);

/*
 * Takes peeked bytes out of the ring. A peer that waits for room is not woken at every read, but
 * when half the ring is free, when everything has been read, or when this side is about to wait.
 */
void channel_consume(struct channel *channel, uint32_t bytes);

/*
 * Publishes what was consumed, and wakes the peer if it waits for room. Call it before this side
 * waits for anything but the channel; otherwise each side could wait for an index that the other
 * has not yet published. (channel_readable() and channel_writable() do this when they return
 * -EAGAIN.)
 */
void channel_publish(struct channel *channel);

/*
 * Records in the shared page how far this side has read, for a process that takes over if this one
 * dies. (channel_consume() does so only when it wakes the peer.)
 */
void channel_record(struct channel *channel);

/* Sends bytes that were filled in, and wakes the peer if it asked for that. */
void channel_commit(struct channel *channel, uint32_t bytes);

/* Totals since the channel was created. */
struct channel_counts {
    uint64_t received; /* bytes taken out of the ring */
    uint64_t sent;
    uint64_t wakes;  /* signals sent, because the peer slept */
    uint64_t sleeps; /* signals received, because this side slept or the peer signals needlessly */
};

/* The current totals. Owned by the channel. */
const struct channel_counts *channel_counts(const struct channel *channel);

/*
 * Calls moved(arg) once, at the next byte moved, so that statistics are collected only for channels
 * with traffic. It is called in the middle of a read or a write, so it may only set a flag.
 */
void channel_on_traffic(struct channel *channel, void (*moved)(void *arg), void *arg);

/*
 * Sizes of the rings in bytes: the largest useful argument of channel_readable() and
 * channel_writable().
 */
uint32_t channel_read_size(const struct channel *channel);
uint32_t channel_write_size(const struct channel *channel);

/*
 * Copies out up to size bytes, and at least enough (1: a stream; size: all or nothing). Returns the
 * number copied, or what channel_readable() returns.
 */
ssize_t channel_read(struct channel *channel, void *data, size_t size, uint32_t enough);

/* Copies in, likewise. Returns the number copied, or what channel_writable() returns. */
ssize_t channel_write(struct channel *channel, const void *data, size_t size, uint32_t enough);

/*
 * Fast paths of the two above: a small message, and the last snapshot shows enough. They return 0
 * if that does not apply; then call the full function.
 */
ssize_t channel_read_known(struct channel *channel, void *data, size_t size, uint32_t enough);
ssize_t channel_write_known(struct channel *channel, const void *data, size_t size);

#endif
