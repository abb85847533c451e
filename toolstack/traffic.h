/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel has moved, as the service at its backend tells it: doc/protocol.md, "Statistics".
 */
#ifndef TOOLSTACK_TRAFFIC_H
#define TOOLSTACK_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "state/device.h"
#include "state/store.h"

/* Below /local/domain/N. */
#define TRAFFIC_DIR "data/vchan-backend"

enum traffic_count {
    TRAFFIC_RECEIVED, /* bytes from the frontend, */
    TRAFFIC_SENT,     /* and to it */
    TRAFFIC_WAKES,    /* signals to it, */
    TRAFFIC_SLEEPS,   /* and from it */
    TRAFFIC_SINCE,    /* seconds since 1970; 0: not connected */
    TRAFFIC_CONNECTIONS,
    TRAFFIC_WAITING, /* 1: a client waits until the one that is served has left */
    TRAFFIC_COUNTS,
};

struct traffic {
    bool known; /* false: nobody tells, and the rest is 0 */
    uint64_t counts[TRAFFIC_COUNTS];
    char peer[128]; /* who the channel is plugged into; empty: nobody */
};

/* The names of the counts, as the protocol has them. */
extern const char *const traffic_names[TRAFFIC_COUNTS];

/* Where a device's are. */
void traffic_path(const struct device_id *id, char path[DEVICE_PATH_MAX]);

/* Reads them. What makes no sense is not known. */
void traffic_read(struct store *store, const struct device_id *id, struct traffic *traffic);

/* A number of bytes in four places at most: "17", "1.2K", "999M". */
void traffic_short(uint64_t bytes, char *text, size_t size);

#endif
