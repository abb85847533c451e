/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What another domain makes this service do, counted. One that makes too much work is held: its
 * nodes are not watched for a while, so that whatever it writes costs nothing here.
 */
#ifndef SERVICE_TOLL_H
#define SERVICE_TOLL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#include "service/backoff.h"
#include "service/quota.h"

struct event_base;

struct toll_ops {
    /*
     * Watches those of the domain's nodes that are not watched yet; the first event of each watch
     * says to look. 0, or -errno: then it watches nothing, looks at all now, and is called again
     * after a pause of up to 5 s.
     */
    int (*watch)(void *arg);
    /* Watches nothing, and looks at nothing of the domain's until watch(). */
    void (*unwatch)(void *arg);
};

struct toll {
    const struct toll_ops *ops;
    void *arg;
    domid_t domid;
    struct quota quota; /* of the domain */
    uint64_t events, exchanges;
    unsigned int pauses;
    bool held;      /* it is not watched for a while */
    bool unwatched; /* that failed: it is polled */
    struct backoff pause;
    struct rate told; /* that it is held */
};

/* Opens one (zeroed), which is not watched yet. 0 or -ENOMEM. */
int toll_open(struct toll *toll, struct event_base *base, domid_t domid,
              const struct quota_limits *limits, struct quota_sum *sum, const struct toll_ops *ops,
              void *arg);

/* Begins to watch, or to watch what is new, unless the domain is held or polled. */
void toll_watch(struct toll *toll);

/* Counts what came because of the domain and was done for it; that may be too much. */
void toll_charge(struct toll *toll, uint64_t events, uint64_t exchanges);

/* Ends the watch. The log says what the domain has cost. */
void toll_close(struct toll *toll);

#endif
