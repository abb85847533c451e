/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits how often a peer may wake a process for little data. A wake-up costs the same for one byte
 * as for a full ring, so a peer that signals for each byte could use up a service's whole CPU.
 */
#ifndef VCHAN_PACE_H
#define VCHAN_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Wake-ups allowed in 10 ms, for all channels of a peer together. */
#define PACE_MAX 1000u

/* A wake-up that moved fewer bytes than this counts. */
#define PACE_LITTLE 1024u

/* Wake-ups of one peer. Initialise to zeros. */
struct pace {
    uint64_t window;
    uint32_t count; /* in that window */
};

/*
 * Counts one wake-up at time ms (milliseconds). Returns whether that is too many, so that the peer
 * should wait for about 10 ms.
 */
bool pace_is_hasty(struct pace *pace, uint64_t ms);

#endif
