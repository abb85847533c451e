/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts the work that another domain causes this service. A domain that causes too much is paused:
 * its nodes are not watched for a while, so that its writes to xenstore cost nothing here.
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
     * Watches those of the domain's nodes that are not watched yet; each watch's first event calls
     * for a look. Returns 0, or a negative errno: then it watches nothing, looks at everything now,
     * and is called again after up to 5 s.
     */
    int (*watch)(void *arg);
    /* Ends all watches, and looks at nothing of the domain's until watch() is called. */
    void (*unwatch)(void *arg);
};

struct toll {
    const struct toll_ops *ops;
    void *arg;
    domid_t domid;
    struct quota quota; /* the domain's */
    uint64_t events, exchanges;
    unsigned int pauses;
    bool paused;            /* its nodes are not watched for now */
    bool polled;            /* watch() failed, so the nodes are polled */
    struct backoff backoff; /* until the next toll_begin_watch() */
    struct rate log_rate;   /* bounds the log lines about pauses */
};

/*
 * Opens a zeroed toll, without watches. limits, sum, ops and arg must outlive it. Returns 0 or
 * -ENOMEM.
 */
int toll_open(struct toll *toll, struct event_base *base, domid_t domid,
              const struct quota_limits *limits, struct quota_sum *sum, const struct toll_ops *ops,
              void *arg);

/* Watches nodes that are not watched yet, unless the domain is paused or polled. */
void toll_watch(struct toll *toll);

/*
 * Counts events that the domain caused, and exchanges with xenstored for it. Pauses the domain if
 * they are too many.
 */
void toll_charge(struct toll *toll, uint64_t events, uint64_t exchanges);

/* Ends the watches. Logs what the domain has cost. */
void toll_close(struct toll *toll);

#endif
