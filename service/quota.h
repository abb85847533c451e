/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one guest may have of this process, so that it costs nobody else: channels, connections and
 * work in a time, mapped memory, log lines; or, in a guest, one backend's domain. NULL as a quota:
 * no limits.
 */
#ifndef SERVICE_QUOTA_H
#define SERVICE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* For each guest, but for what is said to be for all. */
struct quota_limits {
    unsigned int channels;
    unsigned int connects; /* in a minute; at once what its channels need, but no more than this */
    uint64_t ring_bytes;
    uint64_t ring_bytes_of_all; /* guests together */
};

/* Where nobody says anything else. */
#define QUOTA_LIMITS                                                                               \
    {                                                                                              \
        .channels = 4096, .connects = 1200, .ring_bytes = UINT64_C(256) << 20,                     \
        .ring_bytes_of_all = UINT64_C(512) << 20,                                                  \
    }

/* What all guests have together. All zeros at first. */
struct quota_sum {
    uint64_t ring_bytes;
};

/*
 * So many in a time: each takes a place in a row of places with a distance between them; the row
 * may be behind the time by a burst. Times are microseconds of the monotonic clock.
 */
struct rate {
    int64_t distance;
    int64_t burst;
    int64_t next;
};

/* So many in a minute, and so many at once. */
void rate_init(struct rate *rate, unsigned int per_minute, unsigned int at_once);

/* Takes the next place. Returns how long it is until then, 0: at once. */
int64_t rate_take(struct rate *rate);

/* The same, but takes no place that is not at once. */
int64_t rate_try(struct rate *rate);

struct quota {
    const struct quota_limits *limits;
    struct quota_sum *sum;
    unsigned int channels;
    uint64_t ring_bytes;
    struct rate connects;
    struct rate work;
    struct rate lines;
    struct rate statuses;
    struct rate deaths;
    unsigned int unlogged; /* lines, since the last one that was */
};

/* The limits stay the caller's, and so does the sum, which the quotas of all guests share. */
void quota_init(struct quota *quota, const struct quota_limits *limits, struct quota_sum *sum);

/* One more channel: false if that is over the limit, and nothing is taken. */
bool quota_take_channel(struct quota *quota);

/*
 * So many bytes more. 0, or with nothing taken: -EDQUOT, over the guest's limit, or -ENOSPC, over
 * that of all guests together.
 */
int quota_take_bytes(struct quota *quota, uint64_t bytes);
void quota_give_channel(struct quota *quota);
void quota_give_bytes(struct quota *quota, uint64_t bytes);

/* Takes a place for a connection. As rate_take(). */
int64_t quota_take_connect(struct quota *quota);

/* Takes a place for a status of a worker, and for the death of one. As rate_take(). */
int64_t quota_take_status(struct quota *quota);
int64_t quota_take_death(struct quota *quota);

/*
 * So many events of xenstored came because of it, and so many exchanges with it were made. False:
 * that is more than its share, and nothing more is to be done for a while.
 */
bool quota_take_work(struct quota *quota, uint64_t events, uint64_t exchanges);

/* That while is over: what it has now is enough for a look at each of its channels. */
void quota_resume_work(struct quota *quota);

/*
 * Whether a line about this guest may be logged. *unlogged: how many before it were not, which is
 * to be told with it.
 */
bool quota_take_line(struct quota *quota, unsigned int *unlogged);

#endif
