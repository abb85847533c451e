/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/toll.h"

#include <inttypes.h>

#include "service/log.h"
#include "state/error.h"

#define PAUSE_LINES_PER_MINUTE 2

static void poll_instead(struct toll *toll, int error)
{
    if (!toll->polled)
        log_line(LOG_ERRORS, "cannot watch domain %u's nodes: %s (polling every 5 s)", toll->domid,
                 error_text(error));
    toll->polled = true;
    backoff_start(&toll->backoff);
}

static void toll_begin_watch(struct toll *toll)
{
    int rc = toll->ops->watch(toll->arg);

    toll->paused = false;
    if (rc < 0)
        poll_instead(toll, rc);
    else
        toll->polled = false;
}

void toll_watch(struct toll *toll)
{
    if (!toll->paused && !toll->polled)
        toll_begin_watch(toll);
}

static void toll_resume(void *arg)
{
    struct toll *toll = arg;

    if (toll->paused)
        quota_resume_work(&toll->quota);
    toll_begin_watch(toll);
}

int toll_open(struct toll *toll, struct event_base *base, domid_t domid,
              const struct quota_limits *limits, struct quota_sum *sum, const struct toll_ops *ops,
              void *arg)
{
    toll->ops = ops;
    toll->arg = arg;
    toll->domid = domid;
    quota_init(&toll->quota, limits, sum);
    rate_init(&toll->log_rate, PAUSE_LINES_PER_MINUTE, 1);
    return backoff_open(&toll->backoff, base, toll_resume, toll);
}

static void toll_pause(struct toll *toll)
{
    toll->pauses++;
    toll->ops->unwatch(toll->arg);
    toll->paused = true;
    backoff_start(&toll->backoff);
    if (rate_try(&toll->log_rate) == 0)
        log_line(LOG_CHANGES,
                 "domain %u writes xenstore too often: ignoring its changes for up to 5 s",
                 toll->domid);
}

void toll_charge(struct toll *toll, uint64_t events, uint64_t exchanges)
{
    toll->events += events;
    toll->exchanges += exchanges;
    if (!quota_take_work(&toll->quota, events, exchanges) && !toll->paused)
        toll_pause(toll);
}

void toll_close(struct toll *toll)
{
    if (!toll->paused)
        toll->ops->unwatch(toll->arg);
    backoff_close(&toll->backoff);
    log_line(LOG_DETAILS,
             "domain %u has no channels left: it caused %" PRIu64 " events, %" PRIu64
             " exchanges with xenstore and %u pauses",
             toll->domid, toll->events, toll->exchanges, toll->pauses);
}
