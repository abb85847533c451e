/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits what one guest can use of this process, so that it cannot hold up others: channels,
 * connects and work in a time, mapped memory, log lines. In a guest, the same for one backend's
 * domain. A NULL quota has no limits; only the two calls for work need one. No call blocks.
 */
#ifndef SERVICE_QUOTA_H
#define SERVICE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* For each guest, except ring_bytes_of_all. */
struct quota_limits {
    unsigned int channels;
    unsigned int connects; /* a minute; the burst is what its channels need, at most this */
    uint64_t ring_bytes;
    uint64_t ring_bytes_of_all; /* of all guests together */
};

/* The defaults. */
#define QUOTA_LIMITS                                                                               \
    {                                                                                              \
        .channels = 4096, .connects = 1200, .ring_bytes = UINT64_C(256) << 20,                     \
        .ring_bytes_of_all = UINT64_C(512) << 20,                                                  \
    }

/* What all guests use together. Initialise to zeros. */
struct quota_sum {
    uint64_t ring_bytes;
};

/*
 * A rate limit as a virtual schedule: each use takes the next of the places, which are distance
 * apart. The schedule may lag behind the clock by burst at most. In microseconds of the monotonic
 * clock.
 */
struct rate {
    int64_t distance;
    int64_t burst;
    int64_t next;
};

/* Allows per_minute uses a minute, and at_once of them in a burst. */
void rate_init(struct rate *rate, unsigned int per_minute, unsigned int at_once);

/* Takes the next place. Returns how long to wait until then in microseconds, 0: not at all. */
int64_t rate_take(struct rate *rate);

/* The same, but takes a place only if it returns 0. */
int64_t rate_try(struct rate *rate);

struct quota {
    const struct quota_limits *limits;
    struct quota_sum *sum;
    unsigned int channels;
    uint64_t ring_bytes;
    struct rate connects;
    struct rate work;
    struct rate lines;
    struct rate streams;
    struct rate statuses;
    struct rate deaths;
    unsigned int unlogged; /* log lines suppressed since the last one that was not */
};

/* limits and sum stay the caller's, and must outlive the quota. All guests share sum. */
void quota_init(struct quota *quota, const struct quota_limits *limits, struct quota_sum *sum);

/* Takes one channel. Returns false, and takes none, if that exceeds the limit. */
bool quota_take_channel(struct quota *quota);

/*
 * Takes bytes of mapped memory. Returns 0, or takes none and returns -EDQUOT (over the guest's
 * limit) or -ENOSPC (over the limit for all guests together).
 */
int quota_take_bytes(struct quota *quota, uint64_t bytes);
void quota_give_channel(struct quota *quota);
void quota_give_bytes(struct quota *quota, uint64_t bytes);

/* Takes a place for a connect. Returns as rate_take(). */
int64_t quota_take_connect(struct quota *quota);

/* Takes a place for a stream that the guest opens. As rate_try(). */
int64_t quota_try_stream(struct quota *quota);

/* Takes a place for a status of a worker, and for the death of one. As rate_take(). */
int64_t quota_take_status(struct quota *quota);
int64_t quota_take_death(struct quota *quota);

/*
 * Takes work: events from xenstored that the guest caused, and exchanges with xenstored for it.
 * Returns false if the guest has used up its share: the caller then does nothing more for it until
 * quota_resume_work().
 */
bool quota_take_work(struct quota *quota, uint64_t events, uint64_t exchanges);

/* Ends such a pause: the guest gets enough for one look at each of its channels. */
void quota_resume_work(struct quota *quota);

/*
 * Whether a line about this guest may be logged. If so, *unlogged is how many lines before it were
 * not, which the caller logs too.
 */
bool quota_take_line(struct quota *quota, unsigned int *unlogged);

#endif
