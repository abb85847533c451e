/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel has moved, as the service at its backend reports it: doc/protocol.md,
 * "Statistics".
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
    TRAFFIC_RECEIVED, /* bytes from the frontend */
    TRAFFIC_SENT,     /* bytes to the frontend */
    TRAFFIC_WAKES,    /* signals to the frontend */
    TRAFFIC_SLEEPS,   /* signals from the frontend */
    TRAFFIC_SINCE,    /* seconds since 1970; 0: not connected */
    TRAFFIC_CONNECTIONS,
    TRAFFIC_WAITING, /* 1: another client waits for the current one to leave */
    TRAFFIC_STREAMS, /* open now */
    TRAFFIC_OPENED,  /* streams, as the next two */
    TRAFFIC_REFUSED,
    TRAFFIC_RESET,
    TRAFFIC_STORED, /* bytes that streams' connections do not take now */
    TRAFFIC_COUNTS,
};

struct traffic {
    bool known; /* false: nothing was reported, and the rest is 0 */
    uint64_t counts[TRAFFIC_COUNTS];
    char peer[128]; /* what the channel is connected to; empty: nothing */
};

/* The names of the counts in the protocol. */
extern const char *const traffic_names[TRAFFIC_COUNTS];

/* The path of a device's statistics. */
void traffic_path(const struct device_id *id, char path[DEVICE_PATH_MAX]);

/* Reads the statistics. Invalid ones count as unknown. */
void traffic_read(struct store *store, const struct device_id *id, struct traffic *traffic);

/* Formats a number of bytes in at most four characters: "17", "1.2K", "999M". */
void traffic_short(uint64_t bytes, char *text, size_t size);

#endif
