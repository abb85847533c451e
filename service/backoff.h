/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delays retries: the first one for 0.1 s, then twice as long each time, up to 5 s. If there was
 * none to be delayed for 10 s, the next delay is 0.1 s again. Belongs to the thread of the event
 * loop.
 */
#ifndef SERVICE_BACKOFF_H
#define SERVICE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

struct backoff {
    struct event *timer; /* pending until again() is called */
    void (*again)(void *arg);
    void *arg;
    long pause_ms; /* the next delay */
    int64_t last;  /* clock_ms() of the last backoff_start() */
};

/* Opens a zeroed backoff. again(arg) is the retry. Returns 0 or -ENOMEM. */
int backoff_open(struct backoff *backoff, struct event_base *base, void (*again)(void *arg),
                 void *arg);

/* Closes it; again() is not called any more. Allowed if it is not open. */
void backoff_close(struct backoff *backoff);

/* Has again() called once after the delay. Does nothing if that is pending already. */
void backoff_start(struct backoff *backoff);

/* Whether a call of again() is pending. */
bool backoff_is_on(const struct backoff *backoff);

/* Cancels a pending call, and makes the next delay short. */
void backoff_reset(struct backoff *backoff);

#endif
