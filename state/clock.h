/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time since some moment that does not change while the system runs: no step of the calendar moves it. */
#ifndef STATE_CLOCK_H
#define STATE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* In nanoseconds, microseconds, milliseconds. Never negative. */
static inline int64_t clock_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int64_t clock_us(void)
{
    return clock_ns() / 1000;
}

static inline int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

#endif
