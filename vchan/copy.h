/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How bytes get into a ring that a peer on another CPU empties at the same time. What that CPU has
 * read last time round is in its cache, and each line has to be taken away from it before it can be
 * written: tens of nanoseconds, one after the other. Freestanding.
 */
#ifndef VCHAN_COPY_H
#define VCHAN_COPY_H

#include <stddef.h>
#include <stdint.h>

/* What one CPU takes from another at a time. */
#define COPY_LINE 64u

/*
 * Copies past the caches, so that nothing has to be taken away: worth it from COPY_PAST_MIN bytes
 * on, if the peer runs on another CPU. All is written before any store after it. Where there is no
 * such copy, it is memcpy().
 */
#define COPY_PAST_MIN 4096u
void copy_past_caches(uint8_t *to, const uint8_t *from, size_t size);

#endif
