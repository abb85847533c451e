/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/toll.h"

#include <inttypes.h>

#include "service/log.h"
#include "state/error.h"

#define HELD_TOLD_PER_MINUTE 2

static void retry(struct toll *toll, int error)
{
    if (!toll->unwatched)
        log_line(LOG_ERRORS, "cannot watch domain %u's nodes: %s (polling every 5 s)",
                 toll->domid, error_text(error));
    toll->unwatched = true;
    backoff_start(&toll->pause);
}

static void begin_watch(struct toll *toll)
{
    int rc = toll->ops->watch(toll->arg);

    toll->held = false;
    if (rc < 0)
        retry(toll, rc);
    else
        toll->unwatched = false;
}

void toll_watch(struct toll *toll)
{
    if (!toll->held && !toll->unwatched)
        begin_watch(toll);
}

static void toll_resume(void *arg)
{
    struct toll *toll = arg;

    if (toll->held)
        quota_resume_work(&toll->quota);
    begin_watch(toll);
}

int toll_open(struct toll *toll, struct event_base *base, domid_t domid,
              const struct quota_limits *limits, struct quota_sum *sum, const struct toll_ops *ops,
              void *arg)
{
    toll->ops = ops;
    toll->arg = arg;
    toll->domid = domid;
    quota_init(&toll->quota, limits, sum);
    rate_init(&toll->told, HELD_TOLD_PER_MINUTE, 1);
    return backoff_open(&toll->pause, base, toll_resume, toll);
}

static void toll_hold(struct toll *toll)
{
    toll->pauses++;
    toll->ops->unwatch(toll->arg);
    toll->held = true;
    backoff_start(&toll->pause);
    if (rate_try(&toll->told) == 0)
        log_line(LOG_CHANGES,
                 "domain %u writes xenstore too often: ignoring its changes for up to 5 s",
                 toll->domid);
}

void toll_charge(struct toll *toll, uint64_t events, uint64_t exchanges)
{
    toll->events += events;
    toll->exchanges += exchanges;
    if (!quota_take_work(&toll->quota, events, exchanges) && !toll->held)
        toll_hold(toll);
}

void toll_close(struct toll *toll)
{
    if (!toll->held)
        toll->ops->unwatch(toll->arg);
    backoff_close(&toll->pause);
    log_line(LOG_DETAILS,
             "domain %u has no channels left: it caused %" PRIu64 " events, %" PRIu64
             " exchanges with xenstore and %u pauses",
             toll->domid, toll->events, toll->exchanges, toll->pauses);
}
