/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long to poll before going to sleep. Going to sleep and being woken costs tens of
 * microseconds; a peer at work on another CPU answers in one or two. So polling for about as long
 * as a sleep costs pays, while it succeeds. When it fails (the peer is idle, or waits for our CPU),
 * it is tried less and less often.
 *
 * A peer that waits for our CPU can be given it: it then fills or empties the whole ring, and
 * neither side sleeps. That, too, is tried less often when it fails.
 */
#ifndef VCHAN_SPIN_H
#define VCHAN_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* How well polling or yielding has worked. */
struct spin_luck {
    uint16_t interval; /* it is tried in one of so many waits; 0 and 1: in each */
    uint16_t skip;     /* waits left until it is tried again */
};

/* What a channel has learned about one direction. Initialise to zeros. */
struct spin {
    struct spin_luck look;
    struct spin_luck yield;
    uint64_t crowded; /* ns; until then processes other than the peer want the CPU; 0: none seen */
    uint16_t rest;    /* crowded lasts so many times as long as they had it */
    bool linger; /* the last wait brought so little that lingering before the next look pays */
};

/* One wait. */
struct spin_attempt {
    uint32_t pauses; /* pauses left */
    uint32_t step;   /* pauses between two looks; it grows, to leave the page to the peer */
    uint32_t spent;  /* pauses made */
    uint64_t since;  /* ns; when polling became long or yielding began; 0: neither */
};

/* Waits for half a microsecond, to leave the page to a peer that writes many small messages. */
void spin_linger(void);

/* Begins a wait. Returns whether to poll at all. */
bool spin_start(struct spin *spin, struct spin_attempt *attempt);

/* Pauses. Returns whether to look once more. */
bool spin_again(struct spin_attempt *attempt);

/* Whether polling has taken so long (about 1 us) that the peer may be waiting, too. */
bool spin_is_long(const struct spin_attempt *attempt);

/*
 * Ends polling and learns whether it succeeded. What came while other processes had our CPU does
 * not count as success: the peer was running on it.
 */
void spin_end(struct spin *spin, const struct spin_attempt *attempt, bool came);

/*
 * After polling failed: gives the CPU to a peer that may wait for it. Call it with a zeroed
 * attempt, and again until enough came. Returns false when it has been tried long enough, or at
 * once if it has not paid lately. spin_yield_end() learns whether it was good. bytes is what can be moved now:
 * if we were away far longer than a peer needs for those, other processes had the CPU, and sleeping
 * is better.
 */
bool spin_yield(struct spin *spin, struct spin_attempt *attempt);
void spin_yield_end(struct spin *spin, const struct spin_attempt *attempt, bool good,
                    uint32_t bytes);

/* Whether polling pays, by what was learned. If not, the peer is idle or waits for our CPU. */
static inline bool spin_pays(const struct spin *spin)
{
    return spin->look.interval == 0;
}

#endif
