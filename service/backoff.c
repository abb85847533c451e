/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/backoff.h"

#include <errno.h>
#include <event2/event.h>

#include "state/clock.h"

#define FIRST_MS 100
#define LAST_MS  5000
#define QUIET_MS 10000

static void on_backoff_timer(evutil_socket_t fd, short what, void *arg)
{
    struct backoff *backoff = arg;

    (void)fd, (void)what;
    backoff->again(backoff->arg);
}

int backoff_open(struct backoff *backoff, struct event_base *base, void (*again)(void *arg),
                 void *arg)
{
    backoff->timer = evtimer_new(base, on_backoff_timer, backoff);
    backoff->again = again;
    backoff->arg = arg;
    backoff->pause_ms = FIRST_MS;
    return backoff->timer ? 0 : -ENOMEM;
}

void backoff_close(struct backoff *backoff)
{
    if (backoff->timer)
        event_free(backoff->timer);
    backoff->timer = NULL;
}

bool backoff_is_on(const struct backoff *backoff)
{
    return event_pending(backoff->timer, EV_TIMEOUT, NULL);
}

void backoff_start(struct backoff *backoff)
{
    int64_t now = clock_ms();
    struct timeval pause;

    if (backoff_is_on(backoff))
        return;
    if (now - backoff->last > QUIET_MS)
        backoff->pause_ms = FIRST_MS;
    backoff->last = now;
    pause.tv_sec = backoff->pause_ms / 1000;
    pause.tv_usec = backoff->pause_ms % 1000 * 1000;
    event_add(backoff->timer, &pause);
    backoff->pause_ms = backoff->pause_ms * 2 < LAST_MS ? backoff->pause_ms * 2 : LAST_MS;
}

void backoff_reset(struct backoff *backoff)
{
    event_del(backoff->timer);
    backoff->pause_ms = FIRST_MS;
}
