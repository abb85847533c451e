/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long to look before going to sleep. Going to sleep and being woken costs tens of
 * microseconds; a peer that is at work on another CPU answers in one or two. So it pays to look for
 * about as long as a sleep costs, as long as that finds something. Where it does not (the peer is
 * idle, or waits for our CPU), it is tried ever more seldom.
 *
 * A peer that waits for our CPU can have it: then it fills the ring, or empties it, as a whole, and
 * nobody sleeps and is woken. That, too, is tried as long as it finds something.
 */
#ifndef VCHAN_SPIN_H
#define VCHAN_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* How well something has worked. */
struct spin_luck {
    uint16_t interval; /* of how many waits one is tried with it; 0 and 1: each */
    uint16_t skip;     /* how many waits are still to come without */
};

/* What was learned: zero is a good beginning. */
struct spin {
    struct spin_luck look;
    struct spin_luck yield;
    uint64_t crowded; /* until then others than the peer want the CPU, in ns; 0: nobody seen */
    uint16_t rest;    /* that was so many times as long as they had it */
    bool linger; /* what came last was so little that more of it is better waited for */
};

/* One time of looking. */
struct spin_turn {
    uint32_t pauses; /* left */
    uint32_t step;   /* between two looks; it grows, to leave the page to the peer */
    uint32_t spent;  /* pauses made */
    uint64_t since;  /* when it had become long, or the CPU was given away, in ns; 0: neither */
};

/*
 * Leaves the page to a peer that is writing one small message after the other: half a microsecond.
 */
void spin_linger(void);

/* Begins a wait: whether to look at all. */
bool spin_start(struct spin *spin, struct spin_turn *turn);

/* Pauses, and says whether to look once more. */
bool spin_again(struct spin_turn *turn);

/* Whether the turn has taken so long (about a microsecond) that the peer may be waiting too. */
bool spin_is_long(const struct spin_turn *turn);

/*
 * How it ended: what was waited for came, or did not. What came while the CPU was taken away from
 * us does not count: it was the peer who had it.
 */
void spin_end(struct spin *spin, const struct spin_turn *turn, bool came);

/*
 * After that: gives the CPU away, to a peer that may wait for it; with a turn of zeros first, and
 * again as long as it did not bring what is waited for. Returns false when that was tried for long
 * enough, at once if it has not paid of late. spin_yield_end() is told whether it was good, and how
 * many bytes there are now: if it took far longer than a peer takes for those, others had the CPU,
 * and who sleeps gets it back sooner.
 */
bool spin_yield(struct spin *spin, struct spin_turn *turn);
void spin_yield_end(struct spin *spin, const struct spin_turn *turn, bool good, uint32_t bytes);

/*
 * Whether looking pays, by what was learned: if not, the peer is idle or has to wait for our CPU.
 */
static inline bool spin_pays(const struct spin *spin)
{
    return spin->look.interval == 0;
}

#endif
