/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trying again: after 0.1 s, then after twice as long each time, up to 5 s; from the start again
 * once there was nothing to be tried again for 10 s.
 */
#ifndef SERVICE_BACKOFF_H
#define SERVICE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

struct backoff {
    struct event *timer; /* pending while again() is to come */
    void (*again)(void *arg);
    void *arg;
    long pause_ms; /* the next one */
    int64_t last; /* clock_ms() */
};

/* Opens one (zeroed). 0 or -ENOMEM. */
int backoff_open(struct backoff *backoff, struct event_base *base, void (*again)(void *arg),
                 void *arg);

/* Closes it: again() comes no more. Allowed if it is not open. */
void backoff_close(struct backoff *backoff);

/* Has again() called after a pause. Does nothing if that is so already. */
void backoff_start(struct backoff *backoff);

/* Whether again() is to come. */
bool backoff_is_on(const struct backoff *backoff);

/* again() does not come, and the next pause is short. */
void backoff_reset(struct backoff *backoff);

#endif
