/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One vchan: the shared page and its rings, its grants and its port, and the bytes that go through.
 * It never blocks and knows nothing of xenstore. Belongs to the thread of its struct xen.
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

/* Told, in xen_dispatch(), that the peer signalled. It may close the channel. */
struct channel_owner {
    void (*fired)(struct channel *channel, void *arg);
    void *arg;
};

/*
 * Server: grants a page and rings of these orders (seen from the server) to domain peer, and offers
 * it a port. On success the caller owns *channel; on failure it is NULL and nothing is left.
 * -ENOSPC: the kernel grants no more pages (gntalloc's limit, 1024 by default, or the grant table);
 * -EUSERS: this domain has no event channel left; -ENODEV: the driver is not there (modprobe
 * xen-gntalloc; for channel_join() xen-gntdev).
 */
int channel_serve(struct xen *xen, domid_t peer, const struct ring_orders *orders,
                  struct channel_owner owner, struct channel **channel);

/* Server: what the client needs to know. */
uint32_t channel_ring_ref(const struct channel *channel);
evtchn_port_t channel_port(const struct channel *channel);

/*
 * Client: binds to the server's port, maps its page and rings, takes its place and signals. -EBUSY:
 * the port is not offered to us or taken (another client, or the server is gone); -ESRCH: no such
 * domain; -EINVAL: no such grant for us (the server is gone or lies); -EPROTO: the page is not
 * sound; -E2BIG: a ring has a larger order than most (as the server sees them; NULL: any will do);
 * -ENODEV as for channel_serve(). On failure nothing is left. A server whose port was bound is told
 * that its client left, since the kernel says so when the page is unmapped.
 */
int channel_join(struct xen *xen, domid_t peer, uint32_t ring_ref, evtchn_port_t port,
                 const struct ring_orders *most, struct channel_owner owner,
                 struct channel **channel);

/*
 * Client: the same, of a server that has gone, and whose pages are there since somebody else maps
 * them: without a port. Nobody is signalled, and channel_peer_died() is true.
 */
int channel_adopt(struct xen *xen, domid_t peer, uint32_t ring_ref, const struct ring_orders *most,
                  struct channel_owner owner, struct channel **channel);

/*
 * Leaves: bytes written so far stay readable for the peer, who learns at once that we are gone.
 * NULL is allowed.
 */
void channel_close(struct channel *channel);

/* Tells the channel that its peer will send no more: an empty ring is then the end. */
void channel_set_ended(struct channel *channel);

/*
 * Tells the channel that its peer holds the rings no more, whatever its live byte says: a domain
 * that was destroyed cannot clear it. What it wrote can still be read.
 */
void channel_set_gone(struct channel *channel);

/*
 * Our indices (doc/protocol.md, "The shared page"), for a process that takes over when we die: what
 * we have read and what we have written, in bytes from the beginning, modulo 2^32.
 */
uint32_t channel_read_index(const struct channel *channel);
uint32_t channel_write_index(const struct channel *channel);

/*
 * Tells the channel whether another process goes on if the peer's dies: then its live byte alone
 * does not mean that it has left, and who waits for it goes on waiting.
 */
void channel_set_patient(struct channel *channel, bool patient);

/*
 * Whether the peer has left, in order or not; what it wrote is still in the ring. One that is
 * waited for patiently has left only once channel_set_gone() says so.
 */
bool channel_peer_left(const struct channel *channel);

/* Whether the peer's process is gone, by its live byte alone. One that did not come yet is not. */
bool channel_peer_died(const struct channel *channel);

/*
 * Whether the peer is there: it came and has not left. One that is waited for patiently is there
 * while its process is not.
 */
bool channel_peer_here(const struct channel *channel);

/*
 * Bytes that can be read now, 0 at the end (the peer left or ended, and nothing is in the ring any
 * more), -EAGAIN if fewer than enough are there yet and more may come, or -EPROTO (a corrupt ring,
 * for good). With -EAGAIN the peer was asked to signal. At the end fewer than enough may be
 * returned.
 */
int channel_readable(struct channel *channel, uint32_t enough);

