/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of a shared page as a byte stream: how many bytes can be read or written, whether the
 * peer is present, and when one side must wake the other. It uses the ring's indices and knows
 * nothing of grants and ports. Freestanding like vchan/ring.h: libpvchan, the services and the echo
 * domain compile this file.
 *
 * The owner sets signal, and fills in end with ring_serve() or ring_join(). For one thread at a
 * time.
 */
#ifndef VCHAN_BYTES_H
#define VCHAN_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "vchan/ring.h"

struct bytes {
    struct ring_end end;
    void (*signal)(struct bytes *bytes); /* wakes the peer: sends an event through the port */
    bool ended;   /* the peer will send no more: an empty ring is the end */
    bool gone; /* the peer released the rings, whatever its live byte says, or there was no peer */
    /* another process may take over when the peer's dies, so the live byte alone does not decide */
    bool resumable;
    bool broken;  /* the peer once wrote an invalid index */
};

/*
 * Whether the peer has left, cleanly or not. What it wrote is still in the ring. While resumable is
 * set, only gone means that the peer has left.
 */
bool bytes_peer_left(const struct bytes *bytes);

/*
 * Whether the peer has come and not left. While resumable is set, the peer counts as present even
 * when its process is not.
 */
bool bytes_peer_here(const struct bytes *bytes);

/*
 * Returns the number of bytes that can be read now; 0 at the end (the peer left or ended, and the
 * ring is empty); -EAGAIN if there are fewer than enough and more may come (the peer has then been
 * asked to signal); -EPROTO if the ring is corrupt, which is permanent. At the end it may return
 * fewer than enough.
 */
int bytes_readable(struct bytes *bytes, uint32_t enough);

/*
 * Returns the number of bytes that can be written now; -EAGAIN if there is room for fewer than
 * enough (the peer has then been asked to signal); -EPIPE if the peer left; -EPROTO.
 */
int bytes_writable(struct bytes *bytes, uint32_t enough);

/*
 * Publishes what was consumed, and wakes the peer if it waits for room. Call it before this side
 * waits for anything else; otherwise each side could wait for an index that the other has not yet
 * published. (bytes_readable() and bytes_writable() do this when they return -EAGAIN.)
 */
void bytes_publish(struct bytes *bytes);

/* Signals the peer if it asked for that. what is VCHAN_NOTIFY_READ or VCHAN_NOTIFY_WRITE. */
static inline void bytes_wake(struct bytes *bytes, uint8_t what)
{
    if (ring_must_signal(&bytes->end, what))
        bytes->signal(bytes);
}

#endif
