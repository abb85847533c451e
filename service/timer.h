/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for as long as a rate (quota.h) says. */
#ifndef SERVICE_TIMER_H
#define SERVICE_TIMER_H

#include <event2/event.h>
#include <stdint.h>

/* Has the timer's callback called in so many microseconds, of 0 or more. */
static inline void timer_start(struct event *timer, int64_t us)
{
    const struct timeval time = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    event_add(timer, &time);
}

#endif
