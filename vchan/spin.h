/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long to look before going to sleep. Going to sleep and being woken costs tens of microseconds; a
 * peer that is at work on another CPU answers in one or two. So it pays to look for about as long as a sleep
 * costs, if looking has paid of late, and else not at all.
 */
#ifndef VCHAN_SPIN_H
#define VCHAN_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* What was learned: zero is a good beginning. */
struct spin {
    uint32_t misses; /* sleeps in a row that looking would not have saved */
};

/* One time of looking. */
struct spin_turn {
    uint32_t pauses; /* left */
    uint32_t step;   /* between two looks; it grows, to leave the page to the peer */
};

/* Whether looking never pays: this thread may run on one CPU only. */
bool spin_is_off(void);

/* Begins to look. */
void spin_start(const struct spin *spin, struct spin_turn *turn);

/* Pauses, and says whether to look once more. */
bool spin_again(struct spin_turn *turn);

/* It paid. */
void spin_hit(struct spin *spin);

/* It did not, and the sleep took so many nanoseconds. */
void spin_slept(struct spin *spin, uint64_t took);

#endif
