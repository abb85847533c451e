/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection=echo: from ring to ring, through no descriptor and no buffer. */
#ifndef SERVICE_WORKER_ECHO_H
#define SERVICE_WORKER_ECHO_H

#include <stdbool.h>

#include "vchan/channel.h"

/* What one turn moves at most, so that whatever else there is to do has its turn, too. */
#define ECHO_TURN_BYTES (1u << 20)

/*
 * Moves what can be moved. Returns 1 if there is more to do, after others had their turn, -EAGAIN
 * to wait for the peer's signal, or the end: 0, -EPIPE (the peer left without taking its bytes
 * back) or -EPROTO (a corrupt ring).
 */
int echo_step(struct channel *channel);

/*
 * What an earlier worker wrote back and did not come to consume: with an echo, both indices go the
 * same way.
 */
void echo_mend(struct channel *channel);

#endif
