/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/quota.h"

#include <errno.h>
#include <time.h>

#include "state/clock.h"

/*
 * Fixed limits that no well-behaved guest approaches. A connection takes some 80 exchanges and 9
 * events from beginning to end. So events that lead to few exchanges count more.
 */
#define WORK_OF_EVENT    8
#define WORK_PER_CONNECT 160u
#define WORK_PER_MINUTE  12000u /* the minimum */
#define LINES_PER_MINUTE 300

/* Each stream that a guest opens may cost the service a process for a moment. */
#define STREAMS_PER_MINUTE 12000
#define STREAMS_AT_ONCE    512

/* An opened channel has a worker report about six times; an honest one does not die. */
#define STATUSES_PER_MINUTE 60000
#define STATUSES_AT_ONCE    1024
#define DEATHS_PER_MINUTE   600
#define DEATHS_AT_ONCE      64

#define MINUTE 60000000

/* Bursts: what all channels of a guest need to connect, a few times over. */
#define CONNECTS_OF_CHANNEL        4
#define CONNECTS_AT_ONCE(channels) (16 + CONNECTS_OF_CHANNEL * (channels))
#define LINES_OF_CHANNEL           64
#define LINES_AT_ONCE(channels)    (256 + LINES_OF_CHANNEL * (channels))

/* What a guest has after a pause. */
#define WORK_AFTER_PAUSE(channels) (64 + 16 * (channels))

void rate_init(struct rate *rate, unsigned int per_minute, unsigned int at_once)
{
    rate->distance = MINUTE / (per_minute ? per_minute : 1);
    rate->burst = rate->distance * at_once;
    rate->next = 0;
}

/* Returns how long it is until the next place. */
static int64_t time_until_next(struct rate *rate, int64_t now)
{
    if (rate->next < now - rate->burst)
        rate->next = now - rate->burst;
    return rate->next + rate->distance > now ? rate->next + rate->distance - now : 0;
}

int64_t rate_take(struct rate *rate)
{
    int64_t wait = time_until_next(rate, clock_us());

    rate->next += rate->distance;
    return wait;
}

int64_t rate_try(struct rate *rate)
{
    int64_t wait = time_until_next(rate, clock_us());

    if (wait == 0)
        rate->next += rate->distance;
    return wait;
}

static unsigned int work_per_minute(const struct quota_limits *limits)
{
    unsigned int most = MINUTE;

    if (limits->connects < MINUTE / WORK_PER_CONNECT)
        most = limits->connects * WORK_PER_CONNECT;
    return most > WORK_PER_MINUTE ? most : WORK_PER_MINUTE;
}

static void set_bursts(struct quota *quota)
{
    unsigned int connects = CONNECTS_AT_ONCE(quota->channels);

    if (connects > quota->limits->connects)
        connects = quota->limits->connects;
    quota->connects.burst = quota->connects.distance * connects;
    quota->work.burst = quota->work.distance * WORK_PER_CONNECT * CONNECTS_AT_ONCE(quota->channels);
    quota->lines.burst = quota->lines.distance * LINES_AT_ONCE(quota->channels);
}

void quota_init(struct quota *quota, const struct quota_limits *limits, struct quota_sum *sum)
{
    *quota = (struct quota){.limits = limits, .sum = sum};
    rate_init(&quota->connects, limits->connects, 0);
    rate_init(&quota->work, work_per_minute(limits), 0);
    rate_init(&quota->lines, LINES_PER_MINUTE, 0);
    rate_init(&quota->streams, STREAMS_PER_MINUTE, STREAMS_AT_ONCE);
    rate_init(&quota->statuses, STATUSES_PER_MINUTE, STATUSES_AT_ONCE);
    rate_init(&quota->deaths, DEATHS_PER_MINUTE, DEATHS_AT_ONCE);
    set_bursts(quota);
}

/* A new channel brings its burst of work and lines; a channel that goes takes them along. */
static void count_channel(struct quota *quota, int count)
{
    quota->channels += (unsigned int)count;
    quota->work.next -= quota->work.distance * WORK_PER_CONNECT * CONNECTS_OF_CHANNEL * count;
    quota->lines.next -= quota->lines.distance * LINES_OF_CHANNEL * count;
    set_bursts(quota);
}

bool quota_take_channel(struct quota *quota)
{
    if (!quota)
        return true;
    if (quota->channels >= quota->limits->channels)
        return false;
    count_channel(quota, 1);
    return true;
}

int quota_take_bytes(struct quota *quota, uint64_t bytes)
{
    if (!quota)
        return 0;
    if (bytes > quota->limits->ring_bytes - quota->ring_bytes)
        return -EDQUOT;
    if (bytes > quota->limits->ring_bytes_of_all - quota->sum->ring_bytes)
        return -ENOSPC;
    quota->ring_bytes += bytes;
    quota->sum->ring_bytes += bytes;
    return 0;
}

void quota_give_channel(struct quota *quota)
{
    if (quota)
        count_channel(quota, -1);
}

void quota_give_bytes(struct quota *quota, uint64_t bytes)
{
    if (!quota)
        return;
    quota->ring_bytes -= bytes;
    quota->sum->ring_bytes -= bytes;
}

int64_t quota_take_connect(struct quota *quota)
{
    return quota ? rate_take(&quota->connects) : 0;
}

int64_t quota_try_stream(struct quota *quota)
{
    return quota ? rate_try(&quota->streams) : 0;
}

int64_t quota_take_status(struct quota *quota)
{
    return quota ? rate_take(&quota->statuses) : 0;
}

int64_t quota_take_death(struct quota *quota)
{
    return quota ? rate_take(&quota->deaths) : 0;
}

bool quota_take_work(struct quota *quota, uint64_t events, uint64_t exchanges)
{
    uint64_t count = events * WORK_OF_EVENT + exchanges;
    bool within = time_until_next(&quota->work, clock_us()) == 0;

    quota->work.next += quota->work.distance * (int64_t)count;
    return within;
}

void quota_resume_work(struct quota *quota)
{
    quota->work.next = clock_us() - quota->work.distance * WORK_AFTER_PAUSE(quota->channels);
}

bool quota_take_line(struct quota *quota, unsigned int *unlogged)
{
    *unlogged = 0;
    if (!quota)
        return true;
    if (rate_try(&quota->lines) > 0) {
        quota->unlogged++;
        return false;
    }
    *unlogged = quota->unlogged;
    quota->unlogged = 0;
    return true;
}