/*
 * Whether enough bytes are there, by what was seen last: it looks at nothing, and asks for nothing.
 */
bool channel_has(const struct channel *channel, uint32_t enough);

/*
 * Room that can be written now, -EAGAIN if less than enough (the peer was asked to signal), -EPIPE
 * if the peer left, -EPROTO.
 */
int channel_writable(struct channel *channel, uint32_t enough);

/*
 * Bytes that can be read, and room that can be written, as the peer's indices are now: nothing is
 * remembered, and nothing is asked of the peer. 0 after -EPROTO, or where the page says nonsense.
 */
uint32_t channel_count_readable(const struct channel *channel);
uint32_t channel_count_writable(const struct channel *channel);

/* What a side waits for: bytes to read, or room to write. */
enum channel_wait { CHANNEL_READ, CHANNEL_WRITE };

/*
 * Looks for a short while (at most some 50 us; ever more seldom where that finds nothing; never
 * where there is one CPU only) whether enough bytes or enough room appear. Returns false if they
 * did not: then it is time to sleep. It asks for no signal: channel_readable() and
 * channel_writable() do.
 */
bool channel_spin(struct channel *channel, enum channel_wait wait, uint32_t enough);

/*
 * The bytes at the head of what is readable or writable, without a copy: at most the number that
 * the call above returned last. Returns the number of spans, 0 to 2.
 */
unsigned int channel_peek(const struct channel *channel, uint32_t bytes, struct ring_span spans[2]);
unsigned int channel_reserve(const struct channel *channel, uint32_t bytes,
                             struct ring_span spans[2]);

/*
 * Takes bytes that were peeked out of the ring. A peer that waits for room is woken when half the
 * ring is free, when all that was there is read, or when this side is about to wait itself: not for
 * every read.
 */
void channel_consume(struct channel *channel, uint32_t bytes);

/*
 * Tells the peer what was consumed, and wakes it if it waits for that. To be called before this
 * side waits for anything but the channel: or two sides could wait for what the other has, but did
 * not tell. (channel_readable() and channel_writable() do so with -EAGAIN.)
 */
void channel_tell(struct channel *channel);

/*
 * Notes in the shared page how far this side has read, for a process that takes the channel over
 * should this one die. (channel_consume() does so only when it wakes the peer.)
 */
void channel_record(struct channel *channel);

/* Sends bytes that were filled in; wakes the peer if it asked for that. */
void channel_commit(struct channel *channel, uint32_t bytes);

/* What a channel has moved, and what that took. */
struct channel_counts {
    uint64_t received; /* bytes, taken out */
    uint64_t sent;
    uint64_t wakes;  /* signals sent: the peer slept */
    uint64_t sleeps; /* signals got: this side slept, or the peer signals for nothing */
};

/* The counts since it began; as of now, and owned by the channel. */
const struct channel_counts *channel_counts(const struct channel *channel);

/*
 * Has moved(arg) called once, when the next byte has moved: so that who shows the counts looks only
 * where there is something new. It is called in the middle of a read or a write, and only takes a
 * note.
 */
void channel_on_traffic(struct channel *channel, void (*moved)(void *arg), void *arg);

/* Sizes of the rings in bytes: what can be asked of channel_readable() and channel_writable(). */
uint32_t channel_read_size(const struct channel *channel);
uint32_t channel_write_size(const struct channel *channel);

/*
 * Copies out what is there, up to size bytes and at least enough (1: a stream; size: all or
 * nothing). Returns as channel_readable(), with the number copied.
 */
ssize_t channel_read(struct channel *channel, void *data, size_t size, uint32_t enough);

/* Copies in, likewise; returns as channel_writable(), with the number copied. */
ssize_t channel_write(struct channel *channel, const void *data, size_t size, uint32_t enough);

/*
 * The most frequent case of these two: a small message, and by the last look at the other's index
 * there is enough. They return 0 where it is not that case: then do what else is to be done.
 */
ssize_t channel_read_known(struct channel *channel, void *data, size_t size, uint32_t enough);
ssize_t channel_write_known(struct channel *channel, const void *data, size_t size);

#endif
