/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often a peer may have a process wake up for next to nothing: each time costs the same, be it
 * for a byte or a ring full of them, and who signals for each byte would have a service's whole
 * CPU.
 */
#ifndef VCHAN_PACE_H
#define VCHAN_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* So many times in 10 ms, from all channels of a peer together. */
#define PACE_MAX 1000u

/* Less than this is next to nothing, in bytes. */
#define PACE_LITTLE 1024u

/* What a peer did of late. Zero is a good beginning. */
struct pace {
    uint64_t window;
    uint32_t count; /* in that window */
};

/*
 * Once more, at that time in milliseconds: whether it is too much, so that it should wait for some
 * 10 ms.
 */
bool pace_is_hasty(struct pace *pace, uint64_t ms);

#endif
