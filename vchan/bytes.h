/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of a page as a stream of bytes: how many can be read or written, whether the peer is
 * there, and when each side has to wake the other. Above the ring's indices, below grants and ports.
 * Freestanding, as vchan/ring.h: libpvchan, the services and the echo domain compile this file.
 *
 * The owner fills in end by ring_serve() or ring_join(), and signal. One thread at a time.
 */
#ifndef VCHAN_BYTES_H
#define VCHAN_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "vchan/ring.h"

struct bytes {
    struct ring_end end;
    void (*signal)(struct bytes *bytes); /* wakes the peer: sends an event through the port */
    bool ended;   /* the peer sends no more: an empty ring is the end */
    bool gone;    /* the peer let go of the rings, whatever its live byte says, or there was none */
    bool patient; /* the peer's process may die and another one goes on: its live byte is not all */
    bool broken;  /* the peer's index made no sense once */
};

/*
 * Whether the peer has left, in order or not; what it wrote is still in the ring. One that is
 * waited for patiently has left only once gone is set.
 */
bool bytes_peer_left(const struct bytes *bytes);

/*
 * Whether the peer is there: it came and has not left. One that is waited for patiently is there
 * while its process is not.
 */
bool bytes_peer_here(const struct bytes *bytes);

/*
 * Bytes that can be read now, 0 at the end (the peer left or ended, and nothing is in the ring any
 * more), -EAGAIN if fewer than enough are there yet and more may come, or -EPROTO (a corrupt ring,
 * for good). With -EAGAIN the peer was asked to signal. At the end fewer than enough may be
 * returned.
 */
int bytes_readable(struct bytes *bytes, uint32_t enough);

/*
 * Room that can be written now, -EAGAIN if less than enough (the peer was asked to signal), -EPIPE
 * if the peer left, -EPROTO.
 */
int bytes_writable(struct bytes *bytes, uint32_t enough);

/*
 * Tells the peer what was consumed, and wakes it if it waits for that. To be called before this
 * side waits for anything else: or two sides could wait for what the other has, but did not tell.
 * (bytes_readable() and bytes_writable() do so with -EAGAIN.)
 */
void bytes_tell(struct bytes *bytes);

/* Wakes the peer if it asked to be told of what was just done: VCHAN_NOTIFY_READ or _WRITE. */
static inline void bytes_wake(struct bytes *bytes, uint8_t what)
{
    if (ring_must_signal(&bytes->end, what))
        bytes->signal(bytes);
}

#endif
