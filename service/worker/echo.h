/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection=echo: copies from ring to ring, without a descriptor or a buffer in between. */
#ifndef SERVICE_WORKER_ECHO_H
#define SERVICE_WORKER_ECHO_H

#include <stdbool.h>

#include "vchan/channel.h"

/* How much one call moves at most, so that requests and the peer's signals are handled in time. */
#define ECHO_TURN_BYTES (1u << 20)

/*
 * Moves what can be moved, up to ECHO_TURN_BYTES. Returns 1 if there is more to do, -EAGAIN to wait
 * for the peer's signal, or how the echo ended: 0, -EPIPE (the peer left without taking its bytes
 * back) or -EPROTO (a corrupt ring).
 */
int echo_step(struct channel *channel);

/*
 * Consumes what an earlier worker had written back when it was killed. In an echo the read index
 * equals the write index between two steps, so the difference is what that worker did not consume.
 */
void echo_recover(struct channel *channel);

#endif
