/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying into a ring that a peer on another CPU empties at the same time. The peer's cache holds
 * the lines that it read in the last round, and each must be taken from it before it can be
 * written: tens of nanoseconds a line, one after the other. Freestanding.
 */
#ifndef VCHAN_COPY_H
#define VCHAN_COPY_H

#include <stddef.h>
#include <stdint.h>

/* The size of a cache line in bytes. */
#define COPY_LINE 64u

/*
 * Copies past the caches, so that no line has to be taken from another CPU. It pays from
 * COPY_PAST_MIN bytes on, if the peer runs on another CPU. The copy is complete before any later
 * store. On CPUs without such stores it is memcpy().
 */
#define COPY_PAST_MIN 4096u
void copy_past_caches(uint8_t *to, const uint8_t *from, size_t size);

#endif
